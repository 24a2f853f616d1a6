/* guess, client: finds a server's number by bisection, or lets a person find it (settings: play).
 *
 *      question for it,         question,
 *      or silence               or silence              answer
 *   OPENING ── maximum ──► MAX ── number ──► TRIED ─────────────► ANSWERED ── a win ──► done
 *      │                                     ▲   ▲                    │
 *      └── question for a number: number ────┘   └────── number ──────┘
 *                                                at once; or question, or silence
 *
 * Servers of the courses speak many dialects: prompts or none, LF or none, 0..MAX or 1..MAX, French
 * or English, the maximum asked for or not. What holds for all, and what this machine relies on:
 *
 *  - A reply is what stands before an LF, before a silence (GUESS_PAUSE_MS for an answer or a
 *    question, longer once the server has shown that it ends its lines), or up to the question that
 *    it asked before. So `plus` is not taken for an answer while ` petit` may be under way. White
 *    space is folded, ASCII in lower case.
 *  - A reply with `?`, or that ends in `:` or `>`, is a question; one with `max`, `borne` or
 *    `limit` and no digit asks for the maximum. Words of a question count as an answer only where
 *    a number is out, and those of a question that was asked before never do (`Plus grand ?`).
 *  - Answers are told by words, in the order of `words`. A win counts until the next question, for
 *    a reply may have several lines.
 *  - A number goes out after an answer or a question, and where the server asks before each number,
 *    after its question. Where it says nothing at all, silence (a second) stands for a
 *    question at the start and after the maximum, which it may also take for a number and answer.
 *  - The secret lies in 0..MAX, which covers 1..MAX at the price of no more than one number.
 *
 * Limits: a reply of GUESS_REPLY_BYTES, GUESS_TALK_BYTES between two numbers; a pause of more than
 * GUESS_PAUSE_MS between `plus` and ` petit`, from a server that never ended a line, is read as two
 * replies. Source: the courses' servers. */
#include "base/number.h"
#include "proto/guess.h"

#include <inttypes.h>
#include <stddef.h>

#define N_(s) s

enum {
	GUESS_REPLY_BYTES = 512,
	GUESS_QUESTION_BYTES = 128,
	GUESS_TALK_BYTES = 65536,
	GUESS_PAUSE_MS = 200,       /* ends a reply that has no line end */
	GUESS_LINE_PAUSE_MS = 2000, /* the same, of a server that ends its lines */
	GUESS_REFUSED_MS = 2000,    /* no answer will come after a question asked again */
};

enum guess_state {
	GUESS_OPENING,
	GUESS_MAX,      /* the maximum is out */
	GUESS_TRIED,    /* a number is out */
	GUESS_ANSWERED, /* and was answered */
	GUESS_PERSON,   /* the person is to say a number, or the maximum */
	GUESS_WON,      /* in play: shows what else the server says */
};

enum guess_answer { GUESS_NOTHING, GUESS_WIN, GUESS_LESS, GUESS_MORE };

struct guess_client {
	uint8_t state; /* enum guess_state */
	bool play;
	bool asks;           /* the server asks before each number */
	bool lines;          /* the server ends its lines: wait longer for LF */
	bool loose;          /* but not always */
	bool unasked;        /* the maximum went out in silence */
	bool again;          /* asked again where an answer was due */
	bool for_max;        /* GUESS_PERSON: what is wanted is the maximum */
	bool ending;         /* the person has no more */
	uint64_t silence_ms; /* after which no question will come */
	uint64_t max;        /* 0: the person's to say */
	uint64_t low, high;  /* where the secret is */
	uint64_t number;     /* the last that went out */
	uint64_t tries;
	uint32_t heard; /* bytes, since something last went out */
	size_t reply_len, question_len, line_len;
	uint8_t reply[GUESS_REPLY_BYTES];       /* so far */
	uint8_t question[GUESS_QUESTION_BYTES]; /* for a number, as it was last asked */
	uint8_t line[GUESS_LINE_BYTES];         /* the person's */
};

static const struct {
	const char *word;
	enum guess_answer answer;
} words[] = {
	{"fini", GUESS_WIN},   {"win", GUESS_WIN},         {"bravo", GUESS_WIN},
	{"trouv", GUESS_WIN},  {"gagn", GUESS_WIN},        {"plus petit", GUESS_LESS},
	{"moins", GUESS_LESS}, {"plus grand", GUESS_MORE}, {"plus", GUESS_MORE},
};

static bool guess_has(struct bytes b, const char *word)
{
	return bytes_find(b, bytes_of_string(word)) < b.len;
}

static enum guess_answer guess_judge(struct bytes reply)
{
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (guess_has(reply, words[i].word))
			return words[i].answer;
	return GUESS_NOTHING;
}

