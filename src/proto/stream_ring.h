/* The last lines of something that goes on: each gets the next number, from 1, and stays until
 * there are too many of them or their text is too long. Pure; whoever shares it between threads
 * guards it. */
#ifndef PROTO_STREAM_RING_H
#define PROTO_STREAM_RING_H

#include "base/bytes.h"

struct stream_line {
	size_t at;
	uint32_t len;
};

struct stream_ring {
	uint64_t newest; /* number of the newest line; 0: there was none */
	unsigned count;  /* lines held */
	unsigned most;
	struct stream_line *line; /* number N stands at N % most */
	size_t at;                /* where in `text` the next line may begin */
	size_t text_bytes;
	uint8_t *text;
};

/* Over memory of the caller's: room for `most` lines and `text_bytes` of their text, touched as it
 * is used. */
void stream_ring_init(struct stream_ring *ring, struct stream_line *lines, unsigned most,
		      uint8_t *text, size_t text_bytes);

/* Keeps a copy of the line, of at most half of text_bytes, and returns its number. */
uint64_t stream_ring_put(struct stream_ring *ring, struct bytes line);

/* The number of the oldest line held; newest + 1 when there is none. */
uint64_t stream_ring_oldest(const struct stream_ring *ring);

/* Line `number`, which is held: oldest <= number <= newest. Valid until the next put. */
struct bytes stream_ring_line(const struct stream_ring *ring, uint64_t number);

#endif
