/* prise guess: finds a server's number, by itself or with a person who plays.
 *
 *   server ◄──► guess_client_machine ──tries, the win──► stdout
 *                     ▲    └── text, a number is wanted ──► a person      (--play)
 *                     └────────────── number ◄────────────────┘ */
#include "command/client.h"
#include "command/lines.h"
#include "command/say.h"
#include "command/show.h"
#include "proto/guess.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { GUESS_PORT = 2004, GUESS_SILENCE_MS = 10000, GUESS_PLAY_SILENCE_MS = 60000 };

/* The command's options are the machine's settings. */
static const struct option options[] = {
	{.name = "max",
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct guess_client_settings, max),
	 .least = 1,
	 .most = INT64_MAX,
	 .help = N_("the greatest number it may be, which the server is told")},
	{.name = "play",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct guess_client_settings, play),
	 .help = N_("let a person play: numbers from the terminal or standard input")},
	OPTION_END,
};

struct guess {
	struct client client;
	const struct guess_client_settings *settings;
	bool won;
	unsigned long long number, tries; /* that won, and how many it took */

	/* Of --play. */
	struct show show;
	bool typed; /* a person types, on a terminal */
	int code;   /* of an error that was said already */
	uint64_t silence_ms;
	struct lines lines;
};

static void guess_noted(void *owner, const struct event *e)
{
	struct guess *g = owner;

	if (strcmp(e->type, "guess.won") != 0)
		return;
	g->won = true;
	g->number = event_find(e, "number")->u;
	g->tries = event_find(e, "tries")->u;
}

/* A person sees the server's own words; what was won is said behind them. */
static void guess_event(void *owner, const struct event *e)
{
	const struct guess *g = owner;
	struct bytes answer;

	if (g->settings->play)
		return;
	if (g->won) {
		printf(_("the number is %llu (tries: %llu)\n"), g->number, g->tries);
	} else if (!g->client.call->common.quiet) {
		answer = event_field_text(e, event_find(e, "answer"));
		printf("%" PRIu64 "  %.*s\n", event_find(e, "number")->u, (int)answer.len,
		       (const char *)answer.data);
	}
}

/* Of silence only what the server says counts, not what goes to it. */
static void guess_heard(void *owner, struct bytes b)
{
	struct guess *g = owner;

	client_await(&g->client, g->silence_ms);
}

static void guess_connected(void *owner, struct client *client)
{
	client_await(client, ((struct guess *)owner)->silence_ms);
}

static void guess_line(void *owner, struct bytes line, bool whole)
{
	struct guess *g = owner;

	client_await(&g->client, g->silence_ms);
	client_tell(&g->client, GUESS_NUMBER, line);
}

static void guess_input_end(void *owner, int err)
{
	struct guess *g = owner;

	if (err) {
		g->code = say_input(err);
		client_stop(&g->client, err);
		return;
	}
	if (g->typed)
		fputc('\n', stderr); /* Ctrl-D leaves the cursor behind the prompt */
	client_tell(&g->client, GUESS_END, bytes_of(NULL, 0));
}

/* What the server asks was shown; this says that it is the person's turn, also where it asks
 * nothing. */
static void guess_want(struct guess *g, bool maximum)
{
	show_fresh_line(&g->show);
	if (g->typed) {
		say_flush();
		fprintf(stderr, "%s> ", maximum ? _("maximum") : _("number"));
	}
	client_await(&g->client, 0);
	lines_want(&g->lines);
}

static void guess_told(void *owner, const struct message *message)
{
	struct guess *g = owner;

	if (message->kind == GUESS_TEXT)
		show_text(&g->show, message->body);
	else if (message->kind == GUESS_WANT)
		guess_want(g, message->number[0] == 1);
}

static void guess_begin_play(struct guess *g, struct client_talk *talk)
{
	talk->heard = NULL;
	talk->connected = NULL;
	talk->told = guess_told;
	g->typed = isatty(STDIN_FILENO) == 1;
	g->silence_ms = client_timeout_ms(&g->client, GUESS_PLAY_SILENCE_MS);
	g->lines.line_bytes = GUESS_LINE_BYTES;
	g->lines.line = guess_line;
	g->lines.end = guess_input_end;
	g->lines.owner = g;
	lines_begin(&g->lines, g->client.loop);
	show_begin(&g->show, g->client.call, "guess.text");
}

static int guess_say(struct guess *g, int err)
{
	if (g->code)
		return g->code;
	if (err == ERR_PROTOCOL && g->client.connected)
		return say_error_try(SAY_TALK, g->client.where, err,
				     _("-v to see its answers: they contradict each other, or it "
				       "refuses a number or the maximum"));
	if (!err && !g->won && !ferror(stdout))
		return 1; /* the person gave up */
	return client_say(&g->client, err);
}

static int guess_talk(struct guess *g)
{
	struct client_talk talk = {
		.machine = &guess_client_machine,
		.settings = g->settings,
		.heard = guess_heard,
		.connected = guess_connected,
		.noted = guess_noted,
		.event = guess_event,
		.owner = g,
		.for_stdout = true,
	};
	int err;

	g->silence_ms = client_timeout_ms(&g->client, GUESS_SILENCE_MS);
	if (!g->settings->play)
		return guess_say(g, client_talk(&g->client, &talk));
	guess_begin_play(g, &talk);
	err = client_talk(&g->client, &talk);
	show_fresh_line(&g->show);
	lines_end(&g->lines);
	if (g->won)
		say_note(_("the number is %llu (tries: %llu)"), g->number, g->tries);
	return guess_say(g, err);
}

static int guess_run(struct command_call *call)
{
	struct guess_client_settings *settings = call->options;
	uint64_t timeout_ms = call->common.timeout_ms;
	struct guess *g;
	int taken, code;

	if (call->argc > 0 && !settings->play && settings->max == 0)
		return say_usage(_("--max N, the greatest number it may be, or --play to find it "
				   "yourself"),
				 _("how great the number may be is missing"));
	g = calloc(1, sizeof *g);
	if (!g)
		return say_error(SAY_RUN, "guess", ERR_MEMORY);
	/* Twice a silence stands for a question; behind both there is to be time for an answer. */
	settings->silence_ms = timeout_ms && timeout_ms / 4 < GUESS_CLIENT_SILENCE_MS
				       ? timeout_ms / 4
				       : GUESS_CLIENT_SILENCE_MS;
	g->settings = settings;
	code = client_open(&g->client, call, GUESS_PORT, true, &taken);
	if (!code) {
		code = guess_talk(g);
		client_close(&g->client);
	}
	free(g);
	return code;
}

const struct command command_guess = {
	.name = "guess",
	.synopsis = N_("HOST[:PORT] --max N\nHOST[:PORT] --play\nHOST PORT ..."),
	.about = N_(
		"Finds a number that a server has drawn. By itself, by bisection: it prints each "
		"number tried and what it was answered (plus: the secret is greater; moins: "
		"smaller), and at last the number; -q prints just that. With --play a person "
		"says the numbers, and giving up is exit 1.\n\n"
		"It copes with servers of many dialects: with questions or without, with line "
		"ends or without, 0 to N or 1 to N. One that contradicts itself is exit 8. "
		"Without a port, 2004. -t is how long the server may be silent (10s; 1m with "
		"--play); one that asks no questions takes 2s to be understood."),
	.examples = "prise guess 127.0.0.1 --max 100\n"
		    "prise guess localhost 2004 --play\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT | COMMAND_TAKES_TLS,
	.options = options,
	.options_bytes = sizeof(struct guess_client_settings),
	.run = guess_run,
};
