/* What the parts of the engine share: its thread and its transaction (watch_engine.c), one tree
 * (watch_tree.c). Private to them. */
#ifndef COMMAND_WATCH_PARTS_H
#define COMMAND_WATCH_PARTS_H

#include "command/watch_engine.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WATCH_HINTS = 65536, WATCH_RETRY_MS = 1000, WATCH_COMMIT_BYTES = 4 << 20 };

#define WATCH_HASH_BYTES ((uint64_t)1 << 30)

struct watch_tree {
	struct watch_engine *engine;
	struct bytes root;
	struct index_of index;
	struct source *source; /* NULL: the root is gone */
	void *memory;
	struct settle *settle;
	int64_t registration;
	uint64_t retry_ns; /* when to look for a root that is gone */
	bool readable;
	bool ahead;     /* its directories are being given watches, and nothing else is done */
	bool settled;   /* all of it is known, for the first time */
	bool announced; /* that it is watched */
	bool resets, reset_told; /* its reset is due; is in the transaction */
	bool lost, loss_told; /* its root went: that is still to be told; is in the transaction */
};

struct watch_engine {
	struct watch_engine_plan plan;
	struct index *index;
	struct loop *loop;
	pthread_t thread;
	unsigned trees;
	struct watch_tree tree[WATCH_TREES_MOST];
	uint8_t instance[INDEX_INSTANCE_BYTES];
	uint8_t record[CHANGE_RECORD_BYTES];

	/* The engine's thread. */
	bool full, stop_now;
	bool uncommitted;                 /* a commit failed: it is tried again before all else */
	bool resume_due;                  /* the index is to be told what the server has */
	bool resuming;                    /* it was, and that is in the transaction */
	uint64_t server_seq, server_sent; /* what it has, and was sent by this process */
	uint64_t server_talk;             /* in which conversation it said so */
	struct watch_note *last_note;     /* for the word that it failed, without memory */
	int disk_err;
	uint64_t hold_ns;  /* after trouble with the disk, nothing is settled before */
	uint64_t first_ns; /* of what is not committed; 0: nothing */
	uint64_t view_ns, changes;

	/* Both. */
	atomic_uint notes; /* on their way to the other loop */
	atomic_bool stopped;
	_Atomic uint64_t acknowledged, newest;
	atomic_bool acknowledging, committing;
	struct loop_mail acknowledge_mail, stop_mail;
	struct loop_mail committed_mail;
	pthread_mutex_t view_lock;
	struct watch_view view;
};

/* watch_engine.c. All that was spooled so far becomes lasting: 0, or the ERR_, and then it is tried
 * again later; nothing is lost, and nothing more may be changed until then. */
int watch_engine_commit(struct watch_engine *engine, uint64_t now_ns);

/* watch_engine.c: tells that no change of this tree is missed from now on. */
void watch_engine_watching(struct watch_engine *engine, const struct watch_tree *tree);

/* Its index's number must be known. Opens the source, with a settler that knows nothing but the
 * index and is in doubt for the reason `why`. 0, or as source_open, loop_add. */
int watch_tree_open(struct watch_tree *tree, const char *why, bool reset);
void watch_tree_close(struct watch_tree *tree);

/* Everything in it is in doubt; what was in the transaction and not committed is told again. */
void watch_tree_doubt(struct watch_tree *tree, const char *why, bool reset);
/* What is in the transaction is lasting. */
void watch_tree_committed(struct watch_tree *tree);

/* What the kernel has to tell becomes hints; with `patient`, no more than the settler's queue has
 * room for: the rest waits in the kernel's. 1: there is more; 0; below 0: the transaction is to be
 * undone. */
int watch_tree_read(struct watch_tree *tree, bool patient, const struct moment *now);
/* The same, and then hints become changes. */
int watch_tree_turn(struct watch_tree *tree, const struct moment *now);

/* boot_ns of its next turn if nothing is heard. */
uint64_t watch_tree_due(const struct watch_tree *tree);

#endif
