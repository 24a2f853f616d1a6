/* The index of a tree: two tables, the entries by their places, and their places by inode. Both are
 * kept in order here and not by SQLite's own index, since most changes leave the inode as it is. */
#include "store/index_parts.h"

#include <sqlite3.h>

/* The first key after all that begin with `prefix`, which is not all 0xff. */
static void put_successor(uint8_t *to, const uint8_t *prefix, size_t len)
{
	memcpy(to, prefix, len);
	while (len > 0 && ++to[len - 1] == 0)
		len--;
}

static int damaged(struct index *index, const char *why)
{
	return index_fail(index, database_say(&index->database, ERR_PROTOCOL, why));
}

/* The settler looks before it puts: what was found last need not be looked for again. */
static void remember(struct index *index, struct bytes place, bool found, uint64_t inode)
{
	struct index_memory *last = &index->last;

	memcpy(last->place, place.data, place.len);
	last->len = place.len;
	last->found = found;
	last->strange = false;
	last->inode = inode;
}

/* 1 and the node that stands at `place`, 0, or ERR_. */
static int find_place(struct index *index, struct bytes place, struct settle_node *node)
{
	int found, err;

	if (!index_filter_may_have(&index->filter, place)) {
		remember(index, place, false, 0);
		index->last.strange = true;
		return 0;
	}
	err = index_fresh_ask(index, place);
	if (err != 0)
		return err;
	index_bind(index, INDEX_FIND, 1, place);
	found = index_step(index, INDEX_FIND);
	if (found > 0)
		err = index_take_node(index_column(index, INDEX_FIND, 0), place, node);
	index_done(index, INDEX_FIND);
	if (err != 0)
		return damaged(index, "an entry is damaged");
	if (found >= 0)
		remember(index, place, found > 0, found > 0 ? node->inode : 0);
	return found;
}

/* The same for whoever only wants its inode. */
static int find_inode_at(struct index *index, struct bytes place, uint64_t *inode)
{
	const struct index_memory *last = &index->last;
	struct settle_node node = {0};
	int found;

	if (bytes_equal(place, bytes_of(last->place, last->len))) {
		*inode = last->inode;
		return last->found;
	}
	found = find_place(index, place, &node);
	*inode = node.inode;
	return found;
}

/* Puts or removes where `inode` stands. */
static int link_run(struct index *index, enum index_statement which, struct bytes place,
		    uint64_t inode)
{
	uint8_t data[INDEX_LINK_BYTES];
	struct bytes link = bytes_of(data, index_put_link(data, place, inode));

	if (which == INDEX_LINK_PUT)
		index_filter_add(&index->filter, link, false);
	index_bind(index, which, 1, link);
	return index_run(index, which);
}

int index_do_put(struct index *index, struct bytes place, struct bytes encoded, uint64_t inode)
{
	uint64_t old = 0;
	int found = find_inode_at(index, place, &old), err;

	if (found < 0)
		return found;
	if (!found && index->last.strange) {
		err = index_fresh_put(index, place, encoded, inode);
		index->now.entries += err == 0;
		if (err == 0)
			remember(index, place, true, inode);
		return err;
	}
	index_bind(index, INDEX_PUT, 1, place);
	index_bind(index, INDEX_PUT, 2, encoded);
	err = index_run(index, INDEX_PUT);
	if (err == 0 && found && old != inode)
		err = link_run(index, INDEX_LINK_REMOVE, place, old);
	if (err == 0 && (!found || old != inode))
		err = link_run(index, INDEX_LINK_PUT, place, inode);
	if (err != 0)
		return err;
	index->now.entries += !found;
	remember(index, place, true, inode);
	return 0;
}

int index_do_remove(struct index *index, struct bytes place)
{
	uint64_t old = 0;
	int found = find_inode_at(index, place, &old), err;

	if (found <= 0)
		return found;
	index_bind(index, INDEX_REMOVE, 1, place);
	err = index_run(index, INDEX_REMOVE);
	if (err == 0)
		err = link_run(index, INDEX_LINK_REMOVE, place, old);
	if (err != 0)
		return err;
	index->now.entries--;
	remember(index, place, false, 0);
	return 0;
}

int index_do_clear(struct index *index, uint32_t tree)
{
	static const enum index_statement clears[] = {INDEX_CLEAR, INDEX_LINK_CLEAR};
	uint8_t first[2], end[2];
	int err = index_fresh_write(index); /* what waits is not to be counted below */
	int64_t before = sqlite3_total_changes64(index->database.sqlite);

	index->last.len = 0;
	bytes_put_be16(first, (uint16_t)tree);
	bytes_put_be16(end, (uint16_t)(tree + 1));
	for (unsigned i = 0; i < 2 && err == 0; i++) {
		index_bind(index, clears[i], 1, bytes_of(first, sizeof(first)));
		index_bind(index, clears[i], 2, bytes_of(end, sizeof(end)));
		err = index_run(index, clears[i]);
	}
	/* Each entry has one link. */
	if (err == 0)
		index->now.entries -= (uint64_t)(sqlite3_total_changes64(index->database.sqlite) -
						 before) /
				      2;
	return err;
}

int index_clear(struct index *index, uint32_t tree)
{
	struct index_op op = {.kind = INDEX_OP_CLEAR, .number = tree};

	return index_change(index, &op);
}

/* The settler's own. */

static int tree_find(void *owner, uint64_t directory, struct bytes name, struct settle_node *node)
{
	const struct index_of *of = owner;
	uint8_t place[INDEX_PLACE_BYTES];
	int err = index_begin(of->index);

	if (err != 0 || name.len > CHANGE_NAME_BYTES)
		return err;
	return find_place(of->index,
			  bytes_of(place, index_put_place(place, of->tree, directory, name)), node);
}

