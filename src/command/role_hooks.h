/* The hooks of prise role: a command at each change, one after the other in the order of the
 * changes, so that what the last one has done stands. One that takes longer than ROLE_HOOK_MS is
 * not waited for any more: the next starts beside it. */
#ifndef COMMAND_ROLE_HOOKS_H
#define COMMAND_ROLE_HOOKS_H

#include "net/process.h"

enum { ROLE_HOOK_MS = 10000, ROLE_HOOKS_WAIT = 16 };

struct role_change {
	bool principal;
	uint64_t epoch;
};

struct role_hooks {
	/* The owner's, who sets them before role_hooks_begin. */
	struct process_helper *helper;
	struct loop *loop;
	const char *on_principal, *on_secondaire; /* for /bin/sh; NULL: nothing is done */
	int stdout_fd;                            /* as in struct process_plan */

	int64_t runs; /* 0: none is waited for */
	uint64_t since_ns;
	struct role_change waiting[ROLE_HOOKS_WAIT];
	unsigned waits;
	bool settled;  /* none waits */
	bool left_out; /* said of these that wait */
	struct wheel_timer patience;
};

void role_hooks_begin(struct role_hooks *hooks);

/* Has the change's command run, now or in its turn, with PRISE_EPOCH in its environment. Of more
 * than ROLE_HOOKS_WAIT that wait the oldest is left out, which is said. */
void role_hooks_run(struct role_hooks *hooks, struct role_change change);

/* We are principal no more: what was to be done at the beginning of that is not done any more. */
void role_hooks_reign_over(struct role_hooks *hooks);

/* Runs the loop until the last that waits has been started, ROLE_HOOK_MS at most. */
void role_hooks_end(struct role_hooks *hooks);

/* None that waits is started any more, and role_hooks_end returns. */
void role_hooks_give_up(struct role_hooks *hooks);

#endif
