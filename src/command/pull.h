/* A known number of bytes from a socket straight into a file, without a look at them: spliced
 * through a pipe, or, where the kernel refuses that, read and written in large pieces. */
#ifndef COMMAND_PULL_H
#define COMMAND_PULL_H

#include "base/bytes.h"
#include "net/loop.h"

struct pull {
	/* The caller's, before pull_begin. */
	int from;      /* a connected, non-blocking socket */
	int to;        /* a regular file, at the offset where the bytes go */
	uint64_t left; /* bytes to come */
	void (*moved)(void *owner, uint64_t bytes);
	/* Called once, from the loop: 0 when all has come, ERR_LEFT, ERR_RESET, ...; with `of_file`
	 * it is the file's. pull_end may be called within it. */
	void (*over)(void *owner, int err, bool of_file);
	void *owner;

	struct loop *loop;
	int64_t registration;
	struct wheel_timer timer;
	int pipe[2];
	uint64_t low_bytes; /* of the socket's low-water mark */
	uint8_t *buffer;    /* when it cannot be spliced */
};

/* 0, ERR_DESCRIPTORS, ERR_MEMORY, ERR_SYSTEM. */
int pull_begin(struct pull *pull, struct loop *loop);

/* Frees; both descriptors stay the caller's. Also after a pull_begin that failed. */
void pull_end(struct pull *pull);

#endif
