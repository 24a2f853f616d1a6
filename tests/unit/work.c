/* Work threads: order, limits, withdrawal, the end with jobs in every state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "net/work.h"

enum { MANY = 4096, TURN_MS = 100, PATIENCE_S = 20 };

struct job {
	struct work_job job; /* first */
	unsigned number;
	int gate; /* waits until this can be read, if not 0 */
	bool fail_if_run;
	bool ran, done;
	bool signals_blocked;
	pthread_t thread;
};

static unsigned order[MANY], ended;

static void run(struct work_job *work_job)
{
	struct job *job = (struct job *)work_job;
	sigset_t blocked;

	if (job->gate != 0) {
		struct pollfd gate = {.fd = job->gate, .events = POLLIN};

		while (poll(&gate, 1, -1) < 0)
			;
	}
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	job->signals_blocked = sigismember(&blocked, SIGTERM) == 1;
	job->thread = pthread_self();
	job->ran = true;
}

static void done(struct work_job *work_job)
{
	struct job *job = (struct job *)work_job;

	assert_true(job->ran);
	assert_false(job->fail_if_run);
	job->done = true;
	if (ended < MANY)
		order[ended] = job->number;
	ended++;
}

static struct job make(unsigned number, int gate)
{
	return (struct job){.job = {.run = run, .done = done}, .number = number, .gate = gate};
}

static uint64_t patience(const struct loop *loop)
{
	return loop_now(loop)->boot_ns + PATIENCE_S * MOMENT_S;
}

static void turn_until(struct loop *loop, const bool *is_done)
{
	uint64_t deadline_ns = patience(loop);

	while (!*is_done && loop_now(loop)->boot_ns < deadline_ns)
		loop_turn(loop, TURN_MS);
	assert_true(*is_done);
}

static struct loop *begin(struct work **work, unsigned threads)
{
	struct loop *loop;

	ended = 0;
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(work_create(work, threads), 0);
	return loop;
}

static void end(struct loop *loop, struct work *work)
{
	work_destroy(work);
	loop_destroy(loop);
}

static void test_runs_elsewhere_and_ends_here(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 4);
	struct job job = make(1, 0);

	assert_int_equal(work_submit(work, loop, &job.job), 0);
	turn_until(loop, &job.done);
	assert_false(pthread_equal(job.thread, pthread_self()));
	assert_true(job.signals_blocked);
	end(loop, work);
}

static void test_one_thread_keeps_the_order(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 1);
	struct job *job = calloc(MANY, sizeof(*job));
	struct job more = make(0, 0);
	int gate[2];

	assert_non_null(job);
	assert_int_equal(pipe(gate), 0);
	for (unsigned i = 0; i < MANY; i++) {
		job[i] = make(i, gate[0]);
		assert_int_equal(work_submit(work, loop, &job[i].job), 0);
	}
	/* the thread holds at most one of them: the queue has one place or none */
	if (work_submit(work, loop, &more.job) == 0) {
		assert_true(work_withdraw(work, &more.job));
		assert_int_equal(work_submit(work, loop, &more.job), 0);
		assert_true(work_withdraw(work, &more.job));
	}
	assert_int_equal(write(gate[1], "x", 1), 1);
	turn_until(loop, &job[MANY - 1].done);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(order[i], i);
	close(gate[0]);
	close(gate[1]);
	free(job);
	end(loop, work);
}

static void test_full_at_4096(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 1);
	struct job *job = calloc(MANY + 2, sizeof(*job));
	int gate[2], err = 0;
	unsigned submitted = 0;

	assert_non_null(job);
	assert_int_equal(pipe(gate), 0);
	while (err == 0 && submitted < MANY + 2) {
		job[submitted] = make(submitted, gate[0]);
		err = work_submit(work, loop, &job[submitted].job);
		submitted += err == 0;
	}
	assert_int_equal(err, ERR_FULL);
	assert_in_range(submitted, MANY, MANY + 1);
	assert_true(work_withdraw(work, &job[submitted - 1].job));
	assert_int_equal(work_submit(work, loop, &job[submitted - 1].job), 0);
	assert_int_equal(write(gate[1], "x", 1), 1);
	work_destroy(work); /* what waits is dropped, what has run is done */
	loop_turn(loop, 0);
	for (unsigned i = 0; i < submitted; i++)
		assert_int_equal(job[i].ran, job[i].done);
	close(gate[0]);
	close(gate[1]);
	free(job);
	loop_destroy(loop);
}

static void test_threads_run_side_by_side(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 3);
	struct job held[2], free_one = make(9, 0);
	int gate[2];

	assert_int_equal(pipe(gate), 0);
	for (unsigned i = 0; i < 2; i++) {
		held[i] = make(i, gate[0]);
		assert_int_equal(work_submit(work, loop, &held[i].job), 0);
	}
	assert_int_equal(work_submit(work, loop, &free_one.job), 0);
	turn_until(loop, &free_one.done);
	assert_false(held[0].done || held[1].done);
	assert_int_equal(write(gate[1], "x", 1), 1);
	turn_until(loop, &held[0].done);
	turn_until(loop, &held[1].done);
	close(gate[0]);
	close(gate[1]);
	end(loop, work);
}

