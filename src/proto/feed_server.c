/* The feed, the server's side: docs/protocols/feed.md. What becomes of records is the hub's to say;
 * this machine checks frames, numbers and the window, and hands bodies on as they come.
 *
 *   client                                  server                       hub
 *     │ ── magic, HELLO ──────────────────────► │ ── JOIN ───────────────► │
 *     │ ◄─────────── WELCOME newest, bounds ─── │ ◄── JOINED newest ────── │
 *     │ ── RECORDS first, count, body ────────► │ ── PIECE ... RECORDS ──► │ commits
 *     │ ◄──────────────── ACK newest, bytes ─── │ ◄── COMMITTED newest ─── │
 *     │ ── BYE ───────────────────────────────► │ ── GONE ───────────────► │
 *     │ ◄────────── REFUSE code, reason ─────── │ ◄── REFUSED ──────────── │
 *     │ ── anything else, `CREATE:name` ──────► │ ── PLAIN ──────────────► │
 *
 *                 magic            HELLO             JOINED         head of RECORDS
 *   NEW ──────────────► EXPECTED ────────► JOINING ─────────► READY ◄──────────────► BODY
 *    └── other byte ──► PLAIN                                          end of body
 *
 * Who says nothing at all may do so for ever: a plain client speaks when something happens. Who has
 * begun to speak the feed is asked after FEED_SILENCE_MS without a word and left after as long
 * again, but not while it waits for us to acknowledge: then reading may have been stopped.
 *
 * ACK says how many bytes of RECORDS frames it acknowledges, so that a client knows its window
 * without a list of its frames. Here the list has CREDITS places; beyond these frames are credited
 * together, later rather than earlier. */
#include "proto/collect.h"
#include "proto/feed_parts.h"
#include "proto/keys.h"

enum {
	CREDITS = 64,
	ID_BYTES = 128,        /* `plain:ADDRESS/INSTANCE`, `FINGERPRINT/INSTANCE` */
	STEP_COPY_BYTES = 512, /* a step's: the longest REFUSE or JOIN */
};

_Static_assert(KEYS_FINGERPRINT_BYTES + 1 + 2 * FEED_INSTANCE_BYTES < ID_BYTES &&
		       sizeof("plain:") + ADDRESS_TEXT_BYTES + 2 * FEED_INSTANCE_BYTES < ID_BYTES,
	       "any id fits");
_Static_assert(ID_BYTES + FEED_HOST_BYTES <= STEP_COPY_BYTES, "a JOIN fits");

enum state { NEW, EXPECTED, JOINING, READY, BODY, PLAIN };

/* Everything up to the record `last` is `bytes` of frames since WELCOME. */
struct credit {
	uint64_t last, bytes;
};

struct collect {
	struct address remote;
	char id[ID_BYTES]; /* until HELLO its first half */
	uint8_t state;
	bool asked, stopping;
	uint64_t heard_ns;
	uint64_t newest;                          /* that the hub has */
	uint64_t last;                            /* that was handed to it, 0: nothing was */
	uint64_t taken_bytes, acknowledged_bytes; /* of frames */
	unsigned credits;
	struct credit credit[CREDITS]; /* the oldest first */
	uint64_t number[4];            /* of the body under way, as FEED_RECORDS has them */
	uint32_t body_at, body_len;
	struct feed_plain plain;
};

static void tell_hub(struct out *out, enum feed_kind kind, struct bytes body)
{
	out_tell(out, OUT_HUB, &(struct message){.kind = kind, .body = body});
}

static void collect_open(void *m, const struct peer *peer, struct out *out,
			 const struct moment *now)
{
	struct collect *c = m;
	struct text id = TEXT_OVER(c->id);

	c->remote = peer->remote;
	c->plain.due_ns = MOMENT_NEVER;
	if (peer->fingerprint) {
		text_put_string(&id, peer->fingerprint);
		return;
	}
	text_put_string(&id, "plain:");
	address_put_ip(&id, &peer->remote);
}

