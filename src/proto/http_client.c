/* HTTP/1.x, the client's side of one connection: one request after the other, each with its answer
 * (RFC 9112, RFC 9110).
 *
 *   holder              machine                          server
 *     │ ── REQUEST ──────► │ ── GET / HTTP/1.1 ... ────────► │
 *     │                    │ ◄── HTTP/1.1 103 ... ────────── │
 *     │ ◄─── INTERIM ───── │                                 │
 *     │                    │ ◄── HTTP/1.1 200 OK ... ─────── │
 *     │ ◄─── HEAD ──────── │ ◄── content ─────────────────── │
 *     │ ◄─── CONTENT ...── │                                 │
 *     │ ◄─── DONE ──────── │                                 │
 *
 *        REQUEST              head                end of content
 *   IDLE ───────► AWAITING ───────────► CONTENT ───────────────► IDLE
 *                   │  └── 2xx to a CONNECT ──► TUNNEL
 *                   └ EXPECTING until 100, any answer, or a second
 *
 * The end of the stream is ERR_LEFT while an answer is awaited or lacks its rest; it is the end of
 * content that has no other; between two exchanges it is simply the end. Bytes that nobody asked
 * for, and 101 (we never ask for it), break the protocol.
 *
 * Limits: a head of HTTP1_HEAD_BYTES; HTTP_CLIENT_INTERIMS 1xx answers an exchange. */
#include "proto/http_client.h"

#define N_(s) s

enum { HTTP_CLIENT_INTERIMS = 32 };
#define HTTP_CLIENT_EXPECT_NS (1 * MOMENT_S)

enum http_client_state {
	HTTP_CLIENT_IDLE,
	HTTP_CLIENT_AWAITING,
	HTTP_CLIENT_IN_CONTENT,
	HTTP_CLIENT_IN_TUNNEL,
};

struct http_client {
	uint8_t state;
	uint8_t flags;  /* enum http_client_flag of the request under way */
	bool expecting; /* its content waits for 100 (Continue) */
	bool reusable;  /* as the head says */
	unsigned interims;
	size_t seen;
	struct http1_body body;
};

static void client_say(struct out *out, uint32_t kind, uint64_t number, struct bytes body)
{
	struct message message = {.kind = kind, .number = {number}, .body = body};

	out_tell_borrow(out, OUT_OWNER, &message);
}

static void client_refuse(struct out *out, const char *why)
{
	client_say(out, HTTP_CLIENT_REFUSED, 0, bytes_of_string(why));
	out_abort(out, ERR_PROTOCOL);
}

/* The content is no longer held back. */
static void client_go_on(struct http_client *c, struct out *out)
{
	if (!c->expecting)
		return;
	c->expecting = false;
	out_deadline(out, MOMENT_NEVER);
	client_say(out, HTTP_CLIENT_GO_ON, 0, BYTES_LITERAL(""));
}

static void client_done(struct http_client *c, struct out *out)
{
	c->state = HTTP_CLIENT_IDLE;
	if (c->expecting) { /* answered without it: it will not be sent any more */
		c->expecting = c->reusable = false;
		out_deadline(out, MOMENT_NEVER);
	}
	client_say(out, HTTP_CLIENT_DONE, c->reusable, BYTES_LITERAL(""));
}

static void client_interim(struct http_client *c, const struct http1_head *head, struct bytes raw,
			   struct out *out)
{
	if (head->status == 101) {
		client_refuse(out, N_("it changes to a protocol that nobody asked for (101)"));
		return;
	}
	if (++c->interims > HTTP_CLIENT_INTERIMS) {
		client_refuse(out, N_("no end of interim answers (1xx)"));
		return;
	}
	client_say(out, HTTP_CLIENT_INTERIM, head->status, raw);
	if (head->status == 100)
		client_go_on(c, out);
}

static void client_answer(struct http_client *c, const struct http1_head *head, struct bytes raw,
			  struct out *out)
{
	client_say(out, HTTP_CLIENT_HEAD, head->status, raw);
	if (c->flags & HTTP_CLIENT_CONNECT && head->status / 100 == 2) {
		c->state = HTTP_CLIENT_IN_TUNNEL;
		client_say(out, HTTP_CLIENT_TUNNEL, 0, BYTES_LITERAL(""));
		return;
	}
	http1_body_begin(&c->body, head);
	c->reusable = head->keep_alive;
	c->state = HTTP_CLIENT_IN_CONTENT;
	if (c->body.done)
		client_done(c, out);
}

