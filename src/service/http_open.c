/* Opening beneath the root: the kernel itself refuses what leads out of it, be it a link, a `..` or
 * a race between the two.
 *
 * Where it cannot (before Linux 5.6, under a filter of system calls or valgrind), names are taken
 * one by one and no link is followed.
 *
 * Source: openat2(2). */
#include "service/http_files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HTTP_OPEN_TRIES = 8 };

static unsigned http_open_status(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
	case ENXIO: /* a socket, a FIFO without a writer */
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case EAGAIN:
		return 503;
	default: /* ENOENT, ENOTDIR, ELOOP, EXDEV (it would lead out), ENAMETOOLONG */
		return 404;
	}
}

/* Part by part; a part that is a link is ELOOP or ENOTDIR. */
static int http_open_parts(int root_fd, const char *path, int flags)
{
	char parts[HTTP_PATH_BYTES + 64], *rest = parts, *part;
	int fd = root_fd, next;

	if (strlen(path) >= sizeof parts) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(parts, path);
	while ((part = strsep(&rest, "/")) != NULL) {
		const char *name = *part ? part : ".";

		next = openat(fd, name,
			      O_CLOEXEC | O_NOFOLLOW | (rest ? O_PATH | O_DIRECTORY : flags));
		if (fd != root_fd)
			close(fd);
		if (next < 0)
			return -1;
		fd = next;
	}
	return fd;
}

int http_open_beneath(int root_fd, const char *path, int flags, unsigned *status)
{
	struct open_how how = {
		.flags = (unsigned)(flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = -1;

	if (flags & O_PATH)
		how.flags = (unsigned)(flags | O_CLOEXEC);
	/* EAGAIN: something was renamed on the way, and the kernel cannot be sure. */
	for (unsigned i = 0; i < HTTP_OPEN_TRIES; i++) {
		fd = (int)syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof how);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	if (fd < 0 && errno == ENOSYS)
		fd = http_open_parts(root_fd, path, (int)how.flags);
	*status = fd < 0 ? http_open_status(errno) : 200;
	return fd;
}
