/* The index and the replayer of model_index.h. */
#include "model_index.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void wrong(struct model_index *x, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void wrong(struct model_index *x, const char *format, ...)
{
	va_list arguments;

	if (x->why[0] != '\0') /* the first tells most */
		return;
	va_start(arguments, format);
	vsnprintf(x->why, sizeof(x->why), format, arguments);
	va_end(arguments);
}

/* The index. */

static int order(const struct settle_place *row, uint64_t directory, struct bytes name)
{
	size_t common = row->len < name.len ? row->len : name.len;
	int c;

	if (row->directory != directory)
		return row->directory < directory ? -1 : 1;
	c = common > 0 ? memcmp(row->name, name.data, common) : 0;
	return c != 0 ? c : (int)row->len - (int)name.len;
}

/* The first row that is not before. */
static unsigned row_at(const struct model_index *x, uint64_t directory, struct bytes name)
{
	unsigned low = 0, high = x->rows;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (order(&x->row[middle]->at, directory, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct model_row *row_of(const struct model_index *x, uint64_t directory, struct bytes name)
{
	unsigned i = row_at(x, directory, name);

	return i < x->rows && order(&x->row[i]->at, directory, name) == 0 ? x->row[i] : NULL;
}

static bool fails(struct model_index *x)
{
	return x->fail_after > 0 && --x->fail_after == 0;
}

static int find(void *owner, uint64_t directory, struct bytes name, struct settle_node *node)
{
	struct model_index *x = owner;
	struct model_row *row = row_of(x, directory, name);

	if (fails(x))
		return ERR_DISK;
	if (row != NULL)
		*node = row->node;
	return row != NULL;
}

static int find_inode(void *owner, uint64_t inode, unsigned nth, struct settle_place *place,
		      struct settle_node *node)
{
	struct model_index *x = owner;

	if (fails(x))
		return ERR_DISK;
	for (unsigned i = 0; i < x->rows; i++) {
		if (x->inode[i] != inode || nth-- > 0)
			continue;
		*place = x->row[i]->at;
		*node = x->row[i]->node;
		return 1;
	}
	return 0;
}

static int next(void *owner, uint64_t directory, struct bytes after, struct settle_place *place,
		struct settle_node *node)
{
	struct model_index *x = owner;
	unsigned i = row_at(x, directory, after);

	if (fails(x))
		return ERR_DISK;
	i += i < x->rows && after.len > 0 && order(&x->row[i]->at, directory, after) == 0;
	if (i == x->rows || x->row[i]->at.directory != directory)
		return 0;
	*place = x->row[i]->at;
	*node = x->row[i]->node;
	return 1;
}

static int64_t count(void *owner, uint64_t directory)
{
	struct model_index *x = owner;
	unsigned i = row_at(x, directory, (struct bytes){0}), n = 0;

	while (i + n < x->rows && x->row[i + n]->at.directory == directory)
		n++;
	return fails(x) ? ERR_DISK : (int64_t)n;
}

static void row_set(struct model_index *x, uint64_t directory, struct bytes name,
		    const struct settle_node *node)
{
	unsigned i = row_at(x, directory, name);
	bool had = i < x->rows && order(&x->row[i]->at, directory, name) == 0;
	struct model_row *row = had ? x->row[i] : calloc(1, sizeof(*row));

	assert(row != NULL && x->rows < MODEL_ROWS);
	if (!had) {
		memmove(&x->row[i + 1], &x->row[i], (x->rows - i) * sizeof(x->row[0]));
		memmove(&x->inode[i + 1], &x->inode[i], (x->rows++ - i) * sizeof(x->inode[0]));
		x->row[i] = row;
		row->at.directory = directory;
		row->at.len = (uint8_t)name.len;
		if (name.len > 0)
			memcpy(row->at.name, name.data, name.len);
	}
	row->node = *node;
	x->inode[i] = node->inode;
}

static void row_unset(struct model_index *x, uint64_t directory, struct bytes name)
{
	unsigned i = row_at(x, directory, name);

	if (i == x->rows || order(&x->row[i]->at, directory, name) != 0)
		return;
	free(x->row[i]);
	memmove(&x->row[i], &x->row[i + 1], (--x->rows - i) * sizeof(x->row[0]));
	memmove(&x->inode[i], &x->inode[i + 1], (x->rows - i) * sizeof(x->inode[0]));
}

static void remember(struct model_index *x, uint64_t directory, struct bytes name)
{
	struct model_row *row = row_of(x, directory, name);
	struct model_undo *u;

	if (x->undos == x->undo_room) {
		x->undo_room = x->undo_room ? 2 * x->undo_room : 64;
		x->undo = realloc(x->undo, x->undo_room * sizeof(*x->undo));
		assert(x->undo != NULL);
	}
	u = &x->undo[x->undos++];
	*u = (struct model_undo){.had = row != NULL};
	u->row.at.directory = directory;
	u->row.at.len = (uint8_t)name.len;
	if (name.len > 0)
		memcpy(u->row.at.name, name.data, name.len);
	if (row != NULL)
		u->row = *row;
}

static int put(void *owner, uint64_t directory, struct bytes name, const struct settle_node *node)
{
	struct model_index *x = owner;

	if (fails(x))
		return ERR_DISK;
	remember(x, directory, name);
	row_set(x, directory, name, node);
	return 0;
}

static int remove_row(void *owner, uint64_t directory, struct bytes name)
{
	struct model_index *x = owner;

	if (fails(x))
		return ERR_DISK;
	remember(x, directory, name);
	row_unset(x, directory, name);
	return 0;
}

const struct settle_index model_index_calls = {
	.find = find,
	.find_inode = find_inode,
	.next = next,
	.count = count,
	.put = put,
	.remove = remove_row,
};

/* What is told. */

static uint8_t *copy(struct bytes b)
{
	uint8_t *data = malloc(b.len + 1);

	assert(data != NULL);
	if (b.len > 0)
		memcpy(data, b.data, b.len);
	data[b.len] = '\0';
	return data;
}

int model_emit(void *owner, struct change *change, uint64_t directory, struct bytes name)
{
	struct model_index *x = owner;
	struct model_change *c;
	int64_t node = (int64_t)change->inode - MODEL_FIRST;

	(void)directory, (void)name;
	if (x->emit_fails > 0) {
		x->emit_fails--;
		return ERR_FULL;
	}
	if (x->changes == x->change_room) {
		x->change_room = x->change_room ? 2 * x->change_room : 64;
		x->change = realloc(x->change, x->change_room * sizeof(*x->change));
		assert(x->change != NULL);
	}
	c = &x->change[x->changes++];
	c->change = *change;
	c->change.path.data = copy(change->path);
	c->change.from.data = copy(change->from);
	c->version = node >= 0 && node < MODEL_NODES ? x->m->node[node].version : 0;
	return 0;
}

/* Replaying. */

static struct model_told *told(struct model_index *x, struct bytes path)
{
	for (unsigned i = 0; i < x->tolds; i++) {
		if (x->told[i].len == path.len && memcmp(x->told[i].path, path.data, path.len) == 0)
			return &x->told[i];
	}
	return NULL;
}

static bool is_below(const struct model_told *t, struct bytes path)
{
	return t->len > path.len && t->path[path.len] == '/' &&
	       memcmp(t->path, path.data, path.len) == 0;
}

static bool has_below(const struct model_index *x, struct bytes path)
{
	for (unsigned i = 0; i < x->tolds; i++) {
		if (is_below(&x->told[i], path))
			return true;
	}
	return false;
}

static void forget(struct model_index *x, struct model_told *t)
{
	free(t->path);
	*t = x->told[--x->tolds];
}

static bool has_parent(struct model_index *x, struct bytes path)
{
	size_t len = path.len;
	struct model_told *t;

	if (bytes_equal(path, BYTES_LITERAL(MODEL_ROOT)))
		return true;
	while (len > 0 && path.data[len - 1] != '/')
		len--;
	t = len > 0 ? told(x, bytes_first(path, len - 1)) : NULL;
	return t != NULL && t->kind == CHANGE_DIRECTORY;
}

static const char *add(struct model_index *x, const struct change *c, uint64_t version)
{
	if (told(x, c->path) != NULL)
		return "it is there";
	if (!has_parent(x, c->path))
		return "no directory for it";
	if (x->tolds == x->told_room) {
		x->told_room = x->told_room ? 2 * x->told_room : 64;
		x->told = realloc(x->told, x->told_room * sizeof(*x->told));
		assert(x->told != NULL);
	}
	x->told[x->tolds++] = (struct model_told){
		.path = (char *)copy(c->path),
		.len = c->path.len,
		.kind = c->kind,
		.mode = (uint16_t)c->mode,
		.size = c->size,
		.version = version,
	};
	return NULL;
}

static const char *update(struct model_index *x, const struct change *c, uint64_t version)
{
	struct model_told *t = told(x, c->path);

	if (t == NULL || t->kind != c->kind)
		return t == NULL ? "nothing is there" : "another kind is there";
	t->mode = (uint16_t)c->mode;
	t->size = c->size;
	if (c->type == CHANGE_MODIFY)
		t->version = version;
	return NULL;
}

static const char *take_away(struct model_index *x, const struct change *c)
{
	struct model_told *t = told(x, c->path);

	if (t == NULL || has_below(x, c->path))
		return t == NULL ? "nothing is there" : "it has content";
	forget(x, t);
	return NULL;
}

static void carry(struct model_told *t, const struct change *c)
{
	size_t rest = t->len - c->from.len;
	char *path = malloc(c->path.len + rest + 1);

	assert(path != NULL);
	memcpy(path, c->path.data, c->path.len);
	memcpy(path + c->path.len, t->path + c->from.len, rest + 1);
	free(t->path);
	t->path = path;
	t->len = c->path.len + rest;
}

static const char *move(struct model_index *x, const struct change *c)
{
	struct model_told *t = told(x, c->from), *other = told(x, c->path);

	if (t == NULL || t->kind != c->kind)
		return t == NULL ? "nothing to move" : "another kind to move";
	if (bytes_equal(c->from, c->path) ||
	    is_below(&(struct model_told){.path = (char *)(uintptr_t)c->path.data,
					  .len = c->path.len},
		     c->from))
		return "into itself";
	if (other != NULL && (other->kind == CHANGE_DIRECTORY) != (c->kind == CHANGE_DIRECTORY))
		return "onto another kind";
	if (other != NULL && has_below(x, c->path))
		return "onto something with content";
	if (!has_parent(x, c->path))
		return "no directory for it";
	if (other != NULL)
		forget(x, other);
	t = told(x, c->from);
	t->mode = (uint16_t)c->mode;
	t->size = c->size;
	for (unsigned i = 0; i < x->tolds; i++) {
		if (is_below(&x->told[i], c->from))
			carry(&x->told[i], c);
	}
	carry(t, c);
	return NULL;
}

/* Whether the gap is of a doubt, and not of one directory that cannot be read. */
static bool is_doubt(const struct change *c)
{
	static const int closed[] = {ERR_PERMISSION, ERR_FULL, ERR_NO_FILE, ERR_TOO_LONG};

	for (unsigned i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
		if (bytes_equal(c->why, bytes_of_string(err_name(closed[i]))))
			return false;
	}
	return bytes_equal(c->path, BYTES_LITERAL(MODEL_ROOT));
}

static const char *doubt(struct model_index *x, const struct change *c)
{
	if (c->type == CHANGE_SETTLED) {
		if (bytes_equal(c->path, BYTES_LITERAL(MODEL_ROOT)))
			x->in_doubt = false;
		return NULL;
	}
	if (is_doubt(c)) {
		x->doubts_told++;
		x->in_doubt = true;
	}
	x->reset_told |= c->reset;
	for (unsigned i = x->tolds; c->reset && i > 0; i--) {
		struct model_told *t = &x->told[i - 1];

		if (is_below(t, c->path) || bytes_equal(bytes_of(t->path, t->len), c->path))
			forget(x, t);
	}
	return NULL;
}

static const char *replay(struct model_index *x, const struct model_change *c)
{
	switch (c->change.type) {
	case CHANGE_CREATE:
		return add(x, &c->change, c->version);
	case CHANGE_MODIFY:
	case CHANGE_ATTRIB:
		return update(x, &c->change, c->version);
	case CHANGE_DELETE:
		return take_away(x, &c->change);
	case CHANGE_MOVE:
		return move(x, &c->change);
	case CHANGE_GAP:
	case CHANGE_SETTLED:
		return doubt(x, &c->change);
	}
	return "no such change";
}

static void changes_drop(struct model_index *x)
{
	for (unsigned i = 0; i < x->changes; i++) {
		free((void *)(uintptr_t)x->change[i].change.path.data);
		free((void *)(uintptr_t)x->change[i].change.from.data);
	}
	x->changes = 0;
}

static const char *type_name(unsigned type)
{
	static const char *const names[] = {"?",    "create", "modify", "delete",
					    "move", "attrib", "gap",    "settled"};

	return names[type < CHANGE_TYPES ? type : 0];
}

void model_commit(struct model_index *x)
{
	for (unsigned i = 0; i < x->changes; i++) {
		const struct change *c = &x->change[i].change;
		const char *why = replay(x, &x->change[i]);

		x->of_type[c->type]++;
		if (x->m->story)
			fprintf(stderr, "%s %s %d %s %s\n", type_name(c->type), c->path.data,
				(int)c->inode, c->from.data, c->reset ? "reset" : "");
		if (why != NULL)
			wrong(x, "change %u of %s (from %s): %s", c->type, c->path.data,
			      c->from.data, why);
	}
	changes_drop(x);
	x->undos = 0;
}

void model_rollback(struct model_index *x)
{
	while (x->undos > 0) {
		struct model_undo *u = &x->undo[--x->undos];
		struct bytes name = bytes_of(u->row.at.name, u->row.at.len);

		if (u->had)
			row_set(x, u->row.at.directory, name, &u->row.node);
		else
			row_unset(x, u->row.at.directory, name);
	}
	for (unsigned i = 0; i < x->changes; i++)
		x->doubts_dropped += x->change[i].change.type == CHANGE_GAP;
	changes_drop(x);
}

/* Checks. */

static void check_entry(struct model_index *x, int node, struct bytes path, bool versions)
{
	struct model_told *t = told(x, path);
	struct settle_node n = model_stat(x->m, node);
	bool blurred = x->m->node[node].blurred;

	if (t == NULL)
		wrong(x, "%.*s was not told", (int)path.len, path.data);
	else if (t->kind != n.kind)
		wrong(x, "%s: kind %u, told %u", t->path, n.kind, t->kind);
	else if (t->mode != n.mode && !blurred)
		wrong(x, "%s: mode %o, told %o", t->path, n.mode, t->mode);
	else if (n.kind != CHANGE_DIRECTORY && t->size != n.size && !blurred)
		wrong(x, "%s: size %u, told %u", t->path, (unsigned)n.size, (unsigned)t->size);
	else if (versions && n.kind == CHANGE_FILE && n.size > 0 && !blurred &&
		 !x->m->node[node].dated && t->version != x->m->node[node].version)
		wrong(x, "%s: written %u times, told after %u", t->path,
		      (unsigned)x->m->node[node].version, (unsigned)t->version);
}

static unsigned check_below(struct model_index *x, int node, char *path, size_t len, bool versions)
{
	const struct model_node *d = &x->m->node[node];
	unsigned names = 1;

	check_entry(x, node, bytes_of(path, len), versions);
	for (unsigned i = 0; !d->mounted && i < d->entries; i++) {
		const struct model_entry *e = &d->entry[i];

		path[len] = '/';
		memcpy(path + len + 1, e->name, e->len + 1u);
		names += check_below(x, e->node, path, len + 1 + e->len, versions);
	}
	path[len] = '\0';
	return names;
}

void model_check_tree(struct model_index *x, bool versions)
{
	char path[CHANGE_PATH_BYTES + 512] = MODEL_ROOT;
	unsigned names = check_below(x, 1, path, sizeof(MODEL_ROOT) - 1, versions);

	if (names != x->tolds)
		wrong(x, "%u names, told %u", names, x->tolds);
}

/* The path of a row, from the rows above; false: one is missing. */
static bool row_path(struct model_index *x, const struct model_row *row, char *path, size_t *len)
{
	struct settle_place above;
	struct settle_node node;

	if (row->at.directory == 0) {
		*len = sizeof(MODEL_ROOT) - 1;
		memcpy(path, MODEL_ROOT, *len);
		return true;
	}
	for (unsigned nth = 0; find_inode(x, row->at.directory, nth, &above, &node) == 1; nth++) {
		const struct model_row *up;

		if (node.kind != CHANGE_DIRECTORY || node.foreign)
			continue;
		up = row_of(x, above.directory, bytes_of(above.name, above.len));
		if (!row_path(x, up, path, len))
			return false;
		path[(*len)++] = '/';
		memcpy(path + *len, row->at.name, row->at.len);
		*len += row->at.len;
		return true;
	}
	return false;
}

void model_check_index(struct model_index *x, bool exactly)
{
	unsigned fail_after = x->fail_after;

	x->fail_after = 0;
	for (unsigned i = 0; i < x->rows; i++) {
		char path[CHANGE_PATH_BYTES + 512];
		size_t len;
		struct model_told *t;

		if (!row_path(x, x->row[i], path, &len)) {
			wrong(x, "%s of the index is nowhere", x->row[i]->at.name);
			continue;
		}
		path[len] = '\0';
		t = told(x, bytes_of(path, len));
		if (t == NULL || t->kind != x->row[i]->node.kind)
			wrong(x, "the index has %s, which was not told", path);
		else if (exactly &&
			 (t->mode != x->row[i]->node.mode ||
			  (t->kind != CHANGE_DIRECTORY && t->size != x->row[i]->node.size)))
			wrong(x, "the index has %s as it was not told", path);
	}
	if (x->rows != x->tolds)
		wrong(x, "the index has %u names, told were %u", x->rows, x->tolds);
	x->fail_after = fail_after;
}

void model_index_clear(struct model_index *x)
{
	changes_drop(x);
	x->undos = 0;
	while (x->rows > 0)
		free(x->row[--x->rows]);
}

void model_index_init(struct model_index *x, struct model *m)
{
	memset(x, 0, sizeof(*x));
	x->m = m;
}

void model_index_free(struct model_index *x)
{
	model_index_clear(x);
	while (x->tolds > 0)
		free(x->told[--x->tolds].path);
	free(x->told);
	free(x->undo);
	free(x->change);
}
