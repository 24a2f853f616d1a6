/* The pump over real sockets: what machines want is done, in order; what the kernel does not take
 * waits; a peer that does not read is not read from; half-close, files, messages, drain. */
#include "pump_probe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FILE_BYTES = 3000000, FLOOD_LINES = 5000, LONG_BODY = PROBE_BYTES };

static int file_fd; /* what out_file sends */

static void test_half_close_sends_the_rest(void **state)
{
	uint8_t got[5];

	probe_begin(&probe_echo, NULL);
	probe_say("salut");
	shutdown(probe.peer, SHUT_WR);
	probe_hear(got, 5);
	assert_memory_equal(got, "salut", 5);
	probe_hear_end();
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, 0);
	assert_int_equal(probe.closes, 1);
	probe_end();
}

/* Nothing is read from a peer that does not read, and nothing of what was is lost. */
static void test_backpressure_is_bounded_and_exact(void **state)
{
	struct pump_limits limits = {.queue_bytes = 65536};
	size_t sent = 0, got = 0;
	uint8_t block[4096], back[4096];
	unsigned feeds;

	probe_begin(&probe_echo, &limits);
	for (unsigned idle = 0; idle < 5;) {
		ssize_t n;

		for (size_t i = 0; i < sizeof block; i++)
			block[i] = (uint8_t)((sent + i) % 251);
		n = write(probe.peer, block, sizeof block);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		probe_turn_all();
	}
	feeds = probe.feeds;
	probe_turn_all();
	assert_int_equal(probe.feeds, feeds);
	while (got < sent) {
		ssize_t n = read(probe.peer, back, sizeof back);

		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(back[i], (got + (size_t)i) % 251);
		got += n > 0 ? (size_t)n : 0;
		loop_turn(probe.loop, 0);
	}
	assert_int_equal(pump_counts(probe.pump).bytes_out, sent);
	probe_end();
}

/* The kernel takes part of an answer: the rest follows, once. */
static void test_what_the_kernel_takes_in_part_comes_whole(void **state)
{
	static char said[LONG_BODY + 1];
	uint8_t got[LONG_BODY];
	int least = 1;

	probe_begin(&probe_echo, NULL);
	setsockopt(probe.near, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
	for (unsigned i = 0; i < LONG_BODY; i++)
		said[i] = (char)('a' + i % 23);
	probe_say(said);
	loop_turn(probe.loop, 0);
	assert_true(pump_counts(probe.pump).bytes_out > 0);
	assert_true(pump_counts(probe.pump).bytes_out < LONG_BODY);
	probe_hear(got, LONG_BODY);
	assert_memory_equal(got, said, LONG_BODY);
	probe_end();
}

/* What a machine may want besides one run of bytes, at a feed that takes all. */
static enum besides {
	NOTHING,
	A_TELL,
	AN_EVENT,
	A_DEADLINE,
	ROOM,
	A_REFUSAL,
	AN_ABORT,
	ANOTHER_RUN,
	A_FILE_ALONE,
	NOT_EVEN_THAT,
} besides;

static size_t besides_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct message message = {.kind = 1};

	probe.feeds++;
	if (besides < A_FILE_ALONE)
		out_borrow(out, in);
	if (besides == A_TELL)
		out_tell(out, OUT_HUB, &message);
	else if (besides == AN_EVENT)
		out_event(out, now, EVENT_INFO, "probe.event");
	else if (besides == A_DEADLINE)
		out_deadline(out, now->boot_ns);
	else if (besides == ROOM)
		out_more(out);
	else if (besides == A_REFUSAL)
		out_fits(out, OUT_SEGMENTS + 1, 0);
	else if (besides == AN_ABORT)
		out_abort(out, ERR_PROTOCOL);
	else if (besides == ANOTHER_RUN)
		out_static(out, bytes_of_string("!"));
	else if (besides == A_FILE_ALONE)
		out_file(out, file_fd, 0, 1);
	return in.len;
}

static void besides_tell(void *m, const struct message *message, struct out *out,
			 const struct moment *now)
{
	probe.tells++;
}

static void besides_tick(void *m, struct out *out, const struct moment *now)
{
	probe.ticks++;
}

static void besides_room(void *m, struct out *out, const struct moment *now)
{
	probe.rooms++;
}

