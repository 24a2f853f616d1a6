/* Lines of standard input in the loop, one at a time, as they are wanted.
 *
 *   lines_want ──► line(line, whole)   ... or, when there is no more:   end(0, or the ERR_)
 *
 * Terminals, pipes and sockets are watched by the loop; a regular file, which no loop can watch, is
 * read when a line of it is wanted. Nothing is read ahead of what is wanted but what the same read
 * brings. The descriptor stays as it is (blocking), since others share it. */
#ifndef COMMAND_LINES_H
#define COMMAND_LINES_H

#include "base/bytes.h"
#include "net/loop.h"

enum { LINES_BYTES = 65536 };

struct lines {
	/* The caller's, before lines_begin. */
	size_t line_bytes; /* a longer line comes in several pieces; 0: LINES_BYTES, which is the
			      most */
	void (*line)(void *owner, struct bytes line,
		     bool whole); /* without its LF; false: a piece */
	void (*end)(void *owner, int err);
	void *owner;

	struct loop *loop;
	int64_t registration; /* 0: not watched */
	bool wanted, ended, busy;
	bool always_ready;             /* a regular file */
	size_t from, to;               /* what of `data` was read and not handed over */
	uint8_t data[LINES_BYTES + 1]; /* one more, to see that a line is too long */
};

void lines_begin(struct lines *l, struct loop *loop);

/* One more line, or the end, is wanted; `line` or `end` may be called before this returns. The
 * bytes of a line are valid during the call. Not after `end`. */
void lines_want(struct lines *l);

/* What was read and not handed over. */
struct bytes lines_left(const struct lines *l);

/* Stops watching; nothing is called any more. */
void lines_end(struct lines *l);

#endif
