/* The pump as a whole: its connections, the messages between machines, and its end. What happens on
 * one connection is net/conn.c's and net/conn_life.c's.
 *
 * Messages wait in a list and are delivered one after another once the present call is over, so
 * that no machine is ever entered while another is at work and the loop's one `out` is enough. */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	PUMP_QUEUE_BYTES = 256 * 1024,
	PUMP_LINGER_MS = 2000,
	PUMP_LOOPS_MOST = 128,
	PUMP_LOOK_MS = 50 /* between looks at what is left of a drain */
};

int pump_common_create(struct pump_common **created, struct loop *loop, unsigned number)
{
	struct pump_common *common;

	if (number >= PUMP_LOOPS_MOST)
		return ERR_RANGE;
	common = malloc(sizeof *common);
	if (!common)
		return ERR_MEMORY;
	common->loop = loop;
	common->now = loop_now(loop);
	common->number = number;
	common->busy = false;
	common->mail_head = common->mail_tail = NULL;
	common->closings = 0;
	common->scratch = NULL;
	queue_pool_init(&common->queues);
	slab_init(&common->mails, sizeof(struct pump_mail));
	out_reset(&common->out, 0);
	*created = common;
	return 0;
}

static void pump_free_mail(struct pump_common *common, struct pump_mail *mail)
{
	free(mail->long_body);
	slab_give(&common->mails, mail);
}

void pump_give_up(struct pump_common *common, int fd)
{
	if (common->busy && common->closings < PUMP_CLOSING)
		common->closing[common->closings++] = fd;
	else
		close(fd);
}

static void pump_close_rest(struct pump_common *common)
{
	while (common->closings > 0)
		close(common->closing[--common->closings]);
}

void pump_common_destroy(struct pump_common *common)
{
	if (!common)
		return;
	pump_close_rest(common);
	while (common->mail_head) {
		struct pump_mail *mail = common->mail_head;

		common->mail_head = mail->next;
		pump_free_mail(common, mail);
	}
	slab_end(&common->mails);
	queue_pool_end(&common->queues);
	free(common->scratch);
	free(common);
}

unsigned pump_id_loop(uint64_t id)
{
	return (unsigned)(id / LOOP_SLOTS_MOST) % PUMP_LOOPS_MOST;
}

bool pump_post(struct pump_common *common, struct pump *from_pump, uint64_t from, uint64_t to,
	       const struct message *message)
{
	struct pump_mail *mail = slab_take(&common->mails);
	uint8_t *body = mail ? mail->body : NULL;

	if (!mail)
		return false;
	if (message->body.len > sizeof mail->body) {
		body = mail->long_body = malloc(message->body.len);
		if (!body) {
			slab_give(&common->mails, mail);
			return false;
		}
	}
	mail->from_pump = from_pump;
	mail->end = false;
	mail->from = from;
	mail->to = to;
	mail->message = *message;
	if (message->body.len)
		memcpy(body, message->body.data, message->body.len);
	mail->message.body = bytes_of(body, message->body.len);
	if (common->mail_head)
		common->mail_tail->next = mail;
	else
		common->mail_head = mail;
	common->mail_tail = mail;
	return true;
}

bool pump_tell(struct pump_common *common, uint64_t to, const struct message *message)
{
	return pump_post(common, NULL, OUT_OWNER, to, message);
}

bool pump_tell_hub(struct pump *pump, uint64_t from, const struct message *message)
{
	return pump_post(pump->common, pump, from, OUT_HUB, message);
}

static struct conn *pump_find(struct pump_common *common, uint64_t id)
{
	uint64_t loop_bits = (uint64_t)common->number * LOOP_SLOTS_MOST;

	if (id <= OUT_OWNER || pump_id_loop(id) != common->number)
		return NULL;
	return loop_owner(common->loop, (int64_t)(id - loop_bits), conn_ready);
}

static void pump_hand_over(struct pump_common *common, const struct pump_mail *mail)
{
	struct pump *pump = mail->from_pump;
	struct conn *c = pump_find(common, mail->to);

	if (c && mail->end && mail->at_once)
		conn_close(c, mail->why);
	else if (c && mail->end)
		conn_finish(c);
	else if (c)
		conn_tell(c, &mail->message);
	else if (pump && pump->calls.told &&
		 (mail->to <= OUT_OWNER || pump_id_loop(mail->to) != common->number))
		pump->calls.told(pump->plan.owner, mail->from, mail->to, &mail->message);
}

