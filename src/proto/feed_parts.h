/* What the files of the feed share: the bytes of its frames (docs/protocols/feed.md). Private to
 * them. Numbers are in network order.
 *
 *    0               1               2               3
 *   +---------------+---------------+---------------+---------------+
 *   |     type      |     flags     |           reserved 0          |
 *   +---------------+---------------+---------------+---------------+
 *   |             length of what follows, up to FEED_FRAME_BYTES    |
 *   +---------------------------------------------------------------+
 *
 *   HELLO     instance 16, host 1..255       WELCOME  newest 8, window 4, largest frame 4
 *   RECORDS   first 8, count 4, raw bytes 4, body 1..FEED_BODY_BYTES; flag: packed
 *   ACK       newest 8, bytes of RECORDS frames 8
 *   REFUSE    code 2, reason 0..255
 *   PING  PONG  BYE    nothing */
#ifndef PROTO_FEED_PARTS_H
#define PROTO_FEED_PARTS_H

#include "proto/feed.h"

enum feed_type {
	FEED_TYPE_HELLO = 1,
	FEED_TYPE_WELCOME,
	FEED_TYPE_RECORDS,
	FEED_TYPE_ACK,
	FEED_TYPE_PING,
	FEED_TYPE_PONG,
	FEED_TYPE_BYE,
	FEED_TYPE_REFUSE,
	FEED_TYPES /* one past the last */
};

enum {
	FEED_FLAG_PACKED = 1,
	FEED_WELCOME_BYTES = 16,
	FEED_ACK_BYTES = 16,
	FEED_CODE_BYTES = 2,
	FEED_MAGIC_VERSION = 6,    /* where in the magic its version stands */
	FEED_BOUND_MOST = 1 << 30, /* of what WELCOME may promise */
};

/* No text begins with it, in ASCII or UTF-8; who turns line ends around, or the eighth bit off, on
 * the way is found out by its end. */
#define FEED_MAGIC                                        \
	((struct bytes){(const uint8_t *)"\xf6"           \
					 "fed\r\n\x01\n", \
			FEED_MAGIC_BYTES})

struct feed_head {
	uint8_t type, flags; /* enum feed_type */
	uint32_t len;
};

/* Reads the head in the first FEED_HEAD_BYTES of `in`. NULL, or what is wrong with it: an unknown
 * type, one that this side never sends, an unknown flag, a length that its type cannot have. */
const char *feed_head_take(struct bytes in, bool from_client, struct feed_head *head);

void feed_head_put(uint8_t *at, enum feed_type type, unsigned flags, size_t len);

/* A frame with nothing behind its head. */
void feed_say(struct out *out, enum feed_type type);

/* 1 to FEED_HOST_BYTES bytes of UTF-8 without control characters. */
bool feed_host_valid(struct bytes host);

/* The courses' dialect, `VERB:name`: what came and is no record yet. A burst is what comes without
 * a pause in it. */
enum { FEED_PLAIN_BYTES = FEED_NAME_BYTES + 24 /* with its verb, and most of the next one's */ };

struct feed_plain {
	uint16_t at, len; /* of what waits in `buffer` */
	uint16_t refused; /* lines */
	bool lines;       /* in this burst there is LF */
	bool prefixes;    /* in this burst records end where the next verb begins */
	bool skips;       /* what is too long, up to its end */
	bool over;        /* the burst is: what waits is all there is of it */
	bool ended;       /* the stream is */
	uint64_t
		due_ns; /* when the burst is over, unless more comes; MOMENT_NEVER: there is none */
	uint8_t buffer[FEED_PLAIN_BYTES];
};

/* Takes from `in` what it can: less than all only for want of place in `out`. */
size_t feed_plain_take(struct feed_plain *p, struct bytes in, const struct address *remote,
		       struct out *out, const struct moment *now);

/* The stream is over, or the burst may be; goes on with what waits. */
void feed_plain_end(struct feed_plain *p, const struct address *remote, struct out *out,
		    const struct moment *now);
void feed_plain_tick(struct feed_plain *p, const struct address *remote, struct out *out,
		     const struct moment *now);
void feed_plain_room(struct feed_plain *p, const struct address *remote, struct out *out,
		     const struct moment *now);

#endif
