/* proto/cookie: RFC 6265's matches, defaults and ends. */
#include "proto/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { NOW_S = 1700000000 };

static struct cookie_jar jar;

static int empty(void **state)
{
	memset(&jar, 0, sizeof jar);
	return 0;
}

static bool set(const char *from, const char *field)
{
	struct url url;

	assert_int_equal(url_parse(&url, bytes_of_string(from)), 0);
	return cookie_set(&jar, &url, bytes_of_string(field), NOW_S);
}

static const char *sent_at(const char *to, int64_t now_s)
{
	static char buffer[8192];
	struct text t = TEXT_OVER(buffer);
	struct url url;

	assert_int_equal(url_parse(&url, bytes_of_string(to)), 0);
	cookie_put(&t, &jar, &url, now_s);
	return buffer;
}

static const char *sent(const char *to)
{
	return sent_at(to, NOW_S);
}

static void test_simple(void **state)
{
	assert_true(set("http://a.example/", "SID=31d4d96e407aad42"));
	assert_string_equal(sent("http://a.example/x"), "SID=31d4d96e407aad42");
	assert_string_equal(sent("http://b.example/"), "");
	assert_string_equal(sent("http://x.a.example/"), "");
	assert_true(set("http://a.example/", " lang = en-US ; Path=/"));
	assert_string_equal(sent("http://a.example/"), "SID=31d4d96e407aad42; lang=en-US");
	assert_true(set("http://a.example/", "SID=new"));
	assert_string_equal(sent("http://a.example/"), "SID=new; lang=en-US");
	assert_true(set("http://a.example/", "empty="));
	assert_string_equal(sent("http://a.example/"), "SID=new; lang=en-US; empty=");
}

static void test_refused(void **state)
{
	static const char *const fields[] = {
		"",
		"x",
		"=x",
		";a=b",
		"a=b; Domain=b.example",
		"a=b; Domain=example2",
		"a=b; Domain=sub.a.example",
		"a=b; Domain=example",
		"a=b; Secure",
		"a=b\x01",
	};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		assert_false(set("http://a.example/", fields[i]));
	assert_int_equal(jar.count, 0);
}

static void test_domains(void **state)
{
	assert_true(set("http://www.a.example/", "a=1; Domain=.A.example"));
	assert_string_equal(sent("http://a.example/"), "a=1");
	assert_string_equal(sent("http://b.a.example/"), "a=1");
	assert_string_equal(sent("http://ba.example/"), "");
	assert_true(set("http://127.0.0.1/", "b=1; Domain=127.0.0.1"));
	assert_string_equal(sent("http://127.0.0.1/"), "b=1");
	assert_false(set("http://127.0.0.1/", "b=1; Domain=0.0.1"));
	assert_true(set("http://localhost/", "c=1; Domain=localhost"));
	assert_string_equal(sent("http://localhost:8080/"), "c=1"); /* ports do not count */
}

static void test_paths(void **state)
{
	assert_true(set("http://a/one/two", "a=1"));
	assert_string_equal(sent("http://a/one"), "a=1");
	assert_string_equal(sent("http://a/one/three"), "a=1");
	assert_string_equal(sent("http://a/"), "");
	assert_string_equal(sent("http://a/onexx"), "");
	assert_true(set("http://a/", "b=1; Path=/one/two"));
	assert_string_equal(sent("http://a/one/two/x?y"), "b=1; a=1"); /* the longer path first */
	assert_true(set("http://a/one/two", "c=1; Path=relative"));
	assert_string_equal(sent("http://a/one"), "a=1; c=1");
}

static void test_secure(void **state)
{
	assert_true(set("https://a/", "a=1; secure"));
	assert_string_equal(sent("https://a/"), "a=1");
	assert_string_equal(sent("http://a/"), "");
}

static void test_ends(void **state)
{
	assert_true(set("http://a/", "a=1; Max-Age=10"));
	assert_string_equal(sent_at("http://a/", NOW_S + 9), "a=1");
	assert_string_equal(sent_at("http://a/", NOW_S + 10), "");
	assert_true(set("http://a/", "a=1; Max-Age=0"));
	assert_int_equal(jar.count, 0);
	assert_true(set("http://a/", "b=1; Expires=Wed, 09 Jun 2100 10:18:14 GMT"));
	assert_string_equal(sent("http://a/"), "b=1");
	assert_true(set("http://a/", "b=1; Expires=Thu, 01-Jan-1970 00:00:00 GMT"));
	assert_string_equal(sent("http://a/"), "");
	assert_true(
		set("http://a/",
		    "c=1; Max-Age=99999999999999999999; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
	assert_string_equal(sent("http://a/"), "c=1"); /* Max-Age is stronger */
	assert_true(set("http://a/", "d=1; Expires=whenever; Max-Age=soon"));
	assert_string_equal(sent("http://a/"), "c=1; d=1");
}

static void test_many(void **state)
{
	char field[COOKIE_BYTES + 16];
	uint32_t before;

	for (unsigned i = 0; i < 3 * COOKIE_MOST; i++) {
		snprintf(field, sizeof field, "n%u=%u", i, i);
		before = jar.changes;
		assert_true(set("http://a/", field));
		assert_int_not_equal(jar.changes, before);
	}
	assert_int_equal(jar.count, COOKIE_MOST);
	memset(field, 'x', sizeof field - 1);
	field[1] = '=';
	field[sizeof field - 1] = '\0';
	assert_false(set("http://a/", field));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_simple, empty),
		cmocka_unit_test_setup(test_refused, empty),
		cmocka_unit_test_setup(test_domains, empty),
		cmocka_unit_test_setup(test_paths, empty),
		cmocka_unit_test_setup(test_secure, empty),
		cmocka_unit_test_setup(test_ends, empty),
		cmocka_unit_test_setup(test_many, empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
