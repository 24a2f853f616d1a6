/* The journal's writer.
 *
 *   client   number, id, host, newest seq, when it was last heard of, its last row
 *   event    row, client, seq, and the change; rows are numbered as they are committed, without a
 *            hole but at the front, where the oldest go
 *   span     some thousand rows each: from when to when the changes in them are, which types and,
 *            as a bit each of 64, which clients. So whoever reads by time or by what is rare leaves
 *            out nearly everything, and no index has to be kept for each row
 *
 * A client's newest number and its rows are one transaction: none of them is there twice, and none
 * is missing. A span ends after SPAN_ROWS, or SPAN_US after it began, so that retention by age is
 * no coarser than that. */
#include "store/journal_parts.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	JOURNAL_CACHE_KIB = 8192,
	JOURNAL_BUSY_MS = 2000,
	SPAN_ROWS = 4096,
	SPAN_AGES = 16, /* of a span in what is kept, at least */
};

#define SPAN_US  ((int64_t)600 * 1000000)
#define SEQ_MOST ((uint64_t)INT64_MAX)

const char *const journal_steps[] = {
	"CREATE TABLE client(number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,"
	" host TEXT NOT NULL, newest INTEGER NOT NULL, seen INTEGER NOT NULL);"
	"CREATE TABLE event(row INTEGER PRIMARY KEY, client INTEGER NOT NULL, seq INTEGER NOT NULL,"
	" type INTEGER NOT NULL, time INTEGER NOT NULL, kind INTEGER NOT NULL, path TEXT,"
	" moved_from TEXT, size INTEGER, mtime INTEGER, mode INTEGER, inode INTEGER, sha256 BLOB,"
	" pid INTEGER, program TEXT, user TEXT, why TEXT, reset INTEGER);"
	"CREATE TABLE span(first INTEGER PRIMARY KEY, last INTEGER NOT NULL,"
	" oldest INTEGER NOT NULL,"
	" newest INTEGER NOT NULL, types INTEGER NOT NULL, clients INTEGER NOT NULL,"
	" committed INTEGER NOT NULL);",
	"ALTER TABLE client ADD COLUMN last INTEGER NOT NULL DEFAULT 0;"
	"UPDATE client SET last = (SELECT coalesce(max(row), 0) FROM event)",
	NULL,
};

static const char *const statements[JOURNAL_STATEMENTS] = {
	[JOURNAL_CLIENT_FIND] = "SELECT number, newest, host FROM client WHERE id = ?1",
	[JOURNAL_CLIENT_PUT] = "INSERT INTO client(id, host, newest, seen) VALUES(?1, ?2, 0, ?3)",
	[JOURNAL_CLIENT_HOST] = "UPDATE client SET host = ?2 WHERE number = ?1",
	[JOURNAL_CLIENT_NEWEST] = "SELECT newest FROM client WHERE number = ?1",
	[JOURNAL_CLIENT_SEEN] =
		"UPDATE client SET newest = ?2, seen = ?3, last = ?4 WHERE number = ?1",
	/* Only when it is news: else it would be a write for each connection. */
	[JOURNAL_CLIENT_MET] = "UPDATE client SET seen = ?2 WHERE number = ?1"
			       " AND seen NOT BETWEEN ?2 - 3600000000 AND ?2",
	[JOURNAL_CLIENT_IDLE] = "SELECT number FROM client WHERE number > ?1 AND seen < ?2"
				" AND last < ?3 AND number < (SELECT max(number) FROM client)"
				" ORDER BY number LIMIT 1",
	[JOURNAL_CLIENT_REMOVE] = "DELETE FROM client WHERE number = ?1",
	[JOURNAL_EVENT_PUT] = "INSERT INTO event(" JOURNAL_COLUMNS
			      ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
			      " ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
	[JOURNAL_EVENT_OLDEST] = "SELECT row, time FROM event ORDER BY row LIMIT 1",
	[JOURNAL_EVENT_REMOVE] = "DELETE FROM event WHERE row <= ?1",
	[JOURNAL_SPAN_PUT] = "INSERT OR REPLACE INTO span VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[JOURNAL_SPAN_OLDEST] =
		"SELECT last, committed FROM span WHERE last >= ?1 ORDER BY first LIMIT 1",
	/* The newest stays: it says which row comes next. */
	[JOURNAL_SPAN_REMOVE] = "DELETE FROM span WHERE last <= ?1"
				" AND first < (SELECT max(first) FROM span)",
	[JOURNAL_SPAN_LIMIT] = "UPDATE span SET committed = ?1 WHERE committed > ?1",
	[JOURNAL_PAGES] = "PRAGMA page_count",
	[JOURNAL_PAGES_FREE] = "PRAGMA freelist_count",
};

