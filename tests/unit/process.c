/* Programs through the helper (net/process.h): what they get, how they end, who ends them. Programs are
 * /bin/sh scripts; that nobody of a group is left is seen by the end of a pipe they all hold. */
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

enum { PATIENCE_MS = 20000, BURST = 1000, MOST = 4096 };

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

static void trial_late(struct wheel_timer *timer, void *context)
{
	struct trial *t = (struct trial *)((char *)timer - offsetof(struct trial, patience));

	t->late = true;
}

static int trial_begin(void **state)
{
	struct trial *t = calloc(1, sizeof *t);

	assert_int_equal(process_helper_start(&t->helper), 0);
	assert_int_equal(loop_create(&t->loop), 0);
	assert_int_equal(process_helper_attach(t->helper, t->loop), 0);
	t->patience.due = trial_late;
	*state = t;
	return 0;
}

static int trial_end(void **state)
{
	struct trial *t = *state;

	process_helper_stop(t->helper);
	loop_destroy(t->loop);
	free(t);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child left, the helper neither */
	return 0;
}

static void trial_wait(struct trial *t, const bool *done)
{
	t->late = false;
	loop_refresh(t->loop);
	loop_arm(t->loop, &t->patience, loop_now(t->loop)->boot_ns + PATIENCE_MS * MOMENT_MS);
	while (!*done && !t->late)
		loop_turn(t->loop, -1);
	loop_disarm(t->loop, &t->patience);
	assert_true(*done);
}

static uint64_t now_ns(void)
{
	struct moment m = {0};

	moment_read(&m);
	return m.boot_ns;
}

static void run_ended(void *owner, int64_t id, const struct process_end *end)
{
	struct run *r = owner;

	assert_int_equal(id, r->id);
	r->end = *end;
	r->done = true;
	r->calls++;
}

/* A plan for `sh -c script`; argv must outlive it. */
static struct process_plan plan_script(const char *argv[4], const char *script)
{
	argv[0] = "sh";
	argv[1] = "-c";
	argv[2] = script;
	argv[3] = NULL;
	return (struct process_plan){.argv = argv, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1,
				     .stop_with_parent = true, .grace_ms = 10000,
				     .deadline_ns = MOMENT_NEVER};
}

/* Starts it with a pipe as its stdout. */
static void run_start(struct process_helper *helper, struct run *r, struct process_plan *plan)
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
static void run_read(struct run *r, const char *until)
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

static bool run_is_silent(const struct run *r)
{
	struct pollfd p = {r->out, POLLIN, 0};

	return poll(&p, 1, 0) == 0;
}

/* Runs `script` to its end. */
static void run_whole(struct trial *t, struct run *r, const char *script)
{
	const char *argv[4];
	struct process_plan plan = plan_script(argv, script);

	run_start(t->helper, r, &plan);
	trial_wait(t, &r->done);
	run_read(r, NULL);
}

static pid_t helper_pid(struct trial *t)
{
	struct run r;

	run_whole(t, &r, "echo $PPID");
	return (pid_t)strtol(r.text, NULL, 10);
}

static unsigned count_descriptors(pid_t pid)
{
	char path[64];
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, fd);
		count += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	return count;
}

static void output_and_environment(void **state)
{
	struct trial *t = *state;
	const char *argv[4], *const extra[] = {"WORD=mot", "PRISE_EPOCH=17", NULL};
	struct process_plan plan = plan_script(argv, "cat; echo $WORD $PRISE_EPOCH; echo err >&2");
	struct run r;
	int in[2];

	assert_int_equal(pipe2(in, O_CLOEXEC | O_NONBLOCK), 0);
	plan.environment = extra;
	plan.stdin_fd = in[0];
	plan.stderr_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	run_start(t->helper, &r, &plan);
	close(plan.stderr_fd);
	assert_int_equal(write(in[1], "entrée\n", 8), 8);
	close(in[1]);
	trial_wait(t, &r.done);
	run_read(&r, NULL);
	assert_string_equal(r.text, "entrée\nmot 17\n");
	assert_int_equal(r.end.err, 0);
	assert_int_equal(r.end.status, 0);
	assert_false(r.end.signalled || r.end.deadline);
	assert_false(fcntl(in[0], F_GETFL) & O_NONBLOCK); /* cat would not stand it */
	close(in[0]);
}

