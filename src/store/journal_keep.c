/* The journal's retention, of rows and of clients, and what it tells of itself. The oldest rows go,
 * as many a step as whoever calls says, so that whoever commits never waits for long. Its size is
 * that of the pages in use: those that rows left free are used again, and when they are many given
 * back to the filesystem. */
#include "store/journal_parts.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHRINK_SHARE = 4, SHRINK_PAGES = 1024 };

#define AHEAD_US        ((int64_t)3600 * 1000000)
#define NOW_AT_LEAST_US ((int64_t)1767225600 * 1000000) /* 2026-01-01: no prise is older */

static int number_of(struct journal *journal, enum journal_statement which, int64_t *number)
{
	int found = journal_step(journal, which);

	*number = found > 0 ? journal_column_number(journal, which, 0) : 0;
	journal_done(journal, which);
	return found < 0 ? found : 0;
}

static int count_pages(struct journal *journal, int64_t *used, int64_t *unused)
{
	int64_t pages = 0;
	int err = number_of(journal, JOURNAL_PAGES, &pages);

	if (err == 0)
		err = number_of(journal, JOURNAL_PAGES_FREE, unused);
	*used = pages - *unused;
	return err;
}

static int used_bytes(struct journal *journal, uint64_t *bytes)
{
	int64_t used = 0, unused = 0, page_bytes = 0;
	int err = count_pages(journal, &used, &unused);

	if (err == 0)
		err = database_number(&journal->database, "PRAGMA page_size", &page_bytes);
	*bytes = (uint64_t)(used * page_bytes);
	return err;
}

/* A clock that is behind what was committed was ahead then, or is wrong now: the one that goes on
 * for an hour is believed. What was committed later counts from when that was seen first; but not
 * by a clock that nobody has set yet, which begins in 1970 or when its system was made. */
static int limit_age(struct journal *journal, int64_t now_us)
{
	int err = 0;

	if (journal->now.committed_us <= now_us)
		journal->ahead_us = 0;
	else if (journal->ahead_us == 0 || journal->ahead_us > now_us)
		journal->ahead_us = now_us;
	else if (now_us - journal->ahead_us >= AHEAD_US && journal->ahead_us >= NOW_AT_LEAST_US) {
		journal_bind_number(journal, JOURNAL_SPAN_LIMIT, 1, (uint64_t)journal->ahead_us);
		err = journal_run(journal, JOURNAL_SPAN_LIMIT);
		journal->now.committed_us = journal->ahead_us;
	}
	return err;
}

/* The newest row of the oldest span that may go; 0: none. */
static int64_t row_to_prune(struct journal *journal, int64_t now_us, unsigned rows, int64_t *oldest)
{
	const struct journal_settings *settings = &journal->settings;
	int64_t last = 0, committed_us = 0;
	uint64_t bytes = 0;
	bool due;
	int err = number_of(journal, JOURNAL_EVENT_OLDEST, oldest);

	if (err != 0 || *oldest == 0)
		return err;
	journal_bind_number(journal, JOURNAL_SPAN_OLDEST, 1, (uint64_t)*oldest);
	err = journal_step(journal, JOURNAL_SPAN_OLDEST);
	if (err > 0) {
		last = journal_column_number(journal, JOURNAL_SPAN_OLDEST, 0);
		committed_us = journal_column_number(journal, JOURNAL_SPAN_OLDEST, 1);
	}
	journal_done(journal, JOURNAL_SPAN_OLDEST);
	if (err >= 0 && settings->keep_bytes != 0)
		err = used_bytes(journal, &bytes);
	if (err < 0)
		return err;
	due = settings->keep_ms != 0 && committed_us < now_us - (int64_t)settings->keep_ms * 1000;
	if (!due && bytes <= settings->keep_bytes)
		return 0;
	return *oldest + rows - 1 < last ? *oldest + rows - 1 : last;
}

/* Gives pages back to the filesystem when a good part of them is free; new rows use the others. */
static int shrink(struct journal *journal)
{
	int64_t used = 0, unused = 0;
	char sql[64];
	int err = count_pages(journal, &used, &unused);

	if (err != 0 || unused < SHRINK_PAGES || unused < used / SHRINK_SHARE)
		return err;
	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%d)", SHRINK_PAGES);
	return database_do(&journal->database, sql);
}

static int64_t prune_span(struct journal *journal, int64_t now_us, unsigned rows)
{
	int64_t oldest = 0;
	int64_t upto = row_to_prune(journal, now_us, rows, &oldest);
	int err;

	if (upto <= 0)
		return upto;
	journal_bind_number(journal, JOURNAL_EVENT_REMOVE, 1, (uint64_t)upto);
	err = journal_run(journal, JOURNAL_EVENT_REMOVE);
	journal_bind_number(journal, JOURNAL_SPAN_REMOVE, 1, (uint64_t)upto);
	if (err == 0)
		err = journal_run(journal, JOURNAL_SPAN_REMOVE);
	return err == 0 ? upto - oldest + 1 : err;
}

