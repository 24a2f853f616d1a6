/* `listen -u`: datagrams from every sender to stdout, and stdin to the last sender (with -k to
 * all).
 *
 * Limits: 1024 senders are told apart; of more, the one silent for longest is forgotten. A datagram
 * that the kernel has no room for waits when it is for one sender, and is left out when it is for
 * many. */
#include "command/listen.h"

#include "command/say.h"
#include "command/standard.h"
#include "command/wire.h"
#include "net/pktinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { UDP_SENDERS_MOST = 1024, UDP_BATCH = 64, UDP_RECEIVE_BYTES = 65536 };

struct udp_port {
	struct udp *udp;
	int fd;
	struct address bound;
	int64_t registration; /* 0: not watched */
	unsigned interest;
};

struct udp_sender {
	struct report report;
	struct udp_port *port;
	size_t control_len; /* 0: the port has one address only */
	_Alignas(struct cmsghdr) uint8_t control[PKTINFO_BYTES]; /* which of ours it asked */
	uint64_t heard; /* the count of datagrams when it last sent one */
	uint64_t in_bytes, out_bytes;
};

struct udp {
	struct listening *listening;
	struct udp_port port[LISTEN_SOCKETS_MOST];
	unsigned senders;
	struct udp_sender sender[UDP_SENDERS_MOST];
	struct udp_sender *last; /* NULL: nobody yet */
	uint64_t datagrams;
	struct wheel_timer silence; /* -t */
	struct bytes
		pending; /* of the inlet's buffer: waits until the last sender's port takes it */
	struct inlet in;
	struct outlet out;
	uint8_t received[UDP_RECEIVE_BYTES];
};

static void udp_ready(void *owner, unsigned events);

static void udp_watch(struct udp *u, struct udp_port *p)
{
	struct loop *loop = u->listening->loop;
	unsigned interest = outlet_is_busy(&u->out) ? 0 : LOOP_READ;

	if (u->pending.len && u->last->port == p)
		interest |= LOOP_WRITE;
	if (interest == p->interest)
		return;
	if (p->registration)
		loop_remove(loop, p->registration);
	p->registration = interest ? loop_add(loop, p->fd, interest, udp_ready, p) : 0;
	p->interest = interest;
}

static void udp_settle(struct udp *u)
{
	for (unsigned i = 0; i < u->listening->count; i++)
		udp_watch(u, &u->port[i]);
	inlet_want(&u->in, u->last && !u->pending.len);
	if (u->listening->call->common.json && !say_flush())
		listen_stop(u->listening, 0);
}

static void udp_forget(struct udp *u, const struct udp_sender *s)
{
	report_close(&s->report, 0, s->in_bytes, s->out_bytes,
		     loop_now(u->listening->loop)->boot_ns);
}

/* A place for one who was not heard of before. Not that of one for whom something waits. */
static struct udp_sender *udp_place(struct udp *u)
{
	struct udp_sender *oldest = NULL;

	if (u->senders < UDP_SENDERS_MOST)
		return &u->sender[u->senders++];
	for (unsigned i = 0; i < u->senders; i++)
		if (!(u->pending.len && u->last == &u->sender[i]) &&
		    (!oldest || u->sender[i].heard < oldest->heard))
			oldest = &u->sender[i];
	udp_forget(u, oldest);
	return oldest;
}

static struct udp_sender *udp_find(struct udp *u, struct udp_port *port,
				   const struct address *remote, const struct address *local)
{
	struct udp_sender *s;

	for (unsigned i = 0; i < u->senders; i++)
		if (u->sender[i].port == port && address_equal(&u->sender[i].report.remote, remote))
			return &u->sender[i];
	s = udp_place(u);
	*s = (struct udp_sender){.port = port, .report = listen_came(u->listening, remote, local)};
	report_open(&s->report);
	return s;
}

