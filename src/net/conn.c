/* What passes between a socket and its machine: where a machine is opened, fed and told, and what
 * it wanted is carried out. When a connection is late or over is net/conn_life.c's; under TLS
 * net/conn_tls.c stands between socket and machine.
 *
 * Every function that may end the connection returns whether it still stands; a caller that gets
 * false touches it no more. */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>

enum { CONN_IOV_MOST = OUT_SEGMENTS };

static bool conn_may_read(const struct conn *c)
{
	if (c->eof_seen || c->stalled || c->state == CONN_ENDING)
		return false;
	if (c->on_hold && c->state == CONN_OPEN)
		return false;
	return c->state == CONN_LINGERING || c->queue.bytes < c->pump->plan.limits.queue_bytes;
}

/* Open, plain, nothing held and, as its interest tells, nothing that waits to be sent and nothing
 * that keeps it from being read: how most requests find it. */
static inline bool conn_is_at_rest(const struct conn *c)
{
	return c->state == CONN_OPEN && c->interest == LOOP_READ && !c->held && !c->tls;
}

void conn_set_interest(struct conn *c)
{
	unsigned interest = (conn_may_read(c) ? LOOP_READ : 0) |
			    (queue_is_empty(&c->queue) && !c->wants_room ? 0 : LOOP_WRITE);

	if (interest == c->interest)
		return;
	c->interest = (uint8_t)interest;
	loop_change(conn_loop(c), c->registration, interest);
}

/* Sends segments [from, to) in one call, so that a file that follows shares its first packet; what
 * the kernel does not take is queued. 0 or an error. */
static int conn_send_run(struct conn *c, const struct out *out, unsigned from, unsigned to)
{
	struct iovec iov[CONN_IOV_MOST];
	struct msghdr message = {.msg_iov = iov, .msg_iovlen = to - from};
	bool file_next = to < out->segments && out->segment[to].kind == OUT_FILE;
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (file_next ? MSG_MORE : 0);
	ssize_t sent = 0;

	for (unsigned i = from; i < to; i++)
		iov[i - from] = (struct iovec){(void *)(uintptr_t)out->segment[i].data,
					       out->segment[i].len};
	if (queue_is_empty(&c->queue))
		sent = to - from == 1 ? send(c->fd, iov[0].iov_base, iov[0].iov_len, flags)
				      : sendmsg(c->fd, &message, flags);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return err_from_errno(errno);
	for (unsigned i = from; i < to; i++) {
		struct bytes b = bytes_of(out->segment[i].data, out->segment[i].len);
		size_t done = sent < 0 ? 0 : (size_t)sent < b.len ? (size_t)sent : b.len;

		if (done)
			conn_sent(c, bytes_first(b, done));
		sent -= (ssize_t)done;
		if (done < b.len &&
		    queue_put(&c->queue, &c->pump->common->queues, bytes_after(b, done)) < 0)
			return ERR_MEMORY;
	}
	return 0;
}

/* The kernel took `sent` of `b` (or -1): the rest is queued. 0 or an error. */
static int conn_queue_rest(struct conn *c, struct bytes b, ssize_t sent)
{
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return err_from_errno(errno);
	if (sent > 0)
		conn_sent(c, bytes_first(b, (size_t)sent));
	return queue_put(&c->queue, &c->pump->common->queues,
			 bytes_after(b, sent > 0 ? (size_t)sent : 0));
}

/* One run of bytes and nothing that waits: what nearly every short answer is. */
static inline int conn_send_one(struct conn *c, struct bytes b)
{
	ssize_t sent = conn_system_send(c->fd, b);

	if (sent < (ssize_t)b.len)
		return conn_queue_rest(c, b, sent);
	conn_sent(c, b);
	return 0;
}

/* Bytes of a file; what the kernel does not take at once is queued. */
static int conn_send_file(struct conn *c, const struct out_segment *s)
{
	int64_t sent = 0;

	if (queue_is_empty(&c->queue))
		sent = queue_send_file(c->fd, s->handle, s->offset, s->len);
	if (sent < 0)
		return (int)sent;
	c->bytes_out += (uint64_t)sent;
	count_add(&c->pump->counts.bytes_out, (uint64_t)sent);
	c->quiet_since_ns = conn_now(c)->boot_ns;
	return queue_put_file(&c->queue, &c->pump->common->queues, s->handle,
			      s->offset + (uint64_t)sent, s->len - (uint64_t)sent);
}

