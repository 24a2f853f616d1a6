/* Work threads: one queue, one lock, threads started as jobs find nobody idle.
 *
 *   loop ──submit──► queue ──► thread: run ──mail──► loop: done
 *
 * Limits: WORK_WAITING_MOST jobs waiting, WORK_STACK_BYTES of stack a thread. Work threads block
 * every signal, so that signals stay with the loops. Source: pthreads(7). */
#include "net/work.h"

#include "base/err.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { WORK_WAITING_MOST = 4096, WORK_STACK_BYTES = 512 * 1024, WORK_RETRY_MS = 1 };

struct work {
	pthread_mutex_t lock;
	pthread_cond_t came; /* a job, or the end */
	struct work_job *first, **last;
	unsigned waiting;
	unsigned idle; /* threads with nothing to do */
	bool stopping, left;
	unsigned threads, threads_most;
	unsigned users; /* threads that have not ended, once it was left: the last one frees it */
	pthread_t thread[];
};

int work_create(struct work **created, unsigned threads)
{
	struct work *work = calloc(1, sizeof(*work) + threads * sizeof(work->thread[0]));

	if (work == NULL)
		return ERR_MEMORY;
	pthread_mutex_init(&work->lock, NULL);
	pthread_cond_init(&work->came, NULL);
	work->last = &work->first;
	work->threads_most = threads;
	*created = work;
	return 0;
}

static void deliver(struct loop_mail *mail, struct loop *loop)
{
	struct work_job *job = (struct work_job *)mail; /* its first member */

	job->done(job);
}

static void work_free(struct work *work)
{
	pthread_cond_destroy(&work->came);
	pthread_mutex_destroy(&work->lock);
	free(work);
}

/* An answer is never dropped: while the loop's mailbox is full it waits here, until the end. Where
 * it was left there may be no loop any more. Holds the lock. */
static void post(struct work *work, struct work_job *job)
{
	const struct timespec pause = {.tv_nsec = WORK_RETRY_MS * (long)MOMENT_MS};

	job->mail.run = deliver;
	while (!work->left && !loop_post(job->loop, &job->mail) && !work->stopping) {
		pthread_mutex_unlock(&work->lock);
		nanosleep(&pause, NULL);
		pthread_mutex_lock(&work->lock);
	}
	if (work->left)
		job->left(job);
}

/* The next job, or NULL at the end. Holds the lock. */
static struct work_job *wait_for_job(struct work *work)
{
	struct work_job *job;

	work->idle++;
	while (work->first == NULL && !work->stopping)
		pthread_cond_wait(&work->came, &work->lock);
	work->idle--;
	if (work->stopping)
		return NULL;
	job = work->first;
	work->first = job->next;
	if (work->first == NULL)
		work->last = &work->first;
	work->waiting--;
	return job;
}

static void *serve(void *argument)
{
	struct work *work = argument;
	struct work_job *job;
	bool last;

	loop_stand_back();
	pthread_mutex_lock(&work->lock);
	while ((job = wait_for_job(work)) != NULL) {
		pthread_mutex_unlock(&work->lock);
		job->run(job);
		pthread_mutex_lock(&work->lock);
		post(work, job);
	}
	last = work->left && --work->users == 0;
	pthread_mutex_unlock(&work->lock);
	if (last)
		work_free(work);
	return NULL;
}

/* One more thread. Holds the lock. */
static bool start_thread(struct work *work)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	bool started;

	if (pthread_attr_init(&attributes) != 0)
		return false;
	pthread_attr_setstacksize(&attributes, WORK_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	started = pthread_create(&work->thread[work->threads], &attributes, serve, work) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	work->threads += started;
	return started;
}

int work_submit(struct work *work, struct loop *loop, struct work_job *job)
{
	int err = 0;

	job->loop = loop;
	job->next = NULL;
	pthread_mutex_lock(&work->lock);
	if (work->waiting >= WORK_WAITING_MOST) {
		err = ERR_FULL;
		goto out;
	}
	if (work->idle <= work->waiting && work->threads < work->threads_most &&
	    !start_thread(work) && work->threads == 0) {
		err = ERR_SYSTEM;
		goto out;
	}
	*work->last = job;
	work->last = &job->next;
	work->waiting++;
	pthread_cond_signal(&work->came);
out:
	pthread_mutex_unlock(&work->lock);
	return err;
}

bool work_withdraw(struct work *work, struct work_job *job)
{
	struct work_job **link;
	bool found;

	pthread_mutex_lock(&work->lock);
	for (link = &work->first; *link != NULL && *link != job; link = &(*link)->next)
		;
	found = *link == job;
	if (found) {
		*link = job->next;
		if (work->last == &job->next)
			work->last = link;
		work->waiting--;
	}
	pthread_mutex_unlock(&work->lock);
	return found;
}

static void stop(struct work *work)
{
	work->stopping = true;
	pthread_cond_broadcast(&work->came);
}

static void join(struct work *work)
{
	for (unsigned i = 0; i < work->threads; i++)
		pthread_join(work->thread[i], NULL);
	work_free(work);
}

void work_destroy(struct work *work)
{
	if (work == NULL)
		return;
	pthread_mutex_lock(&work->lock);
	stop(work);
	pthread_mutex_unlock(&work->lock);
	join(work);
}

/* A thread that is detached may still be giving back what the resolver keeps for it when the
 * process ends, and is not left where nothing keeps it. */
void work_leave(struct work *work)
{
	bool none_runs;

	if (work == NULL)
		return;
	pthread_mutex_lock(&work->lock);
	none_runs = work->idle == work->threads;
	stop(work);
	work->left = !none_runs;
	work->users = work->threads;
	for (unsigned i = 0; i < work->threads && work->left; i++)
		pthread_detach(work->thread[i]);
	pthread_mutex_unlock(&work->lock);
	if (none_runs)
		join(work);
}
