/* The directories that a source is told of: entries of one size in one array, and two tables of
 * their places, open addressing, linear probing, removal by shifting back (Knuth 6.4, algorithm R).
 * A million directories take 32 MiB with watch descriptors, 40 MiB with ext4's handles. */
#include "kernel/source_parts.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>

enum { FIRST_CAP = 64 };

static struct source_entry *entry_at(const struct source_set *set, uint32_t i)
{
	return (struct source_entry *)(void *)(set->entries + (size_t)i * set->stride);
}

static uint32_t index_of(const struct source_set *set, const struct source_entry *entry)
{
	return (uint32_t)((size_t)((const uint8_t *)entry - set->entries) / set->stride);
}

static uint32_t hash_inode(const struct source_set *set, uint64_t inode)
{
	return (uint32_t)source_mix(inode ^ set->seed);
}

static uint32_t hash_key(const struct source_set *set, const uint8_t *key)
{
	uint64_t h = set->seed;

	for (unsigned i = 0; i < set->key_bytes; i += 4)
		h = source_mix(h ^ bytes_get_le32(key + i));
	return (uint32_t)h;
}

static uint32_t hash_of(const struct source_set *set, const uint32_t *table, uint32_t slot)
{
	const struct source_entry *entry = entry_at(set, table[slot] - 1);

	return table == set->by_key ? hash_key(set, entry->key) : hash_inode(set, entry->inode);
}

static void table_add(const struct source_set *set, uint32_t *table, uint32_t hash, uint32_t i)
{
	uint32_t slot = hash & set->mask;

	while (table[slot] != 0)
		slot = (slot + 1) & set->mask;
	table[slot] = i + 1;
}

static void table_remove(const struct source_set *set, uint32_t *table, uint32_t hash, uint32_t i)
{
	uint32_t hole = hash & set->mask, next;

	while (table[hole] != i + 1)
		hole = (hole + 1) & set->mask;
	for (next = (hole + 1) & set->mask; table[next] != 0; next = (next + 1) & set->mask) {
		uint32_t home = hash_of(set, table, next) & set->mask;

		if (((next - home) & set->mask) < ((next - hole) & set->mask))
			continue;
		table[hole] = table[next];
		hole = next;
	}
	table[hole] = 0;
}

static void fill_tables(struct source_set *set)
{
	for (uint32_t i = 0; i < set->used; i++) {
		const struct source_entry *entry = entry_at(set, i);

		if ((entry->flags & SOURCE_ENTRY_USED) == 0)
			continue;
		table_add(set, set->by_inode, hash_inode(set, entry->inode), i);
		if (entry->flags & SOURCE_ENTRY_KEYED)
			table_add(set, set->by_key, hash_key(set, entry->key), i);
	}
}

/* Room for `cap` entries, and tables that they fill to two thirds at most. */
static int grow(struct source_set *set, uint32_t cap)
{
	uint32_t size = FIRST_CAP;
	uint8_t *entries = realloc(set->entries, (size_t)cap * set->stride);
	uint32_t *by_inode, *by_key;

	if (entries == NULL)
		return ERR_MEMORY;
	set->entries = entries;
	while (size / 3 * 2 < cap)
		size *= 2;
	if (size == set->mask + 1) {
		set->cap = cap;
		return 0;
	}
	by_inode = calloc(size, sizeof(*by_inode));
	by_key = calloc(size, sizeof(*by_key));
	if (by_inode == NULL || by_key == NULL) {
		free(by_inode);
		free(by_key);
		return ERR_MEMORY;
	}
	free(set->by_inode);
	free(set->by_key);
	set->by_inode = by_inode;
	set->by_key = by_key;
	set->mask = size - 1;
	set->cap = cap;
	fill_tables(set);
	return 0;
}

