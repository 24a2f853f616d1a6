/* Dialing over loopback: every way in which it can end, and no descriptor left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "dialing.h"
#include "private.h"

enum { PORT_TRIES = 100 };

/* A port where ::1 is bound by `v6` and 127.0.0.1 by `v4`; neither listens yet. */
static uint16_t bind_both(int type, int *v6, int *v4)
{
	uint16_t port, same;

	for (int i = 0; i < PORT_TRIES; i++) {
		*v6 = dialing_bind(AF_INET6, type, 0, &port);
		if (*v6 < 0)
			return 0;
		*v4 = dialing_bind(AF_INET, type, port, &same);
		if (*v4 >= 0)
			return port;
		close(*v6);
	}
	return 0;
}

/* Makes a bound socket a black hole: its queue is full, so the kernel drops what more comes. */
struct hole {
	int listener, client[2];
};

static struct hole dig(int listener)
{
	struct hole hole = {.listener = listener};
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	assert_int_equal(listen(listener, 0), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	for (unsigned i = 0; i < 2; i++) {
		hole.client[i] = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
					0);
		assert_true(hole.client[i] >= 0);
		(void)connect(hole.client[i], (struct sockaddr *)&ss, len);
	}
	return hole;
}

static void fill_in(const struct hole *hole)
{
	close(hole->listener);
	close(hole->client[0]);
	close(hole->client[1]);
}

static void test_connects(void **state)
{
	uint16_t port;
	int listener = dialing_listen(AF_INET, 0, &port), on = 0, peer;
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port);
	struct dialing_call called = dialing_run(&plan);
	socklen_t len = sizeof(on);
	int fd = called.result.fd;

	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempts, 1);
	assert_int_equal(called.result.attempt[0].err, 0);
	assert_int_equal(called.result.remote.port, port);
	assert_true(address_is_loopback(&called.result.remote));
	assert_true(called.result.local.port != 0 && called.result.local.port != port);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
	assert_true(on);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	close(peer);
	close(fd);
	close(listener);
}

static void test_localhost_by_either_family(void **state)
{
	uint16_t port;
	int listener = dialing_listen(AF_INET, 0, &port);
	struct dial_plan plan = dialing_plan_at("localhost", port);
	struct dialing_call called = dialing_run(&plan);

	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.remote.family, ADDRESS_V4);
	assert_int_equal(called.result.attempts, 2);
	assert_true(called.result.attempt[0].err != 0);
	close(called.result.fd);
	plan.families = NAME_V6_ONLY;
	called = dialing_run(&plan);
	assert_true(called.result.err == ERR_REFUSED || called.result.err == ERR_NO_FAMILY);
	close(listener);
}

static void test_refused(void **state)
{
	uint16_t port;
	int bound = dialing_bind(AF_INET, SOCK_STREAM, 0, &port);
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port);
	struct dialing_call called = dialing_run(&plan);

	assert_int_equal(called.result.err, ERR_REFUSED);
	assert_int_equal(called.result.fd, -1);
	assert_int_equal(called.result.attempts, 1);
	assert_int_equal(called.result.attempt[0].err, ERR_REFUSED);
	plan.to.host[0] = '\0';
	strcpy(plan.to.host, "localhost");
	assert_int_equal(dialing_run(&plan).result.err, ERR_REFUSED);
	close(bound);
}

static void test_times_out(void **state)
{
	uint16_t port;
	struct hole hole = dig(dialing_bind(AF_INET, SOCK_STREAM, 0, &port));
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port);
	struct dialing_call called;

	plan.timeout_ms = DIALING_SHORT_MS;
	called = dialing_run_within(&plan, DIALING_SHORT_MS + 2000);
	assert_int_equal(called.result.err, ERR_TIMEOUT);
	assert_int_equal(called.result.attempts, 1);
	assert_int_equal(called.result.attempt[0].err, ERR_TIMEOUT);
	assert_true(called.result.attempt[0].took_ns >= (DIALING_SHORT_MS - 1) * MOMENT_MS);
	fill_in(&hole);
}

static void test_a_dead_family_costs_one_delay(void **state)
{
	int v6 = -1, v4 = -1;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct hole hole;
	struct dial_plan plan;
	struct dialing_call called;

	if (port == 0)
		skip();
	hole = dig(v6);
	assert_int_equal(listen(v4, 8), 0);
	plan = dialing_plan_at("localhost", port);
	called = dialing_run_within(&plan, 1000);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.remote.family, ADDRESS_V4);
	assert_int_equal(called.result.attempts, 2);
	assert_int_equal(called.result.attempt[0].err, ERR_TIMEOUT);
	assert_in_range(called.result.attempt[0].took_ns / MOMENT_MS, 249, 1000);
	close(called.result.fd);
	fill_in(&hole);
	close(v4);
}

