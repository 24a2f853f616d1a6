/* Addresses as people write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/endpoint.h"

struct row {
	const char *text;
	int err;
	const char *host;
	uint16_t port;
	const char *shown; /* NULL: as `text` */
};

static void check(const struct row *row, int err, const struct endpoint *e)
{
	char shown[ENDPOINT_HOST_BYTES + 16];
	struct text t = TEXT_OVER(shown);

	if (err != row->err)
		fail_msg("%s: %d, not %d", row->text, err, row->err);
	if (err != 0)
		return;
	assert_string_equal(e->host, row->host);
	assert_int_equal(e->port, row->port);
	endpoint_put(&t, e);
	assert_string_equal(shown, row->shown != NULL ? row->shown : row->text);
}

static const struct row peers[] = {
	{"localhost:7013", 0, "localhost", 7013},
	{"10.0.0.1:1", 0, "10.0.0.1", 1},
	{"a.example:65535", 0, "a.example", 65535},
	{"[::1]:7013", 0, "::1", 7013},
	{"[fe80::1%eth0]:7", 0, "fe80::1%eth0", 7},
	{":7013", 0, "localhost", 7013, "localhost:7013"},
	{"host", 0, "host", 77, "host:77"},
	{"::1", 0, "::1", 77, "[::1]:77"},
	{"[::1]", 0, "::1", 77, "[::1]:77"},
	{"fe80::1%eth0", 0, "fe80::1%eth0", 77, "[fe80::1%eth0]:77"},
	{"2001:db8::7:1", 0, "2001:db8::7:1", 77, "[2001:db8::7:1]:77"},
	{"::ffff:1.2.3.4", 0, "::ffff:1.2.3.4", 77, "[::ffff:1.2.3.4]:77"},
	{"münchen.example:1", 0, "münchen.example", 1},
	{"unix:/run/x:y", 0, "/run/x:y", 0},
	{"unix:x", 0, "x", 0},
	{"host:0", ERR_RANGE},
	{"host:00", ERR_RANGE},
	{"host:65536", ERR_RANGE},
	{"host:99999999999999999999999", ERR_RANGE},
	{"host:nosuchservice", ERR_NO_NAME},
	{"host:-1", ERR_SYNTAX},
	{"host:+7", ERR_SYNTAX},
	{"host: 7", ERR_SYNTAX},
	{"host:7 ", ERR_SYNTAX},
	{"", ERR_SYNTAX},
	{":", ERR_SYNTAX},
	{"host:", ERR_SYNTAX},
	{"[::1", ERR_SYNTAX},
	{"[::1]7", ERR_SYNTAX},
	{"[::1]:", ERR_SYNTAX},
	{"[]:7", ERR_SYNTAX},
	{"[host]:7", ERR_SYNTAX},
	{"[1.2.3.4]:7", ERR_SYNTAX},
	{"a:b:7", ERR_SYNTAX},
	{"1.2.3.4:5:6", ERR_SYNTAX},
	{"http://host/", ERR_SYNTAX},
	{"host/7", ERR_SYNTAX},
	{"two words:7", ERR_SYNTAX},
	{"a\nb:7", ERR_SYNTAX},
	{"unix:", ERR_SYNTAX},
};

static void test_peers(void **state)
{
	for (unsigned i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		const struct row *row = &peers[i];
		struct endpoint e;
		int err = endpoint_parse_peer(row->text, 77, false, &e);

		check(row, err, &e);
		if (err != 0)
			continue;
		assert_int_equal(e.unix_path, strncmp(row->text, "unix:", 5) == 0);
		assert_false(e.any || e.loopback);
	}
}

