/* What commands say, and every error's text in one table.
 *
 * A row is found by attempt and error; where there is none, a plain sentence for the attempt is
 * joined with the error's own text. Rows are whole sentences, so that each can be translated as
 * one. */
#include "command/say.h"

#include "command/publish.h"
#include "kernel/holder.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { WHERE_BYTES = 512, LINE_BYTES = 2048, USAGE_PART_BYTES = 160 };

struct sentence {
	enum say_attempt attempt;
	int err;
	const char *text; /* %s is where */
	const char *advice;
};

static const struct sentence sentences[] = {
	{SAY_CONNECT, ERR_REFUSED, N_("nobody listens on %s (connection refused)"),
	 N_("another port as HOST:PORT; on this machine `ss -ltn` lists who listens")},
	{SAY_CONNECT, ERR_TIMEOUT, N_("%s did not answer in time (timed out)"),
	 N_("-t DUR to wait longer; a firewall may be dropping packets in silence")},
	{SAY_CONNECT, ERR_UNREACHABLE, N_("there is no way to %s (unreachable)"),
	 N_("`ip route get ADDRESS`, which shows the way this machine would take")},
	{SAY_CONNECT, ERR_PROHIBITED, N_("a firewall or router forbids the way to %s (prohibited)"),
	 N_("another port or another network; whoever runs that firewall can allow it")},
	{SAY_CONNECT, ERR_NO_ROUTE, N_("this machine has no route to %s (network unreachable)"),
	 N_("`ip address` and `ip route`, which show what this machine is connected to")},
	{SAY_CONNECT, ERR_NO_FAMILY,
	 N_("this machine has no address of the family that %s needs (no such family here)"),
	 N_("`ip address`, which shows the addresses this machine has")},
	{SAY_CONNECT, ERR_PERMISSION,
	 N_("this machine does not let you reach %s (permission denied)"),
	 N_("the rules of the local firewall: `nft list ruleset` as root")},
	{SAY_CONNECT, ERR_NOT_LOCAL, N_("this machine cannot reach %s from the address you chose"),
	 N_("an address that `ip address` shows")},
	{SAY_CONNECT, ERR_RESET, N_("%s took the connection and broke it at once (reset)"),
	 N_("again in a moment; the server may be full or restarting")},
	{SAY_REVERSE, ERR_NO_NAME, N_("no name points to %s (the address itself may be good)"),
	 N_("whoever runs that network can give it a name; /etc/hosts can here")},
	{SAY_REVERSE, ERR_NAME_SERVER, N_("no name server says which names point to %s"),
	 N_("the network and /etc/resolv.conf")},
	{SAY_SECURE, ERR_TIMEOUT,
	 N_("%s took the connection and then said nothing in TLS (timed out)"),
	 N_("without --tls, if it speaks plainly; -t DUR to wait longer")},
	{SAY_SECURE, ERR_LEFT, N_("%s left in the middle of the TLS handshake (end of stream)"),
	 N_("without --tls, if it speaks plainly; its log may say why")},
	{SAY_SECURE, ERR_RESET, N_("%s broke off the TLS handshake (reset by the peer)"),
	 N_("without --tls, if it speaks plainly; its log may say why")},
	{SAY_TALK, ERR_TIMEOUT, N_("%s fell silent in the middle (timed out)"),
	 N_("-t DUR to wait longer, -v to see what was said until then")},
	{SAY_TALK, ERR_LEFT, N_("%s left before it had said everything (end of stream)"),
	 N_("-v to see what it said; another kind of server may be listening there")},
	{SAY_TALK, ERR_RESET, N_("%s broke the connection off (reset by the peer)"),
	 N_("again; if it lasts, the server's log says why")},
	{SAY_TALK, ERR_PROTOCOL, N_("%s does not keep to the protocol"),
	 N_("-v to see what it said; another kind of server may be listening there")},
	{SAY_TALK, ERR_TOO_LONG, N_("%s said more than the protocol allows (too long)"),
	 N_("-v to see what it said; another kind of server may be listening there")},
	{SAY_TALK, ERR_REFUSES, N_("%s refuses this"), N_("-v to see its words")},
	{SAY_TALK, ERR_REFUSED, N_("nobody listens on %s (port unreachable)"),
	 N_("another port as HOST:PORT; on this machine `ss -lun` lists who listens")},
	{SAY_TALK, ERR_UNREACHABLE, N_("there is no way to %s (unreachable)"),
	 N_("`ip route get ADDRESS`, which shows the way this machine would take")},
	{SAY_TALK, ERR_PROHIBITED, N_("a firewall or router forbids the way to %s (prohibited)"),
	 N_("another port or another network; whoever runs that firewall can allow it")},
	{SAY_HEAR, ERR_TIMEOUT,
	 N_("%s took the connection, but did not answer in time (timed out)"),
	 N_("-t DUR to wait longer; another kind of server may be listening there")},
	{SAY_ASK, ERR_TIMEOUT, N_("%s did not answer in time (timed out)"),
	 N_("-t DUR to wait longer; a firewall may be dropping packets in silence, or nobody "
	    "answers datagrams there")},
	{SAY_ASK, ERR_LEFT,
	 N_("%s answered with a datagram that holds no whole answer (too short)"),
	 N_("-v to see what it said; another kind of server may be listening there")},
	{SAY_CONNECT, ERR_IN_USE, N_("the address to reach %s from is taken (address in use)"),
	 N_("another port behind --source, or none")},
	{SAY_LISTEN, ERR_TIMEOUT, N_("nobody came to %s in time (timed out)"),
	 N_("-t DUR to wait longer; `ss -ltn` shows which addresses are listened on")},
	{SAY_LISTEN, ERR_IN_USE, N_("%s is taken by another program (address in use)"),
	 N_("another port; `ss -lnp` lists who holds this one")},
	{SAY_LISTEN, ERR_PERMISSION, N_("you may not listen on %s (permission denied)"),
	 N_("a port from 1024 up, or `setcap cap_net_bind_service+ep` on prise, or as root")},
	{SAY_LISTEN, ERR_NOT_LOCAL, N_("%s is not an address of this machine"),
	 N_("an address that `ip address` shows, or *:PORT for all of them")},
	{SAY_LISTEN, ERR_FAMILY_OFF,
	 N_("this machine has no address of the family that %s needs (no such family here)"),
	 N_("`ip address`, which shows the addresses this machine has")},
	{SAY_FILE, ERR_NO_FILE, N_("%s: no such file or directory"),
	 N_("the path: is it spelt right?")},
	{SAY_FILE, ERR_PERMISSION, N_("%s: permission denied"),
	 N_("`ls -ld` on the path, to see who may use it")},
	{SAY_FILE, ERR_IN_USE, N_("%s is there already"), N_("another name")},
	{SAY_FILE, ERR_DISK, N_("%s: the disk refuses (full, or failing)"),
	 N_("`df -h`, to see what is full")},
	{SAY_CAPTURE, ERR_NO_FILE, N_("%s is neither a file nor a network interface"),
	 N_("the path of a capture file, or an interface that `ip link` lists, or any")},
	{SAY_CAPTURE, ERR_PERMISSION, N_("you may not capture on %s (permission denied)"),
	 N_("as root, or `setcap cap_net_raw+ep` on prise")},
	{SAY_CAPTURE, ERR_UNREACHABLE, N_("the interface %s is down or gone"),
	 N_("`ip link set INTERFACE up` as root")},
	{SAY_CAPTURE, ERR_PROTOCOL, N_("%s is no capture, or is damaged"),
	 N_("a file in pcap or pcapng, as tcpdump -w and Wireshark write them")},
	{SAY_CAPTURE, ERR_LEFT, N_("%s is cut short: it ends in the middle of a header or a frame"),
	 N_("the whole file; all that stands before its end was read")},
	{SAY_CAPTURE, ERR_LIMIT,
	 N_("%s has frames of several interfaces that differ in kind, which libpcap does not read"),
	 N_("a capture of one interface, or of any, which makes them all Linux cooked frames")},
	{SAY_CAPTURE, ERR_REFUSES, N_("the frames of %s are of a kind that prise does not read"),
	 N_("a capture of Ethernet, loopback, raw IP or Linux cooked frames")},
	{SAY_CAPTURE, ERR_SYSTEM, N_("cannot capture from %s: libpcap is missing, or refuses"),
	 N_("`apt install libpcap0.8` where it is missing")},
	{SAY_RUN, ERR_NO_FILE, N_("there is no program %s"),
	 N_("its full path, or a look at PATH")},
	{SAY_RUN, ERR_PERMISSION, N_("%s may not be run (permission denied)"),
	 N_("`chmod +x` on it, or a program of your own")},
};

