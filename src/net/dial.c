/* Dial: carries out what proto/happy.c decides.
 *
 *   name_ask ──addresses──► interleave ──► attempt, attempt ... 250 ms apart
 *                                            └─ connected: the others are closed, done
 *                                            └─ failed: the next at once; none left: done
 *
 * One timer serves the next attempt and the deadline of the whole. Limits: NAME_MOST attempts.
 * Sources: RFC 8305; connect(2), ip(7) on IP_RECVERR, unix(7). */
#include "net/dial.h"

#include "net/own.h"
#include "proto/happy.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert((int)NAME_MOST <= (int)HAPPY_MOST, "every address can be tried");

enum { DIAL_TIMEOUT_MS = 120000, DIAL_RETRY_MS = 20 };

/* What connecting came to besides 0 (connected) and ERR_. */
enum { DIAL_WAITING = 1, DIAL_AGAIN = 2 };

struct dial_try {
	struct dial *dial;
	int fd;               /* -1: none, or no longer ours */
	int64_t registration; /* 0: not watched */
	uint64_t started_ns;
};

struct dial {
	struct wheel_timer timer; /* first, so that the timer is the dial */
	struct loop *loop;
	struct dial_plan plan;
	void (*done)(void *owner, const struct dial_result *result);
	void *owner;
	struct name_request *naming; /* NULL when the name is known */
	uint64_t begun_ns, deadline_ns;
	uint64_t again_ns; /* when to repeat a connect to a full unix listener; 0: none */
	struct address to[NAME_MOST];
	struct happy happy;
	struct dial_try attempt[NAME_MOST];
	char canonical[NAME_BYTES];
	struct dial_result result;
};

static uint64_t now_ns(const struct dial *d)
{
	return loop_now(d->loop)->boot_ns;
}

/* None of this machine's addresses leads to `to`. */
static int err_of_no_way(const struct address *to)
{
	return own_has_family(to->family) ? ERR_NO_ROUTE : ERR_NO_FAMILY;
}

/* What connect(2) meant by `errnum`. EADDRNOTAVAIL without a source of our own is either a family
 * that is switched off or no port left. */
static int err_of_connect(const struct address *to, int errnum)
{
	bool is_ip = to->family != ADDRESS_UNIX;

	switch (errnum) {
	case EACCES:
	case EPERM:
		return is_ip ? ERR_PROHIBITED : ERR_PERMISSION;
	case ENETUNREACH:
		return own_could_speak_to(to) ? ERR_UNREACHABLE : err_of_no_way(to);
	case EADDRNOTAVAIL:
		return own_could_speak_to(to) ? ERR_IN_USE : err_of_no_way(to);
	case EINVAL: /* a blackhole route, a link-local address without its interface */
	case ENOPROTOOPT:
		return is_ip ? ERR_UNREACHABLE : ERR_SYSTEM;
	default:
		return err_from_errno(errnum);
	}
}

/* Whether the ICMP message that ended this attempt said that a firewall or a router's policy
 * forbids the way. In IPv6 errno says so (EACCES); in IPv4 it is EHOSTUNREACH or ENETUNREACH like
 * any other. */
static bool was_prohibited(int fd)
{
	char control[512];
	struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};

	if (recvmsg(fd, &message, MSG_ERRQUEUE) < 0)
		return false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c != NULL; c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err e;

		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_RECVERR)
			continue;
		memcpy(&e, CMSG_DATA(c), sizeof(e));
		return e.ee_origin == SO_EE_ORIGIN_ICMP && e.ee_type == ICMP_DEST_UNREACH &&
		       (e.ee_code == ICMP_NET_ANO || e.ee_code == ICMP_HOST_ANO ||
			e.ee_code == ICMP_PKT_FILTERED);
	}
	return false;
}

static void set_flag(int fd, int level, int option, int on)
{
	(void)setsockopt(fd, level, option, &on, sizeof(on));
}

