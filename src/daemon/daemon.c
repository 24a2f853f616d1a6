/* The daemon's life. Everything here happens in the first thread; what belongs to a worker is done
 * there by worker_call. */
#include "daemon/daemon_parts.h"

#include "base/err.h"
#include "daemon/notify.h"
#include "daemon/sandbox.h"

#include <libintl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _(s) gettext(s)

enum { DAEMON_LOOPS_BY_DEFAULT = 8, DAEMON_PATHS_MOST = 32 };

static void daemon_event(void *owner, struct event *e)
{
	struct daemon *d = owner;

	/* What nobody asked to see costs nobody anything. */
	if (e->level >= d->plan->level)
		events_publish(d->events, e);
}

static void daemon_line(void *owner, struct bytes json, bool log)
{
	struct daemon *d = owner;

	events_post_line(d->events, json, log);
}

static void daemon_wire(void *owner, const char *service, const struct address *remote,
			enum pump_direction direction, struct bytes b, uint64_t boot_ns)
{
	struct daemon *d = owner;

	log_wire(d->log, service, remote, direction, b, boot_ns);
}

void daemon_say(struct daemon *d, enum event_level level, const char *type, const char *name,
		const char *value)
{
	struct event e;

	event_init(&e, level, type, NULL, loop_now(d->worker[0].loop)->wall_us);
	if (name)
		event_string(&e, name, value);
	events_publish(d->events, &e);
}

static unsigned daemon_loops(const struct configuration_daemon *settings)
{
	cpu_set_t set;
	unsigned count = 1;

	if (settings->loops)
		return (unsigned)settings->loops;
	if (sched_getaffinity(0, sizeof set, &set) == 0)
		count = (unsigned)CPU_COUNT(&set);
	return count > DAEMON_LOOPS_BY_DEFAULT ? DAEMON_LOOPS_BY_DEFAULT : count;
}

/* Whether a service that runs listens on that address. */
static bool daemon_has_address(void *owner, const struct address *address, bool datagram)
{
	const struct daemon *d = owner;
	struct running_socket socket;

	for (unsigned i = 0; i < d->services; i++)
		for (unsigned k = 0; running_bound(d->service[i], k, &socket); k++)
			if (socket.address.port == address->port && socket.datagram == datagram &&
			    configuration_overlap(&socket.address, address))
				return true;
	return false;
}

int daemon_open_service(struct daemon *d, struct configuration_service *configuration,
			const struct running *old, struct running **opened,
			struct daemon_trouble *trouble)
{
	struct running_socket given[RUNNING_SOCKETS_MOST];
	struct running_plan plan = {
		.configuration = configuration,
		.workers = d->worker,
		.worker_count = d->workers,
		.state_dir = d->state_dir,
		.api = api_service(d->api),
		.calls = {.event = daemon_event,
			  .event_line = daemon_line,
			  .wire = d->plan->log.wire ? daemon_wire : NULL,
			  .level = d->plan->level,
			  .owner = d},
		.paused_ns = &d->paused_ns,
		.given = given,
		.key = d->key,
	};
	int err;

	plan.is_ours = d->reload ? daemon_has_address : NULL;
	plan.ours = d;
	plan.given_count = daemon_given(d, configuration->row, old, given);
	err = daemon_check_given(d, configuration, given, plan.given_count, trouble);
	if (!err)
		err = daemon_check_state(d, configuration->row, trouble);
	if (!err)
		err = running_open(opened, &plan, &trouble->socket);
	for (unsigned i = 0; i < plan.given_count; i++)
		if (given[i].fd >= 0)
			close(given[i].fd);
	trouble->service = configuration->row->name;
	trouble->listening = err != 0 && !trouble->message[0];
	return err;
}

void daemon_share_ports(struct daemon *d)
{
	struct running_socket socket;

	d->ports.count = 0;
	for (unsigned i = 0; i < d->services; i++)
		for (unsigned k = 0; running_bound(d->service[i], k, &socket); k++)
			if (socket.datagram && d->ports.count < MANNERS_OWN_PORTS_MOST)
				d->ports.port[d->ports.count++] = socket.address.port;
	for (unsigned i = 0; i < d->services; i++)
		running_own_ports(d->service[i], &d->ports);
}

