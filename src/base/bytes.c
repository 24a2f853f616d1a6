/* Views of bytes: comparing, finding, and integers at fixed byte orders. A view of length 0 may
 * have a NULL pointer, which mem* functions may not see (C17 7.24.1): hence the guards. */
#include "base/bytes.h"

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

size_t bytes_find(struct bytes b, struct bytes needle)
{
	const uint8_t *at;

	if (needle.len == 0)
		return 0;
	if (needle.len > b.len)
		return b.len;
	at = memmem(b.data, b.len, needle.data, needle.len);
	return at ? (size_t)(at - b.data) : b.len;
}

size_t bytes_find_byte(struct bytes b, uint8_t byte)
{
	const uint8_t *at = b.len > 0 ? memchr(b.data, byte, b.len) : NULL;

	return at ? (size_t)(at - b.data) : b.len;
}

/* Not isspace(3), which asks the locale. */
static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct bytes bytes_strip(struct bytes b)
{
	while (b.len > 0 && is_space(b.data[0]))
		b = bytes_after(b, 1);
	while (b.len > 0 && is_space(b.data[b.len - 1]))
		b.len--;
	return b;
}

static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool bytes_equal_fold(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (fold(a.data[i]) != fold(b.data[i]))
			return false;
	}
	return true;
}
