/* A relay: two flows over at most four descriptors.
 *
 *   a flow:   from ──fill──► store ──drain──► to
 *
 * The store is a pipe (splice), a buffer (copies), or nothing when one side is itself a pipe (one
 * splice does both). It is filled only when it is empty, so whatever a call could not do tells what
 * to wait for: a fill waits for the source, a drain for the sink.
 *
 * A descriptor is watched only for what some flow waits for, and not at all otherwise, since the
 * end of a pipe or a broken socket is reported again and again. What epoll refuses (a regular file)
 * is always ready, and the flow waits for its other side alone.
 *
 * Sources: splice(2), tcp(7), pipe(7), epoll_ctl(2). */
#include "net/relay.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RELAY_FILLS_A_TURN = 16, /* then the loop's others have a turn */
	RELAY_SPLICE_BYTES = 1 << 20,
	RELAY_BUFFER_BYTES = 2 * RELAY_READ_BYTES + 2,
	RELAY_DATAGRAM_BYTES = 65507,
	RELAY_PORTS = 3,
};

enum flow_store { FLOW_BUFFER, FLOW_PIPE, FLOW_NONE };

/* A descriptor in the loop. */
struct relay_port {
	struct relay *relay;
	const struct stream *stream;
	int64_t registration; /* 0: not watched */
	unsigned interest;
	bool always_ready;
};

struct relay_flow {
	struct relay *relay;
	enum relay_direction direction;
	struct relay_port *from, *to;
	unsigned waits; /* LOOP_READ: for `from`; LOOP_WRITE: for `to` */
	bool eof;       /* the source ended */
	bool ended;     /* and so did the flow */
	uint64_t bytes;
	uint8_t store;   /* enum flow_store */
	int pipe[2];     /* -1: none */
	size_t piped;    /* bytes in the pipe */
	size_t at, held; /* of the buffer: what is still to be sent */
	size_t back_len; /* what the other direction's filter wants sent here */
	uint8_t *buffer; /* RELAY_BUFFER_BYTES, and RELAY_BACK_BYTES of `back` */
};

struct relay {
	struct loop *loop;
	struct relay_plan plan;
	struct relay_port port[RELAY_PORTS];
	struct relay_flow flow[2];
	uint8_t *raw;       /* what a filter is given */
	uint64_t active_ns; /* when a byte last moved */
	struct wheel_timer timer;
	struct relay_result result;
	int broken; /* what far's refusal to take more will have meant, once it has ended */
	bool over, spliced;
};

static struct relay_flow *flow_other(struct relay_flow *f)
{
	return &f->relay->flow[!f->direction];
}

static uint8_t *flow_back(struct relay_flow *f)
{
	return f->buffer + RELAY_BUFFER_BYTES;
}

static void relay_end(struct relay *r, int err, enum relay_place place)
{
	if (!r->over)
		r->result = (struct relay_result){err, place};
	r->over = true;
}

static void relay_moved(struct relay *r)
{
	r->active_ns = loop_now(r->loop)->boot_ns;
}

static void flow_sent(struct relay_flow *f, ssize_t n)
{
	if (f->direction == RELAY_OUT)
		f->bytes += (uint64_t)n;
	relay_moved(f->relay);
}

static void flow_received(struct relay_flow *f, ssize_t n)
{
	if (f->direction == RELAY_IN)
		f->bytes += (uint64_t)n;
	relay_moved(f->relay);
}

/* A flow whose sink wants no more. */
static void flow_break(struct relay_flow *f)
{
	f->ended = true;
	f->at = f->held = f->piped = f->back_len = 0;
}

/* Waits, or ends what cannot go on. Always false. A far end that takes no more may still have
 * something to say, so that is read first; that it was a reset is remembered. */
static bool flow_failed(struct relay_flow *f, int errnum, bool at_sink)
{
	struct relay *r = f->relay;
	bool at_far = at_sink == (f->direction == RELAY_OUT);

	if (errnum == EAGAIN) {
		f->waits = at_sink ? LOOP_WRITE : LOOP_READ;
	} else if (at_far && at_sink && (errnum == EPIPE || errnum == ECONNRESET)) {
		r->broken = errnum == ECONNRESET ? ERR_RESET : 0;
		flow_break(f);
	} else if (at_far) {
		relay_end(r, err_from_errno(errnum), RELAY_FAR);
	} else if (at_sink) {
		relay_end(r, errnum == EPIPE ? ERR_LEFT : err_from_errno(errnum), RELAY_NEAR_OUT);
	} else {
		relay_end(r, err_from_errno(errnum), RELAY_NEAR_IN);
	}
	return false;
}

