/* qotd, server (RFC 865): a quotation.
 *
 *   client                                               server
 *     │ ── connect, or any datagram, the empty one too ───► │
 *     │ ◄─ a quotation ──────────────────────────────────── │
 *
 * Printable ASCII in lines of CRLF, fewer than 512 characters, as the RFC recommends. All of it was
 * published before 1900; which one is drawn by the seed. */
#include "proto/machine.h"

#include <assert.h>

extern const struct machine qotd_machine;

enum { QOTD_ANSWER_BYTES = 511 };

static const char *const quotations[] = {
	"Begin at the beginning, and go on till you come to the end: then stop.\r\n"
	"        -- Lewis Carroll, Alice's Adventures in Wonderland, 1865\r\n",

	"Brevity is the soul of wit.\r\n"
	"        -- William Shakespeare, Hamlet\r\n",

	"To be, or not to be, that is the question.\r\n"
	"        -- William Shakespeare, Hamlet\r\n",

	"Reading maketh a full man; conference a ready man; and writing an exact man.\r\n"
	"        -- Francis Bacon, Of Studies, 1625\r\n",

	"If a man will begin with certainties, he shall end in doubts; but if he will be\r\n"
	"content to begin with doubts, he shall end in certainties.\r\n"
	"        -- Francis Bacon, The Advancement of Learning, 1605\r\n",

	"If I have seen further it is by standing on the shoulders of Giants.\r\n"
	"        -- Isaac Newton, letter to Robert Hooke, 1675\r\n",

	"A little learning is a dangerous thing;\r\n"
	"Drink deep, or taste not the Pierian spring.\r\n"
	"        -- Alexander Pope, An Essay on Criticism, 1711\r\n",

	"To err is human, to forgive, divine.\r\n"
	"        -- Alexander Pope, An Essay on Criticism, 1711\r\n",

	"The Analytical Engine has no pretensions whatever to originate anything. It can\r\n"
	"do whatever we know how to order it to perform.\r\n"
	"        -- Ada Lovelace, Note G, 1843\r\n",

	"On two occasions I have been asked, \"Pray, Mr. Babbage, if you put into the\r\n"
	"machine wrong figures, will the right answers come out?\"\r\n"
	"        -- Charles Babbage, Passages from the Life of a Philosopher, 1864\r\n",

	"Our life is frittered away by detail. Simplify, simplify.\r\n"
	"        -- Henry David Thoreau, Walden, 1854\r\n",

	"It is a truth universally acknowledged, that a single man in possession of a\r\n"
	"good fortune, must be in want of a wife.\r\n"
	"        -- Jane Austen, Pride and Prejudice, 1813\r\n",
};

enum { QUOTATIONS = sizeof quotations / sizeof *quotations };

static void put_answer(const struct peer *peer, struct out *out)
{
	struct bytes text = bytes_of_string(quotations[peer->seed[0] % QUOTATIONS]);

	assert(text.len <= QOTD_ANSWER_BYTES);
	out_static(out, text);
}

static void qotd_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	put_answer(peer, out);
	out_end(out);
}

static void qotd_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			  const struct moment *now)
{
	put_answer(from, out);
}

const struct machine qotd_machine = {
	.name = "qotd",
	.open = qotd_open,
	.datagram = qotd_datagram,
};