static void exit_codes(void **state)
{
	struct trial *t = *state;
	struct run r;

	for (int code = 0; code < 256; code += 51) {
		char script[32];

		snprintf(script, sizeof script, "exit %d", code);
		run_whole(t, &r, script);
		assert_false(r.end.signalled);
		assert_int_equal(r.end.status, code);
	}
	run_whole(t, &r, "kill -9 $$");
	assert_true(r.end.signalled);
	assert_int_equal(r.end.status, SIGKILL);
}

static void exec_failure_is_exact(void **state)
{
	static const struct {
		const char *path;
		int err;
	} cases[] = {{"/no/such/program", ERR_NO_FILE}, {"prise-no-such-program", ERR_NO_FILE},
		     {"/etc/passwd", ERR_PERMISSION}, {"/", ERR_PERMISSION}};
	struct trial *t = *state;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *argv[4];
		struct process_plan plan = plan_script(argv, "");
		struct run r;

		argv[0] = cases[i].path;
		run_start(t->helper, &r, &plan);
		trial_wait(t, &r.done);
		run_read(&r, NULL);
		assert_int_equal(r.end.err, cases[i].err);
	}
}

static void too_long_is_refused(void **state)
{
	struct trial *t = *state;
	static const char *many[PROCESS_ARGUMENTS + 2];
	static char wide[PROCESS_REQUEST_BYTES];
	const char *argv[4];
	struct process_plan plan = plan_script(argv, wide);
	struct run r;

	for (int i = 0; i <= PROCESS_ARGUMENTS; i++)
		many[i] = "x";
	memset(wide, ' ', sizeof wide - 1);
	assert_int_equal(process_start(t->helper, &plan, run_ended, &r), ERR_TOO_LONG);
	wide[sizeof wide - 100] = 0;
	run_start(t->helper, &r, &plan);
	trial_wait(t, &r.done);
	run_read(&r, NULL);
	assert_int_equal(r.end.err, 0);
	plan.argv = many;
	assert_int_equal(process_start(t->helper, &plan, run_ended, &r), ERR_TOO_LONG);
}

static void nothing_is_inherited(void **state)
{
	struct trial *t;
	struct run r;
	sigset_t some, before;
	int stray = fcntl(2, F_DUPFD, 50);

	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, &before);
	signal(SIGTERM, SIG_IGN);
	trial_begin((void **)&t);
	run_whole(t, &r, "echo /proc/$$/fd/*; grep -E 'Sig(Blk|Ign)' /proc/self/status");
	trial_end((void **)&t);
	signal(SIGTERM, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(stray);
	assert_non_null(strstr(r.text, "fd/2 "));
	assert_null(strstr(r.text, "fd/4"));
	assert_null(strstr(r.text, "fd/5"));
	assert_non_null(strstr(r.text, "SigBlk:\t0000000000000000"));
	assert_non_null(strstr(r.text, "SigIgn:\t0000000000000000"));
}

/* Leader and grandchild ignore SIGTERM, and print when they are ready for it. */
#define STUBBORN \
	"trap '' TERM; sh -c 'echo up; sleep 1000; sleep 1000' & echo up; wait; sleep 1000"

static void read_two_ups(struct run *r)
{
	run_read(r, "up\n");
	if (!strstr(r->text, "up\nup\n"))
		run_read(r, "up\n");
}

static void stop_ends_the_whole_group(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, STUBBORN);
	struct run r;
	uint64_t began_ns;

	plan.grace_ms = 100;
	plan.stop_with_parent = false;
	run_start(t->helper, &r, &plan);
	read_two_ups(&r);
	began_ns = now_ns();
	process_stop(t->helper, r.id);
	trial_wait(t, &r.done);
	assert_true(now_ns() - began_ns >= 100 * MOMENT_MS);
	run_read(&r, NULL);
	assert_true(r.end.signalled);
	assert_int_equal(r.end.status, SIGKILL);
	assert_false(r.end.deadline);
}

/* SIGTERM reaches who was stopped, well before any SIGKILL. */
static void stop_wakes_the_stopped(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "echo up; kill -STOP $$; sleep 1000");
	struct run r;

	run_start(t->helper, &r, &plan);
	run_read(&r, "up\n");
	process_stop(t->helper, r.id);
	trial_wait(t, &r.done);
	assert_true(r.end.signalled);
	assert_int_equal(r.end.status, SIGTERM);
	close(r.out);
}

