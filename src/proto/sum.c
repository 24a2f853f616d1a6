/* sum, server and client.
 *
 *   client                                          server
 *     │ ── length, 4 bytes little-endian ──────────►  │
 *     │ ── so many bytes of pickle: [1, 2, 3] ─────►  │  adds as they come
 *     │ ◄─────────── the sum, 4 bytes little-endian ──│
 *     │ ◄─────────────────────────────────────── FIN ─│
 *
 * The server holds no list: proto/pickle.h adds the items while they stream by. A list that no
 * answer fits (a sum below 0 or above 2^32-1) gets none, just the FIN; a pickle that is refused
 * ends the connection at once, and an event says why. Source: the course's exercise, Python's
 * pickle. */
#include "proto/sum.h"

#include "proto/pickle.h"

#include <stddef.h>

/* Marks text for xgettext; whoever prints it has it translated. */
#define N_(s) s

enum { SUM_LENGTH_BYTES = 4, SUM_ANSWER_BYTES = 4 };

/* States: the length (have < 4), the pickle (left > 0), over. */
struct sum_server {
	struct pickle_reader reader;
	struct address from;
	uint64_t limit_bytes;
	uint32_t left; /* bytes of the pickle still to come */
	uint8_t have;  /* bytes of `length` */
	uint8_t length[SUM_LENGTH_BYTES];
};

static void sum_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct sum_server *s = m;
	const struct sum_settings *settings = peer->settings;

	s->from = peer->remote;
	s->limit_bytes = settings->limit_bytes;
}

static struct event *sum_refused(const struct sum_server *s, struct out *out,
				 const struct moment *now, const char *reason)
{
	struct event *e = out_event(out, now, EVENT_WARNING, "sum.refused");

	event_address(e, "peer", &s->from);
	event_string(e, "reason", reason);
	return e;
}

/* A number of 128 bits, which event_int cannot hold. */
static void sum_event_wide(struct event *e, const char *name, pickle_wide value)
{
	char digits[48], *p = &digits[sizeof(digits) - 1];
	bool negative = value < 0;

	*p = '\0';
	do {
		int digit = (int)(value % 10);

		*--p = (char)('0' + (negative ? -digit : digit));
		value /= 10;
	} while (value != 0);
	if (negative)
		*--p = '-';
	event_string(e, name, p);
}

static void sum_refuse_pickle(const struct sum_server *s, struct out *out, const struct moment *now)
{
	const struct pickle_reader *r = &s->reader;
	struct event *e = sum_refused(s, out, now, r->reason);
	const char *name = pickle_opcode_name(r->opcode);
	char byte[8];
	struct text hex = TEXT_OVER(byte);

	text_printf(&hex, "0x%02x", r->opcode);
	event_string(e, "opcode", name ? name : byte);
	event_uint(e, "at", r->opcode_at);
	out_abort(out, ERR_PROTOCOL);
}

static void sum_begin(struct sum_server *s, struct out *out, const struct moment *now)
{
	s->left = bytes_get_le32(s->length);
	pickle_reader_init(&s->reader, s->left);
	if (s->left > s->limit_bytes) {
		struct event *e = sum_refused(s, out, now, "a length over the limit");

		event_uint(e, "length", s->left);
		event_uint(e, "limit", s->limit_bytes);
		out_abort(out, ERR_TOO_LONG);
	} else if (s->left == 0) {
		sum_refused(s, out, now, "an empty pickle");
		out_abort(out, ERR_PROTOCOL);
	}
}

/* The pickle is whole: its sum goes out, or nothing does. All that is ever sent is this answer, so
 * it always fits. */
static void sum_answer(const struct sum_server *s, struct out *out, const struct moment *now)
{
	const struct pickle_reader *r = &s->reader;
	uint8_t answer[SUM_ANSWER_BYTES];
	struct event *e;

	if (r->sum >= 0 && r->sum <= UINT32_MAX) {
		bytes_put_le32(answer, (uint32_t)r->sum);
		out_copy(out, bytes_of(answer, sizeof(answer)));
		e = out_event(out, now, EVENT_INFO, "sum.done");
		event_address(e, "peer", &s->from);
		event_uint(e, "sum", (uint64_t)r->sum);
	} else {
		e = sum_refused(s, out, now, "a sum that four bytes cannot hold");
		sum_event_wide(e, "sum", r->sum);
	}
	event_uint(e, "items", r->items);
	out_end(out);
}

static size_t sum_feed_length(struct sum_server *s, struct bytes in, struct out *out,
			      const struct moment *now)
{
	struct bytes part = bytes_first(in, (size_t)(SUM_LENGTH_BYTES - s->have));

	memcpy(s->length + s->have, part.data, part.len);
	s->have += (uint8_t)part.len;
	if (s->have == SUM_LENGTH_BYTES)
		sum_begin(s, out, now);
	return part.len;
}

