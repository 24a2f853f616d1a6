/* The loop: descriptors that become ready, timers that fall due, messages from other threads.
 *
 * Narrow on purpose: only net/loop.c knows which interface of the kernel stands behind it. One loop
 * belongs to one thread; loop_post, loop_post_anyway and loop_stop are the only calls another
 * thread may make.
 *
 * A registration is a number that carries slot and generation, so an event that was already read
 * from the kernel never reaches whoever reuses the slot. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include "base/moment.h"
#include "base/wheel.h"

struct loop;

/* Slots of registrations are below this: the low 20 bits of the number. */
#define LOOP_SLOTS_MOST (1 << 20)

enum {
	LOOP_READ = 1,   /* readable, or the peer's end of stream */
	LOOP_WRITE = 2,  /* writable */
	LOOP_HANGUP = 4, /* error or both halves closed; always reported */
	LOOP_SHARED =
		8, /* wake only one of several loops that watch it (a listener of systemd's) */
};

/* What is called when `events` (LOOP_) came for a descriptor. */
typedef void loop_ready(void *owner, unsigned events);

/* A message from another thread. The sender makes it, the receiver's `run` owns and frees it. */
struct loop_mail {
	struct loop_mail *next;
	void (*run)(struct loop_mail *mail, struct loop *loop);
};

/* The process may have as many descriptors as the system lets it: the usual limit of 1024 is for
 * select(2)'s users. */
void loop_raise_descriptors(void);

/* 0, or ERR_DESCRIPTORS, ERR_MEMORY, ERR_SYSTEM. */
int loop_create(struct loop **loop);
void loop_destroy(struct loop *loop);

/* Watches `fd` for `events`. Returns the registration (> 0), or ERR_MEMORY, ERR_SYSTEM,
 * ERR_PERMISSION (a regular file: it is always ready, do not watch it). */
int64_t loop_add(struct loop *loop, int fd, unsigned events, loop_ready *ready, void *owner);
int loop_change(struct loop *loop, int64_t registration, unsigned events);

/* The owner of a registration that still stands and whose handler is `ready`, else NULL. */
void *loop_owner(struct loop *loop, int64_t registration, loop_ready *ready);

/* Forgets the registration; close the descriptor after, not before. */
void loop_remove(struct loop *loop, int64_t registration);

/* Timers are wheel timers; `due` gets the loop as its context. MOMENT_NEVER disarms. */
void loop_arm(struct loop *loop, struct wheel_timer *timer, uint64_t boot_ns);
void loop_disarm(struct loop *loop, struct wheel_timer *timer);

/* The moment of this turn, read once after each wait; loop_refresh reads it again. */
const struct moment *loop_now(const struct loop *loop);
void loop_refresh(struct loop *loop);

/* 64 fresh random bits, from the system in batches. */
uint64_t loop_random(struct loop *loop);

/* Calls `run(mail, loop)` in the loop's thread, soon, in order of posting. Any thread. Takes the
 * mail and returns true; false and the mail stays the caller's when the mailbox is full (65,536),
 * which is counted (loop_dropped). */
bool loop_post(struct loop *loop, struct loop_mail *mail);

/* The same, whether or not the mailbox is full: for a thread that then waits until its mail was
 * run, and so never has a second one there. */
void loop_post_anyway(struct loop *loop, struct loop_mail *mail);
uint64_t loop_dropped(const struct loop *loop);

/* Runs what was posted by now, and nothing else. The loop's thread, outside of its turns. */
void loop_take_mail(struct loop *loop);

/* What loop_post writes to: a thread that posts to this loop needs it. */
int loop_wake_descriptor(const struct loop *loop);

/* From now on this thread, the loop's, has descriptors of its own: the standard ones, the loop's,
 * and those that are kept: the loop_wake_descriptor of every loop that it posts to. The kernel
 * counts each use of a descriptor that threads share, which is felt in every system call of the
 * others; a thread that needs none of theirs spares them that. False, and nothing is changed, when
 * the kernel refuses. */
bool loop_part_descriptors(struct loop *loop, const int *kept, unsigned count);

/* The calling thread takes the processor from nobody who runs when it is woken, and leaves it to
 * whoever is woken while it runs: what it does can wait, and others have answers under way
 * (SCHED_BATCH, sched(7); from Linux 6.12 on the long slice, sched_setattr(2), gives way to any
 * shorter one). Its share of the processor is that of any. Where another policy than the usual was
 * chosen it stays. */
void loop_stand_back(void);

/* Runs until loop_stop. */
void loop_run(struct loop *loop);
/* The same with a rest after each turn, below a second: what comes meanwhile is taken in one, and
 * who posts it spares the waking. */
void loop_run_gathering(struct loop *loop, unsigned rest_ms);

/* Runs until `*done` is true or loop_stop. */
void loop_run_until(struct loop *loop, const bool *done);

/* One turn, waiting at most `wait_ms` (-1: without limit). For tests. */
void loop_turn(struct loop *loop, int wait_ms);

/* Ends loop_run after the present turn. Any thread; also in a signal handler. */
void loop_stop(struct loop *loop);

/* Calls `caught(owner, signal_number)` in this loop for each of these signals, which are blocked in
 * the calling thread (and in the threads it makes later). One loop of a process. 0 or ERR_SYSTEM.
 */
int loop_signals(struct loop *loop, const int *signals, unsigned count,
		 void (*caught)(void *owner, int signal_number), void *owner);

#endif
