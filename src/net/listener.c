/* Listening sockets. Sources: accept4(2), socket(7), ip(7), ipv6(7), tcp(7).
 *
 * A pause never ends the process and never spins: the socket is taken out of the loop's watch, and
 * comes back by listener_resume (the gate has room) or by a timer (descriptors, memory, the rate).
 * While the gate is full the timer is slow, and there only in case that word of room was lost in a
 * full mailbox. */
#include "net/listener.h"

#include "base/err.h"
#include "net/own.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	LISTENER_BATCH = 64,
	LISTENER_RETRY_MS = 100,
	LISTENER_RATE_MS = 10,
	LISTENER_FULL_MS = 1000,
	LISTENER_TROUBLE_MS = 1000,
};

struct listener {
	struct loop *loop;
	struct listener_plan plan;
	int64_t registration; /* 0 while it is paused */
	struct wheel_timer retry;
	uint64_t trouble_ns; /* when trouble may be told again */
};

static void listener_ready(void *owner, unsigned events);

static int listener_watch(struct listener *l)
{
	unsigned events = LOOP_READ | (l->plan.shared ? LOOP_SHARED : 0);
	int64_t registration = loop_add(l->loop, l->plan.fd, events, listener_ready, l);

	if (registration < 0)
		return (int)registration;
	l->registration = registration;
	return 0;
}

static void listener_pause(struct listener *l, uint64_t retry_ms)
{
	if (l->registration) {
		loop_remove(l->loop, l->registration);
		l->registration = 0;
	}
	if (retry_ms)
		loop_arm(l->loop, &l->retry, loop_now(l->loop)->boot_ns + retry_ms * MOMENT_MS);
}

void listener_resume(struct listener *l)
{
	loop_disarm(l->loop, &l->retry);
	if (!l->registration && listener_watch(l) < 0)
		listener_pause(l, LISTENER_RETRY_MS);
}

static void listener_retry(struct wheel_timer *timer, void *context)
{
	struct listener *l = (struct listener *)((char *)timer - offsetof(struct listener, retry));

	listener_resume(l);
}

static void listener_trouble(struct listener *l, int err, const struct address *remote)
{
	uint64_t now_ns = loop_now(l->loop)->boot_ns;

	if (!l->plan.trouble || now_ns < l->trouble_ns)
		return;
	l->trouble_ns = now_ns + LISTENER_TROUBLE_MS * MOMENT_MS;
	l->plan.trouble(l->plan.owner, err, remote);
}

/* An accept that failed: whether it is worth trying the next one now. */
static bool listener_failed(struct listener *l, int errnum)
{
	switch (errnum) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		listener_trouble(l, err_from_errno(errnum), NULL);
		listener_pause(l, LISTENER_RETRY_MS);
		return false;
	default: /* the one in front is already gone: EINTR, ECONNABORTED, its pending error */
		return true;
	}
}

static void listener_give_back(struct listener *l)
{
	if (gate_leave(l->plan.gate, NULL) && l->plan.freed)
		l->plan.freed(l->plan.owner);
}

static void listener_hand_over(struct listener *l, int fd, const struct sockaddr_storage *ss,
			       socklen_t len)
{
	struct address remote, local = l->plan.bound;
	struct sockaddr_storage own;
	socklen_t own_len = sizeof own;

	endpoint_from_sockaddr((const struct sockaddr *)ss, len, &remote);
	if (!gate_admit(l->plan.gate, &remote)) {
		listener_give_back(l);
		close(fd);
		listener_trouble(l, ERR_LIMIT, &remote);
		return;
	}
	if (address_is_any(&local) && getsockname(fd, (struct sockaddr *)&own, &own_len) == 0)
		endpoint_from_sockaddr((const struct sockaddr *)&own, own_len, &local);
	l->plan.accepted(l->plan.owner, fd, &remote, &local);
}

/* One more out of the kernel's queue. False when there is none or it must wait. */
static bool listener_accept(struct listener *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;
	int fd;

	switch (gate_enter(l->plan.gate, loop_now(l->loop))) {
	case GATE_FULL:
		listener_pause(l, LISTENER_FULL_MS);
		return false;
	case GATE_TOO_FAST:
		listener_pause(l, LISTENER_RATE_MS);
		return false;
	case GATE_IN:
		break;
	}
	fd = accept4(l->plan.fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		int errnum = errno;

		listener_give_back(l);
		return listener_failed(l, errnum);
	}
	listener_hand_over(l, fd, &ss, len);
	return true;
}

