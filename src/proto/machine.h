/* A machine is one protocol's side as a pure state machine: bytes, time and messages go in, effects
 * come out (proto/out.h). It sees no socket, no clock, no log, no file, no global, and allocates
 * nothing: its state is `state_bytes` of zeroed memory that the holder owns.
 *
 *        bytes, eof ──►┌─────────┐──► bytes, flush, end, abort
 *     time, messages ──►│ machine │──► deadline, messages, events
 *                       └─────────┘
 *
 * A holder (net/pump.h, a test, a fuzzer, a simulated wire) keeps these rules:
 *  - `open` comes first and once, `close` last and once; nothing after `close`.
 *  - `feed` gets at least one byte. What it does not take is offered again with more behind it,
 * when more came, when `room` was called, or both. A machine never leaves more than `hold_bytes`
 * untaken for lack of input: the holder ends the connection with ERR_TOO_LONG if it does.
 *  - A machine that stops because `out` has no place left (out_fits was false) or because it has
 * more to say than is welcome (out_more) returns; once output has drained `room` is called, and
 * then it is fed what it left. Otherwise `room` is not called.
 *  - `eof` comes once, after everything fed was taken or nothing more will be.
 *  - `tick` comes at or after the deadline set by out_deadline, which is then no longer set.
 *  - After out_end or out_abort no verb but `close` is called.
 *  - A verb that is NULL does nothing; `eof` NULL ends the connection once output is sent.
 * Unless `chunk`, output does not depend on how the input was cut. */
#ifndef PROTO_MACHINE_H
#define PROTO_MACHINE_H

#include "base/address.h"
#include "base/err.h"
#include "base/moment.h"
#include "base/option.h"
#include "proto/out.h"

enum { MACHINE_CHUNK_BYTES = 1024 };

/* Who is at the other end; valid during the call. */
struct peer {
	struct address remote;
	struct address local;    /* the address on our side */
	const char *host;        /* our address as configured, `HOST:PORT`; NULL: show `local` */
	const char *fingerprint; /* of the key that it has proven to have (TLS); NULL: none */
	uint64_t id;             /* this machine's own, for tells; never OUT_HUB or OUT_OWNER */
	uint64_t seed[2];        /* fresh random bits; fixed in tests */
	const void *settings; /* the machine's settings struct; outlives the machine; NULL: none */
};

struct machine {
	const char *name;
	size_t state_bytes; /* may be 0 */
	size_t hold_bytes;  /* most input it may leave untaken while waiting for more */
	bool chunk;         /* no framing: one read, of at most MACHINE_CHUNK_BYTES, a feed */
	bool silent_peers;  /* peers may say nothing for ever: keepalive finds the dead, not limits
			     */
	const struct option *settings; /* keys of its configuration, or NULL */
	size_t settings_bytes;

	void (*open)(void *m, const struct peer *peer, struct out *out, const struct moment *now);
	size_t (*feed)(void *m, struct bytes in, struct out *out, const struct moment *now);
	void (*eof)(void *m, struct out *out, const struct moment *now);
	void (*tick)(void *m, struct out *out, const struct moment *now);
	void (*room)(void *m, struct out *out, const struct moment *now);
	void (*tell)(void *m, const struct message *message, struct out *out,
		     const struct moment *now);
	void (*close)(void *m, int why); /* 0, or the ERR_ that ended it */

	/* The service stops: once, after `open` and before `close`. What is under way may go on,
	 * and nothing else should begin. NULL: nobody need be told. */
	void (*drain)(void *m, struct out *out, const struct moment *now);

	/* An exchange is under way that a stopping service should let end (a game, half a request).
	 * NULL: never, once nothing is held or queued. */
	bool (*busy)(const void *m);

	/* One datagram came; answers go back to `from`, one out_* byte effect or run of them up to
	 * a flush being one datagram. `m` is the socket's state: zeroed, never opened or closed. */
	void (*datagram)(void *m, const struct peer *from, struct bytes in, struct out *out,
			 const struct moment *now);
};

#endif
