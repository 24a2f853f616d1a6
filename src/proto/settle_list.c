/* The content of directories. A list is a walk down the index, and needs no more memory for a wide
 * tree than for a narrow one:
 *
 *   visit     enter (watched from now on), list: each entry is compared as it comes. What is
 *             neither as it was nor simply new becomes a hint, for it may need looks and time
 *   compare   if the index has names that were not listed: a look at each that it has
 *   descend   into the children that are directories; all, if deep; else those that are marked as
 *             doubtful or closed, as what is new is
 *
 * What a deep list misses may have been moved to where the list has not come yet: it waits until
 * the list is over, up to half of the queue. */
#include "proto/settle_parts.h"

void settle_walk_stop(struct settle *s)
{
	s->walk.depth = 0;
	s->walk.waits = false;
}

static struct settle_walk *begin(struct settle *s)
{
	struct settle_walk *walk = &s->walk;
	uint32_t i = settle_queue_first(&s->queue, SETTLE_LISTS);
	unsigned marks = s->queue.item[i].marks;

	walk->frame[0].directory = s->queue.item[i].directory;
	walk->depth = 1;
	walk->names_len = 0;
	walk->phase = SETTLE_VISIT;
	walk->deep = (marks & SETTLE_DEEP) != 0;
	walk->lost = (marks & SETTLE_LOST) != 0;
	walk->pass = (marks & SETTLE_PASS) != 0;
	settle_queue_free(&s->queue, i);
	return walk;
}

static uint64_t top(const struct settle_walk *walk)
{
	return walk->frame[walk->depth - 1].directory;
}

/* What was missed in a deep list is looked at last. */
static void end(struct settle *s)
{
	uint32_t i;

	if (!s->walk.deep)
		return;
	while ((i = settle_queue_first(&s->queue, SETTLE_LATER)) != 0)
		settle_queue_move(&s->queue, i, SETTLE_NOW);
}

static void pop(struct settle *s)
{
	struct settle_walk *walk = &s->walk;
	const struct settle_frame *frame;

	if (--walk->depth == 0) {
		end(s);
		return;
	}
	frame = &walk->frame[walk->depth - 1];
	settle_place_set(&walk->cursor, frame->directory,
			 bytes_of(walk->names + frame->name_at, walk->names_len - frame->name_at));
	walk->names_len = frame->name_at;
	walk->phase = SETTLE_DESCEND;
}

/* Into the child at the cursor. */
static void push(struct settle *s, uint64_t directory)
{
	struct settle_walk *walk = &s->walk;
	struct bytes name = settle_name(&walk->cursor);

	if (walk->depth == SETTLE_DEPTH || walk->names_len + name.len > sizeof(walk->names)) {
		settle_push_list(s, directory, walk->deep ? SETTLE_DEEP : 0);
		return;
	}
	walk->frame[walk->depth - 1].name_at = walk->names_len;
	memcpy(walk->names + walk->names_len, name.data, name.len);
	walk->names_len += (uint32_t)name.len;
	walk->frame[walk->depth++].directory = directory;
	walk->phase = SETTLE_VISIT;
}

/* Visit: the entries. */

static void count_in(struct settle *s, const struct settle_place *at)
{
	s->walk.listed++;
	s->walk.sum += settle_hash(&s->queue, 0, settle_name(at));
}

/* Something is there that needs more than a comparison. */
static int hand_over(struct settle *s, const struct settle_work *w)
{
	settle_push(s, &w->at, 0, s->walk.careful ? SETTLE_CAREFUL : 0);
	if (!s->overflowed)
		return 0;
	s->walk.full = true;
	return ERR_FULL;
}

static int entry_new(struct settle *s, const struct settle_work *w, const struct settle_node *seen)
{
	struct settle_place other;
	struct settle_node n;
	int r = seen->inode == 0 ? 0
				 : s->holder.index->find_inode(s->holder.index_owner, seen->inode,
							       0, &other, &n);

	if (r < 0)
		return r;
	if (r == 1)
		return hand_over(s, w);
	r = settle_entry_create(s, w, seen);
	if (r == ERR_TOO_LONG) {
		s->walk.closed = r;
		return 0;
	}
	if (r == 0) {
		count_in(s, &w->at);
		s->walk.descend |= settle_holds(seen);
	}
	return r;
}

/* Whether to descend into what the index has; be it elsewhere by now, it is still listed. */
static bool is_wanted(const struct settle *s, const struct settle_node *n)
{
	return settle_holds(n) &&
	       (s->walk.deep || n->born_ns == 0 || (n->links & ~(unsigned)SETTLE_BELOW) != 0);
}

