/* What a machine wants done, gathered during one call of a verb and carried out by the holder after
 * it, in order. Everything here is bounded; a machine that cannot finish stops and goes on in
 * `room` (or is fed the rest). */
#ifndef PROTO_OUT_H
#define PROTO_OUT_H

#include "base/bytes.h"
#include "base/event.h"
#include "base/moment.h"

enum { OUT_SEGMENTS = 64, OUT_COPY_BYTES = 16384, OUT_TELLS = 16, OUT_EVENTS = 48 };

/* Where a tell goes besides to a machine by its id. */
#define OUT_HUB   0ull /* the service's hub (service/x.c) */
#define OUT_OWNER 1ull /* whoever holds the machine: a command, a test */

/* A message between machines, hubs, workers and holders. `kind` is of the protocol's own enum, in
 * its header. `body` is valid during the call that hands it over. */
struct message {
	uint32_t kind;
	uint64_t number[4];
	struct bytes body;
};

enum out_kind { OUT_BYTES, OUT_FLUSH, OUT_FILE };

struct out_segment {
	uint8_t kind;        /* enum out_kind */
	int handle;          /* OUT_FILE: a descriptor that the machine's holder owns */
	const uint8_t *data; /* OUT_BYTES */
	uint64_t offset;     /* OUT_FILE */
	size_t len;
};

struct out_tell {
	uint64_t to;
	struct message message; /* body lies in the out's copy space, unless: */
	bool borrowed;
};

struct out {
	unsigned segments, tells, events;
	int abort_why;  /* ERR_, or 0 */
	bool tight : 1; /* an out_fits was false or an effect was refused */
	bool more : 1;  /* out_more was called */
	bool pause : 1; /* out_pause was called */
	bool end : 1;
	bool deadline_set : 1;
	size_t copied;
	size_t room; /* see out_room; shrinks with what is put */
	uint64_t deadline_ns;
	struct out_segment segment[OUT_SEGMENTS];
	struct out_tell tell[OUT_TELLS];
	struct event event[OUT_EVENTS + 1]; /* the last one goes nowhere */
	uint8_t copy[OUT_COPY_BYTES + 1];   /* with a place for out_printf's terminator */
};

/* Empties `out`. `room`: bytes the holder can take before its queue is at its high-water mark. */
static inline void out_reset(struct out *out, size_t room)
{
	out->segments = out->tells = out->events = 0;
	out->abort_why = 0;
	out->tight = out->more = out->pause = out->end = out->deadline_set = false;
	out->copied = 0;
	out->room = room;
	out->deadline_ns = MOMENT_NEVER;
}

/* Whether all that is wanted is one run of bytes sent: what most requests are answered with. */
static inline bool out_is_one_run(const struct out *out)
{
	return out->segments == 1 && out->segment[0].kind == OUT_BYTES && !out->tells &&
	       !out->events && !out->abort_why && !out->tight && !out->more && !out->pause &&
	       !out->end && !out->deadline_set;
}

/* Whether `segments` more byte effects and flushes, with `copy_bytes` of copies among them, still
 * fit. False marks the out tight. Ask before a step that must not be half done. */
bool out_fits(struct out *out, unsigned segments, size_t copy_bytes);

/* The same for tells (their bodies count in copy_bytes above) and events. */
bool out_fits_messages(struct out *out, unsigned tells, unsigned events);

/* Advice for long output: how many bytes are welcome now. A machine with more to say than this says
 * this much, calls out_more and goes on in `room`. What it says beyond is still sent. */
size_t out_room(const struct out *out);

/* There is more to say: `room` is to be called once output has drained. */
void out_more(struct out *out);

/* In `feed`: what is left untaken waits for something else than input, a message say. It is not fed
 * again, and no more is read nor the peer's end told, until `room`, which the machine asks for with
 * out_more once it has what it waited for. */
void out_pause(struct out *out);

/* Bytes to send, in order. False when they do not fit: nothing of them was taken.
 * static: live as long as the program. borrow: valid until the verb returns to the holder (the
 * bytes just fed, the machine's own state). copy: taken now. */
bool out_static(struct out *out, struct bytes b);
bool out_borrow(struct out *out, struct bytes b);
bool out_copy(struct out *out, struct bytes b);
bool out_printf(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What was put so far leaves in a write of its own (a datagram of its own), apart from what
 * follows. */
bool out_flush(struct out *out);

/* `len` bytes of a file from `offset`; `handle` is the holder's descriptor, open until the verb
 * returns to the holder. */
bool out_file(struct out *out, int handle, uint64_t offset, uint64_t len);

/* An empty datagram; only in `datagram`. */
bool out_empty(struct out *out);

/* No more output: once all is sent our half is closed, and the connection ends when the peer's is.
 */
void out_end(struct out *out);

/* The connection ends now, unsent output dropped; `why` is an ERR_, shown in the log. */
void out_abort(struct out *out, int why);

/* `tick` at `boot_ns` (struct moment), replacing any earlier deadline; MOMENT_NEVER takes it back.
 */
void out_deadline(struct out *out, uint64_t boot_ns);

/* A message to a machine by id, to OUT_HUB or to OUT_OWNER; body copied. False when it does not
 * fit. */
bool out_tell(struct out *out, uint64_t to, const struct message *message);

/* To OUT_OWNER or OUT_HUB; the body is valid until the verb returns to the holder, who hands the
 * message over at once, ahead of all that were told before and not borrowed. False when it does not
 * fit. */
bool out_tell_borrow(struct out *out, uint64_t to, const struct message *message);

/* An event to fill in with event_text and its like, initialised; never NULL: when there is no
 * place, one that goes nowhere but is counted as dropped by the holder (out->tight). */
struct event *out_event(struct out *out, const struct moment *now, enum event_level level,
			const char *type);

#endif
