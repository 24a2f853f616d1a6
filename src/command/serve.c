/* prise serve: the daemon's face. What it is told, the table on start, the log, the errors. */
#include "command/command.h"
#include "command/say.h"
#include "command/serve_log.h"
#include "command/wire.h"
#include "daemon/daemon.h"

#include <signal.h>
#include <unistd.h>

struct options {
	const char *file;
	bool standard_ports, insecure, check_config, tls;
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
	{.name = "tls",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, tls),
	 .help = N_("every service speaks TLS, and nothing else; without UDP")},
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

static void serve_print_key(const struct daemon *daemon)
{
	char text[KEYS_FINGERPRINT_BYTES];
	struct text t = TEXT_OVER(text);
	struct key_digest digest;

	if (!daemon_fingerprint(daemon, &digest))
		return;
	keys_put_fingerprint(&t, &digest);
	fprintf(stderr, _("this machine's key is %s\n"), text);
}

static void serve_print_dashboard(const struct daemon *daemon)
{
	char url[ADDRESS_TEXT_BYTES + 32];
	struct text t = TEXT_OVER(url);

	if (daemon_put_dashboard(daemon, &t))
		fprintf(stderr, _("the dashboard is at %s\n"), url);
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
		serve_print_row(row->name,
				s.datagram ? "udp"
				: s.tls    ? "tls"
					   : "tcp",
				where, s.keyed ? _("the keys it knows") : serve_reach(&s));
	}
	serve_print_key(daemon);
	serve_print_dashboard(daemon);
}

static void serve_warn(const struct daemon *daemon, bool insecure)
{
	const struct service_row *row, *said = NULL;
	struct running_socket s;

	for (unsigned i = 0; insecure && daemon_bound(daemon, i, &row, &s); i++) {
		if (row == said || row->reach != SERVICE_PRIVATE || s.unix_path[0] || s.keyed ||
		    address_is_loopback(&s.address))
			continue;
		said = row;
		say_warning(s.tls ? _("INSECURE: %s listens beyond this machine without keys: "
				      "whoever reaches it may use it")
				  : _("INSECURE: %s listens beyond this machine without TLS or "
				      "keys: whoever reaches it may use it, and read along"),
			    row->name);
	}
}

static bool serve_is_literal(const char *where)
{
	struct endpoint e;

	return endpoint_parse_listen(where, 0, false, &e) == 0 && address_is_literal(e.host);
}

static int serve_say_trouble(const struct daemon_trouble *trouble,
			     const struct configuration_request *request, int err)
{
	char text[256];

	if (trouble->unreadable)
		return say_error(SAY_FILE, request->path, err);
	if (trouble->message[0] && err_exit(err) == 2)
		return say_usage(trouble->advice[0] ? trouble->advice
						    : _("prise help serve, and prise serve "
							"--check-config -c FILE"),
				 "%s", trouble->message);
	if (trouble->message[0])
		return say_told(
			trouble->service ? trouble->service : "serve", err, trouble->message,
			trouble->advice[0] ? trouble->advice
					   : _("prise doctor, which shows what limits prise"));
	if (trouble->listening && err == ERR_IN_USE)
		return say_in_use(trouble->socket.where, &trouble->socket.address,
				  trouble->socket.port, trouble->socket.datagram);
	if (trouble->listening && err == ERR_FAMILY_OFF)
		return say_no_family(SAY_LISTEN, trouble->socket.where,
				     request->families != NAME_BOTH &&
					     !serve_is_literal(trouble->socket.where));
	if (trouble->listening)
		return say_error(SAY_LISTEN, trouble->socket.where, err);
	snprintf(text, sizeof text, _("%s cannot start: %s"),
		 trouble->service ? trouble->service : "serve", _(err_text(err)));
	return say_told("serve", err, text, _("prise doctor, which shows what limits prise"));
}

