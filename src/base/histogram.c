/* A histogram of log-linear buckets: each power of two has the same number of them, as a
 * floating-point number has the same digits whatever its exponent. Source: G. Tene's HdrHistogram,
 * for the idea. */
#include "base/histogram.h"

static unsigned bucket_of(uint64_t value)
{
	unsigned power;

	if (value < HISTOGRAM_EXACT)
		return (unsigned)value;
	if (value >> HISTOGRAM_BITS)
		return HISTOGRAM_BUCKETS - 1;
	power = 64 - HISTOGRAM_EXACT_BITS - (unsigned)__builtin_clzll(value);
	return power * HISTOGRAM_PARTS + (unsigned)(value >> power);
}

/* The greatest value that falls into it. */
static uint64_t bucket_most(unsigned bucket)
{
	unsigned power = bucket < HISTOGRAM_EXACT ? 0 : bucket / HISTOGRAM_PARTS - 1;

	return ((uint64_t)(bucket - power * HISTOGRAM_PARTS + 1) << power) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
	if (h->count == 0 || value < h->least)
		h->least = value;
	if (value > h->most)
		h->most = value;
	h->count++;
	h->bucket[bucket_of(value)]++;
}

uint64_t histogram_quantile(const struct histogram *h, unsigned per_mille)
{
	uint64_t rank = h->count / 1000 * per_mille + (h->count % 1000 * per_mille + 999) / 1000;
	unsigned bucket = bucket_of(h->least);
	uint64_t seen = 0, value;

	if (h->count == 0)
		return 0;
	if (rank == 0)
		rank = 1;
	while ((seen += h->bucket[bucket]) < rank)
		bucket++;
	value = bucket == HISTOGRAM_BUCKETS - 1 ? h->most : bucket_most(bucket);
	if (value < h->least)
		return h->least;
	return value < h->most ? value : h->most;
}
