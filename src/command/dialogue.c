/* prise dialogue: converses with a dialogue server, from the terminal or from standard input.
 *
 *   server ◄──► dialogue_client_machine ──text, prompts──► stdout
 *                        ▲     └──── a line is wanted ──┐
 *                        └── line ◄── standard input ◄──┘
 *
 * Limits: a line of DIALOGUE_LINE_BYTES; a longer one is sent as several messages. */
#include "command/client.h"
#include "command/lines.h"
#include "command/say.h"
#include "command/show.h"
#include "proto/dialogue.h"

#include <stdlib.h>
#include <unistd.h>

enum { DIALOGUE_PORT = 2003, DIALOGUE_SILENCE_MS = 60000 };

struct dialogue {
	struct client client;
	struct show show;
	bool typed;  /* a person types, on a terminal */
	bool unsent; /* the machine has a line that is more than blank */
	bool ended;  /* there are no more lines */
	bool split;  /* it was said that a line was too long */
	int code;    /* of an error that was said already */
	uint64_t silence_ms;
	struct lines lines;
};

static void dialogue_line(void *owner, struct bytes line, bool whole)
{
	struct dialogue *d = owner;

	if (!whole && !d->split)
		say_note(_("a line of more than %d bytes goes out as several messages"),
			 DIALOGUE_LINE_BYTES);
	d->split = d->split || !whole;
	d->unsent = bytes_strip(line).len > 0;
	client_tell(&d->client, DIALOGUE_LINE, line);
}

static void dialogue_input_end(void *owner, int err)
{
	struct dialogue *d = owner;

	d->ended = true;
	if (err) {
		d->code = say_input(err);
		client_stop(&d->client, err);
		return;
	}
	if (d->typed)
		fputc('\n', stderr); /* Ctrl-D leaves the cursor behind the prompt */
	client_await(&d->client, d->silence_ms);
	client_tell(&d->client, DIALOGUE_END, bytes_of(NULL, 0));
}

static void dialogue_prompt(struct dialogue *d, struct bytes prompt)
{
	show_fresh_line(&d->show);
	if (d->client.call->common.json) {
		struct event e;

		event_init(&e, EVENT_INFO, "dialogue.prompt", "dialogue", say_now_us());
		event_text(&e, "text", prompt);
		say_event(&e);
	} else if (d->typed) {
		say_flush();
		fprintf(stderr, "%.*s ", (int)prompt.len, (const char *)prompt.data);
	}
}

/* The server may be silent for as long as it waits for a person, and no longer than silence_ms when
 * it is its turn. */
static void dialogue_told(void *owner, const struct message *message)
{
	struct dialogue *d = owner;

	switch (message->kind) {
	case DIALOGUE_TEXT:
		show_text(&d->show, message->body);
		break;
	case DIALOGUE_PROMPT:
		dialogue_prompt(d, message->body);
		client_await(&d->client, d->ended ? d->silence_ms : 0);
		break;
	case DIALOGUE_WANT:
		d->unsent = false;
		client_await(&d->client, d->silence_ms);
		lines_want(&d->lines);
		break;
	}
}

static int dialogue_talk(struct dialogue *d)
{
	struct client_talk talk = {
		.machine = &dialogue_client_machine,
		.told = dialogue_told,
		.owner = d,
		.for_stdout = true,
	};
	int err;

	d->typed = isatty(STDIN_FILENO) == 1;
	d->silence_ms = client_timeout_ms(&d->client, DIALOGUE_SILENCE_MS);
	d->lines.line_bytes = DIALOGUE_LINE_BYTES;
	d->lines.line = dialogue_line;
	d->lines.end = dialogue_input_end;
	d->lines.owner = d;
	lines_begin(&d->lines, d->client.loop);
	show_begin(&d->show, d->client.call, "dialogue.text");
	err = client_talk(&d->client, &talk);
	show_fresh_line(&d->show);
	lines_end(&d->lines);
	return err;
}

static int dialogue_run(struct command_call *call)
{
	struct dialogue *d = calloc(1, sizeof *d);
	int taken, err, code;

	if (!d)
		return say_error(SAY_RUN, "dialogue", ERR_MEMORY);
	code = client_open(&d->client, call, DIALOGUE_PORT, true, &taken);
	if (code)
		goto out;
	err = dialogue_talk(d);
	code = d->code ? d->code : client_say(&d->client, err);
	if (!code && say_flush() && (d->unsent || bytes_strip(lines_left(&d->lines)).len > 0))
		say_warning(_("the server ended the talk before everything was sent"));
	client_close(&d->client);
out:
	free(d);
	return code;
}

const struct command command_dialogue = {
	.name = "dialogue",
	.synopsis = N_("HOST[:PORT]\nHOST PORT"),
	.about = N_(
		"Converses with a dialogue server: shows what it says, and sends a line each "
		"time it asks for a message. Lines are typed on the terminal, or come from "
		"standard input; at their end FIN is sent, and the server takes its leave.\n\n"
		"On a terminal control characters that the server sends are shown, not obeyed; "
		"anything else gets its bytes as they are, without the prompts. With --json each "
		"line of the server's is an event, and so is each prompt.\n\n"
		"Without a port, 2003. -t is how long the server may be silent when it is its "
		"turn (1m)."),
	.examples = "prise dialogue 127.0.0.1\n"
		    "prise dialogue localhost 2003\n"
		    "printf 'bonjour\\nsalut\\n' | prise dialogue localhost\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT | COMMAND_TAKES_TLS,
	.run = dialogue_run,
};
