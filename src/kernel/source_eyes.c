/* The settler's eyes on a tree (proto/settle.h): what stands at a name, what is in a directory.
 *
 * A directory is asked through a descriptor of its own, which follows it wherever it is moved, and
 * keeps its inode from being given to another. Some are kept open, by inode; one that is not is
 * opened by its handle (fanotify), from where it was last seen, or from where the index has it,
 * and compared with the inode wanted. Limit: its time of birth is not compared; what is looked at
 * is in any case what stands in the tree at that path. Names longer than 255 bytes do not exist
 * here. statx(2), openat2(2), getdents64(2). */
#include "kernel/source_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	LIST_BYTES = 16384,
	WALK_BYTES = 4000, /* of a path, at once; below PATH_MAX */
	OPEN_PATH = O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC,
	OPEN_LIST = O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC,
};

int source_eyes_error(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case ESTALE:
	case ELOOP: /* a symbolic link stands there now */
	case EXDEV: /* something is mounted there now */
		return ERR_NO_FILE;
	case EIO:
		return ERR_DISK;
	default:
		return err_from_errno(errnum);
	}
}

void source_eyes_identity(const struct statx *st, struct source_identity *identity)
{
	*identity = (struct source_identity){
		.device = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor,
		.inode = st->stx_ino,
		.mount = st->stx_mask & STATX_MNT_ID ? st->stx_mnt_id : 0,
		.born_ns = st->stx_mask & STATX_BTIME
				   ? st->stx_btime.tv_sec * 1000000000ll + st->stx_btime.tv_nsec
				   : 0};
}

void source_put_link(char *link, int fd)
{
	snprintf(link, SOURCE_LINK_BYTES, "/proc/self/fd/%d", fd);
}

int source_check_root(struct source *s)
{
	struct source_identity is;
	struct statx st;

	if (statx(AT_FDCWD, s->path, AT_STATX_DONT_SYNC, SOURCE_STATX, &st) == 0) {
		source_eyes_identity(&st, &is);
		if (is.device == s->root.device && is.inode == s->root.inode &&
		    is.mount == s->root.mount && is.born_ns == s->root.born_ns)
			return 0;
	} else if (errno != ENOENT && errno != ENOTDIR && errno != ESTALE && errno != ELOOP) {
		return 0; /* not to be said now */
	}
	s->gone = true;
	return ERR_NO_FILE;
}

static int64_t nanoseconds(const struct statx_timestamp *t)
{
	return t->tv_sec * 1000000000ll + t->tv_nsec;
}

static void fill_node(const struct source *s, const struct statx *st, struct settle_node *node)
{
	struct source_identity is;
	unsigned type = st->stx_mode & S_IFMT;

	source_eyes_identity(st, &is);
	*node = (struct settle_node){.inode = is.inode,
				     .born_ns = is.born_ns,
				     .kind = type == S_IFREG   ? CHANGE_FILE
					     : type == S_IFDIR ? CHANGE_DIRECTORY
					     : type == S_IFLNK ? CHANGE_LINK
							       : CHANGE_OTHER,
				     .foreign = type == S_IFDIR && (is.device != s->root.device ||
								    is.mount != s->root.mount),
				     .mode = st->stx_mode & 07777,
				     .links = st->stx_nlink,
				     .size = st->stx_size,
				     .mtime_ns = nanoseconds(&st->stx_mtime),
				     .ctime_ns = nanoseconds(&st->stx_ctime)};
}

/* Opened directories: each inode has SOURCE_WAYS places, of which the one unused for longest is
 * taken. */

static struct source_opened *places_of(struct source *s, uint64_t inode)
{
	uint64_t set = source_mix(inode) % (SOURCE_OPENED / SOURCE_WAYS);

	return &s->opened[set * SOURCE_WAYS];
}

static void shut(struct source_opened *place)
{
	if (place->inode != 0)
		close(place->fd);
	place->inode = 0;
}

void source_eyes_rest(struct source *s, bool all)
{
	for (unsigned i = 0; i < SOURCE_OPENED; i++)
		if (all || (int32_t)(s->opened[i].used - s->uses_checked) <= 0)
			shut(&s->opened[i]);
	s->uses_checked = s->uses;
}

void source_eyes_forget(struct source *s, uint64_t directory)
{
	struct source_opened *places = places_of(s, directory);

	for (unsigned i = 0; i < SOURCE_WAYS; i++)
		if (places[i].inode == directory)
			shut(&places[i]);
}

static struct source_opened *find_opened(struct source *s, uint64_t inode)
{
	struct source_opened *places = places_of(s, inode);

	for (unsigned i = 0; i < SOURCE_WAYS; i++)
		if (places[i].inode == inode) {
			places[i].used = ++s->uses;
			return &places[i];
		}
	return NULL;
}

