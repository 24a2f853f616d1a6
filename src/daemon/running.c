/* A running service. The gate and the manners are shared by all workers; everything else of a share
 * belongs to its worker's thread, where running_start, running_retire and running_drain send
 * themselves. */
#include "daemon/running_parts.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define RUNNING_PAUSED_NS (60 * MOMENT_S)

static void running_event(void *owner, struct event *e)
{
	struct running_share *share = owner;
	const struct running_calls *calls = &share->running->plan.calls;

	calls->event(calls->owner, e);
}

static void running_keeper_event(void *owner, struct event *e)
{
	struct running *r = owner;

	r->plan.calls.event(r->plan.calls.owner, e);
}

static void running_keeper_line(void *owner, struct bytes json, bool log)
{
	struct running *r = owner;

	r->plan.calls.event_line(r->plan.calls.owner, json, log);
}

static void running_wire(void *owner, const struct address *remote, enum pump_direction direction,
			 struct bytes b)
{
	struct running_share *share = owner;
	const struct running_calls *calls = &share->running->plan.calls;

	calls->wire(calls->owner, running_row(share->running)->name, remote, direction, b,
		    loop_now(share->worker->loop)->boot_ns);
}

static void running_conn_wire(void *owner, const struct conn *conn, enum pump_direction direction,
			      struct bytes b)
{
	running_wire(owner, conn_remote(conn), direction, b);
}

static void running_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct running_share *share = owner;
	struct running *r = share->running;

	if (to == OUT_HUB && running_row(r)->keeper)
		running_row(r)->keeper->told(
			share->keeper_share ? share->keeper_share : r->keeper_state, from, message);
}

static void running_resume_share(struct loop_mail *mail, struct loop *loop)
{
	struct running_share *share = (struct running_share *)((char *)mail -
							       offsetof(struct running_share,
									resume));

	atomic_store(&share->resuming, false);
	for (unsigned i = 0; i < share->listeners; i++)
		listener_resume(share->listener[i]);
}

/* The gate has room: every worker's listeners look again. One mail a share is enough. */
static void running_freed(void *owner)
{
	struct running *r = ((struct running_share *)owner)->running;

	for (unsigned i = 0; i < r->shares; i++)
		if (!atomic_exchange(&r->share[i].resuming, true) &&
		    !loop_post(r->share[i].worker->loop, &r->share[i].resume))
			atomic_store(&r->share[i].resuming, false);
}

/* One connection less, for the gate, the service and the worker. */
static void running_left(struct running_share *share, const struct address *remote)
{
	struct running *r = share->running;

	if (gate_leave(r->gate, remote))
		running_freed(share);
	atomic_fetch_sub(&r->open, 1);
	worker_closed(share->worker);
}

static void running_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	struct running_share *share = owner;
	struct running *r = share->running;
	struct message gone = {0};

	if (running_row(r)->keeper) {
		gone.kind = running_row(r)->keeper->gone_kind;
		pump_tell_hub(share->pump, id, &gone);
	}
	running_left(share, remote);
}

static void running_accepted(void *owner, int fd, const struct address *remote,
			     const struct address *local)
{
	struct running_share *share = owner;

	worker_opened(share->worker);
	atomic_fetch_add(&share->running->open, 1);
	if (pump_attach(share->pump, fd, remote, local) < 0)
		running_left(share, remote);
}

static void running_trouble(void *owner, int err, const struct address *remote)
{
	struct running_share *share = owner;
	uint64_t now_ns = loop_now(share->worker->loop)->boot_ns;
	_Atomic uint64_t *paused_ns = share->running->plan.paused_ns;
	uint64_t told_ns = atomic_load(paused_ns);
	struct event e;

	/* A pause is the same trouble for every listener of the daemon: one warning will do. */
	if (!remote && ((told_ns && now_ns < told_ns + RUNNING_PAUSED_NS) ||
			!atomic_compare_exchange_strong(paused_ns, &told_ns, now_ns)))
		return;
	event_init(&e, EVENT_WARNING, remote ? "conn.refused" : "listen.paused",
		   remote ? running_row(share->running)->name : NULL,
		   loop_now(share->worker->loop)->wall_us);
	if (remote)
		event_address(&e, "peer", remote);
	event_string(&e, "why", err_name(err));
	running_event(share, &e);
}

static struct running *running_new(const struct running_plan *plan)
{
	bool homed = plan->configuration->row->place == SERVICE_HOMED;
	unsigned shares = homed ? 1 : plan->worker_count;
	struct running *r = calloc(1, sizeof *r + shares * sizeof r->share[0]);
	const struct service_settings *common = &plan->configuration->common;
	struct gate_limits limits = {.open = common->max_connections,
				     .per_source = common->max_per_source,
				     .per_second = common->max_per_second};

