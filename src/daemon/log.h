/* The log: events from every loop, written by a thread of its own, so that no loop ever waits for a
 * terminal or a pipe. What a full mailbox dropped is counted and told in a `gap` event. */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "base/event.h"
#include "net/pump.h"

struct log;

struct log_calls {
	void (*write)(void *owner, const struct event *event);
	/* An event of another process, as JSON on one line, without LF. NULL: not wanted. */
	void (*line)(void *owner, struct bytes json);
	/* -v: bytes that crossed the wire at `boot_ns`. */
	void (*wire)(void *owner, const char *service, const struct address *remote,
		     enum pump_direction direction, struct bytes b, uint64_t boot_ns);
	void *owner;
};

/* The calls are made in the log's thread, in order. 0, ERR_MEMORY, ERR_SYSTEM. */
int log_start(struct log **log, const struct log_calls *calls);

/* Any thread. The event is copied. */
void log_publish(struct log *log, const struct event *event);

/* The same for an event of another process, as JSON. Any thread. */
void log_line(struct log *log, struct bytes json);

/* loop_wake_descriptor of its loop. */
int log_wake_descriptor(const struct log *log);

/* What the mailbox could not take so far. Any thread. */
uint64_t log_dropped(const struct log *log);

/* Bytes on the wire. Any thread. Copied; of more than 16 MiB that wait the rest is dropped,
 * counted. */
void log_wire(struct log *log, const char *service, const struct address *remote,
	      enum pump_direction direction, struct bytes b, uint64_t boot_ns);

/* Writes what waits, for at most `wait_ms`, and ends the thread. False when that was too short: the
 * log is then left as it is, for the process to end. */
bool log_stop(struct log *log, uint64_t wait_ms);

#endif