static int entry_seen(struct settle *s, const struct settle_work *w, const struct settle_node *seen)
{
	struct settle_node old;
	int r = settle_find(s, &w->at, &old);

	if (r < 0)
		return r;
	if (r == 0)
		return entry_new(s, w, seen);
	count_in(s, &w->at);
	s->walk.descend |= is_wanted(s, &old) || old.mode != seen->mode;
	if (!settle_is_same(&old, seen))
		return hand_over(s, w);
	return settle_entry_update(s, w, &old, seen);
}

static bool is_name(struct bytes name)
{
	return name.len > 0 && name.len <= CHANGE_NAME_BYTES &&
	       !bytes_equal(name, BYTES_LITERAL(".")) && !bytes_equal(name, BYTES_LITERAL(".."));
}

static int on_entry(void *context, struct bytes name, const struct settle_node *node)
{
	struct settle *s = context;
	struct settle_work w = {.listed = true};
	bool whole = s->walk.pass && s->walk.frame[0].directory == s->root;
	struct settle_node seen = settle_node_seen(node);

	if (!is_name(name))
		return 0;
	settle_spend(s);
	if (whole)
		w.since_us = s->pass_us;
	settle_place_set(&w.at, top(&s->walk), name);
	s->walk.err = entry_seen(s, &w, &seen);
	return s->walk.err;
}

/* Visit: the directory. */

/* Whether the index has more names than were listed, or others. */
static int has_missed(struct settle *s, uint64_t directory)
{
	struct settle_walk *walk = &s->walk;
	struct settle_place at;
	struct settle_node n;
	uint64_t names = 0, sum = 0;
	int r;

	settle_place_set(&at, directory, (struct bytes){0});
	while ((r = settle_next(s, directory, settle_name(&at), &at, &n)) == 1) {
		names++;
		sum += settle_hash(&s->queue, 0, settle_name(&at));
	}
	return r < 0 ? r : names != walk->listed || sum != walk->sum;
}

/* It could not be listed. */
static int visit_failed(struct settle *s, int why)
{
	uint64_t directory = top(&s->walk);
	int err;

	if (why == ERR_NO_FILE && !(s->walk.lost && s->walk.depth == 1))
		err = settle_entry_lost(s, directory, s->walk.deep ? SETTLE_UNSEEN : 0);
	else
		err = settle_entry_closed(s, directory, why);
	if (err == 0)
		pop(s);
	return err;
}

/* It was listed: what that changes about its marks. */
static int visit_marks(struct settle *s, uint64_t directory, int unwatched)
{
	struct settle_directory d;
	unsigned marks;
	int r = settle_directory(s, directory, &d);

	if (r <= 0)
		return r;
	if (s->walk.closed < 0 || unwatched < 0)
		return settle_entry_closed(s, directory,
					   s->walk.closed < 0 ? s->walk.closed : unwatched);
	marks = s->walk.deep ? 0 : d.node.links & SETTLE_BELOW;
	if (settle_is_fresh(s, d.node.born_ns))
		marks |= d.node.links & SETTLE_DOUBTFUL;
	if (marks == d.node.links)
		return 0;
	if (d.node.links & SETTLE_CLOSED) {
		r = settle_tell_settled(s, &d);
		if (r < 0)
			return r;
	}
	if (!s->walk.deep && (d.node.links & (SETTLE_CLOSED | SETTLE_UNSEEN)))
		settle_push_list(s, directory, SETTLE_DEEP); /* nobody looked below it since */
	d.node.links = marks;
	return settle_put(s, &d.at, &d.node);
}

/* Watch first, list second: so nothing falls in between. */
static int list(struct settle *s, uint64_t directory, int *unwatched)
{
	const struct settle_eyes *eyes = s->holder.eyes;
	struct settle_walk *walk = &s->walk;

	walk->err = walk->closed = 0;
	walk->full = walk->descend = false;
	walk->listed = walk->sum = 0;
	if (eyes->enter != NULL)
		*unwatched = eyes->enter(s->holder.eyes_owner, directory);
	walk->careful |= *unwatched < 0;
	if (*unwatched == ERR_NO_FILE)
		return ERR_NO_FILE;
	s->counts.lists++;
	return eyes->list(s->holder.eyes_owner, directory, on_entry, s);
}

/* A list that the queue had no room for is done again when there is; if nothing there can be
 * worked off now, all is in doubt. */
