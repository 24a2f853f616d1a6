/* What every command is: a row in command.def, a file in command/, a `struct command`.
 *
 * main.c finds the row, fills the option struct from the table, and calls `run`, whose result is
 * the exit code. Only commands may end the process (die). */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "base/option.h"
#include "base/text.h"

#include <libintl.h>
#include <stdio.h>

#define _(s)  gettext(s)
#define N_(s) s

enum command_group { COMMAND_SPEAK, COMMAND_LOOK, COMMAND_SPREAD, COMMAND_SERVE, COMMAND_OWN };

/* The options that mean the same everywhere. */
struct command_common {
	bool v4, v6;
	bool udp;
	uint64_t timeout_ms; /* 0: the command's own default */
	bool quiet, verbose, json, help;
	bool no_publish;
	bool tls;
	const char *pin; /* with tls: the server's fingerprint, or NULL */
};

/* Which common options a command takes; the others are wrong usage. -v -q --json --help always. */
enum {
	COMMAND_TAKES_FAMILY = 1,      /* -4 -6, and --no-publish: it talks to peers */
	COMMAND_TAKES_UDP = 2,         /* -u */
	COMMAND_TAKES_TIMEOUT = 4,     /* -t */
	COMMAND_TAKES_TLS = 8,         /* --tls --pin */
	COMMAND_TAKES_ONE_FAMILY = 16, /* -4 -6 alone: it talks to nobody by itself */
};

struct command_call {
	const struct command *command;
	struct command_common common;
	void *options; /* the command's own option struct, filled */
	int argc;      /* what is left: positional arguments */
	char **argv;
};

/* Keys of a file that the command reads, for its help and its page. */
struct command_keys {
	const char *title;         /* N_(), or a name */
	const struct option *rows; /* those without help are not shown; OPTION_END or NULL */
};

struct command {
	const char *name;
	const char *synopsis; /* "HOST[:PORT] [TEXT]", N_(); several lines allowed */
	const char *about;    /* paragraphs for help and man, N_(); wrapped by the printer */
	const char *examples; /* lines "prise ...", shown verbatim */
	unsigned takes;
	const char *file_about; /* the file it reads, as `about`; NULL: none */
	bool (*file_keys)(unsigned index, struct command_keys *keys); /* false past the last */
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