/* What keepers need to find: said before anything is bound, and by --check-config. */
static int daemon_check_paths(const struct configuration *c, struct daemon_trouble *trouble)
{
	for (unsigned i = 0; i < c->services; i++) {
		const struct configuration_service *s = &c->service[i];
		const char *path = "";
		int err = 0;

		if (s->row->keeper && s->row->keeper->check)
			err = s->row->keeper->check(s->settings, &path);
		if (!err)
			continue;
		snprintf(trouble->message, sizeof trouble->message, _("%s cannot use %s: %s"),
			 s->row->name, path, _(err_text(err)));
		snprintf(trouble->advice, sizeof trouble->advice,
			 _("a path that is there, with the rights to use it, in the block `%s`"),
			 s->row->name);
		return err;
	}
	return 0;
}

int daemon_read(const struct configuration_request *request, struct configuration **c,
		struct daemon_trouble *trouble)
{
	int err = configuration_read(request, c);

	if (err && *c) {
		snprintf(trouble->message, sizeof trouble->message, "%s", (*c)->message);
		snprintf(trouble->advice, sizeof trouble->advice, "%s", (*c)->advice);
	}
	trouble->unreadable = err && request->path && err_exit(err) != 2 && !(*c && (*c)->file);
	return err ? err : daemon_check_paths(*c, trouble);
}

int daemon_resolve(struct configuration *c, struct daemon_trouble *trouble)
{
	int err = configuration_resolve(c);

	if (err)
		snprintf(trouble->message, sizeof trouble->message, "%s", c->message);
	return err;
}

struct daemon_errand {
	struct daemon *daemon;
	struct worker *worker;
	uint64_t until_ns;
};

static void daemon_drain_worker(void *argument)
{
	struct daemon_errand *errand = argument;
	struct daemon *d = errand->daemon;

	for (unsigned i = 0; i < d->services; i++)
		running_drain(d->service[i], errand->worker, errand->until_ns);
	for (unsigned i = 0; i < d->retired; i++)
		running_drain(d->old[i], errand->worker, errand->until_ns);
	worker_drain(errand->worker);
}

/* That the daemon stops is told before anything is drained: streams end soon after they have heard
 * of the drain, however late the thread of events may come to run. */
static void daemon_tell_stop(struct daemon *d)
{
	struct loop *loop = d->worker[0].loop;
	struct event e;

	event_init(&e, EVENT_NOTICE, "daemon.stopping", NULL, loop_now(loop)->wall_us);
	events_publish_and_wait(d->events, &e);
	loop_refresh(loop); /* what is given time from now on gets all of it */
}

static void daemon_drain(struct daemon *d)
{
	uint64_t until_ns;

	notify_send("STOPPING=1");
	daemon_tell_stop(d);
	until_ns = loop_now(d->worker[0].loop)->boot_ns + d->settings.drain_ms * MOMENT_MS;
	for (unsigned i = 0; i < d->services; i++) {
		running_remove_paths(d->service[i], false, NULL, NULL);
		running_retire(d->service[i]);
	}
	for (unsigned i = 0; i < d->workers; i++) {
		struct daemon_errand errand = {d, &d->worker[i], until_ns};

		worker_call(&d->worker[i], daemon_drain_worker, &errand);
	}
}

static void daemon_caught(void *owner, int signal_number)
{
	struct daemon *d = owner;

	if (signal_number == SIGHUP && !d->signal_number)
		daemon_reload(d);
	if (signal_number == SIGHUP)
		return;
	if (d->signal_number) {
		for (unsigned i = 0; i < d->workers; i++)
			loop_stop(d->worker[i].loop);
		return;
	}
	d->signal_number = signal_number;
	daemon_drain(d);
}

/* The loops exist before their threads: what is listened on is known, and may fail, first. */
static int daemon_make_workers(struct daemon *d)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
	unsigned loops = daemon_loops(&d->settings);
	int err = 0;

	d->worker = calloc(loops, sizeof *d->worker);
	if (!d->worker)
		return ERR_MEMORY;
	while (d->workers < loops && !err) {
		err = worker_create(&d->worker[d->workers], d->workers);
		d->workers += !err;
	}
	return err ? err : loop_signals(d->worker[0].loop, signals, 3, daemon_caught, d);
}

