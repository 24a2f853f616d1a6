/* A source by inotify: a watch on each directory (inotify(7)).
 *
 *   event: wd, mask, cookie, name  ──► set: wd -> inode ──► hint
 *
 * A watch is added through the directory's own descriptor, so it is on that directory and no other.
 * The two halves of a rename have one cookie, and may come in two reads: a first half waits a few
 * milliseconds for its other, which does not come when that went out of the tree. Limits: who did
 * it is not told; nor is content written through a hard link outside the tree. */
#include "kernel/source_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
	HALF_WAIT_MS = 5,
	EVENTS = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE |
		 IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK,
	OF_ROOT = IN_DELETE_SELF | IN_MOVE_SELF,
};

/* EMFILE says both: fs.inotify.max_user_instances, and descriptors. */
static int init_error(int root)
{
	int err = err_from_errno(errno), fd;

	if (errno != EMFILE)
		return err;
	fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return ERR_DESCRIPTORS;
	close(fd);
	return ERR_FULL;
}

static int open_queue(struct source *s, int root)
{
	s->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (s->fd < 0)
		return init_error(root);
	if (source_set_init(&s->set, sizeof(int)) == 0)
		return 0;
	close(s->fd);
	s->fd = -1;
	return ERR_MEMORY;
}

static void close_queue(struct source *s)
{
	close(s->fd);
	s->fd = -1;
}

int source_inotify_watch(const struct source *s, const char *path, enum source_watch which)
{
	int wd = inotify_add_watch(s->fd, path,
				   which == SOURCE_WATCH_ROOT   ? EVENTS | OF_ROOT
				   : which == SOURCE_WATCH_NAME ? EVENTS | IN_DONT_FOLLOW
								: EVENTS);

	return wd >= 0 ? wd : errno == ENOSPC ? ERR_FULL : source_eyes_error(errno);
}

static int enter(struct source *s, uint64_t inode, int directory)
{
	char link[SOURCE_LINK_BYTES];
	int wd, err;

	source_put_link(link, directory);
	wd = source_inotify_watch(s, link,
				  inode == s->root.inode ? SOURCE_WATCH_ROOT : SOURCE_WATCH_LINK);
	if (wd < 0) /* ERR_NO_FILE: there is no /proc */
		return wd == ERR_NO_FILE ? ERR_SYSTEM : wd;
	err = source_set_put(&s->set, inode, &wd);
	if (err != 0)
		inotify_rm_watch(s->fd, wd);
	return err;
}

static void leave(struct source *s, struct source_entry *entry)
{
	int wd;

	if ((entry->flags & SOURCE_ENTRY_KEYED) == 0)
		return;
	memcpy(&wd, entry->key, sizeof(wd));
	inotify_rm_watch(s->fd, wd); /* it may have gone by itself */
}

static struct settle_hint hint_of_half(const struct source_half *half)
{
	return (struct settle_hint){half->directory, bytes_of(half->name, half->len), 0, 0};
}

static struct source_half *find_half(struct source *s, uint32_t cookie)
{
	for (unsigned i = 0; i < SOURCE_HALVES; i++)
		if (s->halves[i].cookie == cookie)
			return &s->halves[i];
	return NULL;
}

static void give_up(struct source *s, struct source_half *half, const struct moment *now)
{
	const struct settle_hint h = hint_of_half(half);

	half->cookie = 0;
	s->halves_held--;
	settle_hint(s->settle, &h, now);
}

/* In the first free place, else in that of the one that has waited longest. */
static void hold_half(struct source *s, uint32_t cookie, const struct settle_hint *from,
		      const struct moment *now)
{
	struct source_half *half = find_half(s, 0);

	if (half == NULL) {
		half = s->halves;
		for (unsigned i = 1; i < SOURCE_HALVES; i++)
			if (s->halves[i].due_ns < half->due_ns)
				half = &s->halves[i];
		give_up(s, half, now);
	}
	half->cookie = cookie;
	half->directory = from->directory;
	half->due_ns = now->boot_ns + HALF_WAIT_MS * MOMENT_MS;
	half->len = (uint8_t)from->name.len;
	memcpy(half->name, from->name.data, from->name.len);
	s->halves_held++;
}

