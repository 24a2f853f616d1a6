/* The feed's two machines where a vector would be too long, or needs what vectors have not: whole
 * windows, bodies of the largest size in any pieces, a key's fingerprint, an instance. */
#include "driver.h"
#include "proto/feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
	HEADS_BYTES = FEED_HEAD_BYTES + FEED_RECORDS_BYTES,
	LARGEST = HEADS_BYTES + FEED_BODY_BYTES
};

static const uint8_t magic[] = "\xf6"
			       "fed\r\n\x01\n";
static uint8_t frame[LARGEST];

static struct bytes made(uint8_t type, uint8_t flags, size_t len)
{
	memset(frame, 0, FEED_HEAD_BYTES);
	frame[0] = type;
	frame[1] = flags;
	bytes_put_be32(frame + 4, (uint32_t)len);
	return bytes_of(frame, FEED_HEAD_BYTES + len);
}

static struct bytes records(uint64_t first, uint32_t count, size_t body_bytes)
{
	bytes_put_be64(frame + FEED_HEAD_BYTES, first);
	bytes_put_be32(frame + FEED_HEAD_BYTES + 8, count);
	bytes_put_be32(frame + FEED_HEAD_BYTES + 12, (uint32_t)body_bytes);
	for (size_t i = 0; i < body_bytes; i++)
		frame[HEADS_BYTES + i] = (uint8_t)(i * 31 + i / 251 + first);
	return made(3, 0, FEED_RECORDS_BYTES + body_bytes);
}

static struct bytes hello(void)
{
	for (unsigned i = 0; i < FEED_INSTANCE_BYTES; i++)
		frame[FEED_HEAD_BYTES + i] = (uint8_t)(0xf0 + i);
	memcpy(frame + FEED_HEAD_BYTES + FEED_INSTANCE_BYTES, "vega", 4);
	return made(1, 0, FEED_INSTANCE_BYTES + 4);
}

static void tell(struct driver *d, uint32_t kind, uint64_t number)
{
	driver_tell(d, &(struct message){.kind = kind, .number = {number}});
}

static void serve(struct driver *d, const char *fingerprint)
{
	driver_init(d, &collect_machine);
	d->peer.fingerprint = fingerprint;
	driver_open(d);
	driver_feed(d, bytes_of(magic, FEED_MAGIC_BYTES));
	driver_feed(d, hello());
}

static void serve_ready(struct driver *d)
{
	serve(d, NULL);
	tell(d, FEED_JOINED, 0);
	driver_forget(d);
}

static void test_fingerprint_is_the_id(void **state)
{
	static const char id[] = "SHA256:abc+/=/f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\0vega";
	struct driver d;

	serve(&d, "SHA256:abc+/=");
	assert_int_equal(d.tells, 1);
	assert_int_equal(d.tell[0].message.kind, FEED_JOIN);
	assert_int_equal(d.tell[0].message.body.len, sizeof(id) - 1);
	assert_memory_equal(d.tell[0].message.body.data, id, sizeof(id) - 1);
	driver_end(&d);
}

/* Seven of the largest frames leave less room in the window than one more needs. */
static void test_window(void **state)
{
	size_t left = FEED_WINDOW_BYTES - 7 * (size_t)LARGEST;
	struct driver d;

	serve_ready(&d);
	for (unsigned i = 1; i <= 7; i++)
		driver_feed(&d, records(i, 1, FEED_BODY_BYTES));
	driver_feed(&d, records(8, 1, left - HEADS_BYTES));
	assert_int_equal(d.tells, 8);
	assert_false(d.ended);
	tell(&d, FEED_COMMITTED, 1);
	driver_feed(&d, records(9, 1, FEED_BODY_BYTES));
	assert_int_equal(d.tells, 9);
	assert_false(d.ended);
	driver_feed(&d, records(10, 1, 1));
	assert_true(d.ended);
	assert_string_equal(driver_event(&d, "feed.refused")->type, "feed.refused");
	driver_end(&d);
}

static void test_one_byte_more_than_the_window(void **state)
{
	size_t left = FEED_WINDOW_BYTES - 7 * (size_t)LARGEST;
	struct driver d;

	serve_ready(&d);
	for (unsigned i = 1; i <= 7; i++)
		driver_feed(&d, records(i, 1, FEED_BODY_BYTES));
	driver_feed(&d, records(8, 1, left - HEADS_BYTES + 1));
	assert_int_equal(d.tells, 8); /* seven, and GONE */
	assert_true(d.ended);
	driver_end(&d);
}

/* The largest body, in reads of `size` bytes: its pieces put together are it. */
static void in_pieces(size_t size)
{
	static uint8_t whole[FEED_BODY_BYTES];
	struct bytes in;
	size_t got = 0;
	struct driver d;

	serve_ready(&d);
	in = records(1, 1, FEED_BODY_BYTES);
	for (; in.len > 0; in = bytes_after(in, bytes_first(in, size).len))
		driver_feed(&d, bytes_first(in, size));
	assert_null(d.fault);
	for (size_t i = 0; i < d.tells; i++) {
		const struct message *m = &d.tell[i].message;
		bool last = i + 1 == d.tells;

		assert_int_equal(m->kind, last ? FEED_RECORDS : FEED_PIECE);
		assert_true(last || (m->number[0] == got && m->number[1] == FEED_BODY_BYTES));
		memcpy(whole + got, m->body.data, m->body.len);
		got += m->body.len;
	}
	assert_int_equal(got, FEED_BODY_BYTES);
	records(1, 1, FEED_BODY_BYTES);
	assert_memory_equal(whole, frame + HEADS_BYTES, FEED_BODY_BYTES);
	driver_end(&d);
}

