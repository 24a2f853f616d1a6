/* Dialing in tests: see dialing.h. */
#include "dialing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "private.h"

struct loop *dialing_loop;
unsigned dialing_descriptors;
static struct work *work;

int dialing_set_up(void **state)
{
	assert_int_equal(loop_create(&dialing_loop), 0);
	assert_int_equal(work_create(&work, 2), 0);
	dialing_descriptors = private_descriptors();
	return 0;
}

int dialing_tear_down(void **state)
{
	work_destroy(work);
	loop_turn(dialing_loop, 0);
	assert_int_equal(private_descriptors(), dialing_descriptors);
	loop_destroy(dialing_loop);
	return 0;
}

static void on_done(void *owner, const struct dial_result *result)
{
	struct dialing_call *called = owner;
	struct text t = TEXT_OVER(called->canonical);

	assert_false(called->done);
	called->done = true;
	called->result = *result;
	if (result->canonical != NULL)
		text_put_string(&t, result->canonical);
}

void dialing_turn_until(const bool *done)
{
	uint64_t deadline_ns = loop_now(dialing_loop)->boot_ns + DIALING_PATIENCE_S * MOMENT_S;

	while (!*done && loop_now(dialing_loop)->boot_ns < deadline_ns)
		loop_turn(dialing_loop, DIALING_TURN_MS);
	assert_true(*done);
}

struct dial_plan dialing_plan(const char *text)
{
	struct dial_plan plan = {.timeout_ms = DIALING_PATIENCE_S * 1000};

	assert_int_equal(endpoint_parse_peer(text, 0, false, &plan.to), 0);
	return plan;
}

struct dial *dialing_start(const struct dial_plan *plan, struct dialing_call *called)
{
	struct dial *dial;

	*called = (struct dialing_call){0};
	assert_int_equal(dial_start(dialing_loop, work, plan, on_done, called, &dial), 0);
	assert_false(called->done);
	return dial;
}

struct dialing_call dialing_run(const struct dial_plan *plan)
{
	struct dialing_call called;

	dialing_start(plan, &called);
	dialing_turn_until(&called.done);
	assert_int_equal(called.result.err == 0, called.result.fd >= 0);
	return called;
}

struct dialing_call dialing_run_within(const struct dial_plan *plan, unsigned most_ms)
{
	struct dialing_call called;
	uint64_t took_ms = 0;

	for (unsigned i = 0; i < 5; i++) {
		uint64_t begun_ns;

		loop_refresh(dialing_loop);
		begun_ns = loop_now(dialing_loop)->boot_ns;
		called = dialing_run(plan);
		took_ms = (loop_now(dialing_loop)->boot_ns - begun_ns) / MOMENT_MS;
		if (took_ms <= most_ms)
			return called;
		if (called.result.fd >= 0)
			close(called.result.fd);
	}
	fail_msg("it took %u ms, not %u at most", (unsigned)took_ms, most_ms);
	return called;
}

int dialing_bind(int family, int type, uint16_t port, uint16_t *bound)
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

int dialing_listen(int family, uint16_t port, uint16_t *bound)
{
	int fd = dialing_bind(family, SOCK_STREAM, port, bound);

	if (fd >= 0)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

struct dial_plan dialing_plan_at(const char *host, uint16_t port)
{
	char text[ENDPOINT_HOST_BYTES + 8];

	snprintf(text, sizeof(text), "%s:%u", host, port);
	return dialing_plan(text);
}
