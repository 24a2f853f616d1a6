/* HTTP exchanges over the two directions of a TCP conversation as it was captured: requests matched
 * with responses in order (RFC 9112 9.3), whatever the port.
 *
 *   runs of both ways ──► exchange_take ──► content, missing ... ──► exchange
 *
 * A reader finds the next message by how its first line looks, so it starts in mid-stream, leaves
 * what is not HTTP alone, and finds its way again behind a gap that tore a message. A message that
 * breaks the rules is reported with the rule, not hidden. Interim responses (1xx) are passed over.
 *
 * A gap may have swallowed whole messages, and from there on order alone says nothing. A client
 * that waits for each response has the one before when it asks again, so its request's segment
 * acknowledges all up to where the response will begin (RFC 9293 3.4): by that number they find
 * each other again. A response that no request fits so is reported without one.
 *
 * Memory comes from blocks that the holder gives; what finds none is reported as it stands or
 * counted as lost. */
#ifndef PROTO_EXCHANGE_H
#define PROTO_EXCHANGE_H

#include "base/address.h"
#include "proto/blocks.h"
#include "proto/http1.h"
#include "proto/reassembly.h"

enum {
	EXCHANGE_SMALL_BYTES = REASSEMBLY_BLOCK_BYTES,
	EXCHANGE_LARGE_BYTES = HTTP1_HEAD_BYTES + EXCHANGE_SMALL_BYTES,
	EXCHANGE_PENDING = 1024, /* requests of a conversation that wait for their response */
};

/* A request or a response. */
struct exchange_message {
	bool present;
	bool done;           /* nothing more of it is to come */
	bool whole;          /* and all of it was there, as its framing says */
	struct bytes head;   /* its bytes, up to and with the empty line; what there was of it */
	uint64_t frame;      /* of its first byte */
	uint64_t last_frame; /* the last one that it lies in, so far */
	int64_t time_ns, last_ns;
	unsigned status;
	enum http1_framing framing;
	uint64_t announced_bytes; /* HTTP1_LENGTH: of the body */
	uint64_t body_bytes;    /* as they were on the wire, chunks and all, what is missing too */
	uint64_t content_bytes; /* without the framing and without what is missing */
	uint64_t missing_bytes; /* not captured; of a torn head it is not in `body_bytes` */
	/* The rule it breaks, or why it is not present where more is known than that it was not
	 * captured: static, N_(); or NULL. */
	const char *fault;
	/* In `head`; empty where there is none. */
	struct bytes line, authority, type, coding;
	void *kept; /* the holder's own, NULL at first */
	void *block;
	bool large;
};

struct exchange {
	struct exchange *next;
	uint64_t conversation; /* its number, from 1 */
	struct address client, server;
	uint32_t answer_seq; /* where the response of one who waits for each begins */
	struct exchange_message message[2]; /* by enum http1_side */
};

/* `exchange` comes last for each, and then it is gone. The others may be NULL. */
struct exchange_sink {
	void (*exchange)(void *owner, struct exchange *e);
	void (*content)(void *owner, struct exchange *e, enum http1_side side,
			struct bytes content);
	void (*missing)(void *owner, struct exchange *e, enum http1_side side, uint64_t bytes);
	void *owner;
};

struct exchange_memory {
	struct blocks small, large, exchanges; /* EXCHANGE_SMALL_BYTES, _LARGE_BYTES, the struct */
	uint64_t lost;                         /* messages that found no place */
	struct http1_head head;                /* of the moment */
};

struct exchange_reader {
	uint8_t state;
	uint8_t side; /* enum http1_side, once `sided` */
	bool sided;
	bool large;    /* what `held` is */
	bool skipped;  /* what is not HTTP, since the last message */
	uint8_t *held; /* the beginning of a head, or NULL */
	size_t held_bytes, seen;
	uint64_t held_frame;
	int64_t held_ns;
	uint32_t held_seq, held_ack;
	struct exchange *current;
	struct http1_body body;
};

/* All zero is a conversation that says nothing so far; but for `number` and `end`. */
struct exchange_talk {
	uint64_t number;
	struct address end[2]; /* way 0 is from end[0] to end[1] */
	struct exchange_reader reader[2];
	struct exchange *first, *last;
	unsigned pending;
	uint64_t owed; /* responses to requests that were reported before them, for want of room */
	bool unsure;   /* order does not say which request the next response answers */
};

/* What comes next on `way`. */
void exchange_take(struct exchange_talk *talk, struct exchange_memory *memory,
		   const struct exchange_sink *sink, unsigned way,
		   const struct reassembly_run *run);

/* Nothing more will come on `way`: it ended as it should (a FIN), or not. */
void exchange_end(struct exchange_talk *talk, struct exchange_memory *memory,
		  const struct exchange_sink *sink, unsigned way, bool well);

/* Nothing more will come at all: reports what is left, as it stands. */
void exchange_finish(struct exchange_talk *talk, struct exchange_memory *memory,
		     const struct exchange_sink *sink);

enum exchange_look { EXCHANGE_NONE, EXCHANGE_PERHAPS, EXCHANGE_REQUEST, EXCHANGE_RESPONSE };

/* What `b` looks like the beginning of. */
enum exchange_look exchange_look(struct bytes b);

#endif
