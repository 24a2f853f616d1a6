/* Text that is cut, made visible, and UTF-8 over its whole range. */
#include "base/text.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void cut_at_the_end(void **state)
{
	char buffer[6];
	struct text t = TEXT_OVER(buffer);

	assert_string_equal(buffer, "");
	text_put_string(&t, "abc");
	text_put_byte(&t, 'd');
	assert_false(t.cut);
	text_put_string(&t, "efg");
	assert_string_equal(buffer, "abcde");
	assert_true(t.cut);
	assert_int_equal(t.len, 5);
}

static void cut_between_characters(void **state)
{
	char buffer[6];
	struct text t = TEXT_OVER(buffer);

	text_put_string(&t, "abcd");
	text_put_string(&t, "é");
	assert_string_equal(buffer, "abcd");
	assert_true(t.cut);
	text_put_byte(&t, 'x'); /* would fit, but not where it belongs */
	text_printf(&t, "%d", 7);
	text_put_visible(&t, BYTES_LITERAL("x"), false);
	assert_string_equal(buffer, "abcd");
}

static void exact_fit(void **state)
{
	char buffer[6];
	struct text t = TEXT_OVER(buffer);

	text_put_string(&t, "abcé");
	assert_string_equal(buffer, "abcé");
	assert_false(t.cut);
	t = TEXT_OVER(buffer);
	text_put_visible(&t, BYTES_LITERAL("\x01z"), false);
	assert_string_equal(buffer, "\\x01z");
	assert_false(t.cut);
	t = TEXT_OVER(buffer);
	text_put_string(&t, "abcé");
	text_put(&t, bytes_of(NULL, 0));
	text_put_string(&t, "");
	assert_false(t.cut);
	assert_true(bytes_equal(text_bytes(&t), BYTES_LITERAL("abcé")));
}

static void no_room_at_all(void **state)
{
	char buffer[1] = {'x'};
	struct text t = TEXT_OVER(buffer);

	assert_string_equal(buffer, "");
	text_printf(&t, "%s", "");
	assert_false(t.cut);
	text_printf(&t, "%s", "a");
	assert_true(t.cut);
	assert_string_equal(buffer, "");
}

static void printf_fits_or_is_cut(void **state)
{
	char buffer[8];
	struct text t = TEXT_OVER(buffer);

	text_printf(&t, "%s-%d", "ab", 1234);
	assert_string_equal(buffer, "ab-1234");
	assert_false(t.cut);
	t = TEXT_OVER(buffer);
	text_printf(&t, "%s%s", "abcdef", "é");
	assert_string_equal(buffer, "abcdef");
	assert_true(t.cut);
	assert_int_equal(t.len, 6);
}

static void check_visible(struct bytes b, bool keep_newlines, const char *expected)
{
	char buffer[128];
	struct text t = TEXT_OVER(buffer);

	text_put_visible(&t, b, keep_newlines);
	assert_string_equal(buffer, expected);
	assert_false(t.cut);
}

static void visible(void **state)
{
	check_visible(BYTES_LITERAL("plain \\ é € 😀"), false, "plain \\ é € 😀");
	check_visible(BYTES_LITERAL("\033[31m\a\b\0\x7f"), false, "\\x1b[31m\\x07\\x08\\x00\\x7f");
	check_visible(BYTES_LITERAL("a\tb\r\n"), false, "a\\tb\\r\\n");
	check_visible(BYTES_LITERAL("a\tb\r\n"), true, "a\\tb\\r\n");
	check_visible(BYTES_LITERAL("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0"), false,
		      "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\xc2\xa0");
	check_visible(BYTES_LITERAL("\x9b\xff\xc3"), false, "\\x9b\\xff\\xc3");
	check_visible(BYTES_LITERAL("\xed\xa0\x80"), false, "\\xed\\xa0\\x80");
	check_visible(BYTES_LITERAL("\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6"), true,
		      "\\xe2\\x80\\xa8\\xe2\\x80\\xae\\xe2\\x81\\xa6");
	check_visible(BYTES_LITERAL("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa"), false,
		      "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5\xe2\x81\xaa");
}