/* Sends what `out` gathered, a run of byte segments a call. 0 or an error. */
static int conn_send(struct conn *c, const struct out *out)
{
	unsigned from = 0;

	if (out->segments == 1 && out->segment[0].kind == OUT_BYTES && queue_is_empty(&c->queue))
		return conn_send_one(c, bytes_of(out->segment[0].data, out->segment[0].len));
	for (unsigned i = 0; i <= out->segments; i++) {
		const struct out_segment *segment = &out->segment[i];
		int err = 0;

		if (i < out->segments && segment->kind == OUT_BYTES)
			continue;
		if (i > from)
			err = conn_send_run(c, out, from, i);
		if (!err && i < out->segments && segment->kind == OUT_FILE)
			err = conn_send_file(c, segment);
		if (err)
			return err;
		from = i + 1;
	}
	return 0;
}

/* What is borrowed cannot wait for its turn. */
static void conn_told(struct conn *c, const struct out_tell *tell)
{
	struct pump *pump = c->pump;

	if (!tell->borrowed)
		pump_post(pump->common, pump, conn_id(c), tell->to, &tell->message);
	else if (pump->calls.told)
		pump->calls.told(pump->plan.owner, conn_id(c), tell->to, &tell->message);
}

/* Carries out what the machine wanted. False when the connection is gone. */
static bool conn_settle(struct conn *c)
{
	struct out *out = &c->pump->common->out;
	int err = 0;

	for (unsigned i = 0; i < out->events; i++)
		conn_event(c, &out->event[i]);
	for (unsigned i = 0; i < out->tells; i++)
		conn_told(c, &out->tell[i]);
	if (out->deadline_set)
		c->deadline_ns = out->deadline_ns;
	c->wants_room = c->wants_room || out->tight || out->more;
	if (out->segments)
		err = c->tls ? conn_tls_send(c, out) : conn_send(c, out);
	if (err || out->abort_why) {
		conn_close(c, err ? err : out->abort_why);
		return false;
	}
	if (out->end)
		return conn_finish(c);
	if (out->deadline_set || !wheel_is_armed(&c->timer))
		conn_arm(c);
	return true;
}

/* Readies the loop's `out` for a call of a verb. */
static struct out *conn_out(struct conn *c)
{
	struct out *out = &c->pump->common->out;
	uint64_t most = c->pump->plan.limits.queue_bytes;

	out_reset(out, c->queue.bytes < most ? most - c->queue.bytes : 0);
	return out;
}

bool conn_keep(struct conn *c, struct conn_held **where, struct bytes in)
{
	struct conn_held *held = NULL;

	if (in.len) {
		held = malloc(sizeof *held + in.len);
		if (!held) {
			conn_close(c, ERR_MEMORY);
			return false;
		}
		held->len = in.len;
		memcpy(held->data, in.data, in.len);
	}
	free(*where);
	*where = held;
	return true;
}

static inline size_t conn_feed_once(struct conn *c, struct bytes in)
{
	return conn_machine(c)->feed(c->machine, in, conn_out(c), conn_now(c));
}

/* Carries out what a feed of `in` brought. The machine is called again at once while it stops only
 * for lack of room in `out` and the kernel takes what it says. */
static bool conn_fed(struct conn *c, struct bytes in, size_t taken)
{
	struct out *out = &c->pump->common->out;
	bool waits;

	for (;;) {
		in = bytes_after(in, taken);
		waits = out->tight || out->more || out->pause;
		if (in.len > conn_machine(c)->hold_bytes && !waits && !out->end && !out->abort_why)
			out_abort(out, ERR_TOO_LONG);
		if (!conn_settle(c))
			return false;
		if (!in.len || !taken || !out->tight || !queue_is_empty(&c->queue) || out->end)
			break;
		taken = conn_feed_once(c, in);
	}
	if (c->state != CONN_OPEN)
		in.len = 0;
	c->stalled = in.len && waits;
	return in.len || c->held ? conn_keep(c, &c->held, in) : true;
}

bool conn_feed(struct conn *c, struct bytes in)
{
	return conn_fed(c, in, conn_feed_once(c, in));
}

static bool conn_tell_eof(struct conn *c)
{
	c->eof_told = true;
	if (!conn_machine(c)->eof)
		return conn_finish(c);
	conn_machine(c)->eof(c->machine, conn_out(c), conn_now(c));
	return conn_settle(c);
}

/* The peer's end is told once nothing that came before it waits for room. */
bool conn_got_eof(struct conn *c)
{
	c->eof_seen = true;
	if (c->state == CONN_LINGERING) {
		conn_close(c, 0);
		return false;
	}
	return c->state == CONN_OPEN && !c->stalled ? conn_tell_eof(c) : true;
}

