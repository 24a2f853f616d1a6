/* One captured frame, from the link to the transport: who, to whom, and what the packet carries
 * (RFC 826, 791, 8200, 768, 9293, 792, 4443; link types of libpcap).
 *
 *   captured bytes ──► frame_decode ──► struct frame ──► frame_put_line ──► "DNS query A example"
 *
 * Nothing is trusted: lengths are held against what was captured, checksums are not looked at (a
 * card may fill them in later), what stands behind the packet (Ethernet's padding) is cut. */
#ifndef PROTO_FRAME_H
#define PROTO_FRAME_H

#include "base/address.h"

/* The link types that are read, by the number that capture files give them. */
enum frame_link {
	FRAME_LINK_NULL = 0,
	FRAME_LINK_ETHERNET = 1,
	FRAME_LINK_RAW = 101,
	FRAME_LINK_LOOP = 108,
	FRAME_LINK_COOKED = 113,
	FRAME_LINK_IPV4 = 228,
	FRAME_LINK_IPV6 = 229,
	FRAME_LINK_COOKED2 = 276,
};

enum frame_kind {
	FRAME_OTHER, /* neither ARP nor IP; `type` says what, where the link does */
	FRAME_ARP,
	FRAME_IP,       /* of a protocol that is none of those below; `protocol` says which */
	FRAME_FRAGMENT, /* a part of an IP datagram */
	FRAME_ICMP,
	FRAME_ICMP6,
	FRAME_UDP,
	FRAME_TCP,
};

enum frame_flag {
	FRAME_FIN = 0x01,
	FRAME_SYN = 0x02,
	FRAME_RST = 0x04,
	FRAME_PSH = 0x08,
	FRAME_ACK = 0x10,
	FRAME_URG = 0x20,
};

enum { FRAME_MAC_BYTES = 6 };

struct frame {
	uint8_t kind;     /* enum frame_kind: how far it was understood */
	uint8_t protocol; /* of IP */
	uint16_t type;    /* EtherType; 0: none */
	bool everyone;    /* broadcast or multicast */
	bool malformed;   /* a header that lies, or is not all there: what it says is left out */
	struct address source, target;          /* IP and ARP; ports of UDP and TCP */
	const uint8_t *source_mac, *target_mac; /* in the captured bytes; or NULL */
	struct bytes payload;                   /* behind the last header, as far as captured */
	size_t payload_bytes;                   /* of it on the wire: more when it was cut */

	/* ARP */
	uint16_t operation;

	/* TCP */
	uint32_t seq, ack;
	uint16_t window;
	uint8_t flags;

	/* A fragment: `payload` begins at `fragment_at` of what follows the IP header. */
	uint32_t fragment_id;
	uint32_t fragment_at;
	bool fragment_more;
};

/* Whether frames of this link type can be read. */
bool frame_knows_link(unsigned link);

/* Fills in `f` from what was captured of a frame that was `wire_bytes` long (>= captured.len, else
 * taken to be that). Pointers in `f` are into `captured`. */
void frame_decode(struct frame *f, unsigned link, struct bytes captured, size_t wire_bytes);

/* Goes on where frame_decode stopped at a fragment, now that the datagram is whole: `f` has its
 * addresses and protocol. */
void frame_decode_whole(struct frame *f, struct bytes datagram);

/* What it is, in words, on one line without its end: `ARP who has 10.0.2.2? tell 10.0.2.15`, `DNS
 * query 0x1b34 A example.org`, `TCP 45734 > 80 SYN seq 0`. With `seq_base` and `ack_base` numbers
 * of TCP are told from there on; `bytes` is the word for them. Never a control character. */
void frame_put_line(struct text *t, const struct frame *f, uint32_t seq_base, uint32_t ack_base,
		    const char *bytes);

/* `52:54:00:12:35:02`. */
void frame_put_mac(struct text *t, const uint8_t *mac);

#endif
