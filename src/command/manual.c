/* The manual page of a command, in mdoc(7), from its tables: English, the same on every build. */
#include "command/usage.h"

#include "command/arguments.h"

#include <ctype.h>

/* Text of one paragraph: a new line after each sentence (mdoc(7) wants it), roff's own characters
 * escaped, placeholders in capitals set as arguments are. */
static void put_text(FILE *to, const char *s, size_t len)
{
	bool line_begins = true;

	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (c == '\n')
			c = ' ';
		if (line_begins && (c == '.' || c == '\''))
			fputs("\\&", to);
		line_begins = false;
		if (c == '\\')
			fputs("\\e", to);
		else if (c == '-')
			fputs("\\-", to);
		else if (c == ' ' && i > 0 && strchr(".?!", s[i - 1]) != NULL && i + 1 < len) {
			fputc('\n', to);
			line_begins = true;
		} else
			fputc(c, to);
	}
	fputc('\n', to);
}

static void put_paragraphs(FILE *to, const char *text)
{
	while (*text != '\0') {
		const char *end = strstr(text, "\n\n");
		size_t len = end == NULL ? strlen(text) : (size_t)(end - text);

		put_text(to, text, len);
		text += len;
		while (*text == '\n')
			text++;
		if (*text != '\0')
			fputs(".Pp\n", to);
	}
}

/* `HOST[:PORT] [TEXT]`: what is in capitals is the user's to fill in. */
static void put_synopsis_line(FILE *to, const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t word = 0;

		while (i + word < len &&
		       (isupper((unsigned char)s[i + word]) || s[i + word] == '_'))
			word++;
		if (word > 1 || (word == 1 && (i == 0 || !isalpha((unsigned char)s[i - 1])))) {
			fprintf(to, "\\fI%.*s\\fR", (int)word, s + i);
			i += word;
			continue;
		}
		fprintf(to, s[i] == '-' ? "\\-" : "%c", s[i]);
		i++;
	}
	fputc('\n', to);
}

static void put_synopsis(FILE *to, const struct command *command)
{
	const char *line = command->synopsis == NULL ? "" : command->synopsis;

	do {
		size_t len = strcspn(line, "\n");

		fprintf(to, ".Nm prise %s\n.Op Ar OPTIONS\n", command->name);
		if (len > 0)
			put_synopsis_line(to, line, len);
		line += len;
		line += *line == '\n';
	} while (*line != '\0');
}

static void put_option(FILE *to, const struct option *row, char letter)
{
	fputs(".It ", to);
	if (letter != 0)
		fprintf(to, "Fl %c , ", letter);
	fprintf(to, "Fl \\-%s", row->name);
	if (row->argument != NULL)
		fprintf(to, " Ar %s", row->argument);
	fputc('\n', to);
	put_text(to, row->help, strlen(row->help));
}

static void put_options(FILE *to, const struct command *command)
{
	const struct option *own = command->options;

	fputs(".Pp\nOptions:\n.Bl -tag -width Ds\n", to);
	for (const struct option *row = own; row != NULL && row->name != NULL; row++)
		if (row->help != NULL)
			put_option(to, row, row->letter);
	for (const struct option *row = arguments_common; row->name != NULL; row++) {
		struct option shown = *row;
		bool own_name = own != NULL && option_find(own, row->name, strlen(row->name));
		bool own_letter = own != NULL && row->letter != 0 &&
				  option_find_letter(own, row->letter);

		shown.help = arguments_help(command, row);
		if (arguments_takes(command, row) && !own_name)
			put_option(to, &shown, own_letter ? 0 : row->letter);
	}
	fputs(".El\n", to);
}

static void put_key(FILE *to, const struct option *row)
{
	char left[128];
	struct text key = TEXT_OVER(left);
	const char *fallback = usage_key_default(row);

	usage_put_key(&key, row);
	fprintf(to, ".It Li %s\n", left);
	put_text(to, row->help, strlen(row->help));
	if (fallback != NULL)
		fprintf(to, "(default: %s)\n", fallback);
}

static void put_file(FILE *to, const struct command *command)
{
	struct command_keys keys;

	fputs(".Sh CONFIGURATION FILE\n", to);
	put_paragraphs(to, command->file_about);
	for (unsigned i = 0; command->file_keys(i, &keys); i++) {
		fprintf(to, ".Ss %s\n.Bl -tag -width Ds\n", keys.title);
		for (const struct option *row = keys.rows; row->name != NULL; row++)
			if (row->help != NULL)
				put_key(to, row);
		fputs(".El\n", to);
	}
}

void usage_print_man(FILE *to, const struct command *command, const char *summary)
{
	fputs(".\\\" Made from the tables of prise: edit those.\n.Dd " PRISE_DATE "\n.Dt PRISE-",
	      to);
	for (const char *c = command->name; *c != '\0'; c++)
		fputc(toupper((unsigned char)*c), to);
	fprintf(to,
		" 1\n.Os prise " PRISE_VERSION "\n.Sh NAME\n.Nm prise-%s\n.Nd %s\n.Sh SYNOPSIS\n",
		command->name, summary);
	put_synopsis(to, command);
	fputs(".Sh DESCRIPTION\n", to);
	put_paragraphs(to, command->about == NULL ? summary : command->about);
	put_options(to, command);
	if (command->file_about != NULL)
		put_file(to, command);
	fputs(".Sh EXIT STATUS\nSee\n.Xr prise 1 .\n", to);
	if (command->examples != NULL)
		fprintf(to, ".Sh EXAMPLES\n.Bd -literal\n%s%s.Ed\n", command->examples,
			command->examples[strlen(command->examples) - 1] == '\n' ? "" : "\n");
	fputs(".Sh SEE ALSO\n.Xr prise 1\n", to);
}
