/* HTTP, server: requests in, answers out (RFC 9112, RFC 9110). Heads and bodies are
 * proto/http1.h's; what is answered is told in http_file.c, http_store.c and http_ask.c.
 *
 *   client                       server
 *     │ ── GET /a, GET /b ────────► │   pipelined: answered in order, in one write
 *     │ ◄────────────── 200, 200 ── │   the connection goes on
 *     │ ── GET /c, close ─────────► │
 *     │ ◄─────────────────── 404 ── │
 *     │ ◄─────────────────── FIN ── │
 *
 *                 ┌─────────────── the answer is whole ◄────────────────┐
 *                 ▼                                                     │
 *   HTTP_HEAD ──► a head is whole ──┬──► answered at once ──────────────┤
 *                                   ├──► HTTP_DISCARD (its body) ───────┤
 *                                   ├──► HTTP_STORE ──► HTTP_STORING ───┤
 *                                   └──► HTTP_ASKED ──► HTTP_STREAMING ─┘
 *
 * A request gets request_ms from its first byte to the end of its head, and a second more for each
 * HTTP_RATE_BYTES of its body; then it is answered 408, or 503 if it is we who are late. A
 * connection without a request ends in silence after keep_alive_ms. What was not understood to its
 * last byte is answered and the connection ends, since nobody can say where the next request
 * begins. */
#include "proto/http_server_parts.h"

#define ROW(key, kind, field, ...)                                           \
	{                                                                    \
		.name = key, .type = OPTION_##kind,                          \
		.offset = offsetof(struct http_settings, field), __VA_ARGS__ \
	}

static const struct option http_options[] = {
	ROW("root", TEXT, root, .help = N_("the directory whose files are served")),
	ROW("listing", FLAG, listing, .help = N_("list directories that have no index.html")),
	ROW("put", FLAG, put, .help = N_("take files by PUT")),
	ROW("log", TEXT, log, .help = N_("the access log's file")),
	ROW("log_format", CHOICE, log_format, .fallback = "common", .choices = "common json",
	    .help = N_("the access log's form: Common Log Format, or JSON a line")),
	ROW("precompressed", TEXT, precompressed, .fallback = "gz",
	    .help = N_("serve FILE.gz in place of FILE to clients that take it: gz br zst")),
	ROW("types", TEXT, types, .fallback = "/etc/mime.types",
	    .help = N_("the file that tells types by extensions")),
	ROW("hosts", TEXT, hosts, .help = N_("names, besides loopback's, that the API answers to")),
	ROW("login", CHOICE, login, .fallback = "beyond", .choices = "beyond always",
	    .help = N_("who shows the token to see the daemon's data: who comes from beyond this "
		       "machine, or always (behind a proxy)")),
	ROW("request_line", SIZE, line_bytes, .fallback = "8K", .least = 64,
	    .most = HTTP1_LINE_BYTES, .help = N_("longest request line")),
	ROW("head", SIZE, head_bytes, .fallback = "16K", .least = 128, .most = HTTP1_HEAD_BYTES,
	    .help = N_("longest head of a request")),
	ROW("fields", COUNT, fields, .fallback = "100", .least = 1, .most = HTTP1_FIELDS,
	    .help = N_("most header fields of a request")),
	ROW("body", SIZE, body_bytes, .fallback = "1G", .help = N_("longest body of a PUT")),
	ROW("request_timeout", DURATION, request_ms, .fallback = "20s", .least = 1,
	    .help = N_("time for a request's head, from its first byte")),
	ROW("keep_alive", DURATION, keep_alive_ms, .fallback = "75s", .least = 1,
	    .help = N_("silence between requests after which a connection ends")),
	OPTION_END,
};

/* The earliest time at which something may be too late. */
static uint64_t http_due_ns(const struct http *h)
{
	uint64_t extra_ns = 0;

	switch ((enum http_state)h->state) {
	case HTTP_STORING:
		return MOMENT_NEVER;
	case HTTP_STREAMING:
		return h->draining ? h->idle_ns + HTTP_FAREWELL_MS * MOMENT_MS : MOMENT_NEVER;
	case HTTP_ASKED:
		break;
	case HTTP_DISCARD:
	case HTTP_STORE:
		extra_ns = h->body.content_bytes / HTTP_RATE_BYTES * MOMENT_S;
		break;
	case HTTP_HEAD:
		if (!h->begun_ns)
			return h->idle_ns + h->settings->keep_alive_ms * MOMENT_MS;
		break;
	}
	return h->begun_ns + h->settings->request_ms * MOMENT_MS + extra_ns;
}

