/* Views of bytes, the empty ones with a NULL pointer among them. */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct bytes none = {NULL, 0};

static void equal(void **state)
{
	assert_true(bytes_equal(BYTES_LITERAL("a\0b"), bytes_of("a\0b", 3)));
	assert_false(bytes_equal(BYTES_LITERAL("a\0b"), BYTES_LITERAL("a\0c")));
	assert_false(bytes_equal(BYTES_LITERAL("ab"), BYTES_LITERAL("abc")));
	assert_true(bytes_equal(none, BYTES_LITERAL("")));
}

static void equal_fold(void **state)
{
	assert_true(bytes_equal_fold(BYTES_LITERAL("Fin"), BYTES_LITERAL("fIN")));
	assert_true(bytes_equal_fold(BYTES_LITERAL("az AZ@[`{"), BYTES_LITERAL("AZ az@[`{")));
	assert_false(bytes_equal_fold(BYTES_LITERAL("@"), BYTES_LITERAL("`")));
	assert_false(bytes_equal_fold(BYTES_LITERAL("["), BYTES_LITERAL("{")));
	assert_false(bytes_equal_fold(BYTES_LITERAL("É"), BYTES_LITERAL("é")));
	assert_false(bytes_equal_fold(BYTES_LITERAL("fin"), BYTES_LITERAL("fins")));
	assert_true(bytes_equal_fold(none, none));
}

static void find(void **state)
{
	struct bytes b = BYTES_LITERAL("one, two, two");

	assert_int_equal(bytes_find(b, BYTES_LITERAL("two")), 5);
	assert_int_equal(bytes_find(b, BYTES_LITERAL("one, two, two")), 0);
	assert_int_equal(bytes_find(b, BYTES_LITERAL("one, two, two!")), b.len);
	assert_int_equal(bytes_find(b, BYTES_LITERAL("three")), b.len);
	assert_int_equal(bytes_find(b, none), 0);
	assert_int_equal(bytes_find(none, none), 0);
	assert_int_equal(bytes_find(none, b), 0);
	assert_int_equal(bytes_find_byte(b, ','), 3);
	assert_int_equal(bytes_find_byte(b, '\0'), b.len);
	assert_int_equal(bytes_find_byte(none, ','), 0);
}

static void strip(void **state)
{
	assert_true(bytes_equal(bytes_strip(BYTES_LITERAL(" \t\n\v\f\ra b \r\n")),
				BYTES_LITERAL("a b")));
	assert_int_equal(bytes_strip(BYTES_LITERAL(" \r\n")).len, 0);
	assert_int_equal(bytes_strip(none).len, 0);
	assert_int_equal(bytes_strip(BYTES_LITERAL("\0a\x1f\xa0")).len, 4);
}

static void slices(void **state)
{
	struct bytes b = BYTES_LITERAL("abc");

	assert_true(bytes_equal(bytes_after(b, 1), BYTES_LITERAL("bc")));
	assert_int_equal(bytes_after(b, 3).len, 0);
	assert_int_equal(bytes_after(none, 0).len, 0);
	assert_true(bytes_equal(bytes_first(b, 2), BYTES_LITERAL("ab")));
	assert_int_equal(bytes_first(b, 9).len, 3);
	assert_true(bytes_equal(bytes_of_string("abc"), b));
}

static void orders(void **state)
{
	const uint8_t at[] = {0x81, 0x92, 0xa3, 0xb4, 0xc5, 0xd6, 0xe7, 0xf8};
	uint8_t out[8];

	assert_int_equal(bytes_get_le16(at), 0x9281);
	assert_int_equal(bytes_get_le32(at), 0xb4a39281);
	assert_true(bytes_get_le64(at) == 0xf8e7d6c5b4a39281);
	assert_int_equal(bytes_get_be32(at), 0x8192a3b4);
	bytes_put_le32(out, 0xb4a39281);
	assert_memory_equal(out, at, 4);
	bytes_put_be32(out, 0x8192a3b4);
	assert_memory_equal(out, at, 4);
	assert_int_equal(bytes_get_be16(at), 0x8192);
	assert_true(bytes_get_be64(at) == 0x8192a3b4c5d6e7f8);
	bytes_put_be16(out, 0x8192);
	assert_memory_equal(out, at, 2);
	bytes_put_be64(out, 0x8192a3b4c5d6e7f8);
	assert_memory_equal(out, at, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal), cmocka_unit_test(equal_fold), cmocka_unit_test(find),
		cmocka_unit_test(strip), cmocka_unit_test(slices),     cmocka_unit_test(orders),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
