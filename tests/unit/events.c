/* daemon/events.c: numbers without a hole, whoever publishes; followers woken in their own loops.
 */
#include "daemon/events.h"

#include "base/json.h"
#include "base/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { PUBLISHERS = 3, EACH = 3000 };

struct world {
	struct log *log;
	struct events *events;
	struct loop *loop;
	atomic_uint written; /* by the log */
	uint64_t read;       /* up to this number */
	uint64_t seen[PUBLISHERS];
	bool done;
};

static void write_event(void *owner, const struct event *e)
{
	struct world *w = owner;

	if (event_find(e, "who"))
		atomic_fetch_add(&w->written, 1);
}

static void begin(struct world *w)
{
	struct log_calls calls = {.write = write_event, .owner = w};
	int kept[2];

	*w = (struct world){0};
	assert_int_equal(loop_create(&w->loop), 0);
	assert_int_equal(events_create(&w->events), 0);
	assert_int_equal(log_start(&w->log, &calls), 0);
	kept[0] = log_wake_descriptor(w->log);
	kept[1] = loop_wake_descriptor(w->loop);
	assert_int_equal(events_start(w->events, w->log, kept, 2), 0);
}

static void end(struct world *w)
{
	events_stop(w->events);
	assert_true(log_stop(w->log, 10000));
	events_free(w->events);
	loop_destroy(w->loop);
}

struct publisher {
	struct world *world;
	pthread_t thread;
	uint64_t number;
};

static void *publish(void *argument)
{
	struct publisher *p = argument;

	for (uint64_t i = 1; i <= EACH; i++) {
		struct event e;

		event_init(&e, EVENT_INFO, "a.b", "test", 0);
		event_uint(&e, "who", p->number);
		event_uint(&e, "i", i);
		events_publish(p->world->events, &e);
		if (i % 64 == 0)
			sched_yield();
	}
	return NULL;
}

/* Each publisher's events come in its order, and the numbers are all there. */
static void look(struct world *w, struct bytes line, uint64_t number)
{
	struct json_member m;
	uint64_t value, who = PUBLISHERS;
	size_t cursor = 0;

	while (json_next(line, &cursor, &m) > 0) {
		if (number_parse_u64(m.value, &value) < 0)
			continue;
		if (json_is(m.name, "seq"))
			assert_int_equal(value, number);
		else if (json_is(m.name, "who"))
			who = value;
		else if (json_is(m.name, "i"))
			assert_int_equal(value, ++w->seen[who]);
	}
}

static void woken(void *owner)
{
	struct world *w = owner;
	const struct stream_ring *ring = events_lock(w->events);

	assert_true(stream_ring_oldest(ring) <= w->read + 1);
	while (w->read < ring->newest) {
		w->read++;
		look(w, stream_ring_line(ring, w->read), w->read);
	}
	events_unlock(w->events);
	w->done = w->read >= PUBLISHERS * EACH;
}

static void all_are_numbered(void **state)
{
	struct world w;
	struct publisher p[PUBLISHERS];
	struct events_reader *reader;

	begin(&w);
	assert_int_equal(events_follow(w.events, w.loop, woken, &w, &reader), 0);
	for (uint64_t i = 0; i < PUBLISHERS; i++) {
		p[i] = (struct publisher){.world = &w, .number = i};
		assert_int_equal(pthread_create(&p[i].thread, NULL, publish, &p[i]), 0);
		/* One after the other, so that the ring never runs ahead of its reader. */
		pthread_join(p[i].thread, NULL);
		while (w.read < (i + 1) * EACH)
			loop_turn(w.loop, 100);
	}
	assert_true(w.done);
	events_unfollow(reader);
	end(&w);
	assert_int_equal(atomic_load(&w.written), PUBLISHERS * EACH);
}

static void at_once(void **state)
{
	struct world w;
	struct publisher p[PUBLISHERS];

	begin(&w);
	for (uint64_t i = 0; i < PUBLISHERS; i++) {
		p[i] = (struct publisher){.world = &w, .number = i};
		assert_int_equal(pthread_create(&p[i].thread, NULL, publish, &p[i]), 0);
	}
	for (unsigned i = 0; i < PUBLISHERS; i++)
		pthread_join(p[i].thread, NULL);
	end(&w);
	assert_int_equal(atomic_load(&w.written), PUBLISHERS * EACH);
}

/* Followers come and go while events happen; one that has gone is not woken. */
static void come_and_go(void **state)
{
	struct world w;
	struct publisher p;

	begin(&w);
	p = (struct publisher){.world = &w};
	assert_int_equal(pthread_create(&p.thread, NULL, publish, &p), 0);
	for (unsigned i = 0; i < 50; i++) {
		struct events_reader *reader;
		struct world *gone = calloc(1, sizeof *gone);

		gone->events = w.events;
		gone->read = UINT64_MAX - 1;
		assert_int_equal(events_follow(w.events, w.loop, woken, gone, &reader), 0);
		loop_turn(w.loop, 1);
		events_unfollow(reader);
		free(gone);
	}
	pthread_join(p.thread, NULL);
	loop_turn(w.loop, 0);
	end(&w);
}

static void woken_once(void *owner)
{
	struct world *w = owner;

	w->read = events_newest(w->events);
	w->done = true;
}

struct crowd {
	struct loop_mail mail;
	struct events *events;
	atomic_bool hold;
};

static void hold_up(struct loop_mail *mail, struct loop *loop)
{
	const struct crowd *crowd = (const struct crowd *)mail;

	while (atomic_load(&crowd->hold))
		sched_yield();
}

static void *let_go(void *argument)
{
	struct crowd *crowd = argument;
	const struct timespec while_it_waits = {.tv_nsec = 100 * (long)MOMENT_MS};

	nanosleep(&while_it_waits, NULL);
	atomic_store(&crowd->hold, false);
	return NULL;
}

/* Who waited finds the event in the ring and the wakes sent, though the thread of events was late
 * and its mailbox full; only what had found no room is dropped. */
static void waited_for(void **state)
{
	struct world w;
	struct crowd crowd = {.mail.run = hold_up};
	struct events_reader *reader;
	struct event e;
	pthread_t thread;
	uint64_t published = 0;

	begin(&w);
	atomic_init(&crowd.hold, true);
	assert_int_equal(events_follow(w.events, w.loop, woken_once, &w, &reader), 0);
	assert_true(loop_post(events_loop(w.events), &crowd.mail));
	event_init(&e, EVENT_INFO, "a.b", "test", 0);
	for (; !events_dropped(w.events); published++)
		events_publish(w.events, &e);
	assert_int_equal(pthread_create(&thread, NULL, let_go, &crowd), 0);
	events_publish_and_wait(w.events, &e);
	assert_int_equal(events_dropped(w.events), 1);
	/* What was published but for the one that was dropped, the gap, and this one. */
	assert_int_equal(events_newest(w.events), published - 1 + 2);
	loop_turn(w.loop, 0);
	assert_true(w.done);
	assert_int_equal(w.read, published + 1);
	pthread_join(thread, NULL);
	events_unfollow(reader);
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_numbered),
		cmocka_unit_test(at_once),
		cmocka_unit_test(come_and_go),
		cmocka_unit_test(waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
