/* prise connect: talk to a port; standard input to the peer, the peer to standard output. */
#include "command/client.h"
#include "command/ports.h"
#include "command/say.h"
#include "command/session.h"

#include <signal.h>
#include <unistd.h>

enum { CONNECT_TELNET_PORT = 23 };

struct options {
	uint64_t wait_ms;
	const char *source, *sni;
	bool crlf, test, telnet, insecure;
};

static const struct option options[] = {
	{.name = "wait",
	 .letter = 'w',
	 .type = OPTION_DURATION,
	 .argument = N_("DUR"),
	 .fallback = "1s",
	 .offset = offsetof(struct options, wait_ms),
	 .help = N_("after the end of input wait this long: with -u for answers, with --tls "
		    "before telling the peer; 0: for ever")},
	{.name = "crlf",
	 .letter = 'C',
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, crlf),
	 .help = N_("end lines with CR LF")},
	{.name = "test",
	 .letter = 'z',
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, test),
	 .help = N_("only test whether somebody listens; several ports and ranges are allowed")},
	{.name = "source",
	 .letter = 's',
	 .type = OPTION_TEXT,
	 .argument = N_("ADDR[:PORT]"),
	 .offset = offsetof(struct options, source),
	 .help = N_("connect from this address of this machine, this port")},
	{.name = "telnet",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, telnet),
	 .help = N_("speak telnet: answer negotiation; on a terminal Ctrl+] gives a prompt")},
	{.name = "sni",
	 .type = OPTION_TEXT,
	 .argument = N_("NAME"),
	 .offset = offsetof(struct options, sni),
	 .help = N_("with --tls: ask for this name, which must be in the certificate")},
	{.name = "insecure",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, insecure),
	 .help = N_("with --tls: believe whoever answers")},
	OPTION_END,
};

struct connect_run {
	struct client client;
	struct session session;
	struct tls *tls;
};

static void connect_caught(void *owner, int signal_number)
{
	struct connect_run *run = owner;

	session_caught(&run->session, signal_number);
	if (run->session.signal_number)
		client_stop(&run->client, ERR_DRAINED);
}

/* ADDR, ADDR:PORT, [V6]:PORT or :PORT, literally. 0, or the exit code of wrong usage. */
static int connect_parse_source(const char *text, struct address *source)
{
	struct endpoint e;
	bool port_alone = text[0] == ':' && text[1] != ':';

	*source = (struct address){0};
	if (endpoint_parse_listen(text, UINT16_MAX, false, &e) == 0 && !e.unix_path) {
		if (port_alone || e.any)
			source->family = ADDRESS_V4; /* 0.0.0.0 stands for both families */
		else if (address_parse_ip(bytes_of_string(e.host), source) != 0)
			source->family = ADDRESS_NONE;
		source->port = e.port == UINT16_MAX ? 0 : e.port;
	}
	if (source->family != ADDRESS_NONE)
		return 0;
	return say_usage(_("an address that `ip address` shows, as ADDR, ADDR:PORT, [V6]:PORT or "
			   ":PORT"),
			 _("'%s' is no address to connect from"), text);
}

static int connect_next(void *owner, int *fd, struct address *remote, struct address *local)
{
	struct connect_run *run = owner;
	int err = client_dial_next(&run->client, fd);

	*remote = run->client.remote;
	*local = run->client.local;
	return err;
}

static int connect_say(void *owner, int err)
{
	return client_say(&((struct connect_run *)owner)->client, err);
}

static int connect_talk(struct connect_run *run, const struct options *given, int fd)
{
	const struct command_call *call = run->client.call;
	struct session_plan plan = {
		.fd = fd,
		.tls = run->tls,
		.where = run->client.where,
		.datagrams = call->common.udp,
		.crlf = given->crlf,
		.telnet = given->telnet,
		.late_half = run->tls != NULL,
		.wait_ms = given->wait_ms,
		.idle_ms = call->common.timeout_ms,
		.next = call->common.udp && run->client.rests ? connect_next : NULL,
		.say = connect_say,
		.owner = run,
	};

	run->session.report = (struct report){
		.call = call,
		.number = 1,
		.remote = run->client.remote,
		.local = run->client.local,
		.opened_ns = loop_now(run->client.loop)->boot_ns,
		.shown = true,
	};
	return session_run(&run->session, &plan);
}

static int connect_secure(struct connect_run *run, const struct options *given, int fd)
{
	const struct command_common *common = &run->client.call->common;
	struct client_tls tls = {
		.foreign = true,
		.insecure = given->insecure,
		.pin = common->pin,
		.name = given->sni,
	};
	int err = client_secure(&run->client, &tls, fd, &run->tls);

	if (!err && common->verbose)
		say_note("%s, %s", tls_version(run->tls), tls_cipher(run->tls));
	return err;
}

