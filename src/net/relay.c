/* A relay: two flows (net/flow.c) over at most three descriptors of the loop.
 *
 * A descriptor is watched only for what some flow waits for, and not at all otherwise, since the
 * end of a pipe or a broken socket is reported again and again. What epoll refuses (a regular file)
 * is always ready, and the flow waits for its other side alone.
 *
 * Source: epoll_ctl(2). */
#include "net/flow.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>

enum { RELAY_FINISH_MS = 5000 }; /* for near's last words, once far has ended */

void relay_end(struct relay *r, int err, enum relay_place place)
{
	if (!r->over)
		r->result = (struct relay_result){err, place};
	r->over = true;
}

void relay_moved(struct relay *r)
{
	r->active_ns = loop_now(r->loop)->boot_ns;
}

static void relay_ready(void *owner, unsigned events);

/* Whether near has something to say now. */
static bool relay_near_is_talking(const struct relay *r)
{
	const struct relay_flow *out = &r->flow[RELAY_OUT];

	return out->waits & LOOP_WRITE || flow_holds(out) ||
	       stream_is_ready(&r->plan.near_in, false);
}

/* Whether the relay is over by itself. */
static void relay_judge(struct relay *r)
{
	bool out_ended = r->flow[RELAY_OUT].ended, in_ended = r->flow[RELAY_IN].ended;

	if (!in_ended || r->over)
		return;
	if (out_ended || (r->plan.ends_with_far && !relay_near_is_talking(r)))
		relay_end(r, r->broken, RELAY_FAR);
}

static bool relay_is_finishing(const struct relay *r)
{
	return r->plan.ends_with_far && r->flow[RELAY_IN].ended;
}

static bool relay_waits_for_datagrams(const struct relay *r)
{
	return r->plan.datagrams && r->flow[RELAY_OUT].ended;
}

/* How long nothing may happen, from now on; 0: for ever. */
static uint64_t relay_patience_ms(const struct relay *r)
{
	if (relay_is_finishing(r))
		return RELAY_FINISH_MS;
	return relay_waits_for_datagrams(r) || r->half_due ? r->plan.wait_ms : r->plan.idle_ms;
}

static void relay_arm(struct relay *r)
{
	uint64_t patience_ms = relay_patience_ms(r);

	if (patience_ms)
		loop_arm(r->loop, &r->timer, r->active_ns + patience_ms * MOMENT_MS);
}

static unsigned relay_interest(const struct relay *r, const struct relay_port *port)
{
	unsigned interest = 0;

	for (unsigned i = 0; i < 2; i++) {
		const struct relay_flow *f = &r->flow[i];

		if (f->ended)
			continue;
		if (f->from == port && !r->flow[!i].back_len)
			interest |= f->waits & LOOP_READ;
		if (f->to == port)
			interest |= f->waits & LOOP_WRITE;
	}
	return interest;
}

static void relay_watch(struct relay *r, struct relay_port *port)
{
	unsigned interest = relay_interest(r, port);
	int64_t registration = port->registration;

	if (!port->stream || port->always_ready || interest == port->interest)
		return;
	if (!interest) {
		loop_remove(r->loop, registration);
		port->registration = 0;
	} else if (registration) {
		registration = loop_change(r->loop, registration, interest);
	} else {
		registration = loop_add(r->loop, port->stream->fd, interest, relay_ready, port);
		port->registration = registration > 0 ? registration : 0;
	}
	port->interest = interest;
	if (registration < 0)
		relay_end(r, (int)registration, RELAY_FAR);
}

static void relay_unwatch(struct relay *r)
{
	for (unsigned i = 0; i < RELAY_PORTS; i++) {
		loop_remove(r->loop, r->port[i].registration);
		r->port[i].registration = 0;
	}
	loop_disarm(r->loop, &r->timer);
}

/* The loop forgets far before its descriptor becomes another socket's; relay_settle has it watched
 * again. */
bool relay_goes_elsewhere(struct relay *r, int errnum)
{
	struct relay_port *far = &r->port[RELAY_FAR];
	int err = err_from_peer(errnum);

	if (!r->plan.elsewhere ||
	    (err != ERR_REFUSED && err != ERR_UNREACHABLE && err != ERR_PROHIBITED))
		return false;
	loop_remove(r->loop, far->registration);
	far->registration = 0;
	far->interest = 0;
	return r->plan.elsewhere(r->plan.owner, err);
}

/* What follows from what the flows have done. Nothing may touch the relay after this. */
static void relay_settle(struct relay *r)
{
	for (unsigned i = 0; i < 2; i++)
		if (r->flow[i].back_len)
			flow_run(&r->flow[i]);
	relay_judge(r);
	for (unsigned i = 0; i < RELAY_PORTS && !r->over; i++)
		relay_watch(r, &r->port[i]);
	if (!r->over) {
		relay_arm(r);
		return;
	}
	relay_unwatch(r);
	r->plan.over(r->plan.owner, &r->result);
}

