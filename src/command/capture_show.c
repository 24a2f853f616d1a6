/* Exchanges as rows for people, or as events.
 *
 *   TCP frames      seconds  client > server                   status  sent  received      took
 *   1   10 12      0.506021  10.0.2.15:45734 > 208.97.177.124:80  200     0       204    206 ms
 *
 * TCP is the conversation's number, and the request line ends a row. The frames are those in which
 * request and response begin. What is wrong stands below its row. */
#include "command/capture_parts.h"

#include "base/number.h"

#include <inttypes.h>

enum { PIECE_BYTES = 1024, LINE_BYTES = 1024 };

void capture_print_visible(struct bytes b, bool keep_newlines)
{
	char shown[4 * PIECE_BYTES + 1];

	while (b.len > 0) {
		struct bytes piece = bytes_first(b, PIECE_BYTES);
		struct text t = TEXT_OVER(shown);

		if (piece.len < b.len)
			piece.len -= text_utf8_incomplete_tail(piece);
		text_put_visible(&t, piece, keep_newlines);
		fwrite(t.data, 1, t.len, stdout);
		b = bytes_after(b, piece.len);
	}
}

const char *capture_fault(const struct exchange_message *m)
{
	if (m->fault != NULL)
		return m->fault;
	if (m->missing_bytes > 0)
		return N_("a part was not captured");
	if (!m->present)
		return N_("it is not in the capture");
	return m->whole ? NULL : N_("it is not whole");
}

static int64_t took_ns(const struct exchange *e)
{
	const struct exchange_message *request = &e->message[HTTP1_REQUEST],
				      *response = &e->message[HTTP1_RESPONSE];
	const struct exchange_message *first = request->present ? request : response;
	const struct exchange_message *last = response->present ? response : request;

	return last->last_ns > first->time_ns ? last->last_ns - first->time_ns : 0;
}

static void put_frames(struct text *t, const struct exchange *e)
{
	for (unsigned side = 0; side < 2; side++) {
		const struct exchange_message *m = &e->message[side];

		text_put_string(t, side == 0 ? "" : " ");
		if (m->present)
			text_printf(t, "%" PRIu64, m->frame);
		else
			text_put_byte(t, '-');
	}
}

/* Right-aligned, whatever the language. */
static void put_right(struct text *t, const char *word, size_t columns)
{
	for (size_t had = text_columns(bytes_of_string(word)); had < columns; had++)
		text_put_byte(t, ' ');
	text_put_string(t, word);
}

static void print_heading(void)
{
	char line[LINE_BYTES];
	struct text t = TEXT_OVER(line);

	text_put_padded(&t, "TCP", 4);
	text_put_padded(&t, _("frames"), 13);
	put_right(&t, _("seconds"), 12);
	text_put_string(&t, "  ");
	text_put_padded(&t, _("client > server"), 43);
	put_right(&t, _("status"), 7);
	put_right(&t, _("sent"), 10);
	put_right(&t, _("received"), 10);
	put_right(&t, _("took"), 11);
	printf("%s  %s\n", line, _("request"));
}

static void print_row(struct capture *c, const struct exchange *e)
{
	const struct exchange_message *request = &e->message[HTTP1_REQUEST],
				      *response = &e->message[HTTP1_RESPONSE];
	char frames[64], ends[2 * ADDRESS_TEXT_BYTES + 4], status[16], took[32];
	struct text f = TEXT_OVER(frames), a = TEXT_OVER(ends), s = TEXT_OVER(status);

	if (!c->row_shown && !c->call->common.quiet)
		print_heading();
	c->row_shown = true;
	put_frames(&f, e);
	address_put(&a, &e->client);
	text_put_string(&a, " > ");
	address_put(&a, &e->server);
	if (response->present && response->status != 0)
		text_printf(&s, "%u", response->status);
	else
		text_put_byte(&s, '-');
	printf("%-4" PRIu64 "%-13s %11.6f  %-43s %6s %9" PRIu64 " %9" PRIu64 " %10s  ",
	       e->conversation, frames,
	       capture_seconds(c, request->present ? request->time_ns : response->time_ns), ends,
	       status, request->content_bytes, response->content_bytes,
	       number_format_duration((uint64_t)took_ns(e), took, sizeof(took)));
	if (request->present)
		capture_print_visible(request->line, false);
	else
		fputs("-", stdout);
	fputc('\n', stdout);
}

static void print_head(const struct exchange_message *m, const char *mark)
{
	struct bytes rest = m->head;

	while (rest.len > 0) {
		size_t end = bytes_find_byte(rest, '\n');
		struct bytes line = bytes_first(rest, end);

		rest = bytes_after(rest, end < rest.len ? end + 1 : end);
		if (line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		if (line.len == 0)
			continue;
		printf("  %s ", mark);
		capture_print_visible(line, false);
		fputc('\n', stdout);
	}
}

static void print_fault(const char *side, const char *fault)
{
	if (fault != NULL)
		printf(_("  ! %s: %s\n"), side, _(fault));
}

static void print_faults(const struct exchange *e)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct exchange_message *m = &e->message[i];
		const char *side = i == HTTP1_REQUEST ? _("request") : _("response");

		if (!m->present) {
			print_fault(side, capture_fault(m));
			continue;
		}
		if (m->missing_bytes > 0)
			printf(_("  ! %s: %" PRIu64 " bytes were not captured\n"), side,
			       m->missing_bytes);
		if (m->missing_bytes == 0 || m->fault != NULL)
			print_fault(side, capture_fault(m));
		print_fault(side, capture_body_fault(m));
	}
}

