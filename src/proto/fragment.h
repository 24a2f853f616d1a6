/* IP datagrams put together again from their fragments (RFC 791 3.2, RFC 8200 4.5), a bounded
 * number of them at a time: the oldest makes place for a new one. Of two fragments that overlap the
 * first to come counts. */
#ifndef PROTO_FRAGMENT_H
#define PROTO_FRAGMENT_H

#include "proto/frame.h"

enum { FRAGMENT_DATAGRAMS = 16, FRAGMENT_BYTES = 65536, FRAGMENT_UNIT_BYTES = 8 };

struct fragment_datagram {
	struct address source, target;
	uint32_t id;
	uint8_t protocol;
	bool taken;
	uint64_t last_used;
	size_t bytes; /* of the whole; 0 while its end is not known */
	size_t units; /* here so far */
	uint64_t here[FRAGMENT_BYTES / FRAGMENT_UNIT_BYTES / 64];
	uint8_t data[FRAGMENT_BYTES];
};

/* Some 1 MiB: zeroed before it is first used. */
struct fragments {
	uint64_t uses;
	uint64_t lost; /* datagrams that were given up */
	struct fragment_datagram datagram[FRAGMENT_DATAGRAMS];
};

/* Takes a frame of kind FRAME_FRAGMENT. When the datagram is whole now, goes on with
 * frame_decode_whole, so that `f` becomes what it carries (its payload valid until the next call),
 * and returns true. */
bool fragment_take(struct fragments *all, struct frame *f);

#endif
