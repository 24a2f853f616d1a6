/* The settler's front: hints come in and wait, steps work them off, doubts begin and end.
 *
 *           settle_hint            settle_step
 *     now      ─────►  SETTLE_NOW      ─────►  a look (settle_entry.c) ──┬─► done
 *     open     ─────►  SETTLE_WAITING  ─due─►  SETTLE_NOW                └─► deferred: to the end
 *     list     ─────►  SETTLE_LISTS    ─────►  a walk (settle_list.c)
 *
 *     doubt    ─────►  gap, look at the root, deep list of it, all that comes of that ─► settled
 *
 * Hints and lists take turns. A doubt empties the queue: its list covers what waited. One that
 * comes during another's pass begins after it, or at once when the index was emptied.
 *
 * Not to be called from within the holder's functions, but for settle_path and settle_above. */
#include "proto/settle_parts.h"

enum { TURN = 32 };

size_t settle_bytes(uint32_t hints)
{
	return ((sizeof(struct settle) + 15) & ~(size_t)15) + settle_queue_bytes(hints);
}

struct settle *settle_init(void *memory, uint32_t hints, const struct settle_holder *holder)
{
	struct settle *s = memory;

	/* Not all of it: the rest is touched as it is used. */
	s->holder = *holder;
	s->counts = (struct settle_counts){0};
	s->now = (struct moment){0};
	s->budget = s->turn = 0;
	s->root = 0;
	s->longest = CHANGE_PATH_BYTES; /* not known yet */
	s->longest_here = 0;
	s->sure_us = s->unsure_us = 0;
	s->kept_us = -1;
	s->why = NULL;
	s->reset = s->in_pass = s->root_due = s->passing = s->overflowed = false;
	settle_queue_init(&s->queue,
			  (uint8_t *)memory + ((sizeof(struct settle) + 15) & ~(size_t)15), hints);
	settle_walk_stop(s);
	settle_forget(s);
	memset(s->victim, 0, sizeof(s->victim));
	return s;
}

/* Hints. */

static bool is_hint(const struct settle_hint *hint)
{
	struct bytes name = hint->name;

	if (hint->directory == 0 || name.len == 0)
		return hint->directory == 0 && name.len == 0;
	return name.len <= CHANGE_NAME_BYTES && !bytes_equal(name, BYTES_LITERAL(".")) &&
	       !bytes_equal(name, BYTES_LITERAL(".."));
}

/* What is known of both. That it was deleted, not renamed, only if each says so. */
static unsigned merged(unsigned a, unsigned b)
{
	return ((a | b) & ~(unsigned)SETTLE_DELETED) | (a & b & SETTLE_DELETED);
}

static void merge(struct settle *s, uint32_t i, const struct settle_hint *hint)
{
	struct settle_item *item = &s->queue.item[i];

	s->counts.merged++;
	item->flags = (uint8_t)merged(item->flags, hint->flags);
	item->marks &= (uint8_t) ~(SETTLE_FINAL | SETTLE_TWICE | SETTLE_LINKED);
	if (hint->pid != 0)
		item->pid = hint->pid;
	if (item->line == SETTLE_LATER ||
	    (item->line == SETTLE_WAITING && !(hint->flags & SETTLE_OPEN)))
		settle_queue_move(&s->queue, i, SETTLE_NOW);
}

/* False: there is no room. */
static bool enqueue(struct settle *s, const struct settle_hint *hint, const struct moment *now)
{
	uint32_t i = settle_queue_find(&s->queue, hint->directory, hint->name);
	enum settle_line line = hint->flags & SETTLE_OPEN ? SETTLE_WAITING : SETTLE_NOW;

	if (i != 0) {
		merge(s, i, hint);
		return true;
	}
	i = settle_queue_add(&s->queue, line, hint->directory, hint->name);
	if (i == 0)
		return false;
	s->queue.item[i].flags = (uint8_t)hint->flags;
	s->queue.item[i].pid = hint->pid;
	s->queue.item[i].due_ns = now->boot_ns + s->holder.settle_ns;
	return true;
}

void settle_hint(struct settle *s, const struct settle_hint *hint, const struct moment *now)
{
	s->counts.hints++;
	if (!is_hint(hint) || settle_is_unknown(s, hint->directory))
		return;
	if (!enqueue(s, hint, now))
		settle_doubt(s, "overflow", false);
}

void settle_renamed(struct settle *s, const struct settle_hint *from, const struct settle_hint *to,
		    const struct moment *now)
{
	settle_hint(s, to, now);
	settle_hint(s, from, now);
}

void settle_list(struct settle *s, uint64_t directory, bool deep, const struct moment *now)
{
	(void)now;
	if (directory == 0 || settle_is_unknown(s, directory))
		return;
	settle_push_list(s, directory, deep ? SETTLE_DEEP : 0);
	if (s->overflowed) {
		s->overflowed = false;
		settle_doubt(s, "overflow", false);
	}
}

/* Doubts. */

void settle_doubt(struct settle *s, const char *why, bool reset)
{
	settle_queue_clear(&s->queue);
	settle_forget(s); /* what was written to the index may have been taken back */
	s->kept_us = -1;
	s->root_due = false;
	if (reset) {
		settle_walk_stop(s);
		s->in_pass = false;
		s->reset = true;
	}
	if (s->why == NULL) {
		s->why = why;
		s->counts.doubts++;
	}
}

/* The root, whether the index has it or not. */
static struct settle_directory the_root(void)
{
	struct settle_directory d = {0};

