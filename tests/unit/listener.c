/* A listener behind a full gate: who waits is let in once there is room, even when nobody says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "net/listener.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_room_that_nobody_tells_of)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
