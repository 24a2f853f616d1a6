/* What net/pump.c, net/conn.c, net/conn_life.c and net/conn_tls.c share: the connection and its
 * pump. Private to them. */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "net/pump.h"

#include "base/count.h"
#include "base/slab.h"
#include "net/tls.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PUMP_RECEIVE_BYTES = 65536, PUMP_TELL_BODY_BYTES = 256 };

enum conn_state {
	CONN_OPEN,
	CONN_ENDING,    /* the machine is done, its output is not all sent */
	CONN_LINGERING, /* our half is closed, the peer's not yet */
	CONN_SECURING,  /* before all: the TLS handshake, of which the machine sees nothing */
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
	uint8_t interest; /* LOOP_ bits that are registered: up to date when nobody is at work */
	bool eof_seen : 1, eof_told : 1;
	bool stalled : 1;    /* `held` waits for room in the output, not for more input */
	bool wants_room : 1; /* the machine has more to say */
	bool opened : 1;     /* the machine is */
	bool on_hold : 1;    /* its owner wants nothing more to be read (pump_hold) */
	struct queue queue;
	struct conn_held *held;  /* input that the machine did not take, or NULL */
	struct conn_tls *tls;    /* NULL: plain */
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

/* What a connection under TLS has besides. */
struct conn_tls {
	struct tls *session;
	struct conn_held
		*sealed; /* ciphertext that came while the machine takes nothing, or NULL */
	struct address local;
	uint64_t since_ns; /* when the handshake began */
	bool ended;        /* our close_notify is said */
	int why;           /* ERR_: it is refused, and lingers for the alert's sake */
};

/* What connections of a loop that are under TLS have in common. */
struct conn_scratch {
	struct tls_wire wire;
	uint8_t in[TLS_IN_BYTES];
	uint8_t clear[TLS_RECORD_BYTES];
	size_t clear_len; /* gathered for a record */
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

enum { PUMP_CLOSING = 16 };

/* Here and in struct pump, too, what each request touches stands first. */
struct pump_common {
	struct loop *loop;
	const struct moment *now; /* the loop's */
	struct pump_mail *mail_head, *mail_tail;
	unsigned closings;
	bool busy; /* a machine or an owner is at work: messages wait */
	struct out out;
	unsigned number;
	struct queue_pool queues;
	struct slab mails;
	int closing[PUMP_CLOSING];    /* descriptors, once messages are delivered */
	struct conn_scratch *scratch; /* NULL until a pump with TLS is made */
	uint8_t receive[PUMP_RECEIVE_BYTES + MACHINE_CHUNK_BYTES];
};

/* struct pump_counts, under way. */
struct pump_counting {
	struct count opened, closed, bytes_in, bytes_out;
};

struct pump {
	struct pump_common *common;
	struct pump_counting counts;
	bool draining;
	struct pump_owner calls;
	struct pump_plan plan;
	struct slab slab;
	struct conn *first;
	uint64_t drain_until_ns;
	struct wheel_timer drain_timer;
};

/* Closes it, once what waits to be delivered is: to close a connection is work of the kernel's, the
 * peer's side included when that is on this machine. */
void pump_give_up(struct pump_common *common, int fd);

/* The handler of every connection's registration; its owner is the struct conn. */
void conn_ready(void *owner, unsigned events);

/* recv(2) and send(2) as the kernel has them. The C library's are points of cancellation, which
 * cost four locked instructions a request and which nobody here uses. */
static inline ssize_t conn_system_recv(int fd, void *data, size_t len)
{
	return syscall(SYS_recvfrom, fd, data, len, MSG_DONTWAIT, NULL, NULL);
}

static inline ssize_t conn_system_send(int fd, struct bytes b)
{
	return syscall(SYS_sendto, fd, b.data, b.len, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}

static inline struct loop *conn_loop(const struct conn *c)
{
	return c->pump->common->loop;
}

static inline const struct moment *conn_now(const struct conn *c)
{
	return c->pump->common->now;
}

static inline const struct machine *conn_machine(const struct conn *c)
{
	return c->pump->plan.machine;
}

/* The kernel took `b`. */
static inline void conn_sent(struct conn *c, struct bytes b)
{
	c->bytes_out += b.len;
	count_add(&c->pump->counts.bytes_out, b.len);
	c->quiet_since_ns = conn_now(c)->boot_ns;
	if (c->pump->calls.wire)
		c->pump->calls.wire(c->pump->plan.owner, c, PUMP_SENT, b);
}

/* Opens the machine of a conn that is registered and filled in, under TLS once the handshake is
 * over. False when it is already gone. */
bool conn_open(struct conn *c, const struct address *local);

/* Hands the machine a message. False when the conn is gone afterwards. */
bool conn_tell(struct conn *c, const struct message *message);

/* Tells the machine that its service stops. The conn may be gone afterwards. */
void conn_drain(struct conn *c);

/* Steps of a connection's life that net/conn_tls.c takes too. Each bool: false when it is gone. */
bool conn_begin(struct conn *c, const struct address *local);
bool conn_feed(struct conn *c, struct bytes in);
/* Keeps a copy of `in`, which may lie in `*where` itself, in its place; none when it is empty. */
bool conn_keep(struct conn *c, struct conn_held **where, struct bytes in);
bool conn_got_eof(struct conn *c);
void conn_event(struct conn *c, struct event *e);
void conn_set_interest(struct conn *c);

/* net/conn_life.c: how long it lasts. */

/* `conn.open` or `conn.close`, where the service's level lets it be seen. */
void conn_lifecycle_event(struct conn *c, const char *type, int why);

/* When something may fall due: the machine's deadline, the limits, the end of lingering. */
uint64_t conn_due_ns(const struct conn *c);

/* Sees to it that the timer fires then, or earlier. */
void conn_arm(struct conn *c);

/* The machine will not be called again; what is queued is sent, then our half is closed. False when
 * the conn is gone. */
bool conn_finish(struct conn *c);

/* The machine is done and all it said is sent: closes our half. False when the conn is gone. */
bool conn_shut(struct conn *c);

/* Gone now: the machine's close, the descriptor, the memory, the owner's callback. */
void conn_close(struct conn *c, int why);

/* The peer has asked for something that is not yet answered in full. */
bool conn_is_engaged(const struct conn *c);

/* Whether a stopping service should wait for it. */
bool conn_is_busy(const struct conn *c);

/* net/conn_tls.c: what is different under TLS. */

/* Before the machine is opened. `name` as in tls_create. False when it is gone. */
bool conn_tls_start(struct conn *c, const struct address *local);

/* The socket can be read; a handshake of ours is to begin; the machine takes again what came. */
bool conn_tls_read(struct conn *c);
bool conn_tls_resume(struct conn *c);

/* Sends what `out` gathered; 0 or an ERR_. */
int conn_tls_send(struct conn *c, const struct out *out);

/* As queue_send: sends what waits. */
int64_t conn_tls_drain(struct conn *c);

/* Says close_notify, once; some of it may be left in the queue. 0 or an ERR_. */
int conn_tls_end(struct conn *c);

/* Until when the handshake may last; and that it has lasted too long. */
uint64_t conn_tls_due_ns(const struct conn *c);
bool conn_tls_late(struct conn *c);

/* Frees it. Returns why the connection ended, which may be older than `why`. */
int conn_tls_close(struct conn *c, int why);

/* The fingerprint of the key that the peer has proven to have, in `text`; NULL: none. */
const char *conn_tls_key(const struct conn *c, char text[static KEYS_FINGERPRINT_BYTES]);

/* What `judge` says of the peer's key; 0 when there is none. */
int conn_tls_judge(const struct conn *c, int (*judge)(void *owner, const struct key_digest *key),
		   void *owner);

/* Queues a message; see pump_tell. */
bool pump_post(struct pump_common *common, struct pump *from_pump, uint64_t from, uint64_t to,
	       const struct message *message);

#endif
