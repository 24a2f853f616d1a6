/* One name: what stands there now, against what the index has.
 *
 *   there now     the index has
 *   nothing       nothing          nothing to say
 *   nothing       something        delete, what is deepest first
 *   the same      the same         modify, attrib, or nothing
 *   a new one     nothing          create, or move from where the index has it
 *   a new one     another          a move onto it (files), or delete and then create or move
 *
 * "The same" is inode, time of birth and kind. What is not there any more may have been renamed,
 * so unless it is known to be deleted its name is looked at once more behind all hints that wait:
 * the other half of the rename is mostly among them, and finds it still in the index.
 *
 * What is seen elsewhere than the index has it was moved, for certain if it can only stand in one
 * place (a directory; a file with one link), else if it is no longer at the old one. The index may
 * show the old place within the new one, because the directories between have moved as well and
 * their hints are still to come; after they have had their turn, what is still within itself is
 * deleted, and its coming told when it is heard of.
 *
 * All loops here end by themselves or with the budget: a deletion that is cut marks the directories
 * that it has gone into, so that they are listed if they are seen again. */
#include "proto/settle_parts.h"

enum { PLACES = 16 }; /* of one inode that are looked at; beyond, a new name is a create */

bool settle_is_same(const struct settle_node *a, const struct settle_node *b)
{
	return a->inode == b->inode && a->born_ns == b->born_ns && a->kind == b->kind &&
	       a->foreign == b->foreign;
}

struct settle_node settle_node_seen(const struct settle_node *seen)
{
	struct settle_node n = *seen;

	if (n.foreign) { /* another filesystem's inodes and births are not ours */
		n.inode = 0;
		n.born_ns = 0;
	}
	n.mode &= 07777;
	n.ctime_ns &= ~(int64_t)SETTLE_UNSURE;
	if (n.kind == CHANGE_DIRECTORY)
		n.links = 0;
	return n;
}

bool settle_is_fresh(const struct settle *s, int64_t time_ns)
{
	return s->now.wall_us - time_ns / 1000 < SETTLE_TICK_NS / 1000;
}

struct settle_node settle_node_new(const struct settle *s, const struct settle_node *seen)
{
	struct settle_node n = *seen;

	if (settle_holds(&n))
		n.links = SETTLE_DOUBTFUL;
	else if (n.kind != CHANGE_DIRECTORY && settle_is_fresh(s, n.ctime_ns))
		n.ctime_ns |= SETTLE_UNSURE;
	return n;
}

static bool is_at(const struct settle_place *a, const struct settle_place *b)
{
	return a->directory == b->directory && bytes_equal(settle_name(a), settle_name(b));
}

/* Lists what is marked, or may have to be. */
static void list_if_marked(struct settle *s, const struct settle_work *w,
			   const struct settle_node *n)
{
	unsigned marks = w->marks & SETTLE_LOST;

	if (n->links & SETTLE_BELOW)
		marks |= SETTLE_DEEP;
	if (!w->listed && settle_holds(n) && (n->links != 0 || n->born_ns == 0))
		settle_push_list(s, n->inode, marks);
}

/* The other names of a file, that were told what it was before: only this one is heard of when it
 * is written through it. */
static int pass_on(struct settle *s, const struct settle_work *w, uint64_t inode)
{
	const struct settle_index *index = s->holder.index;
	unsigned flags = w->marks & SETTLE_LINKED ? 0 : w->flags & SETTLE_WRITTEN;
	struct settle_place at;
	struct settle_node n;
	int r = 1;

	if (inode == 0)
		return 0;
	for (unsigned nth = 0; r == 1 && !s->overflowed; nth++) {
		r = index->find_inode(s->holder.index_owner, inode, nth, &at, &n);
		if (r == 1 && !is_at(&at, &w->at))
			settle_push(s, &at, flags, SETTLE_LINKED);
	}
	return r < 0 ? r : 0;
}

/* Deleting. */

static int delete_one(struct settle *s, const struct settle_work *w, const struct settle_node *n)
{
	int err = settle_tell(s, CHANGE_DELETE, w, n, NULL);

	if (err == 0)
		err = settle_remove(s, &w->at, n);
	if (err == 0 && settle_holds(n) && s->holder.eyes->leave != NULL)
		s->holder.eyes->leave(s->holder.eyes_owner, n->inode);
	if (err == 0 && n->kind != CHANGE_DIRECTORY &&
	    (n->links > 1 || (w->flags & SETTLE_WRITTEN)))
		err = pass_on(s, w, n->inode);
	settle_spend(s);
	return err;
}