/* Copies. */

static bool flow_copies(struct relay_flow *f)
{
	if (!f->buffer)
		f->buffer = malloc(RELAY_BUFFER_BYTES + RELAY_BACK_BYTES);
	if (!f->buffer)
		relay_end(f->relay, ERR_MEMORY, RELAY_FAR);
	f->store = FLOW_BUFFER;
	return f->buffer;
}

static void flow_tap(struct relay_flow *f, enum relay_direction direction, struct bytes b)
{
	const struct relay_plan *plan = &f->relay->plan;

	if (plan->tap && f->direction == direction)
		plan->tap(plan->owner, direction, b);
}

/* The other direction is what `back` bytes leave by; they are lost when it has ended. */
static void flow_pass(struct relay_flow *f, struct bytes in)
{
	const struct relay_plan *plan = &f->relay->plan;
	struct relay_flow *other = flow_other(f);
	struct relay_passed passed = plan->filter[f->direction](plan->owner, in, f->buffer,
								flow_back(other));

	f->held = passed.len;
	if (!other->ended)
		other->back_len = passed.back_len;
	if (passed.back_len)
		flow_tap(other, RELAY_OUT, bytes_of(flow_back(other), passed.back_len));
}

static size_t flow_read_most(const struct relay_flow *f)
{
	const struct relay_plan *plan = &f->relay->plan;

	if (!plan->datagrams || f->direction == RELAY_IN)
		return RELAY_READ_BYTES;
	return plan->filter[RELAY_OUT] ? RELAY_DATAGRAM_BYTES / 2 : RELAY_DATAGRAM_BYTES;
}

/* From the source, or first from the pipe that a sink did not want spliced. */
static ssize_t flow_read(struct relay_flow *f, uint8_t *data)
{
	ssize_t n;

	if (!f->piped)
		return stream_read(f->from->stream, data, flow_read_most(f));
	n = read(f->pipe[0], data, RELAY_READ_BYTES);
	f->piped -= n > 0 ? (size_t)n : 0;
	return n;
}

/* The end of a terminal whose window was closed. */
static bool flow_hung_up(const struct relay_flow *f, int errnum)
{
	return errnum == EIO && f->from->stream->kind == STREAM_OTHER;
}

static bool flow_fill_buffer(struct relay_flow *f)
{
	const struct relay_plan *plan = &f->relay->plan;
	bool filtered = plan->filter[f->direction];
	uint8_t *data = filtered ? f->relay->raw : f->buffer;
	bool datagram = plan->datagrams && f->direction == RELAY_IN;
	bool was_piped = f->piped > 0;
	ssize_t n = flow_read(f, data);

	if (n < 0 && !flow_hung_up(f, errno))
		return flow_failed(f, errno, false);
	if (n < 0 || (n == 0 && !datagram)) {
		f->eof = true;
		return true;
	}
	if (!was_piped)
		flow_received(f, n);
	f->at = 0;
	f->held = (size_t)n;
	flow_tap(f, RELAY_IN, bytes_of(data, (size_t)n));
	if (filtered)
		flow_pass(f, bytes_of(data, (size_t)n));
	if (f->held)
		flow_tap(f, RELAY_OUT, bytes_of(f->buffer, f->held));
	return true;
}

static bool flow_drain_buffer(struct relay_flow *f)
{
	ssize_t n = stream_write(f->to->stream, f->buffer + f->at, f->held - f->at);

	if (n < 0)
		return flow_failed(f, errno, true);
	flow_sent(f, n);
	f->at += (size_t)n;
	return true;
}

/* What the other direction's filter answered goes out between two reads. */
static void flow_take_back(struct relay_flow *f)
{
	memcpy(f->buffer, flow_back(f), f->back_len);
	f->at = 0;
	f->held = f->back_len;
	f->back_len = 0;
}

/* Splices. */

