/* Where things stand, as the index has it, and the only way that it changes: told first, written
 * down then. Directories are kept in a small cache, each with its place; a path is put together by
 * climbing from place to place, so that one moved directory costs one slot, however much is below.
 *
 * Limits: a path of more than CHANGE_PATH_BYTES, the root's included, cannot be told. */
#include "proto/settle_parts.h"

void settle_place_set(struct settle_place *at, uint64_t directory, struct bytes name)
{
	at->directory = directory;
	at->len = (uint8_t)name.len;
	if (name.len > 0)
		memmove(at->name, name.data, name.len);
	at->name[name.len] = '\0';
}

/* The cache. */

static unsigned set_of(uint64_t inode)
{
	return (unsigned)(inode * 0x9e3779b97f4a7c15u >> 56) % SETTLE_SETS;
}

static struct settle_directory *slot_find(const struct settle *s, uint64_t inode)
{
	const struct settle_directory *set = s->directory[set_of(inode)];

	for (unsigned way = 0; way < SETTLE_WAYS; way++) {
		if (set[way].inode == inode)
			return (struct settle_directory *)(uintptr_t)&set[way];
	}
	return NULL;
}

static struct settle_directory *slot_take(struct settle *s, uint64_t inode)
{
	struct settle_directory *slot = slot_find(s, inode);
	unsigned set = set_of(inode);

	if (slot == NULL)
		slot = &s->directory[set][s->victim[set]++ % SETTLE_WAYS];
	slot->inode = inode;
	return slot;
}

void settle_forget(struct settle *s)
{
	for (unsigned set = 0; set < SETTLE_SETS; set++) {
		for (unsigned way = 0; way < SETTLE_WAYS; way++)
			s->directory[set][way].inode = 0;
	}
}

bool settle_is_unknown(const struct settle *s, uint64_t inode)
{
	const struct settle_directory *slot = inode != 0 ? slot_find(s, inode) : NULL;

	return slot != NULL && !slot->known;
}

/* As settle_directory; `slot` is valid until the next. */
static int directory_slot(struct settle *s, uint64_t inode, struct settle_directory **slot)
{
	const struct settle_index *index = s->holder.index;
	struct settle_place at;
	struct settle_node n;
	int r = 1;

	if (inode == 0)
		return 0;
	*slot = slot_find(s, inode);
	if (*slot != NULL)
		return (*slot)->known;
	for (unsigned nth = 0; r == 1; nth++) {
		r = index->find_inode(s->holder.index_owner, inode, nth, &at, &n);
		if (r == 1 && settle_holds(&n))
			break;
	}
	if (r < 0)
		return r;
	*slot = slot_take(s, inode);
	(*slot)->known = r == 1;
	if (r == 1) {
		(*slot)->at = at;
		(*slot)->node = n;
	}
	return r;
}

int settle_directory(struct settle *s, uint64_t inode, struct settle_directory *d)
{
	struct settle_directory *slot;
	int r = directory_slot(s, inode, &slot);

	if (r == 1)
		*d = *slot;
	return r;
}

int settle_is_within(struct settle *s, uint64_t inode, uint64_t above)
{
	struct settle_directory *slot;
	int r = 1;

	for (unsigned i = 0; r == 1 && inode != 0; i++) {
		if (inode == above || i > SETTLE_DEPTH)
			return 1;
		r = directory_slot(s, inode, &slot);
		if (r == 1)
			inode = slot->at.directory;
	}
	return r < 0 ? r : 0;
}

int settle_is_unseen(struct settle *s, uint64_t inode)
{
	struct settle_directory *slot;
	int r = 1;

	for (unsigned i = 0; r == 1 && inode != 0 && i <= SETTLE_DEPTH; i++) {
		r = directory_slot(s, inode, &slot);
		if (r == 1 && (slot->node.links & (SETTLE_CLOSED | SETTLE_UNSEEN)))
			return 1;
		if (r == 1)
			inode = slot->at.directory;
	}
	return r < 0 ? r : 0;
}

/* Paths, from their ends. */

