/* prise listen: take a connection, or many. Here: the options, the sockets, and the plain
 * case of one client, after whom nobody listens any more. */
#include "command/listen.h"

#include "command/publish.h"
#include "command/say.h"
#include "command/wire.h"
#include "net/gate.h"
#include "net/name.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static const struct option options[] = {
	{.name = "keep",
	 .letter = 'k',
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct listen_options, keep),
	 .help = N_("keep on listening: many clients, at once and one after the other")},
	{.name = "exec",
	 .letter = 'e',
	 .type = OPTION_TEXT,
	 .argument = N_("CMD"),
	 .offset = offsetof(struct listen_options, exec),
	 .help = N_("run CMD under /bin/sh for each client, with the connection as its stdin and "
		    "stdout")},
	{.name = "chat",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct listen_options, chat),
	 .help = N_("relay lines between the clients, each with its sender's name")},
	OPTION_END,
};

void listen_stop(struct listening *l, int code)
{
	if (!l->woken)
		l->code = code;
	l->woken = true;
}

static void listen_caught(void *owner, int signal_number)
{
	struct listening *l = owner;

	session_caught(&l->session, signal_number);
	if (!l->session.signal_number)
		return;
	l->signal_number = signal_number;
	l->code = 128 + signal_number;
	l->woken = true;
}

static void listen_nobody_came(struct wheel_timer *timer, void *context)
{
	struct listening *l = (struct listening *)((char *)timer -
						   offsetof(struct listening, patience));

	const char *advice = _("-t DUR to wait longer; `ss -lun` shows which addresses are "
			       "listened on");

	listen_stop(l, say_error_try(SAY_LISTEN, l->where, ERR_TIMEOUT,
				     l->call->common.udp ? advice : NULL));
}

struct report listen_came(struct listening *l, const struct address *remote,
			  const struct address *local)
{
	loop_disarm(l->loop, &l->patience);
	return (struct report){
		.call = l->call,
		.number = ++l->connections,
		.remote = *remote,
		.local = *local,
		.opened_ns = loop_now(l->loop)->boot_ns,
	};
}

/* Accepting. */

static void listen_trouble(void *owner, int err, const struct address *remote)
{
	say_warning(_("no more clients for the moment: %s"), _(err_text(err)));
}

int listen_accept(struct listening *l, unsigned most,
		  void (*accepted)(void *owner, int fd, const struct address *remote,
				   const struct address *local),
		  void *owner)
{
	struct gate_limits limits = {.open = most};
	int err = gate_create(&l->gate, &limits);

	for (unsigned i = 0; i < l->count && !err; i++) {
		struct listener_plan plan = {
			.fd = l->fd[i],
			.gate = l->gate,
			.accepted = accepted,
			.trouble = listen_trouble,
			.owner = owner,
			.bound = l->bound[i],
		};

		err = listener_create(&l->listener[i], l->loop, &plan);
		if (!err)
			l->fd[i] = -1;
	}
	return err;
}

void listen_close(struct listening *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		listener_destroy(l->listener[i]);
		l->listener[i] = NULL;
		if (l->fd[i] >= 0)
			close(l->fd[i]);
		l->fd[i] = -1;
	}
	if (l->at.unix_path && l->count)
		unlink(l->at.host);
	l->count = 0;
}

/* One client. */

struct listen_one {
	struct listening *listening;
	int fd; /* -1: nobody came */
};

static void listen_one_came(void *owner, int fd, const struct address *remote,
			    const struct address *local)
{
	struct listen_one *one = owner;

	one->fd = fd;
	one->listening->session.report = listen_came(one->listening, remote, local);
	one->listening->woken = true;
}

