/* dialogue, server and client: the server asks for messages and echoes them.
 *
 *   client                                              server
 *     │ ◄── Vous êtes connecté au serveur HOST:PORT.\n ──── │
 *     │ ◄───────────────────────────── Votre message ?\n ── │
 *     │ ── bonjour\n ─────────────────────────────────────► │
 *     │ ◄───────────── ECHO : bonjour\nVotre message ?\n ── │
 *     │ ── FIN\n ─────────────────────────────────────────► │
 *     │ ◄───────────────────────────────────── Good Bye. ── │
 *     │ ◄─────────────────────────────────────────── FIN ── │
 *
 * Server: a message is a chunk, with or without line end, and comes back unchanged. The beginning
 * of a UTF-8 character at a chunk's end belongs to what follows: it waits for its rest, and so does
 * all before it if by itself that would end the talk (` ` is blank, ` é` cut in two is not).
 * Client: the stream has no framing but the prompt, which is found however the stream is cut; of
 * its bytes only `V` begins it, so that no beginning of a prompt hides in another.
 *
 * Source: the course's server and its clients. */
#include "proto/dialogue.h"

#define DIALOGUE_ASK "Votre message ?\n"
#define DIALOGUE_BYE "Good Bye."

struct dialogue {
	struct address from;
};

static void dialogue_end(struct out *out)
{
	out_static(out, BYTES_LITERAL(DIALOGUE_BYE));
	out_end(out);
}

static void dialogue_open(void *m, const struct peer *peer, struct out *out,
			  const struct moment *now)
{
	struct dialogue *d = m;
	char buffer[ADDRESS_TEXT_BYTES];
	struct text local = TEXT_OVER(buffer);

	d->from = peer->remote;
	address_put(&local, &peer->local);
	out_printf(out, "Vous êtes connecté au serveur %s.\n" DIALOGUE_ASK,
		   peer->host ? peer->host : buffer);
}

static bool dialogue_is_last(struct bytes message)
{
	struct bytes word = bytes_strip(message);

	return word.len == 0 || bytes_equal_fold(word, BYTES_LITERAL("FIN"));
}

static void dialogue_show(const struct dialogue *d, struct bytes message, struct out *out,
			  const struct moment *now)
{
	struct event *e = out_event(out, now, EVENT_DEBUG, "dialogue.message");

	event_address(e, "peer", &d->from);
	event_text(e, "text", message);
}

static size_t dialogue_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	size_t tail = text_utf8_incomplete_tail(in);
	struct bytes message = bytes_first(in, in.len - tail);
	bool last = tail == 0 && dialogue_is_last(message);

	if (tail > 0 && in.len < MACHINE_CHUNK_BYTES && dialogue_is_last(message))
		return 0;
	if (!out_fits(out, 3, 0))
		return 0;
	dialogue_show(m, message, out, now);
	if (last) {
		dialogue_end(out);
		return in.len;
	}
	out_static(out, BYTES_LITERAL("ECHO : "));
	out_borrow(out, message);
	out_static(out, BYTES_LITERAL(DIALOGUE_ASK));
	return message.len;
}

static void dialogue_eof(void *m, struct out *out, const struct moment *now)
{
	dialogue_end(out);
}

const struct machine dialogue_machine = {
	.name = "dialogue",
	.state_bytes = sizeof(struct dialogue),
	.hold_bytes = MACHINE_CHUNK_BYTES - 1,
	.chunk = true,
	.open = dialogue_open,
	.feed = dialogue_feed,
	.eof = dialogue_eof,
};

enum {
	DIALOGUE_ASK_BYTES = sizeof DIALOGUE_ASK - 1,
	DIALOGUE_BYE_BYTES = sizeof DIALOGUE_BYE - 1,
	DIALOGUE_WINDOW_BYTES = 4096, /* searched at a time */
	DIALOGUE_FINS_MOST = 8,
	DIALOGUE_FIN_WAIT_MS = 1000, /* for Good Bye, before FIN is said again */
};

struct dialogue_client {
	bool asked;   /* the server waits for a message */
	bool given;   /* `line` waits for the prompt */
	bool ending;  /* no more lines */
	uint8_t held; /* bytes left untaken, the beginning of a prompt */
	uint8_t bye;  /* bytes of `Good Bye.` that the server's text ends with */
	uint8_t fins; /* how often FIN was sent */
	size_t line_len;
	size_t line_lost; /* bytes of it that found no room */
	uint8_t line[DIALOGUE_LINE_BYTES];
};

static bool dialogue_tell_owner(struct out *out, enum dialogue_kind kind, uint64_t number,
				struct bytes body)
{
	return out_tell(out, OUT_OWNER,
			&(struct message){.kind = kind, .number = {number}, .body = body});
}

static void dialogue_client_open(void *m, const struct peer *peer, struct out *out,
				 const struct moment *now)
{
	dialogue_tell_owner(out, DIALOGUE_WANT, 0, bytes_of(NULL, 0));
}

