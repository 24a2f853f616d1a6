/* time (RFC 868): what the client side reports.
 *
 * Event `time.answer`:
 *   seconds        since 1900-01-01T00:00:00Z, past 2^32 too: of all the times that the four
 *                  bytes may mean, 2^32 seconds apart, the one nearest to our own clock
 *   utc            the same as RFC 3339
 *   difference_ms  the server's clock minus ours: the least that explains the answer, which is a
 *                  whole second; so 0 while ours shows the same second
 * The machine ends with it. It aborts with ERR_LEFT when fewer than four bytes came, and with
 * ERR_PROTOCOL when more did.
 *
 * Over UDP the holder sends an empty datagram, again when no answer comes, and hands the answer to
 * `datagram`. */
#ifndef PROTO_TIME_H
#define PROTO_TIME_H

#include "proto/machine.h"

extern const struct machine time_machine;
extern const struct machine time_client_machine;

#endif
