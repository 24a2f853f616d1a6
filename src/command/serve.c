/* prise serve: the daemon's face. What it is told, the table on start, the log, the errors (SPEC
 * 2). */
#include "command/command.h"
#include "command/say.h"
#include "command/wire.h"
#include "daemon/daemon.h"

#include <signal.h>
#include <stdio_ext.h>
#include <time.h>
#include <unistd.h>

struct options {
	const char *file;
	bool standard_ports, insecure, check_config;
};

static const struct option options[] = {
	{.name = "config",
	 .letter = 'c',
	 .type = OPTION_TEXT,
	 .argument = N_("FILE"),
	 .offset = offsetof(struct options, file),
	 .help = N_("read this configuration")},
	{.name = "standard-ports",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, standard_ports),
	 .help = N_("IANA's ports (7 9 13 17 19 37) for the services that have one")},
	{.name = "insecure",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, insecure),
	 .help = N_("let services that take or show data listen beyond this machine, without TLS")},
	{.name = "check-config",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, check_config),
	 .help = N_("read the configuration, say what is wrong with it, start nothing")},
	OPTION_END,
};

static void serve_wire(void *owner, const char *service, const struct address *remote,
		       enum pump_direction direction, struct bytes b, uint64_t boot_ns)
{
	wire_bytes_at(service, remote, direction == PUMP_SENT, b, boot_ns);
}

/* The console of the dialogue exercise, in its own words. */
static bool serve_print_dialogue(const struct event *e)
{
	const struct event_field *text = event_find(e, "text");
	char line[EVENT_TEXT_BYTES * 4];
	struct text t = TEXT_OVER(line);

	if (strcmp(e->type, "dialogue.message") != 0 || !text)
		return false;
	text_put_visible(&t, event_field_text(e, text), false);
	printf("reçu du client>%s<\n", line);
	return true;
}