/* The end with a reason. A plain client understands none, and is only closed. */
static void refuse(struct collect *c, enum feed_refusal code, struct bytes reason, struct out *out,
		   const struct moment *now)
{
	uint8_t head[FEED_HEAD_BYTES + FEED_CODE_BYTES];
	struct event *e = out_event(out, now, EVENT_NOTICE, "feed.refused");

	reason = bytes_first(reason, FEED_REASON_BYTES);
	event_address(e, "peer", &c->remote);
	if (c->state > EXPECTED && c->state != PLAIN)
		event_string(e, "client", c->id);
	event_string(e, "code", feed_refusal_name(code));
	event_text(e, "why", reason);
	if (c->state != PLAIN) {
		feed_head_put(head, FEED_TYPE_REFUSE, 0, FEED_CODE_BYTES + reason.len);
		bytes_put_be16(head + FEED_HEAD_BYTES, (uint16_t)code);
		out_copy(out, bytes_of(head, sizeof(head)));
		out_copy(out, reason);
	}
	if (c->state > EXPECTED)
		tell_hub(out, FEED_GONE, (struct bytes){0});
	out_end(out);
}

static size_t refuse_for(struct collect *c, enum feed_refusal code, const char *reason,
			 struct out *out, const struct moment *now)
{
	refuse(c, code, bytes_of_string(reason), out, now);
	return 0;
}

/* The window. */

static void credit_put(struct collect *c)
{
	if (c->credits < CREDITS)
		c->credits++;
	c->credit[c->credits - 1] = (struct credit){c->last, c->taken_bytes};
}

static void credit_take(struct collect *c, uint64_t newest)
{
	unsigned done = 0;

	while (done < c->credits && c->credit[done].last <= newest)
		c->acknowledged_bytes = c->credit[done++].bytes;
	c->credits -= done;
	memmove(c->credit, c->credit + done, c->credits * sizeof(c->credit[0]));
}

/* Frames. Each of these returns how many bytes of `in` it took: 0, it lacks the rest or it is the
 * end. */

static size_t take_hello(struct collect *c, struct bytes body, struct out *out,
			 const struct moment *now)
{
	struct bytes host = bytes_after(body, FEED_INSTANCE_BYTES);
	char joined[ID_BYTES + FEED_HOST_BYTES + 1];
	struct text id = {.data = c->id, .len = strlen(c->id), .cap = ID_BYTES};
	struct text join = TEXT_OVER(joined);

	if (c->state != EXPECTED)
		return refuse_for(c, FEED_BAD_FRAME, "HELLO was said before", out, now);
	if (!feed_host_valid(host))
		return refuse_for(c, FEED_BAD_FRAME,
				  "the host's name is not text, or has control characters", out,
				  now);
	text_put_byte(&id, '/');
	for (size_t i = 0; i < FEED_INSTANCE_BYTES; i++)
		text_printf(&id, "%02x", body.data[i]);
	text_put(&join, text_bytes(&id));
	text_put_byte(&join, '\0');
	text_put(&join, host);
	tell_hub(out, FEED_JOIN, text_bytes(&join));
	c->state = JOINING;
	return FEED_HEAD_BYTES + body.len;
}

/* What is wrong with the numbers of RECORDS, and `*code`; or NULL. */
static const char *fault_of_records(const struct collect *c, const struct feed_head *head,
				    enum feed_refusal *code)
{
	uint64_t first = c->number[0], count = c->number[1], raw = c->number[2];
	uint64_t body = head->len - FEED_RECORDS_BYTES;

	*code = FEED_BAD_FRAME;
	if (c->state != READY)
		return "records before the welcome";
	if (count == 0 || raw == 0 || raw > FEED_RAW_BYTES || count > raw)
		return "records of a number or a length that cannot be";
	if (!c->number[3] && raw != body)
		return "records that are not packed and have another length";
	*code = FEED_BAD_NUMBER;
	if (first == 0 || first > FEED_NUMBER_MOST || count - 1 > FEED_NUMBER_MOST - first)
		return "numbers that cannot be";
	if (c->last ? first != c->last + 1 : first + count - 1 <= c->newest)
		return "numbers that go back, or some are missing";
	*code = FEED_TOO_MUCH;
	if (c->taken_bytes - c->acknowledged_bytes + FEED_HEAD_BYTES + head->len >
	    FEED_WINDOW_BYTES)
		return "more than the window allows";
	return NULL;
}

static size_t take_records(struct collect *c, const struct feed_head *head, struct bytes in,
			   struct out *out, const struct moment *now)
{
	enum feed_refusal code;
	const char *fault;

	if (in.len < FEED_RECORDS_BYTES)
		return 0;
	c->number[0] = bytes_get_be64(in.data);
	c->number[1] = bytes_get_be32(in.data + 8);
	c->number[2] = bytes_get_be32(in.data + 12);
	c->number[3] = head->flags & FEED_FLAG_PACKED;
	fault = fault_of_records(c, head, &code);
	if (fault)
		return refuse_for(c, code, fault, out, now);
	c->body_at = 0;
	c->body_len = head->len - FEED_RECORDS_BYTES;
	c->state = BODY;
	return FEED_HEAD_BYTES + FEED_RECORDS_BYTES;
}

