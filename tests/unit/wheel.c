/* The timer wheel by hand and against an array that is searched whole. */
#include "base/wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* xorshift64* (Vigna): the same numbers in every run; the seed of a failure is printed. */
static uint64_t seed, run_seed;

static uint64_t draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}

struct counted {
	struct wheel_timer timer;
	unsigned count;
	uint64_t at_ms;
};

static void count(struct wheel_timer *t, void *context)
{
	struct counted *c = (struct counted *)t;

	c->count++;
	c->at_ms = ((struct wheel *)context)->now_ms;
}

static void arm(struct wheel *w, struct counted *c, uint64_t due_ms)
{
	c->timer.due = count;
	wheel_arm(w, &c->timer, due_ms);
}

static void advance(struct wheel *w, uint64_t now_ms)
{
	wheel_advance(w, now_ms, w);
}

static void one_timer(void **state)
{
	struct counted c = {0};
	struct wheel w;

	wheel_init(&w, 1000);
	assert_true(wheel_idle_ms(&w) == UINT64_MAX);
	arm(&w, &c, 1010);
	assert_true(wheel_is_armed(&c.timer));
	assert_int_equal(wheel_idle_ms(&w), 10);
	advance(&w, 1009);
	assert_int_equal(c.count, 0);
	assert_int_equal(wheel_idle_ms(&w), 1);
	advance(&w, 1010);
	assert_int_equal(c.count, 1);
	assert_false(wheel_is_armed(&c.timer));
	assert_int_equal(w.armed, 0);
	advance(&w, 100000);
	assert_int_equal(c.count, 1);
}

static void past_and_present(void **state)
{
	struct counted past = {0}, present = {0};
	struct wheel w;

	wheel_init(&w, 1000);
	arm(&w, &past, 3);
	arm(&w, &present, 1000);
	assert_int_equal(wheel_idle_ms(&w), 0);
	advance(&w, 1000); /* time need not move */
	assert_int_equal(past.count, 1);
	assert_int_equal(present.count, 1);
}

static void never_back(void **state)
{
	struct counted c = {0};
	struct wheel w;

	wheel_init(&w, 1000);
	arm(&w, &c, 1001);
	advance(&w, 5);
	assert_int_equal(w.now_ms, 1000);
	assert_int_equal(c.count, 0);
	advance(&w, 1001);
	assert_int_equal(c.count, 1);
}

static void armed_again_and_cancelled(void **state)
{
	struct counted c = {0};
	struct wheel w;

	wheel_init(&w, 0);
	wheel_cancel(&w, &c.timer); /* not armed: nothing happens */
	arm(&w, &c, 10);
	arm(&w, &c, 20);
	assert_int_equal(w.armed, 1);
	advance(&w, 19);
	assert_int_equal(c.count, 0);
	wheel_cancel(&w, &c.timer);
	assert_int_equal(w.armed, 0);
	assert_true(wheel_idle_ms(&w) == UINT64_MAX);
	advance(&w, 1000);
	assert_int_equal(c.count, 0);
}

static const uint64_t far_ms[] = {
	1,       255,      256,        257,         65535,         65536,
	65537,   1u << 24, 1ull << 32, 1ull << 39,  1ull << 40,    (1ull << 40) + 1,
	1 << 20, 3600000,  86400000,   31536000000, 3155760000000, 1ull << 50,
};

/* A loop that sleeps for as long as the wheel is idle, from awkward beginnings, wakes seldom and
 * calls at the very millisecond. */
static void exact_at_any_distance(void **state)
{
	static const uint64_t from_ms[] = {
		0,
		1,
		255,
		256,
		65535,
		65536,
		(1ull << 32) - 1,
		(1ull << 40) - 1,
		1ull << 40,
		0xfedcba9876543,
	};
	struct wheel w;

	for (size_t f = 0; f < sizeof(from_ms) / sizeof(from_ms[0]); f++) {
		for (size_t i = 0; i < sizeof(far_ms) / sizeof(far_ms[0]); i++) {
			uint64_t due_ms = from_ms[f] + far_ms[i];
			struct counted c = {0};
			unsigned wakes = 0;

			wheel_init(&w, from_ms[f]);
			arm(&w, &c, due_ms);
			while (c.count == 0 && wakes++ < 2000)
				advance(&w, w.now_ms + wheel_idle_ms(&w));
			assert_int_equal(c.count, 1);
			assert_true(c.at_ms == due_ms);
			assert_true(wakes <= 5 + (far_ms[i] >> 40));
		}
	}
}

