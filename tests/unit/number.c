/* Numbers, durations and sizes: what is taken, what is refused and as what. */
#include "base/number.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

typedef int parse_function(struct bytes b, uint64_t *value);

static void good(parse_function *parse, const char *s, uint64_t expected)
{
	uint64_t v = 42;

	if (parse(bytes_of_string(s), &v) != 0 || v != expected)
		fail_msg("\"%s\" is %llu", s, (unsigned long long)v);
}

static void bad(parse_function *parse, const char *s, int expected)
{
	uint64_t v = 42;
	int err = parse(bytes_of_string(s), &v);

	if (err != expected || v != 42)
		fail_msg("\"%s\" gives %s, %llu", s, err_name(err), (unsigned long long)v);
}

static void u64(void **state)
{
	good(number_parse_u64, "0", 0);
	good(number_parse_u64, "007", 7);
	good(number_parse_u64, "18446744073709551615", UINT64_MAX);
	good(number_parse_u64, "00000000000000000000000000001", 1);
	bad(number_parse_u64, "18446744073709551616", ERR_RANGE);
	bad(number_parse_u64, "18446744073709551620", ERR_RANGE);
	bad(number_parse_u64, "99999999999999999999999", ERR_RANGE);
	bad(number_parse_u64, "99999999999999999999999x", ERR_SYNTAX);
	bad(number_parse_u64, "", ERR_SYNTAX);
	bad(number_parse_u64, "-1", ERR_SYNTAX);
	bad(number_parse_u64, "+1", ERR_SYNTAX);
	bad(number_parse_u64, " 1", ERR_SYNTAX);
	bad(number_parse_u64, "1\n", ERR_SYNTAX);
	bad(number_parse_u64, "0x10", ERR_SYNTAX);
	bad(number_parse_u64, "1/", ERR_SYNTAX);
	bad(number_parse_u64, "1:", ERR_SYNTAX);
}

static void check_i64(const char *s, int expected_err, int64_t expected)
{
	int64_t v = 42;

	assert_int_equal(number_parse_i64(bytes_of_string(s), &v), expected_err);
	assert_true(v == (expected_err ? 42 : expected));
}

static void i64(void **state)
{
	check_i64("0", 0, 0);
	check_i64("-0", 0, 0);
	check_i64("+7", 0, 7);
	check_i64("-7", 0, -7);
	check_i64("9223372036854775807", 0, INT64_MAX);
	check_i64("-9223372036854775808", 0, INT64_MIN);
	check_i64("9223372036854775808", ERR_RANGE, 0);
	check_i64("-9223372036854775809", ERR_RANGE, 0);
	check_i64("-18446744073709551616", ERR_RANGE, 0);
	check_i64("-", ERR_SYNTAX, 0);
	check_i64("+", ERR_SYNTAX, 0);
	check_i64("--1", ERR_SYNTAX, 0);
	check_i64("+-1", ERR_SYNTAX, 0);
	check_i64("", ERR_SYNTAX, 0);
}

static void durations(void **state)
{
	good(number_parse_duration, "500ms", 500);
	good(number_parse_duration, "2s", 2000);
	good(number_parse_duration, "2", 2000);
	good(number_parse_duration, "1m", 60000);
	good(number_parse_duration, "3h", 3 * 3600000);
	good(number_parse_duration, "1d", 86400000);
	good(number_parse_duration, "0.5s", 500);
	good(number_parse_duration, "0.25", 250);
	good(number_parse_duration, "1.5m", 90000);
	good(number_parse_duration, "0.29s", 290);
	good(number_parse_duration, "1.1d", 95040000);
	good(number_parse_duration, "0", 0);
	good(number_parse_duration, "0.000ms", 0);
	good(number_parse_duration, "0.1ms", 1);
	good(number_parse_duration, "0.0000000000000000001s", 1);
	good(number_parse_duration, "0.9999999999999999999d", 86400000);
	good(number_parse_duration, "36525d", 3155760000000);
	bad(number_parse_duration, "36525.00001d", ERR_RANGE);
	bad(number_parse_duration, "18446744073709551615d", ERR_RANGE);
	bad(number_parse_duration, "99999999999999999999", ERR_RANGE);
	bad(number_parse_duration, "", ERR_SYNTAX);
	bad(number_parse_duration, "s", ERR_SYNTAX);
	bad(number_parse_duration, "1.", ERR_SYNTAX);
	bad(number_parse_duration, "1.s", ERR_SYNTAX);
	bad(number_parse_duration, ".5s", ERR_SYNTAX);
	bad(number_parse_duration, "1.5.5s", ERR_SYNTAX);
	bad(number_parse_duration, "1 s", ERR_SYNTAX);
	bad(number_parse_duration, "1S", ERR_SYNTAX);
	bad(number_parse_duration, "1sm", ERR_SYNTAX);
	bad(number_parse_duration, "-1s", ERR_SYNTAX);
	bad(number_parse_duration, "1,5s", ERR_SYNTAX);
}