int source_set_init(struct source_set *set, unsigned key_bytes)
{
	*set = (struct source_set){.free = UINT32_MAX};
	set->key_bytes = (key_bytes + 3) & ~3u;
	set->stride = (unsigned)(offsetof(struct source_entry, key) + set->key_bytes + 7) & ~7u;
	if (getrandom(&set->seed, sizeof(set->seed), GRND_NONBLOCK) < 0)
		set->seed = (uintptr_t)set;
	return grow(set, FIRST_CAP);
}

void source_set_free(struct source_set *set)
{
	free(set->entries);
	free(set->by_inode);
	free(set->by_key);
	*set = (struct source_set){0};
}

struct source_entry *source_set_find(const struct source_set *set, uint64_t inode)
{
	if (set->count == 0)
		return NULL;
	for (uint32_t slot = hash_inode(set, inode) & set->mask; set->by_inode[slot] != 0;
	     slot = (slot + 1) & set->mask) {
		struct source_entry *entry = entry_at(set, set->by_inode[slot] - 1);

		if (entry->inode == inode)
			return entry;
	}
	return NULL;
}

struct source_entry *source_set_find_key(const struct source_set *set, const void *key)
{
	if (set->count == 0)
		return NULL;
	for (uint32_t slot = hash_key(set, key) & set->mask; set->by_key[slot] != 0;
	     slot = (slot + 1) & set->mask) {
		struct source_entry *entry = entry_at(set, set->by_key[slot] - 1);

		if (memcmp(entry->key, key, set->key_bytes) == 0)
			return entry;
	}
	return NULL;
}

static void take_key(struct source_set *set, struct source_entry *entry)
{
	if (entry->flags & SOURCE_ENTRY_KEYED) {
		table_remove(set, set->by_key, hash_key(set, entry->key), index_of(set, entry));
		entry->flags &= ~(uint32_t)SOURCE_ENTRY_KEYED;
		set->polled++;
	}
}

static int add(struct source_set *set, uint64_t inode, struct source_entry **entry)
{
	uint32_t i = set->free;
	int err = i == UINT32_MAX && set->used == set->cap ? grow(set, set->cap + set->cap / 2) : 0;

	if (err != 0)
		return err;
	if (i == UINT32_MAX)
		i = set->used++;
	else
		set->free = (uint32_t)entry_at(set, i)->inode;
	*entry = entry_at(set, i);
	(*entry)->inode = inode;
	(*entry)->flags = SOURCE_ENTRY_USED;
	table_add(set, set->by_inode, hash_inode(set, inode), i);
	set->count++;
	set->polled++;
	return 0;
}

int source_set_put(struct source_set *set, uint64_t inode, const void *key)
{
	struct source_entry *entry = source_set_find(set, inode), *other;
	int err = entry == NULL ? add(set, inode, &entry) : 0;

	if (err != 0)
		return err;
	other = key != NULL ? source_set_find_key(set, key) : NULL;
	if (other == entry)
		return 0;
	if (other != NULL) /* what had this key before is no more */
		take_key(set, other);
	take_key(set, entry);
	if (key == NULL)
		return 0;
	memcpy(entry->key, key, set->key_bytes);
	entry->flags |= SOURCE_ENTRY_KEYED;
	set->polled--;
	table_add(set, set->by_key, hash_key(set, entry->key), index_of(set, entry));
	return 0;
}

void source_set_remove(struct source_set *set, struct source_entry *entry)
{
	uint32_t i = index_of(set, entry);

	take_key(set, entry);
	table_remove(set, set->by_inode, hash_inode(set, entry->inode), i);
	entry->flags = 0;
	entry->inode = set->free; /* the next one free */
	set->free = i;
	set->count--;
	set->polled--;
}

struct source_entry *source_set_next_polled(const struct source_set *set, uint32_t *at)
{
	while (*at < set->used) {
		struct source_entry *entry = entry_at(set, (*at)++);

		if ((entry->flags & (SOURCE_ENTRY_USED | SOURCE_ENTRY_KEYED)) == SOURCE_ENTRY_USED)
			return entry;
	}
	return NULL;
}
