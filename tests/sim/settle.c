/* The settler's truth test: a filesystem in memory (tests/model_tree.h) in which somebody
 * works at random, also while the settler looks; a kernel that tells of it as fanotify or inotify
 * do, late, merged, halved, with a queue that overflows; a settler that is stopped and begun anew,
 * with its index or without, and whose disk and spool fail. Checked:
 *
 *  - each change, replayed: it could be (nothing is created twice, no directory with something in
 *    it deleted, ...);
 *  - after each commit the index is what was told, name by name;
 *  - once all is quiet: what was told is the tree (names, kinds, sizes, modes), and where nothing
 *    was ever in doubt but by restarts no write was missed, be it of the same size within the same
 *    tick;
 *  - each doubt had its gap, and was settled.
 *
 * SEED=N in the environment, or N as argument, runs that scenario alone; SEEDS=N so many. */
#include "model_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SCENARIOS = 2000, ROUNDS_MOST = 40, QUEUE_MOST = 4096 };

#define SETTLE_NS (2 * MOMENT_S)

struct world {
	struct model m;
	struct model_index x;
	void *memory;
	uint32_t hints; /* of the settler's queue */
	uint64_t doubts;
	bool may_fail;
	bool pure; /* hints were never lost, but in restarts */
};

static void settler_begin(struct world *w, const char *why, bool reset)
{
	struct settle_holder holder = {
		.index = &model_index_calls,
		.index_owner = &w->x,
		.eyes = &model_eyes,
		.eyes_owner = &w->m,
		.emit = model_emit,
		.owner = &w->x,
		.root = BYTES_LITERAL(MODEL_ROOT),
		.settle_ns = SETTLE_NS,
	};

	memset(w->memory, 0xa5, settle_bytes(w->hints));
	w->m.settle = settle_init(w->memory, w->hints, &holder);
	settle_doubt(w->m.settle, why, reset);
	w->x.reset_told &= !reset;
}

static void settler_end(struct world *w)
{
	uint64_t doubts = settle_counts(w->m.settle).doubts;

	w->doubts += doubts;
	w->pure &= doubts == 1;
	model_rollback(&w->x);
	model_lose(&w->m);
}

static void check_commit(struct world *w)
{
	model_commit(&w->x);
	model_check_index(&w->x, false);
}

/* Returns what settle_step does; errors are dealt with. */
static int step(struct world *w)
{
	unsigned budget = (unsigned)model_below(&w->m, model_chance(&w->m, 50) ? 4 : 200) + 1;
	int r;

	if (w->may_fail && model_chance(&w->m, 2))
		w->x.fail_after = (unsigned)model_below(&w->m, 60) + 1;
	if (w->may_fail && model_chance(&w->m, 3))
		w->x.emit_fails = (unsigned)model_below(&w->m, 3) + 1;
	r = settle_step(w->m.settle, budget, &w->m.now);
	w->x.fail_after = 0;
	if (r == ERR_DISK) {
		model_rollback(&w->x);
		settle_doubt(w->m.settle, "disk", !w->x.reset_told);
		w->pure = false;
		return 1;
	}
	if (r < 0)
		return 1;
	if (r == 0 || model_chance(&w->m, 50))
		check_commit(w);
	return r;
}

/* A doubt that had no pass yet when the settler ended was nobody's. Something is often written just
 * before the end, told or not, and once more after it. */
static void restart(struct world *w)
{
	bool lost = model_chance(&w->m, 25), again = model_chance(&w->m, 50);

	if (again)
		model_write(&w->m, "tree/again", 3);
	while (again && w->m.events > 0 && model_chance(&w->m, 90)) {
		model_tell(&w->m, 100);
		step(w);
	}
	settler_end(w);
	w->m.down = true;
	if (again)
		model_write(&w->m, "tree/again", 3);
	w->pure &= !lost && w->x.reset_told;
	w->doubts = w->x.doubts_told;
	w->x.doubts_dropped = 0;
	for (uint64_t i = model_below(&w->m, 20); i > 0; i--)
		model_act(&w->m);
	w->m.down = false;
	if (lost)
		model_index_clear(&w->x);
	settler_begin(w, "restart", lost || !w->x.reset_told);
}

