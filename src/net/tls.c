/* Sessions and contexts over OpenSSL 3.
 *
 *   wire.in ──► BIO ──► SSL ──► plaintext
 *   wire.out ◄── BIO ◄── SSL ◄── plaintext
 *
 * The error queue of a thread is empty between our calls: whoever fills it empties it, so that the
 * usual step need not look.
 *
 * Limits: no renegotiation, no compression, no early data; a handshake is as long as OpenSSL lets
 * it be (a ClientHello of 128 KiB), a client's certificates 16 KiB. Idle sessions give their
 * buffers back. Sources: RFC 8446, RFC 5246, RFC 6125; ssl(7), bio(7), SSL_get_error(3),
 * SSL_CTX_set_cert_verify_callback(3). */
#include "net/tls_parts.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>

enum { TLS_CLIENT_CHAIN_BYTES = 16384 };

/* AES-128 first: as good as the longer key for what a connection carries, and a third cheaper. A
 * client that prefers ChaCha20, having no AES in hardware, gets it. */
#define TLS_SUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define TLS_OLD_SUITES \
	"ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:!aNULL:!eNULL:@SECLEVEL=2"

struct tls_context {
	SSL_CTX *ssl;
	struct tls_settings settings;
	uint8_t alpn[32]; /* with its length in front */
};

struct tls {
	SSL *ssl;
	struct tls_context *context; /* only until the handshake is over */
	const char *reason;
	int judged; /* what the judge said */
	bool shown; /* the peer's key, before it is proven */
	struct key_digest key;
	int err; /* what ended it: OpenSSL must not be called again */
};

/* The wire as a BIO. */

static int tls_bio_read(BIO *bio, char *data, int len)
{
	struct tls_wire *wire = BIO_get_data(bio);
	struct bytes part = bytes_first(wire->in, (size_t)len);

	BIO_clear_retry_flags(bio);
	if (!part.len) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(data, part.data, part.len);
	wire->in = bytes_after(wire->in, part.len);
	return (int)part.len;
}

/* What does not fit is lost and the session with it; only a peer that asks for new keys without
 * pause gets there. */
static int tls_bio_write(BIO *bio, const char *data, int len)
{
	struct tls_wire *wire = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	if ((size_t)len > sizeof wire->out - wire->out_len)
		return -1;
	memcpy(wire->out + wire->out_len, data, (size_t)len);
	wire->out_len += (size_t)len;
	return len;
}

static long tls_bio_control(BIO *bio, int command, long number, void *pointer)
{
	return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *tls_bio_method;

static void tls_bio_make(void)
{
	tls_bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
	if (!tls_bio_method)
		return;
	BIO_meth_set_read(tls_bio_method, tls_bio_read);
	BIO_meth_set_write(tls_bio_method, tls_bio_write);
	BIO_meth_set_ctrl(tls_bio_method, tls_bio_control);
}

static BIO *tls_bio(struct tls_wire *wire)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, tls_bio_make);
	bio = tls_bio_method ? BIO_new(tls_bio_method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, wire);
	BIO_set_init(bio, 1);
	return bio;
}

/* Errors. */

static int tls_err_of_certificate(long verdict)
{
	switch (verdict) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return ERR_CERT_EXPIRED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return ERR_CERT_NAME;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return ERR_CERT_UNKNOWN;
	default:
		return ERR_CERT_BAD;
	}
}

/* What the library's reason means to us. */
static int tls_err_of_reason(const struct tls *t, int reason)
{
	switch (reason) {
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return t->judged ? t->judged
				 : tls_err_of_certificate(SSL_get_verify_result(t->ssl));
	case SSL_R_HTTP_REQUEST:
	case SSL_R_HTTPS_PROXY_REQUEST:
	case SSL_R_WRONG_VERSION_NUMBER:
	case SSL_R_UNKNOWN_PROTOCOL:
		return ERR_NOT_TLS;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_VERSION_TOO_LOW:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
	case SSL_R_TLSV1_ALERT_INSUFFICIENT_SECURITY:
		return ERR_TLS_VERSION;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return ERR_KEY_MISSING;
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
	case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
	case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
		return ERR_KEY_REFUSED;
	case SSL_R_UNEXPECTED_EOF_WHILE_READING:
		return ERR_LEFT;
	default:
		return ERR_TLS;
	}
}