	if (!r)
		return NULL;
	if (gate_create(&r->gate, &limits) < 0) {
		free(r);
		return NULL;
	}
	r->plan = *plan;
	r->configuration = *plan->configuration;
	pthread_mutex_init(&r->keys_lock, NULL);
	pthread_mutex_init(&r->manners_lock, NULL);
	r->shares = shares;
	for (unsigned i = 0; i < shares; i++) {
		r->share[i].running = r;
		r->share[i].worker = &plan->workers[i];
		r->share[i].resume.run = running_resume_share;
	}
	return r;
}

int running_open(struct running **opened, const struct running_plan *plan,
		 struct running_trouble *trouble)
{
	struct running *r = running_new(plan);
	int err;

	if (!r)
		return ERR_MEMORY;
	err = running_open_tls(r);
	if (!err)
		err = running_open_sockets(r, trouble);
	r->plan.given = NULL;
	r->plan.given_count = 0;
	r->plan.configuration = &r->configuration;
	r->configuration.names = NULL;
	if (err) {
		r->configuration.settings = NULL;
		configuration_leave_keys(&r->configuration);
		running_free(r);
		return err;
	}
	plan->configuration->settings = NULL;
	configuration_leave_keys(plan->configuration);
	*opened = r;
	return 0;
}

static const struct pump_owner running_pump_calls = {
	.event = running_event,
	.told = running_told,
	.closed = running_closed,
};

static int running_start_pump(struct running_share *share)
{
	struct running *r = share->running;
	const struct service_settings *common = &r->configuration.common;
	struct pump_owner calls = running_pump_calls;
	struct pump_plan plan = {
		.machine = running_row(r)->machine,
		.settings = share->settings,
		.service = running_row(r)->name,
		.host = r->host[0] ? r->host : NULL,
		.level = r->plan.calls.level,
		.limits = {.queue_bytes = common->queue_bytes,
			   .idle_ms = common->idle_ms,
			   .first_byte_ms = common->first_byte_ms},
		.tls = r->tls,
		.owner_calls = &calls,
		.owner = share,
	};

	if (r->plan.calls.wire)
		calls.wire = running_conn_wire;
	return pump_create(&share->pump, share->worker->pumps, &plan);
}

static int running_start_stream(struct running_share *share, struct running_socket *s)
{
	struct listener_plan plan = {
		.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0),
		.shared = s->shared,
		.gate = share->running->gate,
		.accepted = running_accepted,
		.trouble = running_trouble,
		.freed = running_freed,
		.owner = share,
		.bound = s->address,
	};
	int err;

	if (plan.fd < 0)
		return err_from_errno(errno);
	err = listener_create(&share->listener[share->listeners], share->worker->loop, &plan);
	if (err)
		close(plan.fd);
	else
		share->listeners++;
	return err;
}

static int running_start_datagram(struct running_share *share, struct running_socket *s)
{
	struct running *r = share->running;
	struct datagram_plan plan = {
		.fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0),
		.bound = s->address,
		.machine = running_row(r)->machine,
		.settings = r->configuration.settings,
		.service = running_row(r)->name,
		.host = r->host[0] ? r->host : NULL,
		.manners = &r->manners,
		.manners_lock = r->shares > 1 ? &r->manners_lock : NULL,
		.event = running_event,
		.wire = r->plan.calls.wire ? running_wire : NULL,
		.owner = share,
	};
	int err;

	if (plan.fd < 0)
		return err_from_errno(errno);
	err = datagram_create(&share->datagram[share->datagrams], share->worker->datagrams, &plan);
	if (!err)
		share->datagrams++;
	return err;
}

static void running_fill_context(struct running *r, struct worker *worker,
				 struct service_context *context)
{
	*context = (struct service_context){
		.loop = worker->loop,
		.pumps = worker->pumps,
		.work = r->work,
		.state_dir = r->plan.state_dir,
		.common = &r->configuration.common,
		.settings = r->configuration.settings,
		.event = running_keeper_event,
		.event_line = running_keeper_line,
		.owner = r,
		.api = r->plan.api,
	};
}

/* The keeper's part on this loop, if it has one on each. */
static int running_start_keeper_share(struct running_share *share)
{
	struct running *r = share->running;
	const struct service_keeper *keeper = running_row(r)->keeper;

	share->settings = r->configuration.settings;
	if (!keeper || !keeper->share_start)
		return 0;
	running_fill_context(r, share->worker, &share->context);
	return keeper->share_start(&share->keeper_share, r->keeper_state, &share->context,
				   &share->settings);
}

/* In the share's own thread. */
static void running_start_share(void *argument)
{
	struct running_share *share = argument;
	struct running *r = share->running;

	share->err = running_start_keeper_share(share);
	if (!share->err)
		share->err = running_start_pump(share);
	for (unsigned i = 0; i < r->sockets && !share->err; i++) {
		struct running_socket *s = &r->socket[i];

		if (!s->shared && s->worker != share->worker->number)
			continue;
		share->err = s->datagram ? running_start_datagram(share, s)
					 : running_start_stream(share, s);
	}
}

