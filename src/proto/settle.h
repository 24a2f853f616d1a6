/* The settler: what the kernel tells of a tree is taken as hints, and the truth is looked up.
 *
 *   hint (directory, name) ──► queue ──► look ──► compare with the index ──► changes, index
 *        list (directory)  ──►
 *
 * The index is the tree as it was told so far: the fold of all changes emitted. A hint says that
 * something may have happened at a name; the settler looks at what stands there now and emits what
 * leads from the index to it. So hints may come late, merged, twice or for nothing; it is enough
 * that one comes after the last change of each name, or that a list of its directory is asked for.
 * A directory is known by its inode, so its place in the tree, which may be stale, does not matter
 * to what it holds; what stands at a name is known by inode and time of birth, so a rename is found
 * whichever half of it is heard of, and a reused inode is not mistaken for one.
 *
 * When hints do not fit the queue, or were lost (overflow), everything is in doubt: a gap, a list
 * of the whole tree, and then `settled`.
 *
 * Pure: looking, the index and what becomes of the changes are the holder's. One settler is one
 * tree on one filesystem. It may work in any thread, and its holder may block. None of the calls
 * below is for use within the holder's own functions, but settle_path, settle_above and
 * settle_root.
 *
 * Two things hints by name cannot tell: a file with several names, written through one that is gone
 * again, or has left the tree, before it was ever seen there; and one that is written, of the same
 * size, given its old time back, and renamed, all before anybody looks. */
#ifndef PROTO_SETTLE_H
#define PROTO_SETTLE_H

#include "base/err.h"
#include "base/moment.h"
#include "proto/change.h"

/* What stands at a name. */
struct settle_node {
	uint64_t inode;
	int64_t born_ns; /* time of birth; 0: the filesystem has none */
	uint8_t kind;    /* enum change_kind */
	bool foreign;    /* a directory of another filesystem: what is in it is not ours */
	uint16_t mode;   /* 07777 */
	uint32_t links;  /* of what is no directory: names that it has. Of a directory in the
			  * index: marks of the settler's, as are ctime_ns of the root and the
			  * lowest bit of that of a file; the index keeps them as they are */
	uint64_t size;
	int64_t mtime_ns, ctime_ns;
};

/* Where something stands: in the directory with that inode, under that name. */
struct settle_place {
	uint64_t directory;
	uint8_t len;
	char name[CHANGE_NAME_BYTES + 1];
};

/* The index of one tree. Each returns below 0 (ERR_DISK, ERR_MEMORY, ...) when it cannot; the
 * settler's step then ends with that error, and the holder takes back what was told and changed
 * since the last commit, then calls settle_doubt (see there). A directory of another filesystem is
 * kept with inode 0. The root's own entry is at directory 0, name "". */
struct settle_index {
	/* 1 and `node`, or 0. */
	int (*find)(void *owner, uint64_t directory, struct bytes name, struct settle_node *node);
	/* The nth place, from 0, of that inode: 1, or 0. */
	int (*find_inode)(void *owner, uint64_t inode, unsigned nth, struct settle_place *place,
			  struct settle_node *node);
	/* The first entry of the directory whose name comes after `after` (in order of bytes;
	 * empty: the first of all): 1, or 0. `place` may be what `after` points into. */
	int (*next)(void *owner, uint64_t directory, struct bytes after, struct settle_place *place,
		    struct settle_node *node);
	/* How many entries the directory has. */
	int64_t (*count)(void *owner, uint64_t directory);
	/* Adds an entry, or replaces the one of that name. */
	int (*put)(void *owner, uint64_t directory, struct bytes name,
		   const struct settle_node *node);
	int (*remove)(void *owner, uint64_t directory, struct bytes name);
};

/* The tree itself. */
struct settle_eyes {
	/* What stands at a name: 1; 0: nothing. ERR_NO_FILE: the directory is not where the index
	 * says, or no more (settle_path). ERR_PERMISSION, ERR_DISK, ... : cannot be said. */
	int (*look)(void *owner, uint64_t directory, struct bytes name, struct settle_node *node);
	/* Calls `entry` for each name in the directory with what stands there, but . and .. and
	 * what is ignored: 0. `entry` returning below 0 ends it with that. Errors as of look. */
	int (*list)(void *owner, uint64_t directory,
		    int (*entry)(void *context, struct bytes name, const struct settle_node *node),
		    void *context);
	/* A directory is about to be listed, because it has come into the index or for another
	 * reason (so it may be entered again, and must be, if its watch is gone): from when this
	 * returns, changes in it must come as hints. 0, or ERR_FULL, ERR_PERMISSION: it cannot be
	 * watched, said in a gap, once; the holder lists it from time to time, and once it can be
	 * watched `settled` is told. ERR_NO_FILE as of look. May be NULL. */
	int (*enter)(void *owner, uint64_t directory);
	/* It has left the index. May be NULL. */
	void (*leave)(void *owner, uint64_t directory);
	/* Whether a name is to be left out of the tree altogether. NULL: none is. */
	bool (*ignored)(void *owner, uint64_t directory, struct bytes name, bool is_directory);
};

