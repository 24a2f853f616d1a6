/* One direction put in order: by hand, and at random against what was sent. */
#include "proto/reassembly.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STREAM_BYTES = 100000, BLOCKS = 64, ROUNDS = 400 };

static uint8_t stream[STREAM_BYTES];

/* What came out, each byte with whether it was there. */
struct seen {
	size_t at;
	uint64_t missing;
	bool here[STREAM_BYTES + 1];
	struct blocks blocks;
	uint8_t memory[BLOCKS * REASSEMBLY_BLOCK_BYTES] __attribute__((aligned(16)));
	struct reassembly r;
};

static void take(void *owner, const struct reassembly_run *run)
{
	struct seen *s = owner;

	assert_true(s->at + run->data.len + run->missing <= STREAM_BYTES);
	assert_true((run->data.len > 0) != (run->missing > 0));
	assert_int_equal(run->seq, s->r.base + (uint32_t)s->at);
	if (run->data.len > 0)
		assert_memory_equal(run->data.data, stream + s->at, run->data.len);
	for (size_t i = 0; i < run->data.len; i++)
		s->here[s->at + i] = true;
	s->at += run->data.len + run->missing;
	s->missing += run->missing;
}

static void begin(struct seen *s, uint32_t base)
{
	*s = (struct seen){0};
	blocks_init(&s->blocks, s->memory, REASSEMBLY_BLOCK_BYTES, BLOCKS);
	reassembly_begin(&s->r, base, true);
}

static enum reassembly_order put(struct seen *s, size_t at, size_t len, int64_t time_ns)
{
	struct reassembly_sink sink = {take, s};
	/* A copy of just that size, so that a sanitizer sees every step too far. */
	uint8_t *copy = malloc(len);
	struct reassembly_segment segment = {.seq = s->r.base + (uint32_t)at,
					     .data = bytes_of(copy, len),
					     .bytes = len,
					     .frame = 1,
					     .time_ns = time_ns};
	enum reassembly_order order;

	assert_non_null(copy);
	memcpy(copy, stream + at, len);
	order = reassembly_put(&s->r, &s->blocks, &segment, &sink);
	free(copy);
	return order;
}

static void flush(struct seen *s)
{
	struct reassembly_sink sink = {take, s};

	reassembly_flush(&s->r, &s->blocks, 9, 9, &sink);
	assert_int_equal(s->blocks.taken, 0);
	assert_null(s->r.first);
	assert_int_equal(s->r.waiting_bytes, 0);
	assert_int_equal(s->r.pieces, 0);
}

static void acknowledge(struct seen *s, size_t at, int64_t time_ns)
{
	struct reassembly_sink sink = {take, s};

	reassembly_acknowledge(&s->r, &s->blocks, s->r.base + (uint32_t)at, time_ns, &sink);
}

static void test_order(void **state)
{
	static struct seen s;

	begin(&s, UINT32_MAX - 150);
	assert_int_equal(put(&s, 0, 100, 0), REASSEMBLY_IN_ORDER);
	assert_int_equal(put(&s, 0, 100, 0), REASSEMBLY_AGAIN);
	assert_int_equal(put(&s, 200, 100, 0), REASSEMBLY_AHEAD);
	assert_int_equal(put(&s, 200, 100, 0), REASSEMBLY_AGAIN);
	assert_int_equal(s.at, 100);
	assert_int_equal(put(&s, 50, 150, 0), REASSEMBLY_IN_ORDER);
	assert_int_equal(s.at, 300);
	assert_int_equal(s.missing, 0);
	s.r.base += 1u << 30;
	assert_int_equal(put(&s, 400, 10, 0), REASSEMBLY_STRAY);
	s.r.base -= 1u << 30;
	flush(&s);
}

