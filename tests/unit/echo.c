/* echo over UDP (proto/echo.h): what is lost, late, doubled or changed on the way is told apart. */
#include "proto/echo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static uint8_t datagram[16][ECHO_DATAGRAM_BYTES];

static struct moment at_ms(uint64_t ms)
{
	return (struct moment){.boot_ns = 5 * MOMENT_S + ms * MOMENT_MS};
}

static struct echo_rounds *begin(const struct echo_client_settings *settings)
{
	static struct echo_rounds rounds;
	struct moment now = at_ms(0);

	echo_rounds_init(&rounds, settings, 1000, &now);
	return &rounds;
}

static struct bytes send_at(struct echo_rounds *r, uint64_t ms)
{
	struct moment now = at_ms(ms);

	assert_true(echo_rounds_due(r, &now));
	return echo_rounds_send(r, &now, datagram[(r->sent + 1) % 16]);
}

static enum echo_verdict take_at(struct echo_rounds *r, uint64_t ms, struct bytes in,
				 struct echo_answer *answer)
{
	struct moment now = at_ms(ms);

	return echo_rounds_take(r, in, &now, answer);
}

static bool over_at(const struct echo_rounds *r, uint64_t ms)
{
	struct moment now = at_ms(ms);

	return echo_rounds_over(r, &now);
}

static bool due_at(const struct echo_rounds *r, uint64_t ms)
{
	struct moment now = at_ms(ms);

	return echo_rounds_due(r, &now);
}

static void sends_every_interval_and_ends_when_all_is_answered(void **state)
{
	struct echo_rounds *r = begin(
		&(struct echo_client_settings){.count = 2, .interval_ms = 100, .size_bytes = 12});
	struct echo_answer answer;
	struct bytes first = send_at(r, 0);

	assert_int_equal(first.len, 12);
	assert_memory_equal(first.data, "0000000001lm", 12);
	assert_false(due_at(r, 99));
	assert_int_equal(echo_rounds_deadline(r), at_ms(100).boot_ns);
	assert_int_equal(take_at(r, 7, first, &answer), ECHO_ANSWERED);
	assert_int_equal(answer.round, 1);
	assert_int_equal(answer.rtt_us, 7000);
	struct bytes second = send_at(r, 100);
	assert_memory_equal(second.data, "0000000002mn", 12);
	assert_false(due_at(r, 200));
	assert_false(over_at(r, 200));
	assert_int_equal(take_at(r, 200, second, &answer), ECHO_ANSWERED);
	assert_true(over_at(r, 200));
	assert_int_equal(r->sent - r->answered, 0);
}

static void waits_for_the_last_answers_and_then_counts_them_lost(void **state)
{
	struct echo_rounds *r = begin(&(struct echo_client_settings){.count = 1, .size_bytes = 10});

	send_at(r, 50);
	assert_int_equal(echo_rounds_deadline(r), at_ms(1050).boot_ns);
	assert_false(over_at(r, 1049));
	assert_true(over_at(r, 1050));
	assert_int_equal(r->sent - r->answered, 1);
}

static void the_last_round_goes_out_again_and_puts_off_the_next(void **state)
{
	struct echo_rounds *r = begin(
		&(struct echo_client_settings){.count = 2, .interval_ms = 100, .size_bytes = 12});
	struct moment later = at_ms(50);
	struct bytes first = send_at(r, 0), again;
	struct echo_answer answer;
	uint8_t room[12];

	again = echo_rounds_again(r, &later, room);
	assert_int_equal(r->sent, 1);
	assert_int_equal(again.len, first.len);
	assert_memory_equal(again.data, first.data, first.len);
	assert_false(due_at(r, 149));
	assert_true(due_at(r, 150));
	assert_int_equal(take_at(r, 60, again, &answer), ECHO_ANSWERED);
	assert_int_equal(take_at(r, 61, first, &answer), ECHO_DUPLICATE);
}

static void tells_reordered_and_doubled_answers_apart(void **state)
{
	struct echo_rounds *r = begin(&(struct echo_client_settings){.count = 3, .size_bytes = 20});
	struct bytes one = send_at(r, 0), two = send_at(r, 1), three = send_at(r, 2);
	struct echo_answer answer;

	assert_int_equal(take_at(r, 3, two, &answer), ECHO_ANSWERED);
	assert_int_equal(take_at(r, 4, one, &answer), ECHO_REORDERED);
	assert_int_equal(answer.round, 1);
	assert_int_equal(answer.rtt_us, 4000);
	assert_int_equal(take_at(r, 5, one, &answer), ECHO_DUPLICATE);
	assert_int_equal(take_at(r, 5, two, &answer), ECHO_DUPLICATE);
	assert_int_equal(take_at(r, 6, three, &answer), ECHO_ANSWERED);
	assert_int_equal(r->answered, 3);
	assert_int_equal(r->reordered, 1);
	assert_int_equal(r->duplicates, 2);
	assert_int_equal(r->different, 0);
}

