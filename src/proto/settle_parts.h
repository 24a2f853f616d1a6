/* What the files of the settler share among themselves.
 *
 *   settle.c        hints in, the steps, doubts
 *   settle_queue.c  what waits: hints and lists
 *   settle_place.c  directories and paths, as the index has them; telling, and the index after it
 *   settle_entry.c  one name: what stands there against what the index has
 *   settle_list.c   the content of directories
 */
#ifndef PROTO_SETTLE_PARTS_H
#define PROTO_SETTLE_PARTS_H

#include "proto/settle.h"

enum {
	/* Two changes may bear the same time when they are no further apart than this: a tick of
	 * the kernel's clock is at most 10 ms. */
	SETTLE_TICK_NS = 20 * 1000 * 1000,
	/* How long ago a hint that is not here yet may have come about. */
	SETTLE_LATE_US = 1000 * 1000,
	SETTLE_DEPTH = CHANGE_PATH_BYTES / 2, /* directories in a path */
};

/* What a function of the settler's returns beside 0 and errors. */
enum {
	SETTLE_AGAIN = 2, /* not done: do it once more */
	SETTLE_DEFER = 3, /* do it once more behind all that waits */
};

/* The settler's own marks of a directory in the index, kept in `links`, which directories do not
 * use. Of anything else `links` is as seen, and ctime's lowest bit is the mark: */
enum {
	SETTLE_DOUBTFUL = 1, /* to be listed whenever it is seen: it was not listed yet, was not to
			      * be found, or may be another, born within the same tick */
	SETTLE_CLOSED = 2,   /* it could not be read or watched: a gap was told */
	SETTLE_UNSEEN = 4,   /* a deep list was to go below it, and could not */
	SETTLE_BELOW = 8,    /* something below it was closed for what may pass when it changes or
			      * moves: all below is listed whenever it is seen */
	SETTLE_UNSURE = 1,   /* (ctime) looked at so soon after its last change that another may
			      * have had the same time */
};

/* The queue. An item is a hint, or (no name, but a directory) a directory to be listed. Items are
 * kept in lines, rings whose heads are the first items. A name is kept in its item, its rest in a
 * chain of pieces. */
enum settle_line {
	SETTLE_NOW,     /* hints, in order */
	SETTLE_WAITING, /* hints of files that are being written, in order of due_ns */
	SETTLE_LISTS,   /* directories to be listed */
	SETTLE_LATER,   /* what a deep list missed: for when it is over */
	SETTLE_LINES
};

/* Marks of an item. */
enum {
	SETTLE_FINAL = 1, /* it was deferred before */
	SETTLE_PASS = 2,  /* the doubt is not settled before it is done */
	SETTLE_LOST = 4,  /* it is about a directory that was not to be found */
	SETTLE_DEEP = 8,  /* a list of all below, too */
	/* Another name of the file was written: unless there is a difference that is newer than
	 * that, it is not passed on from here. */
	SETTLE_LINKED = 16,
	SETTLE_TWICE = 32,   /* it was deferred more than once */
	SETTLE_CAREFUL = 64, /* it comes from a list in a doubt: its hints may have been lost */
};

enum { SETTLE_ITEM_NAME = 24, SETTLE_PIECE_NAME = 28 };

struct settle_item {
	uint64_t directory;
	uint64_t due_ns; /* of a hint that waits; with SETTLE_LINKED, since when (wall, us) */
	uint32_t chain;  /* of the same slot of the table */
	uint32_t next, previous;
	uint32_t piece; /* the name's rest */
	uint32_t pid;
	uint8_t len, flags, line, marks;
	uint8_t name[SETTLE_ITEM_NAME];
};

struct settle_piece {
	uint32_t next;
	uint8_t name[SETTLE_PIECE_NAME];
};

struct settle_queue {
	uint32_t *table; /* item by hash of directory and name; 0: none */
	struct settle_item *item;
	struct settle_piece *piece;
	uint32_t slots, items, pieces; /* capacities; slots are a power of 2 */
	uint32_t used;
	uint32_t item_free, item_fresh;   /* given back; never used yet, from here on */
	uint32_t piece_free, piece_fresh; /* the same; piece 0 is none */
	uint32_t passes, deeps;           /* items with SETTLE_PASS; with SETTLE_DEEP */
	uint64_t key;
};

