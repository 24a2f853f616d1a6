/* SIGHUP: all of the new configuration or nothing of it. It is read, and its names are asked for,
 * in a thread that lives as long. Then what can fail is done first; only after that do the new
 * services start and the old ones stop listening. Those are freed by a later sweep, when their last
 * connection has gone and no handler is in their code. */
#include "daemon/daemon_parts.h"

#include "base/err.h"
#include "daemon/notify.h"

#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>

#define _(s) gettext(s)

/* Frees replaced services whose last connection has gone. */
static void daemon_sweep(struct daemon *d)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < d->retired; i++) {
		if (running_is_empty(d->old[i]))
			running_free(d->old[i]);
		else
			d->old[kept++] = d->old[i];
	}
	d->retired = kept;
}

/* Room to retire all that runs and all that is about to. */
static int daemon_make_room(struct daemon *d)
{
	unsigned room = d->retired + 2 * CONFIGURATION_SERVICES_MOST;
	struct running **grown;

	if (room <= d->retired_room)
		return 0;
	grown = realloc(d->old, room * sizeof *grown);
	if (!grown)
		return ERR_MEMORY;
	d->old = grown;
	d->retired_room = room;
	return 0;
}

/* Stops listening; what is left of it is freed by a later sweep, when nobody is in its code. */
static void daemon_retire(struct daemon *d, struct running *r)
{
	running_retire(r);
	d->old[d->retired++] = r;
}

static struct running *daemon_find(struct daemon *d, const struct service_row *row)
{
	for (unsigned i = 0; i < d->services; i++)
		if (running_configuration(d->service[i])->row == row)
			return d->service[i];
	return NULL;
}

/* What a reload would make: each service kept, or opened anew. */
struct daemon_change {
	unsigned services;
	struct running *service[CONFIGURATION_SERVICES_MOST];
	bool kept[CONFIGURATION_SERVICES_MOST];
};

static void daemon_undo(struct daemon *d, struct daemon_change *change)
{
	for (unsigned i = 0; i < change->services; i++)
		if (!change->kept[i]) {
			running_remove_paths(change->service[i], true, NULL, NULL);
			daemon_retire(d, change->service[i]);
		}
}

static int daemon_prepare(struct daemon *d, struct configuration *c, struct daemon_change *change,
			  struct daemon_trouble *trouble)
{
	for (unsigned i = 0; i < c->services; i++) {
		struct configuration_service *wanted = &c->service[i];
		struct running *old = daemon_find(d, wanted->row), *made = old;
		bool kept = old && configuration_same(running_configuration(old), wanted);
		int err = 0;

		if (old && !kept && wanted->row->keeper && !wanted->row->keeper->plural) {
			snprintf(trouble->message, sizeof trouble->message,
				 _("%s holds state: restart to change it"), wanted->row->name);
			return ERR_SYSTEM;
		}
		if (!kept)
			err = daemon_open_service(d, wanted, old, &made, trouble);
		if (err)
			return err;
		change->service[change->services] = made;
		change->kept[change->services++] = kept;
	}
	return 0;
}

/* Only once all that can fail has been done: a client that a new service took would go with it. */
static int daemon_start_change(const struct daemon *d, struct daemon_change *change,
			       struct daemon_trouble *trouble)
{
	int err = 0;

	for (unsigned i = 0; i < change->services && !err; i++) {
		const struct service_row *row = running_configuration(change->service[i])->row;

		trouble->service = row->name;
		if (!change->kept[i])
			err = running_start(change->service[i]);
		if (err)
			err = daemon_say_record(d, row, err, trouble);
	}
	return err;
}

static bool daemon_goes_on(const struct daemon_change *change, const struct running *r)
{
	for (unsigned i = 0; i < change->services; i++)
		if (change->service[i] == r)
			return true;
	return false;
}

static bool daemon_keeps_path(const void *owner, const char *path)
{
	const struct daemon_change *change = owner;
	struct running_socket socket;

	for (unsigned i = 0; i < change->services; i++)
		for (unsigned k = 0; running_bound(change->service[i], k, &socket); k++)
			if (strcmp(socket.unix_path, path) == 0)
				return true;
	return false;
}

static void daemon_apply(struct daemon *d, const struct daemon_change *change)
{
	for (unsigned i = 0; i < d->services; i++) {
		if (daemon_goes_on(change, d->service[i])) {
			running_reload(d->service[i]);
			continue;
		}
		running_remove_paths(d->service[i], false, daemon_keeps_path, change);
		daemon_retire(d, d->service[i]);
	}
	d->services = change->services;
	memcpy(d->service, change->service, sizeof d->service);
	daemon_share_ports(d);
}

/* Loops, user and sandbox are for a process's life. */
static int daemon_check_fixed(const struct daemon *d, const struct configuration *c,
			      struct daemon_trouble *trouble)
{
	struct configuration_daemon wanted = c->daemon;
	const char *key;

