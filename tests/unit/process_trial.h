/* What the tests of net/process.h share: a helper with a loop, programs that are /bin/sh scripts,
 * and patience. That nobody of a group is left is seen by the end of a pipe they all hold. */
#ifndef UNIT_PROCESS_TRIAL_H
#define UNIT_PROCESS_TRIAL_H

#include "base/err.h"
#include "net/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATIENCE_MS = 20000 };

struct trial {
	struct process_helper *helper;
	struct loop *loop;
	struct wheel_timer patience;
	bool late;
};

struct run {
	int64_t id;
	struct process_end end;
	bool done;
	unsigned calls;
	int out; /* our end of the program's stdout */
	char text[4096];
};

static inline void trial_late(struct wheel_timer *timer, void *context)
{
	struct trial *t = (struct trial *)((char *)timer - offsetof(struct trial, patience));

	t->late = true;
}

static inline int trial_begin(void **state)
{
	struct trial *t = calloc(1, sizeof *t);

	assert_int_equal(process_helper_start(&t->helper), 0);
	assert_int_equal(loop_create(&t->loop), 0);
	assert_int_equal(process_helper_attach(t->helper, t->loop), 0);
	t->patience.due = trial_late;
	*state = t;
	return 0;
}

static inline int trial_end(void **state)
{
	struct trial *t = *state;

	process_helper_stop(t->helper);
	loop_destroy(t->loop);
	free(t);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child left, the helper neither */
	return 0;
}

static inline void trial_wait(struct trial *t, const bool *done)
{
	t->late = false;
	loop_refresh(t->loop);
	loop_arm(t->loop, &t->patience, loop_now(t->loop)->boot_ns + PATIENCE_MS * MOMENT_MS);
	while (!*done && !t->late)
		loop_turn(t->loop, -1);
	loop_disarm(t->loop, &t->patience);
	assert_true(*done);
}

static inline uint64_t now_ns(void)
{
	struct moment m = {0};

	moment_read(&m);
	return m.boot_ns;
}

static inline void run_ended(void *owner, int64_t id, const struct process_end *end)
{
	struct run *r = owner;

	assert_int_equal(id, r->id);
	r->end = *end;
	r->done = true;
	r->calls++;
}

/* A plan for `sh -c script`; argv must outlive it. */
static inline struct process_plan plan_script(const char *argv[4], const char *script)
{
	argv[0] = "sh";
	argv[1] = "-c";
	argv[2] = script;
	argv[3] = NULL;
	return (struct process_plan){.argv = argv,
				     .stdin_fd = -1,
				     .stdout_fd = -1,
				     .stderr_fd = -1,
				     .stop_with_parent = true,
				     .grace_ms = 10000,
				     .deadline_ns = MOMENT_NEVER};
}

/* Starts it with a pipe as its stdout. */
static inline void run_start(struct process_helper *helper, struct run *r,
			     struct process_plan *plan)
{
	int out[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	plan->stdout_fd = out[1];
	r->done = false;
	r->calls = 0;
	r->out = out[0];
	r->id = process_start(helper, plan, run_ended, r);
	assert_true(r->id > 0);
	close(out[1]);
}

/* Reads until `until` was read, or to the end for NULL; what came is in `r->text`. */
static inline void run_read(struct run *r, const char *until)
{
	struct pollfd p = {r->out, POLLIN, 0};
	size_t len = 0;

	do {
		ssize_t n;

		assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
		n = read(r->out, r->text + len, sizeof r->text - 1 - len);
		assert_true(n >= 0);
		len += (size_t)n;
		r->text[len] = 0;
		if (n == 0) {
			assert_null(until);
			close(r->out);
			return;
		}
	} while (!until || !strstr(r->text, until));
}

static inline bool run_is_silent(const struct run *r)
{
	struct pollfd p = {r->out, POLLIN, 0};

	return poll(&p, 1, 0) == 0;
}

/* Runs `script` to its end. */
static inline void run_whole(struct trial *t, struct run *r, const char *script)
{
	const char *argv[4];
	struct process_plan plan = plan_script(argv, script);

	run_start(t->helper, r, &plan);
	trial_wait(t, &r->done);
	run_read(r, NULL);
	assert_int_equal(r->end.err, 0);
}

/* A number printed by a program; never one whose kill(2) would reach us. */
static inline pid_t pid_of(const char *text, char **rest)
{
	long pid = strtol(text, rest, 10);

	assert_true(pid > 1 && pid != getpid());
	return (pid_t)pid;
}

static inline pid_t helper_pid(struct trial *t)
{
	struct run r;

	run_whole(t, &r, "echo $PPID");
	return pid_of(r.text, NULL);
}

static inline unsigned count_descriptors(pid_t pid)
{
	char path[64];
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
		count += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	return count;
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, trial_begin, trial_end)

#endif
