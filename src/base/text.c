/* Text in a caller's buffer, UTF-8 as RFC 3629 defines it (no overlong forms, no surrogates,
 * nothing above U+10FFFF), text made safe for terminals, and Levenshtein's distance.
 *
 * A text that was cut stays as it is: what it holds is always the beginning of what was put. */
#include "base/text.h"

#include <limits.h>
#include <stdio.h>

struct text text_over(char *buffer, size_t cap)
{
	buffer[0] = '\0';
	return (struct text){.data = buffer, .cap = cap};
}

static size_t room(const struct text *t)
{
	return t->cut ? 0 : t->cap - 1 - t->len;
}

static void append(struct text *t, struct bytes b)
{
	if (b.len > 0)
		memcpy(t->data + t->len, b.data, b.len);
	t->len += b.len;
	t->data[t->len] = '\0';
}

/* The whole of `b` or nothing: for escapes and characters, which make no sense in halves. */
static void put_whole(struct text *t, struct bytes b)
{
	if (b.len <= room(t))
		append(t, b);
	else
		t->cut = true;
}

void text_put(struct text *t, struct bytes b)
{
	struct bytes fits = bytes_first(b, room(t));

	if (fits.len < b.len) {
		fits.len -= text_utf8_incomplete_tail(fits);
		append(t, fits);
		t->cut = true;
	} else {
		append(t, b);
	}
}

void text_put_string(struct text *t, const char *s)
{
	text_put(t, bytes_of_string(s));
}

void text_put_byte(struct text *t, char c)
{
	put_whole(t, bytes_of(&c, 1));
}

void text_printf(struct text *t, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	text_vprintf(t, format, arguments);
	va_end(arguments);
}

void text_vprintf(struct text *t, const char *format, va_list arguments)
{
	size_t most = room(t);
	char *end = t->data + t->len;
	int wanted;

	if (t->cut)
		return;
	wanted = vsnprintf(end, most + 1, format, arguments);
	if (wanted < 0) {
		*end = '\0';
		t->cut = true;
	} else if ((size_t)wanted > most) {
		t->len += most - text_utf8_incomplete_tail(bytes_of(end, most));
		t->data[t->len] = '\0';
		t->cut = true;
	} else {
		t->len += (size_t)wanted;
	}
}

struct bytes text_bytes(const struct text *t)
{
	return bytes_of(t->data, t->len);
}

/* Whether `c` may be the second byte after `lead` (RFC 3629, section 4, UTF8-3 and UTF8-4). */
static bool is_second(uint8_t lead, uint8_t c)
{
	switch (lead) {
	case 0xe0: /* below: overlong */
		return c >= 0xa0 && c <= 0xbf;
	case 0xed: /* above: surrogates */
		return c >= 0x80 && c <= 0x9f;
	case 0xf0: /* below: overlong */
		return c >= 0x90 && c <= 0xbf;
	case 0xf4: /* above: past U+10FFFF */
		return c >= 0x80 && c <= 0x8f;
	default:
		return c >= 0x80 && c <= 0xbf;
	}
}

/* How long a sequence is that begins with `lead`; 0 when none does. */
static size_t length_by_lead(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead < 0xc2)
		return 0;
	if (lead < 0xe0)
		return 2;
	if (lead < 0xf0)
		return 3;
	return lead < 0xf5 ? 4 : 0;
}

/* How many bytes at the front of `b` are a valid sequence or the beginning of one. */
static size_t valid_part(struct bytes b)
{
	size_t want = b.len > 0 ? length_by_lead(b.data[0]) : 0;
	size_t n = want > 0 ? 1 : 0;

	if (n < want && n < b.len && is_second(b.data[0], b.data[1]))
		n++;
	while (n >= 2 && n < want && n < b.len && (b.data[n] & 0xc0) == 0x80)
		n++;
	return n;
}

size_t text_utf8_sequence(struct bytes b)
{
	size_t n = valid_part(b);

	return n > 0 && n == length_by_lead(b.data[0]) ? n : 0;
}

size_t text_utf8_invalid(struct bytes b)
{
	size_t n = valid_part(b);

	if (b.len == 0 || (n > 0 && n == length_by_lead(b.data[0])))
		return 0;
	return n > 0 ? n : 1;
}

size_t text_utf8_incomplete_tail(struct bytes b)
{
	for (size_t n = 1; n <= 3 && n <= b.len; n++) {
		struct bytes tail = bytes_after(b, b.len - n);

		if ((tail.data[0] & 0xc0) == 0x80)
			continue;
		return valid_part(tail) == n && n < length_by_lead(tail.data[0]) ? n : 0;
	}
	return 0;
}

