/* Events. What a loop publishes is a mail to this thread's loop; here it is numbered, written down
 * as JSON, kept, passed on. The ring is behind a lock that is held for a copy at a time.
 *
 * A reader is woken by mail of its own, one at a time: `posted` says that it is under way. What is
 * no longer followed stays until that mail has come back, or until the end. */
#include "daemon/events.h"

#include "base/err.h"
#include "net/loop.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { EVENTS_SOON_MS = 2, EVENTS_LINE_BYTES = EVENT_JSON_BYTES + 64 };

struct events_reader {
	struct loop_mail mail;
	struct events *events;
	struct events_reader *next;
	struct loop *loop;
	void (*wake)(void *owner);
	void *owner;
	bool posted, ended; /* under the lock */
};

struct events {
	struct loop *loop;
	struct log *log;
	pthread_t thread;
	bool running;
	unsigned kept_count;
	int kept[EVENTS_KEPT];
	void (*end)(void *owner);
	void *end_owner;
	char host[EVENTS_HOST_BYTES];
	char mark[EVENTS_MARK_BYTES];
	struct wheel_timer gather;
	uint64_t woken_ns; /* when readers last were */
	uint64_t dropped_told;
	_Atomic uint64_t no_memory; /* events dropped for want of it */
	_Atomic uint64_t newest;
	pthread_mutex_t lock; /* of the ring and the readers */
	struct events_reader *reader;
	struct stream_ring ring;
	struct stream_line line[EVENTS_HELD];
	uint8_t *text;
	char json[EVENTS_LINE_BYTES];
};

struct events_mail {
	struct loop_mail mail;
	struct events *events;
	struct event event; /* allocated up to its text's end */
};

static void events_woken(struct loop_mail *mail, struct loop *loop)
{
	struct events_reader *r = (struct events_reader *)mail;
	struct events *events = r->events;
	bool ended;

	pthread_mutex_lock(&events->lock);
	r->posted = false;
	ended = r->ended;
	pthread_mutex_unlock(&events->lock);
	if (!ended)
		r->wake(r->owner);
}

/* Under the lock. A mailbox that is full has its reader woken the next time. */
static void events_wake(struct events_reader *r)
{
	if (!r->posted && !r->ended)
		r->posted = loop_post(r->loop, &r->mail);
}

static void events_gathered(struct wheel_timer *timer, void *context)
{
	struct events *events = (struct events *)((char *)timer - offsetof(struct events, gather));

	events->woken_ns = loop_now(events->loop)->boot_ns;
	pthread_mutex_lock(&events->lock);
	for (struct events_reader **link = &events->reader; *link;) {
		struct events_reader *r = *link;

		events_wake(r);
		if (r->ended && !r->posted) {
			*link = r->next;
			free(r);
		} else {
			link = &r->next;
		}
	}
	pthread_mutex_unlock(&events->lock);
}

static void events_wake_soon(struct events *events)
{
	uint64_t soon_ns = loop_now(events->loop)->boot_ns + EVENTS_SOON_MS * MOMENT_MS;
	uint64_t next_ns = events->woken_ns + EVENTS_GATHER_MS * MOMENT_MS;

	if (!wheel_is_armed(&events->gather))
		loop_arm(events->loop, &events->gather, next_ns > soon_ns ? next_ns : soon_ns);
}

static void events_keep(struct events *events, struct bytes line)
{
	uint64_t number;

	pthread_mutex_lock(&events->lock);
	number = stream_ring_put(&events->ring, line);
	pthread_mutex_unlock(&events->lock);
	atomic_store_explicit(&events->newest, number, memory_order_relaxed);
	events_wake_soon(events);
}

/* `{"seq":N,` and what follows the brace of `json`, which may end in LF. `level` NULL: not
 * known. */
