/* Keys on disk: this machine's own, those it knows, those it lets in, and the dashboard's
 * token, in the configuration directory (base/place.h):
 *
 *   key.pem           0600, this machine's private key and its certificate
 *   known_hosts       the keys of servers, as first seen
 *   authorized_keys   whom a service lets in, unless its block names another file
 *   token             0600, the dashboard's token
 *
 * A file that somebody else may change, or, where it is secret, read, is not used: ERR_KEY_MODE. */
#ifndef NET_KEYRING_H
#define NET_KEYRING_H

#include "base/place.h"
#include "net/tls.h"

enum { KEYRING_TOKEN_BYTES = 33, KEYRING_FILE_BYTES = 1 << 20 };

/* Where `name` of the above is. 0, ERR_NO_FILE (no variable says where), ERR_TOO_LONG. */
int keyring_path(struct text *path, const char *name);

/* A whole file, of KEYRING_FILE_BYTES at most; `*text` is the caller's to free. A `secret` one must
 * not be readable by others. 0, ERR_NO_FILE, ERR_PERMISSION, ERR_KEY_MODE, ERR_TOO_LONG,
 * ERR_MEMORY, ERR_SYSTEM (no regular file), ... */
int keyring_read(const char *path, bool secret, char **text, size_t *len);

/* This machine's key; with `make`, a new one when there is none. 0, ERR_KEY_FILE (not understood),
 * or as keyring_path, keyring_read, tls_key_make, place_make. */
int keyring_key(struct tls_key **key, bool make);

/* What is known of the server `where` (`HOST:PORT`) and the key that it shows. A known_hosts that
 * is not there knows nothing. 0 or as keyring_read. */
int keyring_known(const char *where, const struct key_digest *key, struct keys_found *found);

/* Remembers it: one line more. 0, ERR_KEY_MODE, ERR_DISK, ... */
int keyring_remember(const char *where, const struct key_digest *key);

/* A new token for the dashboard (daemon/guard.h reads it), in place of the one before: 128 random
 * bits in hex. 0, ERR_DISK, ... */
int keyring_token_make(char token[static KEYRING_TOKEN_BYTES]);

#endif
