/* What the files of `prise events` share. Private to them. */
#ifndef COMMAND_EVENTS_PARTS_H
#define COMMAND_EVENTS_PARTS_H

#include "command/command.h"
#include "store/journal.h"

struct events_options {
	const char *client, *path, *text, *since, *until, *store;
	struct option_list type;
	bool follow;
	uint64_t limit;
};

struct events_ask {
	const struct command_call *call;
	const struct events_options *given;
	int64_t since_us, until_us;
	bool newest_only; /* `limit` of them, the newest */
	uint64_t limit;
};

/* events_control.c: the daemon's own events, from its control socket. Returns the exit code. */
int events_ask_daemon(const struct events_ask *ask);

/* Whether the daemon's event `type` is asked for by name: `role.change`, or `role` for all of it.
 */
bool events_wants(const struct events_ask *ask, const char *type);

/* Where local time stands at that moment, seconds east. */
int32_t events_offset_s(int64_t wall_us);

#endif
