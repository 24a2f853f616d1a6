/* Databases: their schema's steps, whose they are, and what is no database any more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/database.h"
#include "storing.h"

enum { OURS = 0x74657374 };

static const char *const first_steps[] = {"CREATE TABLE thing(name TEXT)", NULL};
static const char *const all_steps[] = {
	"CREATE TABLE thing(name TEXT)",
	"ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 7;"
	"CREATE INDEX thing_size ON thing(size)",
	"UPDATE thing SET name = upper(name)",
	NULL,
};

static int open_with(struct database *database, const char *path, const char *const *steps)
{
	struct database_plan plan = {
		.path = path, .steps = steps, .application = OURS, .cache_kib = 512};

	return database_open(database, &plan);
}

static int64_t number(struct database *database, const char *sql)
{
	int64_t n;

	assert_int_equal(database_number(database, sql, &n), 0);
	return n;
}

static void make(const char *path)
{
	struct database database;

	assert_int_equal(open_with(&database, path, all_steps), 0);
	assert_int_equal(database_do(&database, "INSERT INTO thing VALUES('a', 1)"), 0);
	database_close(&database);
}

static void test_new(void **state)
{
	const char *path = storing_path("new");
	struct database database;
	struct stat status;

	assert_int_equal(open_with(&database, path, all_steps), 0);
	assert_int_equal(number(&database, "PRAGMA user_version"), 3);
	assert_int_equal(number(&database, "PRAGMA synchronous"), 2);
	assert_int_equal(number(&database, "PRAGMA application_id"), OURS);
	assert_int_equal(number(&database, "SELECT count(*) FROM thing"), 0);
	assert_true(storing_size(storing_path("new-wal")) > 0);
	database_close(&database);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
}

/* A file of the first version, with something in it, is led to the newest. */
static void test_migration(void **state)
{
	const char *path = storing_path("migration");
	struct database database;

	assert_int_equal(open_with(&database, path, first_steps), 0);
	assert_int_equal(database_do(&database, "INSERT INTO thing VALUES('one'),('two')"), 0);
	assert_int_equal(number(&database, "PRAGMA user_version"), 1);
	database_close(&database);
	assert_int_equal(open_with(&database, path, all_steps), 0);
	assert_int_equal(number(&database, "PRAGMA user_version"), 3);
	assert_int_equal(number(&database, "SELECT count(*) FROM thing WHERE size = 7 AND "
					   "name IN ('ONE', 'TWO')"),
			 2);
	database_close(&database);
	/* And the program of then does not touch it. */
	assert_int_equal(open_with(&database, path, first_steps), ERR_SYNTAX);
	assert_null(database.sqlite);
	assert_string_equal(database.why, "it is of a later version");
}

/* A file made before versions were counted: version 0, with a table. */
static void test_migration_of_version_0(void **state)
{
	static const char *const steps[] = {"ALTER TABLE thing ADD COLUMN size INTEGER", NULL};
	const char *path = storing_path("v0");
	struct database database;
	char sql[128];
	sqlite3 *sqlite;

	snprintf(sql, sizeof(sql),
		 "PRAGMA application_id = %d; CREATE TABLE thing(name TEXT);"
		 "INSERT INTO thing VALUES('old')",
		 OURS);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
	assert_int_equal(open_with(&database, path, steps), 0);
	assert_int_equal(number(&database, "SELECT count(*) FROM thing WHERE size IS NULL"), 1);
	database_close(&database);
}

/* A step that fails leaves the file as it was. */
static void test_step_that_fails(void **state)
{
	static const char *const steps[] = {"CREATE TABLE thing(name TEXT)",
					    "INSERT INTO thing VALUES('half'); SELECT gone", NULL};
	const char *path = storing_path("fails");
	struct database database;

	assert_int_equal(open_with(&database, path, steps), ERR_PROTOCOL);
	assert_string_equal(database.why, "no such column: gone");
	assert_int_equal(open_with(&database, path, first_steps), 0);
	assert_int_equal(number(&database, "SELECT count(*) FROM thing"), 0);
	database_close(&database);
}

static void test_read_only(void **state)
{
	const char *path = storing_path("read-only");
	struct database_plan plan = {
		.path = path, .steps = all_steps, .application = OURS, .read_only = true};
	struct database database;

	assert_int_equal(database_open(&database, &plan), ERR_NO_FILE);
	assert_string_equal(database.why, "no such file or directory");
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(database_open(&database, &plan), ERR_NO_FILE);
	assert_string_equal(database.why, "nothing is in it yet");
	make(path);
	assert_int_equal(database_open(&database, &plan), 0);
	assert_int_equal(number(&database, "SELECT count(*) FROM thing"), 1);
	assert_int_equal(database_do(&database, "DELETE FROM thing"), ERR_PERMISSION);
	database_close(&database);
	assert_int_equal(open_with(&database, storing_path("earlier"), first_steps), 0);
	database_close(&database);
	plan.path = storing_path("earlier");
	assert_int_equal(database_open(&database, &plan), ERR_SYNTAX);
}

