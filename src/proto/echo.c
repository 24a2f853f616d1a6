/* echo, both sides (RFC 862).
 *
 *   client               server
 *     │ ── bytes ─────────►  │
 *     │ ◄───── the same ───  │      ... any number of times
 *     │ ── FIN ───────────►  │      after what came last was sent back:
 *     │ ◄─────────── FIN ──  │
 *
 * The server has no state and copies nothing: it lends out what it was fed. A datagram comes back
 * as it was, the empty one too.
 *
 * The client sends rounds, one at a time, and checks each byte that returns:
 *
 *            all came back              interval over
 *   ROUND ──────────────────► WAITING ────────────────► ROUND      the last round ──► end
 *
 * Over UDP rounds are lost, late and doubled, and overtake each other: struct echo_rounds. */
#include "proto/echo.h"
#include "base/number.h"

enum { ECHO_BLOCK_BYTES = 1024 };

static size_t echo_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return out_borrow(out, in) ? in.len : 0;
}

static void echo_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			  const struct moment *now)
{
	if (in.len)
		out_borrow(out, in);
	else
		out_empty(out);
}

const struct machine echo_machine = {
	.name = "echo",
	.feed = echo_feed,
	.datagram = echo_datagram,
};

static uint64_t round_bytes(const struct echo_client_settings *s)
{
	if (s->text)
		return strlen(s->text);
	return s->size_bytes < ECHO_NUMBER_BYTES ? ECHO_NUMBER_BYTES : s->size_bytes;
}

static uint64_t round_count(const struct echo_client_settings *s)
{
	return s->text && s->count == 0 ? 1 : s->count;
}

static void number_put(uint64_t round, uint8_t digits[ECHO_NUMBER_BYTES])
{
	for (unsigned i = ECHO_NUMBER_BYTES; i-- > 0; round /= 10)
		digits[i] = (uint8_t)('0' + round % 10);
}

/* `len` bytes of a round's payload from `at`, which lie within it. */
static void payload_put(const struct echo_client_settings *s, uint64_t round, uint64_t at,
			uint8_t *into, size_t len)
{
	uint8_t digits[ECHO_NUMBER_BYTES];

	if (s->text) {
		memcpy(into, s->text + at, len);
		return;
	}
	number_put(round, digits);
	for (size_t i = 0; i < len; i++, at++)
		into[i] = at < sizeof digits ? digits[at] : (uint8_t)('a' + (round + at) % 26);
}

/* How many bytes of `in` are the payload's from `at`. */
static size_t payload_match(const struct echo_client_settings *s, uint64_t round, uint64_t at,
			    struct bytes in)
{
	uint8_t block[ECHO_BLOCK_BYTES];
	size_t same = 0;

	while (same < in.len) {
		size_t len = in.len - same < sizeof block ? in.len - same : sizeof block;

		payload_put(s, round, at + same, block, len);
		if (memcmp(block, in.data + same, len) != 0) {
			for (size_t i = 0; block[i] == in.data[same]; i++)
				same++;
			return same;
		}
		same += len;
	}
	return same;
}

struct echo_client {
	const struct echo_client_settings *settings;
	uint64_t round; /* the one under way or just over, from 1 */
	uint64_t bytes; /* how long each is */
	uint64_t said;  /* bytes of it sent */
	uint64_t heard; /* bytes of it that came back */
	uint64_t began_ns;
};

/* Sends as much of the round as is welcome. */
static void client_say(struct echo_client *c, struct out *out)
{
	uint8_t block[ECHO_BLOCK_BYTES];

	while (c->said < c->bytes) {
		uint64_t left = c->bytes - c->said;
		size_t len = left < sizeof block ? (size_t)left : sizeof block;

		if (out_room(out) == 0 || !out_fits(out, 1, len)) {
			out_more(out);
			return;
		}
		payload_put(c->settings, c->round, c->said, block, len);
		out_copy(out, bytes_of(block, len));
		c->said += len;
	}
}

