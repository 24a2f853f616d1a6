/* JSON as it comes in (RFC 8259): one object, member by member, nothing copied. Strict, and beyond
 * that no character that a terminal obeys may stand in it unescaped (text_is_control). */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/bytes.h"

enum json_kind { JSON_STRING, JSON_NUMBER, JSON_BOOL, JSON_NULL, JSON_OBJECT, JSON_ARRAY };

enum { JSON_DEPTH = 8 }; /* of values within values */

struct json_member {
	struct bytes name;  /* between its quotes, escapes as they stand */
	struct bytes value; /* as it stands; a string without its quotes */
	enum json_kind kind;
};

/* The next member of `object`, which is all of an object and nothing else but white space. Start
 * with `*cursor` 0. 1: there is one; 0: that was the last, and all of it is sound; ERR_SYNTAX. */
int json_next(struct bytes object, size_t *cursor, struct json_member *member);

/* Whether a name, or a string that has no escapes, is `text`. */
bool json_is(struct bytes raw, const char *text);

#endif
