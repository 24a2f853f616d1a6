/* Dialing over loopback: every way in which it can end, and no descriptor left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "net/dial.h"
#include "private.h"

enum { TURN_MS = 100, PATIENCE_S = 20, SHORT_MS = 400, PORT_TRIES = 100 };

static const char nobody[] = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

static struct loop *loop;
static struct work *work;
static unsigned descriptors;

struct called {
	bool done;
	struct dial_result result;
	char canonical[NAME_BYTES];
};

static int set_up(void **state)
{
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(work_create(&work, 2), 0);
	descriptors = private_descriptors();
	return 0;
}

/* Whatever a test did, as many descriptors are open as before it. */
static int tear_down(void **state)
{
	work_destroy(work);
	loop_turn(loop, 0);
	assert_int_equal(private_descriptors(), descriptors);
	loop_destroy(loop);
	return 0;
}

static void on_done(void *owner, const struct dial_result *result)
{
	struct called *called = owner;
	struct text t = TEXT_OVER(called->canonical);

	assert_false(called->done);
	called->done = true;
	called->result = *result;
	if (result->canonical != NULL)
		text_put_string(&t, result->canonical);
}

static void turn_until(const bool *done)
{
	uint64_t deadline_ns = loop_now(loop)->boot_ns + PATIENCE_S * MOMENT_S;

	while (!*done && loop_now(loop)->boot_ns < deadline_ns)
		loop_turn(loop, TURN_MS);
	assert_true(*done);
}

static struct dial_plan plan_to(const char *text)
{
	struct dial_plan plan = {.timeout_ms = PATIENCE_S * 1000};

	assert_int_equal(endpoint_parse_peer(text, 0, false, &plan.to), 0);
	return plan;
}

static struct dial *start(const struct dial_plan *plan, struct called *called)
{
	struct dial *dial;

	*called = (struct called){0};
	assert_int_equal(dial_start(loop, work, plan, on_done, called, &dial), 0);
	assert_false(called->done);
	return dial;
}

static struct called dial(const struct dial_plan *plan)
{
	struct called called;

	start(plan, &called);
	turn_until(&called.done);
	assert_int_equal(called.result.err == 0, called.result.fd >= 0);
	return called;
}

static uint64_t elapsed_ms(uint64_t since_ns)
{
	return (loop_now(loop)->boot_ns - since_ns) / MOMENT_MS;
}

