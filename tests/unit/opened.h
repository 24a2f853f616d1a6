/* One index that is open, for the tests of what it holds and of its spool. */
#ifndef TESTS_OPENED_H
#define TESTS_OPENED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/index.h"
#include "storing.h"

extern const struct settle_index *const on;
extern struct index *ix;
extern struct index_of of; /* a tree in it */
extern struct index_found found;
extern char why[256];

/* Opens the file of that name: as it is; one that is not there yet, with a tree. */
void opened_again(const char *name);
void opened_new(const char *name);

/* The newest number. */
uint64_t opened_commit(void);

struct settle_node opened_node(uint64_t inode);
void opened_put(uint64_t directory, const char *name, uint64_t inode);

/* The number of the record `n` (storing_record). */
uint64_t opened_append(uint64_t n);

#endif
