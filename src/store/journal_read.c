/* The journal's readers. What matches is copied and the snapshot let go before anybody is called:
 * whoever writes to a slow pipe keeps no log from being cut.
 *
 *   spans that may have some ──► their rows ──► match ──► batch ──┤ snapshot ends ├──► each */
#include "store/journal_parts.h"

#include <sqlite3.h>
#include <stdlib.h>

enum {
	READER_CACHE_KIB = 2048,
	READER_BUSY_MS = 5000,
	BATCH_ROWS = 128,
	BATCH_BYTES = 2 * CHANGE_RECORD_BYTES,
	BATCH_SCAN = 65536, /* rows looked at in one snapshot */
};

enum reader_statement {
	SPAN_UP,
	SPAN_DOWN,
	ROWS_UP,
	ROWS_DOWN,
	CLIENTS,
	VERSION,
	OLDEST,
	STATEMENTS
};

struct reader_client {
	uint32_t number;
	bool matches; /* the filter of this call */
	uint16_t host_len;
	char id[JOURNAL_CLIENT_BYTES];
	char host[CHANGE_WORD_BYTES];
	uint64_t newest;
	int64_t seen_us;
};

/* One call of journal_read. */
struct reading {
	const struct journal_filter *filter;
	int64_t since_us, until_us;
	unsigned types;
	uint64_t clients; /* bits of those that match */
	int64_t version;  /* of the clients when that was found out */
	bool backward, end;
	uint64_t at; /* the last row looked at */
	uint64_t scanned;
	uint64_t most, scan_most;
};

struct journal_reader {
	struct database database;
	struct sqlite3_stmt *statement[STATEMENTS];
	struct reader_client *client; /* by number */
	uint32_t clients, places;
	int64_t version;                 /* of the database, when they were read */
	uint64_t missed_from, missed_to; /* 0: none */
	char glob[CHANGE_PATH_BYTES + 1];
	struct journal_row row[BATCH_ROWS]; /* the batch; host and texts point into `bytes` */
	unsigned rows;
	size_t used;
	uint8_t bytes[BATCH_BYTES];
};

#define SPAN_MAY " AND newest >= ?2 AND oldest <= ?3 AND types & ?4 AND clients & ?5"

static const char *const statements[STATEMENTS] = {
	[SPAN_UP] = "SELECT first, last FROM span WHERE last > ?1 AND first >="
		    " coalesce((SELECT max(first) FROM span WHERE first <= ?1 + 1), 0)" SPAN_MAY
		    " ORDER BY first LIMIT 1",
	[SPAN_DOWN] = "SELECT first, last FROM span WHERE first < ?1" SPAN_MAY
		      " ORDER BY first DESC LIMIT 1",
	[ROWS_UP] = "SELECT " JOURNAL_COLUMNS " FROM event WHERE row > ?1 AND row <= ?2"
		    " ORDER BY row",
	[ROWS_DOWN] = "SELECT " JOURNAL_COLUMNS " FROM event WHERE row < ?1 AND row >= ?2"
		      " ORDER BY row DESC",
	[CLIENTS] = "SELECT number, id, host, newest, seen FROM client ORDER BY number",
	[VERSION] = "PRAGMA data_version",
	[OLDEST] = "SELECT coalesce((SELECT min(row) FROM event),"
		   " (SELECT last + 1 FROM span ORDER BY first DESC LIMIT 1))",
};

/* Opening. */

int journal_reader_open(struct journal_reader **reader, const char *path, char *why)
{
	struct database_plan plan = {.path = path,
				     .steps = journal_steps,
				     .application = JOURNAL_APPLICATION,
				     .read_only = true,
				     .busy_ms = READER_BUSY_MS,
				     .cache_kib = READER_CACHE_KIB};
	struct journal_reader *r = calloc(1, sizeof(*r));
	int err;

	*reader = r;
	why[0] = '\0';
	if (r == NULL)
		return ERR_MEMORY;
	err = database_open(&r->database, &plan);
	for (unsigned i = 0; err == 0 && i < STATEMENTS; i++)
		err = database_prepare(&r->database, &r->statement[i], statements[i]);
	if (err == 0)
		return 0;
	memcpy(why, r->database.why, sizeof(r->database.why));
	journal_reader_close(r);
	*reader = NULL;
	return err;
}

