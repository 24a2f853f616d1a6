/* The gate: exact under threads, nobody forgotten who found it full, sources and rates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "net/gate.h"

enum { THREADS = 4, ROUNDS = 20000, PLACES = 3 };

static struct gate *gate;
static const struct moment start = {.boot_ns = 1000 * MOMENT_S};
static atomic_uint inside, most_inside, woken, found_full;

static void *come_and_go(void *argument)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (gate_enter(gate, &start) != GATE_IN) {
			atomic_fetch_add(&found_full, 1);
			continue;
		}
		unsigned now = atomic_fetch_add(&inside, 1) + 1;
		unsigned most = atomic_load(&most_inside);

		while (now > most && !atomic_compare_exchange_weak(&most_inside, &most, now))
			;
		atomic_fetch_sub(&inside, 1);
		atomic_fetch_add(&woken, gate_leave(gate, NULL));
	}
	return NULL;
}

static void test_no_more_than_its_places(void **state)
{
	struct gate_limits limits = {.open = PLACES};
	pthread_t thread[THREADS];

	assert_int_equal(gate_create(&gate, &limits), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_create(&thread[i], NULL, come_and_go, NULL);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_true(atomic_load(&most_inside) <= PLACES);
	assert_int_equal(gate_open(gate), 0);
	gate_destroy(gate);
}

static void test_who_found_it_full_is_called(void **state)
{
	struct gate_limits limits = {.open = 1};

	assert_int_equal(gate_create(&gate, &limits), 0);
	assert_int_equal(gate_enter(gate, &start), GATE_IN);
	assert_false(gate_leave(gate, NULL));
	assert_int_equal(gate_enter(gate, &start), GATE_IN);
	assert_int_equal(gate_enter(gate, &start), GATE_FULL);
	assert_true(gate_leave(gate, NULL));
	assert_int_equal(gate_enter(gate, &start), GATE_IN);
	assert_false(gate_leave(gate, NULL));
	gate_destroy(gate);
}

static struct address address(const char *text)
{
	struct address a;

	assert_int_equal(address_parse_ip(bytes_of_string(text), &a), 0);
	return a;
}

static void test_a_source_has_its_share(void **state)
{
	struct gate_limits limits = {.per_source = 2};
	struct address one = address("192.0.2.1"), other = address("192.0.2.2");
	struct address v6 = address("2001:db8::1"), neighbour = address("2001:db8::ffff");
	struct address far = address("2001:db8:0:1::1");

	assert_int_equal(gate_create(&gate, &limits), 0);
	assert_true(gate_admit(gate, &one));
	assert_true(gate_admit(gate, &one));
	assert_false(gate_admit(gate, &one));
	assert_true(gate_admit(gate, &other));
	gate_leave(gate, &one);
	assert_true(gate_admit(gate, &one));
	assert_true(gate_admit(gate, &v6));
	assert_true(gate_admit(gate, &neighbour));
	assert_false(gate_admit(gate, &v6)); /* one /64 is one source */
	assert_true(gate_admit(gate, &far));
	assert_int_equal(gate_refused(gate), 2);
	gate_destroy(gate);
}

static void test_a_rate_with_its_burst(void **state)
{
	struct gate_limits limits = {.per_second = 10};
	struct moment now = start;
	unsigned in = 0;

	assert_int_equal(gate_create(&gate, &limits), 0);
	while (gate_enter(gate, &now) == GATE_IN)
		in++;
	assert_int_equal(in, 20);
	assert_true(gate_is_rated(gate));
	now.boot_ns += MOMENT_S / 10;
	assert_int_equal(gate_enter(gate, &now), GATE_IN);
	assert_int_equal(gate_enter(gate, &now), GATE_TOO_FAST);
	gate_destroy(gate);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_more_than_its_places),
		cmocka_unit_test(test_who_found_it_full_is_called),
		cmocka_unit_test(test_a_source_has_its_share),
		cmocka_unit_test(test_a_rate_with_its_burst),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
