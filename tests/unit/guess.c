/* What the server of guess draws: every number as likely, whatever the maximum. The vectors hold
 * what it says. Seeds are fixed, so that what passes once passes always. */
#include "proto/guess.h"

#include "driver.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum { GAMES = 20000 };

static void open_game(struct driver *d, uint64_t max, uint64_t seed0, uint64_t seed1)
{
	char line[24];

	driver_init(d, &guess_machine);
	assert_int_equal(driver_set(d, "terse", "yes"), 0);
	d->peer.seed[0] = seed0;
	d->peer.seed[1] = seed1;
	driver_open(d);
	snprintf(line, sizeof line, "%" PRIu64 "\n", max);
	driver_feed(d, bytes_of_string(line));
}

/* Whether the secret is more (1) or less (-1) than the number, or is it (0). */
static int try_number(struct driver *d, uint64_t number)
{
	char line[24];

	driver_forget(d);
	snprintf(line, sizeof line, "%" PRIu64 "\n", number);
	driver_feed(d, bytes_of_string(line));
	assert_null(d->fault);
	if (bytes_equal(d->output, BYTES_LITERAL("plus")))
		return 1;
	if (bytes_equal(d->output, BYTES_LITERAL("moins")))
		return -1;
	assert_true(bytes_equal(d->output, BYTES_LITERAL("fini")));
	return 0;
}

static uint64_t secret_of(uint64_t max, uint64_t seed0, uint64_t seed1)
{
	uint64_t low = 1, high = max, number;
	struct driver d;
	int answer;

	open_game(&d, max, seed0, seed1);
	do {
		assert_true(low <= high);
		number = low + (high - low) / 2;
		answer = try_number(&d, number);
		if (answer > 0)
			low = number + 1;
		else
			high = number - 1;
	} while (answer != 0);
	driver_end(&d);
	return number;
}

/* Each number comes as often as the others: within five standard deviations. */
static void expect_even(uint64_t max, unsigned deviation)
{
	unsigned count[16] = {0};
	unsigned mean = GAMES / (unsigned)max;

	for (uint64_t seed = 1; seed <= GAMES; seed++)
		count[secret_of(max, seed, 7 * seed) - 1]++;
	for (uint64_t i = 0; i < max; i++)
		assert_in_range(count[i], mean - 5 * deviation, mean + 5 * deviation);
}

static void test_small_maxima(void **state)
{
	assert_int_equal(secret_of(1, 1, 1), 1);
	expect_even(2, 71);
	expect_even(3, 67);
	expect_even(10, 43);
	expect_even(16, 35);
}

/* 64 random bits taken modulo 3 * 2^61 would lie in the lower two thirds three times of four. */
static void test_a_maximum_that_a_remainder_would_bias(void **state)
{
	const uint64_t third = UINT64_C(1) << 61;
	unsigned lower = 0;

	for (uint64_t seed = 1; seed <= GAMES; seed++) {
		struct driver d;

		open_game(&d, 3 * third, seed, 7 * seed);
		lower += try_number(&d, 2 * third) <= 0;
		driver_end(&d);
	}
	assert_in_range(lower, GAMES * 2 / 3 - 5 * 67, GAMES * 2 / 3 + 5 * 67);
}

static void test_both_words_of_the_seed_count(void **state)
{
	uint64_t secret = secret_of(INT64_MAX, 7, 1);

	assert_true(secret_of(INT64_MAX, 7, 1) == secret);
	assert_true(secret_of(INT64_MAX, 8, 1) != secret);
	assert_true(secret_of(INT64_MAX, 7, 3) != secret);
}

/* A stopping service lets a game end, and nobody who only connected. */
static void test_a_game_is_an_exchange_under_way(void **state)
{
	struct driver d;

	driver_init(&d, &guess_machine);
	driver_open(&d);
	assert_false(guess_machine.busy(d.state));
	driver_feed(&d, BYTES_LITERAL("10\n"));
	assert_true(guess_machine.busy(d.state));
	driver_end(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_maxima),
		cmocka_unit_test(test_a_maximum_that_a_remainder_would_bias),
		cmocka_unit_test(test_both_words_of_the_seed_count),
		cmocka_unit_test(test_a_game_is_an_exchange_under_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