/* The daemon's own keys, those of every service, then each service's. */
static bool serve_file_keys(unsigned index, struct command_keys *keys)
{
	static const struct command_keys common[] = {
		{N_("Keys of the file itself:"), configuration_options},
		{N_("Keys of every service's block:"), service_options},
	};

	if (index < 2) {
		*keys = common[index];
		return true;
	}
	index -= 2;
	for (unsigned i = 0; i < service_row_count; i++)
		if (service_rows[i].machine->settings && index-- == 0) {
			keys->title = service_rows[i].name;
			keys->rows = service_rows[i].machine->settings;
			return true;
		}
	return false;
}

static int serve_run(struct command_call *call)
{
	const struct options *given = call->options;
	static struct serve_log log; /* its thread may outlive us */
	struct daemon_plan plan = {
		.request = {.path = given->file,
			    .names = (const char *const *)call->argv,
			    .name_count = (unsigned)call->argc,
			    .standard_ports = given->standard_ports,
			    .insecure = given->insecure,
			    .tls = given->tls,
			    .families = call->common.v4 == call->common.v6 ? NAME_BOTH
					: call->common.v4                  ? NAME_V4_ONLY
									   : NAME_V6_ONLY},
		.level = call->common.verbose ? EVENT_DEBUG : EVENT_INFO,
		.log = {.write = serve_log_event,
			.line = serve_log_line,
			.wire = call->common.verbose ? serve_wire : NULL,
			.owner = &log},
	};
	struct daemon_trouble trouble;
	struct daemon *daemon;
	int err, code, signal_number;

	if (given->file && !given->file[0])
		return say_usage(_("-c FILE, or no -c"), _("%s lacks its value"), "-c");
	log.call = call;
	if (given->check_config) {
		err = daemon_check(&plan.request, &trouble);
		return err ? serve_say_trouble(&trouble, &plan.request, err) : 0;
	}
	(void)_("SERVICE"); /* the first message loads the catalogue: the sandbox would forbid it */
	wire_begin();
	signal(SIGPIPE, SIG_IGN);
	err = daemon_start(&daemon, &plan, &trouble);
	if (err)
		return serve_say_trouble(&trouble, &plan.request, err);
	if (!call->common.quiet)
		serve_print_table(daemon);
	serve_warn(daemon, given->insecure);
	signal_number = daemon_run(daemon);
	code = signal_number == SIGTERM ? 0 : 128 + signal_number;
	if (!daemon_free(daemon))
		_exit(code);
	serve_log_end(&log);
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
		"(everywhere, both), or unix:/PATH; -4 and -6 leave one of the two. Beyond "
		"loopback, services that take or show data start only with TLS and "
		"authorized_keys, or with --insecure.\n\n"
		"With TLS (`tls = yes` in a block, or --tls) a service shows this machine's key, "
		"see `prise help key`, and with `authorized_keys = FILE` it lets in only the keys "
		"that the file lists for it. For services that take or show data that file is "
		"authorized_keys in the configuration directory, unless told otherwise.\n\n"
		"SIGHUP reads the file again, all of it or nothing; SIGTERM stops accepting, ends "
		"idle connections and gives unfinished exchanges 10 seconds; a second one ends "
		"now. Sockets from systemd are taken over by service name."),
	.examples = "prise serve\n"
		    "prise serve echo daytime=:1313\n"
		    "prise serve role=any:9001 --insecure\n"
		    "prise serve -c /etc/prise/prise.conf --check-config\n",
	.takes = COMMAND_TAKES_ONE_FAMILY,
	.file_about = N_(
		"`KEY = VALUE` sets a key of the daemon, `NAME { KEY = VALUE ... }` runs the "
		"service NAME with keys of its own; an empty block runs it as it is. A value of "
		"more than letters and digits stands in double quotes, and so do several addresses "
		"with spaces between. `#` and `//` begin a comment. A key or value that is not "
		"understood is told with its line, and nothing starts: --check-config says so "
		"beforehand. Without -c no file is read."),
	.file_keys = serve_file_keys,
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = serve_run,
};
