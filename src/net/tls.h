/* TLS as a filter (RFC 8446, RFC 5246): ciphertext in, plaintext out, and the other way round. Here
 * alone, and in net/tls_*.c, is OpenSSL seen.
 *
 *   context   what all sessions of a service or a client have in common; threads may share it
 *   session   one connection
 *   wire      where the sessions of one loop find ciphertext and leave it, so that an idle session
 *             holds no buffer
 *
 * A session works either on a wire (net/conn.c reads and sends) or on a socket of its own
 * (net/stream.h). Every step returns 0, one of enum tls_step, or an ERR_:
 *   ERR_NOT_TLS       the peer speaks something else
 *   ERR_TLS_VERSION   no version or cipher in common that is still safe
 *   ERR_CERT_EXPIRED ERR_CERT_NAME ERR_CERT_UNKNOWN ERR_CERT_BAD   the system's trust store says no
 *   ERR_KEY_MISSING   the client showed no key
 *   ERR_KEY_REFUSED   the peer does not accept ours
 *   ERR_LEFT          the stream ended without close_notify, so something may be missing
 *   ERR_RESET, ...    of the socket
 *   ERR_TLS           anything else: bad records, limits
 *   and what `judge` said.
 * After an ERR_ there may still be an alert on the wire; every step gives the same ERR_ again. */
#ifndef NET_TLS_H
#define NET_TLS_H

#include "base/err.h"
#include "proto/keys.h"

enum {
	TLS_RECORD_BYTES = 16384, /* plaintext of one record, at most */
	TLS_IN_BYTES = 65536,     /* ciphertext that a wire is given at a time, at most */
	TLS_OUT_BYTES = 96 * 1024,
	TLS_PEM_BYTES = 65536,
};

enum tls_step {
	TLS_READS = 1,  /* needs more from the peer */
	TLS_WRITES = 2, /* on a socket: needs it to be writable */
	TLS_ENDED = 3,  /* the peer's close_notify */
};

/* A private key and its certificate, perhaps with the chain above it. */
struct tls_key;

/* A new ECDSA P-256 key in a certificate that it signs itself, for this machine's names and
 * loopback. 0, ERR_MEMORY or ERR_SYSTEM. */
int tls_key_make(struct tls_key **key);

/* From PEM: one private key, one certificate or more, the key's own first. 0, ERR_MEMORY, or
 * ERR_KEY_FILE: not understood, or the two do not belong together. */
int tls_key_parse(struct bytes pem, struct tls_key **key);

/* As PEM, `*len` bytes. 0, ERR_TOO_LONG or ERR_MEMORY. */
int tls_key_write(const struct tls_key *key, char pem[static TLS_PEM_BYTES], size_t *len);

/* Of its public key. */
struct key_digest tls_key_digest(const struct tls_key *key);

void tls_key_free(struct tls_key *key);

struct tls_context;

struct tls_settings {
	bool server;
	bool old_peers;            /* TLS 1.2 too */
	bool system_trust;         /* a client: the system's trust store and the name decide */
	bool wants_key;            /* a server: clients must show a key */
	const char *alpn;          /* the one protocol spoken here; NULL: not asked */
	const struct tls_key *key; /* to show; a server's must be there. Not kept */
	/* Whether a peer with this key is the right one: 0 or the ERR_ that the session ends with.
	 * Called once a handshake, when the key was shown but not yet proven, in the session's
	 * thread. NULL: anybody is. With system_trust what it says does not count. */
	int (*judge)(void *owner, const struct key_digest *key);
	void *owner;
};

/* 0, ERR_MEMORY, or ERR_SYSTEM (the system's trust store cannot be read, the key is unusable). */
int tls_context_create(struct tls_context **context, const struct tls_settings *settings);

/* After the last handshake that uses it. */
void tls_context_free(struct tls_context *context);

bool tls_is_client(const struct tls_context *context);

/* A loop's. */
struct tls_wire {
	struct bytes in; /* what the session may read; it moves on over what it read */
	size_t out_len;  /* what it left: empty it between steps */
	uint8_t out[TLS_OUT_BYTES];
};

struct tls;

/* A session on `wire`, or, when that is NULL, on the connected non-blocking socket `fd`, which
 * stays the caller's. A client asks for `name` (a host name, or an address, which is not asked for,
 * but has to be in the certificate where the system's trust store decides); NULL: none. 0,
 * ERR_MEMORY, or ERR_CERT_NAME: without a name the system's trust store cannot decide. */
int tls_create(struct tls **tls, struct tls_context *context, struct tls_wire *wire, int fd,
	       const char *name);
void tls_free(struct tls *tls);

/* The handshake; 0 once it is over. */
int tls_handshake(struct tls *tls);

/* Plaintext, `*got` bytes (> 0), all of one record; 0, TLS_READS, TLS_ENDED or an ERR_. */
int tls_read(struct tls *tls, void *data, size_t len, size_t *got);

/* Takes `*taken` bytes of `b` (not empty) as one record: on a wire that has room for it, all of
 * TLS_RECORD_BYTES. 0, or TLS_WRITES: try again with the same bytes. */
int tls_write(struct tls *tls, struct bytes b, size_t *taken);

/* Our close_notify. 0, TLS_WRITES, or an ERR_. */
int tls_end(struct tls *tls);

/* The key that the peer showed, proven once the handshake is over. False: none. */
bool tls_peer(const struct tls *tls, struct key_digest *key);

/* Once the handshake is over: "TLSv1.3", "TLS_AES_128_GCM_SHA256". */
const char *tls_version(const struct tls *tls);
const char *tls_cipher(const struct tls *tls);

/* What the library says of the last ERR_, in its own words; "" when it says nothing. */
const char *tls_reason(const struct tls *tls);

#endif
