/* HTTP dates: the three forms, against the C library's own calendar, and what is no date. */
#include "proto/http1.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { DAY_S = 86400 };

#define NOW_S 1795219200ll /* 2026-11-21 */

static const char imf[] = "%a, %d %b %Y %H:%M:%S GMT";
static const char rfc850[] = "%A, %d-%b-%y %H:%M:%S GMT";
static const char asctime_form[] = "%a %b %e %H:%M:%S %Y";

static int parse(const char *text, int64_t *seconds)
{
	return http1_date_parse(bytes_of_string(text), NOW_S, seconds);
}

static void assert_parsed(const char *text, int64_t wanted)
{
	int64_t seconds = -1;

	assert_int_equal(parse(text, &seconds), 0);
	assert_int_equal(seconds, wanted);
}

static void test_the_example(void **state)
{
	assert_parsed("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
	assert_parsed("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
	assert_parsed("Sun Nov  6 08:49:37 1994", 784111777);
	assert_parsed("Thu, 01 Jan 1970 00:00:00 GMT", 0);
	assert_parsed("Wed, 31 Dec 1969 23:59:59 GMT", -1);
}

/* Years of four digits, each day with the clock at another time; eleven days apart, which meets
 * every day of every month in leap years and others. */
static void test_days(void **state)
{
	for (int64_t day = -720000; day < 2900000; day += 11) {
		time_t at = day * DAY_S + (day * 7919 % DAY_S + DAY_S) % DAY_S;
		struct tm tm;
		char text[64], ours[64];
		struct text t = TEXT_OVER(ours);

		gmtime_r(&at, &tm);
		if (tm.tm_year + 1900 < 1000 || tm.tm_year + 1900 > 9999)
			continue; /* years of four digits */
		strftime(text, sizeof(text), imf, &tm);
		assert_parsed(text, at);
		http1_put_date(&t, at);
		assert_string_equal(ours, text);
		strftime(text, sizeof(text), asctime_form, &tm);
		assert_parsed(text, at);
	}
}

/* From 50 years ahead the century before is meant. */
static void test_two_digits_of_the_year(void **state)
{
	for (int64_t day = -49 * 365; day < 50 * 365; day++) {
		time_t at = (NOW_S / DAY_S + day) * DAY_S;
		struct tm tm;
		char text[64];

		gmtime_r(&at, &tm);
		strftime(text, sizeof(text), rfc850, &tm);
		assert_parsed(text, at);
	}
	assert_parsed("Tuesday, 01-Jan-76 00:00:00 GMT", 3345062400ll);
	assert_parsed("Saturday, 01-Jan-77 00:00:00 GMT", 220924800);
	assert_parsed("Monday, 01-Jan-00 00:00:00 GMT", 946684800);
}

static void test_early_and_late(void **state)
{
	assert_parsed("Mon, 01 Jan 0001 00:00:00 GMT", -62135596800ll);
	assert_parsed("Sat, 01 Jan 0000 00:00:00 GMT", -62167219200ll);
	assert_parsed("Tue, 29 Feb 0000 00:00:00 GMT", -62162121600ll);
	assert_parsed("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799ll);
	assert_parsed("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);
	assert_parsed("Mon, 06 Nov 1994 08:49:37 GMT", 784111777); /* it was a Sunday */
}

static const char *const no_dates[] = {
	"",
	"0",
	"Sun",
	"Sun,",
	"Sun, ",
	"now",
	"Sun, 06 Nov 1994 08:49:37",
	"Sun, 06 Nov 1994 08:49:37 ",
	"Sun, 06 Nov 1994 08:49:37 GMT ",
	" Sun, 06 Nov 1994 08:49:37 GMT",
	"Sun, 06 Nov 1994 08:49:37 UTC",
	"Sun, 06 Nov 1994 08:49:37 +0000",
	"Sun, 06 Nov 1994 08:49:37 gmt",
	"sun, 06 Nov 1994 08:49:37 GMT",
	"Sun, 06 nov 1994 08:49:37 GMT",
	"Son, 06 Nov 1994 08:49:37 GMT",
	"Sun 06 Nov 1994 08:49:37 GMT",
	"Sun,06 Nov 1994 08:49:37 GMT",
	"Sun, 6 Nov 1994 08:49:37 GMT",
	"Sun, 06 Nov 94 08:49:37 GMT",
	"Sun, 06 Nov 19940 08:49:37 GMT",
	"Sun, 06 Nov 1994 8:49:37 GMT",
	"Sun, 06 Nov 1994 08:49 GMT",
	"Sun, 06 Nov 1994 08-49-37 GMT",
	"Sun, 06 Nov 1994 24:00:00 GMT",
	"Sun, 06 Nov 1994 08:60:00 GMT",
	"Sun, 06 Nov 1994 08:00:61 GMT",
	"Sun, 00 Nov 1994 08:49:37 GMT",
	"Sun, 31 Nov 1994 08:49:37 GMT",
	"Sun, 29 Feb 1994 08:49:37 GMT",
	"Thu, 29 Feb 1900 08:49:37 GMT",
	"Sun, 06 Nov 1994 08:49:+7 GMT",
	"Sun, 06-Nov-1994 08:49:37 GMT",
	"Sun, 06-Nov-94 08:49:37 GMT",
	"Sunday, 06 Nov 1994 08:49:37 GMT",
	"Sunday, 06-Nov-1994 08:49:37 GMT",
	"Sunday 06-Nov-94 08:49:37 GMT",
	"Sundays, 06-Nov-94 08:49:37 GMT",
	"Satday, 06-Nov-94 08:49:37 GMT",
	"Sun Nov 6 08:49:37 1994",
	"Sun Nov 06 08:49:37 1994 ",
	"Sun Nov  6 08:49:37 94",
	"Sun Nov  0 08:49:37 1994",
	"Sun  Nov 6 08:49:37 1994",
	"Sun Nov  6 08:49:37 1994 GMT",
};

static void test_no_dates(void **state)
{
	for (size_t i = 0; i < sizeof(no_dates) / sizeof(no_dates[0]); i++) {
		int64_t seconds = -7;

		if (parse(no_dates[i], &seconds) != ERR_SYNTAX)
			fail_msg("taken for a date: '%s'", no_dates[i]);
		assert_int_equal(seconds, -7);
	}
	assert_int_equal(parse("Sun Nov 06 08:49:37 1994", &(int64_t){0}), 0);
}

/* A date cut short is none, and nothing beyond it is read. */
static void test_cut_short(void **state)
{
	static const char *const dates[] = {"Sun, 06 Nov 1994 08:49:37 GMT",
					    "Wednesday, 09-Nov-94 08:49:37 GMT",
					    "Sun Nov  6 08:49:37 1994"};

	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		for (size_t len = 0; len < strlen(dates[i]); len++) {
			uint8_t *copy = malloc(len + !len);
			int64_t seconds;

			assert_non_null(copy);
			memcpy(copy, dates[i], len);
			assert_int_equal(http1_date_parse(bytes_of(copy, len), NOW_S, &seconds),
					 ERR_SYNTAX);
			free(copy);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_example),
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_two_digits_of_the_year),
		cmocka_unit_test(test_early_and_late),
		cmocka_unit_test(test_no_dates),
		cmocka_unit_test(test_cut_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
