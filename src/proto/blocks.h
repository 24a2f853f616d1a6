/* Blocks of one size in memory that somebody else owns: O(1) to take and give, and an end to it.
 * Where machines need more than their state, their holder says how much by giving it. */
#ifndef PROTO_BLOCKS_H
#define PROTO_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

struct blocks {
	uint8_t *memory;
	size_t block_bytes, count;
	size_t fresh; /* blocks from here on were never taken: their memory is not touched */
	size_t taken;
	void *free; /* a list through those that were given back */
};

/* `memory` of count * block_bytes, aligned to 16, outlives its use here; block_bytes is a multiple
 * of 16. */
void blocks_init(struct blocks *b, void *memory, size_t block_bytes, size_t count);

/* A block of any content, or NULL when all are taken. */
void *blocks_take(struct blocks *b);

/* `block` is one that was taken and not given back since; NULL does nothing. */
void blocks_give(struct blocks *b, void *block);

#endif