static void client_begin(struct echo_client *c, struct out *out, const struct moment *now)
{
	c->round++;
	c->said = c->heard = 0;
	c->began_ns = now->boot_ns;
	out_deadline(out, MOMENT_NEVER);
	client_say(c, out);
}

/* Reports the round that came back whole, and ends, begins the next or waits for its time. */
static void client_round_over(struct echo_client *c, struct out *out, const struct moment *now)
{
	struct event *e = out_event(out, now, EVENT_INFO, "echo.round");
	uint64_t next_ns = c->began_ns + c->settings->interval_ms * MOMENT_MS;

	event_uint(e, "round", c->round);
	event_uint(e, "bytes", c->bytes);
	event_uint(e, "rtt_us", (now->boot_ns - c->began_ns) / 1000);
	if (c->round == round_count(c->settings) || c->bytes == 0)
		out_end(out); /* an empty round cannot be seen to return */
	else if (next_ns <= now->boot_ns)
		client_begin(c, out, now);
	else
		out_deadline(out, next_ns);
}

static void client_different(const struct echo_client *c, uint8_t got, struct out *out,
			     const struct moment *now)
{
	struct event *e = out_event(out, now, EVENT_WARNING, "echo.different");
	uint8_t expected = 0;

	event_uint(e, "round", c->round);
	event_uint(e, "at", c->heard);
	if (c->heard < c->said)
		payload_put(c->settings, c->round, c->heard, &expected, 1);
	event_text(e, "expected", bytes_of(&expected, c->heard < c->said));
	event_text(e, "got", bytes_of(&got, 1));
	out_end(out);
}

static void client_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct echo_client *c = m;

	c->settings = peer->settings;
	c->bytes = round_bytes(c->settings);
	client_begin(c, out, now);
	if (c->bytes == 0)
		client_round_over(c, out, now);
}

/* What is owed is what was said and has not come back; any byte beyond it differs. */
static size_t client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct echo_client *c = m;
	size_t taken = 0;

	while (taken < in.len && !out->end && out_fits_messages(out, 0, 1)) {
		struct bytes rest = bytes_after(in, taken);
		struct bytes owed = bytes_first(rest, (size_t)(c->said - c->heard));
		size_t same = payload_match(c->settings, c->round, c->heard, owed);

		c->heard += same;
		taken += same;
		if (same == 0) {
			client_different(c, in.data[taken], out, now);
			return in.len;
		}
		if (c->heard == c->bytes)
			client_round_over(c, out, now);
	}
	return out->end ? in.len : taken;
}

static void client_eof(void *m, struct out *out, const struct moment *now)
{
	out_abort(out, ERR_LEFT);
}

static void client_tick(void *m, struct out *out, const struct moment *now)
{
	client_begin(m, out, now);
}

static void client_room(void *m, struct out *out, const struct moment *now)
{
	client_say(m, out);
}

#define N_(s)       s
#define FIELD(name) offsetof(struct echo_client_settings, name)

static const struct option client_settings[] = {
	{.name = "text",
	 .type = OPTION_TEXT,
	 .argument = "TEXT",
	 .offset = FIELD(text),
	 .help = N_("what to send; else numbered rounds")},
	{.name = "count",
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = FIELD(count),
	 .fallback = "0",
	 .help = N_("rounds; 0 is for ever")},
	{.name = "interval",
	 .type = OPTION_DURATION,
	 .argument = "DUR",
	 .offset = FIELD(interval_ms),
	 .fallback = "1s",
	 .help = N_("between rounds")},
	{.name = "size",
	 .type = OPTION_SIZE,
	 .argument = "SIZE",
	 .offset = FIELD(size_bytes),
	 .fallback = "64",
	 .least = ECHO_NUMBER_BYTES,
	 .help = N_("bytes of a round")},
	OPTION_END,
};

