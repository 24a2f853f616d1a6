/* Addresses as people write them on a command line or in a configuration, and as sockets
 * want them.
 *
 *   of a peer       HOST:PORT  [V6]:PORT  :PORT (localhost)  HOST:daytime  unix:/path  HOST  V6
 *   to listen on    PORT  :PORT  (loopback, both families)   *:PORT  any:PORT  (everywhere, both)
 *                   ADDR:PORT  [V6]:PORT  NAME:PORT  unix:/path */
#ifndef NET_ENDPOINT_H
#define NET_ENDPOINT_H

#include "base/address.h"
#include "base/err.h"

#include <sys/socket.h>

enum { ENDPOINT_HOST_BYTES = 256, ENDPOINT_MOST = 16 };

struct endpoint {
	char host[ENDPOINT_HOST_BYTES]; /* a name, a literal without brackets, or a path (unix) */
	uint16_t port;                  /* 0: none (unix), or one of the kernel's choice (listen) */
	bool unix_path;
	bool any;      /* to listen on: every address */
	bool loopback; /* to listen on: PORT or :PORT */
};

/* A peer's address. `default_port` stands in when none is given (0: then the port is required).
 * `udp` chooses the table's protocol for a service name. A host with white space, control
 * characters or slashes (a URL) is ERR_SYNTAX, and so is one of ENDPOINT_HOST_BYTES or more. 0,
 * ERR_SYNTAX, ERR_RANGE (port above 65535 or 0), ERR_NO_NAME (no such service name). */
int endpoint_parse_peer(const char *text, uint16_t default_port, bool udp, struct endpoint *e);

/* `HOST PORT` as two words; either a number or a service name. Same errors. */
int endpoint_parse_peer_words(const char *host, const char *port, bool udp, struct endpoint *e);

/* An address to listen on; alone, a number or a service name is a port, anything else an address.
 * Same errors, but port 0 is let through: the kernel chooses one. */
int endpoint_parse_listen(const char *text, uint16_t default_port, bool udp, struct endpoint *e);

/* A port number or service name. Same errors. */
int endpoint_parse_port(const char *text, bool udp, uint16_t *port);

/* As it would be typed: `localhost:7013`, `[::1]:7013`, `unix:/path`, `*:7013`. */
void endpoint_put(struct text *t, const struct endpoint *e);

/* struct address to and from a socket address. The unix family keeps no path here. */
socklen_t endpoint_to_sockaddr(const struct address *a, struct sockaddr_storage *ss);
void endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *a);

#endif
