/* Connections for HTTP.
 *
 *                       proxy and https          2xx
 *   DIALLING ──► fd ──────────────► TUNNELLING ──────► SECURING ──► OPEN ◄─► (idle)
 *                 ├── https ──────────────────────────────┘          ▲
 *                 └── http ──────────────────────────────────────────┘
 *
 * Each link has a pump of its own, for the pump's owner is the link. A pump must not be freed while
 * one of its callbacks runs, so dead links wait for the next dial, or the end. */
#include "command/link.h"

#include "command/wire.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	LINK_DIAL_MS = 10000,
	LINK_CONNECT_BYTES = 2048,
	LINK_IDLE_MOST = 8,
	LINK_NAMES = 8, /* looked up at once: one that hangs delays no other */
};

int links_begin(struct links *links, const struct command_call *call)
{
	int err;

	*links = (struct links){.call = call};
	links->families = call->common.v4 == call->common.v6 ? NAME_BOTH
			  : call->common.v4                  ? NAME_V4_ONLY
							     : NAME_V6_ONLY;
	links->dial_ms = call->common.timeout_ms ? call->common.timeout_ms : LINK_DIAL_MS;
	signal(SIGPIPE, SIG_IGN);
	wire_begin();
	err = loop_create(&links->loop);
	if (!err)
		err = work_create(&links->work, LINK_NAMES);
	if (!err)
		err = pump_common_create(&links->pumps, links->loop, 0);
	if (err)
		links_end(links);
	return err;
}

static void link_free(struct link *link)
{
	if (link->dial)
		dial_cancel(link->dial);
	if (link->tunnel_fd >= 0)
		close(link->tunnel_fd);
	loop_disarm(link->links->loop, &link->timer);
	pump_destroy(link->pump);
	free(link);
}

void links_end(struct links *links)
{
	while (links->first) {
		struct link *link = links->first;

		links->first = link->next;
		link_free(link);
	}
	trust_close(&links->trust);
	pump_common_destroy(links->pumps);
	work_leave(links->work); /* a silent name server is not waited for */
	if (links->loop)
		loop_take_mail(links->loop);
	loop_destroy(links->loop);
	links->pumps = NULL;
	links->work = NULL;
	links->loop = NULL;
}

/* Frees what is dead. Not within a callback of a pump. */
static void links_reap(struct links *links)
{
	struct link **at = &links->first;

	while (*at) {
		struct link *link = *at;

		if (link->state != LINK_DEAD) {
			at = &link->next;
			continue;
		}
		*at = link->next;
		link_free(link);
	}
}

static void link_end_machine(struct link *link)
{
	uint64_t id = link->id;

	link->id = 0;
	if (id)
		pump_end(link->pump, id, 0, true);
}

static void link_fail(struct link *link, enum link_fault fault, int err)
{
	const struct link_calls *calls = link->calls;
	void *owner = link->owner;

	link->owner = NULL;
	link->state = LINK_DEAD;
	link_end_machine(link);
	if (owner)
		calls->failed(owner, fault, err);
}

/* The machine. */

static void link_event(void *owner, struct event *e)
{
}

static void link_wire(void *owner, const struct conn *conn, enum pump_direction direction,
		      struct bytes b)
{
	wire_bytes(NULL, NULL, direction == PUMP_SENT, b);
}

static void link_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	struct link *link = owner;

	if (link->links->call->common.verbose)
		wire_closed(remote, why ? _(err_text(why)) : _("done"));
	if (id != link->id)
		return;
	link->id = 0;
	link_fail(link,
		  link->state == LINK_SECURING     ? LINK_OF_TLS
		  : link->state == LINK_TUNNELLING ? LINK_OF_PROXY
						   : LINK_OF_TALK,
		  why ? why : ERR_LEFT);
}

static void link_tunnel_told(struct link *link, const struct message *message);

static void link_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct link *link = owner;

	if (from != link->id)
		return;
	if (link->state == LINK_TUNNELLING)
		link_tunnel_told(link, message);
	else if (link->owner)
		link->calls->told(link->owner, message);
}

static void link_open(struct link *link)
{
	link->state = LINK_OPEN;
	if (link->owner)
		link->calls->ready(link->owner);
}

static void link_secured(void *owner, const struct conn *conn)
{
	struct link *link = owner;

	link->id = conn_id(conn);
	link->tls_ns = loop_now(link->links->loop)->boot_ns - link->secure_ns;
	link_open(link);
}

/* Its pump speaks TLS in LINK_SECURING, and plainly before. */
static int link_make_pump(struct link *link)
{
	bool verbose = link->links->call->common.verbose;
	struct pump_owner calls = {
		.event = link_event,
		.told = link_told,
		.closed = link_closed,
		.secured = link_secured,
		.wire = verbose ? link_wire : NULL,
	};
	struct pump_plan plan = {
		.machine = &http_client_machine,
		.service = link->links->call->command->name,
		.level = EVENT_INFO,
		.owner_calls = &calls,
		.owner = link,
	};

	if (link->state == LINK_SECURING) {
		plan.tls = link->links->trust.context;
		plan.tls_name = link->to.host;
		plan.limits.handshake_ms = link->links->call->common.timeout_ms;
	}
	return pump_create(&link->pump, link->links->pumps, &plan);
}

