/* Which names of a tree are left out: patterns as in a .gitignore (gitignore(5)), and those of
 * --include and --exclude. Pure. */
#ifndef PROTO_IGNORE_H
#define PROTO_IGNORE_H

#include "base/bytes.h"

struct ignore_pattern {
	struct bytes text; /* without `!`, and without the slashes at its ends */
	bool negated;      /* !: takes it back in */
	bool directory;    /* ended in /: directories alone */
	bool anchored;     /* had a / at its front or in it: matches from the root, else anywhere */
};

/* Parses one line: true and `*pattern`, which points into it; false: blank or a comment. */
bool ignore_parse(struct bytes line, struct ignore_pattern *pattern);

/* Whether that one matches `path` (beneath the root, no slash at either end): wildmatch with * ?
 * [..] \ and **, as gitignore(5). Time is bounded by the product of both lengths. */
bool ignore_matches(const struct ignore_pattern *pattern, struct bytes path, bool is_directory);

/* Whether `path` is left out by `count` patterns, of which the last that matches decides. Only the
 * path itself is asked about: a tree's walk does not enter what is left out. */
bool ignore_path(const struct ignore_pattern *patterns, unsigned count, struct bytes path,
		 bool is_directory);

#endif