static socklen_t fill_unix(const char *path, struct sockaddr_storage *ss)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ss;
	struct text t = TEXT_OVER(un->sun_path);

	un->sun_family = AF_UNIX;
	text_put_string(&t, path);
	return sizeof(*un);
}

/* Binds to the plan's source. A datagram socket of the unix family binds to a name of the kernel's
 * choice, so that it can be answered. 0 or ERR_. */
static int bind_source(const struct dial_plan *plan, int fd, const struct address *to)
{
	struct address source = plan->source;
	struct sockaddr_storage ss;
	socklen_t len;

	if (to->family == ADDRESS_UNIX)
		source.family = plan->udp ? ADDRESS_UNIX : ADDRESS_NONE;
	if (source.family == ADDRESS_NONE)
		return 0;
	if (address_is_any(&source))
		source.family = to->family;
	if (source.port == 0)
		set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	else
		set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	len = endpoint_to_sockaddr(&source, &ss);
	return bind(fd, (struct sockaddr *)&ss, len) == 0 ? 0 : err_from_errno(errno);
}

static int domain_of(const struct address *a)
{
	switch (a->family) {
	case ADDRESS_V4:
		return AF_INET;
	case ADDRESS_V6:
		return AF_INET6;
	default:
		return AF_UNIX;
	}
}

/* An unconnected socket for `to`, or ERR_. */
static int open_socket(const struct dial_plan *plan, const struct address *to)
{
	int domain = domain_of(to);
	int type = plan->udp ? SOCK_DGRAM : SOCK_STREAM;
	int fd = socket(domain, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (fd < 0)
		return err_from_errno(errno);
	err = bind_source(plan, fd, to);
	if (err != 0) {
		close(fd);
		return err;
	}
	if (domain != AF_UNIX && !plan->udp)
		set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	return fd;
}

/* 0: connected; DIAL_WAITING; DIAL_AGAIN: a unix listener whose queue is full; or ERR_. */
static int connect_socket(const struct dial_plan *plan, int fd, const struct address *to)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(to, &ss);

	if (to->family == ADDRESS_UNIX)
		len = fill_unix(plan->to.host, &ss);
	if (connect(fd, (struct sockaddr *)&ss, len) == 0)
		return 0;
	if (errno == EINPROGRESS)
		return DIAL_WAITING;
	if (errno == EAGAIN && to->family == ADDRESS_UNIX)
		return DIAL_AGAIN;
	return err_of_connect(to, errno);
}

static void close_attempt(struct dial_try *attempt)
{
	if (attempt->registration > 0)
		loop_remove(attempt->dial->loop, attempt->registration);
	attempt->registration = 0;
	if (attempt->fd >= 0)
		close(attempt->fd);
	attempt->fd = -1;
}

static unsigned index_of(const struct dial_try *attempt)
{
	return (unsigned)(attempt - attempt->dial->attempt);
}

/* A port of the kernel's choice for our end may be the very port that we call: nobody listens
 * there, and TCP's simultaneous open connects the socket to itself. */
static bool is_connected_to_itself(const struct dial_result *r)
{
	return r->remote.family != ADDRESS_UNIX && r->remote.port != 0 &&
	       address_equal(&r->remote, &r->local);
}

static void take_name_of_ours(int fd, struct address *local)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) == 0)
		endpoint_from_sockaddr((struct sockaddr *)&ss, len, local);
}

static void take_names_of_ends(struct dial *d, int fd, const struct address *to)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	d->result.remote = *to;
	if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0)
		endpoint_from_sockaddr((struct sockaddr *)&ss, len, &d->result.remote);
	take_name_of_ours(fd, &d->result.local);
}

