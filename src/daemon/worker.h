/* A worker: one loop, its thread, and what all services on it share. Worker 0 runs in the process's
 * first thread, where services are made and unmade and signals are heard. */
#ifndef DAEMON_WORKER_H
#define DAEMON_WORKER_H

#include "net/datagram.h"
#include "net/loop.h"
#include "net/pump.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker {
	struct loop *loop;
	struct pump_common *pumps;
	struct datagram_common *datagrams;
	unsigned number;
	bool threaded; /* worker_start was called */
	bool draining;
	uint64_t connections; /* open now, of all services */
	pthread_t thread;
	struct worker *first; /* worker 0, which hears the signals */
	atomic_uint going;    /* of worker 0: workers that have not come to the end of a drain */
};

/* Workers stand in an array by their numbers. 0, ERR_MEMORY, ERR_DESCRIPTORS, ERR_SYSTEM. */
int worker_create(struct worker *worker, unsigned number);
void worker_destroy(struct worker *worker);

/* Starts the thread; not for worker 0. 0 or ERR_SYSTEM. */
int worker_start(struct worker *worker);

/* Stops the thread, if there is one, and waits for it. */
void worker_stop(struct worker *worker);

/* Runs `run(argument)` in the worker's thread and returns when it has: at once when it has no
 * thread of its own. Only from the first thread. */
void worker_call(struct worker *worker, void (*run)(void *argument), void *argument);

/* One connection more, or one less: worker 0 stops when the last of all draining workers is gone,
 * and who runs the workers stops the others then. */
void worker_opened(struct worker *worker);
void worker_closed(struct worker *worker);

/* From now on worker 0 waits for this worker's connections, and for no new ones. */
void worker_drain(struct worker *worker);

#endif