/* A directory of the index, as last seen there. */
struct settle_directory {
	struct settle_place at;
	struct settle_node node;
	uint64_t inode; /* 0: this slot is free */
	bool known;     /* false: the index has none of that inode */
};

enum { SETTLE_SETS = 256, SETTLE_WAYS = 4 };

struct settle_frame {
	uint64_t directory;
	uint32_t name_at; /* in `names`: the child that is being listed */
};

enum settle_phase { SETTLE_VISIT, SETTLE_COMPARE, SETTLE_DESCEND };

/* The list under way: a walk down the index, each directory listed before its children are. The
 * frames keep inodes, so that directories may be moved meanwhile. */
struct settle_walk {
	uint32_t depth; /* frames; 0: none is under way */
	uint32_t names_len;
	enum settle_phase phase;
	bool deep, pass, lost;
	bool waits;                 /* for room in the queue */
	struct settle_place cursor; /* within the directory of the last frame */
	/* Of the list that is being read. */
	int err;    /* of the settler's own, not the eyes' */
	int closed; /* why what is listed is not all there is to say */
	bool full, descend;
	bool careful;         /* hints of what is listed may have been lost */
	uint64_t listed, sum; /* names that the index has now */
	struct settle_frame frame[SETTLE_DEPTH];
	char names[CHANGE_PATH_BYTES];
};

/* A name that is being settled. */
struct settle_work {
	struct settle_place at;
	unsigned flags, marks;
	uint32_t pid;
	bool listed;      /* found in a list: directories are descended into by that */
	int64_t since_us; /* wall: other names of the file that have not changed since will be
			   * seen, or were, as this one is */
};

struct settle {
	struct settle_holder holder;
	struct settle_queue queue;
	struct settle_counts counts;
	struct moment now;
	unsigned budget;
	unsigned turn;       /* hints or directories worked off since the other had its turn */
	uint64_t root;       /* inode */
	int64_t sure_us;     /* wall: when nothing waited; 0: never so far */
	int64_t kept_us;     /* the same, as the index has it; below 0: to be read from there */
	int64_t unsure_us;   /* wall: when an entry was last marked as unsure */
	size_t longest;      /* no path in the index is longer */
	size_t longest_here; /* and none that the pass has come to */
	int64_t pass_us;     /* wall: when the pass began */
	const char *why;     /* a doubt that waits for its pass; or NULL */
	bool reset;          /* (why) */
	bool in_pass;        /* a pass is under way */
	bool root_due;       /* and has not come to its list yet */
	bool passing;        /* what is being done belongs to the pass */
	bool overflowed;     /* the queue is full: a doubt, once what is being done is over */
	struct settle_walk walk;
	struct settle_directory directory[SETTLE_SETS][SETTLE_WAYS];
	uint8_t victim[SETTLE_SETS];
	uint8_t path[CHANGE_PATH_BYTES], from[CHANGE_PATH_BYTES], asked[CHANGE_PATH_BYTES];
};

static inline struct bytes settle_name(const struct settle_place *at)
{
	return bytes_of(at->name, at->len);
}

/* Sets `at`; name.len <= CHANGE_NAME_BYTES. `name` may be in `at`. */
void settle_place_set(struct settle_place *at, uint64_t directory, struct bytes name);

/* Whether `n` is a directory whose content is ours. */
static inline bool settle_holds(const struct settle_node *n)
{
	return n->kind == CHANGE_DIRECTORY && !n->foreign;
}

static inline void settle_spend(struct settle *s)
{
	if (s->budget > 0)
		s->budget--;
}

/* settle_queue.c */

size_t settle_queue_bytes(uint32_t hints);
void settle_queue_init(struct settle_queue *q, void *memory, uint32_t hints);
uint64_t settle_hash(const struct settle_queue *q, uint64_t directory, struct bytes name);
/* The item of that directory and name, or 0. */
uint32_t settle_queue_find(struct settle_queue *q, uint64_t directory, struct bytes name);
/* A new one at the line's end, which must not be there yet; 0: no room. */
uint32_t settle_queue_add(struct settle_queue *q, enum settle_line line, uint64_t directory,
			  struct bytes name);
