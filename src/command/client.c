/* The clients' common part. One loop, one work thread for the name, one pump with one connection.
 */
#include "command/client_parts.h"

#include "command/publish.h"
#include "command/say.h"
#include "command/wire.h"
#include "kernel/holder.h"
#include "net/own.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENT_PORT_FREE = 1024 };

uint64_t client_timeout_ms(const struct client *client, uint64_t fallback_ms)
{
	uint64_t given_ms = client->call->common.timeout_ms;

	return given_ms ? given_ms : fallback_ms;
}

enum name_families client_families(const struct command_call *call)
{
	if (call->common.v4 == call->common.v6)
		return NAME_BOTH;
	return call->common.v4 ? NAME_V4_ONLY : NAME_V6_ONLY;
}

/* Why `host` (or the two words `host` and `port`) is no peer. Returns the exit code. */
static int client_say_no_peer(const char *host, const char *port, int err)
{
	const char *colon = strrchr(host, ':');
	const char *advice = _("a number from 1 to 65535, or a name from `prise services`");

	if (err == ERR_NO_NAME && (port || colon))
		return say_usage(advice, _("there is no service %s"), port ? port : colon + 1);
	if (port)
		return say_usage(advice, _("'%s' is no port: %s"), port, _(err_text(err)));
	return say_usage(_("HOST:PORT, [V6]:PORT, :PORT, or unix:/PATH"),
			 _("'%s' is no address of a peer: %s"), host, _(err_text(err)));
}

static int client_parse(struct client *c, uint16_t default_port, bool two_words, int *taken)
{
	const struct command_call *call = c->call;
	const char *host = call->argc > 0 ? call->argv[0] : NULL;
	struct text where = TEXT_OVER(c->where);
	int err;

	if (!host)
		return say_usage(_("the peer as HOST:PORT"), _("whom to talk to is missing"));
	if (two_words && call->argc > 2)
		return say_usage(_("the peer as HOST:PORT"), _("'%s' is one argument too many"),
				 call->argv[2]);
	*taken = two_words && call->argc > 1 ? 2 : 1;
	if (*taken == 2)
		err = endpoint_parse_peer_words(host, call->argv[1], call->common.udp, &c->to);
	else
		err = endpoint_parse_peer(host, default_port, call->common.udp, &c->to);
	if (err)
		return client_say_no_peer(host, *taken == 2 ? call->argv[1] : NULL, err);
	endpoint_put(&where, &c->to);
	return 0;
}

int client_open(struct client *c, const struct command_call *call, uint16_t default_port,
		bool two_words, int *taken)
{
	int code, err;

	*c = (struct client){.call = call};
	code = client_check_tls(&call->common);
	if (!code)
		code = client_parse(c, default_port, two_words, taken);
	if (code)
		return code;
	c->families = client_families(call);
	signal(SIGPIPE, SIG_IGN);
	wire_begin();
	err = loop_create(&c->loop);
	if (!err)
		err = work_create(&c->work, 1);
	if (!err)
		err = pump_common_create(&c->pumps, c->loop, 0);
	if (!err)
		return 0;
	client_close(c);
	return say_error(SAY_RUN, c->where, err);
}

void client_close(struct client *c)
{
	pump_destroy(c->pump);
	trust_close(&c->trust);
	pump_common_destroy(c->pumps);
	work_leave(c->work); /* a silent name server is not waited for */
	if (c->loop)
		loop_take_mail(c->loop);
	loop_destroy(c->loop);
	c->pump = NULL;
	c->pumps = NULL;
	c->work = NULL;
	c->loop = NULL;
}

void client_stop(struct client *c, int err)
{
	if (!c->done)
		c->err = err;
	c->done = c->stopped = true;
}

/* What was printed is to be seen now, and somebody is to see it. */
static void client_flush(struct client *c)
{
	if (say_flush())
		return;
	if (c->talk->for_stdout)
		client_stop(c, 0);
	else if (c->talk->unheard)
		c->talk->unheard(c->talk->owner);
}