static void group_ends_after_its_leader(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "trap '' TERM; sleep 1000 & exit 3");
	struct run r;

	plan.grace_ms = 50;
	run_start(t->helper, &r, &plan);
	trial_wait(t, &r.done);
	run_read(&r, NULL);
	assert_int_equal(r.end.status, 3);
	assert_false(r.end.signalled);
}

static void group_is_left_alone(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "sleep 1000 & echo $!; exit 3");
	struct run r;
	pid_t left;

	plan.stop_with_parent = false;
	run_start(t->helper, &r, &plan);
	trial_wait(t, &r.done);
	assert_int_equal(r.end.status, 3);
	run_read(&r, "\n");
	left = (pid_t)strtol(r.text, NULL, 10);
	process_stop(t->helper, r.id); /* too late: its id is nobody's */
	run_whole(t, &(struct run){0}, "exit 0");
	assert_int_equal(kill(left, 0), 0);
	assert_true(run_is_silent(&r));
	kill(left, SIGKILL);
	run_read(&r, NULL);
}

/* The helper, not init, is the parent of whom a program leaves behind, and reaps it. */
static void orphans_come_to_the_helper(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(
		argv, "exec 3<&0; sh -c 'read x <&3; cut -d \" \" -f 4 /proc/$$/stat' & exit 0");
	pid_t helper = helper_pid(t);
	struct run r;
	int in[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	plan.stdin_fd = in[0];
	plan.stop_with_parent = false;
	run_start(t->helper, &r, &plan);
	trial_wait(t, &r.done);
	assert_int_equal(write(in[1], "\n", 1), 1);
	run_read(&r, NULL);
	assert_int_equal(strtol(r.text, NULL, 10), helper);
	close(in[0]);
	close(in[1]);
}

static void deadline_moved_and_passed(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "sleep 1000");
	struct run moved, passed;
	uint64_t due_ns = now_ns() + 300 * MOMENT_MS;

	plan.deadline_ns = due_ns - 100 * MOMENT_MS;
	run_start(t->helper, &moved, &plan);
	process_set_deadline(t->helper, moved.id, MOMENT_NEVER);
	plan.deadline_ns = due_ns;
	run_start(t->helper, &passed, &plan);
	trial_wait(t, &passed.done);
	assert_true(now_ns() >= due_ns);
	assert_true(passed.end.deadline && passed.end.signalled);
	assert_int_equal(passed.end.status, SIGTERM);
	run_read(&passed, NULL);
	assert_false(moved.done);
	assert_true(run_is_silent(&moved));
	process_set_deadline(t->helper, moved.id, 0);
	trial_wait(t, &moved.done);
	assert_true(moved.end.deadline);
	run_read(&moved, NULL);
}

static void deadline_passed_before(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "echo never");
	struct run r;

	plan.deadline_ns = now_ns();
	run_start(t->helper, &r, &plan);
	trial_wait(t, &r.done);
	run_read(&r, NULL);
	assert_string_equal(r.text, "");
	assert_int_equal(r.end.err, ERR_TIMEOUT);
	assert_true(r.end.deadline);
}

static void signal_reaches_the_group(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(
		argv, "trap 'exit 5' USR1; sleep 1000 & echo up; wait");
	struct run r;

	run_start(t->helper, &r, &plan);
	run_read(&r, "up\n");
	process_signal(t->helper, r.id, SIGUSR1);
	trial_wait(t, &r.done);
	assert_int_equal(r.end.status, 5);
	run_read(&r, NULL);
}

static void forgotten_is_not_called(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "exit 1");
	struct run r;

	run_start(t->helper, &r, &plan);
	process_forget(t->helper, r.id);
	run_read(&r, NULL);
	run_whole(t, &(struct run){0}, "exit 0");
	assert_int_equal(r.calls, 0);
}

/* Signals that a terminal or a service manager sends to all are nothing to the helper. */
static void helper_survives_signals(void **state)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGUSR1};
	struct trial *t = *state;
	pid_t helper = helper_pid(t);
	struct run r;

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		kill(helper, signals[i]);
	run_whole(t, &r, "exit 4");
	assert_int_equal(r.end.status, 4);
	assert_int_equal(getsid(helper), helper);
}