void pump_deliver(struct pump_common *common)
{
	if (common->busy)
		return;
	common->busy = true;
	while (common->mail_head) {
		struct pump_mail *mail = common->mail_head;

		common->mail_head = mail->next;
		pump_hand_over(common, mail);
		pump_free_mail(common, mail);
	}
	common->busy = false;
	pump_close_rest(common);
}

int pump_create(struct pump **created, struct pump_common *common, const struct pump_plan *plan)
{
	struct pump *pump = calloc(1, sizeof *pump);

	if (pump && plan->tls && !common->scratch)
		common->scratch = calloc(1, sizeof *common->scratch);
	if (!pump || (plan->tls && !common->scratch)) {
		free(pump);
		return ERR_MEMORY;
	}
	pump->common = common;
	pump->plan = *plan;
	if (plan->owner_calls)
		pump->calls = *plan->owner_calls;
	if (!pump->plan.limits.queue_bytes)
		pump->plan.limits.queue_bytes = PUMP_QUEUE_BYTES;
	if (!pump->plan.limits.linger_ms)
		pump->plan.limits.linger_ms = PUMP_LINGER_MS;
	slab_init(&pump->slab, sizeof(struct conn) + plan->machine->state_bytes);
	*created = pump;
	return 0;
}

void pump_destroy(struct pump *pump)
{
	if (!pump)
		return;
	pump->calls = (struct pump_owner){0};
	while (pump->first)
		conn_close(pump->first, ERR_DRAINED);
	for (struct pump_mail *mail = pump->common->mail_head; mail; mail = mail->next)
		if (mail->from_pump == pump)
			mail->from_pump = NULL;
	loop_disarm(pump->common->loop, &pump->drain_timer);
	slab_end(&pump->slab);
	free(pump);
}

/* Machines whose peers may be silent for ever rely on the kernel to find a silent death (tcp(7)).
 */
static void pump_keep_alive(int fd)
{
	int on = 1, idle_s = 5, interval_s = 5, probes = 2;
	unsigned lost_ms = 15000;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &lost_ms, sizeof lost_ms);
}

