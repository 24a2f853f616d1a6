/* inbox, server: shows what each client sends, and answers nothing.
 *
 *   client               server
 *     │ ── anything ──────►  │ ──► event inbox.message
 *     │ ── FIN ───────────►  │
 *     │ ◄─────────── FIN ──  │
 *
 * Over TCP a chunk is an event; over UDP a datagram is one, the empty one too. What is longer than
 * an event holds goes into several, cut between characters where it is UTF-8, numbered `part` of
 * `parts`. Source: the course's slides, which call it the echo server. */
#include "proto/machine.h"

enum { INBOX_PART_BYTES = 1400 }; /* with peer= beside it an event still holds that */

_Static_assert((INBOX_PART_BYTES - 3) * OUT_EVENTS >= 65507, "a whole datagram in one call");

extern const struct machine inbox_machine;

struct inbox {
	struct address from;
};

/* How much of `b` the next event shows. */
static size_t inbox_part(struct bytes b)
{
	struct bytes part = bytes_first(b, INBOX_PART_BYTES);

	return part.len < b.len ? part.len - text_utf8_incomplete_tail(part) : part.len;
}

static unsigned inbox_parts(struct bytes b)
{
	unsigned parts = 1;

	for (; b.len > INBOX_PART_BYTES; parts++)
		b = bytes_after(b, inbox_part(b));
	return parts;
}

static void inbox_show(const struct address *from, struct bytes b, struct out *out,
		       const struct moment *now)
{
	unsigned parts = inbox_parts(b);

	for (unsigned part = 1; part <= parts; part++) {
		struct event *e = out_event(out, now, EVENT_INFO, "inbox.message");
		size_t len = inbox_part(b);

		event_address(e, "peer", from);
		if (parts > 1) {
			event_uint(e, "part", part);
			event_uint(e, "parts", parts);
		}
		event_text(e, "text", bytes_first(b, len));
		b = bytes_after(b, len);
	}
}

static void inbox_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct inbox *inbox = m;

	inbox->from = peer->remote;
}

static size_t inbox_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct inbox *inbox = m;

	inbox_show(&inbox->from, in, out, now);
	return in.len;
}

static void inbox_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			   const struct moment *now)
{
	inbox_show(&from->remote, in, out, now);
}

const struct machine inbox_machine = {
	.name = "inbox",
	.state_bytes = sizeof(struct inbox),
	.chunk = true,
	.open = inbox_open,
	.feed = inbox_feed,
	.datagram = inbox_datagram,
};