/* An attempt came to its end: connected (0) or ERR_. */
static void settle(struct dial_try *attempt, int err)
{
	struct dial *d = attempt->dial;
	unsigned i = index_of(attempt);

	if (err == 0) {
		take_names_of_ends(d, attempt->fd, &d->to[i]);
		if (!d->plan.udp && is_connected_to_itself(&d->result))
			err = ERR_REFUSED;
	}
	d->result.attempt[i].err = err;
	d->result.attempt[i].took_ns = now_ns(d) - attempt->started_ns;
	if (err != 0) {
		close_attempt(attempt);
		happy_fail(&d->happy, i, err, now_ns(d));
		return;
	}
	happy_win(&d->happy, i);
	if (attempt->registration > 0)
		loop_remove(d->loop, attempt->registration);
	attempt->registration = 0;
	d->result.fd = attempt->fd;
	attempt->fd = -1;
}

/* Decided: closes what still runs, tells the owner, and is gone. */
static void finish(struct dial *d, int err)
{
	struct dial_result *r = &d->result;

	loop_disarm(d->loop, &d->timer);
	r->err = err;
	r->attempts = d->happy.started;
	r->rest = d->to + r->attempts;
	r->rest_count = d->happy.count - r->attempts;
	r->canonical = d->canonical[0] != '\0' ? d->canonical : NULL;
	for (unsigned i = 0; i < r->attempts; i++) {
		if (d->attempt[i].fd < 0)
			continue;
		close_attempt(&d->attempt[i]);
		r->attempt[i].err = ERR_TIMEOUT;
		r->attempt[i].took_ns = now_ns(d) - d->attempt[i].started_ns;
	}
	d->done(d->owner, r);
	free(d);
}

/* What ICMP said of an earlier SYN stays in the error queue though a later one was answered, and
 * would keep the connection in error for good. Switching the queue off empties it. */
static void forget_icmp(int fd)
{
	set_flag(fd, IPPROTO_IP, IP_RECVERR, 0);
	set_flag(fd, IPPROTO_IPV6, IPV6_RECVERR, 0);
}

static void step(struct dial *d);

static void on_ready(void *owner, unsigned events)
{
	struct dial_try *attempt = owner;
	struct dial *d = attempt->dial;
	const struct address *to = &d->to[index_of(attempt)];
	int errnum = 0, err;
	socklen_t len = sizeof(errnum);

	if (getsockopt(attempt->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) != 0)
		errnum = errno;
	if (errnum == 0 && (events & LOOP_HANGUP))
		forget_icmp(attempt->fd);
	err = errnum == 0 ? 0 : err_of_connect(to, errnum);
	if (err == ERR_UNREACHABLE && to->family == ADDRESS_V4 && was_prohibited(attempt->fd))
		err = ERR_PROHIBITED;
	settle(attempt, err);
	step(d);
}

/* Connects, or connects again. */
static void go_on(struct dial_try *attempt)
{
	struct dial *d = attempt->dial;
	int came = connect_socket(&d->plan, attempt->fd, &d->to[index_of(attempt)]);

	d->again_ns = came == DIAL_AGAIN ? now_ns(d) + DIAL_RETRY_MS * MOMENT_MS : 0;
	if (came <= 0)
		settle(attempt, came);
	if (came != DIAL_WAITING)
		return;
	attempt->registration = loop_add(d->loop, attempt->fd, LOOP_WRITE, on_ready, attempt);
	if (attempt->registration < 0)
		settle(attempt, (int)attempt->registration);
}

static void start(struct dial *d, unsigned i)
{
	struct dial_try *attempt = &d->attempt[i];

	*attempt = (struct dial_try){.dial = d, .started_ns = now_ns(d)};
	d->result.attempt[i].to = d->to[i];
	attempt->fd = open_socket(&d->plan, &d->to[i]);
	if (attempt->fd < 0)
		settle(attempt, attempt->fd);
	else
		go_on(attempt);
}

static void arm(struct dial *d)
{
	uint64_t due = happy_due(&d->happy);

	if (d->again_ns != 0 && d->again_ns < due)
		due = d->again_ns;
	loop_arm(d->loop, &d->timer, due < d->deadline_ns ? due : d->deadline_ns);
}

/* Starts what is due, and sees whether it is decided; `d` may be gone afterwards. */
static void step(struct dial *d)
{
	int i;

	while ((i = happy_next(&d->happy, now_ns(d))) != HAPPY_NONE)
		start(d, (unsigned)i);
	if (happy_over(&d->happy))
		finish(d, happy_error(&d->happy));
	else
		arm(d);
}