static int32_t serve_utc_offset_s(const struct event *e)
{
	time_t s = (time_t)(e->wall_us / 1000000);
	struct tm tm;

	return localtime_r(&s, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

/* In the log's thread. */
static void serve_write(void *owner, const struct event *e)
{
	const struct command_call *call = owner;
	char line[EVENT_TEXT_BYTES * 4 + 1024];
	struct text t = TEXT_OVER(line);
	enum event_level least = call->common.quiet ? EVENT_WARNING : EVENT_INFO;

	if (call->common.verbose)
		least = EVENT_DEBUG;
	if (e->level < least)
		return;
	if (call->common.json) {
		say_event(e);
	} else if (!serve_print_dialogue(e)) {
		event_put_line(&t, e, serve_utc_offset_s(e));
		fputs(line, stdout);
	}
	/* What cannot be written is lost; the services go on, and end with a code of their own. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		__fpurge(stdout);
		clearerr(stdout);
	}
}

static const char *serve_reach(const struct running_socket *s)
{
	if (s->unix_path[0] || address_is_loopback(&s->address))
		return _("this machine only");
	if (address_is_any(&s->address))
		return s->address.family == ADDRESS_V4 ? _("anyone, over IPv4")
						       : _("anyone, over IPv6");
	return _("whoever reaches this address");
}

static void serve_print_row(const char *service, const char *transport, const char *where,
			    const char *reach)
{
	char line[1024];
	struct text t = TEXT_OVER(line);

	text_put_padded(&t, service, 10);
	text_put_padded(&t, transport, 5);
	text_put_padded(&t, where, 28);
	fprintf(stderr, "%s %s\n", line, reach);
}

static void serve_print_table(const struct daemon *daemon)
{
	const struct service_row *row;
	struct running_socket s;

	serve_print_row(_("SERVICE"), "", _("LISTENS ON"), _("REACHED BY"));
	for (unsigned i = 0; daemon_bound(daemon, i, &row, &s); i++) {
		char where[ADDRESS_TEXT_BYTES + 128];
		struct text t = TEXT_OVER(where);

		if (s.unix_path[0])
			text_printf(&t, "unix:%s", s.unix_path);
		else
			address_put(&t, &s.address);
		serve_print_row(row->name, s.datagram ? "udp" : "tcp", where, serve_reach(&s));
	}
}

static void serve_warn(const struct daemon *daemon, bool insecure)
{
	const struct service_row *row, *said = NULL;
	struct running_socket s;

	for (unsigned i = 0; insecure && daemon_bound(daemon, i, &row, &s); i++) {
		if (row == said || row->reach != SERVICE_PRIVATE || s.unix_path[0] ||
		    address_is_loopback(&s.address))
			continue;
		said = row;
		say_warning(_("INSECURE: %s listens beyond this machine without TLS or "
			      "keys: whoever reaches it may use it, and read along"),
			    row->name);
	}
}

static int serve_say_trouble(const struct daemon_trouble *trouble, const char *file, int err)
{
	if (trouble->unreadable)
		return say_error(SAY_FILE, file, err);
	if (trouble->message[0] && err_exit(err) == 2)
		return say_usage(_("prise help serve, and prise serve --check-config -c FILE"),
				 "%s", trouble->message);
	if (trouble->message[0]) {
		say_warning("%s", trouble->message);
		return err_exit(err);
	}
	if (trouble->listening && err == ERR_IN_USE)
		return say_in_use(trouble->socket.where, &trouble->socket.address,
				  trouble->socket.port, trouble->socket.datagram);
	if (trouble->listening)
		return say_error(SAY_LISTEN, trouble->socket.where, err);
	return say_error(SAY_RUN, trouble->service ? trouble->service : "serve", err);
}

static int serve_run(struct command_call *call)
{
	const struct options *given = call->options;
	struct daemon_plan plan = {
		.request = {.path = given->file,
			    .names = (const char *const *)call->argv,
			    .name_count = (unsigned)call->argc,
			    .standard_ports = given->standard_ports,
			    .insecure = given->insecure},
		.level = call->common.verbose ? EVENT_DEBUG : EVENT_INFO,
		.log = {.write = serve_write,
			.wire = call->common.verbose ? serve_wire : NULL,
			.owner = call},
	};
	struct daemon_trouble trouble;
	struct daemon *daemon;
	int err, code, signal_number;

	if (given->check_config) {
		err = daemon_check(&plan.request, &trouble);
		return err ? serve_say_trouble(&trouble, given->file, err) : 0;
	}
	(void)_("SERVICE"); /* the first message loads the catalogue: the sandbox would forbid it */
	wire_begin();
	signal(SIGPIPE, SIG_IGN);
	err = daemon_start(&daemon, &plan, &trouble);
	if (err)
		return serve_say_trouble(&trouble, given->file, err);
	if (!call->common.quiet)
		serve_print_table(daemon);
	serve_warn(daemon, given->insecure);
	signal_number = daemon_run(daemon);
	code = signal_number == SIGTERM ? 0 : 128 + signal_number;
	if (!daemon_free(daemon))
		_exit(code);
	return code;
}

const struct command command_serve = {
	.name = "serve",
	.synopsis = N_("[NAME[=ADDR]]... [-c FILE]"),
	.about = N_(
		"Runs services in one process: those named, else those that the file has a block "
		"for, else every default one, on loopback. A table on start says what listens "
		"where and who reaches it; after it the log follows on standard output, one line "
		"an event, or with --json one object a line.\n\n"
		"ADDR is PORT or :PORT (loopback, IPv4 and IPv6), ADDRESS:PORT, any:PORT "
		"(everywhere, both), or unix:/PATH. Beyond loopback, services that take or show "
		"data start only with --insecure.\n\n"
		"SIGHUP reads the file again, all of it or nothing; SIGTERM stops accepting, ends "
		"idle connections and gives unfinished exchanges 10 seconds; a second one ends "
		"now. Sockets from systemd are taken over by service name."),
	.examples = "prise serve\n"
		    "prise serve echo daytime=:1313\n"
		    "prise serve role=any:9001 --insecure\n"
		    "prise serve -c /etc/prise/prise.conf --check-config\n",
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = serve_run,
};
