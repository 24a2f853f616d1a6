/* prise events: what was collected, from the store; what the daemon itself tells, from its control
 * socket (events_control.c).
 *
 * The store is read by a handle of this process's own, a bounded piece at a time, so that neither
 * the daemon nor its checkpoints wait for whoever reads (SQLite's WAL). Following is looking for a
 * next row: a look costs microseconds, and is made ten times a second. */
#include "command/events_parts.h"

#include "base/place.h"
#include "base/when.h"
#include "command/say.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum { EVENTS_LOOK_MS = 100, EVENTS_SCAN_MOST = 20000, EVENTS_FOLLOW_LINES = 10 };

static const struct option options[] = {
	{.name = "client",
	 .type = OPTION_TEXT,
	 .argument = N_("CLIENT"),
	 .offset = offsetof(struct events_options, client),
	 .help = N_("changes of this client alone: its id, its host's name, or a part")},
	{.name = "path",
	 .type = OPTION_TEXT,
	 .argument = "GLOB",
	 .offset = offsetof(struct events_options, path),
	 .help = N_("changes of paths like this: * is anything, / too; ? one character")},
	{.name = "text",
	 .type = OPTION_TEXT,
	 .argument = N_("TEXT"),
	 .offset = offsetof(struct events_options, text),
	 .help = N_("changes of paths with TEXT in them, in either case")},
	{.name = "since",
	 .type = OPTION_TEXT,
	 .argument = "T",
	 .offset = offsetof(struct events_options, since),
	 .help = N_("from T on: 10m (ago), 2026-01-31, or 2026-01-31 09:05")},
	{.name = "until",
	 .type = OPTION_TEXT,
	 .argument = "T",
	 .offset = offsetof(struct events_options, until),
	 .help = N_("up to T")},
	{.name = "type",
	 .type = OPTION_LIST,
	 .argument = "TYPE",
	 .offset = offsetof(struct events_options, type),
	 .help = N_("this type alone: create, delete, ...; or of the daemon: role.change")},
	{.name = "limit",
	 .letter = 'n',
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct events_options, limit),
	 .help = N_("the newest N; 0: all (10 with --follow, else all)")},
	{.name = "follow",
	 .letter = 'f',
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct events_options, follow),
	 .help = N_("go on with those to come")},
	{.name = "store",
	 .type = OPTION_TEXT,
	 .argument = N_("FILE"),
	 .offset = offsetof(struct events_options, store),
	 .help = N_("this store, instead of the one of the daemon on this machine")},
	OPTION_END,
};

/* What is being read. */
struct reading {
	const struct events_ask *ask;
	struct journal_reader *reader;
	struct journal_filter filter;
	uint64_t row;  /* everything up to it was looked at */
	bool over;     /* nobody reads what is printed */
	int64_t today; /* as local_day */
	const char *path;
	char why[256];
};

static char line[CHANGE_JSON_BYTES];

int32_t events_offset_s(int64_t wall_us)
{
	static int64_t hour = INT64_MIN;
	static int32_t offset_s;

	/* It never changes within a quarter of an hour. */
	if (wall_us / 900000000 != hour) {
		hour = wall_us / 900000000;
		offset_s = moment_offset_s(wall_us);
	}
	return offset_s;
}

/* Days since 1970 where we are. */
static int64_t local_day(int64_t wall_us)
{
	int64_t local_s = wall_us / 1000000 + events_offset_s(wall_us);

	return local_s / 86400 - (local_s % 86400 < 0);
}

/* A time alone is today's. */
static void put_other_day(struct text *t, const struct reading *r, int64_t wall_us)
{
	int64_t day = local_day(wall_us);
	struct moment_date d = moment_date_of(day * 86400);

	if (day != r->today)
		text_printf(t, "%04lld-%02d-%02d ", (long long)d.year, d.month, d.day);
}

