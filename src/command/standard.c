/* Standard input and output in the loop. What epoll refuses (files) is always ready: read in turns
 * of the loop by a timer, written at once. */
#include "command/standard.h"

#include "base/err.h"

#include <errno.h>
#include <unistd.h>

static void inlet_ready(void *owner, unsigned events)
{
	struct inlet *in = owner;
	ssize_t n = stream_read(&in->stream, in->buffer, sizeof in->buffer);

	if (n > 0) {
		in->bytes += (uint64_t)n;
		in->data(in->owner, bytes_of(in->buffer, (size_t)n));
	} else if (n == 0 || errno != EAGAIN) {
		inlet_want(in, false);
		in->ended = true;
		in->end(in->owner, n == 0 ? 0 : err_from_errno(errno));
	}
}

static void inlet_turn(struct wheel_timer *timer, void *context)
{
	struct inlet *in = (struct inlet *)((char *)timer - offsetof(struct inlet, timer));

	loop_arm(in->loop, timer, loop_now(in->loop)->boot_ns);
	inlet_ready(in, LOOP_READ);
}

void inlet_begin(struct inlet *in, struct loop *loop)
{
	in->loop = loop;
	in->stream = stream_lent(STDIN_FILENO, false);
	in->registration = 0;
	in->wanted = in->ended = in->always_ready = false;
	in->bytes = 0;
	in->timer = (struct wheel_timer){.due = inlet_turn};
}

void inlet_want(struct inlet *in, bool wanted)
{
	if (in->ended || wanted == in->wanted)
		return;
	in->wanted = wanted;
	if (!wanted) {
		loop_remove(in->loop, in->registration);
		loop_disarm(in->loop, &in->timer);
		in->registration = 0;
		return;
	}
	if (!in->always_ready) {
		in->registration = loop_add(in->loop, in->stream.fd, LOOP_READ, inlet_ready, in);
		in->always_ready = in->registration < 0;
	}
	if (in->always_ready) {
		in->registration = 0;
		loop_arm(in->loop, &in->timer, loop_now(in->loop)->boot_ns);
	}
}

void inlet_close(struct inlet *in)
{
	inlet_want(in, false);
	in->ended = true;
	stream_close(&in->stream);
}

static void outlet_unwatch(struct outlet *out)
{
	loop_remove(out->loop, out->registration);
	out->registration = 0;
}

static void outlet_break(struct outlet *out, int errnum)
{
	outlet_unwatch(out);
	out->broken = true;
	out->at = out->len = 0;
	out->failed(out->owner, errnum == EPIPE ? ERR_LEFT : err_from_errno(errnum));
}

/* Writes what is pending. False when some is left. */
static bool outlet_write(struct outlet *out)
{
	while (out->at < out->len) {
		ssize_t n = stream_write(&out->stream, out->pending + out->at, out->len - out->at);

		if (n < 0 && errno != EAGAIN) {
			outlet_break(out, errno);
			return false;
		}
		if (n < 0)
			return false;
		out->at += (size_t)n;
	}
	out->at = out->len = 0;
	return true;
}

static void outlet_ready(void *owner, unsigned events)
{
	struct outlet *out = owner;

	if (!outlet_write(out))
		return;
	outlet_unwatch(out);
	out->drained(out->owner);
}

void outlet_begin(struct outlet *out, struct loop *loop)
{
	out->loop = loop;
	out->stream = stream_lent(STDOUT_FILENO, true);
	out->registration = 0;
	out->broken = false;
	out->at = out->len = 0;
}

bool outlet_is_busy(const struct outlet *out)
{
	return out->at < out->len;
}

bool outlet_put(struct outlet *out, struct bytes b)
{
	int64_t registration;

	if (out->broken)
		return true;
	if (b.len > OUTLET_BYTES - out->len)
		return false;
	memcpy(out->pending + out->len, b.data, b.len);
	out->len += b.len;
	if (outlet_write(out) || out->broken || out->registration)
		return true;
	registration = loop_add(out->loop, out->stream.fd, LOOP_WRITE, outlet_ready, out);
	if (registration < 0)
		outlet_break(out, EIO);
	else
		out->registration = registration;
	return true;
}

void outlet_close(struct outlet *out)
{
	outlet_unwatch(out);
	stream_close(&out->stream);
}