/* Time only ever grows with what comes: a deadline is set anew only when it moves to an earlier
 * time, and one that comes too early is looked at again. */
void http_watch_time(struct http *h, struct out *out)
{
	uint64_t due_ns = http_due_ns(h);

	if (due_ns >= h->armed_ns)
		return;
	h->armed_ns = due_ns;
	out_deadline(out, due_ns);
}

static void http_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct http *h = m;

	h->settings = peer->settings;
	h->id = peer->id;
	h->seed = peer->seed[0];
	h->remote = peer->remote;
	h->local = peer->local;
	h->idle_ns = now->boot_ns;
	h->armed_ns = MOMENT_NEVER;
	http_watch_time(h, out);
}

/* An answer that came later than its request is whole. */
void http_done(struct http *h, struct out *out, const struct moment *now)
{
	h->state = HTTP_HEAD;
	h->begun_ns = 0;
	h->idle_ns = now->boot_ns;
	if (!h->keep_alive || h->eof) {
		out_end(out);
		return;
	}
	http_watch_time(h, out);
	out_more(out);
}

static enum http_method http_method_of(struct bytes name)
{
	static const char *const names[] = {"GET",    "HEAD",  "PUT",   "POST",   "OPTIONS",
					    "DELETE", "PATCH", "TRACE", "CONNECT"};

	for (unsigned i = 0; i < HTTP_UNKNOWN; i++)
		if (bytes_equal(name, bytes_of_string(names[i])))
			return (enum http_method)i;
	return HTTP_UNKNOWN;
}

/* Which of the fields that change an answer are there. */
static unsigned http_has(const struct http1_head *head)
{
	unsigned has = 0;

	for (unsigned i = 0; i < head->fields; i++) {
		struct bytes name = head->field[i].name;

		switch (name.len) {
		case 5:
			if (bytes_equal_fold(name, BYTES_LITERAL("Range")))
				has |= HTTP_HAS_RANGE;
			break;
		case 6:
			if (bytes_equal_fold(name, BYTES_LITERAL("Expect")))
				has |= HTTP_HAS_EXPECT;
			break;
		case 8:
		case 13:
		case 17:
		case 19:
			if ((name.data[0] | 0x20) == 'i' && (name.data[1] | 0x20) == 'f')
				has |= HTTP_HAS_CONDITION;
			break;
		case 15:
			if (bytes_equal_fold(name, BYTES_LITERAL("Accept-Encoding")))
				has |= HTTP_HAS_ENCODING;
			break;
		}
	}
	return has;
}

/* What is to be done with a body that nobody asked for. */
static void http_judge_body(struct http_request *r)
{
	if (r->head.framing == HTTP1_NO_BODY)
		return;
	if (r->head.expects_continue || r->head.framing == HTTP1_UNTIL_END ||
	    (r->head.framing == HTTP1_LENGTH && r->head.length > HTTP_DISCARD_BYTES))
		r->keep_alive = false;
}

static void http_discard(struct http *h, struct http_request *r)
{
	if (r->head.framing == HTTP1_NO_BODY || !r->keep_alive || h->state != HTTP_HEAD)
		return;
	http1_body_begin(&h->body, &r->head);
	h->keep_alive = true;
	if (!h->body.done)
		h->state = HTTP_DISCARD;
}

static const char *http_allow(const struct http *h)
{
	return h->settings->files && h->settings->put ? "Allow: GET, HEAD, PUT, OPTIONS\r\n"
						      : "Allow: GET, HEAD, OPTIONS\r\n";
}

/* A whole head, to be answered by us or by whoever knows. Bytes taken. */
static size_t http_dispatch(struct http *h, struct http_request *r, struct bytes in,
			    struct out *out, const struct moment *now)
{
	size_t prefix;

