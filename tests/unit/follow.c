/* proto/follow and proto/proxy: redirects, retries, ranges, and by whom. */
#include "proto/follow.h"
#include "proto/proxy.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW_S = 1700000000 };

static struct http1_head head_of(const char *raw)
{
	struct http1_head head;
	struct http1_refusal refusal;
	size_t seen = 0;

	assert_true(http1_parse(&head, HTTP1_RESPONSE, bytes_of_string(raw), &seen,
				BYTES_LITERAL("GET"), NULL, &refusal) > 0);
	return head;
}

static struct url url_of(const char *text)
{
	struct url url;

	assert_int_equal(url_parse(&url, bytes_of_string(text)), 0);
	return url;
}

static enum follow_verdict judged(unsigned most, const char *raw, struct url *next)
{
	struct follow f = {.most = most};
	struct http1_head head = head_of(raw);
	struct url url = url_of("http://a/x/y");

	return follow_judge(&f, &head, &url, next);
}

static void test_redirects(void **state)
{
	struct url next;

	assert_int_equal(judged(10, "HTTP/1.1 302 F\r\nLocation: ../z\r\n\r\n", &next), FOLLOW_ON);
	assert_string_equal(next.target, "/z");
	assert_int_equal(judged(10, "HTTP/1.1 200 O\r\nLocation: /z\r\n\r\n", &next), FOLLOW_NOT);
	assert_int_equal(judged(10, "HTTP/1.1 304 N\r\nLocation: /z\r\n\r\n", &next), FOLLOW_NOT);
	assert_int_equal(judged(10, "HTTP/1.1 301 M\r\n\r\n", &next), FOLLOW_NOT);
	assert_int_equal(judged(0, "HTTP/1.1 302 F\r\nLocation: /z\r\n\r\n", &next),
			 FOLLOW_TOO_MANY);
	assert_int_equal(judged(1, "HTTP/1.1 308 F\r\nLocation: http://[\r\n\r\n", &next),
			 FOLLOW_BAD);
	assert_int_equal(judged(1, "HTTP/1.1 307 F\r\nLocation: file:///x\r\n\r\n", &next),
			 FOLLOW_FOREIGN);
}

static void test_loops(void **state)
{
	struct follow f = {.most = 10};
	struct url a = url_of("http://a/"), b = url_of("http://b/");
	struct bytes get = BYTES_LITERAL("GET");

	assert_true(follow_note(&f, get, &a, 0));
	assert_true(follow_note(&f, get, &b, 0));
	assert_false(follow_note(&f, get, &a, 0));
	assert_true(follow_note(&f, get, &a, 1)); /* a cookie came in between */
	assert_true(follow_note(&f, BYTES_LITERAL("POST"), &a, 0));
}

