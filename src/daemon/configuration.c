/* The configuration, read by libconfuse from the option tables: every key is text to the library, and
 * base/option.h says what it means, so a file and a command line are judged by the same rows.
 *
 * Source: libconfuse's cfg_parse(3). */
#include "daemon/configuration.h"

#include "base/err.h"

#include <confuse.h>
#include <errno.h>
#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>

#define _(s) gettext(s)
#define N_(s) s

enum { CONFIGURATION_KEYS_MOST = 48, CONFIGURATION_VALUE_BYTES = 1024 };

const struct option configuration_options[] = {
	{.name = "loops", .type = OPTION_COUNT, .most = 64,
	 .offset = offsetof(struct configuration_daemon, loops), .fallback = "0",
	 .help = N_("event loops, a thread each; 0: one a processor, 8 at most")},
	{.name = "user", .type = OPTION_TEXT, .offset = offsetof(struct configuration_daemon, user),
	 .help = N_("become this user once the ports are bound")},
	{.name = "sandbox", .type = OPTION_FLAG, .fallback = "yes",
	 .offset = offsetof(struct configuration_daemon, sandbox),
	 .help = N_("confine the daemon to its own files (Landlock)")},
	{.name = "drain", .type = OPTION_DURATION, .fallback = "10s",
	 .offset = offsetof(struct configuration_daemon, drain_ms),
	 .help = N_("time that unfinished exchanges get when the daemon stops")},
	OPTION_END,
};

/* The keys of a block: the common ones, then the machine's. */
static const struct option *configuration_tables(const struct service_row *row, unsigned i)
{
	if (i == 0)
		return service_options;
	return i == 1 ? row->machine->settings : NULL;
}

static const struct option *configuration_key(const struct service_row *row, const char *name)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct option *table = configuration_tables(row, i);
		const struct option *found = table ? option_find(table, name, strlen(name)) : NULL;

		if (found)
			return found;
	}
	return NULL;
}

/* The nearest valid key of a block, or of the file itself when `row` is NULL. */
static const char *configuration_nearest(const struct service_row *row, const char *name)
{
	const char *best = NULL;

	for (unsigned i = 0; row && i < 2; i++) {
		const struct option *table = configuration_tables(row, i);
		const char *found = table ? option_nearest(table, name) : NULL;

		if (found && (!best || text_distance(name, found) < text_distance(name, best)))
			best = found;
	}
	if (row)
		return best;
	best = option_nearest(configuration_options, name);
	for (unsigned i = 0; i < service_row_count; i++) {
		unsigned distance = text_distance(name, service_rows[i].name);

		if (distance <= 2 && (!best || distance < text_distance(name, best)))
			best = service_rows[i].name;
	}
	return best;
}

/* libconfuse's callbacks carry no pointer of ours; a file is read by one thread at a time. */
static _Thread_local struct configuration *configuration_current;

