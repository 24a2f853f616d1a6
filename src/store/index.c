/* The watching client's database: opening, transactions, numbers. Entries are in index_tree.c and
 * index_node.c, records in index_spool.c, what survives a full disk in index_redo.c. */
#include "store/index_parts.h"

#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INDEX_CACHE_KIB = 4096, INDEX_BUSY_MS = 5000, INDEX_LOCK_MS = 1000 };

const char *const index_steps[] = {
	"CREATE TABLE entry(place BLOB PRIMARY KEY, node BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE link(link BLOB PRIMARY KEY) WITHOUT ROWID;"
	"CREATE TABLE tree(number INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE,"
	" sum INTEGER NOT NULL);"
	"CREATE TABLE spool(first INTEGER PRIMARY KEY, last INTEGER NOT NULL, raw INTEGER NOT NULL,"
	" packed INTEGER NOT NULL, sum INTEGER NOT NULL, body BLOB NOT NULL);"
	"CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), instance BLOB NOT NULL,"
	" newest INTEGER NOT NULL, acknowledged INTEGER NOT NULL, entries INTEGER NOT NULL,"
	" sum INTEGER NOT NULL);",
	NULL,
};

/* The other rows of INDEX_FRESH. */
#define PAIRS_3    ", (?, ?), (?, ?), (?, ?)"
#define PAIRS_15   PAIRS_3 PAIRS_3 PAIRS_3 PAIRS_3 PAIRS_3
#define SINGLES_3  ", (?), (?), (?)"
#define SINGLES_15 SINGLES_3 SINGLES_3 SINGLES_3 SINGLES_3 SINGLES_3

static const char *const statements[INDEX_STATEMENTS] = {
	[INDEX_FIND] = "SELECT node FROM entry WHERE place = ?1",
	[INDEX_PUT] = "INSERT OR REPLACE INTO entry VALUES(?1, ?2)",
	[INDEX_REMOVE] = "DELETE FROM entry WHERE place = ?1",
	[INDEX_NEXT] = "SELECT place, node FROM entry WHERE place > ?1 AND place < ?2"
		       " ORDER BY place LIMIT 1",
	[INDEX_COUNT] = "SELECT count(*) FROM entry WHERE place > ?1 AND place < ?2",
	[INDEX_CLEAR] = "DELETE FROM entry WHERE place >= ?1 AND place < ?2",
	[INDEX_LINK_FIND] = "SELECT link FROM link WHERE link > ?1 AND link < ?2"
			    " ORDER BY link LIMIT 1 OFFSET ?3",
	[INDEX_LINK_PUT] = "INSERT OR REPLACE INTO link VALUES(?1)",
	[INDEX_LINK_REMOVE] = "DELETE FROM link WHERE link = ?1",
	[INDEX_LINK_CLEAR] = "DELETE FROM link WHERE link >= ?1 AND link < ?2",
	[INDEX_TREE_FIND] = "SELECT number FROM tree WHERE path = ?1",
	[INDEX_TREE_PUT] = "INSERT INTO tree VALUES(?1, ?2, ?3)",
	[INDEX_SPOOL_PUT] = "INSERT INTO spool VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[INDEX_SPOOL_SUM] = "SELECT coalesce(sum(length(body)), 0) FROM spool"
			    " WHERE first <= ?1 AND last <= ?1",
	[INDEX_SPOOL_REMOVE] = "DELETE FROM spool WHERE first <= ?1 AND last <= ?1",
	/* Of what is there already they would be an error: then the filter is wrong. */
	[INDEX_FRESH_PUT] = "INSERT OR FAIL INTO entry VALUES(?, ?)",
	[INDEX_FRESH_LINK_PUT] = "INSERT OR FAIL INTO link VALUES(?)",
	[INDEX_FRESH_PUT_ALL] = "INSERT OR FAIL INTO entry VALUES(?, ?)" PAIRS_15,
	[INDEX_FRESH_LINK_PUT_ALL] = "INSERT OR FAIL INTO link VALUES(?)" SINGLES_15,
	[INDEX_STATE_PUT] = "UPDATE state SET newest = ?1, acknowledged = ?2, entries = ?3,"
			    " sum = ?4",
};

