/* What happens in the filesystem of model_tree.h: each operation with what the kernel tells of it,
 * by name or at random. */
#include "model_parts.h"

#include <assert.h>

enum { NAMES = 12 };

/* A few names, so that they meet again; lengths at the edges of what the settler keeps. */
static struct bytes some_name(struct model *m)
{
	static const char *const names[NAMES] = {"a",
						 "b",
						 "c",
						 "d",
						 "e",
						 "new\nline",
						 "\xff\xfe\"'",
						 "123456789012345678901234",
						 "1234567890123456789012345",
						 "f~",
						 "g",
						 "h"};
	static char longest[CHANGE_NAME_BYTES];
	uint64_t which = model_below(m, NAMES + 1);

	if (which < NAMES)
		return bytes_of_string(names[model_chance(m, 60) ? which % 5 : which]);
	memset(longest, 'x', sizeof(longest));
	return bytes_of(longest, sizeof(longest));
}

static bool is_within(const struct model *m, int node, int above)
{
	while (node >= 0 && node != above)
		node = m->node[node].parent;
	return node == above;
}

static bool is_hidden(const struct model *m, int node)
{
	while (node >= 0 && !m->node[node].mounted)
		node = m->node[node].parent;
	return node >= 0;
}

static bool is_directory(const struct model *m, int node)
{
	return m->node[node].kind == CHANGE_DIRECTORY;
}

/* A directory to do something in: the tree's, mostly. */
static int some_directory(struct model *m)
{
	int found = -1;
	uint64_t seen = 0;
	bool out = model_chance(m, 12);

	for (int i = 1; i < (int)m->fresh; i++) {
		if (!m->node[i].alive || !is_directory(m, i) || is_hidden(m, i) ||
		    is_within(m, i, 1) == out)
			continue;
		if (model_below(m, ++seen) == 0)
			found = i;
	}
	return found >= 0 ? found : 1;
}

static struct model_entry *some_entry(struct model *m, int d)
{
	struct model_node *n = &m->node[d];

	return n->entries > 0 ? &n->entry[model_below(m, n->entries)] : NULL;
}

/* The operations. */

static int make(struct model *m, int d, struct bytes name, enum change_kind kind)
{
	int node = model_new(m, kind, kind == CHANGE_DIRECTORY ? 0755 : 0644);

	if (node < 0)
		return -1;
	model_attach(m, d, name, node);
	model_notify(m, d, name, 0);
	return node;
}

/* A change of a file that only one of its names will be told of. */
static void through(struct model *m, int d, struct model_node *n)
{
	if (n->kind == CHANGE_DIRECTORY)
		return;
	n->linked_write |= n->links > 1;
	n->blurred = !is_within(m, d, 1) && n->links > 1;
}

static void write_to(struct model *m, int d, struct bytes name, int node, uint64_t size)
{
	struct model_node *n = &m->node[node];

	n->size = size;
	n->version++;
	through(m, d, n);
	model_touch(m, node, true);
	model_notify(m, d, name, SETTLE_WRITTEN | SETTLE_OPEN);
	n->opened = true;
}

static void close_it(struct model *m, int d, struct bytes name, int node)
{
	if (m->node[node].opened)
		model_notify(m, d, name, SETTLE_WRITTEN);
	m->node[node].opened = false;
}

static void change_mode(struct model *m, int d, struct bytes name, int node, unsigned mode)
{
	m->node[node].mode = (uint16_t)mode;
	through(m, d, &m->node[node]);
	model_touch(m, node, false);
	model_notify(m, d, name, SETTLE_ATTRIB);
}

static void remove_name(struct model *m, int d, struct bytes name)
{
	model_detach(m, d, name);
	model_notify(m, d, name, SETTLE_DELETED);
}

static void remove_all(struct model *m, int d, struct bytes name)
{
	struct model_entry *e = model_find(m, d, name);
	int node = e->node;

	while (is_directory(m, node) && m->node[node].entries > 0) {
		struct model_entry child = m->node[node].entry[0];

		if (m->node[child.node].mounted)
			return;
		remove_all(m, node, model_entry_name(&child));
		if (model_find(m, node, model_entry_name(&child)) != NULL)
			return;
	}
	remove_name(m, d, name);
}

/* Files of several names of which one has left the tree unseen. */
static void blur_linked(struct model *m)
{
	for (unsigned i = 0; i < m->fresh; i++)
		m->node[i].blurred |= m->node[i].links > 1 && !is_directory(m, (int)i);
}

/* A rename touches a file as a write does: with its time put back nothing tells them apart. */
static void renamed(struct model *m, int node)
{
	m->node[node].dated |= m->node[node].mtime_ns == MODEL_DATED_NS;
}

static void rename_it(struct model *m, int from, struct bytes old, int to, struct bytes new)
{
	struct model_entry *target = model_find(m, to, new);
	int node = model_find(m, from, old)->node;

	if (target != NULL)
		model_detach(m, to, new);
	m->busy_rename = true;
	model_detach(m, from, old);
	m->busy_rename = false;
	model_attach(m, to, new, node);
	renamed(m, node);
	model_notify_rename(m, from, old, to, new);
	if (is_within(m, from, 1) != is_within(m, to, 1))
		blur_linked(m);
}

