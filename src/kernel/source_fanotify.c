/* A source by fanotify: one mark on the whole filesystem, events with the handle of a directory and
 * a name in it (fanotify(7), FAN_REPORT_DFID_NAME, Linux 5.9; whole renames from 5.17).
 *
 *   event: mask, pid, [handle of directory, name] ...  ──► set: handle -> inode ──► hint
 *
 * The mark tells of everything on the filesystem; what concerns us is found by its directory's
 * handle, which is known from `enter` on, so the rest costs a look into a table and no system call.
 * Handles hold the inode's generation: one never means another directory later. The kernel merges
 * what one process does to one name into one event, in whatever order.
 *
 * What this process itself writes is left out: its state may lie on the same filesystem, and
 * writing it down would make the next event. Limit: content written through a hard link outside the
 * tree, or through mmap without closing, is not told. */
#include "kernel/source_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <unistd.h>

/* Since Linux 5.17, and not in every header. */
#ifndef FAN_RENAME
#define FAN_RENAME 0x10000000
#endif

enum {
	INFO_NAME = 2, /* FAN_EVENT_INFO_TYPE_DFID_NAME */
	INFO_FROM = 10,
	INFO_TO = 12,
	EVENTS = FAN_CREATE | FAN_DELETE | FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_ONDIR,
	HANDLE_BYTES = SOURCE_KEY_BYTES - 4,
};

struct handle {
	struct file_handle head;
	uint8_t bytes[HANDLE_BYTES];
};

/* A place that an event names. */
struct place {
	const struct source_entry *directory; /* NULL: it is none of ours */
	struct bytes name;                    /* ".": the directory itself */
	uint8_t key[SOURCE_KEY_BYTES]; /* of the directory; not of one with another's length */
};

/* A handle as key: its type, its bytes, zeros. False when it is longer than the tree's are. */
static bool put_key(const struct source *s, int type, struct bytes handle, uint8_t *key)
{
	if (handle.len + 4 > s->set.key_bytes)
		return false;
	memset(key, 0, s->set.key_bytes);
	bytes_put_le32(key, (uint32_t)type);
	memcpy(key + 4, handle.data, handle.len);
	return true;
}