static int bind_any(int family, int type, uint16_t port, uint16_t *bound)
{
	struct address a = {.family = family == AF_INET6 ? ADDRESS_V6 : ADDRESS_V4, .port = port};
	struct sockaddr_storage ss;
	socklen_t len;
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (family == AF_INET6)
		a.ip[15] = 1;
	else
		memcpy(a.ip, (uint8_t[]){127, 0, 0, 1}, 4);
	len = endpoint_to_sockaddr(&a, &ss);
	if (bind(fd, (struct sockaddr *)&ss, len) != 0) {
		close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	endpoint_from_sockaddr((struct sockaddr *)&ss, len, &a);
	*bound = a.port;
	return fd;
}

static int listen_at(int family, uint16_t port, uint16_t *bound)
{
	int fd = bind_any(family, SOCK_STREAM, port, bound);

	if (fd >= 0)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

/* A port where ::1 is bound by `v6` and 127.0.0.1 by `v4`; neither listens yet. */
static uint16_t bind_both(int type, int *v6, int *v4)
{
	uint16_t port, same;

	for (int i = 0; i < PORT_TRIES; i++) {
		*v6 = bind_any(AF_INET6, type, 0, &port);
		if (*v6 < 0)
			return 0;
		*v4 = bind_any(AF_INET, type, port, &same);
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
		hole.client[i] = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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

static struct dial_plan plan_at(const char *host, uint16_t port)
{
	char text[ENDPOINT_HOST_BYTES + 8];

	snprintf(text, sizeof(text), "%s:%u", host, port);
	return plan_to(text);
}

static void test_connects(void **state)
{
	uint16_t port;
	int listener = listen_at(AF_INET, 0, &port), on = 0, peer;
	struct dial_plan plan = plan_at("127.0.0.1", port);
	struct called called = dial(&plan);
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
	assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_RECVERR, &on, &len), 0);
	assert_false(on);
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
	int listener = listen_at(AF_INET, 0, &port);
	struct dial_plan plan = plan_at("localhost", port);
	struct called called = dial(&plan);

	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.remote.family, ADDRESS_V4);
	assert_int_equal(called.result.attempts, 2);
	assert_true(called.result.attempt[0].err != 0);
	close(called.result.fd);
	plan.families = NAME_V6_ONLY;
	called = dial(&plan);
	assert_true(called.result.err == ERR_REFUSED || called.result.err == ERR_NO_FAMILY);
	close(listener);
}

static void test_refused(void **state)
{
	uint16_t port;
	int bound = bind_any(AF_INET, SOCK_STREAM, 0, &port);
	struct dial_plan plan = plan_at("127.0.0.1", port);
	struct called called = dial(&plan);

	assert_int_equal(called.result.err, ERR_REFUSED);
	assert_int_equal(called.result.fd, -1);
	assert_int_equal(called.result.attempts, 1);
	assert_int_equal(called.result.attempt[0].err, ERR_REFUSED);
	plan.to.host[0] = '\0';
	strcpy(plan.to.host, "localhost");
	assert_int_equal(dial(&plan).result.err, ERR_REFUSED);
	close(bound);
}

static void test_times_out(void **state)
{
	uint16_t port;
	struct hole hole = dig(bind_any(AF_INET, SOCK_STREAM, 0, &port));
	struct dial_plan plan = plan_at("127.0.0.1", port);
	uint64_t begun_ns;
	struct called called;

	plan.timeout_ms = SHORT_MS;
	loop_refresh(loop);
	begun_ns = loop_now(loop)->boot_ns;
	called = dial(&plan);
	assert_int_equal(called.result.err, ERR_TIMEOUT);
	assert_int_equal(called.result.attempts, 1);
	assert_int_equal(called.result.attempt[0].err, ERR_TIMEOUT);
	assert_in_range(elapsed_ms(begun_ns), SHORT_MS, SHORT_MS + 2000);
	fill_in(&hole);
}

static void test_a_dead_family_costs_one_delay(void **state)
{
	int v6, v4;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct hole hole;
	struct dial_plan plan;
	struct called called;
	uint64_t begun_ns;

	if (port == 0)
		skip();
	hole = dig(v6);
	assert_int_equal(listen(v4, 1), 0);
	plan = plan_at("localhost", port);
	loop_refresh(loop);
	begun_ns = loop_now(loop)->boot_ns;
	called = dial(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.remote.family, ADDRESS_V4);
	assert_int_equal(called.result.attempts, 2);
	assert_int_equal(called.result.attempt[0].err, ERR_TIMEOUT);
	assert_in_range(called.result.attempt[0].took_ns / MOMENT_MS, 249, 600);
	assert_in_range(elapsed_ms(begun_ns), 249, 600);
	close(called.result.fd);
	fill_in(&hole);
	close(v4);
}

static void test_a_refusing_family_costs_nothing(void **state)
{
	int v6, v4;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct dial_plan plan;
	struct called called;
	uint64_t begun_ns;

	if (port == 0)
		skip();
	assert_int_equal(listen(v4, 1), 0);
	plan = plan_at("localhost", port);
	loop_refresh(loop);
	begun_ns = loop_now(loop)->boot_ns;
	called = dial(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempt[0].err, ERR_REFUSED);
	assert_in_range(elapsed_ms(begun_ns), 0, 200);
	close(called.result.fd);
	close(v6);
	close(v4);
}

static void test_refused_tells_more_than_silence(void **state)
{
	int v6, v4;
	uint16_t port = bind_both(SOCK_STREAM, &v6, &v4);
	struct hole hole;
	struct dial_plan plan;
	struct called called;

	if (port == 0)
		skip();
	hole = dig(v6);
	plan = plan_at("localhost", port);
	plan.timeout_ms = SHORT_MS;
	called = dial(&plan);
	assert_int_equal(called.result.err, ERR_REFUSED);
	assert_int_equal(called.result.attempt[0].err, ERR_TIMEOUT);
	assert_int_equal(called.result.attempt[1].err, ERR_REFUSED);
	fill_in(&hole);
	close(v4);
}

static void test_udp(void **state)
{
	uint16_t port;
	int server = bind_any(AF_INET, SOCK_DGRAM, 0, &port), type;
	struct dial_plan plan = plan_at("127.0.0.1", port);
	struct called called;
	socklen_t len = sizeof(type);
	char byte;

	plan.udp = true;
	called = dial(&plan);
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
	int listener = listen_at(AF_INET, 0, &port), other = listen_at(AF_INET, 0, &busy);
	struct dial_plan plan = plan_at("localhost", port);
	struct called called;

	plan.source = (struct address){.family = ADDRESS_V4, .ip = {127, 0, 0, 77}};
	called = dial(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempts, 1); /* v6 was never tried */
	assert_true(address_equal_ip(&called.result.local, &plan.source));
	close(called.result.fd);
	plan.source.ip[0] = 203;
	assert_int_equal(dial(&plan).result.err, ERR_NOT_LOCAL);
	plan.source = (struct address){.family = ADDRESS_V4, .ip = {127, 0, 0, 1}, .port = busy};
	assert_int_equal(dial(&plan).result.err, ERR_IN_USE);
	plan.source = (struct address){.family = ADDRESS_V6, .ip = {[15] = 1}};
	strcpy(plan.to.host, "127.0.0.1");
	assert_int_equal(dial(&plan).result.err, ERR_NO_ADDRESS);
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
	return plan_to(text);
}

static void test_unix(void **state)
{
	char path[64];
	struct dial_plan plan;
	struct called called;
	int listener;

	make_unix_path(path, sizeof(path));
	plan = plan_unix(path);
	assert_int_equal(dial(&plan).result.err, ERR_NO_FILE);
	listener = bind_unix(SOCK_STREAM, path);
	assert_int_equal(dial(&plan).result.err, ERR_REFUSED);
	assert_int_equal(listen(listener, 1), 0);
	called = dial(&plan);
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
	struct called first, called;
	int listener, peer;

	make_unix_path(path, sizeof(path));
	plan = plan_unix(path);
	listener = bind_unix(SOCK_STREAM, path);
	assert_int_equal(listen(listener, 0), 0);
	first = dial(&plan);
	assert_int_equal(first.result.err, 0);
	plan.timeout_ms = SHORT_MS;
	assert_int_equal(dial(&plan).result.err, ERR_TIMEOUT);
	plan.timeout_ms = PATIENCE_S * 1000;
	start(&plan, &called);
	loop_turn(loop, 0);
	assert_false(called.done);
	peer = accept(listener, NULL, NULL);
	turn_until(&called.done);
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
	struct called called;
	struct sockaddr_un from;
	socklen_t len = sizeof(from);
	int server;

	make_unix_path(path, sizeof(path));
	plan = plan_unix(path);
	plan.udp = true;
	server = bind_unix(SOCK_DGRAM, path);
	called = dial(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(send(called.result.fd, "x", 1, 0), 1);
	assert_int_equal(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&from, &len), 1);
	assert_int_equal(sendto(server, "y", 1, 0, (struct sockaddr *)&from, len), 1);
	assert_int_equal(recv(called.result.fd, &byte, 1, 0), 1);
	close(called.result.fd);
	close(server);
	remove_unix_path(path);
}

/* The kernel gives a socket that calls a port of its own range that very port, sooner or later. Here
 * it has no other. */
static void test_never_connects_to_itself(void **state)
{
	struct dial_plan plan = plan_to("127.0.0.1:40111");

	if (!private_here() ||
	    !private_run("sysctl -w net.ipv4.ip_local_port_range='40111 40111'"))
		skip();
	assert_int_equal(dial(&plan).result.err, ERR_REFUSED);
	plan = plan_to("127.0.0.1:40112");
	assert_int_equal(dial(&plan).result.err, ERR_REFUSED);
	assert_true(private_run("sysctl -w net.ipv4.ip_local_port_range='32768 60999'"));
}

static void test_no_port_left(void **state)
{
	uint16_t port;
	int listener = listen_at(AF_INET, 0, &port);
	struct dial_plan plan = plan_at("127.0.0.1", port);
	struct called first, called;

	if (!private_here() ||
	    !private_run("sysctl -w net.ipv4.ip_local_port_range='40111 40111'")) {
		close(listener);
		skip();
	}
	first = dial(&plan);
	called = dial(&plan);
	assert_true(private_run("sysctl -w net.ipv4.ip_local_port_range='32768 60999'"));
	assert_int_equal(first.result.err, 0);
	assert_int_equal(called.result.err, ERR_IN_USE);
	close(first.result.fd);
	close(listener);
}

static void test_family_that_is_off(void **state)
{
	uint16_t port;
	int listener = listen_at(AF_INET, 0, &port);
	struct dial_plan plan = plan_at("localhost", port);
	struct called called;

	if (!private_here() ||
	    !private_run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")) {
		close(listener);
		skip();
	}
	called = dial(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempt[0].err, ERR_NO_FAMILY);
	close(called.result.fd);
	plan = plan_to("[::1]:7");
	assert_int_equal(dial(&plan).result.err, ERR_NO_FAMILY);
	plan = plan_to("[2001:db8::1]:7");
	assert_int_equal(dial(&plan).result.err, ERR_NO_FAMILY);
	/* the family that is missing says nothing, the other's refusal does */
	close(listener);
	plan = plan_at("localhost", port);
	assert_int_equal(dial(&plan).result.err, ERR_REFUSED);
	assert_true(private_run("echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6"));
}

static void test_unreachable_and_prohibited(void **state)
{
	struct dial_plan plan = plan_to("198.51.100.1:7");

	if (!private_here() || !private_run("ip -V"))
		skip();
	assert_int_equal(dial(&plan).result.err, ERR_NO_FAMILY); /* only loopback here */
	assert_true(private_run("ip addr add 192.0.2.1/24 dev lo && "
				"ip addr add 2001:db8::1/64 nodad dev lo"));
	assert_int_equal(dial(&plan).result.err, ERR_UNREACHABLE);
	assert_true(private_run("ip route add unreachable 198.51.100.0/24"));
	assert_int_equal(dial(&plan).result.err, ERR_UNREACHABLE);
	assert_true(private_run("ip route replace prohibit 198.51.100.0/24"));
	assert_int_equal(dial(&plan).result.err, ERR_PROHIBITED);
	assert_true(private_run("ip route replace blackhole 198.51.100.0/24"));
	assert_int_equal(dial(&plan).result.err, ERR_UNREACHABLE);
	plan = plan_to("[2001:db8:1::1]:7");
	assert_int_equal(dial(&plan).result.err, ERR_UNREACHABLE);
	assert_true(private_run("ip -6 route add prohibit 2001:db8:1::/64"));
	assert_int_equal(dial(&plan).result.err, ERR_PROHIBITED);
	plan.udp = true;
	assert_int_equal(dial(&plan).result.err, ERR_PROHIBITED);
	assert_true(private_run("ip addr del 192.0.2.1/24 dev lo && ip addr del 2001:db8::1/64 dev lo && "
				"ip route del 198.51.100.0/24 && ip route del 2001:db8:1::/64"));
}

static void reject(const char *family, const char *to, const char *how, int err)
{
	char rules[256], text[64];
	struct dial_plan plan;
	int came;

	snprintf(rules, sizeof(rules),
		 "nft flush ruleset && nft add table inet t && "
		 "nft 'add chain inet t o { type filter hook output priority 0; }' && "
		 "nft 'add rule inet t o %s daddr %s meta l4proto tcp %s'",
		 family, to, how);
	assert_true(private_run(rules));
	snprintf(text, sizeof(text), strchr(to, ':') != NULL ? "[%s]:7" : "%s:7", to);
	plan = plan_to(text);
	came = dial(&plan).result.err;
	if (came != err)
		fail_msg("%s: %s, not %s", how, err_name(came), err_name(err));
}

static void test_a_firewalls_answers(void **state)
{
	if (!private_here() || !private_run("nft flush ruleset"))
		skip();
	reject("ip", "127.0.0.9", "reject with icmp type admin-prohibited", ERR_PROHIBITED);
	reject("ip", "127.0.0.9", "reject with icmp type host-prohibited", ERR_PROHIBITED);
	reject("ip", "127.0.0.9", "reject with icmp type net-prohibited", ERR_PROHIBITED);
	reject("ip", "127.0.0.9", "reject with icmp type host-unreachable", ERR_UNREACHABLE);
	reject("ip", "127.0.0.9", "reject with icmp type net-unreachable", ERR_UNREACHABLE);
	reject("ip", "127.0.0.9", "reject with icmp type port-unreachable", ERR_REFUSED);
	reject("ip", "127.0.0.9", "reject with tcp reset", ERR_REFUSED);
	/* over loopback these come while connect(2) holds the socket: they count from the second SYN */
	reject("ip6", "::1", "reject with icmpv6 type admin-prohibited", ERR_PROHIBITED);
	reject("ip6", "::1", "reject with icmpv6 type addr-unreachable", ERR_UNREACHABLE);
	reject("ip6", "::1", "reject with icmpv6 type port-unreachable", ERR_REFUSED);
	/* SYNs that vanish on the way */
	assert_true(private_run("nft flush ruleset && nft add table inet t && "
				"nft 'add chain inet t i { type filter hook input priority 0; }' && "
				"nft 'add rule inet t i ip daddr 127.0.0.9 drop'"));
	{
		struct dial_plan plan = plan_to("127.0.0.9:7");

		plan.timeout_ms = SHORT_MS;
		assert_int_equal(dial(&plan).result.err, ERR_TIMEOUT);
	}
	assert_true(private_run("nft flush ruleset"));
}

static void test_names(void **state)
{
	uint16_t port;
	int listener = listen_at(AF_INET, 0, &port);
	struct dial_plan plan = plan_at("alias.test", port);
	struct called called;

	if (!private_here()) {
		close(listener);
		skip();
	}
	private_resolver("127.0.0.1 main.test alias.test\n", nobody, "files");
	called = dial(&plan);
	assert_int_equal(called.result.err, 0);
	assert_string_equal(called.canonical, "main.test");
	close(called.result.fd);
	plan.families = NAME_V6_ONLY;
	assert_int_equal(dial(&plan).result.err, ERR_NO_ADDRESS);
	plan = plan_at("trucbidule", port);
	called = dial(&plan);
	assert_int_equal(called.result.err, ERR_NO_NAME);
	assert_int_equal(called.result.attempts, 0);
	private_resolver("", nobody, "files dns");
	assert_int_equal(dial(&plan).result.err, ERR_NAME_SERVER);
	close(listener);
}

/* A name server that never answers, and a caller with less patience than the resolver. */
static void test_silent_name_server(void **state)
{
	uint16_t port;
	int server = private_here() ? bind_any(AF_INET, SOCK_DGRAM, 53, &port) : -1;
	struct dial_plan plan = plan_to("slow.test:7");
	struct called called;

	if (server < 0)
		skip();
	private_resolver("", nobody, "dns");
	plan.timeout_ms = SHORT_MS;
	called = dial(&plan);
	assert_int_equal(called.result.err, ERR_NAME_SERVER);
	assert_in_range(called.result.name_ns / MOMENT_MS, SHORT_MS, SHORT_MS + 2000);
	dial_cancel(start(&plan, &called)); /* while its thread still waits for the first */
	assert_false(called.done);
	close(server);
}

static void test_cancels_at_every_stage(void **state)
{
	uint16_t port;
	struct hole hole = dig(bind_any(AF_INET, SOCK_STREAM, 0, &port));
	struct dial_plan plan = plan_at("127.0.0.1", port), by_path = plan_unix("/nowhere/socket");
	struct called called, other;
	struct dial *d;

	dial_cancel(start(&plan, &called)); /* before the name is known */
	d = start(&plan, &called);
	while (private_descriptors() < descriptors + 4) /* hole: 3; the attempt's own */
		loop_turn(loop, TURN_MS);
	dial_cancel(d);
	assert_int_equal(private_descriptors(), descriptors + 3);
	dial_cancel(start(&by_path, &other));
	loop_turn(loop, 0);
	loop_turn(loop, 0);
	assert_false(called.done || other.done);
	fill_in(&hole);
}

static void test_out_of_descriptors(void **state)
{
	struct dial_plan plan = plan_to("localhost:7");
	struct rlimit before, none;
	struct called called;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	called = dial(&plan);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(called.result.err, ERR_DESCRIPTORS);
}

#define DIAL_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIAL_TEST(test_connects),
		DIAL_TEST(test_localhost_by_either_family),
		DIAL_TEST(test_refused),
		DIAL_TEST(test_times_out),
		DIAL_TEST(test_a_dead_family_costs_one_delay),
		DIAL_TEST(test_a_refusing_family_costs_nothing),
		DIAL_TEST(test_refused_tells_more_than_silence),
		DIAL_TEST(test_udp),
		DIAL_TEST(test_source),
		DIAL_TEST(test_unix),
		DIAL_TEST(test_unix_listener_that_is_full),
		DIAL_TEST(test_unix_datagrams_can_be_answered),
		DIAL_TEST(test_never_connects_to_itself),
		DIAL_TEST(test_no_port_left),
		DIAL_TEST(test_family_that_is_off),
		DIAL_TEST(test_unreachable_and_prohibited),
		DIAL_TEST(test_a_firewalls_answers),
		DIAL_TEST(test_names),
		DIAL_TEST(test_silent_name_server),
		DIAL_TEST(test_cancels_at_every_stage),
		DIAL_TEST(test_out_of_descriptors),
	};

	private_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
