/* Effects: gathered, joined, refused whole. */
#include "proto/out.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct out *fresh(size_t room)
{
	static struct out out;

	memset(&out, 0xa5, sizeof(out)); /* out_reset must not rely on anything */
	out_reset(&out, room);
	return &out;
}

static struct bytes segment_bytes(const struct out *out, unsigned i)
{
	assert_true(i < out->segments);
	assert_int_equal(out->segment[i].kind, OUT_BYTES);
	return bytes_of(out->segment[i].data, out->segment[i].len);
}

static void empty_after_reset(void **state)
{
	struct out *out = fresh(5);

	assert_int_equal(out->segments + out->tells + out->events + out->copied, 0);
	assert_false(out->tight || out->end || out->deadline_set);
	assert_int_equal(out->abort_why, 0);
	assert_int_equal(out_room(out), 5);
}

static void static_and_borrowed(void **state)
{
	struct out *out = fresh(100);
	struct bytes b = BYTES_LITERAL("hello");

	assert_true(out_static(out, b));
	assert_true(out_borrow(out, bytes_first(b, 2)));
	assert_int_equal(out->segments, 2);
	assert_ptr_equal(out->segment[0].data, b.data);
	assert_int_equal(out->segment[1].len, 2);
	assert_int_equal(out_room(out), 93);
	assert_true(out_static(out, bytes_of(NULL, 0)));
	assert_int_equal(out->segments, 2);
}

static void copies_join(void **state)
{
	struct out *out = fresh(100);
	char line[] = "abc";

	assert_true(out_copy(out, bytes_of_string(line)));
	line[0] = 'x';
	assert_true(out_printf(out, "%d\n", 42));
	assert_true(out_copy(out, bytes_of(NULL, 0)));
	assert_int_equal(out->segments, 1);
	assert_true(bytes_equal(segment_bytes(out, 0), BYTES_LITERAL("abc42\n")));
	assert_int_equal(out_room(out), 94);
}

static void flush_keeps_copies_apart(void **state)
{
	struct out *out = fresh(100);

	out_printf(out, "a");
	out_flush(out);
	out_printf(out, "b");
	out_static(out, BYTES_LITERAL("c"));
	out_printf(out, "d");
	assert_int_equal(out->segments, 5);
	assert_int_equal(out->segment[1].kind, OUT_FLUSH);
	assert_true(bytes_equal(segment_bytes(out, 2), BYTES_LITERAL("b")));
	assert_true(bytes_equal(segment_bytes(out, 4), BYTES_LITERAL("d")));
}

static void empty_datagram(void **state)
{
	struct out *out = fresh(100);

	assert_true(out_empty(out));
	assert_true(out_printf(out, "x"));
	assert_int_equal(out->segments, 2);
	assert_int_equal(segment_bytes(out, 0).len, 0);
	assert_non_null(out->segment[0].data);
}

static void segments_run_out(void **state)
{
	struct out *out = fresh(1000);

	for (unsigned i = 0; i < OUT_SEGMENTS - 1; i++)
		assert_true(out_static(out, BYTES_LITERAL("x")));
	assert_true(out_fits(out, 1, 0));
	assert_false(out->tight);
	assert_true(out_printf(out, "y"));
	assert_false(out->tight);
	assert_true(out_printf(out, "z")); /* joins the last one */
	assert_false(out_static(out, BYTES_LITERAL("x")));
	assert_true(out->tight);
	out->tight = false;
	assert_false(out_fits(out, 1, 0));
	assert_true(out->tight);
	assert_true(out_fits(out, 0, 0));
	assert_false(out_flush(out));
	assert_false(out_empty(out));
	assert_false(out_file(out, 3, 0, 1));
	assert_int_equal(out->segments, OUT_SEGMENTS);
	assert_int_equal(out_room(out), 1000 - OUT_SEGMENTS - 1);
}

static void refused_copy_takes_nothing(void **state)
{
	struct out *out = fresh(1000);

	for (unsigned i = 0; i < OUT_SEGMENTS; i++)
		out_static(out, BYTES_LITERAL("x"));
	assert_false(out_printf(out, "refused"));
	assert_int_equal(out->copied, 0);
}

static void copy_space_runs_out(void **state)
{
	static const uint8_t big[OUT_COPY_BYTES + 1];
	struct out *out = fresh(SIZE_MAX);

	assert_false(out_copy(out, bytes_of(big, OUT_COPY_BYTES + 1)));
	assert_int_equal(out->segments, 0);
	assert_true(out_copy(out, bytes_of(big, OUT_COPY_BYTES - 4)));
	assert_true(out_fits(out, 1, 4));
	assert_false(out_printf(out, "%s", "12345"));
	assert_int_equal(out->copied, OUT_COPY_BYTES - 4);
	assert_true(out_printf(out, "%s", "1234")); /* to the last byte, as out_fits said */
	assert_false(out_fits(out, 1, 1));
	assert_false(out_copy(out, BYTES_LITERAL("5")));
	assert_true(out_static(out, BYTES_LITERAL("5")));
	assert_int_equal(out->segments, 2);
}

static void room_ends_at_nothing(void **state)
{
	struct out *out = fresh(3);

	assert_true(out_static(out, BYTES_LITERAL("four")));
	assert_int_equal(out_room(out), 0);
	assert_true(out_static(out, BYTES_LITERAL("more")));
	assert_int_equal(out_room(out), 0);
	assert_false(out->tight);
}

