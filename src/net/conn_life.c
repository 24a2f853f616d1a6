/* How long a connection lasts: when something falls due, and its end.
 *
 *              end                 all sent, half closed        peer's end, or linger over
 *   CONN_OPEN ─────► CONN_ENDING ───────────────────────► CONN_LINGERING ───────────► gone
 *       └── abort, reset, a limit ──────────────────────────────────────────────────────►
 */
#include "net/conn.h"

#include <stdlib.h>

#define CONN_QUIET_NS (200 * MOMENT_MS) /* silence that counts as idle when a service stops */

void conn_lifecycle_event(struct conn *c, const char *type, int why)
{
	struct event *e = &c->pump->common->out.event[0];
	const struct moment *now = conn_now(c);

	if (c->pump->plan.level > EVENT_DEBUG || !c->pump->calls.event)
		return;
	event_init(e, EVENT_DEBUG, type, c->pump->plan.service, now->wall_us);
	event_address(e, "peer", &c->remote);
	if (type[5] == 'c') {
		event_uint(e, "in_bytes", c->bytes_in);
		event_uint(e, "out_bytes", c->bytes_out);
		event_uint(e, "ms", (now->boot_ns - c->opened_ns) / MOMENT_MS);
		event_string(e, "why", err_name(why));
	}
	conn_event(c, e);
}

void conn_close(struct conn *c, int why)
{
	struct pump *pump = c->pump;
	struct address remote = c->remote;
	uint64_t id = conn_id(c);

	if (c->tls)
		why = conn_tls_close(c, why);
	if (conn_machine(c)->close && c->opened)
		conn_machine(c)->close(c->machine, why);
	conn_lifecycle_event(c, "conn.close", why);
	loop_disarm(conn_loop(c), &c->timer);
	loop_remove(conn_loop(c), c->registration);
	queue_clear(&c->queue, &pump->common->queues);
	free(c->held);
	pump_give_up(pump->common, c->fd);
	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	count_add(&pump->counts.closed, 1);
	slab_give(&pump->slab, c);
	if (pump->calls.closed)
		pump->calls.closed(pump->plan.owner, id, &remote, why);
}

uint64_t conn_due_ns(const struct conn *c)
{
	const struct pump_limits *limits = &c->pump->plan.limits;
	uint64_t due_ns = MOMENT_NEVER, limit_ms = limits->idle_ms;

	if (c->state == CONN_LINGERING)
		return c->quiet_since_ns + limits->linger_ms * MOMENT_MS;
	if (c->state == CONN_SECURING)
		return conn_tls_due_ns(c);
	if (c->state == CONN_OPEN)
		due_ns = c->deadline_ns;
	if (!c->bytes_in && limits->first_byte_ms &&
	    (!limit_ms || limits->first_byte_ms < limit_ms))
		limit_ms = limits->first_byte_ms;
	if (limit_ms && c->quiet_since_ns + limit_ms * MOMENT_MS < due_ns)
		due_ns = c->quiet_since_ns + limit_ms * MOMENT_MS;
	return due_ns;
}

/* Bytes only ever move limits later, so a busy connection leaves its timer alone and looks again
 * when it fires; only an earlier due time arms it anew. */
void conn_arm(struct conn *c)
{
	uint64_t due_ns = conn_due_ns(c);

	if (due_ns == MOMENT_NEVER)
		return;
	if (!wheel_is_armed(&c->timer) || due_ns / MOMENT_MS < c->timer.due_ms)
		loop_arm(conn_loop(c), &c->timer, due_ns);
}

bool conn_shut(struct conn *c)
{
	int err = c->tls ? conn_tls_end(c) : 0;

	if (!err && !queue_is_empty(&c->queue)) { /* close_notify has to wait */
		conn_arm(c);
		conn_set_interest(c);
		return true;
	}
	if (err) {
		conn_close(c, err);
		return false;
	}
	if (c->eof_seen) {
		conn_close(c, 0);
		return false;
	}
	shutdown(c->fd, SHUT_WR);
	c->state = CONN_LINGERING;
	c->quiet_since_ns = conn_now(c)->boot_ns;
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

bool conn_finish(struct conn *c)
{
	if (c->state == CONN_SECURING) {
		conn_close(c, ERR_DRAINED);
		return false;
	}
	if (c->state != CONN_OPEN)
		return true;
	c->state = CONN_ENDING;
	c->wants_room = c->stalled = false;
	if (queue_is_empty(&c->queue))
		return conn_shut(c);
	conn_arm(c);
	conn_set_interest(c);
	return true;
}

bool conn_is_engaged(const struct conn *c)
{
	return c->stalled || (conn_machine(c)->busy && conn_machine(c)->busy(c->machine));
}

/* What the peer had sent before it could know of the end is part of the exchange. */
static bool conn_has_unread(const struct conn *c)
{
	uint8_t byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

bool conn_is_busy(const struct conn *c)
{
	if (c->state != CONN_OPEN)
		return c->state != CONN_SECURING;
	/* Between two reads of a stream there may be nothing here and the rest still on its way. */
	if (conn_now(c)->boot_ns - c->quiet_since_ns < CONN_QUIET_NS)
		return true;
	return !queue_is_empty(&c->queue) || c->held || conn_is_engaged(c) || conn_has_unread(c);
}