static void set_place(struct settle_place *place, uint64_t directory, struct bytes name)
{
	place->directory = directory;
	place->len = (uint8_t)name.len;
	memmove(place->name, name.data, name.len);
	place->name[name.len] = '\0';
}

static int tree_find_inode(void *owner, uint64_t inode, unsigned nth, struct settle_place *place,
			   struct settle_node *node)
{
	const struct index_of *of = owner;
	struct index *index = of->index;
	uint8_t first[INDEX_PREFIX_BYTES], end[INDEX_PREFIX_BYTES], key[INDEX_PLACE_BYTES];
	size_t len = 0;
	int found = index_begin(index);

	if (found != 0)
		return found;
	index_put_place(first, of->tree, inode, (struct bytes){0});
	if (!index_filter_may_have(&index->filter, bytes_of(first, sizeof(first))))
		return 0;
	found = index_fresh_ask(index, bytes_of(first, sizeof(first)));
	if (found != 0)
		return found;
	put_successor(end, first, sizeof(first));
	index_bind(index, INDEX_LINK_FIND, 1, bytes_of(first, sizeof(first)));
	index_bind(index, INDEX_LINK_FIND, 2, bytes_of(end, sizeof(end)));
	index_bind_number(index, INDEX_LINK_FIND, 3, nth);
	found = index_step(index, INDEX_LINK_FIND);
	if (found > 0)
		len = index_take_link(index_column(index, INDEX_LINK_FIND, 0), key);
	index_done(index, INDEX_LINK_FIND);
	if (found <= 0)
		return found;
	if (len > 0)
		found = find_place(index, bytes_of(key, len), node);
	if (len == 0 || found == 0 || (found > 0 && node->inode != inode))
		return damaged(index, "an inode's place is damaged");
	if (found > 0)
		set_place(place, bytes_get_be64(key + 2),
			  bytes_of(key + INDEX_PREFIX_BYTES, len - INDEX_PREFIX_BYTES));
	return found;
}

/* Binds the keys after `after` in the directory, and after all of it. */
static void bind_directory(struct index *index, enum index_statement which, struct bytes after,
			   uint8_t *end)
{
	put_successor(end, after.data, INDEX_PREFIX_BYTES);
	index_bind(index, which, 1, after);
	index_bind(index, which, 2, bytes_of(end, INDEX_PREFIX_BYTES));
}

static int tree_next(void *owner, uint64_t directory, struct bytes after,
		     struct settle_place *place, struct settle_node *node)
{
	const struct index_of *of = owner;
	struct index *index = of->index;
	uint8_t key[INDEX_PLACE_BYTES], end[INDEX_PREFIX_BYTES];
	int found = index_begin(index), err = 0;
	struct bytes got;

	if (found != 0 || after.len > CHANGE_NAME_BYTES)
		return found;
	bind_directory(index, INDEX_NEXT,
		       bytes_of(key, index_put_place(key, of->tree, directory, after)), end);
	found = index_step(index, INDEX_NEXT);
	if (found > 0) {
		got = index_column(index, INDEX_NEXT, 0);
		err = index_take_node(index_column(index, INDEX_NEXT, 1), got, node);
		if (got.len > INDEX_PLACE_BYTES)
			err = ERR_PROTOCOL;
		if (err == 0)
			set_place(place, directory, bytes_after(got, INDEX_PREFIX_BYTES));
	}
	index_done(index, INDEX_NEXT);
	return err == 0 ? found : damaged(index, "an entry is damaged");
}

static int64_t tree_count(void *owner, uint64_t directory)
{
	const struct index_of *of = owner;
	struct index *index = of->index;
	uint8_t key[INDEX_PREFIX_BYTES], end[INDEX_PREFIX_BYTES];
	int64_t count = index_begin(index);
	int found;

	if (count != 0)
		return count;
	bind_directory(index, INDEX_COUNT,
		       bytes_of(key, index_put_place(key, of->tree, directory, (struct bytes){0})),
		       end);
	found = index_step(index, INDEX_COUNT);
	if (found > 0)
		count = sqlite3_column_int64(index->statement[INDEX_COUNT], 0);
	index_done(index, INDEX_COUNT);
	return found < 0 ? found : count;
}

static int tree_put(void *owner, uint64_t directory, struct bytes name,
		    const struct settle_node *node)
{
	const struct index_of *of = owner;
	uint8_t place[INDEX_PLACE_BYTES], encoded[INDEX_NODE_BYTES];
	struct index_op op = {.kind = INDEX_OP_PUT, .number = node->inode};

	if (name.len > CHANGE_NAME_BYTES)
		return ERR_TOO_LONG;
	op.a = bytes_of(place, index_put_place(place, of->tree, directory, name));
	op.b = bytes_of(encoded, index_put_node(encoded, op.a, node));
	return index_change(of->index, &op);
}

static int tree_remove(void *owner, uint64_t directory, struct bytes name)
{
	const struct index_of *of = owner;
	uint8_t place[INDEX_PLACE_BYTES];
	struct index_op op = {.kind = INDEX_OP_REMOVE};

	if (name.len > CHANGE_NAME_BYTES)
		return 0;
	op.a = bytes_of(place, index_put_place(place, of->tree, directory, name));
	return index_change(of->index, &op);
}

const struct settle_index index_of_tree = {
	.find = tree_find,
	.find_inode = tree_find_inode,
	.next = tree_next,
	.count = tree_count,
	.put = tree_put,
	.remove = tree_remove,
};
