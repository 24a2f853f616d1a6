/* The journal on bad days: its writer killed, the disk full, a reader that stays, bits flipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "store/journal.h"
#include "storing.h"

enum { KILLS = 40, LIFE_US = 40000, CLIENTS = 3, FLIPS = 100, BATCH = 64 };

static const struct journal_settings for_ever;
static char why[256];

static struct bytes records_of(uint64_t first, uint32_t count)
{
	static uint8_t records[BATCH * 256];
	size_t len = 0;

	for (uint64_t n = first; n < first + count; n++)
		len += storing_record(records + len, n);
	return bytes_of(records, len);
}

static struct bytes id_of(unsigned client)
{
	static char id[16];

	return bytes_of(id, (size_t)snprintf(id, sizeof(id), "client-%u", client));
}

/* A collector: clients send batches that overlap what is there already, now and then it commits. */
static void live(int fd, void *context)
{
	uint64_t seed = *(const uint64_t *)context, newest, rows = 0;
	const struct journal_settings some = {.keep_bytes = 3 << 20};
	struct journal *journal;
	const char *fault;
	uint32_t number;

	if (journal_open(&journal, storing_path("killed"), &some, why) != 0)
		_Exit(1);
	for (;;) {
		unsigned client = (unsigned)storing_random(&seed, CLIENTS);
		uint64_t first;
		uint32_t count = 1 + (uint32_t)storing_random(&seed, BATCH);

		if (journal_client(journal, id_of(client), BYTES_LITERAL("host"), &number,
				   &newest) != 0)
			_Exit(1);
		first = newest + 1 - storing_random(&seed, newest < 9 ? newest + 1 : 9);
		if (first == 0)
			first = 1;
		if (journal_append(journal, number, first, count, records_of(first, count), NULL,
				   NULL, &fault) != 0)
			_Exit(1);
		rows += count;
		if (storing_random(&seed, 4) != 0)
			continue;
		if (journal_commit(journal) != 0)
			_Exit(1);
		storing_say(fd, rows);
		if (journal_prune(journal, 0, 50) < 0)
			_Exit(1);
	}
}

static struct {
	uint64_t newest[CLIENTS], row;
	bool good;
} seen;

/* Rows follow each other, and so do each client's numbers. */
static bool follows(void *owner, const struct journal_row *row)
{
	unsigned client = (unsigned)(row->client[7] - '0');

	seen.good = client < CLIENTS && (seen.row == 0 || row->row == seen.row + 1) &&
		    (seen.newest[client] == 0 || row->seq == seen.newest[client] + 1);
	seen.row = row->row;
	if (seen.good)
		seen.newest[client] = row->seq;
	return seen.good;
}

static void check_journal(const char *path)
{
	struct journal_reader *reader;
	struct journal *journal;
	struct journal_state state;
	uint64_t at, newest;
	uint32_t number;
	bool end;

	assert_int_equal(journal_open(&journal, path, &for_ever, why), 0);
	assert_int_equal(journal_reader_open(&reader, path, why), 0);
	memset(&seen, 0, sizeof(seen));
	seen.good = true;
	assert_true(journal_read(reader, &(struct journal_filter){0}, 0, false, 0, 0, follows, NULL,
				 &at, &end) >= 0);
	assert_true(seen.good && end);
	assert_int_equal(journal_state(journal, &state), 0);
	assert_int_equal(state.newest, seen.row);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(
			journal_client(journal, id_of(i), (struct bytes){0}, &number, &newest), 0);
		assert_true(seen.newest[i] == 0 || seen.newest[i] == newest);
	}
	journal_reader_close(reader);
	journal_close(journal);
}

static void test_killed(void **state)
{
	uint64_t seed = storing_seed(), lived = 0;

	print_message("seed %llu\n", (unsigned long long)seed);
	storing_directory();
	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t rows;

		storing_random(&seed, 2);
		rows = storing_kill(live, &seed, (unsigned)storing_random(&seed, LIFE_US));
		assert_true(rows != UINT64_MAX);
		lived += rows;
		check_journal(storing_path("killed"));
	}
	assert_true(lived > 1000);
}

