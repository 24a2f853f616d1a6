/* time, both sides (RFC 868).
 *
 *   client                                                         server
 *     │ ── connect, or any datagram, the empty one too ─────────────► │
 *     │ ◄─ four bytes, big-endian: seconds since 1900-01-01 ────────── │
 *
 * The count of 32 bits wraps at 2036-02-07T06:28:16Z. From then on the server answers the seconds
 * modulo 2^32, 0 in that second, as RFC 868's field allows nothing else; the same for a clock set
 * before 1900. A client resolves that by taking the time nearest to its own clock, so the two agree
 * as long as their clocks are within 68 years. */
#include "proto/time.h"

enum { TIME_BYTES = 4, TIME_REST_MS = 500 };

#define TIME_1900_TO_1970_S 2208988800ll

/* Whole seconds since 1970, rounded down. */
static int64_t wall_seconds(int64_t wall_us)
{
	return wall_us / 1000000 - (wall_us % 1000000 < 0);
}

static void put_answer(struct out *out, const struct moment *now)
{
	uint8_t answer[TIME_BYTES];

	bytes_put_be32(answer, (uint32_t)(wall_seconds(now->wall_us) + TIME_1900_TO_1970_S));
	out_copy(out, bytes_of(answer, sizeof answer));
}

static void time_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	put_answer(out, now);
	out_end(out);
}

static void time_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			  const struct moment *now)
{
	put_answer(out, now);
}

const struct machine time_machine = {
	.name = "time",
	.open = time_open,
	.datagram = time_datagram,
};

/* The client waits for the peer's end, since more than four bytes are no answer; but not for long:
 * some servers stay. */
struct time_client {
	size_t len;
	uint8_t answer[TIME_BYTES];
	int64_t came_us; /* our clock when the fourth byte came */
};

/* Seconds since 1970 that `value` means to a clock that shows `wall_s`. */
static int64_t nearest_seconds(uint32_t value, int64_t wall_s)
{
	uint32_t ours = (uint32_t)(wall_s + TIME_1900_TO_1970_S);

	return wall_s + (int32_t)(value - ours);
}

/* How far a clock that shows the whole second `theirs_s` is ahead of ours, at the least. */
static int64_t least_difference_ms(int64_t theirs_s, int64_t ours_us)
{
	int64_t begin_us = theirs_s * 1000000 - ours_us;
	int64_t end_us = begin_us + 1000000;

	if (begin_us > 0)
		return begin_us / 1000;
	return end_us <= 0 ? end_us / 1000 : 0;
}

static void client_report(const uint8_t answer[TIME_BYTES], int64_t came_us, struct out *out,
			  const struct moment *now)
{
	int64_t theirs_s = nearest_seconds(bytes_get_be32(answer), wall_seconds(came_us));
	struct event *e = out_event(out, now, EVENT_INFO, "time.answer");
	char buffer[64];
	struct text utc = TEXT_OVER(buffer);

	moment_put_rfc3339(&utc, theirs_s * 1000000);
	event_int(e, "seconds", theirs_s + TIME_1900_TO_1970_S);
	event_text(e, "utc", text_bytes(&utc));
	event_int(e, "difference_ms", least_difference_ms(theirs_s, came_us));
	out_end(out);
}

static size_t client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct time_client *c = m;

	if (in.len > sizeof c->answer - c->len) {
		out_abort(out, ERR_PROTOCOL);
		return in.len;
	}
	memcpy(c->answer + c->len, in.data, in.len);
	c->len += in.len;
	if (c->len == sizeof c->answer) {
		c->came_us = now->wall_us;
		out_deadline(out, now->boot_ns + TIME_REST_MS * MOMENT_MS);
	}
	return in.len;
}

static void client_tick(void *m, struct out *out, const struct moment *now)
{
	struct time_client *c = m;

	client_report(c->answer, c->came_us, out, now);
}

static void client_eof(void *m, struct out *out, const struct moment *now)
{
	struct time_client *c = m;

	if (c->len < sizeof c->answer)
		out_abort(out, ERR_LEFT);
	else
		client_report(c->answer, c->came_us, out, now);
}

static void client_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			    const struct moment *now)
{
	if (in.len == TIME_BYTES)
		client_report(in.data, now->wall_us, out, now);
	else
		out_abort(out, in.len < TIME_BYTES ? ERR_LEFT : ERR_PROTOCOL);
}

const struct machine time_client_machine = {
	.name = "time_client",
	.state_bytes = sizeof(struct time_client),
	.feed = client_feed,
	.eof = client_eof,
	.tick = client_tick,
	.datagram = client_datagram,
};
