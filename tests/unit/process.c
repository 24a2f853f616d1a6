/* Programs through the helper (net/process.h): what they get, what comes back, what is refused. How
 * they are ended: process_stop.c. */
#include "process_trial.h"

enum { BURST = 1000, MOST = 4096 };

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
	} cases[] = {{"/no/such/program", ERR_NO_FILE},
		     {"prise-no-such-program", ERR_NO_FILE},
		     {"/etc/passwd", ERR_PERMISSION},
		     {"/", ERR_PERMISSION}};
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
	const char *ignored;
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
	/* glibc ignores its own two signals, 32 and 33, in what posix_spawn starts (make does), and
	 * lets nobody take that back */
	ignored = strstr(r.text, "SigIgn:\t");
	assert_non_null(ignored);
	assert_int_equal(strtoull(ignored + strlen("SigIgn:\t"), NULL, 16) & ~0x180000000ull, 0);
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

/* A helper that does not read fills the socket, then the queue; nothing is lost of what was taken.
 */
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRIAL(output_and_environment),
		TRIAL(exit_codes),
		TRIAL(exec_failure_is_exact),
		TRIAL(too_long_is_refused),
		cmocka_unit_test(nothing_is_inherited),
		TRIAL(helper_survives_signals),
		TRIAL(many_at_once),
		TRIAL(requests_wait_for_the_helper),
		TRIAL(full_is_said),
		cmocka_unit_test(become_another),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