/* A path is another matter than a port. */
static const struct sentence on_a_path[] = {
	{SAY_LISTEN, ERR_TIMEOUT, N_("nobody came to %s in time (timed out)"),
	 N_("-t DUR to wait longer; `ss -lx` shows which paths are listened on")},
	{SAY_CONNECT, ERR_NO_FILE, N_("there is no socket %s (no such file or directory)"),
	 N_("another path; `ss -lx` lists which ones are listened on")},
	{SAY_CONNECT, ERR_REFUSED, N_("nobody listens on %s (connection refused)"),
	 N_("another path; `ss -lx` lists which ones are listened on")},
	{SAY_LISTEN, ERR_PERMISSION, N_("you may not make a socket at %s (permission denied)"),
	 N_("a path in a directory that you may write; `ls -ld` on it shows who may")},
	{SAY_LISTEN, ERR_NO_FILE, N_("there is no directory for %s (no such file or directory)"),
	 N_("a path in a directory that exists; `mkdir -p` makes one")},
	{SAY_LISTEN, ERR_IN_USE,
	 N_("%s is taken: another program listens there, or it is another kind of file"),
	 N_("another path; `ss -lxp` lists who holds this one")},
};

/* Errors whose cause is the same whatever else was attempted. */
static const struct sentence anywhere[] = {
	{0, ERR_NO_NAME, N_("the name %s does not exist"),
	 N_("the spelling, or an address instead of a name")},
	{0, ERR_NAME_SERVER, N_("no name server answers for %s (the name itself may be good)"),
	 N_("the network and /etc/resolv.conf, or an address instead of a name")},
	{0, ERR_NO_ADDRESS, N_("%s is known, but has no address of a family that may be used"),
	 N_("without -4 or -6, if you gave one")},
	{0, ERR_TLS, N_("TLS with %s failed"),
	 N_("`openssl s_client -connect HOST:PORT`, which shows what the server does")},
	{0, ERR_NOT_TLS, N_("%s does not speak TLS"),
	 N_("the port where it does, or without TLS (without --tls, http:// for https://)")},
	{0, ERR_TLS_VERSION, N_("%s speaks no version of TLS that is still safe"),
	 N_("a newer server: 1.3 for those of prise, 1.2 at least for others")},
	{0, ERR_CERT_EXPIRED, N_("the certificate of %s has expired, or is not valid yet"),
	 N_("`date`, for this machine's clock; else the server needs a new certificate")},
	{0, ERR_CERT_NAME, N_("the certificate of %s is for another name"),
	 N_("the host's name as the certificate has it; --pin FINGERPRINT if you know its key")},
	{0, ERR_CERT_UNKNOWN,
	 N_("nobody this machine trusts signed the certificate of %s (self-signed, or by an "
	    "unknown authority)"),
	 N_("--pin FINGERPRINT if you know its key; SSL_CERT_FILE=FILE for an authority of your "
	    "own")},
	{0, ERR_CERT_BAD, N_("the certificate of %s is not valid"),
	 N_("--pin FINGERPRINT if you know its key; else the server needs another certificate")},
	{0, ERR_KEY_CHANGED,
	 N_("the key of %s has changed: another machine answers, or it has a "
	    "new one"),
	 N_("`prise key` on that machine, to compare; then the line in known_hosts")},
	{0, ERR_KEY_PIN, N_("the key of %s is not the one that --pin names"),
	 N_("`prise key` on that machine, to compare")},
	{0, ERR_KEY_REFUSED, N_("%s does not let the key of this machine in"),
	 N_("`prise key`, and what it prints into that server's authorized_keys: FINGERPRINT "
	    "SERVICE")},
	{0, ERR_KEY_UNKNOWN, N_("%s: the key is not authorised"),
	 N_("a line FINGERPRINT SERVICE in authorized_keys")},
	{0, ERR_KEY_SERVICE, N_("%s: the key is not authorised for this service"),
	 N_("the service's name in the key's line of authorized_keys")},
	{0, ERR_KEY_MISSING, N_("%s: no key was shown, and one is needed"),
	 N_("--tls, and `prise key`, which makes one")},
	{0, ERR_KEY_MODE, N_("%s: others than its owner may read or write it"),
	 N_("`chmod go= FILE`, and a look at who could have used it")},
	{0, ERR_KEY_FILE, N_("%s: there is no key in it that can be used"),
	 N_("moving it away: the next `prise key` makes a new one")},
	{0, ERR_DESCRIPTORS, N_("out of descriptors at %s"),
	 N_("prise doctor, which shows the limits")},
	{0, ERR_MEMORY, N_("out of memory at %s"), N_("`free -h`, to see what is left")},
};