/* Says what is to be said, when the server has asked for it. */
static void dialogue_client_speak(struct dialogue_client *d, struct out *out)
{
	if (!d->asked)
		return;
	if (d->given) {
		out_borrow(out, bytes_of(d->line, d->line_len));
		out_static(out, BYTES_LITERAL("\n"));
		dialogue_tell_owner(out, DIALOGUE_WANT, d->line_lost, bytes_of(NULL, 0));
		d->given = false;
		d->asked = false;
	} else if (d->ending) {
		out_static(out, BYTES_LITERAL("FIN\n"));
		d->asked = false;
		if (++d->fins > DIALOGUE_FINS_MOST)
			out_abort(out, ERR_PROTOCOL);
	}
}

/* Follows how much of `Good Bye.` the text ends with; line ends after it do not count. */
static void dialogue_client_note_bye(struct dialogue_client *d, struct bytes text)
{
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];

		if (d->bye == DIALOGUE_BYE_BYTES && (c == '\n' || c == '\r'))
			continue;
		if (d->bye < DIALOGUE_BYE_BYTES && c == DIALOGUE_BYE[d->bye])
			d->bye++;
		else
			d->bye = c == DIALOGUE_BYE[0];
	}
}

/* The server asks. After FIN that may be for a message before it; if the server stays, it took FIN
 * for a message (it came in one read with another). */
static bool dialogue_client_prompt(struct dialogue_client *d, struct out *out,
				   const struct moment *now)
{
	if (!out_fits(out, 2, DIALOGUE_ASK_BYTES) || !out_fits_messages(out, 2, 0))
		return false;
	dialogue_tell_owner(out, DIALOGUE_PROMPT, 0,
			    bytes_of(DIALOGUE_ASK, DIALOGUE_ASK_BYTES - 1));
	d->asked = true;
	d->bye = 0;
	if (d->fins > 0)
		out_deadline(out, now->boot_ns + DIALOGUE_FIN_WAIT_MS * MOMENT_MS);
	else
		dialogue_client_speak(d, out);
	return true;
}

/* How many bytes at the end of `b` are the beginning of a prompt. */
static size_t dialogue_prompt_begun(struct bytes b)
{
	size_t n = b.len < DIALOGUE_ASK_BYTES ? b.len : DIALOGUE_ASK_BYTES - 1;

	while (n > 0 && memcmp(b.data + b.len - n, DIALOGUE_ASK, n) != 0)
		n--;
	return n;
}

static size_t dialogue_client_feed(void *m, struct bytes in, struct out *out,
				   const struct moment *now)
{
	struct dialogue_client *d = m;
	size_t taken = 0;

	while (taken < in.len && !out->abort_why) {
		struct bytes rest = bytes_first(bytes_after(in, taken), DIALOGUE_WINDOW_BYTES);
		struct bytes text = bytes_first(rest,
						bytes_find(rest, BYTES_LITERAL(DIALOGUE_ASK)));
		bool asks = text.len < rest.len;

		d->held = asks ? 0 : (uint8_t)dialogue_prompt_begun(rest);
		text.len -= d->held;
		if (text.len == 0 && !asks)
			break;
		if (text.len > 0 && !dialogue_tell_owner(out, DIALOGUE_TEXT, 0, text))
			break;
		dialogue_client_note_bye(d, text);
		taken += text.len;
		if (asks && !dialogue_client_prompt(d, out, now))
			break;
		if (asks)
			taken += DIALOGUE_ASK_BYTES;
	}
	return taken;
}

static void dialogue_client_tick(void *m, struct out *out, const struct moment *now)
{
	dialogue_client_speak(m, out);
}

/* What was left untaken is known: so many bytes of the prompt. */
static void dialogue_client_eof(void *m, struct out *out, const struct moment *now)
{
	struct dialogue_client *d = m;

	if (d->held > 0)
		dialogue_tell_owner(out, DIALOGUE_TEXT, 0, bytes_of(DIALOGUE_ASK, d->held));
	if (d->held == 0 && d->bye == DIALOGUE_BYE_BYTES)
		out_end(out);
	else
		out_abort(out, ERR_LEFT);
}

static void dialogue_client_keep(struct dialogue_client *d, struct bytes line)
{
	struct bytes kept = bytes_first(line, sizeof d->line);

	if (kept.len < line.len)
		kept.len -= text_utf8_incomplete_tail(kept);
	if (kept.len > 0)
		memcpy(d->line, kept.data, kept.len);
	d->line_len = kept.len;
	d->line_lost = line.len - kept.len;
	d->given = true;
}

static void dialogue_client_tell(void *m, const struct message *message, struct out *out,
				 const struct moment *now)
{
	struct dialogue_client *d = m;

	if (message->kind == DIALOGUE_LINE && !d->given && !d->ending)
		dialogue_client_keep(d, message->body);
	else if (message->kind == DIALOGUE_END)
		d->ending = true;
	dialogue_client_speak(d, out);
}

const struct machine dialogue_client_machine = {
	.name = "dialogue_client",
	.state_bytes = sizeof(struct dialogue_client),
	.hold_bytes = DIALOGUE_ASK_BYTES - 1,
	.open = dialogue_client_open,
	.feed = dialogue_client_feed,
	.eof = dialogue_client_eof,
	.tick = dialogue_client_tick,
	.tell = dialogue_client_tell,
};