static void test_less_patience_than_a_delay(void **state)
{
	int v6 = -1, v4 = -1;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct hole hole[2];
	struct dial_plan plan;
	struct dialing_call called;

	if (port == 0)
		skip();
	hole[0] = dig(v6);
	hole[1] = dig(v4);
	plan = dialing_plan_at("localhost", port);
	plan.timeout_ms = 20;
	called = dialing_run_within(&plan, 240);
	assert_int_equal(called.result.err, ERR_TIMEOUT);
	assert_int_equal(called.result.attempts, 1);
	assert_in_range(called.result.attempt[0].took_ns / MOMENT_MS, 20, 240);
	fill_in(&hole[0]);
	fill_in(&hole[1]);
}

static void test_a_refusing_family_costs_nothing(void **state)
{
	int v6 = -1, v4 = -1;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct dial_plan plan;
	struct dialing_call called;

	if (port == 0)
		skip();
	assert_int_equal(listen(v4, 8), 0);
	plan = dialing_plan_at("localhost", port);
	called = dialing_run_within(&plan, 200);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempt[0].err, ERR_REFUSED);
	close(called.result.fd);
	close(v6);
	close(v4);
}

static void test_refused_tells_more_than_silence(void **state)
{
	int v6 = -1, v4 = -1;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct hole hole;
	struct dial_plan plan;
	struct dialing_call called;

	if (port == 0)
		skip();
	hole = dig(v6);
	plan = dialing_plan_at("localhost", port);
	plan.timeout_ms = 3 * DIALING_SHORT_MS; /* both are tried within it */
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, ERR_REFUSED);
	assert_int_equal(called.result.attempt[0].err, ERR_TIMEOUT);
	assert_int_equal(called.result.attempt[1].err, ERR_REFUSED);
	fill_in(&hole);
	close(v4);
}

static void test_udp(void **state)
{
	uint16_t port;
	int server = dialing_bind(AF_INET, SOCK_DGRAM, 0, &port), type;
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port);
	struct dialing_call called;
	socklen_t len = sizeof(type);
	char byte;

	plan.udp = true;
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(getsockopt(called.result.fd, SOL_SOCKET, SO_TYPE, &type, &len), 0);
	assert_int_equal(type, SOCK_DGRAM);
	assert_int_equal(recv(server, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(send(called.result.fd, "x", 1, 0), 1);
	assert_int_equal(recv(server, &byte, 1, 0), 1);
	close(called.result.fd);
	close(server);
}

static void test_source(void **state)
{
	uint16_t port, busy;
	int listener = dialing_listen(AF_INET, 0, &port), other = dialing_listen(AF_INET, 0, &busy);
	struct dial_plan plan = dialing_plan_at("localhost", port);
	struct dialing_call called;

	plan.source = (struct address){.family = ADDRESS_V4, .ip = {127, 0, 0, 77}};
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempts, 1); /* v6 was never tried */
	assert_true(address_equal_ip(&called.result.local, &plan.source));
	close(called.result.fd);
	plan.source.ip[0] = 203;
	assert_int_equal(dialing_run(&plan).result.err, ERR_NOT_LOCAL);
	plan.source = (struct address){.family = ADDRESS_V4, .ip = {127, 0, 0, 1}, .port = busy};
	assert_int_equal(dialing_run(&plan).result.err, ERR_IN_USE);
	plan.source = (struct address){.family = ADDRESS_V6, .ip = {[15] = 1}};
	strcpy(plan.to.host, "127.0.0.1");
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_ADDRESS);
	close(listener);
	close(other);
}

static void make_unix_path(char *path, size_t cap)
{
	char directory[] = "/tmp/dial-XXXXXX";

	assert_non_null(mkdtemp(directory));
	snprintf(path, cap, "%s/socket", directory);
}

static void remove_unix_path(char *path)
{
	unlink(path);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
}