struct path {
	uint8_t *data;
	size_t at; /* it begins here and goes on to CHANGE_PATH_BYTES */
};

static bool path_put(struct path *p, struct bytes b)
{
	if (b.len > p->at)
		return false;
	p->at -= b.len;
	if (b.len > 0)
		memcpy(p->data + p->at, b.data, b.len);
	return true;
}

/* Beneath the root. An empty name stands for the directory itself. */
static int path_climb(struct settle *s, uint64_t directory, struct bytes name, struct path *p)
{
	struct settle_directory *slot;
	bool first = name.len == 0, fits = path_put(p, name);

	while (fits && directory != 0) {
		int r = directory_slot(s, directory, &slot);

		if (r <= 0)
			return r < 0 ? r : ERR_NO_FILE;
		directory = slot->at.directory;
		if (directory == 0)
			break;
		fits = (first || path_put(p, BYTES_LITERAL("/"))) &&
		       path_put(p, settle_name(&slot->at));
		first = false;
	}
	return fits ? 0 : ERR_TOO_LONG;
}

void settle_has_path(struct settle *s, size_t len)
{
	if (len > s->longest)
		s->longest = len;
	if (len > s->longest_here)
		s->longest_here = len;
}

static int path_whole(struct settle *s, const struct settle_place *at, uint8_t *data,
		      struct bytes *path)
{
	struct path p = {data, CHANGE_PATH_BYTES};
	int err = path_climb(s, at->directory, settle_name(at), &p);
	bool fits = true;

	if (err < 0)
		return err;
	if (p.at < CHANGE_PATH_BYTES || s->holder.root.len == 0)
		fits = path_put(&p, BYTES_LITERAL("/"));
	if (!fits || !path_put(&p, s->holder.root))
		return ERR_TOO_LONG;
	*path = bytes_of(data + p.at, CHANGE_PATH_BYTES - p.at);
	settle_has_path(s, path->len);
	return 0;
}

int settle_path(struct settle *s, uint64_t directory, struct bytes name, struct text *path)
{
	struct path p = {s->asked, CHANGE_PATH_BYTES};
	int err = path_climb(s, directory, name, &p);

	if (err < 0)
		return err;
	text_put(path, bytes_of(s->asked + p.at, CHANGE_PATH_BYTES - p.at));
	return path->cut ? ERR_TOO_LONG : 0;
}

int settle_above(struct settle *s, uint64_t directory, struct settle_place *at)
{
	struct settle_directory *slot;
	int r = directory_slot(s, directory, &slot);

	if (r == 1)
		*at = slot->at;
	return r < 0 ? r : r == 1 ? 0 : ERR_NO_FILE;
}

int settle_path_len(struct settle *s, const struct settle_place *at)
{
	struct bytes path;
	int err = path_whole(s, at, s->path, &path);

	return err < 0 ? err : (int)path.len;
}

/* The longest path beneath a directory, with the slash before it. */
static int longest_below(struct settle *s, uint64_t top, size_t *longest)
{
	struct settle_place at;
	struct settle_node n;
	struct settle_directory *slot;
	uint64_t directory = top;
	size_t len = 0;
	int r;

	settle_place_set(&at, top, (struct bytes){0});
	for (;;) {
		r = settle_next(s, directory, settle_name(&at), &at, &n);
		if (r < 0 || (r == 0 && directory == top))
			return r;
		if (r == 1) {
			if (len + 1 + at.len > *longest)
				*longest = len + 1 + at.len;
			if (!settle_holds(&n))
				continue;
			len += 1u + at.len;
			directory = n.inode;
			settle_place_set(&at, directory, (struct bytes){0});
			continue;
		}
		r = directory_slot(s, directory, &slot);
		if (r <= 0)
			return r < 0 ? r : ERR_NO_FILE;
		at = slot->at;
		len -= 1u + at.len;
		directory = at.directory;
	}
}