static int64_t wall_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Statements. */

void journal_bind_number(struct journal *journal, enum journal_statement which, int column,
			 uint64_t n)
{
	sqlite3_bind_int64(journal->statement[which], column, (int64_t)n);
}

static void bind_text(struct journal *journal, enum journal_statement which, int column,
		      struct bytes b)
{
	sqlite3_bind_text64(journal->statement[which], column,
			    b.data != NULL ? (const char *)b.data : "", b.len, SQLITE_STATIC,
			    SQLITE_UTF8);
}

int journal_step(struct journal *journal, enum journal_statement which)
{
	int status = sqlite3_step(journal->statement[which]);

	return status == SQLITE_ROW ? 1 : database_err(&journal->database, status);
}

void journal_done(struct journal *journal, enum journal_statement which)
{
	sqlite3_reset(journal->statement[which]);
}

int journal_run(struct journal *journal, enum journal_statement which)
{
	int err = journal_step(journal, which);

	journal_done(journal, which);
	return err;
}

int64_t journal_column_number(struct journal *journal, enum journal_statement which, int number)
{
	return sqlite3_column_int64(journal->statement[which], number);
}

/* Transactions. */

int journal_begin(struct journal *journal)
{
	int err;

	if (journal->begun)
		return 0;
	err = database_do(&journal->database, "BEGIN IMMEDIATE");
	journal->begun = err == 0;
	return err;
}

int journal_rollback(struct journal *journal)
{
	for (unsigned i = 0; i < JOURNAL_STATEMENTS; i++)
		journal_done(journal, i);
	if (sqlite3_get_autocommit(journal->database.sqlite) == 0)
		sqlite3_exec(journal->database.sqlite, "ROLLBACK", NULL, NULL, NULL);
	journal->begun = false;
	journal->now = journal->kept;
	return sqlite3_get_autocommit(journal->database.sqlite) != 0 ? 0 : journal->database.err;
}

static int put_span(struct journal *journal)
{
	const struct journal_span *span = &journal->now.span;

	if (span->last == 0)
		return 0;
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 1, span->first);
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 2, span->last);
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 3, (uint64_t)span->oldest_us);
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 4, (uint64_t)span->newest_us);
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 5, span->types);
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 6, span->clients);
	journal_bind_number(journal, JOURNAL_SPAN_PUT, 7, (uint64_t)journal->now.committed_us);
	return journal_run(journal, JOURNAL_SPAN_PUT);
}

int journal_commit(struct journal *journal)
{
	int err = 0;

	if (!journal->begun)
		return 0;
	if (journal->now.next != journal->kept.next)
		err = put_span(journal);
	if (err == 0)
		err = database_do(&journal->database, "COMMIT");
	if (err == 0 && database_is_gone(&journal->database))
		err = database_say(&journal->database, ERR_NO_FILE, "it was removed or replaced");
	if (err != 0) {
		journal_rollback(journal);
		return err;
	}
	journal->begun = false;
	journal->kept = journal->now;
	return 0;
}

/* Clients. */

static int make_client(struct journal *journal, struct bytes id, struct bytes host)
{
	if (journal->now.clients >= JOURNAL_CLIENTS)
		return ERR_FULL;
	journal->now.clients++;
	bind_text(journal, JOURNAL_CLIENT_PUT, 1, id);
	bind_text(journal, JOURNAL_CLIENT_PUT, 2, host);
	journal_bind_number(journal, JOURNAL_CLIENT_PUT, 3, (uint64_t)wall_us());
	return journal_run(journal, JOURNAL_CLIENT_PUT);
}

static int keep_host(struct journal *journal, uint32_t client, struct bytes host)
{
	journal_bind_number(journal, JOURNAL_CLIENT_HOST, 1, client);
	bind_text(journal, JOURNAL_CLIENT_HOST, 2, host);
	return journal_run(journal, JOURNAL_CLIENT_HOST);
}

static int put_client(struct journal *journal, struct bytes id, struct bytes host, uint32_t *client,
		      uint64_t *newest)
{
	int err = make_client(journal, id, host);

	*client = err == 0 ? (uint32_t)sqlite3_last_insert_rowid(journal->database.sqlite) : 0;
	*newest = 0;
	return err;
}

/* Is heard of again. */
static int meet(struct journal *journal, uint32_t client)
{
	journal_bind_number(journal, JOURNAL_CLIENT_MET, 1, client);
	journal_bind_number(journal, JOURNAL_CLIENT_MET, 2, (uint64_t)wall_us());
	return journal_run(journal, JOURNAL_CLIENT_MET);
}

