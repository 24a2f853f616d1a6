/* The driver of tests (driver.h) keeps a holder's rules, and says so when a machine breaks its own:
 * small machines that each do one thing right or wrong. */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct driver driver;

static int teardown(void **state)
{
	driver_end(&driver);
	return 0;
}

static void assert_output(const char *text)
{
	assert_int_equal(driver.output.len, strlen(text));
	assert_memory_equal(driver.output.data, text, strlen(text));
}

/* Takes lines whole, waits for the rest of one. */
static size_t feed_lines(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	size_t taken = 0, len;

	while ((len = bytes_find_byte(bytes_after(in, taken), '\n')) < in.len - taken) {
		out_copy(out, bytes_first(bytes_after(in, taken), len + 1));
		out_flush(out);
		taken += len + 1;
	}
	return taken;
}

static void offers_again_what_was_not_taken(void **state)
{
	static const struct machine lines = {.feed = feed_lines, .hold_bytes = 4};

	driver_init(&driver, &lines);
	driver_open(&driver);
	driver_feed(&driver, BYTES_LITERAL("ab"));
	driver_feed(&driver, BYTES_LITERAL("cd"));
	assert_output("");
	driver_feed(&driver, BYTES_LITERAL("\ne\nf"));
	assert_output("abcd\ne\n");
	assert_true(driver_write_began(&driver, 5));
	assert_false(driver_write_began(&driver, 3));
	assert_null(driver.fault);
}

static void ends_what_holds_too_much(void **state)
{
	static const struct machine lines = {.feed = feed_lines, .hold_bytes = 4};

	driver_init(&driver, &lines);
	driver_open(&driver);
	driver_feed(&driver, BYTES_LITERAL("abcde"));
	assert_true(driver.ended);
	assert_int_equal(driver.why, ERR_TOO_LONG);
	driver_feed(&driver, BYTES_LITERAL("\n"));
	assert_output("");
}

/* Says each byte in a segment of its own, stops when the out is full, counts calls of room. */
static size_t feed_apart(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	size_t taken = 0;

	while (taken < in.len && out_fits(out, 2, 0)) {
		out_borrow(out, bytes_first(bytes_after(in, taken++), 1));
		out_flush(out);
	}
	return taken;
}

static void room_count(void *m, struct out *out, const struct moment *now)
{
	++*(unsigned *)m;
}

static void drains_a_tight_out_before_it_feeds_the_rest(void **state)
{
	static const struct machine apart = {
		.state_bytes = sizeof(unsigned), .feed = feed_apart, .room = room_count};
	uint8_t in[2 * OUT_SEGMENTS];

	memset(in, 'x', sizeof in);
	driver_init(&driver, &apart);
	driver_open(&driver);
	driver_feed(&driver, bytes_of(in, sizeof in));
	assert_int_equal(driver.output.len, sizeof in);
	assert_int_equal(*(unsigned *)driver.state, 3);
	assert_null(driver.fault);
	assert_false(driver.ended);
}

static size_t feed_too_much(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return in.len + 1;
}

static void finds_what_takes_more_than_it_got(void **state)
{
	static const struct machine greedy = {.feed = feed_too_much};

	driver_init(&driver, &greedy);
	driver_open(&driver);
	driver_feed(&driver, BYTES_LITERAL("x"));
	assert_non_null(driver.fault);
}

static size_t feed_nothing(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	out_fits(out, OUT_SEGMENTS + 1, 0);
	return 0;
}

static void finds_what_is_tight_for_ever(void **state)
{
	static const struct machine stuck = {.feed = feed_nothing, .hold_bytes = 100};

	driver_init(&driver, &stuck);
	driver_open(&driver);
	driver_feed(&driver, BYTES_LITERAL("x"));
	assert_non_null(driver.fault);
}

static size_t feed_flood(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	static const uint8_t flood[1 << 20];

	out_static(out, bytes_of(flood, sizeof flood));
	return in.len;
}

