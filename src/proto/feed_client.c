/* The feed, the client's side: docs/protocols/feed.md. Blocks come from the owner, one each time
 * that it is asked for one, and leave as RECORDS frames as they are.
 *
 *   owner                       client                                server
 *     │                           │ ── magic, HELLO ────────────────────► │
 *     │ ◄── READY newest, WANT ── │ ◄──────── WELCOME newest, bounds ──── │
 *     │ ── BLOCK ───────────────► │ ── RECORDS ─────────────────────────► │
 *     │ ◄── WANT, while there is room in the window                       │
 *     │ ◄── ACKED newest ──────── │ ◄──────────── ACK newest, bytes ───── │
 *     │ ── LEAVE ───────────────► │ ── BYE ─────────────────────────────► │
 *     │ ◄── TURNED_AWAY ───────── │ ◄──────── REFUSE code, reason ─────── │
 *
 *   ASKING ── WELCOME ──► READY
 *
 * Everything the server says is checked: what it acknowledges was sent and never goes back, what it
 * promises has bounds, its reason is shown and never obeyed. A server that says what it may not
 * ends the connection with ERR_PROTOCOL, one that says nothing for FEED_SILENCE_MS is asked, and
 * left (ERR_TIMEOUT) after as long again. */
#include "proto/feed_parts.h"

#define N_(s) s

enum state { ASKING, READY };

struct feed_client {
	uint8_t state;
	bool wants; /* the owner was asked for a block */
	bool asked; /* the server for a word */
	uint64_t heard_ns;
	uint64_t newest; /* that the server has */
	uint64_t last;   /* that was sent, or newest at first */
	bool sent_any;
	uint64_t sent_bytes, acknowledged_bytes; /* of RECORDS frames */
	uint64_t window_bytes;
};

static const struct option feed_client_options[] = {
	{.name = "host",
	 .type = OPTION_TEXT,
	 .argument = "NAME",
	 .offset = offsetof(struct feed_client_settings, host),
	 .fallback = "localhost",
	 .help = N_("what this machine is called")},
	OPTION_END,
};

static void tell_owner(struct out *out, enum feed_kind kind, uint64_t number, struct bytes body)
{
	out_tell(out, OUT_OWNER, &(struct message){.kind = kind, .number = {number}, .body = body});
}

static void feed_client_open(void *m, const struct peer *peer, struct out *out,
			     const struct moment *now)
{
	struct feed_client *c = m;
	const struct feed_client_settings *settings = peer->settings;
	struct bytes host = bytes_of_string(settings->host);
	uint8_t head[FEED_HEAD_BYTES];

	if (!feed_host_valid(host)) {
		out_abort(out, ERR_USAGE);
		return;
	}
	feed_head_put(head, FEED_TYPE_HELLO, 0, FEED_INSTANCE_BYTES + host.len);
	out_copy(out, FEED_MAGIC);
	out_copy(out, bytes_of(head, sizeof(head)));
	out_copy(out, bytes_of(settings->instance, FEED_INSTANCE_BYTES));
	out_copy(out, host);
	c->heard_ns = now->boot_ns;
	out_deadline(out, now->boot_ns + FEED_SILENCE_MS * MOMENT_MS);
}

/* The server broke the protocol. */
static bool broken(const char *why, struct out *out, const struct moment *now)
{
	event_string(out_event(out, now, EVENT_ERROR, "feed.broken"), "why", why);
	out_abort(out, ERR_PROTOCOL);
	return false;
}

/* Asks the owner for a block, once there is room for the longest. */
static void want(struct feed_client *c, struct out *out)
{
	uint64_t waits = c->sent_bytes - c->acknowledged_bytes;

	if (c->state != READY || c->wants ||
	    waits + FEED_HEAD_BYTES + FEED_FRAME_BYTES > c->window_bytes)
		return;
	if (out_room(out) == 0) {
		out_more(out);
		return;
	}
	c->wants = true;
	tell_owner(out, FEED_WANT, 0, (struct bytes){0});
}

/* What the server says. Each of these is false when that was the end. */

static bool take_welcome(struct feed_client *c, struct bytes b, struct out *out,
			 const struct moment *now)
{
	uint64_t newest = bytes_get_be64(b.data);
	uint32_t window = bytes_get_be32(b.data + 8), largest = bytes_get_be32(b.data + 12);

	if (c->state != ASKING)
		return broken("a second WELCOME", out, now);
	if (newest > FEED_NEWEST_MOST || largest < FEED_FRAME_BYTES || largest > FEED_BOUND_MOST ||
	    window < FEED_HEAD_BYTES + FEED_FRAME_BYTES || window > FEED_BOUND_MOST)
		return broken("a WELCOME with bounds that cannot be", out, now);
	c->state = READY;
	c->newest = c->last = newest;
	c->window_bytes = window < FEED_WINDOW_BYTES ? window : FEED_WINDOW_BYTES;
	event_uint(out_event(out, now, EVENT_INFO, "feed.ready"), "newest", newest);
	tell_owner(out, FEED_READY, newest, (struct bytes){0});
	want(c, out);
	return true;
}

static bool take_ack(struct feed_client *c, struct bytes b, struct out *out,
		     const struct moment *now)
{
	uint64_t newest = bytes_get_be64(b.data), bytes = bytes_get_be64(b.data + 8);

	if (c->state != READY)
		return broken("an ACK before the WELCOME", out, now);
	if (newest < c->newest || bytes < c->acknowledged_bytes)
		return broken("an ACK that goes back", out, now);
	if (newest > c->last || bytes > c->sent_bytes)
		return broken("an ACK of what was never sent", out, now);
	if ((newest == c->last) != (bytes == c->sent_bytes))
		return broken("an ACK whose number and bytes do not agree", out, now);
	c->acknowledged_bytes = bytes;
	if (newest > c->newest)
		tell_owner(out, FEED_ACKED, newest, (struct bytes){0});
	c->newest = newest;
	want(c, out);
	return true;
}

