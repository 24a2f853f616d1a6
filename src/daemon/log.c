/* The log is a loop that hears nothing but its mailbox. An event travels as long as it is: its text
 * comes last in its struct and is copied as far as it is used. */
#include "daemon/log.h"

#include "base/err.h"
#include "net/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct log {
	struct loop *loop;
	pthread_t thread;
	void (*write)(void *owner, const struct event *event);
	void *owner;
	uint64_t dropped_told;
};

struct log_mail {
	struct loop_mail mail;
	struct log *log;
	struct event event; /* allocated up to its text's end */
};

static void log_tell_gap(struct log *log)
{
	uint64_t dropped = loop_dropped(log->loop);
	struct event e;

	if (dropped == log->dropped_told)
		return;
	event_init(&e, EVENT_WARNING, "gap", "log", loop_now(log->loop)->wall_us);
	event_uint(&e, "dropped", dropped - log->dropped_told);
	log->dropped_told = dropped;
	log->write(log->owner, &e);
}

static void log_write(struct loop_mail *mail, struct loop *loop)
{
	struct log_mail *m = (struct log_mail *)mail;

	log_tell_gap(m->log);
	m->log->write(m->log->owner, &m->event);
	free(m);
}

static void *log_run(void *argument)
{
	struct log *log = argument;

	loop_run(log->loop);
	return NULL;
}

int log_start(struct log **started, void (*write)(void *owner, const struct event *event),
	      void *owner)
{
	struct log *log = calloc(1, sizeof *log);
	int err;

	if (!log)
		return ERR_MEMORY;
	log->write = write;
	log->owner = owner;
	err = loop_create(&log->loop);
	if (!err && pthread_create(&log->thread, NULL, log_run, log) != 0)
		err = ERR_SYSTEM;
	if (err) {
		loop_destroy(log->loop);
		free(log);
		return err;
	}
	*started = log;
	return 0;
}

void log_publish(struct log *log, const struct event *event)
{
	size_t used = offsetof(struct event, text) + event->text_len;
	struct log_mail *m = malloc(offsetof(struct log_mail, event) + used);

	if (!m)
		return;
	m->mail.run = log_write;
	m->log = log;
	memcpy(&m->event, event, used);
	if (!loop_post(log->loop, &m->mail))
		free(m);
}

static void log_end(struct loop_mail *mail, struct loop *loop)
{
	loop_stop(loop);
}

bool log_stop(struct log *log, uint64_t wait_ms)
{
	static struct loop_mail end = {.run = log_end};
	struct timespec until;

	if (!log)
		return true;
	if (!loop_post(log->loop, &end))
		return false;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(wait_ms / 1000);
	if (pthread_timedjoin_np(log->thread, NULL, &until) != 0)
		return false;
	loop_destroy(log->loop);
	free(log);
	return true;
}
