/* What commands say: stdout is data, stderr is talk.
 *
 * Errors have one home, this one: the text and the advice follow from what was attempted and from
 * the ERR_, so a refusal never reads like an unknown name or a timeout. */
#ifndef COMMAND_SAY_H
#define COMMAND_SAY_H

#include "base/err.h"
#include "base/event.h"
#include "command/command.h"

enum say_attempt {
	SAY_CONNECT, /* reaching the peer `where` (HOST:PORT) */
	SAY_RESOLVE, /* looking up the name or address `where` */
	SAY_REVERSE, /* looking up the names of the address `where` */
	SAY_LISTEN,  /* listening on `where` */
	SAY_SECURE,  /* agreeing on TLS with `where`, which had taken the connection */
	SAY_TALK,    /* a conversation with `where` that had begun */
	SAY_HEAR,    /* the first word of `where`, to which the connection stands */
	SAY_ASK,     /* a datagram to `where`, and the one that answers it */
	SAY_FILE,    /* opening, reading or writing the file `where` */
	SAY_RUN,     /* starting the program `where` */
	SAY_CAPTURE, /* reading frames from the file or interface `where` */
};

/* Who speaks from now on and how. `command` NULL is prise itself; both outlive their use here. */
void say_begin(const char *command, const struct command_common *common);

/* Says on stderr, in two lines, what was attempted, where and why it failed, and what to try. With
 * --json also prints the event `error` (code, name, where, text, try) on stdout. `where` is what
 * the user knows it by. Returns the exit code of `err`. */
int say_error(enum say_attempt attempt, const char *where, int err);

/* The same with an advice of the command's own, already translated. */
int say_error_try(enum say_attempt attempt, const char *where, int err, const char *advice);

/* The same in words of the command's own: `text` and `advice` are whole and translated. */
int say_told(const char *where, int err, const char *text, const char *advice);

/* This machine has no address of the family that `where` needs; `chosen`: only since -4 or -6 asks
 * for it. Returns 6. */
int say_no_family(enum say_attempt attempt, const char *where, bool chosen);

/* Standard input cannot be read. Returns the exit code. */
int say_input(int err);

/* A port to listen on that is taken: names the process that holds it, where that is known.
 * Returns 9. */
int say_in_use(const char *where, const struct address *address, uint16_t port, bool udp);

/* Wrong usage: one line from `format` (translated), one on what to try. Returns 2. */
int say_usage(const char *advice, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line of talk on stderr after the command's name, newline added; --quiet drops notes. */
void say_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
void say_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* From now on `clear` is called before each line of talk, by whoever says it: for a line on the
 * terminal that is written over itself. NULL: there is none any more. */
void say_over(void (*clear)(void *owner), void *owner);

/* Events go there from now on, as lines of JSON, in place of stdout. NULL: to stdout again. */
void say_through(void (*put)(void *owner, struct bytes line), void *owner);

/* Somebody else found stdout failing, with this errno, or 0: say_end says so. */
void say_stdout_failed(int error);

/* An event as one line of JSON on stdout, with this machine's name as host. Any thread. */
void say_event(const struct event *e);

/* The same line into `t`. */
void say_put_event(struct text *t, const struct event *e);

/* Microseconds since 1970, for an event's time. */
int64_t say_now_us(void);

/* Whether colour suits `stream`: a terminal, no NO_COLOR, TERM not dumb. */
bool say_coloured(FILE *stream);

/* Writes out what stdout still holds. False once that is vain: nobody reads it, or the disk is
 * full; say_end will say so. */
bool say_flush(void);

/* Writes out what stdout still holds. Returns `code`, or 9, having said so, when it cannot be
 * written (disk full). */
int say_end(int code);

#endif
