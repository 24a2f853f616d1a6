/* The first pass over a tree of which the kernel tells directory by directory (inotify): each gets
 * its watch before anything is looked at, so that soon no change is missed, however long the
 * looking takes.
 *
 *   open (O_PATH) ──► watch ──► list: the directories in it ──► the same with each
 *
 * Watch first, list second: what is made or moved meanwhile is told by the watch of what it is in,
 * or found in its list. The settler's list of everything comes after, and enters each once more; so
 * what this pass has to leave out (what may not be read, a path of more than PATH_BYTES) is only
 * later, not lost. Where links count subdirectories (ext4, XFS, tmpfs), one with two links has
 * none, and is not listed.
 *
 * inotify(7) takes a path, not a descriptor. The shortest is ".", in a working directory that is
 * this thread's alone (unshare(2)), and back where it was before each return; where that may not
 * be, /proc/self/fd. The directories to come are kept by name on one stack: beneath those of a
 * directory lie those that are beside it. openat2(2), getdents64(2). */
#include "kernel/source_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	LIST_BYTES = 32768,
	PATH_BYTES = 4000, /* below PATH_MAX */
	STACK_FIRST = 4096,
	TAIL_BYTES = 3, /* behind a name: how long its directory's path is, and it itself */
	LINKS_OF_LEAF = 2,
	OPEN_PATH = O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC,
	OPEN_LIST = O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC,
};

struct source_ahead {
	int root, home; /* home: -1 when the working directory is everybody's */
	bool counts_links;
	uint8_t *stack;
	size_t len, cap;
	struct text path; /* of the directory that is visited, beneath the root */
	char path_data[PATH_BYTES + CHANGE_NAME_BYTES + 2];
};

/* A directory to come, in the one that is visited. 0 or ERR_MEMORY. */
static int push(struct source_ahead *a, size_t path_len, struct bytes name)
{
	size_t len = a->len + name.len + TAIL_BYTES;
	size_t cap = a->cap > 0 ? a->cap : STACK_FIRST;
	uint8_t *stack;

	while (cap < len)
		cap *= 2;
	if (cap > a->cap) {
		stack = realloc(a->stack, cap);
		if (stack == NULL)
			return ERR_MEMORY;
		a->stack = stack;
		a->cap = cap;
	}
	memcpy(a->stack + a->len, name.data, name.len);
	bytes_put_be16(a->stack + len - TAIL_BYTES, (uint16_t)path_len);
	a->stack[len - 1] = (uint8_t)name.len;
	a->len = len;
	return 0;
}

/* The path of the last that was pushed. What stands above a directory's path has been visited, so
 * that its front is still the one of the directory that it was found in. */
static void pop(struct source_ahead *a)
{
	const uint8_t *tail = a->stack + a->len - TAIL_BYTES;
	size_t name_len = tail[2];

	a->path.len = bytes_get_be16(tail);
	if (a->path.len > 0)
		text_put_byte(&a->path, '/');
	text_put(&a->path, bytes_of(tail - name_len, name_len));
	a->len -= name_len + TAIL_BYTES;
}

static bool is_directory(const struct source *s, int directory, const struct dirent64 *d)
{
	struct statx st;

	if (d->d_type != DT_UNKNOWN)
		return d->d_type == DT_DIR;
	return statx(directory, d->d_name, s->statx_flags, STATX_TYPE, &st) == 0 &&
	       S_ISDIR(st.stx_mode);
}

static int push_listed(struct source *s, struct source_ahead *a, int directory)
{
	_Alignas(8) char entries[LIST_BYTES];
	size_t path_len = a->path.len;
	ssize_t len;
	int err = 0;

	while (err == 0 && (len = getdents64(directory, entries, sizeof(entries))) > 0)
		for (ssize_t at = 0; at < len && err == 0;) {
			const struct dirent64 *d = (const void *)(entries + at);
			struct bytes name = bytes_of_string(d->d_name);

			at += d->d_reclen;
			if (bytes_equal(name, BYTES_LITERAL(".")) ||
			    bytes_equal(name, BYTES_LITERAL("..")) ||
			    name.len > CHANGE_NAME_BYTES || !is_directory(s, directory, d) ||
			    source_eyes_leaves_out(s, &a->path, name, CHANGE_DIRECTORY))
				continue;
			err = push(a, path_len, name);
		}
	return err;
}

