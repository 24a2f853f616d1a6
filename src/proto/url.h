/* http and https URLs: parsed, resolved against one another, written (RFC 3986, RFC 9110 4.2).
 *
 *   http :// user:password @ host : port /path ?query
 *
 * What a URL may not hold as it is (spaces, controls, bytes above 0x7e, "<>\^`{|}) is
 * percent-encoded; what is encoded already stays as it is. A fragment is dropped: it never leaves
 * the client. A struct url owns all of its text. */
#ifndef PROTO_URL_H
#define PROTO_URL_H

#include "base/text.h"

enum { URL_HOST_BYTES = 256, URL_USER_BYTES = 512, URL_TARGET_BYTES = 4096, URL_BYTES = 4608 };
enum url_scheme { URL_HTTP, URL_HTTPS };

struct url {
	enum url_scheme scheme;
	uint16_t port;                 /* the scheme's own when none was given */
	char host[URL_HOST_BYTES];     /* lower case; a v6 literal without its brackets */
	char user[URL_USER_BYTES];     /* user:password, decoded; empty: none */
	char target[URL_TARGET_BYTES]; /* path and ?query, begins with a slash */
};

/* As people type it: `HOST` and `HOST:PORT/PATH` are http, `:PORT` is localhost. 0, ERR_SYNTAX,
 * ERR_REFUSES (a scheme other than http and https), ERR_RANGE (port), ERR_TOO_LONG. */
int url_parse(struct url *url, struct bytes text);

/* The URL that `reference` (a Location) means when met in `base` (RFC 3986 5.2). Same errors. The
 * user is that of the reference, or the base's within the same authority. `url` is not `base`. */
int url_resolve(struct url *url, const struct url *base, struct bytes reference);

/* In full, but for user and password. */
void url_put(struct text *t, const struct url *url);

/* `host` or `host:port`, as in a Host field: the scheme's own port is left out. */
void url_put_authority(struct text *t, const struct url *url);

/* `host:port`, the port always, as in CONNECT and in messages. */
void url_put_host_port(struct text *t, const struct url *url);

/* Scheme, host and port alike: what credentials may follow to. */
bool url_same_origin(const struct url *a, const struct url *b);

uint16_t url_default_port(enum url_scheme scheme);

/* A name for a file from the last segment of the path: decoded, with nothing in it that a file
 * system, a shell or a terminal could take for something else (a slash, a control character or what
 * is not UTF-8 becomes `_`, and so does a leading dot). `index.html` when there is none. */
void url_put_file_name(struct text *t, const struct url *url);

/* %XX decoded. False, and what was put so far, when it does not fit or holds a NUL. */
bool url_decode(struct text *t, struct bytes b);

#endif
