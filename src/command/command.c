/* The table of commands, made from command.def. */
#include "command/command.h"

#define COMMAND(name, group, summary) {#name, COMMAND_##group, summary, &command_##name},
const struct command_row command_rows[] = {
#include "command/command.def"
};
#undef COMMAND

const unsigned command_row_count = sizeof(command_rows) / sizeof(command_rows[0]);

const struct command_row *command_find(const char *name)
{
	for (unsigned i = 0; i < command_row_count; i++)
		if (strcmp(command_rows[i].name, name) == 0)
			return &command_rows[i];
	return NULL;
}

const char *command_nearest(const char *name)
{
	const char *nearest = NULL;
	unsigned least = 2 + (unsigned)strlen(name) / 4; /* too far to be meant */

	for (unsigned i = 0; i < command_row_count; i++) {
		unsigned distance = text_distance(command_rows[i].name, name);

		if (distance < least && distance < strlen(name)) {
			least = distance;
			nearest = command_rows[i].name;
		}
	}
	return nearest;
}