static void many_at_once(void **state)
{
	struct trial *t = *state;
	static struct run r[200];
	pid_t helper = helper_pid(t);
	unsigned ours = count_descriptors(getpid()), its = count_descriptors(helper);

	for (int i = 0; i < 200; i++) {
		const char *argv[4];
		char script[48];
		struct process_plan plan = plan_script(argv, script);

		snprintf(script, sizeof script, "echo %d; exit %d", i, i);
		run_start(t->helper, &r[i], &plan);
	}
	for (int i = 0; i < 200; i++) {
		trial_wait(t, &r[i].done);
		run_read(&r[i], NULL);
		assert_int_equal(strtol(r[i].text, NULL, 10), i);
		assert_int_equal(r[i].end.status, i);
		assert_int_equal(r[i].calls, 1);
	}
	assert_int_equal(count_descriptors(getpid()), ours);
	assert_int_equal(count_descriptors(helper), its);
}

/* A helper that does not read fills the socket, then the queue; nothing is lost of what was taken. */
static void requests_wait_for_the_helper(void **state)
{
	struct trial *t = *state;
	static struct run r[BURST];
	pid_t helper = helper_pid(t);
	unsigned ours = count_descriptors(getpid());
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "exit 6");

	plan.stdout_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	kill(helper, SIGSTOP);
	for (int i = 0; i < BURST; i++) {
		r[i] = (struct run){0};
		r[i].id = process_start(t->helper, &plan, run_ended, &r[i]);
		assert_true(r[i].id > 0);
	}
	close(plan.stdout_fd);
	kill(helper, SIGCONT);
	for (int i = 0; i < BURST; i++) {
		trial_wait(t, &r[i].done);
		assert_int_equal(r[i].end.err, 0);
		assert_int_equal(r[i].end.status, 6);
	}
	assert_int_equal(count_descriptors(getpid()), ours);
}

static void helper_killed(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv, STUBBORN);
	pid_t helper = helper_pid(t);
	struct run r;

	run_start(t->helper, &r, &plan);
	read_two_ups(&r);
	kill(helper, SIGKILL);
	trial_wait(t, &r.done);
	assert_int_equal(r.end.err, ERR_LEFT);
	run_read(&r, NULL);
	assert_int_equal(process_start(t->helper, &plan, run_ended, &r), ERR_SYSTEM);
}

static void full_is_said(void **state)
{
	struct trial *t = *state;
	static struct run r[MOST];
	pid_t helper = helper_pid(t);
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "exit 0");

	kill(helper, SIGSTOP);
	for (int i = 0; i < MOST; i++) {
		r[i] = (struct run){0};
		r[i].id = process_start(t->helper, &plan, run_ended, &r[i]);
		assert_true(r[i].id > 0);
	}
	assert_int_equal(process_start(t->helper, &plan, run_ended, &r[0]), ERR_FULL);
	kill(helper, SIGKILL);
	for (int i = 0; i < MOST; i++) {
		trial_wait(t, &r[i].done);
		assert_int_equal(r[i].calls, 1);
	}
}

/* Plays prise in a process of its own: starts `plan`, says `y` once it has ended by its deadline. */
static _Noreturn void play_prise(struct process_plan *plan, int out, int say)
{
	struct process_helper *helper;
	struct loop *loop;
	struct run r = {0};

	if (process_helper_start(&helper) < 0 || loop_create(&loop) < 0 ||
	    process_helper_attach(helper, loop) < 0)
		_exit(1);
	plan->stdout_fd = out;
	r.id = process_start(helper, plan, run_ended, &r);
	close(out);
	loop_run_until(loop, &r.done);
	if (r.end.deadline && write(say, "y", 1) != 1)
		_exit(1);
	_exit(0);
}

/* Forks it; `r->out` is the program's output, `*said` what the player says. */
static pid_t player_start(struct process_plan *plan, struct run *r, int *said)
{
	int out[2], say[2];
	pid_t player;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(say, O_CLOEXEC), 0);
	player = fork();
	if (player == 0)
		play_prise(plan, out[1], say[1]);
	assert_true(player > 0);
	close(out[1]);
	close(say[1]);
	r->out = out[0];
	*said = say[0];
	return player;
}

static void prise_killed(void **state)
{
	const char *argv[4];
	struct process_plan plan = plan_script(argv, STUBBORN);
	struct run r;
	pid_t player;
	int said;

	plan.grace_ms = 100;
	player = player_start(&plan, &r, &said);
	read_two_ups(&r);
	assert_true(run_is_silent(&r));
	kill(player, SIGKILL);
	run_read(&r, NULL);
	assert_int_equal(waitpid(player, NULL, 0), player);
	close(said);
}

