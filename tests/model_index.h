/* The index of a tree in memory (struct settle_index), with transactions, and what is told of the
 * tree, replayed (proto/change.h), each change held against what it presupposes. Both change
 * together, on model_commit. */
#ifndef TESTS_MODEL_INDEX_H
#define TESTS_MODEL_INDEX_H

#include "model_tree.h"

enum { MODEL_ROWS = 8192, MODEL_WHY = 4096 };

struct model_row {
	struct settle_place at;
	struct settle_node node;
};

/* A change of a row, to be undone: how it was. */
struct model_undo {
	struct model_row row;
	bool had;
};

struct model_told { /* as whoever replays has it */
	char *path;
	size_t len;
	uint8_t kind;
	uint16_t mode;
	uint64_t size, version;
};

struct model_change {
	struct change change; /* with paths of its own */
	uint64_t version;     /* of the file, when it was told */
};

struct model_index {
	struct model *m;
	struct model_row *row[MODEL_ROWS]; /* in order */
	uint64_t inode[MODEL_ROWS];        /* of the rows, beside them: looked through fast */
	unsigned rows;
	struct model_undo *undo;
	unsigned undos, undo_room;
	struct model_change *change; /* not committed */
	unsigned changes, change_room;
	struct model_told *told;
	unsigned tolds, told_room;
	unsigned fail_after; /* calls; then ERR_DISK once. 0: never */
	unsigned emit_fails; /* this many of the next emits */
	uint64_t of_type[CHANGE_TYPES], doubts_told, doubts_dropped;
	bool in_doubt, reset_told; /* the last change that forgets everything was committed */
	char why[MODEL_WHY];       /* a change that could not be: empty when all is well */
};

extern const struct settle_index model_index_calls; /* its owner is the model_index */

void model_index_init(struct model_index *x, struct model *m);
void model_index_free(struct model_index *x);
void model_index_clear(struct model_index *x);
/* struct settle_holder's; its owner is the model_index. */
int model_emit(void *owner, struct change *change, uint64_t directory, struct bytes name);
void model_commit(struct model_index *x);
void model_rollback(struct model_index *x);
/* What is told against the model, and the index against both; `x->why` says what is wrong. With
 * `exactly`, sizes, modes and writes, too. */
void model_check_index(struct model_index *x, bool exactly);
void model_check_tree(struct model_index *x, bool versions);
#endif
