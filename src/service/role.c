/* The keeper of role: the hub, its clock and its record on disk (docs/protocols/role.md).
 *
 *   machines ──told──► hub ──PERSIST──► work thread: write, fsync, rename, fsync ──PERSISTED──► hub
 *
 * The record belongs to one server at a time: a lock beside it says whose it is. A record that
 * cannot be read is an error at start, never taken for none, since an epoch could be given twice.
 */
#include "proto/role.h"
#include "proto/role_hub.h"
#include "service/service.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define N_(s) s

enum { ROLE_MEMBERS_UNLIMITED = 1 << 20, ROLE_SHOWN = 1000 };

struct role_keep {
	const struct service_context *context;
	struct role_hub *hub;
	int dir_fd, lock_fd;
	unsigned jobs;           /* at work on the disk */
	struct role_job *newest; /* of them */
	bool stopped;            /* its end waits for those */
	struct wheel_timer timer;
	struct out out;
};

struct role_job {
	struct work_job job;
	struct role_keep *keep;
	uint64_t request;
	int err;
	struct text line;
	char text[ROLE_RECORD_BYTES];
};

static void role_carry_out(struct role_keep *keep);

static void role_hear(struct role_keep *keep, uint64_t from, const struct message *message)
{
	out_reset(&keep->out, SIZE_MAX);
	role_hub_tell(keep->hub, from, message, &keep->out, loop_now(keep->context->loop));
	role_carry_out(keep);
}

/* Writes the record beside the old one and moves it over, so that a power cut leaves one or the
 * other. Runs in the work thread. */
static void role_write(struct work_job *job)
{
	struct role_job *write_job = (struct role_job *)job;
	int dir_fd = write_job->keep->dir_fd;
	size_t len = write_job->line.len;
	int fd = openat(dir_fd, "role.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, write_job->text, len) != (ssize_t)len || fsync(fd) < 0 ||
	    renameat(dir_fd, "role.new", dir_fd, "role.epoch") < 0 || fsync(dir_fd) < 0)
		write_job->err = errno ? err_from_errno(errno) : ERR_DISK;
	if (fd >= 0)
		close(fd);
}

static void role_free(struct role_keep *keep)
{
	if (keep->lock_fd >= 0)
		close(keep->lock_fd);
	if (keep->dir_fd >= 0)
		close(keep->dir_fd);
	free(keep->hub);
	free(keep);
}

static void role_written(struct work_job *job)
{
	struct role_job *write_job = (struct role_job *)job;
	struct role_keep *keep = write_job->keep;
	struct message message = {.kind = ROLE_PERSISTED,
				  .number = {write_job->request, (uint64_t)-write_job->err}};

	free(write_job);
	keep->jobs--;
	if (!keep->stopped) {
		role_hear(keep, OUT_OWNER, &message);
		pump_deliver(keep->context->pumps);
	} else if (!keep->jobs) {
		role_free(keep);
	}
}

static void role_persist(struct role_keep *keep, const struct message *message)
{
	struct role_record record = {.epoch = message->number[0], .lease_ms = message->number[1]};
	struct message failed = {.kind = ROLE_PERSISTED,
				 .number = {message->number[2], (uint64_t)-ERR_MEMORY}};
	struct role_job *job = calloc(1, sizeof *job);
	int err = ERR_MEMORY;

	if (job) {
		job->job.run = role_write;
		job->job.done = role_written;
		job->keep = keep;
		job->request = message->number[2];
		job->line = TEXT_OVER(job->text);
		role_record_put(&job->line, &record);
		err = work_submit(keep->context->work, keep->context->loop, &job->job);
		keep->jobs += !err;
		keep->newest = err ? keep->newest : job;
	}
	if (err) {
		failed.number[1] = (uint64_t)-err;
		free(job);
		role_hear(keep, OUT_OWNER, &failed);
	}
}

/* Does what the hub wants. A record to be written comes last: its failure speaks to the hub again,
 * and then `out` is another. */
static void role_carry_out(struct role_keep *keep)
{
	struct message persist = {0};

	for (unsigned i = 0; i < keep->out.events; i++) {
		keep->out.event[i].service = "role";
		keep->context->event(keep->context->owner, &keep->out.event[i]);
	}
	for (unsigned i = 0; i < keep->out.tells; i++) {
		if (keep->out.tell[i].to == OUT_OWNER)
			persist = keep->out.tell[i].message;
		else
			pump_tell(keep->context->pumps, keep->out.tell[i].to,
				  &keep->out.tell[i].message);
	}
	if (keep->out.deadline_set && keep->out.deadline_ns == MOMENT_NEVER)
		loop_disarm(keep->context->loop, &keep->timer);
	else if (keep->out.deadline_set)
		loop_arm(keep->context->loop, &keep->timer, keep->out.deadline_ns);
	if (persist.kind == ROLE_PERSIST)
		role_persist(keep, &persist);
}

static void role_due(struct wheel_timer *timer, void *context)
{
	struct role_keep *keep = (struct role_keep *)((char *)timer -
						      offsetof(struct role_keep, timer));

	out_reset(&keep->out, SIZE_MAX);
	role_hub_tick(keep->hub, &keep->out, loop_now(keep->context->loop));
	role_carry_out(keep);
	pump_deliver(keep->context->pumps);
}

