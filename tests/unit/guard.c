/* daemon/guard.c: who is let in. */
#include "daemon/guard.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#define TOKEN "0123456789abcdef"

struct world {
	char dir[64], path[96];
	struct guard *guard;
	struct http1_head head;
	struct api_request request;
	struct moment now;
	char session[GUARD_SESSION_BYTES + 1];
	struct guard_pass pass;
};

static struct world w;

static void from(const char *ip, const char *name, const char *value)
{
	w.head = (struct http1_head){0};
	w.request = (struct api_request){.head = &w.head};
	assert_int_equal(address_parse_ip(bytes_of_string(ip), &w.request.remote), 0);
	if (!name)
		return;
	w.head.fields = 1;
	w.head.field[0] = (struct http1_field){bytes_of_string(name), bytes_of_string(value)};
}

static enum guard_verdict check(const char *ip, const char *name, const char *value)
{
	from(ip, name, value);
	return guard_check(w.guard, &w.request, &w.now, &w.pass);
}

static enum guard_verdict login(const char *ip, const char *token)
{
	static uint64_t random[2];

	random[0]++;
	from(ip, NULL, NULL);
	w.request.body = bytes_of_string(token);
	return guard_login(w.guard, &w.request, &w.now, random, w.session);
}

static void later(uint64_t s)
{
	w.now.boot_ns += s * MOMENT_S;
}

static int begin(void **state)
{
	FILE *f;

	w = (struct world){.dir = "/tmp/guard-XXXXXX", .now.boot_ns = 1000 * MOMENT_S};
	if (!mkdtemp(w.dir))
		return -1;
	snprintf(w.path, sizeof w.path, "%s/token", w.dir);
	f = fopen(w.path, "w");
	fputs(TOKEN "\n", f);
	fclose(f);
	chmod(w.path, 0600);
	return guard_create(&w.guard, w.dir);
}

static int end(void **state)
{
	guard_destroy(w.guard);
	unlink(w.path);
	rmdir(w.dir);
	return 0;
}

static void near_and_far(void **state)
{
	assert_int_equal(check("127.0.0.1", NULL, NULL), GUARD_IN);
	assert_int_equal(check("::1", NULL, NULL), GUARD_IN);
	assert_int_equal(check("192.0.2.1", NULL, NULL), GUARD_LOGIN);
	assert_int_equal(check("127.0.0.1", "X-Forwarded-For", "127.0.0.1"), GUARD_LOGIN);
	assert_int_equal(check("127.0.0.1", "Via", "1.1 nginx"), GUARD_LOGIN);
}

static void a_session(void **state)
{
	char cookie[128];

	assert_int_equal(login("192.0.2.1", " " TOKEN "\n"), GUARD_IN);
	snprintf(cookie, sizeof cookie, "a=b; prise_session=%s ;c=d", w.session);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_IN);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie + 1), GUARD_IN);
	cookie[30] ^= 1;
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_LOGIN);
	cookie[30] ^= 1;
	later(GUARD_SESSION_S - 1);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_IN);
	later(GUARD_SESSION_S - 1);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_IN);
	later(GUARD_SESSION_S + 1);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_LOGIN);
	assert_int_equal(check("192.0.2.1", "Cookie", "prise_session="), GUARD_LOGIN);
}

static void sessions_are_bounded(void **state)
{
	char first[128];

	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	snprintf(first, sizeof first, "prise_session=%s", w.session);
	for (unsigned i = 0; i < GUARD_SESSIONS; i++) {
		later(1);
		assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	}
	assert_int_equal(check("192.0.2.1", "Cookie", first), GUARD_LOGIN);
}

static void tries_are_bounded(void **state)
{
	for (unsigned i = 0; i < GUARD_TRIES; i++)
		assert_int_equal(login("192.0.2.1", "wrong"), GUARD_LOGIN);
	assert_int_equal(login("192.0.2.1", "wrong"), GUARD_TOO_MANY);
	assert_int_equal(check("192.0.2.1", "Authorization", "Bearer wrong"), GUARD_TOO_MANY);
	assert_int_equal(login("192.0.2.2", "wrong"), GUARD_LOGIN); /* another source */
	later(GUARD_TRY_S);
	assert_int_equal(login("192.0.2.1", "wrong"), GUARD_LOGIN);
	assert_int_equal(login("192.0.2.1", "wrong"), GUARD_TOO_MANY);
	/* Others' tries through the same proxy keep nobody out who knows it. */
	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	for (unsigned i = 0; i < 2 * GUARD_TRIES; i++) /* right ones cost nothing */
		assert_int_equal(check("192.0.2.1", "Authorization", "bearer " TOKEN), GUARD_IN);
}

