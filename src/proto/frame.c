/* Frames, from the link to the transport.
 *
 *   link
 *     NULL, LOOP   | family 4 |
 *     Ethernet     | target 6 | source 6 | (8100 tag 2)* | type 2 |   IEEE 802.1Q
 *     cooked       | kind 2 | ... | address 8 | type 2 |              LINKTYPE_LINUX_SLL
 *     cooked 2     | type 2 | ... | address 8 |                       LINKTYPE_LINUX_SLL2
 *   network        ARP, IPv4, IPv6 with its extension headers
 *   transport      TCP, UDP, ICMP, ICMPv6
 *
 * Each function takes what is left and leaves what lies behind its header in f->payload, with
 * f->payload_bytes on the wire. Limits: no tunnels; of IPv6 at most EXTENSIONS_MOST headers. */
#include "proto/frame.h"

enum {
	TYPE_IPV4 = 0x0800,
	TYPE_ARP = 0x0806,
	TYPE_IPV6 = 0x86dd,
	TYPE_VLAN = 0x8100,
	TYPE_VLAN_OUTER = 0x88a8,
	TYPE_LEAST = 0x0600, /* below it is a length: IEEE 802.3 */
	TAGS_MOST = 4,
};

enum { PROTOCOL_ICMP = 1, PROTOCOL_TCP = 6, PROTOCOL_UDP = 17, PROTOCOL_ICMP6 = 58 };

enum { COOKED_MULTICAST = 2, COOKED_BROADCAST = 1, EXTENSIONS_MOST = 16 };

/* Leaves a header of `bytes` behind. False when that much was not captured. */
static bool skip(struct frame *f, size_t bytes)
{
	if (f->payload.len < bytes) {
		f->malformed = true;
		return false;
	}
	f->payload = bytes_after(f->payload, bytes);
	f->payload_bytes -= bytes;
	return true;
}

/* What follows is `bytes` long on the wire; what was captured behind that is padding. */
static void limit(struct frame *f, size_t bytes)
{
	if (bytes > f->payload_bytes)
		f->malformed = true;
	else
		f->payload_bytes = bytes;
	f->payload = bytes_first(f->payload, f->payload_bytes);
}

static void set_address(struct address *a, enum address_family family, const uint8_t *ip)
{
	a->family = (uint8_t)family;
	memcpy(a->ip, ip, family == ADDRESS_V4 ? 4 : 16);
}

static void decode_tcp(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	size_t header;

	if (f->payload.len < 20) {
		f->malformed = true;
		return;
	}
	header = (size_t)(p[12] >> 4) * 4;
	if (header < 20 || header > f->payload_bytes) {
		f->malformed = true;
		return;
	}
	f->kind = FRAME_TCP;
	f->source.port = bytes_get_be16(p);
	f->target.port = bytes_get_be16(p + 2);
	f->seq = bytes_get_be32(p + 4);
	f->ack = bytes_get_be32(p + 8);
	f->flags = p[13] & 0x3f;
	f->window = bytes_get_be16(p + 14);
	f->payload = bytes_after(f->payload, header < f->payload.len ? header : f->payload.len);
	f->payload_bytes -= header;
}

static void decode_udp(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	size_t len;

	if (f->payload.len < 8) {
		f->malformed = true;
		return;
	}
	f->kind = FRAME_UDP;
	f->source.port = bytes_get_be16(p);
	f->target.port = bytes_get_be16(p + 2);
	len = bytes_get_be16(p + 4);
	skip(f, 8);
	if (len >= 8)
		limit(f, len - 8);
	else if (len != 0) /* 0: a jumbo, or a card that will cut it */
		f->malformed = true;
}

static void decode_transport(struct frame *f)
{
	f->kind = FRAME_IP;
	if (f->protocol == PROTOCOL_TCP)
		decode_tcp(f);
	else if (f->protocol == PROTOCOL_UDP)
		decode_udp(f);
	else if (f->protocol == PROTOCOL_ICMP && f->source.family == ADDRESS_V4)
		f->kind = FRAME_ICMP;
	else if (f->protocol == PROTOCOL_ICMP6 && f->source.family == ADDRESS_V6)
		f->kind = FRAME_ICMP6;
}

