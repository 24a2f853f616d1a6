/* prise daytime: asks a server for the date and time (RFC 867). */
#include "command/client.h"
#include "command/say.h"
#include "proto/daytime.h"

enum { DAYTIME_PORT = 7013, DAYTIME_TRIES = 3, DAYTIME_MS = 10000 };

static void daytime_event(void *owner, const struct event *e)
{
	char line[DAYTIME_ANSWER_BYTES * 4 + 1];
	struct text t = TEXT_OVER(line);

	text_put_visible(&t, event_field_text(e, event_find(e, "text")), true);
	puts(line);
}

static int daytime_run(struct command_call *call)
{
	struct client_talk talk = {.machine = &daytime_client_machine, .event = daytime_event};
	struct client client;
	int taken, err, code = client_open(&client, call, DAYTIME_PORT, true, &taken);

	if (code)
		return code;
	talk.total_ms = client_timeout_ms(&client, DAYTIME_MS);
	err = call->common.udp ? client_ask(&client, &talk, BYTES_LITERAL(""), DAYTIME_TRIES)
			       : client_talk(&client, &talk);
	code = client_say(&client, err);
	client_close(&client);
	return code;
}

const struct command command_daytime = {
	.name = "daytime",
	.synopsis = N_("HOST[:PORT]\nHOST PORT"),
	.about = N_("Prints what a daytime server (RFC 867) answers. Without a port, 7013, that of "
		    "`prise serve`; HOST:daytime is the standard one. With -u an empty datagram is "
		    "sent, up to three times; to every address of a name, each 250 ms after the "
		    "last unless that one was refused, until one answers."),
	.examples = "prise daytime 127.0.0.1\nprise daytime -u localhost:7013\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_UDP | COMMAND_TAKES_TIMEOUT |
		 COMMAND_TAKES_TLS,
	.run = daytime_run,
};