void settle_queue_mark(struct settle_queue *q, uint32_t i, unsigned marks); /* in addition */
void settle_queue_move(struct settle_queue *q, uint32_t i, enum settle_line line);
void settle_queue_free(struct settle_queue *q, uint32_t i);
void settle_queue_clear(struct settle_queue *q);
/* The first of a line, or 0. */
uint32_t settle_queue_first(const struct settle_queue *q, enum settle_line line);
void settle_queue_place(const struct settle_queue *q, uint32_t i, struct settle_place *at);

/* A hint of our own; when there is no room for it, `overflowed`. */
void settle_push(struct settle *s, const struct settle_place *at, unsigned flags, unsigned marks);
/* A directory to be listed, in the same way. */
void settle_push_list(struct settle *s, uint64_t directory, unsigned marks);

/* settle_place.c */

/* Forgets what the index had. */
void settle_forget(struct settle *s);
/* Whether the index is known not to have that directory, without asking it. */
bool settle_is_unknown(const struct settle *s, uint64_t inode);
/* The directory with that inode: 1, 0: the index has none, or an error of the index. */
int settle_directory(struct settle *s, uint64_t inode, struct settle_directory *d);
/* Whether a deep list has passed it by, or what it is in: 1, 0, or an error. */
int settle_is_unseen(struct settle *s, uint64_t inode);
/* Whether the directory `inode` is `above`, or beneath it: 1, 0, or an error. */
int settle_is_within(struct settle *s, uint64_t inode, uint64_t above);

/* The length of the whole path of an entry, or ERR_NO_FILE, ERR_TOO_LONG. */
int settle_path_len(struct settle *s, const struct settle_place *at);
/* There is a path of that length in the index. */
void settle_has_path(struct settle *s, size_t len);
/* Whether all paths would still fit if that of a directory, `old_len` long, became `new_len` long:
 * 1, 0, or an error. */
int settle_may_grow(struct settle *s, const struct settle_node *directory, size_t old_len,
		    size_t new_len);

int settle_tell(struct settle *s, enum change_type type, const struct settle_work *w,
		const struct settle_node *n, const struct settle_place *from);
/* A gap of a directory, or the end of one. */
int settle_tell_gap(struct settle *s, const struct settle_directory *d, const char *why,
		    bool reset);
int settle_tell_settled(struct settle *s, const struct settle_directory *d);

/* The index, with its owner. */
int settle_find(struct settle *s, const struct settle_place *at, struct settle_node *n);
int settle_next(struct settle *s, uint64_t directory, struct bytes after, struct settle_place *at,
		struct settle_node *n);
int settle_put(struct settle *s, const struct settle_place *at, const struct settle_node *n);
int settle_remove(struct settle *s, const struct settle_place *at, const struct settle_node *n);

/* settle_entry.c */

/* Something may have happened at w->at. 0, SETTLE_AGAIN, SETTLE_DEFER, or an error. */
int settle_entry_look(struct settle *s, const struct settle_work *w);
/* What the index keeps of `seen`, which it did not have. */
struct settle_node settle_node_new(const struct settle *s, const struct settle_node *seen);
/* What is seen, with nothing that must not be taken for ours. */
struct settle_node settle_node_seen(const struct settle_node *seen);
bool settle_is_same(const struct settle_node *a, const struct settle_node *b);
/* What the index has is still there: tells what is different of it. */
int settle_entry_update(struct settle *s, const struct settle_work *w,
			const struct settle_node *old, const struct settle_node *seen);
/* It was not there, and is nowhere else in the index. */
int settle_entry_create(struct settle *s, const struct settle_work *w,
			const struct settle_node *seen);
/* Whether it is ignored. */
bool settle_is_left_out(const struct settle *s, const struct settle_place *at,
			const struct settle_node *seen);
/* Whether something else may come to bear that time. */
bool settle_is_fresh(const struct settle *s, int64_t time_ns);
/* A directory is not where the index has it; `marks`: SETTLE_UNSEEN, or 0. */
int settle_entry_lost(struct settle *s, uint64_t directory, unsigned marks);
/* A directory cannot be read (or written down in full): a gap, unless it was told. */
int settle_entry_closed(struct settle *s, uint64_t directory, int why);

/* settle_list.c */

/* One more thing of the list under way, or of the first that waits; there must be one. 0, or an
 * error. */
int settle_walk_step(struct settle *s);
/* Whether the hints must have their turn first. */
bool settle_walk_waits(const struct settle *s);
void settle_walk_stop(struct settle *s);

#endif