static bool guess_is_question(struct bytes reply)
{
	uint8_t last = reply.len ? reply.data[reply.len - 1] : 0;

	return last == ':' || last == '>' || guess_has(reply, "?");
}

static bool guess_asks_max(struct bytes question)
{
	for (size_t i = 0; i < question.len; i++)
		if (question.data[i] >= '0' && question.data[i] <= '9')
			return false;
	return guess_has(question, "max") || guess_has(question, "borne") ||
	       guess_has(question, "limit");
}

static struct bytes guess_reply(const struct guess_client *c)
{
	return bytes_strip(bytes_of(c->reply, c->reply_len));
}

/* Whether `b` ends with the question as it was last asked. */
static bool guess_ends_with_question(const struct guess_client *c, struct bytes b)
{
	return c->question_len > 0 && b.len >= c->question_len &&
	       memcmp(b.data + b.len - c->question_len, c->question, c->question_len) == 0;
}

static void guess_learn_question(struct guess_client *c, struct bytes question)
{
	c->asks = true;
	if (question.len > sizeof c->question)
		return;
	memcpy(c->question, question.data, question.len);
	c->question_len = question.len;
}

static void guess_client_open(void *m, const struct peer *peer, struct out *out,
			      const struct moment *now)
{
	struct guess_client *c = m;
	const struct guess_client_settings *settings = peer->settings;

	c->play = settings->play;
	c->max = c->high = settings->max;
	c->silence_ms = settings->silence_ms ? settings->silence_ms : GUESS_CLIENT_SILENCE_MS;
	out_deadline(out, now->boot_ns + c->silence_ms * MOMENT_MS);
	if (!c->play && c->max == 0)
		out_abort(out, ERR_USAGE);
}

static void guess_tell_owner(struct out *out, enum guess_kind kind, uint64_t number,
			     struct bytes body)
{
	out_tell(out, OUT_OWNER, &(struct message){.kind = kind, .number = {number}, .body = body});
}

/* Asks the person, or ends when there is nobody to ask. */
static void guess_want(struct guess_client *c, struct out *out, bool for_max)
{
	c->state = GUESS_PERSON;
	c->for_max = for_max;
	if (c->ending)
		out_end(out);
	else
		guess_tell_owner(out, GUESS_WANT, for_max, bytes_of(NULL, 0));
}

static void guess_give_max(struct guess_client *c, struct out *out)
{
	if (c->max == 0) {
		guess_want(c, out, true);
		return;
	}
	out_printf(out, "%" PRIu64 "\n", c->max);
	c->heard = 0;
	c->number = c->max;
	c->state = GUESS_MAX;
}

/* It is our turn: the middle of what is left, or the person's number. */
static void guess_give_number(struct guess_client *c, struct out *out)
{
	c->again = false;
	if (c->play) {
		guess_want(c, out, false);
		return;
	}
	c->number = c->low + (c->high - c->low) / 2;
	c->tries++;
	c->heard = 0;
	out_printf(out, "%" PRIu64 "\n", c->number);
	c->state = GUESS_TRIED;
}

static void guess_won(struct guess_client *c, struct out *out, const struct moment *now)
{
	struct event *e = out_event(out, now, EVENT_INFO, "guess.won");

	event_uint(e, "number", c->number);
	event_uint(e, "tries", c->tries);
	c->state = GUESS_WON;
	if (!c->play)
		out_end(out);
}

/* Keeps what an answer leaves of low..high. False when nothing is left: the server contradicts
 * itself. A person may try whatever they like. */
static bool guess_narrow(struct guess_client *c, enum guess_answer answer)
{
	if (c->play)
		return true;
	if (answer == GUESS_LESS && c->number <= c->low)
		return false;
	if (answer == GUESS_MORE && c->number >= c->high)
		return false;
	if (answer == GUESS_LESS)
		c->high = c->number - 1;
	else
		c->low = c->number + 1;
	return true;
}

static void guess_answered(struct guess_client *c, enum guess_answer answer, struct out *out,
			   const struct moment *now)
{
	static const char *const names[] = {"", "trouvé", "moins", "plus"};
	struct event *e = out_event(out, now, EVENT_INFO, "guess.try");

	event_uint(e, "number", c->number);
	event_string(e, "answer", names[answer]);
	c->tries += c->state == GUESS_MAX; /* a maximum taken for a number is one */
	c->state = GUESS_ANSWERED;
	if (answer == GUESS_WIN)
		guess_won(c, out, now);
	else if (!guess_narrow(c, answer))
		out_abort(out, ERR_PROTOCOL);
}

static void guess_in_opening(struct guess_client *c, struct bytes reply, struct out *out)
{
	if (!guess_is_question(reply))
		return;
	if (guess_asks_max(reply)) {
		guess_give_max(c, out);
		return;
	}
	guess_learn_question(c, reply);
	guess_give_number(c, out);
}