static bool take_refusal(struct bytes b, struct out *out, const struct moment *now)
{
	unsigned code = bytes_get_be16(b.data);
	char shown[FEED_REASON_BYTES + 1];
	struct text reason = TEXT_OVER(shown);
	struct event *e = out_event(out, now, EVENT_ERROR, "feed.refused");

	text_put_visible(&reason, bytes_after(b, FEED_CODE_BYTES), false);
	event_string(e, "code", feed_refusal_name(code));
	event_text(e, "why", text_bytes(&reason));
	tell_owner(out, FEED_TURNED_AWAY, code, text_bytes(&reason));
	out_abort(out, ERR_REFUSES);
	return false;
}

static bool take_frame(struct feed_client *c, enum feed_type type, struct bytes body,
		       struct out *out, const struct moment *now)
{
	switch (type) {
	case FEED_TYPE_WELCOME:
		return take_welcome(c, body, out, now);
	case FEED_TYPE_ACK:
		return take_ack(c, body, out, now);
	case FEED_TYPE_REFUSE:
		return take_refusal(body, out, now);
	case FEED_TYPE_PING:
		feed_say(out, FEED_TYPE_PONG);
		return true;
	default:
		return true;
	}
}

static size_t feed_client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct feed_client *c = m;
	size_t taken = 0;

	c->heard_ns = now->boot_ns;
	c->asked = false;
	while (in.len - taken >= FEED_HEAD_BYTES && out_fits(out, 1, 512) &&
	       out_fits_messages(out, 2, 1)) {
		struct bytes rest = bytes_after(in, taken);
		struct feed_head head;
		const char *fault = feed_head_take(rest, false, &head);

		if (fault) {
			broken(fault, out, now);
			break;
		}
		if (rest.len - FEED_HEAD_BYTES < head.len)
			break;
		taken += FEED_HEAD_BYTES + head.len;
		rest = bytes_first(bytes_after(rest, FEED_HEAD_BYTES), head.len);
		if (!take_frame(c, head.type, rest, out, now))
			break;
	}
	return taken;
}

/* The other verbs. */

static void feed_client_eof(void *m, struct out *out, const struct moment *now)
{
	out_abort(out, ERR_LEFT);
}

static void feed_client_tick(void *m, struct out *out, const struct moment *now)
{
	struct feed_client *c = m;
	uint64_t due_ns = c->heard_ns + FEED_SILENCE_MS * MOMENT_MS;

	if (now->boot_ns < due_ns) {
		out_deadline(out, due_ns);
		return;
	}
	if (c->state == ASKING || c->asked) {
		out_abort(out, ERR_TIMEOUT);
		return;
	}
	feed_say(out, FEED_TYPE_PING);
	c->asked = true;
	c->heard_ns = now->boot_ns;
	out_deadline(out, now->boot_ns + FEED_SILENCE_MS * MOMENT_MS);
}

static void feed_client_room(void *m, struct out *out, const struct moment *now)
{
	want(m, out);
}

/* Whether a block is what was asked for. */
static bool is_due(const struct feed_client *c, const struct message *block)
{
	uint64_t first = block->number[0], count = block->number[1], raw = block->number[2];

	if (!c->wants || block->body.len == 0 || block->body.len > FEED_BODY_BYTES)
		return false;
	if (count == 0 || raw == 0 || raw > FEED_RAW_BYTES || count > raw)
		return false;
	if (!block->number[3] && raw != block->body.len)
		return false;
	if (first == 0 || first > FEED_NUMBER_MOST || count - 1 > FEED_NUMBER_MOST - first)
		return false;
	return c->sent_any ? first == c->last + 1 : first + count - 1 > c->last;
}

static void send_block(struct feed_client *c, const struct message *block, struct out *out)
{
	uint8_t frame[FEED_HEAD_BYTES + FEED_RECORDS_BYTES], *at = frame + FEED_HEAD_BYTES;

	if (!is_due(c, block)) {
		out_abort(out, ERR_USAGE);
		return;
	}
	feed_head_put(frame, FEED_TYPE_RECORDS, block->number[3] ? FEED_FLAG_PACKED : 0,
		      FEED_RECORDS_BYTES + block->body.len);
	bytes_put_be64(at, block->number[0]);
	bytes_put_be32(at + 8, (uint32_t)block->number[1]);
	bytes_put_be32(at + 12, (uint32_t)block->number[2]);
	out_copy(out, bytes_of(frame, sizeof(frame)));
	out_borrow(out, block->body);
	c->wants = false;
	c->sent_any = true;
	c->last = block->number[0] + block->number[1] - 1;
	c->sent_bytes += sizeof(frame) + block->body.len;
	want(c, out);
}

static void feed_client_tell(void *m, const struct message *message, struct out *out,
			     const struct moment *now)
{
	if (message->kind == FEED_BLOCK) {
		send_block(m, message, out);
	} else if (message->kind == FEED_LEAVE) {
		feed_say(out, FEED_TYPE_BYE);
		out_end(out);
	}
}

const struct machine feed_client_machine = {
	.name = "feed_client",
	.state_bytes = sizeof(struct feed_client),
	.hold_bytes = FEED_HEAD_BYTES + FEED_CODE_BYTES + FEED_REASON_BYTES - 1,
	.silent_peers = true,
	.settings = feed_client_options,
	.settings_bytes = sizeof(struct feed_client_settings),
	.open = feed_client_open,
	.feed = feed_client_feed,
	.eof = feed_client_eof,
	.tick = feed_client_tick,
	.room = feed_client_room,
	.tell = feed_client_tell,
};
