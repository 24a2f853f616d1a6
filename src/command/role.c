/* prise role: be principal or secondaire, and run a command only while principal.
 *
 *   server ◄──► role_client_machine ──tells──► role_hear ──► the program, through its supervisor
 *
 * The program's deadline lies with the supervisor (net/process.h): a quarter of the lease before
 * the lease's end its group gets SIGTERM, and SIGKILL before that end, whatever has become of us.
 */
#include "command/client.h"
#include "command/role_hooks.h"
#include "command/say.h"
#include "net/process.h"
#include "proto/role.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	ROLE_PORT = 9001,
	ROLE_RETRY_LEAST_MS = 100,
	ROLE_RETRY_MOST_MS = 10000,
	ROLE_GRACE_SHARE = 4,  /* of a lease, between SIGTERM and SIGKILL */
	ROLE_SPARE_SHARE = 8,  /* of that grace, between SIGKILL and the lease's end */
	ROLE_GRACE_MS = 10000, /* without a lease */
	ROLE_UNSURE_MOST = 2,  /* hang-ups on our first line, before the server counts as plain */
};

enum role_if_lost { ROLE_DROP, ROLE_KEEP };

struct options {
	const char *name, *exec, *on_principal, *on_secondaire;
	uint64_t priority;
	int if_server_lost; /* enum role_if_lost */
};

static const struct option options[] = {
	{.name = "name",
	 .type = OPTION_TEXT,
	 .argument = N_("NAME"),
	 .offset = offsetof(struct options, name),
	 .help = N_("what this client calls itself; its host name unless given")},
	{.name = "priority",
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .most = ROLE_PRIORITY_MOST,
	 .offset = offsetof(struct options, priority),
	 .help = N_("a vacancy goes to the highest, then to the oldest")},
	{.name = "exec",
	 .type = OPTION_TEXT,
	 .argument = N_("CMD"),
	 .offset = offsetof(struct options, exec),
	 .help = N_("run CMD while principal, and only then; PRISE_EPOCH is in its environment")},
	{.name = "on-principal",
	 .type = OPTION_TEXT,
	 .argument = N_("CMD"),
	 .offset = offsetof(struct options, on_principal),
	 .help = N_("run CMD once on becoming principal")},
	{.name = "on-secondaire",
	 .type = OPTION_TEXT,
	 .argument = N_("CMD"),
	 .offset = offsetof(struct options, on_secondaire),
	 .help = N_("run CMD once on becoming secondaire")},
	{.name = "if-server-lost",
	 .type = OPTION_CHOICE,
	 .argument = "drop|keep",
	 .choices = "drop keep",
	 .fallback = "drop",
	 .offset = offsetof(struct options, if_server_lost),
	 .help = N_("what to do with the command when the server is gone; keep runs it without a "
		    "lease")},
	OPTION_END,
};

struct role_run {
	const struct options *given;
	struct client client;
	struct process_helper *helper;
	struct role_client_settings settings;
	char name[ROLE_NAME_BYTES + 1];

	/* What the server says. */
	bool principal;
	uint64_t epoch, until_ns;
	unsigned unsure; /* hang-ups in a row */
	bool talked;     /* in this conversation */

	/* The program. */
	int64_t program; /* 0: none runs */
	bool kept;       /* it goes on without a lease */
	bool stopping;   /* it was told to end */
	uint64_t grace_ms;

	struct role_hooks hooks;

	/* The end. */
	int signal_number;
	bool over;
	int code;
	struct wheel_timer retry;
	bool retry_due;
};

static uint64_t role_deadline_ns(const struct role_run *r)
{
	uint64_t before_ns = (r->grace_ms + r->grace_ms / ROLE_SPARE_SHARE) * MOMENT_MS;

	if (r->until_ns == MOMENT_NEVER || r->given->if_server_lost == ROLE_KEEP)
		return MOMENT_NEVER;
	return r->until_ns > before_ns ? r->until_ns - before_ns : 0;
}

/* With --json, stdout is ours alone. */
static int role_stdout(const struct role_run *r)
{
	return r->client.call->common.json ? STDERR_FILENO : -1;
}

static void role_end(struct role_run *r, int code)
{
	struct message stopped = {.kind = ROLE_STOPPED};

	if (r->over)
		return;
	r->over = true;
	r->code = code;
	if (r->client.pump && pump_open(r->client.pump) && !r->client.securing)
		pump_tell(r->client.pumps, r->client.id, &stopped);
	else
		client_end(&r->client, ERR_DRAINED);
	r->retry_due = true;
	pump_deliver(r->client.pumps);
}

