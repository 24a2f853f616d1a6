/* TCP conversations in a capture: a table by the two ends' addresses and ports, each direction put
 * in order (reassembly.h), HTTP read on top (exchange.h).
 *
 *   frames ──► conversation_take ──► runs of both ways ──► exchanges
 *
 * All memory is the holder's, one piece whose size follows from the limits. When the table is full
 * a conversation that is over makes place, or else the one that was silent for longest, which is
 * finished first. */
#ifndef PROTO_CONVERSATION_H
#define PROTO_CONVERSATION_H

#include "proto/exchange.h"
#include "proto/frame.h"

struct conversation_limits {
	size_t conversations; /* at a time */
	size_t exchanges;     /* at a time */
	size_t small_blocks;  /* EXCHANGE_SMALL_BYTES each: heads, segments that wait */
	size_t large_blocks;  /* EXCHANGE_LARGE_BYTES each: long heads */
};

struct conversation {
	struct conversation *chain;         /* in its bucket */
	struct conversation *newer, *older; /* by their last frame */
	uint64_t hash;
	bool over;                /* both ended, or reset */
	bool told[2];             /* that a way ended */
	struct reassembly way[2]; /* 0 is from talk.end[0] */
	struct exchange_talk talk;
};

struct conversation_sink {
	struct exchange_sink exchange;
	/* What comes next on a way, or is missing there. May be NULL. */
	void (*run)(void *owner, const struct conversation *c, unsigned way,
		    const struct reassembly_run *run);
	void *owner;
};

struct conversations {
	struct conversation_sink sink;
	uint64_t seed;
	uint64_t count;  /* so far: the number of the last one */
	uint64_t forced; /* finished only because the table was full */
	size_t over;     /* of those in the table */
	uint64_t frame;  /* the last one */
	int64_t time_ns;
	struct conversation **bucket;
	size_t bucket_mask;
	struct blocks blocks;
	struct conversation *newest, *oldest;           /* those that live */
	struct conversation *over_newest, *over_oldest; /* those that are over */
	struct exchange_memory memory;
};

/* What became of a frame. */
struct conversation_view {
	uint64_t number;
	enum reassembly_order order; /* of its data; IN_ORDER where there is none */
	bool begun[2];               /* whether the bases are known: of its own way, the other */
	uint32_t base[2];            /* the numbers of the SYNs, or those before the first byte */
};

/* How much memory these limits want. */
size_t conversation_bytes(const struct conversation_limits *limits);

/* `memory` of conversation_bytes(limits), zeroed, aligned to 16; it outlives the table. `seed` is
 * random, so that nobody can fill one bucket. */
void conversation_begin(struct conversations *all, void *memory,
			const struct conversation_limits *limits, uint64_t seed,
			const struct conversation_sink *sink);

/* A frame of kind FRAME_TCP. `view` may be NULL. */
void conversation_take(struct conversations *all, const struct frame *f, uint64_t frame,
		       int64_t time_ns, struct conversation_view *view);

/* The capture is over: finishes all conversations, the oldest first. */
void conversation_end(struct conversations *all);

#endif
