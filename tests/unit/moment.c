/* Dates against gmtime_r(3), RFC 3339, and the clocks. */
#include "base/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* xorshift64* (Vigna): the same numbers in every run. */
static uint64_t seed = 0x9e3779b97f4a7c15;

static uint64_t draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}

static void agrees_with_gmtime(int64_t wall_s)
{
	struct moment_date d = moment_date_of(wall_s);
	time_t t = wall_s;
	struct tm tm;

	assert_non_null(gmtime_r(&t, &tm));
	if (d.year != tm.tm_year + 1900ll || d.month != tm.tm_mon + 1 || d.day != tm.tm_mday ||
	    d.weekday != tm.tm_wday || d.hour != tm.tm_hour || d.minute != tm.tm_min ||
	    d.second != tm.tm_sec)
		fail_msg("%lld differs from gmtime", (long long)wall_s);
}

static void dates_of_random_seconds(void **state)
{
	for (int i = 0; i < 200000; i++) {
		/* gmtime_r has an int for the year: 2^55 seconds still fit, any magnitude below. */
		int64_t s = (int64_t)draw() >> (9 + draw() % 50);

		agrees_with_gmtime(s);
	}
}

static void dates_at_every_edge_of_day(void **state)
{
	for (int64_t day = -800 * 366; day < 800 * 366; day++) {
		agrees_with_gmtime(day * 86400 - 1);
		agrees_with_gmtime(day * 86400);
	}
	agrees_with_gmtime(INT32_MAX);
	agrees_with_gmtime(INT32_MAX + 1ll);
	agrees_with_gmtime(INT32_MIN);
	agrees_with_gmtime(INT32_MIN - 1ll);
	agrees_with_gmtime(UINT32_MAX + 1ll);
}

/* 400 years are a whole number of weeks, so far dates repeat near ones. */
static void dates_beyond_gmtime(void **state)
{
	const int64_t cycle_s = 146097ll * 86400;
	const int64_t far[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 86400};

	for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++) {
		int64_t cycles = far[i] / cycle_s;
		struct moment_date near = moment_date_of(far[i] - cycles * cycle_s);
		struct moment_date d = moment_date_of(far[i]);

		assert_true(d.year - near.year == 400 * cycles);
		assert_int_equal(d.month, near.month);
		assert_int_equal(d.day, near.day);
		assert_int_equal(d.weekday, near.weekday);
		assert_int_equal(d.second, near.second);
	}
}

static void check_rfc3339(int64_t wall_us, const char *expected)
{
	char buffer[40];
	struct text t = TEXT_OVER(buffer);

	moment_put_rfc3339(&t, wall_us);
	assert_string_equal(buffer, expected);
}

static void rfc3339(void **state)
{
	check_rfc3339(0, "1970-01-01T00:00:00.000000Z");
	check_rfc3339(-1, "1969-12-31T23:59:59.999999Z");
	check_rfc3339(1769850307000123, "2026-01-31T09:05:07.000123Z");
	check_rfc3339(951868799999999, "2000-02-29T23:59:59.999999Z");
	check_rfc3339(-62167219200000000, "0000-01-01T00:00:00.000000Z");
	check_rfc3339(253402300799000000, "9999-12-31T23:59:59.000000Z");
	check_rfc3339(253402300800000000, "10000-01-01T00:00:00.000000Z");
	check_rfc3339(-62167219200000001, "-001-12-31T23:59:59.999999Z");
	assert_int_equal(MOMENT_S, 1000 * MOMENT_MS);
}

static void set_zone(const char *zone)
{
	setenv("TZ", zone, 1);
	tzset();
}

static void clocks(void **state)
{
	struct moment m = {0}, before;

	set_zone("PRISE-05:30"); /* POSIX counts west of Greenwich */
	moment_read(&m);
	assert_int_equal(m.utc_offset_s, 19800);
	assert_true(llabs(m.wall_us / 1000000 - (int64_t)time(NULL)) <= 1);
	assert_true(m.boot_ns > 0);
	before = m;
	moment_read(&m);
	assert_true(m.boot_ns >= before.boot_ns);
}

static void offset_once_a_minute(void **state)
{
	struct moment m = {0}, same;

	set_zone("PRISE-01:00");
	moment_read(&m);
	set_zone("PRISE+02:00");
	do { /* twice at most: until both readings fall into one minute */
		same = m;
		moment_read(&m);
	} while (same.wall_us / 60000000 != m.wall_us / 60000000);
	assert_int_equal(m.utc_offset_s, same.utc_offset_s);
	m.wall_us -= 60000000;
	moment_read(&m);
	assert_int_equal(m.utc_offset_s, -7200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_of_random_seconds),
		cmocka_unit_test(dates_at_every_edge_of_day),
		cmocka_unit_test(dates_beyond_gmtime),
		cmocka_unit_test(rfc3339),
		cmocka_unit_test(clocks),
		cmocka_unit_test(offset_once_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