void client_event(void *owner, struct event *e)
{
	struct client *c = owner;

	e->service = c->call->command->name;
	if (c->talk->noted)
		c->talk->noted(c->talk->owner, e);
	publish_event(c->call, e);
	if (c->call->common.json)
		say_event(e);
	else if (c->talk->event)
		c->talk->event(c->talk->owner, e);
	client_flush(c);
}

/* A machine tells as soon as it is opened, before pump_attach has returned its id. */
static void client_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct client *c = owner;

	c->id = from;
	if (c->talk->told)
		c->talk->told(c->talk->owner, message);
	client_flush(c);
}

void client_tell(struct client *c, uint32_t kind, struct bytes body)
{
	pump_tell(c->pumps, c->id, &(struct message){.kind = kind, .body = body});
	pump_deliver(c->pumps);
}

static void client_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	struct client *c = owner;

	if (c->call->common.verbose)
		wire_closed(remote, why ? _(err_text(why)) : _("done"));
	client_stop(c, why == ERR_IDLE ? ERR_TIMEOUT : why);
}

static void client_wire(void *owner, const struct conn *conn, enum pump_direction direction,
			struct bytes b)
{
	struct client *c = owner;

	c->heard |= direction == PUMP_RECEIVED;
	if (c->call->common.verbose)
		wire_bytes(NULL, NULL, direction == PUMP_SENT, b);
	if (direction == PUMP_RECEIVED && c->talk->heard)
		c->talk->heard(c->talk->owner, b);
}

/* Dialling is over. False when it came to nothing. */
static bool client_reached(struct client *c, const struct dial_result *result)
{
	c->dial = NULL;
	if (result->err) {
		client_stop(c, result->err);
		return false;
	}
	c->rests = result->rest_count;
	memcpy(c->rest, result->rest, c->rests * sizeof *c->rest);
	c->remote = result->remote;
	c->local = result->local;
	c->connected = true;
	if (c->call->common.verbose)
		wire_connected(&result->local, &result->remote);
	return true;
}

/* The conversation begins: its machine is open. */
static void client_begin(struct client *c)
{
	if (!c->done && c->talk->connected)
		c->talk->connected(c->talk->owner, c);
}

static void client_secured(void *owner, const struct conn *conn)
{
	struct client *c = owner;

	c->securing = false;
	c->id = conn_id(conn);
	trust_keep(&c->trust);
	client_begin(c);
}

static void client_dialled(void *owner, const struct dial_result *result)
{
	struct client *c = owner;
	int64_t id;

	if (!client_reached(c, result))
		return;
	c->securing = c->trust.context != NULL;
	id = pump_attach(c->pump, result->fd, &result->remote, &result->local);
	if (id < 0) {
		client_stop(c, (int)id);
		return;
	}
	c->id = (uint64_t)id;
	if (!c->trust.context)
		client_begin(c);
	pump_deliver(c->pumps);
}

/* A server that stays although all is said has answered in time. */
static void client_out_of_time(struct wheel_timer *timer, void *context)
{
	struct client *c = (struct client *)((char *)timer - offsetof(struct client, timer));
	bool over = c->connected && c->pump && pump_lingers(c->pump, c->id);

	if (c->dial)
		dial_expire(c->dial); /* it knows who was silent */
	else
		client_stop(c, over ? 0 : ERR_TIMEOUT);
}

void client_await(struct client *c, uint64_t ms)
{
	c->timer.due = client_out_of_time;
	if (ms)
		loop_arm(c->loop, &c->timer, loop_now(c->loop)->boot_ns + ms * MOMENT_MS);
	else
		loop_disarm(c->loop, &c->timer);
}

