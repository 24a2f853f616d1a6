/* What a peer says, on stdout: on a terminal so that it is shown and never obeyed, else byte for
 * byte, and with --json as events, one a line of it. */
#ifndef COMMAND_SHOW_H
#define COMMAND_SHOW_H

#include "command/command.h"

enum { SHOW_BYTES = 1024 };

struct show {
	const char *command, *type; /* of the events */
	bool json, terminal;
	bool begun;    /* a line, that has no end yet */
	bool supplied; /* its end was, by show_fresh_line; the peer's own may still come */
	size_t held;   /* of `hold`: the beginning of what can only be shown with its rest */
	uint8_t hold[SHOW_BYTES];
};

/* `type` is that of the events, such as "dialogue.text"; their field is `text`. */
void show_begin(struct show *s, const struct command_call *call, const char *type);

/* A piece of what the peer says; pieces may be cut anywhere. */
void show_text(struct show *s, struct bytes text);

/* Shows what was held back. */
void show_flush(struct show *s);

/* The same; on a terminal, what is shown next begins a line. */
void show_fresh_line(struct show *s);

#endif
