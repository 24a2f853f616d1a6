/* The filesystem of model_tree.h: nodes, names, what is told of them, and the eyes. The operations
 * are in model_act.c. */
#include "model_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t model_below(struct model *m, uint64_t n)
{
	uint64_t x = (m->random += 0x9e3779b97f4a7c15u);

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return (x ^ x >> 31) % n;
}

bool model_chance(struct model *m, unsigned percent)
{
	return model_below(m, 100) < percent;
}

void model_pass_time(struct model *m, uint64_t ns)
{
	m->now.boot_ns += ns;
	m->now.wall_us += (int64_t)(ns / 1000);
}

/* Nodes. */

int model_number(int node)
{
	return node + MODEL_FIRST;
}

static int64_t tick(const struct model *m)
{
	return m->now.wall_us * 1000 / MODEL_TICK_NS * MODEL_TICK_NS;
}

void model_touch(struct model *m, int node, bool content)
{
	m->node[node].ctime_ns = tick(m);
	if (content)
		m->node[node].mtime_ns = tick(m);
}

int model_new(struct model *m, enum change_kind kind, unsigned mode)
{
	int node = (int)m->fresh;

	if (m->freed > 0 && model_chance(m, 80))
		node = m->free_node[--m->freed];
	else if (m->fresh < MODEL_NODES)
		m->fresh++;
	else if (m->freed > 0)
		node = m->free_node[--m->freed];
	else
		return -1;
	m->node[node] = (struct model_node){
		.alive = true, .kind = (uint8_t)kind, .mode = (uint16_t)mode, .parent = -1};
	model_touch(m, node, true);
	m->node[node].born_ns = m->births ? tick(m) : 0;
	m->node[node].generation = ++m->generations;
	return node;
}

static void drop(struct model *m, int node)
{
	struct model_node *n = &m->node[node];

	free(n->entry);
	*n = (struct model_node){0};
	m->free_node[m->freed++] = node;
}

struct settle_node model_stat(const struct model *m, int node)
{
	const struct model_node *n = &m->node[node];

	if (n->mounted) /* another filesystem's root: its inode may be anything, ours too */
		return (struct settle_node){.inode = MODEL_TREE,
					    .born_ns = m->node[1].born_ns,
					    .kind = CHANGE_DIRECTORY,
					    .foreign = true,
					    .mode = 0755};
	return (struct settle_node){
		.inode = (uint64_t)model_number(node),
		.born_ns = n->born_ns,
		.kind = n->kind,
		.mode = n->mode,
		.links = n->kind == CHANGE_DIRECTORY ? 2 + n->entries : n->links,
		.size = n->size,
		.mtime_ns = n->mtime_ns,
		.ctime_ns = n->ctime_ns,
	};
}

/* Names. */

struct model_entry *model_find(struct model *m, int directory, struct bytes name)
{
	struct model_node *d = &m->node[directory];

	for (unsigned i = 0; i < d->entries; i++) {
		if (bytes_equal(bytes_of(d->entry[i].name, d->entry[i].len), name))
			return &d->entry[i];
	}
	return NULL;
}

struct bytes model_entry_name(const struct model_entry *e)
{
	return bytes_of(e->name, e->len);
}

void model_attach(struct model *m, int directory, struct bytes name, int node)
{
	struct model_node *d = &m->node[directory];
	struct model_entry *e;

	if (d->entries == d->room) {
		d->room = d->room ? 2 * d->room : 8;
		d->entry = realloc(d->entry, d->room * sizeof(*d->entry));
		assert(d->entry != NULL);
	}
	e = &d->entry[d->entries++];
	*e = (struct model_entry){.cookie = (uint32_t)model_below(m, UINT32_MAX),
				  .node = node,
				  .len = (uint8_t)name.len};
	memcpy(e->name, name.data, name.len);
	m->node[node].links++;
	if (m->node[node].kind == CHANGE_DIRECTORY)
		m->node[node].parent = directory;
	model_touch(m, directory, true);
	model_touch(m, node, false);
}

void model_detach(struct model *m, int directory, struct bytes name)
{
	struct model_entry *e = model_find(m, directory, name);
	int node = e->node;

	*e = m->node[directory].entry[--m->node[directory].entries];
	model_touch(m, directory, true);
	model_touch(m, node, false);
	if (!m->busy_rename)
		m->node[node].blurred |= m->node[node].linked_write;
	if (--m->node[node].links == 0 && !m->busy_rename)
		drop(m, node);
}

/* What the kernel tells. */

static struct model_name named(int directory, struct bytes name, unsigned flags)
{
	struct model_name n = {.directory = (uint64_t)model_number(directory),
			       .flags = flags,
			       .len = (uint8_t)name.len};

	memcpy(n.name, name.data, name.len);
	return n;
}

static bool is_told(const struct model *m, int directory)
{
	return !m->down && m->node[directory].watched;
}

