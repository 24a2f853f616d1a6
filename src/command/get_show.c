/* What prise get says beside the content: heads with -i, statuses, times, events. */
#include "command/get_parts.h"

#include "base/number.h"
#include "command/publish.h"
#include "command/say.h"

#include <inttypes.h>
#include <unistd.h>

enum { GET_BAR_COLUMNS = 40, GET_SHOWN_BYTES = 352 };

/* Heads. */

static void show_field_event(const struct get_job *job, const char *name, struct bytes value)
{
	struct event e;

	event_init(&e, EVENT_INFO, "get.field", job->call->command->name, say_now_us());
	event_string(&e, "name", name);
	event_text(&e, "value", value);
	say_event(&e);
}

static void show_field_events(const struct get_job *job, const struct http1_head *head)
{
	for (unsigned i = 0; i < head->fields; i++) {
		char name[FETCH_VALUE_BYTES];
		struct text t = TEXT_OVER(name);

		text_put(&t, head->field[i].name);
		show_field_event(job, name, head->field[i].value);
	}
}

/* On a terminal a head is shown line by line, with its names in bold. */
static void show_head_on_terminal(struct bytes raw)
{
	bool bold = say_coloured(stdout);

	while (raw.len) {
		size_t end = bytes_find_byte(raw, '\n');
		struct bytes line = bytes_strip(bytes_first(raw, end));
		size_t colon = bytes_find_byte(line, ':');
		char shown[HTTP1_LINE_BYTES * 2];
		struct text t = TEXT_OVER(shown);

		if (colon < line.len && bold)
			text_put_string(&t, "\033[1m");
		text_put_visible(&t, bytes_first(line, colon), false);
		if (colon < line.len && bold)
			text_put_string(&t, "\033[0m");
		text_put_visible(&t, bytes_after(line, colon), false);
		puts(shown);
		raw = bytes_after(raw, end < raw.len ? end + 1 : end);
	}
}

void get_show_head(struct get_job *job, const struct http1_head *head, struct bytes raw)
{
	if (!job->given->include && !job->given->head)
		return;
	if (job->call->common.json) {
		show_field_events(job, head);
	} else if (job->sink.kind == GET_TERMINAL) {
		show_head_on_terminal(raw);
	} else {
		fwrite(raw.data, 1, raw.len, stdout);
	}
	say_flush();
}

void get_show_status(const struct get_job *job)
{
	const struct fetch_exchange *x = &job->fetch->exchange;
	const char *reason = http1_reason(x->status);
	char url[URL_BYTES];
	struct text t = TEXT_OVER(url);

	url_put(&t, &x->url);
	say_warning(_("%s answers %u%s%s"), url, x->status, *reason ? " " : "", reason);
}

/* Events. */

static void show_small(const struct get_job *job, struct event *e)
{
	if (job->call->common.json && job->small_len == job->sink.bytes && job->small_len &&
	    text_utf8_valid(bytes_of(job->small, job->small_len)))
		event_text(e, "text", bytes_of(job->small, job->small_len));
}

static void show_event(const struct get_job *job, const struct fetch *f)
{
	const struct fetch_exchange *x = &f->exchange;
	char url[URL_BYTES], method[32];
	struct text u = TEXT_OVER(url), m = TEXT_OVER(method);
	struct event e;

	url_put(&u, &x->url);
	text_put(&m, x->method);
	event_init(&e, EVENT_INFO, "get.exchange", job->call->command->name, say_now_us());
	event_string(&e, "method", method);
	event_text(&e, "url", bytes_first(text_bytes(&u), GET_SHOWN_BYTES));
	event_uint(&e, "status", x->status);
	if (x->remote.family != ADDRESS_NONE)
		event_address(&e, "peer", &x->remote);
	event_bool(&e, "reused", x->reused);
	event_uint(&e, "bytes", x->content_bytes);
	event_uint(&e, "ms", (x->over_ns - x->begun_ns) / MOMENT_MS);
	if (x->type[0])
		event_text(&e, "content_type", bytes_first(bytes_of_string(x->type), 128));
	if (x->location[0])
		event_text(&e, "location",
			   bytes_first(bytes_of_string(x->location), GET_SHOWN_BYTES));
	event_string(&e, "error", err_name(f->err));
	show_small(job, &e);
	publish_and_say(job->call, &e);
	say_flush();
}

