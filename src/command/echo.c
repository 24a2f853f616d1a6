/* prise echo: checks an echo server with a text, or measures it with rounds, like ping.
 *
 *   TCP   echo_client_machine: a round goes out when the one before is back
 *   UDP   struct echo_rounds: a round goes out every interval, whatever comes back
 *
 * Limits: a datagram of ECHO_DATAGRAM_BYTES; the summary's quantiles are exact below 65 ms, and
 * very nearly so above (base/histogram.h). Source: RFC 862; ping(8), for what its users expect. */
#include "command/echo_parts.h"
#include "command/say.h"

#include <signal.h>
#include <stdlib.h>

enum {
	ECHO_PORT = 7777,
	ECHO_SILENCE_MS = 10000, /* TCP: for a round to come back */
	ECHO_REST_MS = 250,      /* TCP, a text: for what comes behind the answer */
	ECHO_SIZE_BYTES = 64,
};

static const struct option options[] = {
	{.name = "count",
	 .letter = 'c',
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct echo_options, count),
	 .least = 1,
	 .help = N_("so many rounds; else on and on until Ctrl-C (one with a TEXT)")},
	{.name = "interval",
	 .letter = 'i',
	 .type = OPTION_DURATION,
	 .argument = N_("DUR"),
	 .offset = offsetof(struct echo_options, interval_ms),
	 .fallback = "1s",
	 .help = N_("from one round to the next (1s); 0: as soon as the last one is back")},
	{.name = "size",
	 .letter = 's',
	 .type = OPTION_SIZE,
	 .argument = N_("SIZE"),
	 .offset = offsetof(struct echo_options, size_bytes),
	 .least = ECHO_NUMBER_BYTES,
	 .help = N_("bytes of a round (64)")},
	OPTION_END,
};

/* The last round is back, or a wrong one. Behind a text there may be more than was sent. */
static void echo_finish(struct echo *e)
{
	e->over = true;
	if (e->settings.text)
		client_await(&e->client, ECHO_REST_MS);
	else
		client_stop(&e->client, 0);
}

static void echo_came_back(struct echo *e, uint64_t rtt_us)
{
	uint64_t now_ns = loop_now(e->client.loop)->boot_ns;

	histogram_add(&e->rtt_us, rtt_us);
	if (e->rtt_us.count == e->settings.count) {
		echo_finish(e);
		return;
	}
	e->next_ns = now_ns - rtt_us * 1000 + e->settings.interval_ms * MOMENT_MS;
	if (e->next_ns < now_ns)
		e->next_ns = now_ns;
	client_await(&e->client, (e->next_ns - now_ns) / MOMENT_MS + e->silence_ms);
	echo_end_line(e);
}

static void echo_noted(void *owner, const struct event *event)
{
	struct echo *e = owner;

	if (strcmp(event->type, "echo.round") == 0) {
		echo_came_back(e, event_find(event, "rtt_us")->u);
	} else {
		e->different = true;
		e->different_at = event_find(event, "at")->u;
		echo_finish(e);
	}
}

static void echo_heard(void *owner, struct bytes b)
{
	struct echo *e = owner;

	e->heard_bytes += b.len;
	if (!e->client.call->common.json)
		show_text(&e->show, b);
}

static void echo_event(void *owner, const struct event *event)
{
	echo_print(owner, event);
}

static void echo_connected(void *owner, struct client *client)
{
	struct echo *e = owner;

	echo_note_peer(e);
	client_await(client, e->silence_ms);
}

/* More came than was sent. */
static void echo_check_rest(struct echo *e)
{
	uint64_t len = strlen(e->settings.text);
	struct event event;

	if (e->different || !e->over || e->heard_bytes <= len * e->settings.count)
		return;
	e->different = true;
	e->different_at = len;
	if (!e->client.call->common.json)
		return;
	event_init(&event, EVENT_WARNING, "echo.different", "echo", say_now_us());
	event_uint(&event, "round", e->settings.count);
	event_uint(&event, "at", len);
	say_event(&event);
}

static int echo_over_tcp(struct echo *e)
{
	struct client_talk talk = {
		.machine = &echo_client_machine,
		.settings = &e->settings,
		.noted = echo_noted,
		.heard = e->settings.text ? echo_heard : NULL,
		.connected = echo_connected,
		.event = echo_event,
		.owner = e,
		.for_stdout = true,
	};
	int err;

	e->silence_ms = client_timeout_ms(&e->client, ECHO_SILENCE_MS);
	err = client_talk(&e->client, &talk);
	if (e->settings.text)
		echo_check_rest(e);
	return e->over ? 0 : err;
}

static void echo_caught(void *owner, int signal_number)
{
	struct echo *e = owner;

	e->signal_number = signal_number;
	client_stop(&e->client, 0);
}

