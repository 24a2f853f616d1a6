/* The clients' question over UDP: a datagram out, and the first that comes back is the answer. */
#include "command/client_parts.h"

#include "command/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENT_ASK_MS = 6000, CLIENT_DATAGRAM_BYTES = 65536 };

/* One exchange over a connected UDP socket. */
struct client_exchange {
	struct client *client;
	struct bytes request;
	unsigned tries; /* left */
	uint64_t try_ns;
	int fd;
	int64_t registration;
	struct wheel_timer retry;
};

static void client_send_request(struct client_exchange *x)
{
	struct client *c = x->client;

	if (!x->tries--) {
		client_stop(c, ERR_TIMEOUT);
		return;
	}
	if (send(x->fd, x->request.data, x->request.len, MSG_DONTWAIT) < 0 && errno != EAGAIN) {
		client_stop(c, err_from_errno(errno));
		return;
	}
	if (c->call->common.verbose)
		wire_bytes(NULL, &c->remote, true, x->request);
	loop_arm(c->loop, &x->retry, loop_now(c->loop)->boot_ns + x->try_ns);
}

static void client_retry(struct wheel_timer *timer, void *context)
{
	client_send_request((struct client_exchange *)((char *)timer -
						       offsetof(struct client_exchange, retry)));
}

/* The answer goes to the machine as it would on a server: one datagram, then its effects. */
static int client_judge(struct client *c, struct bytes answer)
{
	const struct machine *machine = c->talk->machine;
	struct peer peer = {.remote = c->remote, .local = c->local, .settings = c->talk->settings};
	struct out *out = malloc(sizeof *out);
	void *state = calloc(1, machine->state_bytes + 1);
	int err = out && state ? 0 : ERR_MEMORY;

	if (!err) {
		out_reset(out, SIZE_MAX);
		machine->datagram(state, &peer, answer, out, loop_now(c->loop));
		for (unsigned i = 0; i < out->events; i++)
			client_event(c, &out->event[i]);
		err = out->abort_why;
	}
	free(state);
	free(out);
	return err;
}

static void client_answered(void *owner, unsigned events)
{
	struct client_exchange *x = owner;
	static uint8_t answer[CLIENT_DATAGRAM_BYTES];
	ssize_t n = recv(x->fd, answer, sizeof answer, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		client_stop(x->client, err_from_errno(errno));
		return;
	}
	if (x->client->call->common.verbose)
		wire_bytes(NULL, &x->client->remote, false, bytes_of(answer, (size_t)n));
	client_stop(x->client, client_judge(x->client, bytes_of(answer, (size_t)n)));
}

bool client_other_family(struct client *c)
{
	struct address literal;

	if (c->families != NAME_BOTH || !c->connected || c->remote.family == ADDRESS_UNIX ||
	    address_parse_ip(bytes_of_string(c->to.host), &literal) == 0)
		return false;
	c->families = c->remote.family == ADDRESS_V6 ? NAME_V4_ONLY : NAME_V6_ONLY;
	return true;
}

static int client_ask_one(struct client *c, const struct client_talk *talk, struct bytes request,
			  unsigned tries)
{
	struct client_exchange x = {
		.client = c,
		.request = request,
		.tries = tries,
		.try_ns = client_timeout_ms(c, CLIENT_ASK_MS) * MOMENT_MS / tries,
		.retry.due = client_retry,
	};
	int err = client_dial(c, talk->dial_ms, &x.fd);

	if (err)
		return err;
	c->talk = talk;
	x.registration = loop_add(c->loop, x.fd, LOOP_READ, client_answered, &x);
	if (x.registration < 0)
		client_stop(c, (int)x.registration);
	else
		client_send_request(&x);
	err = client_wait(c);
	loop_disarm(c->loop, &x.retry);
	if (x.registration > 0)
		loop_remove(c->loop, x.registration);
	close(x.fd);
	return err;
}

int client_ask(struct client *c, const struct client_talk *talk, struct bytes request,
	       unsigned tries)
{
	int err = client_ask_one(c, talk, request, tries);

	if (err != ERR_REFUSED || !client_other_family(c))
		return err;
	err = client_ask_one(c, talk, request, tries);
	return err == ERR_NO_ADDRESS || err == ERR_NO_FAMILY ? ERR_REFUSED : err;
}