static struct model_event *event_at(struct model *m, unsigned i)
{
	return &m->event[(m->head + i) % MODEL_EVENTS];
}

static void post(struct model *m, const struct model_event *event)
{
	if (m->events + 1 < m->limit) {
		*event_at(m, m->events) = *event;
		event_at(m, m->events++)->at_us = m->now.wall_us;
		return;
	}
	if (m->events == 0 || event_at(m, m->events - 1)->type != MODEL_OVERFLOW) {
		event_at(m, m->events++)->type = MODEL_OVERFLOW;
		m->overflows++;
	}
}

static bool is_name(const struct model_name *a, const struct model_name *b)
{
	return a->directory == b->directory && a->len == b->len &&
	       memcmp(a->name, b->name, a->len) == 0;
}

static bool merge(struct model *m, const struct model_event *event)
{
	unsigned back = m->way == MODEL_FANOTIFY ? 128 : 1;

	for (unsigned i = m->events; i > 0 && m->events - i < back; i--) {
		struct model_event *e = event_at(m, i - 1);

		if (e->type != MODEL_HINT || !is_name(&e->a, &event->a))
			continue;
		if (m->way == MODEL_INOTIFY && e->a.flags != event->a.flags)
			return false;
		e->a.flags = ((e->a.flags | event->a.flags) & ~(unsigned)SETTLE_DELETED) |
			     (e->a.flags & event->a.flags & SETTLE_DELETED);
		if (!(event->a.flags & SETTLE_OPEN))
			e->a.flags &= ~(unsigned)SETTLE_OPEN;
		return true;
	}
	return false;
}

void model_notify(struct model *m, int directory, struct bytes name, unsigned flags)
{
	struct model_event event = {.type = MODEL_HINT, .a = named(directory, name, flags)};

	if (!is_told(m, directory) || (model_chance(m, m->merges) && merge(m, &event)))
		return;
	post(m, &event);
}

void model_notify_rename(struct model *m, int from, struct bytes old, int to, struct bytes new)
{
	struct model_event event = {
		.type = MODEL_RENAME, .a = named(from, old, 0), .b = named(to, new, 0)};

	if (is_told(m, from) && is_told(m, to) &&
	    (m->way == MODEL_FANOTIFY || !model_chance(m, m->halves))) {
		post(m, &event);
		return;
	}
	event.type = MODEL_HINT;
	if (is_told(m, from))
		post(m, &event);
	event.a = event.b;
	if (is_told(m, to))
		post(m, &event);
}

static struct settle_hint hint_of(const struct model_name *n)
{
	return (struct settle_hint){
		.directory = n->directory,
		.name = bytes_of(n->name, n->len),
		.flags = n->flags,
		.pid = 7,
	};
}

static void note_late(struct model *m)
{
	m->late |= m->events > 0 && m->now.wall_us - event_at(m, 0)->at_us > 1000000;
}

bool model_tell(struct model *m, unsigned budget)
{
	bool any = m->events > 0;

	while (budget-- > 0 && m->events > 0) {
		struct model_event *e = event_at(m, 0);
		struct settle_hint a = hint_of(&e->a), b = hint_of(&e->b);

		note_late(m);
		if (m->story)
			fprintf(stderr, "tell %d: %d/%.*s %u, %d/%.*s\n", e->type, (int)a.directory,
				(int)a.name.len, a.name.data, a.flags, (int)b.directory,
				(int)b.name.len, b.name.data);
		if (e->type == MODEL_OVERFLOW)
			settle_doubt(m->settle, "kernel", false);
		else if (e->type == MODEL_RENAME)
			settle_renamed(m->settle, &a, &b, &m->now);
		else
			settle_hint(m->settle, &a, &m->now);
		m->head = (m->head + 1) % MODEL_EVENTS;
		m->events--;
	}
	return any;
}

void model_lose(struct model *m)
{
	note_late(m);
	m->events = 0;
	for (unsigned i = 0; i < m->fresh; i++)
		m->node[i].watched = m->node[i].unwatched = false;
}

/* The eyes. */

static void disturb(struct model *m)
{
	if (m->busy || !model_chance(m, m->disturbance))
		return;
	m->busy = true;
	for (uint64_t i = 1 + model_below(m, 4); i > 0; i--)
		model_act(m);
	model_pass_time(m, model_below(m, 3000000));
	m->busy = false;
}

/* By path, as the index has it: the node, or an error. */
static int resolve(struct model *m, uint64_t directory)
{
	char buffer[CHANGE_PATH_BYTES];
	struct text path = TEXT_OVER(buffer);
	struct bytes rest;
	int node = 1, err = settle_path(m->settle, directory, (struct bytes){0}, &path);

	if (err < 0)
		return err;
	for (rest = text_bytes(&path); rest.len > 0;) {
		struct bytes name = bytes_first(rest, bytes_find_byte(rest, '/'));
		struct model_entry *e = model_find(m, node, name);

		if (!m->root && !(m->node[node].mode & 0111))
			return ERR_PERMISSION;
		if (e == NULL || m->node[e->node].kind != CHANGE_DIRECTORY ||
		    m->node[e->node].mounted)
			return ERR_NO_FILE;
		node = e->node;
		rest = bytes_after(rest, name.len < rest.len ? name.len + 1 : name.len);
	}
	return model_number(node) == (int)directory ? node : ERR_NO_FILE;
}