static size_t take_body(struct collect *c, struct bytes in, struct out *out)
{
	struct bytes piece = bytes_first(in, c->body_len - c->body_at);
	struct message message = {
		.kind = FEED_PIECE, .number = {c->body_at, c->body_len}, .body = piece};

	c->body_at += (uint32_t)piece.len;
	if (c->body_at == c->body_len) {
		message.kind = FEED_RECORDS;
		memcpy(message.number, c->number, sizeof(message.number));
		c->last = c->number[0] + c->number[1] - 1;
		c->taken_bytes += FEED_HEAD_BYTES + FEED_RECORDS_BYTES + c->body_len;
		credit_put(c);
		c->state = READY;
	}
	out_tell_borrow(out, OUT_HUB, &message);
	return piece.len;
}

/* The service stops: a client goes once all that it sent is acknowledged, or when it begins
 * anything else. */
static size_t refuse_to_go_on(struct collect *c, struct out *out, const struct moment *now)
{
	return refuse_for(c, FEED_STOPPING, "this server stops", out, now);
}

static size_t take_frame(struct collect *c, struct bytes in, struct out *out,
			 const struct moment *now)
{
	struct feed_head head;
	struct bytes body = bytes_after(in, FEED_HEAD_BYTES);
	const char *fault = feed_head_take(in, true, &head);

	if (fault)
		return refuse_for(c, FEED_BAD_FRAME, fault, out, now);
	if (c->stopping && head.type != FEED_TYPE_BYE)
		return refuse_to_go_on(c, out, now);
	if (head.type == FEED_TYPE_RECORDS)
		return take_records(c, &head, body, out, now);
	if (body.len < head.len)
		return 0;
	if (head.type == FEED_TYPE_HELLO)
		return take_hello(c, bytes_first(body, head.len), out, now);
	if (c->state == EXPECTED)
		return refuse_for(c, FEED_BAD_FRAME, "HELLO comes first", out, now);
	if (head.type == FEED_TYPE_PING) {
		feed_say(out, FEED_TYPE_PONG);
	} else if (head.type == FEED_TYPE_BYE) {
		tell_hub(out, FEED_GONE, (struct bytes){0});
		out_end(out);
	}
	return FEED_HEAD_BYTES + head.len;
}

static size_t take_magic(struct collect *c, struct bytes in, struct out *out,
			 const struct moment *now)
{
	uint8_t magic[FEED_MAGIC_BYTES];

	memcpy(magic, in.data, sizeof(magic));
	magic[FEED_MAGIC_VERSION] = FEED_VERSION;
	if (!bytes_equal(bytes_of(magic, sizeof(magic)), FEED_MAGIC))
		return refuse_for(c, FEED_BAD_FRAME, "this is not the magic of the feed", out, now);
	if (in.data[FEED_MAGIC_VERSION] != FEED_VERSION)
		return refuse_for(c, FEED_BAD_VERSION, "this server speaks version 1", out, now);
	c->state = EXPECTED;
	return FEED_MAGIC_BYTES;
}

static size_t step(struct collect *c, struct bytes in, struct out *out, const struct moment *now)
{
	if (c->state == BODY)
		return take_body(c, in, out);
	if (in.len < (c->state == NEW ? (size_t)FEED_MAGIC_BYTES : (size_t)FEED_HEAD_BYTES))
		return 0;
	return c->state == NEW ? take_magic(c, in, out, now) : take_frame(c, in, out, now);
}

static size_t collect_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct collect *c = m;
	size_t taken = 0, n = 1;

	if (c->state == NEW && in.data[0] != FEED_MAGIC.data[0])
		c->state = PLAIN;
	if (c->state == PLAIN)
		return feed_plain_take(&c->plain, in, &c->remote, out, now);
	if (!c->heard_ns)
		out_deadline(out, now->boot_ns + FEED_SILENCE_MS * MOMENT_MS);
	c->heard_ns = now->boot_ns;
	c->asked = false;
	while (taken < in.len && n && !out->end && out_fits(out, 2, STEP_COPY_BYTES) &&
	       out_fits_messages(out, 1, 1)) {
		n = step(c, bytes_after(in, taken), out, now);
		taken += n;
	}
	return out->end ? in.len : taken;
}

/* The other verbs. */

