/* prise: finds the command and runs it. */
#include "command/arguments.h"
#include "command/command.h"
#include "command/help.h"
#include "command/language.h"
#include "command/say.h"
#include "command/usage.h"

#include <stdlib.h>

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
	} else
		code = row->command->run(&call);
	free(call.options);
	return code;
}

int main(int argc, char **argv)
{
	const struct command_row *row;

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
	return say_end(row == NULL ? help_unknown(argv[1]) : run(row, argc - 2, argv + 2));
}