static void configuration_say(struct configuration *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void configuration_say(struct configuration *c, const char *format, ...)
{
	va_list arguments;

	if (c->message[0])
		return;
	va_start(arguments, format);
	vsnprintf(c->message, sizeof c->message, format, arguments);
	va_end(arguments);
}

/* The parser's own complaints. The word in quotes, if it is no key of ours, is the one to correct. */
static void configuration_complaint(cfg_t *cfg, const char *format, va_list arguments)
{
	struct configuration *c = configuration_current;
	const struct service_row *row = cfg->name ? service_find(cfg->name) : NULL;
	char complaint[256], word[64] = "";
	const char *nearest = NULL, *quote;

	vsnprintf(complaint, sizeof complaint, format, arguments);
	quote = strchr(complaint, '\'');
	if (quote && sscanf(quote, "'%63[^']'", word) == 1)
		nearest = configuration_nearest(row, word);
	if (nearest && strcmp(nearest, word) != 0)
		configuration_say(c, _("%s:%d: %s; did you mean '%s'?"), cfg->filename, cfg->line,
				  complaint, nearest);
	else
		configuration_say(c, "%s:%d: %s", cfg->filename, cfg->line, complaint);
}

static int configuration_check_value(cfg_t *cfg, cfg_opt_t *opt, const struct option *row,
				     const char *value)
{
	uint64_t scratch[256] = {0}; /* option_set writes at the row's offset: any struct of ours fits */

	if (row->offset + sizeof(struct option_list) > sizeof scratch || row->type == OPTION_LIST)
		return 0;
	if (option_set(row, scratch, value) == 0)
		return 0;
	configuration_say(configuration_current,
			  row->type == OPTION_CHOICE
				  ? _("%s:%d: %s = \"%s\": expected one of: %s")
				  : _("%s:%d: %s = \"%s\": expected %s"),
			  cfg->filename, cfg->line, opt->name, value, _(option_expects(row)));
	return -1;
}

static int configuration_validate(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct service_row *service = service_find(cfg->name);
	const struct option *row = service ? configuration_key(service, opt->name)
					   : option_find(configuration_options, opt->name,
							 strlen(opt->name));
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	return row && value ? configuration_check_value(cfg, opt, row, value) : 0;
}

static unsigned configuration_add_keys(cfg_opt_t *opts, unsigned count, const struct option *table)
{
	for (; table && table->name && count < CONFIGURATION_KEYS_MOST - 1; table++) {
		cfg_opt_t opt = CFG_STR(table->name, NULL, CFGF_NODEFAULT);

		opts[count++] = opt;
	}
	return count;
}

/* A parser for the whole file. The option arrays are copied by cfg_init. */
static cfg_t *configuration_parser(void)
{
	cfg_opt_t end = CFG_END();
	cfg_opt_t opts[CONFIGURATION_KEYS_MOST];
	cfg_opt_t blocks[CONFIGURATION_SERVICES_MOST][CONFIGURATION_KEYS_MOST];
	unsigned count = configuration_add_keys(opts, 0, configuration_options);
	cfg_t *cfg;

	for (unsigned i = 0; i < service_row_count; i++) {
		unsigned keys = configuration_add_keys(blocks[i], 0, service_options);
		cfg_opt_t block = CFG_SEC(service_rows[i].name, blocks[i], CFGF_NODEFAULT);

		keys = configuration_add_keys(blocks[i], keys, service_rows[i].machine->settings);
		blocks[i][keys] = end;
		opts[count++] = block;
	}
	opts[count] = end;
	cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg)
		return NULL;
	cfg_set_error_function(cfg, configuration_complaint);
	for (const struct option *row = configuration_options; row->name; row++)
		cfg_set_validate_func(cfg, row->name, configuration_validate);
	for (unsigned i = 0; i < service_row_count; i++)
		for (unsigned t = 0; t < 2; t++) {
			const struct option *row = configuration_tables(&service_rows[i], t);

			for (; row && row->name; row++) {
				char path[128];

				snprintf(path, sizeof path, "%s|%s", service_rows[i].name,
					 row->name);
				cfg_set_validate_func(cfg, path, configuration_validate);
			}
		}
	return cfg;
}

static int configuration_parse(struct configuration *c, const char *path, cfg_t **parsed)
{
	cfg_t *cfg = configuration_parser();
	int result;

	if (!cfg)
		return ERR_MEMORY;
	configuration_current = c;
	errno = 0;
	result = cfg_parse(cfg, path);
	configuration_current = NULL;
	*parsed = c->file = cfg;
	if (result == CFG_SUCCESS)
		return 0;
	if (result == CFG_FILE_ERROR) {
		int err = err_from_errno(errno);

		configuration_say(c, "%s: %s", path, _(err_text(err)));
		return err;
	}
	configuration_say(c, _("%s: not understood"), path);
	return ERR_SYNTAX;
}

/* Sets the keys of `table` that the block has. A list is words between commas or spaces. */
static int configuration_apply(cfg_t *cfg, const struct option *table, void *target)
{
	for (; table && table->name; table++) {
		cfg_opt_t *opt = cfg_getopt(cfg, table->name);
		char *value = opt && cfg_opt_size(opt) ? cfg_opt_getnstr(opt, 0) : NULL;
		char *rest = NULL;

		if (!value)
			continue;
		if (table->type == OPTION_TEXT && !(value = strdup(value)))
			return ERR_MEMORY;
		if (table->type != OPTION_LIST) {
			option_set(table, target, value);
			continue;
		}
		/* The list keeps pointers: the words are cut in the library's own copy. */
		for (char *word = strtok_r(value, ", ", &rest); word;
		     word = strtok_r(NULL, ", ", &rest))
			if (option_set(table, target, word) < 0)
				return ERR_FULL;
	}
	return 0;
}

