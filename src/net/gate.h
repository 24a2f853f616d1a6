/* The gate: who may come in. The limits of one service, shared by its listeners on every loop:
 * connections in all, per source, per second. Thread-safe. */
#ifndef NET_GATE_H
#define NET_GATE_H

#include "base/address.h"
#include "base/moment.h"

struct gate;

struct gate_limits {
	uint64_t open;       /* connections at a time; 0: no limit */
	uint64_t per_source; /* of one address (v6: one /64) at a time; 0: no limit */
	uint64_t per_second; /* new ones a second; bursts of twice that; 0: no limit */
};

enum gate_verdict {
	GATE_IN,
	GATE_FULL,     /* `open` reached: leave the rest in the kernel's queue */
	GATE_TOO_FAST, /* `per_second` reached: the same, until the next token */
};

/* 0 or ERR_MEMORY. */
int gate_create(struct gate **gate, const struct gate_limits *limits);
void gate_destroy(struct gate *gate);

/* A place for one more, taken before it is accepted. After GATE_FULL the next gate_leave returns
 * true. */
enum gate_verdict gate_enter(struct gate *gate, const struct moment *now);

/* Whether each gate_enter costs a token, so that it should be called only when somebody is there.
 */
bool gate_is_rated(const struct gate *gate);

/* Whether one more of this source may stay; false counts it as refused, and gate_leave is still to
 * be called, with NULL. */
bool gate_admit(struct gate *gate, const struct address *remote);

/* One less; `remote` is the admitted source, or NULL. True when somebody found the gate full since:
 * all listeners of the service should try again. */
bool gate_leave(struct gate *gate, const struct address *remote);

uint64_t gate_open(const struct gate *gate);
uint64_t gate_refused(const struct gate *gate);

#endif
