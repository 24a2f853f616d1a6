/* UDP manners: which datagrams get no answer, so that no service of ours can be made to
 * talk to itself, to another small service, or to a victim whose address was forged. Pure. */
#ifndef PROTO_MANNERS_H
#define PROTO_MANNERS_H

#include "base/address.h"
#include "base/moment.h"

enum {
	MANNERS_SOURCES = 1024, /* sources remembered at a time, a power of two */
	MANNERS_OWN_PORTS_MOST = 64,
	MANNERS_SLACK_BYTES = 64, /* an answer may be this much longer than its request */
};

/* One source's token bucket (RFC 2697's single rate without colours). */
struct manners_source {
	uint8_t ip[16];
	uint8_t family;
	uint64_t full_ns; /* when it will be full again; more than burst ahead of now: empty */
};

struct manners {
	uint64_t rate; /* answers a second and source; 0: no limit */
	uint64_t burst;
	bool any_length; /* the operator lets answers be longer than requests */
	unsigned own_ports;
	uint16_t own_port[MANNERS_OWN_PORTS_MOST];
	uint64_t salt; /* random: which sources share a place cannot be foreseen */
	struct manners_source source[MANNERS_SOURCES];
};

enum manners_verdict {
	MANNERS_ANSWER,
	MANNERS_SMALL_SERVICE, /* the source port is a small service's or one of ours */
	MANNERS_TOO_FAST,
};

/* Whether `port` is a well-known small service's: 7 13 17 19 37 53 123 161 389 1900 5353 11211, or
 * 0, to which nothing can be sent. */
bool manners_is_small_service(uint16_t port);

/* Adds one of our own UDP ports; over the limit it is left out and false. */
bool manners_own(struct manners *m, uint16_t port);

/* May a datagram from `from` be answered? Takes a token when it may. Loopback is exempt from the
 * rate, not from the ports. `now` may lie a little before that of the call before: loops that ask
 * the same manners have clocks of their own. A bucket never gives more for it. */
enum manners_verdict manners_ask(struct manners *m, const struct address *from,
				 const struct moment *now);

/* Whether an answer of `answer_bytes` to `request_bytes` is allowed. */
bool manners_length(const struct manners *m, size_t request_bytes, size_t answer_bytes);

#endif