static int listen_to_one(struct listening *l)
{
	struct listen_one one = {.listening = l, .fd = -1};
	struct session_plan plan = {.silent_near = true, .idle_ms = l->call->common.timeout_ms};
	char who[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(who);
	int code, err = listen_accept(l, 1, listen_one_came, &one);

	if (err)
		return say_error(SAY_LISTEN, l->where, err);
	loop_run_until(l->loop, &l->woken);
	listen_close(l);
	if (one.fd < 0)
		return l->code;
	address_put(&t, &l->session.report.remote);
	plan.fd = one.fd;
	plan.where = who;
	l->session.loop = l->loop;
	code = session_run(&l->session, &plan);
	close(one.fd);
	return code;
}

/* The sockets. */

/* One address. 0 or ERR_. */
static int listen_open_address(struct listening *l, const struct address *address)
{
	struct listener_bind bind = {
		.datagram = l->call->common.udp,
		.unix_path = l->at.unix_path ? l->at.host : NULL,
	};
	int fd;

	if (l->count == LISTEN_SOCKETS_MOST)
		return ERR_FULL;
	if (address)
		bind.address = *address;
	fd = listener_open(&bind, &l->bound[l->count]);
	if (fd < 0)
		l->bound[l->count] = bind.address;
	else
		l->fd[l->count++] = fd;
	return fd < 0 ? fd : 0;
}

/* A port of the kernel's choice (0) is the same for both families, as far as it is free in both. */
static int listen_open_family(struct listening *l, const uint8_t *ip, enum address_family family)
{
	struct address a = {.family = (uint8_t)family, .port = l->at.port};

	if (!l->at.port && l->count)
		a.port = l->bound[0].port;
	if (l->at.loopback)
		memcpy(a.ip, ip, family == ADDRESS_V4 ? 4 : 16);
	return listen_open_address(l, &a);
}

/* Loopback or everywhere: both families, of which this machine may lack one. */
static int listen_open_both(struct listening *l)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};
	const struct command_common *common = &l->call->common;
	int err = common->v6 ? ERR_FAMILY_OFF : listen_open_family(l, v4, ADDRESS_V4), err6;

	if ((err && err != ERR_FAMILY_OFF && err != ERR_NOT_LOCAL) || common->v4)
		return err;
	err6 = listen_open_family(l, v6, ADDRESS_V6);
	if (l->count && (err6 == ERR_FAMILY_OFF || err6 == ERR_NOT_LOCAL))
		return 0;
	return err6;
}

/* Every address of a name. */
static int listen_open_host(struct listening *l)
{
	struct name_query query = {.port = l->at.port};
	struct name_answer answer;
	int err = 0;

	if (l->call->common.v4 || l->call->common.v6)
		query.families = l->call->common.v4 ? NAME_V4_ONLY : NAME_V6_ONLY;
	snprintf(query.host, sizeof query.host, "%s", l->at.host);
	name_resolve(&query, &answer);
	if (answer.err)
		return answer.err;
	for (unsigned i = 0; i < answer.count && !err; i++) {
		err = listen_open_address(l, &answer.address[i]);
		if (err == ERR_FAMILY_OFF && answer.count > 1)
			err = 0;
	}
	return err || l->count ? err : ERR_FAMILY_OFF;
}

/* Whether there would be another family without -4 and -6. */
static bool listen_chose_family(const struct listening *l)
{
	const struct command_common *common = &l->call->common;

	return (common->v4 || common->v6) &&
	       (l->at.loopback || l->at.any || !address_is_literal(l->at.host));
}

/* 0, or the exit code, having said why. */
static int listen_open(struct listening *l)
{
	bool udp = l->call->common.udp;
	const struct address *tried = &l->bound[0];
	int err;

	if (l->at.unix_path)
		err = listen_open_address(l, NULL);
	else if (l->at.loopback || l->at.any)
		err = listen_open_both(l);
	else
		err = listen_open_host(l);
	if (!err)
		return 0;
	if (l->count < LISTEN_SOCKETS_MOST)
		tried = &l->bound[l->count];
	if (err == ERR_IN_USE && !l->at.unix_path)
		return say_in_use(l->where, tried, l->at.port, udp);
	if (err == ERR_NO_NAME || err == ERR_NAME_SERVER || err == ERR_NO_ADDRESS)
		return say_error(SAY_RESOLVE, l->at.host, err);
	if (err == ERR_FAMILY_OFF)
		return say_no_family(SAY_LISTEN, l->where, listen_chose_family(l));
	return say_error(SAY_LISTEN, l->where, err);
}

static void listen_say_where(const struct listening *l)
{
	for (unsigned i = 0; i < l->count; i++) {
		char where[ADDRESS_TEXT_BYTES];
		struct text t = TEXT_OVER(where);
		struct event e;

		address_put(&t, &l->bound[i]);
		if (!l->call->common.json)
			say_note(_("listening on %s"), l->at.unix_path ? l->where : where);
		event_init(&e, EVENT_INFO, "listen.open", l->call->command->name, say_now_us());
		event_string(&e, "address", l->at.unix_path ? l->where : where);
		event_string(&e, "proto", l->call->common.udp ? "udp" : "tcp");
		publish_and_say(l->call, &e);
		fflush(stdout);
	}
}

/* The command. */