static bool daemon_configures(const struct configuration *c, const char *name)
{
	for (unsigned i = 0; i < c->services; i++)
		if (strcmp(c->service[i].row->name, name) == 0)
			return true;
	return false;
}

static int daemon_open(struct daemon *d, struct configuration *c, struct daemon_trouble *trouble)
{
	int err = 0;

	for (unsigned i = 0; i < c->services && !err; i++) {
		err = daemon_open_service(d, &c->service[i], NULL, &d->service[i], trouble);
		d->services += !err;
	}
	for (unsigned i = 0; i < d->given && !err; i++)
		if (!daemon_configures(c, d->given_name[i])) {
			snprintf(trouble->message, sizeof trouble->message,
				 _("a socket from systemd is called '%s', and no service of that "
				   "name runs here (FileDescriptorName=)"),
				 d->given_name[i]);
			err = ERR_USAGE;
		}
	if (!err)
		trouble->service = NULL;
	return err;
}

/* Gives up what is not needed any more: root, and the sight of other people's files. */
static int daemon_confine(struct daemon *d, const struct configuration *c,
			  struct daemon_trouble *trouble)
{
	const char *sockets[CONFIGURATION_SERVICES_MOST * ENDPOINT_MOST + 2] = {NULL};
	struct service_path paths[DAEMON_PATHS_MOST] = {0};
	unsigned count = 0, path_count = daemon_key_paths(d, paths, DAEMON_PATHS_MOST);
	int ruleset_fd = 0, err = 0;

	for (unsigned i = 0; i < c->services; i++)
		for (unsigned k = 0; k < c->service[i].endpoints; k++)
			if (c->service[i].endpoint[k].unix_path)
				sockets[count++] = c->service[i].endpoint[k].host;
	for (unsigned i = 0; i < d->services; i++) {
		const struct configuration_service *s = running_configuration(d->service[i]);

		if (s->row->keeper && s->row->keeper->paths)
			path_count += s->row->keeper->paths(s->settings, paths + path_count,
							    DAEMON_PATHS_MOST - path_count);
	}
	if (d->control)
		sockets[count++] = control_path(d->control);
	/* The token in it, which may be made later: no rule can be had for what is not there. */
	if (d->config_dir[0] && path_count < DAEMON_PATHS_MOST && place_make(d->config_dir) == 0)
		paths[path_count++] = (struct service_path){.path = d->config_dir};
	if (d->settings.sandbox)
		ruleset_fd = sandbox_prepare(d->state_err ? NULL : d->state_dir,
					     d->plan->request.path, sockets, paths, path_count,
					     &d->unconfined_by);
	if (d->settings.user) {
		err = sandbox_become(d->settings.user, d->state_err ? NULL : d->state_dir);
		if (err)
			snprintf(trouble->message, sizeof trouble->message, "user = \"%s\": %s",
				 d->settings.user, _(err_text(err)));
	}
	if (d->settings.sandbox)
		d->unconfined = ruleset_fd < 0 ? ruleset_fd : sandbox_enter(ruleset_fd);
	return err;
}

static void daemon_tell_unconfined(struct daemon *d)
{
	struct event e;

	event_init(&e, EVENT_WARNING, "daemon.unconfined", NULL,
		   loop_now(d->worker[0].loop)->wall_us);
	event_string(&e, "why", err_name(d->unconfined));
	if (d->unconfined_by)
		event_string(&e, "path", d->unconfined_by);
	events_publish(d->events, &e);
}

static int daemon_start_services(struct daemon *d, struct daemon_trouble *trouble)
{
	int err = 0;

	for (unsigned i = 0; i < d->services && !err; i++) {
		const struct service_row *row = running_configuration(d->service[i])->row;

		err = running_start(d->service[i]);
		if (!err)
			continue;
		trouble->service = row->name;
		err = daemon_say_record(d, row, err, trouble);
	}
	daemon_share_ports(d);
	for (unsigned i = 1; i < d->workers && !err; i++)
		err = worker_start(&d->worker[i]);
	return err;
}

