/* Keys as people know them: fingerprints, and what the files that list them say. Pure:
 * whoever reads the files hands their text over.
 *
 *   known_hosts       HOST:PORT FINGERPRINT
 *   authorized_keys   FINGERPRINT SERVICE[,SERVICE] comment
 *   # a comment, and blank lines, in both
 *
 * A fingerprint is `SHA256:` and the base64 (RFC 4648, without its padding, which may be there when
 * it is read) of the SHA-256 of a public key as a certificate holds it (SubjectPublicKeyInfo,
 * RFC 5280). So it outlives a new certificate for the same key. */
#ifndef PROTO_KEYS_H
#define PROTO_KEYS_H

#include "base/text.h"

enum {
	KEYS_DIGEST_BYTES = 32,
	KEYS_FINGERPRINT_BYTES = 51, /* with its terminator */
	KEYS_LINE_BYTES = 1024,      /* a longer line is a mistake */
};

struct key_digest {
	uint8_t byte[KEYS_DIGEST_BYTES];
};

bool keys_equal(const struct key_digest *a, const struct key_digest *b);

/* `fingerprint` as above, or as curl writes it (`sha256//`). False when it is none. */
bool keys_parse_fingerprint(struct bytes fingerprint, struct key_digest *digest);

void keys_put_fingerprint(struct text *t, const struct key_digest *digest);

enum keys_known {
	KEYS_NEW,     /* nothing is known of that host */
	KEYS_SAME,    /* it has this key */
	KEYS_CHANGED, /* it had another: `line` and `old` say which and where */
};

struct keys_found {
	enum keys_known known;
	unsigned line; /* from 1 */
	struct key_digest old;
};

/* What `file` (known_hosts) says of the key of `where` (`HOST:PORT`, `[V6]:PORT`; letters of either
 * case). A host may have several lines: one that agrees is enough. Lines that are not understood
 * count for nothing. */
struct keys_found keys_find_host(struct bytes file, struct bytes where,
				 const struct key_digest *key);

/* Whether `file` (authorized_keys) lets `key` in to `service`: 0, ERR_KEY_UNKNOWN, ERR_KEY_SERVICE
 * (but to another). A line that is not understood lets nobody in. */
int keys_authorise(struct bytes file, const struct key_digest *key, struct bytes service);

/* Whether every line of `file` (authorized_keys) is understood: 0, or ERR_SYNTAX with the first
 * that is not in `line`. `is_service` judges the names of services. */
int keys_check_authorised(struct bytes file, bool (*is_service)(struct bytes name), unsigned *line);

#endif