static void visible_is_cut_between_escapes(void **state)
{
	char buffer[6];
	struct text t = TEXT_OVER(buffer);

	text_put_visible(&t, BYTES_LITERAL("\x01\x02z"), false);
	assert_string_equal(buffer, "\\x01");
	assert_true(t.cut);
}

/* UTF-8 by another way than the code under test: RFC 3629, section 3, the table. */
static size_t encode(uint32_t code, uint8_t *to)
{
	if (code < 0x80) {
		to[0] = (uint8_t)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (uint8_t)(0xc0 | code >> 6);
		to[1] = (uint8_t)(0x80 | (code & 63));
		return 2;
	}
	if (code < 0x10000) {
		to[0] = (uint8_t)(0xe0 | code >> 12);
		to[1] = (uint8_t)(0x80 | (code >> 6 & 63));
		to[2] = (uint8_t)(0x80 | (code & 63));
		return 3;
	}
	to[0] = (uint8_t)(0xf0 | code >> 18);
	to[1] = (uint8_t)(0x80 | (code >> 12 & 63));
	to[2] = (uint8_t)(0x80 | (code >> 6 & 63));
	to[3] = (uint8_t)(0x80 | (code & 63));
	return 4;
}

static bool every_code_holds(uint32_t code)
{
	uint8_t sequence[4];
	struct bytes whole = bytes_of(sequence, encode(code, sequence));
	bool good = text_utf8_sequence(whole) == whole.len && text_utf8_invalid(whole) == 0 &&
		    text_utf8_incomplete_tail(whole) == 0 && text_utf8_valid(whole) &&
		    text_utf8_code(whole) == code;

	for (size_t n = 1; n < whole.len; n++) {
		struct bytes part = bytes_first(whole, n);

		good = good && text_utf8_sequence(part) == 0 && text_utf8_invalid(part) == n &&
		       text_utf8_incomplete_tail(part) == n && !text_utf8_valid(part);
	}
	return good;
}

static void utf8_takes_every_code_point(void **state)
{
	for (uint32_t code = 0; code <= 0x10ffff; code++) {
		if (code < 0xd800 || code > 0xdfff)
			assert_true(every_code_holds(code));
	}
}

/* All strings of `len` bytes, of 4 only those that begin with 0xf0 or more and end at an edge; how
 * many are one sequence of that length. Every valid one is (above), so the count says that none
 * else is. */
static unsigned count_sequences(size_t len)
{
	static const uint8_t edges[] = {0x00, 0x7f, 0x80, 0xbf, 0xc0, 0xff};
	unsigned count = 0;

	for (uint32_t v = 0; v < 1u << (len < 3 ? 8 * len : 24); v++) {
		uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16)};

		if (len < 4) {
			count += text_utf8_sequence(bytes_of(b, len)) == len;
			continue;
		}
		for (size_t i = 0; i < sizeof(edges) && b[0] >= 0xf0; i++) {
			b[3] = edges[i];
			count += text_utf8_sequence(bytes_of(b, 4)) == 4;
		}
	}
	return count;
}

static void utf8_takes_nothing_else(void **state)
{
	assert_int_equal(count_sequences(1), 0x80);
	assert_int_equal(count_sequences(2), 0x800 - 0x80);
	assert_int_equal(count_sequences(3), 0x10000 - 0x800 - 0x800);
	assert_int_equal(count_sequences(4), 0x100000 / 64 * 2);
	assert_int_equal(text_utf8_sequence(bytes_of(NULL, 0)), 0);
	assert_int_equal(text_utf8_invalid(bytes_of(NULL, 0)), 0);
	assert_true(text_utf8_valid(bytes_of(NULL, 0)));
}

/* How many U+FFFD stand for what is not UTF-8 in `b`. */
static unsigned replacements(struct bytes b)
{
	unsigned count = 0;

	while (b.len > 0) {
		size_t n = text_utf8_sequence(b);

		if (n == 0) {
			n = text_utf8_invalid(b);
			count++;
		}
		b = bytes_after(b, n);
	}
	return count;
}

