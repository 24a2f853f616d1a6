/* A SQLite database of ours: opened, its schema brought up to date, closed. The rest of store/ says
 * what is in it. One handle is one thread's at a time. */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_stmt;

struct database_plan {
	const char *path; /* NULL: a temporary one without a name, gone with its handle */
	/* The schema as steps: step N leads from version N to N + 1 (PRAGMA user_version); those
	 * that a file lacks are one transaction. NULL ends them. A file of a later version than we
	 * know is ERR_SYNTAX, and so is one of an earlier version that is only to be read. */
	const char *const *steps;
	uint32_t application; /* PRAGMA application_id: a file of another is ERR_PROTOCOL */
	bool read_only;
	unsigned busy_ms; /* how long to wait for another's lock */
	unsigned cache_kib;
	bool shrinks; /* a new file is made so that its free pages can be given back */
};

struct database {
	struct sqlite3 *sqlite;
	int err;       /* of the last call that failed */
	char why[256]; /* SQLite's words on it, or ours */
};

/* WAL, synchronous=FULL; a temporary one has neither, and is written to a file only as far as it
 * outgrows its cache. 0, or ERR_ (database_err). Of a damaged file ERR_PROTOCOL; of one whose
 * other half was cut ERR_PROTOCOL too. To a reader ERR_NO_FILE is one that is not there, or that
 * its writer is just making. After an error `database` is closed, err and why stand. */
int database_open(struct database *database, const struct database_plan *plan);
void database_close(struct database *database);

/* Whether its file was removed, or another is in its place: what is written goes nowhere. */
bool database_is_gone(struct database *database);

/* What an error of SQLite's is to us: ERR_DISK (full or failing), ERR_IN_USE (busy),
 * ERR_PERMISSION, ERR_NO_FILE, ERR_MEMORY, ERR_PROTOCOL (damaged), ERR_SYSTEM. Kept in
 * database->err and why. */
int database_err(struct database *database, int status);

/* One statement, or several that return nothing. */
int database_do(struct database *database, const char *sql);
int database_prepare(struct database *database, struct sqlite3_stmt **statement, const char *sql);
/* The number that `sql` answers with; 0 when there is no row. */
int database_number(struct database *database, const char *sql, int64_t *number);

/* An error of ours, kept like SQLite's. Returns `err`. */
int database_say(struct database *database, int err, const char *why);

/* Takes the lock PATH.lock for this process; closing `*fd` gives it back. 0, ERR_IN_USE (another
 * holds it, also after so long: one that was just killed may not be gone yet), ERR_PERMISSION, ...
 * with `*fd` -1. */
int database_lock(const char *path, unsigned wait_ms, int *fd);

/* Moves a file that cannot be used out of the way, with what SQLite keeps beside it: PATH.damaged,
 * replacing an earlier one. 0 or ERR_. */
int database_set_aside(const char *path);

#endif