/* The command could not be started, or the supervisor has died and it with it. */
static int role_say_run(const struct role_run *r, int err)
{
	if (err != ERR_LEFT && err != ERR_SYSTEM)
		return say_error(SAY_RUN, r->given->exec, err);
	return say_told(r->given->exec, ERR_SYSTEM,
			_("the process that watches over the command has died"),
			_("prise role again; the kernel's log (`dmesg`) may say who killed it"));
}

static void role_start_program(struct role_run *r);

static void role_program_ended(void *owner, int64_t id, const struct process_end *end)
{
	struct role_run *r = owner;
	bool asked = r->stopping || end->deadline;

	r->program = 0;
	r->stopping = false;
	if (r->signal_number) {
		role_end(r, 128 + r->signal_number);
	} else if (end->err && end->err != ERR_TIMEOUT) {
		role_end(r, role_say_run(r, end->err));
	} else if (!asked && !end->err) {
		say_note(end->signalled ? _("the command was ended by signal %d")
					: _("the command ended with status %d"),
			 end->status);
		role_end(r, end->signalled ? 128 + end->status : end->status);
	} else if (r->principal && role_deadline_ns(r) > loop_now(r->client.loop)->boot_ns) {
		role_start_program(r); /* else a renewal does */
	}
}

static void role_start_program(struct role_run *r)
{
	char epoch[48];
	const char *const argv[] = {"/bin/sh", "-c", r->given->exec, NULL};
	const char *const environment[] = {epoch, NULL};
	struct process_plan plan = {.argv = argv,
				    .environment = environment,
				    .stdin_fd = -1,
				    .stdout_fd = role_stdout(r),
				    .stderr_fd = -1,
				    .stop_with_parent = true};
	uint64_t now_ns = loop_now(r->client.loop)->boot_ns;

	if (!r->given->exec || r->program || r->over || r->signal_number || r->until_ns <= now_ns)
		return;
	r->grace_ms = r->until_ns == MOMENT_NEVER
			      ? ROLE_GRACE_MS
			      : (r->until_ns - now_ns) / MOMENT_MS / ROLE_GRACE_SHARE;
	plan.grace_ms = r->grace_ms;
	plan.deadline_ns = role_deadline_ns(r);
	snprintf(epoch, sizeof epoch, "PRISE_EPOCH=%" PRIu64, r->epoch);
	r->program = process_start(r->helper, &plan, role_program_ended, r);
	if (r->program < 0) {
		int err = (int)r->program;

		r->program = 0;
		role_end(r, role_say_run(r, err));
	}
}

static void role_stop_program(struct role_run *r)
{
	if (!r->program || r->stopping)
		return;
	r->stopping = true;
	process_stop(r->helper, r->program);
}

static void role_become(struct role_run *r, const struct message *m)
{
	bool principal = m->number[0];
	bool changed = r->principal != principal || r->epoch != m->number[1];

	r->principal = principal;
	r->epoch = m->number[1];
	r->until_ns = m->number[2];
	r->unsure = 0;
	r->talked = true;
	r->kept = false;
	if (m->number[3])
		r->settings.mode = ROLE_CLIENT_STRUCTURED;
	if (!principal)
		role_stop_program(r);
	if (changed || !principal)
		role_hooks_run(&r->hooks, (struct role_change){principal, r->epoch});
	if (principal && r->program && changed)
		role_stop_program(
			r); /* of an earlier reign, under its epoch: the next follows it */
	else if (principal)
		role_start_program(r);
}

/* With `keep` the command goes on, as long as nobody says that another is principal. */
static void role_keep(struct role_run *r)
{
	if (!r->kept)
		say_warning(
			_("the server is gone: the command goes on without a lease, and another "
			  "may become principal beside it"));
	r->kept = true;
}

/* The lease is over: by now the supervisor has ended the command, unless it was stopped itself. */
static void role_lease_lost(struct role_run *r)
{
	if (r->given->if_server_lost == ROLE_KEEP && r->program) {
		role_keep(r);
		return;
	}
	r->principal = false;
	role_hooks_reign_over(&r->hooks);
	if (r->program)
		process_kill(r->helper, r->program);
	role_stop_program(r);
}

