/* A list threaded through the free blocks; those never taken are counted, not listed, so that
 * memory which nobody needed is never touched. */
#include "proto/blocks.h"

#include <string.h>

void blocks_init(struct blocks *b, void *memory, size_t block_bytes, size_t count)
{
	*b = (struct blocks){.memory = memory, .block_bytes = block_bytes, .count = count};
}

void *blocks_take(struct blocks *b)
{
	void *block = b->free;

	if (block != NULL)
		memcpy(&b->free, block, sizeof(b->free));
	else if (b->fresh < b->count)
		block = b->memory + b->fresh++ * b->block_bytes;
	else
		return NULL;
	b->taken++;
	return block;
}

void blocks_give(struct blocks *b, void *block)
{
	if (block == NULL)
		return;
	memcpy(block, &b->free, sizeof(b->free));
	b->free = block;
	b->taken--;
}
