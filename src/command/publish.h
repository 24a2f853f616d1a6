/* A command's events, for the dashboard of the daemon that runs beside it: written to its control
 * socket (docs/protocols/control.md) when there is one. Never delays the command: what the socket
 * does not take at once, or what comes too fast, is left out and counted. */
#ifndef COMMAND_PUBLISH_H
#define COMMAND_PUBLISH_H

#include "base/event.h"
#include "command/command.h"

/* Nothing with --no-publish, or where no daemon listens. Any thread but one at a time. */
void publish_event(const struct command_call *call, const struct event *event);

/* A connection, not blocking, to the control socket of the daemon of whoever runs the command, else
 * of the system's; -1: there is none. */
int publish_dial(void);
/* Published, and with --json printed. */
void publish_and_say(const struct command_call *call, const struct event *event);

/* From now on (NULL: no more) what say_error and its like say of `call` is published too, unless
 * it is wrong usage. */
void publish_errors(const struct command_call *call);
void publish_error(const struct event *event);

#endif