/* A read that brought nothing: there was nothing, an error, or the peer's end. */
static bool conn_read_nothing(struct conn *c, ssize_t n)
{
	if (n == 0)
		return conn_got_eof(c);
	if (errno == EAGAIN || errno == EINTR)
		return true;
	conn_close(c, c->state == CONN_LINGERING ? 0 : err_from_errno(errno));
	return false;
}

static inline void conn_received(struct conn *c, struct bytes b)
{
	c->bytes_in += b.len;
	count_add(&c->pump->counts.bytes_in, b.len);
	if (c->pump->calls.wire)
		c->pump->calls.wire(c->pump->plan.owner, c, PUMP_RECEIVED, b);
}

/* How much a read may bring behind the `held` bytes that stand before it. */
static inline size_t conn_read_most(const struct conn *c, size_t held)
{
	return conn_machine(c)->chunk ? MACHINE_CHUNK_BYTES : PUMP_RECEIVE_BYTES - held;
}

/* One read: what is held stands before it in the receive buffer. False when the connection is gone.
 */
static bool conn_read(struct conn *c)
{
	uint8_t *receive = c->pump->common->receive;
	size_t held = c->held ? c->held->len : 0;
	ssize_t n;

	if (c->tls)
		return conn_tls_read(c);
	n = conn_system_recv(c->fd, receive + held, conn_read_most(c, held));
	if (n <= 0)
		return conn_read_nothing(c, n);
	conn_received(c, bytes_of(receive + held, (size_t)n));
	if (c->state == CONN_LINGERING)
		return true;
	c->quiet_since_ns = conn_now(c)->boot_ns;
	if (held)
		memcpy(receive, c->held->data, held);
	return conn_feed(c, bytes_of(receive, held + (size_t)n));
}

/* Output has drained below half the mark: the machine goes on, then what was held is fed again. */
static bool conn_room(struct conn *c)
{
	const struct machine *machine = conn_machine(c);

	c->wants_room = false;
	if (machine->room) {
		machine->room(c->machine, conn_out(c), conn_now(c));
		if (!conn_settle(c))
			return false;
	}
	if (c->state == CONN_OPEN && c->stalled) {
		struct bytes in = bytes_of(c->held->data, c->held->len);

		memcpy(c->pump->common->receive, in.data, in.len);
		in.data = c->pump->common->receive;
		if (!conn_feed(c, in))
			return false;
	}
	if (c->tls && c->state == CONN_OPEN && !c->stalled && !conn_tls_resume(c))
		return false;
	if (c->state == CONN_OPEN && c->eof_seen && !c->eof_told && !c->stalled)
		return conn_tell_eof(c);
	return true;
}

static bool conn_write(struct conn *c)
{
	uint64_t low = c->pump->plan.limits.queue_bytes / 2;
	int64_t sent = c->tls ? conn_tls_drain(c)
			      : queue_send(&c->queue, &c->pump->common->queues, c->fd);

	if (sent < 0) {
		conn_close(c, (int)sent);
		return false;
	}
	if (!c->tls) {
		c->bytes_out += (uint64_t)sent;
		count_add(&c->pump->counts.bytes_out, (uint64_t)sent);
	}
	if (c->state == CONN_SECURING && c->wants_room)
		return conn_tls_resume(c);
	if (sent)
		c->quiet_since_ns = conn_now(c)->boot_ns;
	if (c->state == CONN_ENDING && queue_is_empty(&c->queue))
		return conn_shut(c);
	if (c->state == CONN_OPEN && (c->wants_room || c->stalled) && c->queue.bytes <= low &&
	    (!c->pump->draining || conn_is_engaged(c)))
		return conn_room(c);
	return true;
}

static bool conn_after(struct conn *c)
{
	if (c->pump->draining && !conn_is_busy(c)) {
		conn_close(c, ERR_DRAINED);
		return false;
	}
	conn_set_interest(c);
	return true;
}

/* While a connection is at work messages wait: one that ended it here would pull it from under our
 * feet, and a machine entered now would find the loop's `out` in use. */
static bool conn_enter(struct pump_common *common)
{
	bool was_busy = common->busy;

	common->busy = true;
	return was_busy;
}

static void conn_leave(struct pump_common *common, bool was_busy)
{
	common->busy = was_busy;
	if (common->mail_head || common->closings)
		pump_deliver(common);
}

