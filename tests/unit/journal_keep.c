/* What the journal lets go: clients of which nothing is left, rows after the clock was set back;
 * how many clients it knows; and an older one that knows less. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "store/journal.h"
#include "storing.h"

enum { RECORDS_BYTES = 4 << 20 };

static const struct journal_settings for_ever;
static struct journal *journal;
static char why[256];
static const char *fault;

static void open_it(const char *name, const struct journal_settings *settings)
{
	assert_int_equal(journal_open(&journal, storing_path(name), settings, why), 0);
}

static uint32_t client_of(const char *id, const char *host, uint64_t *newest)
{
	uint32_t client = 0;

	assert_int_equal(journal_client(journal, bytes_of_string(id), bytes_of_string(host),
					&client, newest),
			 0);
	return client;
}

static int append(uint32_t client, uint64_t first, uint32_t count, const char **because)
{
	static uint8_t records[RECORDS_BYTES];
	size_t len = 0;

	for (uint64_t n = first; n < first + count; n++)
		len += storing_record(records + len, n);
	return journal_append(journal, client, first, count, bytes_of(records, len), NULL, NULL,
			      because);
}

static struct journal_state state_of(void)
{
	struct journal_state state;

	assert_int_equal(journal_state(journal, &state), 0);
	return state;
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000;
}

/* Two clients, with 27000 rows and 3000. */
static void make_two(const char *name)
{
	uint64_t newest;
	uint32_t a, b;

	open_it(name, &for_ever);
	a = client_of("SHA256:AAAA/01", "alpha", &newest);
	b = client_of("SHA256:BBBB/02", "beta", &newest);
	assert_int_equal(append(a, 1, 13000, &fault), 0);
	assert_int_equal(append(a, 13001, 14000, &fault), 0);
	assert_int_equal(append(b, 1, 3000, &fault), 0);
	assert_int_equal(journal_commit(journal), 0);
}

static bool is_of(void *owner, const struct journal_row *row)
{
	assert_string_equal(row->client, owner);
	return true;
}

/* All rows are one client's. */
static void read_it(const char *name, int64_t rows, char *client)
{
	struct journal_reader *reader;
	uint64_t at;
	bool end;

	assert_int_equal(journal_reader_open(&reader, storing_path(name), why), 0);
	assert_int_equal(journal_read(reader, &(struct journal_filter){0}, 0, true, 0, 0, is_of,
				      client, &at, &end),
			 rows);
	journal_reader_close(reader);
}

/* As many as are wished, from several spans. */
static void test_prune_many(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	int64_t later_us = now_us() + 90000ll * 1000000;

	make_two("spans");
	journal_close(journal);
	open_it("spans", &a_day);
	assert_int_equal(journal_prune(journal, later_us, 20000), 20000);
	assert_int_equal(journal_prune(journal, later_us, 20000), 10000);
	assert_int_equal(journal_prune(journal, later_us, 20000), 0);
	assert_int_equal(state_of().rows, 0);
	journal_close(journal);
}

struct late_reader {
	struct journal_reader *reader;
	uint64_t from, to, row;
};

static bool is_told(void *owner, const struct journal_row *row)
{
	struct late_reader *late = owner;

	late->row = row->row;
	return !journal_reader_missed(late->reader, &late->from, &late->to);
}

