/* Dial: from an endpoint to a connected socket. One name look-up for both families, addresses
 * interleaved, attempts 250 ms apart, the first that connects wins and the others are closed
 * (RFC 8305). Which to try when is a pure decision (proto/happy.h); this carries it out. */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/endpoint.h"
#include "net/loop.h"
#include "net/name.h"

struct dial;

struct dial_plan {
	struct endpoint to;
	enum name_families families;
	bool udp;              /* connect(2) a datagram socket: no packet is sent */
	uint64_t timeout_ms;   /* for the whole: name and connect; 0: 2 minutes */
	struct address source; /* to bind to; family ADDRESS_NONE: any. 0.0.0.0 or :: with a port
				* stands for both families, else only its own is tried */
};

struct dial_attempt {
	struct address to;
	int err; /* 0 when it connected; ERR_TIMEOUT when cut short */
	uint64_t took_ns;
};

struct dial_result {
	int err; /* 0; of the name (ERR_NO_NAME..., ERR_NAME_SERVER also when the time was up
		  * before it answered), or the most telling of the attempts (happy_error):
		  * ERR_REFUSED, ERR_PROHIBITED, ERR_UNREACHABLE, ERR_TIMEOUT, ERR_NO_ROUTE
		  * (this machine has addresses of the family, but only loopback's or the
		  * link's), ERR_NO_FAMILY
		  * (this machine has no address of the only family that was there to
		  * try), ERR_NO_FILE and ERR_PERMISSION (unix), ERR_NOT_LOCAL, ERR_IN_USE
		  * (source, or no port free), ERR_DESCRIPTORS, ERR_MEMORY, ... */
	int fd;  /* connected, non-blocking, close-on-exec, TCP_NODELAY; the callee owns it */
	struct address remote, local;
	unsigned attempts;
	struct dial_attempt attempt[NAME_MOST];
	const struct address *rest; /* that were not tried, in the order in which they would be */
	unsigned rest_count;
	const char *canonical; /* when it is not the name asked for, else NULL */
	uint64_t name_ns;      /* how long the name took */
};

/* Starts; `done` is called once from the loop, never from within this call; its result is valid
 * during that call. 0, ERR_MEMORY, ERR_FULL, ERR_SYSTEM (no thread to look the name up). */
int dial_start(struct loop *loop, struct work *work, const struct dial_plan *plan,
	       void (*done)(void *owner, const struct dial_result *result), void *owner,
	       struct dial **dial);

/* A datagram socket to `to`, one of such a result's `rest`, as `plan` (udp) wants it: connecting it
 * says nothing of whoever is there, so the first that is tried may be dead. Returns its descriptor,
 * as above; `*local` is its own address. Or ERR_, as above. */
int dial_datagram(const struct dial_plan *plan, const struct address *to, struct address *local);

/* Its time is up now: `done` is called, within this call, with what it was waiting for. */
void dial_expire(struct dial *dial);

/* No callback after this. Only before `done` was called. */
void dial_cancel(struct dial *dial);

#endif
