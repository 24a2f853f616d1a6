/* Everything that happens, in one order: each event gets a number and goes to the log, to the ring
 * of the last 4096, and to whoever follows. A thread of its own does that, so that no loop ever
 * waits, neither for a terminal nor for a reader; what its mailbox cannot take is counted and told
 * in a `gap` event. */
#ifndef DAEMON_EVENTS_H
#define DAEMON_EVENTS_H

#include "daemon/log.h"
#include "proto/stream_ring.h"

enum {
	EVENTS_HELD = 4096,
	EVENTS_HELD_BYTES = 8 << 20, /* of their text; touched as used */
	EVENTS_REST_MS = 5,          /* between two looks at what was published */
	EVENTS_GATHER_MS = 40,       /* who follows is woken no more often */
	EVENTS_MARK_BYTES = 24,
	EVENTS_HOST_BYTES = 256,
	EVENTS_KEPT = 128,
};

struct events;

/* Makes it, without its thread: what is published waits. 0, ERR_MEMORY, ERR_DESCRIPTORS,
 * ERR_SYSTEM. */
int events_create(struct events **events);

/* Starts the thread, which has descriptors of its own and keeps those `kept`, up to EVENTS_KEPT: of
 * the log's loop and of every loop that follows (loop_wake_descriptor), and of what else lives
 * there. `log` outlives it. 0 or ERR_SYSTEM. */
int events_start(struct events *events, struct log *log, const int *kept, unsigned count);

/* Numbers what was published, and ends the thread: once nobody publishes or follows any more. */
void events_stop(struct events *events);
void events_free(struct events *events);

/* The loop of its thread, for what else lives there; `end` is called there as the last, because
 * descriptors that were opened in that thread are no other's. */
struct loop *events_loop(struct events *events);
void events_at_end(struct events *events, void (*end)(void *owner), void *owner);

/* Any thread. The event is copied. */
void events_publish(struct events *events, const struct event *event);

/* The same, and it has its number and all who follow are being woken when this returns. For the
 * stop: it waits for the thread of events, which waits for nobody, and no room is lacking for it.
 */
void events_publish_and_wait(struct events *events, const struct event *event);

/* An event of another process: a sound JSON object on one line, without `seq` and LF
 * (control_event_fault). In the thread of events. */
void events_publish_line(struct events *events, struct bytes json);

/* The same for one of the daemon's own that is JSON already (a change of a watched tree): of level
 * debug, since there may be many, and in the log only if so wished. Copied. Any thread. */
void events_post_line(struct events *events, struct bytes json, bool log);

/* Who follows is woken in its own loop's thread after new events, and looks itself. */
struct events_reader;
int events_follow(struct events *events, struct loop *loop, void (*wake)(void *owner), void *owner,
		  struct events_reader **reader);
/* In the loop's thread, or when that has ended; no wake comes after it. */
void events_unfollow(struct events_reader *reader);

/* The ring, locked; for as long as it takes to copy from it. */
const struct stream_ring *events_lock(struct events *events);
void events_unlock(struct events *events);

/* What sets the numbers of this run apart from those of another, in hexadecimal. */
const char *events_mark(const struct events *events);
const char *events_host(const struct events *events);

/* The newest number, and what was dropped for want of room or memory. Any thread. */
uint64_t events_newest(const struct events *events);
uint64_t events_dropped(const struct events *events);

#endif