static bool is_group(const struct address *a)
{
	if (a->family == ADDRESS_V6)
		return a->ip[0] == 0xff;
	return (a->ip[0] & 0xf0) == 0xe0 || bytes_get_be32(a->ip) == UINT32_MAX;
}

static void decode_ipv4(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	size_t header, total;
	unsigned fragment;

	if (f->payload.len < 20 || p[0] >> 4 != 4) {
		f->malformed = true;
		return;
	}
	header = (size_t)(p[0] & 15) * 4;
	total = bytes_get_be16(p + 2);
	fragment = bytes_get_be16(p + 6);
	f->kind = FRAME_IP;
	f->protocol = p[9];
	set_address(&f->source, ADDRESS_V4, p + 12);
	set_address(&f->target, ADDRESS_V4, p + 16);
	f->everyone = f->everyone || is_group(&f->target);
	if (total != 0) /* 0: more than 65,535 bytes, which a card will cut */
		limit(f, total);
	if (header < 20 || header > f->payload_bytes || !skip(f, header)) {
		f->malformed = true;
		return;
	}
	if ((fragment & 0x3fff) == 0) {
		decode_transport(f);
		return;
	}
	f->kind = FRAME_FRAGMENT;
	f->fragment_id = bytes_get_be16(p + 4);
	f->fragment_at = (fragment & 0x1fff) * 8;
	f->fragment_more = (fragment & 0x2000) != 0;
}

/* One extension header of IPv6, of kind f->protocol, is left behind. False when there is none. */
static bool decode_extension(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	bool is_fragment = f->protocol == 44;
	size_t bytes;

	if (f->protocol != 0 && f->protocol != 43 && !is_fragment && f->protocol != 60 &&
	    f->protocol != 51 && f->protocol != 135 && f->protocol != 139 && f->protocol != 140)
		return false;
	if (f->payload.len < 8) {
		f->malformed = true;
		return false;
	}
	bytes = f->protocol == 51 ? ((size_t)p[1] + 2) * 4 : ((size_t)p[1] + 1) * 8;
	if (is_fragment) {
		unsigned fragment = bytes_get_be16(p + 2);

		bytes = 8;
		f->fragment_id = bytes_get_be32(p + 4);
		f->fragment_at = fragment & 0xfff8;
		f->fragment_more = (fragment & 1) != 0;
		if ((fragment & 0xfff9) != 0)
			f->kind = FRAME_FRAGMENT;
	}
	if (!skip(f, bytes))
		return false;
	f->protocol = p[0];
	return f->kind != FRAME_FRAGMENT;
}

static void decode_ipv6(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	size_t len;

	if (f->payload.len < 40 || p[0] >> 4 != 6) {
		f->malformed = true;
		return;
	}
	len = bytes_get_be16(p + 4);
	f->kind = FRAME_IP;
	f->protocol = p[6];
	set_address(&f->source, ADDRESS_V6, p + 8);
	set_address(&f->target, ADDRESS_V6, p + 24);
	f->everyone = f->everyone || is_group(&f->target);
	skip(f, 40);
	if (len != 0) /* 0: a jumbogram, RFC 2675, or a card that will cut it */
		limit(f, len);
	for (unsigned i = 0; i < EXTENSIONS_MOST && decode_extension(f); i++)
		;
	if (f->kind != FRAME_FRAGMENT && !f->malformed)
		decode_transport(f);
}

/* RFC 826: hardware 2, protocol 2, lengths 1 + 1, operation 2, then sender's and target's. */
static void decode_arp(struct frame *f)
{
	const uint8_t *p = f->payload.data;

	f->kind = FRAME_ARP;
	if (f->payload.len < 28 || bytes_get_be16(p + 2) != TYPE_IPV4 || p[4] != FRAME_MAC_BYTES ||
	    p[5] != 4) {
		f->malformed = true;
		return;
	}
	f->operation = bytes_get_be16(p + 6);
	f->source_mac = p + 8;
	set_address(&f->source, ADDRESS_V4, p + 14);
	set_address(&f->target, ADDRESS_V4, p + 24);
	limit(f, 28);
}

