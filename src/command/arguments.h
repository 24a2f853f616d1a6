/* The command line, parsed by tables: the common options and the command's own.
 *
 * `--x=V`, `--x V`, `-xV`, `-x V`, bundles of letters (`-uv`), `--` ends the options; options and
 * arguments may be mixed. A command's own row comes before a common one of the same name or letter.
 * A word that looks like a negative number is never an option: it must stand behind `--`. */
#ifndef COMMAND_ARGUMENTS_H
#define COMMAND_ARGUMENTS_H

#include "command/command.h"

/* The common options, over struct command_common. */
extern const struct option arguments_common[];

/* Its help for `command`, N_(): only those that talk to peers have a wire to show. */
const char *arguments_help(const struct command *command, const struct option *row);

/* Whether `command` takes this row of arguments_common. */
bool arguments_takes(const struct command *command, const struct option *row);

/* Fills `call` from the words behind the command's name. Before: call->command is set, and
 * call->options points at options_bytes of the command's (NULL when it has none). After: options
 * and common hold defaults and what was given; call->argv is `argv` with the positional words in
 * front. 0, or ERR_USAGE after saying what is wrong and what to try (say.h). */
int arguments_parse(struct command_call *call, int argc, char **argv);

#endif
