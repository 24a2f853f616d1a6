/* What the two sides of role and its hub share: the record on disk, names, fields of a line. */
#include "proto/role.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void assert_record(const char *text, uint64_t epoch, uint64_t lease_ms)
{
	struct role_record record = {epoch, lease_ms}, back = {1, 1};
	char buffer[ROLE_RECORD_BYTES];
	struct text t = TEXT_OVER(buffer);

	role_record_put(&t, &record);
	assert_false(t.cut);
	assert_string_equal(t.data, text);
	assert_int_equal(role_record_parse(text_bytes(&t), &back), 0);
	assert_int_equal(back.epoch, epoch);
	assert_int_equal(back.lease_ms, lease_ms);
}

static void record_goes_there_and_back(void **state)
{
	assert_record("epoch=0 lease=none\n", 0, 0);
	assert_record("epoch=7 lease=3000\n", 7, 3000);
	assert_record("epoch=9223372036854775807 lease=3600000\n", ROLE_EPOCH_MOST,
		      ROLE_LEASE_MOST_MS);
}

static void nothing_else_is_a_record(void **state)
{
	static const char *const wrong[] = {
		"",
		"\n",
		"epoch=7",
		"epoch=7 lease=none",
		"epoch=7 lease=none\n\n",
		"epoch=7 lease=none \n",
		"epoch=7  lease=none\n",
		" epoch=7 lease=none\n",
		"epoch=07 lease=none\n",
		"epoch=-7 lease=none\n",
		"epoch= lease=none\n",
		"epoch=9223372036854775808 lease=none\n",
		"epoch=7 lease=0\n",
		"epoch=7 lease=3600001\n",
		"epoch=7 lease=held\n",
		"epoch=7 lease=3000 x=y\n",
		"epoch=7 lease=none\r\n",
		"lease=none epoch=7\n",
	};
	struct role_record record;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		assert_int_equal(role_record_parse(bytes_of_string(wrong[i]), &record), ERR_SYNTAX);
}

static void torn_record_is_none(void **state)
{
	struct bytes whole = BYTES_LITERAL("epoch=1234 lease=3000\n");
	struct role_record record;

	for (size_t len = 0; len < whole.len; len++)
		assert_int_equal(role_record_parse(bytes_first(whole, len), &record), ERR_SYNTAX);
}

static bool valid(const char *name)
{
	return role_name_valid(bytes_of_string(name));
}

static void names_are_printable_and_whole(void **state)
{
	assert_true(valid("a"));
	assert_true(valid("mercure-1.example"));
	assert_true(valid("é¡"));
	assert_true(valid("0123456789012345678901234567890123456789012345678901234567890123"));
	assert_false(valid("01234567890123456789012345678901234567890123456789012345678901234"));
	assert_false(valid(""));
	assert_false(valid("a b"));
	assert_false(valid("a\tb"));
	assert_false(valid("a\x7f"));
	assert_false(valid("a\xc2\x9b"));
	assert_false(valid("a\xc2\xa0"));
	assert_false(valid("a\xc3"));
	assert_false(role_name_valid(bytes_of("a\0b", 3)));
}

static void fields_are_taken_one_by_one(void **state)
{
	struct bytes rest = BYTES_LITERAL("name=a=b priority=7 x="), value;
	uint64_t n = 0;

	assert_false(role_take_field(&rest, "nam", &value));
	assert_false(role_take_number(&rest, "name", 9, &n));
	assert_true(role_take_field(&rest, "name", &value));
	assert_true(bytes_equal(value, BYTES_LITERAL("a=b")));
	assert_false(role_take_number(&rest, "priority", 6, &n));
	assert_true(role_take_number(&rest, "priority", 7, &n));
	assert_int_equal(n, 7);
	assert_false(role_take_field(&rest, "x", &value));
	assert_int_equal(rest.len, 2);
	rest = BYTES_LITERAL("x=1 ");
	assert_false(role_take_field(&rest, "x", &value));
	rest = BYTES_LITERAL("x=  y");
	assert_false(role_take_field(&rest, "x", &value));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_goes_there_and_back),
		cmocka_unit_test(nothing_else_is_a_record),
		cmocka_unit_test(torn_record_is_none),
		cmocka_unit_test(names_are_printable_and_whole),
		cmocka_unit_test(fields_are_taken_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
