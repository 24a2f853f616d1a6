/* The pump over real sockets: what machines want is done, in order; what the kernel does not take
 * waits; a peer that does not read is not read from; half-close, files, messages, drain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/pump.h"

enum { TURNS = 20000, FILE_BYTES = 3000000, FLOOD_LINES = 5000, LONG_BODY = 5000 };

/* A machine whose verbs are each test's own. */
struct probe {
	uint64_t id;
	unsigned feeds, eofs, ticks, rooms, tells, closes;
	int why;
	uint8_t heard[LONG_BODY + 1];
	size_t heard_len;
	uint64_t tell_number;
	unsigned said;
};

static struct probe probe;
static struct loop *loop;
static struct pump_common *common;
static struct pump *pump;
static unsigned closed;
static int closed_why;
static int peer; /* our end of the socket pair */

static void count_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	closed++;
	closed_why = why;
}

static uint64_t hub_from, hub_kind;

static void hub_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct message answer = {.kind = message->kind + 1, .number = {7}, .body = message->body};

	hub_from = from;
	hub_kind = message->kind;
	pump_tell(common, from, &answer);
}

static const struct pump_owner calls = {.closed = count_closed, .told = hub_told};

static void begin(const struct machine *machine, const struct pump_limits *limits)
{
	struct pump_plan plan = {
		.machine = machine, .service = "probe", .level = EVENT_INFO, .owner_calls = &calls};
	struct address nobody = {.family = ADDRESS_UNIX};
	int fd[2];

	if (limits)
		plan.limits = *limits;
	probe = (struct probe){0};
	closed = 0;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(pump_common_create(&common, loop, 3), 0);
	assert_int_equal(pump_create(&pump, common, &plan), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	peer = fd[1];
	assert_true(pump_attach(pump, fd[0], &nobody, &nobody) > 1);
}

static void end(void)
{
	close(peer);
	pump_destroy(pump);
	pump_common_destroy(common);
	loop_destroy(loop);
}

/* Turns the loop until `*what` reaches `wanted`. */
static void turn_until(const unsigned *what, unsigned wanted)
{
	for (unsigned i = 0; i < TURNS && *what < wanted; i++)
		loop_turn(loop, 10);
	assert_true(*what >= wanted);
}

static void turn_all(void)
{
	for (unsigned i = 0; i < 20; i++)
		loop_turn(loop, 0);
}

static void say(const char *text)
{
	assert_int_equal(write(peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads exactly `len` bytes, turning the loop meanwhile. */
static void hear(uint8_t *into, size_t len)
{
	size_t have = 0;

	for (unsigned i = 0; i < TURNS && have < len; i++) {
		ssize_t n;

		loop_turn(loop, 0);
		n = read(peer, into + have, len - have);
		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		have += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(have, len);
}

static void hear_end(void)
{
	char byte;
	ssize_t n = -1;

	for (unsigned i = 0; i < TURNS && n < 0; i++) {
		loop_turn(loop, 10);
		n = read(peer, &byte, 1);
	}
	assert_int_equal(n, 0);
}

static void probe_open(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	probe.id = p->id;
	assert_int_equal(pump_id_loop(p->id), 3);
}

static void probe_close(void *m, int why)
{
	probe.closes++;
	probe.why = why;
}

static size_t echo_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	probe.feeds++;
	out_borrow(out, in);
	return in.len;
}

static const struct machine echo = {
	.name = "probe", .feed = echo_feed, .open = probe_open, .close = probe_close};

static void test_half_close_sends_the_rest(void **state)
{
	uint8_t got[5];

	begin(&echo, NULL);
	say("salut");
	shutdown(peer, SHUT_WR);
	hear(got, 5);
	assert_memory_equal(got, "salut", 5);
	hear_end();
	turn_until(&closed, 1);
	assert_int_equal(closed_why, 0);
	assert_int_equal(probe.closes, 1);
	end();
}

/* Nothing is read from a peer that does not read, and nothing of what was is lost. */
static void test_backpressure_is_bounded_and_exact(void **state)
{
	struct pump_limits limits = {.queue_bytes = 65536};
	size_t sent = 0, got = 0;
	uint8_t block[4096], back[4096];
	unsigned feeds;

	begin(&echo, &limits);
	for (unsigned idle = 0; idle < 5;) {
		ssize_t n;

		for (size_t i = 0; i < sizeof block; i++)
			block[i] = (uint8_t)((sent + i) % 251);
		n = write(peer, block, sizeof block);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		turn_all();
	}
	feeds = probe.feeds;
	turn_all();
	assert_int_equal(probe.feeds, feeds);
	while (got < sent) {
		ssize_t n = read(peer, back, sizeof back);

		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(back[i], (got + (size_t)i) % 251);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(loop, 0);
	}
	assert_int_equal(pump_counts(pump).bytes_out, sent);
	end();
}

/* Two bytes in, a 1000-byte answer out: more than `out` holds at once, for one read. */
static size_t flood_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	static const uint8_t answer[1000] = {'x'};
	size_t taken = 0;

	while (in.len - taken >= 2 && out_fits(out, 1, sizeof answer)) {
		out_copy(out, bytes_of(answer, sizeof answer));
		taken += 2;
	}
	probe.feeds++;
	return taken;
}

static const struct machine flood = {.name = "probe", .hold_bytes = 1, .feed = flood_feed};

static void test_input_waits_for_room(void **state)
{
	struct pump_limits limits = {.queue_bytes = 32768};
	uint8_t *got = malloc(FLOOD_LINES * 1000);
	char requests[2 * FLOOD_LINES + 1];

	begin(&flood, &limits);
	memset(requests, 'a', sizeof requests - 1);
	requests[sizeof requests - 1] = '\0';
	say(requests);
	shutdown(peer, SHUT_WR);
	hear(got, FLOOD_LINES * 1000);
	hear_end();
	free(got);
	end();
}

static size_t take_none(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return 0;
}

static const struct machine picky = {
	.name = "probe", .hold_bytes = 3, .feed = take_none, .close = probe_close};

static void test_more_than_it_may_hold_ends_it(void **state)
{
	begin(&picky, NULL);
	say("abc");
	turn_all();
	assert_int_equal(closed, 0);
	say("d");
	turn_until(&closed, 1);
	assert_int_equal(closed_why, ERR_TOO_LONG);
	end();
}

/* A file of three megabytes between two words. */
static int file_fd;

static void file_open(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	out_static(out, BYTES_LITERAL("before"));
	out_file(out, file_fd, 10, FILE_BYTES - 10);
	out_static(out, BYTES_LITERAL("after"));
	out_end(out);
}

static const struct machine filer = {.name = "probe", .open = file_open, .feed = echo_feed};

static FILE *make_file(void)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	for (unsigned i = 0; i < FILE_BYTES; i++)
		putc((int)(i % 253), file);
	fflush(file);
	file_fd = fileno(file);
	return file;
}

static void test_a_file_goes_out_between_words(void **state)
{
	FILE *file = make_file();
	uint8_t *got = malloc(FILE_BYTES + 1);

	begin(&filer, NULL);
	hear(got, FILE_BYTES + 1);
	assert_memory_equal(got, "before", 6);
	for (unsigned i = 10; i < FILE_BYTES; i++)
		assert_int_equal(got[6 + i - 10], i % 253);
	assert_memory_equal(got + FILE_BYTES - 4, "after", 5);
	hear_end();
	free(got);
	fclose(file);
	end();
}

static void test_a_file_that_shrank_ends_it(void **state)
{
	FILE *file = make_file();

	assert_int_equal(ftruncate(file_fd, 100), 0);
	begin(&filer, NULL);
	turn_until(&closed, 1);
	assert_int_not_equal(closed_why, 0);
	fclose(file);
	end();
}

/* Says a number a line for ever, as long as it is welcome. */
static void count_on(struct out *out)
{
	while (out_room(out) >= 8 && out_fits(out, 1, 8))
		out_printf(out, "%07u\n", probe.said++);
	out_more(out);
}

static void counter_open(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	count_on(out);
}

static void counter_room(void *m, struct out *out, const struct moment *now)
{
	probe.rooms++;
	count_on(out);
}

static const struct machine counter = {
	.name = "probe", .open = counter_open, .room = counter_room, .feed = take_none};

static void test_long_output_goes_on_in_room(void **state)
{
	static uint8_t got[8 * 200000];
	char line[16];

	begin(&counter, NULL);
	hear(got, sizeof got);
	for (unsigned i = 0; i < sizeof got / 8; i++) {
		snprintf(line, sizeof line, "%07u\n", i);
		assert_memory_equal(got + 8 * i, line, 8);
	}
	assert_true(probe.rooms > 0);
	end();
}

static void test_a_reader_that_stops_costs_a_bounded_queue(void **state)
{
	unsigned said;

	begin(&counter, NULL);
	turn_all();
	said = probe.said;
	turn_all();
	assert_int_equal(probe.said, said);
	assert_true((uint64_t)said * 8 < 2 << 20);
	end();
}

static void two_writes(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	out_static(out, BYTES_LITERAL("un"));
	out_flush(out);
	out_static(out, BYTES_LITERAL("deux"));
	out_static(out, BYTES_LITERAL("trois"));
	out_deadline(out, now->boot_ns + 5 * MOMENT_MS);
}

static void end_at_tick(void *m, struct out *out, const struct moment *now)
{
	probe.ticks++;
	out_end(out);
}

static const struct machine timed = {
	.name = "probe", .open = two_writes, .tick = end_at_tick, .feed = echo_feed};

static void test_a_deadline_ticks_once(void **state)
{
	uint8_t got[11];

	begin(&timed, NULL);
	hear(got, sizeof got);
	assert_memory_equal(got, "undeuxtrois", sizeof got);
	hear_end();
	assert_int_equal(probe.ticks, 1);
	end();
}

static void ask_hub(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	static uint8_t body[LONG_BODY];
	struct message message = {.kind = 4, .body = bytes_of(body, sizeof body)};

	memset(body, 'b', sizeof body);
	probe.id = p->id;
	out_tell(out, OUT_HUB, &message);
}

static void hear_hub(void *m, const struct message *message, struct out *out,
		     const struct moment *now)
{
	probe.tells++;
	probe.tell_number = message->number[0];
	probe.heard_len = message->body.len;
	memcpy(probe.heard, message->body.data, message->body.len);
	out_static(out, BYTES_LITERAL("told"));
}

static const struct machine asker = {
	.name = "probe", .open = ask_hub, .tell = hear_hub, .feed = echo_feed};

static void test_a_hub_answers_by_id(void **state)
{
	uint8_t got[4];

	begin(&asker, NULL);
	assert_int_equal(hub_kind, 4);
	assert_int_equal(hub_from, probe.id);
	assert_int_equal(probe.tells, 1);
	assert_int_equal(probe.tell_number, 7);
	assert_int_equal(probe.heard_len, LONG_BODY);
	assert_int_equal(probe.heard[LONG_BODY - 1], 'b');
	hear(got, 4);
	assert_memory_equal(got, "told", 4);
	end();
}

static void test_a_message_to_the_gone_is_dropped(void **state)
{
	struct message message = {.kind = 1};

	begin(&asker, NULL);
	pump_end(pump, probe.id, ERR_DRAINED, true);
	assert_int_equal(closed, 1);
	assert_true(pump_tell(common, probe.id, &message));
	pump_deliver(common);
	assert_int_equal(probe.tells, 1);
	end();
}

static void test_silence_ends_at_the_limits(void **state)
{
	struct pump_limits limits = {.idle_ms = 40, .first_byte_ms = 10};

	begin(&echo, &limits);
	turn_until(&closed, 1);
	assert_int_equal(closed_why, ERR_IDLE);
	end();
}

/* What comes meanwhile stays with the kernel, the peer's end too, and is read afterwards. */
static void test_on_hold_nothing_is_read(void **state)
{
	uint8_t got[6];

	begin(&echo, NULL);
	say("abc");
	hear(got, 3);
	pump_hold(common, probe.id, true);
	say("def");
	turn_all();
	assert_int_equal(probe.feeds, 1);
	shutdown(peer, SHUT_WR);
	turn_all();
	assert_int_equal(closed, 0);
	pump_hold(common, probe.id, false);
	hear(got, 3);
	assert_memory_equal(got, "def", 3);
	turn_until(&closed, 1);
	pump_hold(common, probe.id, true); /* of the gone: harmless */
	end();
}

static bool busy_now;

static bool is_busy(const void *m)
{
	return busy_now;
}

static const struct machine worker = {.name = "probe", .feed = echo_feed, .busy = is_busy};

static void test_a_drain_waits_for_the_unfinished(void **state)
{
	uint8_t got[1];

	begin(&worker, NULL);
	busy_now = true;
	pump_drain(pump, loop_now(loop)->boot_ns + 60 * MOMENT_S);
	assert_int_equal(closed, 0);
	say("x");
	hear(got, 1);
	assert_int_equal(closed, 0);
	busy_now = false;
	say("y");
	turn_until(&closed, 1);
	assert_int_equal(closed_why, ERR_DRAINED);
	end();
}

/* Between two words of a talk there may be nothing here and the next on its way. */
static void test_a_drain_lets_silence_grow(void **state)
{
	uint64_t since_ns;
	uint8_t got[1];

	begin(&worker, NULL);
	busy_now = false;
	since_ns = loop_now(loop)->boot_ns;
	say("x");
	hear(got, 1);
	pump_drain(pump, since_ns + 60 * MOMENT_S);
	turn_until(&closed, 1);
	assert_int_equal(closed_why, ERR_DRAINED);
	assert_true(loop_now(loop)->boot_ns - since_ns >= 200 * MOMENT_MS);
	end();
}

static void test_a_drain_ends(void **state)
{
	begin(&worker, NULL);
	busy_now = true;
	pump_drain(pump, loop_now(loop)->boot_ns + 5 * MOMENT_MS);
	turn_until(&closed, 1);
	end();
}

static void test_a_reset_is_told(void **state)
{
	struct linger now = {.l_onoff = 1};

	begin(&echo, NULL);
	setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(peer);
	turn_until(&closed, 1);
	assert_int_equal(probe.closes, 1);
	peer = dup(0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close_sends_the_rest),
		cmocka_unit_test(test_backpressure_is_bounded_and_exact),
		cmocka_unit_test(test_input_waits_for_room),
		cmocka_unit_test(test_more_than_it_may_hold_ends_it),
		cmocka_unit_test(test_a_file_goes_out_between_words),
		cmocka_unit_test(test_a_file_that_shrank_ends_it),
		cmocka_unit_test(test_long_output_goes_on_in_room),
		cmocka_unit_test(test_a_reader_that_stops_costs_a_bounded_queue),
		cmocka_unit_test(test_a_deadline_ticks_once),
		cmocka_unit_test(test_a_hub_answers_by_id),
		cmocka_unit_test(test_a_message_to_the_gone_is_dropped),
		cmocka_unit_test(test_silence_ends_at_the_limits),
		cmocka_unit_test(test_on_hold_nothing_is_read),
		cmocka_unit_test(test_a_drain_waits_for_the_unfinished),
		cmocka_unit_test(test_a_drain_lets_silence_grow),
		cmocka_unit_test(test_a_drain_ends),
		cmocka_unit_test(test_a_reset_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
