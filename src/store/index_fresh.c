/* Entries that surely are new (index_filter.c), a few at a time: sixteen rows in one statement cost
 * SQLite less than sixteen statements. They wait here until there are as many, or something else is
 * done that may be about them; they are in the transaction's list (index_redo.c) already. */
#include "store/index_parts.h"

#include <sqlite3.h>

static int run_one(struct index *index, const struct index_fresh *fresh)
{
	int err;

	index_bind(index, INDEX_FRESH_PUT, 1, bytes_of(fresh->place, fresh->place_len));
	index_bind(index, INDEX_FRESH_PUT, 2, bytes_of(fresh->node, fresh->node_len));
	err = index_run(index, INDEX_FRESH_PUT);
	if (err != 0)
		return err;
	index_bind(index, INDEX_FRESH_LINK_PUT, 1, bytes_of(fresh->link, fresh->place_len + 8));
	return index_run(index, INDEX_FRESH_LINK_PUT);
}

static int run_all(struct index *index)
{
	int err;

	for (int i = 0; i < INDEX_FRESH; i++) {
		const struct index_fresh *fresh = &index->fresh[i];

		index_bind(index, INDEX_FRESH_PUT_ALL, 2 * i + 1,
			   bytes_of(fresh->place, fresh->place_len));
		index_bind(index, INDEX_FRESH_PUT_ALL, 2 * i + 2,
			   bytes_of(fresh->node, fresh->node_len));
		index_bind(index, INDEX_FRESH_LINK_PUT_ALL, i + 1,
			   bytes_of(fresh->link, fresh->place_len + 8));
	}
	err = index_run(index, INDEX_FRESH_PUT_ALL);
	return err == 0 ? index_run(index, INDEX_FRESH_LINK_PUT_ALL) : err;
}

int index_fresh_write(struct index *index)
{
	unsigned count = index->fresh_count;
	int err = 0;

	index->fresh_count = 0;
	if (count == INDEX_FRESH)
		return run_all(index);
	for (unsigned i = 0; i < count && err == 0; i++)
		err = run_one(index, &index->fresh[i]);
	return err;
}

/* What is asked for most must not make many statements of a few rows. */
int index_fresh_ask(struct index *index, struct bytes key)
{
	for (unsigned i = 0; i < index->fresh_count; i++) {
		const struct index_fresh *fresh = &index->fresh[i];

		if (bytes_equal(key, bytes_of(fresh->place, fresh->place_len)) ||
		    bytes_equal(key, bytes_of(fresh->link, INDEX_PREFIX_BYTES)))
			return index_fresh_write(index);
	}
	return 0;
}

int index_fresh_put(struct index *index, struct bytes place, struct bytes node, uint64_t inode)
{
	struct index_fresh *fresh = &index->fresh[index->fresh_count++];
	struct bytes link = bytes_of(fresh->link, index_put_link(fresh->link, place, inode));

	memcpy(fresh->place, place.data, place.len);
	memcpy(fresh->node, node.data, node.len);
	fresh->place_len = (uint16_t)place.len;
	fresh->node_len = (uint16_t)node.len;
	index_filter_add(&index->filter, link, true);
	return index->fresh_count == INDEX_FRESH ? index_fresh_write(index) : 0;
}
