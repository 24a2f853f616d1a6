/* A relay moves bytes both ways between two ends until they are done: standard input and output and
 * a socket, or two sockets.
 *
 *            ┌──────── RELAY_OUT ───────►┐
 *     near ──┤                           ├── far
 *            └◄──────── RELAY_IN ────────┘
 *
 * Each direction ends by itself: when its source has ended and everything was passed on, the sink's
 * half is shut down. Nothing is read before what was read last has been taken, so memory is bounded
 * and a slow end slows the other. Bytes that nobody wants to see or change are spliced, from a pipe
 * or into one directly, else through a pipe of the relay's own; where the kernel refuses that (an
 * append-only file), they are copied. One thread, the loop's. */
#ifndef NET_RELAY_H
#define NET_RELAY_H

#include "base/bytes.h"
#include "net/loop.h"
#include "net/stream.h"

enum { RELAY_READ_BYTES = 65536, RELAY_BACK_BYTES = RELAY_READ_BYTES + 2 };

enum relay_direction { RELAY_OUT, RELAY_IN };
enum relay_place { RELAY_NEAR_IN, RELAY_NEAR_OUT, RELAY_FAR };

struct relay;

/* What a filter made of its input. */
struct relay_passed {
	size_t len;      /* goes on */
	size_t back_len; /* goes back to where the input came from */
};

/* Takes all of `in` (at most RELAY_READ_BYTES). `data` has 2 * in.len + 2 bytes, `back`
 * RELAY_BACK_BYTES. */
typedef struct relay_passed relay_filter(void *owner, struct bytes in, uint8_t *data,
					 uint8_t *back);

struct relay_result {
	int err; /* 0: all ended as it should. ERR_RESET, ERR_REFUSED (datagrams), ERR_TIMEOUT,
		  * ERR_DISK
		  * ...; at RELAY_NEAR_OUT ERR_LEFT: nobody reads it any more */
	enum relay_place place;
};

struct relay_plan {
	/* `in` is read and `out` written; the same descriptor for a socket. One end at least is
	 * something a loop can watch. They stay the caller's, and open until relay_destroy. */
	struct stream near_in, near_out, far;
	bool datagrams; /* far is a connected datagram socket: one read of near is one datagram, an
			 * empty datagram is no end, there is no half to shut down */
	bool ends_with_far; /* over when far has ended and near has nothing to say just then; what
			     * it does have is given 5 s without progress */
	bool silent_near;   /* a near that ends without a byte leaves far's half open */
	bool late_half;   /* near's end is told to far only after wait_ms in which no byte moved */
	bool copies;      /* never splice */
	uint64_t idle_ms; /* ERR_TIMEOUT after no byte moved for so long; 0: never */
	uint64_t wait_ms; /* datagrams: over when near has ended and none came or went for so
			   * long; late_half; 0: for ever */
	/* Each may be NULL; a filter or a tap has its bytes copied. */
	relay_filter *filter[2];
	/* The bytes as they are at the far end, as soon as they were read. */
	void (*tap)(void *owner, enum relay_direction direction, struct bytes b);
	/* Datagrams: far cannot be reached, by `err`. True when another
	 * socket stands behind its descriptor now, on which all that was read of near, as `tap` was
	 * shown it, has been sent once more. */
	bool (*elsewhere)(void *owner, int err);
	/* Called once, from the loop; relay_destroy is allowed within it. */
	void (*over)(void *owner, const struct relay_result *result);
	void *owner;
};

struct relay_counts {
	uint64_t bytes[2]; /* sent to far, received from far, by direction */
	bool near_ended;   /* and everything of it was passed on */
	uint64_t unsent;   /* of what was read of near */
	bool spliced;      /* at least once */
};

/* 0, ERR_MEMORY, ERR_SYSTEM, ERR_DESCRIPTORS. The plan is copied. */
int relay_create(struct relay **relay, struct loop *loop, const struct relay_plan *plan);

/* Stops, and frees. NULL is fine. */
void relay_destroy(struct relay *relay);

struct relay_counts relay_counts(const struct relay *relay);

#endif
