/* One connection between a socket and a machine. Under TLS net/conn_tls.c stands between the two.
 *
 *              end                 all sent, half closed        peer's end, or linger over
 *   CONN_OPEN ─────► CONN_ENDING ───────────────────────► CONN_LINGERING ───────────► gone
 *       └── abort, reset, a limit ──────────────────────────────────────────────────────►
 *
 * Every function that may end the connection returns whether it still stands; a caller that gets
 * false touches it no more. */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>

enum { CONN_IOV_MOST = OUT_SEGMENTS };
#define CONN_QUIET_NS (200 * MOMENT_MS) /* silence that counts as idle when a service stops */

static const struct machine *conn_machine(const struct conn *c)
{
	return c->pump->plan.machine;
}

static void conn_lifecycle_event(struct conn *c, const char *type, int why)
{
	struct event *e = &c->pump->common->out.event[0];
	const struct moment *now = loop_now(conn_loop(c));

	if (c->pump->plan.level > EVENT_DEBUG || !c->pump->calls.event)
		return;
	event_init(e, EVENT_DEBUG, type, c->pump->plan.service, now->wall_us);
	event_address(e, "peer", &c->remote);
	if (type[5] == 'c') {
		event_uint(e, "in_bytes", c->bytes_in);
		event_uint(e, "out_bytes", c->bytes_out);
		event_uint(e, "ms", (now->boot_ns - c->opened_ns) / MOMENT_MS);
		event_string(e, "why", err_name(why));
	}
	conn_event(c, e);
}

