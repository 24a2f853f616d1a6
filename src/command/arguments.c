/* The command line, parsed by tables.
 *
 * Limits: a letter is one ASCII character; a long name is given whole (no abbreviations: they
 * change their meaning when an option is added). */
#include "command/arguments.h"

#include "base/err.h"
#include "base/number.h"
#include "base/text.h"
#include "command/say.h"

#define COMMON(field) offsetof(struct command_common, field)

const struct option arguments_common[] = {
	{"ipv4", '4', OPTION_FLAG, .offset = COMMON(v4), .help = N_("IPv4 only")},
	{"ipv6", '6', OPTION_FLAG, .offset = COMMON(v6), .help = N_("IPv6 only")},
	{"udp", 'u', OPTION_FLAG, .offset = COMMON(udp), .help = N_("UDP instead of TCP")},
	{"timeout", 't', OPTION_DURATION, N_("DUR"), COMMON(timeout_ms),
	 .help = N_("give up after DUR (500ms, 2s, 1m); 0: as without -t")},
	{"tls", 0, OPTION_FLAG, .offset = COMMON(tls),
	 .help = N_("speak TLS; the server's key is remembered when it is first seen")},
	{"pin", 0, OPTION_TEXT, N_("FINGERPRINT"), COMMON(pin),
	 .help = N_("with --tls: the server must have this key (SHA256:...)")},
	{"quiet", 'q', OPTION_FLAG, .offset = COMMON(quiet),
	 .help = N_("say only what was asked for")},
	{"verbose", 'v', OPTION_FLAG, .offset = COMMON(verbose),
	 .help = N_("show what happens, and every byte on the wire, on stderr")},
	{"no-publish", 0, OPTION_FLAG, .offset = COMMON(no_publish),
	 .help = N_("do not show what happens on the daemon's dashboard")},
	{"json", 0, OPTION_FLAG, .offset = COMMON(json),
	 .help = N_("one JSON object a line on stdout")},
	{"help", 'h', OPTION_FLAG, .offset = COMMON(help), .help = N_("show this help")},
	OPTION_END,
};

bool arguments_takes(const struct command *command, const struct option *row)
{
	switch (row->offset) {
	case COMMON(v4):
	case COMMON(v6):
		return (command->takes & (COMMAND_TAKES_FAMILY | COMMAND_TAKES_ONE_FAMILY)) != 0;
	case COMMON(no_publish):
		return (command->takes & COMMAND_TAKES_FAMILY) != 0;
	case COMMON(udp):
		return (command->takes & COMMAND_TAKES_UDP) != 0;
	case COMMON(tls):
	case COMMON(pin):
		return (command->takes & COMMAND_TAKES_TLS) != 0;
	case COMMON(timeout_ms):
		return (command->takes & COMMAND_TAKES_TIMEOUT) != 0;
	default:
		return true;
	}
}

const char *arguments_help(const struct command *command, const struct option *row)
{
	bool speaks = command->takes & (COMMAND_TAKES_FAMILY | COMMAND_TAKES_ONE_FAMILY);

	return row->offset == COMMON(verbose) && !speaks ? N_("say more of what happens, on stderr")
							 : row->help;
}

/* A row and the struct its offset is in. */
struct found {
	const struct option *row;
	void *target;
};

static struct found find_long(struct command_call *call, const char *name, size_t len)
{
	const struct option *own = call->command->options;
	const struct option *row = own == NULL ? NULL : option_find(own, name, len);

	if (row != NULL)
		return (struct found){row, call->options};
	row = option_find(arguments_common, name, len);
	return (struct found){row, &call->common};
}

static struct found find_letter(struct command_call *call, char letter)
{
	const struct option *own = call->command->options;
	const struct option *row = own == NULL ? NULL : option_find_letter(own, letter);

	if (row != NULL)
		return (struct found){row, call->options};
	row = option_find_letter(arguments_common, letter);
	return (struct found){row, &call->common};
}

static bool is_meant(const struct command_call *call, struct found found)
{
	return found.row != NULL &&
	       (found.target != &call->common || arguments_takes(call->command, found.row));
}

static int say_see_help(const struct command_call *call, const char *format, const char *word)
{
	char advice[256];

	snprintf(advice, sizeof(advice), "prise help %s", call->command->name);
	say_usage(advice, format, word);
	return ERR_USAGE;
}

static const char *nearest_long(const struct command_call *call, const char *name)
{
	const char *own = NULL, *common = option_nearest(arguments_common, name);

	if (call->command->options != NULL)
		own = option_nearest(call->command->options, name);
	if (common != NULL) {
		const struct option *row = option_find(arguments_common, common, strlen(common));

		if (!arguments_takes(call->command, row))
			common = NULL;
	}
	if (own == NULL || common == NULL)
		return own == NULL ? common : own;
	return text_distance(own, name) <= text_distance(common, name) ? own : common;
}

/* `word` is the option as typed, with its dashes and without its value. */
static int unknown(const struct command_call *call, struct found found, const char *word)
{
	char advice[256];
	const char *nearest;

	if (found.row != NULL)
		return say_see_help(call, _("%s has no meaning for this command"), word);
	nearest = strncmp(word, "--", 2) == 0 ? nearest_long(call, word + 2) : NULL;
	if (nearest == NULL)
		return say_see_help(call, _("there is no option %s"), word);
	snprintf(advice, sizeof(advice), _("--%s, or prise help %s"), nearest, call->command->name);
	say_usage(advice, _("there is no option %s"), word);
	return ERR_USAGE;
}

