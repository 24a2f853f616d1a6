/* Clocks read once a turn, and dates by integer arithmetic: gmtime(3) without its int year and its
 * locale's friends. RFC 3339. */
#include "base/moment.h"

#include <time.h>

/* Rounds towards the past, where C's division rounds towards zero. */
static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static int floor_mod(int64_t a, int b)
{
	int rest = (int)(a % b);

	return rest < 0 ? rest + b : rest;
}

static int64_t at_most(int64_t v, int64_t most)
{
	return v < most ? v : most;
}

enum {
	DAY_S = 86400,
	DAYS_4 = 4 * 365 + 1,
	DAYS_100 = 25 * DAYS_4 - 1,
	DAYS_400 = 4 * DAYS_100 + 1,
	FROM_1970_TO_MARCH_2000 = 11017, /* days */
};

/* Years here begin on 1 March, so that a leap day is the last day of whatever ends with it: of its
 * year, of four years, of 400. That is why the last century, and the last year of four, may have
 * one day more than the division grants. */
static void set_date(struct moment_date *date, int64_t day_of_1970)
{
	static const uint8_t month_days[] = {31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 31, 29};
	int64_t day = day_of_1970 - FROM_1970_TO_MARCH_2000;
	int64_t cycle = floor_div(day, DAYS_400);
	int64_t century, fours, year;
	int month = 0;

	day -= cycle * DAYS_400;
	century = at_most(day / DAYS_100, 3);
	day -= century * DAYS_100;
	fours = day / DAYS_4;
	day -= fours * DAYS_4;
	year = at_most(day / 365, 3);
	day -= year * 365;
	while (day >= month_days[month])
		day -= month_days[month++];

	date->year = 2000 + 400 * cycle + 100 * century + 4 * fours + year + (month >= 10);
	date->month = (month + 2) % 12 + 1;
	date->day = (int)day + 1;
}

struct moment_date moment_date_of(int64_t wall_s)
{
	int64_t day = floor_div(wall_s, DAY_S);
	int second = floor_mod(wall_s, DAY_S);
	struct moment_date date = {
		.weekday = floor_mod(day + 4, 7), /* 1970 began on a Thursday */
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
	};

	set_date(&date, day);
	return date;
}

void moment_read(struct moment *m)
{
	struct timespec boot, wall;
	int64_t minute_us = 60000000, before_us = m->wall_us;
	struct tm local;

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &wall);
	m->boot_ns = (uint64_t)boot.tv_sec * MOMENT_S + (uint64_t)boot.tv_nsec;
	m->wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
	if (floor_div(m->wall_us, minute_us) != floor_div(before_us, minute_us) &&
	    localtime_r(&wall.tv_sec, &local))
		m->utc_offset_s = (int32_t)local.tm_gmtoff;
}

int32_t moment_offset_s(int64_t wall_us)
{
	time_t s = (time_t)floor_div(wall_us, 1000000);
	struct tm local;

	return localtime_r(&s, &local) ? (int32_t)local.tm_gmtoff : 0;
}

/* `count` digits and what follows them. */
static char *put_digits(char *to, unsigned count, unsigned value, char after)
{
	for (unsigned i = count; i-- > 0; value /= 10)
		to[i] = (char)('0' + value % 10);
	to[count] = after;
	return to + count + 1;
}

/* By hand, since every line of events has one: printf(3) was half of the line's time. */
void moment_put_rfc3339(struct text *t, int64_t wall_us)
{
	struct moment_date d = moment_date_of(floor_div(wall_us, 1000000));
	char digits[sizeof "1970-01-01T00:00:00.000000Z"], *at = digits;

	if (d.year < 0 || d.year > 9999) {
		text_printf(t, "%04lld", (long long)d.year);
		*at++ = '-';
	} else {
		at = put_digits(at, 4, (unsigned)d.year, '-');
	}
	at = put_digits(at, 2, (unsigned)d.month, '-');
	at = put_digits(at, 2, (unsigned)d.day, 'T');
	at = put_digits(at, 2, (unsigned)d.hour, ':');
	at = put_digits(at, 2, (unsigned)d.minute, ':');
	at = put_digits(at, 2, (unsigned)d.second, '.');
	at = put_digits(at, 6, (unsigned)floor_mod(wall_us, 1000000), 'Z');
	text_put(t, bytes_of(digits, (size_t)(at - digits)));
}
