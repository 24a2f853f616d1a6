/* What the files of the index share; nobody else includes it. */
#ifndef STORE_INDEX_PARTS_H
#define STORE_INDEX_PARTS_H

#include "store/database.h"
#include "store/index.h"
#include "store/pack.h"

enum {
	INDEX_APPLICATION = 0x70727369, /* "prsi" */
	INDEX_TREES = 65534,
	INDEX_PREFIX_BYTES = 10, /* a tree, and a directory or an inode */
	INDEX_PLACE_BYTES = INDEX_PREFIX_BYTES + CHANGE_NAME_BYTES,
	INDEX_LINK_BYTES = 8 + INDEX_PLACE_BYTES,
	INDEX_NODE_BYTES = 80, /* room for any */
	INDEX_REDO_BYTES = 16 << 20,
};

#define INDEX_SEQ_MOST ((uint64_t)1 << 62) /* no honest number comes near */

enum index_statement {
	INDEX_FIND,
	INDEX_PUT,
	INDEX_REMOVE,
	INDEX_NEXT,
	INDEX_COUNT,
	INDEX_CLEAR,
	INDEX_LINK_FIND,
	INDEX_LINK_PUT,
	INDEX_LINK_REMOVE,
	INDEX_LINK_CLEAR,
	INDEX_TREE_FIND,
	INDEX_TREE_PUT,
	INDEX_SPOOL_PUT,
	INDEX_SPOOL_SUM,
	INDEX_SPOOL_REMOVE,
	INDEX_STATE_PUT,
	INDEX_FRESH_PUT,
	INDEX_FRESH_LINK_PUT,
	INDEX_FRESH_PUT_ALL,
	INDEX_FRESH_LINK_PUT_ALL,
	INDEX_STATEMENTS
};

/* What a transaction does, so that it can be done again after the disk was full (index_redo.c). */
enum index_op_kind {
	INDEX_OP_PUT,         /* a: place, b: node, number: its inode */
	INDEX_OP_REMOVE,      /* a: place */
	INDEX_OP_CLEAR,       /* number: tree */
	INDEX_OP_TREE,        /* number: tree, a: path */
	INDEX_OP_SPOOL,       /* number, last, raw_bytes, packed; a: body */
	INDEX_OP_ACKNOWLEDGE, /* number */
};

struct index_op {
	uint8_t kind;
	bool packed;
	uint32_t raw_bytes;
	uint64_t number, last;
	struct bytes a, b;
};

struct index_redo {
	uint8_t *data;
	size_t len, cap;
};

/* What stands at one place; len 0: nothing is known. */
struct index_memory {
	uint8_t place[INDEX_PLACE_BYTES];
	size_t len;
	bool found;
	bool strange; /* the filter does not have it */
	uint64_t inode;
};

/* An entry that is new, with the link of its inode. */
struct index_fresh {
	uint16_t place_len, node_len;
	uint8_t place[INDEX_PLACE_BYTES], node[INDEX_NODE_BYTES], link[INDEX_LINK_BYTES];
};

enum { INDEX_FRESH = 16, INDEX_FILTER_LAYERS = 22 };

struct index_filter_block;

struct index_filter_layer {
	struct index_filter_block *block;
	uint32_t blocks; /* a power of 2 */
	uint64_t keys;
};

struct index_filter {
	uint64_t seed;
	uint64_t keys;
	unsigned layers;
	bool useless; /* it cannot say what is not there */
	struct index_filter_layer layer[INDEX_FILTER_LAYERS];
};

struct index {
	struct database database;
	struct sqlite3_stmt *statement[INDEX_STATEMENTS];
	int lock_fd;
	uint8_t instance[INDEX_INSTANCE_BYTES];
	bool begun; /* a transaction is open */
	bool lost;  /* it was, and an error ended it: what it did is in `redo` */
	struct index_redo redo;
	struct index_state now, kept; /* kept: as of the last commit */
	struct index_memory last;
	struct index_filter filter;
	unsigned fresh_count;
	struct index_fresh fresh[INDEX_FRESH];
	uint32_t trees;
	struct packer *packer;
	uint64_t block_first; /* the block that is being filled */
	size_t block_len;
	uint8_t block[INDEX_BLOCK_BYTES], packed[INDEX_BLOCK_BYTES];
};

