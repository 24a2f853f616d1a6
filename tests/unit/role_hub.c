/* The hub of role without machines: who is told what, when the disk is asked, when leases end. */
#include "proto/role_hub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { CAPACITY = 8, LEASE_MS = 3000 };

static struct role_hub *hub;
static struct out out;
static struct moment now;

static void start(uint64_t epoch, uint64_t lease_ms)
{
	struct role_record record = {epoch, lease_ms};

	free(hub);
	hub = malloc(role_hub_bytes(CAPACITY));
	assert_non_null(hub);
	memset((void *)hub, 0xa5, role_hub_bytes(CAPACITY));
	now = (struct moment){.boot_ns = 500 * MOMENT_S};
	hub = role_hub_init(hub, CAPACITY, LEASE_MS, &record, &now);
	out_reset(&out, 0);
	role_hub_tick(hub, &out, &now);
}

static int setup(void **state)
{
	start(0, 0);
	return 0;
}

static int teardown(void **state)
{
	free(hub);
	hub = NULL;
	return 0;
}

static void say(uint64_t id, enum role_kind kind, uint64_t number)
{
	struct bytes name = kind == ROLE_NAME ? BYTES_LITERAL("name") : (struct bytes){0};

	out_reset(&out, 0);
	role_hub_tell(hub, id, &(struct message){.kind = kind, .number = {number}, .body = name},
		      &out, &now);
}

static void after_ms(uint64_t ms)
{
	now.boot_ns += ms * MOMENT_MS;
	out_reset(&out, 0);
	role_hub_tick(hub, &out, &now);
}

/* The `i`th tell is of that kind and goes there. */
static void assert_told(unsigned i, uint64_t to, enum role_kind kind)
{
	assert_true(i < out.tells);
	assert_int_equal(out.tell[i].to, to);
	assert_int_equal(out.tell[i].message.kind, kind);
}

static void assert_told_numbers(unsigned i, uint64_t to, enum role_kind kind, uint64_t a,
				uint64_t b, uint64_t c, uint64_t d)
{
	uint64_t number[] = {a, b, c, d};

	assert_told(i, to, kind);
	assert_memory_equal(out.tell[i].message.number, number, sizeof number);
}

/* The last tell is a request for this record; its number is returned. */
static uint64_t assert_asked(uint64_t epoch, uint64_t lease_ms)
{
	const struct message *m = &out.tell[out.tells - 1].message;

	assert_told(out.tells - 1, OUT_OWNER, ROLE_PERSIST);
	assert_int_equal(m->number[0], epoch);
	assert_int_equal(m->number[1], lease_ms);
	return m->number[2];
}

static void disk_says(uint64_t request, int err)
{
	out_reset(&out, 0);
	role_hub_tell(
		hub, OUT_OWNER,
		&(struct message){.kind = ROLE_PERSISTED, .number = {request, (uint64_t)-err}},
		&out, &now);
}

static void disk_has(uint64_t epoch, uint64_t lease_ms)
{
	disk_says(assert_asked(epoch, lease_ms), 0);
}

/* 10 is principal under epoch 1 with a lease, 11 the next, both structured. */
static void two_structured(void)
{
	say(10, ROLE_JOIN, 0);
	disk_has(1, 0);
	say(10, ROLE_NAME, 0);
	disk_has(1, LEASE_MS);
	assert_told_numbers(0, 10, ROLE_LINE_PRINCIPAL, 1, 1, 1, LEASE_MS);
	say(11, ROLE_JOIN, 0);
	say(11, ROLE_NAME, 0);
}

static void plain_oldest_is_principal_and_the_next_only_is_told(void **state)
{
	say(10, ROLE_JOIN, 0);
	assert_told(0, 10, ROLE_WORD_PRINCIPAL);
	disk_has(1, 0);
	say(11, ROLE_JOIN, 0);
	assert_told(0, 11, ROLE_WORD_SECONDAIRE);
	assert_int_equal(out.tells, 1);
	say(12, ROLE_JOIN, 0);
	say(11, ROLE_LEAVE, 0);
	assert_int_equal(out.tells, 0);
	say(10, ROLE_LEAVE, 0);
	assert_told(0, 12, ROLE_WORD_PRINCIPAL);
	assert_int_equal(out.tells, 1);
	after_ms(ROLE_REST_MS - 1);
	assert_int_equal(out.tells, 0);
	after_ms(1);
	disk_has(2, 0);
	assert_int_equal(out.tells, 0);
	say(12, ROLE_LEAVE, 0);
	assert_int_equal(out.tells, 0);
	say(13, ROLE_JOIN, 0);
	assert_told(0, 13, ROLE_WORD_PRINCIPAL);
}