/* Like ping: lost rounds are no failure as long as one came back. */
static int echo_end(struct echo *e, int err)
{
	echo_end_line(e);
	if (e->different && e->settings.text)
		say_warning(_("%s answers something else from offset %llu on"), e->client.where,
			    (unsigned long long)e->different_at);
	if (!e->settings.text && e->client.connected && (!err || e->rtt_us.count > 0))
		echo_summary(e);
	if (e->signal_number)
		return 128 + e->signal_number;
	if (!err && e->settings.text && echo_is_udp(e) && !e->different && e->rtt_us.count == 0)
		err = ERR_TIMEOUT;
	if (err)
		return client_say(&e->client, err);
	return e->different || e->rtt_us.count == 0;
}

/* What TEXT and -s may be. 0, or an exit code. */
static int echo_check_usage(const struct command_call *call, const struct echo_options *given,
			    const char *text)
{
	bool udp = call->common.udp;

	if (call->argc > 2)
		return say_usage(_("quotes around a TEXT of several words"), _("%s is too much"),
				 call->argv[2]);
	if (text && given->size_bytes)
		return say_usage(_("-s without a TEXT, which is as long as it is"),
				 _("a TEXT and --size exclude each other"));
	if (text && !text[0] && !udp)
		return say_usage(_("a TEXT, or -u: an empty datagram does come back"),
				 _("an empty TEXT cannot be seen to come back over TCP"));
	if (udp && (text ? strlen(text) : given->size_bytes) > ECHO_DATAGRAM_BYTES)
		return say_usage(_("a smaller one, or TCP"), _("a datagram holds %d bytes at most"),
				 ECHO_DATAGRAM_BYTES);
	return 0;
}

static int echo_talk(struct echo *e)
{
	static const int ends[] = {SIGINT, SIGTERM};
	int err = 0;

	show_begin(&e->show, e->client.call, "echo.text");
	if (!e->settings.text)
		err = loop_signals(e->client.loop, ends, 2, echo_caught, e);
	if (err)
		return say_error(SAY_RUN, "echo", err);
	return echo_end(e, echo_is_udp(e) ? echo_over_udp(e) : echo_over_tcp(e));
}

static int echo_run(struct command_call *call)
{
	const struct echo_options *given = call->options;
	const char *text = call->argc > 1 ? call->argv[1] : NULL;
	int taken, code = echo_check_usage(call, given, text);
	struct echo *e;

	if (code)
		return code;
	e = calloc(1, sizeof *e);
	if (!e)
		return say_error(SAY_RUN, "echo", ERR_MEMORY);
	e->given = given;
	e->settings = (struct echo_client_settings){
		.text = text,
		.count = text && !given->count ? 1 : given->count,
		.interval_ms = given->interval_ms,
		.size_bytes = given->size_bytes ? given->size_bytes : ECHO_SIZE_BYTES,
	};
	code = client_open(&e->client, call, ECHO_PORT, false, &taken);
	if (!code) {
		code = echo_talk(e);
		client_close(&e->client);
	}
	free(e);
	return code;
}

const struct command command_echo = {
	.name = "echo",
	.synopsis = N_("HOST[:PORT] TEXT\nHOST[:PORT] [-c N] [-i DUR] [-s SIZE]"),
	.about = N_(
		"With a TEXT: sends it, prints what comes back, and compares the two byte by "
		"byte; when they differ it is exit 1, when the server leaves in the middle 8. "
		"Over UDP the TEXT is sent up to three times.\n\n"
		"Without: measures, like ping. A line for each round that comes back, and at the "
		"end, or at Ctrl-C (exit 130), a summary: rounds sent, back and lost, and the "
		"shortest, the median, the 99th percentile and the longest round trip; -q prints "
		"just that. Over TCP a round waits for the one before, no longer than -t (10s); "
		"over UDP rounds go out every interval and may be lost, reordered, doubled or "
		"different, and -t is how long the last ones are waited for (2s).\n\n"
		"Over UDP only an answer tells that somebody is there. So of a name that has "
		"several addresses each is sent the TEXT or the first round, 250 ms after the last "
		"unless that one was refused, and the first that answers has the rest of them.\n\n"
		"Exit 0 when at least one round came back and none was different, 1 when not; "
		"5 when one does not come back over TCP. Without a port, 7777."),
	.examples = "prise echo 127.0.0.1 bonjour\n"
		    "prise echo 127.0.0.1 -c 10 -i 100ms\n"
		    "prise echo localhost:7777 -u -s 1400\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_UDP | COMMAND_TAKES_TIMEOUT |
		 COMMAND_TAKES_TLS,
	.options = options,
	.options_bytes = sizeof(struct echo_options),
	.run = echo_run,
};