static int keep_opened(struct source *s, uint64_t inode, int fd)
{
	struct source_opened *places = places_of(s, inode), *place = places;

	for (unsigned i = 0; i < SOURCE_WAYS && place->inode != 0; i++)
		if (places[i].inode == 0 || (int32_t)(places[i].used - place->used) < 0)
			place = &places[i];
	shut(place);
	*place = (struct source_opened){inode, fd, ++s->uses};
	return fd;
}

static void remember(struct source *s, uint64_t parent, struct bytes name,
		     const struct settle_node *node)
{
	struct source_seen *seen = &s->seen[source_mix(node->inode) % SOURCE_SEEN];

	if (node->kind != CHANGE_DIRECTORY || node->foreign || name.len > SOURCE_SEEN_NAME_BYTES)
		return;
	seen->inode = node->inode;
	seen->parent = parent;
	seen->len = (uint8_t)name.len;
	memcpy(seen->name, name.data, name.len);
}

int source_eyes_proven(const struct source *s, uint64_t inode, int fd)
{
	struct source_identity is;
	struct statx st;

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, SOURCE_STATX, &st) == 0) {
		source_eyes_identity(&st, &is);
		if (is.inode == inode && is.device == s->root.device && is.mount == s->root.mount)
			return fd;
	}
	close(fd);
	return ERR_NO_FILE;
}

/* `fd`, opened anew so that it can be listed, if that is allowed; looking into it may be without.
 */
static int listable(int fd)
{
	int anew = fd >= 0 ? openat(fd, ".", OPEN_LIST) : -1;

	if (anew < 0)
		return fd;
	close(fd);
	return anew;
}

static int open_seen(struct source *s, uint64_t inode)
{
	const struct source_seen *seen = &s->seen[source_mix(inode) % SOURCE_SEEN];
	char name[SOURCE_SEEN_NAME_BYTES + 1];
	struct source_opened *parent;
	int fd;

	if (seen->inode != inode)
		return ERR_NO_FILE;
	parent = find_opened(s, seen->parent);
	if (parent == NULL)
		return ERR_NO_FILE;
	memcpy(name, seen->name, seen->len);
	name[seen->len] = '\0';
	fd = openat(parent->fd, name, OPEN_LIST);
	if (fd < 0 && errno == EACCES)
		fd = openat(parent->fd, name, OPEN_PATH);
	return source_eyes_proven(s, inode, fd < 0 ? source_eyes_error(errno) : fd);
}

/* How much of `path` goes into one step: whole names, up to WALK_BYTES; before Linux 5.6 one. */
static size_t step_len(const struct source *s, struct bytes path)
{
	size_t len = bytes_find_byte(path, '/'), more = len;

	while (!s->no_openat2 && more < path.len) {
		more += 1 + bytes_find_byte(bytes_after(path, more + 1), '/');
		if (more > WALK_BYTES)
			break;
		len = more;
	}
	return len;
}

/* `path` has no symbolic link, and leaves neither the tree nor its filesystem. */
static int step(const struct source *s, int from, struct bytes path)
{
	struct open_how how = {.flags = OPEN_PATH,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV};
	char part[WALK_BYTES + 1];
	int fd;

	if (path.len >= sizeof(part))
		return ERR_TOO_LONG;
	memcpy(part, path.data, path.len);
	part[path.len] = '\0';
	fd = s->no_openat2 ? openat(from, part, OPEN_PATH)
			   : (int)syscall(SYS_openat2, from, part, &how, sizeof(how));
	return fd < 0 ? source_eyes_error(errno) : fd;
}

/* Opens `path`, which is not empty, beneath `from`, in steps, so that none is too long. */
static int walk(const struct source *s, int from, struct bytes path)
{
	int fd = from;

	while (path.len > 0) {
		size_t len = step_len(s, path);
		int next = step(s, fd, bytes_first(path, len));

		if (fd != from)
			close(fd);
		if (next < 0)
			return next;
		fd = next;
		path = bytes_after(path, len < path.len ? len + 1 : len);
	}
	return fd;
}

static int open_root(struct source *s)
{
	int fd = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int proved = source_eyes_proven(s, s->root.inode, fd < 0 ? source_eyes_error(errno) : fd);

	if (proved == ERR_NO_FILE)
		source_check_root(s);
	return listable(proved);
}

/* A descriptor of a directory that need not be looked for: it is open, the root, or has a handle.
 */
static int open_at_hand(struct source *s, uint64_t inode)
{
	struct source_opened *opened = find_opened(s, inode);
	struct source_entry *entry;

	if (opened != NULL)
		return opened->fd;
	entry = s->kind->reopen != NULL ? source_set_find(&s->set, inode) : NULL;
	if (inode == s->root.inode || (entry != NULL && (entry->flags & SOURCE_ENTRY_KEYED)))
		return source_eyes_open(s, inode);
	return ERR_NO_FILE;
}