static void put_note(struct text *t, const struct exchange *e)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct exchange_message *m = &e->message[i];
		const char *fault = capture_fault(m);

		if (fault == NULL)
			fault = capture_body_fault(m);
		if (fault != NULL)
			text_printf(t, "%s%s: %s", t->len > 0 ? "; " : "",
				    i == HTTP1_REQUEST ? "request" : "response", fault);
	}
}

static void put_target(struct event *event, struct bytes line)
{
	size_t method = bytes_find_byte(line, ' ');
	struct bytes target = bytes_strip(bytes_after(line, method));

	event_text(event, "method", bytes_first(line, method));
	event_text(event, "target", bytes_first(target, bytes_find_byte(target, ' ')));
}

static void say_exchange(const struct exchange *e)
{
	const struct exchange_message *request = &e->message[HTTP1_REQUEST],
				      *response = &e->message[HTTP1_RESPONSE];
	int64_t time_ns = request->present ? request->time_ns : response->time_ns;
	struct event event;
	char note[LINE_BYTES];
	struct text t = TEXT_OVER(note);

	event_init(&event, EVENT_INFO, "capture.exchange", NULL, time_ns / 1000);
	event_uint(&event, "conversation", e->conversation);
	event_address(&event, "client", &e->client);
	event_address(&event, "server", &e->server);
	event_uint(&event, "request_frame", request->frame);
	event_uint(&event, "response_frame", response->frame);
	event_uint(&event, "status", response->status);
	event_uint(&event, "request_bytes", request->content_bytes);
	event_uint(&event, "response_bytes", response->content_bytes);
	event_uint(&event, "missing_bytes", request->missing_bytes + response->missing_bytes);
	event_uint(&event, "took_us", (uint64_t)took_ns(e) / 1000);
	put_note(&t, e);
	if (t.len > 0)
		event_string(&event, "note", note);
	if (request->present)
		put_target(&event, request->line);
	if (request->authority.len > 0)
		event_text(&event, "authority", request->authority);
	if (response->type.len > 0)
		event_text(&event, "content_type", response->type);
	say_event(&event);
}

static void say_header(const struct exchange_message *m, const char *side,
		       const struct http1_field *field)
{
	struct event event;

	event_init(&event, EVENT_INFO, "capture.header", NULL, m->time_ns / 1000);
	event_uint(&event, "frame", m->frame);
	event_string(&event, "side", side);
	event_text(&event, "name", field->name);
	event_text(&event, "value", field->value);
	say_event(&event);
}

static void say_headers(const struct exchange *e, enum http1_side side, const char *name,
			struct bytes method)
{
	static struct http1_head head;
	const struct exchange_message *m = &e->message[side];
	struct http1_refusal refusal;
	size_t seen = 0;

	if (m->head.len == 0 ||
	    http1_parse(&head, side, m->head, &seen, method, NULL, &refusal) <= 0)
		return;
	for (unsigned i = 0; i < head.fields; i++)
		say_header(m, name, &head.field[i]);
}

void capture_show_exchange(struct capture *c, const struct exchange *e)
{
	struct bytes line = e->message[HTTP1_REQUEST].line;

	if (c->call->common.json) {
		say_exchange(e);
		if (!c->given->headers)
			return;
		say_headers(e, HTTP1_REQUEST, "request", (struct bytes){0});
		say_headers(e, HTTP1_RESPONSE, "response",
			    bytes_first(line, bytes_find_byte(line, ' ')));
		return;
	}
	print_row(c, e);
	if (c->given->headers) {
		print_head(&e->message[HTTP1_REQUEST], ">");
		print_head(&e->message[HTTP1_RESPONSE], "<");
	}
	print_faults(e);
}

static void say_summary(struct capture *c, const struct frames_losses *losses)
{
	struct event event;

	event_init(&event, EVENT_INFO, "capture.summary", NULL, say_now_us());
	event_uint(&event, "frames", c->seen);
	event_uint(&event, "conversations", c->conversations.count);
	event_uint(&event, "exchanges", c->exchanges);
	event_uint(&event, "dropped", losses->kernel + losses->interface);
	say_event(&event);
}

void capture_show_summary(struct capture *c, const struct frames_losses *losses)
{
	uint64_t unplaced = c->conversations.memory.lost;

	if (c->call->common.json)
		say_summary(c, losses);
	else
		say_note(_("frames: %" PRIu64 ", TCP conversations: %" PRIu64
			   ", HTTP exchanges: %" PRIu64),
			 c->seen, c->conversations.count, c->exchanges);
	if (losses->kernel > 0)
		say_warning(_("%" PRIu64 " more frames were dropped: prise could not keep up; "
			      "--filter for what matters helps"),
			    losses->kernel);
	if (losses->interface > 0)
		say_warning(_("%" PRIu64 " more frames were dropped by the interface"),
			    losses->interface);
	if (c->conversations.forced > 0)
		say_warning(_("%" PRIu64 " conversations were ended early: too many at a time"),
			    c->conversations.forced);
	if (unplaced > 0)
		say_warning(_("%" PRIu64 " messages found no room and were left out"), unplaced);
}