static void role_hear(void *owner, const struct message *m)
{
	struct role_run *r = owner;

	/* What was on its way when we gave the place up holds no more. */
	if (r->over)
		return;
	switch ((enum role_kind)m->kind) {
	case ROLE_BECAME:
		role_become(r, m);
		break;
	case ROLE_RENEWED:
		r->until_ns = m->number[2];
		if (!r->program && r->principal)
			role_start_program(r);
		else if (r->program && !r->stopping)
			process_set_deadline(r->helper, r->program, role_deadline_ns(r));
		break;
	case ROLE_LOST:
		role_lease_lost(r);
		break;
	case ROLE_UNSURE:
		if (++r->unsure >= ROLE_UNSURE_MOST)
			r->settings.mode = ROLE_CLIENT_PLAIN;
		break;
	default:
		break;
	}
}

static void role_event(void *owner, const struct event *e)
{
	const struct event_field *role = event_find(e, "role"), *epoch = event_find(e, "epoch");
	const struct event_field *why = event_find(e, "why");
	struct bytes text;

	if (strcmp(e->type, "role.lost") == 0) {
		say_warning(_("the lease ran out: no longer principal"));
	} else if (why) {
		text = event_field_text(e, why);
		say_warning(_("the server refuses: %.*s"), (int)text.len, (const char *)text.data);
	} else if (role) {
		text = event_field_text(e, role);
		printf("%.*s", (int)text.len, (const char *)text.data);
		if (epoch)
			printf(" epoch=%" PRIu64, epoch->u);
		putchar('\n');
	}
}

/* The server is gone. What it said holds no longer than its lease; without one it holds no more. */
static void role_server_lost(struct role_run *r)
{
	if (!r->program)
		r->principal = false;
	if (!r->principal) {
		role_hooks_reign_over(&r->hooks);
		return;
	}
	if (r->given->if_server_lost == ROLE_KEEP) {
		role_keep(r);
		return;
	}
	r->principal = false;
	role_hooks_reign_over(&r->hooks);
	role_stop_program(r);
}

static void role_retry_due(struct wheel_timer *timer, void *context)
{
	struct role_run *r = (struct role_run *)((char *)timer - offsetof(struct role_run, retry));

	r->retry_due = true;
}

static void role_wait(struct role_run *r, uint64_t wait_ms)
{
	uint64_t jitter_ms = loop_random(r->client.loop) % (wait_ms / 2 + 1);

	if (r->over)
		return;
	r->retry_due = false;
	loop_arm(r->client.loop, &r->retry,
		 loop_now(r->client.loop)->boot_ns + (wait_ms / 2 + jitter_ms) * MOMENT_MS);
	loop_run_until(r->client.loop, &r->retry_due);
	loop_disarm(r->client.loop, &r->retry);
}

/* Whether trying again makes no sense. */
static bool role_is_final(const struct role_run *r, int err, uint64_t silent_since_ns, bool ever)
{
	uint64_t limit_ms = client_timeout_ms(&r->client, 0);

	if (err == ERR_REFUSES || err == ERR_USAGE || (err == ERR_NO_NAME && !ever))
		return true;
	return limit_ms &&
	       loop_now(r->client.loop)->boot_ns - silent_since_ns > limit_ms * MOMENT_MS;
}

static void role_say_trouble(struct role_run *r, int err)
{
	char text[sizeof r->client.where + 128];

	if ((err == ERR_LEFT || err == ERR_RESET) && r->talked) {
		snprintf(text, sizeof text, _("the server %s has gone: %s"), r->client.where,
			 _(err_text(err)));
		say_told(r->client.where, err, text,
			 _("a look at the server: was it stopped, or is it being restarted?"));
	} else {
		client_say(&r->client, err);
	}
	say_note(_("trying again, with growing pauses"));
}

/* All that it does is to print, so that it is pointless once nobody reads. */
static bool role_only_prints(const struct options *given)
{
	return !given->exec && !given->on_principal && !given->on_secondaire;
}

static void role_unheard(void *owner)
{
	role_end(owner, 0);
}

/* Talks to the server, again and again, until told to end. Returns the exit code. */
static int role_go_on(struct role_run *r)
{
	struct client_talk talk = {.machine = &role_client_machine,
				   .settings = &r->settings,
				   .event = role_event,
				   .told = role_hear,
				   .unheard = role_only_prints(r->given) ? role_unheard : NULL,
				   .owner = r};
	uint64_t wait_ms = ROLE_RETRY_LEAST_MS, since_ns = loop_now(r->client.loop)->boot_ns;
	int err, said = 0;
	bool ever = false;

	while (!r->over) {
		r->talked = false;
		err = client_talk(&r->client, &talk);
		if (r->over)
			break;
		if (r->talked) {
			wait_ms = ROLE_RETRY_LEAST_MS;
			since_ns = loop_now(r->client.loop)->boot_ns;
			ever = true;
			said = 0;
		}
		role_server_lost(r);
		if (r->signal_number && !r->program)
			return 128 + r->signal_number;
		if (role_is_final(r, err, since_ns, ever))
			return client_say(&r->client, err);
		if (err != said && !r->signal_number) {
			role_say_trouble(r, err);
			said = err;
		}
		role_wait(r, wait_ms);
		wait_ms = wait_ms * 2 < ROLE_RETRY_MOST_MS ? wait_ms * 2 : ROLE_RETRY_MOST_MS;
	}
	return r->code;
}