/* Statements. */

void index_bind(struct index *index, enum index_statement which, int column, struct bytes b)
{
	sqlite3_bind_blob64(index->statement[which], column,
			    b.data != NULL ? (const void *)b.data : "", b.len, SQLITE_STATIC);
}

void index_bind_number(struct index *index, enum index_statement which, int column, uint64_t n)
{
	sqlite3_bind_int64(index->statement[which], column, (int64_t)n);
}

int index_step(struct index *index, enum index_statement which)
{
	bool asks = which == INDEX_FIND || which == INDEX_LINK_FIND;
	int err = index->fresh_count > 0 && !asks ? index_fresh_write(index) : 0;
	int status;

	if (err != 0)
		return err;
	status = sqlite3_step(index->statement[which]);
	if (status == SQLITE_ROW || status == SQLITE_DONE)
		return status == SQLITE_ROW;
	return index_fail(index, database_err(&index->database, status));
}

void index_done(struct index *index, enum index_statement which)
{
	sqlite3_reset(index->statement[which]);
}

int index_run(struct index *index, enum index_statement which)
{
	int err = index_step(index, which);

	index_done(index, which);
	return err;
}

struct bytes index_column(struct index *index, enum index_statement which, int column)
{
	const void *data = sqlite3_column_blob(index->statement[which], column);

	return bytes_of(data, (size_t)sqlite3_column_bytes(index->statement[which], column));
}

/* Transactions. */

int index_begin(struct index *index)
{
	int err;

	if (index->begun)
		return 0;
	if (index->lost && index->redo.len > 0)
		return index->database.err;
	index->lost = false;
	err = database_do(&index->database, "BEGIN IMMEDIATE");
	if (err != 0)
		return index_fail(index, err);
	index->begun = true;
	return 0;
}

int index_fail(struct index *index, int err)
{
	for (unsigned i = 0; i < INDEX_STATEMENTS; i++)
		sqlite3_reset(index->statement[i]);
	if (sqlite3_get_autocommit(index->database.sqlite) == 0)
		sqlite3_exec(index->database.sqlite, "ROLLBACK", NULL, NULL, NULL);
	index->begun = false;
	index->lost = true;
	index->fresh_count = 0;
	index->last.len = 0;
	return err;
}

size_t index_uncommitted(const struct index *index)
{
	return index->redo.len + index->block_len;
}

static uint32_t sum_of_state(const struct index *index, const struct index_state *state)
{
	uint8_t numbers[24];

	bytes_put_be64(numbers, state->newest);
	bytes_put_be64(numbers + 8, state->acknowledged);
	bytes_put_be64(numbers + 16, state->entries);
	return index_sum(bytes_of(index->instance, sizeof(index->instance)),
			 bytes_of(numbers, sizeof(numbers)));
}

static int commit(struct index *index)
{
	int err = index_flush(index);

	if (err != 0)
		return err;
	index_bind_number(index, INDEX_STATE_PUT, 1, index->now.newest);
	index_bind_number(index, INDEX_STATE_PUT, 2, index->now.acknowledged);
	index_bind_number(index, INDEX_STATE_PUT, 3, index->now.entries);
	index_bind_number(index, INDEX_STATE_PUT, 4, sum_of_state(index, &index->now));
	err = index_run(index, INDEX_STATE_PUT);
	if (err != 0)
		return err;
	err = database_do(&index->database, "COMMIT");
	return err == 0 ? 0 : index_fail(index, err);
}

