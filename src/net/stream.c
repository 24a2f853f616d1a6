/* Ends of streams. Sources: open(2), proc_pid_fd(5), pipe(7), poll(2), send(2).
 *
 * Limits: a terminal that is stopped and could not be opened again may hold a write of 256 bytes
 * until it goes on. */
#include "net/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	STREAM_PIPE_PIECE = 4096, /* what a writable pipe takes at once: PIPE_BUF */
	STREAM_TERMINAL_PIECE = 256,
};

static enum stream_kind stream_kind_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return STREAM_OTHER;
	if (S_ISSOCK(st.st_mode))
		return STREAM_SOCKET;
	if (S_ISFIFO(st.st_mode))
		return STREAM_PIPE;
	return S_ISREG(st.st_mode) ? STREAM_FILE : STREAM_OTHER;
}

struct stream stream_own(int fd)
{
	return (struct stream){.fd = fd, .kind = (uint8_t)stream_kind_of(fd)};
}

struct stream stream_secured(int fd, struct tls *tls, int *err)
{
	return (struct stream){.fd = fd, .kind = STREAM_TLS, .tls = tls, .tls_err = err};
}

/* A step's result as read(2) and write(2) have theirs. */
static ssize_t stream_tls_result(const struct stream *s, int step, size_t n)
{
	if (!step)
		return (ssize_t)n;
	if (step == TLS_ENDED)
		return 0;
	errno = step < 0 ? EPROTO : EAGAIN;
	if (step < 0)
		*s->tls_err = step;
	return -1;
}

/* What may keep a reader or a writer waiting for somebody. */
static bool stream_has_a_peer(const struct stream *s)
{
	return s->kind == STREAM_PIPE || s->kind == STREAM_SOCKET || isatty(s->fd);
}

/* A description of our own, or -1. */
static int stream_reopen(int fd, bool to_write)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return open(path, (to_write ? O_WRONLY : O_RDONLY) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* A file is never opened again, since its offset is shared on purpose; a socket cannot be. */
struct stream stream_lent(int fd, bool to_write)
{
	struct stream s = stream_own(fd);
	int flags = fcntl(fd, F_GETFL), own = -1;

	s.lent = true;
	if (!stream_has_a_peer(&s) || flags < 0)
		return s;
	if (s.kind != STREAM_SOCKET)
		own = stream_reopen(fd, to_write);
	s.reopened = own >= 0;
	s.may_wait = own < 0 && !(flags & O_NONBLOCK);
	s.fd = own >= 0 ? own : fd;
	return s;
}

void stream_close(struct stream *s)
{
	if (s->reopened)
		close(s->fd);
	s->reopened = false;
	s->fd = -1;
}

bool stream_is_ready(const struct stream *s, bool to_write)
{
	struct pollfd p = {.fd = s->fd, .events = to_write ? POLLOUT : POLLIN};

	return poll(&p, 1, 0) != 0;
}

/* Sockets need no asking: a flag of the call says not to wait. */
static bool stream_would_wait(const struct stream *s, bool to_write)
{
	if (!s->may_wait || s->kind == STREAM_SOCKET || stream_is_ready(s, to_write))
		return false;
	errno = EAGAIN;
	return true;
}

ssize_t stream_read(const struct stream *s, void *data, size_t len)
{
	size_t got = 0;
	ssize_t n;

	if (s->kind == STREAM_TLS) {
		int step = tls_read(s->tls, data, len, &got);

		return stream_tls_result(s, step, got);
	}
	if (stream_would_wait(s, false))
		return -1;
	do {
		n = s->kind == STREAM_SOCKET ? recv(s->fd, data, len, MSG_DONTWAIT)
					     : read(s->fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

static size_t stream_piece(const struct stream *s, size_t len)
{
	size_t most = s->kind == STREAM_PIPE ? STREAM_PIPE_PIECE : STREAM_TERMINAL_PIECE;

	return s->may_wait && s->kind != STREAM_SOCKET && len > most ? most : len;
}

ssize_t stream_write(const struct stream *s, const void *data, size_t len)
{
	size_t taken = 0;
	ssize_t n;

	if (s->kind == STREAM_TLS) {
		int step = tls_write(s->tls, bytes_of(data, len), &taken);

		return stream_tls_result(s, step, taken);
	}
	if (stream_would_wait(s, true))
		return -1;
	do {
		n = s->kind == STREAM_SOCKET ? send(s->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL)
					     : write(s->fd, data, stream_piece(s, len));
	} while (n < 0 && errno == EINTR);
	return n;
}

int stream_end(const struct stream *s)
{
	int step = s->kind == STREAM_TLS ? tls_end(s->tls) : 0;

	if (step == TLS_WRITES) {
		errno = EAGAIN;
		return -1;
	}
	if (s->kind == STREAM_TLS || s->kind == STREAM_SOCKET)
		shutdown(s->fd, SHUT_WR);
	return 0;
}

bool stream_can_splice(const struct stream *s)
{
	switch ((enum stream_kind)s->kind) {
	case STREAM_PIPE:
	case STREAM_FILE:
		return true;
	case STREAM_SOCKET:
		return !s->may_wait;
	default:
		return false;
	}
}
