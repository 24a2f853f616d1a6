/* What the daemon tells of itself, made and unmade in order: events, then what follows them. */
#include "daemon/daemon_parts.h"

#include "base/err.h"
#include "proto/http_server.h"

enum { DAEMON_LOG_WAIT_MS = 2000 };

int daemon_open_face(struct daemon *d)
{
	struct text config = TEXT_OVER(d->config_dir);
	int err = events_create(&d->events);

	d->started_us = loop_now(d->worker[0].loop)->wall_us;
	if (place_config(&config) < 0)
		d->config_dir[0] = '\0';
	if (!err)
		err = snapshot_create(&d->snapshots, d);
	if (!err)
		err = api_create(&d->api, d->events, d->snapshots, d->config_dir, d->state_dir);
	if (!err)
		d->control_err = control_open(&d->control, d->events, &d->control_pid);
	return err;
}

void daemon_tell_control(struct daemon *d)
{
	char path[PLACE_BYTES];
	struct text where = TEXT_OVER(path);
	struct event e;

	event_init(&e, EVENT_WARNING, "control.failed", NULL, loop_now(d->worker[0].loop)->wall_us);
	event_string(&e, "why", err_name(d->control_err));
	if (place_control(&where) == 0)
		event_string(&e, "path", path);
	if (d->control_pid > 0)
		event_uint(&e, "pid", (uint64_t)d->control_pid);
	events_publish(d->events, &e);
}

int daemon_start_face(struct daemon *d)
{
	int err = log_start(&d->log, &d->plan->log), kept[EVENTS_KEPT];
	unsigned count = 0;

	if (err)
		return err;
	kept[count++] = log_wake_descriptor(d->log);
	if (d->control)
		kept[count++] = control_descriptor(d->control);
	for (unsigned i = 0; i < d->workers; i++)
		kept[count++] = loop_wake_descriptor(d->worker[i].loop);
	return events_start(d->events, d->log, kept, count);
}

bool daemon_close_face(struct daemon *d)
{
	snapshot_destroy(d->snapshots);
	events_stop(d->events);
	control_close(d->control);
	if (!log_stop(d->log, DAEMON_LOG_WAIT_MS))
		return false;
	api_destroy(d->api);
	events_free(d->events);
	return true;
}

bool daemon_put_dashboard(const struct daemon *d, struct text *url)
{
	const struct service_row *row;
	struct running_socket s;
	const struct http_settings *settings = NULL;
	unsigned i = 0;

	while (daemon_bound(d, i, &row, &s) && (row->machine != &http_machine || s.unix_path[0]))
		i++;
	if (!daemon_bound(d, i, &row, &s))
		return false;
	for (unsigned k = 0; k < d->services; k++)
		if (running_configuration(d->service[k])->row == row)
			settings = running_configuration(d->service[k])->settings;
	text_put_string(url, s.tls ? "https://" : "http://");
	if (address_is_any(&s.address))
		text_printf(url, "localhost:%u", s.address.port);
	else
		address_put(url, &s.address);
	text_put_string(url, settings && settings->root ? "/_prise/" : "/");
	return true;
}