int index_commit(struct index *index, uint64_t *newest)
{
	bool again = index->lost && index->redo.len > 0;
	int err = 0;

	if (index_uncommitted(index) == 0) {
		*newest = index->kept.newest;
		return 0;
	}
	if (again)
		index->lost = false;
	if (again) {
		err = database_do(&index->database, "BEGIN IMMEDIATE");
		index->begun = err == 0;
		err = err == 0 ? index_do_again(index) : index_fail(index, err);
	}
	if (err == 0)
		err = commit(index);
	if (err != 0)
		return err;
	index->begun = false;
	index->kept = index->now;
	index_redo_clear(index);
	if (index_filter_is_worn(&index->filter, index->kept.entries))
		index_filter_fill(index);
	*newest = index->kept.newest;
	return 0;
}

int index_rollback(struct index *index)
{
	index_fail(index, 0);
	index->lost = false;
	index->now = index->kept;
	index->block_len = 0;
	index_redo_clear(index);
	return sqlite3_get_autocommit(index->database.sqlite) != 0 ? 0 : index->database.err;
}

struct index_state index_state(const struct index *index)
{
	struct index_state state = index->now;

	state.spool_records = state.newest - state.acknowledged;
	return state;
}

/* Trees. */

int index_tree(struct index *index, struct bytes path, uint32_t *tree, bool *known)
{
	struct index_op op = {.kind = INDEX_OP_TREE, .number = index->trees + 1, .a = path};
	int found = index_begin(index);

	if (found != 0)
		return found;
	index_bind(index, INDEX_TREE_FIND, 1, path);
	found = index_step(index, INDEX_TREE_FIND);
	if (found > 0)
		*tree = (uint32_t)sqlite3_column_int64(index->statement[INDEX_TREE_FIND], 0);
	index_done(index, INDEX_TREE_FIND);
	*known = found > 0;
	if (found != 0)
		return found < 0 ? found : 0;
	if (op.number > INDEX_TREES)
		return ERR_FULL;
	found = index_change(index, &op);
	if (found != 0)
		return found;
	*tree = ++index->trees;
	return 0;
}

const uint8_t *index_instance(const struct index *index)
{
	return index->instance;
}

/* Opening. */

static int make_instance(struct index *index)
{
	struct database *database = &index->database;
	struct sqlite3_stmt *put = NULL;
	int err;

	index->now = (struct index_state){0};
	if (getrandom(index->instance, INDEX_INSTANCE_BYTES, 0) != INDEX_INSTANCE_BYTES)
		return database_say(database, ERR_SYSTEM, "there is no randomness");
	err = database_prepare(database, &put, "INSERT INTO state VALUES(1, ?1, 0, 0, 0, ?2)");
	if (err != 0)
		return err;
	sqlite3_bind_blob(put, 1, index->instance, INDEX_INSTANCE_BYTES, SQLITE_STATIC);
	sqlite3_bind_int64(put, 2, sum_of_state(index, &index->now));
	err = database_err(database, sqlite3_step(put));
	sqlite3_finalize(put);
	index->kept = index->now;
	index->trees = 0;
	return err;
}

/* Takes the row of the state that stands. */
static int take_state(struct index *index, struct sqlite3_stmt *state)
{
	if (sqlite3_column_bytes(state, 0) != INDEX_INSTANCE_BYTES)
		return database_say(&index->database, ERR_PROTOCOL, "its instance is damaged");
	memcpy(index->instance, sqlite3_column_blob(state, 0), INDEX_INSTANCE_BYTES);
	index->now = (struct index_state){.newest = (uint64_t)sqlite3_column_int64(state, 1),
					  .acknowledged = (uint64_t)sqlite3_column_int64(state, 2),
					  .server = (uint64_t)sqlite3_column_int64(state, 1),
					  .entries = (uint64_t)sqlite3_column_int64(state, 3),
					  .spool_bytes = (uint64_t)sqlite3_column_int64(state, 5)};
	index->trees = (uint32_t)sqlite3_column_int64(state, 6);
	index->kept = index->now;
	if (sqlite3_column_int64(state, 4) != sum_of_state(index, &index->now))
		return database_say(&index->database, ERR_PROTOCOL, "its numbers are damaged");
	return 0;
}