void journal_reader_close(struct journal_reader *reader)
{
	if (reader == NULL)
		return;
	for (unsigned i = 0; i < STATEMENTS; i++)
		sqlite3_finalize(reader->statement[i]);
	database_close(&reader->database);
	free(reader->client);
	free(reader);
}

bool journal_reader_is_gone(struct journal_reader *reader)
{
	return database_is_gone(&reader->database);
}

/* 1: a row is there; 0: none; or ERR_. */
static int step(struct journal_reader *reader, enum reader_statement which)
{
	int status = sqlite3_step(reader->statement[which]);

	return status == SQLITE_ROW ? 1 : database_err(&reader->database, status);
}

static void done(struct journal_reader *reader, enum reader_statement which)
{
	sqlite3_reset(reader->statement[which]);
}

static void bind(struct journal_reader *reader, enum reader_statement which, int column, int64_t n)
{
	sqlite3_bind_int64(reader->statement[which], column, n);
}

static int64_t column(struct journal_reader *reader, enum reader_statement which, int number)
{
	return sqlite3_column_int64(reader->statement[which], number);
}

/* Ends the snapshot. */
static void let_go(struct journal_reader *reader)
{
	for (unsigned i = 0; i < STATEMENTS; i++)
		done(reader, i);
	if (sqlite3_get_autocommit(reader->database.sqlite) == 0)
		sqlite3_exec(reader->database.sqlite, "ROLLBACK", NULL, NULL, NULL);
}

/* Clients. */

static int damaged(struct journal_reader *reader, const char *why)
{
	return database_say(&reader->database, ERR_PROTOCOL, why);
}

/* A place for one more. */
static int grow_clients(struct journal_reader *reader)
{
	uint32_t places = reader->places + reader->places / 2 + 16;
	struct reader_client *grown;

	if (reader->clients < reader->places)
		return 0;
	grown = realloc(reader->client, places * sizeof(*grown));
	if (grown == NULL)
		return ERR_MEMORY;
	reader->client = grown;
	reader->places = places;
	return 0;
}

/* NULL: there is none of that number. */
static const struct reader_client *find_client(const struct journal_reader *reader, uint64_t number)
{
	uint32_t from = 0, to = reader->clients;

	while (from < to) {
		uint32_t middle = from + (to - from) / 2;

		if (reader->client[middle].number < number)
			from = middle + 1;
		else
			to = middle;
	}
	return from < reader->clients && reader->client[from].number == number
		       ? &reader->client[from]
		       : NULL;
}

static int take_client(struct journal_reader *reader)
{
	int64_t number = column(reader, CLIENTS, 0);
	struct bytes id = journal_text(reader->statement[CLIENTS], 1);
	struct bytes host = journal_text(reader->statement[CLIENTS], 2);
	struct reader_client *client;
	int err;

	if (number < 1 || number > INT32_MAX || id.len >= JOURNAL_CLIENT_BYTES ||
	    host.len > sizeof(client->host))
		return damaged(reader, "a client's row is damaged");
	err = grow_clients(reader);
	if (err != 0)
		return err;
	client = &reader->client[reader->clients++];
	*client = (struct reader_client){.number = (uint32_t)number,
					 .host_len = (uint16_t)host.len,
					 .newest = (uint64_t)column(reader, CLIENTS, 3),
					 .seen_us = column(reader, CLIENTS, 4)};
	if (id.len > 0)
		memcpy(client->id, id.data, id.len);
	if (host.len > 0)
		memcpy(client->host, host.data, host.len);
	return 0;
}