	wanted.drain_ms = d->settings.drain_ms;
	key = configuration_daemon_differs(&d->settings, &wanted);
	if (!key)
		return 0;
	snprintf(trouble->message, sizeof trouble->message, _("%s: restart to change it"), key);
	return ERR_SYSTEM;
}

/* One reload: what its thread reads, then what it comes to. */
struct daemon_reload {
	struct work_job job;
	struct daemon *daemon;
	struct configuration *configuration;
	struct daemon_trouble trouble;
	int err;
};

static void daemon_read_again(struct work_job *job)
{
	struct daemon_reload *r = (struct daemon_reload *)job;

	r->err = daemon_read(&r->daemon->plan->request, &r->configuration, &r->trouble);
	if (!r->err)
		r->err = daemon_resolve(r->configuration, &r->trouble);
}

/* The sandbox was made for the directories of the start. */
static bool daemon_is_walled(const struct daemon *d, const struct daemon_trouble *trouble, int err)
{
	return err == ERR_PERMISSION && trouble->listening && d->settings.sandbox &&
	       !d->unconfined && strncmp(trouble->socket.where, "unix:", 5) == 0;
}

static void daemon_tell_failure(struct daemon *d, struct daemon_trouble *trouble, int err)
{
	if (!trouble->message[0] && daemon_is_walled(d, trouble, err))
		snprintf(trouble->message, sizeof trouble->message,
			 _("%s: %s: the sandbox lets no socket be made there: restart to listen "
			   "on it"),
			 trouble->service, trouble->socket.where);
	if (!trouble->message[0])
		snprintf(trouble->message, sizeof trouble->message, "%s: %s%s%s",
			 trouble->service ? trouble->service : "serve",
			 trouble->listening ? trouble->socket.where : "",
			 trouble->listening ? ": " : "", _(err_text(err)));
	daemon_say(d, EVENT_ERROR, "daemon.reload_failed", "why", trouble->message);
}

/* All of it or nothing. */
static int daemon_carry_out(struct daemon *d, struct configuration *c,
			    struct daemon_trouble *trouble)
{
	struct daemon_change change = {0};
	int err = daemon_make_room(d);

	if (!err)
		err = daemon_check_fixed(d, c, trouble);
	if (!err)
		err = daemon_load_key(d, c, trouble);
	if (!err)
		err = daemon_prepare(d, c, &change, trouble);
	if (!err)
		err = daemon_start_change(d, &change, trouble);
	if (err) {
		daemon_undo(d, &change);
		return err;
	}
	d->settings.drain_ms = c->daemon.drain_ms;
	daemon_apply(d, &change);
	daemon_rekey(d, c);
	return 0;
}

static void daemon_free_reload(struct daemon *d)
{
	configuration_free(d->reload->configuration);
	free(d->reload);
	d->reload = NULL;
}

static void daemon_has_read(struct work_job *job)
{
	struct daemon_reload *r = (struct daemon_reload *)job;
	struct daemon *d = r->daemon;
	bool again = d->reload_again;

	if (!d->signal_number) {
		daemon_sweep(d);
		if (!r->err)
			r->err = daemon_carry_out(d, r->configuration, &r->trouble);
		if (r->err)
			daemon_tell_failure(d, &r->trouble, r->err);
		else
			daemon_say(d, EVENT_NOTICE, "daemon.reloaded", NULL, NULL);
		notify_send("READY=1");
	}
	daemon_free_reload(d);
	work_destroy(d->work);
	d->work = NULL;
	d->reload_again = false;
	if (again && !d->signal_number)
		daemon_reload(d);
}

/* The thread goes with its work: threads that share descriptors make each use of one dearer. */
static int daemon_begin_reload(struct daemon *d)
{
	int err = work_create(&d->work, 1);

	if (err)
		return err;
	d->reload = calloc(1, sizeof *d->reload);
	if (!d->reload)
		return ERR_MEMORY;
	d->reload->job.run = daemon_read_again;
	d->reload->job.done = daemon_has_read;
	d->reload->daemon = d;
	return work_submit(d->work, d->worker[0].loop, &d->reload->job);
}

void daemon_reload(struct daemon *d)
{
	struct daemon_trouble none = {0};
	int err;

	if (d->reload) {
		d->reload_again = true;
		return;
	}
	notify_reloading();
	err = daemon_begin_reload(d);
	if (!err)
		return;
	work_destroy(d->work);
	free(d->reload);
	d->work = NULL;
	d->reload = NULL;
	daemon_tell_failure(d, &none, err);
	notify_send("READY=1");
}

bool daemon_withdraw_reload(struct daemon *d)
{
	if (!d->reload)
		return true;
	if (!work_withdraw(d->work, &d->reload->job))
		return false;
	daemon_free_reload(d);
	work_destroy(d->work);
	d->work = NULL;
	return true;
}
