#include "command/role_hooks.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/err.h"
#include "command/command.h"
#include "command/say.h"

enum { HOOK_GRACE_MS = 10000 };

static void hooks_go_on(struct role_hooks *h);

static void hook_say(const struct role_hooks *h, int err)
{
	say_warning(_("cannot run the hook %s: %s"), h->command, _(err_text(err)));
}

static void hook_ended(void *owner, int64_t id, const struct process_end *end)
{
	struct role_hooks *h = owner;

	if (id != h->runs) /* one that is not waited for any more */
		return;
	if (end->err && end->err != ERR_LEFT) /* it had been started when the helper died */
		hook_say(h, end->err);
	h->runs = 0;
	hooks_go_on(h);
}

static const char *hook_of(const struct role_hooks *h, const struct role_change *change)
{
	return change->principal ? h->on_principal : h->on_secondaire;
}

static void hook_start(struct role_hooks *h, const struct role_change *change)
{
	char epoch[48];
	const char *const argv[] = {"/bin/sh", "-c", hook_of(h, change), NULL};
	const char *const environment[] = {epoch, NULL};
	struct process_plan plan = {.argv = argv,
				    .environment = environment,
				    .stdin_fd = -1,
				    .stdout_fd = h->stdout_fd,
				    .stderr_fd = -1,
				    .grace_ms = HOOK_GRACE_MS,
				    .deadline_ns = MOMENT_NEVER};

	snprintf(epoch, sizeof epoch, "PRISE_EPOCH=%" PRIu64, change->epoch);
	h->command = hook_of(h, change);
	h->since_ns = loop_now(h->loop)->boot_ns;
	h->runs = process_start(h->helper, &plan, hook_ended, h);
	if (h->runs < 0) {
		hook_say(h, (int)h->runs);
		h->runs = 0;
	}
}

static void hooks_go_on(struct role_hooks *h)
{
	if (!h->settled && !h->runs) {
		h->settled = true;
		h->left_out = false;
		hook_start(h, &h->next);
	}
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
		    (unsigned)((loop_now(h->loop)->boot_ns - h->since_ns) / MOMENT_S));
	h->runs = 0;
	hooks_go_on(h);
}

void role_hooks_begin(struct role_hooks *hooks)
{
	hooks->runs = 0;
	hooks->left_out = false;
	hooks->settled = true;
	hooks->patience = (struct wheel_timer){.due = hooks_patience_due};
}

void role_hooks_run(struct role_hooks *hooks, struct role_change change)
{
	if (!change.principal)
		role_hooks_reign_over(hooks);
	if (!hook_of(hooks, &change))
		return;
	if (!hooks->settled && !hooks->left_out) {
		say_warning(_("the hooks are slower than the changes: some are left out"));
		hooks->left_out = true;
	}
	hooks->settled = false;
	hooks->next = change;
	hooks_go_on(hooks);
}

void role_hooks_reign_over(struct role_hooks *hooks)
{
	if (!hooks->settled && hooks->next.principal)
		role_hooks_give_up(hooks);
}

void role_hooks_end(struct role_hooks *hooks)
{
	role_hooks_reign_over(hooks);
	while (!hooks->settled)
		loop_run_until(hooks->loop, &hooks->settled);
}

void role_hooks_give_up(struct role_hooks *hooks)
{
	hooks->settled = true;
	hooks_go_on(hooks);
}
