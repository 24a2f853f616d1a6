/* Whom a client believes that it talks to, under TLS: anybody's server by the system's trust store,
 * one of ours by known_hosts on first sight, or a pinned key.
 *
 *   trust_open ──► context (a pump's, a tls_create's) ──► handshake ──► trust_keep ──► trust_close
 *                                                              └─ failed: trust_say */
#ifndef COMMAND_TRUST_H
#define COMMAND_TRUST_H

#include "command/command.h"
#include "command/say.h"
#include "net/keyring.h"

enum { TRUST_WHERE_BYTES = 320 };

/* How a conversation is kept secret, and from whom. */
struct client_tls {
	bool foreign;     /* anybody's server: judged by the system's trust store and the name, TLS
			   * 1.2 too. Else one of ours: known_hosts, TLS 1.3, our own key shown when
			   * it asks for one */
	bool insecure;    /* whoever it is */
	const char *pin;  /* this fingerprint and no other, instead of the above; or NULL */
	const char *name; /* to ask for, and in the certificate; NULL: the host that is dialled */
	const char *alpn; /* "http/1.1"; or NULL */
};

struct trust {
	struct client_tls tls;
	struct tls_context *context; /* NULL: not open */
	char where[TRUST_WHERE_BYTES];
	struct key_digest pin;
	bool seen;               /* a key was shown and judged */
	bool several;            /* others before it */
	struct key_digest shown; /* that */
	struct keys_found found; /* what known_hosts says of it */
	int file_err;            /* of known_hosts, which then cannot be asked */
};

/* Whether `pin` is a fingerprint, or NULL: 0, or the exit code of wrong usage, having said so. */
int trust_check_pin(const char *pin);

/* `where` is what known_hosts calls the server (not used for a foreign one). 0, ERR_SYNTAX (the
 * pin), ERR_KEY_MODE, ERR_KEY_FILE (of our own key), ERR_SYSTEM (no trust store), ERR_MEMORY. */
int trust_open(struct trust *trust, const struct client_tls *tls, const char *where);

/* Once a handshake is over: remembers a server of ours that was seen for the first time, and says
 * so. */
void trust_keep(struct trust *trust);

/* Says what is wrong, `err` being one that trust_open returned or a handshake ended with, with the
 * keys and files that it is about. `where` is what the user calls the peer. Returns the exit code.
 */
int trust_say(const struct trust *trust, enum say_attempt attempt, const char *where, int err);

void trust_close(struct trust *trust);

#endif
