/* Bulk from a socket into a file. Sources: splice(2), socket(7) on SO_RCVLOWAT.
 *
 * Fewer and larger pieces are what saves time here: the socket is only reported readable once a
 * good deal has come (its low-water mark), and a timer takes what a slow peer sends meanwhile. */
#include "command/pull.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PULL_PIECE_BYTES = 1 << 20,
	PULL_LOW_BYTES = 256 * 1024,
	PULL_PIECES = 8, /* a turn */
	PULL_LOOK_MS = 250,
};

static void pull_stop(struct pull *p, int err, bool of_file)
{
	loop_remove(p->loop, p->registration);
	p->registration = 0;
	loop_disarm(p->loop, &p->timer);
	p->over(p->owner, err, of_file);
}

static size_t pull_piece(const struct pull *p)
{
	return p->left < PULL_PIECE_BYTES ? (size_t)p->left : PULL_PIECE_BYTES;
}

/* What lies in the pipe, into the file. 0 or an ERR_. */
static int pull_drain(struct pull *p, size_t len)
{
	while (len) {
		ssize_t n = splice(p->pipe[0], NULL, p->to, NULL, len, SPLICE_F_MOVE);

		if (n > 0)
			len -= (size_t)n;
		else if (n == 0 || errno != EINTR)
			return n == 0 ? ERR_DISK : err_from_errno(errno);
	}
	return 0;
}

static int pull_write(struct pull *p, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = write(p->to, p->buffer + done, len - done);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EINTR)
			return err_from_errno(errno);
	}
	return 0;
}

/* One piece. Returns its bytes, 0 when there is nothing now, or an ERR_. */
static int64_t pull_one(struct pull *p, bool *of_file)
{
	size_t most = pull_piece(p);
	ssize_t n;
	int err;

	n = p->buffer ? recv(p->from, p->buffer, most, MSG_DONTWAIT)
		      : splice(p->from, NULL, p->pipe[1], NULL, most,
			       SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : err_from_errno(errno);
	if (n == 0)
		return ERR_LEFT;
	err = p->buffer ? pull_write(p, (size_t)n) : pull_drain(p, (size_t)n);
	*of_file = err != 0;
	return err ? err : n;
}

/* Never above what is still to come: the socket would not be reported any more. */
static void pull_set_low(struct pull *p)
{
	uint64_t low_bytes = p->left < PULL_LOW_BYTES ? p->left : PULL_LOW_BYTES;
	int low = (int)low_bytes;

	if (low_bytes == p->low_bytes)
		return;
	p->low_bytes = low_bytes;
	setsockopt(p->from, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
}

static void pull_run(struct pull *p)
{
	bool of_file = false;
	int64_t n = 1;

	for (unsigned i = 0; i < PULL_PIECES && n > 0 && p->left; i++) {
		n = pull_one(p, &of_file);
		if (n > 0) {
			p->left -= (uint64_t)n;
			p->moved(p->owner, (uint64_t)n);
		}
	}
	if (n < 0 || !p->left)
		pull_stop(p, n < 0 ? (int)n : 0, of_file);
	else
		pull_set_low(p);
}

static void pull_ready(void *owner, unsigned events)
{
	pull_run(owner);
}

static void pull_look(struct wheel_timer *timer, void *context)
{
	struct pull *p = (struct pull *)((char *)timer - offsetof(struct pull, timer));

	loop_arm(p->loop, timer, loop_now(p->loop)->boot_ns + PULL_LOOK_MS * MOMENT_MS);
	pull_run(p);
}

/* Whether the file takes what is spliced; one that is only appended to does not. */
static bool pull_can_splice(const struct pull *p)
{
	int flags = fcntl(p->to, F_GETFL);

	return flags >= 0 && !(flags & O_APPEND);
}

int pull_begin(struct pull *p, struct loop *loop)
{
	p->loop = loop;
	p->pipe[0] = p->pipe[1] = -1;
	p->buffer = NULL;
	p->registration = 0;
	p->low_bytes = 1;
	p->timer = (struct wheel_timer){.due = pull_look};
	if (pull_can_splice(p) && pipe2(p->pipe, O_CLOEXEC) == 0)
		fcntl(p->pipe[1], F_SETPIPE_SZ, PULL_PIECE_BYTES); /* or as large as it is */
	else
		p->buffer = malloc(PULL_PIECE_BYTES);
	if (p->pipe[0] < 0 && !p->buffer)
		return ERR_MEMORY;
	pull_set_low(p);
	p->registration = loop_add(loop, p->from, LOOP_READ, pull_ready, p);
	if (p->registration < 0)
		return (int)p->registration;
	loop_arm(loop, &p->timer, loop_now(loop)->boot_ns + PULL_LOOK_MS * MOMENT_MS);
	return 0;
}

void pull_end(struct pull *p)
{
	int low = 1;

	if (p->registration > 0)
		loop_remove(p->loop, p->registration);
	p->registration = 0;
	loop_disarm(p->loop, &p->timer);
	setsockopt(p->from, SOL_SOCKET, SO_RCVLOWAT, &low, sizeof low);
	for (unsigned i = 0; i < 2; i++)
		if (p->pipe[i] >= 0)
			close(p->pipe[i]);
	p->pipe[0] = p->pipe[1] = -1;
	free(p->buffer);
	p->buffer = NULL;
}
