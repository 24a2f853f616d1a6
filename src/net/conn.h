/* What net/pump.c and net/conn.c share: the connection and its pump. Private to the two. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "net/pump.h"

#include "base/slab.h"

enum { PUMP_RECEIVE_BYTES = 65536, PUMP_TELL_BODY_BYTES = 256 };

enum conn_state {
	CONN_OPEN,
	CONN_ENDING,    /* the machine is done, its output is not all sent */
	CONN_LINGERING, /* our half is closed, the peer's not yet */
};

struct conn_held {
	size_t len;
	uint8_t data[];
};

/* One connection: about 170 bytes and its machine's state; nothing else while it is idle. What each
 * request touches stands first, in two lines of the cache. */
struct conn {
	struct pump *pump;
	int fd;
	uint8_t state;    /* enum conn_state */
	uint8_t interest; /* LOOP_ bits that are registered */
	bool eof_seen : 1, eof_told : 1;
	bool stalled : 1;    /* `held` waits for room in the output, not for more input */
	bool wants_room : 1; /* the machine has more to say */
	struct queue queue;
	struct conn_held *held;  /* input that the machine did not take, or NULL */
	uint64_t quiet_since_ns; /* last byte in or out */
	uint64_t bytes_in, bytes_out;
	struct wheel_timer timer; /* armed for the earliest of what may fall due, or earlier */
	uint64_t deadline_ns;     /* the machine's, or MOMENT_NEVER */
	int64_t registration;
	uint64_t opened_ns;
	struct conn *next, **link; /* all of the pump's */
	struct address remote;
	_Alignas(16) uint8_t machine[];
};

/* A message on its way to a machine, a hub or an owner. */
struct pump_mail {
	struct pump_mail *next;
	struct pump *from_pump; /* NULL: pump_tell, pump_end */
	bool end, at_once;      /* no message: end the connection; `why` */
	int why;
	uint64_t from, to;
	struct message message;
	uint8_t *long_body; /* allocated, when it does not fit in `body` */
	uint8_t body[PUMP_TELL_BODY_BYTES];
};

struct pump_common {
	struct loop *loop;
	unsigned number;
	bool busy; /* a machine or an owner is at work: messages wait */
	struct queue_pool queues;
	struct slab mails;
	struct pump_mail *mail_head, *mail_tail;
	struct out out;
	uint8_t receive[PUMP_RECEIVE_BYTES + MACHINE_CHUNK_BYTES];
};

struct pump {
	struct pump_common *common;
	struct pump_plan plan;
	struct pump_owner calls;
	struct slab slab;
	struct conn *first;
	struct pump_counts counts;
	bool draining;
	uint64_t drain_until_ns;
	struct wheel_timer drain_timer;
};

/* The handler of every connection's registration; its owner is the struct conn. */
void conn_ready(void *owner, unsigned events);

/* Opens the machine of a conn that is registered and filled in. False when it is already gone. */
bool conn_open(struct conn *c, const struct address *local);

/* Hands the machine a message. False when the conn is gone afterwards. */
bool conn_tell(struct conn *c, const struct message *message);

/* The machine will not be called again; what is queued is sent, then our half is closed. False when
 * the conn is gone. */
bool conn_finish(struct conn *c);

/* Gone now: the machine's close, the descriptor, the memory, the owner's callback. */
void conn_close(struct conn *c, int why);

/* Whether a stopping service should wait for it. */
bool conn_is_busy(const struct conn *c);

/* Queues a message; see pump_tell. */
bool pump_post(struct pump_common *common, struct pump *from_pump, uint64_t from, uint64_t to,
	       const struct message *message);

#endif
