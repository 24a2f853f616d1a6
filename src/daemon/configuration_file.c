/* The configuration file, read by libconfuse from the option tables: every key is text to the
 * library, and base/option.h says what it means.
 *
 * Source: libconfuse's cfg_parse_fp(3). */
#include "daemon/configuration_file.h"

#include "base/err.h"

#include <errno.h>
#include <inttypes.h>
#include <libintl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#define _(s) gettext(s)

enum { CONFIGURATION_KEYS_MOST = 48, CONFIGURATION_FILE_BYTES = 1 << 20 };

/* A last line of ours behind the file: where it is not read as a key of the file itself, something
 * before it was left open, which the library would let pass. */
#define CONFIGURATION_END "end_of_the_file"

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

const char *configuration_nearest(const struct service_row *row, const char *name)
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
static _Thread_local const char *configuration_source; /* its text, comments blanked */

void configuration_say(struct configuration *c, const char *format, ...)
{
	va_list arguments;

	if (c->message[0])
		return;
	va_start(arguments, format);
	vsnprintf(c->message, sizeof c->message, format, arguments);
	va_end(arguments);
}

/* What no word goes beyond, outside quotes. */
#define CONFIGURATION_BOUNDS " \t\r\n\"'={}()+,;"

static const char *configuration_skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *configuration_skip_word(const char *p)
{
	return p + strcspn(p, CONFIGURATION_BOUNDS);
}

/* Whether the word, which the parser has just met on that line, begins a block. */
static bool configuration_is_block(const char *word, int line)
{
	const char *p = configuration_source;
	size_t len = strlen(word);

	for (; p && line > 1; line--) {
		p = strchr(p, '\n');
		p = p ? p + 1 : NULL;
	}
	for (bool begins = true; p && *p && *p != '\n'; p++) {
		bool met = begins && strncmp(p, word, len) == 0;

		begins = strchr(CONFIGURATION_BOUNDS, *p) != NULL;
		if (!met || !strchr(CONFIGURATION_BOUNDS, p[len])) /* its '\0' too */
			continue;
		p = configuration_skip_space(p + len);
		return *configuration_skip_space(configuration_skip_word(p)) == '{';
	}
	return false;
}

/* The line of the first equal sign that no value follows, but a brace or another line's key; or 0.
 * The parser would take that key for the value. */
static int configuration_valueless(const char *text)
{
	char quote = '\0';
	int line = 1;

	for (const char *p = text; *p; p++) {
		const char *value, *behind;

		line += *p == '\n';
		if (quote && *p == '\\' && p[1])
			line += *++p == '\n';
		else if (quote)
			quote = *p == quote ? '\0' : quote;
		else if (*p == '"' || *p == '\'')
			quote = *p;
		if (quote || *p != '=')
			continue;
		value = configuration_skip_space(p + 1);
		behind = configuration_skip_space(configuration_skip_word(value));
		if (*value == '}' || (memchr(p, '\n', (size_t)(value - p)) && behind > value &&
				      (*behind == '=' || *behind == '{')))
			return line;
	}
	return 0;
}

/* Of a mistake on that line and a value that is missing, the one that comes first is told: the
 * parser takes what follows for the value. */
static bool configuration_say_valueless(const cfg_t *cfg, int line)
{
	int missing = configuration_valueless(configuration_source);

	if (!missing || line < missing)
		return false;
	configuration_say(configuration_current, "%s:%d: %s", cfg->filename, missing,
			  _("no value behind the equal sign"));
	return true;
}

/* A mistake on that line. */
__attribute__((format(printf, 3, 4))) static void configuration_say_at(const cfg_t *cfg, int line,
								       const char *format, ...)
{
	char mistake[CONFIGURATION_MESSAGE_BYTES];
	va_list arguments;

	if (configuration_say_valueless(cfg, line))
		return;
	va_start(arguments, format);
	vsnprintf(mistake, sizeof mistake, format, arguments);
	va_end(arguments);
	configuration_say(configuration_current, "%s:%d: %s", cfg->filename, line, mistake);
}

/* At our line, the one behind the file's last. */
static void configuration_say_open(const cfg_t *cfg)
{
	configuration_say_at(cfg, cfg->line - 1,
			     _("the end of the file, and a block, a string or a comment is still "
			       "open"));
}

