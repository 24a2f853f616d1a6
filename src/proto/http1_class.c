/* HTTP/1.x: which byte may stand where. Sources: RFC 9110 5.5 and 5.6.2, RFC 3986 3.2. */
#include "proto/http1_parts.h"

#define ALNUM (HTTP1_TOKEN | HTTP1_HOST)

__extension__ const uint8_t http1_class[256] = {
	['0' ... '9'] = ALNUM | HTTP1_DIGIT | HTTP1_HEX,
	['A' ... 'F'] = ALNUM | HTTP1_ALPHA | HTTP1_HEX,
	['G' ... 'Z'] = ALNUM | HTTP1_ALPHA,
	['a' ... 'f'] = ALNUM | HTTP1_ALPHA | HTTP1_HEX,
	['g' ... 'z'] = ALNUM | HTTP1_ALPHA,
	['!'] = ALNUM,
	['$'] = ALNUM,
	['%'] = ALNUM,
	['&'] = ALNUM,
	['\''] = ALNUM,
	['*'] = ALNUM,
	['+'] = ALNUM,
	['-'] = ALNUM,
	['.'] = ALNUM,
	['_'] = ALNUM,
	['~'] = ALNUM,
	['#'] = HTTP1_TOKEN,
	['^'] = HTTP1_TOKEN,
	['`'] = HTTP1_TOKEN,
	['|'] = HTTP1_TOKEN,
	['('] = HTTP1_HOST,
	[')'] = HTTP1_HOST,
	[','] = HTTP1_HOST,
	[';'] = HTTP1_HOST,
	['='] = HTTP1_HOST,
};

bool http1_all(struct bytes b, unsigned classes)
{
	for (size_t i = 0; i < b.len; i++) {
		if (!(http1_class[b.data[i]] & classes))
			return false;
	}
	return true;
}

bool http1_is_token(struct bytes b)
{
	return b.len > 0 && http1_all(b, HTTP1_TOKEN);
}

/* Whether one of eight bytes is below `least` (up to 0x80) or DEL; the words hold eight times the
 * byte. Source: Anderson, "Bit Twiddling Hacks", "hasless(x,n)". */
static bool http1_has_control(uint64_t word, uint64_t least)
{
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t del = word ^ 0x7f * ones;

	return ((word - least) & ~word & tops) | ((del - ones) & ~del & tops);
}

/* Whether all bytes are `least` or more, and none is DEL: eight at a time, the last eight perhaps
 * again. False says "look closer" where there are fewer. */
static bool http1_is_plainly(struct bytes b, uint8_t least)
{
	uint64_t word, low = least * (uint64_t)0x0101010101010101;

	if (b.len < sizeof word)
		return false;
	for (size_t i = 0; i + sizeof word < b.len; i += sizeof word) {
		memcpy(&word, b.data + i, sizeof word);
		if (http1_has_control(word, low))
			return false;
	}
	memcpy(&word, b.data + b.len - sizeof word, sizeof word);
	return !http1_has_control(word, low);
}

/* Without a way out of the loop, so that the compiler takes sixteen bytes at once; so below. */
bool http1_is_clean(struct bytes b)
{
	uint8_t bad = 0;

	if (http1_is_plainly(b, ' '))
		return true;
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];

		bad |= (uint8_t)((c < ' ' && c != '\t') | (c == 0x7f));
	}
	return !bad;
}

bool http1_is_visible(struct bytes b)
{
	uint8_t bad = 0;

	if (http1_is_plainly(b, ' ' + 1))
		return true;
	for (size_t i = 0; i < b.len; i++)
		bad |= (uint8_t)((b.data[i] <= ' ') | (b.data[i] == 0x7f));
	return !bad;
}

struct bytes http1_trim(struct bytes b)
{
	while (b.len > 0 && (b.data[0] == ' ' || b.data[0] == '\t'))
		b = bytes_after(b, 1);
	while (b.len > 0 && (b.data[b.len - 1] == ' ' || b.data[b.len - 1] == '\t'))
		b.len--;
	return b;
}

/* The bytes of the host at the front of `b`, or b.len + 1 when there is none that is valid. */
static size_t http1_host_bytes(struct bytes b)
{
	size_t end;

	if (b.len == 0 || b.data[0] != '[')
		return bytes_find_byte(b, ':');
	end = bytes_find_byte(b, ']');
	for (size_t i = 1; i < end && i < b.len; i++) {
		if (b.data[i] != ':' && !(http1_class[b.data[i]] & HTTP1_HOST))
			return b.len + 1;
	}
	return end > 1 ? end + 1 : b.len + 1;
}

bool http1_is_host(struct bytes b)
{
	size_t len = http1_host_bytes(b);
	struct bytes port;

	if (len > b.len ||
	    (b.len > 0 && b.data[0] != '[' && !http1_all(bytes_first(b, len), HTTP1_HOST)))
		return false;
	port = bytes_after(b, len);
	return port.len == 0 ||
	       (len > 0 && port.data[0] == ':' && http1_all(bytes_after(port, 1), HTTP1_DIGIT));
}

bool http1_is_authority(struct bytes b)
{
	return http1_is_host(b) && http1_host_bytes(b) + 1 < b.len;
}
