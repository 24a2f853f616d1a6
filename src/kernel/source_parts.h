/* What the files of a source share: source.c (its life, clock and root), source_eyes.c (looking),
 * source_set.c (the directories it is told of), source_fanotify.c, source_inotify.c. */
#ifndef KERNEL_SOURCE_PARTS_H
#define KERNEL_SOURCE_PARTS_H

#include "kernel/source.h"

#include <sys/stat.h>

#ifndef STATX_MNT_ID /* Linux 5.8 */
#define STATX_MNT_ID 0x1000
#endif

enum {
	SOURCE_STATX = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
	SOURCE_BUFFER_BYTES = 65536,
	SOURCE_KEY_BYTES = 4 + 128, /* the longest: a handle's type, and MAX_HANDLE_SZ */
	SOURCE_OPENED = 256,        /* directories open at once */
	SOURCE_WAYS = 8,            /* of them, places for one inode */
	SOURCE_SEEN = 4096,         /* directories whose place is remembered */
	SOURCE_SEEN_NAME_BYTES = 47,
	SOURCE_HALVES = 64, /* of renames, that wait for their others */
	SOURCE_LINK_BYTES = 32,
};

/* A set of directories, each found by its inode, and by its key in the kernel's events: a watch
 * descriptor, or a handle. One takes 12 bytes and its key, and 8 to 16 of the two tables. */
struct source_set {
	unsigned key_bytes, stride;
	uint64_t seed;
	uint8_t *entries; /* each: inode, flags, key */
	uint32_t used, cap, free;
	uint32_t *by_inode, *by_key; /* entry + 1; 0: empty */
	uint32_t mask;               /* both tables' size - 1 */
	uint32_t count;              /* entries in the set */
	uint32_t polled;             /* of them, without a key */
};

struct source_entry {
	uint64_t inode;
	uint32_t flags;
	uint8_t key[];
};

enum { SOURCE_ENTRY_USED = 1, SOURCE_ENTRY_KEYED = 2 };

/* 0 or ERR_MEMORY. */
int source_set_init(struct source_set *set, unsigned key_bytes);
void source_set_free(struct source_set *set);
/* NULL: not in the set. Valid until the next put. */
struct source_entry *source_set_find(const struct source_set *set, uint64_t inode);
struct source_entry *source_set_find_key(const struct source_set *set, const void *key);
/* Adds the directory or gives it another key; NULL: none, it is polled. 0 or ERR_MEMORY. */
int source_set_put(struct source_set *set, uint64_t inode, const void *key);
void source_set_remove(struct source_set *set, struct source_entry *entry);
/* The first without a key from `*at` on, and `*at` behind it; NULL: no more. Start with 0. */
struct source_entry *source_set_next_polled(const struct source_set *set, uint32_t *at);

/* What the ways do each in their own manner. */
struct source_kind {
	enum source_way way;
	/* `root` is an O_PATH descriptor of the tree's root. Errors of source_open. */
	int (*open)(struct source *s, int root);
	void (*close)(struct source *s);
	/* As source_read. */
	int (*read)(struct source *s, unsigned budget, const struct moment *now);
	/* boot_ns when `tick` is due. May be NULL, both. */
	uint64_t (*due)(const struct source *s);
	void (*tick)(struct source *s, const struct moment *now);
	/* Has the kernel tell of the directory behind the descriptor, and puts it into the
	 * set. Errors of settle_eyes.enter. */
	int (*enter)(struct source *s, uint64_t inode, int directory);
	void (*leave)(struct source *s, struct source_entry *entry);
	/* Opens a directory of the set to be listed, wherever it is: a descriptor, or ERR_. May be
	 * NULL. */
	int (*reopen)(struct source *s, const struct source_entry *entry);
};

extern const struct source_kind source_fanotify, source_inotify, source_poll;

/* A descriptor of a directory; with an inode of 0 the place is free. */
struct source_opened {
	uint64_t inode;
	int fd;
	uint32_t used; /* source.uses when it last was */
};

/* Where a directory was seen, so that it is opened without asking the index for its path. Right or
 * not, what is opened is compared with the inode wanted. */
struct source_seen {
	uint64_t inode, parent;
	uint8_t len;
	char name[SOURCE_SEEN_NAME_BYTES];
};

/* The first half of a rename (inotify). */
struct source_half {
	uint32_t cookie; /* 0: none */
	uint8_t len;
	uint64_t directory;
	uint64_t due_ns;
	char name[CHANGE_NAME_BYTES];
};

/* What makes the root the one that was opened. */
struct source_identity {
	uint64_t device, inode, mount;
	int64_t born_ns;
};

struct source_ahead;

struct source {
	const struct source_kind *kind;
	struct settle *settle;
	char *path;
	struct source_identity root;
	bool gone;
	bool no_openat2;
	int statx_flags;
	bool (*ignored)(void *owner, struct bytes path, bool is_directory);
	void *ignored_owner;
	char filesystem[32];

	int fd; /* the kernel's queue, or -1 */
	struct source_set set;
	uint64_t check_ns, poll_ns, poll_every_ns;
	struct source_counts counts;

	uint32_t uses, uses_checked; /* of opened directories; when last some were closed */
	struct source_opened opened[SOURCE_OPENED];
	struct source_seen seen[SOURCE_SEEN];
	struct source_ahead *ahead; /* of source_watch_ahead, while it is under way */
	struct source_half halves[SOURCE_HALVES];
	unsigned halves_held;

	size_t at, len; /* events read and not yet handed on */
	_Alignas(8) uint8_t buffer[SOURCE_BUFFER_BYTES];
};

/* Fills the buffer: 1; 0: nothing now; or ERR_SYSTEM. */
int source_fill(struct source *s);
/* ERR_NO_FILE, and `gone`, when at the root's path is not what was opened. */
int source_check_root(struct source *s);

/* Finds out what the kernel has. */
void source_eyes_init(struct source *s);
/* A descriptor of the directory, to be listed if that is allowed, else O_PATH. It stays the eyes',
 * valid until their next call. Or ERR_NO_FILE, ERR_PERMISSION, ... */
int source_eyes_open(struct source *s, uint64_t directory);
/* `fd` (or an error) if it is the directory wanted, of our filesystem; else it is closed, and
 * ERR_NO_FILE. */
int source_eyes_proven(const struct source *s, uint64_t inode, int fd);
/* Closes the directories that were not used since the last time; `all`: all of them. */
void source_eyes_rest(struct source *s, bool all);
void source_eyes_forget(struct source *s, uint64_t directory);
/* Whether to leave out `name`; `path` is its directory's, and is used, then cut back. */
bool source_eyes_leaves_out(const struct source *s, struct text *path, struct bytes name,
			    enum change_kind kind);
/* The path of an open file's own: SOURCE_LINK_BYTES. */
void source_put_link(char *link, int fd);
/* What errno means for a directory or a name in it. */
int source_eyes_error(int errnum);
void source_eyes_identity(const struct statx *st, struct source_identity *identity);

/* source_inotify.c: a watch on the directory at `path`, which is that of an open one, or ends with
 * a name, which no link is followed from: its number, or errors of settle_eyes.enter. */
enum source_watch { SOURCE_WATCH_LINK, SOURCE_WATCH_ROOT, SOURCE_WATCH_NAME };
int source_inotify_watch(const struct source *s, const char *path, enum source_watch which);
/* source_ahead.c: gives it up. */
void source_ahead_end(struct source *s);

static inline uint64_t source_mix(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

#endif