static void put_bounds(struct text *t, const struct option *row)
{
	const char *unit = row->type == OPTION_DURATION ? " ms" : "";

	if (row->type != OPTION_COUNT && row->type != OPTION_SIZE && row->type != OPTION_DURATION)
		return;
	if (row->most != 0)
		text_printf(t, _(", from %llu to %llu%s"), (unsigned long long)row->least,
			    (unsigned long long)row->most, unit);
	else if (row->least != 0)
		text_printf(t, _(", %llu%s or more"), (unsigned long long)row->least, unit);
}

static int missing_value(struct found found, const char *word)
{
	char advice[512];

	snprintf(advice, sizeof(advice), _("%s %s: %s"), word, _(found.row->argument),
		 _(option_expects(found.row)));
	say_usage(advice, _("%s lacks its value"), word);
	return ERR_USAGE;
}

static int set(const struct command_call *call, struct found found, const char *word,
	       const char *value)
{
	char advice[512];
	struct text t = TEXT_OVER(advice);
	int err = option_set(found.row, found.target, value);

	if (err == 0)
		return 0;
	if (value != NULL && value[0] == '\0')
		return missing_value(found, word);
	text_printf(&t, _("%s with %s"), word, _(option_expects(found.row)));
	put_bounds(&t, found.row);
	if (err == ERR_FULL) {
		t.len = 0;
		text_printf(&t, _("%s %d times at most"), word, OPTION_LIST_MOST);
		say_usage(advice, _("%s is given too many times"), word);
	} else if (err == ERR_RANGE)
		say_usage(advice, _("%s %s is out of range"), word, value);
	else
		say_usage(advice, _("%s %s is not understood"), word, value);
	return ERR_USAGE;
}

/* The words not yet looked at. */
struct words {
	int at, count;
	char **word;
};

static int take_long(struct command_call *call, struct words *words)
{
	const char *word = words->word[words->at++];
	const char *equals = strchr(word, '=');
	size_t len = equals == NULL ? strlen(word) : (size_t)(equals - word);
	struct found found = find_long(call, word + 2, len - 2);
	char shown[128];

	snprintf(shown, sizeof(shown), "%.*s", (int)len, word);
	if (!is_meant(call, found))
		return unknown(call, found, shown);
	if (found.row->type == OPTION_FLAG && equals != NULL)
		return say_see_help(call, _("%s takes no value"), shown);
	if (found.row->type == OPTION_FLAG)
		return set(call, found, shown, NULL);
	if (equals != NULL)
		return set(call, found, shown, equals + 1);
	if (words->at == words->count)
		return missing_value(found, shown);
	return set(call, found, shown, words->word[words->at++]);
}

/* A bundle: `-uv`, or one whose last letter takes the rest or the next word as its value. */
static int take_letters(struct command_call *call, struct words *words)
{
	const char *word = words->word[words->at++];

	for (const char *letter = word + 1; *letter != '\0'; letter++) {
		struct found found = find_letter(call, *letter);
		char shown[] = {'-', *letter, '\0'};
		int err;

		if (!is_meant(call, found))
			return unknown(call, found, (*letter & 0x80) != 0 ? word : shown);
		if (found.row->type == OPTION_FLAG) {
			err = set(call, found, shown, NULL);
			if (err != 0)
				return err;
			continue;
		}
		if (letter[1] != '\0')
			return set(call, found, shown, letter + 1);
		if (words->at == words->count)
			return missing_value(found, shown);
		return set(call, found, shown, words->word[words->at++]);
	}
	return 0;
}

/* `-12` and `-1.5` are numbers; `-4` and `-6` alone are options, which a command may not take. */
static bool looks_negative(struct command_call *call, const char *word)
{
	size_t digits = strspn(word + 1, "0123456789.");

	if (digits == 0 || word[1 + digits] != '\0')
		return false;
	return digits > 1 || find_letter(call, word[1]).row == NULL;
}

static int refuse_negative(const struct command_call *call, const char *word)
{
	char advice[256];

	snprintf(advice, sizeof(advice), _("prise %s ... -- %s"), call->command->name, word);
	say_usage(advice, _("negative numbers stand behind --: %s"), word);
	return ERR_USAGE;
}

static int take(struct command_call *call, struct words *words)
{
	const char *word = words->word[words->at];

	if (word[1] == '-')
		return take_long(call, words);
	if (looks_negative(call, word))
		return refuse_negative(call, word);
	return take_letters(call, words);
}

int arguments_parse(struct command_call *call, int argc, char **argv)
{
	struct words words = {0, argc, argv};

	call->common = (struct command_common){0};
	call->argc = 0;
	call->argv = argv;
	if (call->command->options != NULL)
		option_defaults(call->command->options, call->options);
	while (words.at < words.count) {
		char *word = argv[words.at];
		int err;

		if (strcmp(word, "--") == 0) {
			words.at++;
			break;
		}
		if (word[0] != '-' || word[1] == '\0') {
			argv[call->argc++] = argv[words.at++];
			continue;
		}
		err = take(call, &words);
		if (err != 0)
			return err;
		/* What is said from here on is said as asked for. */
		say_begin(call->command->name, &call->common);
	}
	while (words.at < words.count)
		argv[call->argc++] = argv[words.at++];
	if (call->common.v4 && call->common.v6 && !call->common.help)
		return say_see_help(call, _("%s exclude each other"), "-4 -6");
	return 0;
}