static void on_timer(struct wheel_timer *timer, void *context)
{
	struct dial *d = (struct dial *)timer;

	if (d->naming != NULL) {
		name_cancel(d->naming);
		d->result.name_ns = now_ns(d) - d->begun_ns;
		finish(d, ERR_NAME_SERVER);
		return;
	}
	if (now_ns(d) >= d->deadline_ns)
		happy_give_up(&d->happy);
	else if (d->again_ns != 0 && now_ns(d) >= d->again_ns)
		go_on(&d->attempt[0]);
	step(d);
}

void dial_expire(struct dial *d)
{
	d->deadline_ns = now_ns(d);
	on_timer(&d->timer, NULL);
}

static bool suits_source(const struct address *source, const struct address *to)
{
	return source->family == ADDRESS_NONE || source->family == to->family ||
	       address_is_any(source);
}

static void on_name(void *owner, const struct name_answer *answer)
{
	struct dial *d = owner;
	struct text canonical = TEXT_OVER(d->canonical);
	unsigned count = 0;

	d->naming = NULL;
	d->result.name_ns = now_ns(d) - d->begun_ns;
	if (answer->err != 0) {
		finish(d, answer->err);
		return;
	}
	if (strcasecmp(answer->canonical, d->plan.to.host) != 0)
		text_put_string(&canonical, answer->canonical);
	for (unsigned i = 0; i < answer->count; i++)
		if (suits_source(&d->plan.source, &answer->address[i]))
			d->to[count++] = answer->address[i];
	happy_interleave(d->to, count);
	happy_begin(&d->happy, count, now_ns(d));
	step(d);
}

static int ask_name(struct dial *d, struct work *work)
{
	struct name_query query = {
		.port = d->plan.to.port, .families = d->plan.families, .canonical = true};
	struct text host = TEXT_OVER(query.host);

	text_put_string(&host, d->plan.to.host);
	return name_ask(work, d->loop, &query, on_name, d, &d->naming);
}

int dial_start(struct loop *loop, struct work *work, const struct dial_plan *plan,
	       void (*done)(void *owner, const struct dial_result *result), void *owner,
	       struct dial **dial)
{
	struct dial *d = calloc(1, sizeof(*d));
	uint64_t timeout_ms = plan->timeout_ms != 0 ? plan->timeout_ms : DIAL_TIMEOUT_MS;
	int err = 0;

	if (d == NULL)
		return ERR_MEMORY;
	*d = (struct dial){.loop = loop, .plan = *plan, .done = done, .owner = owner};
	d->timer.due = on_timer;
	d->result.fd = -1;
	loop_refresh(loop);
	d->begun_ns = now_ns(d);
	d->deadline_ns = d->begun_ns + timeout_ms * MOMENT_MS;
	if (plan->to.unix_path) {
		d->to[0].family = ADDRESS_UNIX;
		happy_begin(&d->happy, 1, d->begun_ns);
	} else {
		err = ask_name(d, work);
	}
	if (err != 0) {
		free(d);
		return err;
	}
	loop_arm(loop, &d->timer, plan->to.unix_path ? d->begun_ns : d->deadline_ns);
	*dial = d;
	return 0;
}

int dial_datagram(const struct dial_plan *plan, const struct address *to, struct address *local)
{
	int fd = open_socket(plan, to), err;

	if (fd < 0)
		return fd;
	err = connect_socket(plan, fd, to);
	if (err != 0) {
		close(fd);
		return err;
	}
	take_name_of_ours(fd, local);
	return fd;
}

void dial_cancel(struct dial *d)
{
	loop_disarm(d->loop, &d->timer);
	if (d->naming != NULL)
		name_cancel(d->naming);
	for (unsigned i = 0; i < d->happy.started; i++)
		close_attempt(&d->attempt[i]);
	free(d);
}
