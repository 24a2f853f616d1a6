/* Which proxy a URL is fetched by, from the environment as curl and wget read it: http_proxy (in
 * small letters only: HTTP_PROXY can be set by a request's header in CGI), https_proxy, all_proxy
 * and no_proxy, the last three in capitals too. A decision only: whoever calls reads the
 * environment. */
#ifndef PROTO_PROXY_H
#define PROTO_PROXY_H

#include "proto/url.h"

/* Each may be NULL. */
struct proxy_environment {
	const char *http, *https, *all, *no;
};

/* 1 and the proxy's URL, or 0 for none; negative for one that cannot be used: as url_parse says, or
 * ERR_REFUSES when it is not spoken to in http (socks5://, https://). */
int proxy_choose(const struct proxy_environment *environment, const struct url *url,
		 struct url *proxy);

/* Whether `list` (no_proxy) names the host: `*`, a name and all below it, an address, a network as
 * ADDRESS/BITS, each with `:PORT` if only that is meant; separated by commas or spaces. */
bool proxy_excludes(const char *list, const struct url *url);

#endif
