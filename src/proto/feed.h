/* The feed: changes of trees from a watching client to a collecting server, numbered, acknowledged
 * once they are committed, resumed where the server says (docs/protocols/feed.md).
 *
 *   client                                server
 *     magic, HELLO ───────────────────────►
 *     ◄─────────────── WELCOME (newest number it has, window, largest frame)
 *     RECORDS (first, count, packed, body) ►  ── hub: FEED_RECORDS ──► committed
 *     ◄─────────────────────────── ACK (newest)
 *     PING ◄──────────────────────────► PONG
 *     ◄── REFUSE (code, reason), closed      BYE ──► closed
 *
 * The server also takes the courses' unframed clients on the same port: `VERB:name`, known by
 * anything else than the magic in front. Bodies of RECORDS are opaque to both machines.
 *
 * A body of RECORDS is longer than what a loop reads at a time, so the server machine hands it on
 * piece by piece as it comes and holds none of it: an idle connection has no buffer, and only the
 * hub, which sees all clients, says how much may wait (net/pump.h, pump_hold). */
#ifndef PROTO_FEED_H
#define PROTO_FEED_H

#include "proto/machine.h"

enum {
	FEED_PORT = 9002,
	FEED_VERSION = 1,
	FEED_MAGIC_BYTES = 8,
	FEED_HEAD_BYTES = 8,           /* of each frame */
	FEED_FRAME_BYTES = 512 * 1024, /* the most a frame may have behind its head */
	FEED_RECORDS_BYTES = 16,       /* of RECORDS before its body: first, count, raw bytes */
	FEED_BODY_BYTES = FEED_FRAME_BYTES - FEED_RECORDS_BYTES, /* the most a body may have */
	FEED_RAW_BYTES = 1024 * 1024,                            /* and its records, unpacked */
	FEED_WINDOW_BYTES = 4 * 1024 * 1024, /* sent and not acknowledged, a client */
	FEED_INSTANCE_BYTES = 16,
	FEED_HOST_BYTES = 255,
	FEED_REASON_BYTES = 255,
	FEED_SILENCE_MS = 60000, /* after that long without a word each side asks, then leaves */
	FEED_NAME_BYTES = 4096,  /* the most that a plain client may say behind its verb */
	FEED_PAUSE_MS = 200,     /* a plain record without LF ends when nothing came for so long */
	FEED_STALL_MS = 2000,    /* the same in the middle of a line or of a character */
};

#define FEED_NUMBER_MOST ((uint64_t)INT64_MAX)
/* What a client believes a server to have: behind it numbers are left to go on with. */
#define FEED_NEWEST_MOST ((uint64_t)1 << 62)

enum feed_refusal {
	FEED_BAD_FRAME = 1, /* not understood: the frame's type, its length, its fields */
	FEED_BAD_VERSION,   /* none in common */
	FEED_HELD,          /* another connection that lives has this id */
	FEED_BAD_NUMBER,    /* numbers go back, or some between are missing */
	FEED_BAD_RECORD,    /* a record is none */
	FEED_TOO_MUCH,      /* beyond the window */
	FEED_NO_STORE,      /* the store cannot take more now (disk full, ...): come again later */
	FEED_STOPPING,      /* the server stops: come again later */
};

enum feed_kind {
	/* Server machine to its hub. A plain client does not join: its first FEED_PLAIN is the
	 * first that is heard of it, and its id is its address. */
	FEED_JOIN = 1, /* body: the client's id, `KEY/INSTANCE`, a NUL, its host. KEY is the
			* fingerprint of its TLS key or, without, `plain:ADDRESS`; INSTANCE in hex.
			* Answered by JOINED or REFUSED */
	FEED_RECORDS,  /* number: first, count, raw bytes, packed. body: the records, or, after
			* FEED_PIECEs, the last of them; borrowed */
	FEED_PLAIN,    /* number: CHANGE_, then the family and the bytes of its IP (struct address);
			* body: name. No answer */
	FEED_GONE, /* the last. From the holder too, behind that of the machine, if there was one */
	/* Hub to server machine. */
	FEED_JOINED,    /* number[0]: the newest it has */
	FEED_COMMITTED, /* number[0]: the newest it has */
	FEED_REFUSED,   /* number[0]: feed_refusal; body: reason. It says so and closes */

	/* Client machine to its owner. */
	FEED_READY,       /* number[0]: the newest that the server has. Send from the next on */
	FEED_ACKED,       /* number[0]: the newest */
	FEED_WANT,        /* there is room for a block (after READY, and after each block) */
	FEED_TURNED_AWAY, /* number[0]: feed_refusal; body: reason. The end follows */
	/* Owner to client machine. */
	FEED_BLOCK, /* number: first, count, raw bytes, packed; body of up to FEED_BODY_BYTES. Only
		     * after FEED_WANT, one each. The first of a connection ends above READY's
		     * number, each other begins where the last one ended; what is none of that ends
		     * the connection with ERR_USAGE */
	FEED_LEAVE, /* BYE, then the end */

	/* Server machine to its hub: part of a body that did not come in one read. number: where in
	 * it, its whole length. In order, ahead of its FEED_RECORDS, and of one body at a time;
	 * dropped with FEED_GONE. Borrowed */
	FEED_PIECE,
};

struct feed_client_settings {
	uint8_t instance[FEED_INSTANCE_BYTES];
	const char *host; /* this machine's name */
};

/* The server's is `collect_machine`, since its service is `collect`. */
extern const struct machine collect_machine;
extern const struct machine feed_client_machine;

/* The word for a refusal, `unknown` for one of a later version; and whether coming again later may
 * help. */
const char *feed_refusal_name(unsigned refusal);
bool feed_refusal_passes(unsigned refusal);

#endif