/* The work is stopped first, then the place is given up; a second signal does not wait. */
static void role_caught(void *owner, int signal_number)
{
	struct role_run *r = owner;

	if (r->signal_number) {
		/* A name server may keep its thread for seconds yet. */
		process_helper_stop(r->helper);
		_exit(128 + signal_number);
	}
	r->signal_number = signal_number;
	role_hooks_reign_over(&r->hooks);
	if (r->over)
		role_hooks_give_up(&r->hooks);
	else if (r->program)
		role_stop_program(r);
	else
		role_end(r, 128 + signal_number);
}

static int role_set_up(struct role_run *r)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	int err;

	if (r->given->name)
		snprintf(r->name, sizeof r->name, "%s", r->given->name);
	else if (gethostname(r->name, sizeof r->name - 1) < 0)
		snprintf(r->name, sizeof r->name, "prise");
	if (!role_name_valid(bytes_of_string(r->given->name ? r->given->name : r->name)))
		return say_usage(_("1 to 64 bytes without spaces"),
				 _("'%s' is no name for a client"), r->given->name);
	r->settings = (struct role_client_settings){
		.name = r->name, .priority = r->given->priority, .mode = ROLE_CLIENT_AUTO};
	r->retry.due = role_retry_due;
	r->hooks = (struct role_hooks){.helper = r->helper,
				       .loop = r->client.loop,
				       .on_principal = r->given->on_principal,
				       .on_secondaire = r->given->on_secondaire,
				       .stdout_fd = role_stdout(r)};
	role_hooks_begin(&r->hooks);
	err = process_helper_attach(r->helper, r->client.loop);
	if (!err)
		err = loop_signals(r->client.loop, signals, 3, role_caught, r);
	return err ? say_error(SAY_RUN, "role", err) : 0;
}

/* The command first, which may have gone on without a lease. */
static void role_finish(struct role_run *r)
{
	r->over = true;
	role_stop_program(r);
	while (r->program)
		loop_turn(r->client.loop, -1);
	role_hooks_end(&r->hooks);
}

static int role_run(struct command_call *call)
{
	struct role_run r = {.given = call->options};
	int taken, code, err = process_helper_start(&r.helper);

	if (err)
		return say_error(SAY_RUN, "role", err);
	code = client_open(&r.client, call, ROLE_PORT, true, &taken);
	if (code) {
		process_helper_stop(r.helper);
		return code;
	}
	code = role_set_up(&r);
	if (!code) {
		code = role_go_on(&r);
		role_finish(&r);
	}
	process_helper_stop(r.helper);
	client_close(&r.client);
	return code;
}

const struct command command_role = {
	.name = "role",
	.synopsis = N_("HOST[:PORT]\nHOST PORT"),
	.about = N_(
		"Joins the queue of a role server (`prise serve role`) and prints each change: "
		"`principal` or `secondaire`, with the epoch when the server keeps one. With "
		"--exec, CMD runs under /bin/sh while this client is principal and only then. Its "
		"whole process group is stopped, SIGTERM first and SIGKILL a quarter of a lease "
		"later, before the lease can run out elsewhere, also when prise itself is killed "
		"or stopped. When CMD ends by itself, the place is given up, and its exit status "
		"is ours.\n\n"
		"PRISE_EPOCH, in the environment of CMD and of the hooks, is the fencing token: it "
		"grows at every promotion, and whatever CMD writes to may refuse a smaller one. "
		"Hooks run one after the other; while one runs the newest change waits, and what "
		"it makes out of date is left out. One that takes longer than ten seconds is not "
		"waited for, and CMD waits for none. "
		"With --json, what they print goes to standard error.\n\n"
		"A lost server is tried again with growing pauses; with -t it is given up after "
		"that long. Plain servers, which know words only, work too: they give no lease and "
		"no epoch."),
	.examples = "prise role 127.0.0.1\n"
		    "prise role master.example:9001 --name web2 --exec './publish'\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT | COMMAND_TAKES_TLS,
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = role_run,
};