/* Some thousand rows at a time, since only then it is known whether more have to go. */
static int64_t prune(struct journal *journal, int64_t now_us, unsigned rows)
{
	int64_t pruned = 0, some = 1;

	while (pruned < rows && some > 0) {
		some = prune_span(journal, now_us, rows - (unsigned)pruned);
		pruned += some;
	}
	return some < 0 ? some : pruned;
}

int64_t journal_prune(struct journal *journal, int64_t now_us, unsigned rows)
{
	int64_t pruned;
	int err;

	if (journal->begun)
		return ERR_IN_USE;
	pruned = journal_begin(journal);
	if (pruned == 0 && journal->settings.keep_ms != 0)
		pruned = limit_age(journal, now_us);
	if (pruned == 0)
		pruned = prune(journal, now_us, rows);
	err = pruned < 0 ? (int)pruned : shrink(journal);
	if (err == 0)
		err = journal_commit(journal);
	if (err == 0)
		return pruned;
	journal_rollback(journal);
	return err;
}

/* Clients. */

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int remove_client(struct journal *journal, uint32_t client)
{
	int err;

	journal_bind_number(journal, JOURNAL_CLIENT_REMOVE, 1, client);
	err = journal_run(journal, JOURNAL_CLIENT_REMOVE);
	journal->now.clients -= err == 0;
	return err;
}

/* The first above `*client` that may be forgotten: 1, 0: none, or ERR_. */
static int next_idle(struct journal *journal, int64_t before_us, int64_t oldest, uint32_t *client)
{
	int found;

	journal_bind_number(journal, JOURNAL_CLIENT_IDLE, 1, *client);
	journal_bind_number(journal, JOURNAL_CLIENT_IDLE, 2, (uint64_t)before_us);
	journal_bind_number(journal, JOURNAL_CLIENT_IDLE, 3, (uint64_t)oldest);
	found = journal_step(journal, JOURNAL_CLIENT_IDLE);
	if (found > 0)
		*client = (uint32_t)journal_column_number(journal, JOURNAL_CLIENT_IDLE, 0);
	journal_done(journal, JOURNAL_CLIENT_IDLE);
	return found;
}

static int64_t forget(struct journal *journal, int64_t before_us, const uint32_t *live,
		      unsigned lives, unsigned most)
{
	int64_t oldest = 0, forgotten = 0;
	uint32_t client = 0;
	int found = number_of(journal, JOURNAL_EVENT_OLDEST, &oldest), err = 0;

	if (found < 0)
		return found;
	if (oldest == 0)
		oldest = (int64_t)journal->now.next;
	while (err == 0 && forgotten < most &&
	       (found = next_idle(journal, before_us, oldest, &client)) > 0) {
		if (lives > 0 && bsearch(&client, live, lives, sizeof(*live), compare) != NULL)
			continue;
		err = remove_client(journal, client);
		forgotten += err == 0;
	}
	return err != 0 ? err : found < 0 ? found : forgotten;
}

int64_t journal_forget(struct journal *journal, int64_t now_us, uint32_t *live, unsigned lives,
		       unsigned most)
{
	int64_t forgotten, before_us = now_us - (int64_t)journal->settings.keep_ms * 1000;
	int err;

	if (journal->begun)
		return ERR_IN_USE;
	if (journal->settings.keep_ms == 0)
		return 0;
	if (lives > 0)
		qsort(live, lives, sizeof(*live), compare);
	forgotten = journal_begin(journal);
	if (forgotten == 0)
		forgotten = forget(journal, before_us, live, lives, most);
	err = forgotten < 0 ? (int)forgotten : journal_commit(journal);
	if (err == 0)
		return forgotten;
	journal_rollback(journal);
	return err;
}

int journal_state(struct journal *journal, struct journal_state *state)
{
	int64_t oldest = 0;
	int found = journal_step(journal, JOURNAL_EVENT_OLDEST), err;

	*state = (struct journal_state){.newest = journal->now.next - 1};
	if (found > 0) {
		oldest = journal_column_number(journal, JOURNAL_EVENT_OLDEST, 0);
		state->oldest_us = journal_column_number(journal, JOURNAL_EVENT_OLDEST, 1);
	}
	journal_done(journal, JOURNAL_EVENT_OLDEST);
	err = found < 0 ? found : used_bytes(journal, &state->bytes);
	state->clients = journal->now.clients;
	state->oldest = (uint64_t)oldest;
	state->rows = oldest != 0 ? state->newest - state->oldest + 1 : 0;
	return err;
}
