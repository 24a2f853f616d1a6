/* What every command is: a row in command.def, a file in command/, a `struct command`.
 *
 * main.c finds the row, fills the option struct from the table, and calls `run`, whose result is
 * the exit code of SPEC 1. Only commands may end the process (die). */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "base/option.h"
#include "base/text.h"

#include <libintl.h>
#include <stdio.h>

#define _(s)  gettext(s)
#define N_(s) s

enum command_group { COMMAND_SPEAK, COMMAND_LOOK, COMMAND_SPREAD, COMMAND_SERVE, COMMAND_OWN };

/* The options that mean the same everywhere (SPEC 1). */
struct command_common {
	bool v4, v6;
	bool udp;
	uint64_t timeout_ms; /* 0: the command's own default */
	bool quiet, verbose, json, help;
};

/* Which common options a command takes; the others are wrong usage. -v -q --json --help always. */
enum {
	COMMAND_TAKES_FAMILY = 1,  /* -4 -6 */
	COMMAND_TAKES_UDP = 2,     /* -u */
	COMMAND_TAKES_TIMEOUT = 4, /* -t */
};

struct command_call {
	const struct command *command;
	struct command_common common;
	void *options; /* the command's own option struct, filled */
	int argc;      /* what is left: positional arguments */
	char **argv;
};

struct command {
	const char *name;
	const char *synopsis; /* "HOST[:PORT] [TEXT]", N_(); several lines allowed */
	const char *about;    /* paragraphs for help and man, N_(); wrapped by the printer */
	const char *examples; /* lines "prise ...", shown verbatim */
	unsigned takes;
	const struct option *options; /* may be NULL; a row whose help is NULL is hidden */
	size_t options_bytes;
	int (*run)(struct command_call *call);
};

/* Every command, in order of command.def. */
struct command_row {
	const char *name;
	enum command_group group;
	const char *summary;
	const struct command *command;
};
extern const struct command_row command_rows[];
extern const unsigned command_row_count;

const struct command_row *command_find(const char *name);

/* The command that somebody who typed `name` may have meant, or NULL. */
const char *command_nearest(const char *name);

#define COMMAND(name, group, summary) extern const struct command command_##name;
#include "command/command.def"
#undef COMMAND

#endif