static int mark(struct settle *s, uint64_t inode, uint64_t *above)
{
	struct settle_directory d;
	int r = settle_directory(s, inode, &d);

	if (r <= 0)
		return r < 0 ? r : ERR_NO_FILE;
	*above = d.at.directory;
	if (d.node.links & SETTLE_DOUBTFUL)
		return 0;
	d.node.links |= SETTLE_DOUBTFUL;
	return settle_put(s, &d.at, &d.node);
}

/* The deletion of `top` stops in `directory`: what is between is there in part. Returns `why`, or
 * an error of its own. */
static int delete_stops(struct settle *s, uint64_t directory, uint64_t top, int why)
{
	uint64_t above = directory;
	int err;

	do {
		directory = above;
		err = mark(s, directory, &above);
	} while (err == 0 && directory != top);
	return err < 0 ? err : why;
}

/* `w->at` with all below it, of which the index has `n`. 0, SETTLE_AGAIN, or an error. */
static int delete_all(struct settle *s, const struct settle_work *w, const struct settle_node *n)
{
	struct settle_work below = {.pid = w->pid};
	struct settle_node child;
	struct settle_directory d;
	uint64_t directory = n->inode;
	int r;

	if (!settle_holds(n))
		return delete_one(s, w, n);
	for (;;) {
		if (s->budget == 0)
			return delete_stops(s, directory, n->inode, SETTLE_AGAIN);
		r = settle_next(s, directory, (struct bytes){0}, &below.at, &child);
		if (r < 0)
			return r;
		if (r == 1 && settle_holds(&child)) {
			directory = child.inode;
			continue;
		}
		if (r == 0 && directory == n->inode)
			return delete_one(s, w, n);
		if (r == 0) {
			r = settle_directory(s, directory, &d);
			if (r <= 0)
				return r < 0 ? r : ERR_NO_FILE;
			below.at = d.at;
			child = d.node;
		}
		r = delete_one(s, &below, &child);
		if (r < 0)
			return delete_stops(s, directory, n->inode, r);
		directory = below.at.directory;
	}
}

/* Creating. */

int settle_entry_create(struct settle *s, const struct settle_work *w,
			const struct settle_node *seen)
{
	struct settle_node n = settle_node_new(s, seen);
	int err = settle_tell(s, CHANGE_CREATE, w, seen, NULL);

	if (err == 0)
		err = settle_put(s, &w->at, &n);
	if (err == 0)
		list_if_marked(s, w, &n);
	if (err == 0 && n.kind != CHANGE_DIRECTORY && n.links > 1)
		err = pass_on(s, w, n.inode);
	return err;
}

/* Updating. */

static int update_directory(struct settle *s, const struct settle_work *w,
			    const struct settle_node *old, const struct settle_node *seen)
{
	struct settle_node n = *seen;
	int err = 0;

	n.links = old->links;
	if (old->mode != seen->mode) {
		if (settle_holds(&n)) /* who may read it may have changed with it */
			n.links |= SETTLE_DOUBTFUL;
		err = settle_tell(s, CHANGE_ATTRIB, w, seen, NULL);
		if (err == 0)
			err = settle_put(s, &w->at, &n);
	}
	if (err == 0)
		list_if_marked(s, w, &n);
	return err;
}

/* Whether content may have changed with no difference: what was written bears the same time. In a
 * list only if the hint may have been lost in this doubt, or by the settler before this one. */
static bool is_unsure(const struct settle *s, const struct settle_work *w,
		      const struct settle_node *old)
{
	bool careful = w->listed ? s->walk.careful : (w->marks & SETTLE_CAREFUL) != 0;

	if (!(old->ctime_ns & SETTLE_UNSURE))
		return false;
	return (w->flags & SETTLE_WRITTEN) ||
	       (careful && old->ctime_ns / 1000 >= s->sure_us - SETTLE_LATE_US);
}

