/* A pump with one connection, whose other end is a test's own, and a machine that is probed: what
 * the tests of net/pump.h share. */
#ifndef TESTS_UNIT_PUMP_PROBE_H
#define TESTS_UNIT_PUMP_PROBE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/pump.h"

enum { PROBE_TURNS = 20000, PROBE_BYTES = 5000 };

/* Emptied by probe_begin. The machine's verbs are each test's own, and so is what they count. */
extern struct probe {
	struct loop *loop;
	struct pump_common *common;
	struct pump *pump;
	int peer, near;  /* our end of the socket pair, and the pump's */
	unsigned closed; /* connections, and why the last one was */
	int closed_why;
	uint64_t hub_from, hub_kind; /* the message that the hub has answered */
	uint64_t id;                 /* of the machine that was opened last */
	unsigned feeds, eofs, ticks, rooms, tells, closes, events;
	int why;
	uint8_t heard[PROBE_BYTES + 1];
	size_t heard_len;
	uint64_t tell_number;
	unsigned said;
} probe;

void probe_begin(const struct machine *machine, const struct pump_limits *limits);
void probe_end(void);

/* Turns the loop until `*what` reaches `wanted`; a number of times. */
void probe_turn_until(const unsigned *what, unsigned wanted);
void probe_turn_all(void);

/* Writes; reads exactly `len` bytes, turning the loop meanwhile; the same of the end. */
void probe_say(const char *text);
void probe_hear(uint8_t *into, size_t len);
void probe_hear_end(void);

/* Verbs that take note in `probe`, and a machine of them that says back what it is fed. */
void probe_open(void *m, const struct peer *p, struct out *out, const struct moment *now);
void probe_close(void *m, int why);
size_t probe_echo_feed(void *m, struct bytes in, struct out *out, const struct moment *now);
extern const struct machine probe_echo;

#endif
