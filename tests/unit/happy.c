/* Happy Eyeballs on a virtual clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/moment.h"
#include "proto/happy.h"

/* Addresses from letters: `6` and `4`, numbered in their last byte. */
static unsigned make(struct address *address, const char *families)
{
	unsigned count = 0;

	for (; families[count] != '\0'; count++) {
		address[count] = (struct address){.port = 1};
		address[count].family = families[count] == '6' ? ADDRESS_V6 : ADDRESS_V4;
		address[count].ip[families[count] == '6' ? 15 : 3] = (uint8_t)count;
	}
	return count;
}

static void expect_interleaved(const char *given, const char *families, const uint8_t *order)
{
	struct address address[HAPPY_MOST];
	unsigned count = make(address, given);

	happy_interleave(address, count);
	for (unsigned i = 0; i < count; i++) {
		bool v6 = families[i] == '6';

		assert_int_equal(address[i].family, v6 ? ADDRESS_V6 : ADDRESS_V4);
		assert_int_equal(address[i].ip[v6 ? 15 : 3], order[i]);
	}
}

static void test_interleaves(void **state)
{
	expect_interleaved("", "", NULL);
	expect_interleaved("4", "4", (uint8_t[]){0});
	expect_interleaved("6644", "6464", (uint8_t[]){0, 2, 1, 3});
	expect_interleaved("4466", "4646", (uint8_t[]){0, 2, 1, 3});
	expect_interleaved("66664", "64666", (uint8_t[]){0, 4, 1, 2, 3});
	expect_interleaved("444", "444", (uint8_t[]){0, 1, 2});
	expect_interleaved("4666", "4666", (uint8_t[]){0, 1, 2, 3});
}

static void test_interleaves_as_many_as_there_can_be(void **state)
{
	char given[HAPPY_MOST + 1] = {0};
	struct address address[HAPPY_MOST];

	memset(given, '6', HAPPY_MOST);
	given[HAPPY_MOST - 1] = '4';
	make(address, given);
	happy_interleave(address, HAPPY_MOST);
	assert_int_equal(address[1].family, ADDRESS_V4);
	assert_int_equal(address[HAPPY_MOST - 1].family, ADDRESS_V6);
}

static void test_starts_one_every_delay(void **state)
{
	const uint64_t delay = HAPPY_DELAY_MS * MOMENT_MS;
	struct happy h;

	happy_begin(&h, 3, 1000);
	assert_int_equal(happy_next(&h, 1000), 0);
	assert_int_equal(happy_next(&h, 1000), HAPPY_NONE);
	assert_int_equal(happy_due(&h), 1000 + delay);
	assert_int_equal(happy_next(&h, 999 + delay), HAPPY_NONE);
	assert_int_equal(happy_next(&h, 1000 + delay), 1);
	/* a late holder does not make up for it with two at once */
	assert_int_equal(happy_next(&h, 5000 + 2 * delay), 2);
	assert_int_equal(happy_next(&h, 5000 + 9 * delay), HAPPY_NONE);
	assert_int_equal(happy_due(&h), MOMENT_NEVER);
	assert_false(happy_over(&h));
}

static void test_starts_the_next_at_once_when_one_fails(void **state)
{
	struct happy h;

	happy_begin(&h, 3, 0);
	assert_int_equal(happy_next(&h, 0), 0);
	happy_fail(&h, 0, ERR_REFUSED, 7);
	assert_int_equal(happy_due(&h), 7);
	assert_int_equal(happy_next(&h, 7), 1);
	assert_int_equal(happy_next(&h, 7), HAPPY_NONE);
	assert_int_equal(happy_next(&h, 7 + HAPPY_DELAY_MS * MOMENT_MS), 2);
}

static void test_first_success_wins(void **state)
{
	struct happy h;

	happy_begin(&h, 3, 0);
	assert_int_equal(happy_next(&h, 0), 0);
	assert_int_equal(happy_next(&h, HAPPY_DELAY_MS * MOMENT_MS), 1);
	assert_true(happy_win(&h, 1));
	assert_true(happy_over(&h));
	assert_int_equal(h.winner, 1);
	assert_int_equal(happy_error(&h), 0);
	assert_int_equal(happy_next(&h, UINT64_MAX - 1), HAPPY_NONE);
	assert_false(happy_win(&h, 0));
	assert_int_equal(h.winner, 1);
}

static void test_is_over_when_all_have_failed(void **state)
{
	struct happy h;

	happy_begin(&h, 2, 0);
	assert_int_equal(happy_next(&h, 0), 0);
	happy_fail(&h, 0, ERR_UNREACHABLE, 1);
	assert_false(happy_over(&h));
	assert_int_equal(happy_next(&h, 1), 1);
	happy_fail(&h, 1, ERR_REFUSED, 2);
	assert_true(happy_over(&h));
	assert_int_equal(happy_error(&h), ERR_REFUSED);
}

static void test_nothing_to_try(void **state)
{
	struct happy h;

	happy_begin(&h, 0, 0);
	assert_true(happy_over(&h));
	assert_int_equal(happy_next(&h, 0), HAPPY_NONE);
	assert_int_equal(happy_error(&h), ERR_NO_ADDRESS);
}

static void test_gives_up(void **state)
{
	struct happy h;

	happy_begin(&h, 3, 0);
	assert_int_equal(happy_next(&h, 0), 0);
	happy_fail(&h, 0, ERR_NO_FAMILY, 0);
	assert_int_equal(happy_next(&h, 0), 1);
	happy_give_up(&h);
	assert_true(happy_over(&h));
	assert_int_equal(h.err[1], ERR_TIMEOUT);
	assert_int_equal(happy_error(&h), ERR_TIMEOUT);
	assert_int_equal(happy_next(&h, MOMENT_S), HAPPY_NONE);
}

static void test_most_telling_error(void **state)
{
	static const int in_order[] = {ERR_DESCRIPTORS, ERR_REFUSED, ERR_PROHIBITED,
				       ERR_UNREACHABLE, ERR_TIMEOUT, ERR_NO_ROUTE,
				       ERR_NO_FAMILY};
	const unsigned count = sizeof(in_order) / sizeof(in_order[0]);

	for (unsigned a = 0; a < count; a++) {
		for (unsigned b = 0; b < count; b++) {
			struct happy h;

			happy_begin(&h, 2, 0);
			happy_next(&h, 0);
			happy_fail(&h, 0, in_order[a], 0);
			happy_next(&h, 0);
			happy_fail(&h, 1, in_order[b], 0);
			assert_int_equal(happy_error(&h), in_order[a < b ? a : b]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interleaves),
		cmocka_unit_test(test_interleaves_as_many_as_there_can_be),
		cmocka_unit_test(test_starts_one_every_delay),
		cmocka_unit_test(test_starts_the_next_at_once_when_one_fails),
		cmocka_unit_test(test_first_success_wins),
		cmocka_unit_test(test_is_over_when_all_have_failed),
		cmocka_unit_test(test_nothing_to_try),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_most_telling_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