static void decode_network(struct frame *f)
{
	if (f->type == TYPE_IPV4)
		decode_ipv4(f);
	else if (f->type == TYPE_IPV6)
		decode_ipv6(f);
	else if (f->type == TYPE_ARP)
		decode_arp(f);
}

static void decode_raw(struct frame *f)
{
	unsigned version = f->payload.len > 0 ? f->payload.data[0] >> 4 : 0;

	f->type = version == 4 ? TYPE_IPV4 : version == 6 ? TYPE_IPV6 : 0;
	f->malformed = f->type == 0;
	decode_network(f);
}

static void decode_ethernet(struct frame *f)
{
	const uint8_t *p = f->payload.data;

	if (!skip(f, 14))
		return;
	f->target_mac = p;
	f->source_mac = p + FRAME_MAC_BYTES;
	f->everyone = (p[0] & 1) != 0;
	f->type = bytes_get_be16(p + 12);
	for (unsigned i = 0; i < TAGS_MOST && (f->type == TYPE_VLAN || f->type == TYPE_VLAN_OUTER);
	     i++) {
		p = f->payload.data;
		if (!skip(f, 4))
			return;
		f->type = bytes_get_be16(p + 2);
	}
	if (f->type < TYPE_LEAST)
		f->type = 0;
	decode_network(f);
}

/* An address family in the byte order of the machine that captured; v6 is 10, 24, 28 or 30. */
static void decode_null(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	uint32_t family;

	if (!skip(f, 4))
		return;
	family = bytes_get_be32(p);
	if (family > 0xffff)
		family = bytes_get_le32(p);
	f->type = family == 2                                                    ? TYPE_IPV4
		  : family == 10 || family == 24 || family == 28 || family == 30 ? TYPE_IPV6
										 : 0;
	decode_network(f);
}

static void decode_cooked(struct frame *f)
{
	const uint8_t *p = f->payload.data;
	unsigned kind;

	if (!skip(f, 16))
		return;
	kind = bytes_get_be16(p);
	f->everyone = kind == COOKED_BROADCAST || kind == COOKED_MULTICAST;
	if (bytes_get_be16(p + 4) == FRAME_MAC_BYTES)
		f->source_mac = p + 6;
	f->type = bytes_get_be16(p + 14);
	decode_network(f);
}

static void decode_cooked2(struct frame *f)
{
	const uint8_t *p = f->payload.data;

	if (!skip(f, 20))
		return;
	f->type = bytes_get_be16(p);
	f->everyone = p[10] == COOKED_BROADCAST || p[10] == COOKED_MULTICAST;
	if (p[11] == FRAME_MAC_BYTES)
		f->source_mac = p + 12;
	decode_network(f);
}

bool frame_knows_link(unsigned link)
{
	return link == FRAME_LINK_NULL || link == FRAME_LINK_ETHERNET || link == FRAME_LINK_RAW ||
	       link == FRAME_LINK_LOOP || link == FRAME_LINK_COOKED || link == FRAME_LINK_IPV4 ||
	       link == FRAME_LINK_IPV6 || link == FRAME_LINK_COOKED2;
}

void frame_decode(struct frame *f, unsigned link, struct bytes captured, size_t wire_bytes)
{
	*f = (struct frame){.payload = captured,
			    .payload_bytes = wire_bytes < captured.len ? captured.len : wire_bytes};
	switch (link) {
	case FRAME_LINK_ETHERNET:
		decode_ethernet(f);
		break;
	case FRAME_LINK_NULL:
	case FRAME_LINK_LOOP:
		decode_null(f);
		break;
	case FRAME_LINK_COOKED:
		decode_cooked(f);
		break;
	case FRAME_LINK_COOKED2:
		decode_cooked2(f);
		break;
	case FRAME_LINK_RAW:
	case FRAME_LINK_IPV4:
	case FRAME_LINK_IPV6:
		decode_raw(f);
		break;
	default:
		f->malformed = true;
	}
}

void frame_decode_whole(struct frame *f, struct bytes datagram)
{
	f->payload = datagram;
	f->payload_bytes = datagram.len;
	decode_transport(f);
}
