/* Effects of a machine, gathered. Nothing is kept in halves: an effect that does not fit leaves the
 * out as it was but for `tight`. Small copies that follow each other become one segment, so that a
 * machine may put a line together from pieces at the price of one. */
#include "proto/out.h"
#include "base/text.h"

#include <assert.h>

static bool refuse(struct out *out)
{
	out->tight = true;
	return false;
}

bool out_fits(struct out *out, unsigned segments, size_t copy_bytes)
{
	if (segments > OUT_SEGMENTS - out->segments || copy_bytes > OUT_COPY_BYTES - out->copied)
		return refuse(out);
	return true;
}

bool out_fits_messages(struct out *out, unsigned tells, unsigned events)
{
	if (tells > OUT_TELLS - out->tells || events > OUT_EVENTS - out->events)
		return refuse(out);
	return true;
}

size_t out_room(const struct out *out)
{
	return out->room;
}

void out_more(struct out *out)
{
	out->more = true;
}

void out_pause(struct out *out)
{
	out->pause = true;
}

static void shrink_room(struct out *out, size_t len)
{
	out->room -= len < out->room ? len : out->room;
}

static bool put(struct out *out, const struct out_segment *segment)
{
	if (out->segments == OUT_SEGMENTS)
		return refuse(out);
	out->segment[out->segments++] = *segment;
	shrink_room(out, segment->len);
	return true;
}

static bool put_bytes(struct out *out, struct bytes b)
{
	if (b.len == 0)
		return true;
	return put(out, &(struct out_segment){.kind = OUT_BYTES, .data = b.data, .len = b.len});
}

bool out_static(struct out *out, struct bytes b)
{
	return put_bytes(out, b);
}

bool out_borrow(struct out *out, struct bytes b)
{
	return put_bytes(out, b);
}

/* The last `len` bytes of the copy space are taken: by the segment that ends where they begin, or
 * by a new one. */
static bool put_copied(struct out *out, size_t len)
{
	const uint8_t *begin = out->copy + out->copied;
	struct out_segment *last = out->segments > 0 ? &out->segment[out->segments - 1] : NULL;

	if (last && last->kind == OUT_BYTES && last->len > 0 && last->data + last->len == begin) {
		last->len += len;
		shrink_room(out, len);
	} else if (!put_bytes(out, bytes_of(begin, len))) {
		return false;
	}
	out->copied += len;
	return true;
}

bool out_copy(struct out *out, struct bytes b)
{
	if (b.len > OUT_COPY_BYTES - out->copied)
		return refuse(out);
	if (b.len > 0)
		memcpy(out->copy + out->copied, b.data, b.len);
	return put_copied(out, b.len);
}

bool out_printf(struct out *out, const char *format, ...)
{
	struct text t = text_over((char *)out->copy + out->copied,
				  OUT_COPY_BYTES - out->copied + 1);
	va_list arguments;

	va_start(arguments, format);
	text_vprintf(&t, format, arguments);
	va_end(arguments);
	if (t.cut)
		return refuse(out);
	return put_copied(out, t.len);
}

bool out_flush(struct out *out)
{
	return put(out, &(struct out_segment){.kind = OUT_FLUSH});
}

bool out_file(struct out *out, int handle, uint64_t offset, uint64_t len)
{
	if (len == 0)
		return true;
	return put(out, &(struct out_segment){
				.kind = OUT_FILE, .handle = handle, .offset = offset, .len = len});
}

bool out_empty(struct out *out)
{
	return put(out, &(struct out_segment){.kind = OUT_BYTES, .data = out->copy});
}

void out_end(struct out *out)
{
	out->end = true;
}

void out_abort(struct out *out, int why)
{
	assert(why < 0);
	out->abort_why = why;
}

void out_deadline(struct out *out, uint64_t boot_ns)
{
	out->deadline_set = true;
	out->deadline_ns = boot_ns;
}

bool out_tell(struct out *out, uint64_t to, const struct message *message)
{
	struct bytes body = message->body;
	struct out_tell *tell;

	if (out->tells == OUT_TELLS || body.len > OUT_COPY_BYTES - out->copied)
		return refuse(out);
	tell = &out->tell[out->tells++];
	*tell = (struct out_tell){.to = to, .message = *message};
	tell->message.body = bytes_of(out->copy + out->copied, body.len);
	if (body.len > 0)
		memcpy(out->copy + out->copied, body.data, body.len);
	out->copied += body.len;
	return true;
}

bool out_tell_borrow(struct out *out, uint64_t to, const struct message *message)
{
	if (out->tells == OUT_TELLS)
		return refuse(out);
	out->tell[out->tells++] = (struct out_tell){
		.to = to, .message = *message, .borrowed = true};
	return true;
}

struct event *out_event(struct out *out, const struct moment *now, enum event_level level,
			const char *type)
{
	struct event *e = &out->event[out->events]; /* one place more than OUT_EVENTS */

	if (out->events < OUT_EVENTS)
		out->events++;
	else
		out->tight = true;
	event_init(e, level, type, NULL, now->wall_us);
	return e;
}