static void sources_are_bounded(void **state)
{
	for (unsigned i = 0; i < 4 * GUARD_SOURCES; i++) {
		char ip[32];

		snprintf(ip, sizeof ip, "198.51.%u.%u", 100 + i / 250, i % 250);
		assert_int_equal(login(ip, "wrong"), GUARD_LOGIN);
	}
	/* One /64 is one source. */
	for (unsigned i = 0; i < GUARD_TRIES; i++) {
		char ip[32];

		snprintf(ip, sizeof ip, "2001:db8::%u", i + 1);
		assert_int_equal(login(ip, "wrong"), GUARD_LOGIN);
	}
	assert_int_equal(login("2001:db8::ffff", "wrong"), GUARD_TOO_MANY);
}

static void wrong_tokens(void **state)
{
	static const char *const wrong[] = {"", TOKEN "0", "0123456789abcde", "1123456789abcdef",
					    "0123456789abcdeF"};

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		later(GUARD_TRIES * GUARD_TRY_S);
		assert_int_equal(login("192.0.2.1", wrong[i]), GUARD_LOGIN);
	}
	later(GUARD_TRIES * GUARD_TRY_S);
	from("192.0.2.1", NULL, NULL);
	w.request.body = BYTES_LITERAL(TOKEN "\0");
	assert_int_equal(guard_login(w.guard, &w.request, &w.now, (uint64_t[2]){0}, w.session),
			 GUARD_LOGIN);
}

static void files_that_are_no_token(void **state)
{
	FILE *f;

	chmod(w.path, 0640);
	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_LOGIN);
	chmod(w.path, 0600);
	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	f = fopen(w.path, "w");
	fputs("short\n", f);
	fclose(f);
	assert_int_equal(login("192.0.2.1", "short"), GUARD_LOGIN);
	unlink(w.path);
	assert_int_equal(login("192.0.2.1", ""), GUARD_LOGIN);
}

static void a_logout(void **state)
{
	char cookie[128];

	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	snprintf(cookie, sizeof cookie, "prise_session=%s", w.session);
	from("192.0.2.1", "Cookie", cookie);
	guard_logout(w.guard, &w.request);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_LOGIN);
}

static void put_token(const char *text)
{
	FILE *f = fopen(w.path, "w");

	fputs(text, f);
	fclose(f);
	chmod(w.path, 0600);
}

static void another_token_ends_what_the_old_one_let_in(void **state)
{
	struct guard_pass session, bearer;
	char cookie[128];

	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	snprintf(cookie, sizeof cookie, "prise_session=%s", w.session);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_IN);
	session = w.pass;
	assert_int_equal(check("192.0.2.1", "Authorization", "Bearer " TOKEN), GUARD_IN);
	bearer = w.pass;
	assert_true(guard_holds(w.guard, &session, &w.now));
	assert_true(guard_holds(w.guard, &bearer, &w.now));
	put_token("another token that is long enough\n");
	assert_false(guard_holds(w.guard, &session, &w.now));
	assert_false(guard_holds(w.guard, &bearer, &w.now));
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_LOGIN);
	put_token(TOKEN);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_LOGIN);
	assert_int_equal(check("127.0.0.1", NULL, NULL), GUARD_IN);
	assert_true(guard_holds(w.guard, &w.pass, &w.now));
}

static void a_logout_ends_what_stays(void **state)
{
	char cookie[128];

	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	snprintf(cookie, sizeof cookie, "prise_session=%s", w.session);
	assert_int_equal(check("192.0.2.1", "Cookie", cookie), GUARD_IN);
	guard_logout(w.guard, &w.request);
	assert_false(guard_holds(w.guard, &w.pass, &w.now));
}

static void a_login_from_this_machine_too(void **state)
{
	from("127.0.0.1", NULL, NULL);
	w.request.login_always = true;
	assert_int_equal(guard_check(w.guard, &w.request, &w.now, &w.pass), GUARD_LOGIN);
	from("127.0.0.1", "Authorization", "Bearer " TOKEN);
	w.request.login_always = true;
	assert_int_equal(guard_check(w.guard, &w.request, &w.now, &w.pass), GUARD_IN);
}

static void trouble_is_told_once(void **state)
{
	const char *path;

	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_IN);
	assert_int_equal(guard_trouble(w.guard, &path), 0);
	chmod(w.path, 0644);
	assert_int_equal(login("192.0.2.1", TOKEN), GUARD_LOGIN);
	assert_int_equal(guard_trouble(w.guard, &path), ERR_KEY_MODE);
	assert_string_equal(path, w.path);
	assert_int_equal(guard_trouble(w.guard, &path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(near_and_far),
		TEST(a_session),
		TEST(sessions_are_bounded),
		TEST(tries_are_bounded),
		TEST(sources_are_bounded),
		TEST(wrong_tokens),
		TEST(files_that_are_no_token),
		TEST(a_logout),
		TEST(another_token_ends_what_the_old_one_let_in),
		TEST(a_logout_ends_what_stays),
		TEST(a_login_from_this_machine_too),
		TEST(trouble_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
