/* An address as a value: what a socket address holds, without <sys/socket.h>, so that machines,
 * events and tests can carry it. net/endpoint.h converts to and from struct sockaddr. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/text.h"

enum address_family { ADDRESS_NONE = 0, ADDRESS_V4 = 4, ADDRESS_V6 = 6, ADDRESS_UNIX = 1 };

struct address {
	uint8_t ip[16]; /* v4 in the first four; network order */
	uint32_t scope; /* v6 interface index, or 0 */
	uint16_t port;  /* host order */
	uint8_t family; /* enum address_family */
};

/* Longest text of address_put with its terminator: [v6%scope]:port. */
#define ADDRESS_TEXT_BYTES 72

/* `127.0.0.1:7777`, `[::1]:7777`, `unix`; RFC 5952 for v6, v4-mapped as ::ffff:a.b.c.d. */
void address_put(struct text *t, const struct address *a);

/* The same without the port and brackets. */
void address_put_ip(struct text *t, const struct address *a);

/* Parses an IPv4 (four decimal parts) or IPv6 literal, no port; a v6 one may end in `%INTERFACE
 * NUMBER`. 0 or ERR_SYNTAX. The port of `a` is left as 0. */
int address_parse_ip(struct bytes b, struct address *a);

/* Whether `host` is such a literal, and no name. */
bool address_is_literal(const char *host);

bool address_equal(const struct address *a, const struct address *b);
bool address_equal_ip(const struct address *a, const struct address *b);

/* 127.0.0.0/8, ::1, v4-mapped 127/8, or a unix socket. */
bool address_is_loopback(const struct address *a);

/* 0.0.0.0 or ::. */
bool address_is_any(const struct address *a);

#endif