static void far_jump_finds_all(void **state)
{
	enum { COUNT = sizeof(far_ms) / sizeof(far_ms[0]) };
	struct counted c[COUNT] = {0};
	struct wheel w;

	wheel_init(&w, 77);
	for (size_t i = 0; i < COUNT; i++)
		arm(&w, &c[i], 77 + far_ms[i]);
	advance(&w, 77 + (1ull << 51));
	for (size_t i = 0; i < COUNT; i++)
		assert_int_equal(c[i].count, 1);
	assert_int_equal(w.armed, 0);
}

static void end_of_time(void **state)
{
	struct counted last = {0}, soon = {0};
	struct wheel w;

	wheel_init(&w, UINT64_MAX - 1000);
	arm(&w, &last, UINT64_MAX);
	arm(&w, &soon, UINT64_MAX - 500);
	advance(&w, UINT64_MAX - 1);
	assert_int_equal(soon.count, 1);
	assert_int_equal(last.count, 0);
}

static void never_from_the_beginning(void **state)
{
	struct counted c = {0};
	struct wheel w;

	wheel_init(&w, 0);
	arm(&w, &c, UINT64_MAX);
	advance(&w, 1ull << 45);
	assert_int_equal(c.count, 0);
	assert_true(wheel_idle_ms(&w) > 0);
	wheel_cancel(&w, &c.timer);
	assert_true(wheel_idle_ms(&w) == UINT64_MAX);
}

/* The callback's own memory goes away in it. */
static void free_timer(struct wheel_timer *t, void *context)
{
	++*(unsigned *)context;
	free(t);
}

static void freed_in_the_callback(void **state)
{
	unsigned freed = 0;
	struct wheel w;

	wheel_init(&w, 0);
	for (unsigned i = 0; i < 100; i++) {
		struct wheel_timer *t = calloc(1, sizeof(*t));

		t->due = free_timer;
		wheel_arm(&w, t, i % 7);
	}
	wheel_advance(&w, 10, &freed);
	assert_int_equal(freed, 100);
}

/* The model: an array of timers, searched whole. `expected` is set at the beginning of an advance
 * for all that must be called in it. */
enum { TIMERS = 40 };

struct model {
	struct wheel wheel;
	uint64_t last_due_ms, from_ms;
	struct modelled {
		struct wheel_timer timer;
		uint64_t due_ms;
		bool armed, expected;
	} t[TIMERS];
};

/* Distances of every magnitude, often at the edge of a slot. */
static uint64_t draw_distance(void)
{
	uint64_t distance = draw() >> (64 - (1 + draw() % 43));

	return draw() % 4 ? distance : distance & ~0xffull;
}

static void on_due(struct wheel_timer *timer, void *context);

static void model_arm(struct model *m, unsigned i)
{
	struct modelled *t = &m->t[i];
	uint64_t due_ms = m->wheel.now_ms + draw_distance();

	if (draw() % 8 == 0)
		due_ms = m->wheel.now_ms - draw() % (m->wheel.now_ms < 300 ? 1 : 300);
	if (draw() % 8 == 0)
		due_ms |= 0xff;
	t->timer.due = on_due;
	wheel_arm(&m->wheel, &t->timer, due_ms);
	t->due_ms = due_ms;
	t->armed = true;
	t->expected = false;
}

static void model_cancel(struct model *m, unsigned i)
{
	wheel_cancel(&m->wheel, &m->t[i].timer);
	m->t[i].armed = m->t[i].expected = false;
}

