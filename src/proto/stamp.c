/* stamp, server: answers each chunk with when it came and what it was.
 *
 *   client                                server
 *     │ ── bonjour ──────────────────────►  │
 *     │ ◄── Données reçu à 2026-01-31 09:05:07.000123 : b'bonjour' ──
 *     │ ── FIN ──────────────────────────►  │
 *     │ ◄── FIN ─────────────────────────── │
 *
 * No state. Without framing a chunk is whatever one read brought, at most MACHINE_CHUNK_BYTES. The
 * chunk is shown as Python 3 writes a bytes literal: Python language reference, "String and Bytes
 * literals"; the choice of quotes is bytes.__repr__'s. The time is local, and no zone is said.
 * Source: the course's server, whose words (and grammar) these are. */
#include "proto/machine.h"

enum { STAMP_ANSWER_BYTES = 80 + 4 * MACHINE_CHUNK_BYTES };

extern const struct machine stamp_machine;

/* 2026-01-31 09:05:07.000123; the second is rounded down, before 1970 too. */
static void stamp_put_time(struct text *t, const struct moment *now)
{
	int64_t local_us = now->wall_us + now->utc_offset_s * INT64_C(1000000);
	int64_t fraction_us = (local_us % 1000000 + 1000000) % 1000000;
	struct moment_date d = moment_date_of((local_us - fraction_us) / 1000000);

	text_printf(t, "%04d-%02d-%02d %02d:%02d:%02d.%06d", (int)d.year, d.month, d.day, d.hour,
		    d.minute, d.second, (int)fraction_us);
}

static void stamp_put_byte(struct text *t, uint8_t byte, char quote)
{
	if (byte == '\n')
		text_put_string(t, "\\n");
	else if (byte == '\r')
		text_put_string(t, "\\r");
	else if (byte == '\t')
		text_put_string(t, "\\t");
	else if (byte < 0x20 || byte >= 0x7f)
		text_printf(t, "\\x%02x", byte);
	else if (byte == '\\' || byte == quote)
		text_printf(t, "\\%c", byte);
	else
		text_put_byte(t, (char)byte);
}

static void stamp_put_literal(struct text *t, struct bytes b)
{
	bool single = bytes_find_byte(b, '\'') < b.len;
	bool twofold = bytes_find_byte(b, '"') < b.len;
	char quote = single && !twofold ? '"' : '\'';

	text_put_byte(t, 'b');
	text_put_byte(t, quote);
	for (size_t i = 0; i < b.len; i++)
		stamp_put_byte(t, b.data[i], quote);
	text_put_byte(t, quote);
}

static size_t stamp_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	char buffer[STAMP_ANSWER_BYTES];
	struct text answer = TEXT_OVER(buffer);
	struct bytes chunk = bytes_first(in, MACHINE_CHUNK_BYTES);

	text_put_string(&answer, "Données reçu à ");
	stamp_put_time(&answer, now);
	text_put_string(&answer, " : ");
	stamp_put_literal(&answer, chunk);
	return out_copy(out, text_bytes(&answer)) ? chunk.len : 0;
}

const struct machine stamp_machine = {
	.name = "stamp",
	.chunk = true,
	.feed = stamp_feed,
};