/* The parser's own complaints, in whatever language the library has them. The word that one is
 * about, if it is no key of ours, is the one to correct. */
static void configuration_complaint(cfg_t *cfg, const char *format, va_list arguments)
{
	static const char premature[] = "premature end of file", no_such[] = "no such option '%s'";
	const struct service_row *row = cfg->name ? service_find(cfg->name) : NULL;
	char complaint[256], word[64] = "";
	const char *nearest = NULL, *whole = "";
	va_list again;

	va_copy(again, arguments);
	vsnprintf(complaint, sizeof complaint, format, arguments);
	if (strstr(format, "%s")) {
		whole = va_arg(again, const char *);
		snprintf(word, sizeof word, "%s", whole);
		nearest = configuration_nearest(row, word);
	}
	va_end(again);
	if (strcmp(word, CONFIGURATION_END) == 0 ||
	    strcmp(format, dgettext("confuse", premature)) == 0)
		configuration_say_open(cfg);
	else if (strcmp(format, dgettext("confuse", no_such)) == 0 &&
		 configuration_is_block(whole, cfg->line))
		configuration_say_at(cfg, cfg->line,
				     nearest ? _("no such block '%s'; did you mean '%s'?")
					     : _("no such block '%s'"),
				     word, nearest);
	else if (nearest && strcmp(nearest, word) != 0)
		configuration_say_at(cfg, cfg->line, _("%s; did you mean '%s'?"), complaint,
				     nearest);
	else
		configuration_say_at(cfg, cfg->line, "%s", complaint);
}

void configuration_say_listen(struct configuration *c, const char *where, const char *item, int err)
{
	configuration_say(c,
			  _("%s: cannot listen on \"%.80s\": %s; expected PORT, :PORT, ADDR:PORT, "
			    "[V6]:PORT, any:PORT or unix:/PATH"),
			  where, item, _(err_text(err)));
}

static int configuration_check_listen(cfg_t *cfg, const char *value)
{
	char *words = strdup(value), *rest = NULL, where[CONFIGURATION_MESSAGE_BYTES];
	struct endpoint e;
	unsigned count = 0;
	int err = 0;

	if (!words)
		return ERR_MEMORY;
	for (char *word = strtok_r(words, ", ", &rest); word && !err;
	     word = strtok_r(NULL, ", ", &rest))
		err = count++ < ENDPOINT_MOST ? endpoint_parse_listen(word, 1, false, &e)
					      : ERR_FULL;
	free(words);
	if (!count)
		err = ERR_SYNTAX;
	snprintf(where, sizeof where, "%s:%d", cfg->filename, cfg->line);
	if (err && !configuration_say_valueless(cfg, cfg->line))
		configuration_say_listen(configuration_current, where, value, err);
	return err;
}

static int configuration_check_value(cfg_t *cfg, const struct option *row, const char *value)
{
	struct option alone = *row;
	uint64_t scratch[16] = {0}; /* any value but a list fits */
	int err;

	if (row->type == OPTION_LIST)
		return configuration_check_listen(cfg, value);
	alone.offset = 0;
	err = option_set(&alone, scratch, value);
	if (err == ERR_RANGE)
		configuration_say_at(
			cfg, cfg->line, _("%s = \"%s\": expected %" PRIu64 " to %" PRIu64 "%s"),
			row->name, value, row->least, row->most ? row->most : UINT64_MAX,
			row->type == OPTION_DURATION ? " ms" : "");
	else if (err)
		configuration_say_at(cfg, cfg->line, _("%s = \"%s\": expected %s"), row->name,
				     value, _(option_expects(row)));
	return err;
}

/* The library keeps the last of several; that the others count for nothing must not stay unsaid.
 * Its place for a comment marks what was met. */
static int configuration_validate_once(cfg_t *cfg, cfg_opt_t *opt)
{
	static char met[] = "met";

	if (!cfg_opt_getcomment(opt))
		return cfg_opt_setcomment(opt, met);
	configuration_say_at(cfg, cfg->line, _("'%s' is there a second time"), opt->name);
	return -1;
}

