/* A source: what this machine's kernel tells of changes in one tree, as hints for the settler
 * (proto/settle.h), and the settler's eyes on that tree. Three ways, one contract:
 *
 *   fanotify  one mark on the filesystem; needs CAP_SYS_ADMIN and a filesystem with file handles
 *   inotify   a watch on each directory
 *   poll      nothing is told (NFS, SMB, ...), or a watch could not be had: directories are listed
 *             from time to time
 *
 * One source is one tree, in one thread. It may block on a disk. What this process itself does is
 * not told by fanotify: its state may lie on the same filesystem; by inotify and poll it is. */
#ifndef KERNEL_SOURCE_H
#define KERNEL_SOURCE_H

#include "proto/settle.h"

enum source_way { SOURCE_BEST, SOURCE_FANOTIFY, SOURCE_INOTIFY, SOURCE_POLL };

struct source;

struct source_plan {
	const char *path;    /* the tree's root */
	enum source_way way; /* SOURCE_BEST: the first that works */
	uint64_t poll_ms;    /* what must be polled is, this often */
	/* As settle_eyes.ignored, with the path beneath the root. NULL: nothing. */
	bool (*ignored)(void *owner, struct bytes path, bool is_directory);
	void *owner;
};

/* Opens the root and the kernel's queue. From now on no change is missed that fanotify tells; of
 * inotify, from each directory's settle_eyes.enter on. 0, or ERR_NO_FILE, ERR_REFUSES,
 * ERR_PERMISSION, ERR_DESCRIPTORS, ERR_FULL (fs.inotify.max_user_instances), ERR_SYSTEM (the way
 * asked for is not to be had here). */
int source_open(struct source **source, const struct source_plan *plan);
void source_close(struct source *source);

/* The settler that it speaks to and looks for; before anything below. */
void source_join(struct source *source, struct settle *settle);

/* Before the settler looks at anything: gives watches to all directories that there are, in steps
 * of `budget` names. 1: there are more; 0: from now on every change in the tree is told (fanotify:
 * from the beginning); below 0: that cannot be had ahead (ERR_SYSTEM, ERR_FULL, ERR_NO_FILE: the
 * root is gone, ...), and is from when the settler's first look is over. */
int source_watch_ahead(struct source *source, unsigned budget);

/* The eyes, with `source` as their owner. */
extern const struct settle_eyes source_eyes;

/* Readable when there is something to read; -1: never (poll). */
int source_descriptor(const struct source *source);

/* Reads all that there is, up to `budget` of the kernel's events, and hands it to the settler as
 * hints; lost ones as settle_doubt. 1: there is more; 0: nothing now; ERR_NO_FILE: the root is gone
 * (deleted, moved away, unmounted): close the source. */
int source_read(struct source *source, unsigned budget, const struct moment *now);

/* boot_ns when source_tick is due, or MOMENT_NEVER: polling, halves of renames, a look at whether
 * the root is still where it was. source_tick returns as source_read. */
uint64_t source_due(const struct source *source);
int source_tick(struct source *source, const struct moment *now);

/* The way it took, and the filesystem's name. */
enum source_way source_way(const struct source *source);
const char *source_way_name(enum source_way way); /* "fanotify", ... */
const char *source_filesystem(const struct source *source);

/* An open file of the tree, read only, for whoever hashes it: a descriptor, or ERR_NO_FILE,
 * ERR_PERMISSION, ... A regular file only. */
int source_open_file(struct source *source, uint64_t directory, struct bytes name);

struct source_counts {
	uint64_t events;    /* of the kernel's */
	uint64_t overflows; /* of its queue */
	uint64_t watches;   /* inotify's, held */
	uint64_t unwatched; /* directories that could not be watched, and are polled */
	int unwatched_err; /* why the last could not: ERR_FULL (fs.inotify.max_user_watches), ... */
};
struct source_counts source_counts(const struct source *source);

/* Who a process is: its program's name and its user's, as far as /proc still knows. Empty when it
 * does not. Valid until the next call from the same thread. */
void source_who(uint32_t pid, struct bytes *program, struct bytes *user);

#endif
