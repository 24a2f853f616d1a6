/* A connection under TLS: what stands between its socket and its machine.
 *
 *   socket ──recv──► scratch.in ──► session ──► receive ──► machine
 *   socket ◄──send── wire.out ◄── session ◄── out, and later the queue
 *
 *   CONN_SECURING ── handshake over ──► CONN_OPEN, the machine is opened; from there as plain
 *        └── refused ──► CONN_LINGERING, so that no reset overtakes the alert
 *
 * Nothing is encrypted before the kernel has taken what was: the queue holds ciphertext only in
 * front, one turn of it at most, and behind that plaintext and files as they came. Between two
 * calls nothing lies in the loop's wire. Ciphertext that comes while the machine takes nothing is
 * kept, one read of it at most, and then nothing more is read.
 *
 * Source: RFC 8446 5 (records), 6 (alerts: 6.1 on the end of data). */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>

enum {
	CONN_TLS_HANDSHAKE_MS = 10000,
	CONN_TLS_RECORD_MOST = TLS_RECORD_BYTES + 256, /* as ciphertext */
	CONN_TLS_TURN_BYTES = 1 << 20,
};

static struct conn_scratch *conn_scratch(const struct conn *c)
{
	return c->pump->common->scratch;
}

static struct queue_pool *conn_pool(const struct conn *c)
{
	return &c->pump->common->queues;
}

/* Sends the ciphertext that lies in the wire; what the kernel does not take is queued. */
static int conn_tls_flush(struct conn *c)
{
	struct tls_wire *wire = &conn_scratch(c)->wire;
	struct bytes b = bytes_of(wire->out, wire->out_len);
	ssize_t sent = 0;

	wire->out_len = 0;
	if (b.len && !queue_is_sealed(&c->queue))
		sent = conn_system_send(c->fd, b);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return err_from_errno(errno);
	return queue_put_sealed(&c->queue, conn_pool(c),
				bytes_after(b, sent > 0 ? (size_t)sent : 0));
}

/* Encrypts one record into the wire, where there is room for it. 0 or an ERR_. */
static int conn_tls_seal(struct conn *c, struct bytes b)
{
	size_t taken = 0;
	int step = tls_write(c->tls->session, b, &taken);

	if (step)
		return step < 0 ? step : ERR_TLS;
	conn_sent(c, b);
	return taken == b.len ? 0 : ERR_TLS;
}

static bool conn_tls_has_room(const struct tls_wire *wire)
{
	return sizeof wire->out - wire->out_len >= CONN_TLS_RECORD_MOST;
}

/* One record, or its plaintext into the queue when the kernel is full. */
static int conn_tls_say(struct conn *c, struct bytes b)
{
	int err = 0;

	if (!conn_tls_has_room(&conn_scratch(c)->wire))
		err = conn_tls_flush(c);
	if (err)
		return err;
	return queue_is_empty(&c->queue) ? conn_tls_seal(c, b)
					 : queue_put(&c->queue, conn_pool(c), b);
}

static int conn_tls_say_gathered(struct conn *c)
{
	struct conn_scratch *scratch = conn_scratch(c);
	struct bytes b = bytes_of(scratch->clear, scratch->clear_len);

	scratch->clear_len = 0;
	return b.len ? conn_tls_say(c, b) : 0;
}

/* Short runs of bytes are gathered into one record. */
static int conn_tls_put(struct conn *c, struct bytes b)
{
	struct conn_scratch *scratch = conn_scratch(c);
	int err = 0;

	while (b.len && !err) {
		struct bytes part = bytes_first(b, TLS_RECORD_BYTES - scratch->clear_len);

		b = bytes_after(b, part.len);
		if (part.len == TLS_RECORD_BYTES) {
			err = conn_tls_say(c, part);
			continue;
		}
		memcpy(scratch->clear + scratch->clear_len, part.data, part.len);
		scratch->clear_len += part.len;
		if (scratch->clear_len == TLS_RECORD_BYTES)
			err = conn_tls_say_gathered(c);
	}
	return err;
}

