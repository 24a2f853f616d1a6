/* The log is a loop that hears nothing but its mailbox. An event travels as long as it is: its text
 * comes last in its struct and is copied as far as it is used. */
#include "daemon/log.h"

#include "base/err.h"
#include "net/loop.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { LOG_WIRE_BYTES = 16 << 20 };

struct log {
	struct loop *loop;
	pthread_t thread;
	struct log_calls calls;
	uint64_t dropped_told;
	_Atomic uint64_t wire_bytes;   /* waiting */
	_Atomic uint64_t wire_dropped; /* pieces, and lines of other processes */
};

struct log_mail {
	struct loop_mail mail;
	struct log *log;
	struct event event; /* allocated up to its text's end */
};

struct log_wire_mail {
	struct loop_mail mail;
	struct log *log;
	const char *service;
	struct address remote;
	enum pump_direction direction;
	uint64_t boot_ns;
	size_t len;
	uint8_t data[];
};

static void log_tell_gap(struct log *log)
{
	uint64_t dropped = log_dropped(log);
	struct event e;

	if (dropped == log->dropped_told)
		return;
	event_init(&e, EVENT_WARNING, "gap", "log", loop_now(log->loop)->wall_us);
	event_uint(&e, "dropped", dropped - log->dropped_told);
	log->dropped_told = dropped;
	log->calls.write(log->calls.owner, &e);
}

static void log_write(struct loop_mail *mail, struct loop *loop)
{
	struct log_mail *m = (struct log_mail *)mail;

	log_tell_gap(m->log);
	m->log->calls.write(m->log->calls.owner, &m->event);
	free(m);
}

static void log_write_wire(struct loop_mail *mail, struct loop *loop)
{
	struct log_wire_mail *m = (struct log_wire_mail *)mail;

	log_tell_gap(m->log);
	m->log->calls.wire(m->log->calls.owner, m->service, &m->remote, m->direction,
			   bytes_of(m->data, m->len), m->boot_ns);
	atomic_fetch_sub(&m->log->wire_bytes, m->len);
	free(m);
}

struct log_line_mail {
	struct loop_mail mail;
	struct log *log;
	size_t len;
	uint8_t data[];
};

static void log_write_line(struct loop_mail *mail, struct loop *loop)
{
	struct log_line_mail *m = (struct log_line_mail *)mail;

	log_tell_gap(m->log);
	if (m->log->calls.line)
		m->log->calls.line(m->log->calls.owner, bytes_of(m->data, m->len));
	atomic_fetch_sub(&m->log->wire_bytes, m->len);
	free(m);
}

void log_line(struct log *log, struct bytes json)
{
	struct log_line_mail *m = NULL;

	if (atomic_fetch_add(&log->wire_bytes, json.len) < LOG_WIRE_BYTES)
		m = malloc(sizeof *m + json.len);
	if (!m) {
		atomic_fetch_sub(&log->wire_bytes, json.len);
		atomic_fetch_add(&log->wire_dropped, 1);
		return;
	}
	*m = (struct log_line_mail){.mail.run = log_write_line, .log = log, .len = json.len};
	memcpy(m->data, json.data, json.len);
	if (!loop_post(log->loop, &m->mail)) {
		atomic_fetch_sub(&log->wire_bytes, json.len);
		free(m);
	}
}

int log_wake_descriptor(const struct log *log)
{
	return loop_wake_descriptor(log->loop);
}

uint64_t log_dropped(const struct log *log)
{
	return loop_dropped(log->loop) + atomic_load(&log->wire_dropped);
}

void log_wire(struct log *log, const char *service, const struct address *remote,
	      enum pump_direction direction, struct bytes b, uint64_t boot_ns)
{
	struct log_wire_mail *m = NULL;

	if (atomic_fetch_add(&log->wire_bytes, b.len) < LOG_WIRE_BYTES)
		m = malloc(sizeof *m + b.len);
	if (!m) {
		atomic_fetch_sub(&log->wire_bytes, b.len);
		atomic_fetch_add(&log->wire_dropped, 1);
		return;
	}
	*m = (struct log_wire_mail){.mail.run = log_write_wire,
				    .log = log,
				    .service = service,
				    .remote = *remote,
				    .direction = direction,
				    .boot_ns = boot_ns,
				    .len = b.len};
	memcpy(m->data, b.data, b.len);
	if (!loop_post(log->loop, &m->mail)) {
		atomic_fetch_sub(&log->wire_bytes, b.len);
		free(m);
	}
}

static void *log_run(void *argument)
{
	struct log *log = argument;

	loop_stand_back();
	loop_part_descriptors(log->loop, NULL, 0);
	loop_run(log->loop);
	return NULL;
}

int log_start(struct log **started, const struct log_calls *calls)
{
	struct log *log = calloc(1, sizeof *log);
	int err;

	if (!log)
		return ERR_MEMORY;
	log->calls = *calls;
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