static int visit_full(struct settle *s)
{
	if (settle_queue_first(&s->queue, SETTLE_NOW) != 0) {
		s->overflowed = false;
		s->walk.waits = true;
	}
	return 0;
}

static int visit(struct settle *s)
{
	struct settle_walk *walk = &s->walk;
	struct settle_directory d;
	uint64_t directory = top(walk);
	int64_t before = s->holder.index->count(s->holder.index_owner, directory);
	int r = settle_directory(s, directory, &d), unwatched = 0, len;

	if (r < 0 || before < 0)
		return r < 0 ? r : (int)before;
	if (r == 0) {
		pop(s);
		return 0;
	}
	len = settle_path_len(s, &d.at);
	if (len > 0)
		settle_has_path(s, (size_t)len + 1 + CHANGE_NAME_BYTES);
	walk->careful = walk->pass || walk->lost || (d.node.links & SETTLE_CLOSED);
	r = list(s, directory, &unwatched);
	if (walk->full)
		return visit_full(s);
	if (walk->err < 0)
		return walk->err;
	if (r < 0)
		return visit_failed(s, r);
	r = visit_marks(s, directory, unwatched);
	if (r == 0 && before > 0)
		r = has_missed(s, directory);
	if (r < 0)
		return r;
	walk->phase = r == 1 ? SETTLE_COMPARE : SETTLE_DESCEND;
	settle_place_set(&walk->cursor, directory, (struct bytes){0});
	if (walk->phase == SETTLE_DESCEND && !walk->descend)
		pop(s);
	return 0;
}

/* Compare: what the index has at the cursor was perhaps not listed. */

static int missed(struct settle *s, const struct settle_work *w)
{
	struct settle_queue *q = &s->queue;
	uint32_t i = settle_queue_find(q, w->at.directory, settle_name(&w->at));

	if (i == 0 && q->used <= q->items / 2)
		i = settle_queue_add(q, s->walk.deep ? SETTLE_LATER : SETTLE_NOW, w->at.directory,
				     settle_name(&w->at));
	if (i == 0)
		return settle_entry_look(s, w);
	if (q->item[i].line == SETTLE_WAITING)
		settle_queue_move(q, i, SETTLE_NOW);
	settle_queue_mark(q, i, SETTLE_FINAL | (s->walk.pass ? SETTLE_PASS : 0));
	return 0;
}

static int compare(struct settle *s)
{
	struct settle_walk *walk = &s->walk;
	struct settle_work w = {.marks = SETTLE_FINAL | SETTLE_TWICE};
	struct settle_node old, seen;
	int r = settle_next(s, top(walk), settle_name(&walk->cursor), &w.at, &old);

	if (r < 0)
		return r;
	if (r == 0) {
		settle_place_set(&walk->cursor, top(walk), (struct bytes){0});
		walk->phase = SETTLE_DESCEND;
		if (!walk->descend)
			pop(s);
		return 0;
	}
	walk->descend |= is_wanted(s, &old);
	s->counts.looks++;
	r = s->holder.eyes->look(s->holder.eyes_owner, w.at.directory, settle_name(&w.at), &seen);
	if (r == 1)
		seen = settle_node_seen(&seen);
	if (r == 1 && settle_is_same(&old, &seen) && !settle_is_left_out(s, &w.at, &seen))
		r = 0;
	else
		r = missed(s, &w);
	if (r == 0)
		settle_place_set(&walk->cursor, w.at.directory, settle_name(&w.at));
	return r < 0 ? r : 0;
}

/* Descend. */

static int descend(struct settle *s)
{
	struct settle_walk *walk = &s->walk;
	struct settle_node n;
	int r = settle_next(s, top(walk), settle_name(&walk->cursor), &walk->cursor, &n);

	if (r < 0)
		return r;
	if (r == 0)
		pop(s);
	else if (is_wanted(s, &n))
		push(s, n.inode);
	return 0;
}

bool settle_walk_waits(const struct settle *s)
{
	const struct settle_queue *q = &s->queue;

	return s->walk.waits && q->used > q->items / 2 && settle_queue_first(q, SETTLE_NOW) != 0;
}

int settle_walk_step(struct settle *s)
{
	struct settle_walk *walk = s->walk.depth > 0 ? &s->walk : begin(s);
	int err = 0;

	settle_spend(s);
	walk->waits = false;
	s->passing = walk->pass;
	switch (walk->phase) {
	case SETTLE_VISIT:
		err = visit(s);
		break;
	case SETTLE_COMPARE:
		err = compare(s);
		break;
	case SETTLE_DESCEND:
		err = descend(s);
		break;
	}
	s->passing = false;
	return err;
}