/* As much of a file as goes into the record under way; the rest waits for its turn. */
static int conn_tls_put_file(struct conn *c, const struct out_segment *s)
{
	struct conn_scratch *scratch = conn_scratch(c);
	size_t room = TLS_RECORD_BYTES - scratch->clear_len;
	size_t len = s->len < room ? s->len : room;
	ssize_t n;
	int err;

	do {
		n = pread(s->handle, scratch->clear + scratch->clear_len, len, (off_t)s->offset);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? err_from_errno(errno) : ERR_DISK;
	scratch->clear_len += (size_t)n;
	if ((size_t)n == s->len && scratch->clear_len < TLS_RECORD_BYTES)
		return 0;
	err = conn_tls_say_gathered(c);
	if (err)
		return err;
	return queue_put_file(&c->queue, conn_pool(c), s->handle, s->offset + (size_t)n,
			      s->len - (size_t)n);
}

/* Behind what waits there already nothing is encrypted yet. */
static int conn_tls_queue(struct conn *c, const struct out_segment *s)
{
	switch ((enum out_kind)s->kind) {
	case OUT_BYTES:
		return queue_put(&c->queue, conn_pool(c), bytes_of(s->data, s->len));
	case OUT_FILE:
		return queue_put_file(&c->queue, conn_pool(c), s->handle, s->offset, s->len);
	case OUT_FLUSH:
		break;
	}
	return 0;
}

static int conn_tls_put_segment(struct conn *c, const struct out_segment *s)
{
	if (!queue_is_empty(&c->queue)) {
		int err = conn_tls_say_gathered(c);

		return err ? err : conn_tls_queue(c, s);
	}
	switch ((enum out_kind)s->kind) {
	case OUT_BYTES:
		return conn_tls_put(c, bytes_of(s->data, s->len));
	case OUT_FILE:
		return s->len ? conn_tls_put_file(c, s) : 0;
	case OUT_FLUSH:
		break;
	}
	return conn_tls_say_gathered(c);
}

int conn_tls_send(struct conn *c, const struct out *out)
{
	const struct out_segment *first = &out->segment[0];
	int err = 0;

	if (out->segments == 1 && first->kind == OUT_BYTES && first->len <= TLS_RECORD_BYTES) {
		err = conn_tls_say(c, bytes_of(first->data, first->len));
	} else {
		for (unsigned i = 0; i < out->segments && !err; i++)
			err = conn_tls_put_segment(c, &out->segment[i]);
		if (!err)
			err = conn_tls_say_gathered(c);
	}
	conn_scratch(c)->clear_len = 0;
	return err ? err : conn_tls_flush(c);
}

/* Encrypts as much of the queue as a wire holds, and sends it. Returns how much, or an ERR_. */
static int64_t conn_tls_drain_turn(struct conn *c)
{
	struct conn_scratch *scratch = conn_scratch(c);
	int64_t total = 0;
	int err = 0;

	while (!queue_is_empty(&c->queue) && conn_tls_has_room(&scratch->wire)) {
		int64_t n = queue_take(&c->queue, conn_pool(c), scratch->clear, TLS_RECORD_BYTES);

		if (n < 0)
			return n;
		err = conn_tls_seal(c, bytes_of(scratch->clear, (size_t)n));
		if (err)
			return err;
		total += n;
	}
	err = conn_tls_flush(c);
	return err ? err : total;
}

int64_t conn_tls_drain(struct conn *c)
{
	int64_t total = queue_send_sealed(&c->queue, conn_pool(c), c->fd);

	while (total >= 0 && total < CONN_TLS_TURN_BYTES && !queue_is_empty(&c->queue) &&
	       !queue_is_sealed(&c->queue)) {
		int64_t n = conn_tls_drain_turn(c);

		total = n < 0 ? n : total + n;
	}
	return total;
}

int conn_tls_end(struct conn *c)
{
	int step;

	if (c->tls->ended)
		return 0;
	c->tls->ended = true;
	step = tls_end(c->tls->session);
	return step < 0 ? step : conn_tls_flush(c);
}

int conn_tls_close(struct conn *c, int why)
{
	struct conn_tls *t = c->tls;

	/* An end that is meant is said, if it can be said at once: the peer should know that
	 * nothing is missing. */
	if (c->state == CONN_OPEN && queue_is_empty(&c->queue) &&
	    (why == 0 || why == ERR_DRAINED || why == ERR_IDLE))
		conn_tls_end(c);
	conn_scratch(c)->wire.out_len = 0;
	conn_scratch(c)->wire.in = bytes_of(NULL, 0);
	conn_scratch(c)->clear_len = 0;
	if (t->why)
		why = t->why;
	tls_free(t->session);
	free(t->sealed);
	free(t);
	c->tls = NULL;
	return why;
}

const char *conn_tls_key(const struct conn *c, char text[static KEYS_FINGERPRINT_BYTES])
{
	struct text t = text_over(text, KEYS_FINGERPRINT_BYTES);
	struct key_digest key;

	if (!tls_peer(c->tls->session, &key))
		return NULL;
	keys_put_fingerprint(&t, &key);
	return text;
}

int conn_tls_judge(const struct conn *c, int (*judge)(void *owner, const struct key_digest *key),
		   void *owner)
{
	struct key_digest key;

	return c->tls && tls_peer(c->tls->session, &key) ? judge(owner, &key) : 0;
}

/* The handshake. */

static struct event *conn_tls_event(struct conn *c, enum event_level level, const char *type)
{
	struct event *e = &c->pump->common->out.event[0];
	char key[KEYS_FINGERPRINT_BYTES];
	const char *shown = conn_tls_key(c, key);

	event_init(e, level, type, c->pump->plan.service, conn_now(c)->wall_us);
	event_address(e, "peer", &c->remote);
	if (shown)
		event_string(e, "fingerprint", shown);
	return e;
}

/* One that only looks whether somebody listens is not worth a line. */
static void conn_tls_tell_refused(struct conn *c, int why)
{
	struct event *e;

	if (tls_is_client(c->pump->plan.tls) || !c->pump->calls.event)
		return;
	if (why == ERR_LEFT && c->pump->plan.level > EVENT_DEBUG)
		return;
	e = conn_tls_event(c, why == ERR_LEFT ? EVENT_DEBUG : EVENT_NOTICE, "tls.refused");
	event_string(e, "why", err_name(why));
	if (why == ERR_TLS && tls_reason(c->tls->session)[0])
		event_string(e, "detail", tls_reason(c->tls->session));
	conn_event(c, e);
}

static void conn_tls_tell_open(struct conn *c)
{
	struct event *e;

	if (c->pump->plan.level > EVENT_DEBUG || !c->pump->calls.event)
		return;
	e = conn_tls_event(c, EVENT_DEBUG, "tls.open");
	event_string(e, "version", tls_version(c->tls->session));
	event_string(e, "cipher", tls_cipher(c->tls->session));
	conn_event(c, e);
}

/* An alert may lie in the wire. A server that closed at once, with bytes of the peer's unread,
 * would reset the connection, and the alert would be lost. */
static bool conn_tls_refuse(struct conn *c, int why)
{
	if (c->state == CONN_SECURING)
		conn_tls_tell_refused(c, why);
	if (conn_tls_flush(c) < 0 || c->state != CONN_SECURING ||
	    tls_is_client(c->pump->plan.tls)) {
		conn_close(c, why);
		return false;
	}
	c->tls->why = why;
	c->tls->ended = true;
	shutdown(c->fd, SHUT_WR);
	queue_clear(&c->queue, conn_pool(c));
	c->state = CONN_LINGERING;
	c->quiet_since_ns = conn_now(c)->boot_ns;
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

uint64_t conn_tls_due_ns(const struct conn *c)
{
	uint64_t limit_ms = c->pump->plan.limits.first_byte_ms;

	if (!limit_ms || limit_ms > CONN_TLS_HANDSHAKE_MS)
		limit_ms = CONN_TLS_HANDSHAKE_MS;
	if (c->pump->plan.limits.handshake_ms)
		limit_ms = c->pump->plan.limits.handshake_ms;
	return c->tls->since_ns + limit_ms * MOMENT_MS;
}

bool conn_tls_late(struct conn *c)
{
	conn_tls_tell_refused(c, ERR_TIMEOUT);
	conn_close(c, ERR_TIMEOUT);
	return false;
}

bool conn_tls_start(struct conn *c, const struct address *local)
{
	const struct pump_plan *plan = &c->pump->plan;
	struct conn_tls *t = calloc(1, sizeof *t);
	int err = t ? tls_create(&t->session, plan->tls, &conn_scratch(c)->wire, -1, plan->tls_name)
		    : ERR_MEMORY;

	if (err) {
		free(t);
		conn_close(c, err);
		return false;
	}
	t->local = *local;
	t->since_ns = c->opened_ns;
	c->tls = t;
	c->state = CONN_SECURING;
	c->wants_room = tls_is_client(plan->tls); /* it speaks first, in the loop's next turn */
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

/* A step of the handshake. False when it is not over; `*stands` is false when the connection is
 * gone. */
static bool conn_tls_shake(struct conn *c, bool *stands)
{
	int step = tls_handshake(c->tls->session);

	if (step) {
		if (step == TLS_READS)
			return false;
		*stands = conn_tls_refuse(c, step == TLS_ENDED ? ERR_LEFT : step);
		return false;
	}
	c->state = CONN_OPEN;
	conn_tls_tell_open(c);
	*stands = c->opened || conn_begin(c, &c->tls->local);
	if (*stands && c->pump->calls.secured)
		c->pump->calls.secured(c->pump->plan.owner, c);
	return *stands;
}

/* What came. */

/* Keeps what the session has not read. False when there is no memory, and it is gone. */
static bool conn_tls_keep(struct conn *c)
{
	return conn_keep(c, &c->tls->sealed, conn_scratch(c)->wire.in);
}

/* Reads plaintext into the receive buffer behind what is held: for a machine without framing one
 * record, or a part of it. Returns the last step, `*len` bytes. */
static int conn_tls_open_records(struct conn *c, size_t held, size_t *len)
{
	bool chunk = c->pump->plan.machine->chunk;
	size_t most = chunk ? MACHINE_CHUNK_BYTES : PUMP_RECEIVE_BYTES - held;
	int step;

	*len = 0;
	do {
		size_t got = 0;

		step = tls_read(c->tls->session, c->pump->common->receive + held + *len,
				most - *len, &got);
		*len += got;
	} while (!step && !chunk && *len < most);
	return step;
}

static bool conn_tls_feed(struct conn *c, size_t held, size_t len)
{
	uint8_t *receive = c->pump->common->receive;

	c->bytes_in += len;
	count_add(&c->pump->counts.bytes_in, len);
	if (c->pump->calls.wire)
		c->pump->calls.wire(c->pump->plan.owner, c, PUMP_RECEIVED,
				    bytes_of(receive + held, len));
	if (held)
		memcpy(receive, c->held->data, held);
	return conn_feed(c, bytes_of(receive, held + len));
}

/* Feeds the machine what lies in wire.in, as far as it takes it. */
static bool conn_tls_take(struct conn *c)
{
	while (c->state == CONN_OPEN && !c->stalled) {
		size_t len, held = c->held ? c->held->len : 0;
		int step = conn_tls_open_records(c, held, &len);

		if (len && !conn_tls_feed(c, held, len))
			return false;
		if (step < 0)
			return conn_tls_refuse(c, step);
		if (c->stalled)
			break;
		if (step == TLS_ENDED && !conn_got_eof(c))
			return false;
		if (step)
			return true;
	}
	return c->state != CONN_OPEN || conn_tls_keep(c);
}

/* One turn: the handshake first, then the machine; at last what there is to say to the peer. */
static bool conn_tls_turn(struct conn *c)
{
	bool stands = true;
	int err;

	if (c->state != CONN_SECURING || conn_tls_shake(c, &stands))
		stands = conn_tls_take(c);
	if (!stands)
		return false;
	conn_scratch(c)->wire.in = bytes_of(NULL, 0);
	err = conn_tls_flush(c);
	if (!err)
		return true;
	conn_close(c, err);
	return false;
}

bool conn_tls_resume(struct conn *c)
{
	struct conn_held *kept = c->tls->sealed;
	bool stands;

	c->wants_room = c->wants_room && c->state != CONN_SECURING;
	c->tls->sealed = NULL;
	conn_scratch(c)->wire.in = kept ? bytes_of(kept->data, kept->len) : bytes_of(NULL, 0);
	stands = conn_tls_turn(c);
	free(kept);
	return stands;
}

/* The end of the stream, which close_notify should have said before. */
static bool conn_tls_got_end(struct conn *c)
{
	if (c->state == CONN_LINGERING)
		return conn_got_eof(c);
	if (c->state == CONN_SECURING)
		conn_tls_tell_refused(c, ERR_LEFT);
	conn_close(c, ERR_LEFT);
	return false;
}

bool conn_tls_read(struct conn *c)
{
	struct conn_scratch *scratch = conn_scratch(c);
	ssize_t n = conn_system_recv(c->fd, scratch->in, sizeof scratch->in);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		conn_close(c, c->state == CONN_LINGERING ? 0 : err_from_errno(errno));
		return false;
	}
	if (n == 0)
		return conn_tls_got_end(c);
	if (c->state == CONN_LINGERING)
		return true;
	c->quiet_since_ns = conn_now(c)->boot_ns;
	scratch->wire.in = bytes_of(scratch->in, (size_t)n);
	return conn_tls_turn(c);
}
