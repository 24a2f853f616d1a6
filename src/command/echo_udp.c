/* prise echo over UDP: rounds go out every interval, whatever comes back (struct echo_rounds), to
 * the first address that answers. Until one does they go to each that is in the race
 * (command/race.h), and the second round waits until all are. */
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
static void echo_failed(struct echo *e, struct racer *racer, int err)
{
	struct event event;

	if (!e->race.kept) {
		race_failed(&e->race, racer, err);
		return;
	}
	echo_begin_event(e, &event, "echo.failed", e->rounds.sent);
	event_string(&event, "name", err_name(err));
	event_string(&event, "text", _(err_text(err)));
	echo_report(e, &event);
}

/* The last round. A refusal that send(2) returns is that of the round before. */
static void echo_send(void *owner, struct racer *racer)
{
	struct echo *e = owner;
	struct bytes b = e->datagram;
	ssize_t n = send(racer->fd, b.data, b.len, MSG_DONTWAIT);

	if (n < 0 && errno == ECONNREFUSED) {
		echo_failed(e, racer, ERR_REFUSED);
		if (racer->fd < 0)
			return;
		n = send(racer->fd, b.data, b.len, MSG_DONTWAIT);
	}
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ECONNREFUSED)
		echo_failed(e, racer, err_from_peer(errno));
	else if (n >= 0 && e->client.call->common.verbose)
		wire_bytes(NULL, &racer->remote, true, b);
}

static void echo_send_round(struct echo *e)
{
	loop_refresh(e->client.loop);
	e->datagram = echo_rounds_send(&e->rounds, loop_now(e->client.loop), e->room);
	race_each(&e->race, echo_send);
}

/* Sends the round that is due, ends when all is over, or waits for what comes next. */
static void echo_go_on(struct echo *e)
{
	const struct moment *now = loop_now(e->client.loop);
	bool young = race_is_young(&e->race);
	uint64_t next_ns = MOMENT_NEVER;

	if (!young && echo_rounds_due(&e->rounds, now))
		echo_send_round(e);
	if (!young)
		next_ns = echo_rounds_deadline(&e->rounds);
	if (now->boot_ns >= e->deadline_ns || (!young && echo_rounds_over(&e->rounds, now)))
		client_stop(&e->client,
			    e->settings.text && !e->race.kept ? race_give_up(&e->race) : 0);
	else
		loop_arm(e->client.loop, &e->timer,
			 next_ns < e->deadline_ns ? next_ns : e->deadline_ns);
}

/* The first address is sent the first round, each after it the same. */
static void echo_begun(void *owner, struct racer *racer)
{
	struct echo *e = owner;
	const struct moment *now = loop_now(e->client.loop);

	if (!e->rounds.sent)
		e->deadline_ns = e->tries_ns ? now->boot_ns + e->tries_ns : MOMENT_NEVER;
	e->datagram = e->rounds.sent ? echo_rounds_again(&e->rounds, now, e->room)
				     : echo_rounds_send(&e->rounds, now, e->room);
	echo_send(e, racer);
	if (!e->client.done)
		echo_go_on(e);
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

/* Its time counts from when it was sent to this address. */
static enum echo_verdict echo_judge(struct echo *e, const struct racer *racer, struct bytes in,
				    struct echo_answer *answer)
{
	const struct moment *now = loop_now(e->client.loop);
	enum echo_verdict verdict = echo_rounds_take(&e->rounds, in, now, answer);

	if (answer->round == 1)
		answer->rtt_us = (now->boot_ns - racer->began_ns) / 1000;
	return verdict;
}

static void echo_take(struct echo *e, struct racer *racer, struct bytes in)
{
	struct echo_answer answer;
	struct event event;

	if (!e->race.kept) {
		race_keep(&e->race, racer);
		e->client.heard = true;
		echo_note_peer(e);
	}
	if (e->client.call->common.verbose)
		wire_bytes(NULL, &racer->remote, false, in);
	if (e->settings.text && !e->client.call->common.json)
		show_text(&e->show, in);
	echo_end_line(e);
	switch (echo_judge(e, racer, in, &answer)) {
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

static void echo_readable(void *owner, struct racer *racer)
{
	static uint8_t datagram[ECHO_DATAGRAM_BYTES + 1];
	struct echo *e = owner;

	for (int i = 0; i < ECHO_READS && !e->client.done && racer->fd >= 0; i++) {
		ssize_t n = recv(racer->fd, datagram, sizeof datagram, MSG_DONTWAIT);

		if (n >= 0)
			echo_take(e, racer, bytes_of(datagram, (size_t)n));
		else if (errno != EAGAIN && errno != EINTR)
			echo_failed(e, racer, err_from_peer(errno));
		else
			break;
	}
	if (!e->client.done)
		echo_go_on(e);
}

/* How rounds go out over UDP: a text up to ECHO_TRIES times, until one comes back; else every
 * interval, and where that is 0, when the last one is back or seems lost. */
static void echo_plan_rounds(struct echo *e)
{
	struct echo_client_settings plan = e->settings;
	uint64_t wait_ms = client_timeout_ms(&e->client, ECHO_LAST_MS);

	if (plan.text && e->given->count == 0) {
		e->tries_ns = client_timeout_ms(&e->client, ECHO_TRIES_MS) * MOMENT_MS;
		wait_ms = e->tries_ns / MOMENT_MS / ECHO_TRIES;
		plan.count = ECHO_TRIES;
		plan.interval_ms = wait_ms;
	} else if (plan.interval_ms == 0) {
		plan.interval_ms = ECHO_HASTE_MS;
	}
	echo_rounds_init(&e->rounds, &plan, wait_ms, loop_now(e->client.loop));
}

int echo_over_udp(struct echo *e)
{
	int err;

	e->race = (struct race){.begun = echo_begun, .readable = echo_readable, .owner = e};
	e->timer.due = echo_due;
	echo_plan_rounds(e);
	err = race_start(&e->race, &e->client, 0);
	if (err)
		return err;
	err = client_wait(&e->client);
	loop_disarm(e->client.loop, &e->timer);
	race_end(&e->race);
	return err;
}