	settle_place_set(&d.at, 0, (struct bytes){0});
	return d;
}

static int pass_begin(struct settle *s)
{
	struct settle_directory root = the_root();
	int err = settle_tell_gap(s, &root, s->why, s->reset);

	if (err < 0)
		return err;
	settle_queue_clear(&s->queue); /* the pass covers it */
	settle_walk_stop(s);
	s->in_pass = s->root_due = s->passing = true;
	s->longest_here = 0;
	s->pass_us = s->now.wall_us;
	s->why = NULL;
	s->reset = false;
	settle_push(s, &root.at, 0, 0);
	s->passing = false;
	return 0;
}

static int pass_end(struct settle *s)
{
	struct settle_directory root = the_root();
	int err = settle_tell_settled(s, &root);

	if (err < 0)
		return err;
	s->in_pass = false;
	s->longest = s->longest_here;
	return 0;
}

/* The root's entry was looked at: its list, if there is one. */
static void pass_root(struct settle *s)
{
	s->root_due = false;
	if (s->root == 0)
		return;
	s->passing = true;
	settle_push_list(s, s->root, SETTLE_DEEP);
	s->passing = false;
}

/* Steps. */

static int work_hint(struct settle *s)
{
	uint32_t i = settle_queue_first(&s->queue, SETTLE_NOW);
	const struct settle_item *item = &s->queue.item[i];
	struct settle_work w = {.flags = item->flags, .marks = item->marks, .pid = item->pid};
	int r;

	if (w.marks & SETTLE_LINKED)
		w.since_us = (int64_t)item->due_ns;
	settle_queue_place(&s->queue, i, &w.at);
	settle_spend(s);
	s->passing = (w.marks & SETTLE_PASS) != 0;
	r = settle_entry_look(s, &w);
	s->passing = false;
	if (r == SETTLE_DEFER) {
		settle_queue_mark(&s->queue, i,
				  w.marks & SETTLE_FINAL ? SETTLE_TWICE : SETTLE_FINAL);
		settle_queue_move(&s->queue, i, SETTLE_NOW);
	}
	if (r != 0)
		return r < 0 ? r : 0;
	settle_queue_free(&s->queue, i);
	if (w.at.directory == 0 && s->root_due)
		pass_root(s);
	return 0;
}

static bool may_list(const struct settle *s)
{
	if (s->walk.depth > 0)
		return !settle_walk_waits(s);
	return settle_queue_first(&s->queue, SETTLE_LISTS) != 0;
}

static bool may_end(const struct settle *s)
{
	return s->in_pass && !s->root_due && s->walk.depth == 0 && s->queue.passes == 0;
}

static bool has_work(const struct settle *s)
{
	return s->why != NULL || settle_queue_first(&s->queue, SETTLE_NOW) != 0 || may_list(s) ||
	       may_end(s);
}

/* One thing; there is one. */
static int work(struct settle *s)
{
	bool hints = settle_queue_first(&s->queue, SETTLE_NOW) != 0, lists = may_list(s);

	if (s->why != NULL && (!s->in_pass || may_end(s)))
		return pass_begin(s);
	if (may_end(s))
		return pass_end(s);
	if (hints && (!lists || s->turn < TURN)) {
		s->turn++;
		return work_hint(s);
	}
	s->turn = s->turn < 2 * TURN ? s->turn + 1 : 0;
	return settle_walk_step(s);
}

static void release(struct settle *s)
{
	uint32_t i;

	while ((i = settle_queue_first(&s->queue, SETTLE_WAITING)) != 0 &&
	       s->queue.item[i].due_ns <= s->now.boot_ns)
		settle_queue_move(&s->queue, i, SETTLE_NOW);
}

/* Nothing waits, so what was unsure a while ago is sure. That is kept in the root's entry, for a
 * settler that begins anew: once a second at most, and only if something is unsure. */
static int rest(struct settle *s)
{
	struct settle_directory root;
	int64_t since_us = s->now.wall_us - s->kept_us;
	int r;

	s->sure_us = s->now.wall_us;
	if (s->kept_us < 0 || s->unsure_us + SETTLE_LATE_US <= s->kept_us ||
	    (since_us >= 0 && since_us < SETTLE_LATE_US))
		return 0;
	r = settle_directory(s, s->root, &root);
	if (r <= 0)
		return r;
	s->kept_us = s->sure_us;
	return settle_put(s, &root.at, &root.node);
}

int settle_step(struct settle *s, unsigned budget, const struct moment *now)
{
	int err = 0;

	s->now = *now;
	s->budget = budget;
	release(s);
	while (err == 0 && s->budget > 0 && has_work(s)) {
		err = work(s);
		if (s->overflowed)
			settle_doubt(s, "overflow", false);
		s->overflowed = false;
	}
	if (err < 0)
		return err;
	if (has_work(s))
		return 1;
	return settle_queue_first(&s->queue, SETTLE_WAITING) == 0 ? rest(s) : 0;
}

uint64_t settle_due(const struct settle *s)
{
	uint32_t i = settle_queue_first(&s->queue, SETTLE_WAITING);

	if (has_work(s))
		return 0;
	return i != 0 ? s->queue.item[i].due_ns : MOMENT_NEVER;
}

uint64_t settle_root(const struct settle *s)
{
	return s->root;
}

struct settle_counts settle_counts(const struct settle *s)
{
	struct settle_counts counts = s->counts;

	counts.queued = s->queue.used;
	counts.in_doubt = s->in_pass || s->why != NULL;
	return counts;
}