const struct machine echo_client_machine = {
	.name = "echo_client",
	.state_bytes = sizeof(struct echo_client),
	.settings = client_settings,
	.settings_bytes = sizeof(struct echo_client_settings),
	.open = client_open,
	.feed = client_feed,
	.eof = client_eof,
	.tick = client_tick,
	.room = client_room,
};

void echo_rounds_init(struct echo_rounds *r, const struct echo_client_settings *settings,
		      uint64_t wait_ms, const struct moment *now)
{
	*r = (struct echo_rounds){
		.settings = *settings,
		.wait_ns = wait_ms * MOMENT_MS,
		.due_ns = now->boot_ns,
	};
}

static bool all_sent(const struct echo_rounds *r)
{
	uint64_t count = round_count(&r->settings);

	return count > 0 && r->sent == count;
}

bool echo_rounds_due(const struct echo_rounds *r, const struct moment *now)
{
	return !all_sent(r) && r->due_ns <= now->boot_ns;
}

struct bytes echo_rounds_again(struct echo_rounds *r, const struct moment *now, uint8_t *into)
{
	size_t len = (size_t)round_bytes(&r->settings);

	r->last_ns = now->boot_ns;
	r->due_ns = now->boot_ns + r->settings.interval_ms * MOMENT_MS;
	payload_put(&r->settings, r->sent, 0, into, len);
	return bytes_of(into, len);
}

struct bytes echo_rounds_send(struct echo_rounds *r, const struct moment *now, uint8_t *into)
{
	unsigned slot = ++r->sent % ECHO_WINDOW;

	r->sent_ns[slot] = now->boot_ns;
	r->done[slot] = false;
	return echo_rounds_again(r, now, into);
}

static uint64_t oldest_in_window(const struct echo_rounds *r)
{
	return r->sent < ECHO_WINDOW ? 1 : r->sent - ECHO_WINDOW + 1;
}

/* The round that an answer speaks of; 0 when that cannot be told. */
static uint64_t round_of(const struct echo_rounds *r, struct bytes in)
{
	uint64_t round = oldest_in_window(r);

	if (!r->settings.text) {
		if (number_parse_u64(bytes_first(in, ECHO_NUMBER_BYTES), &round) || round > r->sent)
			return 0;
		return round;
	}
	while (round < r->sent && r->done[round % ECHO_WINDOW])
		round++;
	return round;
}

static bool is_payload(const struct echo_rounds *r, uint64_t round, struct bytes in)
{
	return in.len == round_bytes(&r->settings) &&
	       payload_match(&r->settings, round, 0, in) == in.len;
}

enum echo_verdict echo_rounds_take(struct echo_rounds *r, struct bytes in, const struct moment *now,
				   struct echo_answer *answer)
{
	uint64_t round = round_of(r, in);
	unsigned slot = round % ECHO_WINDOW;

	*answer = (struct echo_answer){.round = round};
	if (round == 0 || !is_payload(r, round, in)) {
		r->different++;
		return ECHO_DIFFERENT;
	}
	if (round < oldest_in_window(r))
		return ECHO_STALE;
	if (r->done[slot]) {
		r->duplicates++;
		return ECHO_DUPLICATE;
	}
	r->done[slot] = true;
	r->answered++;
	answer->rtt_us = (now->boot_ns - r->sent_ns[slot]) / 1000;
	if (round < r->newest) {
		r->reordered++;
		return ECHO_REORDERED;
	}
	r->newest = round;
	return ECHO_ANSWERED;
}

bool echo_rounds_over(const struct echo_rounds *r, const struct moment *now)
{
	return all_sent(r) && (r->answered == r->sent || now->boot_ns >= r->last_ns + r->wait_ns);
}

uint64_t echo_rounds_deadline(const struct echo_rounds *r)
{
	return all_sent(r) ? r->last_ns + r->wait_ns : r->due_ns;
}
