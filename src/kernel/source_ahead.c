/* The first pass over a tree of which the kernel tells directory by directory (inotify): each gets
 * its watch before anything is looked at, so that soon no change is missed, however long the
 * looking takes.
 *
 *   open, list ──► of each directory in it: statx, watch ──► the same with each that has some in it
 *
 * Watch first, list second: what is made or moved meanwhile is told by the watch of what it is in,
 * or found in its list. The settler's list of everything comes after, and enters each once more; so
 * what this pass has to leave out (what may not be read, a path of more than PATH_BYTES) is only
 * later, not lost; so is what is made or moved while the pass goes on. What was put in place of a
 * directory between statx and watch has its watch noted as the other's only until then. Where links
 * count subdirectories (ext4, XFS, tmpfs), one with two links has none, and is not opened.
 *
 * inotify(7) takes a path, not a descriptor. The shortest is a name, in a working directory that is
 * this thread's alone (unshare(2)), and back where it was before each return; where that may not
 * be, /proc/self/fd. The directories to come are kept by name on one stack: beneath those of a
 * directory lie those that are beside it. openat2(2), getdents64(2). */
#include "kernel/source_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
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
	OPEN_PATH = O_PATH | O_DIRECTORY | O_CLOEXEC,
	OPEN_LIST = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC,
};

struct source_ahead {
	int root, home; /* home: -1 when the working directory is everybody's */
	bool counts_links;
	uint8_t *stack;
	size_t len, cap;
	int listed;       /* the directory that is being listed, or -1 */
	struct text path; /* of it, beneath the root */
	char path_data[PATH_BYTES + CHANGE_NAME_BYTES + 2];
	size_t at, filled;
	_Alignas(8) char entries[LIST_BYTES];
};

/* A directory to come, in the one that is listed. 0 or ERR_MEMORY. */
static int push(struct source_ahead *a, struct bytes name)
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
	bytes_put_be16(a->stack + len - TAIL_BYTES, (uint16_t)a->path.len);
	a->stack[len - 1] = (uint8_t)name.len;
	a->len = len;
	return 0;
}

/* The path of the last that was pushed. What stands above a directory's path has been listed, so
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

/* Makes it the thread's working directory: 0, or ERR_. */
static int work_in(const struct source_ahead *a, int directory)
{
	return a->home < 0 || fchdir(directory) == 0 ? 0 : source_eyes_error(errno);
}

/* What is gone, has moved, or may not be entered is passed over; any other error ends the pass. */
static int passed_over(int err)
{
	return err == ERR_NO_FILE || err == ERR_PERMISSION ? 0 : err;
}

static int watch_root(const struct source *s, const struct source_ahead *a)
{
	char link[SOURCE_LINK_BYTES];

	source_put_link(link, a->root);
	if (a->home >= 0 && work_in(a, a->root) == 0)
		return source_inotify_watch(s, ".", SOURCE_WATCH_ROOT);
	return source_inotify_watch(s, link, SOURCE_WATCH_ROOT);
}

static int watch_name(const struct source *s, const struct source_ahead *a, const char *name)
{
	char path[SOURCE_LINK_BYTES + 1 + CHANGE_NAME_BYTES + 1];
	size_t len;

	if (a->home >= 0)
		return source_inotify_watch(s, name, SOURCE_WATCH_NAME);
	source_put_link(path, a->listed);
	len = strlen(path);
	snprintf(path + len, sizeof(path) - len, "/%s", name);
	return source_inotify_watch(s, path, SOURCE_WATCH_NAME);
}

