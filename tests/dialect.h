/* Guess servers as courses write them, each with manners of its own, as one small machine over a
 * table: what the client of guess has to cope with. Used by the unit test (every cut) and the
 * simulation. */
#ifndef TESTS_DIALECT_H
#define TESTS_DIALECT_H

#include "proto/machine.h"

struct dialect {
	const char *name;
	const char *greeting;
	const char *ask_max; /* "" when it waits for the maximum in silence; NULL: takes none */
	const char *ask;     /* for a number; "" in silence */
	bool asks_once;      /* `ask` before the first number only */
	const char *more, *less, *win;
	bool from_zero; /* 0..MAX, else 1..MAX */
	bool brittle;   /* a long pause within its words changes their meaning */
};

extern const struct dialect dialects[];
extern const unsigned dialect_count;

/* Settings of dialect_machine, which has no option table: peer.settings points at one of these. */
struct dialect_settings {
	const struct dialect *dialect;
	uint64_t max;    /* what it takes for the maximum when it takes none */
	uint64_t secret; /* chosen by the test, whatever the maximum that comes */
};

/* Aborts with ERR_PROTOCOL when two numbers come at once, what comes is no number, or the maximum
 * is not settings.max. Lines are whole for it, however they were cut. */
extern const struct machine dialect_machine;

#endif