/* What a step that gave `result` (<= 0) means. Empties the error queue. */
static int tls_failed(struct tls *t, int result)
{
	int errnum = errno, how = SSL_get_error(t->ssl, result);
	unsigned long error;

	switch (how) {
	case SSL_ERROR_WANT_READ:
		return TLS_READS;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WRITES;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_ENDED;
	default:
		break;
	}
	error = ERR_peek_error();
	t->reason = error ? ERR_reason_error_string(error) : NULL;
	ERR_clear_error();
	if (how == SSL_ERROR_SYSCALL)
		t->err = errnum ? err_from_errno(errnum) : ERR_LEFT;
	else if (ERR_SYSTEM_ERROR(error))
		t->err = err_from_errno(ERR_GET_REASON(error));
	else if (ERR_GET_LIB(error) != ERR_LIB_SSL)
		t->err = ERR_TLS; /* the reasons of other parts have the same numbers */
	else
		t->err = tls_err_of_reason(t, ERR_GET_REASON(error));
	return t->err;
}

/* Whom to let in. */

/* In the place of OpenSSL's own judgement, where the system's trust store is not what decides. That
 * the peer has the private key is proven by the handshake's next message. */
static int tls_judge(X509_STORE_CTX *store, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls *t = SSL_get_app_data(ssl);
	X509 *certificate = X509_STORE_CTX_get0_cert(store);
	struct key_digest digest;

	if (!certificate)
		return 0;
	digest = tls_digest_of(certificate);
	t->shown = true;
	t->key = digest;
	if (t->context->settings.judge)
		t->judged = t->context->settings.judge(t->context->settings.owner, &digest);
	X509_STORE_CTX_set_error(store, t->judged ? X509_V_ERR_CERT_REJECTED : X509_V_OK);
	return t->judged == 0;
}

/* OpenSSL's own judgement. Whoever asked hears which key was shown, to name it where it is refused.
 */
static int tls_see(X509_STORE_CTX *store, void *unused)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct tls_settings *settings = &((struct tls *)SSL_get_app_data(ssl))
						       ->context->settings;
	X509 *certificate = X509_STORE_CTX_get0_cert(store);
	struct key_digest digest;

	if (certificate && settings->judge) {
		digest = tls_digest_of(certificate);
		settings->judge(settings->owner, &digest);
	}
	return X509_verify_cert(store);
}

