/* HTTP/1.x messages where vectors do not reach: what points where, fields and lists looked up, what
 * a body takes, how much work a head is that comes byte by byte. */
#include "proto/http1.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct http1_head head;
static struct http1_refusal refusal;
static const struct bytes no_method;

static int64_t parse(enum http1_side side, const char *text)
{
	size_t seen = 0;

	return http1_parse(&head, side, bytes_of_string(text), &seen, no_method, NULL, &refusal);
}

static void assert_bytes(struct bytes b, const char *text)
{
	assert_int_equal(b.len, strlen(text));
	assert_memory_equal(b.data, text, b.len);
}

static const char request[] = "\r\nPUT /a?b HTTP/1.1\r\n"
			      "Host: a:80\r\n"
			      "Accept: x, Y;q=0.5 , \"z,w\"\r\n"
			      "accept:\tv\r\n"
			      "Content-Length: 3\r\n"
			      "Connection: Keep-Alive, upgrade\r\n"
			      "\r\nabcGET";

static void test_head(void **state)
{
	size_t whole = sizeof(request) - 1 - strlen("abcGET");

	assert_int_equal(parse(HTTP1_REQUEST, request), whole);
	assert_int_equal(head.bytes, whole);
	assert_int_equal(head.side, HTTP1_REQUEST);
	assert_int_equal(head.minor, 1);
	assert_ptr_equal(head.method.data, request + 2);
	assert_bytes(head.method, "PUT");
	assert_bytes(head.target, "/a?b");
	assert_int_equal(head.fields, 5);
	assert_bytes(head.field[2].name, "accept");
	assert_bytes(head.field[2].value, "v");
	assert_int_equal(head.framing, HTTP1_LENGTH);
	assert_int_equal(head.length, 3);
	assert_true(head.keep_alive);
	assert_false(head.expects_continue);
}

static void test_find(void **state)
{
	const struct http1_field *f;

	assert_true(parse(HTTP1_REQUEST, request) > 0);
	f = http1_find(&head, "ACCEPT");
	assert_ptr_equal(f, &head.field[1]);
	f = http1_next(&head, f, "Accept");
	assert_ptr_equal(f, &head.field[2]);
	assert_null(http1_next(&head, f, "Accept"));
	assert_null(http1_find(&head, "Accep"));
	assert_null(http1_find(&head, ""));
	assert_ptr_equal(http1_next(&head, NULL, "host"), &head.field[0]);
}

static void test_members(void **state)
{
	struct bytes list = BYTES_LITERAL(" a ,\"b,\\\",c\" ,,"), member;

	assert_true(http1_next_member(&list, &member));
	assert_bytes(member, "a");
	assert_true(http1_next_member(&list, &member));
	assert_bytes(member, "\"b,\\\",c\"");
	assert_true(http1_next_member(&list, &member));
	assert_bytes(member, "");
	assert_true(http1_next_member(&list, &member));
	assert_bytes(member, "");
	assert_false(http1_next_member(&list, &member));
	assert_false(http1_next_member(&list, &member));
}

static void test_response(void **state)
{
	static const char text[] = "HTTP/1.0 404 Not Found\r\nContent-Length: 7\r\n\r\n";
	size_t seen = 0;

	assert_int_equal(parse(HTTP1_RESPONSE, text), sizeof(text) - 1);
	assert_int_equal(head.status, 404);
	assert_bytes(head.reason, "Not Found");
	assert_int_equal(head.minor, 0);
	assert_int_equal(head.framing, HTTP1_LENGTH);
	assert_false(head.keep_alive);
	assert_int_equal(http1_parse(&head, HTTP1_RESPONSE, bytes_of_string(text), &seen,
				     BYTES_LITERAL("HEAD"), NULL, &refusal),
			 sizeof(text) - 1);
	assert_int_equal(head.framing, HTTP1_NO_BODY);
}

/* The caller's buffer may be another at each call, and the head too. */
static void test_moved(void **state)
{
	size_t len = sizeof(request) - 1 - strlen("abcGET"), seen = 0;
	int64_t parsed = 0;

	for (size_t n = 1; n <= len; n++) {
		uint8_t *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, request, n);
		memset(&head, 0xee, sizeof(head));
		parsed = http1_parse(&head, HTTP1_REQUEST, bytes_of(copy, n), &seen, no_method,
				     NULL, &refusal);
		assert_int_equal(parsed, n < len ? 0 : (int64_t)len);
		if (parsed > 0) {
			assert_int_equal(head.fields, 5);
			assert_bytes(head.field[4].value, "Keep-Alive, upgrade");
			assert_ptr_equal(head.method.data, copy + 2);
		}
		free(copy);
	}
}

