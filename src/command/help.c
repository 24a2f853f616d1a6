/* `prise help [COMMAND]`, and what the build makes from the same tables: manual pages and the
 * completion for bash. */
#include "command/help.h"

#include "command/arguments.h"
#include "command/say.h"
#include "command/usage.h"

struct options {
	bool man;
	const char *completion;
};

static const struct option options[] = {
	{"man", 0, OPTION_FLAG, .offset = offsetof(struct options, man)},
	{"completion", 0, OPTION_TEXT, "SHELL", offsetof(struct options, completion)},
	OPTION_END,
};

static const struct group {
	enum command_group group;
	const char *title;
} groups[] = {
	{COMMAND_SPEAK, N_("Speak")}, {COMMAND_LOOK, N_("Look")}, {COMMAND_SPREAD, N_("Spread")},
	{COMMAND_SERVE, N_("Serve")}, {COMMAND_OWN, N_("Own")},
};

static bool group_is_empty(enum command_group group)
{
	for (unsigned i = 0; i < command_row_count; i++)
		if (command_rows[i].group == group)
			return false;
	return true;
}

void help_print(FILE *to)
{
	unsigned width = usage_width(to);

	fprintf(to, "%s\n\n", _("prise: everything a socket does"));
	fprintf(to, "  prise %s\n", _("COMMAND [OPTIONS] [ARGUMENTS]"));
	for (unsigned g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		if (group_is_empty(groups[g].group))
			continue;
		fprintf(to, "\n%s\n", _(groups[g].title));
		for (unsigned i = 0; i < command_row_count; i++) {
			if (command_rows[i].group != groups[g].group)
				continue;
			fprintf(to, "  %-12s", command_rows[i].name);
			usage_wrap(to, _(command_rows[i].summary), 14, 14, width);
		}
	}
	fprintf(to, "\n%s\n", _("prise help COMMAND tells more; `prise serve` is where to begin."));
}

/* What the environment says about files and peers (base/place.h). */
static void put_man_places(FILE *to)
{
	fputs(".It Ev XDG_CONFIG_HOME\n"
	      "The directory above prise's own with this machine's key, known_hosts,\n"
	      "authorized_keys and the dashboard's token; else\n.Pa /etc/prise\n"
	      "as root and\n.Pa ~/.config/prise\nas anybody else.\n"
	      "What\n.Cm serve\nruns is read from there only when\n.Fl c\nnames it.\n"
	      ".It Ev XDG_STATE_HOME\n"
	      "The same for what a service remembers (the record of role); else\n"
	      ".Pa /var/lib/prise\nas root and\n.Pa ~/.local/state/prise .\n"
	      ".It Ev XDG_RUNTIME_DIR\n"
	      "The same for\n.Pa ctl ,\nthe daemon's control socket; else it is beside the state.\n"
	      "As root it is\n.Pa /run/prise/ctl ,\nunless\n.Ev XDG_STATE_HOME\nis set.\n"
	      ".It Ev HOME\nThe ~ above.\n"
	      ".It Ev http_proxy , https_proxy , all_proxy , no_proxy\n"
	      "The way of\n.Cm get\nand\n.Cm ip ;\nthe last three in capitals too.\n"
	      ".It Ev SSL_CERT_FILE , SSL_CERT_DIR\nThe authorities that certificates are "
	      "checked against.\n"
	      ".It Ev LISTEN_PID , LISTEN_FDS , LISTEN_FDNAMES\n"
	      "Sockets for\n.Cm serve ,\nby service name (sd_listen_fds(3)).\n"
	      ".It Ev NOTIFY_SOCKET\nWho is told when\n.Cm serve\nis ready (sd_notify(3)).\n",
	      to);
}

static void put_man(FILE *to)
{
	fputs(".\\\" Made from the tables of prise: edit those.\n.Dd " PRISE_DATE "\n.Dt PRISE 1\n"
	      ".Os prise " PRISE_VERSION "\n.Sh NAME\n.Nm prise\n.Nd everything a socket does\n"
	      ".Sh SYNOPSIS\n.Nm\n.Ar command\n.Op Ar options\n.Op Ar arguments\n.Nm\n.Cm help\n"
	      ".Op Ar command\n.Nm\n.Fl \\-version\n.Sh DESCRIPTION\n.Nm\n"
	      "serves, speaks and measures the protocols of sockets.\n"
	      "Each command has a page of its own:\n.Bl -tag -width Ds\n",
	      to);
	for (unsigned i = 0; i < command_row_count; i++)
		fprintf(to, ".It Xr prise-%s 1\n%s\n", command_rows[i].name,
			command_rows[i].summary);
	fputs(".El\n.Pp\n"
	      "The peer's address is HOST:PORT, [V6]:PORT, :PORT (this machine),\n"
	      "a service's name in place of the port, or unix:/path.\n"
	      "To listen on, PORT or :PORT is this machine alone,\n"
	      "*:PORT or any:PORT is everywhere.\n"
	      "Data goes to standard output, talk to standard error.\n"
	      ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
	      ".It Ev LC_ALL , LC_MESSAGES , LANG , LANGUAGE\nThe language of messages.\n"
	      ".It Ev NO_COLOR\nNo colour when set to anything.\n"
	      ".It Ev PRISE_LOCALEDIR\nWhere the translations are.\n"
	      ".It Ev COLUMNS\nHow wide help is, where no terminal says.\n",
	      to);
	put_man_places(to);
	fputs(".El\n.Sh EXIT STATUS\n.Bl -tag -width Ds -compact\n"
	      ".It 0\ndone; the answer is yes\n"
	      ".It 1\ndone; the answer is no (down, different, lost)\n"
	      ".It 2\nwrong usage\n.It 3\na name cannot be resolved\n.It 4\nrefused\n"
	      ".It 5\ntimed out\n.It 6\nunreachable or prohibited\n"
	      ".It 7\nTLS, key or authentication failed\n"
	      ".It 8\nthe peer broke the protocol or left early\n"
	      ".It 9\nthis machine said no (permission, address in use, descriptors, disk)\n.El\n"
	      "Whoever closes the pipe that prise prints to has seen enough: that is 0.\n",
	      to);
}

