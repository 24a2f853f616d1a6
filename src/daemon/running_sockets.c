/* The sockets of a service: those that stand already (systemd's, or the service's before a reload),
 * and new ones, one a worker, so that the kernel spreads connections (SO_REUSEPORT, socket(7)). */
#include "daemon/running_parts.h"

#include "base/err.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RUNNING_CHOICES_MOST = 16 };

void running_close_sockets(struct running *r, unsigned from)
{
	while (r->sockets > from)
		close(r->socket[--r->sockets].fd);
}

static bool running_wants_udp(const struct running *r)
{
	return running_row(r)->transports & (SERVICE_UDP | SERVICE_UDP_ASKED) &&
	       r->configuration.common.udp && !r->configuration.common.tls;
}

/* Takes the socket over, or fails with ERR_FULL and leaves it to the caller. */
static int running_keep(struct running *r, const struct running_socket *socket)
{
	if (r->sockets == RUNNING_SOCKETS_MOST)
		return ERR_FULL;
	r->socket[r->sockets++] = *socket;
	return 0;
}

/* A socket that stands already for this address and worker. */
static bool running_take_given(struct running *r, const struct listener_bind *bind, unsigned worker)
{
	for (unsigned i = 0; i < r->plan.given_count; i++) {
		struct running_socket *s = &r->plan.given[i];

		if (s->fd < 0 || s->datagram != bind->datagram ||
		    (!s->shared && s->worker != worker))
			continue;
		if (bind->unix_path ? strcmp(s->unix_path, bind->unix_path) != 0
				    : !address_equal(&s->address, &bind->address))
			continue;
		if (running_keep(r, s) < 0)
			return false;
		r->socket[r->sockets - 1].inherited = true;
		s->fd = -1;
		return true;
	}
	return false;
}

