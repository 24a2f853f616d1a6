/* `listen --exec`: a process a client, which holds the connection itself.
 *
 *   client ◄──socket──► process                                       we wait for its end
 *   client ◄──socket──► relay ◄──socket pair──► process               with -v, to see the wire
 *
 * At the process's end our half is closed, and the client's end is waited for a little, so that no
 * reset overtakes the last bytes. */
#include "command/listen.h"

#include "command/say.h"
#include "command/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EXEC_GRACE_MS = 2000, EXEC_LINGER_MS = 2000 };

struct exec_client {
	struct exec *exec;
	struct exec_client *next, **link;
	struct report report;
	int fd;
	int pair_fd; /* ours of the socket pair, or -1 */
	struct relay *relay;
	int64_t program;      /* 0: it has ended */
	int64_t registration; /* while the client's end is waited for */
	struct wheel_timer linger;
};

struct exec {
	struct listening *listening;
	struct exec_client *first;
};

static void exec_free(struct exec_client *c)
{
	struct loop *loop = c->exec->listening->loop;

	loop_disarm(loop, &c->linger);
	loop_remove(loop, c->registration);
	relay_destroy(c->relay);
	if (c->pair_fd >= 0)
		close(c->pair_fd);
	close(c->fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	free(c);
}

static void exec_close(struct exec_client *c)
{
	struct listening *l = c->exec->listening;

	report_close(&c->report, 0, REPORT_UNKNOWN, REPORT_UNKNOWN, loop_now(l->loop)->boot_ns);
	if (!say_flush() || !l->given->keep)
		listen_stop(l, 0);
	exec_free(c);
}

static void exec_lingered(struct wheel_timer *timer, void *context)
{
	exec_close((struct exec_client *)((char *)timer - offsetof(struct exec_client, linger)));
}

/* What the client still says is for nobody. */
static void exec_drain(void *owner, unsigned events)
{
	struct exec_client *c = owner;
	char nobody[4096];
	ssize_t n = recv(c->fd, nobody, sizeof nobody, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		exec_close(c);
}

static void exec_linger(struct exec_client *c)
{
	struct loop *loop = c->exec->listening->loop;

	if (!c->relay) {
		shutdown(c->fd, SHUT_WR);
		c->registration = loop_add(loop, c->fd, LOOP_READ, exec_drain, c);
	}
	loop_arm(loop, &c->linger, loop_now(loop)->boot_ns + EXEC_LINGER_MS * MOMENT_MS);
}

static void exec_ended(void *owner, int64_t id, const struct process_end *end)
{
	struct exec_client *c = owner;
	struct listening *l = c->exec->listening;

	c->program = 0;
	if (end->err)
		say_error(SAY_RUN, l->given->exec, end->err);
	else if (l->call->common.verbose)
		say_note(end->signalled ? _("the command was ended by signal %d")
					: _("the command ended with status %d"),
			 end->status);
	if (!c->relay && c->pair_fd >= 0)
		exec_close(c); /* the relay was over before */
	else
		exec_linger(c);
}

static void exec_relayed(void *owner, const struct relay_result *result)
{
	struct exec_client *c = owner;

	relay_destroy(c->relay);
	c->relay = NULL;
	if (c->program)
		shutdown(c->pair_fd, SHUT_RDWR);
	else
		exec_close(c);
}

static void exec_tap(void *owner, enum relay_direction direction, struct bytes b)
{
	const struct exec_client *c = owner;

	wire_bytes(NULL, &c->report.remote, direction == RELAY_OUT, b);
}

/* The process's end of a socket pair whose other end is relayed, or ERR_. */
static int exec_relay(struct exec_client *c)
{
	struct relay_plan plan = {
		.far = stream_own(c->fd), .tap = exec_tap, .over = exec_relayed, .owner = c};
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_from_errno(errno);
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	plan.near_in = plan.near_out = stream_own(pair[0]);
	err = relay_create(&c->relay, c->exec->listening->loop, &plan);
	if (!err) {
		c->pair_fd = pair[0];
		return pair[1];
	}
	close(pair[0]);
	close(pair[1]);
	return err;
}

/* 0 or ERR_. */
static int exec_start(struct exec_client *c)
{
	struct listening *l = c->exec->listening;
	char remote[ADDRESS_TEXT_BYTES + 16], local[ADDRESS_TEXT_BYTES + 16];
	const char *const environment[] = {remote, local, NULL};
	const char *const argv[] = {"/bin/sh", "-c", l->given->exec, NULL};
	struct text r = TEXT_OVER(remote), t = TEXT_OVER(local);
	int fd = l->call->common.verbose ? exec_relay(c) : c->fd;
	struct process_plan plan = {
		.argv = argv,
		.environment = environment,
		.stdin_fd = fd,
		.stdout_fd = fd,
		.stderr_fd = -1,
		.stop_with_parent = true,
		.grace_ms = EXEC_GRACE_MS,
		.deadline_ns = MOMENT_NEVER,
	};

	if (fd < 0)
		return fd;
	text_put_string(&r, "PRISE_REMOTE=");
	address_put(&r, &c->report.remote);
	text_put_string(&t, "PRISE_LOCAL=");
	address_put(&t, &c->report.local);
	c->program = process_start(l->helper, &plan, exec_ended, c);
	if (fd != c->fd)
		close(fd);
	return c->program < 0 ? (int)c->program : 0;
}

static void exec_accepted(void *owner, int fd, const struct address *remote,
			  const struct address *local)
{
	struct exec *x = owner;
	struct exec_client *c = calloc(1, sizeof *c);
	struct report report = listen_came(x->listening, remote, local);
	int err;

	if (!c) {
		close(fd);
		return;
	}
	*c = (struct exec_client){.exec = x,
				  .fd = fd,
				  .pair_fd = -1,
				  .report = report,
				  .next = x->first,
				  .link = &x->first,
				  .linger.due = exec_lingered};
	if (c->next)
		c->next->link = &c->next;
	x->first = c;
	report_open(&report);
	err = exec_start(c);
	if (err) {
		say_error(SAY_RUN, x->listening->given->exec, err);
		exec_close(c);
	}
}

int listen_exec(struct listening *l)
{
	struct exec x = {.listening = l};
	int err = listen_accept(l, l->given->keep ? 0 : 1, exec_accepted, &x);

	if (err)
		return say_error(SAY_LISTEN, l->where, err);
	while (!l->woken) {
		loop_turn(l->loop, -1);
		if (!l->given->keep && l->connections)
			listen_close(l);
	}
	process_helper_stop(l->helper);
	l->helper = NULL;
	while (x.first)
		exec_free(x.first);
	return l->code;
}
