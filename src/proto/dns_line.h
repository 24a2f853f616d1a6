/* A DNS message in one line, for people (RFC 1035): `query 0x1b34 A example.org`, `answer 0x1b34 A
 * example.org: 192.0.2.1`. */
#ifndef PROTO_DNS_LINE_H
#define PROTO_DNS_LINE_H

#include "base/text.h"

enum { DNS_LINE_LEAST_BYTES = 12, DNS_LINE_ANSWERS = 4, DNS_LINE_NAME_BYTES = 255 };

/* `message` may be cut, or anything at all: what cannot be read is left out. Never a control
 * character. */
void dns_put_line(struct text *t, struct bytes message);

#endif
