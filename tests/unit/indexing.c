/* An index in memory (indexing.h): entries in order of directory and name. */
#include "indexing.h"

static int compare_name(struct bytes a, struct bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Where the entry is, or would be. */
static unsigned place_of(const struct indexing *x, uint64_t directory, struct bytes name,
			 bool *found)
{
	unsigned low = 0, high = x->count;

	*found = false;
	while (low < high && !*found) {
		unsigned middle = (low + high) / 2;
		const struct settle_place *at = &x->entries[middle].at;
		int order = directory != at->directory
				    ? (directory > at->directory ? 1 : -1)
				    : compare_name(name, bytes_of(at->name, at->len));

		*found = order == 0;
		if (order > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return *found ? high : low;
}

static int index_find(void *owner, uint64_t directory, struct bytes name, struct settle_node *node)
{
	struct indexing *x = owner;
	bool found;
	unsigned i = place_of(x, directory, name, &found);

	if (found)
		*node = x->entries[i].node;
	return found;
}

static int index_find_inode(void *owner, uint64_t inode, unsigned nth, struct settle_place *place,
			    struct settle_node *node)
{
	struct indexing *x = owner;

	for (unsigned i = 0; i < x->count; i++)
		if (x->entries[i].node.inode == inode && nth-- == 0) {
			*place = x->entries[i].at;
			*node = x->entries[i].node;
			return 1;
		}
	return 0;
}

static int index_next(void *owner, uint64_t directory, struct bytes after,
		      struct settle_place *place, struct settle_node *node)
{
	struct indexing *x = owner;
	bool found;
	unsigned i = place_of(x, directory, after, &found);

	i += found;
	if (i == x->count || x->entries[i].at.directory != directory)
		return 0;
	*place = x->entries[i].at;
	*node = x->entries[i].node;
	return 1;
}

static int64_t index_count(void *owner, uint64_t directory)
{
	struct indexing *x = owner;
	int64_t count = 0;

	for (unsigned i = 0; i < x->count; i++)
		count += x->entries[i].at.directory == directory;
	return count;
}

static int index_put(void *owner, uint64_t directory, struct bytes name,
		     const struct settle_node *node)
{
	struct indexing *x = owner;
	bool found;
	unsigned i = place_of(x, directory, name, &found);
	struct indexing_entry *e = &x->entries[i];

	if (!found) {
		if (x->count == INDEXING_ENTRIES)
			return ERR_FULL;
		memmove(e + 1, e, (x->count++ - i) * sizeof(*e));
		e->at = (struct settle_place){.directory = directory, .len = (uint8_t)name.len};
		memcpy(e->at.name, name.len > 0 ? (const void *)name.data : "", name.len);
	}
	e->node = *node;
	return 0;
}

static int index_remove(void *owner, uint64_t directory, struct bytes name)
{
	struct indexing *x = owner;
	bool found;
	unsigned i = place_of(x, directory, name, &found);
	struct indexing_entry *e = &x->entries[i];

	if (found)
		memmove(e, e + 1, (--x->count - i) * sizeof(*e));
	return 0;
}

const struct settle_index indexing = {.find = index_find,
				      .find_inode = index_find_inode,
				      .next = index_next,
				      .count = index_count,
				      .put = index_put,
				      .remove = index_remove};