/* index.c */
extern const char *const index_steps[];
/* Begins a transaction unless there is one. 0, or why it cannot be gone on with. */
int index_begin(struct index *index);
/* A statement failed: its transaction is over. Returns the error. */
int index_fail(struct index *index, int err);
void index_bind(struct index *index, enum index_statement which, int column, struct bytes b);
void index_bind_number(struct index *index, enum index_statement which, int column, uint64_t n);
/* 1: a row is there, until index_done; 0: none; or ERR_. */
int index_step(struct index *index, enum index_statement which);
void index_done(struct index *index, enum index_statement which);
/* Steps to the end. 0, or ERR_. */
int index_run(struct index *index, enum index_statement which);
struct bytes index_column(struct index *index, enum index_statement which, int column);

/* index_redo.c */
/* Does `op`, as part of the transaction. 0, ERR_FULL (commit first), ERR_DISK, ... */
int index_change(struct index *index, const struct index_op *op);
/* Does again what a transaction that an error ended did. */
int index_do_again(struct index *index);
void index_redo_clear(struct index *index);

/* index_node.c */
size_t index_put_place(uint8_t *place, uint32_t tree, uint64_t directory, struct bytes name);
/* The key of the table of inodes: tree, inode, directory, name. */
size_t index_put_link(uint8_t *link, struct bytes place, uint64_t inode);
/* The place that a link tells: its length, or 0 when it is no link. */
size_t index_take_link(struct bytes link, uint8_t *place);
size_t index_put_node(uint8_t *to, struct bytes place, const struct settle_node *node);
/* 0, or ERR_PROTOCOL: it is damaged. */
int index_take_node(struct bytes in, struct bytes place, struct settle_node *node);
uint32_t index_sum(struct bytes a, struct bytes b);
uint32_t index_tree_sum(uint32_t tree, struct bytes path);

/* index_fresh.c */
/* Puts what surely is not there; it waits for others. */
int index_fresh_put(struct index *index, struct bytes place, struct bytes node, uint64_t inode);
/* Before INDEX_FIND or INDEX_LINK_FIND asks for `key`, a place or a link up to its inode: if that
 * waits, what waits goes into the tables. 0, or ERR_. All other statements do it by themselves. */
int index_fresh_ask(struct index *index, struct bytes key);
/* What waits goes into the tables. */
int index_fresh_write(struct index *index);

/* index_filter.c */
/* Whether the index may have what was added: a place, or the front of a link up to its inode. */
bool index_filter_may_have(const struct index_filter *filter, struct bytes key);
/* What the link tells, which is about to be in the index; `strange`: the filter is known not to
 * have its place. */
void index_filter_add(struct index_filter *filter, struct bytes link, bool strange);
/* Empties it; there is none yet. */
void index_filter_clear(struct index_filter *filter);
/* It has much more than the `entries` of the index: then index_filter_fill, outside a
 * transaction, reads it anew. */
bool index_filter_is_worn(const struct index_filter *filter, uint64_t entries);
void index_filter_fill(struct index *index);

/* index_tree.c */
int index_do_put(struct index *index, struct bytes place, struct bytes node, uint64_t inode);
int index_do_remove(struct index *index, struct bytes place);
int index_do_clear(struct index *index, uint32_t tree);

/* index_spool.c */
int index_flush(struct index *index);
int index_do_spool(struct index *index, const struct index_op *op);
int index_do_acknowledge(struct index *index, uint64_t seq);
/* The sum of a block's row. */
uint32_t spool_sum(uint64_t first, uint64_t last, uint32_t raw_bytes, bool packed,
		   struct bytes body);

/* index_check.c */
/* Reads all of it: 0, ERR_PROTOCOL (damaged, `why` in the database), ... */
int index_check(struct index *index);

#endif
