/* The simulated wire: time, chance and hosts. See wire.h; wire_end.c has the connections.
 *
 * What happens is a heap of events by (time, order); an event of a host that does not run is put
 * aside and comes back when it does. Nothing is called from within a call: whatever a machine or a
 * holder does only adds events. */
#include "wire_parts.h"

#include <assert.h>

#define WALL_US 1767225600000000 /* 2026-01-01T00:00:00Z at time 0 */

/* Chance: splitmix64 (Steele, Lea and Flood, 2014). */

static uint64_t draw(struct wire *w)
{
	uint64_t z = w->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t wire_between(struct wire *w, uint64_t least, uint64_t most)
{
	return least + draw(w) % (most - least + 1);
}

bool wire_chance(struct wire *w, unsigned percent)
{
	return draw(w) % 100 < percent;
}

/* Events. */

static bool earlier(const struct wire_event *a, const struct wire_event *b)
{
	if (a->at_ns != b->at_ns)
		return a->at_ns < b->at_ns;
	return a->order < b->order;
}

static struct wire_event *heap_grow(struct wire_heap *h)
{
	if (h->count == h->room) {
		h->room = h->room ? 2 * h->room : 64;
		h->event = wire_must(realloc(h->event, h->room * sizeof *h->event));
	}
	return &h->event[h->count++];
}

static void heap_push(struct wire_heap *h, struct wire_event e)
{
	size_t i;

	*heap_grow(h) = e;
	for (i = h->count - 1; i > 0 && earlier(&e, &h->event[(i - 1) / 2]); i = (i - 1) / 2)
		h->event[i] = h->event[(i - 1) / 2];
	h->event[i] = e;
}

static struct wire_event heap_pop(struct wire_heap *h)
{
	struct wire_event top = h->event[0], e = h->event[--h->count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < h->count && earlier(&h->event[child + 1], &h->event[child]))
			child++;
		if (child >= h->count || !earlier(&h->event[child], &e))
			break;
		h->event[i] = h->event[child];
		i = child;
	}
	h->event[i] = e;
	return top;
}

void wire_at(struct wire *w, struct wire_host *host, uint64_t at_ns,
	     void (*run)(void *context, uint64_t number), void *context, uint64_t number)
{
	heap_push(&w->heap, (struct wire_event){.at_ns = at_ns,
						.order = ++w->events,
						.host = host,
						.life = host ? host->life : 0,
						.run = run,
						.context = context,
						.number = number});
}

void wire_after(struct wire_host *h, uint64_t delay_ns, void (*due)(void *context, uint64_t number),
		void *context, uint64_t number)
{
	wire_at(h->w, h, h->w->now_ns + delay_ns, due, context, number);
}

void wire_run(struct wire *w, uint64_t until_ns)
{
	while (w->heap.count > 0 && w->heap.event[0].at_ns <= until_ns) {
		struct wire_event e = heap_pop(&w->heap);

		w->now_ns = e.at_ns;
		if (e.host && e.host->life != e.life)
			continue;
		if (e.host && e.host->state != WIRE_RUNNING)
			*heap_grow(&e.host->deferred) = e;
		else
			e.run(e.context, e.number);
	}
	w->now_ns = until_ns;
}

uint64_t wire_now(const struct wire *w)
{
	return w->now_ns;
}

/* Clocks. */

/* What the clock gained or lost by a true time. */
static int64_t drift_ns(const struct wire_host *h, uint64_t true_ns)
{
	return (int64_t)(true_ns / 1000000) * h->drift_ppm +
	       (int64_t)(true_ns % 1000000) * h->drift_ppm / 1000000;
}

static uint64_t clock_of(const struct wire_host *h, uint64_t true_ns)
{
	return h->offset_ns + true_ns + (uint64_t)drift_ns(h, true_ns);
}

struct moment wire_host_moment(const struct wire_host *h)
{
	return (struct moment){.boot_ns = clock_of(h, h->w->now_ns),
			       .wall_us = WALL_US + (int64_t)(h->w->now_ns / 1000)};
}

uint64_t wire_host_true_ns(const struct wire_host *h, uint64_t boot_ns)
{
	uint64_t true_ns, before = 0;

	if (boot_ns == MOMENT_NEVER)
		return MOMENT_NEVER;
	if (boot_ns <= h->offset_ns)
		return 0;
	true_ns = boot_ns - h->offset_ns;
	/* The drift is small, so each round brings it much nearer. */
	for (unsigned i = 0; i < 60 && true_ns != before; i++) {
		before = true_ns;
		true_ns = boot_ns - h->offset_ns - (uint64_t)drift_ns(h, true_ns);
	}
	while (true_ns > 0 && clock_of(h, true_ns - 1) >= boot_ns)
		true_ns--;
	while (clock_of(h, true_ns) < boot_ns)
		true_ns++;
	return true_ns;
}

/* Hosts. */

struct wire_host *wire_host_add(struct wire *w, int64_t drift_ppm)
{
	struct wire_host *h = wire_must(calloc(1, sizeof *h));

	assert(w->hosts < WIRE_HOSTS_MOST);
	h->w = w;
	h->index = w->hosts;
	h->drift_ppm = drift_ppm;
	h->offset_ns = wire_between(w, MOMENT_S, 1000000 * MOMENT_S);
	w->host[w->hosts++] = h;
	return h;
}

bool wire_passes(const struct wire_host *from, const struct wire_host *to)
{
	return !from->w->blocked[from->index][to->index] && from->state != WIRE_SUSPENDED &&
	       to->state != WIRE_SUSPENDED;
}

void wire_block(struct wire *w, struct wire_host *from, struct wire_host *to, bool blocked)
{
	w->blocked[from->index][to->index] = blocked;
	if (!blocked)
		wire_ends_look_again(w);
}

/* Whoever wakes finds timers due and bytes that came; which it looks at first is chance. */
void wire_host_set(struct wire_host *h, enum wire_host_state state)
{
	h->state = state;
	if (state == WIRE_SUSPENDED)
		return;
	if (state == WIRE_RUNNING) {
		if (wire_chance(h->w, 50))
			wire_ends_wake(h);
		for (size_t i = 0; i < h->deferred.count; i++) {
			struct wire_event *e = &h->deferred.event[i];

			if (e->life == h->life)
				wire_at(h->w, h, h->w->now_ns, e->run, e->context, e->number);
		}
		h->deferred.count = 0;
		wire_ends_wake(h);
	}
	wire_ends_look_again(h->w);
}

enum wire_host_state wire_host_get(const struct wire_host *h)
{
	return h->state;
}

void wire_host_kill(struct wire_host *h, bool loudly)
{
	h->life++;
	h->deferred.count = 0;
	wire_ends_kill(h, loudly);
}

struct wire *wire_new(uint64_t seed)
{
	struct wire *w = wire_must(calloc(1, sizeof *w));

	w->random = seed;
	w->ids = 1000;
	return w;
}

void wire_free(struct wire *w)
{
	wire_ends_free(w);
	for (unsigned i = 0; i < w->hosts; i++) {
		free(w->host[i]->deferred.event);
		free(w->host[i]);
	}
	free(w->heap.event);
	free(w);
}
