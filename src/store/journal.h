/* The store of collected changes: SQLite, WAL, one row a change, in the order in which
 * they were committed. Each (client, seq) is there once: a client's newest number is in the same
 * transaction as its rows, and what is not above it is skipped.
 *
 * One writer, `struct journal`, in one thread; any number of readers, each a handle of its own,
 * also in other processes. */
#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include "proto/change.h"

enum {
	JOURNAL_CLIENT_BYTES = 128, /* a client's id, with its terminator */
	JOURNAL_CLIENTS = 20000,    /* known at a time: each is in every reader's memory */
};

struct journal;

struct journal_settings {
	uint64_t keep_ms;    /* rows older than this go; 0: none for their age */
	uint64_t keep_bytes; /* the oldest go when its pages in use are more; 0: no limit. Pages
			      * that are free are used again, and given back when they are many */
};

/* Opens or makes it at `path`; an older schema is brought up to date. A lock beside it says whose
 * it is. 0, or ERR_IN_USE, ERR_DISK, ERR_PROTOCOL (damaged: not touched), ERR_SYNTAX (of a later
 * prise), ... with words in `why`, 256 bytes. */
int journal_open(struct journal **journal, const char *path,
		 const struct journal_settings *settings, char *why);
void journal_close(struct journal *journal);

/* A client by its id (`SHA256:.../INSTANCE`, or a plain one's address): its number from 1, made
 * when it is new, and the newest of its numbers that is here (0: none). Its host's name is kept for
 * showing. Part of the transaction. ERR_FULL: it is new, and one more than JOURNAL_CLIENTS. */
int journal_client(struct journal *journal, struct bytes id, struct bytes host, uint32_t *client,
		   uint64_t *newest);

/* `count` records from number `first` on. Skips those it has. 0, or ERR_PROTOCOL and `why`
 * (static): a record is none, numbers are missing before `first` and its first record is no gap
 * with reset, `count` is not what is there, or the client was forgotten: then nothing of it was
 * taken. ERR_DISK, ERR_IN_USE,
 * ERR_PROTOCOL with `why` NULL (the journal is damaged), ...: roll back. `took` is called for each
 * record taken, in order. */
int journal_append(struct journal *journal, uint32_t client, uint64_t first, uint32_t count,
		   struct bytes records,
		   void (*took)(void *owner, const struct change *c, uint64_t seq), void *owner,
		   const char **why);

/* A record of a plain client, which has no numbers: gets the next of that client. ERR_NO_NAME: it
 * was forgotten. */
int journal_append_plain(struct journal *journal, uint32_t client, const struct change *c,
			 uint64_t *seq);

/* 0, or ERR_DISK, ...: then nothing of the transaction has been taken, as after journal_rollback.
 * ERR_NO_FILE, of journal_prune and journal_forget too: its file was removed or replaced. Close it.
 */
int journal_commit(struct journal *journal);
int journal_rollback(struct journal *journal);

/* Removes up to `rows`, at least 1, that are beyond journal_settings: how many; 0: none are. Age
 * counts from the commit, and is no finer than 10 minutes or a sixteenth of keep_ms. In a
 * transaction of its own: ERR_IN_USE when there is one. */
int64_t journal_prune(struct journal *journal, int64_t now_us, unsigned rows);

/* Removes clients that were not heard of for keep_ms, and of which there is no row any more: how
 * many, up to `most`. Not those of `live`, which is sorted here; nor the one with the highest
 * number, which says what the next one's is. In a transaction of its own, as journal_prune. */
int64_t journal_forget(struct journal *journal, int64_t now_us, uint32_t *live, unsigned lives,
		       unsigned most);

struct journal_state {
	uint64_t rows, bytes, oldest, newest; /* newest, oldest: row numbers */
	uint32_t clients;
	int64_t oldest_us;
};
int journal_state(struct journal *journal, struct journal_state *state);

/* Readers. */
struct journal_reader;

int journal_reader_open(struct journal_reader **reader, const char *path, char *why);
void journal_reader_close(struct journal_reader *reader);

/* Whether its file was removed or replaced: there is nothing new in it any more. */
bool journal_reader_is_gone(struct journal_reader *reader);

struct journal_filter {
	struct bytes client; /* its id or its host's name; when it is nobody's, a part of one;
			      * empty: all */
	struct bytes path;   /* a glob as SQLite's GLOB (`*` also over `/`) on `path` or `from` */
	struct bytes text;   /* a part of the path, any case (ASCII); empty: all */
	unsigned types;      /* bits 1 << CHANGE_; 0: all */
	int64_t since_us, until_us; /* by the change's own time; 0: no bound */
};

struct journal_row {
	uint64_t row, seq;
	char client[JOURNAL_CLIENT_BYTES];
	struct bytes host;
	struct change change;
};

/* Rows that match, from the one after `row` on upwards, or, `backward`, from the one before it
 * down (0: from the newest). Calls `each` until it returns false, or `most` rows matched, or
 * `scan_most` rows were looked at (of either 0: no limit); it may take its time, since no snapshot
 * is held meanwhile. Returns how many matched, or ERR_; `*at` is the last
 * row looked at, or upwards the last that could be left out: go on from there. `*end`: nothing is
 * left in that direction. ERR_TOO_LONG: the glob; ERR_PROTOCOL: the journal is damaged. */
int64_t journal_read(struct journal_reader *reader, const struct journal_filter *filter,
		     uint64_t row, bool backward, uint64_t most, uint64_t scan_most,
		     bool (*each)(void *owner, const struct journal_row *row), void *owner,
		     uint64_t *at, bool *end);

/* Rows `*from` to `*to` went, too old or too many, before journal_read, going upwards, came to
 * them; told before the row behind them, once. False: there are none. */
bool journal_reader_missed(struct journal_reader *reader, uint64_t *from, uint64_t *to);

/* Clients: id, host, newest number, rows of its own are not counted. */
struct journal_client_row {
	char id[JOURNAL_CLIENT_BYTES];
	struct bytes host;
	uint64_t newest;
	int64_t seen_us; /* when it last committed, or came, to an hour */
};
int journal_read_clients(struct journal_reader *reader,
			 bool (*each)(void *owner, const struct journal_client_row *row),
			 void *owner);

#endif
