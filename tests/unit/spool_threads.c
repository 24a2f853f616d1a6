/* The spool read in one thread while another commits and has acknowledged what was read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "store/index.h"
#include "store/pack.h"
#include "storing.h"

enum { RECORDS = 20000, A_COMMIT = 50 };

static struct index *ix;
static char why[256];
static atomic_uint_fast64_t committed, read_to;
static atomic_bool failed;

/* Checks the records of a block; false: they are others. */
static bool check(struct unpacker *unpacker, const struct spool_block *block)
{
	static uint8_t raw[INDEX_BLOCK_BYTES];
	uint8_t record[CHANGE_RECORD_BYTES];
	struct bytes rest = block->body;

	if (block->packed) {
		if (unpack(unpacker, block->body, raw, block->raw_bytes) != 0)
			return false;
		rest = bytes_of(raw, block->raw_bytes);
	}
	for (uint64_t n = block->first; n <= block->last; n++) {
		size_t len = storing_record(record, n);

		if (rest.len < len || memcmp(rest.data, record, len) != 0)
			return false;
		rest = bytes_after(rest, len);
	}
	return rest.len == 0;
}

static void *read_all(void *context)
{
	struct spool_block block;
	struct unpacker *unpacker = NULL;
	struct spool *spool = NULL;
	uint64_t after = 0;
	bool good = unpacker_create(&unpacker) == 0 &&
		    spool_open(&spool, storing_path("threads")) == 0;

	while (good && after < RECORDS) {
		uint64_t there = atomic_load(&committed);
		int got = spool_read(spool, after, &block);

		/* What was said to be committed is found. */
		good = got >= 0 && (got > 0 || there <= after);
		if (!good || got == 0)
			continue;
		good = block.first == after + 1 && check(unpacker, &block);
		after = block.last;
		atomic_store(&read_to, after);
	}
	if (!good)
		atomic_store(&failed, true);
	spool_close(spool);
	unpacker_destroy(unpacker);
	return NULL;
}

static void test_both_at_once(void **state)
{
	uint8_t record[CHANGE_RECORD_BYTES];
	struct index_found found;
	uint64_t seq, newest;
	pthread_t reader;

	assert_int_equal(index_open(&ix, storing_path("threads"), &found, why), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_all, NULL), 0);
	for (uint64_t n = 1; n <= RECORDS; n++) {
		size_t len = storing_record(record, n);

		assert_int_equal(index_append(ix, bytes_of(record, len), &seq), 0);
		if (n % A_COMMIT != 0)
			continue;
		assert_int_equal(index_acknowledge(ix, atomic_load(&read_to)), 0);
		assert_int_equal(index_commit(ix, &newest), 0);
		assert_int_equal(newest, n);
		atomic_store(&committed, n);
		if (atomic_load(&failed))
			break;
	}
	pthread_join(reader, NULL);
	assert_false(atomic_load(&failed));
	/* The reader held nothing that kept the log from being begun anew. */
	assert_in_range(storing_size(storing_path("threads-wal")), 1, 33 << 20);
	index_close(ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_both_at_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