static void relay_ready(void *owner, unsigned events)
{
	struct relay_port *port = owner;
	struct relay *r = port->relay;

	for (unsigned i = 0; i < 2; i++) {
		struct relay_flow *f = &r->flow[i];
		unsigned reads = f->from == port ? f->waits & LOOP_READ : 0;
		unsigned writes = f->to == port ? f->waits & LOOP_WRITE : 0;

		if (!f->ended && (events & (reads | writes | (reads || writes ? LOOP_HANGUP : 0))))
			flow_run(f);
	}
	relay_settle(r);
}

/* That far is gone already is for its reader to find. */
static void relay_tell_end(struct relay *r)
{
	r->half_due = stream_end(&r->plan.far) < 0 && errno == EAGAIN;
	relay_moved(r);
}

static void relay_due(struct wheel_timer *timer, void *context)
{
	struct relay *r = (struct relay *)((char *)timer - offsetof(struct relay, timer));
	uint64_t patience_ms = relay_patience_ms(r);
	bool well = relay_is_finishing(r) || relay_waits_for_datagrams(r);

	if (!patience_ms || loop_now(r->loop)->boot_ns < r->active_ns + patience_ms * MOMENT_MS)
		; /* it was armed for an earlier silence */
	else if (r->half_due && !relay_is_finishing(r))
		relay_tell_end(r);
	else
		relay_end(r, well ? 0 : ERR_TIMEOUT, RELAY_FAR);
	relay_settle(r);
}

/* Finds out whether the loop can watch it. 0 or ERR_. */
static int relay_add_port(struct relay *r, struct relay_port *port, const struct stream *stream)
{
	int64_t registration = loop_add(r->loop, stream->fd, LOOP_READ, relay_ready, port);

	*port = (struct relay_port){.relay = r, .stream = stream};
	if (registration == ERR_PERMISSION)
		port->always_ready = true;
	else if (registration < 0)
		return (int)registration;
	else
		loop_remove(r->loop, registration);
	return 0;
}

static int relay_add_ports(struct relay *r)
{
	struct relay_plan *plan = &r->plan;
	bool same = plan->near_in.fd == plan->near_out.fd;
	int err = relay_add_port(r, &r->port[RELAY_NEAR_IN], &plan->near_in);

	if (!err && !same)
		err = relay_add_port(r, &r->port[RELAY_NEAR_OUT], &plan->near_out);
	if (!err)
		err = relay_add_port(r, &r->port[RELAY_FAR], &plan->far);
	return err;
}

static int relay_begin_flow(struct relay *r, enum relay_direction direction,
			    struct relay_port *from, struct relay_port *to)
{
	r->flow[direction] = (struct relay_flow){
		.relay = r, .direction = direction, .from = from, .to = to, .pipe = {-1, -1}};
	return flow_begin(&r->flow[direction]);
}

int relay_create(struct relay **created, struct loop *loop, const struct relay_plan *plan)
{
	struct relay *r = calloc(1, sizeof *r);
	struct relay_port *near_out;
	int err;

	if (!r)
		return ERR_MEMORY;
	r->loop = loop;
	r->plan = *plan;
	r->timer.due = relay_due;
	for (unsigned i = 0; i < 2; i++)
		r->flow[i].pipe[0] = r->flow[i].pipe[1] = -1;
	loop_refresh(loop);
	relay_moved(r);
	err = relay_add_ports(r);
	near_out = &r->port[r->port[RELAY_NEAR_OUT].stream ? RELAY_NEAR_OUT : RELAY_NEAR_IN];
	if (!err && (plan->filter[RELAY_OUT] || plan->filter[RELAY_IN])) {
		r->raw = malloc(RELAY_READ_BYTES);
		err = r->raw ? 0 : ERR_MEMORY;
	}
	if (!err)
		err = relay_begin_flow(r, RELAY_OUT, &r->port[RELAY_NEAR_IN], &r->port[RELAY_FAR]);
	if (!err)
		err = relay_begin_flow(r, RELAY_IN, &r->port[RELAY_FAR], near_out);
	for (unsigned i = 0; i < RELAY_PORTS && !err; i++) {
		relay_watch(r, &r->port[i]);
		err = r->over ? r->result.err : 0;
	}
	if (err) {
		relay_destroy(r);
		return err;
	}
	relay_arm(r);
	*created = r;
	return 0;
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	relay_unwatch(r);
	flow_close(&r->flow[RELAY_OUT]);
	flow_close(&r->flow[RELAY_IN]);
	free(r->raw);
	free(r);
}

struct relay_counts relay_counts(const struct relay *r)
{
	const struct relay_flow *out = &r->flow[RELAY_OUT];

	return (struct relay_counts){
		.bytes = {out->bytes, r->flow[RELAY_IN].bytes},
		.near_ended = out->ended && out->eof,
		.unsent = out->held - out->at + out->piped,
		.spliced = r->spliced,
	};
}