static void test_withdraws_what_waits_and_only_that(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 1);
	struct job job[4];
	int gate[2];

	assert_int_equal(pipe(gate), 0);
	for (unsigned i = 0; i < 4; i++)
		job[i] = make(i, i == 0 ? gate[0] : 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(work_submit(work, loop, &job[i].job), 0);
	job[2].fail_if_run = true;
	assert_true(work_withdraw(work, &job[2].job));
	assert_false(work_withdraw(work, &job[2].job));
	/* the last one was taken out: the queue's end must still be right */
	assert_int_equal(work_submit(work, loop, &job[3].job), 0);
	assert_int_equal(write(gate[1], "x", 1), 1);
	turn_until(loop, &job[3].done);
	assert_true(job[0].done && job[1].done);
	assert_false(job[2].ran);
	assert_false(work_withdraw(work, &job[0].job));
	close(gate[0]);
	close(gate[1]);
	end(loop, work);
}

static void test_end_waits_for_what_runs(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 1);
	struct job first = make(0, 0), running;
	int gate[2];

	assert_int_equal(pipe(gate), 0);
	running = make(1, gate[0]);
	assert_int_equal(work_submit(work, loop, &first.job), 0);
	turn_until(loop, &first.done);
	assert_int_equal(work_submit(work, loop, &running.job), 0);
	while (work_withdraw(work, &running.job)) /* until the thread has it */
		assert_int_equal(work_submit(work, loop, &running.job), 0);
	assert_int_equal(write(gate[1], "x", 1), 1);
	work_destroy(work);
	assert_true(running.ran);
	assert_false(running.done);
	loop_turn(loop, 0);
	assert_true(running.done);
	close(gate[0]);
	close(gate[1]);
	loop_destroy(loop);
}

static void test_ends_unused(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 8);

	end(loop, work);
	work_destroy(NULL);
	loop = begin(&work, 8);
	work_leave(work);
	work_leave(NULL);
	loop_destroy(loop);
}

static sem_t gone;

static void left(struct work_job *work_job)
{
	struct job *job = (struct job *)work_job;

	assert_true(job->ran);
	assert_false(job->done);
	free(job);
	sem_post(&gone);
}

/* What runs is neither waited for nor done; what waits is the caller's; what has run is done. */
static void test_leaves_what_runs(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 1);
	struct job ran = make(0, 0), waiting = make(2, 0), *running = malloc(sizeof(*running));
	int gate[2];

	assert_non_null(running);
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(sem_init(&gone, 0, 0), 0);
	*running = make(1, gate[0]);
	running->job.left = left;
	assert_int_equal(work_submit(work, loop, &ran.job), 0);
	assert_int_equal(work_submit(work, loop, &running->job), 0);
	while (work_withdraw(work, &running->job)) /* until the thread has it */
		assert_int_equal(work_submit(work, loop, &running->job), 0);
	assert_int_equal(work_submit(work, loop, &waiting.job), 0);
	work_leave(work);
	assert_false(ran.done);
	loop_take_mail(loop);
	assert_true(ran.done);
	loop_destroy(loop);
	assert_int_equal(write(gate[1], "x", 1), 1);
	assert_int_equal(sem_wait(&gone), 0);
	assert_false(waiting.ran);
	close(gate[0]);
	close(gate[1]);
}

static pthread_key_t kept;
static atomic_bool given_back;

static void keep(struct work_job *job)
{
	assert_int_equal(pthread_setspecific(kept, job), 0);
	run(job);
}

static void give_back(void *what)
{
	poll(NULL, 0, 50);
	given_back = true;
}

/* What a thread keeps for itself, as a resolver does, is given back. */
static void test_leaves_no_idle_thread(void **state)
{
	struct work *work;
	struct loop *loop = begin(&work, 2);
	struct job job = make(0, 0);

	job.job.run = keep;
	assert_int_equal(pthread_key_create(&kept, give_back), 0);
	assert_int_equal(work_submit(work, loop, &job.job), 0);
	while (!job.done)
		loop_turn(loop, TURN_MS);
	work_leave(work);
	assert_true(given_back);
	pthread_key_delete(kept);
	loop_destroy(loop);
}

/* More answers than a mailbox holds, and a loop that looks only when it is full: none is lost. */
static void test_no_answer_is_lost(void **state)
{
	enum { ALL = 80000 };
	struct work *work;
	struct loop *loop = begin(&work, 4);
	struct job *job = calloc(ALL, sizeof(*job));
	unsigned submitted = 0;

	assert_non_null(job);
	while (submitted < ALL) {
		job[submitted] = make(submitted, 0);
		if (work_submit(work, loop, &job[submitted].job) == 0)
			submitted++;
		else if (loop_dropped(loop) > 0)
			loop_turn(loop, 0);
		else
			sched_yield();
	}
	for (uint64_t end_ns = patience(loop); ended < ALL && loop_now(loop)->boot_ns < end_ns;)
		loop_turn(loop, TURN_MS);
	assert_int_equal(ended, ALL);
	assert_true(loop_dropped(loop) > 0);
	free(job);
	end(loop, work);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs_elsewhere_and_ends_here),
		cmocka_unit_test(test_one_thread_keeps_the_order),
		cmocka_unit_test(test_full_at_4096),
		cmocka_unit_test(test_threads_run_side_by_side),
		cmocka_unit_test(test_withdraws_what_waits_and_only_that),
		cmocka_unit_test(test_end_waits_for_what_runs),
		cmocka_unit_test(test_ends_unused),
		cmocka_unit_test(test_leaves_what_runs),
		cmocka_unit_test(test_leaves_no_idle_thread),
		cmocka_unit_test(test_no_answer_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
