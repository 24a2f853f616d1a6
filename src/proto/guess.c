/* guess, server: the client has to find a number. The client is in proto/guess_client.c.
 *
 *   client                            server        client            terse
 *     │ ◄──────── Nombre maximum ?\n ── │               │                  │
 *     │ ── 100\n ─────────────────────► │               │ ── 100\n ──────► │
 *     │ ◄────────── Votre nombre ?\n ── │               │                  │
 *     │ ── 50\n ──────────────────────► │               │ ── 50\n ───────► │
 *     │ ◄──── plus\nVotre nombre ?\n ── │               │ ◄─────── plus ── │
 *     │ ── 75\n ──────────────────────► │               │ ── 75\n ───────► │
 *     │ ◄────────────────── trouvé\n ── │               │ ◄─────── fini ── │
 *     │ ◄─────────────────────── FIN ── │               │ ◄──────── FIN ── │
 *
 * A number ends at LF or at the end of a chunk; a line end that comes alone after the latter
 * belongs to it. White space around a number is dropped, CR before LF too. What is no number, or no
 * maximum in 1..2^63-1, is garbage: answered with a request (in terse mode with nothing), and ends
 * the talk at GUESS_GARBAGE_MOST in a row. Source: the course's server. */
#include "base/number.h"
#include "proto/guess.h"

#include <stddef.h>

#define N_(s) s

#define GUESS_ASK_MAX "Nombre maximum ?\n"
#define GUESS_ASK     "Votre nombre ?\n"
#define GUESS_REQUEST "un nombre, s'il vous plaît\n"

enum { GUESS_GARBAGE_MOST = 20 };

struct guess {
	uint64_t random[2];
	uint64_t secret; /* 0: the maximum is not known yet */
	uint8_t garbage; /* in a row */
	bool terse;
	bool unended; /* the last number ended with its chunk, not with a line end */
};

/* SplitMix: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. The
 * second word of the seed is the stream's odd increment. */
static uint64_t guess_random(uint64_t random[2])
{
	uint64_t z = random[0] += random[1] | 1;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* 1..max, each as likely: draws as many bits as max - 1 has until they are less than max. */
static uint64_t guess_draw(uint64_t random[2], uint64_t max)
{
	uint64_t mask = UINT64_MAX >> __builtin_clzll((max - 1) | 1);
	uint64_t n;

	do
		n = guess_random(random) & mask;
	while (n >= max);
	return n + 1;
}

/* A prompt, or an answer with a prompt behind it. */
static void guess_say(const struct guess *g, struct out *out, struct bytes lines)
{
	if (!g->terse)
		out_static(out, lines);
}

static void guess_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct guess *g = m;
	const struct guess_settings *settings = peer->settings;

	g->random[0] = peer->seed[0];
	g->random[1] = peer->seed[1];
	g->terse = settings->terse;
	guess_say(g, out, BYTES_LITERAL(GUESS_ASK_MAX));
}

static void guess_refuse(struct guess *g, struct out *out)
{
	guess_say(g, out, BYTES_LITERAL(GUESS_REQUEST));
	if (++g->garbage == GUESS_GARBAGE_MOST)
		out_end(out);
	else if (g->secret)
		guess_say(g, out, BYTES_LITERAL(GUESS_ASK));
	else
		guess_say(g, out, BYTES_LITERAL(GUESS_ASK_MAX));
}

static void guess_answer(const struct guess *g, struct out *out, uint64_t number)
{
	bool more = g->secret > number;

	if (g->secret == number) {
		out_static(out, g->terse ? BYTES_LITERAL("fini") : BYTES_LITERAL("trouvé\n"));
		out_end(out);
	} else if (g->terse) {
		out_static(out, more ? BYTES_LITERAL("plus") : BYTES_LITERAL("moins"));
		out_flush(out);
	} else {
		out_static(out, more ? BYTES_LITERAL("plus\n" GUESS_ASK)
				     : BYTES_LITERAL("moins\n" GUESS_ASK));
	}
}

static void guess_line(struct guess *g, struct out *out, struct bytes line)
{
	uint64_t number;

	if (number_parse_u64(bytes_strip(line), &number) < 0 ||
	    (!g->secret && (number < 1 || number > INT64_MAX))) {
		guess_refuse(g, out);
		return;
	}
	g->garbage = 0;
	if (g->secret) {
		guess_answer(g, out, number);
		return;
	}
	g->secret = guess_draw(g->random, number);
	guess_say(g, out, BYTES_LITERAL(GUESS_ASK));
}

/* How much of `in` is the line end that the last number lacked; it may come in two pieces. */
static size_t guess_late_line_end(struct guess *g, struct bytes in)
{
	size_t n = 0;

	if (!g->unended)
		return 0;
	if (in.data[n] == '\r')
		n++;
	if (n == in.len)
		return n;
	g->unended = false;
	return in.data[n] == '\n' ? n + 1 : n;
}

static size_t guess_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct guess *g = m;
	size_t taken = guess_late_line_end(g, in);

	while (taken < in.len && !out->end && out_fits(out, 2, 0)) {
		struct bytes rest = bytes_after(in, taken);
		struct bytes line = bytes_first(rest, bytes_find_byte(rest, '\n'));

		g->unended = line.len == rest.len;
		guess_line(g, out, line);
		taken += g->unended ? line.len : line.len + 1;
	}
	return out->end ? in.len : taken;
}

static bool guess_busy(const void *m)
{
	const struct guess *g = m;

	return g->secret != 0;
}

static const struct option guess_options[] = {
	{.name = "terse",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct guess_settings, terse),
	 .help = N_("no prompts, and answers plus, moins, fini without line end")},
	OPTION_END,
};

const struct machine guess_machine = {
	.name = "guess",
	.state_bytes = sizeof(struct guess),
	.chunk = true,
	.settings = guess_options,
	.settings_bytes = sizeof(struct guess_settings),
	.open = guess_open,
	.feed = guess_feed,
	.busy = guess_busy,
};
