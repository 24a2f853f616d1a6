/* The address that a datagram was sent to, so that its answer leaves from there: a socket bound to
 * every address would let the kernel choose, and a client that asked another would not know it.
 *
 * Source: ip(7) (IP_PKTINFO), RFC 3542 section 6 (IPV6_PKTINFO). */
#ifndef NET_PKTINFO_H
#define NET_PKTINFO_H

#include "base/address.h"

#include <sys/socket.h>

enum { PKTINFO_BYTES = 64 }; /* of control data: one in6_pktinfo takes CMSG_SPACE(20) */

/* Asks for it with every datagram that comes on `fd`, whose address is of `family` (ADDRESS_). */
void pktinfo_ask(int fd, uint8_t family);

/* Turns the control data of a received message into that of its answer, in place; the address goes
 * to `local`, whose family and port stand already. The answer leaves by the routing table, but for
 * link-local addresses, which mean nothing without their interface. */
void pktinfo_turn_round(struct msghdr *message, struct address *local);

#endif
