/* UDP manners: ports that get no answer, each source's bucket, lengths. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proto/manners.h"

static struct moment now = {.boot_ns = 500 * MOMENT_S};

static struct address from(const char *text, uint16_t port)
{
	struct address a;

	assert_int_equal(address_parse_ip(bytes_of_string(text), &a), 0);
	a.port = port;
	return a;
}

static void test_small_services_get_nothing(void **state)
{
	static const uint16_t small[] = {0,   7,   13,  17,   19,   37,   53,
					 123, 161, 389, 1900, 5353, 11211};
	struct manners m = {.rate = 1000, .burst = 2000};
	unsigned refused = 0;

	assert_true(manners_own(&m, 7777));
	for (unsigned port = 0; port < 65536; port++) {
		struct address a = from("127.0.0.1", (uint16_t)port);

		refused += manners_ask(&m, &a, &now) == MANNERS_SMALL_SERVICE;
	}
	assert_int_equal(refused, sizeof small / sizeof small[0] + 1);
	for (unsigned i = 0; i < sizeof small / sizeof small[0]; i++)
		assert_true(manners_is_small_service(small[i]));
}

static unsigned ask_at(struct manners *m, const struct address *a, unsigned times,
		       const struct moment *when)
{
	unsigned answered = 0;

	while (times--)
		answered += manners_ask(m, a, when) == MANNERS_ANSWER;
	return answered;
}

static unsigned ask_many(struct manners *m, const struct address *a, unsigned times)
{
	return ask_at(m, a, times, &now);
}

static void test_each_source_has_its_bucket(void **state)
{
	struct manners m = {.rate = 100, .burst = 50, .salt = 99};
	struct address one = from("192.0.2.1", 4000), other = from("192.0.2.2", 4000);
	struct address v6 = from("2001:db8::1", 1), same = from("2001:db8::2", 1);
	struct address local = from("127.0.0.1", 4000);

	assert_int_equal(ask_many(&m, &one, 200), 50);
	assert_int_equal(ask_many(&m, &other, 200), 50);
	assert_int_equal(ask_many(&m, &v6, 30) + ask_many(&m, &same, 30), 50);
	assert_int_equal(ask_many(&m, &local, 200), 200);
	now.boot_ns += MOMENT_S / 10;
	assert_int_equal(ask_many(&m, &one, 200), 10);
	now.boot_ns += 100 * MOMENT_S;
	assert_int_equal(ask_many(&m, &one, 200), 50);
	m.rate = 0;
	assert_int_equal(ask_many(&m, &one, 200), 200);
}

/* Loops that share a bucket have clocks a little apart: it gives what the latest of them allows. */
static void test_clocks_a_little_apart(void **state)
{
	struct manners m = {.rate = 100, .burst = 50, .salt = 99};
	struct address one = from("192.0.2.1", 4000);
	struct moment early = now, late = now;
	unsigned answered = 0;

	late.boot_ns += MOMENT_S / 10;
	for (unsigned i = 0; i < 200; i++) {
		answered += manners_ask(&m, &one, &late) == MANNERS_ANSWER;
		answered += manners_ask(&m, &one, &early) == MANNERS_ANSWER;
	}
	assert_int_equal(answered, 50);
	late.boot_ns += MOMENT_S / 10;
	assert_int_equal(ask_at(&m, &one, 200, &late), 10);
	assert_int_equal(ask_at(&m, &one, 200, &early), 0);
}

/* A crowd of forged sources may make a bucket forgotten, never make one emptier than it is. */
static void test_a_crowd_starves_nobody(void **state)
{
	struct manners m = {.rate = 10, .burst = 5, .salt = 7};

	for (unsigned i = 0; i < 100000; i++) {
		struct address a = {.family = ADDRESS_V4, .port = 4000};

		memcpy(a.ip, &i, sizeof i);
		a.ip[3] = 10;
		assert_int_equal(manners_ask(&m, &a, &now), MANNERS_ANSWER);
	}
}

static void test_lengths(void **state)
{
	struct manners m = {0};

	assert_true(manners_length(&m, 0, 64));
	assert_false(manners_length(&m, 0, 65));
	assert_true(manners_length(&m, 65507, 65507));
	m.any_length = true;
	assert_true(manners_length(&m, 0, 512));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_services_get_nothing),
		cmocka_unit_test(test_each_source_has_its_bucket),
		cmocka_unit_test(test_clocks_a_little_apart),
		cmocka_unit_test(test_a_crowd_starves_nobody),
		cmocka_unit_test(test_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