static void mounts(struct world *w)
{
	if (w->m.mounts_changed)
		settle_doubt(w->m.settle, "mount", false);
	w->m.mounts_changed = false;
}

/* The directories that could not be watched. */
static void poll(struct world *w, bool all)
{
	for (unsigned i = 0; i < w->m.fresh; i++) {
		if (w->m.node[i].unwatched && (all || model_chance(&w->m, 20)))
			settle_list(w->m.settle, i + MODEL_FIRST, false, &w->m.now);
	}
}

static void work(struct world *w)
{
	struct model *m = &w->m;
	bool burst = model_chance(m, 10);

	for (uint64_t i = model_below(m, burst ? 120 : 12); i > 0; i--)
		model_act(m);
	if (model_chance(m, 30))
		model_pass_time(m, model_below(m, 100 * MOMENT_MS));
	if (model_chance(m, 5))
		model_pass_time(m, model_below(m, 3 * MOMENT_S));
	if (model_chance(m, 70))
		model_tell(m, (unsigned)model_below(m, model_chance(m, 50) ? 8 : 500));
	for (uint64_t i = model_below(m, 4); i > 0; i--)
		step(w);
	mounts(w);
	poll(w, false);
}

static void run_dry(struct world *w)
{
	unsigned steps = 0;

	do {
		while (model_tell(&w->m, 100))
			steps += step(w) == 1;
		while (step(w) == 1)
			steps++;
		if (steps > 1000000) {
			snprintf(w->x.why, sizeof(w->x.why), "it never comes to an end");
			return;
		}
	} while (w->m.events > 0);
}

static void quiet(struct world *w)
{
	w->m.disturbance = w->m.refusals = 0;
	w->may_fail = false;
	w->x.emit_fails = 0;
	model_calm(&w->m);
	mounts(w);
	for (unsigned i = 0; i < 3; i++) {
		run_dry(w);
		poll(w, true);
		run_dry(w);
		model_pass_time(&w->m, SETTLE_NS);
	}
}

static void check(struct world *w)
{
	struct settle_counts counts = settle_counts(w->m.settle);
	bool never = w->pure && counts.doubts == 1 && (w->doubts == 0 || !w->m.late);

	check_commit(w);
	model_check_index(&w->x, true);
	model_check_tree(&w->x, never);
	if (w->x.why[0] == '\0' && (counts.in_doubt || w->x.in_doubt))
		snprintf(w->x.why, sizeof(w->x.why), "in doubt for ever");
	if (w->x.why[0] == '\0' &&
	    w->x.doubts_told + w->x.doubts_dropped < w->doubts + counts.doubts)
		snprintf(w->x.why, sizeof(w->x.why), "%u doubts, %u gaps",
			 (unsigned)(w->doubts + counts.doubts), (unsigned)w->x.doubts_told);
	if (w->x.why[0] == '\0' && settle_due(w->m.settle) != MOMENT_NEVER)
		snprintf(w->x.why, sizeof(w->x.why), "not done");
}

/* How directories are found: by handle, by path, or some so and some so. */
static void choose_eyes(struct model *m)
{
	unsigned day = (unsigned)model_below(m, 3);

	m->paths = day == 0 ? 0 : day == 1 ? 100 : (unsigned)model_below(m, 101);
	m->root = day == 0 || (day == 2 && model_chance(m, 50));
}

