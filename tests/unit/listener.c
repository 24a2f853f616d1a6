/* A listener behind a full gate: who waits is let in once there is room, even when nobody says so.
 * And sockets of several loops on one port: nobody else's, and each gets its part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/listener.h"

enum { LOOPS = 4, CLIENTS = 100 }; /* that a loop gets none by chance: once in 10^12 */

struct end {
	struct loop *loop;
	struct gate *gate;
	struct listener *listener;
	unsigned accepted;
};

static void accepted(void *owner, int fd, const struct address *remote, const struct address *local)
{
	struct end *end = owner;

	end->accepted++;
	close(fd);
	loop_stop(end->loop);
}

static int connect_to(const struct address *address)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(address, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&ss, len), 0);
	return fd;
}

static void test_room_that_nobody_tells_of(void **state)
{
	struct listener_bind where = {.address = {.family = ADDRESS_V4, .ip = {127, 0, 0, 1}}};
	struct gate_limits limits = {.open = 1};
	struct end end = {.accepted = 0};
	struct listener_plan plan = {.accepted = accepted, .owner = &end};
	int client;

	assert_int_equal(loop_create(&end.loop), 0);
	assert_int_equal(gate_create(&end.gate, &limits), 0);
	plan.gate = end.gate;
	plan.fd = listener_open(&where, &plan.bound);
	assert_true(plan.fd >= 0);
	assert_int_equal(listener_create(&end.listener, end.loop, &plan), 0);
	assert_int_equal(gate_enter(end.gate, loop_now(end.loop)), GATE_IN);
	client = connect_to(&plan.bound);
	loop_turn(end.loop, 1000); /* it finds the gate full and pauses */
	assert_int_equal(end.accepted, 0);
	assert_true(gate_leave(end.gate, NULL));                    /* and the word of it is lost */
	for (unsigned turn = 0; turn < 20 && !end.accepted; turn++) /* one may wake too early */
		loop_turn(end.loop, 1000);
	assert_int_equal(end.accepted, 1);
	close(client);
	listener_destroy(end.listener);
	gate_destroy(end.gate);
	loop_destroy(end.loop);
}

/* Takes all that waits at the socket; returns how many. */
static unsigned take(int fd, bool datagram)
{
	char byte;
	unsigned taken = 0;

	for (;;) {
		int got = datagram ? (int)recv(fd, &byte, 1, 0) : accept(fd, NULL, NULL);

		if (got < 0)
			return taken;
		if (!datagram)
			close(got);
		taken++;
	}
}

static void spread(struct listener_bind where)
{
	struct listener_bind again;
	struct address bound;
	struct sockaddr_storage ss;
	struct pollfd watched[LOOPS];
	int client[CLIENTS];
	unsigned taken[LOOPS] = {0}, all = 0;

	where.spread = where.first = true;
	for (unsigned i = 0; i < LOOPS; i++) {
		int fd = listener_open(&where, &bound);

		if (fd == ERR_FAMILY_OFF)
			return;
		assert_true(fd >= 0);
		watched[i] = (struct pollfd){.fd = fd, .events = POLLIN};
		where.address = bound;
		again = where;
		again.first = true;
		where.first = false;
		assert_int_equal(listener_open(&again, NULL), ERR_IN_USE);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		socklen_t len = endpoint_to_sockaddr(&bound, &ss);

		client[i] = socket(ss.ss_family, where.datagram ? SOCK_DGRAM : SOCK_STREAM, 0);
		assert_int_equal(connect(client[i], (struct sockaddr *)&ss, len), 0);
		assert_int_equal(send(client[i], "x", 1, 0), 1);
	}
	for (unsigned turn = 0; turn < 100 && all < CLIENTS; turn++) {
		poll(watched, LOOPS, 100); /* the kernel may bring the last ones later */
		for (unsigned i = 0; i < LOOPS; i++) {
			unsigned more = take(watched[i].fd, where.datagram);

			taken[i] += more;
			all += more;
		}
	}
	assert_int_equal(all, CLIENTS);
	for (unsigned i = 0; i < LOOPS; i++) {
		assert_true(taken[i] > 0);
		close(watched[i].fd);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		close(client[i]);
}

/* The first one, too, which listened before the port was shared. */
static void test_every_loop_has_its_part(void **state)
{
	struct listener_bind v4 = {.address = {.family = ADDRESS_V4, .ip = {127, 0, 0, 1}}};
	struct listener_bind v6 = {.address = {.family = ADDRESS_V6, .ip = {[15] = 1}}};

	for (unsigned datagram = 0; datagram < 2; datagram++) {
		v4.datagram = v6.datagram = datagram;
		spread(v4);
		spread(v6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_room_that_nobody_tells_of),
		cmocka_unit_test(test_every_loop_has_its_part),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
