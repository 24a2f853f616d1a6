/* prise: finds the command and runs it. */
#include "command/arguments.h"
#include "command/command.h"
#include "command/help.h"
#include "command/language.h"
#include "command/publish.h"
#include "command/say.h"
#include "command/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/* Whoever closed one of 0, 1, 2 for us (`>&-`) must not find a socket of ours there. Nothing can be
 * written to what stands in for stdout, so that it is an error. */
static void keep_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) < 0)
			_exit(err_exit(ERR_SYSTEM));
}

/* Whoever closed the pipe that we print to has seen enough, as with `| head`. Commands whose end
 * needs more care ignore the signal and find out by the error. */
static void nobody_reads(int signal_number)
{
	_exit(0);
}

/* A command that does not exist has no options; how it is to be told is seen all the same. */
static int unknown(const char *name, int argc, char **argv)
{
	struct command_common common = {0};

	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		common.json = common.json || strcmp(argv[i], "--json") == 0;
	say_begin(NULL, &common);
	return help_unknown(name);
}

static int run(const struct command_row *row, int argc, char **argv)
{
	struct command_call call = {.command = row->command};
	int code;

	say_begin(row->name, NULL);
	call.options = calloc(1, row->command->options_bytes + 1);
	if (call.options == NULL)
		return say_error(SAY_RUN, row->name, ERR_MEMORY);
	if (arguments_parse(&call, argc, argv) != 0)
		code = err_exit(ERR_USAGE);
	else if (call.common.help) {
		usage_print(stdout, row->command, row->summary);
		code = 0;
	} else {
		publish_errors(&call);
		code = row->command->run(&call);
		publish_errors(NULL);
	}
	free(call.options);
	return code;
}

int main(int argc, char **argv)
{
	const struct command_row *row;

	keep_standard_descriptors();
	if (signal(SIGPIPE, SIG_IGN) == SIG_DFL)
		signal(SIGPIPE, nobody_reads);
	language_begin();
	if (argc < 2) {
		help_print(stderr);
		return err_exit(ERR_USAGE);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("prise " PRISE_VERSION);
		return say_end(0);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
		help_print(stdout);
		return say_end(0);
	}
	row = command_find(argv[1]);
	return say_end(row == NULL ? unknown(argv[1], argc - 2, argv + 2)
				   : run(row, argc - 2, argv + 2));
}