static void udp_received(struct udp *u, struct udp_sender *s, struct bytes b)
{
	const struct command_common *common = &u->listening->call->common;
	const struct address *remote = &s->report.remote;
	char who[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(who);

	s->heard = ++u->datagrams;
	s->in_bytes += b.len;
	address_put(&t, remote);
	if (common->verbose)
		wire_bytes(NULL, remote, false, b);
	if (common->json) {
		report_data(&s->report, b);
	} else {
		if (s != u->last)
			say_note(_("from %s:"), who);
		outlet_put(&u->out, b);
	}
	if (!u->pending.len)
		u->last = s;
	if (common->timeout_ms)
		loop_arm(u->listening->loop, &u->silence,
			 loop_now(u->listening->loop)->boot_ns + common->timeout_ms * MOMENT_MS);
}

/* False when there is none, or only ICMP's word on one that we sent. */
static bool udp_receive_one(struct udp *u, struct udp_port *p)
{
	struct sockaddr_storage ss;
	_Alignas(struct cmsghdr) uint8_t control[PKTINFO_BYTES];
	struct iovec iov = {u->received, sizeof u->received};
	struct msghdr message = {.msg_name = &ss,
				 .msg_namelen = sizeof ss,
				 .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	struct address remote, local = p->bound;
	struct udp_sender *s;
	ssize_t n = recvmsg(p->fd, &message, MSG_DONTWAIT);

	if (n < 0)
		return false;
	endpoint_from_sockaddr((struct sockaddr *)&ss, message.msg_namelen, &remote);
	pktinfo_turn_round(&message, &local);
	s = udp_find(u, p, &remote, &local);
	s->control_len = message.msg_controllen;
	memcpy(s->control, control, s->control_len);
	udp_received(u, s, bytes_of(u->received, (size_t)n));
	return true;
}

static void udp_receive(struct udp *u, struct udp_port *p)
{
	for (unsigned i = 0; i < UDP_BATCH && !outlet_is_busy(&u->out) && !u->out.broken; i++)
		if (!udp_receive_one(u, p))
			return;
}

/* False when there is no room for it now. */
static bool udp_send(struct udp *u, struct udp_sender *s, struct bytes b)
{
	struct sockaddr_storage ss;
	struct iovec iov = {(void *)(uintptr_t)b.data, b.len};
	struct msghdr message = {.msg_name = &ss,
				 .msg_namelen = endpoint_to_sockaddr(&s->report.remote, &ss),
				 .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = s->control_len ? (void *)(uintptr_t)s->control
							       : NULL,
				 .msg_controllen = s->control_len};
	ssize_t n = sendmsg(s->port->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
		return false;
	if (n >= 0)
		s->out_bytes += b.len;
	if (n >= 0 && u->listening->call->common.verbose)
		wire_bytes(NULL, &s->report.remote, true, b);
	return true;
}

static void udp_ready(void *owner, unsigned events)
{
	struct udp_port *p = owner;
	struct udp *u = p->udp;

	if (events & LOOP_WRITE && u->pending.len && udp_send(u, u->last, u->pending))
		u->pending = bytes_of(NULL, 0);
	if (events & (LOOP_READ | LOOP_HANGUP))
		udp_receive(u, p);
	udp_settle(u);
}

static void udp_input(void *owner, struct bytes b)
{
	struct udp *u = owner;

	if (u->listening->given->keep) {
		for (unsigned i = 0; i < u->senders; i++)
			udp_send(u, &u->sender[i], b);
	} else if (!udp_send(u, u->last, b)) {
		u->pending = b;
	}
	udp_settle(u);
}

static void udp_input_end(void *owner, int err)
{
	if (err)
		say_input(err);
}

static void udp_drained(void *owner)
{
	udp_settle(owner);
}

static void udp_output_failed(void *owner, int err)
{
	struct udp *u = owner;

	listen_stop(u->listening, session_say_output(err));
}

static void udp_fell_silent(struct wheel_timer *timer, void *context)
{
	struct udp *u = (struct udp *)((char *)timer - offsetof(struct udp, silence));

	listen_stop(u->listening, 0);
}

int listen_udp(struct listening *l)
{
	struct udp *u = calloc(1, sizeof *u);

	if (!u)
		return say_error(SAY_RUN, l->call->command->name, ERR_MEMORY);
	u->listening = l;
	u->silence.due = udp_fell_silent;
	u->in.data = udp_input;
	u->in.end = udp_input_end;
	u->out.drained = udp_drained;
	u->out.failed = udp_output_failed;
	u->in.owner = u->out.owner = u;
	inlet_begin(&u->in, l->loop);
	outlet_begin(&u->out, l->loop);
	for (unsigned i = 0; i < l->count; i++) {
		u->port[i] = (struct udp_port){.udp = u, .fd = l->fd[i], .bound = l->bound[i]};
		if (address_is_any(&l->bound[i]))
			pktinfo_ask(l->fd[i], l->bound[i].family);
	}
	udp_settle(u);
	loop_run_until(l->loop, &l->woken);
	for (unsigned i = 0; i < u->senders; i++)
		udp_forget(u, &u->sender[i]);
	for (unsigned i = 0; i < l->count; i++)
		loop_remove(l->loop, u->port[i].registration);
	inlet_close(&u->in);
	outlet_close(&u->out);
	loop_disarm(l->loop, &u->silence);
	free(u);
	return l->code;
}
