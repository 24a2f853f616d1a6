/* The log of `prise serve` on standard output: whole lines only. What a full disk refuses is
 * counted, and told in a `gap` event before the first line that gets through again. */
#ifndef COMMAND_SERVE_LOG_H
#define COMMAND_SERVE_LOG_H

#include "base/event.h"
#include "command/command.h"

enum { SERVE_LINE_BYTES = 8 * EVENT_TEXT_BYTES };

struct serve_log {
	const struct command_call *call;
	uint64_t lost;  /* lines, since the last that was told */
	size_t at, len; /* how far the line is out; it has begun, and must end before the next */
	char line[SERVE_LINE_BYTES];
};

/* As struct log_calls wants them, with a struct serve_log for owner: in the log's thread. */
void serve_log_event(void *owner, const struct event *e);
void serve_log_line(void *owner, struct bytes json);

/* Tells what is lost and not told yet. Once the log's thread has ended. */
void serve_log_end(struct serve_log *log);

#endif
