/* The ring. A line's text is always in one piece: what does not fit behind the last one begins
 * again at the front.
 *
 *   text   [ 7 | 8 |    free    | 4 | 5 | 6 | ...]
 *                   ▲ at         ▲ oldest
 *
 * The oldest lines go until the new one fits, both in number and in length. */
#include "proto/stream_ring.h"

#include <assert.h>

void stream_ring_init(struct stream_ring *ring, struct stream_line *lines, unsigned most,
		      uint8_t *text, size_t text_bytes)
{
	*ring = (struct stream_ring){
		.most = most, .line = lines, .text_bytes = text_bytes, .text = text};
}

uint64_t stream_ring_oldest(const struct stream_ring *ring)
{
	return ring->newest - ring->count + 1;
}

static struct stream_line *ring_slot(const struct stream_ring *ring, uint64_t number)
{
	return &ring->line[number % ring->most];
}

/* Drops the oldest lines that stand in [from, to). */
static void ring_clear(struct stream_ring *ring, size_t from, size_t to)
{
	while (ring->count) {
		const struct stream_line *oldest = ring_slot(ring, stream_ring_oldest(ring));

		if (oldest->at >= to || oldest->at + oldest->len <= from)
			return;
		ring->count--;
	}
}

uint64_t stream_ring_put(struct stream_ring *ring, struct bytes line)
{
	struct stream_line *slot;

	assert(line.len > 0 && line.len <= ring->text_bytes / 2);
	if (ring->count == ring->most)
		ring->count--;
	if (line.len > ring->text_bytes - ring->at) {
		/* What is left behind the end would otherwise be older than what follows it. */
		ring_clear(ring, ring->at, ring->text_bytes);
		ring->at = 0;
	}
	ring_clear(ring, ring->at, ring->at + line.len);
	slot = ring_slot(ring, ++ring->newest);
	*slot = (struct stream_line){.at = ring->at, .len = (uint32_t)line.len};
	memcpy(ring->text + ring->at, line.data, line.len);
	ring->at += line.len;
	ring->count++;
	return ring->newest;
}

struct bytes stream_ring_line(const struct stream_ring *ring, uint64_t number)
{
	const struct stream_line *line = ring_slot(ring, number);

	assert(number <= ring->newest && number >= stream_ring_oldest(ring));
	return bytes_of(ring->text + line->at, line->len);
}
