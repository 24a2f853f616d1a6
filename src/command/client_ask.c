/* The clients' question over UDP: a datagram out, and the first that comes back is the answer.
 *
 *   0 ms     250 ms      2 s                4 s                6 s
 *   ├─ v6 ───────────────┼─ again ──────────┼─ again ──────────┤ timed out
 *            ├─ v4 ──────┼─ again, ...                               */
#include "command/client_parts.h"

#include "command/race.h"
#include "command/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENT_ASK_MS = 6000, CLIENT_DATAGRAM_BYTES = 65536 };

struct client_exchange {
	struct client *client;
	struct race race;
	struct bytes request;
	unsigned tries; /* left */
	uint64_t try_ns;
	struct wheel_timer retry;
};

static void client_send_request(void *owner, struct racer *racer)
{
	struct client_exchange *x = owner;

	if (send(racer->fd, x->request.data, x->request.len, MSG_DONTWAIT) < 0 && errno != EAGAIN)
		race_failed(&x->race, racer, err_from_peer(errno));
	else if (x->client->call->common.verbose)
		wire_bytes(NULL, &racer->remote, true, x->request);
}

static void client_arm_retry(struct client_exchange *x)
{
	loop_arm(x->client->loop, &x->retry, loop_now(x->client->loop)->boot_ns + x->try_ns);
}

static void client_retry(struct wheel_timer *timer, void *context)
{
	struct client_exchange *x = (struct client_exchange *)((char *)timer -
							       offsetof(struct client_exchange,
									retry));

	if (!--x->tries) {
		client_stop(x->client, race_give_up(&x->race));
		return;
	}
	client_arm_retry(x);
	race_each(&x->race, client_send_request);
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

static void client_answered(void *owner, struct racer *racer)
{
	struct client_exchange *x = owner;
	static uint8_t answer[CLIENT_DATAGRAM_BYTES];
	ssize_t n = recv(racer->fd, answer, sizeof answer, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		race_failed(&x->race, racer, err_from_peer(errno));
		return;
	}
	race_keep(&x->race, racer);
	x->client->heard = true;
	if (x->client->call->common.verbose)
		wire_bytes(NULL, &racer->remote, false, bytes_of(answer, (size_t)n));
	client_stop(x->client, client_judge(x->client, bytes_of(answer, (size_t)n)));
}

int client_ask(struct client *c, const struct client_talk *talk, struct bytes request,
	       unsigned tries)
{
	struct client_exchange x = {
		.client = c,
		.race = {.begun = client_send_request, .readable = client_answered, .owner = &x},
		.request = request,
		.tries = tries,
		.try_ns = client_timeout_ms(c, CLIENT_ASK_MS) * MOMENT_MS / tries,
		.retry.due = client_retry,
	};
	int err;

	c->talk = talk;
	err = race_start(&x.race, c, talk->dial_ms);
	if (err)
		return err;
	client_arm_retry(&x);
	err = client_wait(c);
	loop_disarm(c->loop, &x.retry);
	race_end(&x.race);
	return err;
}