static const struct machine besides_machine = {
	.name = "probe",
	.feed = besides_feed,
	.tell = besides_tell,
	.tick = besides_tick,
	.room = besides_room,
};

static void test_what_is_wanted_besides_an_answer_is_done(void **state)
{
	static const struct {
		enum besides besides;
		unsigned *counted; /* becomes 1 */
		const char *heard;
	} rows[] = {
		{A_TELL, &probe.tells, "x"},       {AN_EVENT, &probe.events, "x"},
		{A_DEADLINE, &probe.ticks, "x"},   {ROOM, &probe.rooms, "x"},
		{A_REFUSAL, &probe.rooms, "x"},    {AN_ABORT, &probe.closed, "x"},
		{ANOTHER_RUN, &probe.feeds, "x!"}, {A_FILE_ALONE, &probe.feeds, "f"},
		{NOT_EVEN_THAT, &probe.feeds, ""},
	};

	file_fd = memfd_create("file", 0);
	assert_int_equal(write(file_fd, "f", 1), 1);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint8_t got[2];

		probe_begin(&besides_machine, NULL);
		besides = NOTHING;
		probe_say("a");
		probe_hear(got, 1);
		probe.feeds = 0;
		besides = rows[i].besides;
		probe_say("x");
		probe_turn_until(rows[i].counted, 1);
		probe_turn_all();
		assert_int_equal(*rows[i].counted, 1);
		probe_hear(got, strlen(rows[i].heard));
		assert_memory_equal(got, rows[i].heard, strlen(rows[i].heard));
		assert_int_equal(pump_counts(probe.pump).bytes_out, 1 + strlen(rows[i].heard));
		assert_int_equal(probe.closed_why, rows[i].besides == AN_ABORT ? ERR_PROTOCOL : 0);
		probe_end();
	}
	close(file_fd);
}

static size_t end_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	out_end(out);
	return probe_echo_feed(m, in, out, now);
}

static const struct machine once = {.name = "probe", .feed = end_feed};

static void test_after_its_end_a_machine_is_fed_no_more(void **state)
{
	uint8_t got[3];

	probe_begin(&once, NULL);
	probe_say("abc");
	probe_hear(got, 3);
	probe_hear_end();
	probe_say("def");
	probe_turn_all();
	assert_int_equal(probe.feeds, 1);
	assert_int_equal(pump_counts(probe.pump).bytes_in, 6);
	probe_end();
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

	probe_begin(&flood, &limits);
	memset(requests, 'a', sizeof requests - 1);
	requests[sizeof requests - 1] = '\0';
	probe_say(requests);
	shutdown(probe.peer, SHUT_WR);
	probe_hear(got, FLOOD_LINES * 1000);
	probe_hear_end();
	free(got);
	probe_end();
}

/* Answers pairs, and leaves what is none yet. */
static size_t pairs_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	size_t taken = in.len - in.len % 2;

	out_borrow(out, bytes_first(in, taken));
	return taken;
}

static const struct machine pairs = {.name = "probe", .hold_bytes = 1, .feed = pairs_feed};

static void test_what_is_left_stands_before_what_comes(void **state)
{
	uint8_t got[4];

	probe_begin(&pairs, NULL);
	probe_say("abc");
	probe_hear(got, 2);
	probe_say("d");
	probe_hear(got + 2, 2);
	assert_memory_equal(got, "abcd", 4);
	probe_end();
}

static size_t take_none(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return 0;
}

static const struct machine picky = {
	.name = "probe", .hold_bytes = 3, .feed = take_none, .close = probe_close};

static void test_more_than_it_may_hold_ends_it(void **state)
{
	probe_begin(&picky, NULL);
	probe_say("abc");
	probe_turn_all();
	assert_int_equal(probe.closed, 0);
	probe_say("d");
	probe_turn_until(&probe.closed, 1);
	assert_int_equal(probe.closed_why, ERR_TOO_LONG);
	probe_end();
}

/* A file of three megabytes between two words. */
static void file_open(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	out_static(out, BYTES_LITERAL("before"));
	out_file(out, file_fd, 10, FILE_BYTES - 10);
	out_static(out, BYTES_LITERAL("after"));
	out_end(out);
}