/* Where a service has its addresses from, for mistakes that show only later: the line of `listen`,
 * else the last of its block. */
static void configuration_note_line(const struct service_row *row, int line)
{
	unsigned *noted = &configuration_current->line[row - service_rows];

	if (!*noted)
		*noted = (unsigned)line;
}

static int configuration_validate_block(cfg_t *cfg, cfg_opt_t *opt)
{
	configuration_note_line(service_find(opt->name), cfg->line);
	return configuration_validate_once(cfg, opt);
}

/* The file of keys that is named, else that there is TLS: for mistakes that show only later. */
static void configuration_note_keys(const struct service_row *row, const char *key, int line)
{
	unsigned *noted = &configuration_current->keys_line[row - service_rows];

	if (strcmp(key, "authorized_keys") == 0 || (strcmp(key, "tls") == 0 && !*noted))
		*noted = (unsigned)line;
}

/* To answer UDP is only for those that can. */
static int configuration_check_udp(cfg_t *cfg, const struct service_row *row, const char *value)
{
	struct service_settings asked = {0};

	option_set(option_find(service_options, "udp", 3), &asked, value);
	if (!asked.udp || row->transports & (SERVICE_UDP | SERVICE_UDP_ASKED))
		return 0;
	configuration_say_at(cfg, cfg->line, _("%s goes over TCP only"), row->name);
	return ERR_SYNTAX;
}

static int configuration_validate(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct service_row *service = service_find(cfg->name);
	const struct option *row = service ? configuration_key(service, opt->name)
					   : option_find(configuration_options, opt->name,
							 strlen(opt->name));
	const char *value = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);

	if (configuration_validate_once(cfg, opt) != 0)
		return -1;
	if (service && row && row->type == OPTION_LIST)
		configuration_note_line(service, cfg->line);
	if (service)
		configuration_note_keys(service, opt->name, cfg->line);
	if (service && value && strcmp(opt->name, "udp") == 0 &&
	    configuration_check_udp(cfg, service, value) != 0)
		return -1;
	return row && value ? configuration_check_value(cfg, row, value) : 0;
}

static int configuration_validate_user(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *user = cfg_opt_getnstr(opt, 0);

	if (!user || getpwnam(user))
		return configuration_validate(cfg, opt);
	configuration_say_at(cfg, cfg->line, _("there is no user '%s'"), user);
	return -1;
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
	cfg_opt_t end = CFG_END(), last = CFG_STR(CONFIGURATION_END, NULL, CFGF_NODEFAULT);
	cfg_opt_t opts[CONFIGURATION_KEYS_MOST];
	/* Too many for the stack of a thread that reads the file again. */
	cfg_opt_t(*blocks)[CONFIGURATION_KEYS_MOST] = calloc(service_row_count, sizeof *blocks);
	unsigned count = configuration_add_keys(opts, 0, configuration_options);
	cfg_t *cfg;

	if (!blocks)
		return NULL;
	for (unsigned i = 0; i < service_row_count; i++) {
		unsigned keys = configuration_add_keys(blocks[i], 0, service_options);
		cfg_opt_t block = CFG_SEC(service_rows[i].name, blocks[i], CFGF_NODEFAULT);

		keys = configuration_add_keys(blocks[i], keys, service_rows[i].machine->settings);
		blocks[i][keys] = end;
		opts[count++] = block;
	}
	opts[count++] = last;
	opts[count] = end;
	cfg = cfg_init(opts, CFGF_NONE);
	free(blocks);
	if (!cfg)
		return NULL;
	cfg_set_error_function(cfg, configuration_complaint);
	for (const struct option *row = configuration_options; row->name; row++)
		cfg_set_validate_func(cfg, row->name, configuration_validate);
	cfg_set_validate_func(cfg, "user", configuration_validate_user);
	for (unsigned i = 0; i < service_row_count; i++) {
		cfg_set_validate_func(cfg, service_rows[i].name, configuration_validate_block);
		for (unsigned t = 0; t < 2; t++) {
			const struct option *row = configuration_tables(&service_rows[i], t);

			for (; row && row->name; row++) {
				char path[128];

				snprintf(path, sizeof path, "%s|%s", service_rows[i].name,
					 row->name);
				cfg_set_validate_func(cfg, path, configuration_validate);
			}
		}
	}
	return cfg;
}

