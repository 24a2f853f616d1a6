/* How long a pump's connection lasts: silence and its limits, what is on hold, a service that
 * stops, a reset. */
#include "pump_probe.h"

#include <sys/socket.h>
#include <unistd.h>

static void test_silence_ends_at_the_limits(void **state)
{
	struct pump_limits limits = {.idle_ms = 40, .first_byte_ms = 10};

	probe_begin(&probe_echo, &limits);
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, ERR_IDLE);
	probe_end();
}

static size_t mute_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	probe.feeds++;
	return in.len;
}

static const struct machine mute = {.name = "probe", .feed = mute_feed};

/* However late this test itself is: the limit counts from the last byte. */
static void test_what_is_heard_breaks_the_silence(void **state)
{
	struct pump_limits limits = {.idle_ms = 40};
	uint64_t said_ns = 0;

	probe_begin(&mute, &limits);
	for (unsigned i = 0; i < 20 && !probe.closed; i++) {
		loop_refresh(probe.loop);
		said_ns = loop_now(probe.loop)->boot_ns;
		probe_say("x");
		loop_turn(probe.loop, 0); /* hears it */
		loop_turn(probe.loop, 5); /* hears nothing */
	}
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, ERR_IDLE);
	assert_true(loop_now(probe.loop)->boot_ns - said_ns >= 40 * MOMENT_MS);
	probe_end();
}

/* What comes meanwhile stays with the kernel, the peer's end too, and is read afterwards. */
static void test_on_hold_nothing_is_read(void **state)
{
	uint8_t got[6];

	probe_begin(&probe_echo, NULL);
	probe_say("abc");
	probe_hear(got, 3);
	pump_hold(probe.common, probe.id, true);
	probe_say("def");
	probe_turn_all();
	assert_int_equal(probe.feeds, 1);
	shutdown(probe.peer, SHUT_WR);
	probe_turn_all();
	assert_int_equal(probe.closed, 0);
	pump_hold(probe.common, probe.id, false);
	probe_hear(got, 3);
	assert_memory_equal(got, "def", 3);
	probe_turn_until(&probe.closed, 1);
	pump_hold(probe.common, probe.id, true); /* of the gone: harmless */
	probe_end();
}

/* Puts the connection that was attached last on hold. */
static size_t hold_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	pump_hold(probe.common, probe.id, true);
	return mute_feed(m, in, out, now);
}

static const struct machine holder = {.name = "probe", .feed = hold_feed, .open = probe_open};

/* The kernel has told of both when the first of them puts the other on hold. */
static void test_on_hold_what_was_told_of_before_waits_too(void **state)
{
	struct address nobody = {.family = ADDRESS_UNIX};
	int fd[2];

	probe_begin(&holder, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	assert_true(pump_attach(probe.pump, fd[0], &nobody, &nobody) > 1);
	probe_say("x");
	assert_int_equal(write(fd[1], "y", 1), 1);
	probe_turn_all();
	assert_int_equal(probe.feeds, 1);
	pump_hold(probe.common, probe.id, false);
	probe_turn_until(&probe.feeds, 2);
	close(fd[1]);
	probe_end();
}

static bool busy_now;

static bool is_busy(const void *m)
{
	return busy_now;
}

static const struct machine worker = {.name = "probe", .feed = probe_echo_feed, .busy = is_busy};

static void test_a_drain_waits_for_the_unfinished(void **state)
{
	uint8_t got[1];

	probe_begin(&worker, NULL);
	busy_now = true;
	pump_drain(probe.pump, loop_now(probe.loop)->boot_ns + 60 * MOMENT_S);
	assert_int_equal(probe.closed, 0);
	probe_say("x");
	probe_hear(got, 1);
	assert_int_equal(probe.closed, 0);
	busy_now = false;
	probe_say("y");
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, ERR_DRAINED);
	probe_end();
}

/* Between two words of a talk there may be nothing here and the next on its way. */
static void test_a_drain_lets_silence_grow(void **state)
{
	uint64_t since_ns;
	uint8_t got[1];

	probe_begin(&worker, NULL);
	busy_now = false;
	since_ns = loop_now(probe.loop)->boot_ns;
	probe_say("x");
	probe_hear(got, 1);
	pump_drain(probe.pump, since_ns + 60 * MOMENT_S);
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, ERR_DRAINED);
	assert_true(loop_now(probe.loop)->boot_ns - since_ns >= 200 * MOMENT_MS);
	probe_end();
}

static void test_a_drain_ends(void **state)
{
	probe_begin(&worker, NULL);
	busy_now = true;
	pump_drain(probe.pump, loop_now(probe.loop)->boot_ns + 5 * MOMENT_MS);
	probe_turn_until(&probe.closed, 1);
	probe_end();
}

/* Who leaves what was sent to him unread resets. */
static void test_a_reset_is_told(void **state)
{
	probe_begin(&probe_echo, NULL);
	probe_say("x");
	probe_turn_all();
	close(probe.peer);
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, ERR_RESET);
	assert_int_equal(probe.why, ERR_RESET);
	probe.peer = dup(0);
	probe_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silence_ends_at_the_limits),
		cmocka_unit_test(test_what_is_heard_breaks_the_silence),
		cmocka_unit_test(test_on_hold_nothing_is_read),
		cmocka_unit_test(test_on_hold_what_was_told_of_before_waits_too),
		cmocka_unit_test(test_a_drain_waits_for_the_unfinished),
		cmocka_unit_test(test_a_drain_lets_silence_grow),
		cmocka_unit_test(test_a_drain_ends),
		cmocka_unit_test(test_a_reset_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