static void plain_word_does_not_wait_for_the_disk(void **state)
{
	uint64_t request;

	for (uint64_t id = 10; id < 14; id++)
		say(id, ROLE_JOIN, 0);
	request = 1;
	say(10, ROLE_LEAVE, 0);
	assert_told(0, 11, ROLE_WORD_PRINCIPAL);
	assert_int_equal(out.tells, 1);
	say(11, ROLE_LEAVE, 0);
	assert_told(0, 12, ROLE_WORD_PRINCIPAL);
	assert_int_equal(out.tells, 1);
	assert_int_equal(role_hub_epoch(hub), 0);
	disk_says(request, 0);
	assert_int_equal(role_hub_epoch(hub), 1);
	after_ms(ROLE_REST_MS);
	disk_has(3, 0);
	assert_int_equal(role_hub_epoch(hub), 3);
}

static void word_goes_out_before_the_disk_is_asked(void **state)
{
	say(10, ROLE_JOIN, 0);
	assert_told(0, 10, ROLE_WORD_PRINCIPAL);
	assert_told(1, OUT_OWNER, ROLE_PERSIST);
}

static void principal_that_becomes_structured_keeps_epoch_and_place(void **state)
{
	say(10, ROLE_JOIN, 0);
	disk_has(1, 0);
	say(11, ROLE_JOIN, 0);
	say(11, ROLE_NAME, 5);
	assert_told_numbers(0, 11, ROLE_LINE_SECONDAIRE, 1, 2, 2, LEASE_MS);
	say(10, ROLE_NAME, 0);
	assert_int_equal(out.tells, 1);
	disk_has(1, LEASE_MS);
	assert_told_numbers(0, 10, ROLE_LINE_PRINCIPAL, 1, 1, 2, LEASE_MS);
	assert_int_equal(out.tells, 1);
}

static void structured_waits_for_its_own_record(void **state)
{
	uint64_t first;

	say(10, ROLE_JOIN, 0);
	first = assert_asked(1, 0);
	say(10, ROLE_NAME, 0);
	assert_int_equal(out.tells, 0);
	say(10, ROLE_BEAT, 1);
	assert_told_numbers(0, 10, ROLE_BEATEN, 1, 0, LEASE_MS, 0);
	disk_says(first + 7, 0);
	assert_int_equal(out.tells, 0);
	disk_says(first, 0);
	disk_has(1, LEASE_MS);
	assert_told(0, 10, ROLE_LINE_PRINCIPAL);
}

static void one_who_was_not_announced_has_no_lease_to_wait_for(void **state)
{
	say(10, ROLE_JOIN, 0);
	disk_has(1, 0);
	say(10, ROLE_NAME, 0);
	assert_asked(1, LEASE_MS);
	say(11, ROLE_JOIN, 0);
	say(10, ROLE_LEAVE, 0);
	assert_told(0, 11, ROLE_WORD_PRINCIPAL);
}

static void lease_counts_from_the_last_beat(void **state)
{
	two_structured();
	after_ms(LEASE_MS - 1);
	say(10, ROLE_BEAT, 7);
	assert_told_numbers(0, 10, ROLE_BEATEN, 7, 1, LEASE_MS, 0);
	assert_true(out.deadline_set);
	assert_int_equal(out.deadline_ns, now.boot_ns + LEASE_MS * MOMENT_MS);
	after_ms(LEASE_MS - 1);
	assert_int_equal(out.tells, 0);
	after_ms(1);
	assert_told_numbers(0, 10, ROLE_LINE_SECONDAIRE, 1, 2, 2, LEASE_MS);
	disk_has(2, LEASE_MS);
	assert_told_numbers(0, 11, ROLE_LINE_PRINCIPAL, 2, 1, 2, LEASE_MS);
}

static void secondaire_beats_renew_nothing(void **state)
{
	two_structured();
	after_ms(LEASE_MS - 1);
	say(11, ROLE_BEAT, 3);
	assert_told_numbers(0, 11, ROLE_BEATEN, 3, 1, LEASE_MS, 0);
	after_ms(1);
	assert_told(0, 10, ROLE_LINE_SECONDAIRE);
}

static void late_beat_finds_the_lease_gone(void **state)
{
	two_structured();
	now.boot_ns += LEASE_MS * MOMENT_MS;
	say(10, ROLE_BEAT, 1);
	assert_told(0, 10, ROLE_LINE_SECONDAIRE);
	assert_told(1, 10, ROLE_BEATEN);
	disk_has(2, LEASE_MS);
	assert_told(0, 11, ROLE_LINE_PRINCIPAL);
}

