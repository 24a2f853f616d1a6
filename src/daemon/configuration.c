/* What runs, and how: the defaults, what the file says (daemon/configuration_file.h) and what the
 * command line says, judged by the same rows (base/option.h). */
#include "daemon/configuration_file.h"

#include "base/err.h"

#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>

#define _(s)  gettext(s)
#define N_(s) s

const struct option configuration_options[] = {
	{.name = "loops",
	 .type = OPTION_COUNT,
	 .most = 64,
	 .offset = offsetof(struct configuration_daemon, loops),
	 .fallback = "0",
	 .help = N_("event loops, a thread each; 0: one a processor, 8 at most")},
	{.name = "user",
	 .type = OPTION_TEXT,
	 .offset = offsetof(struct configuration_daemon, user),
	 .help = N_("become this user once the ports are bound")},
	{.name = "sandbox",
	 .type = OPTION_FLAG,
	 .fallback = "yes",
	 .offset = offsetof(struct configuration_daemon, sandbox),
	 .help = N_("confine the daemon to its own files (Landlock)")},
	{.name = "drain",
	 .type = OPTION_DURATION,
	 .fallback = "10s",
	 .offset = offsetof(struct configuration_daemon, drain_ms),
	 .help = N_("time that unfinished exchanges get when the daemon stops")},
	OPTION_END,
};

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

	*s = (struct configuration_service){.row = row,
					    .line = block ? c->line[row - service_rows] : 0,
					    .keys_line = block ? c->keys_line[row - service_rows]
							       : 0,
					    .families = c->families};
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
	s->common.udp = row->transports & SERVICE_UDP;
	if (block)
		err = configuration_apply(block, service_options, &s->common);
	if (block && !err)
		err = configuration_apply(block, row->machine->settings, s->settings);
	if (s->common.tls && !cfg_size(block, "udp"))
		s->common.udp = false;
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

	s->endpoints = 0;
	if (!list.count) {
		snprintf(fallback, sizeof fallback, "%u", port);
		list.item[list.count++] = fallback;
	}
	for (unsigned i = 0; i < list.count; i++) {
		int err = i < ENDPOINT_MOST ? endpoint_parse_listen(list.item[i], port, false,
								    &s->endpoint[i])
					    : ERR_FULL;

		if (err) {
			configuration_say_listen(c, s->row->name, list.item[i], err);
			return ERR_SYNTAX;
		}
		s->endpoints = i + 1;
	}
	return 0;
}

static void configuration_advise_names(struct configuration *c)
{
	struct text t = TEXT_OVER(c->advice);

	text_put_string(&t, _("prise serve with one of"));
	for (unsigned i = 0; i < service_row_count; i++)
		text_printf(&t, " %s", service_rows[i].name);
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
		if (!nearest || !service_find(nearest))
			configuration_advise_names(c);
		return ERR_SYNTAX;
	}
	s = configuration_find(c, row);
	err = s ? 0 : configuration_add(c, row, cfg, &s);
	if (err || !equals)
		return err;
	if (!s->endpoints)
		s->common.listen.count = 0;
	s->endpoints = 1; /* this one names its addresses on the command line */
	s->line = 0;
	return option_set(option_find(service_options, "listen", 6), &s->common, equals + 1);
}

/* Which services run: those named, else the blocks of the file, else the defaults. */
static int configuration_choose(struct configuration *c,
				const struct configuration_request *request, cfg_t *cfg)
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
	c->families = request->families;
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

		err = configuration_parse_endpoints(
			c, s, standard ? s->row->standard_port : s->row->port);
		if (request->tls && s->row->transports & SERVICE_TCP) {
			s->common.tls = true;
			s->common.udp = false;
		}
		if (!err)
			err = configuration_read_keys(c, s);
		if (!err)
			err = configuration_check_reach(c, s, request->insecure);
	}
	return err ? err : configuration_check_taken(c);
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

const char *configuration_daemon_differs(const struct configuration_daemon *a,
					 const struct configuration_daemon *b)
{
	for (const struct option *row = configuration_options; row->name; row++)
		if (!configuration_same_value(row, a, b))
			return row->name;
	return NULL;
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
	return !a->keys == !b->keys && a->endpoints == b->endpoints &&
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
	for (unsigned i = 0; i < c->services; i++) {
		configuration_free_settings(c->service[i].row, c->service[i].settings);
		free(c->service[i].names);
		configuration_free_keys(&c->service[i]);
	}
	configuration_free_texts(configuration_options, &c->daemon);
	if (c->file)
		cfg_free(c->file);
	free(c);
}
