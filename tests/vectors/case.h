/* A vector file as cases: what goes into a machine, and what must come out of it.
 *
 *     # comment
 *     == name of the case
 *     machine guess_client       which machine; else the file's base name
 *     set terse=yes              one of the machine's settings
 *     seed 0x1234 0x5678         peer.seed
 *     wall 1982-02-22T17:37:43.000000Z
 *     offset 3600                seconds east of UTC
 *     peer 127.0.0.1:40000       the remote address
 *     local 127.0.0.1:2004       ours; and `host localhost:2004`, ours as configured
 *     room 148                   what out_room says at every call
 *     loose                      events and messages follow the cuts: compared when replayed whole
 *
 *     > text\r\n                 input; consecutive lines are one stream, but for a `chunk` machine
 *                                a chunk each
 *     . eof                      the peer's end of stream
 *     . tick +5s                 time moves on, due deadlines tick
 *     . room                     output has drained
 *     . drain                    the service stops
 *     . tell KIND N0 N1 N2 N3 body
 *     d> bytes                   a datagram comes; may be empty
 *
 *     < text\n                   the next of the output
 *     <| text                    the same, and a write begins here
 *     <*                         the rest of the output, whatever it is
 *     ! guess.won tries=3 x="a b"    the next event: its type, and the fields named
 *     ~ TO KIND N0 N1 N2 N3 body     the next message: TO is hub, owner or a machine's id
 *     = end      = open      = abort ERR_PROTOCOL
 *     d< bytes                   the next datagram out
 *     d-                         no datagram
 *
 * All that came out must be named before the next input: what is not is a failure. Escapes in text:
 * \n \r \t \\ \xNN, and \{N:text} for N times text; all else is literal. */
#ifndef TESTS_VECTORS_CASE_H
#define TESTS_VECTORS_CASE_H

#include "proto/machine.h"

enum vector_kind {
	/* input */
	VECTOR_FEED,
	VECTOR_EOF,
	VECTOR_TICK,
	VECTOR_ROOM,
	VECTOR_DRAIN,
	VECTOR_TELL,
	VECTOR_DATAGRAM,
	/* what must come out */
	VECTOR_OUTPUT,
	VECTOR_OUTPUT_ANY,
	VECTOR_EVENT,
	VECTOR_TOLD,
	VECTOR_STATE,
	VECTOR_ANSWER,
	VECTOR_SILENCE,
};

enum vector_state { VECTOR_OPEN, VECTOR_END, VECTOR_ABORT };

struct vector_field {
	char *name;
	struct bytes value;
};

struct vector_step {
	enum vector_kind kind;
	unsigned line;
	struct bytes data;      /* FEED, DATAGRAM, OUTPUT, ANSWER; the body of TELL and TOLD */
	bool begins_write;      /* OUTPUT */
	uint64_t ns;            /* TICK */
	uint64_t to;            /* TOLD */
	struct message message; /* TELL, TOLD: kind and numbers */
	char *type;             /* EVENT */
	struct vector_field *field;
	size_t fields;
	enum vector_state state; /* STATE */
	int why;
};

struct vector_setting {
	char *key, *value;
};

struct vector_case {
	unsigned line;
	char *name;
	char *machine; /* without `_machine` */
	struct vector_setting *setting;
	size_t settings;
	struct peer peer;
	struct moment now;
	size_t room_bytes;
	bool loose;
	bool datagrams; /* no connection, but a socket */
	struct vector_step *step;
	size_t steps;
};

struct vector_file {
	struct vector_case *item;
	size_t cases;
};

/* Reads a whole file; one that cannot be read or understood is told on stderr with its line and
 * ends the program with exit 99 (a hard error in the eyes of the test runner). Never freed. */
struct vector_file vector_file_read(const char *path);

/* The text of `b` with what does not show escaped, cut after about 400 bytes; static buffers, the
 * last four calls' remain. */
const char *vector_show(struct bytes b);

#endif