/* What went before it was read, if anything did. */
static void say_missed(const struct reading *r)
{
	uint64_t from, to;
	struct event e;

	if (!journal_reader_missed(r->reader, &from, &to))
		return;
	if (!r->ask->call->common.json) {
		say_warning(_("%llu rows were too old, or too many, before they were read"),
			    (unsigned long long)(to - from + 1));
		return;
	}
	event_init(&e, EVENT_WARNING, "gap", "collect", say_now_us());
	event_uint(&e, "dropped", to - from + 1);
	event_uint(&e, "from", from);
	event_uint(&e, "to", to);
	say_event(&e);
}

static bool print_row(void *owner, const struct journal_row *row)
{
	struct reading *r = owner;
	char name[256];
	struct text t = TEXT_OVER(line), host = TEXT_OVER(name);

	say_missed(r);
	text_put(&host, row->host);
	if (r->ask->call->common.json) {
		change_put_json(&t, &row->change, host.len ? name : NULL, row->client, row->seq);
	} else {
		put_other_day(&t, r, row->change.time_us);
		change_put_line(&t, &row->change, host.len ? name : row->client,
				events_offset_s(row->change.time_us));
	}
	return fwrite(t.data, 1, t.len, stdout) == t.len;
}

static bool note_row(void *owner, const struct journal_row *row)
{
	*(uint64_t *)owner = row->row;
	return true;
}

/* A store that is damaged is no peer's fault: that error would be one. */
static int say_failed(const struct reading *r, const char *path, int err)
{
	char text[PLACE_BYTES + 512];

	snprintf(text, sizeof text, _("the store cannot be read: %s: %s"), path,
		 _(r->why[0] ? r->why : err_text(err)));
	return say_told(path, err_exit(err) == 9 ? err : ERR_DISK, text,
			_("prise doctor, or the log of prise serve"));
}

/* Moves to before the newest `limit` that match; when none does, to the newest row of all. 0 or
 * ERR_. */
static int seek_newest(struct reading *r)
{
	static const struct journal_filter all;
	uint64_t oldest = 0, at, left = r->ask->limit;
	bool end;
	int64_t any = journal_read(r->reader, &all, 0, true, 1, 0, note_row, &r->row, &at, &end);

	if (any < 0)
		return (int)any;
	at = r->row + 1;
	end = any == 0;
	while (!end && left) {
		int64_t found = journal_read(r->reader, &r->filter, at, true, left,
					     EVENTS_SCAN_MOST, note_row, &oldest, &at, &end);

		if (found < 0)
			return (int)found;
		left -= (uint64_t)found;
	}
	r->row = oldest ? oldest - 1 : r->row;
	return 0;
}

/* Prints all there is now. 0 or ERR_. */
static int print_rows(struct reading *r)
{
	bool end = false;

	r->today = local_day(say_now_us());
	while (!end && !r->over) {
		int64_t found = journal_read(r->reader, &r->filter, r->row, false, 0,
					     EVENTS_SCAN_MOST, print_row, r, &r->row, &end);

		if (found < 0)
			return (int)found;
		say_missed(r);
		r->over = ferror(stdout) != 0;
	}
	return 0;
}

/* Its file was removed or replaced: goes on with the one that is there, once there is one, and
 * says so. 0 or ERR_. */
static int open_anew(struct reading *r)
{
	struct journal_reader *reader;
	struct event e;
	int err = journal_reader_open(&reader, r->path, r->why);

	if (err == ERR_NO_FILE || err == ERR_SYNTAX || err == ERR_IN_USE) /* it is being made */
		return 0;
	if (err)
		return err;
	journal_reader_close(r->reader);
	r->reader = reader;
	r->row = 0;
	event_init(&e, EVENT_WARNING, "gap", "collect", say_now_us());
	event_string(&e, "path", r->path);
	if (r->ask->call->common.json)
		say_event(&e);
	else
		say_warning(_("%s was replaced: what follows is the new one's, from its first"),
			    r->path);
	return 0;
}

