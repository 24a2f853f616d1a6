/* A source's life: which way it takes, its clock, its root, polling.
 *
 * The root is held by nothing for long, so that its filesystem can be unmounted: what is open is
 * closed when it was not used for a second or two, and once a second the path is compared with what
 * was opened. Limit: a root that is replaced and put back within that second is taken for the same,
 * which it is. statfs(2), proc_pid_mountinfo(5). */
#include "kernel/source_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	CHECK_MS = 1000,
	POLL_LEAST_MS = 10,
	POLLED_SINGLY = 256, /* more are polled by a list of the whole tree */
};

static const struct source_kind *const kinds[] = {&source_fanotify, &source_inotify, &source_poll};

const char *source_way_name(enum source_way way)
{
	static const char *const names[] = {"best", "fanotify", "inotify", "poll"};

	return names[way];
}

/* Filesystems that others change, of which this kernel does not tell (statfs(2), magic.h). */
static bool is_silent(const struct source *s, uint64_t type)
{
	static const uint32_t types[] = {
		0x6969,     /* NFS */
		0x517b,     /* SMB */
		0xff534d42, /* CIFS */
		0xfe534d42, /* SMB 2 */
		0x65735546, /* FUSE: sshfs, virtiofs, ... */
		0x01021997, /* 9p */
		0x5346414f, /* AFS */
		0x6b414653, /* kAFS */
		0x73757245, /* Coda */
		0x00c36400, /* Ceph */
		0x01161970, /* GFS2 */
		0x7461636f, /* OCFS2 */
		0x0bd00bd0, /* Lustre */
		0x786f4256, /* VirtualBox's shared folders */
		0x9fa0,     /* proc */
		0x62656572, /* sysfs */
		0x27e0eb,   /* cgroup */
		0x63677270, /* cgroup 2 */
	};

	if (strcmp(s->filesystem, "fuseblk") == 0) /* a disk of this machine's */
		return false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((uint32_t)type == types[i])
			return true;
	return false;
}

/* A line of mountinfo: its first field is the mount, the one behind " - " its filesystem. */
static void name_filesystem(struct source *s, uint64_t type)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	snprintf(s->filesystem, sizeof(s->filesystem), "0x%" PRIx64, type);
	while (file != NULL && getline(&line, &size, file) > 0) {
		const char *dash = strstr(line, " - ");

		if (dash == NULL || strtoull(line, NULL, 10) != s->root.mount)
			continue;
		snprintf(s->filesystem, sizeof(s->filesystem), "%.*s",
			 (int)strcspn(dash + 3, " \n"), dash + 3);
		break;
	}
	free(line);
	if (file != NULL)
		fclose(file);
}

/* Absolute, but its symbolic links as they are: where they lead is the path's business. */
static int keep_path(struct source *s, const char *path)
{
	char *here;

	if (path[0] == '/') {
		s->path = strdup(path);
		return s->path != NULL ? 0 : ERR_MEMORY;
	}
	here = getcwd(NULL, 0);
	if (here == NULL)
		return source_eyes_error(errno);
	if (asprintf(&s->path, "%s/%s", here, path) < 0)
		s->path = NULL;
	free(here);
	return s->path != NULL ? 0 : ERR_MEMORY;
}

static int open_way(struct source *s, int root, enum source_way way, bool silent)
{
	int err = ERR_SYSTEM;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		bool fits = way == SOURCE_BEST ? !silent || kinds[i]->way == SOURCE_POLL
					       : way == kinds[i]->way;

		if (!fits)
			continue;
		err = kinds[i]->open(s, root);
		if (err == 0)
			s->kind = kinds[i];
		/* Too many users of inotify is nothing to be silent about: it can be lifted. */
		if (err == 0 || (kinds[i]->way == SOURCE_INOTIFY && err != ERR_SYSTEM))
			return err;
	}
	return err;
}

