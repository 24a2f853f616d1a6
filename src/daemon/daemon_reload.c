/* SIGHUP: all of the new configuration or nothing of it. What can fail is done first; only then do
 * the new services start and the old ones stop listening. Those are freed by a later sweep, when
 * their last connection has gone and no handler is in their code. */
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
		if (!change->kept[i])
			daemon_retire(d, change->service[i]);
}

static int daemon_prepare(struct daemon *d, struct configuration *c, struct daemon_change *change,
			  struct daemon_trouble *trouble)
{
	for (unsigned i = 0; i < c->services; i++) {
		struct configuration_service *wanted = &c->service[i];
		struct running *old = daemon_find(d, wanted->row), *made = old;
		bool kept = old && configuration_same(running_configuration(old), wanted);
		int err = 0;

		if (old && !kept && wanted->row->keeper) {
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
static int daemon_start_change(struct daemon_change *change, struct daemon_trouble *trouble)
{
	int err = 0;

	for (unsigned i = 0; i < change->services && !err; i++) {
		trouble->service = running_configuration(change->service[i])->row->name;
		if (!change->kept[i])
			err = running_start(change->service[i]);
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

static void daemon_apply(struct daemon *d, const struct daemon_change *change)
{
	for (unsigned i = 0; i < d->services; i++) {
		if (!daemon_goes_on(change, d->service[i]))
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

void daemon_reload(struct daemon *d)
{
	struct daemon_change change = {0};
	struct daemon_trouble trouble = {0};
	struct configuration *c = NULL;
	int err;

	notify_reloading();
	daemon_sweep(d);
	err = daemon_make_room(d);
	if (!err)
		err = daemon_read(&d->plan->request, &c, &trouble);
	if (!err)
		err = daemon_check_fixed(d, c, &trouble);
	if (!err)
		err = daemon_prepare(d, c, &change, &trouble);
	if (!err)
		err = daemon_start_change(&change, &trouble);
	if (err) {
		daemon_undo(d, &change);
		if (!trouble.message[0])
			snprintf(trouble.message, sizeof trouble.message, "%s: %s%s%s",
				 trouble.service ? trouble.service : "serve", trouble.socket.where,
				 trouble.listening ? ": " : "", _(err_text(err)));
		daemon_say(d, EVENT_ERROR, "daemon.reload_failed", "why", trouble.message);
	} else {
		d->settings.drain_ms = c->daemon.drain_ms;
		daemon_apply(d, &change);
		daemon_say(d, EVENT_NOTICE, "daemon.reloaded", NULL, NULL);
	}
	configuration_free(c);
	notify_send("READY=1");
}