static int read_state(struct index *index, bool *there)
{
	struct sqlite3_stmt *state = NULL;
	int err = database_prepare(&index->database, &state,
				   "SELECT instance, newest, acknowledged, entries, sum,"
				   " (SELECT coalesce(sum(length(body)), 0) FROM spool),"
				   " (SELECT coalesce(max(number), 0) FROM tree) FROM state");
	int status;

	if (err != 0)
		return err;
	status = sqlite3_step(state);
	*there = status == SQLITE_ROW;
	err = *there ? take_state(index, state) : database_err(&index->database, status);
	sqlite3_finalize(state);
	return err;
}

static void close_database(struct index *index)
{
	for (unsigned i = 0; i < INDEX_STATEMENTS; i++)
		sqlite3_finalize(index->statement[i]);
	memset(index->statement, 0, sizeof(index->statement));
	database_close(&index->database);
}

/* Opens the database of that path, or makes it. NULL: a temporary one. */
static int open_database(struct index *index, const char *path)
{
	struct database_plan plan = {.path = path,
				     .steps = index_steps,
				     .application = INDEX_APPLICATION,
				     .busy_ms = INDEX_BUSY_MS,
				     .cache_kib = INDEX_CACHE_KIB};
	bool there = false;
	int err = database_open(&index->database, &plan);

	if (err != 0)
		return err;
	err = read_state(index, &there);
	if (err == 0 && !there)
		err = make_instance(index);
	for (unsigned i = 0; err == 0 && i < INDEX_STATEMENTS; i++)
		err = database_prepare(&index->database, &index->statement[i], statements[i]);
	index_filter_clear(&index->filter);
	if (err == 0)
		err = index_check(index);
	if (err != 0)
		close_database(index);
	return err;
}

/* Makes one under another name, so that an empty file is always one that was cut and never one that
 * a killed process left half made. */
static int make_database(struct index *index, const char *path)
{
	char made[PATH_MAX];
	int err;

	if (snprintf(made, sizeof(made), "%s.new", path) >= (int)sizeof(made))
		return ERR_TOO_LONG;
	if (unlink(made) < 0 && errno != ENOENT)
		return err_from_errno(errno);
	err = open_database(index, made);
	if (err != 0)
		return err;
	close_database(index); /* its log goes into it */
	if (rename(made, path) < 0)
		return err_from_errno(errno);
	return open_database(index, path);
}

/* What SQLite would take for a new database in silence. */
static int open_sound(struct index *index, const char *path)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0)
		return database_say(&index->database, ERR_PROTOCOL, "it is empty");
	return open_database(index, path);
}

static int open_or_make(struct index *index, const char *path, struct index_found *found)
{
	int err;

	found->anew = path == NULL || (access(path, F_OK) != 0 && errno == ENOENT);
	if (found->anew)
		return path == NULL ? open_database(index, NULL) : make_database(index, path);
	err = open_sound(index, path);
	if (err != ERR_PROTOCOL)
		return err;
	found->damaged = found->anew = true;
	err = database_set_aside(path);
	return err == 0 ? make_database(index, path) : err;
}

int index_open(struct index **index, const char *path, struct index_found *found, char *why)
{
	struct index *i = calloc(1, sizeof(*i));
	int err;

	*index = NULL;
	*found = (struct index_found){0};
	why[0] = '\0';
	if (i == NULL)
		return ERR_MEMORY;
	i->lock_fd = -1;
	err = path != NULL ? database_lock(path, INDEX_LOCK_MS, &i->lock_fd) : 0;
	if (err == 0)
		err = packer_create(&i->packer);
	if (err == 0)
		err = open_or_make(i, path, found);
	if (err == 0) {
		*index = i;
		return 0;
	}
	memcpy(why, i->database.why, sizeof(i->database.why));
	index_close(i);
	return err;
}

void index_close(struct index *index)
{
	if (index == NULL)
		return;
	if (index->database.sqlite != NULL)
		index_rollback(index);
	close_database(index);
	index_filter_clear(&index->filter);
	packer_destroy(index->packer);
	free(index->redo.data);
	if (index->lock_fd >= 0)
		close(index->lock_fd);
	free(index);
}
