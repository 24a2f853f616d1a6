/* One direction of a relay.
 *
 *   from ──fill──► store ──drain──► to
 *
 * The store is a pipe (splice), a buffer (copies), or nothing when one side is itself a pipe (one
 * splice does both). It is filled only when it is empty, so whatever a call could not do tells what
 * to wait for: a fill waits for the source, a drain for the sink.
 *
 * Sources: splice(2), tcp(7), pipe(7). */
#include "net/flow.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	FLOW_FILLS_A_TURN = 16, /* then the loop's others have a turn */
	FLOW_SPLICE_BYTES = 1 << 20,
	FLOW_DATAGRAM_BYTES = 65507,
};

static struct relay_flow *flow_other(struct relay_flow *f)
{
	return &f->relay->flow[!f->direction];
}

static uint8_t *flow_back(struct relay_flow *f)
{
	return f->buffer + RELAY_BUFFER_BYTES;
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

/* What was read is sent, though not by this flow. Always true. */
static bool flow_skip(struct relay_flow *f, bool at_sink)
{
	if (at_sink) {
		flow_sent(f, (ssize_t)(f->held - f->at));
		f->at = f->held;
	}
	relay_moved(f->relay);
	return true;
}

/* Waits, or ends what cannot go on: false; true when it can after all. A far end that takes no more
 * may still have something to say, so that is read first; that it was a reset is remembered. */
static bool flow_failed(struct relay_flow *f, int errnum, bool at_sink)
{
	struct relay *r = f->relay;
	bool at_far = at_sink == (f->direction == RELAY_OUT);

	if (errnum == EAGAIN) {
		f->waits = at_sink ? LOOP_WRITE : LOOP_READ;
	} else if (at_far && at_sink && (errnum == EPIPE || errnum == ECONNRESET)) {
		r->broken = errnum == ECONNRESET && !flow_other(f)->ended ? ERR_RESET : 0;
		flow_break(f);
	} else if (at_far && relay_goes_elsewhere(r, errnum)) {
		return flow_skip(f, at_sink);
	} else if (at_far) {
		relay_end(r, err_from_peer(errnum), RELAY_FAR);
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
	return plan->filter[RELAY_OUT] ? FLOW_DATAGRAM_BYTES / 2 : FLOW_DATAGRAM_BYTES;
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
	ssize_t n = flow_splice(f, f->from->stream->fd, f->to->stream->fd, FLOW_SPLICE_BYTES);

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
	ssize_t n = flow_splice(f, f->from->stream->fd, f->pipe[1], FLOW_SPLICE_BYTES);

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

static bool flow_end(struct relay_flow *f)
{
	const struct relay_plan *plan = &f->relay->plan;
	const struct stream *to = f->to->stream;
	bool silent = plan->silent_near && f->direction == RELAY_OUT && !f->bytes;
	bool late = plan->late_half && f->direction == RELAY_OUT && !silent;

	if (late)
		f->relay->half_due = true;
	else if (!to->lent && !plan->datagrams && !silent && stream_end(to) < 0)
		return flow_failed(f, errno, true);
	f->ended = true;
	relay_moved(f->relay);
	return false;
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
	if (f->eof)
		return flow_end(f);
	if (!f->piped && !(*fills)--) {
		f->waits = f->from->always_ready ? LOOP_WRITE : LOOP_READ;
		return false;
	}
	return flow_fill(f);
}

void flow_run(struct relay_flow *f)
{
	unsigned fills = FLOW_FILLS_A_TURN;

	while (!f->ended && !f->relay->over && flow_step(f, &fills))
		;
}

/* What splices: something that can on both sides, and nobody who wants to see it. */
static enum flow_store flow_best_store(const struct relay_flow *f)
{
	const struct relay_plan *plan = &f->relay->plan;
	const struct stream *from = f->from->stream, *to = f->to->stream;
	bool seen = plan->tap || plan->filter[RELAY_OUT] || plan->filter[RELAY_IN];

	if (plan->copies || plan->datagrams || seen || !stream_can_splice(from) ||
	    !stream_can_splice(to))
		return FLOW_BUFFER;
	return from->kind == STREAM_PIPE || to->kind == STREAM_PIPE ? FLOW_NONE : FLOW_PIPE;
}

int flow_begin(struct relay_flow *f)
{
	f->waits = f->from->always_ready ? LOOP_WRITE : LOOP_READ;
	f->store = (uint8_t)flow_best_store(f);
	if (f->store == FLOW_PIPE && pipe2(f->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		f->store = FLOW_BUFFER;
	if (f->store == FLOW_PIPE)
		fcntl(f->pipe[1], F_SETPIPE_SZ, FLOW_SPLICE_BYTES);
	return f->store != FLOW_BUFFER || flow_copies(f) ? 0 : ERR_MEMORY;
}

void flow_close(struct relay_flow *f)
{
	for (unsigned i = 0; i < 2; i++)
		if (f->pipe[i] >= 0)
			close(f->pipe[i]);
	free(f->buffer);
}
