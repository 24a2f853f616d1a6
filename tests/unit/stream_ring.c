/* proto/stream_ring.c against a model: a list of everything that was ever put. */
#include "proto/stream_ring.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { LINES = 16, TEXT = 256, PUTS = 20000 };

/* Line N, whose length and bytes follow from its number. */
static struct bytes line_of(uint64_t number, uint64_t seed, uint8_t *buffer)
{
	uint64_t x = (number + seed) * 0x9e3779b97f4a7c15u;
	size_t len = 1 + (size_t)(x >> 32) % (number % 7 == 0 ? TEXT / 2 : 24);

	for (size_t i = 0; i < len; i++)
		buffer[i] = (uint8_t)(x + i * 7);
	return bytes_of(buffer, len);
}

static void holds_the_last(void **state)
{
	struct stream_line lines[LINES];
	uint8_t text[TEXT], expected[TEXT];
	struct stream_ring ring;
	uint64_t seed = (uint64_t)time(NULL);

	stream_ring_init(&ring, lines, LINES, text, sizeof text);
	for (uint64_t n = 1; n <= PUTS; n++) {
		uint64_t oldest;
		size_t held = 0;

		assert_int_equal(stream_ring_put(&ring, line_of(n, seed, expected)), n);
		assert_int_equal(ring.newest, n);
		oldest = stream_ring_oldest(&ring);
		assert_true(oldest >= 1 && oldest <= n && n - oldest < LINES);
		for (uint64_t k = oldest; k <= n; k++) {
			struct bytes line = stream_ring_line(&ring, k);

			held += line.len;
			if (!bytes_equal(line, line_of(k, seed, expected)))
				fail_msg("line %llu of %llu, seed %llu", (unsigned long long)k,
					 (unsigned long long)n, (unsigned long long)seed);
		}
		assert_true(held <= TEXT);
		/* It forgets no more than it must: what it holds and the line before it would not
		 * fit, or there are LINES; a gap at the end of the text is less than a line. */
		if (oldest > 1 && n - oldest + 1 < LINES)
			assert_true(held + line_of(oldest - 1, seed, expected).len + TEXT / 2 >
				    TEXT);
	}
}

static void empty_at_first(void **state)
{
	struct stream_line lines[LINES];
	uint8_t text[TEXT];
	struct stream_ring ring;

	stream_ring_init(&ring, lines, LINES, text, sizeof text);
	assert_int_equal(ring.newest, 0);
	assert_int_equal(stream_ring_oldest(&ring), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(holds_the_last),
		cmocka_unit_test(empty_at_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
