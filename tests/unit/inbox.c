/* Inbox and datagrams of every size: what the events show, put together, is what came. */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

extern const struct machine inbox_machine;

static struct bytes text_of(const struct event *e)
{
	const struct event_field *f = event_find(e, "text");

	assert_non_null(f);
	return event_field_text(e, f);
}

static void expect_whole(struct bytes datagram, bool between_characters)
{
	struct driver d;
	size_t at = 0;

	driver_init(&d, &inbox_machine);
	d.peer.remote = (struct address){.family = ADDRESS_V6, .port = 65535};
	memset(d.peer.remote.ip, 0xff, sizeof d.peer.remote.ip);
	driver_datagram(&d, datagram);
	assert_null(d.fault);
	assert_int_equal(d.datagrams, 0);
	for (size_t i = 0; i < d.events; i++) {
		struct bytes part = text_of(&d.event[i]);

		assert_false(d.event[i].cut);
		assert_true(at + part.len <= datagram.len);
		assert_memory_equal(part.data, datagram.data + at, part.len);
		if (between_characters)
			assert_true(text_utf8_valid(part));
		at += part.len;
	}
	assert_int_equal(at, datagram.len);
	driver_end(&d);
}

static void test_datagrams_of_every_size(void **state)
{
	static uint8_t binary[DRIVER_DATAGRAM_BYTES];
	static uint8_t text[DRIVER_DATAGRAM_BYTES];

	memset(binary, 0xff, sizeof binary);
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (uint8_t) "\xf0\x9f\x98\x80"[i % 4];
	for (size_t len = 1; len <= sizeof binary; len += len < 6000 ? 1 : 997) {
		expect_whole(bytes_of(binary, len), false);
		expect_whole(bytes_of(text, len - len % 4), true);
	}
	expect_whole(bytes_of(binary, sizeof binary), false);
	expect_whole(bytes_of(text, sizeof text - sizeof text % 4), true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_datagrams_of_every_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
