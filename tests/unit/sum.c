/* The two sides of sum (proto/sum.h) against each other, with lists that the client's vectors
 * cannot give it, and the server against what is cut off or damaged. */
#include "proto/sum.h"

#include "driver.h"
#include "proto/pickle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANY = 70000 };

static int64_t many[MANY];

static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* The client opened over a list, and all it says. */
static void say(struct driver *client, struct sum_client_settings *settings)
{
	driver_init(client, &sum_client_machine);
	client->peer.settings = settings;
	driver_open(client);
	while (client->wants_room)
		driver_room(client);
	assert_null(client->fault);
	assert_false(client->ended);
}

static void feed_cut(struct driver *d, struct bytes in, uint64_t *seed)
{
	while (in.len > 0) {
		struct bytes part = bytes_first(in, 1 + next_random(seed) % 3000);

		driver_feed(d, part);
		in = bytes_after(in, part.len);
	}
}

static uint64_t field(const struct driver *d, const char *type, const char *name)
{
	const struct event *e = driver_event(d, type);
	char buffer[64];
	struct text value = TEXT_OVER(buffer);

	assert_non_null(e);
	assert_true(driver_event_value(e, name, &value));
	return strtoull(buffer, NULL, 10);
}

/* Both sides: what the client is left with is `sum`, or ERR_LEFT when the server cannot say it. */
static void exchange(const int64_t *numbers, size_t count, int protocol, int64_t sum)
{
	struct sum_client_settings settings = {(uint64_t)protocol, numbers, count};
	uint64_t seed = count * 6 + (uint64_t)protocol;
	bool fits = sum >= 0 && sum <= UINT32_MAX;
	struct driver client, server;

	say(&client, &settings);
	assert_int_equal(bytes_get_le32(client.output.data), client.output.len - 4);
	driver_init(&server, &sum_machine);
	driver_open(&server);
	feed_cut(&server, client.output, &seed);
	assert_null(server.fault);
	assert_true(server.ended);
	assert_int_equal(server.why, 0);
	assert_int_equal(server.output.len, fits ? 4 : 0);
	assert_int_equal(field(&server, fits ? "sum.done" : "sum.refused", "items"), count);
	if (fits)
		driver_feed(&client, server.output);
	driver_eof(&client);
	assert_int_equal(client.why, fits ? 0 : ERR_LEFT);
	if (fits)
		assert_int_equal(field(&client, "sum.answer", "sum"), sum);
	driver_end(&client);
	driver_end(&server);
}

static void both_sides_agree(void **state)
{
	static const int64_t small[] = {1, 2, 3}, negative[] = {-5, 300, -70000, 100000};
	static const int64_t wide[] = {INT64_MIN, INT64_MAX, INT64_MAX, 5, INT64_MIN + 7};
	static const int64_t below[] = {3, -4}, above[] = {UINT32_MAX, 1};

	for (int protocol = 0; protocol <= PICKLE_PROTOCOL_MOST; protocol++) {
		exchange(NULL, 0, protocol, 0);
		exchange(small, 1, protocol, 1);
		exchange(small, 3, protocol, 6);
		exchange(negative, 4, protocol, 30295);
		exchange(wide, 5, protocol, 10);
		exchange(below, 2, protocol, -1);
		exchange(above, 2, protocol, (int64_t)UINT32_MAX + 1);
		exchange(above, 1, protocol, UINT32_MAX);
		exchange(many, MANY, protocol, (int64_t)MANY * (MANY - 1) / 2);
	}
}

static void a_small_list_is_one_write(void **state)
{
	struct sum_client_settings settings = {3, many, 4000};
	struct driver client;

	driver_init(&client, &sum_client_machine);
	client.peer.settings = &settings;
	driver_open(&client);
	assert_false(client.wants_room);
	assert_int_equal(client.writes, 1);
	assert_int_equal(bytes_get_le32(client.output.data), client.output.len - 4);
	driver_end(&client);
}

/* Of a long list never much more is said than is welcome, and whatever is, the whole comes out. */
static void a_long_list_waits_for_room(void **state)
{
	struct sum_client_settings settings = {4, many, MANY};
	struct driver whole, client;

	say(&whole, &settings);
	driver_init(&client, &sum_client_machine);
	client.peer.settings = &settings;
	client.room_bytes = 100;
	driver_open(&client);
	for (size_t before = 0; client.wants_room; before = client.output.len) {
		assert_true(client.output.len - before <= client.room_bytes + 1024 + 4);
		driver_room(&client);
	}
	assert_int_equal(client.output.len, whole.output.len);
	assert_memory_equal(client.output.data, whole.output.data, whole.output.len);
	driver_end(&whole);
	driver_end(&client);
}

static void serve(struct driver *server, struct bytes in)
{
	driver_init(server, &sum_machine);
	driver_open(server);
	driver_feed(server, in);
	driver_eof(server);
	assert_null(server->fault);
	assert_true(server->ended);
}

static void truncated_anywhere_gets_no_answer(void **state)
{
	for (int protocol = 0; protocol <= PICKLE_PROTOCOL_MOST; protocol++) {
		struct sum_client_settings settings = {(uint64_t)protocol, many + 65530, 30};
		struct driver client;

		say(&client, &settings);
		for (size_t len = 1; len < client.output.len; len++) {
			struct driver server;

			serve(&server, bytes_first(client.output, len));
			assert_int_equal(server.why, ERR_LEFT);
			assert_int_equal(server.output.len, 0);
			assert_non_null(driver_event(&server, "sum.refused"));
			driver_end(&server);
		}
		driver_end(&client);
	}
}

/* Damaged in any way, it is answered with four bytes or refused, and an event says which. */
static void survives_mutation(void **state)
{
	static const int64_t numbers[] = {0, 255, 256, 70000, -1, INT64_MAX, INT64_MIN, 7, 9, 1000};

	for (uint64_t first = 1; first <= 20000; first++) {
		uint64_t seed = first;
		struct sum_client_settings settings = {first % 6, numbers, 10};
		struct driver client, server;
		uint8_t data[256];
		size_t len;
		bool done;

		say(&client, &settings);
		len = client.output.len;
		assert_true(len <= sizeof(data));
		memcpy(data, client.output.data, len);
		for (uint64_t n = next_random(&seed) % 4; n < 4; n++)
			data[next_random(&seed) % len] = (uint8_t)next_random(&seed);
		serve(&server, bytes_of(data, len));
		done = driver_event(&server, "sum.done") != NULL;
		if (server.events != 1 || server.output.len != (done ? 4 : 0) ||
		    (done && server.why != 0))
			fail_msg("seed %llu", (unsigned long long)first);
		driver_end(&client);
		driver_end(&server);
	}
}

static void busy_while_an_exchange_is_under_way(void **state)
{
	struct driver server;

	driver_init(&server, &sum_machine);
	driver_open(&server);
	assert_false(sum_machine.busy(server.state));
	driver_feed(&server, BYTES_LITERAL("\4"));
	assert_true(sum_machine.busy(server.state));
	driver_end(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_agree),
		cmocka_unit_test(a_small_list_is_one_write),
		cmocka_unit_test(a_long_list_waits_for_room),
		cmocka_unit_test(truncated_anywhere_gets_no_answer),
		cmocka_unit_test(survives_mutation),
		cmocka_unit_test(busy_while_an_exchange_is_under_way),
	};

	for (size_t i = 0; i < MANY; i++)
		many[i] = (int64_t)i;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
