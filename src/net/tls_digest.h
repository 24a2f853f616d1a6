/* Digests of files. */
#ifndef NET_TLS_DIGEST_H
#define NET_TLS_DIGEST_H

#include "proto/keys.h"

/* SHA-256 (FIPS 180-4) of what can be read from `fd`, from where it stands to its end. 0, or the
 * ERR_ of read(2), ERR_MEMORY. Blocks. */
int tls_digest_file(int fd, struct key_digest *digest);

#endif