/* What kind of day it is. */
static void choose(struct world *w)
{
	struct model *m = &w->m;

	choose_eyes(m);
	m->way = model_chance(m, 50) ? MODEL_FANOTIFY : MODEL_INOTIFY;
	m->births = model_chance(m, 85);
	m->merges = (unsigned)model_below(m, 101);
	m->halves = (unsigned)model_below(m, 101);
	m->disturbance = model_chance(m, 70) ? (unsigned)model_below(m, 25) : 0;
	m->refusals = m->way == MODEL_INOTIFY && model_chance(m, 20) ? 20 : 0;
	m->limit = model_chance(m, 25) ? 16 : MODEL_EVENTS;
	w->hints = model_chance(m, 25) ? 16 : QUEUE_MOST;
	w->may_fail = model_chance(m, 25);
	w->pure = m->refusals == 0;
}

static struct world *scenario(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));
	bool restarts;
	uint64_t rounds;

	assert_non_null(w);
	model_init(&w->m, seed);
	model_index_init(&w->x, &w->m);
	choose(w);
	w->m.story = getenv("SEED") != NULL;
	w->memory = malloc(settle_bytes(w->hints));
	assert_non_null(w->memory);
	restarts = model_chance(&w->m, 25);
	w->m.down = true;
	for (uint64_t i = model_below(&w->m, 40); i > 0; i--)
		model_act(&w->m);
	w->m.down = false;
	w->m.mounts_changed = false;
	settler_begin(w, "start", true);
	rounds = 1 + model_below(&w->m, ROUNDS_MOST);
	for (uint64_t i = 0; i < rounds && w->x.why[0] == '\0'; i++) {
		work(w);
		if (restarts && model_chance(&w->m, 4))
			restart(w);
	}
	if (w->x.why[0] == '\0')
		quiet(w);
	if (w->x.why[0] == '\0')
		check(w);
	return w;
}

static void scenario_free(struct world *w)
{
	model_index_free(&w->x);
	model_free(&w->m);
	free(w->memory);
	free(w);
}

struct totals {
	uint64_t operations, overflows, doubts, of_type[CHANGE_TYPES], wrong;
};

static void run(uint64_t seed, struct totals *totals)
{
	struct world *w = scenario(seed);

	if (w->x.why[0] != '\0') {
		totals->wrong++;
		if (totals->wrong <= 10)
			fprintf(stderr, "SEED=%llu: %s\n", (unsigned long long)seed, w->x.why);
	}
	totals->operations += w->m.operations;
	totals->overflows += w->m.overflows;
	totals->doubts += w->x.doubts_told;
	for (unsigned i = 0; i < CHANGE_TYPES; i++)
		totals->of_type[i] += w->x.of_type[i];
	scenario_free(w);
}

static uint64_t number_of(const char *name, uint64_t fallback)
{
	const char *s = getenv(name);

	return s != NULL ? strtoull(s, NULL, 10) : fallback;
}

static void test_truth(void **state)
{
	struct totals t = {0};
	uint64_t seeds = number_of("SEEDS", SCENARIOS), first = 1;

	(void)state;
	if (getenv("SEED") != NULL) {
		first = number_of("SEED", 1);
		seeds = 1;
	}
	for (uint64_t seed = first; seed < first + seeds; seed++)
		run(seed, &t);
	fprintf(stderr,
		"%llu operations, %llu overflows, %llu doubts; %llu create, %llu modify, "
		"%llu delete, %llu move, %llu attrib, %llu gap\n",
		(unsigned long long)t.operations, (unsigned long long)t.overflows,
		(unsigned long long)t.doubts, (unsigned long long)t.of_type[CHANGE_CREATE],
		(unsigned long long)t.of_type[CHANGE_MODIFY],
		(unsigned long long)t.of_type[CHANGE_DELETE],
		(unsigned long long)t.of_type[CHANGE_MOVE],
		(unsigned long long)t.of_type[CHANGE_ATTRIB],
		(unsigned long long)t.of_type[CHANGE_GAP]);
	assert_int_equal(t.wrong, 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_truth)};

	if (argc > 1)
		setenv("SEED", argv[1], 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
