/* A conversation of standard input and output with one peer: all of connect once it has connected,
 * and of listen once its client is there. */
#ifndef COMMAND_SESSION_H
#define COMMAND_SESSION_H

#include "command/report.h"
#include "net/relay.h"
#include "proto/telnet.h"

#include <termios.h>

enum { SESSION_COMMAND_BYTES = 128, SESSION_UNANSWERED_BYTES = 1 << 18 };

struct session_plan {
	int fd;            /* connected, non-blocking; the caller's */
	struct tls *tls;   /* on it, its handshake over; the caller's; or NULL */
	const char *where; /* what the user calls the peer */
	bool datagrams;
	bool silent_near; /* see struct relay_plan */
	bool late_half;   /* see struct relay_plan */
	bool crlf;        /* a line's end goes out as CR LF */
	bool telnet;
	uint64_t wait_ms; /* datagrams, late_half: after the last one, once standard input has
			   * ended */
	uint64_t idle_ms; /* ERR_TIMEOUT after so long a silence; 0: never */
	/* Datagrams: a socket to the next address of a peer of which one cannot be reached, and is
	 * not known to have answered; the callee's. 0; ERR_NO_ADDRESS: none is left; else there may
	 * be one more. NULL: it has no other. */
	int (*next)(void *owner, int *fd, struct address *remote, struct address *local);
	/* What is said of a refusal, with the exit code; NULL: what say.h has for it. */
	int (*say)(void *owner, int err);
	void *owner;
};

struct session {
	struct session_plan plan;
	struct report report;
	struct loop *loop;
	struct relay *relay;
	struct relay_result result;
	int tls_err; /* what broke it under TLS, or 0 */
	bool done;
	int signal_number; /* the one that ended it, or 0 */

	/* What goes to the next address too: datagrams, each behind its length (size_t), as long as
	 * nothing was heard and all have room. */
	uint8_t *unanswered;
	size_t unanswered_len;

	/* Telnet on a terminal. */
	struct telnet telnet;
	bool terminal, prompting;
	bool sent_cr; /* --crlf: the last byte that was sent */
	struct termios modes;
	size_t command_len;
	char command[SESSION_COMMAND_BYTES];
};

/* What to do with a signal that the loop caught: SIGCONT takes the terminal back, any other ends
 * the conversation. Before session_run too. */
void session_caught(struct session *s, int signal_number);

/* Talks until it is over, having said what went wrong. `s` is zeroed but for `loop` and `report`,
 * which the caller fills in. Returns the exit code, 128 + n when a signal ended it. */
int session_run(struct session *s, const struct session_plan *plan);

/* Says why standard output takes no more; nothing for ERR_LEFT, since whoever read it has seen
 * enough. Returns the exit code. */
int session_say_output(int err);

#endif