/* The counts are Python's: b.decode('utf-8', 'replace').count('\ufffd'). */
static void utf8_replaced_as_python_does(void **state)
{
	assert_int_equal(replacements(BYTES_LITERAL("\xc3")), 1);
	assert_int_equal(replacements(BYTES_LITERAL("\xe2\x82")), 1);
	assert_int_equal(replacements(BYTES_LITERAL("\xf0\x9f\x98")), 1);
	assert_int_equal(replacements(BYTES_LITERAL("\xf0\x9f\x98z")), 1);
	assert_int_equal(replacements(BYTES_LITERAL("\xf0\x9f\xf0\x9f\x98\x80")), 1);
	assert_int_equal(replacements(BYTES_LITERAL("\xe2(\xa1")), 2);
	assert_int_equal(replacements(BYTES_LITERAL("\xc0\xaf")), 2);
	assert_int_equal(replacements(BYTES_LITERAL("\xe0\x80\xaf")), 3);
	assert_int_equal(replacements(BYTES_LITERAL("\xed\xa0\x80")), 3);
	assert_int_equal(replacements(BYTES_LITERAL("\xf0\x80\x80\x80")), 4);
	assert_int_equal(replacements(BYTES_LITERAL("\xf4\x90\x80\x80")), 4);
	assert_int_equal(replacements(BYTES_LITERAL("\xf8\x88\x80\x80\x80")), 5);
	assert_int_equal(replacements(BYTES_LITERAL("\x80z\xff")), 2);
}

static void incomplete_tail(void **state)
{
	assert_int_equal(text_utf8_incomplete_tail(bytes_of(NULL, 0)), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("abc")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("ab\xc3")), 1);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("ab\xc3\xa9")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("a\xf0\x9f\x98")), 3);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\xc0")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\xe0\x80")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\xed\xa0")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\xf4\x90")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\xf5")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\x80\x80\x80\x80")), 0);
	assert_int_equal(text_utf8_incomplete_tail(BYTES_LITERAL("\xc3\x80\x80")), 0);
}

static void padded_by_columns(void **state)
{
	char buffer[16];
	struct text t = TEXT_OVER(buffer);

	assert_int_equal(text_columns(BYTES_LITERAL("")), 0);
	assert_int_equal(text_columns(BYTES_LITERAL("été €\xf0\x9f\x94\x8c")), 6);
	assert_int_equal(text_first_columns(BYTES_LITERAL("été"), 0).len, 0);
	assert_int_equal(text_first_columns(BYTES_LITERAL("été"), 1).len, 2);
	assert_int_equal(text_first_columns(BYTES_LITERAL("été"), 2).len, 3);
	assert_int_equal(text_first_columns(BYTES_LITERAL("été"), 9).len, 5);
	assert_int_equal(text_last_columns(BYTES_LITERAL("été"), 0).len, 0);
	assert_int_equal(text_last_columns(BYTES_LITERAL("été"), 1).len, 2);
	assert_int_equal(text_last_columns(BYTES_LITERAL("été"), 2).len, 3);
	assert_int_equal(text_last_columns(BYTES_LITERAL("été"), 9).len, 5);
	text_put_padded(&t, "été", 5);
	text_put_padded(&t, "défaut", 4);
	assert_string_equal(buffer, "été  défaut");
}

static void distance(void **state)
{
	char longest[65];

	memset(longest, 'a', sizeof(longest));
	longest[64] = '\0';
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("abc", ""), 3);
	assert_int_equal(text_distance("same", "same"), 0);
	assert_int_equal(text_distance("listne", "listen"), 2);
	assert_int_equal(text_distance("saturday", "sunday"), 3);
	assert_int_equal(text_distance(longest + 1, ""), 63);
	assert_int_equal(text_distance(longest, longest), UINT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut_at_the_end),
		cmocka_unit_test(cut_between_characters),
		cmocka_unit_test(exact_fit),
		cmocka_unit_test(no_room_at_all),
		cmocka_unit_test(printf_fits_or_is_cut),
		cmocka_unit_test(visible),
		cmocka_unit_test(visible_is_cut_between_escapes),
		cmocka_unit_test(utf8_takes_every_code_point),
		cmocka_unit_test(utf8_takes_nothing_else),
		cmocka_unit_test(utf8_replaced_as_python_does),
		cmocka_unit_test(incomplete_tail),
		cmocka_unit_test(padded_by_columns),
		cmocka_unit_test(distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
