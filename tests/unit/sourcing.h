/* For tests of a source: a settler that keeps what it is told, and enters and lists each directory
 * that it comes to know, and nothing more. It stands in for proto/settle.c. */
#ifndef TESTS_UNIT_SOURCING_H
#define TESTS_UNIT_SOURCING_H

#include "kernel/source.h"

enum { SOURCING_TOLD = 65536, SOURCING_DIRECTORIES = 4096 };

enum sourcing_what { SOURCING_HINT, SOURCING_RENAMED, SOURCING_LIST, SOURCING_DOUBT };

struct sourcing_told {
	enum sourcing_what what;
	bool deep;
	uint64_t directory, to_directory;
	char name[CHANGE_NAME_BYTES + 1], to_name[CHANGE_NAME_BYTES + 1];
	unsigned flags;
	uint32_t pid;
};

struct sourcing_directory {
	uint64_t inode, parent;
	char name[CHANGE_NAME_BYTES + 1];
	int entered; /* what enter returned */
};

/* A tree, its source, and the settler. */
struct sourcing {
	struct source *source;
	char root[64];
	struct moment now;
	struct sourcing_told *told;
	unsigned told_count;
	struct sourcing_directory *directory;
	unsigned directories;
};

/* Makes a temporary tree, and opens a source on it, but does not enter it. False: this way is not
 * to be had here, said so. `s` is the one settler that there is. */
bool sourcing_begin(struct sourcing *s, enum source_way way);
/* The same with a plan, whose path it sets if that is NULL; returns source_open's error. */
int sourcing_open(struct sourcing *s, struct source_plan *plan);
void sourcing_end(struct sourcing *s);

/* Enters and lists the directory and all below. */
void sourcing_enter(struct sourcing *s, uint64_t directory);
/* Runs a shell command in the tree, in another process; fails the test when it fails. */
void sourcing_run(struct sourcing *s, const char *command);
/* The inode at a path beneath the tree; "": of the tree. */
uint64_t sourcing_inode(const struct sourcing *s, const char *path);
/* What stands at a place, as the eyes see it: look's result. */
int sourcing_look(struct sourcing *s, uint64_t directory, const char *name,
		  struct settle_node *node);

/* Forgets what was told so far. */
void sourcing_forget(struct sourcing *s);
/* Reads and ticks once, waiting for up to `wait_ms` for something to come. */
int sourcing_turn(struct sourcing *s, int wait_ms);
/* Reads on until `is_told(s, directory, name)`: whether it came within seconds. */
bool sourcing_await(struct sourcing *s, uint64_t directory, const char *name);
/* Whether a hint of that name, or a list of its directory, was told. */
bool sourcing_is_told(const struct sourcing *s, uint64_t directory, const char *name);
/* The flags of all hints of that name. */
unsigned sourcing_flags(const struct sourcing *s, uint64_t directory, const char *name);
/* The last told of that kind, or NULL. */
const struct sourcing_told *sourcing_last(const struct sourcing *s, enum sourcing_what what);
bool sourcing_is_entered(const struct sourcing *s, uint64_t inode);

/* Every test takes its way from cmocka's state. */
enum source_way sourcing_way(void **state);
/* Begins with a tree that the shell command furnishes (NULL: an empty one), and enters it; false:
 * this way is not to be had. */
bool sourcing_begin_entered(struct sourcing *s, void **state, const char *furnish);
/* Fails unless that is told within seconds. */
void sourcing_expect(struct sourcing *s, const char *directory, const char *name);
/* Runs `work`, which returns 0 for good, in a process of its own, as all changes must be. */
void sourcing_in_child(const struct sourcing *s, int (*work)(const struct sourcing *s));

#endif