void conn_close(struct conn *c, int why)
{
	struct pump *pump = c->pump;
	struct address remote = c->remote;
	uint64_t id = conn_id(c);

	if (c->tls)
		why = conn_tls_close(c, why);
	if (conn_machine(c)->close && c->opened)
		conn_machine(c)->close(c->machine, why);
	conn_lifecycle_event(c, "conn.close", why);
	loop_disarm(conn_loop(c), &c->timer);
	loop_remove(conn_loop(c), c->registration);
	queue_clear(&c->queue, &pump->common->queues);
	free(c->held);
	pump_give_up(pump->common, c->fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	count_add(&pump->counts.closed, 1);
	slab_give(&pump->slab, c);
	if (pump->calls.closed)
		pump->calls.closed(pump->plan.owner, id, &remote, why);
}

/* When something may fall due: the machine's deadline, the limits, the end of lingering. */
static uint64_t conn_due_ns(const struct conn *c)
{
	const struct pump_limits *limits = &c->pump->plan.limits;
	uint64_t due_ns = MOMENT_NEVER, limit_ms = limits->idle_ms;

	if (c->state == CONN_LINGERING)
		return c->quiet_since_ns + limits->linger_ms * MOMENT_MS;
	if (c->state == CONN_SECURING)
		return conn_tls_due_ns(c);
	if (c->state == CONN_OPEN)
		due_ns = c->deadline_ns;
	if (!c->bytes_in && limits->first_byte_ms &&
	    (!limit_ms || limits->first_byte_ms < limit_ms))
		limit_ms = limits->first_byte_ms;
	if (limit_ms && c->quiet_since_ns + limit_ms * MOMENT_MS < due_ns)
		due_ns = c->quiet_since_ns + limit_ms * MOMENT_MS;
	return due_ns;
}

/* Bytes only ever move limits later, so a busy connection leaves its timer alone and looks again
 * when it fires; only an earlier due time arms it anew. */
void conn_arm(struct conn *c)
{
	uint64_t due_ns = conn_due_ns(c);

	if (due_ns == MOMENT_NEVER)
		return;
	if (!wheel_is_armed(&c->timer) || due_ns / MOMENT_MS < c->timer.due_ms)
		loop_arm(conn_loop(c), &c->timer, due_ns);
}

static bool conn_may_read(const struct conn *c)
{
	if (c->eof_seen || c->stalled || c->state == CONN_ENDING)
		return false;
	if (c->on_hold && c->state == CONN_OPEN)
		return false;
	return c->state == CONN_LINGERING || c->queue.bytes < c->pump->plan.limits.queue_bytes;
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

static bool conn_shut(struct conn *c)
{
	int err = c->tls ? conn_tls_end(c) : 0;

	if (!err && !queue_is_empty(&c->queue)) { /* close_notify has to wait */
		conn_arm(c);
		conn_set_interest(c);
		return true;
	}
	if (err) {
		conn_close(c, err);
		return false;
	}
	if (c->eof_seen) {
		conn_close(c, 0);
		return false;
	}
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGERING;
	c->quiet_since_ns = loop_now(conn_loop(c))->boot_ns;
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

bool conn_finish(struct conn *c)
{
	if (c->state == CONN_SECURING) {
		conn_close(c, ERR_DRAINED);
		return false;
	}
	if (c->state != CONN_OPEN)
		return true;
	c->state = CONN_ENDING;
	c->wants_room = c->stalled = false;
	if (queue_is_empty(&c->queue))
		return conn_shut(c);
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

void conn_sent(struct conn *c, struct bytes b)
{
	c->bytes_out += b.len;
	count_add(&c->pump->counts.bytes_out, b.len);
	c->quiet_since_ns = loop_now(conn_loop(c))->boot_ns;
	if (c->pump->calls.wire)
		c->pump->calls.wire(c->pump->plan.owner, c, PUMP_SENT, b);
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

/* One run of bytes and nothing that waits: what nearly every short answer is. */
static int conn_send_one(struct conn *c, struct bytes b)
{
	ssize_t sent = conn_system_send(c->fd, b);

	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return err_from_errno(errno);
	if (sent > 0)
		conn_sent(c, bytes_first(b, (size_t)sent));
	if (sent == (ssize_t)b.len)
		return 0;
	return queue_put(&c->queue, &c->pump->common->queues,
			 bytes_after(b, sent > 0 ? (size_t)sent : 0));
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
	c->quiet_since_ns = loop_now(conn_loop(c))->boot_ns;
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

/* Feeds `in`; the machine is called again at once while it stops only for lack of room in `out` and
 * the kernel takes what it says. */
bool conn_feed(struct conn *c, struct bytes in)
{
	const struct machine *machine = conn_machine(c);
	struct out *out = &c->pump->common->out;
	size_t taken;
	bool waits;

	do {
		taken = machine->feed(c->machine, in, conn_out(c), loop_now(conn_loop(c)));
		in = bytes_after(in, taken);
		waits = out->tight || out->more || out->pause;
		if (in.len > machine->hold_bytes && !waits && !out->end && !out->abort_why)
			out_abort(out, ERR_TOO_LONG);
		if (!conn_settle(c))
			return false;
	} while (in.len && taken && out->tight && queue_is_empty(&c->queue) && !out->end);
	if (c->state != CONN_OPEN)
		in.len = 0;
	c->stalled = in.len && waits;
	return in.len || c->held ? conn_keep(c, &c->held, in) : true;
}

static bool conn_tell_eof(struct conn *c)
{
	c->eof_told = true;
	if (!conn_machine(c)->eof)
		return conn_finish(c);
	conn_machine(c)->eof(c->machine, conn_out(c), loop_now(conn_loop(c)));
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

/* One read: what is held stands before it in the receive buffer. False when the connection is gone.
 */
static bool conn_read(struct conn *c)
{
	struct pump_common *common = c->pump->common;
	size_t held = c->held ? c->held->len : 0;
	size_t most = conn_machine(c)->chunk ? MACHINE_CHUNK_BYTES : PUMP_RECEIVE_BYTES - held;
	ssize_t n;

	if (c->tls)
		return conn_tls_read(c);
	n = conn_system_recv(c->fd, common->receive + held, most);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		conn_close(c, c->state == CONN_LINGERING ? 0 : err_from_errno(errno));
		return false;
	}
	if (n == 0)
		return conn_got_eof(c);
	c->bytes_in += (uint64_t)n;
	count_add(&c->pump->counts.bytes_in, (uint64_t)n);
	if (c->pump->calls.wire)
		c->pump->calls.wire(c->pump->plan.owner, c, PUMP_RECEIVED,
				    bytes_of(common->receive + held, (size_t)n));
	if (c->state == CONN_LINGERING)
		return true;
	c->quiet_since_ns = loop_now(common->loop)->boot_ns;
	if (held)
		memcpy(common->receive, c->held->data, held);
	return conn_feed(c, bytes_of(common->receive, held + (size_t)n));
}

/* Output has drained below half the mark: the machine goes on, then what was held is fed again. */
static bool conn_room(struct conn *c)
{
	const struct machine *machine = conn_machine(c);

	c->wants_room = false;
	if (machine->room) {
		machine->room(c->machine, conn_out(c), loop_now(conn_loop(c)));
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

/* The peer has asked for something that is not yet answered in full. */
static bool conn_is_engaged(const struct conn *c)
{
	return c->stalled || (conn_machine(c)->busy && conn_machine(c)->busy(c->machine));
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
		c->quiet_since_ns = loop_now(conn_loop(c))->boot_ns;
	if (c->state == CONN_ENDING && queue_is_empty(&c->queue))
		return conn_shut(c);
	if (c->state == CONN_OPEN && (c->wants_room || c->stalled) && c->queue.bytes <= low &&
	    (!c->pump->draining || conn_is_engaged(c)))
		return conn_room(c);
	return true;
}

/* What the peer had sent before it could know of the end is part of the exchange. */
static bool conn_has_unread(const struct conn *c)
{
	uint8_t byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool conn_is_busy(const struct conn *c)
{
	if (c->state != CONN_OPEN)
		return c->state != CONN_SECURING;
	/* Between two reads of a stream there may be nothing here and the rest still on its way. */
	if (loop_now(conn_loop(c))->boot_ns - c->quiet_since_ns < CONN_QUIET_NS)
		return true;
	return !queue_is_empty(&c->queue) || c->held || conn_is_engaged(c) || conn_has_unread(c);
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

void conn_ready(void *owner, unsigned events)
{
	struct conn *c = owner;
	struct pump_common *common = c->pump->common;
	bool stands = true, was_busy = conn_enter(common);

	if (events & LOOP_HANGUP && !(c->interest & LOOP_READ)) {
		conn_close(c, c->state == CONN_OPEN ? ERR_RESET : 0);
		stands = false;
	}
	if (stands && events & LOOP_WRITE)
		stands = conn_write(c);
	if (stands && events & (LOOP_READ | LOOP_HANGUP) && conn_may_read(c))
		stands = conn_read(c);
	if (stands)
		conn_after(c);
	conn_leave(common, was_busy);
}

static void conn_due(struct wheel_timer *timer, void *context)
{
	struct conn *c = (struct conn *)((char *)timer - offsetof(struct conn, timer));
	struct pump_common *common = c->pump->common;
	const struct moment *now = loop_now(common->loop);
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
	conn_machine(c)->tell(c->machine, message, conn_out(c), loop_now(conn_loop(c)));
	return conn_settle(c) && conn_after(c);
}

void conn_drain(struct conn *c)
{
	if (c->state != CONN_OPEN || !conn_machine(c)->drain)
		return;
	conn_machine(c)->drain(c->machine, conn_out(c), loop_now(conn_loop(c)));
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
		machine->open(c->machine, &peer, conn_out(c), loop_now(loop));
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
	c->opened_ns = c->quiet_since_ns = loop_now(conn_loop(c))->boot_ns;
	conn_lifecycle_event(c, "conn.open", 0);
	return c->pump->plan.tls ? conn_tls_start(c, local) : conn_begin(c, local);
}
