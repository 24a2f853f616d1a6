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

	if (end->err)
		say_warning(_("cannot run the hook: %s"), _(err_text(end->err)));
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

static void hooks_remove(struct role_hooks *h, unsigned i)
{
	h->waits--;
	memmove(h->waiting + i, h->waiting + i + 1, (h->waits - i) * sizeof *h->waiting);
}

static void hooks_go_on(struct role_hooks *h)
{
	while (h->waits && !h->runs) {
		hook_start(h, &h->waiting[0]);
		hooks_remove(h, 0);
	}
	h->settled = !h->waits;
	if (h->settled) {
		h->left_out = false;
		loop_disarm(h->loop, &h->patience);
	} else {
		loop_arm(h->loop, &h->patience, h->since_ns + ROLE_HOOK_MS * MOMENT_MS);
	}
}

static void hooks_patience_due(struct wheel_timer *timer, void *context)
{
	struct role_hooks *h = (struct role_hooks *)((char *)timer -
						     offsetof(struct role_hooks, patience));

	say_warning(_("a hook has been running for %u seconds: the next one starts beside it"),
		    (unsigned)((loop_now(h->loop)->boot_ns - h->since_ns) / MOMENT_S));
	h->runs = 0;
	hooks_go_on(h);
}

void role_hooks_begin(struct role_hooks *hooks)
{
	hooks->runs = 0;
	hooks->waits = 0;
	hooks->settled = true;
	hooks->left_out = false;
	hooks->patience = (struct wheel_timer){.due = hooks_patience_due};
}

void role_hooks_run(struct role_hooks *hooks, struct role_change change)
{
	if (!(change.principal ? hooks->on_principal : hooks->on_secondaire))
		return;
	if (hooks->waits == ROLE_HOOKS_WAIT) {
		if (!hooks->left_out)
			say_warning(_("the hooks are slower than the changes: some are left out"));
		hooks->left_out = true;
		hooks_remove(hooks, 0);
	}
	hooks->waiting[hooks->waits++] = change;
	hooks_go_on(hooks);
}

void role_hooks_reign_over(struct role_hooks *hooks)
{
	for (unsigned i = hooks->waits; i-- > 0;)
		if (hooks->waiting[i].principal)
			hooks_remove(hooks, i);
	hooks_go_on(hooks);
}

/* Once no reign is left to begin, of several that wait the newest says all. */
void role_hooks_end(struct role_hooks *hooks)
{
	role_hooks_reign_over(hooks);
	while (hooks->waits > 1)
		hooks_remove(hooks, 0);
	while (!hooks->settled)
		loop_run_until(hooks->loop, &hooks->settled);
}

void role_hooks_give_up(struct role_hooks *hooks)
{
	hooks->waits = 0;
	hooks_go_on(hooks);
}
