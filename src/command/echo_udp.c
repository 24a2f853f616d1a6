/* prise echo over UDP: rounds go out every interval, whatever comes back (struct echo_rounds). */
#include "command/echo_parts.h"
#include "command/publish.h"
#include "command/say.h"
#include "command/wire.h"

#include <errno.h>
#include <unistd.h>

enum {
	ECHO_LAST_MS = 2000, /* for the answers that are still due after the last round */
	ECHO_TRIES = 3,      /* a text: so often, within */
	ECHO_TRIES_MS = 6000,
	ECHO_HASTE_MS = 10, /* with no interval: a lost round holds up the next so long */
	ECHO_READS = 64,    /* datagrams taken at a time */
};

/* An event over UDP, where no machine makes them. */
static void echo_begin_event(const struct echo *e, struct event *event, const char *type,
			     uint64_t round)
{
	event_init(event, EVENT_INFO, type, "echo", loop_now(e->client.loop)->wall_us);
	event_uint(event, "round", round);
}

static void echo_report(struct echo *e, const struct event *event)
{
	publish_event(e->client.call, event);
	if (e->client.call->common.json)
		say_event(event);
	else
		echo_print(e, event);
	if (!say_flush())
		client_stop(&e->client, 0);
}

/* Where nothing was ever answered an ICMP error is the answer. After that it is one more lost
 * round: the server may come back. */
static void echo_failed(struct echo *e, int err)
{
	struct event event;

	if (e->rounds.answered == 0) {
		client_stop(&e->client, err);
		return;
	}
	echo_begin_event(e, &event, "echo.failed", e->rounds.sent);
	event_string(&event, "name", err_name(err));
	event_string(&event, "text", _(err_text(err)));
	echo_report(e, &event);
}

/* A refusal that send(2) returns is that of the round before. */
static void echo_send(struct echo *e)
{
	static uint8_t datagram[ECHO_DATAGRAM_BYTES];
	struct bytes b;
	ssize_t n;

	loop_refresh(e->client.loop);
	b = echo_rounds_send(&e->rounds, loop_now(e->client.loop), datagram);
	n = send(e->fd, b.data, b.len, MSG_DONTWAIT);
	if (n < 0 && errno == ECONNREFUSED) {
		echo_failed(e, ERR_REFUSED);
		n = send(e->fd, b.data, b.len, MSG_DONTWAIT);
	}
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		echo_failed(e, err_from_errno(errno));
	else if (n >= 0 && e->client.call->common.verbose)
		wire_bytes(NULL, &e->client.remote, true, b);
}

/* Sends the round that is due, ends when all is over, or waits for what comes next. */
static void echo_go_on(struct echo *e)
{
	const struct moment *now = loop_now(e->client.loop);

	if (echo_rounds_due(&e->rounds, now))
		echo_send(e);
	if (echo_rounds_over(&e->rounds, now))
		client_stop(&e->client, 0);
	else
		loop_arm(e->client.loop, &e->timer, echo_rounds_deadline(&e->rounds));
}

static void echo_due(struct wheel_timer *timer, void *context)
{
	echo_go_on((struct echo *)((char *)timer - offsetof(struct echo, timer)));
}

static void echo_answered(struct echo *e, const struct echo_answer *answer, size_t len, bool late)
{
	struct event event;

	histogram_add(&e->rtt_us, answer->rtt_us);
	echo_begin_event(e, &event, "echo.round", answer->round);
	event_uint(&event, "bytes", len);
	event_uint(&event, "rtt_us", answer->rtt_us);
	event_bool(&event, "reordered", late);
	echo_report(e, &event);
	if (e->given->interval_ms == 0)
		e->rounds.due_ns = loop_now(e->client.loop)->boot_ns;
	if (e->settings.text && e->rounds.answered == (e->given->count ? e->given->count : 1))
		client_stop(&e->client, 0);
}

