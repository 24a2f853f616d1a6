/* proto/stream_hub.c: pieces shared, pieces missed, notes, and readers that sleep. */
#include "proto/stream_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { LINES = 64, TEXT = 1 << 20, READERS = 8 };

struct world {
	struct stream_line line[LINES];
	uint8_t *text;
	struct stream_ring ring;
	struct stream_hub *hub;
	struct moment now;
};

static struct world world;

static void begin(enum stream_form form)
{
	struct stream_plan plan = {.form = form, .most = READERS, .mark = "m", .host = "h"};

	free(world.text);
	free(world.hub);
	world = (struct world){.text = malloc(TEXT)};
	stream_ring_init(&world.ring, world.line, LINES, world.text, TEXT);
	world.hub = stream_hub_init(calloc(1, stream_hub_bytes(&plan)), &plan);
}

static void put(const char *line)
{
	stream_ring_put(&world.ring, bytes_of_string(line));
}

static void put_many(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char line[32];

		snprintf(line, sizeof line, "{\"n\":%llu}",
			 (unsigned long long)world.ring.newest + 1);
		put(line);
	}
}

static bool next(uint64_t *to, struct bytes *piece)
{
	return stream_hub_next(world.hub, &world.ring, world.ring.newest, &world.now, to, piece);
}

static void expect(uint64_t id, const char *text)
{
	uint64_t to = 0;
	struct bytes piece = {0};

	assert_true(next(&to, &piece));
	assert_int_equal(to, id);
	assert_string_equal((const char *)piece.data, text);
	assert_int_equal(piece.len, strlen(text));
}

static void expect_nothing(void)
{
	uint64_t to;
	struct bytes piece;

	assert_false(next(&to, &piece));
}

static void join(uint64_t id, uint64_t read)
{
	assert_true(stream_hub_join(world.hub, id, read, false));
	stream_hub_ready(world.hub, id);
}

static void events_as_they_come(void **state)
{
	begin(STREAM_EVENTS);
	put("old");
	join(10, 1);
	expect_nothing();
	put("a");
	put("b");
	expect(10, "id: 2-m\ndata: a\n\nid: 3-m\ndata: b\n\n");
	expect_nothing();
	put("c");
	expect_nothing(); /* it is not ready */
	stream_hub_ready(world.hub, 10);
	expect(10, "id: 4-m\ndata: c\n\n");
	expect_nothing();
}

static void one_piece_for_all_at_one_place(void **state)
{
	struct bytes first, second;
	uint64_t to;

	begin(STREAM_LINES);
	join(10, 0);
	join(11, 0);
	join(12, 1);
	put("a");
	put("b");
	assert_true(next(&to, &first) && to == 10);
	assert_true(next(&to, &second) && to == 11);
	assert_ptr_equal(first.data, second.data);
	assert_int_equal(second.len, 4);
	expect(12, "b\n");
	expect_nothing();
}

static void not_ready_before_it_says_so(void **state)
{
	begin(STREAM_EVENTS);
	put("a");
	assert_true(stream_hub_join(world.hub, 10, 0, false));
	expect_nothing();
	stream_hub_ready(world.hub, 10);
	expect(10, "id: 1-m\ndata: a\n\n");
}

static void a_sleeper_finds_a_gap(void **state)
{
	char wanted[64];
	struct bytes piece;
	uint64_t to;

	begin(STREAM_EVENTS);
	join(10, 0);
	put_many(LINES + 10);
	assert_true(next(&to, &piece));
	snprintf(wanted, sizeof wanted, "event: gap\ndata: {\"from\":1,\"to\":10}\n\nid: 11-m\n");
	assert_memory_equal(piece.data, wanted, strlen(wanted));
	assert_int_equal(stream_hub_missed(world.hub), 10);
	expect_nothing();
}

static void a_gap_in_lines_is_an_event(void **state)
{
	struct bytes piece;
	uint64_t to;

	begin(STREAM_LINES);
	join(10, 0);
	put_many(LINES + 3);
	assert_true(next(&to, &piece));
	assert_non_null(strstr((const char *)piece.data,
			       "\"type\":\"gap\",\"host\":\"h\",\"service\":\"events\","
			       "\"dropped\":3,\"from\":1,\"to\":3}\n{\"n\":4}\n"));
}

static void what_was_read_is_unknown(void **state)
{
	begin(STREAM_EVENTS);
	put("a");
	assert_true(stream_hub_join(world.hub, 10, 0, true));
	stream_hub_ready(world.hub, 10);
	expect(10, "event: gap\ndata: {\"from\":0,\"to\":0}\n\nid: 1-m\ndata: a\n\n");
	expect_nothing();
	assert_int_equal(stream_hub_missed(world.hub), 0);
}