static void test_peer_needs_a_port(void **state)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_peer("host", 0, false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer("::1", 0, false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer("[::1]", 0, false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer("host:1", 0, false, &e), 0);
	assert_int_equal(endpoint_parse_peer("unix:/x", 0, false, &e), 0);
}

static void test_peer_lengths(void **state)
{
	char text[2 * ENDPOINT_HOST_BYTES];
	struct endpoint e;

	snprintf(text, sizeof(text), "%0*d:7", ENDPOINT_HOST_BYTES - 1, 0);
	assert_int_equal(endpoint_parse_peer(text, 0, false, &e), 0);
	snprintf(text, sizeof(text), "%0*d:7", ENDPOINT_HOST_BYTES, 0);
	assert_int_equal(endpoint_parse_peer(text, 0, false, &e), ERR_SYNTAX);
	snprintf(text, sizeof(text), "unix:%0*d", 107, 0);
	assert_int_equal(endpoint_parse_peer(text, 0, false, &e), 0);
	snprintf(text, sizeof(text), "unix:%0*d", 108, 0);
	assert_int_equal(endpoint_parse_peer(text, 0, false, &e), ERR_SYNTAX);
}

static void test_peer_words(void **state)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_peer_words("host", "7", false, &e), 0);
	assert_string_equal(e.host, "host");
	assert_int_equal(e.port, 7);
	assert_int_equal(endpoint_parse_peer_words("::1", "7", false, &e), 0);
	assert_string_equal(e.host, "::1");
	assert_int_equal(endpoint_parse_peer_words("[::1]", "7", false, &e), 0);
	assert_string_equal(e.host, "::1");
	assert_int_equal(endpoint_parse_peer_words("host:1", "7", false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer_words("", "7", false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer_words("unix:/x", "7", false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer_words("host", "0", false, &e), ERR_RANGE);
	assert_int_equal(endpoint_parse_peer_words("host", "65536", false, &e), ERR_RANGE);
	assert_int_equal(endpoint_parse_peer_words("host", "", false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_peer_words("host", "nosuchservice", false, &e),
			 ERR_NO_NAME);
}

/* The system's table decides; where it has no echo there is nothing to compare with. */
static void test_service_names(void **state)
{
	const struct servent *row = getservbyname("echo", "tcp");
	struct endpoint e;
	uint16_t port = row == NULL ? 0 : ntohs((uint16_t)row->s_port);
	uint16_t got;

	if (row == NULL)
		skip();
	assert_int_equal(endpoint_parse_peer("host:echo", 0, false, &e), 0);
	assert_int_equal(e.port, port);
	assert_int_equal(endpoint_parse_peer_words("host", "echo", false, &e), 0);
	assert_int_equal(e.port, port);
	assert_int_equal(endpoint_parse_port("echo", true, &got), 0);
	assert_int_equal(got, port);
	assert_int_equal(endpoint_parse_listen("echo", 0, false, &e), 0);
	assert_int_equal(e.port, port);
	assert_true(e.loopback);
	row = getservbyname("tftp", "udp");
	if (row == NULL || getservbyname("tftp", "tcp") != NULL)
		return;
	assert_int_equal(endpoint_parse_port("tftp", true, &got), 0);
	assert_int_equal(endpoint_parse_port("tftp", false, &got), ERR_NO_NAME);
}

static const struct row listens[] = {
	{"7777", 0, "localhost", 7777, "localhost:7777"},
	{":7777", 0, "localhost", 7777, "localhost:7777"},
	{"0", 0, "localhost", 0, "localhost"},
	{"127.0.0.1:0", 0, "127.0.0.1", 0, "127.0.0.1"},
	{"*:7777", 0, "*", 7777},
	{"any:7777", 0, "any", 7777, "*:7777"},
	{"*", 0, "*", 77, "*:77"},
	{"any", 0, "any", 77, "*:77"},
	{"10.0.0.1", 0, "10.0.0.1", 77, "10.0.0.1:77"},
	{"10.0.0.1:1", 0, "10.0.0.1", 1},
	{"::1", 0, "::1", 77, "[::1]:77"},
	{"[::1]:1", 0, "::1", 1},
	{"[::]:1", 0, "::", 1},
	{"nosuchservice", 0, "nosuchservice", 77, "nosuchservice:77"},
	{"name:1", 0, "name", 1},
	{"unix:/run/x", 0, "/run/x", 0},
	{"65536", ERR_RANGE},
	{":65536", ERR_RANGE},
	{"*:65536", ERR_RANGE},
	{"*:", ERR_SYNTAX},
	{"", ERR_SYNTAX},
	{":", ERR_SYNTAX},
	{"a b", ERR_SYNTAX},
	{"*:nosuchservice", ERR_NO_NAME},
	{"unix:", ERR_SYNTAX},
};

static void test_listens(void **state)
{
	for (unsigned i = 0; i < sizeof(listens) / sizeof(listens[0]); i++) {
		const struct row *row = &listens[i];
		struct endpoint e;
		int err = endpoint_parse_listen(row->text, 77, false, &e);

		check(row, err, &e);
		if (err != 0)
			continue;
		assert_int_equal(e.any, strncmp(e.host, "*", 2) == 0 || strcmp(e.host, "any") == 0);
		assert_int_equal(e.loopback, strcmp(e.host, "localhost") == 0);
	}
}

static void test_listen_needs_a_port(void **state)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_listen("127.0.0.1", 0, false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_listen("*", 0, false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_listen("[::1]", 0, false, &e), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_listen("127.0.0.1:1", 0, false, &e), 0);
}

static void test_localhost_by_name_is_no_shorthand(void **state)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse_listen("localhost:7", 0, false, &e), 0);
	assert_false(e.loopback);
}

static void test_ports(void **state)
{
	uint16_t port;

	assert_int_equal(endpoint_parse_port("1", false, &port), 0);
	assert_int_equal(port, 1);
	assert_int_equal(endpoint_parse_port("65535", false, &port), 0);
	assert_int_equal(port, 65535);
	assert_int_equal(endpoint_parse_port("007", false, &port), 0);
	assert_int_equal(port, 7);
	assert_int_equal(endpoint_parse_port("0", false, &port), ERR_RANGE);
	assert_int_equal(endpoint_parse_port("65536", false, &port), ERR_RANGE);
	assert_int_equal(endpoint_parse_port("", false, &port), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_port("7-9", false, &port), ERR_SYNTAX);
	assert_int_equal(endpoint_parse_port("nosuchservice", false, &port), ERR_NO_NAME);
}

static void round_trip(const char *ip, uint16_t port, uint32_t scope, socklen_t expected)
{
	struct address a, back;
	struct sockaddr_storage ss;
	socklen_t len;

	assert_int_equal(address_parse_ip(bytes_of_string(ip), &a), 0);
	a.port = port;
	a.scope = scope;
	len = endpoint_to_sockaddr(&a, &ss);
	assert_int_equal(len, expected);
	endpoint_from_sockaddr((struct sockaddr *)&ss, len, &back);
	assert_true(address_equal(&a, &back));
	assert_int_equal(back.scope, scope);
	endpoint_from_sockaddr((struct sockaddr *)&ss, len - 1, &back);
	assert_int_equal(back.family, ADDRESS_NONE);
}

static void test_socket_addresses(void **state)
{
	struct address a = {.family = ADDRESS_V4, .ip = {1, 2, 3, 4}, .port = 258};
	struct sockaddr_storage ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;

	round_trip("1.2.3.4", 65535, 0, sizeof(struct sockaddr_in));
	round_trip("fe80::1", 1, 3, sizeof(struct sockaddr_in6));
	endpoint_to_sockaddr(&a, &ss);
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(in->sin_port, htons(258));
	assert_int_equal(in->sin_addr.s_addr, htonl(0x01020304));
	a = (struct address){.family = ADDRESS_UNIX};
	assert_int_equal(endpoint_to_sockaddr(&a, &ss), sizeof(sa_family_t));
	endpoint_from_sockaddr((struct sockaddr *)&ss, sizeof(sa_family_t), &a);
	assert_int_equal(a.family, ADDRESS_UNIX);
	a = (struct address){0};
	assert_int_equal(endpoint_to_sockaddr(&a, &ss), 0);
	endpoint_from_sockaddr((struct sockaddr *)&ss, 0, &a);
	assert_int_equal(a.family, ADDRESS_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_peer_needs_a_port),
		cmocka_unit_test(test_peer_lengths),
		cmocka_unit_test(test_peer_words),
		cmocka_unit_test(test_service_names),
		cmocka_unit_test(test_listens),
		cmocka_unit_test(test_listen_needs_a_port),
		cmocka_unit_test(test_localhost_by_name_is_no_shorthand),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_socket_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
