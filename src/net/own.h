/* This machine's own addresses, as its interfaces have them now. Each call asks the kernel; when it
 * does not tell, the answer is the one in brackets. */
#ifndef NET_OWN_H
#define NET_OWN_H

#include "base/address.h"

/* Whether it has the address `a`, whatever its port (no). */
bool own_has(const struct address *a);

/* Whether it has any address of a family, be it loopback's (yes). */
bool own_has_family(uint8_t family);

/* Whether one of its addresses could speak to `to`: one of its family, and not just loopback or
 * link-local unless `to` is such itself (yes). */
bool own_could_speak_to(const struct address *to);

#endif