static void one_that_lost_its_lease_must_beat_to_be_appointed(void **state)
{
	two_structured();
	after_ms(LEASE_MS);
	disk_has(2, LEASE_MS);
	say(11, ROLE_BYE, 0);
	assert_int_equal(out.tells, 1);
	disk_has(2, 0);
	say(12, ROLE_JOIN, 0);
	assert_told(0, 12, ROLE_WORD_PRINCIPAL);
	after_ms(ROLE_REST_MS);
	disk_has(3, 0);
	say(12, ROLE_LEAVE, 0);
	assert_int_equal(out.tells, 0);
	say(10, ROLE_BEAT, 9);
	assert_told_numbers(0, 10, ROLE_BEATEN, 9, 3, LEASE_MS, 0);
	disk_has(4, LEASE_MS);
	assert_told_numbers(0, 10, ROLE_LINE_PRINCIPAL, 4, 1, 1, LEASE_MS);
}

static void bye_frees_the_place_at_once(void **state)
{
	two_structured();
	say(10, ROLE_BYE, 0);
	disk_has(2, LEASE_MS);
	assert_told_numbers(0, 11, ROLE_LINE_PRINCIPAL, 2, 1, 1, LEASE_MS);
}

static void any_other_end_waits_for_the_lease(void **state)
{
	two_structured();
	after_ms(1000);
	say(10, ROLE_BEAT, 1);
	say(10, ROLE_LEAVE, 0);
	assert_int_equal(out.tells, 0);
	say(12, ROLE_JOIN, 0);
	assert_told(0, 12, ROLE_WORD_SECONDAIRE);
	after_ms(LEASE_MS - 1);
	assert_int_equal(out.tells, 0);
	after_ms(1);
	disk_has(2, LEASE_MS);
	assert_told_numbers(0, 11, ROLE_LINE_PRINCIPAL, 2, 1, 2, LEASE_MS);
}

static void restart_waits_for_the_lease_on_record(void **state)
{
	start(41, 7000);
	assert_int_equal(out.deadline_ns, now.boot_ns + 7000 * MOMENT_MS);
	say(10, ROLE_JOIN, 0);
	assert_told(0, 10, ROLE_WORD_SECONDAIRE);
	say(11, ROLE_JOIN, 0);
	say(11, ROLE_NAME, 3);
	assert_told_numbers(0, 11, ROLE_LINE_SECONDAIRE, 41, 1, 2, LEASE_MS);
	after_ms(6999);
	assert_int_equal(out.tells, 0);
	after_ms(1);
	disk_has(42, LEASE_MS);
	assert_told_numbers(0, 11, ROLE_LINE_PRINCIPAL, 42, 1, 2, LEASE_MS);
}

static void restart_without_a_lease_waits_for_nothing(void **state)
{
	start(41, 0);
	say(10, ROLE_JOIN, 0);
	assert_told(0, 10, ROLE_WORD_PRINCIPAL);
	assert_asked(42, 0);
}

static void record_is_cleared_when_nobody_follows(void **state)
{
	start(41, 7000);
	after_ms(7000);
	disk_has(41, 0);
	assert_int_equal(out.tells, 0);
}

static void nobody_is_preempted(void **state)
{
	two_structured();
	say(12, ROLE_JOIN, 0);
	say(12, ROLE_NAME, 1000000);
	assert_told_numbers(0, 12, ROLE_LINE_SECONDAIRE, 1, 2, 3, LEASE_MS);
	assert_int_equal(out.tells, 1);
	say(10, ROLE_BYE, 0);
	disk_has(2, LEASE_MS);
	assert_told(0, 12, ROLE_LINE_PRINCIPAL);
}

static void assert_disk_event(bool ok)
{
	assert_int_equal(out.events, 1);
	assert_string_equal(out.event[0].type, "role.disk");
	assert_int_equal(event_find(&out.event[0], "ok")->u, ok);
}