/* What was acknowledged and is missing is waited for, but not for long. */
static void test_patience(void **state)
{
	static struct seen s;

	begin(&s, 7);
	put(&s, 100, 100, 0);
	acknowledge(&s, 0, 1);
	assert_int_equal(s.at, 0);
	acknowledge(&s, 200, 1);
	assert_int_equal(s.at, 0); /* it may turn up within the moment */
	put(&s, 0, 100, 2);
	assert_int_equal(s.at, 200);
	assert_int_equal(s.missing, 0);

	put(&s, 300, 100, 3);
	acknowledge(&s, 400, 4);
	acknowledge(&s, 400, 4 + REASSEMBLY_PATIENCE_MS * 1000000);
	assert_int_equal(s.at, 400);
	assert_int_equal(s.missing, 100);

	acknowledge(&s, 500, 0);
	put(&s, 500, 100, 0); /* behind what was acknowledged: nothing comes any more */
	assert_int_equal(s.at, 600);
	assert_int_equal(s.missing, 200);

	acknowledge(&s, 90000, 0);
	for (size_t at = 700; at < 700 + REASSEMBLY_PATIENCE_BYTES; at += 1500) {
		assert_int_equal(s.at, 600);
		put(&s, at, 1500, 0);
	}
	assert_true(s.at > 600); /* too much waits */
	assert_int_equal(s.missing, 300);
	flush(&s);
}

/* More than there are blocks for is given up, not lost. */
static void test_blocks(void **state)
{
	static struct seen s;

	begin(&s, 7);
	for (size_t at = 700; at + 100 <= 700 + REASSEMBLY_PIECES && at < STREAM_BYTES; at += 100)
		put(&s, at, 100, 0); /* no more blocks than there are */
	assert_true(s.blocks.taken <= BLOCKS);
	flush(&s);
	assert_int_equal(s.missing, 700);
	assert_int_equal(s.at, 4700);
}

static void test_end(void **state)
{
	static struct seen s;

	begin(&s, UINT32_MAX);
	put(&s, 10, 10, 0);
	reassembly_finish(&s.r, s.r.base + 30);
	assert_false(s.r.ended);
	put(&s, 0, 10, 0);
	assert_false(s.r.ended);
	put(&s, 20, 10, 0);
	assert_true(s.r.ended);
	assert_int_equal(s.missing, 0);

	begin(&s, 5);
	put(&s, 0, 10, 0);
	reassembly_finish(&s.r, s.r.base + 30); /* its tail was not captured */
	flush(&s);
	assert_true(s.r.ended);
	assert_int_equal(s.missing, 20);

	begin(&s, 5);
	put(&s, 0, 10, 0);
	acknowledge(&s, 11, 0); /* of a FIN that was not captured */
	flush(&s);
	assert_int_equal(s.missing, 0);
}

static void test_cut(void **state)
{
	static struct seen s;
	struct reassembly_sink sink = {take, &s};
	struct reassembly_segment segment = {.seq = 100, .bytes = 50};

	begin(&s, 0);
	segment.data = bytes_of(stream + 100, 20);
	reassembly_put(&s.r, &s.blocks, &segment, &sink); /* ahead, and cut */
	put(&s, 0, 100, 0);
	assert_int_equal(s.at, 150);
	assert_int_equal(s.missing, 30);
	flush(&s);
}

/* Segments of any length at any place in any order; some bytes are never sent. What is handed on is
 * the stream, and missing is exactly what was never sent, as long as there are blocks. */
static void test_random(void **state)
{
	static struct seen s;
	static bool sent[STREAM_BYTES];

	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned seed = round;
		size_t size = 1 + (size_t)rand_r(&seed) % 3000, last = 0;
		size_t longest = 1 + (size_t)rand_r(&seed) % 500;
		bool enough = size / 8 < BLOCKS;

		begin(&s, (uint32_t)rand_r(&seed) * 3u);
		memset(sent, 0, sizeof(sent));
		for (unsigned i = 0; i < 60; i++) {
			size_t at = (size_t)rand_r(&seed) % size;
			size_t len = 1 + (size_t)rand_r(&seed) % longest;

			len = at + len > size ? size - at : len;
			if (put(&s, at, len, 0) != REASSEMBLY_AGAIN || enough)
				memset(sent + at, 1, len);
			last = at + len > last ? at + len : last;
		}
		flush(&s);
		if (s.at != last)
			print_error("seed %u\n", round);
		assert_int_equal(s.at, last);
		for (size_t i = 0; i < last && enough; i++)
			if (s.here[i] != sent[i])
				fail_msg("seed %u, byte %zu", round, i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),  cmocka_unit_test(test_patience),
		cmocka_unit_test(test_blocks), cmocka_unit_test(test_end),
		cmocka_unit_test(test_cut),    cmocka_unit_test(test_random),
	};

	for (size_t i = 0; i < STREAM_BYTES; i++)
		stream[i] = (uint8_t)(i * 2654435761u >> 24);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
