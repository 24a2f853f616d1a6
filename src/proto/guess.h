/* What both sides of guess share with whoever holds them: settings, messages, events.
 *
 * Events of the client: `guess.try` number= answer=plus|moins|trouvé, one for each number answered,
 * and `guess.won` number= tries=. */
#ifndef PROTO_GUESS_H
#define PROTO_GUESS_H

#include "proto/machine.h"

struct guess_settings {
	bool terse; /* no prompts, answers without line end */
};

struct guess_client_settings {
	uint64_t max; /* its answer when asked for the maximum; 0, in play only: the person's */
	bool play;    /* a person plays, through the messages below */
	uint64_t silence_ms; /* after which no question will come; 0: GUESS_CLIENT_SILENCE_MS */
};

/* Only in play. Bodies are bytes as they are: the terminal is the holder's to protect. */
enum guess_kind {
	/* To OUT_OWNER: what the server said, in pieces that begin and end anywhere. */
	GUESS_TEXT = 1,
	/* To OUT_OWNER: a number is wanted, one for each of these. number[0]: 1 for the maximum. */
	GUESS_WANT,
	/* From the owner: a number as typed, without its line end; whatever else it is, is sent
	 * too. Up to GUESS_LINE_BYTES, beyond that cut; one not wanted is ignored. */
	GUESS_NUMBER,
	/* From the owner: no more numbers. Ends when the next one would be wanted; then no
	 * guess.won was told. */
	GUESS_END,
};

enum { GUESS_LINE_BYTES = 512, GUESS_CLIENT_SILENCE_MS = 1000 };

extern const struct machine guess_machine;

/* Ends well once it has won; waits for an answer for as long as its holder lets it. ERR_LEFT when
 * the server goes before, ERR_PROTOCOL when its answers contradict each other, when it refuses a
 * number or the maximum, ERR_TOO_LONG when a line of it has no end, ERR_USAGE when there is neither
 * a maximum nor a person. */
extern const struct machine guess_client_machine;

#endif
