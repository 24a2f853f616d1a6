/* How often each value came, in constant memory however many come: exact below HISTOGRAM_EXACT,
 * above it to one part in 32,768. Zeroed, it is empty; 7 MB of address space, touched as used. */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stdint.h>

enum {
	HISTOGRAM_EXACT_BITS = 16,
	HISTOGRAM_EXACT = 1 << HISTOGRAM_EXACT_BITS,
	HISTOGRAM_PARTS = HISTOGRAM_EXACT / 2, /* of each power of two above */
	HISTOGRAM_BITS = 40,                   /* all values of more are as one */
	HISTOGRAM_BUCKETS = HISTOGRAM_EXACT +
			    (HISTOGRAM_BITS - HISTOGRAM_EXACT_BITS) * HISTOGRAM_PARTS + 1,
};

struct histogram {
	uint64_t count;
	uint64_t least, most; /* exact; of an empty one 0 */
	uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The smallest value that so many of a thousand values do not exceed (nearest rank): 500 is the
 * median, 1000 the greatest; 0 when it is empty. `per_mille` up to 1000. */
uint64_t histogram_quantile(const struct histogram *h, unsigned per_mille);

#endif