/* Until somebody interrupts, or nobody reads. */
static int follow(struct reading *r)
{
	struct pollfd reader = {.fd = STDOUT_FILENO};
	int err = 0;

	while (!err && say_flush() && !r->over) {
		if (poll(&reader, 1, EVENTS_LOOK_MS) > 0 && reader.revents & (POLLERR | POLLHUP))
			break;
		err = journal_reader_is_gone(r->reader) ? open_anew(r) : print_rows(r);
	}
	return err;
}

static int read_store(struct reading *r, const char *path)
{
	const struct events_options *given = r->ask->given;
	int err = journal_reader_open(&r->reader, path, r->why), code;

	r->path = path;
	if (err)
		return err;
	if (r->ask->newest_only)
		err = seek_newest(r);
	if (!err)
		err = print_rows(r);
	if (!err && given->follow)
		err = follow(r);
	code = err ? say_failed(r, path, err) : say_end(0);
	journal_reader_close(r->reader);
	return code;
}

/* The store of whoever runs the command, else the system's. */
static int read_any_store(struct reading *r, char *path, size_t path_bytes)
{
	struct text place = text_over(path, path_bytes);
	int err = place_state(&place);

	text_put_string(&place, "/collect.db");
	if (!err)
		err = place.cut ? ERR_TOO_LONG : read_store(r, path);
	if (err != ERR_NO_FILE || getenv("XDG_STATE_HOME"))
		return err;
	place = text_over(path, path_bytes);
	text_put_string(&place, "/var/lib/prise/collect.db");
	return read_store(r, path);
}

static int say_no_store(const struct reading *r, const char *path, int err)
{
	const char *why = r->why[0] ? r->why : err_text(err);
	char text[PLACE_BYTES + 512];

	if (err != ERR_NO_FILE && err != ERR_PERMISSION)
		return say_failed(r, path, err);
	if (err == ERR_NO_FILE)
		snprintf(text, sizeof text, _("nothing was collected here: %s: %s"), path, _(why));
	else
		snprintf(text, sizeof text, "%s: %s", path, _(err_text(err)));
	return say_told(path, err, text,
			err == ERR_PERMISSION
				? _("the user that prise serve runs as, or --store FILE")
				: _("prise serve collect, and prise watch DIR --to HOST"));
}

static int run_store(const struct events_ask *ask, unsigned types)
{
	const struct events_options *given = ask->given;
	struct reading r = {.ask = ask};
	char path[PLACE_BYTES + 16] = "";
	int err;

	r.filter.types = types;
	r.filter.since_us = ask->since_us;
	r.filter.until_us = ask->until_us;
	if (given->client)
		r.filter.client = bytes_of_string(given->client);
	if (given->path)
		r.filter.path = bytes_of_string(given->path);
	if (given->text)
		r.filter.text = bytes_of_string(given->text);
	if (given->store)
		snprintf(path, sizeof path, "%s", given->store);
	err = given->store ? read_store(&r, path) : read_any_store(&r, path, sizeof path);
	if (err >= 0)
		return err;
	/* Who may use the socket but not the file (the group prise) gets what the daemon holds. */
	if (err == ERR_PERMISSION && !given->store)
		return events_ask_daemon(ask);
	return say_no_store(&r, path, err);
}

/* `create`, `watch.create`, `watch`: a change's type, or all of them. 0: none. */
static unsigned change_types(struct bytes word)
{
	struct bytes prefix = BYTES_LITERAL("watch.");
	unsigned type;

	if (bytes_equal(word, BYTES_LITERAL("watch")))
		return (1u << CHANGE_TYPES) - 2;
	if (bytes_equal(bytes_first(word, prefix.len), prefix))
		word = bytes_after(word, prefix.len);
	type = change_type_of(word);
	return type ? 1u << type : 0;
}

bool events_wants(const struct events_ask *ask, const char *type)
{
	const struct option_list *wanted = &ask->given->type;
	struct bytes name = bytes_of_string(type);

	for (unsigned i = 0; i < wanted->count; i++) {
		struct bytes word = bytes_of_string(wanted->item[i]);
		unsigned types = change_types(word);

		if (bytes_equal(bytes_first(name, word.len), word) &&
		    (name.len == word.len || name.data[word.len] == '.'))
			return true;
		if (types & change_types(name) && strncmp(type, "watch.", 6) == 0)
			return true;
	}
	return !wanted->count && strncmp(type, "watch.", 6) == 0;
}