/* The file's text with our last line behind it. 0, ERR_NO_FILE, ERR_PERMISSION, ERR_DIRECTORY,
 * ERR_SYNTAX (it is not text), ERR_TOO_LONG, ERR_MEMORY. */
static int configuration_load(const char *path, char **text)
{
	static const char end[] = "\n" CONFIGURATION_END " = yes";
	FILE *f = fopen(path, "re");
	int err = f ? 0 : err_from_errno(errno);
	/* With room for a byte more than there may be, by which too many are known. */
	char *whole = f ? malloc(CONFIGURATION_FILE_BYTES + 1 + sizeof end) : NULL;
	size_t len = whole ? fread(whole, 1, CONFIGURATION_FILE_BYTES + 1, f) : 0;

	if (f && !whole)
		err = ERR_MEMORY;
	else if (f && ferror(f))
		err = err_from_errno(errno);
	else if (len && memchr(whole, '\0', len))
		err = ERR_SYNTAX;
	else if (len > CONFIGURATION_FILE_BYTES)
		err = ERR_TOO_LONG;
	if (f)
		fclose(f);
	if (err) {
		free(whole);
		return err;
	}
	strcpy(whole + len, len && whole[len - 1] == '\n' ? end + 1 : end);
	*text = whole;
	return 0;
}

/* Where the comment that begins at `at` ends: at its line's end, or behind its closing mark; NULL
 * when it is never closed. */
static char *configuration_comment_end(char *at)
{
	char *closed;

	if (at[0] == '#' || at[1] == '/')
		return at + strcspn(at, "\n");
	closed = strstr(at + 2, "*/");
	return closed ? closed + 2 : NULL;
}

/* Makes every comment blank, its line ends kept: the library counts a line too many at each
 * (its 3.3 at least), and a mistake would be named on the wrong one. */
static void configuration_blank_comments(char *text)
{
	char quote = '\0';
	bool closes = true; /* a comment that begins here could: no mark was looked for in vain */

	for (char *p = text; *p; p++) {
		bool begins = *p == '#' || (*p == '/' && (p[1] == '/' || (closes && p[1] == '*')));
		char *end;

		if (quote && *p == '\\' && p[1]) {
			p++;
		} else if (quote) {
			quote = *p == quote ? '\0' : quote;
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (begins && (p == text || strchr(" \t\n{}=,;", p[-1]))) {
			end = configuration_comment_end(p);
			for (; end && p < end; p++)
				*p = *p == '\n' ? '\n' : ' ';
			p -= end != NULL;
			closes = closes && end;
		}
	}
}

static int configuration_parse_text(struct configuration *c, cfg_t *cfg, const char *path,
				    char *text)
{
	FILE *f = fmemopen(text, strlen(text), "r");
	int result;

	cfg->filename = strdup(path);
	if (!f || !cfg->filename) {
		if (f)
			fclose(f);
		return ERR_MEMORY;
	}
	configuration_current = c;
	configuration_source = text;
	result = cfg_parse_fp(cfg, f);
	if (result == CFG_SUCCESS && !cfg_size(cfg, CONFIGURATION_END))
		configuration_say_open(cfg);
	if (result != CFG_SUCCESS) /* and nobody said why */
		configuration_say_at(cfg, cfg->line, "%s", _(err_text(ERR_SYNTAX)));
	configuration_current = NULL;
	configuration_source = NULL;
	fclose(f);
	return c->message[0] ? ERR_SYNTAX : 0;
}

int configuration_parse(struct configuration *c, const char *path, cfg_t **parsed)
{
	char *text = NULL;
	int err = configuration_load(path, &text);

	if (err) {
		configuration_say(c, "%s: %s", path, _(err_text(err)));
		return err == ERR_TOO_LONG ? ERR_SYNTAX : err;
	}
	configuration_blank_comments(text);
	*parsed = c->file = configuration_parser();
	err = *parsed ? configuration_parse_text(c, *parsed, path, text) : ERR_MEMORY;
	free(text);
	return err;
}
