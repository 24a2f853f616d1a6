/* What net/tls.c and net/tls_key.c share. Private to the two. */
#ifndef NET_TLS_PARTS_H
#define NET_TLS_PARTS_H

#include "net/tls.h"

#include <openssl/ssl.h>

/* Has sessions of `ssl` show this key. */
bool tls_key_show(const struct tls_key *key, SSL_CTX *ssl);

/* Of a certificate's public key. */
struct key_digest tls_digest_of(X509 *certificate);

/* Has it trust whom the system trusts. The store is read once a process. */
bool tls_trust_system(SSL_CTX *ssl);

#endif