static void collect_eof(void *m, struct out *out, const struct moment *now)
{
	struct collect *c = m;

	if (c->state == PLAIN) {
		feed_plain_end(&c->plain, &c->remote, out, now);
		return;
	}
	if (c->state > EXPECTED)
		tell_hub(out, FEED_GONE, (struct bytes){0});
	out_end(out);
}

static void collect_tick(void *m, struct out *out, const struct moment *now)
{
	struct collect *c = m;
	uint64_t due_ns = c->heard_ns + FEED_SILENCE_MS * MOMENT_MS;

	if (c->state == PLAIN) {
		feed_plain_tick(&c->plain, &c->remote, out, now);
		return;
	}
	if (now->boot_ns < due_ns) {
		out_deadline(out, due_ns);
		return;
	}
	if (c->state <= EXPECTED || (c->asked && c->taken_bytes == c->acknowledged_bytes)) {
		out_abort(out, ERR_TIMEOUT);
		return;
	}
	feed_say(out, FEED_TYPE_PING);
	c->asked = true;
	c->heard_ns = now->boot_ns;
	out_deadline(out, now->boot_ns + FEED_SILENCE_MS * MOMENT_MS);
}

static void collect_room(void *m, struct out *out, const struct moment *now)
{
	struct collect *c = m;

	if (c->state == PLAIN)
		feed_plain_room(&c->plain, &c->remote, out, now);
}

static void welcome(struct collect *c, uint64_t newest, struct out *out)
{
	uint8_t frame[FEED_HEAD_BYTES + FEED_WELCOME_BYTES], *at = frame + FEED_HEAD_BYTES;

	if (c->state != JOINING || newest > FEED_NUMBER_MOST)
		return;
	c->newest = newest;
	c->state = READY;
	feed_head_put(frame, FEED_TYPE_WELCOME, 0, FEED_WELCOME_BYTES);
	bytes_put_be64(at, newest);
	bytes_put_be32(at + 8, FEED_WINDOW_BYTES);
	bytes_put_be32(at + 12, FEED_FRAME_BYTES);
	out_copy(out, bytes_of(frame, sizeof(frame)));
}

static bool is_acknowledged(const struct collect *c)
{
	return c->state == READY && c->taken_bytes == c->acknowledged_bytes;
}

static void acknowledge(struct collect *c, uint64_t newest, struct out *out,
			const struct moment *now)
{
	uint8_t frame[FEED_HEAD_BYTES + FEED_ACK_BYTES], *at = frame + FEED_HEAD_BYTES;

	if (newest <= c->newest || newest > c->last)
		return;
	c->newest = newest;
	credit_take(c, newest);
	feed_head_put(frame, FEED_TYPE_ACK, 0, FEED_ACK_BYTES);
	bytes_put_be64(at, newest);
	bytes_put_be64(at + 8, c->acknowledged_bytes);
	out_copy(out, bytes_of(frame, sizeof(frame)));
	if (c->stopping && is_acknowledged(c))
		refuse_to_go_on(c, out, now);
}

static void collect_drain(void *m, struct out *out, const struct moment *now)
{
	struct collect *c = m;

	c->stopping = true;
	if (c->state == EXPECTED || c->state == JOINING || is_acknowledged(c))
		refuse_to_go_on(c, out, now);
}

static void collect_tell(void *m, const struct message *message, struct out *out,
			 const struct moment *now)
{
	struct collect *c = m;

	switch (message->kind) {
	case FEED_JOINED:
		welcome(c, message->number[0], out);
		break;
	case FEED_COMMITTED:
		acknowledge(c, message->number[0], out, now);
		break;
	case FEED_REFUSED:
		refuse(c, (enum feed_refusal)message->number[0], message->body, out, now);
		break;
	}
}

static bool collect_busy(const void *m)
{
	const struct collect *c = m;

	return c->state == BODY || c->taken_bytes != c->acknowledged_bytes || c->plain.len > 0;
}

const struct machine collect_machine = {
	.name = "collect",
	.state_bytes = sizeof(struct collect),
	.hold_bytes = FEED_HEAD_BYTES + FEED_INSTANCE_BYTES + FEED_HOST_BYTES - 1,
	.silent_peers = true,
	.settings = collect_options,
	.settings_bytes = sizeof(struct collect_settings),
	.open = collect_open,
	.feed = collect_feed,
	.eof = collect_eof,
	.tick = collect_tick,
	.room = collect_room,
	.tell = collect_tell,
	.drain = collect_drain,
	.busy = collect_busy,
};