static uint64_t running_inode(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

void running_remove_paths(const struct running *r, bool own,
			  bool (*kept)(const void *owner, const char *path), const void *owner)
{
	for (unsigned i = 0; i < r->sockets; i++) {
		const struct running_socket *s = &r->socket[i];

		if (s->inode && !(own && s->inherited) && !(kept && kept(owner, s->unix_path)) &&
		    running_inode(s->unix_path) == s->inode)
			unlink(s->unix_path);
	}
}

/* The sockets of one address: one for a homed service or a unix path, else one a worker. */
static int running_bind(struct running *r, struct listener_bind *bind)
{
	bool one = bind->unix_path || running_row(r)->place == SERVICE_HOMED ||
		   r->plan.worker_count == 1;

	bind->spread = !bind->unix_path;
	/* What is ours already may be widened or moved by a reload, beside the old sockets. */
	bind->first = !bind->unix_path &&
		      !(r->plan.is_ours &&
			r->plan.is_ours(r->plan.ours, &bind->address, bind->datagram));
	bind->backlog = r->configuration.common.backlog > INT32_MAX
				? INT32_MAX
				: (int)r->configuration.common.backlog;
	for (unsigned w = 0; w < (one ? 1 : r->plan.worker_count); w++) {
		struct running_socket socket = {
			.datagram = bind->datagram, .worker = w, .shared = false};
		int err;

		if (running_take_given(r, bind, w)) {
			bind->first = false;
			continue;
		}
		socket.fd = listener_open(bind, &socket.address);
		if (socket.fd < 0)
			return socket.fd;
		bind->first = false;
		if (bind->unix_path) {
			snprintf(socket.unix_path, sizeof socket.unix_path, "%s", bind->unix_path);
			socket.inode = running_inode(socket.unix_path);
		}
		bind->address.port = socket.address.port;
		err = running_keep(r, &socket);
		if (err) {
			close(socket.fd);
			return err;
		}
	}
	return 0;
}

static int running_try_address(struct running *r, const struct address *address,
			       const char *unix_path, struct running_trouble *trouble)
{
	struct listener_bind bind = {.unix_path = unix_path};
	int err = 0;

	if (address)
		bind.address = *address;
	if (running_row(r)->transports & SERVICE_TCP)
		err = running_bind(r, &bind);
	if (!err && !unix_path && running_wants_udp(r)) {
		bind.datagram = true;
		err = running_bind(r, &bind);
	}
	if (err) {
		trouble->datagram = bind.datagram;
		trouble->address = bind.address;
	}
	return err;
}

/* The kernel chooses a port (0) that is free for TCP: where somebody has it for UDP, it chooses
 * again. What it chose before stays bound meanwhile, for it prefers a few ports of its range and
 * would come back to them. */
static int running_open_address(struct running *r, const struct address *address,
				const char *unix_path, struct running_trouble *trouble)
{
	bool chosen = address && address->port == 0;
	unsigned before = r->sockets, passed = 0;
	int passed_fd[RUNNING_CHOICES_MOST];
	int err = running_try_address(r, address, unix_path, trouble);

	while (chosen && err == ERR_IN_USE && r->sockets > before &&
	       passed < RUNNING_CHOICES_MOST) {
		running_close_sockets(r, before + 1);
		passed_fd[passed++] = r->socket[--r->sockets].fd;
		err = running_try_address(r, address, unix_path, trouble);
	}
	while (passed)
		close(passed_fd[--passed]);
	return err;
}

/* The kernel chose a port for IPv4: IPv6 has the same one, unless somebody holds it there. */
static int running_open_v6(struct running *r, struct address *v6, uint16_t chosen,
			   struct running_trouble *trouble)
{
	unsigned before = r->sockets;
	int err;

	if (chosen)
		v6->port = chosen;
	err = running_open_address(r, v6, NULL, trouble);
	if (err != ERR_IN_USE || !chosen)
		return err;
	running_close_sockets(r, before);
	v6->port = 0;
	return running_open_address(r, v6, NULL, trouble);
}

/* Loopback or everywhere: both families, of which one may be missing on this machine. */
static int running_open_both(struct running *r, const struct endpoint *e,
			     struct running_trouble *trouble)
{
	struct address v4 = {.family = ADDRESS_V4, .port = e->port};
	struct address v6 = {.family = ADDRESS_V6, .port = e->port};
	unsigned before = r->sockets;
	uint16_t chosen = 0;
	int err4, err6;

	if (e->loopback) {
		memcpy(v4.ip, (const uint8_t[]){127, 0, 0, 1}, 4);
		v6.ip[15] = 1;
	}
	if (r->configuration.families == NAME_V6_ONLY)
		return running_open_address(r, &v6, NULL, trouble);
	err4 = running_open_address(r, &v4, NULL, trouble);
	if (r->configuration.families == NAME_V4_ONLY ||
	    (err4 && err4 != ERR_FAMILY_OFF && err4 != ERR_NOT_LOCAL))
		return err4;
	if (e->port == 0 && r->sockets > before)
		chosen = r->socket[before].address.port;
	err6 = running_open_v6(r, &v6, chosen, trouble);
	if (err6 == ERR_FAMILY_OFF || err6 == ERR_NOT_LOCAL)
		return err4;
	return err6;
}

/* A name's addresses, of which a machine may lack some, as `localhost` with IPv6 off. */
static int running_open_host(struct running *r, const struct endpoint *e,
			     const struct name_answer *answer, struct running_trouble *trouble)
{
	struct text host = TEXT_OVER(r->host);
	struct address literal;
	unsigned before = r->sockets;
	int err = 0, missing = 0;

	if (answer->err)
		return answer->err;
	if (address_parse_ip(bytes_of_string(e->host), &literal) != 0)
		endpoint_put(&host, e);
	for (unsigned i = 0; i < answer->count && !err; i++) {
		err = running_open_address(r, &answer->address[i], NULL, trouble);
		if (err == ERR_FAMILY_OFF || err == ERR_NOT_LOCAL) {
			missing = err;
			err = 0;
		}
	}
	return err || r->sockets > before ? err : missing;
}

static int running_open_endpoint(struct running *r, unsigned index, struct running_trouble *trouble)
{
	const struct endpoint *e = &r->configuration.endpoint[index];
	struct text where = TEXT_OVER(trouble->where);
	bool both = e->loopback || e->any;

	endpoint_put(&where, e);
	trouble->port = e->port;
	if (e->unix_path)
		return running_open_address(r, NULL, e->host, trouble);
	return both ? running_open_both(r, e, trouble)
		    : running_open_host(r, e, &r->configuration.names[index], trouble);
}

/* Sockets from systemd replace all addresses of the service. */
static bool running_take_shared(struct running *r)
{
	bool taken = false;

	for (unsigned i = 0; i < r->plan.given_count; i++)
		if (r->plan.given[i].fd >= 0 && r->plan.given[i].shared &&
		    running_keep(r, &r->plan.given[i]) == 0) {
			r->plan.given[i].fd = -1;
			taken = true;
		}
	return taken;
}

int running_open_sockets(struct running *r, struct running_trouble *trouble)
{
	int err = 0;

	if (running_take_shared(r))
		return 0;
	for (unsigned i = 0; i < r->configuration.endpoints && !err; i++)
		err = running_open_endpoint(r, i, trouble);
	return err;
}