/* Where the index has it, from the nearest directory above that is at hand: what is further up may
 * have moved, and the index not know of it yet. So what can be looked at there can be opened. */
static int open_path(struct source *s, uint64_t inode)
{
	char path[CHANGE_PATH_BYTES];
	size_t at = sizeof(path);
	struct settle_place place;
	uint64_t above = inode;
	int from = ERR_NO_FILE;

	while (from == ERR_NO_FILE && above != s->root.inode) {
		int err = settle_above(s->settle, above, &place);

		if (err < 0 || place.directory == 0)
			return err < 0 ? err : ERR_NO_FILE;
		if (at < 1u + place.len)
			return ERR_TOO_LONG;
		if (above != inode)
			path[--at] = '/';
		at -= place.len;
		memcpy(path + at, place.name, place.len);
		above = place.directory;
		from = open_at_hand(s, above);
	}
	if (from < 0)
		return from;
	return listable(source_eyes_proven(s, inode,
					   walk(s, from, bytes_of(path + at, sizeof(path) - at))));
}

static int open_anew(struct source *s, uint64_t inode)
{
	struct source_entry *entry;
	int fd;

	if (inode == s->root.inode)
		return open_root(s);
	entry = s->kind->reopen != NULL ? source_set_find(&s->set, inode) : NULL;
	if (entry != NULL && (entry->flags & SOURCE_ENTRY_KEYED))
		return source_eyes_proven(s, inode, s->kind->reopen(s, entry));
	fd = open_seen(s, inode);
	return fd != ERR_NO_FILE ? fd : open_path(s, inode);
}

int source_eyes_open(struct source *s, uint64_t directory)
{
	struct source_opened *opened = directory != 0 ? find_opened(s, directory) : NULL;
	int fd;

	if (opened != NULL || directory == 0)
		return opened != NULL ? opened->fd : ERR_NO_FILE;
	fd = open_anew(s, directory);
	if (fd == ERR_DESCRIPTORS) {
		source_eyes_rest(s, true);
		fd = open_anew(s, directory);
	}
	return fd < 0 ? fd : keep_opened(s, directory, fd);
}

bool source_eyes_leaves_out(const struct source *s, struct text *path, struct bytes name,
			    enum change_kind kind)
{
	size_t len = path->len;
	bool out;

	if (s->ignored == NULL)
		return false;
	if (len > 0)
		text_put_byte(path, '/');
	text_put(path, name);
	out = !path->cut &&
	      s->ignored(s->ignored_owner, text_bytes(path), kind == CHANGE_DIRECTORY);
	path->len = len;
	path->data[len] = '\0';
	path->cut = false;
	return out;
}

/* The path of a directory, for source_eyes_leaves_out alone. */
static void put_directory(const struct source *s, uint64_t directory, struct text *path)
{
	if (s->ignored == NULL || directory == s->root.inode)
		return;
	if (settle_path(s->settle, directory, (struct bytes){NULL, 0}, path) != 0)
		path->len = 0;
	while (path->len > 0 && path->data[path->len - 1] == '/')
		path->data[--path->len] = '\0';
}

static int look_root(struct source *s, struct settle_node *node)
{
	struct statx st;
	int fd = source_eyes_open(s, s->root.inode);

	if (fd < 0)
		return fd;
	if (statx(fd, "", AT_EMPTY_PATH | s->statx_flags, SOURCE_STATX, &st) != 0)
		return source_eyes_error(errno);
	fill_node(s, &st, node);
	return 1;
}

static int look(void *owner, uint64_t directory, struct bytes name, struct settle_node *node)
{
	struct source *s = owner;
	char at[CHANGE_NAME_BYTES + 1], buffer[CHANGE_PATH_BYTES];
	struct text path = TEXT_OVER(buffer);
	struct statx st;
	int fd;

	if (directory == 0)
		return look_root(s, node);
	if (name.len == 0 || name.len > CHANGE_NAME_BYTES)
		return 0;
	fd = source_eyes_open(s, directory);
	if (fd < 0)
		return fd;
	memcpy(at, name.data, name.len);
	at[name.len] = '\0';
	if (statx(fd, at, s->statx_flags, SOURCE_STATX, &st) != 0)
		return errno == ENOENT || errno == ENAMETOOLONG ? 0 : source_eyes_error(errno);
	fill_node(s, &st, node);
	put_directory(s, directory, &path);
	if (source_eyes_leaves_out(s, &path, name, node->kind))
		return 0;
	remember(s, directory, name, node);
	return 1;
}

struct listing {
	struct source *source;
	uint64_t directory;
	int (*entry)(void *context, struct bytes name, const struct settle_node *node);
	void *context;
	struct text *path;
};

