/* One end of a stream of bytes, whatever it is: a socket of ours, or a descriptor that a shell lent
 * us (standard input and output), which may be a pipe, a terminal, a file or somebody's socket.
 *
 * Nothing here waits, but for a disk. The flags of a lent descriptor are shared with whoever else
 * holds it, so they stay as they are: a pipe or a terminal is opened once more, for an open file
 * description of our own that does not block; where that is not possible, only what readiness
 * promises is asked of it. */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include "net/tls.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum stream_kind { STREAM_SOCKET, STREAM_PIPE, STREAM_FILE, STREAM_OTHER, STREAM_TLS };

struct stream {
	int fd;          /* to read or write, and to register with a loop */
	uint8_t kind;    /* enum stream_kind */
	bool lent;       /* not ours: its socket is not shut down */
	bool reopened;   /* `fd` is a description of our own, which stream_close closes */
	bool may_wait;   /* it blocks, so it is asked first whether it is ready */
	struct tls *tls; /* STREAM_TLS */
	int *tls_err;    /* STREAM_TLS: where the ERR_ goes when errno is EPROTO */
};

/* A non-blocking stream socket (or pipe end) of the caller's, who closes it. */
struct stream stream_own(int fd);

/* A session on such a socket, its handshake over; both are the caller's. What ends it otherwise
 * than by close_notify is EPROTO, and its ERR_ in `*err` (zero before). */
struct stream stream_secured(int fd, struct tls *tls, int *err);

/* A descriptor that was lent, for reading or for writing. The caller must not close it before
 * stream_close. */
struct stream stream_lent(int fd, bool to_write);

/* Gives back what stream_lent opened. */
void stream_close(struct stream *s);

/* As read(2) and write(2), never waiting: -1 with errno EAGAIN instead; never interrupted, no
 * SIGPIPE from sockets. A write may take only a part. */
ssize_t stream_read(const struct stream *s, void *data, size_t len);
ssize_t stream_write(const struct stream *s, const void *data, size_t len);

/* Nothing more will be written: shuts down a socket's half, under TLS after our close_notify. 0, or
 * -1 with errno EAGAIN: again once it is writable. */
int stream_end(const struct stream *s);

/* Whether it can be read (written) now without waiting; the end and an error count. */
bool stream_is_ready(const struct stream *s, bool to_write);

/* Whether splice(2) may be tried on it without a risk of waiting. */
bool stream_can_splice(const struct stream *s);

#endif
