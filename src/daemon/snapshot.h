/* What the daemon tells of itself, as text: made where it is known, for whoever asks. What all of
 * the daemon knows is written in the first thread; connections are asked for in each worker's
 * thread, one after the other. Nobody waits: the answer comes back as mail.
 *
 *   asker ──► first thread ──► worker 1 ──► ... ──► asker: done
 */
#ifndef DAEMON_SNAPSHOT_H
#define DAEMON_SNAPSHOT_H

#include "net/loop.h"

#include "base/text.h"

struct daemon;

enum snapshot_kind {
	SNAPSHOT_STATUS,
	SNAPSHOT_CONNECTIONS,
	SNAPSHOT_ROLE, /* err ERR_NO_NAME when role does not run */
	SNAPSHOT_METRICS,
};

enum {
	SNAPSHOT_LIMIT_MOST = 1000,
	SNAPSHOT_OFFSET_MOST = 100000,
	SNAPSHOT_SERVICE_BYTES = 32,
};

struct snapshot_list;

struct snapshot_question {
	enum snapshot_kind kind;
	/* SNAPSHOT_CONNECTIONS: of this service, or all when empty; so many, from the newest on. */
	char service[SNAPSHOT_SERVICE_BYTES];
	uint64_t offset, limit;
};

struct snapshot_answer {
	int err; /* ERR_MEMORY, ERR_FULL (a mailbox, or it is too long), ERR_NO_NAME, ERR_DRAINED */
	struct bytes text;
};

/* Snapshots under way in one daemon. 0 or ERR_MEMORY. */
int snapshot_create(struct snapshot_list **list, struct daemon *daemon);
/* Once no loop runs any more. What is under way comes to ERR_DRAINED. */
void snapshot_destroy(struct snapshot_list *list);

/* Asks. `done` is called in `loop`'s thread, which calls this, and later; once. 0, and it will be;
 * else ERR_MEMORY, ERR_FULL. */
int snapshot_ask(struct snapshot_list *list, struct loop *loop,
		 const struct snapshot_question *question,
		 void (*done)(void *owner, uint64_t tag, const struct snapshot_answer *answer),
		 void *owner, uint64_t tag);

#endif
