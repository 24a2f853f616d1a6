/* Snapshots as JSON: see docs/protocols/api.md for their fields. */
#include "daemon/snapshot_parts.h"

#include "base/event.h"

#include <stdio.h>
#include <unistd.h>

/* A comma, unless the object or array has just begun. */
static void put_comma(struct text *t)
{
	if (t->len && t->data[t->len - 1] != '{' && t->data[t->len - 1] != '[')
		text_put_byte(t, ',');
}

void snapshot_put_name(struct text *t, const char *name)
{
	put_comma(t);
	event_put_json_string(t, bytes_of_string(name));
	text_put_byte(t, ':');
}

void snapshot_put_string(struct text *t, const char *name, const char *value)
{
	snapshot_put_name(t, name);
	event_put_json_string(t, bytes_of_string(value));
}

void snapshot_put_number(struct text *t, const char *name, uint64_t value)
{
	snapshot_put_name(t, name);
	text_printf(t, "%llu", (unsigned long long)value);
}

void snapshot_put_bool(struct text *t, const char *name, bool value)
{
	snapshot_put_name(t, name);
	text_put_string(t, value ? "true" : "false");
}

void snapshot_put_time(struct text *t, const char *name, int64_t wall_us)
{
	snapshot_put_name(t, name);
	text_put_byte(t, '"');
	moment_put_rfc3339(t, wall_us);
	text_put_byte(t, '"');
}

void snapshot_put_address(struct text *t, const char *name, const struct address *address)
{
	char where[ADDRESS_TEXT_BYTES];
	struct text w = TEXT_OVER(where);

	address_put(&w, address);
	snapshot_put_string(t, name, where);
}

static void put_listen(struct text *t, const struct running *r)
{
	struct running_socket socket;

	snapshot_put_name(t, "listen");
	text_put_byte(t, '[');
	for (unsigned i = 0; running_bound(r, i, &socket); i++) {
		char where[sizeof socket.unix_path + 8];

		put_comma(t);
		text_put_byte(t, '{');
		snapshot_put_string(t, "transport", socket.datagram ? "udp" : "tcp");
		snprintf(where, sizeof where, "unix:%s", socket.unix_path);
		if (socket.unix_path[0])
			snapshot_put_string(t, "address", where);
		else
			snapshot_put_address(t, "address", &socket.address);
		text_put_byte(t, '}');
	}
	text_put_byte(t, ']');
}

static void put_service(struct text *t, const struct running *r)
{
	const struct configuration_service *c = running_configuration(r);
	struct running_stats stats = running_stats(r);

	put_comma(t);
	text_put_byte(t, '{');
	snapshot_put_string(t, "name", c->row->name);
	put_listen(t, r);
	snapshot_put_bool(t, "tls", c->common.tls);
	snapshot_put_number(t, "open", stats.open);
	snapshot_put_number(t, "opened", stats.opened);
	snapshot_put_number(t, "refused", stats.refused);
	snapshot_put_number(t, "bytes_in", stats.bytes_in + stats.datagram_bytes_in);
	snapshot_put_number(t, "bytes_out", stats.bytes_out + stats.datagram_bytes_out);
	snapshot_put_number(t, "datagrams_in", stats.datagrams_in);
	snapshot_put_number(t, "datagrams_out", stats.datagrams_out);
	snapshot_put_number(t, "datagrams_refused", stats.datagrams_refused);
	snapshot_put_string(t, "summary", c->row->summary);
	text_put_byte(t, '}');
}

static void put_states(struct text *t, const struct daemon *d)
{
	for (unsigned i = 0; i < d->services; i++) {
		const struct service_row *row = running_configuration(d->service[i])->row;

		if (!row->keeper || !row->keeper->show)
			continue;
		snapshot_put_name(t, row->name);
		running_show(d->service[i], false, t);
	}
}

void snapshot_put_status(struct text *t, const struct daemon *d)
{
	text_put_byte(t, '{');
	snapshot_put_string(t, "version", PRISE_VERSION);
	snapshot_put_string(t, "host", events_host(d->events));
	snapshot_put_number(t, "pid", (uint64_t)getpid());
	snapshot_put_time(t, "started", d->started_us);
	snapshot_put_time(t, "time", loop_now(d->worker[0].loop)->wall_us);
	snapshot_put_name(t, "services");
	text_put_byte(t, '[');
	for (unsigned i = 0; i < d->services; i++)
		put_service(t, d->service[i]);
	text_put_string(t, "],\"events\":{");
	snapshot_put_number(t, "seq", events_newest(d->events));
	snapshot_put_number(t, "dropped", events_dropped(d->events));
	text_put_byte(t, '}');
	put_states(t, d);
	text_put_byte(t, '}');
}

static void put_connection(struct text *t, const struct snapshot_row *row, int64_t boot_wall_us)
{
	char id[24];

	put_comma(t);
	text_put_byte(t, '{');
	/* A double does not hold every id. */
	snprintf(id, sizeof id, "%llu", (unsigned long long)row->view.id);
	snapshot_put_string(t, "id", id);
	snapshot_put_string(t, "service", row->service);
	snapshot_put_address(t, "peer", &row->view.remote);
	snapshot_put_time(t, "opened", boot_wall_us + (int64_t)(row->view.opened_ns / 1000));
	snapshot_put_number(t, "bytes_in", row->view.bytes_in);
	snapshot_put_number(t, "bytes_out", row->view.bytes_out);
	snapshot_put_number(t, "queued", row->view.queued);
	text_put_byte(t, '}');
}

void snapshot_put_connections(struct text *t, const struct snapshot_row *rows, unsigned count,
			      uint64_t offset, uint64_t total, int64_t boot_wall_us)
{
	text_put_byte(t, '{');
	snapshot_put_number(t, "total", total);
	snapshot_put_name(t, "connections");
	text_put_byte(t, '[');
	for (uint64_t i = offset; i < count; i++)
		put_connection(t, &rows[i], boot_wall_us);
	text_put_string(t, "]}");
}
