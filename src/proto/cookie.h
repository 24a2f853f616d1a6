/* Cookies within one chain of redirects (RFC 6265, the user agent's part): what servers set on the
 * way is sent back to those whom it is meant for, and forgotten with the chain.
 *
 * A jar holds COOKIE_MOST cookies; of more the oldest go. There is no list of public suffixes: a
 * Domain without a dot is only taken from that very host. */
#ifndef PROTO_COOKIE_H
#define PROTO_COOKIE_H

#include "proto/url.h"

enum { COOKIE_MOST = 32, COOKIE_BYTES = 4096 };

struct cookie {
	bool host_only, secure;
	int64_t expires_s; /* INT64_MAX: with the chain */
	uint32_t order;    /* of creation */
	size_t name_len, value_len, domain_len, path_len;
	char text[COOKIE_BYTES]; /* name, value, domain, path, one after the other */
};

struct cookie_jar { /* zeroed: empty */
	unsigned count;
	uint32_t made;    /* so far: the order of the next one */
	uint32_t changes; /* grows whenever what would be sent may have changed */
	struct cookie cookie[COOKIE_MOST];
};

/* Takes the value of a Set-Cookie field that came from `url`. False when it is ignored: not for
 * this host, Secure over http, no name, longer than its limit. */
bool cookie_set(struct cookie_jar *jar, const struct url *url, struct bytes field, int64_t now_s);

/* The value of the Cookie field for a request to `url`; puts nothing when there is none. */
void cookie_put(struct text *t, const struct cookie_jar *jar, const struct url *url, int64_t now_s);

#endif