/* Starts the machine on `fd`. */
static bool link_attach(struct link *link, int fd)
{
	int64_t id;
	int err = link->pump ? 0 : link_make_pump(link);

	if (err) {
		close(fd);
		link_fail(link, LINK_OF_PEER, err);
		return false;
	}
	id = pump_attach(link->pump, fd, &link->remote, &link->local);
	if (id < 0) {
		link_fail(link, LINK_OF_PEER, (int)id);
		return false;
	}
	link->id = (uint64_t)id;
	return true;
}

static int links_open_trust(struct links *links)
{
	struct client_tls tls = {.foreign = true,
				 .insecure = links->insecure,
				 .pin = links->pin,
				 .alpn = "http/1.1"};

	return links->trust.context ? 0 : trust_open(&links->trust, &tls, "");
}

static void link_secure(struct link *link, int fd)
{
	int err = links_open_trust(link->links);

	link->state = LINK_SECURING;
	link->secure_ns = loop_now(link->links->loop)->boot_ns;
	if (!err) {
		link_attach(link, fd);
		return;
	}
	close(fd);
	link_fail(link, LINK_OF_TLS, err);
}

/* The tunnel. */

static void link_tunnelled(struct wheel_timer *timer, void *context)
{
	struct link *link = (struct link *)((char *)timer - offsetof(struct link, timer));
	int fd = link->tunnel_fd;

	link->tunnel_fd = -1;
	pump_destroy(link->pump);
	link->pump = NULL;
	link_secure(link, fd);
}

static void link_tunnel_told(struct link *link, const struct message *message)
{
	int fd;

	if (message->kind == HTTP_CLIENT_HEAD)
		link->status = (unsigned)message->number[0];
	if (message->kind == HTTP_CLIENT_TUNNEL) {
		fd = pump_detach(link->pump, link->id);
		link->id = 0;
		if (fd < 0) {
			link_fail(link, LINK_OF_PROXY, fd);
			return;
		}
		link->state = LINK_SECURING;
		link->tunnel_fd = fd;
		link->timer.due = link_tunnelled; /* outside of the pump's callback */
		loop_arm(link->links->loop, &link->timer, loop_now(link->links->loop)->boot_ns);
	} else if (message->kind == HTTP_CLIENT_HEAD && link->status / 100 != 2) {
		link_fail(link, LINK_OF_PROXY, ERR_REFUSES);
	}
}

static void link_ask_for_tunnel(struct link *link)
{
	char buffer[LINK_CONNECT_BYTES], target[URL_HOST_BYTES + 16], credentials[1024];
	struct text t = TEXT_OVER(buffer), host = TEXT_OVER(target), basic = TEXT_OVER(credentials);
	struct message message = {.kind = HTTP_CLIENT_REQUEST, .number = {HTTP_CLIENT_CONNECT}};

	url_put_host_port(&host, &link->to);
	http1_put_request(&t, BYTES_LITERAL("CONNECT"), text_bytes(&host), 1);
	http1_put_field(&t, "Host", text_bytes(&host));
	if (link->proxy.user[0]) {
		text_put_string(&basic, "Basic ");
		text_put_base64(&basic, bytes_of_string(link->proxy.user));
		http1_put_field(&t, "Proxy-Authorization", text_bytes(&basic));
	}
	http1_put_field(&t, "User-Agent", bytes_of_string(link->links->agent));
	http1_put_end(&t);
	message.body = text_bytes(&t);
	link->state = LINK_TUNNELLING;
	link_tell(link, &message);
}

/* Dialling. */

static struct link_known *links_known(struct links *links, const char *host)
{
	for (unsigned i = 0; i < LINK_KNOWN; i++)
		if (links->known[i].host[0] && strcmp(links->known[i].host, host) == 0)
			return &links->known[i];
	return NULL;
}

static void links_learn(struct links *links, const char *host, const struct address *address)
{
	struct link_known *known = links_known(links, host);
	struct text t;

	if (!known)
		known = &links->known[links->known_next++ % LINK_KNOWN];
	t = TEXT_OVER(known->host);
	text_put_string(&t, host);
	known->address = *address;
}

/* Another link may have done so before. */
static void links_unlearn(struct links *links, const char *host)
{
	struct link_known *known = links_known(links, host);

	if (known)
		known->host[0] = '\0';
}

static int link_dial(struct link *link);

