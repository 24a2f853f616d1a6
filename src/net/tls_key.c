/* Keys and certificates over OpenSSL 3, and the system's trust store.
 *
 * Sources: RFC 5280, RFC 7468 (PEM); EVP_EC_gen(3), PEM_read_bio_PrivateKey(3),
 * SSL_CTX_set_default_verify_paths(3), which SSL_CERT_FILE and SSL_CERT_DIR steer. */
#include "net/tls_parts.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TLS_KEY_DAYS = 36500, TLS_SERIAL_BYTES = 16, TLS_CHAIN_MOST = 8 };

struct tls_key {
	EVP_PKEY *secret;
	X509 *certificate;
	unsigned chain_len;
	X509 *chain[TLS_CHAIN_MOST]; /* above it */
};

void tls_key_free(struct tls_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->secret);
	X509_free(key->certificate);
	while (key->chain_len)
		X509_free(key->chain[--key->chain_len]);
	free(key);
}

static struct key_digest tls_sha256(struct bytes b)
{
	struct key_digest digest = {0};

	EVP_Digest(b.data, b.len, digest.byte, NULL, EVP_sha256(), NULL);
	return digest;
}

struct key_digest tls_key_digest(const struct tls_key *key)
{
	return tls_digest_of(key->certificate);
}

struct key_digest tls_digest_of(X509 *certificate)
{
	struct key_digest digest = {0};
	unsigned char *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &spki);

	if (len > 0)
		digest = tls_sha256(bytes_of(spki, (size_t)len));
	OPENSSL_free(spki);
	return digest;
}

static bool tls_add_extension(X509 *certificate, int kind, const char *value)
{
	X509V3_CTX context;
	X509_EXTENSION *extension;
	bool added;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
	added = extension && X509_add_ext(certificate, extension, -1);
	X509_EXTENSION_free(extension);
	return added;
}

/* A host name that may stand in a certificate as it is. */
static bool tls_is_name(const char *name)
{
	return name[0] && strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789.-_") == strlen(name);
}

static bool tls_add_names(X509 *certificate)
{
	char host[64] = "", names[256];
	X509_NAME *subject = X509_get_subject_name(certificate);

	if (gethostname(host, sizeof host - 1) != 0 || !tls_is_name(host))
		snprintf(host, sizeof host, "localhost");
	snprintf(names, sizeof names, "DNS:%s,DNS:localhost,IP:127.0.0.1,IP:::1", host);
	return X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (unsigned char *)host, -1,
					  -1, 0) &&
	       X509_set_issuer_name(certificate, subject) &&
	       tls_add_extension(certificate, NID_subject_alt_name, names);
}

static bool tls_add_serial(X509 *certificate)
{
	unsigned char serial[TLS_SERIAL_BYTES];
	BIGNUM *number = NULL;
	bool added;

	if (RAND_bytes(serial, sizeof serial) != 1)
		return false;
	serial[0] = (serial[0] & 0x7f) | 0x40; /* positive, and of full length */
	number = BN_bin2bn(serial, sizeof serial, NULL);
	added = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));
	BN_free(number);
	return added;
}

/* It says nothing but whose key this is: what counts is the key. So it never runs out in a life,
 * and it begins a day ago, since clocks differ. */
static bool tls_certify(X509 *certificate, EVP_PKEY *secret)
{
	return X509_set_version(certificate, X509_VERSION_3) && tls_add_serial(certificate) &&
	       X509_time_adj_ex(X509_getm_notBefore(certificate), -1, 0, NULL) &&
	       X509_time_adj_ex(X509_getm_notAfter(certificate), TLS_KEY_DAYS, 0, NULL) &&
	       X509_set_pubkey(certificate, secret) && tls_add_names(certificate) &&
	       tls_add_extension(certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	       tls_add_extension(certificate, NID_subject_key_identifier, "hash") &&
	       X509_sign(certificate, secret, EVP_sha256());
}

int tls_key_make(struct tls_key **made)
{
	struct tls_key *key = calloc(1, sizeof *key);

	if (!key)
		return ERR_MEMORY;
	key->secret = EVP_EC_gen("P-256");
	key->certificate = X509_new();
	if (!key->secret || !key->certificate || !tls_certify(key->certificate, key->secret)) {
		ERR_clear_error();
		tls_key_free(key);
		return ERR_SYSTEM;
	}
	*made = key;
	return 0;
}

static int tls_no_password(char *buffer, int cap, int writing, void *owner)
{
	return -1; /* never asks on a terminal */
}

static bool tls_read_chain(struct tls_key *key, BIO *bio)
{
	X509 *next;

	key->certificate = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL);
	while (key->certificate && key->chain_len < TLS_CHAIN_MOST &&
	       (next = PEM_read_bio_X509(bio, NULL, tls_no_password, NULL)) != NULL)
		key->chain[key->chain_len++] = next;
	return key->certificate != NULL;
}

int tls_key_parse(struct bytes pem, struct tls_key **parsed)
{
	struct tls_key *key = calloc(1, sizeof *key);
	BIO *secret = BIO_new_mem_buf(pem.data, (int)pem.len);
	BIO *certificates = BIO_new_mem_buf(pem.data, (int)pem.len);
	int err = key && secret && certificates ? 0 : ERR_MEMORY;

	if (!err) {
		key->secret = PEM_read_bio_PrivateKey(secret, NULL, tls_no_password, NULL);
		if (!key->secret || !tls_read_chain(key, certificates) ||
		    X509_check_private_key(key->certificate, key->secret) != 1)
			err = ERR_KEY_FILE;
	}
	ERR_clear_error();
	BIO_free(secret);
	BIO_free(certificates);
	if (err)
		tls_key_free(key);
	else
		*parsed = key;
	return err;
}

int tls_key_write(const struct tls_key *key, char pem[static TLS_PEM_BYTES], size_t *len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *written;
	long size;
	int err = 0;

	if (!bio || !PEM_write_bio_PrivateKey(bio, key->secret, NULL, NULL, 0, NULL, NULL) ||
	    !PEM_write_bio_X509(bio, key->certificate))
		err = ERR_MEMORY;
	size = err ? 0 : BIO_get_mem_data(bio, &written);
	if (size > TLS_PEM_BYTES)
		err = ERR_TOO_LONG;
	if (!err) {
		memcpy(pem, written, (size_t)size);
		*len = (size_t)size;
	}
	ERR_clear_error();
	BIO_free(bio);
	return err;
}

bool tls_key_show(const struct tls_key *key, SSL_CTX *ssl)
{
	bool shown = SSL_CTX_use_certificate(ssl, key->certificate) == 1 &&
		     SSL_CTX_use_PrivateKey(ssl, key->secret) == 1;

	for (unsigned i = 0; i < key->chain_len && shown; i++)
		shown = SSL_CTX_add1_chain_cert(ssl, key->chain[i]) == 1;
	return shown;
}

/* Some 140 certificates to parse: once a process is enough. */
static X509_STORE *tls_store;

static void tls_read_store(void)
{
	tls_store = X509_STORE_new();
	if (tls_store && X509_STORE_set_default_paths(tls_store) != 1) {
		X509_STORE_free(tls_store);
		tls_store = NULL;
	}
}

bool tls_trust_system(SSL_CTX *ssl)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, tls_read_store);
	ERR_clear_error();
	if (tls_store)
		SSL_CTX_set1_cert_store(ssl, tls_store);
	return tls_store != NULL;
}
