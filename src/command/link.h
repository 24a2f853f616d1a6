/* Connections for HTTP, for the commands that fetch: made when they are needed, directly, through a
 * proxy or through a tunnel of one, kept while idle and used again. Each holds an
 * http_client_machine (proto/http_client.h).
 *
 *   link_take ──► ready at once, or: `ready` or `failed` later ──► link_tell ... `told` ...
 *             ──► link_give (idle, for the next) or link_drop
 *
 * Eight at most stay idle. A host's address is looked up once: later connections go where the first
 * went. One thread. */
#ifndef COMMAND_LINK_H
#define COMMAND_LINK_H

#include "command/trust.h"
#include "net/dial.h"
#include "net/pump.h"
#include "proto/http_client.h"
#include "proto/url.h"

enum { LINK_KEY_BYTES = 640, LINK_KNOWN = 16 };

struct link_known {
	char host[URL_HOST_BYTES];
	struct address address;
};

/* All connections of a command. */
struct links {
	const struct command_call *call;
	struct loop *loop;
	struct work *work;
	struct pump_common *pumps;
	enum name_families families;
	uint64_t dial_ms; /* to connect within */
	const char *pin;  /* https: this key, by its fingerprint, instead of the trust store */
	bool insecure;    /* https: anybody */
	const char *agent;
	struct trust trust; /* of https, once there was one */
	struct link *first;
	unsigned known_next;
	struct link_known known[LINK_KNOWN];
};

enum link_state {
	LINK_DIALLING,
	LINK_TUNNELLING, /* a proxy was asked to CONNECT */
	LINK_SECURING,   /* TLS */
	LINK_OPEN,
	LINK_APART, /* its socket is the owner's for a while: link_part */
	LINK_DEAD,  /* to be freed */
};

/* What went wrong, and with whom. */
enum link_fault {
	LINK_OF_PEER,  /* reaching the host, or the proxy in its place */
	LINK_OF_PROXY, /* it does not tunnel: ERR_REFUSES, and link->status */
	LINK_OF_TLS,
	LINK_OF_TALK, /* after it was open */
};

struct link_calls {
	void (*ready)(void *owner);
	void (*failed)(void *owner, enum link_fault fault, int err);
	void (*told)(void *owner, const struct message *message);
};

struct link {
	struct links *links;
	struct link *next;
	char key[LINK_KEY_BYTES]; /* who may use it again */
	uint8_t state;            /* enum link_state */
	bool secure, proxied;
	bool used; /* for an exchange before this one */
	const struct link_calls *calls;
	void *owner; /* NULL: idle */

	struct url to, proxy;
	char where[URL_HOST_BYTES + 16]; /* host:port that is dialled */
	struct dial *dial;
	bool dialled_known;
	struct pump *pump;
	uint64_t id;
	int tunnel_fd;
	unsigned status; /* of the proxy's answer */
	struct wheel_timer timer;
	struct address remote, local;
	uint64_t begun_ns, secure_ns, name_ns, connect_ns, tls_ns;
};

/* 0, or the ERR_ that keeps a loop from being made. The fields up to `agent` are for the caller to
 * set after it. */
int links_begin(struct links *links, const struct command_call *call);
void links_end(struct links *links);

/* A connection for `url`, by `proxy` unless that is NULL: `(*link)->state` LINK_OPEN, or a call
 * follows. `fresh`: not one that was used. 0 or ERR_MEMORY, ... */
int link_take(struct links *links, const struct url *url, const struct url *proxy, bool fresh,
	      const struct link_calls *calls, void *owner, struct link **link);

/* What the peer has received of what was sent. */
uint64_t link_sent_bytes(const struct link *link);

/* A message to its machine, delivered before this returns unless a callback is under way. */
void link_tell(struct link *link, const struct message *message);

/* Takes the socket from its machine, which has been told nothing that is not done, until
 * link_rejoin gives it back; `fd` is the owner's until then. An ERR_ as pump_detach. Not under TLS.
 * link_rejoin is not for callbacks of a pump; false: the link is dead, `failed` was called. */
int link_part(struct link *link);
bool link_rejoin(struct link *link, int fd);

/* No call after either. */
void link_give(struct link *link);
void link_drop(struct link *link);

#endif
