/* Writing HTTP/1.x heads: what is put, and that what is refused puts nothing. */
#include "proto/http1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static char buffer[256];

static struct text begun(void)
{
	struct text t = TEXT_OVER(buffer);

	text_put_string(&t, "before ");
	return t;
}

static void test_request(void **state)
{
	struct text t = TEXT_OVER(buffer);

	assert_true(http1_put_request(&t, BYTES_LITERAL("GET"), BYTES_LITERAL("/a?b=c"), 1));
	assert_true(http1_put_field(&t, "Host", BYTES_LITERAL("a:80")));
	assert_true(http1_put_field(&t, "X-Empty", bytes_of(NULL, 0)));
	assert_true(http1_put_field_uint(&t, "Content-Length", UINT64_MAX));
	http1_put_end(&t);
	assert_string_equal(buffer, "GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nX-Empty: \r\n"
				    "Content-Length: 18446744073709551615\r\n\r\n");
	t = TEXT_OVER(buffer);
	assert_true(http1_put_request(&t, BYTES_LITERAL("M-SEARCH"), BYTES_LITERAL("*"), 0));
	assert_string_equal(buffer, "M-SEARCH * HTTP/1.0\r\n");
}

static void test_status(void **state)
{
	struct text t = TEXT_OVER(buffer);

	assert_true(http1_put_status(&t, 404, 1));
	assert_true(http1_put_status(&t, 299, 0));
	assert_string_equal(buffer, "HTTP/1.1 404 Not Found\r\nHTTP/1.0 299 \r\n");
	assert_string_equal(http1_reason(200), "OK");
	assert_string_equal(http1_reason(511), "Network Authentication Required");
	assert_string_equal(http1_reason(299), "");
	assert_string_equal(http1_reason(0), "");
}

static void test_chunk_lines(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *line;
	} lines[] = {
		{1, "1\r\n"},
		{15, "f\r\n"},
		{16, "10\r\n"},
		{255, "ff\r\n"},
		{256, "100\r\n"},
		{65536, "10000\r\n"},
		{UINT64_MAX, "ffffffffffffffff\r\n"},
		{0, "0\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct text t = TEXT_OVER(buffer);

		http1_put_chunk(&t, lines[i].bytes);
		assert_string_equal(buffer, lines[i].line);
	}
}

static void test_bad_requests_put_nothing(void **state)
{
	const struct {
		struct bytes method, target;
	} bad[] = {
		{BYTES_LITERAL(""), BYTES_LITERAL("/")},
		{BYTES_LITERAL("G T"), BYTES_LITERAL("/")},
		{BYTES_LITERAL("GET\r\n"), BYTES_LITERAL("/")},
		{BYTES_LITERAL("GET:"), BYTES_LITERAL("/")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("/a b")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("/\r\nX: y")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("/\n")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("/\t")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("/\0")},
		{BYTES_LITERAL("GET"), BYTES_LITERAL("/\x7f")},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct text t = begun();

		assert_false(http1_put_request(&t, bad[i].method, bad[i].target, 1));
		assert_false(t.cut);
		assert_string_equal(buffer, "before ");
	}
}

/* Every byte there is, in a name and in a value. */
static void test_bad_fields_put_nothing(void **state)
{
	static const char tokens[] = "!#$%&'*+-.^_`|~";

	for (unsigned c = 0; c < 256; c++) {
		char name[3] = {'X', (char)c, '\0'};
		bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
			      (c >= 'a' && c <= 'z');
		bool token = c == 0 || letter || strchr(tokens, (int)c); /* 0 ends the name */
		bool clean = c == '\t' || (c >= ' ' && c != 0x7f);
		struct text t = begun();

		assert_int_equal(http1_put_field(&t, name, BYTES_LITERAL("y")), token);
		assert_int_equal(t.len > strlen("before "), token);
		t = begun();
		assert_int_equal(http1_put_field(&t, "X", bytes_of(name, 2)), clean);
		assert_int_equal(t.len > strlen("before "), clean);
		assert_false(t.cut);
	}
}

static void test_bad_names_put_nothing(void **state)
{
	static const char *const bad[] = {"", "X:", "X Y", "X\r\nY", "É", "Host: a\r\nX"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct text t = begun();

		assert_false(http1_put_field(&t, bad[i], BYTES_LITERAL("y")));
		assert_false(http1_put_field_uint(&t, bad[i], 1));
		assert_string_equal(buffer, "before ");
	}
}

static void test_bad_statuses_put_nothing(void **state)
{
	static const unsigned bad[] = {0, 1, 99, 1000, UINT32_MAX};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct text t = begun();

		assert_false(http1_put_status(&t, bad[i], 1));
		assert_string_equal(buffer, "before ");
	}
}

/* A line that does not fit is left out whole, and so is all after it. */
static void test_full(void **state)
{
	static const char line[] = "X: yyy\r\n";

	for (size_t cap = 1; cap < sizeof(line); cap++) {
		struct text t = text_over(buffer, cap);

		assert_false(http1_put_field(&t, "X", BYTES_LITERAL("yyy")));
		assert_true(t.cut);
		assert_int_equal(t.len, 0);
		assert_false(http1_put_field(&t, "X", bytes_of(NULL, 0)));
		http1_put_end(&t);
		http1_put_chunk(&t, 1);
		assert_int_equal(t.len, 0);
	}
	struct text t = text_over(buffer, sizeof(line));

	assert_true(http1_put_field(&t, "X", BYTES_LITERAL("yyy")));
	assert_false(t.cut);
	assert_string_equal(buffer, line);
}

/* What is written is read. */
static void test_read_again(void **state)
{
	static struct http1_head head;
	struct http1_refusal refusal;
	struct text t = TEXT_OVER(buffer);
	size_t seen = 0;

	http1_put_status(&t, 206, 1);
	http1_put_field(&t, "Content-Range", BYTES_LITERAL("bytes 0-1/5"));
	http1_put_field_uint(&t, "Content-Length", 2);
	http1_put_end(&t);
	assert_int_equal(http1_parse(&head, HTTP1_RESPONSE, text_bytes(&t), &seen,
				     BYTES_LITERAL("GET"), NULL, &refusal),
			 t.len);
	assert_int_equal(head.status, 206);
	assert_int_equal(head.length, 2);
	assert_true(bytes_equal(head.reason, BYTES_LITERAL("Partial Content")));
	assert_true(bytes_equal(http1_find(&head, "content-range")->value,
				BYTES_LITERAL("bytes 0-1/5")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_chunk_lines),
		cmocka_unit_test(test_bad_requests_put_nothing),
		cmocka_unit_test(test_bad_fields_put_nothing),
		cmocka_unit_test(test_bad_names_put_nothing),
		cmocka_unit_test(test_bad_statuses_put_nothing),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_read_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