static ssize_t flow_splice(struct relay_flow *f, int from, int to, size_t len)
{
	ssize_t n;

	do {
		n = splice(from, NULL, to, NULL, len, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	} while (n < 0 && errno == EINTR);
	f->relay->spliced |= n > 0;
	return n;
}

static bool flow_cannot_splice(int errnum)
{
	return errnum == EINVAL || errnum == EOPNOTSUPP || errnum == ENOSYS || errnum == EPERM;
}

/* EAGAIN does not say which side has to be waited for. Should both be ready, splice is not for
 * them. */
static bool flow_wait_for_either(struct relay_flow *f)
{
	if (!stream_is_ready(f->to->stream, true))
		return flow_failed(f, EAGAIN, true);
	if (!stream_is_ready(f->from->stream, false))
		return flow_failed(f, EAGAIN, false);
	return flow_copies(f);
}

/* Which side an error of a splice between the two belongs to. */
static bool flow_is_sinks(const struct relay_flow *f, int errnum)
{
	return errnum == EPIPE || f->from->stream->kind == STREAM_PIPE;
}

static bool flow_move(struct relay_flow *f)
{
	ssize_t n = flow_splice(f, f->from->stream->fd, f->to->stream->fd, RELAY_SPLICE_BYTES);

	if (n < 0 && errno == EAGAIN)
		return flow_wait_for_either(f);
	if (n < 0 && flow_cannot_splice(errno))
		return flow_copies(f);
	if (n < 0)
		return flow_failed(f, errno, flow_is_sinks(f, errno));
	f->eof = n == 0;
	flow_received(f, n);
	flow_sent(f, n);
	return true;
}

static bool flow_fill_pipe(struct relay_flow *f)
{
	ssize_t n = flow_splice(f, f->from->stream->fd, f->pipe[1], RELAY_SPLICE_BYTES);

	if (n < 0 && flow_cannot_splice(errno))
		return flow_copies(f);
	if (n < 0)
		return flow_failed(f, errno, false);
	f->eof = n == 0;
	f->piped = (size_t)n;
	flow_received(f, n);
	return true;
}

static bool flow_drain_pipe(struct relay_flow *f)
{
	ssize_t n = flow_splice(f, f->pipe[0], f->to->stream->fd, f->piped);

	if (n < 0 && flow_cannot_splice(errno))
		return flow_copies(f);
	if (n < 0)
		return flow_failed(f, errno, true);
	flow_sent(f, n);
	f->piped -= (size_t)n;
	return true;
}

/* A flow. */

static bool flow_fill(struct relay_flow *f)
{
	if (flow_other(f)->back_len) { /* its filter's answer has to leave first */
		f->waits = LOOP_READ;
		return false;
	}
	switch ((enum flow_store)f->store) {
	case FLOW_PIPE:
		return flow_fill_pipe(f);
	case FLOW_NONE:
		return flow_move(f);
	default:
		return flow_fill_buffer(f);
	}
}

static void flow_end(struct relay_flow *f)
{
	const struct relay_plan *plan = &f->relay->plan;
	const struct stream *to = f->to->stream;
	bool silent = plan->silent_near && f->direction == RELAY_OUT && !f->bytes;

	f->ended = true;
	relay_moved(f->relay);
	if (to->kind == STREAM_SOCKET && !to->lent && !plan->datagrams && !silent)
		shutdown(to->fd, SHUT_WR);
}

/* One step: true when there may be another. */
static bool flow_step(struct relay_flow *f, unsigned *fills)
{
	if (f->store == FLOW_PIPE && f->piped)
		return flow_drain_pipe(f);
	if (f->at < f->held)
		return flow_drain_buffer(f);
	if (f->back_len) {
		flow_take_back(f);
		return true;
	}
	if (f->eof) {
		flow_end(f);
		return false;
	}
	if (!f->piped && !(*fills)--) {
		f->waits = f->from->always_ready ? LOOP_WRITE : LOOP_READ;
		return false;
	}
	return flow_fill(f);
}

static void flow_run(struct relay_flow *f)
{
	unsigned fills = RELAY_FILLS_A_TURN;

	while (!f->ended && !f->relay->over && flow_step(f, &fills))
		;
}

/* What splices: something that can on both sides, and nobody who wants to see it. */
static void flow_choose_store(struct relay_flow *f)
{
	const struct relay_plan *plan = &f->relay->plan;
	const struct stream *from = f->from->stream, *to = f->to->stream;
	bool seen = plan->tap || plan->filter[RELAY_OUT] || plan->filter[RELAY_IN];

	f->store = FLOW_BUFFER;
	if (plan->copies || plan->datagrams || seen || !stream_can_splice(from) ||
	    !stream_can_splice(to))
		return;
	if (from->kind == STREAM_PIPE || to->kind == STREAM_PIPE) {
		f->store = FLOW_NONE;
	} else if (pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) == 0) {
		fcntl(f->pipe[1], F_SETPIPE_SZ, RELAY_SPLICE_BYTES);
		f->store = FLOW_PIPE;
	}
}