static int running_start_keeper(struct running *r)
{
	int err = work_create(&r->work, 1);

	if (err)
		return err;
	running_fill_context(r, r->share[0].worker, &r->context);
	return running_row(r)->keeper->start(&r->keeper_state, &r->context);
}

static void running_start_manners(void *argument)
{
	struct running *r = argument;

	r->manners.rate = r->configuration.common.udp_rate;
	r->manners.burst = r->configuration.common.udp_burst;
	r->manners.any_length = r->configuration.common.udp_long_answers;
	r->manners.salt = loop_random(r->share[0].worker->loop);
}

int running_start(struct running *r)
{
	int err = running_row(r)->keeper ? running_start_keeper(r) : 0;

	worker_call(r->share[0].worker, running_start_manners, r);
	for (unsigned i = 0; i < r->shares && !err; i++) {
		worker_call(r->share[i].worker, running_start_share, &r->share[i]);
		err = r->share[i].err;
	}
	return err;
}

/* In the first share's thread, for where there is no other, the lock is not asked. */
static void running_own(void *argument)
{
	struct running *r = argument;

	pthread_mutex_lock(&r->manners_lock);
	r->manners.own_ports = 0;
	for (unsigned i = 0; i < r->own->count; i++)
		manners_own(&r->manners, r->own->port[i]);
	pthread_mutex_unlock(&r->manners_lock);
}

void running_own_ports(struct running *r, const struct running_ports *ports)
{
	r->own = ports;
	worker_call(r->share[0].worker, running_own, r);
}

void running_reload(struct running *r)
{
	const struct service_keeper *keeper = running_row(r)->keeper;

	if (keeper && keeper->reload)
		keeper->reload(r->keeper_state);
}

static void running_retire_share(void *argument)
{
	struct running_share *share = argument;

	while (share->listeners)
		listener_destroy(share->listener[--share->listeners]);
	while (share->datagrams)
		datagram_destroy(share->datagram[--share->datagrams]);
}

void running_retire(struct running *r)
{
	for (unsigned i = 0; i < r->shares; i++)
		worker_call(r->share[i].worker, running_retire_share, &r->share[i]);
	running_close_sockets(r, 0);
}

void running_drain(struct running *r, struct worker *worker, uint64_t boot_ns)
{
	for (unsigned i = 0; i < r->shares; i++) {
		if (r->share[i].worker == worker && r->share[i].pump)
			pump_drain(r->share[i].pump, boot_ns);
	}
}

unsigned running_sockets(const struct running *r, struct running_socket *sockets, unsigned most)
{
	unsigned count = 0;

	for (unsigned i = 0; i < r->sockets && count < most; i++) {
		sockets[count] = r->socket[i];
		sockets[count].fd = fcntl(r->socket[i].fd, F_DUPFD_CLOEXEC, 0);
		count += sockets[count].fd >= 0;
	}
	return count;
}

bool running_is_empty(const struct running *r)
{
	bool empty = atomic_load(&r->open) == 0;

	/* The last to leave may have posted mail that lies in a share. */
	for (unsigned i = 0; i < r->shares && empty; i++)
		empty = !atomic_load(&r->share[i].resuming);
	return empty;
}

static void running_free_share(void *argument)
{
	struct running_share *share = argument;

	running_retire_share(share);
	pump_destroy(share->pump);
	share->pump = NULL;
	if (share->keeper_share)
		running_row(share->running)->keeper->share_stop(share->keeper_share);
	share->keeper_share = NULL;
}

void running_end(struct running *r)
{
	if (!r)
		return;
	for (unsigned i = 0; i < r->shares; i++)
		worker_call(r->share[i].worker, running_free_share, &r->share[i]);
	if (r->keeper_state)
		running_row(r)->keeper->stop(r->keeper_state);
	r->keeper_state = NULL;
	work_destroy(r->work);
	r->work = NULL;
}

void running_free(struct running *r)
{
	if (!r)
		return;
	running_end(r);
	running_remove_paths(r, true, NULL, NULL); /* of one that never ran */
	running_close_sockets(r, 0);
	gate_destroy(r->gate);
	tls_context_free(r->tls);
	pthread_mutex_destroy(&r->keys_lock);
	pthread_mutex_destroy(&r->manners_lock);
	configuration_free_settings(running_row(r), r->configuration.settings);
	configuration_free_keys(&r->configuration);
	free(r);
}

const struct configuration_service *running_configuration(const struct running *r)
{
	return &r->configuration;
}

bool running_bound(const struct running *r, unsigned index, struct running_socket *socket)
{
	unsigned seen = 0;

	for (unsigned i = 0; i < r->sockets; i++) {
		if (r->socket[i].worker != 0)
			continue;
		if (seen++ == index) {
			*socket = r->socket[i];
			socket->tls = r->tls && !socket->datagram;
			socket->keyed = socket->tls && r->configuration.keys;
			return true;
		}
	}
	return false;
}