/* Times. */

struct show_phase {
	const char *name;
	uint64_t from_ns, took_ns;
};

static unsigned show_phases(const struct fetch_exchange *x, struct show_phase *phase)
{
	uint64_t at_ns = 0, sent_ns = x->sent_ns ? x->sent_ns - x->begun_ns : 0;
	const struct show_phase before[] = {{N_("name"), 0, x->name_ns},
					    {N_("connect"), 0, x->connect_ns},
					    {N_("TLS"), 0, x->tls_ns}};
	unsigned n = 0;

	for (unsigned i = 0; i < 3 && !x->reused; i++) {
		if (i == 2 && !x->tls_ns)
			continue;
		phase[n++] = (struct show_phase){before[i].name, at_ns, before[i].took_ns};
		at_ns += before[i].took_ns;
	}
	if (x->head_ns) {
		uint64_t head_ns = x->head_ns - x->begun_ns;

		phase[n++] = (struct show_phase){N_("first byte"), sent_ns, head_ns - sent_ns};
		phase[n++] = (struct show_phase){N_("transfer"), head_ns, x->over_ns - x->head_ns};
	}
	return n;
}

static void show_phase(const struct show_phase *phase, uint64_t total_ns)
{
	uint64_t unit_ns = total_ns / GET_BAR_COLUMNS + 1;
	unsigned from = (unsigned)(phase->from_ns / unit_ns);
	unsigned columns = (unsigned)(phase->took_ns / unit_ns) + 1;
	char took[32], name[64], padded[32];
	struct text n = TEXT_OVER(name), p = TEXT_OVER(padded);

	if (from + columns > GET_BAR_COLUMNS)
		columns = GET_BAR_COLUMNS > from ? GET_BAR_COLUMNS - from : 1;
	text_put_padded(&n, _(phase->name), 12);
	number_format_duration(phase->took_ns, took, sizeof took);
	text_put_padded(&p, took, 10);
	fprintf(stderr, "  %s %s  %*s", name, padded, (int)from, "");
	for (unsigned i = 0; i < columns; i++)
		fputc('#', stderr);
	fputc('\n', stderr);
}

static void show_timing_event(const struct get_job *job, const struct fetch_exchange *x)
{
	struct event e;

	event_init(&e, EVENT_INFO, "get.timing", job->call->command->name, say_now_us());
	event_uint(&e, "name_us", x->name_ns / 1000);
	event_uint(&e, "connect_us", x->connect_ns / 1000);
	event_uint(&e, "tls_us", x->tls_ns / 1000);
	event_uint(&e, "first_byte_us", x->head_ns ? (x->head_ns - x->sent_ns) / 1000 : 0);
	event_uint(&e, "transfer_us", x->head_ns ? (x->over_ns - x->head_ns) / 1000 : 0);
	event_uint(&e, "total_us", (x->over_ns - x->begun_ns) / 1000);
	publish_and_say(job->call, &e);
	say_flush();
}

void get_show_timing(const struct get_job *job, const struct fetch *f)
{
	const struct fetch_exchange *x = &f->exchange;
	uint64_t total_ns = x->over_ns - x->begun_ns;
	struct show_phase phase[5];
	char url[URL_BYTES], took[32];
	struct text u = TEXT_OVER(url);
	unsigned n;

	show_timing_event(job, x);
	if (job->call->common.json)
		return;
	fflush(stdout);
	url_put(&u, &x->url);
	fprintf(stderr, "%s  %u  %s%s\n", url, x->status,
		number_format_duration(total_ns, took, sizeof took),
		x->reused ? _("  (connection used before)") : "");
	n = show_phases(x, phase);
	for (unsigned i = 0; i < n; i++)
		show_phase(&phase[i], total_ns);
}

void get_show_exchange(struct get_job *job, const struct fetch *f)
{
	show_event(job, f);
	if (job->given->timing)
		get_show_timing(job, f);
}
