/* Dialogue over the simulated wire: the client against the server, streams cut anywhere and
 * delayed. The server gets whole lines, for to it a chunk is a message; what it says is cut.
 * Checked, each seed a dialogue: the server echoes every line as it was given, the client shows all
 * that the server said but its prompts, asks for each line once, and both end well; or, when the
 * connection is reset, the client says so.
 *
 * SEED=N in the environment runs that dialogue alone. */
#include "proto/dialogue.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SEEDS = 3000, LINES_MOST = 12, STREAM_BYTES = 16384 };

#define LONG_ENOUGH_NS (600 * MOMENT_S)

static struct machine dialogue_by_line; /* the server, with a feed that waits for LF */

struct talk {
	uint64_t seed;
	struct wire *wire;
	unsigned lines, given; /* how many the owner has, and gave */
	struct text expected;  /* what the server is to say, without prompts */
	struct text shown;     /* what the client told its owner */
	unsigned prompts;
	bool closed;
	int why;
	char expected_bytes[STREAM_BYTES], shown_bytes[STREAM_BYTES];
};

static size_t feed_by_line(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	size_t len = bytes_find_byte(in, '\n');

	return len == in.len ? 0 : dialogue_machine.feed(m, bytes_first(in, len + 1), out, now);
}

static void fail_talk(const struct talk *t, const char *what)
{
	fail_msg("%s (SEED=%llu)", what, (unsigned long long)t->seed);
}

/* Words of messages: whole and broken UTF-8, what looks like a prompt, a farewell, an end. Never
 * blank or FIN alone: a number goes before. */
static void make_line(struct talk *t, struct text *line)
{
	static const char *const words[] = {"bonjour",
					    " ",
					    "été",
					    "\xc3",
					    "FIN",
					    "Good Bye.",
					    "Votre m",
					    "\xf0\x9f\x98\x80",
					    "Votre message ",
					    "ECHO : ",
					    "\r",
					    "\xff"};
	unsigned count = (unsigned)wire_between(t->wire, 0, 8);

	text_printf(line, "%u", t->given);
	while (count-- > 0)
		text_put_string(line, words[wire_between(t->wire, 0, 11)]);
}

static void give_line(struct talk *t, struct wire_end *e)
{
	char buffer[256];
	struct text line = TEXT_OVER(buffer);

	if (t->given == t->lines) {
		wire_tell(e, &(struct message){.kind = DIALOGUE_END});
		return;
	}
	make_line(t, &line);
	t->given++;
	text_printf(&t->expected, "ECHO : %s\n", buffer);
	wire_tell(e, &(struct message){.kind = DIALOGUE_LINE, .body = text_bytes(&line)});
}

static void told(struct wire_end *e, uint64_t to, const struct message *message)
{
	struct talk *t = wire_end_context(e);

	if (to != OUT_OWNER)
		fail_talk(t, "a message to nobody");
	if (message->kind == DIALOGUE_WANT)
		give_line(t, e);
	else if (message->kind == DIALOGUE_TEXT)
		text_put(&t->shown, message->body);
	else if (message->kind == DIALOGUE_PROMPT)
		t->prompts++;
}

static void closed(struct wire_end *e, int why)
{
	struct talk *t = wire_end_context(e);

	t->closed = true;
	t->why = why;
}

static const struct wire_holder owner = {.told = told, .closed = closed};

static void talk_begin(struct talk *t, uint64_t seed)
{
	*t = (struct talk){.seed = seed, .wire = wire_new(seed)};
	t->lines = (unsigned)wire_between(t->wire, 0, LINES_MOST);
	t->expected = TEXT_OVER(t->expected_bytes);
	t->shown = TEXT_OVER(t->shown_bytes);
	text_put_string(&t->expected, "Vous êtes connecté au serveur sim:2003.\n");
}

static struct wire_end *talk_connect(struct talk *t)
{
	struct wire_plan client = {.host = wire_host_add(t->wire, 50),
				   .machine = &dialogue_client_machine,
				   .holder = &owner,
				   .context = t};
	struct wire_plan server = {.host = wire_host_add(t->wire, -50),
				   .machine = &dialogue_by_line};
	struct wire_end *e = wire_connect(t->wire, &client, &server, NULL);

	assert_non_null(e);
	return e;
}

/* The server shows the address it is bound to, which the wire makes up. */
static struct bytes without_first_line(struct bytes b)
{
	return bytes_after(b, bytes_find_byte(b, '\n'));
}

static void talk_well(uint64_t seed)
{
	static struct talk t;

	talk_begin(&t, seed);
	talk_connect(&t);
	wire_run(t.wire, LONG_ENOUGH_NS);
	text_put_string(&t.expected, "Good Bye.");
	if (!t.closed || t.why)
		fail_talk(&t, "no good end");
	if (t.given != t.lines || t.prompts != t.lines + 1)
		fail_talk(&t, "not one line a prompt");
	if (!bytes_equal(without_first_line(text_bytes(&t.shown)),
			 without_first_line(text_bytes(&t.expected))))
		fail_talk(&t, "shown is not what was said");
	wire_free(t.wire);
}

static void reset(void *context, uint64_t number)
{
	wire_reset(context);
}

/* A connection that is reset at some moment: an error or, when all was said before, a good end. */
static void talk_and_lose(uint64_t seed)
{
	static struct talk t;
	struct wire_end *e;

	talk_begin(&t, seed);
	e = talk_connect(&t);
	wire_after(wire_end_host(e), wire_between(t.wire, 0, 5 * MOMENT_S), reset, e, 0);
	wire_run(t.wire, LONG_ENOUGH_NS);
	if (!t.closed)
		fail_talk(&t, "no end after a reset");
	if (t.why == 0 && t.given != t.lines)
		fail_talk(&t, "a good end before the last line");
	wire_free(t.wire);
}

static void every_seed(void (*run)(uint64_t seed))
{
	const char *only = getenv("SEED");

	if (only) {
		run(strtoull(only, NULL, 10));
		return;
	}
	for (uint64_t seed = 1; seed <= SEEDS; seed++)
		run(seed);
}

static void test_dialogues(void **state)
{
	every_seed(talk_well);
}

static void test_dialogues_that_are_reset(void **state)
{
	every_seed(talk_and_lose);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_dialogues_that_are_reset),
	};

	dialogue_by_line = dialogue_machine;
	dialogue_by_line.name = "dialogue_by_line";
	dialogue_by_line.chunk = false;
	dialogue_by_line.feed = feed_by_line;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