static void take_moved(struct source *s, const struct inotify_event *e,
		       const struct settle_hint *hint, const struct moment *now)
{
	struct source_half *half;
	struct settle_hint from;

	if (e->cookie == 0) {
		settle_hint(s->settle, hint, now);
	} else if (e->mask & IN_MOVED_FROM) {
		hold_half(s, e->cookie, hint, now);
	} else if ((half = find_half(s, e->cookie)) != NULL) {
		from = hint_of_half(half);
		settle_renamed(s->settle, &from, hint, now);
		half->cookie = 0;
		s->halves_held--;
	} else {
		settle_hint(s->settle, hint, now);
	}
}

static unsigned flags_of(uint32_t mask)
{
	if (mask & IN_MODIFY)
		return SETTLE_WRITTEN | SETTLE_OPEN;
	if (mask & IN_CLOSE_WRITE)
		return SETTLE_WRITTEN;
	if (mask & IN_DELETE)
		return SETTLE_DELETED;
	return mask & IN_ATTRIB ? SETTLE_ATTRIB : 0;
}

/* Of a directory itself: the root's attributes are told here alone, all others' by the directory
 * that they are in. */
static void take_self(struct source *s, const struct inotify_event *e, struct source_entry *entry,
		      const struct moment *now)
{
	const struct settle_hint root = {.flags = flags_of(e->mask)};

	if (e->mask & IN_IGNORED)
		source_set_remove(&s->set, entry);
	else if (e->mask & (OF_ROOT | IN_UNMOUNT))
		source_check_root(s);
	else if (entry->inode == s->root.inode)
		settle_hint(s->settle, &root, now);
}

static void take_event(struct source *s, const struct inotify_event *e, struct bytes name,
		       const struct moment *now)
{
	struct source_entry *entry;
	struct settle_hint hint = {.name = bytes_first(name, bytes_find_byte(name, '\0')),
				   .flags = flags_of(e->mask)};

	s->counts.events++;
	if (e->mask & IN_Q_OVERFLOW) {
		s->counts.overflows++;
		settle_doubt(s->settle, "overflow", false);
		return;
	}
	entry = source_set_find_key(&s->set, &e->wd);
	if (entry == NULL) /* left, and this was still under way */
		return;
	hint.directory = entry->inode;
	if (hint.name.len == 0)
		take_self(s, e, entry, now);
	else if (hint.name.len > CHANGE_NAME_BYTES)
		settle_list(s->settle, hint.directory, false, now);
	else if (e->mask & IN_MOVE)
		take_moved(s, e, &hint, now);
	else
		settle_hint(s->settle, &hint, now);
}

static int read_queue(struct source *s, unsigned budget, const struct moment *now)
{
	struct inotify_event e;

	for (; budget > 0; budget--) {
		int filled = s->at < s->len ? 1 : source_fill(s);

		if (filled <= 0)
			return filled;
		if (s->len - s->at < sizeof(e))
			return ERR_SYSTEM;
		memcpy(&e, s->buffer + s->at, sizeof(e));
		if (e.len > s->len - s->at - sizeof(e))
			return ERR_SYSTEM;
		take_event(s, &e, bytes_of(s->buffer + s->at + sizeof(e), e.len), now);
		s->at += sizeof(e) + e.len;
		if (s->gone)
			return ERR_NO_FILE;
	}
	return 1;
}

static uint64_t due(const struct source *s)
{
	uint64_t first = MOMENT_NEVER;

	for (unsigned i = 0; s->halves_held > 0 && i < SOURCE_HALVES; i++)
		if (s->halves[i].cookie != 0 && s->halves[i].due_ns < first)
			first = s->halves[i].due_ns;
	return first;
}

static void tick(struct source *s, const struct moment *now)
{
	for (unsigned i = 0; s->halves_held > 0 && i < SOURCE_HALVES; i++)
		if (s->halves[i].cookie != 0 && s->halves[i].due_ns <= now->boot_ns)
			give_up(s, &s->halves[i], now);
}

const struct source_kind source_inotify = {.way = SOURCE_INOTIFY,
					   .open = open_queue,
					   .close = close_queue,
					   .read = read_queue,
					   .due = due,
					   .tick = tick,
					   .enter = enter,
					   .leave = leave};