static void prise_killed_leaves_others_alone(void **state)
{
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "sleep 1000 & echo $! $PPID\nwait");
	struct pollfd over;
	struct run r;
	char *rest;
	pid_t player, left, helper;
	int said;

	plan.stop_with_parent = false;
	player = player_start(&plan, &r, &said);
	run_read(&r, "\n");
	left = (pid_t)strtol(r.text, &rest, 10);
	helper = (pid_t)strtol(rest, NULL, 10);
	over = (struct pollfd){(int)syscall(SYS_pidfd_open, helper, 0), POLLIN, 0};
	assert_true(over.fd >= 0);
	kill(player, SIGKILL);
	assert_int_equal(poll(&over, 1, PATIENCE_MS), 1); /* the helper has gone */
	assert_true(run_is_silent(&r));
	assert_int_equal(kill(left, SIGKILL), 0);
	run_read(&r, NULL);
	assert_int_equal(waitpid(player, NULL, 0), player);
	close(over.fd);
	close(said);
}

static void prise_stopped(void **state)
{
	const char *argv[4];
	struct process_plan plan = plan_script(argv, STUBBORN);
	struct run r;
	pid_t player;
	char word;
	int said;

	plan.grace_ms = 50;
	plan.deadline_ns = now_ns() + 500 * MOMENT_MS;
	player = player_start(&plan, &r, &said);
	read_two_ups(&r);
	kill(player, SIGSTOP);
	run_read(&r, NULL);
	assert_true(now_ns() >= plan.deadline_ns);
	kill(player, SIGCONT);
	assert_int_equal(read(said, &word, 1), 1);
	assert_int_equal(waitpid(player, NULL, 0), player);
	close(said);
}

/* Prise cannot act, and the helper is killed: the kernel ends the program. */
static void helper_killed_beside_a_stopped_prise(void **state)
{
	const char *argv[4];
	struct process_plan plan = plan_script(argv, "echo $PPID; exec sleep 1000");
	struct run r;
	pid_t player;
	int said;

	player = player_start(&plan, &r, &said);
	run_read(&r, "\n");
	kill(player, SIGSTOP);
	kill((pid_t)strtol(r.text, NULL, 10), SIGKILL);
	run_read(&r, NULL);
	kill(player, SIGKILL);
	assert_int_equal(waitpid(player, NULL, 0), player);
	close(said);
}

static void become_another(void **state)
{
	struct process_helper *helper;
	struct trial t = {.patience.due = trial_late};
	struct run r;
	const gid_t stray = 4242;

	if (geteuid() != 0)
		skip();
	assert_int_equal(setgroups(1, &stray), 0);
	assert_int_equal(process_helper_start(&helper), 0);
	assert_int_equal(process_helper_become(helper, "no-such-user"), ERR_NO_NAME);
	assert_int_equal(process_helper_become(helper, "nobody"), 0);
	assert_int_equal(loop_create(&t.loop), 0);
	assert_int_equal(process_helper_attach(helper, t.loop), 0);
	t.helper = helper;
	run_whole(&t, &r, "id -un; id -G");
	assert_memory_equal(r.text, "nobody\n", 7);
	assert_null(strstr(r.text, "4242"));
	process_helper_stop(helper);
	loop_destroy(t.loop);
}

#define TRIAL(f) cmocka_unit_test_setup_teardown(f, trial_begin, trial_end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRIAL(output_and_environment),
		TRIAL(exit_codes),
		TRIAL(exec_failure_is_exact),
		TRIAL(too_long_is_refused),
		cmocka_unit_test(nothing_is_inherited),
		TRIAL(stop_ends_the_whole_group),
		TRIAL(stop_wakes_the_stopped),
		TRIAL(group_ends_after_its_leader),
		TRIAL(group_is_left_alone),
		TRIAL(orphans_come_to_the_helper),
		TRIAL(deadline_moved_and_passed),
		TRIAL(deadline_passed_before),
		TRIAL(signal_reaches_the_group),
		TRIAL(forgotten_is_not_called),
		TRIAL(helper_survives_signals),
		TRIAL(many_at_once),
		TRIAL(requests_wait_for_the_helper),
		TRIAL(helper_killed),
		TRIAL(full_is_said),
		cmocka_unit_test(prise_killed),
		cmocka_unit_test(prise_killed_leaves_others_alone),
		cmocka_unit_test(prise_stopped),
		cmocka_unit_test(helper_killed_beside_a_stopped_prise),
		cmocka_unit_test(become_another),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
