/* The spool beside the index: what was appended is read, acknowledged, resumed; numbers; its size.
 */
#include "opened.h"

#include <stdio.h>

#include "store/pack.h"

/* Reads all of the spool after `after`, checks each record; returns how many there are. */
static uint64_t read_spool(const char *name, uint64_t after)
{
	static uint8_t raw[INDEX_BLOCK_BYTES];
	uint8_t record[CHANGE_RECORD_BYTES];
	struct unpacker *unpacker;
	struct spool *spool;
	struct spool_block block;
	uint64_t count = 0;
	int got;

	assert_int_equal(unpacker_create(&unpacker), 0);
	assert_int_equal(spool_open(&spool, storing_path(name)), 0);
	while ((got = spool_read(spool, after, &block)) == 1) {
		struct bytes rest = block.body;

		assert_true(block.first <= after + 1);
		if (block.packed) {
			assert_int_equal(unpack(unpacker, block.body, raw, block.raw_bytes), 0);
			rest = bytes_of(raw, block.raw_bytes);
		}
		for (uint64_t seq = block.first; seq <= block.last; seq++) {
			size_t len = storing_record(record, seq);

			assert_true(rest.len >= len);
			assert_memory_equal(rest.data, record, len);
			rest = bytes_after(rest, len);
		}
		assert_int_equal(rest.len, 0);
		count += block.last - after;
		after = block.last;
	}
	assert_int_equal(got, 0);
	spool_close(spool);
	unpacker_destroy(unpacker);
	return count;
}

static void test_spool(void **state)
{
	opened_new("spool");
	assert_int_equal(opened_commit(), 0);
	for (uint64_t n = 1; n <= 3000; n++)
		assert_int_equal(opened_append(n), n);
	assert_int_equal(read_spool("spool", 0), 0); /* nothing is committed */
	assert_int_equal(index_rollback(ix), 0);
	for (uint64_t n = 1; n <= 10000; n++) {
		assert_int_equal(opened_append(n), n); /* given again */
		if (n == 3 || n == 4)
			assert_int_equal(opened_commit(), n);
	}
	assert_int_equal(opened_commit(), 10000);
	assert_int_equal(read_spool("spool", 0), 10000);
	assert_int_equal(read_spool("spool", 3), 9997);
	assert_int_equal(read_spool("spool", 9999), 1);
	assert_int_equal(read_spool("spool", 10000), 0);
	assert_int_equal(index_state(ix).spool_records, 10000);
	index_close(ix);
	opened_again("spool");
	assert_int_equal(index_state(ix).newest, 10000);
	assert_int_equal(opened_append(10001), 10001);
	index_close(ix);
}

static void test_acknowledge(void **state)
{
	uint64_t full;

	opened_new("acknowledge");
	for (uint64_t n = 1; n <= 9000; n++) {
		opened_append(n);
		if (n % 3000 == 0)
			opened_commit();
	}
	full = index_state(ix).spool_bytes;
	assert_int_equal(index_acknowledge(ix, 9001), ERR_PROTOCOL);
	assert_int_equal(index_acknowledge(ix, 4000), 0);
	assert_int_equal(index_acknowledge(ix, 3999), 0);
	assert_true(index_uncommitted(ix) > 0);
	opened_commit();
	assert_int_equal(index_state(ix).acknowledged, 4000);
	assert_int_equal(index_state(ix).spool_records, 5000);
	assert_in_range(index_state(ix).spool_bytes, 1, full * 3 / 4);
	/* What is acknowledged of a block stays with the rest of it. */
	assert_int_equal(read_spool("acknowledge", 4000), 5000);
	assert_int_equal(index_acknowledge(ix, 9000), 0);
	opened_commit();
	assert_int_equal(index_state(ix).spool_bytes, 0);
	assert_int_equal(read_spool("acknowledge", 4000), 0);
	index_close(ix);
	opened_again("acknowledge");
	assert_int_equal(index_state(ix).acknowledged, 9000);
	assert_int_equal(index_state(ix).spool_bytes, 0);
	index_close(ix);
}

static void test_resume(void **state)
{
	opened_new("resume");
	for (uint64_t n = 1; n <= 100; n++)
		opened_append(n);
	opened_commit();
	assert_int_equal(index_resume(ix, 40, 100, &found), 0);
	assert_false(found.behind);
	assert_int_equal(index_state(ix).acknowledged, 40);
	/* It lost its own. */
	assert_int_equal(index_resume(ix, 39, 100, &found), 0);
	assert_true(found.behind);
	assert_int_equal(opened_append(101), 101);
	assert_int_equal(opened_commit(), 101);
	assert_int_equal(index_state(ix).acknowledged, 100);
	assert_int_equal(read_spool("resume", 100), 1);
	/* We lost ours. */
	assert_int_equal(index_resume(ix, 5000, 101, &found), 0);
	assert_true(found.behind);
	assert_int_equal(opened_append(5001), 5001);
	assert_int_equal(opened_commit(), 5001);
	assert_int_equal(read_spool("resume", 5000), 1);
	assert_int_equal(index_resume(ix, UINT64_MAX, 0, &found), ERR_PROTOCOL);
	index_close(ix);
}

/* The server has numbers that were ours before, in a state that is no more; since then the same
 * numbers were given to other changes, and more of them. */
static void test_numbers_given_twice(void **state)
{
	opened_new("twice");
	for (uint64_t n = 1; n <= 100; n++)
		opened_append(n);
	opened_commit();
	index_close(ix);
	opened_again("twice");
	for (uint64_t n = 101; n <= 300; n++)
		opened_append(n);
	opened_commit();
	assert_int_equal(index_resume(ix, 150, 0, &found), 0);
	assert_true(found.behind);
	assert_int_equal(opened_append(301), 301);
	opened_commit();
	/* Nothing of that is sent yet, and it comes again with what it had. */
	assert_int_equal(index_resume(ix, 150, 0, &found), 0);
	assert_true(found.behind); /* it lacks what was given up for it */
	assert_int_equal(opened_append(302), 302);
	opened_commit();
	assert_int_equal(index_resume(ix, 302, 302, &found), 0);
	assert_false(found.behind);
	assert_int_equal(index_state(ix).acknowledged, 302);
	index_close(ix);
	/* What was committed before may have been sent before. */
	opened_again("twice");
	assert_int_equal(opened_append(303), 303);
	opened_commit();
	index_close(ix);
	opened_again("twice");
	assert_int_equal(index_resume(ix, 303, 0, &found), 0);
	assert_false(found.behind);
	index_close(ix);
}

/* A spool that fills and empties again and again: 80 MiB go through it, 2 at a time. */
static void test_size(void **state)
{
	static uint8_t noise[200 * 1024];
	uint64_t seed = 1, seq = 0;

	opened_new("size");
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (uint8_t)storing_random(&seed, 256);
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 11; i++)
			assert_int_equal(index_append(ix, bytes_of(noise, sizeof(noise)), &seq), 0);
		opened_commit();
		assert_in_range(index_state(ix).spool_bytes, 2 << 20, 3 << 20);
		assert_int_equal(index_acknowledge(ix, seq), 0);
		opened_commit();
	}
	assert_in_range(storing_size(storing_path("size-wal")), 1, 33 << 20);
	index_close(ix);
	assert_in_range(storing_size(storing_path("size")), 1, 4 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_acknowledge),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_numbers_given_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
