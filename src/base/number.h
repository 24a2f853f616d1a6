/* Numbers as people and protocols write them. Everything but number_hex is decimal and whole: no
 * sign, no space, no leading or trailing byte is let through unless the function says so. */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include "base/bytes.h"

/* Decimal digits only, at least one. 0, or ERR_SYNTAX, or ERR_RANGE above UINT64_MAX. */
int number_parse_u64(struct bytes b, uint64_t *value);

/* An optional '-' or '+', then digits. 0, ERR_SYNTAX, or ERR_RANGE outside int64_t. */
int number_parse_i64(struct bytes b, int64_t *value);

/* `500ms 2s 1m 3h 1d`, or a bare number of seconds; decimals allowed (`0.5s`). Into milliseconds,
 * rounded up. 0, ERR_SYNTAX, or ERR_RANGE above 100 years. */
int number_parse_duration(struct bytes b, uint64_t *value_ms);

/* `64 4K 1M 2G 1T` (either case), powers of 1024, an optional final `B` or `iB`. 0, ERR_SYNTAX or
 * ERR_RANGE. */
int number_parse_size(struct bytes b, uint64_t *value_bytes);

/* What the hexadecimal digit `c` stands for, either case; -1 when it is none. */
static inline int number_hex(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits of `value` into `buffer` (at least 21 bytes), terminated; returns their count. */
size_t number_format_u64(uint64_t value, char *buffer);

/* `950 µs`, `12.3 ms`, `2.04 s`, `2 min 05 s`: a duration for people. `buffer` of at least 32
 * bytes; returns it. */
const char *number_format_duration(uint64_t value_ns, char *buffer, size_t cap);

#endif
