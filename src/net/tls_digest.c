/* SHA-256 through OpenSSL, a piece at a time. */
#include "net/tls_digest.h"

#include "base/err.h"

#include <errno.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 64 * 1024 };

static int digest_pieces(int fd, uint64_t limit_bytes, const atomic_bool *stop, EVP_MD_CTX *context)
{
	uint8_t piece[PIECE_BYTES];
	uint64_t left = limit_bytes; /* it may grow meanwhile */
	struct stat status;
	ssize_t len;

	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
	    (uint64_t)status.st_size > limit_bytes)
		return ERR_TOO_LONG;
	while ((len = read(fd, piece, sizeof piece)) != 0) {
		if (len < 0 && errno != EINTR)
			return err_from_errno(errno);
		if (len > 0 && (uint64_t)len > left)
			return ERR_TOO_LONG;
		if (stop != NULL && atomic_load(stop))
			return ERR_DRAINED;
		left -= len > 0 ? (uint64_t)len : 0;
		if (len > 0 && EVP_DigestUpdate(context, piece, (size_t)len) != 1)
			return ERR_SYSTEM;
	}
	return 0;
}

int tls_digest_file(int fd, uint64_t limit_bytes, const atomic_bool *stop,
		    struct key_digest *digest)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	int err = context == NULL ? ERR_MEMORY : 0;

	if (err == 0 && EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		err = ERR_SYSTEM;
	if (err == 0)
		err = digest_pieces(fd, limit_bytes, stop, context);
	if (err == 0 && EVP_DigestFinal_ex(context, digest->byte, NULL) != 1)
		err = ERR_SYSTEM;
	EVP_MD_CTX_free(context);
	return err;
}
