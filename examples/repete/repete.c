/* `repete [--repete N] LACHAINE`: says LACHAINE N times, 2 by default. A command whole: its option
 * struct, its table, what it does, and the row's `struct command`. */
#include "command/command.h"
#include "command/say.h"

struct options {
	uint64_t repete;
};

static const struct option options[] = {
	{"repete", 'r', OPTION_COUNT, "N", offsetof(struct options, repete), .fallback = "2",
	 .least = 1, .most = 1000000, .help = N_("how many times (2 unless told)")},
	OPTION_END,
};

static int run(struct command_call *call)
{
	const struct options *given = call->options;

	if (call->argc != 1)
		return say_usage(_("repete [--repete N] LACHAINE"), _("one LACHAINE is wanted"));
	for (uint64_t i = 0; i < given->repete; i++)
		puts(call->argv[0]);
	return 0;
}

extern const struct command command_repete;
const struct command command_repete = {
	.name = "repete",
	.synopsis = N_("[--repete N] LACHAINE"),
	.about = N_("Says LACHAINE, a line each time."),
	.examples = "prise repete --repete 3 bonjour\n",
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = run,
};