static void notes_once_and_only_the_newest(void **state)
{
	begin(STREAM_EVENTS);
	join(10, 0);
	join(11, 0);
	stream_hub_note(world.hub, 0, "status", BYTES_LITERAL("1"));
	expect(10, "event: status\ndata: 1\n\n");
	expect(11, "event: status\ndata: 1\n\n");
	expect_nothing();
	stream_hub_ready(world.hub, 10);
	expect_nothing();
	stream_hub_note(world.hub, 0, "status", BYTES_LITERAL("2"));
	stream_hub_note(world.hub, 1, "role", BYTES_LITERAL("r"));
	put("a");
	expect(10, "id: 1-m\ndata: a\n\nevent: status\ndata: 2\n\nevent: role\ndata: r\n\n");
	expect_nothing();
	stream_hub_note(world.hub, 0, "status", BYTES_LITERAL("3"));
	stream_hub_ready(world.hub, 11);
	expect(11, "id: 1-m\ndata: a\n\nevent: status\ndata: 3\n\nevent: role\ndata: r\n\n");
	join(12, 1); /* whoever comes gets the last of each */
	expect(12, "event: status\ndata: 3\n\nevent: role\ndata: r\n\n");
	stream_hub_forget_notes(world.hub);
	join(13, 1);
	expect_nothing();
	stream_hub_note(world.hub, 0, "status", BYTES_LITERAL("4"));
	expect(13, "event: status\ndata: 4\n\n");
	join(14, 0); /* at the same place as 15, who lacks no note */
	stream_hub_forget_notes(world.hub);
	join(15, 0);
	stream_hub_note(world.hub, 1, "role", BYTES_LITERAL("s"));
	join(16, 0);
	expect(14, "id: 1-m\ndata: a\n\nevent: role\ndata: s\n\n");
	expect(15, "id: 1-m\ndata: a\n\nevent: role\ndata: s\n\n");
	expect(16, "id: 1-m\ndata: a\n\nevent: role\ndata: s\n\n");
	expect_nothing();
}

static void one_with_a_note_and_one_without(void **state)
{
	begin(STREAM_EVENTS);
	put("a");
	join(10, 0);
	stream_hub_note(world.hub, 0, "status", BYTES_LITERAL("1"));
	expect(10, "id: 1-m\ndata: a\n\nevent: status\ndata: 1\n\n");
	expect_nothing();
	stream_hub_ready(world.hub, 10);
	join(11, 1);
	put("b");
	expect(10, "id: 2-m\ndata: b\n\n");
	expect(11, "id: 2-m\ndata: b\n\nevent: status\ndata: 1\n\n");
}

/* A status is due while the events, told up to 2, have moved on past what the ring holds. */
static void a_note_hides_no_gap(void **state)
{
	struct bytes piece;

	begin(STREAM_EVENTS);
	put_many(2);
	join(10, 2);
	put_many(LINES + 8);
	stream_hub_note(world.hub, 0, "status", BYTES_LITERAL("{}"));
	assert_true(stream_hub_next_of(world.hub, &world.ring, 2, &world.now, 10, &piece));
	assert_true(bytes_equal(piece, BYTES_LITERAL("event: status\ndata: {}\n\n")));
	stream_hub_ready(world.hub, 10);
	assert_true(stream_hub_next_of(world.hub, &world.ring, LINES + 10, &world.now, 10, &piece));
	assert_memory_equal(piece.data, "event: gap\ndata: {\"from\":3,\"to\":10}\n", 36);
	assert_int_equal(stream_hub_missed(world.hub), 8);
}

static void a_long_note_is_left_out(void **state)
{
	uint8_t *text = malloc(STREAM_NOTE_BYTES);

	begin(STREAM_EVENTS);
	join(10, 0);
	memset(text, 'x', STREAM_NOTE_BYTES);
	stream_hub_note(world.hub, 0, "status", bytes_of(text, STREAM_NOTE_BYTES));
	expect_nothing();
	free(text);
}

static void places_are_given_back(void **state)
{
	begin(STREAM_EVENTS);
	for (uint64_t i = 1; i <= READERS; i++)
		join(i, 0);
	assert_false(stream_hub_join(world.hub, 99, 0, false));
	assert_false(stream_hub_join(world.hub, 3, 0, false));
	assert_true(stream_hub_leave(world.hub, 3));
	assert_false(stream_hub_leave(world.hub, 3));
	assert_int_equal(stream_hub_readers(world.hub), READERS - 1);
	join(99, 0);
	assert_false(stream_hub_leave(world.hub, 0));
	put("a");
	for (unsigned i = 0; i < READERS; i++) {
		struct bytes piece;
		uint64_t to;

		assert_true(next(&to, &piece));
		assert_true(to != 3);
	}
	expect_nothing();
}