/* A protocol that the client does not name is none of ours, but no reason to refuse it either. */
static int tls_choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_len,
			       const unsigned char *offered, unsigned offered_len, void *owner)
{
	const struct tls_context *context = owner;
	unsigned char *found;

	if (SSL_select_next_proto(&found, chosen_len, context->alpn, context->alpn[0] + 1u, offered,
				  offered_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*chosen = found;
	return SSL_TLSEXT_ERR_OK;
}

/* Contexts. */

static bool tls_set_versions(SSL_CTX *ssl, const struct tls_settings *settings)
{
	int least = settings->old_peers ? TLS1_2_VERSION : TLS1_3_VERSION;

	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	return SSL_CTX_set_min_proto_version(ssl, least) == 1 &&
	       SSL_CTX_set_ciphersuites(ssl, TLS_SUITES) == 1 &&
	       SSL_CTX_set_cipher_list(ssl, TLS_OLD_SUITES) == 1;
}

/* Who is let in is decided anew for each connection: nobody comes in by an old ticket where keys
 * are wanted. */
static void tls_set_trust(SSL_CTX *ssl, const struct tls_settings *settings)
{
	int mode = SSL_VERIFY_PEER;

	if (settings->server && settings->wants_key) {
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
		SSL_CTX_set_max_cert_list(ssl, TLS_CLIENT_CHAIN_BYTES);
		SSL_CTX_set_options(ssl, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ssl, 0);
	} else if (settings->server) {
		mode = SSL_VERIFY_NONE;
	}
	SSL_CTX_set_verify(ssl, mode, NULL);
	SSL_CTX_set_cert_verify_callback(ssl, settings->system_trust ? tls_see : tls_judge, NULL);
}

static bool tls_set_protocol(struct tls_context *c)
{
	size_t len = c->settings.alpn ? strlen(c->settings.alpn) : 0;

	if (!len || len >= sizeof c->alpn)
		return len == 0;
	c->alpn[0] = (uint8_t)len;
	memcpy(c->alpn + 1, c->settings.alpn, len);
	if (c->settings.server)
		SSL_CTX_set_alpn_select_cb(c->ssl, tls_choose_protocol, c);
	return c->settings.server ||
	       SSL_CTX_set_alpn_protos(c->ssl, c->alpn, (unsigned)len + 1) == 0;
}

static bool tls_set_up(struct tls_context *c)
{
	const struct tls_settings *settings = &c->settings;

	if (!tls_set_versions(c->ssl, settings) || !tls_set_protocol(c))
		return false;
	tls_set_trust(c->ssl, settings);
	if (settings->key && !tls_key_show(settings->key, c->ssl))
		return false;
	return !settings->system_trust || tls_trust_system(c->ssl);
}

int tls_context_create(struct tls_context **created, const struct tls_settings *settings)
{
	struct tls_context *c = calloc(1, sizeof *c);
	int err = 0;

	if (!c)
		return ERR_MEMORY;
	c->settings = *settings;
	c->ssl = SSL_CTX_new(settings->server ? TLS_server_method() : TLS_client_method());
	if (!c->ssl)
		err = ERR_MEMORY;
	else if (!tls_set_up(c))
		err = ERR_SYSTEM;
	ERR_clear_error();
	c->settings.key = NULL;
	if (err)
		tls_context_free(c);
	else
		*created = c;
	return err;
}

void tls_context_free(struct tls_context *c)
{
	if (!c)
		return;
	SSL_CTX_free(c->ssl);
	free(c);
}

bool tls_is_client(const struct tls_context *c)
{
	return !c->settings.server;
}

/* Sessions. */

static bool tls_is_address(const char *name)
{
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(name);

	ASN1_OCTET_STRING_free(ip);
	ERR_clear_error();
	return ip != NULL;
}

static bool tls_set_name(struct tls *t, const char *name)
{
	bool is_address = tls_is_address(name), checked = t->context->settings.system_trust;

	if (is_address)
		return !checked || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(t->ssl), name);
	SSL_set_hostflags(t->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(t->ssl, name) && (!checked || SSL_set1_host(t->ssl, name));
}

static bool tls_connect_to(struct tls *t, struct tls_wire *wire, int fd)
{
	BIO *bio = wire ? tls_bio(wire) : BIO_new_socket(fd, BIO_NOCLOSE);

	if (!bio)
		return false;
	SSL_set_bio(t->ssl, bio, bio);
	return true;
}

int tls_create(struct tls **created, struct tls_context *context, struct tls_wire *wire, int fd,
	       const char *name)
{
	struct tls *t = calloc(1, sizeof *t);

	if (!t)
		return ERR_MEMORY;
	if (context->settings.system_trust && !name) {
		free(t);
		return ERR_CERT_NAME;
	}
	t->context = context;
	t->ssl = SSL_new(context->ssl);
	if (!t->ssl || !tls_connect_to(t, wire, fd) || (name && !tls_set_name(t, name))) {
		ERR_clear_error();
		tls_free(t);
		return ERR_MEMORY;
	}
	SSL_set_app_data(t->ssl, t);
	if (context->settings.server)
		SSL_set_accept_state(t->ssl);
	else
		SSL_set_connect_state(t->ssl);
	*created = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	free(t);
}

int tls_handshake(struct tls *t)
{
	int result;

	if (t->err)
		return t->err;
	errno = 0;
	result = SSL_do_handshake(t->ssl);
	return result == 1 ? 0 : tls_failed(t, result);
}

int tls_read(struct tls *t, void *data, size_t len, size_t *got)
{
	if (t->err)
		return t->err;
	errno = 0;
	if (SSL_read_ex(t->ssl, data, len, got) == 1)
		return 0;
	return tls_failed(t, 0);
}

int tls_write(struct tls *t, struct bytes b, size_t *taken)
{
	if (t->err)
		return t->err;
	errno = 0;
	if (SSL_write_ex(t->ssl, b.data, bytes_first(b, TLS_RECORD_BYTES).len, taken) == 1)
		return 0;
	return tls_failed(t, 0);
}

int tls_end(struct tls *t)
{
	int result;

	if (t->err)
		return 0;
	errno = 0;
	result = SSL_shutdown(t->ssl);
	return result >= 0 ? 0 : tls_failed(t, result);
}

bool tls_peer(const struct tls *t, struct key_digest *key)
{
	X509 *certificate = t->shown ? NULL : SSL_get0_peer_certificate(t->ssl);

	if (t->shown)
		*key = t->key;
	else if (certificate)
		*key = tls_digest_of(certificate);
	return t->shown || certificate;
}

const char *tls_version(const struct tls *t)
{
	return SSL_get_version(t->ssl);
}

const char *tls_cipher(const struct tls *t)
{
	const char *name = SSL_get_cipher_name(t->ssl);

	return name ? name : "";
}

const char *tls_reason(const struct tls *t)
{
	return t->reason ? t->reason : "";
}
