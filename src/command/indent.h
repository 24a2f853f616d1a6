/* JSON laid out for people: white space between tokens is ours, every other byte stays as it came,
 * numbers included; what is no JSON comes out with its bytes in order. Pieces may be cut anywhere.
 */
#ifndef COMMAND_INDENT_H
#define COMMAND_INDENT_H

#include "base/text.h"

struct indent { /* zeroed: at the beginning */
	unsigned depth;
	bool in_string, escaped;
	bool opened; /* a bracket, with nothing in it so far */
	bool whole;  /* a value has ended, at the top */
	bool word;   /* within a number or name at the top */
};

/* The most that a byte becomes. */
enum { INDENT_BYTES = 136, INDENT_DEPTH = 64 };

/* Puts what `c` becomes; `t` has room for INDENT_BYTES. */
void indent_put(struct indent *n, struct text *t, char c);

#endif
