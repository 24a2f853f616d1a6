/* Stands in for src/main.c and a row of command.def, so that the example is a program of its own
 * and the real one stays without it. */
#include "command/arguments.h"
#include "command/language.h"
#include "command/say.h"
#include "command/usage.h"

#include <stdlib.h>

extern const struct command command_repete;

int main(int argc, char **argv)
{
	struct command_call call = {.command = &command_repete};
	int code = 0;

	language_begin();
	say_begin("repete", NULL);
	call.options = calloc(1, command_repete.options_bytes);
	if (call.options == NULL)
		return say_error(SAY_RUN, "repete", ERR_MEMORY);
	if (arguments_parse(&call, argc - 1, argv + 1) != 0)
		code = 2;
	else if (call.common.help)
		usage_print(stdout, &command_repete, N_("says a word again and again"));
	else
		code = command_repete.run(&call);
	free(call.options);
	return say_end(code);
}
