/* Help from the tables: on a terminal, as a manual page, as a shell's completion. */
#ifndef COMMAND_USAGE_H
#define COMMAND_USAGE_H

#include "command/command.h"

/* Columns for text: the terminal's, or $COLUMNS, or 80; between 40 and 100. */
unsigned usage_width(FILE *to);

/* `text` wrapped to `width` columns, each line behind `indent` spaces; the first line begins at
 * column `at`, where the cursor already is. Blank lines between paragraphs stay. Ends the line. */
void usage_wrap(FILE *to, const char *text, unsigned at, unsigned indent, unsigned width);

/* A key of a file with what goes behind it, `idle = DUR`. */
void usage_put_key(struct text *t, const struct option *row);

/* What the key is when it is not there, or NULL when that is nothing to be written. */
const char *usage_key_default(const struct option *row);

/* `prise help NAME`: summary, synopsis, about, options, examples. */
void usage_print(FILE *to, const struct command *command, const char *summary);

/* The mdoc(7) page prise-NAME(1); never translated. */
void usage_print_man(FILE *to, const struct command *command, const char *summary);

#endif
