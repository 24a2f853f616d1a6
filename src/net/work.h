/* Work: a few threads for whatever waits on a disk or a resolver. The answer comes back to the loop
 * that asked, as mail. */
#ifndef NET_WORK_H
#define NET_WORK_H

#include "net/loop.h"

struct work;

/* A job is the caller's memory. `run` is called in a work thread and must touch only the job;
 * `done` in the loop's thread afterwards, when the memory is the caller's again. */
struct work_job {
	struct loop_mail mail;
	struct work_job *next;
	struct loop *loop;
	void (*run)(struct work_job *job);
	void (*done)(struct work_job *job);
	void (*left)(struct work_job *job); /* frees it: see work_leave */
};

/* Up to `threads` threads, started when first needed. 0 or ERR_MEMORY. */
int work_create(struct work **work, unsigned threads);

/* Jobs of one `work` with one thread run in order of submission. 0, or ERR_FULL over 4,096 waiting,
 * ERR_SYSTEM when no thread can be had. */
int work_submit(struct work *work, struct loop *loop, struct work_job *job);

/* Takes back a job that has not begun: true, and its memory is the caller's again, neither run nor
 * done. False when it runs, has run or is not here. From the loop's thread. */
bool work_withdraw(struct work *work, struct work_job *job);

/* Waits for running jobs; waiting ones are dropped, neither run nor done; their memory is the
 * caller's. What has run may still lie in its loop's mailbox: one more loop_turn has it done. Call
 * when no loop that has jobs here runs any more. */
void work_destroy(struct work *work);

/* As work_destroy, for what may wait long (a name server that is silent) and need not be waited
 * for: a job that runs is left to its thread, which calls the job's `left` once it has run. Every
 * job that may run has one. Where none runs, no thread is left either. */
void work_leave(struct work *work);

#endif
