/* What the client side of dialogue says to whoever holds it, and is told. Bodies are bytes as they
 * are: the terminal is the holder's to protect.
 *
 * The server's event: `dialogue.message` (debug) with peer= and text=, each message as it came;
 * what the course's server prints as `reçu du client>TEXT<`. */
#ifndef PROTO_DIALOGUE_H
#define PROTO_DIALOGUE_H

#include "proto/machine.h"

enum { DIALOGUE_LINE_BYTES = 8192 };

enum dialogue_kind {
	/* To OUT_OWNER: what the server said, its prompts left out. Pieces of a stream: they begin
	 * and end anywhere. */
	DIALOGUE_TEXT = 1,
	/* To OUT_OWNER: the server asks for a message. Body: its prompt, without the line end. */
	DIALOGUE_PROMPT,
	/* To OUT_OWNER: a line is wanted, one for each of these; the first at once, the others when
	 * the last one is on its way. number[0]: how many bytes that one lost to its limit. */
	DIALOGUE_WANT,
	/* From the owner: a line as typed, without its line end. It waits here for the prompt. Up
	 * to DIALOGUE_LINE_BYTES, beyond that cut between characters; one not wanted is ignored. */
	DIALOGUE_LINE,
	/* From the owner: no more lines. After the one that waits, FIN is sent. */
	DIALOGUE_END,
};

extern const struct machine dialogue_machine;

/* Ends well when the server's last words are `Good Bye.`, with ERR_LEFT when it goes without them,
 * with ERR_PROTOCOL when it asks on and on after FIN. */
extern const struct machine dialogue_client_machine;

#endif
