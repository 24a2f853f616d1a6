/* What a watching client keeps on disk, in one database: the index of each tree (proto/settle.h)
 * and the spool, the changes that the server has not acknowledged yet. One transaction changes
 * both, so after kill -9 or a power cut the index is the fold of exactly the changes that were
 * spooled or acknowledged. A damaged file is moved aside and begun anew, said so.
 *
 *   settler ── put, remove ──►┐
 *           ── append ───────►│ commit ──► index, spool ──► spool_read ──► feed ──► server
 *                             └──────────────── acknowledge ◄─────────────────────────┘
 *
 * The spool's rows are what the feed sends: up to INDEX_BLOCK_BYTES of records (proto/change.h),
 * packed when it pays (store/pack.h). */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include "proto/settle.h"

enum { INDEX_BLOCK_BYTES = 256 * 1024, INDEX_INSTANCE_BYTES = 16 };

struct index;

struct index_found {
	bool anew;    /* there was none */
	bool damaged; /* there was one, moved aside: what was spooled in it is lost */
	bool behind;  /* (index_resume) */
};

/* Opens or makes the database at `path`, ours alone: a lock beside it says whose. `path` NULL: a
 * temporary one, which nobody else can find, and which is gone with its process. 0, or ERR_IN_USE
 * (another prise watches with it), ERR_DISK, ERR_PERMISSION, ... with SQLite's words in `why`, 256
 * bytes. */
int index_open(struct index **index, const char *path, struct index_found *found, char *why);
/* What was not committed is gone. */
void index_close(struct index *index);

/* Random, from when the database was made: with the key's fingerprint the client's id. */
const uint8_t *index_instance(const struct index *index);

/* A tree by its root's path: its number, from 1. `*known`: it was watched before. Part of the
 * transaction. ERR_FULL: more than 65534 of them. */
int index_tree(struct index *index, struct bytes path, uint32_t *tree, bool *known);
/* Empties the index of one tree. Part of the transaction. */
int index_clear(struct index *index, uint32_t tree);

/* The settler's index: its owner is a struct index_of. */
struct index_of {
	struct index *index;
	uint32_t tree;
};
extern const struct settle_index index_of_tree;

/* A record for the spool, which gets the next number: part of the transaction. */
int index_append(struct index *index, struct bytes record, uint64_t *seq);

/* Bytes of what was appended or changed since the last commit: 0 means nothing to commit. Above 16
 * MiB index_of_tree and index_append refuse more with ERR_FULL, until it is committed. */
size_t index_uncommitted(const struct index *index);

/* All or nothing. Returns 0 and the newest number, or ERR_DISK, ...: then nothing has changed, and
 * index_commit may be tried again; until it succeeds or index_rollback, all but acknowledging fails
 * with that error. The same holds after an error of any other call: what was done before it is not
 * lost, and a commit does it again. */
int index_commit(struct index *index, uint64_t *newest);
/* Forgets what was not committed. The settler's own queue is then to be put in doubt. */
int index_rollback(struct index *index);

/* The server has everything up to `seq`. Part of the transaction, also of one that failed and is
 * to be committed again. ERR_PROTOCOL: nothing of that number was committed. */
int index_acknowledge(struct index *index, uint64_t seq);

/* What the server says it has of us, once connected, and the highest number that it was sent since
 * index_open (0: none): 0; `found->behind` when it is not where we are: it has more than we gave
 * it, now or before index_open (we lost our newest, or somebody else has our instance: what has
 * these numbers there is not what has them here), or less than it acknowledged (it lost its own).
 * Then the spool has been emptied, the next number is above both, and all trees are to be cleared
 * and told anew, beginning with a gap that resets. Part of the transaction. */
int index_resume(struct index *index, uint64_t server_seq, uint64_t sent,
		 struct index_found *found);

struct index_state {
	uint64_t newest, acknowledged; /* numbers; newest committed or not */
	uint64_t server;               /* the highest that the server may have of us */
	uint64_t spool_bytes;          /* in the spool, packed */
	uint64_t spool_records;        /* not acknowledged */
	uint64_t entries;              /* in the index of all trees */
};
struct index_state index_state(const struct index *index);

/* Reading the spool: a second handle, for another thread. */
struct spool;

struct spool_block {
	uint64_t first, last; /* numbers of its records */
	uint32_t raw_bytes;   /* unpacked */
	bool packed;
	struct bytes body; /* valid until the next read or close */
};

int spool_open(struct spool **spool, const char *path);
/* The block that has the record after `seq`: 1, 0 when nothing later is committed, or ERR_ (of a
 * damaged block ERR_PROTOCOL). Holds no lock and no snapshot once it returns. */
int spool_read(struct spool *spool, uint64_t seq, struct spool_block *block);
void spool_close(struct spool *spool);

#endif
