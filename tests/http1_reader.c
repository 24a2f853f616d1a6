/* See http1_reader.h. A head is taken whole, a body as it comes:
 *
 *   HEAD ──► BODY ──► HEAD ... until a message is refused or is the last. */
#include "http1_reader.h"

#include "base/err.h"
#include "proto/http1.h"

#include <stddef.h>

struct http1_reader {
	struct http1_reader_settings settings;
	struct http1_limits limits;
	struct bytes method;
	size_t seen;
	bool in_body, keep;
	bool blank; /* what was left untaken is empty lines */
	struct http1_body body;
};

static void reader_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct http1_reader *r = m;

	r->settings = *(const struct http1_reader_settings *)peer->settings;
	r->limits = (struct http1_limits){.line_bytes = r->settings.line_bytes,
					  .head_bytes = r->settings.head_bytes,
					  .fields = (unsigned)r->settings.fields};
	r->method = bytes_of_string(r->settings.method);
	r->blank = true;
}

static void reader_refuse(const struct http1_refusal *refusal, struct out *out,
			  const struct moment *now)
{
	struct event *e = out_event(out, now, EVENT_WARNING, "http1.refused");

	event_uint(e, "status", refusal->status);
	event_string(e, "reason", refusal->why);
	out_abort(out, ERR_PROTOCOL);
}

/* The members of all fields called so, each in `|`s, as http1_next_member tells them apart. */
static void reader_show_members(const struct http1_head *head, const char *name, struct event *e)
{
	const struct http1_field *f = NULL;
	struct bytes member;
	char buffer[256];
	struct text t = TEXT_OVER(buffer);

	while ((f = http1_next(head, f, name)) != NULL) {
		struct bytes list = f->value;

		while (http1_next_member(&list, &member)) {
			text_put_byte(&t, '|');
			text_put(&t, member);
		}
	}
	text_put_byte(&t, '|');
	event_text(e, "members", text_bytes(&t));
}

static void reader_show_head(const struct http1_reader *r, const struct http1_head *head,
			     struct out *out, const struct moment *now)
{
	static const char *const framings[] = {"none", "length", "chunked", "end"};
	struct event *e = out_event(out, now, EVENT_INFO, "http1.head");
	const struct http1_field *f = http1_find(head, r->settings.field);

	if (head->side == HTTP1_REQUEST) {
		event_text(e, "method", head->method);
		event_text(e, "target", head->target);
	} else {
		event_uint(e, "status", head->status);
		event_text(e, "reason", head->reason);
	}
	event_uint(e, "minor", head->minor);
	event_string(e, "framing", framings[head->framing]);
	event_uint(e, "length", head->length);
	event_uint(e, "fields", head->fields);
	event_uint(e, "bytes", head->bytes);
	event_bool(e, "keep", head->keep_alive);
	event_bool(e, "continue", head->expects_continue);
	if (!f)
		return;
	event_text(e, "value", f->value);
	reader_show_members(head, r->settings.field, e);
}

static void reader_end_message(struct http1_reader *r, struct out *out, const struct moment *now)
{
	event_uint(out_event(out, now, EVENT_INFO, "http1.end"), "bytes", r->body.content_bytes);
	r->in_body = false;
	r->seen = 0;
	r->blank = true;
	if (!r->keep)
		out_end(out);
}

/* How many bytes it took; 0 when there is no whole head. */
static size_t reader_head(struct http1_reader *r, struct bytes in, struct out *out,
			  const struct moment *now)
{
	struct http1_head head;
	struct http1_refusal refusal;
	int64_t taken = http1_parse(&head, (enum http1_side)r->settings.side, in, &r->seen,
				    r->method, &r->limits, &refusal);

	if (taken < 0) {
		reader_refuse(&refusal, out, now);
		return 0;
	}
	r->blank = bytes_strip(in).len == 0 && in.data[in.len - 1] == '\n';
	if (taken == 0)
		return 0;
	reader_show_head(r, &head, out, now);
	http1_body_begin(&r->body, &head);
	r->keep = head.keep_alive;
	r->in_body = true;
	return (size_t)taken;
}

static size_t reader_body(struct http1_reader *r, struct bytes in, struct out *out,
			  const struct moment *now)
{
	struct bytes content;
	size_t taken = http1_body_take(&r->body, in, &content);

	if (content.len > 0)
		out_borrow(out, content);
	if (r->body.bad)
		reader_refuse(&r->body.refusal, out, now);
	return taken;
}

static size_t reader_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct http1_reader *r = m;
	size_t taken = 0;

	while (taken < in.len && !out->end && !out->abort_why) {
		struct bytes rest = bytes_after(in, taken);
		size_t took;

		if (!out_fits(out, 1, 0) || !out_fits_messages(out, 0, 2))
			break;
		took = r->in_body ? reader_body(r, rest, out, now) : reader_head(r, rest, out, now);
		taken += took;
		if (r->in_body && r->body.done)
			reader_end_message(r, out, now);
		if (took == 0)
			break;
	}
	return taken;
}

static void reader_eof(void *m, struct out *out, const struct moment *now)
{
	struct http1_reader *r = m;

	if (r->in_body ? !http1_body_end(&r->body) : !r->blank) {
		out_abort(out, ERR_LEFT);
		return;
	}
	r->keep = false;
	if (r->in_body)
		reader_end_message(r, out, now);
	else
		out_end(out);
}

#define LIMIT(key, field)                                                                          \
	{                                                                                          \
		.name = (key), .type = OPTION_COUNT, .argument = "N",                              \
		.offset = offsetof(struct http1_reader_settings, field), .help = "a tighter limit" \
	}

static const struct option reader_options[] = {
	{.name = "side",
	 .type = OPTION_CHOICE,
	 .argument = "SIDE",
	 .offset = offsetof(struct http1_reader_settings, side),
	 .fallback = "request",
	 .choices = "request response",
	 .help = "what is read"},
	{.name = "method",
	 .type = OPTION_TEXT,
	 .argument = "METHOD",
	 .offset = offsetof(struct http1_reader_settings, method),
	 .fallback = "GET",
	 .help = "of the requests that responses answer"},
	{.name = "field",
	 .type = OPTION_TEXT,
	 .argument = "NAME",
	 .offset = offsetof(struct http1_reader_settings, field),
	 .fallback = "",
	 .help = "the field to show"},
	LIMIT("line", line_bytes),
	LIMIT("head", head_bytes),
	LIMIT("fields", fields),
	OPTION_END,
};

const struct machine http1_reader_machine = {
	.name = "http1_reader",
	.state_bytes = sizeof(struct http1_reader),
	.hold_bytes = HTTP1_HEAD_BYTES,
	.settings = reader_options,
	.settings_bytes = sizeof(struct http1_reader_settings),
	.open = reader_open,
	.feed = reader_feed,
	.eof = reader_eof,
};
