/* Programs through the helper (net/process.h): how they end, and who ends them when prise, the
 * helper or their leader is stopped or killed. What they get: process.c. */
#include "process_trial.h"

/* Leader and grandchild ignore SIGTERM, and print when they are ready for it. */
#define STUBBORN "trap '' TERM; sh -c 'echo up; sleep 1000; sleep 1000' & echo up; wait; sleep 1000"

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

/* SIGTERM goes to every member: this one outlives its leader and would never end by itself. `up` is
 * said behind an exec: what a shell has forked, and not yet turned into a program, may drop a
 * signal for which that shell has a trap. */
static void stop_asks_the_whole_group(void **state)
{
	struct trial *t = *state;
	const char *argv[4];
	struct process_plan plan = plan_script(argv,
					       "sh -c 'trap \"echo asked; exit\" TERM; "
					       "sh -c \"echo up; exec sleep 1000\" & wait' & wait");
	struct run r;

	run_start(t->helper, &r, &plan);
	run_read(&r, "up\n");
	process_stop(t->helper, r.id);
	trial_wait(t, &r.done);
	run_read(&r, NULL);
	assert_string_equal(r.text, "asked\n");
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
	left = pid_of(r.text, NULL);
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
	uint64_t due_ns = now_ns() + 1500 * MOMENT_MS;

	plan.deadline_ns = due_ns - 500 * MOMENT_MS;
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

/* Plays prise in a process of its own: starts `plan`, says `y` once it has ended by its deadline.
 */
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
	left = pid_of(r.text, &rest);
	helper = pid_of(rest, NULL);
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
	plan.deadline_ns = now_ns() + 2000 * MOMENT_MS;
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
	kill(pid_of(r.text, NULL), SIGKILL);
	run_read(&r, NULL);
	kill(player, SIGKILL);
	assert_int_equal(waitpid(player, NULL, 0), player);
	close(said);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TRIAL(stop_ends_the_whole_group),
		TRIAL(stop_asks_the_whole_group),
		TRIAL(stop_wakes_the_stopped),
		TRIAL(group_ends_after_its_leader),
		TRIAL(group_is_left_alone),
		TRIAL(orphans_come_to_the_helper),
		TRIAL(deadline_moved_and_passed),
		TRIAL(deadline_passed_before),
		TRIAL(helper_killed),
		cmocka_unit_test(prise_killed),
		cmocka_unit_test(prise_killed_leaves_others_alone),
		cmocka_unit_test(prise_stopped),
		cmocka_unit_test(helper_killed_beside_a_stopped_prise),
	};

	return cmocka_run_group_tests_name("process_stop", tests, NULL, NULL);
}
