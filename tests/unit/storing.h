/* What tests of the store share: a directory of the test's own, a disk that is full, records,
 * damage and processes that are killed. */
#ifndef TESTS_UNIT_STORING_H
#define TESTS_UNIT_STORING_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/change.h"

/* A new directory, gone at the end of the program. */
const char *storing_directory(void);
/* A path in it; eight of them stand at a time. */
const char *storing_path(const char *name);

/* A directory on a disk of so many KiB, or NULL: this system does not let us. */
const char *storing_disk(unsigned kib);
/* Takes all of its room, and gives it back. */
bool storing_fill(void);
void storing_free(void);

/* A seed of the run's own, or PRISE_SEED's; the random numbers that follow from it. */
uint64_t storing_seed(void);
uint64_t storing_random(uint64_t *seed, uint64_t below);

/* The record of a change number `n`, of which the same is always made: its length. */
size_t storing_record(uint8_t *record, uint64_t n);
struct change storing_change(uint64_t n, char path[64]);

long storing_size(const char *path);
bool storing_cut(const char *path, long size);
/* Flips the bit of that number. */
bool storing_flip(const char *path, uint64_t bit);
bool storing_copy(const char *from, const char *to);

/* Has another handle do `sql` to the database of that name. */
void storing_do(const char *name, const char *sql);

/* Runs `child`, which never ends by itself, in a process of its own that dies after `us`
 * microseconds wherever it is, and returns the last number that it said (0: none; UINT64_MAX: it
 * ended in another way). */
uint64_t storing_kill(void (*child)(int fd, void *context), void *context, unsigned us);
/* What a child says: that `number` is done. */
void storing_say(int fd, uint64_t number);

#endif