	if (r->method == HTTP_UNKNOWN) {
		http_answer(h, r, 501, N_("an unknown method"), NULL, out, now);
	} else if (r->method == HTTP_OPTIONS && bytes_equal(r->head.target, BYTES_LITERAL("*"))) {
		http_answer(h, r, 204, NULL, http_allow(h), out, now);
	} else if (r->method == HTTP_CONNECT || r->method == HTTP_TRACE) {
		http_answer(h, r, 405, NULL, http_allow(h), out, now);
	} else if (!http_split_target(r)) {
		http_answer(h, r, 400, N_("a target that is not ours"), NULL, out, now);
	} else if (r->has & HTTP_HAS_EXPECT && r->head.minor && !r->head.expects_continue) {
		http_refuse(h, r, 417, N_("only 100-continue is expected"), out, now);
	} else if (http_is_mounted(h, r->path, &prefix)) {
		return http_visit_mount(h, r, in, prefix, out, now);
	} else if (r->method == HTTP_GET || r->method == HTTP_HEAD_METHOD) {
		http_get_file(h, r, out, now);
	} else if (r->method == HTTP_OPTIONS) {
		http_answer(h, r, 204, NULL, http_allow(h), out, now);
	} else if (r->method == HTTP_PUT && h->settings->put) {
		http_put_begin(h, r, out, now);
	} else {
		http_answer(h, r, 405, NULL, http_allow(h), out, now);
	}
	return r->head.bytes;
}

/* Not a request: it is answered as far as it was understood. */
static void http_not_understood(struct http *h, struct http_request *r,
				const struct http1_refusal *refusal, struct out *out,
				const struct moment *now)
{
	r->method = HTTP_UNKNOWN;
	r->in_api = false;
	r->head.fields = 0;
	r->head.minor = 1;
	r->head.method = bytes_of(h->memo.text, h->memo.method_len);
	r->head.target = bytes_of(h->memo.text + h->memo.method_len, h->memo.len);
	http_refuse(h, r, refusal->status, refusal->why, out, now);
	out_end(out);
}

/* The request is behind us, its answer is out or is somebody's to give. */
static void http_next(struct http *h, struct http_request *r, struct out *out,
		      const struct moment *now)
{
	h->seen = h->needs = 0;
	h->continued = false;
	if (h->state == HTTP_HEAD) {
		http_discard(h, r);
		if (!r->keep_alive)
			out_end(out);
	}
	if (h->state == HTTP_HEAD) {
		h->begun_ns = 0;
		h->idle_ns = now->boot_ns;
	} else if (!h->begun_ns) {
		h->begun_ns = now->boot_ns;
	}
	http_watch_time(h, out);
}

/* A head, and with it its answer: bytes taken, 0 when it is not whole or there is no room. */
static size_t http_take_head(struct http *h, struct bytes in, struct out *out,
			     const struct moment *now)
{
	const struct http_settings *s = h->settings;
	struct http1_limits limits = {s->line_bytes, s->head_bytes, (unsigned)s->fields};
	struct http1_refusal refusal;
	struct http_request r;
	size_t seen = h->seen, taken;
	int64_t found;

	if (in.len < h->needs || !out_fits(out, HTTP_SEGMENTS_MOST, HTTP_COPY_MOST))
		return 0;
	if (out_room(out) == 0 && out->segments) { /* enough for one call */
		out_more(out);
		return 0;
	}
	found = http1_parse(&r.head, HTTP1_REQUEST, in, &seen, bytes_of(NULL, 0), &limits,
			    &refusal);
	if (found <= 0 && s->access)
		http_remember_line(h, in);
	if (found < 0) {
		http_not_understood(h, &r, &refusal, out, now);
		return in.len;
	}
	if (found == 0) {
		h->seen = (uint32_t)seen;
		h->begun_ns = h->begun_ns ? h->begun_ns : now->boot_ns;
		http_watch_time(h, out);
		return 0;
	}
	r.method = http_method_of(r.head.method);
	r.has = http_has(&r.head);
	r.keep_alive = r.head.keep_alive && !h->draining;
	r.in_api = false;
	if (r.method != HTTP_PUT)
		http_judge_body(&r);
	taken = http_dispatch(h, &r, in, out, now);
	if (!taken) {
		h->begun_ns = h->begun_ns ? h->begun_ns : now->boot_ns;
		http_watch_time(h, out);
		return 0;
	}
	http_next(h, &r, out, now);
	return taken;
}

static size_t http_take_discarded(struct http *h, struct bytes in, struct out *out,
				  const struct moment *now)
{
	struct bytes content;
	size_t taken = http1_body_take(&h->body, in, &content);

	if (h->body.bad || h->body.content_bytes > HTTP_DISCARD_BYTES) {
		out_end(out);
	} else if (h->body.done) {
		h->state = HTTP_HEAD;
		h->begun_ns = 0;
		h->idle_ns = now->boot_ns;
		http_watch_time(h, out);
	}
	return taken;
}

