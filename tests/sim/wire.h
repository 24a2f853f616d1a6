/* The simulated wire: hosts with clocks of their own, connections between machines on them, and
 * everything that befalls both, in virtual time and from one seed.
 *
 *   host A                                                host B
 *   machine ──► cuts, delay, blocked? ──► held ──► machine
 *   machine ◄── held ◄── blocked? delay, cuts ◄──  machine
 *
 * A stream keeps its order and loses nothing while its connection lives, as TCP does: what cannot
 * pass waits. It is cut anywhere and delayed at random in each direction. A connection on which
 * nothing passes for longer than the end's patience ends there with ERR_TIMEOUT (keepalive,
 * TCP_USER_TIMEOUT); a reset or an end of stream that cannot pass is found out later. Holders'
 * rules are those of proto/machine.h.
 *
 * Time is in nanoseconds from 0. A host's clock (CLOCK_BOOTTIME) starts anywhere, drifts, and runs
 * while the host is suspended. Everything with the same seed and the same calls happens the same.
 *
 * Memory that runs out aborts the test. */
#ifndef TESTS_SIM_WIRE_H
#define TESTS_SIM_WIRE_H

#include "proto/machine.h"

struct wire;
struct wire_host;
struct wire_end;

enum wire_host_state {
	WIRE_RUNNING,
	WIRE_STOPPED,   /* its processes do not run (SIGSTOP); its kernel still acknowledges */
	WIRE_SUSPENDED, /* nothing runs, nothing passes; the clock goes on */
};

struct wire *wire_new(uint64_t seed);
void wire_free(struct wire *w);

uint64_t wire_now(const struct wire *w);

/* A number from `least` to `most`, and true `percent` times of a hundred. */
uint64_t wire_between(struct wire *w, uint64_t least, uint64_t most);
bool wire_chance(struct wire *w, unsigned percent);

/* Runs what happens up to and including `until_ns`. */
void wire_run(struct wire *w, uint64_t until_ns);

/* Hosts. `drift_ppm`: how much faster (or slower) than true its clock runs. */
struct wire_host *wire_host_add(struct wire *w, int64_t drift_ppm);
struct moment wire_host_moment(const struct wire_host *h);

/* The first true time at which the host's clock shows `boot_ns` or more; MOMENT_NEVER as it is. */
uint64_t wire_host_true_ns(const struct wire_host *h, uint64_t boot_ns);

void wire_host_set(struct wire_host *h, enum wire_host_state state);
enum wire_host_state wire_host_get(const struct wire_host *h);

/* Every connection end on it is gone at once and no callback comes; its timers are forgotten. When
 * `loudly` its kernel resets the connections (kill -9), else it does not (power cut). The host may
 * be used again at once. */
void wire_host_kill(struct wire_host *h, bool loudly);

/* Nothing passes from one host to another until unblocked. One direction only. */
void wire_block(struct wire *w, struct wire_host *from, struct wire_host *to, bool blocked);

/* Calls `due` on the host after `delay_ns` of true time; later when it does not run then, never
 * when it was killed in between. */
void wire_after(struct wire_host *h, uint64_t delay_ns, void (*due)(void *context, uint64_t number),
		void *context, uint64_t number);

/* What a holder hears of its machine; each may be NULL. Tells to machines by id are delivered by
 * the wire. Messages and events are valid during the call. */
struct wire_holder {
	void (*told)(struct wire_end *e, uint64_t to, const struct message *message);
	void (*event)(struct wire_end *e, const struct event *event);
	void (*closed)(struct wire_end *e, int why); /* 0 or the ERR_ that ended it */
};

struct wire_plan {
	struct wire_host *host;
	const struct machine *machine;
	const void *settings; /* NULL: the machine's fallbacks */
	const struct wire_holder *holder;
	void *context;
	uint64_t patience_ns; /* 0: 10 s */
};

/* Connects the two. The machines are opened soon, the accepting one first. NULL when nothing passes
 * between the hosts now (the caller tries again); `accepted` may be NULL. Ends stay readable until
 * wire_free. */
struct wire_end *wire_connect(struct wire *w, const struct wire_plan *connecting,
			      const struct wire_plan *accepting, struct wire_end **accepted);

/* A message to the machine, delivered soon and in order; lost when it is gone. */
void wire_tell(struct wire_end *e, const struct message *message);
void wire_tell_id(struct wire *w, uint64_t id, const struct message *message);

/* The connection is reset; both ends hear of it as soon as it can pass. */
void wire_reset(struct wire_end *e);

uint64_t wire_end_id(const struct wire_end *e);
void *wire_end_context(const struct wire_end *e);
struct wire_host *wire_end_host(const struct wire_end *e);
bool wire_end_closed(const struct wire_end *e);
void *wire_end_state(const struct wire_end *e); /* the machine's */

/* Everything that arrived at this end so far. */
struct bytes wire_end_received(const struct wire_end *e);

#endif