static void sizes(void **state)
{
	good(number_parse_size, "64", 64);
	good(number_parse_size, "64B", 64);
	good(number_parse_size, "4K", 4096);
	good(number_parse_size, "4k", 4096);
	good(number_parse_size, "1M", 1 << 20);
	good(number_parse_size, "1MB", 1 << 20);
	good(number_parse_size, "2GiB", 2ull << 30);
	good(number_parse_size, "1T", 1ull << 40);
	good(number_parse_size, "16777215T", 16777215ull << 40);
	bad(number_parse_size, "16777216T", ERR_RANGE);
	bad(number_parse_size, "18446744073709551616", ERR_RANGE);
	bad(number_parse_size, "", ERR_SYNTAX);
	bad(number_parse_size, "K", ERR_SYNTAX);
	bad(number_parse_size, "B", ERR_SYNTAX);
	bad(number_parse_size, "4Ki", ERR_SYNTAX);
	bad(number_parse_size, "4iB", ERR_SYNTAX);
	bad(number_parse_size, "4KBB", ERR_SYNTAX);
	bad(number_parse_size, "4BK", ERR_SYNTAX);
	bad(number_parse_size, "4Q", ERR_SYNTAX);
	bad(number_parse_size, "1.5M", ERR_SYNTAX);
	bad(number_parse_size, "4 K", ERR_SYNTAX);
}

static void check_digits(uint64_t v)
{
	char expected[32], buffer[21];
	int n = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)v);

	assert_int_equal(number_format_u64(v, buffer), n);
	assert_string_equal(buffer, expected);
}

static void digits(void **state)
{
	check_digits(0);
	check_digits(UINT64_MAX);
	for (uint64_t v = 1; v < UINT64_MAX / 10; v *= 10) {
		check_digits(v - 1);
		check_digits(v);
		check_digits(v * 7);
	}
}

static void check_people(uint64_t ns, const char *expected)
{
	char buffer[32];

	assert_string_equal(number_format_duration(ns, buffer, sizeof(buffer)), expected);
}

static void durations_for_people(void **state)
{
	check_people(0, "0 ns");
	check_people(999, "999 ns");
	check_people(1000, "1.00 µs");
	check_people(950000, "950 µs");
	check_people(999499, "999 µs");
	check_people(999500, "1.00 ms");
	check_people(12345678, "12.3 ms");
	check_people(9994999, "9.99 ms");
	check_people(9995000, "10.0 ms");
	check_people(99950000, "100 ms");
	check_people(2040000000, "2.04 s");
	check_people(59940000000, "59.9 s");
	check_people(59950000000, "1 min 00 s");
	check_people(125999999999, "2 min 05 s");
	check_people(3600000000000, "1 h 00 min");
	check_people(86399000000000, "23 h 59 min");
	check_people(86400000000000ull * 400, "400 d 00 h");
	check_people(UINT64_MAX, "213503 d 23 h");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(u64),    cmocka_unit_test(i64),
		cmocka_unit_test(digits), cmocka_unit_test(durations),
		cmocka_unit_test(sizes),  cmocka_unit_test(durations_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