/* When no row fits: %s is where, the second the error's own text. */
static const char *const plain[] = {
	[SAY_CONNECT] = N_("cannot connect to %s: %s"),
	[SAY_RESOLVE] = N_("cannot look up %s: %s"),
	[SAY_REVERSE] = N_("cannot look up the names of %s: %s"),
	[SAY_LISTEN] = N_("cannot listen on %s: %s"),
	[SAY_SECURE] = N_("no TLS with %s: %s"),
	[SAY_TALK] = N_("the talk with %s ended: %s"),
	[SAY_HEAR] = N_("the talk with %s ended: %s"),
	[SAY_ASK] = N_("the talk with %s ended: %s"),
	[SAY_FILE] = N_("cannot use %s: %s"),
	[SAY_RUN] = N_("cannot run %s: %s"),
	[SAY_CAPTURE] = N_("cannot capture from %s: %s"),
};

/* One command a process, so who speaks and how is the process's own. */
static struct {
	const char *command;
	bool quiet, json;
	int stdout_errno; /* what first went wrong with it */
	void (*clear)(void *owner);
	void *clear_owner;
	void (*put)(void *owner, struct bytes line);
	void *put_owner;
	char host[256];
} speaker;

void say_begin(const char *command, const struct command_common *common)
{
	speaker.command = command;
	speaker.quiet = common != NULL && common->quiet;
	speaker.json = common != NULL && common->json;
	if (speaker.json && gethostname(speaker.host, sizeof(speaker.host) - 1) != 0)
		speaker.host[0] = '\0';
}

