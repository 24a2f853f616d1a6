/* sum: a client sends a pickled list of integers, the server its sum. docs/protocols/sum.md.
 *
 * Events of the server: `sum.done` items= sum=, and `sum.refused` reason= with
 *   opcode= at=       when the pickle is at fault: the opcode that was read and its offset;
 *   length= limit=    when it is too long;
 *   items= sum=       when the answer cannot hold the sum (as text: it may pass 64 bits);
 *   left=             when the client leaves early: bytes of the pickle that did not come.
 * Of the client: `sum.answer` sum=. */
#ifndef PROTO_SUM_H
#define PROTO_SUM_H

#include "proto/machine.h"

struct sum_settings {
	uint64_t limit_bytes; /* longest pickle taken */
};

/* The client's list is its holder's, and outlives the machine; no key of a file names it. */
struct sum_client_settings {
	uint64_t protocol; /* of the pickle, 0 to 5 */
	const int64_t *numbers;
	size_t count;
};

/* Ends with ERR_LEFT when the server closes with less than an answer, ERR_PROTOCOL when it says
 * more than one, ERR_TOO_LONG when the pickle's length does not fit 32 bits. */
extern const struct machine sum_client_machine;
extern const struct machine sum_machine;

#endif
