/* A transaction as a list, so that it outlives its failure. When the disk is full SQLite gives the
 * whole transaction up; then it is done again, from this list, until the disk takes it.
 *
 *   change ──► list ──► SQLite ──► commit: list emptied
 *                │        ✗ full      ✗ full
 *                └────────┴───────────┴──► begin, all of the list, commit ──► ... */
#include "store/index_parts.h"

#include <stdlib.h>

enum { REDO_FIRST = 64 * 1024, REDO_KEPT = 1 << 20 };

/* Room for `len` bytes more. */
static int redo_grow(struct index_redo *redo, size_t len)
{
	size_t cap = redo->cap > 0 ? redo->cap : REDO_FIRST;
	uint8_t *data;

	while (cap < redo->len + len)
		cap *= 2;
	if (cap == redo->cap)
		return 0;
	data = realloc(redo->data, cap);
	if (data == NULL)
		return ERR_MEMORY;
	redo->data = data;
	redo->cap = cap;
	return 0;
}

static void redo_put(struct index_redo *redo, const void *data, size_t len)
{
	if (len > 0)
		memcpy(redo->data + redo->len, data, len);
	redo->len += len;
}

static int redo_keep(struct index_redo *redo, const struct index_op *op)
{
	int err = redo_grow(redo, sizeof(*op) + op->a.len + op->b.len);

	if (err != 0)
		return err;
	redo_put(redo, op, sizeof(*op));
	redo_put(redo, op->a.data, op->a.len);
	redo_put(redo, op->b.data, op->b.len);
	return 0;
}

static int do_tree(struct index *index, const struct index_op *op)
{
	index_bind_number(index, INDEX_TREE_PUT, 1, op->number);
	index_bind(index, INDEX_TREE_PUT, 2, op->a);
	index_bind_number(index, INDEX_TREE_PUT, 3, index_tree_sum((uint32_t)op->number, op->a));
	return index_run(index, INDEX_TREE_PUT);
}

static int do_op(struct index *index, const struct index_op *op)
{
	switch ((enum index_op_kind)op->kind) {
	case INDEX_OP_PUT:
		return index_do_put(index, op->a, op->b, op->number);
	case INDEX_OP_REMOVE:
		return index_do_remove(index, op->a);
	case INDEX_OP_CLEAR:
		return index_do_clear(index, (uint32_t)op->number);
	case INDEX_OP_TREE:
		return do_tree(index, op);
	case INDEX_OP_SPOOL:
		return index_do_spool(index, op);
	case INDEX_OP_ACKNOWLEDGE:
		return index_do_acknowledge(index, op->number);
	}
	return ERR_SYSTEM;
}

int index_change(struct index *index, const struct index_op *op)
{
	size_t before = index->redo.len;
	int err = index_begin(index);
	bool bounded = op->kind == INDEX_OP_PUT || op->kind == INDEX_OP_REMOVE;

	/* An acknowledgement comes once: while nothing can be done it is kept for when it can. */
	if (err != 0)
		return op->kind == INDEX_OP_ACKNOWLEDGE ? redo_keep(&index->redo, op) : err;
	if (bounded && before > INDEX_REDO_BYTES)
		return ERR_FULL;
	err = redo_keep(&index->redo, op);
	if (err == 0)
		err = do_op(index, op);
	if (err != 0)
		index->redo.len = before;
	return err;
}

int index_do_again(struct index *index)
{
	struct index_redo *redo = &index->redo;
	uint64_t newest = index->now.newest, server = index->now.server;
	struct index_op op;
	int err = 0;

	index->now = index->kept;
	index->now.newest = newest;
	index->now.server = server;
	for (size_t at = 0; err == 0 && at < redo->len; at += op.a.len + op.b.len) {
		memcpy(&op, redo->data + at, sizeof(op));
		at += sizeof(op);
		op.a.data = redo->data + at;
		op.b.data = redo->data + at + op.a.len;
		err = do_op(index, &op);
	}
	return err;
}

void index_redo_clear(struct index *index)
{
	struct index_redo *redo = &index->redo;

	redo->len = 0;
	if (redo->cap <= REDO_KEPT)
		return;
	free(redo->data);
	*redo = (struct index_redo){0};
}