static void on_due(struct wheel_timer *timer, void *context)
{
	struct model *m = context;
	struct modelled *t = (struct modelled *)timer;

	assert_true(t->armed && t->expected);
	assert_false(wheel_is_armed(timer));
	assert_true(t->due_ms <= m->wheel.now_ms);
	assert_true(t->due_ms <= m->from_ms || t->due_ms >= m->last_due_ms);
	m->last_due_ms = t->due_ms;
	t->armed = t->expected = false;
	switch (draw() % 6) {
	case 0:
		model_arm(m, (unsigned)(t - m->t));
		break;
	case 1:
		model_arm(m, draw() % TIMERS);
		break;
	case 2:
		model_cancel(m, draw() % TIMERS);
		break;
	default:
		break;
	}
}

static void model_advance(struct model *m, uint64_t now_ms)
{
	m->from_ms = m->wheel.now_ms;
	m->last_due_ms = 0;
	for (unsigned i = 0; i < TIMERS; i++)
		m->t[i].expected = m->t[i].armed && m->t[i].due_ms <= now_ms;
	wheel_advance(&m->wheel, now_ms, m);
	for (unsigned i = 0; i < TIMERS; i++)
		assert_false(m->t[i].expected);
}

static void check_idle(const struct model *m)
{
	uint64_t now_ms = m->wheel.now_ms, idle_ms = wheel_idle_ms(&m->wheel), first = UINT64_MAX;
	size_t armed = 0;

	for (unsigned i = 0; i < TIMERS; i++) {
		assert_int_equal(wheel_is_armed(&m->t[i].timer), m->t[i].armed);
		armed += m->t[i].armed;
		if (m->t[i].armed && m->t[i].due_ms < first)
			first = m->t[i].due_ms;
	}
	assert_int_equal(m->wheel.armed, armed);
	if (armed == 0)
		assert_true(idle_ms == UINT64_MAX);
	else if (first <= now_ms)
		assert_int_equal(idle_ms, 0);
	else if (first <= (now_ms | 0xff))
		assert_int_equal(idle_ms, first - now_ms);
	else
		assert_true(idle_ms > 0 && idle_ms <= first - now_ms);
}

/* A bit says that its slot has timers, nothing else does. */
static void check_bitmaps(const struct wheel *w)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		for (unsigned slot = 0; slot < WHEEL_SLOTS; slot++) {
			bool bit = w->occupied[level][slot / 64] >> slot % 64 & 1;

			assert_int_equal(bit, w->slot[level][slot] != NULL);
		}
	}
}

static uint64_t draw_beginning(void)
{
	switch (draw() % 4) {
	case 0:
		return draw() % 1000;
	case 1:
		return (1ull << 40) - draw() % 70000;
	case 2:
		return (1ull << 32) - draw() % 300;
	default:
		return draw() >> (draw() % 40 + 10);
	}
}

static void random_steps(uint64_t first_seed)
{
	static struct model m;

	seed = first_seed;
	memset(&m, 0, sizeof(m));
	wheel_init(&m.wheel, draw_beginning());
	for (unsigned step = 0; step < 3000; step++) {
		unsigned what = draw() % 10;

		if (what < 5)
			model_arm(&m, draw() % TIMERS);
		else if (what < 6)
			model_cancel(&m, draw() % TIMERS);
		else if (what < 8 && m.wheel.armed > 0)
			model_advance(&m, m.wheel.now_ms + wheel_idle_ms(&m.wheel));
		else
			model_advance(&m, m.wheel.now_ms + draw_distance());
		check_idle(&m);
		if (step % 50 == 0)
			check_bitmaps(&m.wheel);
	}
}

static void agrees_with_a_list(void **state)
{
	for (unsigned run = 1; run <= 200; run++) {
		run_seed = run * 0x9e3779b97f4a7c15;
		random_steps(run_seed);
	}
	run_seed = 0;
}

static int say_seed(void **state)
{
	if (run_seed != 0)
		print_error("seed 0x%llx\n", (unsigned long long)run_seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_timer),
		cmocka_unit_test(past_and_present),
		cmocka_unit_test(never_back),
		cmocka_unit_test(armed_again_and_cancelled),
		cmocka_unit_test(exact_at_any_distance),
		cmocka_unit_test(far_jump_finds_all),
		cmocka_unit_test(end_of_time),
		cmocka_unit_test(never_from_the_beginning),
		cmocka_unit_test(freed_in_the_callback),
		cmocka_unit_test_teardown(agrees_with_a_list, say_seed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
