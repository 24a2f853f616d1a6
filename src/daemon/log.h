/* The log: events from every loop, written by a thread of its own, so that no loop ever waits for a
 * terminal or a pipe. What a full mailbox dropped is counted and told in a `gap` event. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "base/event.h"

struct log;

/* `write` is called in the log's thread, for each event in order. 0, ERR_MEMORY, ERR_SYSTEM. */
int log_start(struct log **log, void (*write)(void *owner, const struct event *event), void *owner);

/* Any thread. The event is copied. */
void log_publish(struct log *log, const struct event *event);

/* Writes what waits, for at most `wait_ms`, and ends the thread. False when that was too short: the
 * log is then left as it is, for the process to end. */
bool log_stop(struct log *log, uint64_t wait_ms);

#endif
