/* The engine of `prise watch`: a thread of its own, which may wait for a disk.
 *
 *   kernel ──► source ──hints──► settler ──changes──► index and spool ──mail──► whoever sends them
 *                                                          ▲                          │
 *                                                          └───── acknowledged ◄──────┘
 *
 * What it tells comes as mail to the loop of whoever started it. */
#ifndef COMMAND_WATCH_ENGINE_H
#define COMMAND_WATCH_ENGINE_H

#include "kernel/source.h"
#include "net/loop.h"
#include "proto/ignore.h"
#include "store/index.h"

enum { WATCH_TREES_MOST = 64, WATCH_WHY_BYTES = 256 };

struct watch_engine;

struct watch_engine_plan {
	const char *const *root; /* absolute, without links in them; none beneath another */
	unsigned roots;
	const char *state; /* the database; NULL: a temporary one */
	bool passing;      /* nobody sends: what stands at the start is no change */
	bool hash;
	enum source_way way;
	uint64_t poll_ms, settle_ms;
	uint64_t spool_bytes; /* so much waits at most; then changes are left for a rescan */
	const struct ignore_pattern *exclude, *include;
	unsigned excludes, includes;

	/* In the engine's thread: a change, as it is spooled. NULL: nobody looks. */
	void (*changed)(void *owner, const struct change *change, uint64_t seq);
	/* In the same thread: nothing more for now. */
	void (*rested)(void *owner);
	/* In the loop's thread. */
	void (*committed)(void *owner, uint64_t newest);
	/* Send what comes after `from`, in the conversation that asked. */
	void (*resumed)(void *owner, uint64_t from, uint64_t talk);
	/* From now on no change of that root is missed, for the first time: each of its directories
	 * has its watch; where that cannot be had ahead, or with `passing`, all of it is known. */
	void (*watching)(void *owner, unsigned root, enum source_way way);
	void (*failed)(void *owner, int err);
	void *owner;
	struct loop *loop;
};

/* 0; else ERR_ of index_open with its words in `why`, or of source_open for roots[*bad] (then `why`
 * is empty), ERR_SYSTEM. The plan's pointers outlive the engine. */
int watch_engine_start(struct watch_engine **engine, const struct watch_engine_plan *plan,
		       unsigned *bad, char why[static WATCH_WHY_BYTES]);

/* From the loop's thread. */
const uint8_t *watch_engine_instance(const struct watch_engine *engine);
void watch_engine_acknowledge(struct watch_engine *engine, uint64_t seq);
/* The server has this much, and was sent that much by this process: answered by `resumed`. */
void watch_engine_resume(struct watch_engine *engine, uint64_t server_seq, uint64_t sent,
			 uint64_t talk);

struct watch_tree_view {
	enum source_way way;
	bool gone; /* its root is not there: it is waited for */
	bool in_doubt;
	int unwatched_err; /* directories that could not be watched, and why */
	uint64_t unwatched;
};

struct watch_view {
	uint64_t changes; /* since the start */
	uint64_t entries;
	uint64_t spool_bytes, waiting; /* in the spool: bytes, changes */
	uint64_t overflows;
	bool full;    /* the spool is: changes wait for a rescan */
	int disk_err; /* the last commit failed: it is tried again */
	struct watch_tree_view tree[WATCH_TREES_MOST];
};
void watch_engine_view(struct watch_engine *engine, struct watch_view *view);

/* Commits what can be committed and ends the thread. No mail comes after it. */
void watch_engine_stop(struct watch_engine *engine);

#endif
