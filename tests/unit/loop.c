/* The loop: stale events, timers, mail from many threads in order, a full mailbox, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "net/loop.h"

enum { SENDERS = 4, MAILS = 2000, MAILBOX = 65536 };

static struct loop *loop;

static int set_up(void **state)
{
	return loop_create(&loop);
}

static int tear_down(void **state)
{
	loop_destroy(loop);
	return 0;
}

struct pair {
	int fd[2];
	int64_t registration;
	unsigned calls;
	struct pair *other; /* removed by our handler */
};

static void pair_ready(void *owner, unsigned events)
{
	struct pair *p = owner;
	char byte;

	p->calls++;
	assert_int_equal(read(p->fd[0], &byte, 1), 1);
	if (p->other) {
		loop_remove(loop, p->other->registration);
		p->other->other = NULL;
	}
}

/* Two descriptors are ready in the same turn; whoever comes first removes the other, whose event
 * was already read from the kernel. */
static void test_a_stale_event_reaches_nobody(void **state)
{
	struct pair a = {.other = NULL}, b = {.other = &a};

	a.other = &b;
	assert_int_equal(pipe(a.fd), 0);
	assert_int_equal(pipe(b.fd), 0);
	a.registration = loop_add(loop, a.fd[0], LOOP_READ, pair_ready, &a);
	b.registration = loop_add(loop, b.fd[0], LOOP_READ, pair_ready, &b);
	assert_true(a.registration > 0 && b.registration > 0);
	assert_int_equal(write(a.fd[1], "x", 1), 1);
	assert_int_equal(write(b.fd[1], "x", 1), 1);
	loop_turn(loop, 1000);
	assert_int_equal(a.calls + b.calls, 1);
	for (unsigned i = 0; i < 2; i++) {
		close(a.fd[i]);
		close(b.fd[i]);
	}
}

static void test_a_number_is_not_given_twice(void **state)
{
	int fd[2];
	int64_t first, second;
	struct pair p = {0};

	assert_int_equal(pipe(fd), 0);
	first = loop_add(loop, fd[0], LOOP_READ, pair_ready, &p);
	assert_ptr_equal(loop_owner(loop, first, pair_ready), &p);
	loop_remove(loop, first);
	assert_null(loop_owner(loop, first, pair_ready));
	second = loop_add(loop, fd[0], LOOP_READ, pair_ready, &p);
	assert_int_equal((uint32_t)first, (uint32_t)second);
	assert_int_not_equal(first, second);
	assert_null(loop_owner(loop, first, pair_ready));
	assert_int_equal(loop_change(loop, first, LOOP_WRITE), ERR_SYSTEM);
	loop_remove(loop, first); /* an old number removes nothing */
	assert_ptr_equal(loop_owner(loop, second, pair_ready), &p);
	close(fd[0]);
	close(fd[1]);
}

static void test_a_regular_file_is_refused(void **state)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	assert_int_equal(loop_add(loop, fileno(file), LOOP_READ, pair_ready, NULL), ERR_PERMISSION);
	fclose(file);
}

struct alarm_clock {
	struct wheel_timer timer;
	uint64_t rang_ns;
};

static void ring(struct wheel_timer *timer, void *context)
{
	assert_ptr_equal(context, loop);
	((struct alarm_clock *)timer)->rang_ns = loop_now(loop)->boot_ns;
}

static void test_a_timer_is_never_early(void **state)
{
	struct alarm_clock soon = {.timer.due = ring}, later = soon, never = soon, none = soon;
	uint64_t now_ns = loop_now(loop)->boot_ns;

	loop_arm(loop, &soon.timer, now_ns + 3 * MOMENT_MS + 1);
	loop_arm(loop, &later.timer, now_ns + 20 * MOMENT_MS);
	loop_arm(loop, &never.timer, now_ns + 10 * MOMENT_MS);
	loop_disarm(loop, &never.timer);
	loop_arm(loop, &none.timer, now_ns + 10 * MOMENT_MS);
	loop_arm(loop, &none.timer, MOMENT_NEVER);
	while (!later.rang_ns)
		loop_turn(loop, -1);
	assert_true(soon.rang_ns >= now_ns + 3 * MOMENT_MS + 1);
	assert_true(later.rang_ns >= now_ns + 20 * MOMENT_MS);
	assert_int_equal(never.rang_ns, 0);
	assert_int_equal(none.rang_ns, 0);
}

struct letter {
	struct loop_mail mail;
	unsigned sender, number;
};

static unsigned next_number[SENDERS], received;
static bool all_received;

static void open_letter(struct loop_mail *mail, struct loop *in)
{
	struct letter *letter = (struct letter *)mail;

	assert_ptr_equal(in, loop);
	assert_int_equal(letter->number, next_number[letter->sender]++);
	all_received = ++received == SENDERS * MAILS;
	free(letter);
}

static void *send_letters(void *argument)
{
	for (unsigned i = 0; i < MAILS; i++) {
		struct letter *letter = calloc(1, sizeof *letter);

		letter->mail.run = open_letter;
		letter->sender = (unsigned)(uintptr_t)argument;
		letter->number = i;
		while (!loop_post(loop, &letter->mail))
			sched_yield();
	}
	return NULL;
}

static void test_mail_keeps_each_senders_order(void **state)
{
	pthread_t thread[SENDERS];

	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, send_letters, (void *)i), 0);
	loop_run_until(loop, &all_received);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(received, SENDERS * MAILS);
}

static void drop_letter(struct loop_mail *mail, struct loop *in)
{
	received++;
}

static void test_a_full_mailbox_refuses_and_counts(void **state)
{
	struct loop_mail *mails = calloc(MAILBOX + 2, sizeof *mails);

	received = 0;
	for (unsigned i = 0; i < MAILBOX + 2; i++) {
		mails[i].run = drop_letter;
		assert_int_equal(loop_post(loop, &mails[i]), i < MAILBOX);
	}
	assert_int_equal(loop_dropped(loop), 2);
	loop_turn(loop, 1000);
	assert_int_equal(received, MAILBOX);
	assert_true(loop_post(loop, &mails[0]));
	loop_turn(loop, 1000);
	assert_int_equal(received, MAILBOX + 1);
	free(mails);
}

static int caught_signal;

static void caught(void *owner, int signal_number)
{
	caught_signal = signal_number;
	loop_stop(loop);
}

static void test_signals_are_heard_in_the_loop(void **state)
{
	static const int signals[] = {SIGUSR1, SIGUSR2};

	assert_int_equal(loop_signals(loop, signals, 2, caught, NULL), 0);
	raise(SIGUSR2);
	assert_int_equal(caught_signal, 0);
	loop_run(loop);
	assert_int_equal(caught_signal, SIGUSR2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_stale_event_reaches_nobody, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_number_is_not_given_twice, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_regular_file_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_timer_is_never_early, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mail_keeps_each_senders_order, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_mailbox_refuses_and_counts, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_signals_are_heard_in_the_loop, set_up,
						tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