static int open_root(struct source *s, const struct source_plan *plan)
{
	struct statfs fs;
	struct statx st;
	int err, root = open(s->path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return errno == ENOTDIR ? ERR_REFUSES : source_eyes_error(errno);
	if (fstatfs(root, &fs) != 0 || statx(root, "", AT_EMPTY_PATH, SOURCE_STATX, &st) != 0) {
		err = source_eyes_error(errno);
	} else {
		bool silent;

		source_eyes_identity(&st, &s->root);
		name_filesystem(s, (uint64_t)fs.f_type);
		silent = is_silent(s, (uint64_t)fs.f_type);
		/* Where others change it, what is remembered of it is not enough. */
		s->statx_flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT |
				 (silent ? AT_STATX_SYNC_AS_STAT : AT_STATX_DONT_SYNC);
		err = open_way(s, root, plan->way, silent);
	}
	close(root);
	return err;
}

int source_open(struct source **source, const struct source_plan *plan)
{
	uint64_t poll_ms = plan->poll_ms > POLL_LEAST_MS ? plan->poll_ms : POLL_LEAST_MS;
	struct source *s = calloc(1, sizeof(*s));
	int err;

	*source = NULL;
	if (s == NULL)
		return ERR_MEMORY;
	s->fd = -1;
	s->poll_every_ns = poll_ms * MOMENT_MS;
	s->ignored = plan->ignored;
	s->ignored_owner = plan->owner;
	source_eyes_init(s);
	err = keep_path(s, plan->path);
	if (err == 0)
		err = open_root(s, plan);
	if (err != 0) {
		free(s->path);
		free(s);
		return err;
	}
	*source = s;
	return 0;
}

void source_close(struct source *s)
{
	if (s == NULL)
		return;
	source_ahead_end(s);
	source_eyes_rest(s, true);
	s->kind->close(s);
	source_set_free(&s->set);
	free(s->path);
	free(s);
}

void source_join(struct source *s, struct settle *settle)
{
	s->settle = settle;
}

int source_descriptor(const struct source *s)
{
	return s->fd;
}

int source_fill(struct source *s)
{
	ssize_t len = read(s->fd, s->buffer, sizeof(s->buffer));

	s->at = s->len = 0;
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : ERR_SYSTEM;
	s->len = (size_t)len;
	return len > 0;
}

int source_read(struct source *s, unsigned budget, const struct moment *now)
{
	return s->gone ? ERR_NO_FILE : s->kind->read(s, budget, now);
}

/* Directories without a watch: each is tried again, since there may be room now, and is listed
 * after that. When there is none the others are not tried. */
/* Its directory is not there to list it. */
static void look_at_root(struct source *s, const struct moment *now)
{
	settle_hint(s->settle, &(struct settle_hint){.flags = SETTLE_ATTRIB}, now);
}

static void poll_unwatched(struct source *s, const struct moment *now)
{
	bool singly = s->set.polled <= POLLED_SINGLY, full = false;
	struct source_entry *entry;

	for (uint32_t at = 0; (entry = source_set_next_polled(&s->set, &at)) != NULL;) {
		uint64_t inode = entry->inode;
		int fd = full ? ERR_FULL : source_eyes_open(s, inode);
		int err = fd < 0 ? fd : s->kind->enter(s, inode, fd);

		full = err == ERR_FULL;
		if (singly || err == 0)
			settle_list(s->settle, inode, false, now);
		if (full && !singly)
			break;
	}
	if (!singly)
		settle_list(s->settle, s->root.inode, true, now);
}

static bool is_polling(const struct source *s)
{
	return s->kind->way == SOURCE_POLL || s->set.polled > 0;
}

static void poll_when_due(struct source *s, const struct moment *now)
{
	if (!is_polling(s) || s->poll_ns > now->boot_ns)
		return;
	if (s->poll_ns != 0 && s->kind->way != SOURCE_POLL)
		poll_unwatched(s, now);
	else if (s->poll_ns != 0 && settle_due(s->settle) != 0) /* the last list is done */
		settle_list(s->settle, s->root.inode, true, now);
	if (s->poll_ns != 0)
		look_at_root(s, now);
	s->poll_ns = now->boot_ns + s->poll_every_ns;
}

int source_tick(struct source *s, const struct moment *now)
{
	if (s->kind->tick != NULL)
		s->kind->tick(s, now);
	if (now->boot_ns >= s->check_ns) {
		s->check_ns = now->boot_ns + CHECK_MS * MOMENT_MS;
		source_eyes_rest(s, false);
		source_check_root(s);
	}
	if (!s->gone)
		poll_when_due(s, now);
	return s->gone ? ERR_NO_FILE : s->at < s->len;
}

uint64_t source_due(const struct source *s)
{
	uint64_t due = s->kind->due != NULL ? s->kind->due(s) : MOMENT_NEVER;

	if (s->gone)
		return 0;
	if (s->check_ns < due)
		due = s->check_ns;
	return is_polling(s) && s->poll_ns < due ? s->poll_ns : due;
}

enum source_way source_way(const struct source *s)
{
	return s->kind->way;
}

const char *source_filesystem(const struct source *s)
{
	return s->filesystem;
}

struct source_counts source_counts(const struct source *s)
{
	struct source_counts counts = s->counts;

	counts.unwatched = s->set.polled;
	if (s->kind->way == SOURCE_INOTIFY)
		counts.watches = s->set.count - s->set.polled;
	if (counts.unwatched == 0)
		counts.unwatched_err = 0;
	return counts;
}