/* Whoever reads more slowly than rows go is told which ones, before what follows them. */
static void test_overtaken(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	int64_t later_us = now_us() + 90000ll * 1000000;
	struct journal_filter beta = {.client = BYTES_LITERAL("beta")};
	struct late_reader late = {0};
	uint64_t at;
	bool end;

	make_two("late");
	journal_close(journal);
	open_it("late", &a_day);
	assert_int_equal(journal_reader_open(&late.reader, storing_path("late"), why), 0);
	assert_int_equal(journal_read(late.reader, &(struct journal_filter){0}, 0, false, 500, 0,
				      is_told, &late, &at, &end),
			 500);
	assert_int_equal(journal_prune(journal, later_us, 1000), 1000);
	assert_int_equal(
		journal_read(late.reader, &beta, at, false, 0, 0, is_told, &late, &at, &end), 1);
	assert_true(late.from == 501 && late.to == 1000 && late.row == 27001);
	assert_int_equal(journal_prune(journal, later_us, 40000), 29000);
	journal_read(late.reader, &beta, at, false, 0, 0, is_told, &late, &at, &end);
	assert_true(journal_reader_missed(late.reader, &late.from, &late.to));
	assert_true(late.from == 27002 && late.to == 30000 && at == 30000);
	assert_false(journal_reader_missed(late.reader, &late.from, &late.to));
	journal_reader_close(late.reader);
	journal_close(journal);
}

/* A clock that was ten years ahead: what was committed then is as old as the clock's return. */
static void test_prune_after_the_clock_went_back(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	int64_t ahead_us = (int64_t)10 * 365 * 86400 * 1000000;

	make_two("clock");
	journal_close(journal);
	storing_do("clock", "UPDATE span SET committed = committed + 315360000000000");
	open_it("clock", &a_day);
	assert_int_equal(journal_prune(journal, now_us(), 1000), 0);
	assert_int_equal(journal_prune(journal, now_us() + 90000ll * 1000000, 1000), 1000);
	assert_int_equal(append(1, 27001, 1, &fault), 0);
	assert_int_equal(journal_commit(journal), 0);
	assert_true(journal_prune(journal, now_us() + ahead_us, 1000) > 0);
	journal_close(journal);
}

/* A clock that is behind for less than an hour, or that nobody has set, is not believed. */
static void test_prune_while_the_clock_is_wrong(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	int64_t hour_us = 3600ll * 1000000, june_us = now_us() - 4000 * hour_us;

	make_two("wrong");
	journal_close(journal);
	open_it("wrong", &a_day);
	for (int64_t us = 0; us < 50 * hour_us; us += hour_us)
		assert_int_equal(journal_prune(journal, us, 1000), 0);
	assert_int_equal(journal_prune(journal, june_us, 1000), 0);
	assert_int_equal(journal_prune(journal, june_us + hour_us / 2, 1000), 0);
	assert_int_equal(journal_prune(journal, now_us(), 1000), 0);
	assert_int_equal(journal_prune(journal, now_us() + 23 * hour_us, 1000), 0);
	assert_int_equal(journal_prune(journal, now_us() + 25 * hour_us, 1000), 1000);
	journal_close(journal);
}

/* What is committed by a clock that was set back is no older than what was before. */
static void test_commit_after_the_clock_went_back(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	int64_t hour_us = 3600ll * 1000000;

	make_two("back");
	journal_close(journal);
	storing_do("back", "UPDATE span SET committed = committed + 1000 * 3600000000");
	open_it("back", &a_day);
	assert_int_equal(append(1, 27001, 10000, &fault), 0);
	assert_int_equal(journal_commit(journal), 0);
	storing_do("back", "DELETE FROM event WHERE row <= 30000;"
			   "DELETE FROM span WHERE last <= 30000");
	assert_int_equal(journal_prune(journal, now_us() + 1001 * hour_us, 10000), 0);
	assert_int_equal(journal_prune(journal, now_us() + 1025 * hour_us, 10000), 10000);
	journal_close(journal);
}

