/* Numbers read and written. Integer arithmetic only: no locale, no rounding that a float brings. */
#include "base/number.h"
#include "base/err.h"

#include <stdio.h>

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* How many bytes at the front of `b` are decimal digits. */
static size_t digits(struct bytes b)
{
	size_t n = 0;

	while (n < b.len && is_digit(b.data[n]))
		n++;
	return n;
}

int number_parse_u64(struct bytes b, uint64_t *value)
{
	uint64_t v = 0;

	if (b.len == 0 || digits(b) < b.len)
		return ERR_SYNTAX;
	for (size_t i = 0; i < b.len; i++) {
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(b.data[i] - '0'), &v))
			return ERR_RANGE;
	}
	*value = v;
	return 0;
}

int number_parse_i64(struct bytes b, int64_t *value)
{
	bool negative = b.len > 0 && b.data[0] == '-';
	uint64_t most = (uint64_t)INT64_MAX + negative;
	uint64_t v;
	int err;

	if (b.len > 0 && (b.data[0] == '-' || b.data[0] == '+'))
		b = bytes_after(b, 1);
	err = number_parse_u64(b, &v);
	if (err < 0)
		return err;
	if (v > most)
		return ERR_RANGE;
	*value = negative ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

/* Milliseconds in a unit of time; 0 for no unit of ours. None is seconds. */
static uint64_t unit_ms(struct bytes name)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = {{"", 1000},   {"ms", 1},      {"s", 1000},
		     {"m", 60000}, {"h", 3600000}, {"d", 86400000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (bytes_equal(bytes_of_string(units[i].name), name))
			return units[i].ms;
	}
	return 0;
}

/* Ten decimals are below a millisecond of the longest unit, a day, and their product fits. */
enum { DECIMALS = 10 };

/* `decimals` (digits after the point) of a unit of `ms`, rounded up: what somebody wrote as more
 * than nothing must not become 0, which often means "never". */
static uint64_t part_of_unit(struct bytes decimals, uint64_t ms)
{
	uint64_t part = 0, whole = 1;
	bool more = false;

	for (size_t i = 0; i < decimals.len; i++) {
		if (i < DECIMALS) {
			part = part * 10 + (uint64_t)(decimals.data[i] - '0');
			whole *= 10;
		} else if (decimals.data[i] != '0') {
			more = true;
		}
	}
	return ((part + more) * ms + whole - 1) / whole;
}

#define LONGEST_MS (100ull * 36525 * 864000) /* 100 years of 365.25 days */

int number_parse_duration(struct bytes b, uint64_t *value_ms)
{
	struct bytes whole = bytes_first(b, digits(b));
	struct bytes rest = bytes_after(b, whole.len);
	struct bytes decimals = {NULL, 0};
	uint64_t count, unit, total;
	int err;

	if (rest.len > 0 && rest.data[0] == '.') {
		rest = bytes_after(rest, 1);
		decimals = bytes_first(rest, digits(rest));
		rest = bytes_after(rest, decimals.len);
		if (decimals.len == 0)
			return ERR_SYNTAX;
	}
	unit = unit_ms(rest);
	if (unit == 0)
		return ERR_SYNTAX;
	err = number_parse_u64(whole, &count);
	if (err < 0)
		return err;
	if (__builtin_mul_overflow(count, unit, &total) ||
	    __builtin_add_overflow(total, part_of_unit(decimals, unit), &total) ||
	    total > LONGEST_MS)
		return ERR_RANGE;
	*value_ms = total;
	return 0;
}

/* The power of two that a size's letter means; -1 for no letter of ours. */
static int size_shift(uint8_t letter)
{
	switch (letter | 0x20) {
	case 'k':
		return 10;
	case 'm':
		return 20;
	case 'g':
		return 30;
	case 't':
		return 40;
	default:
		return -1;
	}
}

int number_parse_size(struct bytes b, uint64_t *value_bytes)
{
	struct bytes whole = bytes_first(b, digits(b));
	struct bytes rest = bytes_after(b, whole.len);
	int shift = rest.len > 0 ? size_shift(rest.data[0]) : 0;
	uint64_t count;
	int err;

	if (rest.len > 0 && shift > 0) {
		rest = bytes_after(rest, 1);
		if (rest.len == 2 && rest.data[0] == 'i')
			rest = bytes_after(rest, 1);
	}
	if (rest.len > 1 || (rest.len == 1 && rest.data[0] != 'B'))
		return ERR_SYNTAX;
	if (shift < 0)
		shift = 0;
	err = number_parse_u64(whole, &count);
	if (err < 0)
		return err;
	if (count > UINT64_MAX >> shift)
		return ERR_RANGE;
	*value_bytes = count << shift;
	return 0;
}

size_t number_format_u64(uint64_t value, char *buffer)
{
	char reversed[20];
	size_t n = 0;

	do {
		reversed[n++] = (char)('0' + value % 10);
		value /= 10;
	} while (value > 0);
	for (size_t i = 0; i < n; i++)
		buffer[i] = reversed[n - 1 - i];
	buffer[n] = '\0';
	return n;
}

/* Two units, the smaller one whole: `2 min 05 s`. */
static void format_long(uint64_t s, char *buffer, size_t cap)
{
	unsigned long long v = s;

	if (s < 3600)
		snprintf(buffer, cap, "%llu min %02llu s", v / 60, v % 60);
	else if (s < 86400)
		snprintf(buffer, cap, "%llu h %02llu min", v / 3600, v / 60 % 60);
	else
		snprintf(buffer, cap, "%llu d %02llu h", v / 86400, v / 3600 % 24);
}

/* To three digits, halves up. */
static uint64_t round_to_three_digits(uint64_t v)
{
	uint64_t quantum = 1;

	while (v / quantum >= 1000)
		quantum *= 10;
	return (v + quantum / 2) / quantum * quantum;
}

const char *number_format_duration(uint64_t value_ns, char *buffer, size_t cap)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {{"s", 1000000000}, {"ms", 1000000}, {"µs", 1000}, {"ns", 1}};
	uint64_t minute_ns = 60 * units[0].ns;
	uint64_t ns = value_ns < minute_ns ? round_to_three_digits(value_ns) : value_ns;
	size_t u = 0;
	unsigned long long whole, hundredths;

	if (ns >= minute_ns) {
		format_long(ns / units[0].ns, buffer, cap);
		return buffer;
	}
	while (units[u].ns > 1 && ns < units[u].ns)
		u++;
	whole = ns / units[u].ns;
	hundredths = ns % units[u].ns * 100 / units[u].ns;
	if (whole >= 100 || units[u].ns == 1)
		snprintf(buffer, cap, "%llu %s", whole, units[u].name);
	else if (whole >= 10)
		snprintf(buffer, cap, "%llu.%llu %s", whole, hundredths / 10, units[u].name);
	else
		snprintf(buffer, cap, "%llu.%02llu %s", whole, hundredths, units[u].name);
	return buffer;
}