static int open_key(struct source *s, const uint8_t *key, int flags)
{
	struct handle handle;
	int fd, root = source_eyes_open(s, s->root.inode);

	if (root < 0)
		return root;
	handle.head.handle_bytes = s->set.key_bytes - 4;
	handle.head.handle_type = (int)bytes_get_le32(key);
	memcpy(handle.head.f_handle, key + 4, s->set.key_bytes - 4);
	fd = open_by_handle_at(root, &handle.head, flags | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? source_eyes_error(errno) : fd;
}

static int reopen(struct source *s, const struct source_entry *entry)
{
	return open_key(s, entry->key, O_RDONLY | O_NONBLOCK);
}

/* Whether handles open again, too: some filesystems only make them. */
static int try_handles(int root, unsigned *handle_bytes)
{
	struct handle handle;
	int fd, mount, mount_id, err = 0;

	handle.head.handle_bytes = HANDLE_BYTES;
	if (name_to_handle_at(root, "", &handle.head, &mount_id, AT_EMPTY_PATH) != 0)
		return ERR_SYSTEM;
	*handle_bytes = handle.head.handle_bytes;
	mount = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (mount < 0)
		return source_eyes_error(errno);
	fd = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	else
		err = errno == EPERM ? ERR_PERMISSION : ERR_SYSTEM;
	close(mount);
	return err;
}

static int fanotify_error(int errnum)
{
	int err = err_from_errno(errnum);

	return err == ERR_PERMISSION || err == ERR_DESCRIPTORS || err == ERR_MEMORY ? err
										    : ERR_SYSTEM;
}

static void close_queue(struct source *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

static int open_queue(struct source *s, int root)
{
	const unsigned how = FAN_MARK_ADD | FAN_MARK_FILESYSTEM;
	unsigned handle_bytes = 0;
	int err;

	s->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC,
			      O_RDONLY);
	if (s->fd < 0)
		return fanotify_error(errno);
	if (fanotify_mark(s->fd, how, EVENTS | FAN_RENAME, root, ".") != 0 &&
	    (errno != EINVAL ||
	     fanotify_mark(s->fd, how, EVENTS | FAN_MOVED_FROM | FAN_MOVED_TO, root, ".") != 0))
		err = fanotify_error(errno);
	else
		err = try_handles(root, &handle_bytes);
	if (err == 0)
		err = source_set_init(&s->set, 4 + handle_bytes);
	if (err != 0)
		close_queue(s);
	return err;
}

/* The directory's handle, so that its events are known. */
static int enter(struct source *s, uint64_t inode, int directory)
{
	uint8_t key[SOURCE_KEY_BYTES];
	struct handle handle;
	int mount_id;

	handle.head.handle_bytes = HANDLE_BYTES;
	if (name_to_handle_at(directory, "", &handle.head, &mount_id, AT_EMPTY_PATH) != 0)
		return errno == EOVERFLOW ? ERR_SYSTEM : source_eyes_error(errno);
	if (!put_key(s, handle.head.handle_type,
		     bytes_of(handle.head.f_handle, handle.head.handle_bytes), key))
		return ERR_SYSTEM;
	return source_set_put(&s->set, inode, key);
}

/* What an info record names; the record is the kernel's, and still read with care. */
static void read_place(const struct source *s, struct bytes record, struct place *place)
{
	const size_t head = sizeof(struct fanotify_event_info_fid);
	uint32_t len;
	int type;

	if (record.len < head + sizeof(struct file_handle))
		return;
	memcpy(&len, record.data + head, sizeof(len));
	memcpy(&type, record.data + head + sizeof(len), sizeof(type));
	record = bytes_after(record, head + sizeof(struct file_handle));
	if (len > record.len || !put_key(s, type, bytes_first(record, len), place->key))
		return;
	place->directory = source_set_find_key(&s->set, place->key);
	record = bytes_after(record, len);
	place->name = bytes_first(record, bytes_find_byte(record, '\0'));
}

static void hint(struct source *s, uint64_t directory, struct bytes name, unsigned flags,
		 uint32_t pid, const struct moment *now)
{
	const struct settle_hint h = {directory, name, flags, pid};

	settle_hint(s->settle, &h, now);
}

/* A directory itself (its mode, say): its place is what its own descriptor says. It may be one that
 * is not ours yet, or none of ours. */
static void hint_itself(struct source *s, int fd, unsigned flags, uint32_t pid,
			const struct moment *now)
{
	char link[SOURCE_LINK_BYTES], path[4096 + 1];
	struct statx st;
	const char *name;
	ssize_t len;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	    st.stx_ino == s->root.inode) {
		hint(s, 0, (struct bytes){NULL, 0}, flags, pid, now);
		return;
	}
	if (statx(fd, "..", AT_STATX_DONT_SYNC, STATX_INO, &st) != 0 ||
	    source_set_find(&s->set, st.stx_ino) == NULL)
		return;
	source_put_link(link, fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[len < 0 ? 0 : len] = '\0';
	name = strrchr(path, '/');
	if (name == NULL) /* longer than a path may be */
		settle_list(s->settle, st.stx_ino, false, now);
	else
		hint(s, st.stx_ino, bytes_of_string(name + 1), flags, pid, now);
}

static unsigned flags_of(uint64_t mask)
{
	unsigned flags = 0;

	if (mask & (FAN_MODIFY | FAN_CLOSE_WRITE))
		flags |= SETTLE_WRITTEN;
	if ((mask & FAN_MODIFY) && !(mask & (FAN_CLOSE_WRITE | FAN_DELETE)))
		flags |= SETTLE_OPEN;
	if (mask & FAN_DELETE)
		flags |= SETTLE_DELETED;
	if (mask & FAN_ATTRIB)
		flags |= SETTLE_ATTRIB;
	return flags;
}

static void take_renamed(struct source *s, const struct place *from, const struct place *to,
			 uint32_t pid, const struct moment *now)
{
	const struct settle_hint a = {from->directory ? from->directory->inode : 0, from->name, 0,
				      pid};
	const struct settle_hint b = {to->directory ? to->directory->inode : 0, to->name, 0, pid};

	if (from->directory != NULL && to->directory != NULL)
		settle_renamed(s->settle, &a, &b, now);
	else if (from->directory != NULL || to->directory != NULL)
		settle_hint(s->settle, from->directory != NULL ? &a : &b, now);
}

static void take_named(struct source *s, const struct place *at, uint64_t mask, uint32_t pid,
		       const struct moment *now)
{
	bool itself = bytes_equal(at->name, BYTES_LITERAL("."));
	int fd = itself ? open_key(s, at->key, O_PATH) : -1;

	if (fd >= 0) {
		hint_itself(s, fd, flags_of(mask), pid, now);
		close(fd);
	} else if (!itself && at->directory != NULL) {
		hint(s, at->directory->inode, at->name, flags_of(mask), pid, now);
	}
}

static void take_event(struct source *s, uint64_t mask, uint32_t pid, struct bytes infos,
		       const struct moment *now)
{
	struct place from, to, *place;
	struct fanotify_event_info_header info;

	from.directory = to.directory = NULL;
	from.name = to.name = (struct bytes){NULL, 0};
	while (infos.len >= sizeof(info)) {
		memcpy(&info, infos.data, sizeof(info));
		if (info.len < sizeof(info) || info.len > infos.len)
			break;
		place = info.info_type == INFO_TO ? &to : &from;
		if (info.info_type == INFO_NAME || info.info_type == INFO_FROM ||
		    info.info_type == INFO_TO)
			read_place(s, bytes_first(infos, info.len), place);
		infos = bytes_after(infos, info.len);
	}
	if (mask & FAN_RENAME)
		take_renamed(s, &from, &to, pid, now);
	else
		take_named(s, &from, mask, pid, now);
}

static int read_queue(struct source *s, unsigned budget, const struct moment *now)
{
	const uint32_t self = (uint32_t)getpid();
	struct fanotify_event_metadata e;

	for (; budget > 0; budget--) {
		int filled = s->at < s->len ? 1 : source_fill(s);

		if (filled <= 0)
			return filled;
		memcpy(&e, s->buffer + s->at, sizeof(e));
		if (s->len - s->at < sizeof(e) || e.vers != FANOTIFY_METADATA_VERSION ||
		    e.event_len < e.metadata_len || e.event_len > s->len - s->at)
			return ERR_SYSTEM;
		s->counts.events++;
		if (e.mask & FAN_Q_OVERFLOW) {
			s->counts.overflows++;
			settle_doubt(s->settle, "overflow", false);
		} else if ((uint32_t)e.pid != self) {
			take_event(s, e.mask, (uint32_t)e.pid,
				   bytes_of(s->buffer + s->at + e.metadata_len,
					    e.event_len - e.metadata_len),
				   now);
		}
		s->at += e.event_len;
	}
	return 1;
}

const struct source_kind source_fanotify = {.way = SOURCE_FANOTIFY,
					    .open = open_queue,
					    .close = close_queue,
					    .read = read_queue,
					    .enter = enter,
					    .reopen = reopen};
