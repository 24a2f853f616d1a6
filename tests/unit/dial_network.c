/* Dialing where the network is the test's own: families that are off, routes and firewalls that say
 * no, names and name servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "dialing.h"
#include "private.h"

/* A name server that nobody runs refuses at once. */
static const char nobody[] = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

/* The kernel gives a socket that calls a port of its own range that very port, sooner or later.
 * Here it has no other. */
static void test_never_connects_to_itself(void **state)
{
	struct dial_plan plan = dialing_plan("127.0.0.1:40111");

	if (!private_here() || !private_run("sysctl -w net.ipv4.ip_local_port_range='40111 40111'"))
		skip();
	assert_int_equal(dialing_run(&plan).result.err, ERR_REFUSED);
	plan = dialing_plan("127.0.0.1:40112");
	assert_int_equal(dialing_run(&plan).result.err, ERR_REFUSED);
	assert_true(private_run("sysctl -w net.ipv4.ip_local_port_range='32768 60999'"));
}

static void test_no_port_left(void **state)
{
	uint16_t port;
	int listener = dialing_listen(AF_INET, 0, &port);
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port);
	struct dialing_call first, called;

	if (!private_here() ||
	    !private_run("sysctl -w net.ipv4.ip_local_port_range='40111 40111'")) {
		close(listener);
		skip();
	}
	first = dialing_run(&plan);
	called = dialing_run(&plan);
	assert_true(private_run("sysctl -w net.ipv4.ip_local_port_range='32768 60999'"));
	assert_int_equal(first.result.err, 0);
	assert_int_equal(called.result.err, ERR_IN_USE);
	close(first.result.fd);
	close(listener);
}

static void test_family_that_is_off(void **state)
{
	uint16_t port;
	int listener = dialing_listen(AF_INET, 0, &port);
	struct dial_plan plan = dialing_plan_at("localhost", port);
	struct dialing_call called;

	if (!private_here() || !private_run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6")) {
		close(listener);
		skip();
	}
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, 0);
	assert_int_equal(called.result.attempt[0].err, ERR_NO_FAMILY);
	close(called.result.fd);
	plan = dialing_plan("[::1]:7");
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_FAMILY);
	plan = dialing_plan("[2001:db8::1]:7");
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_FAMILY);
	/* the family that is missing says nothing, the other's refusal does */
	close(listener);
	plan = dialing_plan_at("localhost", port);
	assert_int_equal(dialing_run(&plan).result.err, ERR_REFUSED);
	assert_true(private_run("echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6"));
}