static void exchange(struct model *m, int da, struct bytes a, int db, struct bytes b)
{
	int na = model_find(m, da, a)->node, nb = model_find(m, db, b)->node;

	m->busy_rename = true;
	model_detach(m, da, a);
	model_detach(m, db, b);
	m->busy_rename = false;
	model_attach(m, da, a, nb);
	model_attach(m, db, b, na);
	renamed(m, na);
	renamed(m, nb);
	model_notify_rename(m, da, a, db, b);
	model_notify_rename(m, db, b, da, a);
	if (is_within(m, da, 1) != is_within(m, db, 1))
		blur_linked(m);
}

/* At random. */

static void act_write(struct model *m, int d, struct bytes name)
{
	struct model_entry *e = model_find(m, d, name);
	int node = e != NULL ? e->node : make(m, d, name, CHANGE_FILE);

	if (node < 0 || m->node[node].kind != CHANGE_FILE)
		return;
	if (e != NULL || model_chance(m, 70))
		write_to(m, d, name, node,
			 model_chance(m, 50) ? m->node[node].size : model_below(m, 5));
	if (model_chance(m, 80))
		close_it(m, d, name, node);
}

static void act_make(struct model *m, int d, struct bytes name)
{
	static const enum change_kind kinds[] = {CHANGE_DIRECTORY, CHANGE_DIRECTORY, CHANGE_FILE,
						 CHANGE_LINK, CHANGE_OTHER};

	if (model_find(m, d, name) == NULL)
		make(m, d, name, kinds[model_below(m, 5)]);
}

static void act_chain(struct model *m, int d)
{
	for (uint64_t depth = 1 + model_below(m, 4); depth > 0 && d >= 0; depth--) {
		struct bytes name = some_name(m);

		if (model_find(m, d, name) != NULL)
			return;
		d = make(m, d, name, CHANGE_DIRECTORY);
		for (uint64_t i = model_below(m, 3); i > 0 && d >= 0; i--)
			act_write(m, d, some_name(m));
	}
}

static bool can_replace(const struct model *m, int node, const struct model_entry *target)
{
	if (target == NULL)
		return true;
	if (target->node == node || m->node[target->node].mounted ||
	    is_directory(m, node) != is_directory(m, target->node))
		return false;
	return !is_directory(m, node) || m->node[target->node].entries == 0;
}

static void act_rename(struct model *m, int d)
{
	struct model_entry *e = some_entry(m, d), *target;
	int to = model_chance(m, 50) ? d : some_directory(m), node;
	struct model_entry old, other;
	struct bytes new = some_name(m);

	if (e == NULL || m->node[e->node].mounted)
		return;
	old = *e;
	node = e->node;
	target = model_find(m, to, new);
	if (is_within(m, to, node))
		return;
	if (model_chance(m, 20) && target != NULL && target->node != node &&
	    !m->node[target->node].mounted && !is_within(m, d, target->node)) {
		other = *target;
		exchange(m, d, model_entry_name(&old), to, model_entry_name(&other));
		return;
	}
	if (can_replace(m, node, target))
		rename_it(m, d, model_entry_name(&old), to, new);
}

static void act_link(struct model *m, int d, struct bytes name)
{
	struct model_entry *e = some_entry(m, some_directory(m));

	if (e == NULL || is_directory(m, e->node) || model_find(m, d, name) != NULL)
		return;
	model_attach(m, d, name, e->node);
	model_notify(m, d, name, 0);
}

static void act_mode(struct model *m, int d)
{
	static const unsigned files[] = {0644, 0600, 0444, 0755};
	static const unsigned directories[] = {0755, 0700, 0755, 0, 0311, 0755};
	struct model_entry e;

	if (m->node[d].entries == 0)
		return;
	e = *some_entry(m, d);
	if (m->node[e.node].mounted)
		return;
	if (!is_directory(m, e.node) && model_chance(m, 30)) {
		m->node[e.node].mtime_ns = MODEL_DATED_NS; /* touch -d */
		change_mode(m, d, model_entry_name(&e), e.node, m->node[e.node].mode);
		return;
	}
	change_mode(m, d, model_entry_name(&e), e.node,
		    is_directory(m, e.node) ? directories[model_below(m, 6)]
					    : files[model_below(m, 4)]);
}

static void act_remove(struct model *m, int d)
{
	struct model_entry e;

	if (m->node[d].entries == 0)
		return;
	e = *some_entry(m, d);
	if (m->node[e.node].mounted)
		return;
	if (!is_directory(m, e.node) || m->node[e.node].entries == 0)
		remove_name(m, d, model_entry_name(&e));
	else if (model_chance(m, 30))
		remove_all(m, d, model_entry_name(&e));
}

