/* The list of commands, and what to say to who names one that does not exist. */
#ifndef COMMAND_HELP_H
#define COMMAND_HELP_H

#include "command/command.h"

void help_print(FILE *to);

/* Says that there is no such command and which one may be meant. Returns 2. */
int help_unknown(const char *name);

#endif
