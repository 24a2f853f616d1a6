/* Role over the simulated wire: a server with its hub and its record on disk, clients that
 * are structured or plain, and random misfortune: partitions of one direction or both, stopped and
 * suspended hosts, power cuts, kill -9, resets, a disk that fails, leases that change over a
 * restart, clocks that drift (by up to 0.1 %, at times by 0.49 %). Checked at every step, each from
 * its own seed:
 *
 *  - leases: at no instant do two reigns stand, as those who hold them see it on their own clocks,
 *    even when they go on after their connection broke;
 *  - epochs: each structured promotion that is announced has a greater one than all before,
 *    restarts included;
 *  - record: when it is announced the disk holds that epoch and that lease;
 *  - words: a plain client hears `principal`, `secondaire`, or `secondaireprincipal`, nothing else;
 *  - life: once all is healed there is one principal, and it knows.
 *
 * The last tests break a rule on purpose, and the checks must see it. SEED=N in the environment
 * runs that scenario alone, with its story on stderr. */
#include "role_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SCENARIOS = 1500 };

#define STORM_NS (60 * MOMENT_S)
#define CALM_NS  (60 * MOMENT_S)

/* Misfortune. */

static void partition(struct world *x, struct client *c)
{
	bool to = wire_chance(x->w, 60), from = wire_chance(x->w, 60);

	world_story(x, "%s: to server %s, from server %s", c->name, to ? "blocked" : "open",
		    from ? "blocked" : "open");
	wire_block(x->w, c->host, x->server.host, to);
	wire_block(x->w, x->server.host, c->host, from);
}

static void suspend(struct world *x, struct wire_host *h, const char *who)
{
	bool stopped = wire_chance(x->w, 50);

	world_story(x, "%s is %s", who, stopped ? "stopped" : "suspended");
	wire_host_set(h, stopped ? WIRE_STOPPED : WIRE_SUSPENDED);
}

static void heal_client(struct world *x, struct client *c)
{
	world_story(x, "%s is well", c->name);
	c->heal_ns = MOMENT_NEVER;
	wire_host_set(c->host, WIRE_RUNNING);
	wire_block(x->w, c->host, x->server.host, false);
	wire_block(x->w, x->server.host, c->host, false);
}

static void heal_server(struct world *x)
{
	world_story(x, "server is well");
	x->server.heal_ns = MOMENT_NEVER;
	x->server.disk_ok = true;
	wire_host_set(x->server.host, WIRE_RUNNING);
}

/* What befalls a client, or the server when `c` is NULL. */
static void misfortune(struct world *x, struct client *c)
{
	uint64_t what = wire_between(x->w, 0, 99);

	if (c && what < 40)
		partition(x, c);
	else if (c && what < 65)
		suspend(x, c->host, c->name);
	else if (c && what < 75)
		client_kill(c);
	else if (c && what < 90)
		client_bye(c);
	else if (c && c->end)
		wire_reset(c->end);
	else if (!c && what < 40)
		suspend(x, x->server.host, "server");
	else if (!c && what < 70)
		server_kill(x);
	else if (!c)
		x->server.disk_ok = false;
}

/* The principal draws misfortune. */
static struct client *victim(struct world *x)
{
	if (x->reigns > 0 && wire_chance(x->w, 50))
		return &x->client[x->reign[x->reigns - 1].client];
	return &x->client[wire_between(x->w, 0, x->clients - 1)];
}

static void heal_some(struct world *x)
{
	for (unsigned i = 0; i < x->clients; i++) {
		if (x->client[i].heal_ns <= wire_now(x->w))
			heal_client(x, &x->client[i]);
	}
	if (x->server.heal_ns <= wire_now(x->w))
		heal_server(x);
}

static void storm(struct world *x)
{
	uint64_t at_ns = 0;

	while (at_ns < STORM_NS) {
		struct client *c;
		uint64_t *heal_ns;

		at_ns += wire_between(x->w, 50 * MOMENT_MS, 2 * MOMENT_S);
		wire_run(x->w, at_ns);
		heal_some(x);
		c = wire_chance(x->w, 12) ? NULL : victim(x);
		heal_ns = c ? &c->heal_ns : &x->server.heal_ns;
		if (*heal_ns != MOMENT_NEVER || (!c && !x->server.up))
			continue;
		misfortune(x, c);
		*heal_ns = at_ns + wire_between(x->w, 100 * MOMENT_MS, 9 * MOMENT_S);
	}
}

static void heal(struct world *x)
{
	heal_server(x);
	for (unsigned i = 0; i < x->clients; i++)
		heal_client(x, &x->client[i]);
}

/* A scenario. */

static void check_life_of(struct world *x, struct client *c, bool principal)
{
	const struct reign *reign = world_reign(x, c->index);
	struct bytes heard = c->end ? wire_end_received(c->end) : (struct bytes){0};

	if (!c->end)
		world_wrong(x, &x->wrong_life, "%s is not connected", c->name);
	else if (!c->plain && principal != (reign != NULL))
		world_wrong(x, &x->wrong_life, "%s: principal is %d, its reign %d", c->name,
			    principal, reign != NULL);
	else if (reign && reign->epoch != role_hub_epoch(x->server.hub))
		world_wrong(x, &x->wrong_life, "%s reigns under an old epoch", c->name);
	else if (c->plain && principal != (heard.len > 0 && heard.data[heard.len - 1] == 'l'))
		world_wrong(x, &x->wrong_life, "%s: principal is %d, heard %.*s", c->name,
			    principal, (int)heard.len, (const char *)heard.data);
	if (c->end && c->plain)
		client_check_words(c, heard);
}

