/* Where a file is written that is to be there whole or not at all.
 *
 *   file ──► whole_find ──► path: a regular file, or none yet: written under another name beside it
 *                                 (whole_open), renamed to `path` once it is whole
 *                           in place: a device, a pipe, a socket's file: written to as it is */
#ifndef COMMAND_WHOLE_H
#define COMMAND_WHOLE_H

#include <stdbool.h>
#include <stddef.h>

enum { WHOLE_PATH_BYTES = 4096 };

/* What `file` stands for, links followed, into `path`, WHOLE_PATH_BYTES, without a change to
 * anything. 0, or ERR_TOO_LONG. */
int whole_find(char *path, const char *file, bool *in_place);

/* Opens `part` for writing, with `flags` beside, with the owner of `path` and no more rights than
 * it has, where it exists. The descriptor, or an ERR_. */
int whole_open(const char *path, const char *part, int flags);

#endif