static int daemon_set_up(struct daemon *d, struct configuration *c, struct daemon_trouble *trouble)
{
	int err;

	d->settings = c->daemon;
	loop_raise_descriptors();
	err = daemon_make_workers(d);
	if (err)
		return err;
	daemon_find_state(d);
	d->given = notify_sockets(d->given_socket, d->given_name, RUNNING_SOCKETS_MOST,
				  d->given_names, sizeof d->given_names);
	err = daemon_load_key(d, c, trouble);
	if (!err)
		err = daemon_open_face(d);
	if (!err)
		err = daemon_open(d, c, trouble);
	if (!err)
		err = daemon_confine(d, c, trouble);
	if (!err)
		err = daemon_start_face(d);
	if (!err)
		err = daemon_start_services(d, trouble);
	return err;
}

int daemon_start(struct daemon **started, const struct daemon_plan *plan,
		 struct daemon_trouble *trouble)
{
	struct daemon *d = calloc(1, sizeof *d);
	int err;

	*trouble = (struct daemon_trouble){0};
	if (!d)
		return ERR_MEMORY;
	d->plan = plan;
	err = daemon_read(&plan->request, &d->configuration, trouble);
	if (!err)
		err = daemon_resolve(d->configuration, trouble);
	if (!err)
		err = daemon_set_up(d, d->configuration, trouble);
	if (err) {
		daemon_free(d);
		return err;
	}
	*started = d;
	return 0;
}

bool daemon_bound(const struct daemon *d, unsigned index, const struct service_row **row,
		  struct running_socket *socket)
{
	for (unsigned i = 0; i < d->services; i++)
		for (unsigned k = 0; running_bound(d->service[i], k, socket); k++)
			if (index-- == 0) {
				*row = running_configuration(d->service[i])->row;
				return true;
			}
	return false;
}

int daemon_run(struct daemon *d)
{
	notify_send("READY=1");
	if (d->unconfined)
		daemon_tell_unconfined(d);
	if (d->control_err)
		daemon_tell_control(d);
	loop_run(d->worker[0].loop);
	return d->signal_number;
}

/* No worker's thread runs any more: its mail is taken here, the first one's first, since it asks
 * the others. */
static void daemon_take_mail(struct daemon *d)
{
	for (unsigned i = 0; i < d->workers; i++)
		loop_take_mail(d->worker[i].loop);
}

/* What the ends post is taken before anything is freed; by then nobody finds the services who asks
 * for them. */
static void daemon_free_services(struct daemon *d)
{
	unsigned services = d->services, retired = d->retired;

	for (unsigned i = 0; i < services; i++)
		running_end(d->service[i]);
	for (unsigned i = 0; i < retired; i++)
		running_end(d->old[i]);
	d->services = d->retired = 0;
	daemon_take_mail(d);
	for (unsigned i = 0; i < services; i++)
		running_free(d->service[i]);
	for (unsigned i = 0; i < retired; i++)
		running_free(d->old[i]);
}

bool daemon_free(struct daemon *d)
{
	bool reading;

	if (!d)
		return true;
	d->signal_number = d->signal_number ? d->signal_number
					    : SIGTERM; /* nothing is reloaded now */
	for (unsigned i = 1; i < d->workers; i++)
		worker_stop(&d->worker[i]);
	daemon_take_mail(d); /* it may lie in a service, or be a reload's answer */
	reading = !daemon_withdraw_reload(d);
	daemon_free_services(d);
	if (!daemon_close_face(d) || reading)
		return false;
	for (unsigned i = 0; i < d->workers; i++)
		worker_destroy(&d->worker[i]);
	configuration_free(d->configuration);
	tls_key_free(d->key);
	free(d->worker);
	free(d->old);
	free(d);
	return true;
}

int daemon_check(const struct configuration_request *request, struct daemon_trouble *trouble)
{
	struct configuration *c;
	int err;

	*trouble = (struct daemon_trouble){0};
	err = daemon_read(request, &c, trouble);
	configuration_free(c);
	return err;
}
