/* One direction of a TCP conversation as it was captured: segments in any order in, bytes in order
 * out, with what is missing told (RFC 9293 3.4).
 *
 *   segments ──► reassembly_put ──► runs: bytes, or so many missing
 *
 * What comes in order is handed on where it lies; what comes ahead is copied into blocks and waits.
 * It waits for what is missing until the other side has acknowledged it, so that it was there but
 * not captured, or too much waits. Of bytes that came twice the first count. */
#ifndef PROTO_REASSEMBLY_H
#define PROTO_REASSEMBLY_H

#include "base/bytes.h"
#include "proto/blocks.h"

enum {
	REASSEMBLY_PIECES = 4096,          /* that wait, in one direction */
	REASSEMBLY_PATIENCE_BYTES = 65536, /* that wait behind what was acknowledged */
	REASSEMBLY_PATIENCE_MS = 10,       /* frames of one moment may be captured out of order */
	REASSEMBLY_BLOCK_BYTES = 2048,     /* least block_bytes */
};

struct reassembly_segment {
	uint32_t seq; /* of its first byte */
	struct bytes data;
	size_t bytes; /* on the wire: more than data.len when it was cut */
	uint32_t ack; /* how far its sender had the other direction */
	uint64_t frame;
	int64_t time_ns;
};

/* What comes out: `data`, or where that is empty, `missing` bytes. */
struct reassembly_run {
	struct bytes data; /* valid during the call */
	uint64_t missing;
	uint32_t seq; /* of the first byte */
	uint32_t ack; /* its segment's */
	uint64_t frame;
	int64_t time_ns;
};

struct reassembly_sink {
	void (*run)(void *owner, const struct reassembly_run *run);
	void *owner;
};

enum reassembly_order {
	REASSEMBLY_IN_ORDER,
	REASSEMBLY_AHEAD, /* what comes before it is missing so far */
	REASSEMBLY_AGAIN, /* all of it was there already */
	REASSEMBLY_STRAY, /* its number is nowhere near; it was left out */
};

struct reassembly_piece;

/* All zero is a direction that has not begun. */
struct reassembly {
	bool begun;
	bool whole_start;      /* it began with a SYN */
	bool end_known, ended; /* by a FIN at `end` */
	uint32_t base;         /* the number of its first byte */
	uint32_t next;         /* that of the next byte to hand on */
	uint32_t end;
	bool acked_beyond; /* the other side acknowledged more than was handed on: */
	uint32_t acked;    /* so far */
	int64_t acked_ns;  /* when that was first seen */
	unsigned pieces;   /* that wait */
	size_t waiting_bytes;
	uint64_t bytes, missing_bytes; /* handed on */
	struct reassembly_piece *first, *last;
};

/* `seq` is the number of the first byte to come. */
void reassembly_begin(struct reassembly *r, uint32_t seq, bool whole_start);

/* A segment with data; begins what has not begun. `blocks` may run out: then what waits is handed
 * on at once. */
enum reassembly_order reassembly_put(struct reassembly *r, struct blocks *blocks,
				     const struct reassembly_segment *segment,
				     const struct reassembly_sink *sink);

/* The other side has acknowledged all before `ack`, at `time_ns`. */
void reassembly_acknowledge(struct reassembly *r, struct blocks *blocks, uint32_t ack,
			    int64_t time_ns, const struct reassembly_sink *sink);

/* A FIN behind the byte before `seq`: `ended` is set once all before it was handed on. */
void reassembly_finish(struct reassembly *r, uint32_t seq);

/* Nothing more will come: hands on all that waits, and tells what is known to be missing behind it;
 * `frame` and `time_ns` are those of the moment. */
void reassembly_flush(struct reassembly *r, struct blocks *blocks, uint64_t frame, int64_t time_ns,
		      const struct reassembly_sink *sink);

#endif
