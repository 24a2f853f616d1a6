/* What wire.c (time, hosts) and wire_end.c (connections) share. Private to the two. */
#ifndef TESTS_SIM_WIRE_PARTS_H
#define TESTS_SIM_WIRE_PARTS_H

#include "wire.h"

#include <stdlib.h>

enum { WIRE_HOSTS_MOST = 64 };

struct wire_event {
	uint64_t at_ns, order;
	struct wire_host *host; /* NULL: it happens whatever runs */
	uint64_t life;          /* the host's when it was made */
	void (*run)(void *context, uint64_t number);
	void *context;
	uint64_t number;
};

struct wire_heap {
	struct wire_event *event;
	size_t count, room;
};

struct wire_host {
	struct wire *w;
	unsigned index;
	int64_t drift_ppm;
	uint64_t offset_ns;
	enum wire_host_state state;
	uint64_t life;             /* grows when it is killed */
	struct wire_heap deferred; /* in order, not a heap */
};

struct wire {
	uint64_t now_ns, random, events, ids;
	struct wire_heap heap;
	struct wire_host *host[WIRE_HOSTS_MOST];
	unsigned hosts;
	bool blocked[WIRE_HOSTS_MOST][WIRE_HOSTS_MOST];
	struct wire_end *ends;
	struct wire_mail *mails;
	struct out out;
};

static inline void *wire_must(void *p)
{
	if (!p)
		abort();
	return p;
}

/* Calls `run` at `at_ns` if `host` was not killed, once it runs; NULL: whatever befalls. */
void wire_at(struct wire *w, struct wire_host *host, uint64_t at_ns,
	     void (*run)(void *context, uint64_t number), void *context, uint64_t number);

/* Whether a packet passes from one host to another now. */
bool wire_passes(const struct wire_host *from, const struct wire_host *to);

/* Packets that waited for a way look again. */
void wire_ends_look_again(struct wire *w);

/* The processes of `h` look at their connections. */
void wire_ends_wake(struct wire_host *h);

void wire_ends_kill(struct wire_host *h, bool loudly);
void wire_ends_free(struct wire *w);

#endif
