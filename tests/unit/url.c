/* proto/url: what people type, references against RFC 3986's own examples, file names. */
#include "proto/url.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *shown(const struct url *url)
{
	static char buffer[URL_BYTES];
	struct text t = TEXT_OVER(buffer);

	url_put(&t, url);
	return buffer;
}

static const char *parsed(const char *text)
{
	static struct url url;
	int err = url_parse(&url, bytes_of_string(text));

	return err ? err_name(err) : shown(&url);
}

static void test_typed(void **state)
{
	static const char *const cases[][2] = {
		{"example.org", "http://example.org/"},
		{" http://EXAMPLE.org:80 ", "http://example.org/"},
		{"https://a:443/x", "https://a/x"},
		{"http://a:443/x", "http://a:443/x"},
		{"HTTPS://a", "https://a/"},
		{"localhost:8080/a?b#c", "http://localhost:8080/a?b"},
		{":8080", "http://localhost:8080/"},
		{"[::1]:8080/x", "http://[::1]:8080/x"},
		{"http://[2001:DB8::1]", "http://[2001:db8::1]/"},
		{"http://a?b", "http://a/?b"},
		{"http://a/b/../c/./d", "http://a/c/d"},
		{"http://a/../..", "http://a/"},
		{"http://a/b/..", "http://a/"},
		{"http://a/b/.", "http://a/b/"},
		{"http://a//b", "http://a//b"},
		{"http://a/b c\"é%zz%41", "http://a/b%20c%22%C3%A9%25zz%41"},
		{"http://u:p%40@a/", "http://a/"},
		{"http://a:/", "http://a/"},
		{"http://a/?x=..", "http://a/?x=.."},
		{"ftp://a", "refuses"},
		{"file:///etc/passwd", "refuses"},
		{"http://", "syntax"},
		{"http:///x", "syntax"},
		{"http://a b/", "syntax"},
		{"http://a\r\nb/", "syntax"},
		{"http://[::1", "syntax"},
		{"http://[::1]x/", "syntax"},
		{"http://[1.2.3.4]/", "syntax"},
		{"http://::1/", "syntax"},
		{"http://a:0/", "range"},
		{"http://a:65536/", "range"},
		{"http://a:b/", "syntax"},
		{"http://é/", "syntax"},
		{"", "syntax"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_string_equal(parsed(cases[i][0]), cases[i][1]);
}

static void test_user(void **state)
{
	struct url url;

	assert_int_equal(url_parse(&url, BYTES_LITERAL("http://me:p%40ss%3A@a@b.c/")), 0);
	assert_string_equal(url.host, "b.c");
	assert_string_equal(url.user, "me:p@ss:@a");
	assert_int_equal(url_parse(&url, BYTES_LITERAL("http://a%00b@c/")), ERR_SYNTAX);
}

/* RFC 3986 5.4, with a base of http in place of its `http://a/b/c/d;p?q`. */
static void test_references(void **state)
{
	static const char *const cases[][2] = {
		{"g", "http://a/b/c/g"},
		{"./g", "http://a/b/c/g"},
		{"g/", "http://a/b/c/g/"},
		{"/g", "http://a/g"},
		{"//g", "http://g/"},
		{"?y", "http://a/b/c/d;p?y"},
		{"g?y", "http://a/b/c/g?y"},
		{"#s", "http://a/b/c/d;p?q"},
		{"g#s", "http://a/b/c/g"},
		{"g?y#s", "http://a/b/c/g?y"},
		{";x", "http://a/b/c/;x"},
		{"g;x", "http://a/b/c/g;x"},
		{"", "http://a/b/c/d;p?q"},
		{".", "http://a/b/c/"},
		{"./", "http://a/b/c/"},
		{"..", "http://a/b/"},
		{"../", "http://a/b/"},
		{"../g", "http://a/b/g"},
		{"../..", "http://a/"},
		{"../../", "http://a/"},
		{"../../g", "http://a/g"},
		{"../../../g", "http://a/g"},
		{"../../../../g", "http://a/g"},
		{"/./g", "http://a/g"},
		{"/../g", "http://a/g"},
		{"g.", "http://a/b/c/g."},
		{".g", "http://a/b/c/.g"},
		{"g..", "http://a/b/c/g.."},
		{"..g", "http://a/b/c/..g"},
		{"./../g", "http://a/b/g"},
		{"./g/.", "http://a/b/c/g/"},
		{"g/./h", "http://a/b/c/g/h"},
		{"g/../h", "http://a/b/c/h"},
		{"g;x=1/./y", "http://a/b/c/g;x=1/y"},
		{"g;x=1/../y", "http://a/b/c/y"},
		{"g?y/./x", "http://a/b/c/g?y/./x"},
		{"g?y/../x", "http://a/b/c/g?y/../x"},
		{"https://h/x", "https://h/x"},
		{"https://h:80/x", "https://h:80/x"},
		{"g:h", "refuses"},
		{"http:g", "syntax"},
		{"javascript:x", "refuses"},
		{"http://[", "syntax"},
		{"/a b", "http://a/a%20b"},
	};
	struct url base, url;

	assert_int_equal(url_parse(&base, BYTES_LITERAL("http://a/b/c/d;p?q")), 0);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		int err = url_resolve(&url, &base, bytes_of_string(cases[i][0]));

		assert_string_equal(err ? err_name(err) : shown(&url), cases[i][1]);
	}
}

static void test_too_long(void **state)
{
	char text[URL_BYTES + 100] = "http://a/";
	struct url url, base;

	memset(text + 9, 'x', sizeof text - 10);
	text[sizeof text - 1] = '\0';
	assert_int_equal(url_parse(&url, bytes_of_string(text)), ERR_TOO_LONG);
	text[URL_TARGET_BYTES] = '\0';
	assert_int_equal(url_parse(&base, bytes_of_string(text)), 0);
	assert_int_equal(url_resolve(&url, &base, bytes_of_string(text + 9)), 0);
	memset(text + 9, ' ', 2000);
	assert_int_equal(url_parse(&url, bytes_of_string(text)), ERR_TOO_LONG);
}

static void test_origins(void **state)
{
	struct url a, b;

	assert_int_equal(url_parse(&a, BYTES_LITERAL("http://a/x")), 0);
	assert_int_equal(url_parse(&b, BYTES_LITERAL("http://u@A:80/y")), 0);
	assert_true(url_same_origin(&a, &b));
	assert_int_equal(url_parse(&b, BYTES_LITERAL("http://a:81/x")), 0);
	assert_false(url_same_origin(&a, &b));
	assert_int_equal(url_parse(&b, BYTES_LITERAL("https://a:80/x")), 0);
	assert_false(url_same_origin(&a, &b));
}

static void test_file_names(void **state)
{
	static const char *const cases[][2] = {
		{"http://a", "index.html"},    {"http://a/b/c.txt?d=/e", "c.txt"},
		{"http://a/b/", "index.html"}, {"http://a/%2fetc%2fpasswd", "_etc_passwd"},
		{"http://a/%2e%2e", "_."},     {"http://a/.rc", "_rc"},
		{"http://a/%1b[2J", "_[2J"},   {"http://a/a%00b", "index.html"},
		{"http://a/%ff%fe", "__"},     {"http://a/a%20b", "a b"},
		{"http://a/%e2%80%aex", "_x"}, /* right to left */
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char name[256];
		struct text t = TEXT_OVER(name);
		struct url url;

		assert_int_equal(url_parse(&url, bytes_of_string(cases[i][0])), 0);
		url_put_file_name(&t, &url);
		assert_string_equal(name, cases[i][1]);
	}
}

/* Bytes drawn at random: whatever is taken is written in a way that is taken again, the same. */
static void test_random(void **state)
{
	static const char letters[] = "http://[]:@/?#%.a\n\xc3\xa9 1~&=";
	unsigned seed = 1;
	struct url base;

	assert_int_equal(url_parse(&base, BYTES_LITERAL("http://a/b/c")), 0);
	for (unsigned round = 0; round < 200000; round++) {
		char text[24], once[URL_BYTES];
		size_t len = 0;
		struct url url, again;

		for (len = 0; len < sizeof text; len++)
			text[len] = letters[((seed = seed * 1103515245 + 12345) >> 16 & 0x7fff) %
					    (sizeof letters - 1)];
		if ((round % 2 ? url_resolve(&url, &base, bytes_of(text, len))
			       : url_parse(&url, bytes_of(text, len))) != 0)
			continue;
		strcpy(once, shown(&url));
		assert_int_equal(url_parse(&again, bytes_of_string(once)), 0);
		assert_string_equal(shown(&again), once);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typed),      cmocka_unit_test(test_user),
		cmocka_unit_test(test_references), cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_origins),    cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