/* A random life: everybody gets every number in order, or a gap that names what is missing. */

struct model {
	uint64_t read;
	bool joined, ready;
};

static void check_piece(struct model *m, struct bytes piece, uint64_t seed)
{
	const char *at = (const char *)piece.data, *end = at + piece.len;
	unsigned long long from, to;

	while (at < end) {
		if (sscanf(at, "event: gap\ndata: {\"from\":%llu,\"to\":%llu}", &from, &to) == 2) {
			if (from != m->read + 1)
				fail_msg("a gap from %llu after %llu, seed %llu", from,
					 (unsigned long long)m->read, (unsigned long long)seed);
			m->read = to;
		} else if (sscanf(at, "id: %llu-m\ndata: {\"n\":%llu}", &from, &to) == 2) {
			if (from != to || from != m->read + 1)
				fail_msg("%llu after %llu, seed %llu", from,
					 (unsigned long long)m->read, (unsigned long long)seed);
			m->read = from;
		} else {
			fail_msg("neither: %s", at);
		}
		at = strstr(at, "\n\n") + 2;
	}
}

static void live(unsigned *random, struct model *model, uint64_t seed)
{
	unsigned id = 1 + (unsigned)rand_r(random) % READERS;
	struct model *m = &model[id];
	struct bytes piece;
	uint64_t to;

	switch (rand_r(random) % 6) {
	case 0:
		put_many((unsigned)rand_r(random) % (rand_r(random) % 8 ? 8 : 3 * LINES));
		break;
	case 1:
		if (!m->joined)
			*m = (struct model){.read = world.ring.newest, .joined = true};
		stream_hub_join(world.hub, id, m->read, false);
		break;
	case 2:
		if (rand_r(random) % 4 == 0 && stream_hub_leave(world.hub, id))
			m->joined = m->ready = false;
		break;
	case 3:
		m->ready = m->joined;
		stream_hub_ready(world.hub, id);
		break;
	case 4:
		if (stream_hub_next_of(world.hub, &world.ring, world.ring.newest, &world.now, id,
				       &piece)) {
			assert_true(m->ready);
			m->ready = false;
			check_piece(m, piece, seed);
		}
		break;
	default:
		while (next(&to, &piece)) {
			assert_true(model[to].joined && model[to].ready);
			model[to].ready = false;
			check_piece(&model[to], piece, seed);
			assert_int_equal(model[to].read, world.ring.newest);
		}
		for (unsigned i = 1; i <= READERS; i++)
			if (model[i].ready)
				assert_int_equal(model[i].read, world.ring.newest);
	}
}

static void everybody_gets_everything_or_is_told(void **state)
{
	struct model model[READERS + 1] = {0};
	uint64_t seed = (uint64_t)time(NULL);
	unsigned random = (unsigned)seed;

	begin(STREAM_EVENTS);
	for (unsigned i = 0; i < 100000; i++)
		live(&random, model, seed);
}

/* Pieces are bounded, and what is left comes with the next. */
static void long_lines_fill_several_pieces(void **state)
{
	struct bytes piece;
	uint64_t to;
	uint64_t seen = 0;
	char *line = malloc(16001);

	begin(STREAM_EVENTS);
	join(10, 0);
	memset(line, 'x', 16000);
	line[16000] = '\0';
	for (unsigned i = 0; i < 20; i++)
		put(line);
	while (next(&to, &piece)) {
		assert_true(piece.len <= STREAM_PIECE_BYTES);
		seen += piece.len / 16000;
		stream_hub_ready(world.hub, 10);
		while (stream_hub_next_of(world.hub, &world.ring, world.ring.newest, &world.now, 10,
					  &piece)) {
			assert_true(piece.len <= STREAM_PIECE_BYTES);
			seen += piece.len / 16000;
			stream_hub_ready(world.hub, 10);
		}
	}
	assert_int_equal(seen, 20);
	free(line);
}

static int end(void **state)
{
	free(world.text);
	free(world.hub);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(events_as_they_come),
		cmocka_unit_test(one_piece_for_all_at_one_place),
		cmocka_unit_test(not_ready_before_it_says_so),
		cmocka_unit_test(a_sleeper_finds_a_gap),
		cmocka_unit_test(a_gap_in_lines_is_an_event),
		cmocka_unit_test(what_was_read_is_unknown),
		cmocka_unit_test(notes_once_and_only_the_newest),
		cmocka_unit_test(one_with_a_note_and_one_without),
		cmocka_unit_test(a_note_hides_no_gap),
		cmocka_unit_test(a_long_note_is_left_out),
		cmocka_unit_test(places_are_given_back),
		cmocka_unit_test(everybody_gets_everything_or_is_told),
		cmocka_unit_test(long_lines_fill_several_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