static void put_long_names(FILE *to, const struct command *command)
{
	for (const struct option *row = command->options; row != NULL && row->name != NULL; row++)
		if (row->help != NULL)
			fprintf(to, " --%s", row->name);
	for (const struct option *row = arguments_common; row->name != NULL; row++)
		if (arguments_takes(command, row))
			fprintf(to, " --%s", row->name);
}

static void put_choices(FILE *to, const struct command *command)
{
	for (const struct option *row = command->options; row != NULL && row->name != NULL; row++)
		if (row->type == OPTION_CHOICE && row->help != NULL)
			fprintf(to, "\t'%s --%s') words='%s' ;;\n", command->name, row->name,
				row->choices);
}

/* Words that stand as arguments: commands for help, services for serve. */
static void put_arguments(FILE *to)
{
	fputs("\t\thelp) words=$commands ;;\n\t\tserve) words='", to);
#define SERVICE(name, port, standard, transports, on, first, where, who, holder, help) \
	fputs(#name " ", to);
#include "service/service.def"
#undef SERVICE
	fputs("' ;;\n", to);
}

static void put_completion(FILE *to)
{
	fputs("# bash completion for prise(1), made from its tables.\n# shellcheck shell=bash\n"
	      "_prise()\n{\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
	      "\tlocal words='' commands='",
	      to);
	for (unsigned i = 0; i < command_row_count; i++)
		fprintf(to, "%s%s", i == 0 ? "" : " ", command_rows[i].name);
	fputs("'\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n\t\twords=\"$commands --help --version\"\n"
	      "\telif [ \"${current#-}\" != \"$current\" ]; then\n\t\tcase ${COMP_WORDS[1]} in\n",
	      to);
	for (unsigned i = 0; i < command_row_count; i++) {
		fprintf(to, "\t\t%s) words='", command_rows[i].name);
		put_long_names(to, command_rows[i].command);
		fputs("' ;;\n", to);
	}
	fputs("\t\tesac\n\telse\n\t\tcase ${COMP_WORDS[1]} in\n", to);
	put_arguments(to);
	fputs("\t\tesac\n\tfi\n\tcase \"${COMP_WORDS[1]} $previous\" in\n", to);
	for (unsigned i = 0; i < command_row_count; i++)
		put_choices(to, command_rows[i].command);
	fputs("\t*) ;;\n\tesac\n"
	      "\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
	      "}\ncomplete -o default -F _prise prise\n",
	      to);
}

int help_unknown(const char *name)
{
	const char *nearest = command_nearest(name);
	char advice[256];

	snprintf(advice, sizeof(advice), _("prise %s, or prise help for the list"), nearest);
	return say_usage(nearest == NULL ? _("prise help for the list") : advice,
			 _("there is no command %s"), name);
}

static int run(struct command_call *call)
{
	const struct options *given = call->options;
	const struct command_row *row = NULL;

	if (given->completion != NULL && strcmp(given->completion, "bash") != 0)
		return say_usage("--completion bash", _("no completion for %s"), given->completion);
	if (given->completion != NULL) {
		put_completion(stdout);
		return 0;
	}
	if (call->argc > 1)
		return say_usage(_("prise help COMMAND"), _("one command at a time"));
	if (call->argc == 1) {
		row = command_find(call->argv[0]);
		if (row == NULL)
			return help_unknown(call->argv[0]);
	}
	if (given->man && row == NULL)
		put_man(stdout);
	else if (given->man)
		usage_print_man(stdout, row->command, row->summary);
	else if (row == NULL)
		help_print(stdout);
	else
		usage_print(stdout, row->command, row->summary);
	return 0;
}

const struct command command_help = {
	.name = "help",
	.synopsis = N_("[COMMAND]"),
	.about = N_("Without a command, all of them in a line each. With one, its arguments, its "
		    "options and examples. `prise COMMAND --help` says the same."),
	.examples = "prise help\nprise help daytime\n",
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = run,
};