static void test_methods(void **state)
{
	static const struct {
		unsigned status;
		const char *before, *after;
	} cases[] = {
		{301, "POST", "GET"},  {302, "POST", "GET"},  {303, "POST", "GET"},
		{307, "POST", "POST"}, {308, "POST", "POST"}, {301, "PUT", "PUT"},
		{303, "PUT", "GET"},   {303, "HEAD", "HEAD"}, {302, "HEAD", "HEAD"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_true(bytes_equal(
			follow_method(cases[i].status, bytes_of_string(cases[i].before)),
			bytes_of_string(cases[i].after)));
}

static void test_delays(void **state)
{
	struct http1_head soon = head_of("HTTP/1.1 503 B\r\nRetry-After: 7\r\n\r\n");
	struct http1_head late = head_of("HTTP/1.1 503 B\r\nRetry-After: 99999\r\n\r\n");
	struct http1_head date = head_of(
		"HTTP/1.1 503 B\r\nRetry-After: Tue, 14 Nov 2023 22:13:50 GMT\r\n\r\n");

	assert_int_equal(follow_delay_ms(1, NULL, NOW_S), 1000);
	assert_int_equal(follow_delay_ms(3, NULL, NOW_S), 4000);
	assert_int_equal(follow_delay_ms(100, NULL, NOW_S), 60000);
	assert_int_equal(follow_delay_ms(1, &soon, NOW_S), 7000);
	assert_int_equal(follow_delay_ms(1, &late, NOW_S), 600000);
	assert_int_equal(follow_delay_ms(1, &date, NOW_S), 30000);
}

static void test_ranges(void **state)
{
	static const char *const bad[] = {"",
					  "bytes",
					  "bytes 1-2",
					  "bytes 2-1/5",
					  "bytes 1-5/5",
					  "items 1-2/5",
					  "bytes */*",
					  "bytes -2/5",
					  "bytes 1-/5",
					  "bytes 1-2/x",
					  "bytes +1-2/5"};
	struct follow_range range;

	assert_int_equal(follow_range_parse(BYTES_LITERAL("bytes 2-4/10"), &range), 0);
	assert_true(range.first == 2 && range.last == 4 && range.complete == 10);
	assert_int_equal(follow_range_parse(BYTES_LITERAL("Bytes 2-4/*"), &range), 0);
	assert_true(range.complete == UINT64_MAX && !range.unsatisfied);
	assert_int_equal(follow_range_parse(BYTES_LITERAL("bytes */10"), &range), 0);
	assert_true(range.unsatisfied && range.complete == 10);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(follow_range_parse(bytes_of_string(bad[i]), &range), ERR_SYNTAX);
}

static void test_resumption(void **state)
{
	static const struct {
		const char *raw;
		uint64_t known;
		enum follow_resumption expected;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\n\r\n", UINT64_MAX, FOLLOW_ANEW},
		{"HTTP/1.1 404 No\r\n\r\n", UINT64_MAX, FOLLOW_OTHER},
		{"HTTP/1.1 206 P\r\nContent-Range: bytes 5-9/10\r\n\r\n", 10, FOLLOW_CONTINUES},
		{"HTTP/1.1 206 P\r\nContent-Range: bytes 5-9/*\r\n\r\n", 10, FOLLOW_CONTINUES},
		{"HTTP/1.1 206 P\r\nContent-Range: bytes 5-9/11\r\n\r\n", 10, FOLLOW_ASTRAY},
		{"HTTP/1.1 206 P\r\nContent-Range: bytes 4-9/10\r\n\r\n", 10, FOLLOW_ASTRAY},
		{"HTTP/1.1 206 P\r\n\r\n", 10, FOLLOW_ASTRAY},
		{"HTTP/1.1 416 R\r\nContent-Range: bytes */5\r\n\r\n", 10, FOLLOW_COMPLETE},
		{"HTTP/1.1 416 R\r\nContent-Range: bytes */4\r\n\r\n", 10, FOLLOW_OTHER},
		{"HTTP/1.1 416 R\r\n\r\n", 10, FOLLOW_OTHER},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct http1_head head = head_of(cases[i].raw);

		assert_int_equal(follow_resume(&head, 5, cases[i].known), cases[i].expected);
	}
}

static const char *validator(const char *raw)
{
	static char buffer[FOLLOW_VALIDATOR_BYTES];
	struct text t = TEXT_OVER(buffer);
	struct http1_head head = head_of(raw);

	follow_put_validator(&t, &head, NOW_S);
	return buffer;
}

static void test_validators(void **state)
{
	assert_string_equal(validator("HTTP/1.1 200 O\r\nETag: \"x\"\r\n\r\n"), "\"x\"");
	assert_string_equal(validator("HTTP/1.1 200 O\r\nETag: W/\"x\"\r\n\r\n"), "");
	assert_string_equal(validator("HTTP/1.1 200 O\r\n"
				      "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
				      "Date: Tue, 14 Nov 2023 22:14:20 GMT\r\n\r\n"),
			    "Tue, 14 Nov 2023 22:13:20 GMT");
	assert_string_equal(validator("HTTP/1.1 200 O\r\n"
				      "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
				      "Date: Tue, 14 Nov 2023 22:14:19 GMT\r\n\r\n"),
			    ""); /* it may have changed twice within that second */
	assert_string_equal(validator("HTTP/1.1 200 O\r\n\r\n"), "");
}

static void test_no_proxy(void **state)
{
	static const struct {
		const char *list, *url;
		bool excluded;
	} cases[] = {
		{"*", "http://a/", true},
		{"example.org", "http://example.org/", true},
		{"example.org", "http://www.EXAMPLE.org/", true},
		{".example.org", "http://www.example.org/", true},
		{"example.org", "http://badexample.org/", false},
		{"a, b\tc", "http://c/", true},
		{"a:81", "http://a/", false},
		{"a:81", "http://a:81/", true},
		{"127.0.0.1", "http://127.0.0.1:8080/", true},
		{"127.0.0.0/8", "http://127.9.9.9/", true},
		{"10.0.0.0/9", "http://10.128.0.1/", false},
		{"10.0.0.0/9", "http://10.127.0.1/", true},
		{"::1", "http://[::1]/", true},
		{"[::1]", "http://[::1]/", true},
		{"2001:db8::/32", "http://[2001:db8:1::1]/", true},
		{"0.0.1", "http://127.0.0.1/", false},
		{"", "http://a/", false},
		{",,", "http://a/", false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct url url = url_of(cases[i].url);

		assert_int_equal(proxy_excludes(cases[i].list, &url), cases[i].excluded);
	}
}

static void test_proxies(void **state)
{
	struct proxy_environment e = {.http = "p:1", .https = "http://q:2", .no = "x"};
	struct url http = url_of("http://a/"), https = url_of("https://a/"),
		   x = url_of("http://x/");
	struct url proxy;

	assert_int_equal(proxy_choose(&e, &http, &proxy), 1);
	assert_string_equal(proxy.host, "p");
	assert_int_equal(proxy_choose(&e, &https, &proxy), 1);
	assert_int_equal(proxy.port, 2);
	assert_int_equal(proxy_choose(&e, &x, &proxy), 0);
	e = (struct proxy_environment){.http = "", .all = "socks5://s"};
	assert_int_equal(proxy_choose(&e, &http, &proxy), ERR_REFUSES);
	e.all = "https://s";
	assert_int_equal(proxy_choose(&e, &http, &proxy), ERR_REFUSES);
	e.all = NULL;
	assert_int_equal(proxy_choose(&e, &http, &proxy), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_redirects),  cmocka_unit_test(test_loops),
		cmocka_unit_test(test_methods),    cmocka_unit_test(test_delays),
		cmocka_unit_test(test_ranges),     cmocka_unit_test(test_resumption),
		cmocka_unit_test(test_validators), cmocka_unit_test(test_no_proxy),
		cmocka_unit_test(test_proxies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
