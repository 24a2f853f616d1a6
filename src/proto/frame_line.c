/* A frame in words, one line. */
#include "proto/frame.h"

#include "proto/dns_line.h"

enum { DNS_PORT = 53, MDNS_PORT = 5353 };

void frame_put_mac(struct text *t, const uint8_t *mac)
{
	for (unsigned i = 0; i < FRAME_MAC_BYTES; i++)
		text_printf(t, "%s%02x", i == 0 ? "" : ":", mac[i]);
}

static void put_arp(struct text *t, const struct frame *f)
{
	text_put_string(t, "ARP ");
	if (f->operation == 1) {
		text_put_string(t, "who has ");
		address_put_ip(t, &f->target);
		text_put_string(t, "? tell ");
		address_put_ip(t, &f->source);
	} else if (f->operation == 2) {
		address_put_ip(t, &f->source);
		text_put_string(t, " is at ");
		frame_put_mac(t, f->source_mac);
	} else
		text_printf(t, "operation %u", f->operation);
}

struct icmp_name {
	uint8_t type;
	const char *name;
};

static const struct icmp_name icmp_names[] = {
	{0, "echo reply"},     {3, "unreachable"},        {4, "source quench"},
	{5, "redirect"},       {8, "echo request"},       {9, "router advertisement"},
	{11, "time exceeded"}, {12, "parameter problem"},
};

static const struct icmp_name icmp6_names[] = {
	{1, "unreachable"},
	{2, "packet too big"},
	{3, "time exceeded"},
	{4, "parameter problem"},
	{128, "echo request"},
	{129, "echo reply"},
	{130, "multicast listener query"},
	{131, "multicast listener report"},
	{133, "router solicitation"},
	{134, "router advertisement"},
	{135, "neighbour solicitation"},
	{136, "neighbour advertisement"},
	{143, "multicast listener report v2"},
};

static void put_icmp(struct text *t, const struct frame *f)
{
	bool six = f->kind == FRAME_ICMP6;
	const struct icmp_name *names = six ? icmp6_names : icmp_names;
	size_t count = six ? sizeof(icmp6_names) / sizeof(icmp6_names[0])
			   : sizeof(icmp_names) / sizeof(icmp_names[0]);
	const uint8_t *p = f->payload.data;

	text_put_string(t, six ? "ICMPv6 " : "ICMP ");
	if (f->payload.len < 4) {
		text_put_string(t, "cut");
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (names[i].type == p[0]) {
			text_put_string(t, names[i].name);
			if ((p[0] == 135 || p[0] == 136) && six && f->payload.len >= 24) {
				struct address about = {.family = ADDRESS_V6};

				memcpy(about.ip, p + 8, 16);
				text_put_byte(t, ' ');
				address_put_ip(t, &about);
			} else if (p[1] != 0)
				text_printf(t, ", code %u", p[1]);
			return;
		}
	text_printf(t, "type %u, code %u", p[0], p[1]);
}

static void put_udp(struct text *t, const struct frame *f, const char *bytes)
{
	bool names = f->source.port == DNS_PORT || f->target.port == DNS_PORT;
	bool multicast = f->source.port == MDNS_PORT || f->target.port == MDNS_PORT;

	if ((names || multicast) && f->payload.len >= DNS_LINE_LEAST_BYTES) {
		text_put_string(t, multicast ? "mDNS " : "DNS ");
		dns_put_line(t, f->payload);
		return;
	}
	text_printf(t, "UDP %u > %u, %zu %s", f->source.port, f->target.port, f->payload_bytes,
		    bytes);
}

static void put_flags(struct text *t, unsigned flags)
{
	static const char *const names[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG"};
	static const uint8_t order[] = {1, 0, 2, 3, 4, 5};
	const char *separator = " ";

	for (unsigned i = 0; i < sizeof(order); i++) {
		if (!(flags & 1u << order[i]))
			continue;
		text_printf(t, "%s%s", separator, names[order[i]]);
		separator = " ";
	}
}

static void put_tcp(struct text *t, const struct frame *f, uint32_t seq_base, uint32_t ack_base,
		    const char *bytes)
{
	text_printf(t, "TCP %u > %u", f->source.port, f->target.port);
	put_flags(t, f->flags);
	text_printf(t, " seq %u", f->seq - seq_base);
	if (f->flags & FRAME_ACK)
		text_printf(t, " ack %u", f->ack - ack_base);
	if (f->payload_bytes > 0)
		text_printf(t, ", %zu %s", f->payload_bytes, bytes);
}

static void put_fragment(struct text *t, const struct frame *f, const char *bytes)
{
	text_printf(t, "IP fragment 0x%04x, %zu %s from %u on%s", f->fragment_id, f->payload_bytes,
		    bytes, f->fragment_at, f->fragment_more ? "" : ", the last");
}

void frame_put_line(struct text *t, const struct frame *f, uint32_t seq_base, uint32_t ack_base,
		    const char *bytes)
{
	if (f->kind == FRAME_ARP && !f->malformed)
		put_arp(t, f);
	else if (f->kind == FRAME_TCP)
		put_tcp(t, f, seq_base, ack_base, bytes);
	else if (f->kind == FRAME_UDP)
		put_udp(t, f, bytes);
	else if (f->kind == FRAME_ICMP || f->kind == FRAME_ICMP6)
		put_icmp(t, f);
	else if (f->kind == FRAME_FRAGMENT)
		put_fragment(t, f, bytes);
	else if (f->kind == FRAME_IP)
		text_printf(t, "IP protocol %u, %zu %s", f->protocol, f->payload_bytes, bytes);
	else if (f->kind == FRAME_ARP)
		text_put_string(t, "ARP");
	else if (f->type != 0)
		text_printf(t, "type 0x%04x, %zu %s", f->type, f->payload_bytes, bytes);
	else
		text_printf(t, "%zu %s", f->payload_bytes, bytes);
	if (f->malformed)
		text_put_string(t, " (malformed)");
}
