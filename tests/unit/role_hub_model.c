/* The hub of role against a model that keeps everything in plain arrays and looks at all of it each
 * time: 40 long random runs, after each step of which line, positions and promotions must agree. */
#include "proto/role_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CAPACITY = 8, LEASE_MS = 3000, IDS = 12, SEEDS = 40, STEPS = 3000 };

static struct role_hub *hub;
static struct out out;
static struct moment now;
static unsigned seed; /* of the run under way, 0: none */

static void hub_says(uint64_t id, enum role_kind kind, uint64_t number)
{
	out_reset(&out, 0);
	role_hub_tell(hub, id, &(struct message){.kind = kind, .number = {number}}, &out, &now);
}

struct model_member {
	bool here, structured, stale;
	uint64_t priority, age;
};

struct model {
	struct model_member member[IDS];
	uint64_t joined, until_ns, epoch;
	unsigned here;
	int principal; /* or -1 */
	bool held;     /* by a structured one, living or not, until until_ns */
	uint64_t request;
	bool asked;
};

static struct model model;

static bool better(const struct model_member *a, const struct model_member *b)
{
	return a->priority > b->priority || (a->priority == b->priority && a->age < b->age);
}

static int model_next(void)
{
	int best = -1;

	for (int i = 0; i < IDS; i++) {
		struct model_member *m = &model.member[i];

		if (m->here && !m->stale && (best < 0 || better(m, &model.member[best])))
			best = i;
	}
	return best;
}

static unsigned model_ahead(int id)
{
	unsigned ahead = 0;

	for (int i = 0; i < IDS; i++) {
		struct model_member *m = &model.member[i], *self = &model.member[id];

		if (!m->here || i == id)
			continue;
		if (i == model.principal || (!m->stale && self->stale) ||
		    (m->stale == self->stale && better(m, self)))
			ahead += id != model.principal;
	}
	return ahead;
}

static void model_fill(void)
{
	if (model.principal >= 0 || model.held)
		return;
	model.principal = model_next();
	model.epoch += model.principal >= 0;
}

static void model_expire(void)
{
	if (!model.held || now.boot_ns < model.until_ns)
		return;
	if (model.principal >= 0)
		model.member[model.principal].stale = true;
	model.held = false;
	model.principal = -1;
	model_fill();
}

static void model_remove(int id, bool bye)
{
	model.member[id] = (struct model_member){0};
	model.here--;
	if (id == model.principal) {
		model.principal = -1;
		model.held = model.held && !bye;
	}
	model_fill();
}

/* Follows what was told, and holds it against the model. */
static void model_hear(void)
{
	for (unsigned i = 0; i < out.tells; i++) {
		const uint64_t *n = out.tell[i].message.number;
		int id = (int)out.tell[i].to - 10;

		switch (out.tell[i].message.kind) {
		case ROLE_WORD_PRINCIPAL:
		case ROLE_LINE_PRINCIPAL:
			assert_int_equal(id, model.principal);
			if (out.tell[i].message.kind == ROLE_WORD_PRINCIPAL)
				break;
			assert_int_equal(n[0], model.epoch);
			assert_int_equal(n[1], 1);
			assert_int_equal(n[2], model.here);
			model.held = true;
			model.until_ns = now.boot_ns + LEASE_MS * MOMENT_MS;
			break;
		case ROLE_PERSIST:
			model.request = n[2];
			model.asked = true;
			break;
		}
	}
}

static void model_check(void)
{
	struct role_view view;
	uint32_t cursor = 0, seen = 0;

	while (role_hub_each(hub, &cursor, &view)) {
		int id = (int)view.id - 10;

		assert_true(model.member[id].here);
		assert_int_equal(model.member[id].stale, view.stale);
		assert_int_equal(model.member[id].priority, view.priority);
		assert_int_equal(model_ahead(id), seen);
		seen++;
	}
	assert_int_equal(seen, model.here);
	assert_int_equal(role_hub_members(hub), seen);
}

static void model_join(int id)
{
	model.member[id] = (struct model_member){.here = true, .age = ++model.joined};
	model.here++;
	model_fill();
	hub_says((uint64_t)id + 10, ROLE_JOIN, 0);
	assert_int_equal(out.tell[0].to, id + 10);
	assert_int_equal(out.tell[0].message.kind,
			 id == model.principal ? ROLE_WORD_PRINCIPAL : ROLE_WORD_SECONDAIRE);
}

static void model_name(int id)
{
	struct model_member *m = &model.member[id];

	m->structured = true;
	m->priority = (uint64_t)rand() % 4;
	hub_says((uint64_t)id + 10, ROLE_NAME, m->priority);
	if (id == model.principal)
		return;
	assert_int_equal(out.tell[0].to, id + 10);
	assert_int_equal(out.tell[0].message.kind, ROLE_LINE_SECONDAIRE);
	assert_int_equal(out.tell[0].message.number[1], model_ahead(id) + 1);
	assert_int_equal(out.tell[0].message.number[2], model.here);
}

static void model_beat(int id)
{
	model.member[id].stale = false;
	if (id == model.principal && model.held)
		model.until_ns = now.boot_ns + LEASE_MS * MOMENT_MS;
	model_fill();
	hub_says((uint64_t)id + 10, ROLE_BEAT, 5);
}

static void model_step(void)
{
	int id = rand() % IDS, what = rand() % 8;
	struct model_member *m = &model.member[id];

	now.boot_ns += (uint64_t)rand() % 400 * MOMENT_MS;
	out_reset(&out, 0);
	role_hub_tick(hub, &out, &now);
	model_expire();
	model_hear();
	if (!m->here && model.here < CAPACITY) {
		model_join(id);
	} else if (m->here && !m->structured && what < 4) {
		model_name(id);
	} else if (m->structured && what < 5) {
		model_beat(id);
	} else if (m->here && what == 5) {
		model_remove(id, true);
		hub_says((uint64_t)id + 10, ROLE_BYE, 0);
	} else if (m->here && what == 6) {
		model_remove(id, false);
		hub_says((uint64_t)id + 10, ROLE_LEAVE, 0);
	} else if (model.asked) {
		model.asked = false;
		hub_says(OUT_OWNER, ROLE_PERSISTED, model.request);
	} else {
		out_reset(&out, 0);
	}
	model_hear();
	model_check();
}

static void does_as_the_model_does(void **state)
{
	struct role_record record = {0};

	for (seed = 1; seed <= SEEDS; seed++) {
		srand(seed);
		now = (struct moment){.boot_ns = 500 * MOMENT_S};
		hub = role_hub_init(hub, CAPACITY, LEASE_MS, &record, &now);
		model = (struct model){.principal = -1};
		for (unsigned i = 0; i < STEPS; i++)
			model_step();
		assert_true(model.epoch > STEPS / 60);
	}
	seed = 0;
}

static int setup(void **state)
{
	hub = malloc(role_hub_bytes(CAPACITY));
	return hub ? 0 : -1;
}

static int teardown(void **state)
{
	if (seed)
		print_error("seed %u\n", seed);
	free(hub);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(does_as_the_model_does, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
