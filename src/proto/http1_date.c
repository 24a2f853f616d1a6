/* HTTP dates, RFC 9110 5.6.7. All are UTC; names are English and their case counts.
 *
 *   Sun, 06 Nov 1994 08:49:37 GMT        IMF-fixdate, the only one to write
 *   Sunday, 06-Nov-94 08:49:37 GMT       RFC 850, with two digits of the year
 *   Sun Nov  6 08:49:37 1994             asctime()
 *
 * A weekday must be one, but need not be that of the date. A second of 60 is the next minute's
 * first. */
#include "proto/http1_parts.h"

#include "base/err.h"
#include "base/moment.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char weekdays[] = "SunMonTueWedThuFriSat";
static const char *const weekday_ends[] = {"", "", "s", "nes", "rs", "", "ur"};

enum { CENTURY = 100, YEARS_AHEAD = 50, DAY_S = 86400 };

/* What is left of the text; `bad` once it was not what was looked for. */
struct http1_scan {
	struct bytes rest;
	bool bad;
};

static void scan_text(struct http1_scan *s, struct bytes wanted)
{
	s->bad |= !bytes_equal(bytes_first(s->rest, wanted.len), wanted);
	s->rest = bytes_after(s->rest, bytes_first(s->rest, wanted.len).len);
}

static int scan_digits(struct http1_scan *s, size_t count)
{
	struct bytes b = bytes_first(s->rest, count);
	int value = 0;

	s->bad |= b.len < count || !http1_all(b, HTTP1_DIGIT);
	for (size_t i = 0; i < b.len && !s->bad; i++)
		value = value * 10 + (b.data[i] - '0');
	s->rest = bytes_after(s->rest, b.len);
	return value;
}

/* Which of the names of three letters comes: from 0. */
static int scan_name(struct http1_scan *s, const char *names)
{
	struct bytes b = bytes_first(s->rest, 3);

	s->rest = bytes_after(s->rest, b.len);
	for (int i = 0; names[3 * i] != '\0'; i++) {
		if (b.len == 3 && memcmp(b.data, names + 3 * i, 3) == 0)
			return i;
	}
	s->bad = true;
	return 0;
}

static void scan_clock(struct http1_scan *s, struct moment_date *d)
{
	d->hour = scan_digits(s, 2);
	scan_text(s, BYTES_LITERAL(":"));
	d->minute = scan_digits(s, 2);
	scan_text(s, BYTES_LITERAL(":"));
	d->second = scan_digits(s, 2);
}

/* `06 Nov 1994 08:49:37 GMT`, or `06-Nov-94 ...` */
static void scan_day_first(struct http1_scan *s, struct moment_date *d, bool short_year)
{
	struct bytes between = short_year ? BYTES_LITERAL("-") : BYTES_LITERAL(" ");

	d->day = scan_digits(s, 2);
	scan_text(s, between);
	d->month = scan_name(s, months) + 1;
	scan_text(s, between);
	d->year = scan_digits(s, short_year ? 2 : 4);
	scan_text(s, BYTES_LITERAL(" "));
	scan_clock(s, d);
	scan_text(s, BYTES_LITERAL(" GMT"));
}

/* `Nov  6 08:49:37 1994` */
static void scan_asctime(struct http1_scan *s, struct moment_date *d)
{
	d->month = scan_name(s, months) + 1;
	scan_text(s, BYTES_LITERAL(" "));
	if (s->rest.len > 0 && s->rest.data[0] == ' ') {
		scan_text(s, BYTES_LITERAL(" "));
		d->day = scan_digits(s, 1);
	} else {
		d->day = scan_digits(s, 2);
	}
	scan_text(s, BYTES_LITERAL(" "));
	scan_clock(s, d);
	scan_text(s, BYTES_LITERAL(" "));
	d->year = scan_digits(s, 4);
}

/* Of all years that end so, the latest that is not more than 50 years ahead. */
static int64_t http1_full_year(int64_t two_digits, int64_t now_s)
{
	int64_t most = moment_date_of(now_s).year + YEARS_AHEAD;
	int64_t year = most - most % CENTURY + two_digits;

	return year > most ? year - CENTURY : year;
}

static bool is_leap(int64_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool date_is_valid(const struct moment_date *d)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int most = days[d->month - 1] + (d->month == 2 && is_leap(d->year));

	return d->day >= 1 && d->day <= most && d->hour < 24 && d->minute < 60 && d->second <= 60;
}

/* Days from 1970-01-01; years are counted from March, so that a leap day is the last, and from 400
 * before year 0, so that none is negative. */
static int64_t date_days(const struct moment_date *d)
{
	int64_t year = d->year + 400 - (d->month <= 2), era = year / 400 - 1;
	int64_t of_era = year % 400;
	int64_t of_year = (153 * ((d->month + 9) % 12) + 2) / 5 + d->day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

int http1_date_parse(struct bytes b, int64_t now_s, int64_t *seconds)
{
	struct http1_scan s = {.rest = b};
	struct moment_date d = {0};
	int weekday = scan_name(&s, weekdays);

	if (s.rest.len > 0 && s.rest.data[0] == ',') {
		scan_text(&s, BYTES_LITERAL(", "));
		scan_day_first(&s, &d, false);
	} else if (s.rest.len > 0 && s.rest.data[0] == ' ') {
		scan_text(&s, BYTES_LITERAL(" "));
		scan_asctime(&s, &d);
	} else {
		scan_text(&s, bytes_of_string(weekday_ends[weekday]));
		scan_text(&s, BYTES_LITERAL("day, "));
		scan_day_first(&s, &d, true);
		d.year = http1_full_year(d.year, now_s);
	}
	if (s.bad || s.rest.len > 0 || !date_is_valid(&d))
		return ERR_SYNTAX;
	*seconds = date_days(&d) * DAY_S + d.hour * 3600 + d.minute * 60 + d.second;
	return 0;
}

void http1_put_date(struct text *t, int64_t seconds)
{
	struct moment_date d = moment_date_of(seconds);

	text_printf(t, "%.3s, %02d %.3s %04lld %02d:%02d:%02d GMT", weekdays + 3 * d.weekday, d.day,
		    months + 3 * (d.month - 1), (long long)d.year, d.hour, d.minute, d.second);
}