/* By handle, or still open. */
static int opened(const struct model *m, uint64_t directory)
{
	int node = (int)directory - MODEL_FIRST;

	assert(node >= 0 && node < MODEL_NODES);
	return m->node[node].alive && m->node[node].kind == CHANGE_DIRECTORY ? node : ERR_NO_FILE;
}

/* Which way a directory is found stays the same: those that nothing is remembered of (their names
 * are too long, say) are not found elsewhere while the index has something above at an old place,
 * though what is above them is. */
static int directory_of(struct model *m, uint64_t directory)
{
	bool by_path = directory * 0x9e3779b97f4a7c15u % 100 < m->paths;
	int d = by_path ? resolve(m, directory) : opened(m, directory);

	return d >= 0 && !m->root && !(m->node[d].mode & 0111) ? ERR_PERMISSION : d;
}

static int look(void *owner, uint64_t directory, struct bytes name, struct settle_node *node)
{
	struct model *m = owner;
	struct model_entry *e;
	int d;

	disturb(m);
	d = directory == 0 ? 0 : directory_of(m, directory);
	if (d < 0)
		return d;
	e = model_find(m, d, directory == 0 ? BYTES_LITERAL("tree") : name);
	if (e == NULL)
		return 0;
	*node = model_stat(m, e->node);
	return 1;
}

/* The next entry in order of cookies; false: none. */
static bool entry_after(struct model *m, int d, int64_t cookie, struct model_entry *found)
{
	int64_t best = INT64_MAX;

	for (unsigned i = 0; i < m->node[d].entries; i++) {
		struct model_entry *e = &m->node[d].entry[i];

		if (e->cookie > cookie && e->cookie < best) {
			best = e->cookie;
			*found = *e;
		}
	}
	return best != INT64_MAX;
}

static int list(void *owner, uint64_t directory,
		int (*entry)(void *context, struct bytes name, const struct settle_node *node),
		void *context)
{
	struct model *m = owner;
	struct model_entry next, *e;
	int64_t cookie = -1;
	uint64_t generation;
	int d, r = 0;

	disturb(m);
	d = directory_of(m, directory);
	if (m->story)
		fprintf(stderr, "list %d: %d\n", (int)directory, d);
	if (d >= 0 && !m->root && !(m->node[d].mode & 0444))
		return ERR_PERMISSION;
	/* An open directory stays open, wherever it goes; when it is removed it is empty. */
	generation = d >= 0 ? m->node[d].generation : 0;
	while (d >= 0 && r == 0 && m->node[d].generation == generation &&
	       entry_after(m, d, cookie, &next)) {
		struct settle_node node;

		cookie = next.cookie;
		disturb(m);
		if (m->node[d].generation != generation)
			break;
		e = model_find(m, d, model_entry_name(&next));
		if (e == NULL)
			continue;
		node = model_stat(m, e->node);
		r = entry(context, model_entry_name(&next), &node);
	}
	return d < 0 ? d : r;
}

static int enter(void *owner, uint64_t directory)
{
	struct model *m = owner;
	int d;

	disturb(m);
	d = directory_of(m, directory);
	if (d < 0)
		return d;
	m->node[d].unwatched = m->way == MODEL_INOTIFY && model_chance(m, m->refusals);
	m->node[d].watched = !m->node[d].unwatched;
	disturb(m);
	return m->node[d].unwatched ? ERR_FULL : 0;
}

/* What is told of the directory is not taken for ours any more (fanotify), or its watch goes. */
static void leave(void *owner, uint64_t directory)
{
	struct model *m = owner;
	struct model_node *n = &m->node[directory - MODEL_FIRST];

	n->watched = n->unwatched = false;
}

const struct settle_eyes model_eyes = {.look = look, .list = list, .enter = enter, .leave = leave};

void model_init(struct model *m, uint64_t seed)
{
	static const char *const names[] = {"tree", "out"};

	memset(m, 0, sizeof(*m));
	m->random = seed;
	m->births = true;
	m->limit = MODEL_EVENTS;
	m->now = (struct moment){.boot_ns = 5 * MOMENT_S, .wall_us = 1700000000000000};
	model_new(m, CHANGE_DIRECTORY, 0755);
	for (int i = 0; i < 2; i++) {
		int node = model_new(m, CHANGE_DIRECTORY, 0755);

		model_attach(m, 0, bytes_of_string(names[i]), node);
	}
}

void model_free(struct model *m)
{
	for (unsigned i = 0; i < m->fresh; i++)
		free(m->node[i].entry);
}
