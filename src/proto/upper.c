/* upper, server: one message back in capitals.
 *
 *   client               server
 *     │ ──   bonjour \n ──►  │
 *     │ ◄──────── BONJOUR ── │
 *     │ ◄──────────── FIN ── │
 *
 * No state: the message is the first chunk, and the talk ends with it. White space at its ends is
 * dropped, ASCII letters are raised, every other byte is kept, so that UTF-8 stays UTF-8. A blank
 * message gets no answer. Source: the course's server. */
#include "proto/machine.h"

extern const struct machine upper_machine;

static uint8_t upper_of(uint8_t byte)
{
	return byte >= 'a' && byte <= 'z' ? (uint8_t)(byte - 'a' + 'A') : byte;
}

static size_t upper_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	uint8_t raised[MACHINE_CHUNK_BYTES];
	struct bytes message = bytes_strip(bytes_first(in, sizeof raised));

	for (size_t i = 0; i < message.len; i++)
		raised[i] = upper_of(message.data[i]);
	if (message.len && !out_copy(out, bytes_of(raised, message.len)))
		return 0;
	out_end(out);
	return in.len;
}

const struct machine upper_machine = {
	.name = "upper",
	.chunk = true,
	.feed = upper_feed,
};
