/* How far a long piece of work has come, on stderr when that is a terminal: what was done, the
 * rate, and where the whole is known, the share and the time left. Shown from one second on. */
#ifndef COMMAND_PROGRESS_H
#define COMMAND_PROGRESS_H

#include "net/loop.h"

struct progress {
	/* The caller's, before progress_begin. */
	uint64_t (*done_bytes)(void *owner); /* so far */
	void *owner;
	uint64_t total_bytes; /* 0: not known */
	bool things;          /* both count things, not bytes */

	struct loop *loop;
	uint64_t start_ns;
	struct wheel_timer timer;
	bool shown;
};

/* Does nothing when stderr is no terminal. */
void progress_begin(struct progress *p, struct loop *loop);

/* Takes the line away. Also without progress_begin, on a zeroed struct. */
void progress_end(struct progress *p);

#endif