static void files(void **state)
{
	struct out *out = fresh(SIZE_MAX);

	assert_true(out_file(out, 7, 1ull << 40, 1ull << 41));
	assert_true(out_file(out, 7, 0, 0));
	assert_int_equal(out->segments, 1);
	assert_int_equal(out->segment[0].kind, OUT_FILE);
	assert_int_equal(out->segment[0].handle, 7);
	assert_true(out->segment[0].offset == 1ull << 40);
	assert_true(out->segment[0].len == 1ull << 41);
	assert_true(out_printf(out, "behind the file"));
	assert_int_equal(out->segments, 2);
}

static void tells(void **state)
{
	struct out *out = fresh(100);
	char body[] = "abc";
	struct message m = {.kind = 3, .number = {1, 2, 3, 4}, .body = bytes_of(body, 3)};

	assert_true(out_tell(out, OUT_HUB, &m));
	body[0] = 'x';
	assert_int_equal(out->tell[0].to, OUT_HUB);
	assert_int_equal(out->tell[0].message.kind, 3);
	assert_int_equal(out->tell[0].message.number[3], 4);
	assert_true(bytes_equal(out->tell[0].message.body, BYTES_LITERAL("abc")));
	assert_int_equal(out_room(out), 100);
	m.body = bytes_of(NULL, 0);
	while (out->tells < OUT_TELLS)
		assert_true(out_tell(out, 99, &m));
	assert_false(out->tight);
	assert_false(out_tell(out, 99, &m));
	assert_true(out->tight);
	assert_int_equal(out->tell[OUT_TELLS - 1].to, 99);
}

static void messages_fit_or_not(void **state)
{
	struct moment now = {0};
	struct message m = {0};
	struct out *out = fresh(100);

	assert_true(out_fits_messages(out, OUT_TELLS, OUT_EVENTS));
	out_tell(out, OUT_HUB, &m);
	out_event(out, &now, EVENT_INFO, "test.kept");
	assert_true(out_fits_messages(out, OUT_TELLS - 1, OUT_EVENTS - 1));
	assert_false(out->tight);
	assert_false(out_fits_messages(out, OUT_TELLS, 0));
	assert_true(out->tight);
	out->tight = false;
	assert_false(out_fits_messages(out, 0, OUT_EVENTS));
	assert_true(out->tight);
}

static void tell_without_copy_space(void **state)
{
	static const uint8_t big[OUT_COPY_BYTES + 1];
	struct out *out = fresh(100);
	struct message m = {.body = bytes_of(big, sizeof(big))};

	assert_false(out_tell(out, OUT_OWNER, &m));
	assert_int_equal(out->tells, 0);
	assert_true(out->tight);
}

static void tell_between_copies(void **state)
{
	struct out *out = fresh(100);
	struct message m = {.body = BYTES_LITERAL("told")};

	out_printf(out, "a");
	out_tell(out, OUT_HUB, &m);
	out_printf(out, "b");
	assert_int_equal(out->segments, 2);
	assert_true(bytes_equal(segment_bytes(out, 0), BYTES_LITERAL("a")));
	assert_true(bytes_equal(segment_bytes(out, 1), BYTES_LITERAL("b")));
	assert_true(bytes_equal(out->tell[0].message.body, BYTES_LITERAL("told")));
}

static void ends(void **state)
{
	struct out *out = fresh(100);

	assert_false(out->more);
	out_more(out);
	assert_true(out->more);
	out_end(out);
	assert_true(out->end);
	out_abort(out, ERR_PROTOCOL);
	assert_int_equal(out->abort_why, ERR_PROTOCOL);
	out_deadline(out, 5);
	out_deadline(out, 7);
	assert_true(out->deadline_set);
	assert_int_equal(out->deadline_ns, 7);
	out_deadline(out, MOMENT_NEVER);
	assert_true(out->deadline_set && out->deadline_ns == MOMENT_NEVER);
}

static void events(void **state)
{
	struct moment now = {.wall_us = 123};
	struct out *out = fresh(100);
	struct event *beyond;

	for (unsigned i = 0; i < OUT_EVENTS; i++) {
		struct event *e = out_event(out, &now, EVENT_INFO, "test.kept");

		assert_ptr_equal(e, &out->event[i]);
		assert_int_equal(e->wall_us, 123);
		assert_int_equal(e->level, EVENT_INFO);
		event_uint(e, "n", i);
	}
	assert_false(out->tight);
	beyond = out_event(out, &now, EVENT_INFO, "test.dropped");
	event_uint(beyond, "n", 99);
	beyond = out_event(out, &now, EVENT_INFO, "test.dropped");
	assert_int_equal(beyond->fields, 0);
	assert_true(out->tight);
	assert_int_equal(out->events, OUT_EVENTS);
	for (unsigned i = 0; i < OUT_EVENTS; i++)
		assert_int_equal(event_find(&out->event[i], "n")->u, i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_after_reset),
		cmocka_unit_test(static_and_borrowed),
		cmocka_unit_test(copies_join),
		cmocka_unit_test(flush_keeps_copies_apart),
		cmocka_unit_test(empty_datagram),
		cmocka_unit_test(segments_run_out),
		cmocka_unit_test(refused_copy_takes_nothing),
		cmocka_unit_test(copy_space_runs_out),
		cmocka_unit_test(room_ends_at_nothing),
		cmocka_unit_test(files),
		cmocka_unit_test(tells),
		cmocka_unit_test(messages_fit_or_not),
		cmocka_unit_test(tell_without_copy_space),
		cmocka_unit_test(tell_between_copies),
		cmocka_unit_test(ends),
		cmocka_unit_test(events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