/* What follows the pickle's STOP is read too, and ignored. */
static size_t sum_feed_pickle(struct sum_server *s, struct bytes in, struct out *out,
			      const struct moment *now)
{
	struct bytes part = bytes_first(in, s->left);
	int read = pickle_read(&s->reader, part);

	s->left -= (uint32_t)part.len;
	if (read < 0) {
		sum_refuse_pickle(s, out, now);
	} else if (s->left == 0 && read == PICKLE_DONE) {
		sum_answer(s, out, now);
	} else if (s->left == 0) {
		sum_refused(s, out, now, "a pickle without its end");
		out_abort(out, ERR_PROTOCOL);
	}
	return part.len;
}

static size_t sum_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct sum_server *s = m;
	size_t taken = 0;

	if (s->have < SUM_LENGTH_BYTES)
		taken = sum_feed_length(s, in, out, now);
	if (taken < in.len && s->left > 0 && !out->abort_why)
		taken += sum_feed_pickle(s, bytes_after(in, taken), out, now);
	return out->end || out->abort_why ? in.len : taken;
}

static void sum_eof(void *m, struct out *out, const struct moment *now)
{
	const struct sum_server *s = m;

	if (s->have > 0) {
		struct event *e = sum_refused(s, out, now, "the client left early");

		if (s->have == SUM_LENGTH_BYTES)
			event_uint(e, "left", s->left);
		out_abort(out, ERR_LEFT);
	} else {
		out_end(out);
	}
}

static bool sum_busy(const void *m)
{
	const struct sum_server *s = m;

	return s->have > 0;
}

static const struct option sum_options[] = {
	{"limit", 0, OPTION_SIZE, "SIZE", offsetof(struct sum_settings, limit_bytes), "64M", NULL,
	 1, UINT32_MAX, N_("longest pickle taken")},
	OPTION_END,
};

const struct machine sum_machine = {
	.name = "sum",
	.state_bytes = sizeof(struct sum_server),
	.settings = sum_options,
	.settings_bytes = sizeof(struct sum_settings),
	.open = sum_open,
	.feed = sum_feed,
	.eof = sum_eof,
	.busy = sum_busy,
};

/* A server that has answered and leaves the connection open is not waited for longer than this. */
#define SUM_CLIENT_PATIENCE_NS (1 * MOMENT_S)

enum { SUM_CLIENT_PIECE_BYTES = 1024 };

/* States: sending (until the writer is done) and, at the same time, collecting the answer. */
struct sum_client {
	struct pickle_writer writer;
	uint8_t have; /* bytes of `answer` */
	uint8_t answer[SUM_ANSWER_BYTES];
};

/* As much of the pickle as is welcome. */
static void sum_client_room(void *m, struct out *out, const struct moment *now)
{
	struct sum_client *c = m;
	uint8_t piece[SUM_CLIENT_PIECE_BYTES];

	while (!pickle_writer_done(&c->writer)) {
		if (out_room(out) == 0 || !out_fits(out, 1, sizeof(piece))) {
			out_more(out);
			return;
		}
		out_copy(out, bytes_of(piece, pickle_write(&c->writer, piece, sizeof(piece))));
	}
}

static void sum_client_open(void *m, const struct peer *peer, struct out *out,
			    const struct moment *now)
{
	struct sum_client *c = m;
	const struct sum_client_settings *s = peer->settings;
	uint8_t length[SUM_LENGTH_BYTES];
	uint64_t size;

	pickle_writer_init(&c->writer, s->numbers, s->count, (int)s->protocol);
	size = pickle_size(&c->writer);
	if (size > UINT32_MAX) {
		out_abort(out, ERR_TOO_LONG);
		return;
	}
	bytes_put_le32(length, (uint32_t)size);
	out_copy(out, bytes_of(length, sizeof(length)));
	sum_client_room(c, out, now);
}

static size_t sum_client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct sum_client *c = m;

	if (in.len > (size_t)(SUM_ANSWER_BYTES - c->have)) {
		out_abort(out, ERR_PROTOCOL);
		return in.len;
	}
	memcpy(c->answer + c->have, in.data, in.len);
	c->have += (uint8_t)in.len;
	if (c->have == SUM_ANSWER_BYTES)
		out_deadline(out, now->boot_ns + SUM_CLIENT_PATIENCE_NS);
	return in.len;
}

/* The answer is whole once nothing follows it. */
static void sum_client_finish(void *m, struct out *out, const struct moment *now)
{
	const struct sum_client *c = m;

	if (c->have < SUM_ANSWER_BYTES) {
		out_abort(out, ERR_LEFT);
		return;
	}
	event_uint(out_event(out, now, EVENT_INFO, "sum.answer"), "sum", bytes_get_le32(c->answer));
	out_end(out);
}

static const struct option sum_client_options[] = {
	{"pickle", 0, OPTION_COUNT, "0..5", offsetof(struct sum_client_settings, protocol), "3",
	 NULL, 0, PICKLE_PROTOCOL_MOST, N_("protocol of the pickle")},
	OPTION_END,
};

const struct machine sum_client_machine = {
	.name = "sum_client",
	.state_bytes = sizeof(struct sum_client),
	.settings = sum_client_options,
	.settings_bytes = sizeof(struct sum_client_settings),
	.open = sum_client_open,
	.feed = sum_client_feed,
	.eof = sum_client_finish,
	.tick = sum_client_finish,
	.room = sum_client_room,
};
