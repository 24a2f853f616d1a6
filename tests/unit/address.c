/* Addresses against inet_ntop(3) and inet_pton(3), and the examples of RFC 5952. */
#include "base/address.h"
#include "base/err.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* xorshift64* (Vigna): the same numbers in every run. */
static uint64_t seed = 0x853c49e6748fea9b;

static uint64_t draw(void)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * 0x2545f4914f6cdd1d;
}

static struct address parsed(const char *s)
{
	struct address a;

	if (address_parse_ip(bytes_of_string(s), &a) != 0)
		fail_msg("%s is not understood", s);
	return a;
}

static void check_put(struct address a, const char *expected, const char *expected_ip)
{
	char whole[ADDRESS_TEXT_BYTES], ip[ADDRESS_TEXT_BYTES];
	struct text whole_text = TEXT_OVER(whole), ip_text = TEXT_OVER(ip);

	address_put(&whole_text, &a);
	address_put_ip(&ip_text, &a);
	assert_string_equal(whole, expected);
	assert_string_equal(ip, expected_ip);
	assert_false(whole_text.cut);
}

static struct address with_port(struct address a, uint16_t port)
{
	a.port = port;
	return a;
}

static void put(void **state)
{
	struct address longest;

	check_put(with_port(parsed("127.0.0.1"), 7777), "127.0.0.1:7777", "127.0.0.1");
	check_put(with_port(parsed("::1"), 7777), "[::1]:7777", "::1");
	check_put(with_port(parsed("fe80::1%3"), 0), "[fe80::1%3]:0", "fe80::1%3");
	check_put(parsed("::ffff:10.0.0.1"), "[::ffff:10.0.0.1]:0", "::ffff:10.0.0.1");
	check_put((struct address){.family = ADDRESS_UNIX}, "unix", "unix");
	check_put((struct address){0}, "none", "none");
	longest = parsed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295");
	check_put(with_port(longest, 65535),
		  "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295");
}

/* RFC 5952, section 4, its own examples. */
static void put_as_rfc5952(void **state)
{
	check_put(parsed("2001:0db8::0001"), "[2001:db8::1]:0", "2001:db8::1");
	check_put(parsed("2001:db8:0:0:0:0:2:1"), "[2001:db8::2:1]:0", "2001:db8::2:1");
	check_put(parsed("2001:db8:0:1:1:1:1:1"), "[2001:db8:0:1:1:1:1:1]:0",
		  "2001:db8:0:1:1:1:1:1");
	check_put(parsed("2001:0:0:1:0:0:0:1"), "[2001:0:0:1::1]:0", "2001:0:0:1::1");
	check_put(parsed("2001:db8:0:0:1:0:0:1"), "[2001:db8::1:0:0:1]:0", "2001:db8::1:0:0:1");
	check_put(parsed("2001:DB8::ABCD"), "[2001:db8::abcd]:0", "2001:db8::abcd");
}

/* Any address, with many zero groups. */
static struct address draw_v6(void)
{
	struct address a = {.family = ADDRESS_V6};
	uint64_t zeros = draw() | draw();

	for (int i = 0; i < 16; i++)
		a.ip[i] = zeros >> (i / 2) & 1 ? 0 : (uint8_t)(draw() >> (draw() % 8 + 32));
	return a;
}

static bool is_v4_compatible(const struct address *a)
{
	static const uint8_t zero[12];

	return memcmp(a->ip, zero, 12) == 0;
}

