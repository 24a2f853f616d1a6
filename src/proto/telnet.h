/* What stands between raw bytes and a telnet peer: a filter for each direction, which refuses every
 * option. It asks for none itself, so that two of them never talk about options at all. */
#ifndef PROTO_TELNET_H
#define PROTO_TELNET_H

#include "base/bytes.h"

#include <stdbool.h>

enum { TELNET_SUBNEGOTIATION_BYTES = 4096 }; /* one longer than this is given up */

struct telnet {
	uint8_t state;    /* of what is received: enum telnet_state */
	uint8_t verb;     /* WILL, WONT, DO or DONT, while its option is awaited */
	uint16_t skipped; /* bytes of the subnegotiation so far */
	bool got_cr;      /* the last byte received was CR */
	bool sent_cr;     /* the last byte sent was CR */
};

/* What one call made of its input: lengths of what stands in the caller's buffers. */
struct telnet_made {
	size_t data_len;
	size_t reply_len;
};

/* A zeroed struct telnet is ready. It may be copied and dropped at any time.
 *
 * Takes all of `in`, received and cut anywhere: what is for the user goes to `data` (at least
 * in.len bytes), what is to be sent back to `reply` (at least in.len + 2 bytes; not to be passed
 * through telnet_send). CR NUL becomes CR; CR LF stays. */
struct telnet_made telnet_receive(struct telnet *t, struct bytes in, uint8_t *data, uint8_t *reply);

/* Takes all of `in`, typed or read, cut anywhere, and writes to `data` (at least 2 * in.len + 1
 * bytes) what is to be sent: 255 doubled, LF as CR LF (CR LF as it is), any other CR as CR NUL.
 * Returns how many bytes that is. */
size_t telnet_send(struct telnet *t, struct bytes in, uint8_t *data);

#endif