bool text_utf8_valid(struct bytes b)
{
	while (b.len > 0) {
		size_t n = text_utf8_sequence(b);

		if (n == 0)
			return false;
		b = bytes_after(b, n);
	}
	return true;
}

uint32_t text_utf8_code(struct bytes sequence)
{
	static const uint8_t lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t code = sequence.data[0] & lead_mask[sequence.len];

	for (size_t i = 1; i < sequence.len; i++)
		code = code << 6 | (sequence.data[i] & 0x3f);
	return code;
}

bool text_is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

static void put_escaped(struct text *t, struct bytes b)
{
	static const char hex[] = "0123456789abcdef";
	static const char *const named[] = {['\t'] = "\\t", ['\n'] = "\\n", ['\r'] = "\\r"};
	size_t names = sizeof(named) / sizeof(named[0]);

	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];

		if (c < names && named[c])
			put_whole(t, bytes_of(named[c], 2));
		else
			put_whole(t, bytes_of((char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4));
	}
}

void text_put_visible(struct text *t, struct bytes b, bool keep_newlines)
{
	while (b.len > 0 && !t->cut) {
		size_t n = text_utf8_sequence(b);
		struct bytes one = bytes_first(b, n > 0 ? n : 1);

		if (n > 0 && !text_is_control(text_utf8_code(one)))
			put_whole(t, one);
		else if (keep_newlines && one.data[0] == '\n')
			put_whole(t, one);
		else
			put_escaped(t, one);
		b = bytes_after(b, one.len);
	}
}

void text_put_value(struct text *t, struct bytes b)
{
	bool quoted = b.len == 0 || bytes_find_byte(b, ' ') < b.len ||
		      bytes_find_byte(b, '"') < b.len;

	if (!quoted) {
		text_put_visible(t, b, false);
		return;
	}
	text_put_byte(t, '"');
	for (;;) {
		size_t n = bytes_find_byte(b, '"');

		text_put_visible(t, bytes_first(b, n), false);
		if (n == b.len)
			break;
		text_put_string(t, "\\\"");
		b = bytes_after(b, n + 1);
	}
	text_put_byte(t, '"');
}

size_t text_columns(struct bytes b)
{
	size_t columns = 0;

	for (size_t i = 0; i < b.len; i++)
		columns += (b.data[i] & 0xc0) != 0x80;
	return columns;
}

struct bytes text_first_columns(struct bytes b, size_t columns)
{
	size_t len = 0;

	while (len < b.len && ((b.data[len] & 0xc0) == 0x80 || columns > 0))
		columns -= (b.data[len++] & 0xc0) != 0x80;
	return bytes_first(b, len);
}

struct bytes text_last_columns(struct bytes b, size_t columns)
{
	size_t all = text_columns(b);

	return all <= columns ? b : bytes_after(b, text_first_columns(b, all - columns).len);
}

void text_put_base64(struct text *t, struct bytes b)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	while (b.len > 0) {
		struct bytes three = bytes_first(b, 3);
		uint32_t bits = 0;
		char four[] = "====";

		for (size_t i = 0; i < 3; i++)
			bits = bits << 8 | (i < three.len ? three.data[i] : 0u);
		for (size_t i = 0; i <= three.len; i++)
			four[i] = digit[bits >> (18 - 6 * i) & 0x3f];
		text_put(t, bytes_of(four, 4));
		b = bytes_after(b, three.len);
	}
}

void text_put_padded(struct text *t, const char *s, size_t columns)
{
	size_t taken = text_columns(bytes_of_string(s));

	text_put_string(t, s);
	for (; taken < columns; taken++)
		text_put_byte(t, ' ');
}

enum { WORD_BYTES = 63 };

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* One row of the usual table at a time: row[j] is the distance from the part of `a` seen so far to
 * the first j bytes of `b`. */
unsigned text_distance(const char *a, const char *b)
{
	unsigned row[WORD_BYTES + 1];
	size_t a_len = strlen(a), b_len = strlen(b);

	if (a_len > WORD_BYTES || b_len > WORD_BYTES)
		return UINT_MAX;
	for (size_t j = 0; j <= b_len; j++)
		row[j] = (unsigned)j;
	for (size_t i = 0; i < a_len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i + 1;
		for (size_t j = 0; j < b_len; j++) {
			unsigned swapped = diagonal + (a[i] != b[j]);

			diagonal = row[j + 1];
			row[j + 1] = least(swapped, least(row[j], diagonal) + 1);
		}
	}
	return row[b_len];
}