/* What the kernel told of a connection, whatever its circumstances. False when it is gone. */
static bool conn_attend(struct conn *c, unsigned events)
{
	if (events & LOOP_HANGUP && !(c->interest & LOOP_READ)) {
		conn_close(c, c->state == CONN_OPEN ? ERR_RESET : 0);
		return false;
	}
	if (events & LOOP_WRITE && !conn_write(c))
		return false;
	return events & (LOOP_READ | LOOP_HANGUP) && conn_may_read(c) ? conn_read(c) : true;
}

/* A request and its answer the way that nearly all go: read at once, taken whole, answered with one
 * run of bytes, and the kernel takes it. Where the way leads elsewhere, all others go on from
 * there. True when the connection stands and may no longer be at rest. */
static inline bool conn_exchange(struct conn *c)
{
	struct pump_common *common = c->pump->common;
	const struct out_segment *answer = common->out.segment;
	ssize_t n = conn_system_recv(c->fd, common->receive, conn_read_most(c, 0));
	struct bytes in;
	size_t taken;
	int err;

	if (n <= 0)
		return conn_read_nothing(c, n);
	in = bytes_of(common->receive, (size_t)n);
	conn_received(c, in);
	c->quiet_since_ns = common->now->boot_ns;
	taken = conn_feed_once(c, in);
	if (taken < in.len || !out_is_one_run(&common->out))
		return conn_fed(c, in, taken);
	err = conn_send_one(c, bytes_of(answer->data, answer->len));
	if (err) {
		conn_close(c, err);
		return false;
	}
	return !queue_is_empty(&c->queue);
}

void conn_ready(void *owner, unsigned events)
{
	struct conn *c = owner;
	struct pump_common *common = c->pump->common;
	bool was_busy = conn_enter(common);
	bool plain = events == LOOP_READ && conn_is_at_rest(c);

	if (plain ? conn_exchange(c) : conn_attend(c, events))
		conn_after(c);
	conn_leave(common, was_busy);
}

static void conn_due(struct wheel_timer *timer, void *context)
{
	struct conn *c = (struct conn *)((char *)timer - offsetof(struct conn, timer));
	struct pump_common *common = c->pump->common;
	const struct moment *now = common->now;
	bool stands = true, was_busy;

	if (now->boot_ns < conn_due_ns(c)) {
		conn_arm(c);
		return;
	}
	was_busy = conn_enter(common);
	if (c->state == CONN_OPEN && c->deadline_ns <= now->boot_ns) {
		c->deadline_ns = MOMENT_NEVER;
		if (conn_machine(c)->tick) {
			conn_machine(c)->tick(c->machine, conn_out(c), now);
			stands = conn_settle(c);
		}
	} else if (c->state == CONN_SECURING) {
		stands = conn_tls_late(c);
	} else {
		conn_close(c, c->state == CONN_LINGERING ? 0 : ERR_IDLE);
		stands = false;
	}
	if (stands && conn_after(c))
		conn_arm(c);
	conn_leave(common, was_busy);
}

bool conn_tell(struct conn *c, const struct message *message)
{
	if (c->state != CONN_OPEN || !conn_machine(c)->tell)
		return true;
	conn_machine(c)->tell(c->machine, message, conn_out(c), conn_now(c));
	return conn_settle(c) && conn_after(c);
}

void conn_drain(struct conn *c)
{
	if (c->state != CONN_OPEN || !conn_machine(c)->drain)
		return;
	conn_machine(c)->drain(c->machine, conn_out(c), conn_now(c));
	if (conn_settle(c))
		conn_set_interest(c);
}

bool conn_begin(struct conn *c, const struct address *local)
{
	const struct machine *machine = conn_machine(c);
	struct loop *loop = conn_loop(c);
	char key[KEYS_FINGERPRINT_BYTES];
	struct peer peer = {
		.remote = c->remote,
		.local = *local,
		.host = c->pump->plan.host,
		.id = conn_id(c),
		.seed = {loop_random(loop), loop_random(loop)},
		.settings = c->pump->plan.settings,
		.fingerprint = c->tls ? conn_tls_key(c, key) : NULL,
	};

	c->opened = true;
	if (machine->open) {
		machine->open(c->machine, &peer, conn_out(c), conn_now(c));
		if (!conn_settle(c))
			return false;
	}
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

bool conn_open(struct conn *c, const struct address *local)
{
	c->timer.due = conn_due;
	c->deadline_ns = MOMENT_NEVER;
	c->opened_ns = c->quiet_since_ns = conn_now(c)->boot_ns;
	conn_lifecycle_event(c, "conn.open", 0);
	return c->pump->plan.tls ? conn_tls_start(c, local) : conn_begin(c, local);
}