static void test_pieces(void **state)
{
	in_pieces(LARGEST);
	in_pieces(65536);
	in_pieces(16384);
	in_pieces(1000);
	in_pieces(HEADS_BYTES);
}

/* A stopping service waits for what is not acknowledged, and for no more. */
static void test_busy(void **state)
{
	struct driver d;

	serve_ready(&d);
	assert_false(collect_machine.busy(d.state));
	driver_feed(&d, bytes_first(records(1, 1, 10), HEADS_BYTES + 3));
	assert_true(collect_machine.busy(d.state));
	driver_feed(&d, bytes_of(frame + HEADS_BYTES + 3, 7));
	assert_true(collect_machine.busy(d.state));
	tell(&d, FEED_COMMITTED, 1);
	assert_false(collect_machine.busy(d.state));
	driver_end(&d);
}

/* The client. */

static void block(struct driver *d, uint64_t first, size_t body_bytes)
{
	records(first, 1, body_bytes);
	driver_tell(d, &(struct message){.kind = FEED_BLOCK,
					 .number = {first, 1, body_bytes, 0},
					 .body = bytes_of(frame + HEADS_BYTES, body_bytes)});
}

static unsigned wants(const struct driver *d)
{
	unsigned count = 0;

	for (size_t i = 0; i < d->tells; i++)
		count += d->tell[i].message.kind == FEED_WANT;
	return count;
}

static void welcome(struct driver *d, struct feed_client_settings *settings, uint32_t window)
{
	uint8_t said[FEED_HEAD_BYTES + 16] = {2, 0, 0, 0, 0, 0, 0, 16};

	driver_init(d, &feed_client_machine);
	d->peer.settings = settings;
	d->room_bytes = 1 << 24;
	driver_open(d);
	bytes_put_be32(said + FEED_HEAD_BYTES + 8, window);
	bytes_put_be32(said + FEED_HEAD_BYTES + 12, FEED_FRAME_BYTES);
	driver_feed(d, bytes_of(said, sizeof(said)));
}

static void acknowledge(struct driver *d, uint64_t newest, uint64_t bytes)
{
	uint8_t said[FEED_HEAD_BYTES + 16] = {4, 0, 0, 0, 0, 0, 0, 16};

	bytes_put_be64(said + FEED_HEAD_BYTES, newest);
	bytes_put_be64(said + FEED_HEAD_BYTES + 8, bytes);
	driver_feed(d, bytes_of(said, sizeof(said)));
}

static void test_hello(void **state)
{
	struct feed_client_settings settings = {.host = "vega"};
	struct bytes expected;
	struct driver d;

	memcpy(settings.instance, hello().data + FEED_HEAD_BYTES, FEED_INSTANCE_BYTES);
	welcome(&d, &settings, FEED_WINDOW_BYTES);
	expected = hello();
	assert_int_equal(d.output.len, FEED_MAGIC_BYTES + expected.len);
	assert_memory_equal(d.output.data, magic, FEED_MAGIC_BYTES);
	assert_memory_equal(d.output.data + FEED_MAGIC_BYTES, expected.data, expected.len);
	driver_end(&d);
}

/* A server that promises more than we ask of it gets no more than FEED_WINDOW_BYTES. */
static void test_client_window(void **state)
{
	struct feed_client_settings settings = {.host = "vega"};
	struct driver d;

	welcome(&d, &settings, 1 << 30);
	for (unsigned i = 1; i <= 7; i++) {
		assert_int_equal(wants(&d), i);
		block(&d, i, FEED_BODY_BYTES);
	}
	assert_int_equal(wants(&d), 7);
	assert_true(d.output.len <= FEED_WINDOW_BYTES + 100);
	acknowledge(&d, 1, 8 * LARGEST - FEED_WINDOW_BYTES - 1); /* less than it has */
	assert_int_equal(wants(&d), 7);
	acknowledge(&d, 1, 8 * LARGEST - FEED_WINDOW_BYTES);
	assert_int_equal(wants(&d), 8);
	acknowledge(&d, 2, 2 * LARGEST); /* asked already */
	assert_int_equal(wants(&d), 8);
	block(&d, 8, FEED_BODY_BYTES);
	assert_int_equal(wants(&d), 9);
	assert_null(d.fault);
	driver_end(&d);
}

static void test_too_long_a_block(void **state)
{
	static const uint8_t zeros[FEED_BODY_BYTES + 1];
	struct feed_client_settings settings = {.host = "vega"};
	struct driver d;

	welcome(&d, &settings, FEED_WINDOW_BYTES);
	driver_tell(&d, &(struct message){.kind = FEED_BLOCK,
					  .number = {1, 1, 1000, 1},
					  .body = bytes_of(zeros, sizeof(zeros))});
	assert_int_equal(d.why, ERR_USAGE);
	driver_end(&d);
}

static void test_refusals(void **state)
{
	assert_string_equal(feed_refusal_name(FEED_BAD_FRAME), "bad_frame");
	assert_string_equal(feed_refusal_name(FEED_STOPPING), "stopping");
	assert_string_equal(feed_refusal_name(0), "unknown");
	assert_string_equal(feed_refusal_name(FEED_STOPPING + 1), "unknown");
	for (unsigned i = FEED_BAD_FRAME; i <= FEED_STOPPING; i++)
		assert_int_equal(feed_refusal_passes(i),
				 i == FEED_HELD || i == FEED_NO_STORE || i == FEED_STOPPING);
	assert_true(feed_refusal_passes(999));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fingerprint_is_the_id),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_one_byte_more_than_the_window),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_hello),
		cmocka_unit_test(test_client_window),
		cmocka_unit_test(test_too_long_a_block),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