static int client_make_pump(struct client *c, const struct client_talk *talk)
{
	struct pump_owner calls = {.event = client_event,
				   .told = client_told,
				   .closed = client_closed,
				   .secured = client_secured,
				   .wire = client_wire};
	struct pump_plan plan = {
		.machine = talk->machine,
		.settings = talk->settings,
		.service = c->call->command->name,
		.host = c->where,
		.level = EVENT_INFO,
		.limits = {.idle_ms = talk->idle_ms, .handshake_ms = c->call->common.timeout_ms},
		.owner_calls = &calls,
		.owner = c,
	};

	int err;

	pump_destroy(c->pump);
	c->pump = NULL;
	err = client_open_trust(c, talk->tls);
	if (err)
		return err;
	plan.tls = c->trust.context;
	plan.tls_name = c->tls_name;
	return pump_create(&c->pump, c->pumps, &plan);
}

int client_wait(struct client *c)
{
	loop_run_until(c->loop, &c->done);
	return c->err;
}

static struct dial_plan client_dial_plan(const struct client *c, uint64_t dial_ms)
{
	return (struct dial_plan){
		.to = c->to,
		.families = c->families,
		.udp = c->call->common.udp,
		.timeout_ms = dial_ms ? dial_ms : client_timeout_ms(c, CLIENT_DIAL_MS),
		.source = c->source,
	};
}

/* Dials, and runs the loop until the client is done. */
static int client_run(struct client *c, uint64_t dial_ms,
		      void (*reached)(void *owner, const struct dial_result *result))
{
	struct dial_plan plan = client_dial_plan(c, dial_ms);
	int err;

	c->done = c->connected = c->securing = c->heard = c->stopped = false;
	c->rests = 0;
	c->err = 0;
	err = dial_start(c->loop, c->work, &plan, reached, c, &c->dial);
	if (err)
		return err;
	err = client_wait(c);
	if (c->dial)
		dial_cancel(c->dial);
	c->dial = NULL;
	return err;
}

static void client_got_socket(void *owner, const struct dial_result *result)
{
	struct client *c = owner;

	if (!client_reached(c, result))
		return;
	c->fd = result->fd;
	c->done = true;
}

int client_dial(struct client *c, uint64_t timeout_ms, int *fd)
{
	int err;

	c->fd = -1;
	loop_refresh(c->loop);
	err = client_run(c, timeout_ms, client_got_socket);
	if (!err && c->stopped)
		err = ERR_DRAINED;
	if (err && c->fd >= 0)
		close(c->fd); /* it was told to stop just then */
	if (err)
		return err;
	*fd = c->fd;
	c->done = false;
	return 0;
}

int client_dial_next(struct client *c, int *fd)
{
	struct dial_plan plan = client_dial_plan(c, 0);
	struct address to = c->rest[0];

	if (!c->rests)
		return ERR_NO_ADDRESS;
	memmove(c->rest, c->rest + 1, --c->rests * sizeof *c->rest);
	*fd = dial_datagram(&plan, &to, &c->local);
	if (*fd < 0)
		return *fd;
	c->remote = to;
	if (c->call->common.verbose)
		wire_connected(&c->local, &c->remote);
	return 0;
}

int client_talk(struct client *c, const struct client_talk *talk)
{
	int err = client_make_pump(c, talk);

	if (err)
		return err;
	c->talk = talk;
	loop_refresh(c->loop);
	client_await(c, talk->total_ms);
	err = client_run(c, talk->dial_ms, client_dialled);
	client_await(c, 0);
	pump_destroy(c->pump); /* a connection that is still open knows `talk` */
	c->pump = NULL;
	c->talk = NULL;
	return err;
}

void client_end(struct client *c, int err)
{
	if (err)
		client_stop(c, err);
	else
		pump_end(c->pump, c->id, 0, false);
}

/* A datagram could be an order to whoever is there: the kernel is asked instead. */
static bool client_is_listened_on(const struct address *a, bool udp)
{
	struct sockaddr_storage ss;
	struct holder holder;
	socklen_t len = endpoint_to_sockaddr(a, &ss);
	bool listens;
	int fd;

	if (udp)
		return holder_find("/proc", a, a->port, true, &holder) == 0 &&
		       address_equal_ip(&holder.local, a);
	fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	listens = connect(fd, (struct sockaddr *)&ss, len) == 0;
	close(fd);
	return listens;
}