/* Reads the clients anew when somebody committed since. */
static int know_clients(struct journal_reader *reader)
{
	int64_t version = 0;
	int found = step(reader, VERSION), err = 0;

	if (found > 0)
		version = column(reader, VERSION, 0);
	done(reader, VERSION);
	if (found < 0 || (reader->client != NULL && version == reader->version))
		return found < 0 ? found : 0;
	reader->clients = 0;
	while (err == 0 && (found = step(reader, CLIENTS)) > 0)
		err = take_client(reader);
	done(reader, CLIENTS);
	if (err == 0 && found == 0)
		reader->version = version;
	return err != 0 ? err : found;
}

static struct bytes host_of(const struct reader_client *client)
{
	return bytes_of(client->host, client->host_len);
}

static bool is_like(const struct reader_client *client, struct bytes wanted, bool whole)
{
	struct bytes id = bytes_of_string(client->id), host = host_of(client);

	if (whole)
		return bytes_equal(wanted, id) || bytes_equal(wanted, host);
	return bytes_find(id, wanted) < id.len || bytes_find(host, wanted) < host.len;
}

static bool match_whole_or_part(struct journal_reader *reader, struct reading *reading, bool whole)
{
	for (uint32_t i = 0; i < reader->clients; i++) {
		struct reader_client *client = &reader->client[i];

		client->matches = reading->filter->client.len == 0 ||
				  is_like(client, reading->filter->client, whole);
		if (client->matches)
			reading->clients |= (uint64_t)1 << client->number % 64;
	}
	return reading->clients != 0;
}

/* 10.0.0.1 is not 10.0.0.11 too: what is somebody's whole id or host is no part of others'. */
static void match_clients(struct journal_reader *reader, struct reading *reading)
{
	if (reading->clients != 0 && reading->version == reader->version)
		return;
	reading->version = reader->version;
	reading->clients = 0;
	if (!match_whole_or_part(reader, reading, true))
		match_whole_or_part(reader, reading, false);
}

/* Rows. */

static bool has_part(struct bytes in, struct bytes part)
{
	for (size_t i = 0; i + part.len <= in.len; i++)
		if (bytes_equal_fold(bytes_of(in.data + i, part.len), part))
			return true;
	return false;
}

/* Texts of SQLite's end with a NUL; one that is empty has no address. */
static bool globs(const struct journal_reader *reader, struct bytes text)
{
	return text.len > 0 && sqlite3_strglob(reader->glob, (const char *)text.data) == 0;
}

static bool matches(const struct journal_reader *reader, const struct reading *reading,
		    const struct change *c)
{
	const struct journal_filter *filter = reading->filter;

	if (c->time_us < reading->since_us || c->time_us > reading->until_us)
		return false;
	if (filter->path.len > 0 && !globs(reader, c->path) && !globs(reader, c->from))
		return false;
	return filter->text.len == 0 || has_part(c->path, filter->text) ||
	       has_part(c->from, filter->text);
}

static struct bytes keep(struct journal_reader *reader, struct bytes b)
{
	uint8_t *to = reader->bytes + reader->used;

	if (b.len > 0)
		memcpy(to, b.data, b.len);
	reader->used += b.len;
	return bytes_of(to, b.len);
}

static void keep_row(struct journal_reader *reader, const struct reader_client *client,
		     uint64_t number, uint64_t seq, const struct change *c)
{
	struct journal_row *row = &reader->row[reader->rows++];

	row->row = number;
	row->seq = seq;
	memcpy(row->client, client->id, sizeof(row->client));
	row->host = keep(reader, host_of(client));
	row->change = *c;
	row->change.path = keep(reader, c->path);
	row->change.from = keep(reader, c->from);
	row->change.program = keep(reader, c->program);
	row->change.user = keep(reader, c->user);
	row->change.why = keep(reader, c->why);
}

