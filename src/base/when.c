/* Moments as people write them (RFC 3339, and shorter). Years 1970 to 9999. */
#include "base/when.h"

#include "base/err.h"
#include "base/number.h"

#define WHEN_S  INT64_C(1000000)
#define WHEN_MS INT64_C(1000)

/* Takes `digits` digits and what has to stand behind them ('\0': nothing). */
static bool when_take(struct bytes *b, unsigned digits, char behind, int *value)
{
	*value = 0;
	if (b->len < digits + (behind != '\0'))
		return false;
	for (unsigned i = 0; i < digits; i++) {
		if (b->data[i] < '0' || b->data[i] > '9')
			return false;
		*value = *value * 10 + (b->data[i] - '0');
	}
	if (behind && b->data[digits] != (uint8_t)behind)
		return false;
	*b = bytes_after(*b, digits + (behind != '\0'));
	return true;
}

/* Days from 1970-01-01 to the first of a month, by the years before it. */
static int64_t when_days(int year, int month, int day)
{
	static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	int64_t years = year - 1;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	int64_t days = years * 365 + years / 4 - years / 100 + years / 400;

	return days - 719162 + before[month - 1] + (leap && month > 2) + day - 1;
}

/* YYYY-MM-DD. */
static int when_take_day(struct bytes *b, int64_t *days)
{
	struct moment_date back;
	int year, month, day;

	if (!when_take(b, 4, '-', &year) || !when_take(b, 2, '-', &month) ||
	    !when_take(b, 2, '\0', &day))
		return ERR_SYNTAX;
	if (year < 1970 || month < 1 || month > 12 || day < 1)
		return ERR_RANGE;
	*days = when_days(year, month, day);
	back = moment_date_of(*days * 86400);
	return back.day == day && back.month == month ? 0 : ERR_RANGE;
}

/* `.123`, of any length; what is below a microsecond is dropped. */
static bool when_take_fraction(struct bytes *b, int64_t *us)
{
	int64_t unit = WHEN_S / 10;

	*us = 0;
	if (!b->len || b->data[0] != '.')
		return true;
	*b = bytes_after(*b, 1);
	if (!b->len || b->data[0] < '0' || b->data[0] > '9')
		return false;
	while (b->len && b->data[0] >= '0' && b->data[0] <= '9') {
		*us += (b->data[0] - '0') * unit;
		unit /= 10;
		*b = bytes_after(*b, 1);
	}
	return true;
}

/* `Z`, `+01:00`, or nothing, which is `here`. */
static bool when_take_zone(struct bytes *b, bool *here, int64_t *offset_s)
{
	int hours, minutes;
	char sign;

	if (!b->len)
		return true;
	sign = (char)b->data[0];
	*b = bytes_after(*b, 1);
	*here = false;
	*offset_s = 0;
	if (sign == 'Z' || sign == 'z')
		return true;
	if ((sign != '+' && sign != '-') || !when_take(b, 2, ':', &hours) ||
	    !when_take(b, 2, '\0', &minutes) || hours > 23 || minutes > 59)
		return false;
	*offset_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
	return true;
}

/* hh:mm:ss[.fraction][zone], or hh:mm. */
static int when_take_clock(struct bytes *b, int64_t *us, bool *here, int64_t *offset_s)
{
	int hour, minute, second = 0;
	int64_t fraction = 0;

	if (!when_take(b, 2, ':', &hour) || !when_take(b, 2, '\0', &minute))
		return ERR_SYNTAX;
	if (b->len && b->data[0] == ':') {
		*b = bytes_after(*b, 1);
		if (!when_take(b, 2, '\0', &second) || !when_take_fraction(b, &fraction))
			return ERR_SYNTAX;
	}
	if (!when_take_zone(b, here, offset_s) || b->len)
		return ERR_SYNTAX;
	if (hour > 23 || minute > 59 || second > 60)
		return ERR_RANGE;
	*us = ((hour * 60 + minute) * 60 + second) * WHEN_S + fraction;
	return 0;
}

/* What clocks here show as `shown_us`. Of an hour that comes twice in autumn one is meant; of one
 * that is left out in spring, the next. */
static int64_t when_here(int64_t shown_us, int32_t (*offset_s)(int64_t wall_us))
{
	int64_t near_us = shown_us - offset_s(shown_us) * WHEN_S;

	return shown_us - offset_s(near_us) * WHEN_S;
}

int when_parse(struct bytes b, const struct moment *now, int32_t (*offset_s)(int64_t wall_us),
	       int64_t *wall_us)
{
	int64_t days = 0, us = 0, zone_s = 0;
	bool here = true;
	uint64_t ago_ms;
	int err;

	if (number_parse_duration(b, &ago_ms) == 0) {
		*wall_us = now->wall_us - (int64_t)ago_ms * WHEN_MS;
		return 0;
	}
	err = when_take_day(&b, &days);
	if (!err && b.len) {
		if (b.data[0] != 'T' && b.data[0] != 't' && b.data[0] != ' ')
			return ERR_SYNTAX;
		b = bytes_after(b, 1);
		err = when_take_clock(&b, &us, &here, &zone_s);
	}
	us += days * 86400 * WHEN_S;
	if (!err)
		*wall_us = here ? when_here(us, offset_s) : us - zone_s * WHEN_S;
	return err;
}
