/* Names to addresses and back, with a resolver whose files and server are the test's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/name.h"
#include "private.h"

enum { TURN_MS = 100, PATIENCE_S = 20 };

/* A name server that nobody runs refuses at once; one that reads nothing is silent. */
static const char nobody[] = "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n";

static struct name_answer resolve(const char *host, enum name_families families)
{
	struct name_query query = {.port = 77, .families = families, .canonical = true};
	struct name_answer answer;

	snprintf(query.host, sizeof(query.host), "%s", host);
	name_resolve(&query, &answer);
	return answer;
}

static void expect(const char *host, enum name_families families, const char *const *ips)
{
	struct name_answer answer = resolve(host, families);
	unsigned i;

	assert_int_equal(answer.err, 0);
	for (i = 0; ips[i] != NULL; i++) {
		char shown[ADDRESS_TEXT_BYTES];
		struct text t = TEXT_OVER(shown);

		assert_true(i < answer.count);
		address_put_ip(&t, &answer.address[i]);
		assert_string_equal(shown, ips[i]);
		assert_int_equal(answer.address[i].port, 77);
	}
	assert_int_equal(answer.count, i);
}

#define IPS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_literals(void **state)
{
	expect("10.1.2.3", NAME_BOTH, IPS("10.1.2.3"));
	expect("10.1.2.3", NAME_V4_ONLY, IPS("10.1.2.3"));
	expect("::1", NAME_BOTH, IPS("::1"));
	expect("2001:DB8::0:1", NAME_V6_ONLY, IPS("2001:db8::1"));
	expect("127.1", NAME_BOTH, IPS("127.0.0.1"));
	assert_int_equal(resolve("10.1.2.3", NAME_V6_ONLY).err, ERR_NO_ADDRESS);
	assert_int_equal(resolve("::1", NAME_V4_ONLY).err, ERR_NO_ADDRESS);
	assert_int_equal(resolve("127.1", NAME_V6_ONLY).err, ERR_NO_ADDRESS);
	assert_int_equal(resolve("", NAME_BOTH).err, ERR_NO_NAME);
	assert_int_equal(resolve("::1::", NAME_BOTH).err, ERR_NO_NAME);
}

static void test_scopes(void **state)
{
	struct name_answer answer = resolve("fe80::1%lo", NAME_BOTH);

	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.count, 1);
	assert_int_equal(answer.address[0].scope, 1);
	assert_int_equal(resolve("fe80::1%nosuchif", NAME_BOTH).err, ERR_NO_NAME);
}

/* Its file of hosts is empty, and its name server dead. */
static void test_localhost_needs_no_resolver(void **state)
{
	if (!private_here())
		skip();
	private_resolver("", nobody, "files dns");
	expect("localhost", NAME_BOTH, IPS("::1", "127.0.0.1"));
	expect("LocalHost.", NAME_BOTH, IPS("::1", "127.0.0.1"));
	expect("a.localhost", NAME_BOTH, IPS("::1", "127.0.0.1"));
	expect("localhost", NAME_V4_ONLY, IPS("127.0.0.1"));
	expect("localhost", NAME_V6_ONLY, IPS("::1"));
	assert_string_equal(resolve("LOCALHOST", NAME_BOTH).canonical, "localhost");
	assert_int_equal(resolve("notlocalhost", NAME_BOTH).err, ERR_NAME_SERVER);
	assert_int_equal(resolve("localhost.invalid", NAME_BOTH).err, ERR_NAME_SERVER);
}

static void test_names(void **state)
{
	if (!private_here())
		skip();
	private_resolver("192.0.2.1 both.test alias.test\n2001:db8::1 both.test\n"
			 "192.0.2.4 four.test\n192.0.2.4 four.test\n2001:db8::6 six.test\n",
			 nobody, "files");
	expect("both.test", NAME_V4_ONLY, IPS("192.0.2.1"));
	expect("both.test", NAME_V6_ONLY, IPS("2001:db8::1"));
	assert_int_equal(resolve("both.test", NAME_BOTH).count, 2);
	expect("four.test", NAME_BOTH, IPS("192.0.2.4"));
	expect("FOUR.test", NAME_V4_ONLY, IPS("192.0.2.4"));
	assert_int_equal(resolve("four.test", NAME_V6_ONLY).err, ERR_NO_ADDRESS);
	assert_int_equal(resolve("six.test", NAME_V4_ONLY).err, ERR_NO_ADDRESS);
	assert_string_equal(resolve("alias.test", NAME_BOTH).canonical, "both.test");
}

static void test_unknown_is_not_unanswered(void **state)
{
	if (!private_here())
		skip();
	private_resolver("", nobody, "files");
	assert_int_equal(resolve("trucbidule", NAME_BOTH).err, ERR_NO_NAME);
	private_resolver("", nobody, "files dns");
	assert_int_equal(resolve("trucbidule", NAME_BOTH).err, ERR_NAME_SERVER);
	assert_int_equal(resolve("fe80::1%nosuchif", NAME_BOTH).err, ERR_NO_NAME);
	assert_int_equal(resolve("1:2", NAME_BOTH).err, ERR_NO_NAME);
}

