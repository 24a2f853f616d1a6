/* A moment in the past as people write it. */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H

#include "base/moment.h"

/* `10m`, `2h`, `1d`: so long before `now`; `2026-11-22`: when that day began here;
 * `2026-11-22T09:05:07`, with or without a fraction (RFC 3339; a space may stand for T): here,
 * unless `Z` or `+01:00` follows. Microseconds since 1970, UTC. 0, ERR_SYNTAX, or ERR_RANGE for a
 * day that there is none. Where clocks stand here at a moment, in seconds east, `offset_s` says:
 * they are put forward and back. */
int when_parse(struct bytes b, const struct moment *now, int32_t (*offset_s)(int64_t wall_us),
	       int64_t *wall_us);

#endif