static int push_all(struct source *s, struct source_ahead *a, int directory)
{
	int fd = a->path.len <= PATH_BYTES ? openat(directory, ".", OPEN_LIST) : -1, err;

	if (fd < 0)
		return 0;
	err = push_listed(s, a, fd);
	close(fd);
	return err;
}

static int watch(const struct source *s, const struct source_ahead *a, int directory)
{
	bool is_root = directory == a->root;
	char link[SOURCE_LINK_BYTES];

	if (a->home >= 0 && fchdir(directory) == 0)
		return source_inotify_watch(s, ".", is_root);
	source_put_link(link, directory);
	return source_inotify_watch(s, link, is_root);
}

/* 0, or why the pass cannot go on. */
static int visit(struct source *s, struct source_ahead *a, int directory)
{
	const unsigned mask = STATX_INO | STATX_NLINK | STATX_MNT_ID;
	int wd = watch(s, a, directory), err;
	struct source_identity is;
	struct statx st;

	if (wd == ERR_NO_FILE || wd == ERR_PERMISSION)
		return 0;
	if (wd < 0)
		return wd;
	if (statx(directory, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, &st) != 0)
		return source_eyes_error(errno);
	source_eyes_identity(&st, &is);
	if (is.device != s->root.device || is.mount != s->root.mount) {
		inotify_rm_watch(s->fd, wd);
		return 0;
	}
	err = source_set_put(&s->set, is.inode, &wd);
	if (err == 0 && !(a->counts_links && st.stx_nlink == LINKS_OF_LEAF))
		err = push_all(s, a, directory);
	return err;
}

static int open_next(const struct source_ahead *a)
{
	struct open_how how = {.flags = OPEN_PATH,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

	return (int)syscall(SYS_openat2, a->root, a->path.data, &how, sizeof(how));
}

static int go_on(struct source *s, unsigned budget)
{
	struct source_ahead *a = s->ahead;
	int err = 0;

	for (; err == 0 && budget > 0 && a->len > 0; budget--) {
		int fd;

		pop(a);
		fd = open_next(a);
		if (fd < 0)
			continue; /* gone, moved, or not to be entered */
		err = visit(s, a, fd);
		close(fd);
	}
	return err != 0 ? err : a->len > 0;
}

static bool counts_links(const struct source *s)
{
	static const char *const names[] = {"ext2", "ext3", "ext4", "xfs", "tmpfs"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(s->filesystem, names[i]) == 0)
			return true;
	return false;
}

static int begin(struct source *s)
{
	struct source_ahead *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return ERR_MEMORY;
	s->ahead = a;
	a->path = TEXT_OVER(a->path_data);
	a->counts_links = counts_links(s);
	a->home = unshare(CLONE_FS) == 0 ? open(".", OPEN_PATH) : -1;
	a->root = open(s->path, OPEN_PATH & ~O_NOFOLLOW);
	return a->root < 0 ? source_eyes_error(errno) : visit(s, a, a->root);
}

void source_ahead_end(struct source *s)
{
	struct source_ahead *a = s->ahead;

	if (a == NULL)
		return;
	if (a->home >= 0)
		close(a->home);
	if (a->root >= 0)
		close(a->root);
	free(a->stack);
	free(a);
	s->ahead = NULL;
}

int source_watch_ahead(struct source *s, unsigned budget)
{
	int more;

	if (s->kind->way != SOURCE_INOTIFY)
		return s->kind->way == SOURCE_FANOTIFY ? 0 : ERR_SYSTEM;
	if (s->no_openat2)
		return ERR_SYSTEM;
	more = s->ahead == NULL ? begin(s) : 0;
	if (more == 0)
		more = go_on(s, budget);
	if (s->ahead != NULL && s->ahead->home >= 0 && fchdir(s->ahead->home) != 0)
		more = ERR_SYSTEM; /* it is nobody's any more: no path of ours is relative */
	if (more <= 0)
		source_ahead_end(s);
	return more;
}