/* One head. Returns what it took; 0: it is not whole. */
static size_t client_take_head(struct http_client *c, struct bytes in, struct out *out)
{
	struct bytes method = BYTES_LITERAL("GET");
	struct http1_refusal refusal;
	struct http1_head head;
	int64_t n;

	if (c->flags & HTTP_CLIENT_NO_CONTENT)
		method = BYTES_LITERAL("HEAD");
	else if (c->flags & HTTP_CLIENT_CONNECT)
		method = BYTES_LITERAL("CONNECT");
	n = http1_parse(&head, HTTP1_RESPONSE, in, &c->seen, method, NULL, &refusal);
	if (n < 0)
		client_refuse(out, refusal.why);
	if (n <= 0)
		return 0;
	c->seen = 0;
	if (head.status / 100 == 1)
		client_interim(c, &head, bytes_first(in, (size_t)n), out);
	else
		client_answer(c, &head, bytes_first(in, (size_t)n), out);
	return (size_t)n;
}

static size_t client_take_content(struct http_client *c, struct bytes in, struct out *out)
{
	struct bytes content;
	size_t n = http1_body_take(&c->body, in, &content);

	if (content.len)
		client_say(out, HTTP_CLIENT_CONTENT, 0, content);
	if (c->body.bad)
		client_refuse(out, c->body.refusal.why);
	else if (c->body.done)
		client_done(c, out);
	return n;
}

static size_t client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct http_client *c = m;
	size_t taken = 0, n = 1;

	/* A step says three things at most. */
	while (n && taken < in.len && !out->abort_why && out_fits_messages(out, 3, 0)) {
		struct bytes rest = bytes_after(in, taken);

		n = 0;
		switch ((enum http_client_state)c->state) {
		case HTTP_CLIENT_IDLE:
			client_refuse(out, N_("more than its answer"));
			break;
		case HTTP_CLIENT_AWAITING:
			n = client_take_head(c, rest, out);
			break;
		case HTTP_CLIENT_IN_CONTENT:
			n = client_take_content(c, rest, out);
			break;
		case HTTP_CLIENT_IN_TUNNEL:
			out_pause(out);
			break;
		}
		taken += n;
	}
	return taken;
}

static void client_eof(void *m, struct out *out, const struct moment *now)
{
	struct http_client *c = m;

	if (c->state == HTTP_CLIENT_IDLE) {
		out_end(out);
	} else if (c->state == HTTP_CLIENT_IN_CONTENT && http1_body_end(&c->body)) {
		c->reusable = false;
		client_done(c, out);
		out_end(out);
	} else {
		out_abort(out, ERR_LEFT);
	}
}

static void client_tick(void *m, struct out *out, const struct moment *now)
{
	client_go_on(m, out);
}

static void client_begin(struct http_client *c, const struct message *message, struct out *out,
			 const struct moment *now)
{
	if (c->state != HTTP_CLIENT_IDLE)
		return;
	c->state = HTTP_CLIENT_AWAITING;
	c->flags = (uint8_t)message->number[0];
	c->interims = 0;
	c->seen = 0;
	c->expecting = c->flags & HTTP_CLIENT_EXPECTS;
	if (c->expecting)
		out_deadline(out, now->boot_ns + HTTP_CLIENT_EXPECT_NS);
	out_borrow(out, message->body);
}

static void client_tell(void *m, const struct message *message, struct out *out,
			const struct moment *now)
{
	struct http_client *c = m;

	switch (message->kind) {
	case HTTP_CLIENT_REQUEST:
		client_begin(c, message, out, now);
		break;
	case HTTP_CLIENT_TEXT:
		out_borrow(out, message->body);
		break;
	case HTTP_CLIENT_FILE:
		out_file(out, (int)message->number[0], message->number[1], message->number[2]);
		break;
	default:
		break;
	}
}

const struct machine http_client_machine = {
	.name = "http_client",
	.state_bytes = sizeof(struct http_client),
	.hold_bytes = HTTP1_HEAD_BYTES,
	.feed = client_feed,
	.eof = client_eof,
	.tick = client_tick,
	.tell = client_tell,
};