static void echo_was_different(struct echo *e, uint64_t round, struct bytes in)
{
	struct bytes text = bytes_of_string(e->settings.text ? e->settings.text : "");
	struct event event;
	size_t at = 0;

	while (at < text.len && at < in.len && text.data[at] == in.data[at])
		at++;
	e->different = true;
	e->different_at = at;
	echo_begin_event(e, &event, "echo.different", round);
	if (e->settings.text)
		event_uint(&event, "at", at);
	echo_report(e, &event);
	if (e->settings.text)
		client_stop(&e->client, 0);
}

static void echo_take(struct echo *e, struct bytes in)
{
	struct echo_answer answer;
	struct event event;

	if (e->client.call->common.verbose)
		wire_bytes(NULL, &e->client.remote, false, in);
	if (e->settings.text && !e->client.call->common.json)
		show_text(&e->show, in);
	echo_end_line(e);
	switch (echo_rounds_take(&e->rounds, in, loop_now(e->client.loop), &answer)) {
	case ECHO_ANSWERED:
		echo_answered(e, &answer, in.len, false);
		break;
	case ECHO_REORDERED:
		echo_answered(e, &answer, in.len, true);
		break;
	case ECHO_DUPLICATE:
		echo_begin_event(e, &event, "echo.duplicate", answer.round);
		echo_report(e, &event);
		break;
	case ECHO_DIFFERENT:
		echo_was_different(e, answer.round, in);
		break;
	case ECHO_STALE:
		break;
	}
}

static void echo_readable(void *owner, unsigned events)
{
	static uint8_t datagram[ECHO_DATAGRAM_BYTES + 1];
	struct echo *e = owner;

	for (int i = 0; i < ECHO_READS && !e->client.done; i++) {
		ssize_t n = recv(e->fd, datagram, sizeof datagram, MSG_DONTWAIT);

		if (n >= 0)
			echo_take(e, bytes_of(datagram, (size_t)n));
		else if (errno != EAGAIN && errno != EINTR)
			echo_failed(e, err_from_errno(errno));
		else
			break;
	}
	echo_go_on(e);
}

/* How rounds go out over UDP: a text up to ECHO_TRIES times, until one comes back; else every
 * interval, and where that is 0, when the last one is back or seems lost. */
static void echo_plan_rounds(struct echo *e)
{
	struct echo_client_settings plan = e->settings;
	uint64_t wait_ms = client_timeout_ms(&e->client, ECHO_LAST_MS);

	if (plan.text && e->given->count == 0) {
		wait_ms = client_timeout_ms(&e->client, ECHO_TRIES_MS) / ECHO_TRIES;
		plan.count = ECHO_TRIES;
		plan.interval_ms = wait_ms;
	} else if (plan.interval_ms == 0) {
		plan.interval_ms = ECHO_HASTE_MS;
	}
	echo_rounds_init(&e->rounds, &plan, wait_ms, loop_now(e->client.loop));
}

static int echo_try_udp(struct echo *e)
{
	int64_t registration;
	int err = client_dial(&e->client, 0, &e->fd);

	if (err)
		return err;
	echo_note_peer(e);
	echo_plan_rounds(e);
	e->timer.due = echo_due;
	registration = loop_add(e->client.loop, e->fd, LOOP_READ, echo_readable, e);
	if (registration < 0)
		client_stop(&e->client, (int)registration);
	else
		echo_go_on(e);
	err = client_wait(&e->client);
	loop_disarm(e->client.loop, &e->timer);
	if (registration > 0)
		loop_remove(e->client.loop, registration);
	close(e->fd);
	return err;
}

int echo_over_udp(struct echo *e)
{
	int err = echo_try_udp(e);

	if (err != ERR_REFUSED || e->rounds.answered > 0 || !client_other_family(&e->client))
		return err;
	err = echo_try_udp(e);
	return err == ERR_NO_ADDRESS || err == ERR_NO_FAMILY ? ERR_REFUSED : err;
}