/* Gives the directory `name` its watch. 0, or why the pass cannot go on. */
static int visit(struct source *s, struct source_ahead *a, const char *name)
{
	const unsigned mask = STATX_TYPE | STATX_INO | STATX_NLINK | STATX_MNT_ID;
	struct source_identity is;
	struct statx st;
	int wd, err;

	if (statx(a->listed, name, s->statx_flags, mask, &st) != 0)
		return passed_over(source_eyes_error(errno));
	if (!S_ISDIR(st.stx_mode))
		return 0;
	source_eyes_identity(&st, &is);
	if (is.device != s->root.device || is.mount != s->root.mount)
		return 0;
	wd = watch_name(s, a, name);
	if (wd < 0)
		return passed_over(wd);
	err = source_set_put(&s->set, is.inode, &wd);
	if (err == 0 && !(a->counts_links && st.stx_nlink == LINKS_OF_LEAF))
		err = push(a, bytes_of_string(name));
	return err;
}

static int take_entry(struct source *s, struct source_ahead *a)
{
	const struct dirent64 *d = (const void *)(a->entries + a->at);
	struct bytes name = bytes_of_string(d->d_name);

	a->at += d->d_reclen;
	if ((d->d_type != DT_DIR && d->d_type != DT_UNKNOWN) ||
	    bytes_equal(name, BYTES_LITERAL(".")) || bytes_equal(name, BYTES_LITERAL("..")) ||
	    name.len > CHANGE_NAME_BYTES ||
	    source_eyes_leaves_out(s, &a->path, name, CHANGE_DIRECTORY))
		return 0;
	return visit(s, a, d->d_name);
}

static void close_listed(struct source_ahead *a)
{
	if (a->listed >= 0)
		close(a->listed);
	a->listed = -1;
	a->at = a->filled = 0;
}

static int fill_entries(struct source_ahead *a)
{
	ssize_t len = getdents64(a->listed, a->entries, sizeof(a->entries));
	int err = len < 0 ? passed_over(source_eyes_error(errno)) : 0;

	a->at = 0;
	a->filled = len > 0 ? (size_t)len : 0;
	if (len <= 0)
		close_listed(a);
	return err;
}

/* Goes on in the directory that is listed. */
static int enter_listed(struct source_ahead *a)
{
	int err = a->listed >= 0 ? work_in(a, a->listed) : 0;

	if (err != 0)
		close_listed(a);
	return passed_over(err);
}

static int open_next(struct source_ahead *a)
{
	struct open_how how = {.flags = OPEN_LIST,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};

	pop(a);
	if (a->path.len > PATH_BYTES)
		return 0;
	a->listed = (int)syscall(SYS_openat2, a->root, a->path.data, &how, sizeof(how));
	return a->listed < 0 ? passed_over(source_eyes_error(errno)) : enter_listed(a);
}

static int go_on(struct source *s, unsigned budget)
{
	struct source_ahead *a = s->ahead;
	int err = enter_listed(a);

	for (; err == 0 && budget > 0 && (a->listed >= 0 || a->len > 0); budget--) {
		if (a->listed < 0)
			err = open_next(a);
		else if (a->at < a->filled)
			err = take_entry(s, a);
		else
			err = fill_entries(a);
	}
	return err != 0 ? err : a->listed >= 0 || a->len > 0;
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
	int wd, err;

	if (a == NULL)
		return ERR_MEMORY;
	s->ahead = a;
	a->path = TEXT_OVER(a->path_data);
	a->counts_links = counts_links(s);
	a->listed = -1;
	a->home = unshare(CLONE_FS) == 0 ? open(".", OPEN_PATH) : -1;
	a->root = open(s->path, OPEN_PATH);
	a->root = a->root < 0 ? source_eyes_error(errno)
			      : source_eyes_proven(s, s->root.inode, a->root);
	wd = a->root < 0 ? a->root : watch_root(s, a);
	err = wd < 0 ? wd : source_set_put(&s->set, s->root.inode, &wd);
	if (err == 0)
		a->listed = openat(a->root, ".", OPEN_LIST);
	if (err == 0)
		err = a->listed < 0 ? source_eyes_error(errno) : work_in(a, a->listed);
	return err;
}

void source_ahead_end(struct source *s)
{
	struct source_ahead *a = s->ahead;

	if (a == NULL)
		return;
	close_listed(a);
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