int settle_may_grow(struct settle *s, const struct settle_node *directory, size_t old_len,
		    size_t new_len)
{
	size_t below = 0, more = new_len > old_len ? new_len - old_len : 0;
	int err;

	if (s->longest + more <= CHANGE_PATH_BYTES) {
		s->longest += more;
		s->longest_here += more;
		return 1;
	}
	err = longest_below(s, directory->inode, &below);
	if (err < 0 || new_len + below > CHANGE_PATH_BYTES)
		return err;
	settle_has_path(s, new_len + below);
	return 1;
}

/* Telling. */

static int emit(struct settle *s, struct change *c, uint64_t directory, struct bytes name)
{
	int err;

	c->time_us = s->now.wall_us;
	err = s->holder.emit(s->holder.owner, c, directory, name);
	s->counts.changes += err == 0;
	return err;
}

int settle_tell(struct settle *s, enum change_type type, const struct settle_work *w,
		const struct settle_node *n, const struct settle_place *from)
{
	struct change c = {
		.type = (uint8_t)type,
		.kind = n->kind,
		.size = n->size,
		.mtime_us = n->mtime_ns / 1000,
		.mode = n->mode,
		.inode = n->inode,
		.pid = w->pid,
	};
	int err = path_whole(s, &w->at, s->path, &c.path);

	if (err == 0 && from != NULL)
		err = path_whole(s, from, s->from, &c.from);
	return err < 0 ? err : emit(s, &c, w->at.directory, settle_name(&w->at));
}

int settle_tell_gap(struct settle *s, const struct settle_directory *d, const char *why, bool reset)
{
	struct change c = {.type = CHANGE_GAP, .reset = reset, .why = bytes_of_string(why)};
	int err = path_whole(s, &d->at, s->path, &c.path);

	return err < 0 ? err : emit(s, &c, d->at.directory, settle_name(&d->at));
}

int settle_tell_settled(struct settle *s, const struct settle_directory *d)
{
	struct change c = {.type = CHANGE_SETTLED};
	int err = path_whole(s, &d->at, s->path, &c.path);

	return err < 0 ? err : emit(s, &c, d->at.directory, settle_name(&d->at));
}

/* The index. */

int settle_find(struct settle *s, const struct settle_place *at, struct settle_node *n)
{
	int r = s->holder.index->find(s->holder.index_owner, at->directory, settle_name(at), n);

	if (at->directory != 0 || r < 0)
		return r;
	s->root = r == 1 && settle_holds(n) ? n->inode : 0;
	if (s->kept_us < 0)
		s->kept_us = s->root != 0 ? n->ctime_ns / 1000 : 0;
	if (s->sure_us == 0)
		s->sure_us = s->kept_us;
	return r;
}

int settle_next(struct settle *s, uint64_t directory, struct bytes after, struct settle_place *at,
		struct settle_node *n)
{
	return s->holder.index->next(s->holder.index_owner, directory, after, at, n);
}

int settle_put(struct settle *s, const struct settle_place *at, const struct settle_node *n)
{
	struct settle_directory *slot;
	struct settle_node kept = *n;
	int err;

	if (at->directory == 0 && s->kept_us >= 0)
		kept.ctime_ns = s->kept_us * 1000;
	err = s->holder.index->put(s->holder.index_owner, at->directory, settle_name(at), &kept);
	if (err < 0)
		return err;
	if (!settle_holds(n)) {
		if (n->ctime_ns & SETTLE_UNSURE)
			s->unsure_us = s->now.wall_us;
		return 0;
	}
	slot = slot_take(s, n->inode);
	slot->known = true;
	slot->at = *at;
	slot->node = kept;
	if (at->directory == 0)
		s->root = n->inode;
	return 0;
}

int settle_remove(struct settle *s, const struct settle_place *at, const struct settle_node *n)
{
	int err = s->holder.index->remove(s->holder.index_owner, at->directory, settle_name(at));
	struct settle_directory *slot;

	if (err < 0)
		return err;
	slot = slot_find(s, n->inode);
	if (settle_holds(n) && slot != NULL && slot->known && slot->at.directory == at->directory &&
	    bytes_equal(settle_name(&slot->at), settle_name(at)))
		slot->known = false;
	if (at->directory == 0)
		s->root = 0;
	return 0;
}