static int connect_dial(struct connect_run *run, const struct options *given)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCONT};
	int code, fd = -1, err = loop_signals(run->client.loop, signals, 4, connect_caught, run);

	if (!err)
		err = client_dial(&run->client, 0, &fd);
	if (!err && run->client.call->common.tls)
		err = connect_secure(run, given, fd);
	if (run->session.signal_number)
		code = 128 + run->session.signal_number;
	else
		code = err ? client_say(&run->client, err) : connect_talk(run, given, fd);
	tls_free(run->tls);
	if (fd >= 0)
		close(fd);
	return code;
}

static int connect_check_tls(const struct command_call *call, const struct options *given)
{
	bool tls = call->common.tls;

	if (!tls && (given->sni || given->insecure))
		return say_usage(_("--tls too"), _("--sni and --insecure are about TLS"));
	if (tls && given->test)
		return say_usage(_("-z without --tls, or --tls without -z"),
				 _("-z only connects, so it excludes --tls"));
	if (tls && call->argc && strncmp(call->argv[0], "unix:", 5) == 0 && !given->sni &&
	    !given->insecure && !call->common.pin)
		return say_usage(_("--sni NAME, or --pin FINGERPRINT"),
				 _("a unix socket has no name that a certificate could have"));
	return 0;
}

static int connect_check(const struct command_call *call, const struct options *given)
{
	if (given->telnet && call->common.udp)
		return say_usage(_("prise connect --telnet HOST, or prise connect -u HOST PORT"),
				 _("telnet is spoken over TCP only, so --telnet excludes -u"));
	if (!given->test && call->argc > 2)
		return say_usage(_("prise connect HOST PORT, or -z to test several ports"),
				 _("'%s' is one argument too many"), call->argv[2]);
	return connect_check_tls(call, given);
}

static int connect_run(struct command_call *call)
{
	const struct options *given = call->options;
	struct connect_run run = {0};
	struct address source = {0};
	int taken, code = connect_check(call, given);

	if (!code && given->source)
		code = connect_parse_source(given->source, &source);
	if (code)
		return code;
	if (given->test)
		return ports_test(call, &source, given->wait_ms);
	code = client_open(&run.client, call, given->telnet ? CONNECT_TELNET_PORT : 0, true,
			   &taken);
	if (code)
		return code;
	run.client.source = source;
	run.session.loop = run.client.loop;
	code = connect_dial(&run, given);
	client_close(&run.client);
	return code;
}

const struct command command_connect = {
	.name = "connect",
	.synopsis = N_("HOST PORT\nHOST:PORT\nunix:PATH\n-z HOST PORT[-PORT]..."),
	.about = N_(
		"Sends standard input to a peer and prints what the peer says, byte for byte. At "
		"the end of standard input our half of the connection is closed, and the peer is "
		"read until it ends; when the peer ends first, that is the end. -t bounds the time "
		"to connect and, once connected, any silence.\n\n"
		"With -u each read of standard input is one datagram: a line typed, or up to 65507 "
		"bytes of a pipe or a file. After the end of standard input it waits until no "
		"datagram has come for the time that --wait tells. Where a name has several "
		"addresses and one refuses before anything was heard, the next is sent what that "
		"one was (up to 256 KiB). Silence moves nobody on, since a service may well have "
		"no answer: -4 or -6 chooses another family where one is dead.\n\n"
		"With --tls the peer is told of that end only after a silence (--wait): few "
		"servers know a TLS connection of which one half is closed, and many break off "
		"what they were saying.\n\n"
		"-z only tests: whether somebody listens is the exit code, 4 when refused. Several "
		"ports and ranges may be given; then a line is printed for each, and the code is 0 "
		"if all are open, else 1. With -u an empty datagram is sent, and silence counts as "
		"open, since it cannot be told from it.\n\n"
		"--telnet answers the peer's option negotiation, refusing all that it does not do; "
		"the port is 23 unless told. On a terminal Ctrl+] gives a prompt that knows `quit` "
		"and `status`.\n\n"
		"--tls speaks TLS, 1.2 at least, with a server whose certificate the system's "
		"trust store (or SSL_CERT_FILE) and the host's name vouch for; --pin takes the "
		"server with that key instead, --insecure any. A server that ends without saying "
		"so in TLS may have been cut short, and that is an error.\n\n"
		"With --json the peer's words are conn.data events, between conn.open and "
		"conn.close."),
	.examples = "prise connect 127.0.0.1 7777\n"
		    "printf 'GET / HTTP/1.0\\n\\n' | prise connect --crlf localhost:80\n"
		    "prise connect -z localhost 20-25 http\n"
		    "prise connect -u localhost:7013\n"
		    "prise connect --telnet towel.example\n"
		    "prise connect --tls --crlf www.example.org 443\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_UDP | COMMAND_TAKES_TIMEOUT |
		 COMMAND_TAKES_TLS,
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = connect_run,
};
