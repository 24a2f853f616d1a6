/* daytime (RFC 867): what the client side reports.
 *
 * Event `daytime.answer` with text=: the answer without white space at its ends, bytes as they came
 * (a terminal is the holder's to protect). The machine ends with it. It aborts with ERR_LEFT when
 * the answer holds nothing but white space, and with ERR_TOO_LONG beyond DAYTIME_ANSWER_BYTES.
 *
 * Over UDP the holder sends an empty datagram, again when no answer comes, and hands the answer to
 * `datagram`. */
#ifndef PROTO_DAYTIME_H
#define PROTO_DAYTIME_H

#include "proto/machine.h"

enum { DAYTIME_ANSWER_BYTES = 512 };

extern const struct machine daytime_machine;
extern const struct machine daytime_client_machine;

#endif