int journal_client(struct journal *journal, struct bytes id, struct bytes host, uint32_t *client,
		   uint64_t *newest)
{
	bool same = false;
	int found;

	if (id.len >= JOURNAL_CLIENT_BYTES || host.len > CHANGE_WORD_BYTES)
		return ERR_TOO_LONG;
	found = journal_begin(journal);
	if (found != 0)
		return found;
	bind_text(journal, JOURNAL_CLIENT_FIND, 1, id);
	found = journal_step(journal, JOURNAL_CLIENT_FIND);
	if (found > 0) {
		*client = (uint32_t)journal_column_number(journal, JOURNAL_CLIENT_FIND, 0);
		*newest = (uint64_t)journal_column_number(journal, JOURNAL_CLIENT_FIND, 1);
		same = bytes_equal(journal_text(journal->statement[JOURNAL_CLIENT_FIND], 2), host);
	}
	journal_done(journal, JOURNAL_CLIENT_FIND);
	if (found > 0)
		found = same || host.len == 0 ? 0 : keep_host(journal, *client, host);
	else if (found == 0)
		return put_client(journal, id, host, client, newest);
	return found == 0 ? meet(journal, *client) : found;
}

static int newest_of(struct journal *journal, uint32_t client, uint64_t *newest)
{
	int found;

	journal_bind_number(journal, JOURNAL_CLIENT_NEWEST, 1, client);
	found = journal_step(journal, JOURNAL_CLIENT_NEWEST);
	if (found > 0)
		*newest = (uint64_t)journal_column_number(journal, JOURNAL_CLIENT_NEWEST, 0);
	journal_done(journal, JOURNAL_CLIENT_NEWEST);
	return found > 0 ? 0 : found < 0 ? found : ERR_NO_NAME;
}

static int set_newest(struct journal *journal, uint32_t client, uint64_t newest, int64_t now_us)
{
	journal_bind_number(journal, JOURNAL_CLIENT_SEEN, 1, client);
	journal_bind_number(journal, JOURNAL_CLIENT_SEEN, 2, newest);
	journal_bind_number(journal, JOURNAL_CLIENT_SEEN, 3, (uint64_t)now_us);
	journal_bind_number(journal, JOURNAL_CLIENT_SEEN, 4, journal->now.next - 1);
	return journal_run(journal, JOURNAL_CLIENT_SEEN);
}

/* Rows. */

static int64_t span_age_us(const struct journal *journal)
{
	int64_t kept = (int64_t)(journal->settings.keep_ms * 1000 / SPAN_AGES);

	return kept > 0 && kept < SPAN_US ? kept : SPAN_US;
}

/* The span that takes the next row; the one before it is written when it has ended. */
static int open_span(struct journal *journal, int64_t now_us)
{
	struct journal_span *span = &journal->now.span;
	int64_t age_us = now_us - span->began_us;
	int err;

	if (span->last != 0 && span->last - span->first + 1 < SPAN_ROWS && age_us >= 0 &&
	    age_us < span_age_us(journal))
		return 0;
	err = put_span(journal);
	*span = (struct journal_span){.first = journal->now.next,
				      .oldest_us = INT64_MAX,
				      .newest_us = INT64_MIN,
				      .began_us = now_us};
	return err;
}

static int put_row(struct journal *journal, uint32_t client, uint64_t seq, const struct change *c,
		   int64_t now_us)
{
	struct journal_span *span = &journal->now.span;
	int err = open_span(journal, now_us);

	if (err != 0)
		return err;
	journal_bind_number(journal, JOURNAL_EVENT_PUT, JOURNAL_ROW + 1, journal->now.next);
	journal_bind_number(journal, JOURNAL_EVENT_PUT, JOURNAL_CLIENT + 1, client);
	journal_bind_number(journal, JOURNAL_EVENT_PUT, JOURNAL_SEQ + 1, seq);
	journal_bind(journal->statement[JOURNAL_EVENT_PUT], c);
	err = journal_run(journal, JOURNAL_EVENT_PUT);
	if (err != 0)
		return err;
	if (journal->now.committed_us < now_us)
		journal->now.committed_us = now_us;
	span->last = journal->now.next++;
	span->types |= 1u << c->type;
	span->clients |= (uint64_t)1 << client % 64;
	if (c->time_us < span->oldest_us)
		span->oldest_us = c->time_us;
	if (c->time_us > span->newest_us)
		span->newest_us = c->time_us;
	return 0;
}