static const struct machine filer = {.name = "probe", .open = file_open, .feed = probe_echo_feed};

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

	probe_begin(&filer, NULL);
	probe_hear(got, FILE_BYTES + 1);
	assert_memory_equal(got, "before", 6);
	for (unsigned i = 10; i < FILE_BYTES; i++)
		assert_int_equal(got[6 + i - 10], i % 253);
	assert_memory_equal(got + FILE_BYTES - 4, "after", 5);
	probe_hear_end();
	free(got);
	fclose(file);
	probe_end();
}

static void test_a_file_that_shrank_ends_it(void **state)
{
	FILE *file = make_file();

	assert_int_equal(ftruncate(file_fd, 100), 0);
	probe_begin(&filer, NULL);
	probe_turn_until(&probe.closed, 1);
	assert_int_not_equal(probe.closed_why, 0);
	fclose(file);
	probe_end();
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

	probe_begin(&counter, NULL);
	probe_hear(got, sizeof got);
	for (unsigned i = 0; i < sizeof got / 8; i++) {
		snprintf(line, sizeof line, "%07u\n", i);
		assert_memory_equal(got + 8 * i, line, 8);
	}
	assert_true(probe.rooms > 0);
	probe_end();
}

static void test_a_reader_that_stops_costs_a_bounded_queue(void **state)
{
	unsigned said;

	probe_begin(&counter, NULL);
	probe_turn_all();
	said = probe.said;
	probe_turn_all();
	assert_int_equal(probe.said, said);
	assert_true((uint64_t)said * 8 < 2 << 20);
	probe_end();
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
	.name = "probe", .open = two_writes, .tick = end_at_tick, .feed = probe_echo_feed};

static void test_a_deadline_ticks_once(void **state)
{
	uint8_t got[11];

	probe_begin(&timed, NULL);
	probe_hear(got, sizeof got);
	assert_memory_equal(got, "undeuxtrois", sizeof got);
	probe_hear_end();
	assert_int_equal(probe.ticks, 1);
	probe_end();
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
	.name = "probe", .open = ask_hub, .tell = hear_hub, .feed = probe_echo_feed};

static void test_a_hub_answers_by_id(void **state)
{
	uint8_t got[4];

	probe_begin(&asker, NULL);
	assert_int_equal(probe.hub_kind, 4);
	assert_int_equal(probe.hub_from, probe.id);
	assert_int_equal(probe.tells, 1);
	assert_int_equal(probe.tell_number, 7);
	assert_int_equal(probe.heard_len, LONG_BODY);
	assert_int_equal(probe.heard[LONG_BODY - 1], 'b');
	probe_hear(got, 4);
	assert_memory_equal(got, "told", 4);
	probe_end();
}

static void test_a_message_to_the_gone_is_dropped(void **state)
{
	struct message message = {.kind = 1};

	probe_begin(&asker, NULL);
	pump_end(probe.pump, probe.id, ERR_DRAINED, true);
	assert_int_equal(probe.closed, 1);
	assert_true(pump_tell(probe.common, probe.id, &message));
	pump_deliver(probe.common);
	assert_int_equal(probe.tells, 1);
	probe_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_close_sends_the_rest),
		cmocka_unit_test(test_backpressure_is_bounded_and_exact),
		cmocka_unit_test(test_what_the_kernel_takes_in_part_comes_whole),
		cmocka_unit_test(test_what_is_wanted_besides_an_answer_is_done),
		cmocka_unit_test(test_after_its_end_a_machine_is_fed_no_more),
		cmocka_unit_test(test_input_waits_for_room),
		cmocka_unit_test(test_what_is_left_stands_before_what_comes),
		cmocka_unit_test(test_more_than_it_may_hold_ends_it),
		cmocka_unit_test(test_a_file_goes_out_between_words),
		cmocka_unit_test(test_a_file_that_shrank_ends_it),
		cmocka_unit_test(test_long_output_goes_on_in_room),
		cmocka_unit_test(test_a_reader_that_stops_costs_a_bounded_queue),
		cmocka_unit_test(test_a_deadline_ticks_once),
		cmocka_unit_test(test_a_hub_answers_by_id),
		cmocka_unit_test(test_a_message_to_the_gone_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
