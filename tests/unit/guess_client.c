/* The client of guess against servers of every dialect (tests/dialect.h): every secret, and what
 * the server says cut at every place, with a pause that a slow network makes. It must win, in no
 * more tries than bisection takes, and never send two numbers at once. */
#include "proto/guess.h"

#include "dialect.h"
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
	MAX = 31,
	CUTS_MOST = 48, /* longer than any but the longest text of a dialect */
	PAUSE_MS = 150, /* between two pieces, less than what ends a reply */
	BYTE_PAUSE_MS = 5,
	GAME_MOST_MS = 300000,
};

struct game {
	const struct dialect *dialect;
	struct dialect_settings settings;
	size_t cut; /* the first piece of each text; 0: a byte at a time */
	struct driver client, server;
	uint64_t elapsed_ms;
	uint64_t low, high; /* what the person knows */
	bool won;
	uint64_t won_number, tries;
};

static void fail_game(const struct game *g, const char *what)
{
	fail_msg("%s: %s (secret %u, cut at %u)", g->dialect->name, what,
		 (unsigned)g->settings.secret, (unsigned)g->cut);
}

static uint64_t field(const struct event *e, const char *name)
{
	const struct event_field *f = event_find(e, name);

	assert_non_null(f);
	assert_int_equal(f->kind, EVENT_UINT);
	return f->u;
}

static void wait_ms(struct game *g, uint64_t ms)
{
	driver_advance(&g->client, ms * MOMENT_MS);
	g->elapsed_ms += ms;
}

/* What the server said goes to the client, cut. */
static void server_to_client(struct game *g)
{
	struct bytes rest = g->server.output;
	size_t len = g->cut ? g->cut : 1;

	while (rest.len > 0) {
		struct bytes piece = bytes_first(rest, len);

		driver_feed(&g->client, piece);
		rest = bytes_after(rest, piece.len);
		len = g->cut ? rest.len : 1;
		if (rest.len > 0)
			wait_ms(g, g->cut ? PAUSE_MS : BYTE_PAUSE_MS);
	}
	driver_forget(&g->server);
}

static void client_to_server(struct game *g)
{
	driver_feed(&g->server, g->client.output);
	if (g->server.fault || g->server.why)
		fail_game(g, "the client said something else than one number");
}

static void note_win(struct game *g)
{
	const struct event *e = driver_event(&g->client, "guess.won");

	if (!e)
		return;
	g->won = true;
	g->won_number = field(e, "number");
	g->tries = field(e, "tries");
}

/* The person keeps in mind what the answers leave. */
static void person_hears(struct game *g)
{
	const struct event *e = driver_event(&g->client, "guess.try");
	struct bytes answer = e ? event_field_text(e, event_find(e, "answer")) : bytes_of(NULL, 0);

	if (bytes_equal(answer, BYTES_LITERAL("plus")))
		g->low = field(e, "number") + 1;
	else if (bytes_equal(answer, BYTES_LITERAL("moins")))
		g->high = field(e, "number") - 1;
}

static bool person_is_asked(struct game *g)
{
	unsigned count = 0;

	for (size_t i = 0; i < g->client.tells; i++)
		count += g->client.tell[i].message.kind == GUESS_WANT;
	if (count > 1)
		fail_game(g, "the person is asked twice");
	return count == 1;
}

static void person_says(struct game *g)
{
	char digits[24];
	struct text number = TEXT_OVER(digits);

	text_printf(&number, "%u", (unsigned)(g->low + g->high) / 2);
	driver_tell(&g->client,
		    &(struct message){.kind = GUESS_NUMBER, .body = text_bytes(&number)});
}

static void game_step(struct game *g)
{
	bool asked = person_is_asked(g);

	if (g->client.output.len > 0)
		client_to_server(g);
	note_win(g);
	person_hears(g);
	driver_forget(&g->client);
	if (asked)
		person_says(g);
	else if (g->server.output.len > 0)
		server_to_client(g);
	else if (g->server.ended)
		driver_eof(&g->client);
	else
		wait_ms(g, 50);
}

static void game_judge(const struct game *g)
{
	if (g->client.fault)
		fail_game(g, g->client.fault);
	if (!g->client.ended)
		fail_game(g, "no end");
	if (g->client.why)
		fail_game(g, err_text(g->client.why));
	if (!g->won || g->won_number != g->settings.secret)
		fail_game(g, "another number");
	if (g->tries > 6 + (g->dialect->ask_max == NULL)) /* 0..31 takes 6 */
		fail_game(g, "too many tries");
}

static void game_play(const struct dialect *dialect, uint64_t secret, size_t cut, bool by_hand)
{
	struct game g = {
		.dialect = dialect,
		.settings = {dialect, MAX, secret},
		.cut = cut,
		.high = MAX,
	};

	driver_init(&g.server, &dialect_machine);
	driver_init(&g.client, &guess_client_machine);
	assert_int_equal(driver_set(&g.client, "max", "31"), 0);
	assert_int_equal(driver_set(&g.client, "play", by_hand ? "yes" : "no"), 0);
	g.server.peer.settings = &g.settings;
	driver_open(&g.server);
	driver_open(&g.client);
	while (!g.client.ended && !g.client.fault && g.elapsed_ms < GAME_MOST_MS)
		game_step(&g);
	note_win(&g);
	game_judge(&g);
	driver_end(&g.client);
	driver_end(&g.server);
}

static void test_every_dialect_secret_and_cut(void **state)
{
	for (unsigned d = 0; d < dialect_count; d++)
		for (uint64_t secret = !dialects[d].from_zero; secret <= MAX; secret++)
			for (size_t cut = 0; cut <= CUTS_MOST; cut++)
				game_play(&dialects[d], secret, cut, false);
}

/* In play: the person plays by halves, and is asked exactly when it is their turn. */
static void test_every_dialect_by_hand(void **state)
{
	for (unsigned d = 0; d < dialect_count; d++)
		for (uint64_t secret = !dialects[d].from_zero; secret <= MAX; secret += 5)
			for (size_t cut = 0; cut <= CUTS_MOST; cut++)
				game_play(&dialects[d], secret, cut, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_dialect_secret_and_cut),
		cmocka_unit_test(test_every_dialect_by_hand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