static void test_unreachable_and_prohibited(void **state)
{
	struct dial_plan plan = dialing_plan("198.51.100.1:7");

	if (!private_here() || !private_run("ip -V"))
		skip();
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_ROUTE); /* only loopback here */
	plan = dialing_plan("[2001:db8:1::1]:7");
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_ROUTE);
	plan = dialing_plan("198.51.100.1:7");
	assert_true(private_run("ip addr add 192.0.2.1/24 dev lo && "
				"ip addr add 2001:db8::1/64 nodad dev lo"));
	assert_int_equal(dialing_run(&plan).result.err, ERR_UNREACHABLE);
	assert_true(private_run("ip route add unreachable 198.51.100.0/24"));
	assert_int_equal(dialing_run(&plan).result.err, ERR_UNREACHABLE);
	assert_true(private_run("ip route replace prohibit 198.51.100.0/24"));
	assert_int_equal(dialing_run(&plan).result.err, ERR_PROHIBITED);
	assert_true(private_run("ip route replace blackhole 198.51.100.0/24"));
	assert_int_equal(dialing_run(&plan).result.err, ERR_UNREACHABLE);
	plan = dialing_plan("[2001:db8:1::1]:7");
	assert_int_equal(dialing_run(&plan).result.err, ERR_UNREACHABLE);
	assert_true(private_run("ip -6 route add prohibit 2001:db8:1::/64"));
	assert_int_equal(dialing_run(&plan).result.err, ERR_PROHIBITED);
	plan.udp = true;
	assert_int_equal(dialing_run(&plan).result.err, ERR_PROHIBITED);
	assert_true(private_run(
		"ip addr del 192.0.2.1/24 dev lo && ip addr del 2001:db8::1/64 dev lo && "
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
	plan = dialing_plan(text);
	came = dialing_run(&plan).result.err;
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
	/* over loopback these come while connect(2) holds the socket: they count from the second
	 * SYN */
	reject("ip6", "::1", "reject with icmpv6 type admin-prohibited", ERR_PROHIBITED);
	reject("ip6", "::1", "reject with icmpv6 type addr-unreachable", ERR_UNREACHABLE);
	reject("ip6", "::1", "reject with icmpv6 type port-unreachable", ERR_REFUSED);
	/* SYNs that vanish on the way */
	assert_true(
		private_run("nft flush ruleset && nft add table inet t && "
			    "nft 'add chain inet t i { type filter hook input priority 0; }' && "
			    "nft 'add rule inet t i ip daddr 127.0.0.9 drop'"));
	{
		struct dial_plan plan = dialing_plan("127.0.0.9:7");

		plan.timeout_ms = DIALING_SHORT_MS;
		assert_int_equal(dialing_run(&plan).result.err, ERR_TIMEOUT);
	}
	assert_true(private_run("nft flush ruleset"));
}

/* The first SYN is answered by a firewall, the second by the listener, before the loop looks: what
 * the firewall said must not stick to the connection. */
static void test_an_early_icmp_leaves_no_trace(void **state)
{
	uint16_t port;
	int listener = dialing_listen(AF_INET, 0, &port), peer;
	struct dial_plan plan = dialing_plan_at("127.0.0.1", port);
	struct dialing_call call;
	struct pollfd look = {.events = 0};

	if (!private_here() ||
	    !private_run("nft flush ruleset && nft add table inet t && "
			 "nft 'add chain inet t o { type filter hook output priority 0; }' && "
			 "nft 'add rule inet t o tcp flags syn reject with icmp type "
			 "host-unreachable'")) {
		close(listener);
		skip();
	}
	dialing_start(&plan, &call);
	loop_turn(dialing_loop, 0);
	assert_true(private_run("nft flush ruleset"));
	peer = accept(listener, NULL, NULL);
	assert_true(peer >= 0);
	dialing_turn_until(&call.done);
	assert_int_equal(call.result.err, 0);
	look.fd = call.result.fd;
	assert_int_equal(poll(&look, 1, 0), 0);
	close(call.result.fd);
	close(peer);
	close(listener);
}

static void test_names(void **state)
{
	uint16_t port;
	int listener = dialing_listen(AF_INET, 0, &port);
	struct dial_plan plan = dialing_plan_at("alias.test", port);
	struct dialing_call called;

	if (!private_here()) {
		close(listener);
		skip();
	}
	private_resolver("127.0.0.1 main.test alias.test\n", nobody, "files");
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, 0);
	assert_string_equal(called.canonical, "main.test");
	close(called.result.fd);
	plan.families = NAME_V6_ONLY;
	assert_int_equal(dialing_run(&plan).result.err, ERR_NO_ADDRESS);
	plan = dialing_plan_at("trucbidule", port);
	called = dialing_run(&plan);
	assert_int_equal(called.result.err, ERR_NO_NAME);
	assert_int_equal(called.result.attempts, 0);
	private_resolver("", nobody, "files dns");
	assert_int_equal(dialing_run(&plan).result.err, ERR_NAME_SERVER);
	close(listener);
}

/* A name server that never answers, and a caller with less patience than the resolver. */
static void test_silent_name_server(void **state)
{
	uint16_t port;
	int server = private_here() ? dialing_bind(AF_INET, SOCK_DGRAM, 53, &port) : -1;
	struct dial_plan plan = dialing_plan("slow.test:7");
	struct dialing_call called;

	if (server < 0)
		skip();
	private_resolver("", nobody, "dns");
	plan.timeout_ms = DIALING_SHORT_MS;
	called = dialing_run_within(&plan, DIALING_SHORT_MS + 2000);
	assert_int_equal(called.result.err, ERR_NAME_SERVER);
	assert_true(called.result.name_ns >= DIALING_SHORT_MS * MOMENT_MS);
	dial_cancel(dialing_start(&plan, &called)); /* while its thread still waits for the first */
	assert_false(called.done);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIALING_TEST(test_never_connects_to_itself),
		DIALING_TEST(test_no_port_left),
		DIALING_TEST(test_family_that_is_off),
		DIALING_TEST(test_unreachable_and_prohibited),
		DIALING_TEST(test_a_firewalls_answers),
		DIALING_TEST(test_an_early_icmp_leaves_no_trace),
		DIALING_TEST(test_names),
		DIALING_TEST(test_silent_name_server),
	};

	private_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
