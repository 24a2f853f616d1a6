/* A count that one thread adds to and any thread reads: exact for its own thread, recent for the
 * others, and no dearer than a plain addition. */
#ifndef BASE_COUNT_H
#define BASE_COUNT_H

#include <stdatomic.h>
#include <stdint.h>

struct count {
	_Atomic uint64_t n;
};

static inline void count_add(struct count *c, uint64_t n)
{
	uint64_t was = atomic_load_explicit(&c->n, memory_order_relaxed);

	atomic_store_explicit(&c->n, was + n, memory_order_relaxed);
}

static inline uint64_t count_of(const struct count *c)
{
	return atomic_load_explicit(&c->n, memory_order_relaxed);
}

#endif