/* Whether loopback listens on the port that was refused on another address of this machine. */
static bool client_loopback_listens(const struct client *c)
{
	static const uint8_t loopback_v4[4] = {127, 0, 0, 1};
	struct address asked, a = {0};

	if (address_parse_ip(bytes_of_string(c->to.host), &asked) < 0 || address_is_any(&asked) ||
	    !(address_is_loopback(&asked) || own_has(&asked)))
		return false;
	a.family = asked.family;
	if (a.family == ADDRESS_V4)
		memcpy(a.ip, loopback_v4, sizeof loopback_v4);
	else
		a.ip[15] = 1;
	if (address_equal_ip(&a, &asked)) /* 127.0.0.2 is loopback too */
		return false;
	a.port = c->to.port;
	return client_is_listened_on(&a, c->call->common.udp);
}

static bool client_has_source(const struct client *c)
{
	return c->source.family != ADDRESS_NONE && !address_is_any(&c->source);
}

/* No address of the peer's family: here, or in --source. */
static int client_say_no_family(const struct client *c)
{
	char text[sizeof c->where + 128];
	const struct command_common *common = &c->call->common;

	if (client_has_source(c)) {
		snprintf(text, sizeof text, _("%s is of another family than the address you chose"),
			 c->where);
		return say_told(c->where, ERR_NO_FAMILY, text,
				_("an IPv4 address for an IPv4 peer, an IPv6 address for an IPv6 "
				  "one"));
	}
	return say_no_family(SAY_CONNECT, c->where,
			     (common->v4 || common->v6) && !address_is_literal(c->to.host));
}

/* Before the peer was reached, and of causes that are our own command line's. */
static const char *client_own_advice(const struct client *c, int err)
{
	if (c->connected || err != ERR_PERMISSION)
		return NULL;
	if (c->to.unix_path)
		return _("`ls -l` on the path, to see who may use it");
	if (c->source.port && c->source.port < CLIENT_PORT_FREE)
		return _("a port from 1024 up behind --source, or as root");
	return NULL;
}

/* What was attempted when it ended with `err`. */
static enum say_attempt client_attempt(const struct client *c, int err)
{
	if (c->securing)
		return SAY_SECURE;
	if (!c->connected)
		return SAY_CONNECT;
	if (err == ERR_TIMEOUT && !c->heard)
		return c->call->common.udp ? SAY_ASK : SAY_HEAR;
	if (err == ERR_LEFT && c->call->common.udp) /* a datagram has no stream to end */
		return SAY_ASK;
	return SAY_TALK;
}

int client_say(struct client *c, int err)
{
	char advice[256];
	bool of_name = err == ERR_NO_NAME || err == ERR_NAME_SERVER || err == ERR_NO_ADDRESS;

	if (!err)
		return 0;
	if (err == ERR_NO_ADDRESS && client_has_source(c))
		return client_say_no_family(c);
	if (of_name)
		return say_error(SAY_RESOLVE, c->to.host, err);
	if (err == ERR_REFUSED && (!c->connected || c->call->common.udp) &&
	    client_loopback_listens(c)) {
		snprintf(advice, sizeof advice,
			 _("localhost:%u: it listens there, on loopback only; a server is reached "
			   "from elsewhere when it listens on any:%u"),
			 c->to.port, c->to.port);
		return say_error_try(c->connected ? SAY_TALK : SAY_CONNECT, c->where, err, advice);
	}
	if (err == ERR_NO_FAMILY && !c->connected)
		return client_say_no_family(c);
	if (client_own_advice(c, err))
		return say_error_try(SAY_CONNECT, c->where, err, client_own_advice(c, err));
	return trust_say(&c->trust, client_attempt(c, err), c->where, err);
}