static void full_disk_appoints_nobody_structured_and_says_so_once(void **state)
{
	say(10, ROLE_JOIN, 0);
	disk_has(1, 0);
	say(10, ROLE_NAME, 0);
	disk_says(assert_asked(1, LEASE_MS), ERR_DISK);
	assert_disk_event(false);
	assert_int_equal(out.tells, 0);
	assert_int_equal(out.deadline_ns, now.boot_ns + 100 * MOMENT_MS);
	after_ms(99);
	assert_int_equal(out.tells, 0);
	after_ms(1);
	disk_says(assert_asked(1, LEASE_MS), ERR_DISK);
	assert_int_equal(out.events, 0);
	assert_int_equal(out.deadline_ns, now.boot_ns + 200 * MOMENT_MS);
	after_ms(200);
	disk_has(1, LEASE_MS);
	assert_disk_event(true);
	assert_told(0, 10, ROLE_LINE_PRINCIPAL);
}

/* What a failed request left may be on disk: it is made certain even when nothing new is wanted. */
static void failed_request_is_followed_up(void **state)
{
	say(10, ROLE_JOIN, 0);
	disk_has(1, 0);
	say(10, ROLE_NAME, 0);
	disk_says(assert_asked(1, LEASE_MS), ERR_DISK);
	say(10, ROLE_LEAVE, 0);
	assert_int_equal(out.tells, 0);
	after_ms(100);
	disk_has(1, 0);
	assert_disk_event(true);
}

static void retries_are_at_most_ten_seconds_apart(void **state)
{
	say(10, ROLE_JOIN, 0);
	disk_says(assert_asked(1, 0), ERR_DISK);
	for (unsigned i = 0; i < 20; i++) {
		assert_true(out.deadline_ns <= now.boot_ns + 10 * MOMENT_S);
		after_ms((out.deadline_ns - now.boot_ns) / MOMENT_MS);
		disk_says(assert_asked(1, 0), ERR_DISK);
	}
	assert_int_equal(out.deadline_ns, now.boot_ns + 10 * MOMENT_S);
}

static void full_hub_refuses_and_takes_again(void **state)
{
	for (uint64_t id = 10; id < 10 + CAPACITY; id++)
		say(id, ROLE_JOIN, 0);
	say(99, ROLE_JOIN, 0);
	assert_told(0, 99, ROLE_FULL);
	say(99, ROLE_LEAVE, 0);
	assert_int_equal(role_hub_members(hub), CAPACITY);
	say(12, ROLE_LEAVE, 0);
	say(99, ROLE_JOIN, 0);
	assert_told(0, 99, ROLE_WORD_SECONDAIRE);
}

static void strangers_and_repetitions_are_ignored(void **state)
{
	static const enum role_kind kinds[] = {ROLE_NAME, ROLE_BEAT, ROLE_BYE, ROLE_LEAVE,
					       ROLE_PERSISTED};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		say(77, kinds[i], 1);
		assert_int_equal(out.tells, 0);
	}
	say(OUT_OWNER, ROLE_JOIN, 0);
	assert_int_equal(out.tells, 0);
	two_structured();
	say(11, ROLE_NAME, 9);
	say(11, ROLE_JOIN, 0);
	assert_int_equal(out.tells, 0);
	assert_int_equal(role_hub_members(hub), 2);
}

/* The clock that is handed down may be older than one handed down before. */
static void time_never_goes_back(void **state)
{
	two_structured();
	after_ms(1000);
	now.boot_ns -= 900 * MOMENT_MS;
	say(10, ROLE_BEAT, 1);
	assert_int_equal(out.deadline_ns, now.boot_ns + (900 + LEASE_MS) * MOMENT_MS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(plain_oldest_is_principal_and_the_next_only_is_told),
		TEST(plain_word_does_not_wait_for_the_disk),
		TEST(word_goes_out_before_the_disk_is_asked),
		TEST(principal_that_becomes_structured_keeps_epoch_and_place),
		TEST(structured_waits_for_its_own_record),
		TEST(one_who_was_not_announced_has_no_lease_to_wait_for),
		TEST(lease_counts_from_the_last_beat),
		TEST(secondaire_beats_renew_nothing),
		TEST(late_beat_finds_the_lease_gone),
		TEST(one_that_lost_its_lease_must_beat_to_be_appointed),
		TEST(bye_frees_the_place_at_once),
		TEST(any_other_end_waits_for_the_lease),
		TEST(restart_waits_for_the_lease_on_record),
		TEST(restart_without_a_lease_waits_for_nothing),
		TEST(record_is_cleared_when_nobody_follows),
		TEST(nobody_is_preempted),
		TEST(full_disk_appoints_nobody_structured_and_says_so_once),
		TEST(failed_request_is_followed_up),
		TEST(retries_are_at_most_ten_seconds_apart),
		TEST(full_hub_refuses_and_takes_again),
		TEST(strangers_and_repetitions_are_ignored),
		TEST(time_never_goes_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