/* The relay. */

static void relay_ready(void *owner, unsigned events);

/* Whether the relay is over by itself. */
static void relay_judge(struct relay *r)
{
	bool out_ended = r->flow[RELAY_OUT].ended, in_ended = r->flow[RELAY_IN].ended;

	if (in_ended && (out_ended || r->plan.ends_with_far))
		relay_end(r, r->broken, RELAY_FAR);
}

/* How long nothing may happen, from now on; 0: for ever. */
static uint64_t relay_patience_ms(const struct relay *r)
{
	if (r->plan.datagrams && r->flow[RELAY_OUT].ended)
		return r->plan.wait_ms;
	return r->plan.idle_ms;
}

static void relay_arm(struct relay *r)
{
	uint64_t patience_ms = relay_patience_ms(r);

	if (patience_ms)
		loop_arm(r->loop, &r->timer, r->active_ns + patience_ms * MOMENT_MS);
}

static unsigned relay_interest(const struct relay *r, const struct relay_port *port)
{
	unsigned interest = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct relay_flow *f = &r->flow[i];

		if (f->ended)
			continue;
		if (f->from == port && !r->flow[!i].back_len)
			interest |= f->waits & LOOP_READ;
		if (f->to == port)
			interest |= f->waits & LOOP_WRITE;
	}
	return interest;
}

static void relay_watch(struct relay *r, struct relay_port *port)
{
	unsigned interest = relay_interest(r, port);
	int64_t registration = port->registration;

	if (!port->stream || port->always_ready || interest == port->interest)
		return;
	if (!interest) {
		loop_remove(r->loop, registration);
		port->registration = 0;
	} else if (registration) {
		registration = loop_change(r->loop, registration, interest);
	} else {
		registration = loop_add(r->loop, port->stream->fd, interest, relay_ready, port);
		port->registration = registration > 0 ? registration : 0;
	}
	port->interest = interest;
	if (registration < 0)
		relay_end(r, (int)registration, RELAY_FAR);
}

static void relay_unwatch(struct relay *r)
{
	for (unsigned i = 0; i < RELAY_PORTS; i++) {
		loop_remove(r->loop, r->port[i].registration);
		r->port[i].registration = 0;
	}
	loop_disarm(r->loop, &r->timer);
}

/* What follows from what the flows have done. Nothing may touch the relay after this. */
static void relay_settle(struct relay *r)
{
	for (unsigned i = 0; i < 2; i++)
		if (r->flow[i].back_len)
			flow_run(&r->flow[i]);
	relay_judge(r);
	for (unsigned i = 0; i < RELAY_PORTS && !r->over; i++)
		relay_watch(r, &r->port[i]);
	if (!r->over) {
		relay_arm(r);
		return;
	}
	relay_unwatch(r);
	r->plan.over(r->plan.owner, &r->result);
}

static void relay_ready(void *owner, unsigned events)
{
	struct relay_port *port = owner;
	struct relay *r = port->relay;

	for (unsigned i = 0; i < 2; i++) {
		struct relay_flow *f = &r->flow[i];
		unsigned reads = f->from == port ? f->waits & LOOP_READ : 0;
		unsigned writes = f->to == port ? f->waits & LOOP_WRITE : 0;

		if (!f->ended && (events & (reads | writes | (reads || writes ? LOOP_HANGUP : 0))))
			flow_run(f);
	}
	relay_settle(r);
}