static struct configuration_service *configuration_find(struct configuration *c,
							 const struct service_row *row)
{
	for (unsigned i = 0; i < c->services; i++)
		if (c->service[i].row == row)
			return &c->service[i];
	return NULL;
}

/* Adds `row` with its defaults and what the file says of it. */
static int configuration_add(struct configuration *c, const struct service_row *row, cfg_t *cfg,
			     struct configuration_service **added)
{
	struct configuration_service *s = &c->service[c->services];
	cfg_t *block = cfg && cfg_size(cfg, row->name) ? cfg_getsec(cfg, row->name) : NULL;
	int err = 0;

	*s = (struct configuration_service){.row = row};
	if (row->machine->settings) {
		s->settings = calloc(1, row->machine->settings_bytes);
		if (!s->settings)
			return ERR_MEMORY;
		option_defaults(row->machine->settings, s->settings);
	}
	c->services++;
	option_defaults(service_options, &s->common);
	if (row->machine->silent_peers)
		s->common.idle_ms = s->common.first_byte_ms = 0;
	if (block)
		err = configuration_apply(block, service_options, &s->common);
	if (block && !err)
		err = configuration_apply(block, row->machine->settings, s->settings);
	if (err)
		configuration_say(c, "%s: %s: %s", cfg->filename, row->name, _(err_text(err)));
	*added = s;
	return err;
}

static int configuration_parse_endpoints(struct configuration *c, struct configuration_service *s,
					 uint16_t port)
{
	char fallback[8];
	struct option_list list = s->common.listen;

	if (!list.count) {
		snprintf(fallback, sizeof fallback, "%u", port);
		list.item[list.count++] = fallback;
	}
	for (unsigned i = 0; i < list.count; i++) {
		int err = i < ENDPOINT_MOST ? endpoint_parse_listen(list.item[i], port, false,
								     &s->endpoint[i])
					    : ERR_FULL;

		if (err) {
			configuration_say(c, _("%s: cannot listen on \"%s\": %s; expected PORT, "
					       ":PORT, ADDR:PORT, [V6]:PORT, any:PORT or "
					       "unix:/PATH"),
					  s->row->name, list.item[i], _(err_text(err)));
			return ERR_SYNTAX;
		}
		s->endpoints = i + 1;
	}
	return 0;
}

/* Data is not shown or taken beyond loopback by accident. */
static int configuration_check_reach(struct configuration *c, const struct configuration_service *s,
				     bool insecure)
{
	for (unsigned i = 0; i < s->endpoints && s->row->reach == SERVICE_PRIVATE && !insecure; i++) {
		const struct endpoint *e = &s->endpoint[i];
		struct address a;
		bool local = e->loopback || e->unix_path || strcmp(e->host, "localhost") == 0 ||
			     (address_parse_ip(bytes_of_string(e->host), &a) == 0 &&
			      address_is_loopback(&a));

		if (!local) {
			char where[ENDPOINT_HOST_BYTES + 16];
			struct text t = TEXT_OVER(where);

			endpoint_put(&t, e);
			configuration_say(c, _("%s on %s would take or show data beyond this "
					       "machine: say --insecure if that is meant"),
					  s->row->name, where);
			return ERR_USAGE;
		}
	}
	return 0;
}

static int configuration_name(struct configuration *c, const char *word, cfg_t *cfg)
{
	const char *equals = strchr(word, '=');
	size_t len = equals ? (size_t)(equals - word) : strlen(word);
	struct configuration_service *s;
	const struct service_row *row;
	char name[32];
	int err;

	snprintf(name, sizeof name, "%.*s", (int)len, word);
	row = len < sizeof name ? service_find(name) : NULL;
	if (!row) {
		const char *nearest = configuration_nearest(NULL, name);

		if (nearest && service_find(nearest))
			configuration_say(c, _("there is no service '%s'; did you mean '%s'?"),
					  name, nearest);
		else
			configuration_say(c, _("there is no service '%s'"), name);
		return ERR_SYNTAX;
	}
	s = configuration_find(c, row);
	err = s ? 0 : configuration_add(c, row, cfg, &s);
	if (err || !equals)
		return err;
	if (!s->endpoints)
		s->common.listen.count = 0;
	s->endpoints = 1; /* this one names its addresses on the command line */
	return option_set(option_find(service_options, "listen", 6), &s->common, equals + 1);
}