int settle_entry_update(struct settle *s, const struct settle_work *w,
			const struct settle_node *old, const struct settle_node *seen)
{
	struct settle_node n = settle_node_new(s, seen);
	bool touched = ((old->ctime_ns ^ seen->ctime_ns) & ~(int64_t)SETTLE_UNSURE) != 0;
	bool written = old->size != seen->size || old->mtime_ns != seen->mtime_ns ||
		       (touched && (w->flags & SETTLE_WRITTEN)) || is_unsure(s, w, old);
	bool changed = old->mode != seen->mode || (touched && w->listed) ||
		       ((touched || (old->ctime_ns & SETTLE_UNSURE)) && (w->flags & SETTLE_ATTRIB));
	bool passes;
	int err = 0;

	if (seen->kind == CHANGE_DIRECTORY)
		return update_directory(s, w, old, seen);
	if (!written) /* what was unsure stays so */
		n.ctime_ns |= old->ctime_ns & SETTLE_UNSURE;
	if (written || changed)
		err = settle_tell(s, written ? CHANGE_MODIFY : CHANGE_ATTRIB, w, seen, NULL);
	if (err == 0 && (written || changed || touched))
		err = settle_put(s, &w->at, &n);
	passes = touched || old->mode != seen->mode || old->size != seen->size ||
		 old->mtime_ns != seen->mtime_ns;
	passes = passes ? seen->ctime_ns / 1000 >= w->since_us - SETTLE_TICK_NS / 1000
			: written && !(w->marks & SETTLE_LINKED);
	if (err == 0 && n.links > 1 && passes)
		err = pass_on(s, w, n.inode);
	return err;
}

/* Moving. */

/* What was written under the name that it had was heard of under that. */
static unsigned flags_at(struct settle *s, const struct settle_place *from)
{
	uint32_t i = settle_queue_find(&s->queue, from->directory, settle_name(from));

	return i != 0 ? s->queue.item[i].flags & SETTLE_WRITTEN : 0;
}

/* What was `old` in the index, at `from`, is at to->at now. 0, SETTLE_AGAIN, or an error. */
static int move(struct settle *s, const struct settle_work *to, const struct settle_node *seen,
		const struct settle_place *from, const struct settle_node *old)
{
	struct settle_node n = settle_node_new(s, seen);
	struct settle_work moved = *to, *w = &moved;
	bool unseen; /* a deep list has passed it by, or might */
	int err;

	err = settle_is_unseen(s, from->directory);
	if (err < 0)
		return err;
	unseen = err == 1 || s->queue.deeps > 0 || (s->walk.depth > 0 && s->walk.deep);
	w->flags |= flags_at(s, from);
	if (settle_holds(&n)) {
		n.links = old->links;
	} else if (seen->kind != CHANGE_DIRECTORY) {
		/* What was written is told by itself, after the move. */
		n.size = old->size;
		n.mtime_ns = old->mtime_ns;
		n.ctime_ns |= old->ctime_ns & SETTLE_UNSURE;
	}
	err = settle_tell(s, CHANGE_MOVE, w, seen, from);
	if (err == 0)
		err = settle_put(s, &w->at, &n);
	if (err == 0)
		err = settle_remove(s, from, old);
	if (err < 0)
		return err;
	if (settle_holds(&n) && unseen)
		settle_push_list(s, n.inode, SETTLE_DEEP);
	if (seen->kind == CHANGE_DIRECTORY)
		list_if_marked(s, w, &n);
	else if (n.size != seen->size || n.mtime_ns != seen->mtime_ns || is_unsure(s, w, old))
		err = settle_entry_update(s, w, &n, seen);
	else if (n.links > 1)
		err = pass_on(s, w, n.inode);
	return err;
}

/* A directory, unless its content would then be too deep for a path: deleted first, then. */
static int move_directory(struct settle *s, const struct settle_work *w,
			  const struct settle_node *seen, const struct settle_place *from,
			  const struct settle_node *old)
{
	int old_len = settle_path_len(s, from), new_len = settle_path_len(s, &w->at), r;

	if (old_len < 0 || new_len < 0)
		return old_len < 0 ? old_len : new_len;
	r = settle_may_grow(s, old, (size_t)old_len, (size_t)new_len);
	if (r == 1)
		return move(s, w, seen, from, old);
	if (r == 0)
		r = delete_all(s, &(struct settle_work){.at = *from, .pid = w->pid}, old);
	return r < 0 ? r : SETTLE_AGAIN;
}

