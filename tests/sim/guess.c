/* Guess over the simulated wire: the client against our server, terse and not, and against servers
 * of every dialect (tests/dialect.h), streams cut anywhere, pieces up to 0.4 s apart. Our server
 * gets whole lines, for to it the end of a chunk ends a number; what servers say is cut. Checked,
 * each seed a game: the client wins in no more tries than bisection takes; or, when the connection
 * is reset, says so. Left out are dialects whose words mean something else when a pause parts them.
 *
 * SEED=N in the environment runs that game alone. */
#include "proto/guess.h"

#include "dialect.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SEEDS = 4000 };

#define LONG_ENOUGH_NS (1200 * MOMENT_S)

static struct machine guess_by_line; /* the server, with a feed that waits for LF */

struct game {
	uint64_t seed;
	struct wire *wire;
	const char *server;
	struct guess_client_settings client_settings;
	struct guess_settings own_settings;
	struct dialect_settings dialect_settings;
	uint64_t won, tries;
	bool closed;
	int why;
};

static size_t feed_by_line(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	size_t len = bytes_find_byte(in, '\n');

	return len == in.len ? 0 : guess_machine.feed(m, bytes_first(in, len + 1), out, now);
}

static void fail_game(const struct game *g, const char *what)
{
	fail_msg("%s: %s (SEED=%llu)", g->server, what, (unsigned long long)g->seed);
}

static uint64_t number_of(const struct event *e, const char *name)
{
	const struct event_field *f = event_find(e, name);

	assert_non_null(f);
	return f->u;
}

static void heard(struct wire_end *e, const struct event *event)
{
	struct game *g = wire_end_context(e);

	if (strcmp(event->type, "guess.won") != 0)
		return;
	g->won = number_of(event, "number");
	g->tries = number_of(event, "tries");
}

static void closed(struct wire_end *e, int why)
{
	struct game *g = wire_end_context(e);

	g->closed = true;
	g->why = why;
}

static const struct wire_holder holder = {.event = heard, .closed = closed};

/* As many bits as the maximum has, any up to 63. */
static uint64_t any_max(struct wire *w)
{
	return wire_between(w, 1, UINT64_MAX >> wire_between(w, 1, 63));
}

static void plan_own(struct game *g, struct wire_plan *plan)
{
	g->own_settings.terse = wire_chance(g->wire, 50);
	g->server = g->own_settings.terse ? "our server, terse" : "our server";
	plan->machine = &guess_by_line;
	plan->settings = &g->own_settings;
}

static void plan_dialect(struct game *g, struct wire_plan *plan)
{
	uint64_t max = g->client_settings.max;
	const struct dialect *d;

	do
		d = &dialects[wire_between(g->wire, 0, dialect_count - 1)];
	while (d->brittle);
	g->server = d->name;
	g->dialect_settings = (struct dialect_settings){
		d, max, wire_between(g->wire, d->from_zero ? 0 : 1, max)};
	plan->machine = &dialect_machine;
	plan->settings = &g->dialect_settings;
}

static struct wire_end *game_begin(struct game *g, uint64_t seed)
{
	struct wire_plan client = {
		.machine = &guess_client_machine, .holder = &holder, .context = g};
	struct wire_plan server = {.machine = NULL};
	struct wire_end *e;

	*g = (struct game){.seed = seed, .wire = wire_new(seed)};
	g->client_settings.max = any_max(g->wire);
	client.settings = &g->client_settings;
	client.host = wire_host_add(g->wire, 50);
	server.host = wire_host_add(g->wire, -50);
	if (wire_chance(g->wire, 30))
		plan_own(g, &server);
	else
		plan_dialect(g, &server);
	e = wire_connect(g->wire, &client, &server, NULL);
	assert_non_null(e);
	return e;
}

static unsigned bits(uint64_t n)
{
	return n ? 64 - (unsigned)__builtin_clzll(n) : 0;
}

/* 0..MAX takes as many tries as MAX + 1 has bits; one more where the maximum itself was the first.
 */
static void game_judge(const struct game *g)
{
	const struct dialect *d = g->dialect_settings.dialect;

	if (g->tries == 0)
		fail_game(g, "a good end without a win");
	if (g->tries > bits(g->client_settings.max + 1) + (d && !d->ask_max))
		fail_game(g, "too many tries");
	if (d && g->won != g->dialect_settings.secret)
		fail_game(g, "another number");
}

static void play_well(uint64_t seed)
{
	struct game g;

	game_begin(&g, seed);
	wire_run(g.wire, LONG_ENOUGH_NS);
	if (!g.closed)
		fail_game(&g, "no end");
	if (g.why)
		fail_game(&g, err_text(g.why));
	game_judge(&g);
	wire_free(g.wire);
}

static void reset(void *context, uint64_t number)
{
	wire_reset(context);
}

static void play_and_lose(uint64_t seed)
{
	struct wire_end *e;
	struct game g;

	e = game_begin(&g, seed);
	wire_after(wire_end_host(e), wire_between(g.wire, 0, 10 * MOMENT_S), reset, e, 0);
	wire_run(g.wire, LONG_ENOUGH_NS);
	if (!g.closed)
		fail_game(&g, "no end after a reset");
	if (g.why == 0)
		game_judge(&g);
	wire_free(g.wire);
}

static void every_seed(void (*run)(uint64_t seed))
{
	const char *only = getenv("SEED");

	if (only) {
		run(strtoull(only, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run(seed);
}

static void test_games(void **state)
{
	every_seed(play_well);
}

static void test_games_that_are_reset(void **state)
{
	every_seed(play_and_lose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_games),
		cmocka_unit_test(test_games_that_are_reset),
	};

	guess_by_line = guess_machine;
	guess_by_line.name = "guess_by_line";
	guess_by_line.hold_bytes = 32;
	guess_by_line.chunk = false;
	guess_by_line.feed = feed_by_line;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