bool say_coloured(FILE *stream)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
	       isatty(fileno(stream));
}

int64_t say_now_us(void)
{
	struct moment now = {0};

	moment_read(&now);
	return now.wall_us;
}

void say_put_event(struct text *t, const struct event *e)
{
	event_put_json(t, e, speaker.host[0] == '\0' ? NULL : speaker.host);
}

void say_event(const struct event *e)
{
	char line[8 * EVENT_TEXT_BYTES];
	struct text t = TEXT_OVER(line);

	say_put_event(&t, e);
	if (speaker.put != NULL)
		speaker.put(speaker.put_owner, text_bytes(&t));
	else
		fwrite(t.data, 1, t.len, stdout);
}

/* `prise daytime: TEXT`, in `colour` (an SGR number) up to the colon on a terminal. What a peer or
 * a file had to say in it is shown, never obeyed. */
static void put_line(const char *colour, const char *text)
{
	char shown[4 * LINE_BYTES];
	struct text line = TEXT_OVER(shown);
	bool coloured = colour != NULL && say_coloured(stderr);
	const char *space = speaker.command == NULL ? "" : " ";
	const char *command = speaker.command == NULL ? "" : speaker.command;

	text_put_visible(&line, bytes_of_string(text), true);
	if (speaker.clear != NULL)
		speaker.clear(speaker.clear_owner);
	fflush(stdout);
	fprintf(stderr, "%s%sprise%s%s:%s %s\n", coloured ? "\033[" : "", coloured ? colour : "",
		space, command, coloured ? "\033[0m" : "", shown);
}