int64_t pump_attach(struct pump *pump, int fd, const struct address *remote,
		    const struct address *local)
{
	struct conn *c = slab_take(&pump->slab);
	int on = 1;
	int64_t id;
	bool was_busy;

	if (!c) {
		close(fd);
		return ERR_MEMORY;
	}
	c->pump = pump;
	c->fd = fd;
	c->remote = *remote;
	c->interest = LOOP_READ;
	c->registration = loop_add(pump->common->loop, fd, LOOP_READ, conn_ready, c);
	if (c->registration < 0) {
		id = c->registration;
		slab_give(&pump->slab, c);
		close(fd);
		return id;
	}
	if (remote->family != ADDRESS_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (pump->plan.machine->silent_peers)
		pump_keep_alive(fd);
	c->next = pump->first;
	c->link = &pump->first;
	if (c->next)
		c->next->link = &c->next;
	pump->first = c;
	count_add(&pump->counts.opened, 1);
	id = (int64_t)conn_id(c);
	was_busy = pump->common->busy;
	pump->common->busy = true;
	conn_open(c, local);
	pump->common->busy = was_busy;
	pump_deliver(pump->common);
	return id;
}

void pump_end(struct pump *pump, uint64_t id, int why, bool at_once)
{
	struct message none = {0};

	if (!pump_post(pump->common, NULL, OUT_OWNER, id, &none))
		return;
	pump->common->mail_tail->end = true;
	pump->common->mail_tail->at_once = at_once;
	pump->common->mail_tail->why = why;
	pump_deliver(pump->common);
}

void pump_hold(struct pump_common *common, uint64_t id, bool hold)
{
	struct conn *c = pump_find(common, id);

	if (!c)
		return;
	c->on_hold = hold;
	if (c->state == CONN_OPEN)
		conn_set_interest(c);
}

bool pump_lingers(struct pump *pump, uint64_t id)
{
	const struct conn *c = pump_find(pump->common, id);

	return c && c->state == CONN_LINGERING;
}

int pump_detach(struct pump *pump, uint64_t id)
{
	struct conn *c = pump_find(pump->common, id);
	int fd;

	if (!c || c->state != CONN_OPEN)
		return ERR_LEFT;
	if (!queue_is_empty(&c->queue) || c->tls)
		return ERR_FULL;
	fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	pump_end(pump, id, 0, true);
	return fd;
}

static void pump_close_all(struct pump *pump, bool busy_too)
{
	struct conn *next;

	for (struct conn *c = pump->first; c; c = next) {
		next = c->next;
		if (busy_too || !conn_is_busy(c))
			conn_close(c, ERR_DRAINED);
	}
	pump_deliver(pump->common);
}

void pump_judge_again(struct pump *pump, int (*judge)(void *owner, const struct key_digest *key),
		      void *owner)
{
	struct conn *next;

	for (struct conn *c = pump->first; c; c = next) {
		int err = conn_tls_judge(c, judge, owner);

		next = c->next;
		if (err)
			conn_close(c, err);
	}
	pump_deliver(pump->common);
}

static void pump_drain_due(struct wheel_timer *timer, void *context)
{
	struct pump *pump = (struct pump *)((char *)timer - offsetof(struct pump, drain_timer));
	uint64_t now_ns = pump->common->now->boot_ns;

	pump_close_all(pump, now_ns >= pump->drain_until_ns);
	if (pump->first)
		loop_arm(pump->common->loop, timer, now_ns + PUMP_LOOK_MS * MOMENT_MS);
}

/* Messages wait until all have been told: what one sets off may end another. */
static void pump_tell_drain(struct pump *pump)
{
	bool was_busy = pump->common->busy;
	struct conn *next;

	pump->common->busy = true;
	for (struct conn *c = pump->first; c; c = next) {
		next = c->next;
		conn_drain(c);
	}
	pump->common->busy = was_busy;
	pump_deliver(pump->common);
}

void pump_drain(struct pump *pump, uint64_t boot_ns)
{
	pump->draining = true;
	pump->drain_until_ns = boot_ns;
	pump_tell_drain(pump);
	pump_close_all(pump, false);
	if (pump->first) {
		pump->drain_timer.due = pump_drain_due;
		loop_arm(pump->common->loop, &pump->drain_timer,
			 pump->common->now->boot_ns + PUMP_LOOK_MS * MOMENT_MS);
	}
}

unsigned pump_open(const struct pump *pump)
{
	struct pump_counts counts = pump_counts(pump);

	return (unsigned)(counts.opened - counts.closed);
}

struct pump_counts pump_counts(const struct pump *pump)
{
	struct pump_counts counts = {.closed = count_of(&pump->counts.closed),
				     .bytes_in = count_of(&pump->counts.bytes_in),
				     .bytes_out = count_of(&pump->counts.bytes_out)};

	counts.opened = count_of(&pump->counts.opened);
	/* Another thread may see the two in another order than they were counted. */
	if (counts.opened < counts.closed)
		counts.opened = counts.closed;
	return counts;
}

unsigned pump_list(const struct pump *pump, struct pump_view *views, unsigned most)
{
	unsigned count = 0;

	for (const struct conn *c = pump->first; c && count < most; c = c->next)
		views[count++] = (struct pump_view){
			.id = conn_id(c),
			.remote = c->remote,
			.opened_ns = c->opened_ns,
			.bytes_in = c->bytes_in,
			.bytes_out = c->bytes_out,
			.queued = c->queue.bytes,
		};
	return count;
}

bool pump_remote(struct pump_common *common, uint64_t id, struct address *remote)
{
	const struct conn *c = pump_find(common, id);

	if (c)
		*remote = c->remote;
	return c != NULL;
}

uint64_t pump_received(struct pump_common *common, uint64_t id)
{
	const struct conn *c = pump_find(common, id);
	int unacknowledged = 0;

	if (!c || ioctl(c->fd, SIOCOUTQ, &unacknowledged) < 0 ||
	    (uint64_t)unacknowledged > c->bytes_out)
		return c ? c->bytes_out : 0;
	return c->bytes_out - (uint64_t)unacknowledged;
}

uint64_t conn_id(const struct conn *c)
{
	return (uint64_t)c->registration | (uint64_t)c->pump->common->number * LOOP_SLOTS_MOST;
}

const struct address *conn_remote(const struct conn *c)
{
	return &c->remote;
}

void conn_event(struct conn *c, struct event *e)
{
	e->service = c->pump->plan.service;
	if (c->pump->calls.event)
		c->pump->calls.event(c->pump->plan.owner, e);
}
