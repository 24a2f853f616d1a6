/* echo (RFC 862): the client side's settings, what it reports, and its rounds over UDP.
 *
 * A round is sent, and what comes back must be the same bytes. Its payload is `text`; without one
 * it is the round's number in ten digits, then letters that differ from round to round,
 * `size_bytes` in all (at least ECHO_NUMBER_BYTES).
 *
 * Events of the client machine:
 *   echo.round      round, bytes, rtt_us: all of it came back
 *   echo.different  round, at, expected, got: the first byte that differs (as text), and where; the
 *                   machine ends, since a stream that went wrong stays wrong
 * It ends after `count` rounds, and aborts with ERR_LEFT when the server ends before that. A time
 * limit is the holder's. */
#ifndef PROTO_ECHO_H
#define PROTO_ECHO_H

#include "proto/machine.h"

enum { ECHO_NUMBER_BYTES = 10, ECHO_DATAGRAM_BYTES = 65507, ECHO_WINDOW = 1024 };

struct echo_client_settings {
	const char *text;     /* NULL: numbered rounds */
	uint64_t count;       /* rounds; 0: for ever, or one with a text */
	uint64_t interval_ms; /* from the start of one round to the next, which waits for its end */
	uint64_t size_bytes;  /* of a numbered round */
};

extern const struct machine echo_machine;
extern const struct machine echo_client_machine;

/* Rounds over UDP: pure decisions, the holder has the socket and the clock.
 *
 *   echo_rounds_due? ──► echo_rounds_send ──► a datagram out
 *   a datagram in    ──► echo_rounds_take ──► a verdict
 *   until echo_rounds_over, looking again at echo_rounds_deadline
 *
 * Rounds go out every interval whether or not answers come. lost is sent - answered, at the end. */
struct echo_rounds {
	struct echo_client_settings settings;
	uint64_t wait_ns; /* for the last answers, from the last sending */
	uint64_t sent, answered, reordered, duplicates, different;
	uint64_t newest; /* the highest round answered */
	uint64_t due_ns, last_ns;
	uint64_t sent_ns[ECHO_WINDOW]; /* of round n at n % ECHO_WINDOW */
	bool done[ECHO_WINDOW];
};

enum echo_verdict {
	ECHO_ANSWERED,  /* the first answer to its round */
	ECHO_REORDERED, /* the same, but a later round's answer came before it */
	ECHO_DUPLICATE, /* its round was answered before */
	ECHO_DIFFERENT, /* nothing that was sent: other bytes, or cut */
	ECHO_STALE,     /* a round more than ECHO_WINDOW ago; counted nowhere */
};

struct echo_answer {
	uint64_t round;  /* 0 with ECHO_DIFFERENT when it names none */
	uint64_t rtt_us; /* with ECHO_ANSWERED and ECHO_REORDERED */
};

/* `size_bytes` and the text are at most ECHO_DATAGRAM_BYTES long. The settings are copied, the text
 * is not. The first round is due at once. */
void echo_rounds_init(struct echo_rounds *r, const struct echo_client_settings *settings,
		      uint64_t wait_ms, const struct moment *now);

/* Whether a round is to be sent now. */
bool echo_rounds_due(const struct echo_rounds *r, const struct moment *now);

/* Counts the next round as sent now, and puts its datagram into `into` (ECHO_DATAGRAM_BYTES). */
struct bytes echo_rounds_send(struct echo_rounds *r, const struct moment *now, uint8_t *into);

/* The datagram of the last round once more, for another address of the peer: the next round is due
 * an interval from now, and the time of its answer is the holder's to tell. */
struct bytes echo_rounds_again(struct echo_rounds *r, const struct moment *now, uint8_t *into);

/* Judges a datagram. With a text rounds look alike: the oldest unanswered one is meant. */
enum echo_verdict echo_rounds_take(struct echo_rounds *r, struct bytes in, const struct moment *now,
				   struct echo_answer *answer);

/* Whether every round was sent, and answered or waited for. */
bool echo_rounds_over(const struct echo_rounds *r, const struct moment *now);

/* When echo_rounds_due or echo_rounds_over may next turn true by time alone (boot_ns). */
uint64_t echo_rounds_deadline(const struct echo_rounds *r);

#endif