/* The next thing in `in`: bytes taken, 0 when it has to wait. */
static size_t http_take(struct http *h, struct bytes in, struct out *out, const struct moment *now)
{
	switch ((enum http_state)h->state) {
	case HTTP_HEAD:
		return http_take_head(h, in, out, now);
	case HTTP_DISCARD:
		return http_take_discarded(h, in, out, now);
	case HTTP_STORE:
		return out_fits(out, HTTP_SEGMENTS_MOST, HTTP_COPY_MOST)
			       ? http_put_take(h, in, out, now)
			       : 0;
	case HTTP_STORING:
	case HTTP_ASKED:
	case HTTP_STREAMING:
		break;
	}
	out_pause(out);
	return 0;
}

static size_t http_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct http *h = m;
	size_t taken = 0;

	h->first = true;
	h->ending = false;
	while (taken < in.len) {
		size_t more = http_take(h, bytes_after(in, taken), out, now);

		if (!more)
			return taken;
		taken += more;
		if (out->end)
			return in.len;
	}
	return taken;
}

static void http_eof(void *m, struct out *out, const struct moment *now)
{
	struct http *h = m;

	h->eof = true;
	if (h->state == HTTP_ASKED || h->state == HTTP_STORING)
		return;
	http_put_drop(h);
	out_end(out);
}

/* 408, as far as anything was begun. */
static void http_too_slow(struct http *h, struct out *out, const struct moment *now)
{
	struct http_request r;
	static const struct http1_refusal refusal = {408, N_("the request took too long")};

	http_put_drop(h);
	if (h->state == HTTP_DISCARD)
		out_end(out);
	else
		http_not_understood(h, &r, &refusal, out, now);
}

static void http_tick(void *m, struct out *out, const struct moment *now)
{
	struct http *h = m;

	h->armed_ns = MOMENT_NEVER;
	if (http_due_ns(h) > now->boot_ns) {
		http_watch_time(h, out);
	} else if (h->state == HTTP_STREAMING) {
		http_bid_farewell(h, out, now);
	} else if (h->state == HTTP_ASKED) {
		http_let_go(h, out, now);
	} else if (h->state != HTTP_HEAD || h->begun_ns) {
		http_too_slow(h, out, now);
	} else {
		/* What was answered last may still be on its way: `room` tells when it is not. */
		h->ending = true;
		h->idle_ns = now->boot_ns;
		out_more(out);
	}
}

/* Idle for too long: ends, unless the last answer was being sent until now. */
static void http_end_idle(struct http *h, struct out *out, const struct moment *now)
{
	h->ending = false;
	if (h->state != HTTP_HEAD || h->begun_ns)
		return;
	if (now->boot_ns - h->idle_ns < MOMENT_S) {
		out_end(out);
		return;
	}
	h->idle_ns = now->boot_ns;
	http_watch_time(h, out);
}

static void http_room(void *m, struct out *out, const struct moment *now)
{
	struct http *h = m;
	struct message message = {.kind = HTTP_READY};

	if (h->state == HTTP_STREAMING)
		out_tell(out, OUT_HUB, &message);
	else if (h->ending)
		http_end_idle(h, out, now);
}

static void http_tell(void *m, const struct message *message, struct out *out,
		      const struct moment *now)
{
	http_hear(m, message, out, now);
}

static void http_close(void *m, int why)
{
	http_put_drop(m);
}

/* From now on every answer is its connection's last; a stream is told what its reader should still
 * know, and ends. */
static void http_drain(void *m, struct out *out, const struct moment *now)
{
	struct http *h = m;

	h->draining = true;
	if (h->state != HTTP_STREAMING)
		return;
	h->idle_ns = now->boot_ns;
	http_watch_time(h, out);
}

/* A stream has no end to wait for, but for the one that http_drain sets. */
static bool http_busy(const void *m)
{
	const struct http *h = m;

	if (h->state == HTTP_STREAMING)
		return h->draining;
	return h->begun_ns || h->state == HTTP_STORING || h->state == HTTP_ASKED;
}

const struct machine http_machine = {
	.name = "http",
	.state_bytes = sizeof(struct http),
	.hold_bytes = HTTP1_HEAD_BYTES,
	.settings = http_options,
	.settings_bytes = sizeof(struct http_settings),
	.open = http_open,
	.feed = http_feed,
	.eof = http_eof,
	.tick = http_tick,
	.room = http_room,
	.tell = http_tell,
	.close = http_close,
	.drain = http_drain,
	.busy = http_busy,
};