static void agrees_with_inet_ntop(const struct address *a)
{
	char expected[INET6_ADDRSTRLEN], ours[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(ours);
	struct address back;

	inet_ntop(a->family == ADDRESS_V4 ? AF_INET : AF_INET6, a->ip, expected, sizeof(expected));
	address_put_ip(&t, a);
	if (a->family == ADDRESS_V4 || !is_v4_compatible(a)) /* ::a.b.c.d is not in RFC 5952 */
		assert_string_equal(ours, expected);
	assert_int_equal(address_parse_ip(bytes_of_string(expected), &back), 0);
	assert_true(address_equal(a, &back));
	assert_int_equal(address_parse_ip(text_bytes(&t), &back), 0);
	assert_true(address_equal(a, &back));
}

static void random_addresses(void **state)
{
	for (int i = 0; i < 100000; i++) {
		struct address a = draw_v6();

		agrees_with_inet_ntop(&a);
		a.family = ADDRESS_V4;
		agrees_with_inet_ntop(&a);
		a.family = ADDRESS_V6;
		memset(a.ip, 0, 10);
		memset(a.ip + 10, 0xff, 2);
		agrees_with_inet_ntop(&a);
	}
}

/* Texts that are nearly addresses: random steps away from one that is. */
static void agrees_with_inet_pton(void)
{
	static const char letters[] = "::::....0012589abfFgx ";
	char s[INET6_ADDRSTRLEN + 8];
	struct address a = draw_v6(), ours = {0};
	bool v4 = draw() % 3 == 0;
	uint8_t theirs[16];
	size_t len;
	bool good;

	inet_ntop(v4 ? AF_INET : AF_INET6, a.ip, s, INET6_ADDRSTRLEN);
	for (uint64_t steps = draw() % 4; steps > 0; steps--) {
		size_t at = draw() % (strlen(s) + 1);

		len = strlen(s);
		if (draw() % 2 && at < len)
			memmove(s + at, s + at + 1, len - at);
		else if (at < len)
			s[at] = letters[draw() % (sizeof(letters) - 1)];
	}
	v4 = !strchr(s, ':');
	good = inet_pton(v4 ? AF_INET : AF_INET6, s, theirs) == 1;
	if ((address_parse_ip(bytes_of_string(s), &ours) == 0) != good)
		fail_msg("\"%s\" is %s", s, good ? "an address" : "no address");
	if (good)
		assert_memory_equal(ours.ip, theirs, v4 ? 4 : 16);
}

static void random_texts(void **state)
{
	for (int i = 0; i < 500000; i++)
		agrees_with_inet_pton();
}

/* More groups than any buffer of ours, after `beginning`. */
static void far_too_long(const char *beginning)
{
	char buffer[2048];
	struct text t = TEXT_OVER(buffer);
	struct address a;

	text_put_string(&t, beginning);
	while (!t.cut)
		text_put_string(&t, ":1");
	assert_int_equal(address_parse_ip(text_bytes(&t), &a), ERR_SYNTAX);
}

static void no_addresses(void **state)
{
	static const char *const texts[] = {
		"",
		"1.2.3",
		"1.2.3.4.",
		"1.2.3.4.5",
		"01.2.3.4",
		"256.1.1.1",
		"1..2.3",
		" 1.2.3.4",
		"1.2.3.4%1",
		"1.2.3.x",
		":",
		":::",
		"1",
		"1::2::3",
		":1::",
		"1:2:3:4:5:6:7",
		"::1%",
		"::1%eth0",
		"::1%-1",
		"::12345",
		"g::",
		"1:2:3:4:5:6:7:",
		"::1%1%1",
		"[::1]",
		"::1.2.3",
		"1.2.3.4::",
		"::1.2.3.4:5",
		"::1%4294967296",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:1.2.3.4",
		"::1:2:3:4:5:6:7:8",
	};
	struct address a = {.port = 1};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (address_parse_ip(bytes_of_string(texts[i]), &a) != ERR_SYNTAX)
			fail_msg("\"%s\" is taken", texts[i]);
	}
	assert_int_equal(a.port, 1);
	far_too_long("1");
	far_too_long("::1");
	assert_int_equal(address_parse_ip(BYTES_LITERAL("::1\0"), &a), ERR_SYNTAX);
	assert_int_equal(address_parse_ip(BYTES_LITERAL("1.2.3.4\0"), &a), ERR_SYNTAX);
}

static void equality(void **state)
{
	struct address a = parsed("fe80::1%2"), b = parsed("fe80::1%3"), c = with_port(a, 1);
	struct address path = {.family = ADDRESS_UNIX}, other_path = path;

	assert_false(address_equal(&a, &b));
	assert_false(address_equal_ip(&a, &b));
	assert_false(address_equal(&a, &c));
	assert_true(address_equal_ip(&a, &c));
	other_path.port = 5; /* has no meaning there */
	assert_true(address_equal(&path, &other_path));
	assert_false(address_equal_ip(&a, &path));
	b = parsed("10.0.0.1");
	c = b;
	c.ip[7] = 9; /* no part of an IPv4 address */
	assert_true(address_equal(&b, &c));
	c.ip[3] = 2;
	assert_false(address_equal_ip(&b, &c));
}

static bool is_loopback(const char *s)
{
	struct address a = parsed(s);

	return address_is_loopback(&a);
}

static bool is_any(const char *s)
{
	struct address a = parsed(s);

	return address_is_any(&a);
}

static void kinds(void **state)
{
	struct address path = {.family = ADDRESS_UNIX}, none = {0};

	assert_true(is_loopback("127.0.0.1"));
	assert_true(is_loopback("127.255.255.255"));
	assert_true(is_loopback("::1"));
	assert_true(is_loopback("::ffff:127.9.9.9"));
	assert_true(address_is_loopback(&path));
	assert_false(is_loopback("128.0.0.1"));
	assert_false(is_loopback("::ffff:10.0.0.1"));
	assert_false(is_loopback("::2"));
	assert_false(is_loopback("::"));
	assert_false(address_is_loopback(&none));
	assert_true(is_any("0.0.0.0"));
	assert_true(is_any("::"));
	assert_false(is_any("::1"));
	assert_false(is_any("0.0.0.1"));
	assert_false(address_is_any(&path));
	assert_false(address_is_any(&none));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put),          cmocka_unit_test(put_as_rfc5952),
		cmocka_unit_test(no_addresses), cmocka_unit_test(random_addresses),
		cmocka_unit_test(equality),     cmocka_unit_test(random_texts),
		cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