static void test_nothing_yet(void **state)
{
	size_t seen = 0;

	assert_int_equal(http1_parse(&head, HTTP1_REQUEST, bytes_of(NULL, 0), &seen, no_method,
				     NULL, &refusal),
			 0);
	assert_int_equal(http1_parse(&head, HTTP1_RESPONSE, bytes_of(NULL, 0), &seen, no_method,
				     NULL, &refusal),
			 0);
}

static void test_refusals_say_why(void **state)
{
	static const struct {
		const char *text;
		unsigned status;
	} refused[] = {
		{"GET / HTTP/2.0\r\n", 505},
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.0\r\nContent-Length: 99999999999999999999\r\n\r\n", 413},
		{"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x, chunked\r\n\r\n", 501},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		refusal = (struct http1_refusal){0};
		assert_int_equal(parse(HTTP1_REQUEST, refused[i].text), ERR_PROTOCOL);
		assert_int_equal(refusal.status, refused[i].status);
		assert_non_null(refusal.why);
		assert_string_not_equal(http1_reason(refusal.status), "");
	}
}

static void begin(struct http1_body *body, const char *text)
{
	assert_true(parse(HTTP1_REQUEST, text) > 0);
	http1_body_begin(body, &head);
}

static void test_body_of_length(void **state)
{
	struct http1_body body;
	struct bytes content;

	begin(&body, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("he"), &content), 2);
	assert_bytes(content, "he");
	assert_false(body.done);
	assert_false(http1_body_end(&body));
	assert_int_equal(body.left, 3);
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("lloGET"), &content), 3);
	assert_bytes(content, "llo");
	assert_true(body.done);
	assert_true(http1_body_end(&body));
	assert_int_equal(body.content_bytes, 5);
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("GET"), &content), 0);
	assert_int_equal(content.len, 0);
}

static void test_no_body(void **state)
{
	struct http1_body body;
	struct bytes content;

	begin(&body, "PUT / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_true(body.done);
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("GET"), &content), 0);
	assert_true(http1_body_end(&body));
	begin(&body, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	assert_true(body.done);
}

static void test_body_until_end(void **state)
{
	struct http1_body body;
	struct bytes content;

	assert_true(parse(HTTP1_RESPONSE, "HTTP/1.0 200 OK\r\n\r\n") > 0);
	http1_body_begin(&body, &head);
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("hello"), &content), 5);
	assert_bytes(content, "hello");
	assert_false(body.done);
	assert_true(http1_body_end(&body));
	assert_true(body.done);
}

/* One piece of content a call, and nothing beyond the end. */
static void test_chunked_body(void **state)
{
	static const char coded[] = "5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nA: b\r\n\r\nGET";
	struct http1_body body;
	struct bytes in = bytes_of_string(coded), content;

	begin(&body, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_int_equal(http1_body_take(&body, in, &content), 8);
	assert_ptr_equal(content.data, coded + 3);
	assert_bytes(content, "hello");
	in = bytes_after(in, 8);
	assert_int_equal(http1_body_take(&body, in, &content), 10);
	assert_bytes(content, "!");
	in = bytes_after(in, 10);
	assert_int_equal(http1_body_take(&body, in, &content), 13);
	assert_int_equal(content.len, 0);
	assert_true(body.done);
	assert_int_equal(body.content_bytes, 6);
	assert_int_equal(http1_body_take(&body, bytes_after(in, 13), &content), 0);
}

static void test_bad_body(void **state)
{
	struct http1_body body;
	struct bytes content;

	begin(&body, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("5x\r\nhello"), &content), 1);
	assert_true(body.bad);
	assert_false(body.done);
	assert_int_equal(body.refusal.status, 400);
	assert_int_equal(http1_body_take(&body, BYTES_LITERAL("\r\n"), &content), 0);
	assert_false(http1_body_end(&body));
}

static void test_tokens(void **state)
{
	static const char separators[] = "\"(),/:;<=>?@[\\]{} \t\r\n\x7f\x80\xff";

	assert_true(http1_is_token(BYTES_LITERAL("!#$%&'*+-.^_`|~0123456789AZaz")));
	assert_false(http1_is_token(bytes_of(NULL, 0)));
	assert_false(http1_is_token(BYTES_LITERAL("\0")));
	for (size_t i = 0; separators[i]; i++)
		assert_false(http1_is_token(bytes_of(&separators[i], 1)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_response),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_refusals_say_why),
		cmocka_unit_test(test_body_of_length),
		cmocka_unit_test(test_no_body),
		cmocka_unit_test(test_body_until_end),
		cmocka_unit_test(test_chunked_body),
		cmocka_unit_test(test_bad_body),
		cmocka_unit_test(test_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
