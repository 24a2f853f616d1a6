/* Objects of one size in chunks: O(1) to take and give, never moved, memory of a chunk given back
 * to the system when all of it is free, but for one that is kept for the next take. One thread. */
#ifndef BASE_SLAB_H
#define BASE_SLAB_H

#include <stddef.h>

struct slab_chunk;

struct slab {
	size_t object_bytes; /* rounded up to 16 */
	size_t chunk_bytes;  /* a power of two, and what chunks are aligned to */
	unsigned per_chunk;
	struct slab_chunk *partial; /* chunks with room */
	struct slab_chunk *full;
	struct slab_chunk *spare; /* an empty one, or NULL */
	size_t taken;
};

/* `object_bytes` up to 1 MiB. */
void slab_init(struct slab *s, size_t object_bytes);

/* Zeroed memory, aligned to 16, or NULL when the system has none. */
void *slab_take(struct slab *s);

/* `object` is one that slab_take gave and that was not given back since. */
void slab_give(struct slab *s, void *object);

/* Frees every chunk, what is still taken included. */
void slab_end(struct slab *s);

#endif
