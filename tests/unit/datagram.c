/* Datagrams in batches over loopback: what the kernel refuses to send is dropped alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/datagram.h"
#include "net/listener.h"

enum { TOO_LONG = 65508 }; /* for IPv4: 65535 less the headers of IP and UDP, and one more */

/* Echo, and of "!" an answer that no datagram can carry. */
static void answer(void *m, const struct peer *from, struct bytes in, struct out *out,
		   const struct moment *now)
{
	static const uint8_t much[TOO_LONG];

	if (in.data[0] == '!')
		out_borrow(out, bytes_of(much, sizeof much));
	else
		out_borrow(out, in);
}

static const struct machine machine = {.name = "probe", .datagram = answer};

/* What comes back of a batch of these, a datagram each byte. */
static void expect(const char *asked, const char *heard)
{
	static struct manners manners;
	struct listener_bind here = {.address = {.family = ADDRESS_V4, .ip = {127, 0, 0, 1}},
				     .datagram = true};
	struct datagram_plan plan = {.machine = &machine, .service = "probe", .manners = &manners};
	struct datagram_common *common;
	struct datagram *datagram;
	struct datagram_counts counts;
	struct sockaddr_storage ss;
	struct loop *loop;
	size_t have = 0;
	char got[64];
	int fd = listener_open(&here, NULL);

	manners.any_length = true;
	plan.fd = listener_open(&here, &plan.bound);
	assert_true(fd >= 0 && plan.fd >= 0);
	assert_int_equal(
		connect(fd, (struct sockaddr *)&ss, endpoint_to_sockaddr(&plan.bound, &ss)), 0);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(datagram_common_create(&common, loop), 0);
	assert_int_equal(datagram_create(&datagram, common, &plan), 0);
	for (size_t i = 0; asked[i]; i++)
		assert_int_equal(send(fd, asked + i, 1, 0), 1);
	loop_turn(loop, 1000);
	while (have < sizeof got && recv(fd, got + have, 1, MSG_DONTWAIT) == 1)
		have++;
	assert_int_equal(have, strlen(heard));
	assert_memory_equal(got, heard, have);
	counts = datagram_counts(datagram);
	assert_int_equal(counts.received, strlen(asked));
	assert_int_equal(counts.answered, have);
	assert_int_equal(counts.dropped, strlen(asked) - have);
	datagram_destroy(datagram);
	datagram_common_destroy(common);
	loop_destroy(loop);
	close(fd);
}

static void test_one_that_is_refused_does_not_cost_the_others(void **state)
{
	expect("abc", "abc");
	expect("!bc", "bc");
	expect("a!c", "ac");
	expect("ab!", "ab");
	expect("a!!d!f", "adf");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_that_is_refused_does_not_cost_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
