/* Chunks are mapped at multiples of their own size, so that an object's address says where its
 * chunk begins:
 *
 *     | chunk | object | object | object |  never used yet  |
 *     ^ multiple of chunk_bytes          ^ fresh
 *
 * Free objects that were used once are a list threaded through them; those from `fresh` on are
 * still as the system mapped them, zero, and cost no memory until taken. mmap(2), not malloc(3):
 * what is given back goes back to the system at once, whatever lies around it. */
#include "base/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_ASAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define SLAB_ASAN
#endif

#ifdef SLAB_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#endif

struct slab_free {
	struct slab_free *next;
};

struct slab_chunk {
	struct slab_chunk *next, **link;
	struct slab_free *free;
	unsigned taken;
	unsigned fresh; /* objects from here on were never taken */
};

enum { CHUNK_BYTES = 64 * 1024, HEADER_BYTES = 64 };

_Static_assert(sizeof(struct slab_chunk) <= HEADER_BYTES, "objects begin behind the header");

void slab_init(struct slab *s, size_t object_bytes)
{
	size_t bytes = (object_bytes + 15) & ~(size_t)15;

	assert(object_bytes > 0 && object_bytes <= 1024 * 1024);
	*s = (struct slab){.object_bytes = bytes, .chunk_bytes = CHUNK_BYTES};
	while (s->chunk_bytes - HEADER_BYTES < bytes)
		s->chunk_bytes *= 2;
	s->per_chunk = (unsigned)((s->chunk_bytes - HEADER_BYTES) / bytes);
}

/* For AddressSanitizer: objects not taken are out of bounds. */
static void forbid(void *at, size_t len)
{
#ifdef SLAB_ASAN
	__asan_poison_memory_region(at, len);
#endif
}

static void allow(void *at, size_t len)
{
#ifdef SLAB_ASAN
	__asan_unpoison_memory_region(at, len);
#endif
}

/* For LeakSanitizer: objects may hold the only pointer to other memory. */
static void set_root(void *at, size_t len, bool root)
{
#ifdef SLAB_ASAN
	if (root)
		__lsan_register_root_region(at, len);
	else
		__lsan_unregister_root_region(at, len);
#endif
}

static void push(struct slab_chunk **list, struct slab_chunk *c)
{
	c->next = *list;
	c->link = list;
	if (c->next)
		c->next->link = &c->next;
	*list = c;
}

static void unlink_chunk(struct slab_chunk *c)
{
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
}

/* Maps twice the size and gives back what lies before and behind the aligned half. */
static struct slab_chunk *map_chunk(size_t bytes)
{
	uint8_t *at = mmap(NULL, 2 * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
	size_t before;

	if (at == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)at & (bytes - 1);
	if (before > 0)
		munmap(at, before);
	munmap(at + before + bytes, bytes - before);
	at += before;
	forbid(at + HEADER_BYTES, bytes - HEADER_BYTES);
	set_root(at, bytes, true);
	return (struct slab_chunk *)(void *)at;
}

static void unmap_chunk(struct slab_chunk *c, size_t bytes)
{
	set_root(c, bytes, false);
	allow(c, bytes);
	munmap(c, bytes);
}

/* A chunk with room, made if need be; NULL when the system has no memory. */
static struct slab_chunk *chunk_with_room(struct slab *s)
{
	struct slab_chunk *c = s->partial;

	if (c)
		return c;
	c = s->spare ? s->spare : map_chunk(s->chunk_bytes);
	s->spare = NULL;
	if (c)
		push(&s->partial, c);
	return c;
}

void *slab_take(struct slab *s)
{
	struct slab_chunk *c = chunk_with_room(s);
	void *object;

	if (!c)
		return NULL;
	if (c->free) {
		object = c->free;
		allow(object, s->object_bytes);
		c->free = c->free->next;
		memset(object, 0, s->object_bytes);
	} else {
		object = (uint8_t *)c + HEADER_BYTES + c->fresh++ * s->object_bytes;
		allow(object, s->object_bytes);
	}
	if (++c->taken == s->per_chunk) {
		unlink_chunk(c);
		push(&s->full, c);
	}
	s->taken++;
	return object;
}

void slab_give(struct slab *s, void *object)
{
	uintptr_t offset = (uintptr_t)object & (s->chunk_bytes - 1);
	struct slab_chunk *c = (struct slab_chunk *)(void *)((uint8_t *)object - offset);
	struct slab_free *free_object = object;

	assert((offset - HEADER_BYTES) % s->object_bytes == 0 && c->taken > 0);
	if (c->taken-- == s->per_chunk) {
		unlink_chunk(c);
		push(&s->partial, c);
	}
	free_object->next = c->free;
	c->free = free_object;
	forbid(object, s->object_bytes);
	s->taken--;
	if (c->taken > 0)
		return;
	unlink_chunk(c);
	if (s->spare)
		unmap_chunk(c, s->chunk_bytes);
	else
		s->spare = c;
}

static void unmap_all(struct slab_chunk *list, size_t bytes)
{
	while (list) {
		struct slab_chunk *next = list->next;

		unmap_chunk(list, bytes);
		list = next;
	}
}

void slab_end(struct slab *s)
{
	unmap_all(s->partial, s->chunk_bytes);
	unmap_all(s->full, s->chunk_bytes);
	if (s->spare)
		unmap_chunk(s->spare, s->chunk_bytes);
	s->partial = s->full = s->spare = NULL;
	s->taken = 0;
}
