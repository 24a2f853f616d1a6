/* The keeper of role (service/role.c): what its record goes through before anybody is told of it,
 * and the clock that a beat is counted from. The calls that make a record durable are this
 * program's own here: it notes them, and may have them fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/role.h"
#include "service/service.h"

enum { MEMBER = 10, PATIENCE_MS = 20000, STEPS = 3, WAIT_MS = 100 };

static const char *const steps[STEPS] = {"fsync role.new", "rename", "fsync state"};
static char base[64], state_dir[80];
static struct loop *loop;
static struct work *work;
static struct service_context context;
static void *keep;
static bool refused;

/* Written by the work thread, and read once its answer has come. */
static unsigned noted;
static char note[STEPS][64];
static atomic_uint failing; /* this step does, counted from 1; 0: none */

static int call_noted(const char *what, const char *of)
{
	char step[64];

	snprintf(step, sizeof step, "%s%s", what, of);
	for (unsigned i = 0; i < STEPS; i++)
		if (strcmp(steps[i], step) == 0 && failing == i + 1) {
			errno = EIO;
			return -1;
		}
	if (noted < STEPS)
		strcpy(note[noted], step);
	noted++;
	return 0;
}

int fsync(int fd)
{
	char link[32], path[128] = "";

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (readlink(link, path, sizeof path - 1) < 0)
		return -1;
	if (call_noted("fsync ", strrchr(path, '/') + 1) < 0)
		return -1;
	return (int)syscall(SYS_fsync, fd);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	if (call_noted("rename", "") < 0)
		return -1;
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
}

static void hear_event(void *owner, struct event *event)
{
	const struct event_field *ok = event_find(event, "ok");

	if (strcmp(event->type, "role.disk") == 0)
		refused = ok && !ok->u;
}

static int begin(void **state)
{
	static const struct service_settings common;
	static const struct role_settings settings = {.lease_ms = ROLE_LEASE_MS};

	snprintf(base, sizeof base, "/tmp/prise-role-XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(state_dir, sizeof state_dir, "%s/state", base);
	assert_int_equal(mkdir(state_dir, 0700), 0);
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(work_create(&work, 1), 0);
	context = (struct service_context){.loop = loop,
					   .work = work,
					   .state_dir = state_dir,
					   .common = &common,
					   .settings = &settings,
					   .event = hear_event};
	assert_int_equal(pump_common_create(&context.pumps, loop, 0), 0);
	noted = failing = 0;
	refused = false;
	assert_int_equal(role_keeper.start(&keep, &context), 0);
	return 0;
}

static int end(void **state)
{
	static const char *const files[] = {"role.new", "role.epoch", "role.lock"};
	char path[128];

	role_keeper.stop(keep);
	work_destroy(work);
	loop_turn(loop, 0);
	pump_common_destroy(context.pumps);
	loop_destroy(loop);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		snprintf(path, sizeof path, "%s/%s", state_dir, files[i]);
		unlink(path);
	}
	rmdir(state_dir);
	return rmdir(base);
}

static void tell(enum role_kind kind)
{
	struct message message = {.kind = kind};

	role_keeper.told(keep, MEMBER, &message);
	pump_deliver(context.pumps);
}

static uint64_t boot_ns(void)
{
	struct moment now;

	moment_read(&now);
	return now.boot_ns;
}

/* Whether this epoch is the one that anybody may be told. */
static bool is_told(unsigned epoch)
{
	char line[64], wanted[64];
	struct text json = TEXT_OVER(line);
	int len = snprintf(wanted, sizeof wanted, "{\"epoch\":%u,", epoch);

	role_keeper.show(keep, false, &json);
	return json.len > (size_t)len && memcmp(line, wanted, (size_t)len) == 0;
}

static bool is_refused(unsigned epoch)
{
	assert_false(is_told(epoch));
	return refused;
}

static void wait_until(bool (*is)(unsigned epoch), unsigned epoch)
{
	uint64_t late_ns = boot_ns() + PATIENCE_MS * MOMENT_MS;

	while (!is(epoch)) {
		assert_true(boot_ns() < late_ns);
		loop_turn(loop, WAIT_MS);
	}
}

static void an_epoch_is_told_once_it_survives_a_power_cut(void **state)
{
	tell(ROLE_JOIN);
	assert_false(is_told(1));
	wait_until(is_told, 1);
	assert_int_equal(noted, STEPS);
	for (unsigned i = 0; i < STEPS; i++)
		assert_string_equal(note[i], steps[i]);
}

static void no_epoch_is_told_when_a_step_fails(void **state)
{
	for (unsigned step = 1; step <= STEPS; step++) {
		failing = step;
		tell(ROLE_JOIN);
		wait_until(is_refused, step);
		failing = 0;
		wait_until(is_told, step);
		assert_false(refused);
		tell(ROLE_LEAVE);
	}
}

/* A beat that was read while the loop's turn went on counts from then, not from the turn's
 * beginning: it may have been sent in between. */
static void a_beat_counts_from_its_receipt(void **state)
{
	uint64_t received_ns;

	tell(ROLE_JOIN);
	received_ns = boot_ns();
	assert_true(loop_now(loop)->boot_ns < received_ns);
	tell(ROLE_BEAT);
	assert_true(loop_now(loop)->boot_ns >= received_ns);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_epoch_is_told_once_it_survives_a_power_cut,
						begin, end),
		cmocka_unit_test_setup_teardown(no_epoch_is_told_when_a_step_fails, begin, end),
		cmocka_unit_test_setup_teardown(a_beat_counts_from_its_receipt, begin, end),
	};

	return cmocka_run_group_tests_name("role_keep", tests, NULL, NULL);
}