static void put_advice(const char *advice)
{
	bool coloured = say_coloured(stderr);

	fprintf(stderr, "  %s%s%s %s\n", coloured ? "\033[1m" : "", _("try:"),
		coloured ? "\033[0m" : "", advice);
}

static void put_event(int err, const char *where, const char *text, const char *advice)
{
	struct event e;

	event_init(&e, EVENT_ERROR, "error", NULL, say_now_us());
	event_string(&e, "command", speaker.command == NULL ? "prise" : speaker.command);
	event_uint(&e, "code", (uint64_t)err_exit(err));
	event_string(&e, "name", err_name(err));
	if (where != NULL)
		event_string(&e, "where", where);
	event_string(&e, "text", text);
	event_string(&e, "try", advice);
	if (err != ERR_USAGE)
		publish_error(&e);
	if (speaker.json)
		say_event(&e);
}

static int put_error(int err, const char *where, const char *text, const char *advice)
{
	put_event(err, where, text, advice);
	put_line("1;31m", text);
	put_advice(advice);
	return err_exit(err);
}

/* The commands that are the client of a service know how to start one. */
static bool names_a_service(const char *command)
{
	static const char *const services[] = {
#define SERVICE(name, port, standard, transports, on, first, where, who, holder, help) #name,
#include "service/service.def"
#undef SERVICE
	};

	for (unsigned i = 0; command != NULL && i < sizeof(services) / sizeof(services[0]); i++)
		if (strcmp(services[i], command) == 0)
			return true;
	return false;
}

static const struct sentence *find(enum say_attempt attempt, int err, const char *where)
{
	unsigned paths = sizeof(on_a_path) / sizeof(on_a_path[0]);

	if (strncmp(where, "unix:", 5) == 0)
		for (unsigned i = 0; i < paths; i++)
			if (on_a_path[i].attempt == attempt && on_a_path[i].err == err)
				return &on_a_path[i];
	for (unsigned i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		if (sentences[i].attempt == attempt && sentences[i].err == err)
			return &sentences[i];
	for (unsigned i = 0; i < sizeof(anywhere) / sizeof(anywhere[0]); i++)
		if (anywhere[i].err == err)
			return &anywhere[i];
	return NULL;
}

/* A name error is about the host alone: `trucbidule:7013` is shown as `trucbidule`. */
static struct bytes host_of(const char *where)
{
	struct bytes b = bytes_of_string(where);
	size_t colon = bytes_find_byte(b, ':');

	if (colon == b.len || bytes_find_byte(bytes_after(b, colon + 1), ':') != b.len - colon - 1)
		return b;
	return bytes_first(b, colon);
}

static bool is_about_a_name(int err)
{
	return err == ERR_NO_NAME || err == ERR_NAME_SERVER || err == ERR_NO_ADDRESS;
}

int say_error_try(enum say_attempt attempt, const char *where, int err, const char *advice)
{
	char shown[WHERE_BYTES], line[LINE_BYTES], serve[LINE_BYTES];
	struct text place = TEXT_OVER(shown), text = TEXT_OVER(line), start = TEXT_OVER(serve);
	const struct sentence *sentence = find(attempt, err, where);

	text_put_visible(&place, is_about_a_name(err) ? host_of(where) : bytes_of_string(where),
			 false);
	if (sentence != NULL)
		text_printf(&text, _(sentence->text), shown);
	else
		text_printf(&text, _(plain[attempt]), shown, _(err_text(err)));
	if (advice == NULL && err == ERR_REFUSED && strncmp(where, "unix:", 5) != 0 &&
	    names_a_service(speaker.command)) {
		text_printf(&start, _("prise serve %s, or name another port as HOST:PORT"),
			    speaker.command);
		advice = serve;
	}
	if (advice == NULL)
		advice = sentence != NULL ? _(sentence->advice)
					  : _("-v for the whole story, or prise doctor");
	return put_error(err, where, line, advice);
}

int say_error(enum say_attempt attempt, const char *where, int err)
{
	return say_error_try(attempt, where, err, NULL);
}

int say_told(const char *where, int err, const char *text, const char *advice)
{
	char line[LINE_BYTES];
	struct text shown = TEXT_OVER(line);

	text_put_visible(&shown, bytes_of_string(text), false);
	return put_error(err, where, line, advice);
}

int say_no_family(enum say_attempt attempt, const char *where, bool chosen)
{
	return say_error_try(attempt, where, attempt == SAY_LISTEN ? ERR_FAMILY_OFF : ERR_NO_FAMILY,
			     chosen ? _("the other family: leave out -4 or -6") : NULL);
}

int say_input(int err)
{
	const char *advice = _("a file or a pipe; a directory cannot be read");

	return say_error_try(SAY_FILE, _("standard input"), err,
			     err == ERR_DIRECTORY ? advice : NULL);
}

int say_in_use(const char *where, const struct address *address, uint16_t port, bool udp)
{
	struct holder holder;
	char advice[256];

	if (!port || holder_find("/proc", address, port, udp, &holder) < 0 || !holder.pid)
		return say_error(SAY_LISTEN, where, ERR_IN_USE);
	snprintf(advice, sizeof(advice),
		 _("another port, or end process %d (%s), which holds port %u (%s)"),
		 (int)holder.pid, holder.program, port, udp ? "udp" : "tcp");
	return say_error_try(SAY_LISTEN, where, ERR_IN_USE, advice);
}

/* What was typed may be as long as a command line; what it begins and how the sentence ends is
 * enough. */
static void put_shortened(struct text *t, struct bytes b)
{
	if (b.len > 2 * USAGE_PART_BYTES) {
		struct bytes first = bytes_first(b, USAGE_PART_BYTES);

		first.len -= text_utf8_incomplete_tail(first);
		text_put_visible(t, first, false);
		text_put_string(t, "...");
		b = bytes_after(b, b.len - USAGE_PART_BYTES);
		while (b.len && (b.data[0] & 0xc0) == 0x80)
			b = bytes_after(b, 1);
	}
	text_put_visible(t, b, false);
}

int say_usage(const char *advice, const char *format, ...)
{
	char line[LINE_BYTES], *told = NULL;
	struct text text = TEXT_OVER(line);
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&told, format, arguments) < 0)
		told = NULL;
	va_end(arguments);
	put_shortened(&text, bytes_of_string(told ? told : format));
	free(told);
	return put_error(ERR_USAGE, NULL, line, advice);
}