static bool is_event_type(struct bytes word)
{
	for (size_t i = 0; i < word.len; i++)
		if (word.data[i] != '.' && word.data[i] != '_' &&
		    (word.data[i] < 'a' || word.data[i] > 'z'))
			return false;
	return word.len > 0;
}

/* The type of a change that `word` is but for one letter, or NULL. */
static const char *nearly_change_type(const char *word)
{
	for (unsigned type = 1; type < CHANGE_TYPES; type++)
		if (text_distance(word, change_type_name(type)) == 1)
			return change_type_name(type);
	return NULL;
}

/* All of them changes: their bits in `types`. Otherwise `*daemons`. Returns 0 or 2, said so. */
static int parse_types(const struct option_list *words, unsigned *types, bool *daemons)
{
	for (unsigned i = 0; i < words->count; i++) {
		struct bytes word = bytes_of_string(words->item[i]);
		unsigned bits = change_types(word);
		const char *near = bits ? NULL : nearly_change_type(words->item[i]);

		if (near || (!bits && !is_event_type(word)))
			return say_usage(near ? near : _("--type create, or --type role.change"),
					 _("there is no type %s"), words->item[i]);
		*types |= bits;
		*daemons = *daemons || !bits;
	}
	return 0;
}

static int parse_time(const char *option, const char *text, int64_t *us)
{
	struct moment now = {0};

	if (!text)
		return 0;
	moment_read(&now);
	if (when_parse(bytes_of_string(text), &now, moment_offset_s, us) == 0)
		return 0;
	return say_usage(_("10m (ago), 2026-01-31, \"2026-01-31 09:05:07\", RFC 3339"),
			 _("%s %s is no time"), option, text);
}

static int run(struct command_call *call)
{
	const struct events_options *given = call->options;
	struct events_ask ask = {.call = call, .given = given, .limit = given->limit};
	unsigned types = 0;
	bool daemons = false;
	int code;

	if (call->argc)
		return say_usage(_("--path GLOB, --client CLIENT, --type TYPE"),
				 _("%s: no argument is taken"), call->argv[0]);
	code = parse_types(&given->type, &types, &daemons);
	if (!code)
		code = parse_time("--since", given->since, &ask.since_us);
	if (!code)
		code = parse_time("--until", given->until, &ask.until_us);
	if (code)
		return code;
	if (given->until && !ask.until_us)
		ask.until_us = 1; /* 0 is no bound */
	if (!ask.limit && given->follow && !given->since)
		ask.limit = EVENTS_FOLLOW_LINES;
	ask.newest_only = ask.limit > 0;
	if (!daemons)
		return run_store(&ask, types);
	if (given->client || given->path || given->text || given->store)
		return say_usage(_("--type with changes alone: create, modify, delete, ..."),
				 _("--client, --path, --text and --store are of changes"));
	return events_ask_daemon(&ask);
}

const struct command command_events = {
	.name = "events",
	.synopsis = N_("[--client CLIENT] [--path GLOB] [--since T] [--type TYPE]... [-f]"),
	.about = N_(
		"Shows the changes of watched directories that `prise serve collect` has stored on "
		"this machine, in the order in which they were stored: all, or those that all the "
		"options given agree on. The daemon need not run.\n\n"
		"With --type of anything else, such as role.change or conn, shows the running "
		"daemon's own events, as many as it still holds (4096). The types are in "
		"docs/events.md; the first word of one stands for all that begin with it."),
	.examples = "prise events --path '*.conf'\n"
		    "prise events --type delete --follow\n"
		    "prise events --json -n 1000\n"
		    "prise events --type role --follow\n",
	.options = options,
	.options_bytes = sizeof(struct events_options),
	.run = run,
};