/* Whether it is worth while to wait for the other half of a rename. */
static bool may_defer(const struct settle *s, const struct settle_work *w, unsigned mark)
{
	uint32_t first = settle_queue_first(&s->queue, SETTLE_NOW);

	return !(w->marks & mark) && first != 0 &&
	       s->queue.item[first].next != s->queue.item[first].previous;
}

/* What the index has at `from` is not there, but to be within itself at w->at: see above. Also of
 * what has the inode now of what is gone. */
static int out_of_the_way(struct settle *s, const struct settle_work *w,
			  const struct settle_place *from, const struct settle_node *old)
{
	int r = settle_holds(old) ? settle_is_within(s, w->at.directory, old->inode) : 0;

	if (r < 0)
		return r;
	if (r == 1 && may_defer(s, w, SETTLE_FINAL))
		return SETTLE_DEFER;
	r = delete_all(s, &(struct settle_work){.at = *from, .pid = w->pid}, old);
	return r < 0 ? r : SETTLE_AGAIN;
}

/* Whether a file of several links still stands at one of its old places: when that cannot be said,
 * yes, since nothing would be heard of it again. */
static bool stands(struct settle *s, const struct settle_place *at, const struct settle_node *old)
{
	struct settle_node n;
	int r = s->holder.eyes->look(s->holder.eyes_owner, at->directory, settle_name(at), &n);

	s->counts.looks++;
	if (r != 1)
		return r < 0;
	n = settle_node_seen(&n);
	return settle_is_same(old, &n);
}

/* Where the index has what is seen at w->at, and it is not any more: 1; 0: nowhere; or as
 * settle_entry_look. */
static int moved_from(struct settle *s, const struct settle_work *w, const struct settle_node *seen,
		      struct settle_place *from, struct settle_node *old)
{
	const struct settle_index *index = s->holder.index;
	int r;

	for (unsigned nth = 0; seen->inode != 0 && nth < PLACES; nth++) {
		r = index->find_inode(s->holder.index_owner, seen->inode, nth, from, old);
		if (r <= 0)
			return r;
		if (is_at(from, &w->at))
			continue; /* another's, which goes first */
		if (!settle_is_same(old, seen))
			return out_of_the_way(s, w, from, old);
		if (settle_holds(seen)) {
			r = settle_is_within(s, w->at.directory, seen->inode);
			return r < 0 ? r : r == 1 ? out_of_the_way(s, w, from, old) : 1;
		}
		if (seen->links <= 1 || !stands(s, from, old))
			return 1;
	}
	return 0;
}

/* Something is at w->at that the index does not have there; it has `other`, or nothing. */
static int arrive(struct settle *s, const struct settle_work *w, const struct settle_node *seen,
		  const struct settle_node *other)
{
	struct settle_place from;
	struct settle_node old;
	bool found, over;
	int r = settle_path_len(s, &w->at);

	if (r == ERR_TOO_LONG) {
		r = settle_entry_closed(s, w->at.directory, r);
		if (r == 0 && other != NULL)
			r = delete_all(s, w, other);
		return r;
	}
	if (r < 0)
		return r;
	r = moved_from(s, w, seen, &from, &old);
	if (r < 0 || r > 1)
		return r;
	found = r == 1;
	over = found && seen->kind != CHANGE_DIRECTORY;
	if (other != NULL && (!over || other->kind == CHANGE_DIRECTORY)) {
		r = delete_all(s, w, other);
		return r < 0 ? r : SETTLE_AGAIN;
	}
	if (!found)
		return settle_entry_create(s, w, seen);
	if (settle_holds(seen))
		return move_directory(s, w, seen, &from, &old);
	r = move(s, w, seen, &from, &old);
	if (r == 0 && other != NULL && (other->links > 1 || (w->flags & SETTLE_WRITTEN)))
		r = pass_on(s, w, other->inode);
	return r;
}

/* The whole. */

bool settle_is_left_out(const struct settle *s, const struct settle_place *at,
			const struct settle_node *seen)
{
	const struct settle_eyes *eyes = s->holder.eyes;

	return at->directory != 0 && eyes->ignored != NULL &&
	       eyes->ignored(s->holder.eyes_owner, at->directory, settle_name(at),
			     seen->kind == CHANGE_DIRECTORY);
}

