/* Byte ranges (RFC 9110 14.1.2).
 *
 *   bytes=0-499         the first 500          bytes=-500      the last 500
 *   bytes=9500-         all from 9500          bytes=0-0,-1    the first and the last
 *
 * What is no such list is no range: the whole is the answer. So it is for more than
 * HTTP_RANGES_MOST, and for ranges that together are more than the whole, which nobody needs. */
#include "proto/http_server_parts.h"

#include "base/number.h"

/* Digits; what is above 2^64-1 stands for "beyond the end". */
static bool http_range_number(struct bytes b, uint64_t *value)
{
	int err = number_parse_u64(b, value);

	if (err == ERR_RANGE)
		*value = UINT64_MAX;
	return err == 0 || err == ERR_RANGE;
}

/* One range. False when it is none; `slice` of 0 bytes when it cannot be satisfied. */
static bool http_range(struct bytes b, uint64_t bytes, struct http_slice *slice)
{
	size_t dash = bytes_find_byte(b, '-');
	struct bytes last = bytes_after(b, dash < b.len ? dash + 1 : b.len);
	uint64_t from = 0, to = UINT64_MAX;

	*slice = (struct http_slice){0, 0};
	if (dash == b.len || (dash == 0 && last.len == 0))
		return false;
	if (dash == 0) {
		if (!http_range_number(last, &to))
			return false;
		slice->bytes = to < bytes ? to : bytes;
		slice->from = bytes - slice->bytes;
		return true;
	}
	if (!http_range_number(bytes_first(b, dash), &from) ||
	    (last.len && !http_range_number(last, &to)) || to < from)
		return false;
	if (from >= bytes)
		return true;
	slice->from = from;
	slice->bytes = (to < bytes - 1 ? to : bytes - 1) - from + 1;
	return true;
}

int http_ranges(struct bytes value, uint64_t bytes, struct http_slice slice[HTTP_RANGES_MOST])
{
	struct bytes list = value, one;
	uint64_t total = 0;
	int count = 0, asked = 0;

	if (!bytes_equal_fold(bytes_first(value, 6), BYTES_LITERAL("bytes=")))
		return 0;
	for (list = bytes_after(list, 6); list.len;) {
		size_t comma = bytes_find_byte(list, ',');

		one = bytes_strip(bytes_first(list, comma));
		list = bytes_after(list, comma < list.len ? comma + 1 : list.len);
		if (one.len == 0)
			continue;
		if (count == HTTP_RANGES_MOST || !http_range(one, bytes, &slice[count]))
			return 0;
		asked++;
		total += slice[count].bytes;
		count += slice[count].bytes > 0;
	}
	if (total > bytes && count > 1)
		return 0;
	return asked && !count ? -1 : count;
}