static void takes_nothing_that_was_not_sent(void **state)
{
	struct echo_rounds *r = begin(&(struct echo_client_settings){.count = 2, .size_bytes = 12});
	struct bytes one = send_at(r, 0);
	struct echo_answer answer;
	uint8_t changed[13] = {0};

	memcpy(changed, one.data, 12);
	assert_int_equal(take_at(r, 1, bytes_first(one, 11), &answer), ECHO_DIFFERENT);
	assert_int_equal(answer.round, 1);
	assert_int_equal(take_at(r, 1, bytes_of(changed, 13), &answer), ECHO_DIFFERENT);
	changed[11] ^= 1;
	assert_int_equal(take_at(r, 1, bytes_of(changed, 12), &answer), ECHO_DIFFERENT);
	assert_int_equal(take_at(r, 1, BYTES_LITERAL("0000000002mn"), &answer), ECHO_DIFFERENT);
	assert_int_equal(answer.round, 0);
	assert_int_equal(take_at(r, 1, BYTES_LITERAL("0000000000kl"), &answer), ECHO_DIFFERENT);
	assert_int_equal(take_at(r, 1, BYTES_LITERAL("hello"), &answer), ECHO_DIFFERENT);
	assert_int_equal(take_at(r, 1, bytes_of(NULL, 0), &answer), ECHO_DIFFERENT);
	assert_int_equal(r->different, 7);
	assert_int_equal(r->answered, 0);
	assert_int_equal(take_at(r, 2, one, &answer), ECHO_ANSWERED);
}

static void a_round_long_ago_is_stale(void **state)
{
	struct echo_rounds *r = begin(&(struct echo_client_settings){.size_bytes = 12});
	uint8_t first[12], second[12];
	struct echo_answer answer;

	memcpy(first, send_at(r, 0).data, 12);
	assert_int_equal(take_at(r, 0, bytes_of(first, 12), &answer), ECHO_ANSWERED);
	memcpy(second, send_at(r, 0).data, 12);
	while (r->sent < ECHO_WINDOW)
		send_at(r, 1);
	assert_int_equal(take_at(r, 2, send_at(r, 1), &answer), ECHO_ANSWERED);
	assert_int_equal(take_at(r, 2, bytes_of(first, 12), &answer), ECHO_STALE);
	assert_int_equal(take_at(r, 2, bytes_of(second, 12), &answer), ECHO_REORDERED);
	assert_int_equal(r->answered, 3);
	assert_false(over_at(r, 1000000));
}

static void a_text_goes_out_once_as_it_is(void **state)
{
	struct echo_rounds *r = begin(
		&(struct echo_client_settings){.text = "bonjour", .size_bytes = 64});
	struct bytes one = send_at(r, 0);
	struct echo_answer answer;

	assert_int_equal(one.len, 7);
	assert_memory_equal(one.data, "bonjour", 7);
	assert_false(due_at(r, 5000));
	assert_int_equal(take_at(r, 3, BYTES_LITERAL("bonsoir"), &answer), ECHO_DIFFERENT);
	assert_int_equal(take_at(r, 3, one, &answer), ECHO_ANSWERED);
	assert_int_equal(take_at(r, 4, one, &answer), ECHO_DUPLICATE);
	assert_true(over_at(r, 4));
}

static void a_text_sent_often_is_answered_oldest_first(void **state)
{
	struct echo_rounds *r = begin(
		&(struct echo_client_settings){.text = "ping", .count = 2, .interval_ms = 10});
	struct bytes one = send_at(r, 0);
	struct echo_answer answer;

	send_at(r, 10);
	assert_int_equal(take_at(r, 12, one, &answer), ECHO_ANSWERED);
	assert_int_equal(answer.rtt_us, 12000);
	assert_int_equal(take_at(r, 15, one, &answer), ECHO_ANSWERED);
	assert_int_equal(answer.rtt_us, 5000);
	assert_true(over_at(r, 15));
}

static void the_empty_text_is_an_empty_datagram(void **state)
{
	struct echo_rounds *r = begin(&(struct echo_client_settings){.text = ""});
	struct echo_answer answer;

	assert_int_equal(send_at(r, 0).len, 0);
	assert_int_equal(take_at(r, 1, BYTES_LITERAL("x"), &answer), ECHO_DIFFERENT);
	assert_int_equal(take_at(r, 1, bytes_of(NULL, 0), &answer), ECHO_ANSWERED);
}

static void the_longest_datagram(void **state)
{
	struct echo_rounds *r = begin(
		&(struct echo_client_settings){.count = 1, .size_bytes = ECHO_DATAGRAM_BYTES});
	struct bytes one = send_at(r, 0);
	struct echo_answer answer;

	assert_int_equal(one.len, ECHO_DATAGRAM_BYTES);
	assert_int_equal(take_at(r, 1, one, &answer), ECHO_ANSWERED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_every_interval_and_ends_when_all_is_answered),
		cmocka_unit_test(waits_for_the_last_answers_and_then_counts_them_lost),
		cmocka_unit_test(the_last_round_goes_out_again_and_puts_off_the_next),
		cmocka_unit_test(tells_reordered_and_doubled_answers_apart),
		cmocka_unit_test(takes_nothing_that_was_not_sent),
		cmocka_unit_test(a_round_long_ago_is_stale),
		cmocka_unit_test(a_text_goes_out_once_as_it_is),
		cmocka_unit_test(a_text_sent_often_is_answered_oldest_first),
		cmocka_unit_test(the_empty_text_is_an_empty_datagram),
		cmocka_unit_test(the_longest_datagram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
