/* The pump as a whole: its connections, the messages between machines, and its end. What happens on
 * one connection is net/conn.c's.
 *
 * Messages wait in a list and are delivered one after another once the present call is over, so
 * that no machine is ever entered while another is at work and the loop's one `out` is enough. */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
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
	common->number = number;
	common->busy = false;
	common->mail_head = common->mail_tail = NULL;
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

void pump_common_destroy(struct pump_common *common)
{
	if (!common)
		return;
	while (common->mail_head) {
		struct pump_mail *mail = common->mail_head;

		common->mail_head = mail->next;
		pump_free_mail(common, mail);
	}
	slab_end(&common->mails);
	queue_pool_end(&common->queues);
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
}

int pump_create(struct pump **created, struct pump_common *common, const struct pump_plan *plan)
{
	struct pump *pump = calloc(1, sizeof *pump);

	if (!pump)
		return ERR_MEMORY;
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
	c->next = pump->first;
	c->link = &pump->first;
	if (c->next)
		c->next->link = &c->next;
	pump->first = c;
	pump->counts.opened++;
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

static void pump_drain_due(struct wheel_timer *timer, void *context)
{
	struct pump *pump = (struct pump *)((char *)timer - offsetof(struct pump, drain_timer));
	uint64_t now_ns = loop_now(pump->common->loop)->boot_ns;

	pump_close_all(pump, now_ns >= pump->drain_until_ns);
	if (pump->first)
		loop_arm(pump->common->loop, timer, now_ns + PUMP_LOOK_MS * MOMENT_MS);
}

void pump_drain(struct pump *pump, uint64_t boot_ns)
{
	pump->draining = true;
	pump->drain_until_ns = boot_ns;
	pump_close_all(pump, false);
	if (pump->first) {
		pump->drain_timer.due = pump_drain_due;
		loop_arm(pump->common->loop, &pump->drain_timer,
			 loop_now(pump->common->loop)->boot_ns + PUMP_LOOK_MS * MOMENT_MS);
	}
}

unsigned pump_open(const struct pump *pump)
{
	return (unsigned)(pump->counts.opened - pump->counts.closed);
}

struct pump_counts pump_counts(const struct pump *pump)
{
	return pump->counts;
}
