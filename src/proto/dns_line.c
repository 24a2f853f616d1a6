/* DNS messages, as far as one line shows them (RFC 1035 4.1; types of IANA's table).
 *
 *   | id 2 | flags 2 | questions 2 | answers 2 | ... 4 | question | answer ... |
 *
 * A name's pointers may make a loop: at most POINTERS_MOST are followed. */
#include "proto/dns_line.h"

#include "base/address.h"

enum { POINTERS_MOST = 16 };

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_CNAME = 5, TYPE_PTR = 12, TYPE_AAAA = 28 };

struct name {
	char text[4 * DNS_LINE_NAME_BYTES + 1];
};

/* Reads the name at `at`. Returns what follows it in the message, or 0 when it cannot be read. */
static size_t take_name(struct bytes message, size_t at, struct name *name)
{
	struct text t = TEXT_OVER(name->text);
	size_t next = 0;

	for (unsigned pointers = 0; at < message.len;) {
		unsigned len = message.data[at];

		if (len == 0) {
			if (t.len == 0)
				text_put_byte(&t, '.');
			return next != 0 ? next : at + 1;
		}
		if ((len & 0xc0) == 0xc0) {
			if (at + 1 >= message.len || ++pointers > POINTERS_MOST)
				return 0;
			if (next == 0)
				next = at + 2;
			at = bytes_get_be16(message.data + at) & 0x3fff;
			continue;
		}
		if (len > 63 || len > message.len - at - 1 || t.cut)
			return 0;
		if (t.len > 0)
			text_put_byte(&t, '.');
		text_put_visible(&t, bytes_of(message.data + at + 1, len), false);
		at += 1 + len;
	}
	return 0;
}

static void put_type(struct text *t, unsigned type)
{
	static const struct {
		uint16_t number;
		const char *name;
	} types[] = {{1, "A"},       {2, "NS"},    {5, "CNAME"},  {6, "SOA"},
		     {12, "PTR"},    {15, "MX"},   {16, "TXT"},   {28, "AAAA"},
		     {33, "SRV"},    {41, "OPT"},  {43, "DS"},    {46, "RRSIG"},
		     {48, "DNSKEY"}, {64, "SVCB"}, {65, "HTTPS"}, {255, "ANY"}};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].number == type) {
			text_put_string(t, types[i].name);
			return;
		}
	text_printf(t, "type %u", type);
}

static void put_address(struct text *t, enum address_family family, const uint8_t *ip)
{
	struct address a = {.family = (uint8_t)family};

	memcpy(a.ip, ip, family == ADDRESS_V4 ? 4 : 16);
	address_put_ip(t, &a);
}

/* The record at `at`: its data after `separator`. Returns what follows it, or 0. */
static size_t put_record(struct text *t, struct bytes message, size_t at, const char *separator)
{
	struct name name;
	unsigned type;
	size_t len;

	at = take_name(message, at, &name);
	if (at == 0 || message.len - at < 10)
		return 0;
	type = bytes_get_be16(message.data + at);
	len = bytes_get_be16(message.data + at + 8);
	at += 10;
	if (message.len - at < len)
		return 0;
	text_put_string(t, separator);
	if (type == TYPE_A && len == 4)
		put_address(t, ADDRESS_V4, message.data + at);
	else if (type == TYPE_AAAA && len == 16)
		put_address(t, ADDRESS_V6, message.data + at);
	else {
		put_type(t, type);
		if ((type == TYPE_CNAME || type == TYPE_PTR || type == TYPE_NS) &&
		    take_name(message, at, &name) != 0)
			text_printf(t, " %s", name.text);
	}
	return at + len;
}

static void put_outcome(struct text *t, unsigned code)
{
	static const char *const outcomes[] = {NULL,
					       ": format error",
					       ": server failure",
					       ": no such name",
					       ": kind of query not supported",
					       ": refused"};

	if (code != 0 && code < sizeof(outcomes) / sizeof(outcomes[0]))
		text_put_string(t, outcomes[code]);
	else if (code != 0)
		text_printf(t, ": error %u", code);
}

void dns_put_line(struct text *t, struct bytes message)
{
	const uint8_t *p = message.data;
	size_t at = DNS_LINE_LEAST_BYTES;
	unsigned flags, answers;
	struct name name;
	bool is_answer;

	if (message.len < DNS_LINE_LEAST_BYTES) {
		text_put_string(t, "cut");
		return;
	}
	flags = bytes_get_be16(p + 2);
	answers = bytes_get_be16(p + 6);
	is_answer = (flags & 0x8000) != 0;
	text_printf(t, "%s 0x%04x", is_answer ? "answer" : "query", bytes_get_be16(p));
	if (bytes_get_be16(p + 4) > 0) {
		at = take_name(message, at, &name);
		if (at == 0 || message.len - at < 4)
			return;
		text_put_byte(t, ' ');
		put_type(t, bytes_get_be16(p + at));
		text_printf(t, " %s", name.text);
		at += 4;
	}
	if (!is_answer)
		return;
	put_outcome(t, flags & 15);
	if (answers == 0 && (flags & 15) == 0)
		text_put_string(t, ": nothing");
	for (unsigned i = 0; at != 0 && i < answers && i < DNS_LINE_ANSWERS; i++)
		at = put_record(t, message, at, i == 0 ? ": " : ", ");
	if (at != 0 && answers > DNS_LINE_ANSWERS)
		text_put_string(t, ", ...");
}