/* Looks at the row that stands, and keeps it when it matches. */
static int look(struct journal_reader *reader, struct reading *reading, enum reader_statement rows)
{
	struct sqlite3_stmt *statement = reader->statement[rows];
	const struct reader_client *client = find_client(
		reader, (uint64_t)sqlite3_column_int64(statement, JOURNAL_CLIENT));
	unsigned type = (unsigned)sqlite3_column_int(statement, JOURNAL_TYPE);
	struct change c;

	reading->at = (uint64_t)sqlite3_column_int64(statement, JOURNAL_ROW);
	reading->scanned++;
	if (client == NULL || type >= CHANGE_TYPES)
		return damaged(reader, "a row is damaged");
	if (!client->matches || !(reading->types & 1u << type))
		return 0;
	if (journal_take(statement, &c) != 0)
		return damaged(reader, "a row is damaged");
	if (!matches(reader, reading, &c))
		return 0;
	keep_row(reader, client, reading->at,
		 (uint64_t)sqlite3_column_int64(statement, JOURNAL_SEQ), &c);
	return 0;
}

static bool is_batch_full(const struct journal_reader *reader, const struct reading *reading,
			  uint64_t scanned_before)
{
	return reader->rows == BATCH_ROWS || reader->used + CHANGE_RECORD_BYTES > BATCH_BYTES ||
	       reader->rows >= reading->most || reading->scanned >= reading->scan_most ||
	       reading->scanned - scanned_before >= BATCH_SCAN;
}

/* The rows of one span, from `at` to its end: 1 when the batch is full, 0, or ERR_. */
static int read_rows(struct journal_reader *reader, struct reading *reading, uint64_t until,
		     uint64_t scanned_before)
{
	enum reader_statement rows = reading->backward ? ROWS_DOWN : ROWS_UP;
	int found = 0, err = 0;
	bool full = false;

	bind(reader, rows, 1, (int64_t)reading->at);
	bind(reader, rows, 2, (int64_t)until);
	while (err == 0 && !full && (found = step(reader, rows)) > 0) {
		err = look(reader, reading, rows);
		full = is_batch_full(reader, reading, scanned_before);
	}
	done(reader, rows);
	if (err != 0 || found < 0)
		return err != 0 ? err : found;
	if (!full)
		reading->at = until;
	return full;
}

/* Goes to the next span that may have a row that matches: 1 and its last row in that direction; 0,
 * or ERR_. */
static int next_span(struct journal_reader *reader, struct reading *reading, uint64_t *until)
{
	enum reader_statement which = reading->backward ? SPAN_DOWN : SPAN_UP;
	uint64_t first = 0, last = 0;
	int found;

	bind(reader, which, 1, (int64_t)reading->at);
	bind(reader, which, 2, reading->since_us);
	bind(reader, which, 3, reading->until_us);
	bind(reader, which, 4, reading->types);
	bind(reader, which, 5, (int64_t)reading->clients);
	found = step(reader, which);
	if (found > 0) {
		first = (uint64_t)column(reader, which, 0);
		last = (uint64_t)column(reader, which, 1);
	}
	done(reader, which);
	if (found <= 0)
		return found;
	if (first == 0 || last < first || last >= INT64_MAX)
		return damaged(reader, "a span is damaged");
	*until = reading->backward ? first : last;
	if (reading->backward && last < reading->at - 1)
		reading->at = last + 1;
	if (!reading->backward && first > reading->at + 1)
		reading->at = first - 1;
	return found;
}

/* Upwards, what is left out at the end counts as looked at. */
static int reach_end(struct journal_reader *reader, struct reading *reading)
{
	int64_t newest = 0;
	int err;

	reading->end = true;
	if (reading->backward)
		return 0;
	err = database_number(&reader->database,
			      "SELECT last FROM span ORDER BY first DESC LIMIT 1", &newest);
	if ((uint64_t)newest > reading->at)
		reading->at = (uint64_t)newest;
	return err;
}

/* Rows have no hole but at the front: what is missing behind the last one read is gone. */
static int pass_over_missing(struct journal_reader *reader, struct reading *reading)
{
	uint64_t oldest = 0;
	int found;

	if (reading->backward || reading->at == 0)
		return 0;
	found = step(reader, OLDEST);
	if (found > 0)
		oldest = (uint64_t)column(reader, OLDEST, 0);
	done(reader, OLDEST);
	if (found > 0 && oldest > reading->at + 1) {
		if (reader->missed_from == 0)
			reader->missed_from = reading->at + 1;
		reader->missed_to = reading->at = oldest - 1;
	}
	return found < 0 ? found : 0;
}

