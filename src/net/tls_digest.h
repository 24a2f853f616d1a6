/* Digests of files. */
#ifndef NET_TLS_DIGEST_H
#define NET_TLS_DIGEST_H

#include "proto/keys.h"

#include <stdatomic.h>

/* SHA-256 (FIPS 180-4) of what can be read from `fd`, from where it stands to its end. 0, or the
 * ERR_ of read(2), ERR_MEMORY; ERR_TOO_LONG: there is more than `limit_bytes`; ERR_DRAINED: `stop`
 * became true meanwhile (NULL: nothing stops it). Blocks. */
int tls_digest_file(int fd, uint64_t limit_bytes, const atomic_bool *stop,
		    struct key_digest *digest);

#endif
