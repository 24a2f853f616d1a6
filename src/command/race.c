/* Datagrams to several addresses: carries out what proto/happy.c decides, as net/dial.c does for
 * connections. Limit: NAME_MOST addresses. Source: RFC 8305, where an attempt is a connection. */
#include "command/race.h"

#include <unistd.h>

_Static_assert((int)NAME_MOST <= (int)HAPPY_MOST, "every address can be tried");

static void race_ready(void *owner, unsigned events)
{
	struct racer *racer = owner;

	racer->race->readable(racer->race->owner, racer);
}

static void race_close(struct race *r, struct racer *racer)
{
	if (racer->registration > 0)
		loop_remove(r->client->loop, racer->registration);
	racer->registration = 0;
	if (racer->fd >= 0)
		close(racer->fd);
	racer->fd = -1;
}

static uint64_t race_now_ns(const struct race *r)
{
	return loop_now(r->client->loop)->boot_ns;
}

static void race_lose(struct race *r, struct racer *racer, int err)
{
	race_close(r, racer);
	happy_fail(&r->happy, (unsigned)(racer - r->racer), err, race_now_ns(r));
}

/* `fd` connects to client->remote. */
static void race_begin(struct race *r, struct racer *racer, int fd)
{
	struct client *c = r->client;

	*racer = (struct racer){
		.race = r,
		.fd = fd,
		.began_ns = race_now_ns(r),
		.remote = c->remote,
		.local = c->local,
	};
	racer->registration = loop_add(c->loop, fd, LOOP_READ, race_ready, racer);
	if (racer->registration < 0)
		race_lose(r, racer, (int)racer->registration);
	else
		r->begun(r->owner, racer);
}

/* Begins with what is due; the first address was connected to by client_dial. */
static void race_go_on(struct race *r)
{
	int i, err, fd;

	while (!r->kept && (i = happy_next(&r->happy, race_now_ns(r))) != HAPPY_NONE) {
		err = client_dial_next(r->client, &fd);
		if (err)
			race_lose(r, &r->racer[i], err);
		else
			race_begin(r, &r->racer[i], fd);
	}
	if (r->kept)
		return;
	if (happy_over(&r->happy))
		client_stop(r->client, happy_error(&r->happy));
	else if (race_is_young(r))
		loop_arm(r->client->loop, &r->timer, happy_due(&r->happy));
}

static void race_due(struct wheel_timer *timer, void *context)
{
	race_go_on((struct race *)((char *)timer - offsetof(struct race, timer)));
}

int race_start(struct race *r, struct client *client, uint64_t dial_ms)
{
	int fd, err = client_dial(client, dial_ms, &fd);

	if (err)
		return err;
	loop_refresh(client->loop);
	r->client = client;
	r->timer.due = race_due;
	for (unsigned i = 0; i < NAME_MOST; i++)
		r->racer[i].fd = -1;
	happy_begin(&r->happy, 1 + client->rests, race_now_ns(r));
	race_begin(r, &r->racer[happy_next(&r->happy, race_now_ns(r))], fd);
	race_go_on(r);
	return 0;
}

void race_each(struct race *r, void (*each)(void *owner, struct racer *racer))
{
	unsigned started = r->happy.started; /* who begins meanwhile has been sent it */

	for (unsigned i = 0; i < started; i++)
		if (r->racer[i].fd >= 0)
			each(r->owner, &r->racer[i]);
}

bool race_is_young(const struct race *r)
{
	return !r->kept && r->happy.started < r->happy.count;
}

void race_keep(struct race *r, struct racer *racer)
{
	if (r->kept)
		return;
	r->kept = true;
	loop_disarm(r->client->loop, &r->timer);
	for (unsigned i = 0; i < r->happy.started; i++)
		if (&r->racer[i] != racer)
			race_close(r, &r->racer[i]);
	r->client->remote = racer->remote;
	r->client->local = racer->local;
}

void race_failed(struct race *r, struct racer *racer, int err)
{
	race_lose(r, racer, err);
	race_go_on(r);
}

int race_give_up(struct race *r)
{
	happy_give_up(&r->happy);
	return happy_error(&r->happy);
}

void race_end(struct race *r)
{
	loop_disarm(r->client->loop, &r->timer);
	for (unsigned i = 0; i < r->happy.started; i++)
		race_close(r, &r->racer[i]);
}
