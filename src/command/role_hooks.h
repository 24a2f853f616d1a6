/* The hooks of prise role: a command at each change, one after the other, so that what the last one
 * has done stands. While one runs the newest change waits, and what it makes out of date is left
 * out; one that takes longer than ROLE_HOOK_MS is not waited for any more, and the next starts
 * beside it. */
#ifndef COMMAND_ROLE_HOOKS_H
#define COMMAND_ROLE_HOOKS_H

#include "net/process.h"

enum { ROLE_HOOK_MS = 10000 };

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

	int64_t runs;        /* 0: none is waited for */
	const char *command; /* of the newest that was started */
	uint64_t since_ns;
	bool settled; /* nothing waits; else `next` does */
	struct role_change next;
	bool left_out; /* said while the present one runs */
	struct wheel_timer patience;
};

void role_hooks_begin(struct role_hooks *hooks);

/* Has the change's command run, now or in its turn, with PRISE_EPOCH in its environment. One that
 * waits is left out for it, which is said. */
void role_hooks_run(struct role_hooks *hooks, struct role_change change);

/* We are principal no more: if the beginning of that still waits, it is left out. */
void role_hooks_reign_over(struct role_hooks *hooks);

/* Runs the loop until what waits has been started, ROLE_HOOK_MS at most. */
void role_hooks_end(struct role_hooks *hooks);

/* What waits is left out, and role_hooks_end returns. */
void role_hooks_give_up(struct role_hooks *hooks);

#endif
