/* discard, server (RFC 863): takes everything, says nothing.
 *
 *   client               server
 *     │ ── bytes ─────────►  │      ... any number of times
 *     │ ── FIN ───────────►  │
 *     │ ◄─────────── FIN ──  │
 *
 * A datagram is taken too, and no answer goes out. */
#include "proto/machine.h"

extern const struct machine discard_machine;

static size_t discard_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return in.len;
}

static void discard_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			     const struct moment *now)
{
}

const struct machine discard_machine = {
	.name = "discard",
	.feed = discard_feed,
	.datagram = discard_datagram,
};