/* With its last row, unless it is connected or was lately; then its numbers begin anew. */
static void test_forget(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	int64_t later_us = now_us() + 90000ll * 1000000;
	uint32_t live[] = {7, 1}, third;
	uint64_t newest;

	make_two("forget");
	journal_close(journal);
	open_it("forget", &a_day);
	assert_int_equal(journal_forget(journal, later_us, live, 0, 10), 0);
	while (journal_prune(journal, later_us, 5000) > 0)
		;
	assert_int_equal(journal_forget(journal, now_us() + 80000ll * 1000000, live, 0, 10), 0);
	assert_int_equal(journal_forget(journal, later_us, live, 2, 10), 0);
	assert_int_equal(journal_forget(journal, later_us, live, 0, 10), 1);
	assert_int_equal(state_of().clients, 1);
	assert_int_equal(append(1, 27001, 1, &fault), ERR_PROTOCOL);
	assert_string_equal(fault, "it was forgotten meanwhile");
	assert_int_equal(journal_rollback(journal), 0);
	/* The second says which number is next, so it goes when there is a third. */
	assert_int_equal(journal_forget(journal, later_us, live, 0, 10), 0);
	third = client_of("SHA256:AAAA/01", "", &newest);
	assert_int_equal(third, 3);
	assert_int_equal(newest, 0);
	assert_int_equal(append(third, 1, 1, &fault), 0);
	assert_int_equal(journal_commit(journal), 0);
	assert_int_equal(journal_forget(journal, later_us, live, 0, 10), 1);
	read_it("forget", 1, "SHA256:AAAA/01");
	journal_close(journal);
}

/* One that comes again before is not forgotten. */
static void test_met_again(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	uint64_t newest;

	make_two("met");
	journal_close(journal);
	open_it("met", &a_day);
	while (journal_prune(journal, now_us() + 90000ll * 1000000, 5000) > 0)
		;
	storing_do("met", "UPDATE client SET seen = seen - 90000000000");
	client_of("SHA256:AAAA/01", "", &newest);
	assert_int_equal(newest, 27000);
	assert_int_equal(journal_commit(journal), 0);
	assert_int_equal(journal_forget(journal, now_us(), NULL, 0, 10), 0);
	storing_do("met", "UPDATE client SET seen = seen - 90000000000");
	assert_int_equal(journal_forget(journal, now_us(), NULL, 0, 10), 1);
	journal_close(journal);
}

static void test_clients_are_bounded(void **state)
{
	uint64_t newest;
	uint32_t client;
	char id[32];

	open_it("many", &for_ever);
	for (unsigned i = 0; i < JOURNAL_CLIENTS; i++) {
		snprintf(id, sizeof(id), "plain:10.0.0.1/%u", i);
		client_of(id, "h", &newest);
	}
	assert_int_equal(journal_client(journal, BYTES_LITERAL("one more"), (struct bytes){0},
					&client, &newest),
			 ERR_FULL);
	assert_int_equal(client_of(id, "h", &newest), JOURNAL_CLIENTS);
	assert_int_equal(journal_commit(journal), 0);
	journal_close(journal);
	open_it("many", &for_ever);
	assert_int_equal(state_of().clients, JOURNAL_CLIENTS);
	assert_int_equal(journal_client(journal, BYTES_LITERAL("one more"), (struct bytes){0},
					&client, &newest),
			 ERR_FULL);
	journal_close(journal);
}

/* One of version 1 had no last rows. */
static void test_migration(void **state)
{
	make_two("old");
	journal_close(journal);
	storing_do("old", "ALTER TABLE client DROP COLUMN last; PRAGMA user_version = 1");
	open_it("old", &(struct journal_settings){.keep_ms = 1});
	assert_int_equal(journal_forget(journal, now_us() + 90000ll * 1000000, NULL, 0, 10), 0);
	while (journal_prune(journal, now_us() + 90000ll * 1000000, 5000) > 0)
		;
	assert_int_equal(journal_forget(journal, now_us() + 90000ll * 1000000, NULL, 0, 10), 1);
	journal_close(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prune_many),
		cmocka_unit_test(test_overtaken),
		cmocka_unit_test(test_prune_after_the_clock_went_back),
		cmocka_unit_test(test_prune_while_the_clock_is_wrong),
		cmocka_unit_test(test_commit_after_the_clock_went_back),
		cmocka_unit_test(test_forget),
		cmocka_unit_test(test_met_again),
		cmocka_unit_test(test_clients_are_bounded),
		cmocka_unit_test(test_migration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