static void role_told(void *state, uint64_t from, const struct message *message)
{
	struct role_keep *keep = state;

	/* A lease counts from the receipt of its beat: a clock read before the bytes came is early.
	 */
	if (message->kind == ROLE_BEAT)
		loop_refresh(keep->context->loop);
	role_hear(keep, from, message);
}

static int role_read_record(int dir_fd, struct role_record *record)
{
	char text[ROLE_RECORD_BYTES + 1];
	int fd = openat(dir_fd, "role.epoch", O_RDONLY | O_CLOEXEC);
	ssize_t len;

	*record = (struct role_record){0};
	if (fd < 0)
		return errno == ENOENT ? 0 : err_from_errno(errno);
	len = read(fd, text, sizeof text);
	close(fd);
	return len < 0 ? err_from_errno(errno)
		       : role_record_parse(bytes_of(text, (size_t)len), record);
}

/* Opens the directory, takes the lock and reads the record. 0, ERR_IN_USE, ERR_SYNTAX, ... */
static int role_open(struct role_keep *keep, struct role_record *record)
{
	keep->dir_fd = open(keep->context->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (keep->dir_fd < 0)
		return err_from_errno(errno);
	keep->lock_fd = openat(keep->dir_fd, "role.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (keep->lock_fd < 0)
		return err_from_errno(errno);
	if (flock(keep->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? ERR_IN_USE : err_from_errno(errno);
	return role_read_record(keep->dir_fd, record);
}

static void role_stop(void *state)
{
	struct role_keep *keep = state;

	loop_disarm(keep->context->loop, &keep->timer);
	keep->stopped = true;
	/* The hub has one request under way at a time; it may not have begun. */
	if (keep->jobs && work_withdraw(keep->context->work, &keep->newest->job)) {
		free(keep->newest);
		keep->jobs--;
	}
	if (!keep->jobs)
		role_free(keep);
}

static void role_failed(struct role_keep *keep, int err)
{
	struct event *e = &keep->out.event[0];

	event_init(e, EVENT_ERROR, "role.disk", "role", loop_now(keep->context->loop)->wall_us);
	event_bool(e, "ok", false);
	event_string(e, "error", err_name(err));
	event_string(e, "path", keep->context->state_dir);
	keep->context->event(keep->context->owner, e);
}

static int role_start(void **state, const struct service_context *context)
{
	const struct role_settings *settings = context->settings;
	uint64_t members = context->common->max_connections;
	struct role_keep *keep = calloc(1, sizeof *keep);
	struct role_record record;
	void *memory = NULL;
	int err;

	if (!keep)
		return ERR_MEMORY;
	keep->context = context;
	keep->dir_fd = keep->lock_fd = -1;
	keep->timer.due = role_due;
	err = role_open(keep, &record);
	if (!members || members > ROLE_MEMBERS_UNLIMITED)
		members = ROLE_MEMBERS_UNLIMITED;
	if (!err && posix_memalign(&memory, 16, role_hub_bytes((uint32_t)members)) != 0)
		err = ERR_MEMORY;
	if (err) {
		role_failed(keep, err);
		role_stop(keep);
		return err;
	}
	keep->hub = role_hub_init(memory, (uint32_t)members, settings->lease_ms, &record,
				  loop_now(context->loop));
	role_due(&keep->timer, context->loop);
	*state = keep;
	return 0;
}

static void role_show_member(const struct role_keep *keep, const struct role_view *view,
			     unsigned position, struct text *json)
{
	char where[ADDRESS_TEXT_BYTES];
	struct text peer = TEXT_OVER(where);
	struct address remote;

	text_printf(json, "%s{\"position\":%u,\"name\":", position > 1 ? "," : "", position);
	event_put_json_string(json, view->name);
	if (pump_remote(keep->context->pumps, view->id, &remote)) {
		address_put(&peer, &remote);
		text_put_string(json, ",\"peer\":");
		event_put_json_string(json, text_bytes(&peer));
	}
	text_printf(json, ",\"role\":\"%s\",\"priority\":%u,\"structured\":%s}",
		    view->principal ? "principal" : "secondaire", view->priority,
		    view->structured ? "true" : "false");
}

static void role_show(void *state, bool whole, struct text *json)
{
	const struct role_keep *keep = state;
	const struct role_settings *settings = keep->context->settings;
	struct role_view view;
	uint32_t cursor = 0;

	text_printf(json, "{\"epoch\":%llu,", (unsigned long long)role_hub_epoch(keep->hub));
	if (!whole) {
		text_printf(json, "\"members\":%u}", role_hub_members(keep->hub));
		return;
	}
	text_printf(json, "\"lease_ms\":%llu,\"total\":%u,\"members\":[",
		    (unsigned long long)settings->lease_ms, role_hub_members(keep->hub));
	for (unsigned i = 1; i <= ROLE_SHOWN && role_hub_each(keep->hub, &cursor, &view); i++)
		role_show_member(keep, &view, i, json);
	text_put_string(json, "]}");
}

const struct service_keeper role_keeper = {
	.start = role_start,
	.told = role_told,
	.gone_kind = ROLE_LEAVE,
	.stop = role_stop,
	.show = role_show,
	.record = "role.epoch",
	.mend = N_("the line `epoch=N lease=none` in it, N above every epoch given so far; without "
		   "it only if no client remembers one"),
};