static void link_dialled(void *owner, const struct dial_result *result)
{
	struct link *link = owner;
	const struct url *peer = link->proxied ? &link->proxy : &link->to;
	int err = result->err;

	link->dial = NULL;
	links_reap(link->links);
	if (err && link->dialled_known) { /* it may have moved */
		links_unlearn(link->links, peer->host);
		err = link_dial(link);
		if (!err)
			return;
	}
	if (err) {
		link_fail(link, LINK_OF_PEER, err);
		return;
	}
	link->remote = result->remote;
	link->local = result->local;
	link->name_ns = result->name_ns;
	link->connect_ns = loop_now(link->links->loop)->boot_ns - link->begun_ns - link->name_ns;
	if (link->links->call->common.verbose)
		wire_connected(&link->local, &link->remote);
	links_learn(link->links, peer->host, &link->remote);
	if (link->secure && !link->proxied) {
		link_secure(link, result->fd);
	} else if (link_attach(link, result->fd)) {
		if (link->secure)
			link_ask_for_tunnel(link);
		else
			link_open(link);
	}
	pump_deliver(link->links->pumps);
}

static int link_dial(struct link *link)
{
	const struct url *peer = link->proxied ? &link->proxy : &link->to;
	const struct link_known *known = links_known(link->links, peer->host);
	struct dial_plan plan = {
		.families = link->links->families,
		.timeout_ms = link->links->dial_ms,
		.to.port = peer->port,
	};
	struct text host = TEXT_OVER(plan.to.host);

	link->dialled_known = known != NULL;
	if (known)
		address_put_ip(&host, &known->address);
	else
		text_put_string(&host, peer->host);
	return dial_start(link->links->loop, link->links->work, &plan, link_dialled, link,
			  &link->dial);
}

/* Who may share a connection. */
static void link_put_key(struct text *t, const struct url *url, const struct url *proxy)
{
	bool shared = proxy && url->scheme == URL_HTTP;

	text_put_string(t, shared ? "any" : url->scheme == URL_HTTPS ? "https://" : "http://");
	if (!shared)
		url_put_host_port(t, url);
	if (proxy) {
		text_put_string(t, " by ");
		url_put_host_port(t, proxy);
	}
}

static struct link *link_make(struct links *links, const struct url *url, const struct url *proxy)
{
	struct link *link = calloc(1, sizeof *link);
	struct text where, key;

	if (!link)
		return NULL;
	link->links = links;
	link->tunnel_fd = -1;
	link->to = *url;
	link->proxied = proxy != NULL;
	if (proxy)
		link->proxy = *proxy;
	link->secure = url->scheme == URL_HTTPS;
	where = TEXT_OVER(link->where);
	url_put_host_port(&where, proxy ? proxy : url);
	key = TEXT_OVER(link->key);
	link_put_key(&key, url, proxy);
	link->begun_ns = loop_now(links->loop)->boot_ns;
	link->next = links->first;
	links->first = link;
	return link;
}

static struct link *links_idle(struct links *links, const char *key)
{
	for (struct link *link = links->first; link; link = link->next)
		if (link->state == LINK_OPEN && !link->owner && strcmp(link->key, key) == 0)
			return link;
	return NULL;
}

/* Of those that wait for another exchange only the newest are kept. */
static void links_forget(struct links *links)
{
	unsigned idle = 0;

	for (struct link *link = links->first; link; link = link->next)
		if (link->state == LINK_OPEN && !link->owner && ++idle > LINK_IDLE_MOST)
			link_drop(link);
}

int link_take(struct links *links, const struct url *url, const struct url *proxy, bool fresh,
	      const struct link_calls *calls, void *owner, struct link **taken)
{
	char key[LINK_KEY_BYTES];
	struct text t = TEXT_OVER(key);
	struct link *link;
	int err;

	link_put_key(&t, url, proxy);
	link = fresh ? NULL : links_idle(links, key);
	*taken = link;
	if (link) {
		link->used = true;
		link->calls = calls;
		link->owner = owner;
		return 0;
	}
	links_forget(links);
	link = link_make(links, url, proxy);
	if (!link)
		return ERR_MEMORY;
	link->calls = calls;
	link->owner = owner;
	err = link_dial(link);
	if (err) {
		link->owner = NULL;
		link->state = LINK_DEAD;
		return err;
	}
	*taken = link;
	return 0;
}

void link_tell(struct link *link, const struct message *message)
{
	pump_tell(link->links->pumps, link->id, message);
	pump_deliver(link->links->pumps);
}

uint64_t link_sent_bytes(const struct link *link)
{
	return pump_received(link->links->pumps, link->id);
}

int link_part(struct link *link)
{
	uint64_t id = link->id;
	int fd;

	link->id = 0; /* its end is not the link's */
	fd = pump_detach(link->pump, id);
	if (fd < 0)
		link->id = id;
	else
		link->state = LINK_APART;
	return fd;
}

bool link_rejoin(struct link *link, int fd)
{
	link->state = LINK_OPEN;
	return link_attach(link, fd);
}

void link_give(struct link *link)
{
	link->owner = NULL;
}

void link_drop(struct link *link)
{
	link->owner = NULL;
	link->state = LINK_DEAD;
	loop_disarm(link->links->loop, &link->timer);
	if (link->dial)
		dial_cancel(link->dial);
	link->dial = NULL;
	link_end_machine(link);
}