static int bind_unix(int type, const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	strcpy(un.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	return fd;
}

static struct dial_plan plan_unix(const char *path)
{
	char text[128];

	snprintf(text, sizeof(text), "unix:%s", path);
	return dialing_plan(text);
}

static void test_unix(void **state)
{
	char path[64];
	struct dial_plan plan;
	struct dialing_call called;
	int listener;

	make_unix_path(path, sizeof(path));
	plan = plan_unix(path);
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_FILE);
	listener = bind_unix(SOCK_STREAM, path);
	assert_int_equal(dialing_run(&plan).result.err, ERR_REFUSED);
	assert_int_equal(listen(listener, 1), 0);
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.remote.family, ADDRESS_UNIX);
	assert_int_equal(called.result.attempts, 1);
	close(called.result.fd);
	close(listener);
	remove_unix_path(path);
}

/* A full queue is waited for, as long as there is time. */
static void test_unix_listener_that_is_full(void **state)
{
	char path[64];
	struct dial_plan plan;
	struct dialing_call first, called;
	int listener, peer;

	make_unix_path(path, sizeof(path));
	plan = plan_unix(path);
	listener = bind_unix(SOCK_STREAM, path);
	assert_int_equal(listen(listener, 0), 0);
	first = dialing_run(&plan);
	assert_int_equal(first.result.err, 0);
	plan.timeout_ms = DIALING_SHORT_MS;
	assert_int_equal(dialing_run(&plan).result.err, ERR_TIMEOUT);
	plan.timeout_ms = DIALING_PATIENCE_S * 1000;
	dialing_start(&plan, &called);
	loop_turn(dialing_loop, 0);
	assert_false(called.done);
	peer = accept(listener, NULL, NULL);
	dialing_turn_until(&called.done);
	assert_int_equal(called.result.err, 0);
	close(called.result.fd);
	close(peer);
	close(first.result.fd);
	close(listener);
	remove_unix_path(path);
}

static void test_unix_datagrams_can_be_answered(void **state)
{
	char path[64], byte;
	struct dial_plan plan;
	struct dialing_call called;
	struct sockaddr_un from;
	socklen_t len = sizeof(from);
	int server;

	make_unix_path(path, sizeof(path));
	plan = plan_unix(path);
	plan.udp = true;
	server = bind_unix(SOCK_DGRAM, path);
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(send(called.result.fd, "x", 1, 0), 1);
	assert_int_equal(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &len), 1);
	assert_int_equal(sendto(server, "y", 1, 0, (struct sockaddr *)&from, len), 1);
	assert_int_equal(recv(called.result.fd, &byte, 1, 0), 1);
	close(called.result.fd);
	close(server);
	remove_unix_path(path);
}

static void test_cancels_at_every_stage(void **state)
{
	uint16_t port;
	struct hole hole = dig(dialing_bind(AF_INET, SOCK_STREAM, 0, &port));
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port),
			 by_path = plan_unix("/nowhere/socket");
	struct dialing_call called, other;
	struct dial *d;

	dial_cancel(dialing_start(&plan, &called)); /* before the name is known */
	d = dialing_start(&plan, &called);
	while (private_descriptors() < dialing_descriptors + 4) /* hole: 3; the attempt's own */
		loop_turn(dialing_loop, DIALING_TURN_MS);
	dial_cancel(d);
	assert_int_equal(private_descriptors(), dialing_descriptors + 3);
	dial_cancel(dialing_start(&by_path, &other));
	loop_turn(dialing_loop, 0);
	loop_turn(dialing_loop, 0);
	assert_false(called.done || other.done);
	fill_in(&hole);
}

static void test_out_of_descriptors(void **state)
{
	struct dial_plan plan = dialing_plan("localhost:7");
	struct rlimit before, none;
	struct dialing_call called;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	called = dialing_run(&plan);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(called.result.err, ERR_DESCRIPTORS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIALING_TEST(test_connects),
		DIALING_TEST(test_localhost_by_either_family),
		DIALING_TEST(test_refused),
		DIALING_TEST(test_times_out),
		DIALING_TEST(test_a_dead_family_costs_one_delay),
		DIALING_TEST(test_less_patience_than_a_delay),
		DIALING_TEST(test_a_refusing_family_costs_nothing),
		DIALING_TEST(test_refused_tells_more_than_silence),
		DIALING_TEST(test_udp),
		DIALING_TEST(test_source),
		DIALING_TEST(test_unix),
		DIALING_TEST(test_unix_listener_that_is_full),
		DIALING_TEST(test_unix_datagrams_can_be_answered),
		DIALING_TEST(test_cancels_at_every_stage),
		DIALING_TEST(test_out_of_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