static int take(struct journal *journal, uint64_t *first)
{
	uint64_t newest;
	uint32_t number;
	const char *fault;
	int err = journal_client(journal, id_of(0), BYTES_LITERAL("host"), &number, &newest);

	if (err == 0)
		err = journal_append(journal, number, *first, BATCH, records_of(*first, BATCH),
				     NULL, NULL, &fault);
	if (err == 0)
		err = journal_commit(journal);
	if (err == 0)
		*first += BATCH;
	else
		assert_int_equal(journal_rollback(journal), 0);
	return err;
}

static void test_full_disk(void **state)
{
	const char *disk = storing_disk(16 * 1024);
	struct journal *journal;
	uint64_t first = 1;
	char path[256];

	if (disk == NULL)
		skip();
	snprintf(path, sizeof(path), "%s/journal", disk);
	assert_int_equal(journal_open(&journal, path, &for_ever, why), 0);
	assert_int_equal(take(journal, &first), 0);
	for (unsigned round = 0; round < 5; round++) {
		int err = 0;

		assert_true(storing_fill());
		for (unsigned i = 0; err == 0 && i < 10000; i++)
			err = take(journal, &first);
		assert_int_equal(err, ERR_DISK);
		assert_int_equal(take(journal, &first), ERR_DISK);
		storing_free();
		assert_int_equal(take(journal, &first), 0);
	}
	journal_close(journal);
	check_journal(path);
	assert_int_equal(seen.newest[0], first - 1);
}

/* Whoever reads for a minute, here another program, keeps nobody from committing; the log grows
 * meanwhile, and is cut once the reader is gone. */
