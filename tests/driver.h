/* Holds one machine in a test, by the rules for holders in proto/machine.h: it re-feeds what was
 * not taken, ends with ERR_TOO_LONG what holds too much, moves the clock from deadline to deadline,
 * and never calls a verb after the end. A machine whose out was tight, or that left input because
 * it has more to say, is drained and goes on in `room` at once; one that just has more to say
 * (chargen has, for ever) waits for driver_room. Whatever the machine does is collected here. The
 * vector runner, unit tests and fuzz targets use it.
 *
 * Input, peer and messages are handed over in heap memory of their exact size that is freed after
 * the call, so that under ASan a machine that reads beyond them or keeps a pointer is caught.
 *
 * Memory that runs out aborts the test. */
#ifndef TESTS_DRIVER_H
#define TESTS_DRIVER_H

#include "proto/machine.h"

enum { DRIVER_ROOM_BYTES = 65536, DRIVER_DATAGRAM_BYTES = 65507 };

struct driver_tell {
	uint64_t to;
	struct message message; /* the body is the driver's until driver_forget */
};

struct driver {
	const struct machine *machine;

	/* Set by driver_init, and the caller's to change before the first verb. */
	struct peer peer;  /* 127.0.0.1:40000 to 127.0.0.1:7777, seed 1 2, id 1000 */
	struct moment now; /* 2026-01-01T00:00:00Z, UTC; moves with driver_advance */
	size_t room_bytes; /* what out_room says at the start of every call */

	/* How the machine stands. */
	bool ended;           /* it said end or abort, or the driver ended it: see `why` */
	int why;              /* 0, or the ERR_ it ended with */
	uint64_t deadline_ns; /* MOMENT_NEVER: none */
	bool wants_room;      /* it stopped for lack of room: `room` is due */
	bool paused;          /* its last feed called out_pause */
	const char *fault;    /* the rule of machine.h that the machine broke, or NULL; static */

	/* What it did since driver_forget; the driver's memory. Bytes put before an abort stay: the
	 * wire may drop them, but here they would make output depend on how input was cut. */
	struct bytes output;
	size_t *write; /* offsets in `output` where a write began: at a verb or a flush */
	size_t writes;
	struct event *event;
	size_t events;
	struct driver_tell *tell;
	size_t tells;
	struct bytes *datagram;
	size_t datagrams;

	/* The driver's own. */
	void *state, *settings;
	char **kept; /* texts that the settings point at */
	size_t kept_count;
	uint8_t *untaken;
	size_t untaken_len;
	bool opened, eof_waits;
	struct out out;
};

/* Zeroed state, settings at their fallbacks, nothing called yet. driver_end frees. */
void driver_init(struct driver *d, const struct machine *machine);

/* Sets one of the machine's settings; the value is copied. 0, ERR_USAGE when the machine has no
 * such key, or what option_set says. */
int driver_set(struct driver *d, const char *key, const char *value);

/* The verbs. After the end, or a fault, they do nothing. driver_open comes first, or never for a
 * socket's machine, which knows driver_datagram and driver_advance only. */
void driver_open(struct driver *d);
void driver_feed(struct driver *d, struct bytes in); /* one read; a `chunk` machine's in reads of
						      * at most MACHINE_CHUNK_BYTES */
void driver_eof(struct driver *d);
void driver_room(struct driver *d); /* nothing unless wants_room */
void driver_drain(struct driver *d);
void driver_tell(struct driver *d, const struct message *message);
void driver_datagram(struct driver *d, struct bytes in);

/* Moves the clock on by `ns`, stopping to `tick` at each deadline on the way. */
void driver_advance(struct driver *d, uint64_t ns);

/* Forgets what was collected; how the machine stands remains. */
void driver_forget(struct driver *d);

/* Whether a write began at offset `at` of `output`. */
bool driver_write_began(const struct driver *d, size_t at);

/* The first collected event of that type, or NULL. */
const struct event *driver_event(const struct driver *d, const char *type);

/* The value of a field as text, in `buffer`: numbers in decimal, true or false, text as it is (cut
 * at the buffer's end). False when the event has no such field. */
bool driver_event_value(const struct event *e, const char *name, struct text *value);

/* Calls `close` if `open` was called, and frees everything. */
void driver_end(struct driver *d);

#endif