static void events_number(struct events *events, const char *level, struct bytes json)
{
	struct text t = TEXT_OVER(events->json);

	if (json.len && json.data[json.len - 1] == '\n')
		json.len--;
	text_printf(&t, "{\"seq\":%llu,", (unsigned long long)events->ring.newest + 1);
	if (level)
		text_printf(&t, "\"level\":\"%s\",", level);
	text_put(&t, bytes_after(json, 1));
	if (!t.cut)
		events_keep(events, text_bytes(&t));
}

static void events_take(struct events *events, const struct event *e)
{
	static const char *const levels[] = {[EVENT_DEBUG] = "debug",
					     [EVENT_INFO] = "info",
					     [EVENT_NOTICE] = "notice",
					     [EVENT_WARNING] = "warning",
					     [EVENT_ERROR] = "error"};
	char json[EVENT_JSON_BYTES];
	struct text t = TEXT_OVER(json);

	event_put_json(&t, e, events->host[0] ? events->host : NULL);
	events_number(events, levels[e->level], text_bytes(&t));
	log_publish(events->log, e);
}

uint64_t events_dropped(const struct events *events)
{
	return loop_dropped(events->loop) + atomic_load(&events->no_memory);
}

static void events_tell_gap(struct events *events)
{
	uint64_t dropped = events_dropped(events);
	struct event e;

	if (dropped == events->dropped_told)
		return;
	event_init(&e, EVENT_WARNING, "gap", "events", loop_now(events->loop)->wall_us);
	event_uint(&e, "dropped", dropped - events->dropped_told);
	events->dropped_told = dropped;
	events_take(events, &e);
}

static void events_hear(struct loop_mail *mail, struct loop *loop)
{
	struct events_mail *m = (struct events_mail *)mail;

	events_tell_gap(m->events);
	events_take(m->events, &m->event);
	free(m);
}

void events_publish(struct events *events, const struct event *event)
{
	size_t used = offsetof(struct event, text) + event->text_len;
	struct events_mail *m = malloc(offsetof(struct events_mail, event) + used);

	if (!m) {
		atomic_fetch_add(&events->no_memory, 1);
		return;
	}
	m->mail.run = events_hear;
	m->events = events;
	memcpy(&m->event, event, used);
	if (!loop_post(events->loop, &m->mail))
		free(m);
}

struct events_errand {
	struct loop_mail mail;
	struct events *events;
	const struct event *event;
	sem_t done;
};

/* Nothing is gathered: whoever waits wants the wakes to stand in the mailboxes of those who follow,
 * ahead of what it will post there itself. */
static void events_do_errand(struct loop_mail *mail, struct loop *loop)
{
	struct events_errand *errand = (struct events_errand *)mail;
	struct events *events = errand->events;

	events_tell_gap(events);
	events_take(events, errand->event);
	loop_disarm(loop, &events->gather);
	events_gathered(&events->gather, loop);
	sem_post(&errand->done);
}

void events_publish_and_wait(struct events *events, const struct event *event)
{
	struct events_errand errand = {
		.mail.run = events_do_errand, .events = events, .event = event};

	if (!events->running) {
		events_publish(events, event);
		return;
	}
	sem_init(&errand.done, 0, 0);
	loop_post_anyway(events->loop, &errand.mail);
	while (sem_wait(&errand.done) != 0)
		;
	sem_destroy(&errand.done);
}

void events_publish_line(struct events *events, struct bytes json)
{
	events_tell_gap(events);
	events_number(events, NULL, json);
	log_line(events->log, json);
}

struct events_line {
	struct loop_mail mail;
	struct events *events;
	bool log;
	size_t len;
	uint8_t json[];
};

static void events_hear_line(struct loop_mail *mail, struct loop *loop)
{
	struct events_line *line = (struct events_line *)mail;
	struct bytes json = bytes_of(line->json, line->len);

	events_tell_gap(line->events);
	events_number(line->events, "debug", json);
	if (line->log)
		log_line(line->events->log, json);
	free(line);
}