int settle_entry_lost(struct settle *s, uint64_t directory, unsigned marks)
{
	struct settle_directory d;
	int r = settle_directory(s, directory, &d);

	if (r <= 0)
		return r;
	marks |= SETTLE_DOUBTFUL;
	if ((d.node.links & marks) != marks) {
		d.node.links |= marks;
		r = settle_put(s, &d.at, &d.node);
	}
	settle_push(s, &d.at, 0, SETTLE_LOST);
	return r < 0 ? r : 0;
}

static int mark_above(struct settle *s, uint64_t directory)
{
	struct settle_directory d;
	int r = 1;

	while (r >= 0 && (r = settle_directory(s, directory, &d)) == 1) {
		directory = d.at.directory;
		if (d.node.links & SETTLE_BELOW)
			continue;
		d.node.links |= SETTLE_BELOW;
		r = settle_put(s, &d.at, &d.node);
	}
	return r;
}

/* What may pass when something above changes or moves, of which the directory itself hears nothing:
 * permissions, a place that is not where it was, a path that was too long. */
static bool passes_from_above(int why)
{
	return why == ERR_PERMISSION || why == ERR_NO_FILE || why == ERR_TOO_LONG;
}

int settle_entry_closed(struct settle *s, uint64_t directory, int why)
{
	struct settle_directory d;
	int r = passes_from_above(why) ? mark_above(s, directory) : 0;

	if (r < 0)
		return r;
	r = settle_directory(s, directory, &d);
	if (r <= 0 || (d.node.links & SETTLE_CLOSED))
		return r < 0 ? r : 0;
	r = settle_tell_gap(s, &d, err_name(why), false);
	d.node.links |= SETTLE_CLOSED;
	return r < 0 ? r : settle_put(s, &d.at, &d.node);
}

static int look_failed(struct settle *s, const struct settle_work *w, int why)
{
	struct settle_node root;
	int r;

	if (w->at.directory != 0 && why == ERR_NO_FILE) {
		r = settle_entry_lost(s, w->at.directory, 0);
		/* Once more, behind that, so that what was written is not forgotten. */
		return r < 0 ? r : may_defer(s, w, SETTLE_TWICE) ? SETTLE_DEFER : 0;
	}
	if (w->at.directory != 0)
		return settle_entry_closed(s, w->at.directory, why);
	r = settle_find(s, &w->at, &root);
	return r == 1 ? settle_entry_closed(s, root.inode, why) : r;
}

/* What is seen at w->at, or NULL. */
static int compare(struct settle *s, const struct settle_work *w, const struct settle_node *seen)
{
	struct settle_node old;
	bool deleted = (w->flags & SETTLE_DELETED) != 0;
	int r = settle_find(s, &w->at, &old);

	if (r < 0 || (r == 0 && seen == NULL))
		return r;
	if (r == 1 && seen != NULL && settle_is_same(&old, seen))
		return settle_entry_update(s, w, &old, seen);
	/* What is only absent comes after what was replaced, too: that may be where it went. */
	if (r == 1 && !deleted && may_defer(s, w, seen == NULL ? SETTLE_TWICE : SETTLE_FINAL))
		return SETTLE_DEFER;
	if (seen == NULL)
		return delete_all(s, w, &old);
	return arrive(s, w, seen, r == 1 ? &old : NULL);
}

int settle_entry_look(struct settle *s, const struct settle_work *w)
{
	const struct settle_eyes *eyes = s->holder.eyes;
	struct settle_directory d;
	struct settle_node seen;
	int r;

	if (w->at.directory != 0) {
		r = settle_directory(s, w->at.directory, &d);
		if (r <= 0)
			return r;
	}
	s->counts.looks++;
	r = eyes->look(s->holder.eyes_owner, w->at.directory, settle_name(&w->at), &seen);
	if (r < 0)
		return look_failed(s, w, r);
	if (w->at.directory != 0 && (d.node.links & SETTLE_CLOSED)) /* not any more, perhaps */
		settle_push_list(s, w->at.directory, 0);
	if (r == 1 && settle_is_left_out(s, &w->at, &seen))
		r = 0;
	if (r == 1)
		seen = settle_node_seen(&seen);
	return compare(s, w, r == 1 ? &seen : NULL);
}
