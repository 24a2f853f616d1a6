/* Objects in chunks: zeroed, apart from each other, given back to the system. */
#include "base/slab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* xorshift64* (Vigna): the same numbers in every run. */
static uint64_t seed = 0x2545f4914f6cdd1d;

static uint64_t draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}

static bool all_bytes_are(const uint8_t *at, size_t len, uint8_t value)
{
	return len == 0 || (at[0] == value && memcmp(at, at + 1, len - 1) == 0);
}

static void check_size(size_t bytes)
{
	struct slab s;
	uint8_t *object[2];

	slab_init(&s, bytes);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 2; i++) {
			object[i] = slab_take(&s);
			assert_non_null(object[i]);
			assert_int_equal((uintptr_t)object[i] % 16, 0);
			assert_true(all_bytes_are(object[i], bytes, 0));
			memset(object[i], 0xa5, bytes);
		}
		assert_true(labs(object[0] - object[1]) >= (long)bytes);
		slab_give(&s, object[0]);
		slab_give(&s, object[1]);
	}
	assert_int_equal(s.taken, 0);
	slab_end(&s);
}

static void sizes(void **state)
{
	check_size(1);
	check_size(16);
	check_size(17);
	check_size(256);
	check_size(65535 - 64);
	check_size(65536 - 64);
	check_size(65536 - 63);
	check_size(65536);
	check_size(1024 * 1024);
}

/* Pages of this process in memory. */
static long resident_pages(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long total, resident;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &total, &resident), 2);
	fclose(f);
	return resident;
}

static void memory_goes_back(void **state)
{
	enum { COUNT = 20000, BYTES = 1024 };
	static uint8_t *object[COUNT];
	long before, full;
	struct slab s;

	slab_init(&s, BYTES);
	before = resident_pages();
	for (int i = 0; i < COUNT; i++) {
		object[i] = slab_take(&s);
		memset(object[i], 1, BYTES);
	}
	full = resident_pages();
	assert_true(full - before >= COUNT * BYTES / 4096);
	for (int i = 0; i < COUNT; i++)
		slab_give(&s, object[i]);
	assert_true(resident_pages() - before < (full - before) / 4);
	assert_null(s.partial);
	assert_null(s.full);
	assert_non_null(s.spare);
	slab_end(&s);
	assert_null(s.spare);
}

/* One object taken and given over and over, with all others full, does not map and unmap. */
static void spare_is_kept(void **state)
{
	struct slab s;
	void *first, *again;

	slab_init(&s, 64);
	first = slab_take(&s);
	slab_give(&s, first);
	again = slab_take(&s);
	assert_ptr_equal(first, again);
	assert_null(s.spare);
	slab_give(&s, again);
	assert_non_null(s.spare);
	slab_end(&s);
}

static void full_chunk_has_room_again(void **state)
{
	struct slab s;
	void *object = NULL;

	slab_init(&s, 64);
	for (unsigned i = 0; i < s.per_chunk; i++)
		object = slab_take(&s);
	assert_null(s.partial);
	slab_give(&s, object);
	assert_null(s.full);
	assert_ptr_equal(slab_take(&s), object);
	slab_end(&s);
}

static bool is_mapped(void *at)
{
	unsigned char in_memory;
	uintptr_t page = (uintptr_t)at & ~(uintptr_t)(sysconf(_SC_PAGESIZE) - 1);

	return mincore((void *)page, 1, &in_memory) == 0;
}

static void end_frees_what_is_taken(void **state)
{
	struct slab s;
	void *first, *last = NULL;

	slab_init(&s, 1000);
	first = slab_take(&s);
	for (unsigned i = 0; i < 3 * s.per_chunk; i++)
		last = slab_take(&s);
	assert_non_null(s.full);
	assert_non_null(s.partial);
	assert_true(is_mapped(first) && is_mapped(last));
	slab_end(&s);
	assert_int_equal(s.taken, 0);
	assert_false(is_mapped(first) || is_mapped(last));
}

/* Random takes and gives: every object holds its own pattern until it is given back. */
static void random_steps(void **state)
{
	enum { MOST = 3000, STEPS = 300000 };
	static uint8_t *object[MOST], pattern[MOST];
	size_t bytes = 200, taken = 0;
	struct slab s;

	slab_init(&s, bytes);
	for (unsigned step = 0; step < STEPS; step++) {
		/* Tides, so that chunks fill and empty. */
		bool take = draw() % 100 < (step / 5000 % 2 ? 30 : 70);

		if (take && taken < MOST) {
			object[taken] = slab_take(&s);
			assert_true(all_bytes_are(object[taken], bytes, 0));
			pattern[taken] = (uint8_t)draw();
			memset(object[taken], pattern[taken], bytes);
			taken++;
		} else if (!take && taken > 0) {
			size_t i = draw() % taken;

			assert_true(all_bytes_are(object[i], bytes, pattern[i]));
			slab_give(&s, object[i]);
			taken--;
			object[i] = object[taken];
			pattern[i] = pattern[taken];
		}
		assert_int_equal(s.taken, taken);
	}
	slab_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes),
		cmocka_unit_test(memory_goes_back),
		cmocka_unit_test(spare_is_kept),
		cmocka_unit_test(full_chunk_has_room_again),
		cmocka_unit_test(end_frees_what_is_taken),
		cmocka_unit_test(random_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