/* Which services run: those named, else the blocks of the file, else the defaults. */
static int configuration_choose(struct configuration *c, const struct configuration_request *request,
				cfg_t *cfg)
{
	struct configuration_service *added;
	bool blocks = false;
	int err = 0;

	for (unsigned i = 0; i < request->name_count && !err; i++)
		err = configuration_name(c, request->names[i], cfg);
	if (request->name_count)
		return err;
	for (unsigned i = 0; cfg && i < service_row_count; i++)
		blocks = blocks || cfg_size(cfg, service_rows[i].name);
	for (unsigned i = 0; i < service_row_count && !err; i++) {
		const struct service_row *row = &service_rows[i];

		if (blocks ? cfg_size(cfg, row->name) != 0 : row->on)
			err = configuration_add(c, row, cfg, &added);
	}
	return err;
}

int configuration_read(const struct configuration_request *request, struct configuration **read)
{
	struct configuration *c = *read = calloc(1, sizeof *c);
	cfg_t *cfg = NULL;
	int err = 0;

	if (!c)
		return ERR_MEMORY;
	option_defaults(configuration_options, &c->daemon);
	if (request->path)
		err = configuration_parse(c, request->path, &cfg);
	if (!err && cfg)
		err = configuration_apply(cfg, configuration_options, &c->daemon);
	if (!err)
		err = configuration_choose(c, request, cfg);
	for (unsigned i = 0; i < c->services && !err; i++) {
		struct configuration_service *s = &c->service[i];
		bool standard = request->standard_ports && s->row->standard_port;

		err = configuration_parse_endpoints(c, s, standard ? s->row->standard_port
								    : s->row->port);
		if (!err)
			err = configuration_check_reach(c, s, request->insecure);
	}
	return err;
}

static bool configuration_same_value(const struct option *row, const void *a, const void *b)
{
	const char *x = (const char *)a + row->offset, *y = (const char *)b + row->offset;
	const char *text_x, *text_y;

	switch (row->type) {
	case OPTION_FLAG:
		return *(const bool *)x == *(const bool *)y;
	case OPTION_CHOICE:
		return *(const int *)x == *(const int *)y;
	case OPTION_COUNT:
	case OPTION_SIZE:
	case OPTION_DURATION:
		return *(const uint64_t *)x == *(const uint64_t *)y;
	case OPTION_TEXT:
		text_x = *(const char *const *)x;
		text_y = *(const char *const *)y;
		return text_x == text_y || (text_x && text_y && strcmp(text_x, text_y) == 0);
	case OPTION_LIST:
		break;
	}
	return true; /* lists are compared by what they mean: the endpoints */
}

bool configuration_same(const struct configuration_service *a,
			const struct configuration_service *b)
{
	for (const struct option *row = service_options; row->name; row++)
		if (!configuration_same_value(row, &a->common, &b->common))
			return false;
	for (const struct option *row = a->row->machine->settings; row && row->name; row++)
		if (!configuration_same_value(row, a->settings, b->settings))
			return false;
	return a->endpoints == b->endpoints &&
	       memcmp(a->endpoint, b->endpoint, a->endpoints * sizeof a->endpoint[0]) == 0;
}

static void configuration_free_texts(const struct option *table, void *target)
{
	for (; table && table->name; table++) {
		const char **text = (const char **)((char *)target + table->offset);

		if (table->type == OPTION_TEXT && *text != table->fallback)
			free((void *)(uintptr_t)*text);
	}
}

void configuration_free_settings(const struct service_row *row, void *settings)
{
	if (settings)
		configuration_free_texts(row->machine->settings, settings);
	free(settings);
}

void configuration_free(struct configuration *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < c->services; i++)
		configuration_free_settings(c->service[i].row, c->service[i].settings);
	configuration_free_texts(configuration_options, &c->daemon);
	if (c->file)
		cfg_free(c->file);
	free(c);
}
