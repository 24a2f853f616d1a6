/* SHA-256 through OpenSSL, a piece at a time. */
#include "net/tls_digest.h"

#include "base/err.h"

#include <errno.h>
#include <openssl/evp.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024 };

static int digest_pieces(int fd, EVP_MD_CTX *context)
{
	uint8_t piece[PIECE_BYTES];
	ssize_t len;

	while ((len = read(fd, piece, sizeof piece)) != 0) {
		if (len < 0 && errno != EINTR)
			return err_from_errno(errno);
		if (len > 0 && EVP_DigestUpdate(context, piece, (size_t)len) != 1)
			return ERR_SYSTEM;
	}
	return 0;
}

int tls_digest_file(int fd, struct key_digest *digest)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int err = context == NULL ? ERR_MEMORY : 0;

	if (err == 0 && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		err = ERR_SYSTEM;
	if (err == 0)
		err = digest_pieces(fd, context);
	if (err == 0 && EVP_DigestFinal_ex(context, digest->byte, NULL) != 1)
		err = ERR_SYSTEM;
	EVP_MD_CTX_free(context);
	return err;
}