/* Whether `records` are `count` records that may follow `newest`. */
static int check_records(struct bytes records, uint64_t first, uint32_t count, uint64_t newest,
			 const char **why)
{
	struct change c;

	if (first == 0 || first > SEQ_MOST || count == 0 || count - 1 > SEQ_MOST - first) {
		*why = "numbers that cannot be";
		return ERR_PROTOCOL;
	}
	for (uint32_t i = 0; i < count; i++) {
		int len = change_take(records, &c, why);

		if (len < 0)
			return len;
		if (i == 0 && first > newest + 1 && !(c.type == CHANGE_GAP && c.reset)) {
			*why = "numbers are missing";
			return ERR_PROTOCOL;
		}
		records = bytes_after(records, (size_t)len);
	}
	if (records.len == 0)
		return 0;
	*why = "more records than were said";
	return ERR_PROTOCOL;
}

int journal_append(struct journal *journal, uint32_t client, uint64_t first, uint32_t count,
		   struct bytes records,
		   void (*took)(void *owner, const struct change *c, uint64_t seq), void *owner,
		   const char **why)
{
	uint64_t newest = 0;
	int64_t now_us = wall_us();
	int err = journal_begin(journal);
	struct change c;

	*why = NULL;
	if (err == 0)
		err = newest_of(journal, client, &newest);
	if (err == ERR_NO_NAME) {
		*why = "it was forgotten meanwhile";
		return ERR_PROTOCOL;
	}
	if (err == 0)
		err = check_records(records, first, count, newest, why);
	if (err != 0)
		return err;
	for (uint64_t seq = first; seq < first + count; seq++) {
		int len = change_take(records, &c, NULL);

		records = bytes_after(records, (size_t)len);
		if (seq <= newest)
			continue;
		err = put_row(journal, client, seq, &c, now_us);
		if (err != 0)
			return err;
		if (took != NULL)
			took(owner, &c, seq);
	}
	if (first + count - 1 <= newest)
		return 0;
	return set_newest(journal, client, first + count - 1, now_us);
}

int journal_append_plain(struct journal *journal, uint32_t client, const struct change *c,
			 uint64_t *seq)
{
	uint64_t newest = 0;
	int64_t now_us = wall_us();
	int err = journal_begin(journal);

	if (err == 0)
		err = newest_of(journal, client, &newest);
	if (err == 0)
		err = put_row(journal, client, newest + 1, c, now_us);
	if (err == 0)
		err = set_newest(journal, client, newest + 1, now_us);
	*seq = newest + 1;
	return err;
}

/* Opening. */

/* Which row comes next; a cheap look at whether the two tables are of one mind. */
static int find_end(struct journal *journal)
{
	struct database *database = &journal->database;
	int64_t row = 0, last = 0, clients = 0;
	int err = database_number(database, "SELECT max(row) FROM event", &row);

	if (err == 0)
		err = database_number(database, "SELECT last FROM span ORDER BY first DESC LIMIT 1",
				      &last);
	if (err == 0 && (row < 0 || last < 0 || row > last || (row != 0 && row != last)))
		err = database_say(database, ERR_PROTOCOL, "its end is damaged");
	if (err == 0)
		err = database_number(database, "SELECT count(*) FROM client", &clients);
	if (err == 0)
		err = database_number(database, "SELECT max(committed) FROM span",
				      &journal->now.committed_us);
	journal->now.clients = (uint32_t)clients;
	journal->now.next = (uint64_t)last + 1;
	journal->kept = journal->now;
	return err;
}

static int open_database(struct journal *journal, const char *path)
{
	struct database_plan plan = {.path = path,
				     .steps = journal_steps,
				     .application = JOURNAL_APPLICATION,
				     .busy_ms = JOURNAL_BUSY_MS,
				     .cache_kib = JOURNAL_CACHE_KIB,
				     .shrinks = true};
	int err = database_open(&journal->database, &plan);

	if (err == 0)
		err = find_end(journal);
	for (unsigned i = 0; err == 0 && i < JOURNAL_STATEMENTS; i++)
		err = database_prepare(&journal->database, &journal->statement[i], statements[i]);
	return err;
}

int journal_open(struct journal **journal, const char *path,
		 const struct journal_settings *settings, char *why)
{
	struct journal *j = calloc(1, sizeof(*j));
	int err;

	*journal = NULL;
	why[0] = '\0';
	if (j == NULL)
		return ERR_MEMORY;
	j->settings = *settings;
	err = database_lock(path, 0, &j->lock_fd);
	if (err == 0)
		err = open_database(j, path);
	if (err == 0) {
		*journal = j;
		return 0;
	}
	memcpy(why, j->database.why, sizeof(j->database.why));
	journal_close(j);
	return err;
}

void journal_close(struct journal *journal)
{
	if (journal == NULL)
		return;
	if (journal->database.sqlite != NULL)
		journal_rollback(journal);
	for (unsigned i = 0; i < JOURNAL_STATEMENTS; i++)
		sqlite3_finalize(journal->statement[i]);
	database_close(&journal->database);
	if (journal->lock_fd >= 0)
		close(journal->lock_fd);
	free(journal);
}
