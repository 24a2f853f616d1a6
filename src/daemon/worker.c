/* Workers. worker_call waits, which no loop may do while it serves: it is for start, reload and
 * stop, and the work it hands over never waits for anything. */
#include "daemon/worker.h"

#include "base/err.h"

#include <semaphore.h>

struct worker_errand {
	struct loop_mail mail;
	void (*run)(void *argument);
	void *argument;
	sem_t done;
};

int worker_create(struct worker *worker, unsigned number)
{
	int err;

	*worker = (struct worker){.number = number, .first = worker - number};
	atomic_fetch_add(&worker->first->going, 1);
	err = loop_create(&worker->loop);
	if (!err)
		err = pump_common_create(&worker->pumps, worker->loop, number);
	if (!err)
		err = datagram_common_create(&worker->datagrams, worker->loop);
	if (err)
		worker_destroy(worker);
	return err;
}

void worker_destroy(struct worker *worker)
{
	worker_stop(worker);
	datagram_common_destroy(worker->datagrams);
	pump_common_destroy(worker->pumps);
	loop_destroy(worker->loop);
	*worker = (struct worker){0};
}

void worker_stop(struct worker *worker)
{
	if (!worker->threaded)
		return;
	loop_stop(worker->loop);
	pthread_join(worker->thread, NULL);
	worker->threaded = false;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;

	loop_run(worker->loop);
	return NULL;
}

int worker_start(struct worker *worker)
{
	if (pthread_create(&worker->thread, NULL, worker_run, worker) != 0)
		return ERR_SYSTEM;
	worker->threaded = true;
	return 0;
}

static void worker_do_errand(struct loop_mail *mail, struct loop *loop)
{
	struct worker_errand *errand = (struct worker_errand *)mail;

	errand->run(errand->argument);
	sem_post(&errand->done);
}

void worker_call(struct worker *worker, void (*run)(void *argument), void *argument)
{
	struct worker_errand errand = {
		.mail.run = worker_do_errand, .run = run, .argument = argument};

	if (!worker->threaded) {
		run(argument);
		return;
	}
	sem_init(&errand.done, 0, 0);
	while (!loop_post(worker->loop, &errand.mail))
		sched_yield();
	while (sem_wait(&errand.done) != 0)
		;
	sem_destroy(&errand.done);
}

void worker_opened(struct worker *worker)
{
	worker->connections++;
}

/* Its loop goes on until all have drained: the others' clients may ask what is seen in its thread.
 */
static void worker_drained(struct worker *worker)
{
	if (atomic_fetch_sub(&worker->first->going, 1) == 1)
		loop_stop(worker->first->loop);
}

void worker_closed(struct worker *worker)
{
	if (--worker->connections == 0 && worker->draining)
		worker_drained(worker);
}

void worker_drain(struct worker *worker)
{
	worker->draining = true;
	if (worker->connections == 0)
		worker_drained(worker);
}