static void test_reader_that_stays(void **state)
{
	const char *path = storing_path("stays"), *log = storing_path("stays-wal");
	struct journal *journal;
	sqlite3_stmt *statement;
	uint64_t first = 1;
	sqlite3 *other;

	assert_int_equal(journal_open(&journal, path, &for_ever, why), 0);
	assert_int_equal(take(journal, &first), 0);
	assert_int_equal(sqlite3_open_v2(path, &other, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	sqlite3_prepare_v2(other, "SELECT row FROM event", -1, &statement, NULL);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	while (storing_size(log) < 48 << 20)
		assert_int_equal(take(journal, &first), 0);
	assert_int_equal(sqlite3_column_int64(statement, 0), 1);
	sqlite3_finalize(statement);
	for (unsigned i = 0; storing_size(log) > 33 << 20 && i < 10000; i++)
		assert_int_equal(take(journal, &first), 0);
	assert_in_range(storing_size(log), 1, 33 << 20);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	journal_close(journal);
}

static bool ignore(void *owner, const struct journal_row *row)
{
	return row->change.path.len <= CHANGE_PATH_BYTES;
}

/* Whatever is flipped, nobody falls over it: rows, or an error. */
static void test_flipped(void **state)
{
	const char *whole = storing_path("whole"), *hurt = storing_path("hurt");
	uint64_t seed = storing_seed(), first = 1, at, bits;
	struct journal_reader *reader;
	struct journal *journal;
	unsigned found = 0;
	bool end;

	print_message("seed %llu\n", (unsigned long long)seed);
	assert_int_equal(journal_open(&journal, whole, &for_ever, why), 0);
	while (first < 1000)
		assert_int_equal(take(journal, &first), 0);
	journal_close(journal);
	bits = (uint64_t)storing_size(whole) * 8;
	for (unsigned i = 0; i < FLIPS; i++) {
		assert_true(storing_copy(whole, hurt));
		assert_true(storing_flip(hurt, storing_random(&seed, bits)));
		found += journal_reader_open(&reader, hurt, why) != 0 ||
			 journal_read(reader, &(struct journal_filter){.text = BYTES_LITERAL("17")},
				      0, true, 0, 0, ignore, NULL, &at, &end) < 0;
		journal_reader_close(reader);
	}
	print_message("%u of %u were an error\n", found, FLIPS);
	assert_true(storing_copy(whole, hurt));
	assert_true(storing_cut(hurt, storing_size(whole) / 2));
	assert_int_equal(journal_open(&journal, hurt, &for_ever, why), ERR_PROTOCOL);
	assert_string_equal(why, "database disk image is malformed");
	assert_int_equal(storing_size(hurt), storing_size(whole) / 2); /* not touched */
}

/* Removed, or replaced: what would be committed to a file without a name is not. */
static void test_removed(void **state)
{
	struct journal_reader *reader;
	struct journal *journal;
	uint64_t newest;
	uint32_t number;

	for (unsigned replaced = 0; replaced < 2; replaced++) {
		assert_int_equal(journal_open(&journal, storing_path("gone"), &for_ever, why), 0);
		assert_int_equal(
			journal_client(journal, id_of(0), BYTES_LITERAL("h"), &number, &newest), 0);
		assert_int_equal(newest, 0);
		assert_int_equal(journal_commit(journal), 0);
		assert_int_equal(journal_reader_open(&reader, storing_path("gone"), why), 0);
		assert_false(journal_reader_is_gone(reader));
		if (replaced != 0)
			assert_true(storing_copy(storing_path("gone"), storing_path("other")));
		assert_int_equal(journal_prune(journal, 1, 1), 0);
		remove(storing_path("gone"));
		if (replaced != 0)
			assert_int_equal(rename(storing_path("other"), storing_path("gone")), 0);
		assert_true(journal_reader_is_gone(reader));
		assert_int_equal(journal_prune(journal, 1, 1), ERR_NO_FILE);
		assert_int_equal(
			journal_client(journal, id_of(1), BYTES_LITERAL("h"), &number, &newest), 0);
		assert_int_equal(journal_commit(journal), ERR_NO_FILE);
		journal_reader_close(reader);
		journal_close(journal);
		remove(storing_path("gone"));
		remove(storing_path("gone-wal"));
		remove(storing_path("gone-shm"));
	}
}

/* Where SQLite can make no file beside it, a store that nobody writes to is read. */
static void test_cannot_be_written(void **state)
{
	struct journal_reader *reader;
	struct journal *journal;
	const char *fault;
	uint64_t newest, at;
	uint32_t number;
	bool end;

	assert_int_equal(journal_open(&journal, storing_path("ro?#%"), &for_ever, why), 0);
	assert_int_equal(journal_client(journal, id_of(0), BYTES_LITERAL("h"), &number, &newest),
			 0);
	assert_int_equal(
		journal_append(journal, number, 1, 9, records_of(1, 9), NULL, NULL, &fault), 0);
	assert_int_equal(journal_commit(journal), 0);
	journal_close(journal);
	assert_int_equal(mkdir(storing_path("ro?#%-shm"), 0700), 0);
	assert_int_equal(journal_reader_open(&reader, storing_path("ro?#%"), why), 0);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(journal_read(reader, &(struct journal_filter){0}, 0, false, 0, 0, follows,
				      NULL, &at, &end),
			 9);
	journal_reader_close(reader);
}

/* As somebody who may read what is in the directory, and write nothing. */
static void look(const char *store)
{
	struct journal_reader *reader;
	int err;

	if (geteuid() == 0 && unshare(CLONE_NEWUSER) != 0)
		_exit(100);
	err = journal_reader_open(&reader, store, why);
	_exit(err == 0 ? 0 : strstr(why, "it has a log") != NULL ? -err : 101);
}

/* Its writer was killed, and what it committed last is in the log: nobody is told less. */
static void test_log_of_the_killed(void **state)
{
	static const char *const parts[] = {"", "-wal"};
	char from[256], to[256], *store = strdup(storing_path("sealed/store"));
	struct journal *journal;
	uint64_t newest;
	uint32_t number;
	int status;
	pid_t pid;

	assert_int_equal(chmod(storing_directory(), 0755), 0);
	assert_int_equal(mkdir(storing_path("sealed"), 0755), 0);
	assert_int_equal(journal_open(&journal, storing_path("lives"), &for_ever, why), 0);
	assert_int_equal(journal_client(journal, id_of(0), BYTES_LITERAL("h"), &number, &newest),
			 0);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(from, sizeof(from), "%s%s", storing_path("lives"), parts[i]);
		snprintf(to, sizeof(to), "%s%s", store, parts[i]);
		assert_true(storing_copy(from, to));
		assert_int_equal(chmod(to, 0644), 0);
	}
	journal_close(journal);
	assert_int_equal(chmod(storing_path("sealed"), 0555), 0);
	pid = fork();
	if (pid == 0)
		look(store);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(storing_path("sealed"), 0755), 0);
	free(store);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100)
		skip();
	assert_int_equal(WEXITSTATUS(status), -ERR_DISK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_reader_that_stays),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_cannot_be_written),
		cmocka_unit_test(test_log_of_the_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