static void test_keeps_both_families_of_many_addresses(void **state)
{
	char hosts[4096];
	struct text t = TEXT_OVER(hosts);
	struct name_answer answer;
	unsigned v4 = 0;

	if (!private_here())
		skip();
	for (int i = 1; i <= 40; i++)
		text_printf(&t, "2001:db8::%x many.test\n", i);
	text_put_string(&t, "192.0.2.1 many.test\n");
	private_resolver(hosts, nobody, "files");
	answer = resolve("many.test", NAME_BOTH);
	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.count, NAME_MOST);
	for (unsigned i = 0; i < answer.count; i++)
		v4 += answer.address[i].family == ADDRESS_V4;
	assert_int_equal(v4, 1);
}

static void test_lack_of_descriptors_is_not_the_name_servers_fault(void **state)
{
	struct rlimit before, none;
	struct name_answer answer;

	if (!private_here())
		skip();
	private_resolver("", nobody, "files dns");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	answer = resolve("trucbidule", NAME_BOTH);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(answer.err, ERR_DESCRIPTORS);
}

static void test_reverse(void **state)
{
	struct address a = {.family = ADDRESS_V4, .ip = {192, 0, 2, 9}, .port = 5};
	struct name_list names;
	char name[NAME_BYTES];

	if (!private_here())
		skip();
	private_resolver("192.0.2.9 main.test second.test\n2001:db8::9 six.test\n", nobody,
			 "files");
	assert_int_equal(name_reverse(&a, name, sizeof(name)), 0);
	assert_string_equal(name, "main.test");
	assert_int_equal(name_reverse_all(&a, &names), 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.name[1], "second.test");
	a.ip[3] = 8;
	assert_int_equal(name_reverse(&a, name, sizeof(name)), ERR_NO_NAME);
	assert_int_equal(address_parse_ip(BYTES_LITERAL("2001:db8::9"), &a), 0);
	assert_int_equal(name_reverse(&a, name, sizeof(name)), 0);
	assert_string_equal(name, "six.test");
	private_resolver("", nobody, "files dns");
	assert_int_equal(name_reverse(&a, name, sizeof(name)), ERR_NAME_SERVER);
	a = (struct address){.family = ADDRESS_UNIX};
	assert_int_equal(name_reverse(&a, name, sizeof(name)), ERR_NO_NAME);
}

struct asked {
	bool done;
	struct name_answer answer;
};

static void on_answer(void *owner, const struct name_answer *answer)
{
	struct asked *asked = owner;

	assert_false(asked->done);
	asked->done = true;
	asked->answer = *answer;
}

static struct name_request *ask(struct work *work, struct loop *loop, const char *host,
				struct asked *asked)
{
	struct name_query query = {.port = 7};
	struct name_request *request;

	snprintf(query.host, sizeof(query.host), "%s", host);
	*asked = (struct asked){0};
	assert_int_equal(name_ask(work, loop, &query, on_answer, asked, &request), 0);
	assert_false(asked->done);
	return request;
}

static void turn_until(struct loop *loop, const bool *done)
{
	uint64_t deadline_ns = loop_now(loop)->boot_ns + PATIENCE_S * MOMENT_S;

	while (!*done && loop_now(loop)->boot_ns < deadline_ns)
		loop_turn(loop, TURN_MS);
	assert_true(*done);
}

static void test_asks(void **state)
{
	struct loop *loop;
	struct work *work;
	struct asked asked;

	if (private_here())
		private_resolver("192.0.2.1 a.test\n", nobody, "files");
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(work_create(&work, 2), 0);
	ask(work, loop, "127.0.0.1", &asked);
	turn_until(loop, &asked.done);
	assert_int_equal(asked.answer.err, 0);
	assert_int_equal(asked.answer.address[0].port, 7);
	ask(NULL, loop, "localhost", &asked);
	turn_until(loop, &asked.done);
	assert_int_equal(asked.answer.count, 2);
	if (private_here()) {
		ask(work, loop, "a.test", &asked);
		turn_until(loop, &asked.done);
		assert_int_equal(asked.answer.count, 1);
		ask(work, loop, "b.test", &asked);
		turn_until(loop, &asked.done);
		assert_int_equal(asked.answer.err, ERR_NO_NAME);
	}
	work_destroy(work);
	loop_destroy(loop);
}

/* A name server that never reads. Closed by the caller. */
static int be_silent(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(53),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void test_cancels(void **state)
{
	struct loop *loop;
	struct work *work;
	struct asked running, waiting, literal, other;
	struct name_request *request[3];
	int server;

	if (!private_here())
		skip();
	server = be_silent();
	if (server < 0)
		skip();
	private_resolver("192.0.2.1 a.test\n", nobody, "files dns");
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(work_create(&work, 1), 0);
	request[0] = ask(work, loop, "slow.test", &running);
	request[1] = ask(work, loop, "a.test", &waiting);
	request[2] = ask(work, loop, "127.0.0.1", &literal);
	name_cancel(request[2]);
	name_cancel(request[1]);
	ask(NULL, loop, "::1", &other);
	turn_until(loop, &other.done);
	name_cancel(request[0]);
	work_destroy(work);
	loop_turn(loop, 0);
	loop_destroy(loop);
	assert_false(running.done || waiting.done || literal.done);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_literals),
		cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_localhost_needs_no_resolver),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_unknown_is_not_unanswered),
		cmocka_unit_test(test_keeps_both_families_of_many_addresses),
		cmocka_unit_test(test_lack_of_descriptors_is_not_the_name_servers_fault),
		cmocka_unit_test(test_reverse),
		cmocka_unit_test(test_asks),
		cmocka_unit_test(test_cancels),
	};

	private_enter();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
