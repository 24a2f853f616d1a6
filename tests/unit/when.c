/* base/when: moments as people write them. */
#include "base/err.h"
#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* 2026-11-22T03:00:00Z, where clocks are two hours ahead; and three from 2026-03-29T01:00:00Z to
 * 2026-10-25T01:00:00Z. */
static const struct moment now = {.wall_us = 1795316400000000, .utc_offset_s = 7200};

static int32_t here(int64_t wall_us)
{
	return wall_us >= INT64_C(1774746000000000) && wall_us < INT64_C(1792890000000000) ? 10800
											   : 7200;
}

static int64_t parsed(const char *text)
{
	int64_t us = -1;

	assert_int_equal(when_parse(bytes_of_string(text), &now, here, &us), 0);
	return us;
}

static void test_ago(void **state)
{
	assert_int_equal(parsed("10m"), now.wall_us - INT64_C(600000000));
	assert_int_equal(parsed("1d"), now.wall_us - INT64_C(86400000000));
	assert_int_equal(parsed("1.5s"), now.wall_us - INT64_C(1500000));
	assert_int_equal(parsed("0"), now.wall_us);
}

static void test_days(void **state)
{
	assert_int_equal(parsed("2026-11-22"), INT64_C(1795298400000000));
	assert_int_equal(parsed("1970-01-01"), INT64_C(-7200000000));
	assert_int_equal(parsed("2024-02-29T00:00:00Z"), INT64_C(1709164800000000));
	assert_int_equal(parsed("2000-03-01T00:00:00Z"), INT64_C(951868800000000));
}

static void test_clocks(void **state)
{
	assert_int_equal(parsed("2026-11-22T03:00:00Z"), now.wall_us);
	assert_int_equal(parsed("2026-11-22 05:00:00"), now.wall_us);
	assert_int_equal(parsed("2026-11-22T05:00"), now.wall_us);
	assert_int_equal(parsed("2026-11-22T04:30:00.25+01:30"), now.wall_us + 250000);
	assert_int_equal(parsed("2026-11-21T23:00:00.0000019-04:00"), now.wall_us + 1);
}

/* By the clocks of that day, whatever they show today. */
static void test_summer(void **state)
{
	assert_int_equal(parsed("2026-07-01 10:05"), parsed("2026-07-01T07:05:00Z"));
	assert_int_equal(parsed("2026-07-01"), parsed("2026-06-30T21:00:00Z"));
	assert_int_equal(parsed("2026-03-29 02:59"), parsed("2026-03-29T00:59:00Z"));
	assert_int_equal(parsed("2026-03-29 04:00"), parsed("2026-03-29T01:00:00Z"));
	assert_int_equal(parsed("2026-10-25 02:59"), parsed("2026-10-24T23:59:00Z"));
	assert_int_equal(parsed("2026-10-25 04:00"), parsed("2026-10-25T02:00:00Z"));
	assert_int_equal(parsed("2026-07-01 10:05+01:00"), parsed("2026-07-01T09:05:00Z"));
}

/* What moment_put_rfc3339 writes is read as what it was. */
static void test_back(void **state)
{
	for (int64_t us = 123456; us < INT64_C(4102444800000000); us += INT64_C(864000000007919)) {
		char line[64];
		struct text t = TEXT_OVER(line);

		moment_put_rfc3339(&t, us);
		assert_int_equal(parsed(line), us);
	}
}

static void test_nonsense(void **state)
{
	static const char *const bad[] = {
		"",
		"soon",
		"10x",
		"2026-11",
		"2026-11-2",
		"2026-11-22T",
		"-10m",
		"2026-11-22T03:00:00ZZ",
		"2026-11-22T3:00:00",
		"2026-11-22T03:00:00.",
		"2026-11-22T03:00:00+1",
		"2026-11-22x",
		"2026-13-01",
		"2026-02-29",
		"2026-11-00",
		"2026-11-22T24:00:00",
		"1969-12-31",
	};
	int64_t us;

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_not_equal(when_parse(bytes_of_string(bad[i]), &now, here, &us), 0);
	assert_int_equal(when_parse(BYTES_LITERAL("2026-02-29"), &now, here, &us), ERR_RANGE);
	assert_int_equal(when_parse(BYTES_LITERAL("soon"), &now, here, &us), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ago),      cmocka_unit_test(test_days),
		cmocka_unit_test(test_clocks),   cmocka_unit_test(test_back),
		cmocka_unit_test(test_nonsense), cmocka_unit_test(test_summer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
