/* For tests of the settler on real trees: an index in memory, of a few thousand entries. */
#ifndef TESTS_UNIT_INDEXING_H
#define TESTS_UNIT_INDEXING_H

#include "proto/settle.h"

enum { INDEXING_ENTRIES = 8192 };

struct indexing_entry {
	struct settle_place at;
	struct settle_node node;
};

/* Zeroed, it is empty. */
struct indexing {
	struct indexing_entry entries[INDEXING_ENTRIES];
	unsigned count;
};

/* With a struct indexing as owner; ERR_FULL when there is no more room. */
extern const struct settle_index indexing;

#endif
