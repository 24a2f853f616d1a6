/* prise time: asks a server for the time (RFC 868), and says how far the two clocks are apart. */
#include "command/client.h"
#include "command/say.h"
#include "proto/time.h"

#include <inttypes.h>

enum { TIME_PORT = 7037, TIME_TRIES = 3, TIME_MS = 10000 };

static void time_event(void *owner, const struct event *e)
{
	const struct event_field *difference = event_find(e, "difference_ms");
	struct bytes utc = event_field_text(e, event_find(e, "utc"));

	printf("%.*s  %" PRIu64 "\n", (int)utc.len, (const char *)utc.data,
	       event_find(e, "seconds")->u);
	if (difference->i == 0)
		puts(_("both clocks show the same second"));
	else if (difference->i > 0)
		printf(_("the server's clock is ahead by %.3f s\n"), (double)difference->i / 1000);
	else
		printf(_("the server's clock is behind by %.3f s\n"),
		       (double)-difference->i / 1000);
}

static int time_run(struct command_call *call)
{
	struct client_talk talk = {.machine = &time_client_machine, .event = time_event};
	struct client client;
	int taken, err, code = client_open(&client, call, TIME_PORT, true, &taken);

	if (code)
		return code;
	talk.total_ms = client_timeout_ms(&client, TIME_MS);
	err = call->common.udp ? client_ask(&client, &talk, BYTES_LITERAL(""), TIME_TRIES)
			       : client_talk(&client, &talk);
	code = client_say(&client, err);
	client_close(&client);
	return code;
}

const struct command command_time = {
	.name = "time",
	.synopsis = N_("HOST[:PORT]\nHOST PORT"),
	.about = N_("Prints the time that a time server (RFC 868) answers, the seconds since 1900 "
		    "that it sent, and how far its clock is from this machine's. The answer is a "
		    "whole second, so less than one cannot be told. Without a port, 7037; with -u "
		    "an empty datagram is sent, up to three times; to every address of a name, "
		    "each 250 ms after the last unless that one was refused, until one answers."),
	.examples = "prise time 127.0.0.1\nprise time -u localhost:7037\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_UDP | COMMAND_TAKES_TIMEOUT |
		 COMMAND_TAKES_TLS,
	.run = time_run,
};