/* 0, or the exit code of wrong usage. */
static int listen_understand(struct listening *l)
{
	const struct command_call *call = l->call;
	struct text where = TEXT_OVER(l->where);
	int err;

	if (call->argc < 1)
		return say_usage(_("prise listen PORT"), _("the address to listen on is missing"));
	if (call->argc > 1)
		return say_usage(_("prise listen ADDR:PORT"), _("'%s' is one argument too many"),
				 call->argv[1]);
	err = endpoint_parse_listen(call->argv[0], 0, call->common.udp, &l->at);
	if (err)
		return say_usage(_("PORT (loopback), *:PORT (everywhere), ADDR:PORT, or unix:PATH"),
				 _("'%s' is no address to listen on: %s"), call->argv[0],
				 _(err_text(err)));
	if (l->given->chat && l->given->exec)
		return say_usage(_("one of them"), _("--chat and --exec exclude each other"));
	if (call->common.udp && (l->given->chat || l->given->exec))
		return say_usage(_("without -u; over UDP nobody can tell when a sender has gone"),
				 _("%s needs connections, so it excludes -u"),
				 l->given->chat ? "--chat" : "--exec");
	endpoint_put(&where, &l->at);
	return 0;
}

static int listen_set_up(struct listening *l)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGCONT};
	int err = 0;

	if (l->given->exec)
		err = process_helper_start(&l->helper);
	if (!err)
		err = loop_create(&l->loop);
	if (!err && l->helper)
		err = process_helper_attach(l->helper, l->loop);
	if (!err)
		err = loop_signals(l->loop, signals, 4, listen_caught, l);
	if (err)
		return say_error(SAY_RUN, l->call->command->name, err);
	signal(SIGPIPE, SIG_IGN);
	wire_begin();
	if (l->given->keep || l->given->chat)
		loop_raise_descriptors();
	return listen_open(l);
}

static int listen_go_on(struct listening *l)
{
	uint64_t patience_ms = l->call->common.timeout_ms;

	listen_say_where(l);
	l->patience.due = listen_nobody_came;
	if (patience_ms)
		loop_arm(l->loop, &l->patience,
			 loop_now(l->loop)->boot_ns + patience_ms * MOMENT_MS);
	if (l->call->common.udp)
		return listen_udp(l);
	if (l->given->exec)
		return listen_exec(l);
	return l->given->keep || l->given->chat ? listen_many(l) : listen_to_one(l);
}

static int listen_run(struct command_call *call)
{
	struct listening *l = calloc(1, sizeof *l);
	int code;

	if (!l)
		return say_error(SAY_RUN, call->command->name, ERR_MEMORY);
	l->call = call;
	l->given = call->options;
	code = listen_understand(l);
	if (!code)
		code = listen_set_up(l);
	if (!code)
		code = listen_go_on(l);
	listen_close(l);
	gate_destroy(l->gate);
	process_helper_stop(l->helper);
	loop_destroy(l->loop);
	free(l);
	return code;
}

const struct command command_listen = {
	.name = "listen",
	.synopsis = N_("PORT\nADDR:PORT\nunix:PATH"),
	.about = N_(
		"Takes one client, whose words go to standard output while standard input goes to "
		"the client, and ends when the client does. As soon as it has come nobody listens "
		"any more, so a second one is refused. PORT or :PORT is loopback, *:PORT (or "
		"any:PORT) is everywhere. The end of standard input closes our half of the "
		"connection, unless it was empty from the start (/dev/null, a job in the "
		"background). -t bounds the time until somebody comes and any silence after that."
		"\n\n"
		"With -k it takes clients until it is interrupted, many at once. What any of them "
		"says goes to standard output, standard input goes to all of them, and nothing of "
		"it is read before somebody is there. A client that does not read what it is sent "
		"is dropped after 2 seconds if others wait for that.\n\n"
		"With -u datagrams from every sender go to standard output; a line on standard "
		"error says whose they are when that changes. A read of standard input is a "
		"datagram to the last sender, with -k to all who have sent.\n\n"
		"--exec runs CMD for each client, with the connection as its stdin and stdout; "
		"PRISE_REMOTE and PRISE_LOCAL in its environment are the two addresses. When CMD "
		"ends, what it left running is stopped and the connection is closed.\n\n"
		"--chat relays each line of a client, and of standard input, to all the others, "
		"behind <user1>, <user2>, ... (<user0> is standard input), and prints it.\n\n"
		"With --json standard output has listen.open, conn.open, conn.data and conn.close "
		"events."),
	.examples = "prise listen 5000 > received\n"
		    "prise listen *:5000 -k\n"
		    "prise listen 5000 -k --exec 'tr a-z A-Z'\n"
		    "prise listen 5000 --chat\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_UDP | COMMAND_TAKES_TIMEOUT,
	.options = options,
	.options_bytes = sizeof(struct listen_options),
	.run = listen_run,
};