void events_post_line(struct events *events, struct bytes json, bool log)
{
	struct events_line *line = malloc(sizeof *line + json.len);

	if (!line) {
		atomic_fetch_add(&events->no_memory, 1);
		return;
	}
	line->mail.run = events_hear_line;
	line->events = events;
	line->log = log;
	line->len = json.len;
	memcpy(line->json, json.data, json.len);
	if (!loop_post(events->loop, &line->mail))
		free(line);
}

int events_follow(struct events *events, struct loop *loop, void (*wake)(void *owner), void *owner,
		  struct events_reader **reader)
{
	struct events_reader *r = calloc(1, sizeof *r);

	if (!r)
		return ERR_MEMORY;
	*r = (struct events_reader){.mail.run = events_woken,
				    .events = events,
				    .loop = loop,
				    .wake = wake,
				    .owner = owner};
	pthread_mutex_lock(&events->lock);
	r->next = events->reader;
	events->reader = r;
	pthread_mutex_unlock(&events->lock);
	*reader = r;
	return 0;
}

void events_unfollow(struct events_reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->events->lock);
	r->ended = true;
	pthread_mutex_unlock(&r->events->lock);
}

const struct stream_ring *events_lock(struct events *events)
{
	pthread_mutex_lock(&events->lock);
	return &events->ring;
}

void events_unlock(struct events *events)
{
	pthread_mutex_unlock(&events->lock);
}

const char *events_mark(const struct events *events)
{
	return events->mark;
}

const char *events_host(const struct events *events)
{
	return events->host;
}

uint64_t events_newest(const struct events *events)
{
	return atomic_load_explicit(&events->newest, memory_order_relaxed);
}

struct loop *events_loop(struct events *events)
{
	return events->loop;
}

void events_at_end(struct events *events, void (*end)(void *owner), void *owner)
{
	events->end = end;
	events->end_owner = owner;
}

int events_create(struct events **created)
{
	struct events *events = calloc(1, sizeof *events);
	struct text mark;
	int err;

	if (!events)
		return ERR_MEMORY;
	events->gather.due = events_gathered;
	pthread_mutex_init(&events->lock, NULL);
	err = loop_create(&events->loop);
	events->text = err ? NULL : malloc(EVENTS_HELD_BYTES);
	if (!err && !events->text)
		err = ERR_MEMORY;
	if (err) {
		events_free(events);
		return err;
	}
	stream_ring_init(&events->ring, events->line, EVENTS_HELD, events->text, EVENTS_HELD_BYTES);
	if (gethostname(events->host, sizeof events->host - 1) < 0)
		events->host[0] = '\0';
	mark = TEXT_OVER(events->mark);
	text_printf(&mark, "%llx", (unsigned long long)loop_random(events->loop));
	*created = events;
	return 0;
}

static void *events_run(void *argument)
{
	struct events *events = argument;

	loop_stand_back();
	loop_part_descriptors(events->loop, events->kept, events->kept_count);
	loop_run_gathering(events->loop, EVENTS_REST_MS);
	if (events->end)
		events->end(events->end_owner);
	return NULL;
}

int events_start(struct events *events, struct log *log, const int *kept, unsigned count)
{
	events->log = log;
	events->kept_count = count;
	memcpy(events->kept, kept, count * sizeof *kept);
	if (pthread_create(&events->thread, NULL, events_run, events) != 0)
		return ERR_SYSTEM;
	events->running = true;
	return 0;
}

static void events_end(struct loop_mail *mail, struct loop *loop)
{
	loop_stop(loop);
}

void events_stop(struct events *events)
{
	static struct loop_mail end = {.run = events_end};

	if (!events || !events->running)
		return;
	while (!loop_post(events->loop, &end))
		sched_yield();
	pthread_join(events->thread, NULL);
	events->running = false;
}

void events_free(struct events *events)
{
	if (!events)
		return;
	while (events->reader) {
		struct events_reader *next = events->reader->next;

		free(events->reader);
		events->reader = next;
	}
	loop_destroy(events->loop);
	free(events->text);
	pthread_mutex_destroy(&events->lock);
	free(events);
}