static void relay_due(struct wheel_timer *timer, void *context)
{
	struct relay *r = (struct relay *)((char *)timer - offsetof(struct relay, timer));
	uint64_t patience_ms = relay_patience_ms(r);
	bool waited = r->plan.datagrams && r->flow[RELAY_OUT].ended;

	if (patience_ms && loop_now(r->loop)->boot_ns >= r->active_ns + patience_ms * MOMENT_MS)
		relay_end(r, waited ? 0 : ERR_TIMEOUT, RELAY_FAR);
	relay_settle(r);
}

/* Finds out whether the loop can watch it. 0 or ERR_. */
static int relay_add_port(struct relay *r, struct relay_port *port, const struct stream *stream)
{
	int64_t registration = loop_add(r->loop, stream->fd, LOOP_READ, relay_ready, port);

	*port = (struct relay_port){.relay = r, .stream = stream};
	if (registration == ERR_PERMISSION)
		port->always_ready = true;
	else if (registration < 0)
		return (int)registration;
	else
		loop_remove(r->loop, registration);
	return 0;
}

static int relay_add_ports(struct relay *r)
{
	struct relay_plan *plan = &r->plan;
	bool same = plan->near_in.fd == plan->near_out.fd;
	int err = relay_add_port(r, &r->port[RELAY_NEAR_IN], &plan->near_in);

	if (!err && !same)
		err = relay_add_port(r, &r->port[RELAY_NEAR_OUT], &plan->near_out);
	if (!err)
		err = relay_add_port(r, &r->port[RELAY_FAR], &plan->far);
	return err;
}

static int relay_begin_flow(struct relay *r, enum relay_direction direction,
			    struct relay_port *from, struct relay_port *to)
{
	struct relay_flow *f = &r->flow[direction];

	*f = (struct relay_flow){
		.relay = r, .direction = direction, .from = from, .to = to, .pipe = {-1, -1}};
	f->waits = from->always_ready ? LOOP_WRITE : LOOP_READ;
	flow_choose_store(f);
	return f->store != FLOW_BUFFER || flow_copies(f) ? 0 : ERR_MEMORY;
}

int relay_create(struct relay **created, struct loop *loop, const struct relay_plan *plan)
{
	struct relay *r = calloc(1, sizeof *r);
	struct relay_port *near_out;
	int err;

	if (!r)
		return ERR_MEMORY;
	r->loop = loop;
	r->plan = *plan;
	r->timer.due = relay_due;
	for (unsigned i = 0; i < 2; i++)
		r->flow[i].pipe[0] = r->flow[i].pipe[1] = -1;
	loop_refresh(loop);
	relay_moved(r);
	err = relay_add_ports(r);
	near_out = &r->port[r->port[RELAY_NEAR_OUT].stream ? RELAY_NEAR_OUT : RELAY_NEAR_IN];
	if (!err && (plan->filter[RELAY_OUT] || plan->filter[RELAY_IN])) {
		r->raw = malloc(RELAY_READ_BYTES);
		err = r->raw ? 0 : ERR_MEMORY;
	}
	if (!err)
		err = relay_begin_flow(r, RELAY_OUT, &r->port[RELAY_NEAR_IN], &r->port[RELAY_FAR]);
	if (!err)
		err = relay_begin_flow(r, RELAY_IN, &r->port[RELAY_FAR], near_out);
	for (unsigned i = 0; i < RELAY_PORTS && !err; i++) {
		relay_watch(r, &r->port[i]);
		err = r->over ? r->result.err : 0;
	}
	if (err) {
		relay_destroy(r);
		return err;
	}
	relay_arm(r);
	*created = r;
	return 0;
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	relay_unwatch(r);
	for (unsigned i = 0; i < 4; i++)
		if (r->flow[i / 2].pipe[i % 2] >= 0)
			close(r->flow[i / 2].pipe[i % 2]);
	free(r->flow[RELAY_OUT].buffer);
	free(r->flow[RELAY_IN].buffer);
	free(r->raw);
	free(r);
}

struct relay_counts relay_counts(const struct relay *r)
{
	const struct relay_flow *out = &r->flow[RELAY_OUT];

	return (struct relay_counts){
		.bytes = {out->bytes, r->flow[RELAY_IN].bytes},
		.near_ended = out->ended && out->eof,
		.unsent = out->held - out->at + out->piped,
		.spliced = r->spliced,
	};
}