/* What a hint knows beside the name. */
enum {
	SETTLE_WRITTEN = 1, /* content was written: no `modify` may be missed for want of a
			     * difference */
	SETTLE_OPEN = 2,    /* and its writer has not closed it: settles later */
	SETTLE_DELETED = 4, /* it was unlinked, not renamed: no need to wait for its other half */
	SETTLE_ATTRIB = 8,
};

struct settle_hint {
	uint64_t directory;
	struct bytes name; /* empty, with directory 0: the root itself */
	unsigned flags;    /* SETTLE_ */
	uint32_t pid;      /* who did it, or 0 */
};

struct settle_holder {
	const struct settle_index *index;
	void *index_owner;
	const struct settle_eyes *eyes;
	void *eyes_owner;
	/* A change; valid during the call. Its program and user are empty, `hashed` is false: the
	 * holder adds those (`directory` and `name` say where to look). 0, or an error, with which
	 * the step ends; the index has not been changed yet, and the change will come again. */
	int (*emit)(void *owner, struct change *change, uint64_t directory, struct bytes name);
	void *owner;
	struct bytes root; /* absolute path of the tree, without a slash at its end (of `/`: empty);
			    * outlives the settler */
	uint64_t settle_ns; /* a file that is being written is told after this long */
};

struct settle;

/* The memory that a settler needs whose queue holds up to `hints` hints, and one in it, zeroed or
 * not. It keeps no pointer to `holder`. */
size_t settle_bytes(uint32_t hints);
struct settle *settle_init(void *memory, uint32_t hints, const struct settle_holder *holder);

/* Something may have happened at a name. A directory that the index does not know is ignored: its
 * own coming will be heard of, and then it is listed. */
void settle_hint(struct settle *s, const struct settle_hint *hint, const struct moment *now);

/* The two names of one rename, if both are known. */
void settle_renamed(struct settle *s, const struct settle_hint *from, const struct settle_hint *to,
		    const struct moment *now);

/* What is in a directory may have changed, and with `deep` in all below it. */
void settle_list(struct settle *s, uint64_t directory, bool deep, const struct moment *now);

/* Everything is in doubt, from now on: hints were lost, the tree was not watched. `why` is one
 * word, static: overflow, restart, ... `reset`: whoever replays has lost what it knew, and the
 * index has been emptied. Also after an index took back what was not committed; with `reset` again
 * if the gap of the last reset was taken back with it. */
void settle_doubt(struct settle *s, const char *why, bool reset);

/* Works off up to `budget` hints and entries of lists. 1: there is more to do now; 0: nothing until
 * settle_due or a hint; below 0: an error of index or emit: whatever it was about comes again, once
 * settle_step is called again. Call it each second or so even when there is nothing to do: the
 * index then comes to say so, and what the next settler finds need not be told in doubt. */
int settle_step(struct settle *s, unsigned budget, const struct moment *now);

/* boot_ns when settle_step is next due by itself, or MOMENT_NEVER. */
uint64_t settle_due(const struct settle *s);

/* The path of an entry, beneath the root and without a slash at its front, as the index has it: 0,
 * or ERR_NO_FILE (the directory is not in the index), ERR_TOO_LONG. The root's is empty. */
int settle_path(struct settle *s, uint64_t directory, struct bytes name, struct text *path);

/* Where the index has a directory (the root: at directory 0): 0, or ERR_NO_FILE. */
int settle_above(struct settle *s, uint64_t directory, struct settle_place *at);

/* The inode of the root, once it is known; else 0. */
uint64_t settle_root(const struct settle *s);

/* Counts, for whoever shows them. */
struct settle_counts {
	uint64_t hints, merged, looks, lists, changes, doubts;
	uint32_t queued;
	bool in_doubt; /* a list of the whole tree is under way */
};
struct settle_counts settle_counts(const struct settle *s);

#endif