void say_note(const char *format, ...)
{
	char line[LINE_BYTES];
	struct text text = TEXT_OVER(line);
	va_list arguments;

	if (speaker.quiet)
		return;
	va_start(arguments, format);
	text_vprintf(&text, format, arguments);
	va_end(arguments);
	put_line(NULL, line);
}

void say_warning(const char *format, ...)
{
	char line[LINE_BYTES];
	struct text text = TEXT_OVER(line);
	va_list arguments;

	va_start(arguments, format);
	text_vprintf(&text, format, arguments);
	va_end(arguments);
	put_line("1;33m", line);
}

void say_over(void (*clear)(void *owner), void *owner)
{
	speaker.clear = clear;
	speaker.clear_owner = owner;
}

void say_through(void (*put)(void *owner, struct bytes line), void *owner)
{
	speaker.put = put;
	speaker.put_owner = owner;
}

void say_stdout_failed(int error)
{
	if (speaker.stdout_errno == 0)
		speaker.stdout_errno = error;
}

bool say_flush(void)
{
	bool failed = ferror(stdout) != 0;

	if (fflush(stdout) == 0 && !failed)
		return true;
	if (speaker.stdout_errno == 0)
		speaker.stdout_errno = errno;
	return false;
}

int say_end(int code)
{
	if (say_flush() && speaker.stdout_errno == 0)
		return code;
	if (speaker.stdout_errno == EPIPE)
		return code; /* whoever read us has seen enough */
	clearerr(stdout);
	speaker.json = false;
	if (speaker.stdout_errno == EBADF)
		return say_error_try(SAY_FILE, _("standard output"), ERR_SYSTEM,
				     _("without >&-, for it is closed, or not open for writing"));
	return say_error(SAY_FILE, _("standard output"), ERR_DISK);
}
