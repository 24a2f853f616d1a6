/* Varghese and Lauck, "Hashed and hierarchical timing wheels" (SOSP 1987), scheme 7: five wheels of
 * 256 slots, a slot of each as long as a whole turn of the one below.
 *
 *     level 4             level 1        level 0
 *     due's bits 39-32    15-8           7-0         a timer stands on the highest level where
 *     [.....t..] -> ... [..t.....] -> [....t...]     its due and now differ, in the slot that
 *                                                    its due's bits name
 *
 * When now reaches the beginning of a slot, the slot's timers go down a level or more, or fall due:
 * so none is ever early, and each moves four times at most. The topmost wheel also holds what
 * differs in higher bits yet: such a timer is looked at when now reaches its slot, and stays there
 * until its turn. What is due already stands in level 0's slot of now. Bitmaps of occupied slots
 * make an idle hour as cheap as a millisecond. */
#include "base/wheel.h"

enum { SLOT_BITS = 8, SLOT_MASK = WHEEL_SLOTS - 1, TOP = WHEEL_LEVELS - 1 };

/* A list that timers are appended to. */
struct queue {
	struct wheel_timer *first, **end;
};

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	*w = (struct wheel){.now_ms = now_ms};
}

static unsigned slot_at(uint64_t ms, unsigned level)
{
	return ms >> (SLOT_BITS * level) & SLOT_MASK;
}

static unsigned level_of(uint64_t due_ms, uint64_t now_ms)
{
	uint64_t differ = due_ms ^ now_ms;
	unsigned level = differ ? (63 - (unsigned)__builtin_clzll(differ)) / SLOT_BITS : 0;

	return level < TOP ? level : TOP;
}

static void link_timer(struct wheel_timer **list, struct wheel_timer *t)
{
	t->next = *list;
	t->link = list;
	if (t->next)
		t->next->link = &t->next;
	*list = t;
}

/* Puts `t` where its due says. */
static void place(struct wheel *w, struct wheel_timer *t)
{
	uint64_t at = t->due_ms > w->now_ms ? t->due_ms : w->now_ms;
	unsigned level = level_of(at, w->now_ms);
	unsigned slot = slot_at(at, level);

	link_timer(&w->slot[level][slot], t);
	w->occupied[level][slot / 64] |= 1ull << slot % 64;
}

void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms)
{
	wheel_cancel(w, t);
	t->due_ms = due_ms;
	place(w, t);
	w->armed++;
}

/* A link that lies in the array of slots says which slot it is the head of; any other is the `next`
 * of a timer, or the head of a list that is being worked off. */
static void mark_if_empty(struct wheel *w, struct wheel_timer **link)
{
	uintptr_t offset = (uintptr_t)link - (uintptr_t)w->slot;
	size_t slot = offset / sizeof(w->slot[0][0]);

	if (offset < sizeof(w->slot) && !*link)
		w->occupied[slot / WHEEL_SLOTS][slot % WHEEL_SLOTS / 64] &= ~(1ull << slot % 64);
}

void wheel_cancel(struct wheel *w, struct wheel_timer *t)
{
	if (!t->link)
		return;
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	mark_if_empty(w, t->link);
	t->next = NULL;
	t->link = NULL;
	w->armed--;
}

/* The list of a slot, which is empty from then on. The first timer's link is the caller's to set.
 */
static struct wheel_timer *take_slot(struct wheel *w, unsigned level, unsigned slot)
{
	struct wheel_timer *first = w->slot[level][slot];

	w->slot[level][slot] = NULL;
	w->occupied[level][slot / 64] &= ~(1ull << slot % 64);
	return first;
}

/* The first occupied slot of `level` from `from` on, or WHEEL_SLOTS. */
static unsigned next_slot(const struct wheel *w, unsigned level, unsigned from)
{
	while (from < WHEEL_SLOTS) {
		uint64_t bits = w->occupied[level][from / 64] >> from % 64;

		if (bits)
			return from + (unsigned)__builtin_ctzll(bits);
		from = (from | 63) + 1;
	}
	return WHEEL_SLOTS;
}

/* When the next occupied slot behind now begins; UINT64_MAX when there is none. A lower level's
 * slots all lie before the next slot of the level above. */
static uint64_t next_stop(const struct wheel *w)
{
	for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
		unsigned shift = SLOT_BITS * level;
		unsigned slot = next_slot(w, level, slot_at(w->now_ms, level) + 1);
		uint64_t turn = w->now_ms >> shift >> SLOT_BITS;

		if (slot == WHEEL_SLOTS && level == TOP) { /* the top wheel's next turn */
			slot = next_slot(w, level, 0);
			turn++;
		}
		if (slot < WHEEL_SLOTS)
			return (turn << SLOT_BITS | slot) << shift;
	}
	return UINT64_MAX;
}

static void append_due(struct wheel *w, struct queue *due)
{
	struct wheel_timer *t = take_slot(w, 0, slot_at(w->now_ms, 0));

	if (!t)
		return;
	*due->end = t;
	t->link = due->end;
	while (t->next)
		t = t->next;
	due->end = &t->next;
}

/* Sends the timers down whose slots begin now, those of the highest level first. */
static void cascade(struct wheel *w)
{
	unsigned highest = 0;

	while (highest < TOP && slot_at(w->now_ms, highest) == 0)
		highest++;
	for (unsigned level = highest; level > 0; level--) {
		struct wheel_timer *t = take_slot(w, level, slot_at(w->now_ms, level));

		while (t) {
			struct wheel_timer *next = t->next;

			place(w, t);
			t = next;
		}
	}
}

/* All that is due is gathered before the first callback runs, so that callbacks find the wheel at
 * its new time. `due.end` is not used from then on: callbacks may take any timer out of the list.
 */
void wheel_advance(struct wheel *w, uint64_t now_ms, void *context)
{
	struct queue due = {.end = &due.first};
	uint64_t stop;

	append_due(w, &due);
	while ((stop = next_stop(w)) <= now_ms && stop < UINT64_MAX) {
		w->now_ms = stop;
		cascade(w);
		append_due(w, &due);
	}
	if (now_ms > w->now_ms)
		w->now_ms = now_ms;
	while (due.first) {
		struct wheel_timer *t = due.first;

		wheel_cancel(w, t);
		t->due(t, context);
	}
}

uint64_t wheel_idle_ms(const struct wheel *w)
{
	unsigned now = slot_at(w->now_ms, 0);

	if (w->armed == 0)
		return UINT64_MAX;
	if (w->slot[0][now])
		return 0;
	return next_stop(w) - w->now_ms;
}
