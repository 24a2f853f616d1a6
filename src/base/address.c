/* Addresses as text and back: RFC 5952 (writing IPv6), RFC 4291 2.2 (reading it), RFC 4007 11
 * (zones, by interface number only, since names of interfaces are the kernel's). */
#include "base/address.h"
#include "base/err.h"
#include "base/number.h"

static const uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool is_v4_mapped(const struct address *a)
{
	return a->family == ADDRESS_V6 && memcmp(a->ip, v4_mapped, sizeof(v4_mapped)) == 0;
}

static void put_v4(struct text *t, const uint8_t *ip)
{
	text_printf(t, "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
}

enum { GROUPS = 8 };

/* The longest run of at least two zero groups, the first of equals (RFC 5952 4.2). */
static void find_zeros(const uint16_t *group, int *from, int *to)
{
	*from = *to = -1;
	for (int i = 0; i < GROUPS; i++) {
		int end = i;

		while (end < GROUPS && group[end] == 0)
			end++;
		if (end - i >= 2 && end - i > *to - *from) {
			*from = i;
			*to = end;
		}
	}
}

static void put_v6(struct text *t, const uint8_t *ip)
{
	uint16_t group[GROUPS];
	int zeros, after_zeros;

	for (int i = 0; i < GROUPS; i++)
		group[i] = (uint16_t)(ip[2 * i] << 8 | ip[2 * i + 1]);
	find_zeros(group, &zeros, &after_zeros);
	for (int i = 0; i < GROUPS; i++) {
		if (i == zeros) {
			text_put_string(t, "::");
			i = after_zeros - 1;
			continue;
		}
		text_printf(t, i == 0 || i == after_zeros ? "%x" : ":%x", group[i]);
	}
}

void address_put_ip(struct text *t, const struct address *a)
{
	switch (a->family) {
	case ADDRESS_V4:
		put_v4(t, a->ip);
		break;
	case ADDRESS_V6:
		if (is_v4_mapped(a)) {
			text_put_string(t, "::ffff:");
			put_v4(t, a->ip + sizeof(v4_mapped));
		} else {
			put_v6(t, a->ip);
		}
		if (a->scope != 0)
			text_printf(t, "%%%u", a->scope);
		break;
	case ADDRESS_UNIX:
		text_put_string(t, "unix");
		break;
	default:
		text_put_string(t, "none");
	}
}

void address_put(struct text *t, const struct address *a)
{
	if (a->family == ADDRESS_V6)
		text_put_byte(t, '[');
	address_put_ip(t, a);
	if (a->family == ADDRESS_V6)
		text_put_byte(t, ']');
	if (a->family == ADDRESS_V4 || a->family == ADDRESS_V6)
		text_printf(t, ":%u", a->port);
}

/* Four decimal parts and no leading zero, which some read as octal. */
static int parse_v4(struct bytes b, uint8_t *ip)
{
	for (int i = 0; i < 4; i++) {
		struct bytes part = bytes_first(b, bytes_find_byte(b, '.'));
		uint64_t v;

		if ((part.len > 1 && part.data[0] == '0') || number_parse_u64(part, &v) < 0 ||
		    v > 255 || (part.len == b.len) != (i == 3))
			return ERR_SYNTAX;
		ip[i] = (uint8_t)v;
		if (i < 3)
			b = bytes_after(b, part.len + 1);
	}
	return 0;
}

static int parse_group(struct bytes b, uint8_t *two)
{
	unsigned v = 0;

	if (b.len < 1 || b.len > 4)
		return ERR_SYNTAX;
	for (size_t i = 0; i < b.len; i++) {
		int digit = number_hex(b.data[i]);

		if (digit < 0)
			return ERR_SYNTAX;
		v = v << 4 | (unsigned)digit;
	}
	two[0] = (uint8_t)(v >> 8);
	two[1] = (uint8_t)v;
	return 0;
}

/* Groups between colons, the last perhaps an IPv4 address, from the front of `b` up to a `::`
 * (`*gap`) or its end: `*n` bytes into `ip`. `b` is left as what follows. */
static int parse_groups(struct bytes *b, uint8_t *ip, size_t room, size_t *n, bool *gap)
{
	*n = 0;
	*gap = false;
	for (;;) {
		struct bytes part = bytes_first(*b, bytes_find_byte(*b, ':'));
		bool last = part.len == b->len;
		bool v4 = last && bytes_find_byte(part, '.') < part.len;
		size_t bytes = v4 ? 4 : 2;

		if (room - *n < bytes || (v4 ? parse_v4 : parse_group)(part, ip + *n) < 0)
			return ERR_SYNTAX;
		*n += bytes;
		*b = bytes_after(*b, part.len + !last);
		if (last)
			return 0;
		if (b->len > 0 && b->data[0] == ':') {
			*b = bytes_after(*b, 1);
			*gap = true;
			return 0;
		}
	}
}

static int parse_v6(struct bytes b, uint8_t *ip)
{
	uint8_t tail[16];
	size_t head_len = 0, tail_len = 0;
	bool gap = bytes_equal(bytes_first(b, 2), BYTES_LITERAL("::")), second = false;

	if (gap)
		b = bytes_after(b, 2);
	else if (parse_groups(&b, ip, 16, &head_len, &gap) < 0)
		return ERR_SYNTAX;
	if (gap && b.len > 0 && parse_groups(&b, tail, 16, &tail_len, &second) < 0)
		return ERR_SYNTAX;
	if (second || (gap ? head_len + tail_len > 14 : head_len != 16))
		return ERR_SYNTAX;
	memset(ip + head_len, 0, 16 - head_len);
	memcpy(ip + 16 - tail_len, tail, tail_len);
	return 0;
}

int address_parse_ip(struct bytes b, struct address *a)
{
	struct address parsed = {.family = ADDRESS_V6};
	size_t zone = bytes_find_byte(b, '%');
	uint64_t scope = 0;

	if (bytes_find_byte(b, ':') == b.len) {
		parsed.family = ADDRESS_V4;
		if (parse_v4(b, parsed.ip) < 0)
			return ERR_SYNTAX;
	} else {
		if (zone < b.len &&
		    (number_parse_u64(bytes_after(b, zone + 1), &scope) < 0 || scope > UINT32_MAX))
			return ERR_SYNTAX;
		if (parse_v6(bytes_first(b, zone), parsed.ip) < 0)
			return ERR_SYNTAX;
		parsed.scope = (uint32_t)scope;
	}
	*a = parsed;
	return 0;
}

static size_t ip_bytes(const struct address *a)
{
	return a->family == ADDRESS_V4 ? 4 : a->family == ADDRESS_V6 ? 16 : 0;
}

bool address_equal_ip(const struct address *a, const struct address *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, ip_bytes(a)) == 0 &&
	       (a->family != ADDRESS_V6 || a->scope == b->scope);
}

bool address_equal(const struct address *a, const struct address *b)
{
	return address_equal_ip(a, b) && (ip_bytes(a) == 0 || a->port == b->port);
}

bool address_is_loopback(const struct address *a)
{
	static const uint8_t v6_loopback[16] = {[15] = 1};

	switch (a->family) {
	case ADDRESS_V4:
		return a->ip[0] == 127;
	case ADDRESS_V6:
		return memcmp(a->ip, v6_loopback, 16) == 0 ||
		       (is_v4_mapped(a) && a->ip[sizeof(v4_mapped)] == 127);
	default:
		return a->family == ADDRESS_UNIX;
	}
}

bool address_is_literal(const char *host)
{
	struct address a;

	return address_parse_ip(bytes_of_string(host), &a) == 0;
}

bool address_is_any(const struct address *a)
{
	static const uint8_t zero[16];

	return ip_bytes(a) > 0 && memcmp(a->ip, zero, ip_bytes(a)) == 0;
}