static int list_entry(const struct listing *l, int fd, const char *at)
{
	struct bytes name = bytes_of_string(at);
	struct settle_node node;
	struct statx st;

	if (strcmp(at, ".") == 0 || strcmp(at, "..") == 0 || name.len > CHANGE_NAME_BYTES)
		return 0;
	if (statx(fd, at, l->source->statx_flags, SOURCE_STATX, &st) != 0)
		return errno == ENOENT || errno == ESTALE ? 0 : source_eyes_error(errno);
	fill_node(l->source, &st, &node);
	if (source_eyes_leaves_out(l->source, l->path, name, node.kind))
		return 0;
	remember(l->source, l->directory, name, &node);
	return l->entry(l->context, name, &node);
}

static int list_opened(const struct listing *l, int fd)
{
	_Alignas(8) char entries[LIST_BYTES];
	ssize_t len;
	int err = 0;

	while ((len = getdents64(fd, entries, sizeof(entries))) > 0)
		for (ssize_t at = 0; at < len && err >= 0;) {
			const struct dirent64 *d = (const void *)(entries + at);

			at += d->d_reclen;
			err = list_entry(l, fd, d->d_name);
			if (err < 0)
				return err;
		}
	if (len < 0 && errno == EBADF)
		return ERR_PERMISSION;
	return len < 0 ? source_eyes_error(errno) : 0;
}

/* Its descriptor is nobody else's meanwhile, should the settler look there. */
static int list(void *owner, uint64_t directory,
		int (*entry)(void *context, struct bytes name, const struct settle_node *node),
		void *context)
{
	struct source *s = owner;
	char buffer[CHANGE_PATH_BYTES];
	struct text path = TEXT_OVER(buffer);
	const struct listing l = {s, directory, entry, context, &path};
	int err, fd = source_eyes_open(s, directory);

	if (fd < 0)
		return fd;
	find_opened(s, directory)->inode = 0;
	if (lseek(fd, 0, SEEK_SET) < 0) /* could not be listed so far */
		fd = listable(fd);
	put_directory(s, directory, &path);
	err = list_opened(&l, fd);
	keep_opened(s, directory, fd);
	return err;
}

static int enter(void *owner, uint64_t directory)
{
	struct source *s = owner;
	int fd, err;

	if (s->kind->enter == NULL)
		return 0;
	fd = source_eyes_open(s, directory);
	err = fd < 0 ? fd : s->kind->enter(s, directory, fd);
	if (err == 0 || err == ERR_NO_FILE)
		return err;
	s->counts.unwatched_err = err;
	return source_set_put(&s->set, directory, NULL) == 0 ? err : ERR_MEMORY;
}

static void leave(void *owner, uint64_t directory)
{
	struct source *s = owner;
	struct source_entry *entry = source_set_find(&s->set, directory);

	source_eyes_forget(s, directory);
	if (entry == NULL)
		return;
	if (s->kind->leave != NULL)
		s->kind->leave(s, entry);
	source_set_remove(&s->set, entry);
}

static bool ignored(void *owner, uint64_t directory, struct bytes name, bool is_directory)
{
	struct source *s = owner;
	char buffer[CHANGE_PATH_BYTES];
	struct text path = TEXT_OVER(buffer);

	if (s->ignored == NULL || directory == 0)
		return false;
	put_directory(s, directory, &path);
	return source_eyes_leaves_out(s, &path, name,
				      is_directory ? CHANGE_DIRECTORY : CHANGE_FILE);
}

void source_eyes_init(struct source *s)
{
	struct open_how how = {.flags = OPEN_PATH};
	long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof(how));

	s->no_openat2 = fd < 0;
	if (fd >= 0)
		close((int)fd);
}

const struct settle_eyes source_eyes = {
	.look = look, .list = list, .enter = enter, .leave = leave, .ignored = ignored};

int source_open_file(struct source *s, uint64_t directory, struct bytes name)
{
	char at[CHANGE_NAME_BYTES + 1], link[SOURCE_LINK_BYTES];
	int fd = source_eyes_open(s, directory), file, err = 0;
	struct statx st;

	if (fd < 0 || name.len == 0 || name.len > CHANGE_NAME_BYTES)
		return fd < 0 ? fd : ERR_NO_FILE;
	memcpy(at, name.data, name.len);
	at[name.len] = '\0';
	fd = openat(fd, at, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return source_eyes_error(errno);
	/* Only what is known to be a regular file is opened: of a device that might do something.
	 */
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) != 0)
		err = source_eyes_error(errno);
	else if (!S_ISREG(st.stx_mode))
		err = S_ISDIR(st.stx_mode) ? ERR_DIRECTORY : ERR_REFUSES;
	source_put_link(link, fd);
	file = err != 0 ? err : open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file == -1 && err == 0)
		file = source_eyes_error(errno);
	close(fd);
	return file;
}
