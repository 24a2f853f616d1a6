/* What the files of the journal share; nobody else includes it. */
#ifndef STORE_JOURNAL_PARTS_H
#define STORE_JOURNAL_PARTS_H

#include "store/database.h"
#include "store/journal.h"

enum { JOURNAL_APPLICATION = 0x7072736a /* "prsj" */ };

/* The columns of a change, as they stand in the table of events after its row, client and seq. */
#define JOURNAL_COLUMNS                                                                            \
	"row, client, seq, type, time, kind, path, moved_from, size, mtime, mode, inode, sha256, " \
	"pid, program, user, why, reset"

enum journal_column {
	JOURNAL_ROW,
	JOURNAL_CLIENT,
	JOURNAL_SEQ,
	JOURNAL_TYPE,
	JOURNAL_TIME,
	JOURNAL_KIND,
	JOURNAL_PATH,
	JOURNAL_FROM,
	JOURNAL_SIZE,
	JOURNAL_MTIME,
	JOURNAL_MODE,
	JOURNAL_INODE,
	JOURNAL_SHA256,
	JOURNAL_PID,
	JOURNAL_PROGRAM,
	JOURNAL_USER,
	JOURNAL_WHY,
	JOURNAL_RESET,
};

extern const char *const journal_steps[];

enum journal_statement {
	JOURNAL_CLIENT_FIND,
	JOURNAL_CLIENT_PUT,
	JOURNAL_CLIENT_HOST,
	JOURNAL_CLIENT_NEWEST,
	JOURNAL_CLIENT_SEEN,
	JOURNAL_CLIENT_MET,
	JOURNAL_CLIENT_IDLE,
	JOURNAL_CLIENT_REMOVE,
	JOURNAL_EVENT_PUT,
	JOURNAL_EVENT_OLDEST,
	JOURNAL_EVENT_REMOVE,
	JOURNAL_SPAN_PUT,
	JOURNAL_SPAN_OLDEST,
	JOURNAL_SPAN_REMOVE,
	JOURNAL_SPAN_LIMIT,
	JOURNAL_PAGES,
	JOURNAL_PAGES_FREE,
	JOURNAL_STATEMENTS
};

struct journal_span {
	uint64_t first, last; /* rows; last 0: there is none under way */
	int64_t oldest_us, newest_us;
	unsigned types;
	uint64_t clients;
	int64_t began_us;
};

struct journal {
	struct database database;
	struct sqlite3_stmt *statement[JOURNAL_STATEMENTS];
	struct journal_settings settings;
	int lock_fd;
	bool begun;
	int64_t ahead_us; /* since then the clock has been behind committed_us; 0: it is not */
	struct {
		uint64_t next;        /* row */
		int64_t committed_us; /* never goes back while rows are put, as clocks do */
		uint32_t clients;
		struct journal_span span;
	} now, kept; /* kept: as of the last commit */
};

/* journal.c */
/* Begins a transaction unless there is one. */
int journal_begin(struct journal *journal);
void journal_bind_number(struct journal *journal, enum journal_statement which, int column,
			 uint64_t n);
/* 1: a row is there, until journal_done; 0: none; or ERR_. */
int journal_step(struct journal *journal, enum journal_statement which);
void journal_done(struct journal *journal, enum journal_statement which);
/* Steps to the end. 0, or ERR_. */
int journal_run(struct journal *journal, enum journal_statement which);
int64_t journal_column_number(struct journal *journal, enum journal_statement which, int number);

/* journal_row.c */
/* Binds what `c` says; valid until the statement is reset. */
void journal_bind(struct sqlite3_stmt *statement, const struct change *c);
/* The change of the row that stands; points into it. 0, or ERR_PROTOCOL: it is damaged. */
int journal_take(struct sqlite3_stmt *statement, struct change *c);
struct bytes journal_text(struct sqlite3_stmt *statement, int column);

#endif
