/* chargen, server (RFC 864): characters without end.
 *
 *   client               server
 *     │ ── connect ───────►  │
 *     │ ◄─────── 72 chars ─  │      line after line, as fast as the client reads,
 *     │ ◄─────── 72 chars ─  │      until it ends its half; what it sends is thrown away
 *
 *      !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg
 *     !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefgh
 *     "#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefghi
 *
 * Each line is a window of 72 on the ring of the 95 printing characters, one further than the last,
 * with CRLF. A datagram is answered by a random number of the same characters, 0 to 512. */
#include "proto/machine.h"

extern const struct machine chargen_machine;

enum {
	CHARGEN_RING = 95,
	CHARGEN_COLUMNS = 72,
	CHARGEN_LINE_BYTES = CHARGEN_COLUMNS + 2,
	CHARGEN_DATAGRAM_BYTES = 512,
};

struct chargen {
	uint8_t line; /* where on the ring the next one begins */
};

/* The ring and its first 71 characters again, so that every line is one piece. */
static const char ring[] =
	" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvw"
	"xyz{|}~"
	" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef";

_Static_assert(sizeof ring == CHARGEN_RING + CHARGEN_COLUMNS, "a window at every place");

static void put_line(unsigned line, struct out *out)
{
	out_copy(out, bytes_of(ring + line, CHARGEN_COLUMNS));
	out_copy(out, BYTES_LITERAL("\r\n"));
}

/* As many lines as are welcome now. */
static void chargen_room(void *m, struct out *out, const struct moment *now)
{
	struct chargen *c = m;

	while (out_room(out) > 0 && out_fits(out, 1, CHARGEN_LINE_BYTES)) {
		put_line(c->line, out);
		c->line = (uint8_t)((c->line + 1) % CHARGEN_RING);
	}
	out_more(out);
}

static void chargen_open(void *m, const struct peer *peer, struct out *out,
			 const struct moment *now)
{
	chargen_room(m, out, now);
}

static size_t chargen_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return in.len;
}

static void chargen_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			     const struct moment *now)
{
	unsigned left = from->seed[0] % (CHARGEN_DATAGRAM_BYTES + 1);

	if (left == 0)
		out_empty(out);
	for (unsigned line = 0; left > 0; line++) {
		unsigned text = left < CHARGEN_COLUMNS ? left : CHARGEN_COLUMNS;
		unsigned end = left - text < 2 ? left - text : 2;

		out_copy(out, bytes_of(ring + line, text));
		out_copy(out, bytes_of("\r\n", end));
		left -= text + end;
	}
}

const struct machine chargen_machine = {
	.name = "chargen",
	.state_bytes = sizeof(struct chargen),
	.open = chargen_open,
	.feed = chargen_feed,
	.room = chargen_room,
	.datagram = chargen_datagram,
};