/* The question for the maximum may come late, after silence stood for it; asked once more, it is a
 * refusal. */
static void guess_in_max(struct guess_client *c, struct bytes reply, struct out *out,
			 const struct moment *now)
{
	bool asks = guess_is_question(reply);
	enum guess_answer answer = guess_judge(reply);

	if (asks && !guess_asks_max(reply)) {
		guess_learn_question(c, reply);
		guess_give_number(c, out);
	} else if (asks && c->unasked) {
		c->unasked = false;
	} else if (asks && c->play) {
		guess_want(c, out, true);
	} else if (asks) {
		out_abort(out, ERR_PROTOCOL);
	} else if (c->unasked && answer) {
		guess_answered(c, answer, out, now);
		if (c->state == GUESS_ANSWERED && !out->abort_why)
			guess_give_number(c, out);
	}
}

/* A question without an answer: late where questions are not waited for, else a refusal, which
 * silence will confirm. */
static void guess_asked_again(struct guess_client *c, struct out *out)
{
	if (c->play)
		guess_give_number(c, out);
	else
		c->again = c->asks;
}

static void guess_in_tried(struct guess_client *c, struct bytes reply, struct out *out,
			   const struct moment *now)
{
	bool known = guess_ends_with_question(c, reply);
	struct bytes said = bytes_first(reply, reply.len - (known ? c->question_len : 0));
	bool asks = known || guess_is_question(said);
	enum guess_answer answer = guess_judge(said);

	if (answer) {
		guess_answered(c, answer, out, now);
		if (c->state == GUESS_ANSWERED && !out->abort_why && (asks || !c->asks))
			guess_give_number(c, out);
	} else if (asks) {
		guess_asked_again(c, out);
	}
}

static void guess_in_answered(struct guess_client *c, struct bytes reply, struct out *out,
			      const struct moment *now)
{
	bool known = guess_ends_with_question(c, reply);
	struct bytes said = bytes_first(reply, reply.len - (known ? c->question_len : 0));

	if (guess_judge(said) == GUESS_WIN) {
		guess_won(c, out, now);
	} else if (known || guess_is_question(said)) {
		guess_learn_question(c, reply);
		guess_give_number(c, out);
	}
}

/* A whole reply has come. */
static void guess_client_reply(struct guess_client *c, struct out *out, const struct moment *now)
{
	struct bytes reply = guess_reply(c);

	c->reply_len = 0;
	if (reply.len == 0)
		return;
	switch ((enum guess_state)c->state) {
	case GUESS_OPENING:
		guess_in_opening(c, reply, out);
		break;
	case GUESS_MAX:
		guess_in_max(c, reply, out, now);
		break;
	case GUESS_TRIED:
		guess_in_tried(c, reply, out, now);
		break;
	case GUESS_ANSWERED:
		guess_in_answered(c, reply, out, now);
		break;
	case GUESS_PERSON:
	case GUESS_WON:
		break;
	}
}

/* A server that talks on and on, and says nothing. */
static void guess_heard_enough(const struct guess_client *c, struct out *out)
{
	if (c->state == GUESS_WON)
		out_end(out);
	else
		out_abort(out, ERR_TOO_LONG);
}

/* One more byte of a reply; true when it is whole. */
static bool guess_client_byte(struct guess_client *c, uint8_t byte, struct out *out)
{
	bool space = byte == ' ' || (byte >= '\t' && byte <= '\r');

	if (++c->heard > GUESS_TALK_BYTES) {
		guess_heard_enough(c, out);
		return false;
	}
	if (byte == '\n') {
		c->lines = true;
		return true;
	}
	if (space && (c->reply_len == 0 || c->reply[c->reply_len - 1] == ' '))
		return false;
	if (c->reply_len == sizeof c->reply) {
		out_abort(out, ERR_TOO_LONG);
		return false;
	}
	if (byte >= 'A' && byte <= 'Z')
		byte = (uint8_t)(byte - 'A' + 'a');
	c->reply[c->reply_len++] = space ? ' ' : byte;
	return guess_ends_with_question(c, bytes_of(c->reply, c->reply_len));
}

/* When silence will mean something. */
static void guess_client_arm(struct guess_client *c, struct out *out, const struct moment *now)
{
	uint64_t wait_ms = c->silence_ms;

	if (c->reply_len > 0 && guess_is_question(guess_reply(c)))
		wait_ms = GUESS_PAUSE_MS;
	else if (c->reply_len > 0 && c->state == GUESS_TRIED)
		wait_ms = c->lines && !c->loose ? GUESS_LINE_PAUSE_MS : GUESS_PAUSE_MS;
	else if (c->state == GUESS_TRIED && c->again)
		wait_ms = GUESS_REFUSED_MS;
	else if (c->state == GUESS_TRIED || c->state == GUESS_PERSON)
		wait_ms = 0;
	out_deadline(out, wait_ms ? now->boot_ns + wait_ms * MOMENT_MS : MOMENT_NEVER);
}

