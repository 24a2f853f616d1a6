/* What the index surely does not have: a filter over its places and inodes, so that a new name
 * costs no look into the tables. It never says no of what is there; of what is not it says yes once
 * in some hundred times. What leaves the index stays in the filter, until that has become too many
 * and is read anew.
 *
 * A split block filter (Bloom 1970; Putze, Sanders, Singler 2007): a key sets a bit in each of the
 * eight words of one block. A layer that is full stays, and another of twice the size takes what
 * comes then: 16 bits a key, of which an entry has two. Without memory anything may be there. */
#include "store/index_parts.h"

#include <sqlite3.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
	FILTER_WORDS = 8,
	FILTER_KEYS_A_BLOCK = 16,
	FILTER_BLOCKS_FIRST = 256,
	FILTER_KEYS_LEAST = 65536, /* before it is read anew */
	FILTER_SHARE = 4,          /* and so many times what the index has */
};

struct index_filter_block {
	uint32_t word[FILTER_WORDS];
};

static const uint32_t salt[FILTER_WORDS] = {0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d,
					    0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31};

/* Names are anybody's to choose: a seed of its own keeps them from meeting in one block. */
static uint64_t hash_of(const struct index_filter *filter, struct bytes key)
{
	uint64_t h = filter->seed ^ key.len, word = 0;

	for (; key.len >= 8; key = bytes_after(key, 8)) {
		h = (h ^ bytes_get_le64(key.data)) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	for (size_t i = 0; i < key.len; i++)
		word = word << 8 | key.data[i];
	h = (h ^ word) * 0xc4ceb9fe1a85ec53u;
	h = (h ^ h >> 32) * 0xff51afd7ed558ccdu;
	return h ^ h >> 33;
}

static struct index_filter_block *block_of(const struct index_filter_layer *layer, uint64_t hash)
{
	return &layer->block[(hash >> 32) & (layer->blocks - 1)];
}

static bool block_has(const struct index_filter_block *block, uint32_t hash)
{
	for (unsigned i = 0; i < FILTER_WORDS; i++)
		if (!(block->word[i] >> (hash * salt[i] >> 27) & 1))
			return false;
	return true;
}

static struct index_filter_layer *add_layer(struct index_filter *filter)
{
	struct index_filter_layer *layer = &filter->layer[filter->layers];
	uint32_t blocks = filter->layers > 0 ? 2 * layer[-1].blocks : FILTER_BLOCKS_FIRST;

	if (filter->layers == INDEX_FILTER_LAYERS)
		return NULL;
	layer->block = aligned_alloc(sizeof(*layer->block), blocks * sizeof(*layer->block));
	if (layer->block == NULL)
		return NULL;
	memset(layer->block, 0, blocks * sizeof(*layer->block));
	layer->blocks = blocks;
	layer->keys = 0;
	filter->layers++;
	return layer;
}

static bool may_have(const struct index_filter *filter, uint64_t hash)
{
	for (unsigned i = filter->layers; i-- > 0;)
		if (block_has(block_of(&filter->layer[i], hash), (uint32_t)hash))
			return true;
	return filter->useless;
}

static void add(struct index_filter *filter, uint64_t hash)
{
	struct index_filter_layer *layer = NULL;
	struct index_filter_block *block;

	if (filter->layers > 0)
		layer = &filter->layer[filter->layers - 1];
	if (layer == NULL || layer->keys == (uint64_t)layer->blocks * FILTER_KEYS_A_BLOCK)
		layer = add_layer(filter);
	if (layer == NULL) {
		filter->useless = true;
		return;
	}
	block = block_of(layer, hash);
	for (unsigned i = 0; i < FILTER_WORDS; i++)
		block->word[i] |= (uint32_t)1 << ((uint32_t)hash * salt[i] >> 27);
	layer->keys++;
	filter->keys++;
}

bool index_filter_may_have(const struct index_filter *filter, struct bytes key)
{
	return may_have(filter, hash_of(filter, key));
}

void index_filter_add(struct index_filter *filter, struct bytes link, bool strange)
{
	uint8_t place[INDEX_PLACE_BYTES];
	size_t len = index_take_link(link, place);
	uint64_t inode_hash, place_hash;

	filter->useless |= len == 0;
	if (len == 0)
		return;
	inode_hash = hash_of(filter, bytes_first(link, INDEX_PREFIX_BYTES));
	place_hash = hash_of(filter, bytes_of(place, len));
	/* A new name is that of a new inode, nearly always: one more key costs less than a look. */
	if (strange || !may_have(filter, inode_hash))
		add(filter, inode_hash);
	if (strange || !may_have(filter, place_hash))
		add(filter, place_hash);
}

void index_filter_clear(struct index_filter *filter)
{
	uint64_t seed = 0;

	for (unsigned i = 0; i < filter->layers; i++)
		free(filter->layer[i].block);
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = (uintptr_t)filter;
	*filter = (struct index_filter){.seed = seed};
}

bool index_filter_is_worn(const struct index_filter *filter, uint64_t entries)
{
	return filter->keys > FILTER_KEYS_LEAST && filter->keys / FILTER_SHARE > 2 * entries;
}

void index_filter_fill(struct index *index)
{
	struct sqlite3_stmt *links = NULL;
	int status = SQLITE_ROW;

	index_filter_clear(&index->filter);
	if (database_prepare(&index->database, &links, "SELECT link FROM link") != 0)
		status = SQLITE_ERROR;
	while (status == SQLITE_ROW && (status = sqlite3_step(links)) == SQLITE_ROW) {
		struct bytes link = bytes_of(sqlite3_column_blob(links, 0),
					     (size_t)sqlite3_column_bytes(links, 0));

		index_filter_add(&index->filter, link, false);
	}
	index->filter.useless |= status != SQLITE_DONE;
	sqlite3_finalize(links);
}
