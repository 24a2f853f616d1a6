/* base/histogram: quantiles against those of the sorted values. */
#include "base/histogram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct histogram h;

static int begin(void **state)
{
	memset(&h, 0, sizeof h);
	return 0;
}

static void test_empty(void **state)
{
	assert_int_equal(histogram_quantile(&h, 500), 0);
	assert_int_equal(h.least, 0);
	assert_int_equal(h.most, 0);
}

static void test_one_value_is_every_quantile(void **state)
{
	histogram_add(&h, 123456789);
	for (unsigned q = 0; q <= 1000; q += 250)
		assert_int_equal(histogram_quantile(&h, q), 123456789);
}

static void test_small_values_are_exact(void **state)
{
	for (uint64_t v = 1; v <= 60000; v++)
		histogram_add(&h, 60001 - v);
	assert_int_equal(histogram_quantile(&h, 0), 1);
	assert_int_equal(histogram_quantile(&h, 1), 60);
	assert_int_equal(histogram_quantile(&h, 500), 30000);
	assert_int_equal(histogram_quantile(&h, 990), 59400);
	assert_int_equal(histogram_quantile(&h, 1000), 60000);
	assert_int_equal(h.least, 1);
	assert_int_equal(h.most, 60000);
}

static void test_nearest_rank_of_few(void **state)
{
	histogram_add(&h, 10);
	histogram_add(&h, 20);
	assert_int_equal(histogram_quantile(&h, 500), 10);
	assert_int_equal(histogram_quantile(&h, 501), 20);
	histogram_add(&h, 30);
	assert_int_equal(histogram_quantile(&h, 500), 20);
	assert_int_equal(histogram_quantile(&h, 990), 30);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Values of every size, most of them in buckets of many values. */
static void test_great_values_nearly_so(void **state)
{
	enum { COUNT = 20001 };
	static uint64_t value[COUNT];
	uint64_t random = 88172645463325252u;

	for (unsigned i = 0; i < COUNT; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		value[i] = random >> (24 + random % 40);
		histogram_add(&h, value[i]);
	}
	qsort(value, COUNT, sizeof value[0], compare);
	for (unsigned q = 1; q <= 1000; q++) {
		uint64_t exact = value[((uint64_t)COUNT * q + 999) / 1000 - 1];
		uint64_t given = histogram_quantile(&h, q);

		assert_true(given >= exact);
		assert_true(given - exact <= exact / 32768);
	}
}

static void test_bounds_of_the_buckets(void **state)
{
	static const uint64_t values[] = {
		0, 65535, 65536, 65537, 131071, 131072, (1ull << 40) - 1, 1ull << 40, UINT64_MAX};

	for (unsigned i = 0; i < sizeof values / sizeof values[0]; i++) {
		begin(state);
		histogram_add(&h, values[i]);
		histogram_add(&h, UINT64_MAX);
		assert_true(histogram_quantile(&h, 500) >= values[i]);
		assert_true(values[i] >> 40 ||
			    histogram_quantile(&h, 500) - values[i] <= values[i] / 32768);
		assert_int_equal(histogram_quantile(&h, 1000), UINT64_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_empty, begin),
		cmocka_unit_test_setup(test_one_value_is_every_quantile, begin),
		cmocka_unit_test_setup(test_small_values_are_exact, begin),
		cmocka_unit_test_setup(test_nearest_rank_of_few, begin),
		cmocka_unit_test_setup(test_great_values_nearly_so, begin),
		cmocka_unit_test_setup(test_bounds_of_the_buckets, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
