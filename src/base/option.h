/* One row describes one setting: a command's option, a service's key in the configuration file. The
 * same table parses, prints usage, makes the man page and the completion, and names the nearest
 * valid key when somebody errs. */
#ifndef BASE_OPTION_H
#define BASE_OPTION_H

#include "base/bytes.h"

enum option_type {
	OPTION_FLAG,     /* bool; takes no argument on a command line, yes/no in a file */
	OPTION_TEXT,     /* const char *, kept as a pointer to the caller's string */
	OPTION_COUNT,    /* uint64_t */
	OPTION_SIZE,     /* uint64_t, bytes: 64 4K 1M */
	OPTION_DURATION, /* uint64_t, milliseconds: 500ms 2s 1m */
	OPTION_CHOICE,   /* int: the index in `choices` */
	OPTION_LIST,     /* struct option_list: may be given again; has no fallback */
};

enum { OPTION_LIST_MOST = 256 };

struct option_list {
	const char *item[OPTION_LIST_MOST];
	unsigned count;
};

struct option {
	const char *name; /* long name, without dashes; NULL ends a table */
	char letter;      /* short name, or 0 */
	enum option_type type;
	const char *argument; /* what usage calls it: "DUR", "N"; NULL for a flag */
	size_t offset;        /* of the field in the target struct */
	const char *fallback; /* the value when not given, as text; NULL is zero */
	const char *choices;  /* OPTION_CHOICE: "auto historique standard" */
	uint64_t least, most; /* bounds of numbers, in the field's unit; most 0 is none */
	const char *help;     /* one line, N_() */
};

#define OPTION_END           \
	{                    \
		.name = NULL \
	}

/* Sets every field of `target` to its row's fallback. The fallbacks are ours: a bad one is a bug.
 */
void option_defaults(const struct option *table, void *target);

/* Sets the field of `row` in `target` from text. `value` NULL is a bare flag. 0, ERR_SYNTAX,
 * ERR_RANGE, or ERR_FULL for one more item than a list holds. */
int option_set(const struct option *row, void *target, const char *value);

/* The row called `name` (of `len` bytes), or NULL. A NULL table has no rows, here and below. */
const struct option *option_find(const struct option *table, const char *name, size_t len);
const struct option *option_find_letter(const struct option *table, char letter);

/* The name in `table` nearest to `name` when it is near enough to be meant, else NULL. */
const char *option_nearest(const struct option *table, const char *name);

/* What a valid value looks like, for messages: "a duration such as 500ms, 2s or 1m". N_(); of an
 * OPTION_CHOICE its choices as they are. */
const char *option_expects(const struct option *row);

#endif
