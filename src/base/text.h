/* Text built in a buffer of the caller's, and what UTF-8 and terminals ask for.
 *
 * A `struct text` never writes past its buffer and is always terminated; what does not fit is left
 * out, at a character boundary, and `cut` says so. From then on it takes no more: what it holds is
 * always the beginning of what was put. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include "base/bytes.h"

#include <stdarg.h>

struct text {
	char *data; /* the caller's buffer, terminated after every call */
	size_t len; /* bytes in it, the terminator not counted */
	size_t cap; /* its size, the terminator's place included; at least 1 */
	bool cut;   /* something did not fit */
};

/* A text over the array `buffer`. */
#define TEXT_OVER(buffer) text_over((buffer), sizeof(buffer))
struct text text_over(char *buffer, size_t cap);

void text_put(struct text *t, struct bytes b);
void text_put_string(struct text *t, const char *s);
void text_put_byte(struct text *t, char c);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *t, const char *format, va_list arguments);
struct bytes text_bytes(const struct text *t);

/* Puts `b` so that a terminal shows it and never obeys it: valid printable UTF-8 as it is, `\n`
 * kept only when `keep_newlines`, the bytes of other control characters (text_is_control) as \n \r
 * \t \xNN, bytes that are no UTF-8 as \xNN. */
void text_put_visible(struct text *t, struct bytes b, bool keep_newlines);

/* A value for people, shown so: as it is, or in double quotes where it is empty or a space or a
 * quote in it would mislead. */
void text_put_value(struct text *t, struct bytes b);

/* Columns that a terminal gives to `b`, which is UTF-8: one a character (our languages have no wide
 * ones). */
size_t text_columns(struct bytes b);

/* As much of the front, or of the end, of `b`, which is UTF-8, as so many columns hold. */
struct bytes text_first_columns(struct bytes b, size_t columns);
struct bytes text_last_columns(struct bytes b, size_t columns);

/* Puts `s` and then spaces, up to `columns` columns; a longer `s` is put whole. */
void text_put_padded(struct text *t, const char *s, size_t columns);

/* Puts `b` in base64 (RFC 4648), with its padding. */
void text_put_base64(struct text *t, struct bytes b);

/* How many bytes at the end of `b` begin a UTF-8 sequence that is valid so far and lacks its rest:
 * 0 to 3. Anything that can no longer become valid counts as complete (0). RFC 3629. */
size_t text_utf8_incomplete_tail(struct bytes b);

/* Length of the valid UTF-8 sequence at the front of `b`: 1 to 4, or 0 when there is none (empty,
 * overlong, surrogate, above U+10FFFF, cut). */
size_t text_utf8_sequence(struct bytes b);

bool text_utf8_valid(struct bytes b);

/* How many bytes at the front of `b` one U+FFFD stands for: 0 when a valid sequence begins there or
 * `b` is empty, else 1 to 3 (the maximal subpart of Unicode 3.9, as Python and browsers do). */
size_t text_utf8_invalid(struct bytes b);

/* The code point of `sequence`, which is one whole valid sequence. */
uint32_t text_utf8_code(struct bytes sequence);

/* Whether a terminal obeys rather than shows `code`: C0, DEL, C1, line and paragraph separators,
 * and what turns the direction of text around. */
bool text_is_control(uint32_t code);

/* A distance between two words (Levenshtein), for "did you mean"; with a word over 63
 * bytes it is UINT_MAX. */
unsigned text_distance(const char *a, const char *b);

#endif