static void listener_ready(void *owner, unsigned events)
{
	struct listener *l = owner;
	unsigned batch = gate_is_rated(l->plan.gate) ? 1 : LISTENER_BATCH;

	for (unsigned i = 0; i < batch && l->registration; i++)
		if (!listener_accept(l))
			return;
}

int listener_create(struct listener **created, struct loop *loop, const struct listener_plan *plan)
{
	struct listener *l = calloc(1, sizeof *l);
	int err;

	if (!l)
		return ERR_MEMORY;
	l->loop = loop;
	l->plan = *plan;
	l->retry.due = listener_retry;
	err = listener_watch(l);
	if (err) {
		free(l);
		return err;
	}
	*created = l;
	return 0;
}

void listener_destroy(struct listener *l)
{
	if (!l)
		return;
	listener_pause(l, 0);
	loop_disarm(l->loop, &l->retry);
	close(l->plan.fd);
	free(l);
}

/* A socket file that nobody listens on is left from a process that died. */
static void listener_remove_stale(const struct sockaddr_un *sun)
{
	struct stat st;
	int fd;

	if (lstat(sun->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)sun, sizeof *sun) < 0 && errno == ECONNREFUSED)
		unlink(sun->sun_path);
	close(fd);
}

static int listener_sockaddr(const struct listener_bind *bind, struct sockaddr_storage *ss,
			     socklen_t *len)
{
	struct sockaddr_un *sun = (struct sockaddr_un *)ss;
	struct text path;

	if (!bind->unix_path) {
		*len = endpoint_to_sockaddr(&bind->address, ss);
		return 0;
	}
	*sun = (struct sockaddr_un){.sun_family = AF_UNIX};
	path = TEXT_OVER(sun->sun_path);
	text_put_string(&path, bind->unix_path);
	*len = sizeof *sun;
	listener_remove_stale(sun);
	return path.cut ? ERR_TOO_LONG : 0;
}

static void listener_share(int fd)
{
	int on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
}

/* UDP has no TIME_WAIT, and SO_REUSEADDR would let two processes share the port. */
static void listener_options(int fd, const struct listener_bind *bind, int family)
{
	int on = 1;

	if (!bind->datagram)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind->spread && !bind->first)
		listener_share(fd);
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
}

static int listener_try(const struct listener_bind *bind_to, struct address *bound)
{
	struct sockaddr_storage ss = {0};
	socklen_t len;
	int type = (bind_to->datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC;
	int fd, err = listener_sockaddr(bind_to, &ss, &len);

	if (err)
		return err;
	fd = socket(ss.ss_family, type, 0);
	if (fd < 0)
		return err_from_errno(errno);
	listener_options(fd, bind_to, ss.ss_family);
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		goto out;
	if (!bind_to->datagram && listen(fd, bind_to->backlog ? bind_to->backlog : INT32_MAX) < 0)
		goto out;
	/* Not before it listens: until then another stream socket may be bound beside it, and would
	 * listen beside it too. From now on the address is held, for another prise begins without
	 * SO_REUSEPORT as well and fails; the other loops' sockets are let in. */
	if (bind_to->spread && bind_to->first)
		listener_share(fd);
	len = sizeof ss;
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		goto out;
	if (bound)
		endpoint_from_sockaddr((struct sockaddr *)&ss, len, bound);
	return fd;
out:
	err = err_from_errno(errno);
	if (err == ERR_NOT_LOCAL && !own_has_family(bind_to->address.family))
		err = ERR_FAMILY_OFF;
	close(fd);
	return err;
}

/* Where two are bound that do not listen yet, as SO_REUSEADDR lets them, and do so at the same
 * moment, listen(2) may refuse both: somebody who is really there is there the second time too. */
int listener_open(const struct listener_bind *bind_to, struct address *bound)
{
	int fd = listener_try(bind_to, bound);

	return fd == ERR_IN_USE ? listener_try(bind_to, bound) : fd;
}
