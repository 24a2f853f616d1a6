/* Happy Eyeballs: which of several addresses to try when, and what to say when none answers
 * (RFC 8305). A pure decision: the holder (net/dial.c, a test) says what happened and when, and is
 * told what to start. It opens no socket and reads no clock. */
#ifndef PROTO_HAPPY_H
#define PROTO_HAPPY_H

#include "base/address.h"

enum { HAPPY_MOST = 32, HAPPY_DELAY_MS = 250, HAPPY_NONE = -1 };

enum happy_state { HAPPY_WAITING, HAPPY_RUNNING, HAPPY_FAILED, HAPPY_WON };

struct happy {
	unsigned count;
	unsigned started; /* the first so many have been started */
	int winner;       /* an index, or HAPPY_NONE */
	bool given_up;
	uint64_t next_ns;          /* when the next attempt is due */
	uint8_t state[HAPPY_MOST]; /* enum happy_state */
	int err[HAPPY_MOST];       /* of those that failed */
};

/* Puts addresses of the two families in turn, beginning with the family of the first and keeping
 * the order within each (RFC 8305 section 4). Others than v4 and v6 count as v4. */
void happy_interleave(struct address *address, unsigned count);

/* `count` attempts, at most HAPPY_MOST, none started. */
void happy_begin(struct happy *h, unsigned count, uint64_t now_ns);

/* The attempt to start now, which counts as running from here on; HAPPY_NONE when none is due. Ask
 * until there is none: after happy_begin, after each failure, and at happy_due. */
int happy_next(struct happy *h, uint64_t now_ns);

/* When to ask again, if nothing happens before; MOMENT_NEVER when nothing is left to start. */
uint64_t happy_due(const struct happy *h);

/* Attempt `index`, which is running, failed with the ERR_ `err`: the next one is due at once. */
void happy_fail(struct happy *h, unsigned index, int err, uint64_t now_ns);

/* Attempt `index`, which is running, connected. False when another had won before: close it. */
bool happy_win(struct happy *h, unsigned index);

/* The holder's patience is at its end: what still runs failed with ERR_TIMEOUT, nothing more
 * starts. */
void happy_give_up(struct happy *h);

/* Whether it is decided: one has won, or none is left that could. What still runs is to be closed.
 */
bool happy_over(const struct happy *h);

/* 0 when one has won, else the most telling error of all attempts: first what kept this machine
 * from trying (no descriptors, no permission), then refused, prohibited, unreachable, timed out,
 * and last that this machine has no route or lacks the family, which says nothing about the peer.
 * ERR_NO_ADDRESS when there was none to try. */
int happy_error(const struct happy *h);

#endif
