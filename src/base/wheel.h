/* A hierarchical timer wheel (Varghese and Lauck, 1987): arm and cancel in O(1), no allocation, one
 * millisecond a tick, any deadline (one more than 2^40 ms ahead is looked at again every 2^40 ms).
 * A timer is part of its owner's own memory, zeroed before it is first armed. */
#ifndef BASE_WHEEL_H
#define BASE_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wheel_timer {
	struct wheel_timer *next, **link; /* link is NULL when not armed */
	uint64_t due_ms;
	void (*due)(struct wheel_timer *timer, void *context);
};

enum { WHEEL_LEVELS = 5, WHEEL_SLOTS = 256 };

struct wheel {
	uint64_t now_ms;
	size_t armed;
	uint64_t occupied[WHEEL_LEVELS][WHEEL_SLOTS / 64];
	struct wheel_timer *slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

void wheel_init(struct wheel *w, uint64_t now_ms);

/* Arms `t` (armed or not) for `due_ms`; one in the past is due at the next wheel_advance. */
void wheel_arm(struct wheel *w, struct wheel_timer *t, uint64_t due_ms);
void wheel_cancel(struct wheel *w, struct wheel_timer *t);

static inline bool wheel_is_armed(const struct wheel_timer *t)
{
	return t->link != NULL;
}

/* Moves the wheel to `now_ms` (never back) and calls `due` of every timer whose time has come, in
 * the order in which they fell due, each disarmed first; a callback may arm, cancel and free any
 * timer, its own included. Never calls one early; one that a callback arms waits for the next
 * wheel_advance. */
void wheel_advance(struct wheel *w, uint64_t now_ms, void *context);

/* Milliseconds from w->now_ms in which nothing can fall due: exact for what is due before now_ms
 * next is a multiple of 256, a lower bound (never 0) beyond; UINT64_MAX when nothing is armed. */
uint64_t wheel_idle_ms(const struct wheel *w);

#endif
