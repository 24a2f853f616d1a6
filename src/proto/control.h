/* The daemon's side of its control socket (docs/protocols/control.md): commands publish their
 * events there, and readers follow those of the daemon. Lines of JSON both ways. */
#ifndef PROTO_CONTROL_H
#define PROTO_CONTROL_H

#include "proto/machine.h"

enum { CONTROL_LINE_BYTES = 15 * 1024 }; /* with its LF */

enum control_kind {
	/* To the hub. */
	CONTROL_PUBLISH = 1, /* the body is an event, sound and on one line, without LF */
	CONTROL_FOLLOW,      /* events, from behind number[0] on when number[1] */
	CONTROL_READY,       /* what it was told has left: the next, please */
	CONTROL_GONE,        /* the last */
	/* From the hub. */
	CONTROL_FOLLOWS, /* number[0] is the newest event; pieces follow */
	CONTROL_PIECE,   /* the body is lines */
	CONTROL_FULL,    /* too many readers */
};

extern const struct machine control_machine;

/* Whether `line` is an event as it may be published: an object with a `type` and a `time`, without
 * a `seq`. NULL, or what is wrong with it: static. */
const char *control_event_fault(struct bytes line);

#endif