bool journal_reader_missed(struct journal_reader *reader, uint64_t *from, uint64_t *to)
{
	bool missed = reader->missed_from != 0;

	*from = reader->missed_from;
	*to = reader->missed_to;
	reader->missed_from = 0;
	return missed;
}

static int read_batch(struct journal_reader *reader, struct reading *reading)
{
	uint64_t scanned_before = reading->scanned, until = 0;
	int err = database_do(&reader->database, "BEGIN");

	reader->rows = 0;
	reader->used = 0;
	if (err == 0)
		err = know_clients(reader);
	if (err == 0)
		match_clients(reader, reading);
	if (err == 0)
		err = pass_over_missing(reader, reading);
	while (err == 0) {
		int found = next_span(reader, reading, &until);

		if (found == 0)
			err = reach_end(reader, reading);
		else if (found > 0)
			found = read_rows(reader, reading, until, scanned_before);
		if (found < 0)
			err = found;
		if (reading->end || found > 0)
			break;
	}
	let_go(reader);
	return err;
}

static int prepare(struct journal_reader *reader, struct reading *reading)
{
	const struct journal_filter *filter = reading->filter;

	if (filter->path.len >= sizeof(reader->glob))
		return ERR_TOO_LONG;
	if (filter->path.len > 0)
		memcpy(reader->glob, filter->path.data, filter->path.len);
	reader->glob[filter->path.len] = '\0';
	reading->types = filter->types != 0 ? filter->types : UINT16_MAX;
	reading->since_us = filter->since_us != 0 ? filter->since_us : INT64_MIN;
	reading->until_us = filter->until_us != 0 ? filter->until_us : INT64_MAX;
	if (reading->at > INT64_MAX - 1)
		reading->at = INT64_MAX - 1;
	if (reading->backward && reading->at == 0)
		reading->at = INT64_MAX;
	return 0;
}

int64_t journal_read(struct journal_reader *reader, const struct journal_filter *filter,
		     uint64_t row, bool backward, uint64_t most, uint64_t scan_most,
		     bool (*each)(void *owner, const struct journal_row *row), void *owner,
		     uint64_t *at, bool *end)
{
	struct reading reading = {.filter = filter,
				  .backward = backward,
				  .at = row,
				  .most = most != 0 ? most : UINT64_MAX,
				  .scan_most = scan_most != 0 ? scan_most : UINT64_MAX};
	int64_t matched = 0;
	int err = prepare(reader, &reading);

	*at = row;
	*end = false;
	while (err == 0 && reading.most > 0 && !reading.end &&
	       reading.scanned < reading.scan_most) {
		err = read_batch(reader, &reading);
		for (unsigned i = 0; err == 0 && i < reader->rows; i++) {
			matched++;
			*at = reader->row[i].row;
			if (!each(owner, &reader->row[i]))
				return matched;
		}
		reading.most -= reader->rows;
		if (err == 0 && reading.at != INT64_MAX)
			*at = reading.at;
	}
	*end = reading.end;
	return err != 0 ? err : matched;
}

int journal_read_clients(struct journal_reader *reader,
			 bool (*each)(void *owner, const struct journal_client_row *row),
			 void *owner)
{
	struct journal_client_row row;
	int err = database_do(&reader->database, "BEGIN");

	if (err == 0)
		err = know_clients(reader);
	let_go(reader);
	for (uint32_t i = 0; err == 0 && i < reader->clients; i++) {
		const struct reader_client *client = &reader->client[i];

		memcpy(row.id, client->id, sizeof(row.id));
		row.host = host_of(client);
		row.newest = client->newest;
		row.seen_us = client->seen_us;
		if (!each(owner, &row))
			break;
	}
	return err;
}
