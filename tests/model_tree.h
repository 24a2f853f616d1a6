/* A filesystem in memory, for tests of the settler (proto/settle.h): inodes that are used again,
 * times in ticks, hard and symbolic links, mounts, permissions, and a kernel that tells of changes
 * as fanotify or inotify do: late, merged, halved, per watched directory, up to a limit. While the
 * settler looks at it, it goes on changing.
 *
 *   /tree   what is watched          /out   beside it, on the same filesystem */
#ifndef TESTS_MODEL_TREE_H
#define TESTS_MODEL_TREE_H

#include "proto/settle.h"

enum model_way { MODEL_FANOTIFY, MODEL_INOTIFY };

enum {
	MODEL_NODES = 4096,
	MODEL_FIRST = 100, /* inode of the first node */
	MODEL_TREE = MODEL_FIRST + 1,
	MODEL_OUT = MODEL_FIRST + 2,
	MODEL_EVENTS = 4096,
	MODEL_TICK_NS = 4000000,
	MODEL_DATED_NS = 1000000000, /* what times are set to by hand */
};

#define MODEL_ROOT "/w/tree"

struct model_entry {
	uint32_t cookie; /* lists go by it */
	int node;
	uint8_t len;
	char name[CHANGE_NAME_BYTES + 1];
};

struct model_node {
	bool alive, watched, mounted;
	bool unwatched; /* a watch was asked for and refused: list it from time to time */
	bool blurred;   /* written through a name that is gone: nobody can have been told */
	bool dated;     /* given a time by hand, and renamed: a write need not show */
	bool opened;
	bool linked_write; /* written while it had several names */
	uint64_t generation;
	uint8_t kind;
	uint16_t mode;
	uint32_t links;
	uint64_t size, version; /* writes so far */
	int64_t born_ns, mtime_ns, ctime_ns;
	int parent; /* of a directory */
	struct model_entry *entry;
	unsigned entries, room;
};

struct model_name {
	uint64_t directory;
	unsigned flags;
	uint8_t len;
	char name[CHANGE_NAME_BYTES + 1];
};

struct model_event {
	enum { MODEL_HINT, MODEL_RENAME, MODEL_OVERFLOW } type;
	struct model_name a, b; /* b: the rename's `to` */
	int64_t at_us;          /* wall */
};

struct model {
	uint64_t random;
	enum model_way way;
	bool root;            /* whoever looks, permissions do not matter to him */
	unsigned paths;       /* percent of directories that are found by path; else by inode */
	bool births;          /* the filesystem has times of birth */
	bool down;            /* nobody is told anything */
	unsigned merges;      /* percent */
	unsigned halves;      /* percent of inotify's pairs that are not known as one */
	unsigned disturbance; /* percent of looks during which the tree changes */
	unsigned refusals;    /* percent of watches refused */
	unsigned limit;       /* of the queue, at most MODEL_EVENTS */
	bool story;           /* on stderr: what is told to the settler, and by it */
	bool busy;            /* in a disturbance */
	bool busy_rename;     /* a node without a name is not dropped */
	struct moment now;
	struct settle *settle;
	struct model_node node[MODEL_NODES];
	int free_node[MODEL_NODES]; /* the last freed is the next used */
	unsigned freed, fresh;
	struct model_event event[MODEL_EVENTS];
	unsigned head, events;
	uint64_t operations, overflows, generations;
	bool late;           /* an event waited for longer than a second */
	bool mounts_changed; /* of which nobody is told */
};

void model_init(struct model *m, uint64_t seed);
void model_free(struct model *m);
uint64_t model_below(struct model *m, uint64_t n); /* random, below n */
bool model_chance(struct model *m, unsigned percent);
void model_pass_time(struct model *m, uint64_t ns);

/* One operation of somebody's, at random. */
void model_act(struct model *m);
/* All permissions back, all files closed, all mounts gone. */
void model_calm(struct model *m);

/* By path from the filesystem's root, such as "tree/a"; each must be possible. */
void model_mkdir(struct model *m, const char *path);
void model_write(struct model *m, const char *path, uint64_t size); /* made if it is not there */
void model_link(struct model *m, const char *from, const char *to);
void model_symlink(struct model *m, const char *path);
void model_chmod(struct model *m, const char *path, unsigned mode);
void model_remove(struct model *m, const char *path);
void model_rename(struct model *m, const char *from, const char *to);
void model_exchange(struct model *m, const char *a, const char *b);
uint64_t model_inode(struct model *m, const char *path);

/* Hands up to `budget` events to m->settle. False: there were none. */
bool model_tell(struct model *m, unsigned budget);
void model_lose(struct model *m); /* all events and watches */

/* Its owner is the model. */
extern const struct settle_eyes model_eyes;

struct model_entry *model_find(struct model *m, int directory, struct bytes name);
struct settle_node model_stat(const struct model *m, int node);
#endif
