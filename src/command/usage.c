/* `prise help COMMAND` as text for a terminal, from the command's tables. */
#include "command/usage.h"

#include "command/arguments.h"

#include <stdlib.h>
#include <sys/ioctl.h>

enum { WIDTH_LEAST = 40, WIDTH_MOST = 100, WIDTH_USUAL = 80, OPTION_COLUMN = 26 };
enum { KEY_WIDTH_LEAST = 60, KEY_NARROW_COLUMN = 6 }; /* defaults may be long words */

unsigned usage_width(FILE *to)
{
	struct winsize size = {0};
	const char *columns = getenv("COLUMNS");
	long width = columns == NULL ? 0 : strtol(columns, NULL, 10);

	if (width <= 0 && ioctl(fileno(to), TIOCGWINSZ, &size) == 0)
		width = size.ws_col;
	if (width <= 0)
		width = WIDTH_USUAL;
	if (width < WIDTH_LEAST)
		width = WIDTH_LEAST;
	return width > WIDTH_MOST ? WIDTH_MOST : (unsigned)width;
}

void usage_wrap(FILE *to, const char *text, unsigned at, unsigned indent, unsigned width)
{
	bool fresh = at <= indent; /* no word on this line yet */

	for (const char *word = text; *word != '\0';) {
		size_t spaces = strspn(word, " \n");
		size_t len = strcspn(word + spaces, " \n");
		unsigned columns = (unsigned)text_columns(bytes_of(word + spaces, len));

		if (len == 0)
			break;
		if (!fresh && strncmp(word, "\n\n", 2) == 0) {
			fputs("\n\n", to);
			at = 0;
			fresh = true;
		} else if (!fresh && at + 1 + columns > width) {
			fputc('\n', to);
			at = 0;
			fresh = true;
		}
		if (!fresh)
			at += (unsigned)fprintf(to, " ");
		if (fresh && at < indent)
			at += (unsigned)fprintf(to, "%*s", (int)(indent - at), "");
		fwrite(word + spaces, 1, len, to);
		at += columns;
		fresh = false;
		word += spaces + len;
	}
	fputc('\n', to);
}

/* Each line of `lines` behind `prefix`. */
static void put_lines(FILE *to, const char *prefix, const char *lines)
{
	while (*lines != '\0') {
		size_t len = strcspn(lines, "\n");

		fprintf(to, "%s%.*s\n", prefix, (int)len, lines);
		lines += len;
		lines += *lines == '\n';
	}
}

static void put_option(FILE *to, const struct option *row, unsigned width)
{
	char left[64];
	struct text t = TEXT_OVER(left);
	unsigned at;

	if (row->letter != 0)
		text_printf(&t, "  -%c, --%s", row->letter, row->name);
	else
		text_printf(&t, "      --%s", row->name);
	if (row->argument != NULL)
		text_printf(&t, " %s", _(row->argument));
	fputs(left, to);
	at = (unsigned)text_columns(text_bytes(&t));
	if (at + 2 > OPTION_COLUMN) {
		fputc('\n', to);
		at = 0;
	}
	usage_wrap(to, _(row->help), at, OPTION_COLUMN, width);
}

static void put_options(FILE *to, const struct command *command, unsigned width)
{
	const struct option *own = command->options;

	fprintf(to, "\n%s\n", _("Options:"));
	for (const struct option *row = own; row != NULL && row->name != NULL; row++)
		if (row->help != NULL)
			put_option(to, row, width);
	for (const struct option *row = arguments_common; row->name != NULL; row++) {
		struct option shown = *row;

		if (!arguments_takes(command, row))
			continue;
		if (own != NULL && option_find(own, row->name, strlen(row->name)) != NULL)
			continue;
		if (own != NULL && row->letter != 0 && option_find_letter(own, row->letter) != NULL)
			shown.letter = 0;
		shown.help = arguments_help(command, row);
		put_option(to, &shown, width);
	}
}

void usage_put_key(struct text *t, const struct option *row)
{
	static const char *const values[] = {
		[OPTION_FLAG] = N_("yes|no"),  [OPTION_TEXT] = N_("TEXT"),
		[OPTION_COUNT] = N_("N"),      [OPTION_SIZE] = N_("SIZE"),
		[OPTION_DURATION] = N_("DUR"), [OPTION_LIST] = N_("\"ADDR...\""),
	};

	text_printf(t, "%s = ", row->name);
	if (row->type != OPTION_CHOICE)
		text_put_string(t, _(values[row->type]));
	for (const char *c = row->choices; row->type == OPTION_CHOICE && *c != '\0'; c++)
		text_put_byte(t, *c == ' ' ? '|' : *c);
}

const char *usage_key_default(const struct option *row)
{
	if (row->fallback != NULL || row->type == OPTION_TEXT || row->type == OPTION_LIST)
		return row->fallback;
	return row->type == OPTION_FLAG ? "no" : "0";
}

static void put_key(FILE *to, const struct option *row, unsigned width)
{
	unsigned column = width < KEY_WIDTH_LEAST ? KEY_NARROW_COLUMN : OPTION_COLUMN;
	char left[128], right[512];
	struct text key = TEXT_OVER(left), help = TEXT_OVER(right);
	const char *fallback = usage_key_default(row);
	unsigned at;

	text_put_string(&key, "  ");
	usage_put_key(&key, row);
	text_put_string(&help, _(row->help));
	if (fallback != NULL)
		text_printf(&help, _(" (default: %s)"), fallback);
	fputs(left, to);
	at = (unsigned)text_columns(text_bytes(&key));
	if (at + 2 > column) {
		fputc('\n', to);
		at = 0;
	}
	usage_wrap(to, right, at, column, width);
}

static void put_file(FILE *to, const struct command *command, unsigned width)
{
	struct command_keys keys;

	fprintf(to, "\n%s\n", _("The file:"));
	usage_wrap(to, _(command->file_about), 0, 2, width);
	for (unsigned i = 0; command->file_keys(i, &keys); i++) {
		fprintf(to, "\n%s\n", _(keys.title));
		for (const struct option *row = keys.rows; row->name != NULL; row++)
			if (row->help != NULL)
				put_key(to, row, width);
	}
}

static void put_synopsis(FILE *to, const struct command *command)
{
	char prefix[64];

	snprintf(prefix, sizeof(prefix), "  prise %s ", command->name);
	if (command->synopsis == NULL || command->synopsis[0] == '\0')
		fprintf(to, "  prise %s\n", command->name);
	else
		put_lines(to, prefix, _(command->synopsis));
}

void usage_print(FILE *to, const struct command *command, const char *summary)
{
	unsigned width = usage_width(to);

	fprintf(to, "prise %s:", command->name);
	usage_wrap(to, _(summary), (unsigned)strlen(command->name) + 7, 2, width);
	fputc('\n', to);
	put_synopsis(to, command);
	if (command->about != NULL) {
		fputc('\n', to);
		usage_wrap(to, _(command->about), 0, 0, width);
	}
	put_options(to, command, width);
	if (command->file_about != NULL)
		put_file(to, command, width);
	if (command->examples != NULL) {
		fprintf(to, "\n%s\n", _("Examples:"));
		put_lines(to, "  ", command->examples);
	}
}
