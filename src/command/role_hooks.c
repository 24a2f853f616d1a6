#include "command/role_hooks.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "command/command.h"
#include "command/say.h"

enum { HOOK_GRACE_MS = 10000 };

static void hooks_go_on(struct role_hooks *h);

static void hook_ended(void *owner, int64_t id, const struct process_end *end)
{
	struct role_hooks *h = owner;

	(void)end;
	if (id != h->runs) /* one that is not waited for any more */
		return;
	h->runs = 0;
	hooks_go_on(h);
}

static void hook_start(struct role_hooks *h, const struct role_change *change)
{
	const char *command = change->principal ? h->on_principal : h->on_secondaire;
	char epoch[48];
	const char *const argv[] = {"/bin/sh", "-c", command, NULL};
	const char *const environment[] = {epoch, NULL};
	struct process_plan plan = {.argv = argv,
				    .environment = environment,
				    .stdin_fd = -1,
				    .stdout_fd = h->stdout_fd,
				    .stderr_fd = -1,
				    .grace_ms = HOOK_GRACE_MS,
				    .deadline_ns = MOMENT_NEVER};

	snprintf(epoch, sizeof epoch, "PRISE_EPOCH=%" PRIu64, change->epoch);
	h->since_ns = loop_now(h->loop)->boot_ns;
	h->runs = process_start(h->helper, &plan, hook_ended, h);
	if (h->runs < 0) {
		h->runs = 0;
		say_warning(_("cannot run the hook: %s"), command);
	}
}

static void hooks_leave_out_first(struct role_hooks *h)
{
	h->waits--;
	memmove(h->waiting, h->waiting + 1, h->waits * sizeof *h->waiting);
}

static void hooks_go_on(struct role_hooks *h)
{
	while (h->waits && !h->runs) {
		hook_start(h, &h->waiting[0]);
		hooks_leave_out_first(h);
	}
	h->settled = !h->waits;
	if (h->settled)
		loop_disarm(h->loop, &h->patience);
	else
		loop_arm(h->loop, &h->patience, h->since_ns + ROLE_HOOK_MS * MOMENT_MS);
}

static void hooks_patience_due(struct wheel_timer *timer, void *context)
{
	struct role_hooks *h = (struct role_hooks *)((char *)timer -
						     offsetof(struct role_hooks, patience));

	say_warning(_("a hook has been running for %u seconds: the next one starts beside it"),
		    ROLE_HOOK_MS / 1000);
	h->runs = 0;
	hooks_go_on(h);
}

void role_hooks_begin(struct role_hooks *hooks)
{
	hooks->runs = 0;
	hooks->waits = 0;
	hooks->settled = true;
	hooks->patience = (struct wheel_timer){.due = hooks_patience_due};
}

void role_hooks_run(struct role_hooks *hooks, struct role_change change)
{
	if (!(change.principal ? hooks->on_principal : hooks->on_secondaire))
		return;
	if (hooks->waits == ROLE_HOOKS_WAIT) {
		say_warning(_("the hooks are slower than the changes: one is left out"));
		hooks_leave_out_first(hooks);
	}
	hooks->waiting[hooks->waits++] = change;
	hooks_go_on(hooks);
}

void role_hooks_end(struct role_hooks *hooks)
{
	while (!hooks->settled)
		loop_run_until(hooks->loop, &hooks->settled);
	loop_disarm(hooks->loop, &hooks->patience);
}