/* A reader comes while the file is being made: it has nothing yet, or all. */
static void test_read_while_made(void **state)
{
	enum { ROUNDS = 60 };
	struct database_plan plan = {.steps = all_steps, .application = OURS, .busy_ms = 5000};
	struct database database;
	char path[256];

	for (unsigned round = 0; round < ROUNDS; round++) {
		pid_t maker;
		int err = ERR_NO_FILE;

		snprintf(path, sizeof(path), "%s%u", storing_path("made"), round);
		plan.path = path;
		plan.read_only = false;
		maker = fork();
		if (maker == 0)
			_exit(database_open(&database, &plan) != 0);
		plan.read_only = true;
		while (err == ERR_NO_FILE)
			err = database_open(&database, &plan);
		assert_int_equal(err, 0);
		assert_int_equal(number(&database, "SELECT count(size) FROM thing"), 0);
		database_close(&database);
		assert_int_equal(waitpid(maker, NULL, 0), maker);
	}
}

static void test_of_another(void **state)
{
	const char *path = storing_path("another");
	struct database database;
	sqlite3 *sqlite;
	FILE *file;

	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	sqlite3_exec(sqlite, "CREATE TABLE theirs(a)", NULL, NULL, NULL);
	sqlite3_close(sqlite);
	assert_int_equal(open_with(&database, path, all_steps), ERR_PROTOCOL);
	assert_string_equal(database.why, "it is another program's database");
	file = fopen(path, "w");
	fputs("What is written here is no database, though it is long enough to be one: the first"
	      " hundred bytes of a database are its header.",
	      file);
	fclose(file);
	assert_int_equal(open_with(&database, path, all_steps), ERR_PROTOCOL);
}

static void test_cut(void **state)
{
	const char *path = storing_path("cut");
	struct database database;

	make(path);
	assert_true(storing_cut(path, storing_size(path) / 2));
	assert_int_equal(open_with(&database, path, all_steps), ERR_PROTOCOL);
	assert_int_equal(database.err, ERR_PROTOCOL);
	assert_int_equal(database_set_aside(path), 0);
	assert_true(storing_size(path) < 0);
	assert_true(storing_size(storing_path("cut.damaged")) > 0);
	make(path);
	assert_int_equal(database_set_aside(path), 0); /* replaces the earlier */
	assert_int_equal(database_set_aside(path), 0); /* and of nothing makes nothing */
	assert_true(storing_size(storing_path("cut.damaged")) < 0);
}

static void test_locked(void **state)
{
	const char *path = storing_path("locked");
	struct database database, other;

	make(path);
	assert_int_equal(open_with(&database, path, all_steps), 0);
	assert_int_equal(open_with(&other, path, all_steps), 0);
	assert_int_equal(database_do(&database, "BEGIN IMMEDIATE"), 0);
	assert_int_equal(database_do(&other, "DELETE FROM thing"), ERR_IN_USE);
	assert_string_equal(other.why, "database is locked");
	database_close(&database);
	assert_int_equal(database_do(&other, "DELETE FROM thing"), 0);
	database_close(&other);
}

static void test_lock(void **state)
{
	const char *path = storing_path("lock");
	int fd, other;

	assert_int_equal(database_lock(path, 0, &fd), 0);
	assert_int_equal(database_lock(path, 0, &other), ERR_IN_USE);
	assert_int_equal(other, -1);
	close(fd);
	assert_int_equal(database_lock(path, 0, &fd), 0);
	close(fd);
	assert_int_equal(database_lock("/nowhere/at/all", 0, &fd), ERR_NO_FILE);
}

/* Its holder ends a while after it was asked for. */
static void test_lock_that_is_given_back(void **state)
{
	const char *path = storing_path("given-back");
	int fd, said[2], asked[2];
	pid_t holder;
	char byte;

	assert_int_equal(pipe(said), 0);
	assert_int_equal(pipe(asked), 0);
	holder = fork();
	if (holder == 0) {
		if (database_lock(path, 0, &fd) != 0 || write(said[1], "", 1) != 1 ||
		    read(asked[0], &byte, 1) != 1)
			_exit(1);
		poll(NULL, 0, 200);
		_exit(0);
	}
	assert_int_equal(read(said[0], &byte, 1), 1);
	assert_int_equal(database_lock(path, 40, &fd), ERR_IN_USE);
	assert_int_equal(write(asked[1], "", 1), 1);
	assert_int_equal(database_lock(path, 10000, &fd), 0);
	close(fd);
	for (unsigned i = 0; i < 2; i++) {
		close(said[i]);
		close(asked[i]);
	}
	assert_int_equal(waitpid(holder, NULL, 0), holder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_migration),
		cmocka_unit_test(test_migration_of_version_0),
		cmocka_unit_test(test_step_that_fails),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_read_while_made),
		cmocka_unit_test(test_of_another),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_lock_that_is_given_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
