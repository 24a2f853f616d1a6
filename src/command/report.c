/* Connections, reported. The fields are those of the services' conn.open and conn.close. */
#include "command/report.h"

#include "command/publish.h"
#include "command/say.h"
#include "command/wire.h"

enum { REPORT_PIECE_BYTES = 1024 };

static void report_begin(const struct report *r, struct event *e, const char *type)
{
	event_init(e, EVENT_INFO, type, r->call->command->name, say_now_us());
	event_uint(e, "conn", r->number);
	event_address(e, "peer", &r->remote);
}

static void report_say(const struct report *r, const struct event *e)
{
	publish_event(r->call, e);
	if (!r->call->common.json)
		return;
	say_event(e);
	say_flush();
}

void report_open(const struct report *r)
{
	struct event e;

	if (r->call->common.verbose && !r->shown)
		wire_connected(&r->local, &r->remote);
	report_begin(r, &e, "conn.open");
	event_address(&e, "local", &r->local);
	report_say(r, &e);
}

void report_data(const struct report *r, struct bytes b)
{
	struct event e;

	do {
		struct bytes piece = bytes_first(b, REPORT_PIECE_BYTES);

		if (piece.len < b.len)
			piece.len -= text_utf8_incomplete_tail(piece);
		report_begin(r, &e, "conn.data");
		event_text(&e, "text", piece);
		say_event(&e);
		b = bytes_after(b, piece.len);
	} while (b.len);
}

void report_close(const struct report *r, int err, uint64_t in_bytes, uint64_t out_bytes,
		  uint64_t now_ns)
{
	struct event e;

	if (r->call->common.verbose)
		wire_closed(&r->remote, err ? _(err_text(err)) : _("done"));
	report_begin(r, &e, "conn.close");
	if (in_bytes != REPORT_UNKNOWN)
		event_uint(&e, "in_bytes", in_bytes);
	if (out_bytes != REPORT_UNKNOWN)
		event_uint(&e, "out_bytes", out_bytes);
	event_uint(&e, "ms", (now_ns - r->opened_ns) / MOMENT_MS);
	event_string(&e, "why", err_name(err));
	report_say(r, &e);
}