static void act_close(struct model *m, int d)
{
	struct model_entry *e = some_entry(m, d);

	if (e != NULL)
		close_it(m, d, model_entry_name(e), e->node);
}

static void act_mount(struct model *m, int d)
{
	struct model_entry *e = some_entry(m, d);

	if (e == NULL || !is_directory(m, e->node))
		return;
	m->node[e->node].mounted = !m->node[e->node].mounted;
	m->mounts_changed = true;
}

/* An editor's save, and the same twice. */
static void act_save(struct model *m, int d)
{
	struct bytes tmp = BYTES_LITERAL("f~");
	struct model_entry *e = some_entry(m, d), old;

	if (e == NULL || m->node[e->node].kind != CHANGE_FILE || model_find(m, d, tmp) != NULL)
		return;
	old = *e;
	if (model_chance(m, 50)) { /* f aside, f anew */
		rename_it(m, d, model_entry_name(&old), d, tmp);
		act_write(m, d, model_entry_name(&old));
		return;
	}
	act_write(m, d, tmp);
	rename_it(m, d, tmp, d, model_entry_name(&old));
}

void model_act(struct model *m)
{
	int d = some_directory(m);
	struct bytes name = some_name(m);
	uint64_t what = model_below(m, 1000);

	m->operations++;
	if (what < 250)
		act_write(m, d, name);
	else if (what < 380)
		act_make(m, d, name);
	else if (what < 430)
		act_chain(m, d);
	else if (what < 640)
		act_rename(m, d);
	else if (what < 690)
		act_link(m, d, name);
	else if (what < 750)
		act_mode(m, d);
	else if (what < 900)
		act_remove(m, d);
	else if (what < 940)
		act_close(m, d);
	else if (what < 995)
		act_save(m, d);
	else
		act_mount(m, d);
	if (model_chance(m, 50))
		model_pass_time(m, model_below(m, 4000000));
}

void model_calm(struct model *m)
{
	for (int d = 0; d < (int)m->fresh; d++) {
		for (unsigned i = 0; m->node[d].alive && i < m->node[d].entries; i++) {
			struct model_entry e = m->node[d].entry[i];

			m->mounts_changed |= m->node[e.node].mounted;
			m->node[e.node].mounted = false;
			close_it(m, d, model_entry_name(&e), e.node);
			if (is_directory(m, e.node) && (m->node[e.node].mode & 0500) != 0500)
				change_mode(m, d, model_entry_name(&e), e.node, 0755);
		}
	}
}

/* By path. */

static int walk_to(struct model *m, const char *path, struct bytes *last)
{
	struct bytes rest = bytes_of_string(path);
	int node = 0;

	for (;;) {
		*last = bytes_first(rest, bytes_find_byte(rest, '/'));
		if (last->len == rest.len)
			return node;
		node = model_find(m, node, *last)->node;
		rest = bytes_after(rest, last->len + 1);
	}
}

uint64_t model_inode(struct model *m, const char *path)
{
	struct bytes name;
	int d = walk_to(m, path, &name);

	return (uint64_t)model_number(model_find(m, d, name)->node);
}

void model_mkdir(struct model *m, const char *path)
{
	struct bytes name;
	int d = walk_to(m, path, &name);

	make(m, d, name, CHANGE_DIRECTORY);
}

void model_write(struct model *m, const char *path, uint64_t size)
{
	struct bytes name;
	int d = walk_to(m, path, &name);
	struct model_entry *e = model_find(m, d, name);
	int node = e != NULL ? e->node : make(m, d, name, CHANGE_FILE);

	write_to(m, d, name, node, size);
	close_it(m, d, name, node);
}

void model_link(struct model *m, const char *from, const char *to)
{
	struct bytes a, b;
	int da = walk_to(m, from, &a), db = walk_to(m, to, &b);

	model_attach(m, db, b, model_find(m, da, a)->node);
	model_notify(m, db, b, 0);
}

void model_symlink(struct model *m, const char *path)
{
	struct bytes name;
	int d = walk_to(m, path, &name);

	make(m, d, name, CHANGE_LINK);
}

void model_chmod(struct model *m, const char *path, unsigned mode)
{
	struct bytes name;
	int d = walk_to(m, path, &name);

	change_mode(m, d, name, model_find(m, d, name)->node, mode);
}

void model_remove(struct model *m, const char *path)
{
	struct bytes name;
	int d = walk_to(m, path, &name);

	remove_all(m, d, name);
}

void model_rename(struct model *m, const char *from, const char *to)
{
	struct bytes a, b;
	int da = walk_to(m, from, &a), db = walk_to(m, to, &b);

	assert(can_replace(m, model_find(m, da, a)->node, model_find(m, db, b)));
	rename_it(m, da, a, db, b);
}

void model_exchange(struct model *m, const char *a, const char *b)
{
	struct bytes na, nb;
	int da = walk_to(m, a, &na), db = walk_to(m, b, &nb);

	exchange(m, da, na, db, nb);
}
