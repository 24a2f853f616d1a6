/* The pump moves bytes between machines and sockets: it reads, feeds, sends, holds what a machine
 * did not take and what the kernel did not take, keeps deadlines, idle times and backpressure, and
 * hands messages and events on. All connections of one service (or of one client) on one loop share
 * a pump.
 *
 *   socket ──recv──► held ──► machine ──► out ──send──► socket
 *                                     └── what is left ──► queue ──► socket
 *
 * A connection stops reading while its queue is above `queue_bytes`. At the machine's end it sends
 * all it has, closes its half, and waits a little for the peer's end, so that no reset overtakes
 * the last bytes. One thread, the loop's. */
#ifndef NET_PUMP_H
#define NET_PUMP_H

#include "net/loop.h"
#include "net/queue.h"
#include "net/tls.h"
#include "proto/machine.h"

struct pump;
struct conn;

/* Receive buffer, effects and message queue that all pumps of a loop share. */
struct pump_common;

/* Up to 128 loops: `number` makes the ids of machines on different loops differ. 0 or ERR_MEMORY.
 */
int pump_common_create(struct pump_common **common, struct loop *loop, unsigned number);
void pump_common_destroy(struct pump_common *common);

/* The number of the loop that a machine's id belongs to. */
unsigned pump_id_loop(uint64_t id);

enum pump_direction { PUMP_RECEIVED, PUMP_SENT };

/* What a pump asks of whoever owns it; each may be NULL. None may end the pump. */
struct pump_owner {
	/* A machine's event, its service filled in; the owner may add fields. */
	void (*event)(void *owner, struct event *event);
	/* A machine told OUT_HUB, OUT_OWNER or a machine on another loop. */
	void (*told)(void *owner, uint64_t from, uint64_t to, const struct message *message);
	/* A connection is gone: its id, who was there, 0 or the ERR_ that ended it. */
	void (*closed)(void *owner, uint64_t id, const struct address *remote, int why);
	/* The TLS handshake is over and the machine opened. */
	void (*secured)(void *owner, const struct conn *conn);
	/* -v: these bytes crossed the wire; under TLS, what they mean. */
	void (*wire)(void *owner, const struct conn *conn, enum pump_direction direction,
		     struct bytes b);
};

/* Bytes under TLS are counted, limited and shown as plaintext; the handshake has
 * handshake_ms, else first_byte_ms if that is less than 10 s, else 10 s. */
struct pump_limits {
	uint64_t queue_bytes;   /* above it, reading stops; 0: 256 KiB */
	uint64_t idle_ms;       /* nothing in or out; 0: no limit */
	uint64_t first_byte_ms; /* from open to the peer's first byte; 0: no limit */
	uint64_t handshake_ms;  /* of TLS; 0: see above */
	uint64_t linger_ms;     /* after our end, for the peer's; 0: 2 s */
};

struct key_digest;

struct pump_counts {
	uint64_t opened, closed, bytes_in, bytes_out;
};

struct pump_plan {
	const struct machine *machine;
	const void *settings;   /* of the machine; must outlive the pump */
	const char *service;    /* for events; static */
	const char *host;       /* for peer.host; NULL: the local address */
	enum event_level level; /* conn.open and conn.close are made at EVENT_DEBUG */
	struct pump_limits limits;
	struct tls_context *tls; /* NULL: plain. Outlives the pump */
	const char *tls_name;    /* a client's, as in tls_create */
	const struct pump_owner *owner_calls;
	void *owner;
};

/* 0 or ERR_MEMORY. The plan is copied. */
int pump_create(struct pump **pump, struct pump_common *common, const struct pump_plan *plan);

/* Ends every connection at once, without a callback, and frees the pump. */
void pump_destroy(struct pump *pump);

/* Starts the machine on a connected, non-blocking stream socket, which the pump owns from now on
 * (closed when this fails too). Under TLS the handshake comes first, the machine is opened once it
 * is over, and messages to it are lost until then. Returns the machine's id (> 1), or ERR_MEMORY,
 * ERR_FULL, ERR_SYSTEM. The machine may already be gone when this returns. */
int64_t pump_attach(struct pump *pump, int fd, const struct address *remote,
		    const struct address *local);

/* A message to a machine of this loop, delivered soon, in order; dropped when it is gone. Also
 * valid inside every callback. False when there is no memory for it. */
bool pump_tell(struct pump_common *common, uint64_t to, const struct message *message);

/* A message in a machine's name to the pump's owner (OUT_HUB), after all that it told before. */
bool pump_tell_hub(struct pump *pump, uint64_t from, const struct message *message);

/* Delivers what pump_tell queued; the loop's owner need not call it inside callbacks. */
void pump_deliver(struct pump_common *common);

/* Ends one connection: politely (its unsent output first) or at once. Inside a callback it takes
 * place when that is over. */
void pump_end(struct pump *pump, uint64_t id, int why, bool at_once);

/* Nothing more is read from a connection of this loop, until it may: for an owner that cannot take
 * what its machine would tell. What was read already is fed. Valid inside every callback. */
void pump_hold(struct pump_common *common, uint64_t id, bool hold);

/* Whether its machine has ended and all it said is sent: only the peer's end is missing, for which
 * limits.linger_ms is the patience. */
bool pump_lingers(struct pump *pump, uint64_t id);

/* Takes a connection away from its machine, which ends as by pump_end at once: returns a descriptor
 * of the caller's own for it, or ERR_LEFT (it is gone), ERR_FULL (there is unsent output, or TLS),
 * ERR_DESCRIPTORS. What has come and was not taken by then is lost. */
int pump_detach(struct pump *pump, uint64_t id);

/* Ends, at once, every connection whose peer has proven to have a key that `judge` (tls_settings)
 * lets in no more. */
void pump_judge_again(struct pump *pump, int (*judge)(void *owner, const struct key_digest *key),
		      void *owner);

/* Ends every connection that has nothing unfinished; the others are given until `boot_ns`. */
void pump_drain(struct pump *pump, uint64_t boot_ns);

/* Any thread may ask these two; what another thread counts just now may be missing. */
unsigned pump_open(const struct pump *pump);
struct pump_counts pump_counts(const struct pump *pump);

/* A connection as a dashboard shows it. */
struct pump_view {
	uint64_t id;
	struct address remote;
	uint64_t opened_ns; /* boot time */
	uint64_t bytes_in, bytes_out, queued;
};

/* Fills in up to `most` of the open ones, the newest first, and returns how many. */
unsigned pump_list(const struct pump *pump, struct pump_view *views, unsigned most);

/* Who is at the other end of a machine of this loop; false when it is gone. */
bool pump_remote(struct pump_common *common, uint64_t id, struct address *remote);

/* How many bytes of its output the peer has received, as far as its acknowledgements tell; 0 when
 * the machine is gone. */
uint64_t pump_received(struct pump_common *common, uint64_t id);

/* Of a connection, in the callbacks. */
uint64_t conn_id(const struct conn *conn);
const struct address *conn_remote(const struct conn *conn);

#endif