static void finds_what_says_too_much_at_once(void **state)
{
	static const struct machine loud = {.feed = feed_flood};

	driver_init(&driver, &loud);
	driver_open(&driver);
	driver_feed(&driver, BYTES_LITERAL("x"));
	assert_non_null(driver.fault);
}

static void tick_again(void *m, struct out *out, const struct moment *now)
{
	out_printf(out, "%llu ", (unsigned long long)(now->boot_ns / MOMENT_S));
	out_deadline(out, now->boot_ns + MOMENT_S);
}

static void open_later(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	out_deadline(out, now->boot_ns + MOMENT_S);
}

static void stops_at_each_deadline(void **state)
{
	static const struct machine clock = {.open = open_later, .tick = tick_again};

	driver_init(&driver, &clock);
	driver_open(&driver);
	driver_advance(&driver, MOMENT_S - 1);
	assert_output("");
	driver_advance(&driver, 2 * MOMENT_S + 1);
	assert_output("1001 1002 1003 ");
	assert_int_equal(driver.now.wall_us, 1767225603000000);
}

static void tick_never_later(void *m, struct out *out, const struct moment *now)
{
	out_deadline(out, now->boot_ns);
}

static void finds_deadlines_without_end(void **state)
{
	static const struct machine restless = {.open = open_later, .tick = tick_never_later};

	driver_init(&driver, &restless);
	driver_open(&driver);
	driver_advance(&driver, MOMENT_S);
	assert_non_null(driver.fault);
}

static void feeds_chunks_of_no_more_than_a_read(void **state)
{
	static const struct machine chunks = {.chunk = true, .feed = feed_lines};
	uint8_t in[MACHINE_CHUNK_BYTES + 1];

	memset(in, '\n', sizeof in);
	driver_init(&driver, &chunks);
	driver_open(&driver);
	driver_feed(&driver, bytes_of(in, sizeof in));
	/* The first read fills the out with lines and flushes; the second brings one line more. */
	assert_int_equal(driver.output.len, OUT_SEGMENTS / 2 + 1);
}

static void datagram_parts(void *m, const struct peer *from, struct bytes in, struct out *out,
			   const struct moment *now)
{
	out_copy(out, in);
	out_copy(out, BYTES_LITERAL("!"));
	out_flush(out);
	out_empty(out);
	out_flush(out);
	out_copy(out, in);
}

static void a_run_of_bytes_is_a_datagram(void **state)
{
	static const struct machine parts = {.datagram = datagram_parts};

	driver_init(&driver, &parts);
	driver_datagram(&driver, BYTES_LITERAL("ab"));
	assert_int_equal(driver.datagrams, 3);
	assert_true(bytes_equal(driver.datagram[0], BYTES_LITERAL("ab!")));
	assert_int_equal(driver.datagram[1].len, 0);
	assert_true(bytes_equal(driver.datagram[2], BYTES_LITERAL("ab")));
}

static void an_end_without_eof_is_ours(void **state)
{
	static const struct machine none = {0};

	driver_init(&driver, &none);
	driver_open(&driver);
	driver_feed(&driver, BYTES_LITERAL("ignored"));
	assert_false(driver.ended);
	driver_eof(&driver);
	assert_true(driver.ended);
	assert_int_equal(driver.why, 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(offers_again_what_was_not_taken),
		TEST(ends_what_holds_too_much),
		TEST(drains_a_tight_out_before_it_feeds_the_rest),
		TEST(finds_what_takes_more_than_it_got),
		TEST(finds_what_is_tight_for_ever),
		TEST(finds_what_says_too_much_at_once),
		TEST(stops_at_each_deadline),
		TEST(finds_deadlines_without_end),
		TEST(feeds_chunks_of_no_more_than_a_read),
		TEST(a_run_of_bytes_is_a_datagram),
		TEST(an_end_without_eof_is_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
