/* Time is an argument. Whoever owns the loop (or the test) reads the clocks once a turn and hands
 * the moment down; nothing below asks a clock. */
#ifndef BASE_MOMENT_H
#define BASE_MOMENT_H

#include "base/text.h"

struct moment {
	uint64_t boot_ns;     /* CLOCK_BOOTTIME: never steps, runs during suspend; all deadlines */
	int64_t wall_us;      /* CLOCK_REALTIME: µs since 1970-01-01 UTC; only for showing */
	int32_t utc_offset_s; /* local time minus UTC at wall_us, seconds east */
};

#define MOMENT_MS    1000000ull /* nanoseconds */
#define MOMENT_S     1000000000ull
#define MOMENT_NEVER UINT64_MAX

/* A calendar date and time; proleptic Gregorian, 1970-01-01 00:00:00 is wall second 0. */
struct moment_date {
	int64_t year;
	int month;   /* 1..12 */
	int day;     /* 1..31 */
	int weekday; /* 0 Sunday .. 6 */
	int hour, minute, second;
};

/* The date of `wall_s` seconds since 1970 (negative too). Pure: no time zone but UTC. */
struct moment_date moment_date_of(int64_t wall_s);

/* Reads the clocks. The UTC offset is looked up anew only when the wall minute changed since the
 * moment that `m` holds (zero it the first time). */
void moment_read(struct moment *m);

/* Local time minus UTC at that moment, seconds east. */
int32_t moment_offset_s(int64_t wall_us);

/* RFC 3339, UTC, microseconds: 2026-01-31T09:05:07.000123Z. */
void moment_put_rfc3339(struct text *t, int64_t wall_us);

#endif