static void guess_show(const struct guess_client *c, struct out *out, struct bytes text)
{
	if (c->play && text.len > 0)
		guess_tell_owner(out, GUESS_TEXT, 0, text);
}

static size_t guess_client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct guess_client *c = m;
	size_t taken = 0, shown = 0;

	while (taken < in.len && !out->end && !out->abort_why &&
	       out_fits(out, 2, 64 + taken - shown) && out_fits_messages(out, 3, 2)) {
		if (!guess_client_byte(c, in.data[taken++], out))
			continue;
		guess_show(c, out, bytes_of(in.data + shown, taken - shown));
		shown = taken;
		guess_client_reply(c, out, now);
	}
	guess_show(c, out, bytes_of(in.data + shown, taken - shown));
	guess_client_arm(c, out, now);
	return taken;
}

/* A reply that ends in silence. One without meaning where an answer is due is the beginning of one
 * (`moi`), which goes on. */
static void guess_client_pause(struct guess_client *c, struct out *out, const struct moment *now)
{
	struct bytes reply = guess_reply(c);
	bool answer = guess_judge(reply) != GUESS_NOTHING;

	if (c->state == GUESS_TRIED && !answer && !guess_is_question(reply))
		return;
	if (c->state == GUESS_TRIED && answer)
		c->loose = true;
	guess_client_reply(c, out, now);
	guess_client_arm(c, out, now);
}

/* Silence: it ends a reply, or stands for the question that does not come. */
static void guess_client_tick(void *m, struct out *out, const struct moment *now)
{
	struct guess_client *c = m;

	if (c->reply_len > 0) {
		guess_client_pause(c, out, now);
		return;
	}
	if (c->state == GUESS_OPENING) {
		c->unasked = true;
		guess_give_max(c, out);
	} else if (c->state == GUESS_TRIED) {
		out_abort(out, ERR_PROTOCOL);
	} else if (c->state == GUESS_WON) {
		out_end(out);
	} else {
		c->asks = false;
		guess_give_number(c, out);
	}
	guess_client_arm(c, out, now);
}

static void guess_client_eof(void *m, struct out *out, const struct moment *now)
{
	struct guess_client *c = m;
	bool due = c->state == GUESS_TRIED || (c->state == GUESS_MAX && c->unasked);

	if (due && guess_judge(guess_reply(c)) == GUESS_WIN)
		guess_answered(c, GUESS_WIN, out, now);
	if (c->state == GUESS_WON)
		out_end(out);
	else
		out_abort(out, ERR_LEFT);
}

/* The person's number goes out as it was typed. */
static void guess_person_says(struct guess_client *c, struct bytes said, struct out *out)
{
	struct bytes line = bytes_first(said, sizeof c->line);

	if (line.len > 0)
		memcpy(c->line, line.data, line.len);
	c->line_len = line.len;
	out_borrow(out, bytes_of(c->line, c->line_len));
	out_static(out, BYTES_LITERAL("\n"));
	c->heard = 0;
	if (number_parse_u64(bytes_strip(line), &c->number) < 0)
		c->number = 0;
	c->state = c->for_max ? GUESS_MAX : GUESS_TRIED;
	c->tries += !c->for_max;
}

static void guess_client_tell(void *m, const struct message *message, struct out *out,
			      const struct moment *now)
{
	struct guess_client *c = m;

	if (message->kind == GUESS_NUMBER && c->state == GUESS_PERSON && !c->ending)
		guess_person_says(c, message->body, out);
	else if (message->kind == GUESS_END)
		c->ending = true;
	if (c->ending && c->state == GUESS_PERSON)
		out_end(out);
	guess_client_arm(c, out, now);
}

static const struct option guess_client_options[] = {
	{.name = "max",
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct guess_client_settings, max),
	 .fallback = "100",
	 .most = INT64_MAX,
	 .help = N_("the greatest number it may be")},
	{.name = "play",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct guess_client_settings, play),
	 .help = N_("let a person play")},
	OPTION_END,
};

const struct machine guess_client_machine = {
	.name = "guess_client",
	.state_bytes = sizeof(struct guess_client),
	.settings = guess_client_options,
	.settings_bytes = sizeof(struct guess_client_settings),
	.open = guess_client_open,
	.feed = guess_client_feed,
	.eof = guess_client_eof,
	.tick = guess_client_tick,
	.tell = guess_client_tell,
};