static void check_life(struct world *x)
{
	struct role_view view;
	uint32_t cursor = 0;
	unsigned seen = 0, principals = 0;

	while (role_hub_each(x->server.hub, &cursor, &view)) {
		for (unsigned i = 0; i < x->clients; i++) {
			struct client *c = &x->client[i];

			if (!c->end || wire_end_id(c->accepted) != view.id)
				continue;
			seen++;
			principals += view.principal;
			check_life_of(x, c, view.principal);
		}
	}
	if (seen != x->clients || principals != 1)
		world_wrong(x, &x->wrong_life, "%u of %u clients in line, %u principals", seen,
			    x->clients, principals);
}

/* Up to 0.1 %; in some scenarios as much as a client's ROLE_DRIFT_SHARE just covers. */
static int64_t drift(struct world *x)
{
	if (x->clocks_are_bad)
		return wire_chance(x->w, 50) ? 4900 : -4900;
	return (int64_t)wire_between(x->w, 0, 2000) - 1000;
}

static void clients_start(struct world *x)
{
	x->clients = (unsigned)wire_between(x->w, 2, CLIENTS_MOST);
	for (unsigned i = 0; i < x->clients; i++) {
		struct client *c = &x->client[i];

		c->world = x;
		c->index = i;
		c->plain = wire_chance(x->w, 20);
		c->heal_ns = MOMENT_NEVER;
		snprintf(c->name, sizeof c->name, "%s%u", c->plain ? "plain" : "c", i);
		c->settings = (struct role_client_settings){.name = c->name,
							    .priority = wire_between(x->w, 0, 2)};
		c->host = wire_host_add(x->w, drift(x));
		client_retry(c);
	}
}

static struct world *scenario(uint64_t seed, struct broken broken, bool story)
{
	struct world *x = calloc(1, sizeof *x);

	assert_non_null(x);
	x->w = wire_new(seed);
	x->broken = broken;
	x->story = story;
	x->clocks_are_bad = wire_chance(x->w, 25);
	x->server.disk_ok = true;
	x->server.heal_ns = MOMENT_NEVER;
	x->server.host = wire_host_add(x->w, broken.fast_server ? 300000 : drift(x));
	x->server.hub = malloc(role_hub_bytes(CAPACITY));
	assert_non_null(x->server.hub);
	server_start(x, 0);
	clients_start(x);
	storm(x);
	heal(x);
	wire_run(x->w, wire_now(x->w) + CALM_NS);
	check_life(x);
	return x;
}

static void end_scenario(struct world *x)
{
	wire_free(x->w);
	free(x->server.hub);
	free(x);
}

static unsigned all_wrong(const struct world *x)
{
	return x->wrong_leases + x->wrong_epochs + x->wrong_records + x->wrong_words +
	       x->wrong_life;
}

static void test_misfortunes(void **state)
{
	const char *only = getenv("SEED");
	uint64_t first = only ? strtoull(only, NULL, 0) : 1, last = only ? first : SCENARIOS;
	unsigned long reigns = 0, epochs = 0;

	for (uint64_t seed = first; seed <= last; seed++) {
		struct world *x = scenario(seed, (struct broken){0}, only != NULL);

		reigns += x->reigns;
		epochs += x->announced;
		if (all_wrong(x) > 0)
			print_error("SEED=%lu: %s\n", (unsigned long)seed, x->first_wrong);
		assert_int_equal(all_wrong(x), 0);
		end_scenario(x);
	}
	print_message("seeds %lu to %lu: %lu reigns, %lu epochs\n", (unsigned long)first,
		      (unsigned long)last, reigns, epochs);
	assert_true(reigns > last - first);
}

/* How many of 200 scenarios break the leases or the epochs when a rule is broken. */
static unsigned seen_wrong(struct broken broken)
{
	unsigned seen = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct world *x = scenario(seed, broken, false);

		seen += x->wrong_leases + x->wrong_epochs > 0;
		end_scenario(x);
	}
	print_message("seen in %u of 200\n", seen);
	return seen;
}

static void test_sees_short_leases(void **state)
{
	assert_true(seen_wrong((struct broken){.fast_server = true}) > 0);
}

static void test_sees_announcing_before_the_disk(void **state)
{
	assert_true(seen_wrong((struct broken){.early_announce = true}) > 0);
}

static void test_sees_a_stale_clock(void **state)
{
	assert_true(seen_wrong((struct broken){.stale_clock = true}) > 0);
}

static void test_sees_no_wait_after_restart(void **state)
{
	assert_true(seen_wrong((struct broken){.no_wait = true}) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_misfortunes),
		cmocka_unit_test(test_sees_short_leases),
		cmocka_unit_test(test_sees_announcing_before_the_disk),
		cmocka_unit_test(test_sees_a_stale_clock),
		cmocka_unit_test(test_sees_no_wait_after_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
