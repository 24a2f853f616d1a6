/* One tree of `prise watch`: its source, its settler, and what becomes of its changes. */
#include "command/watch_parts.h"

#include "net/tls_digest.h"

#include <unistd.h>

enum {
	WATCH_EVENTS_A_TURN = 4096,
	WATCH_HINTS_A_TURN = 1024,
	WATCH_HINTS_SPARE = 4 * WATCH_EVENTS_A_TURN,
	WATCH_NAMES_AHEAD_A_TURN = 1024,
};

/* From settler to spool. */

/* Nothing else is looked at meanwhile: a file of more than WATCH_HASH_BYTES has no digest. */
static void tree_hash(struct watch_tree *tree, struct change *c, uint64_t directory,
		      struct bytes name)
{
	struct key_digest digest;
	int fd;

	if (c->kind != CHANGE_FILE || c->size > WATCH_HASH_BYTES ||
	    (c->type != CHANGE_CREATE && c->type != CHANGE_MODIFY))
		return;
	fd = source_open_file(tree->source, directory, name);
	if (fd < 0)
		return;
	if (tls_digest_file(fd, WATCH_HASH_BYTES, &tree->engine->stopped, &digest) == 0) {
		memcpy(c->sha256, digest.byte, sizeof c->sha256);
		c->hashed = true;
	}
	close(fd);
}

/* A long list must not make one transaction. */
static int tree_spool(struct watch_engine *engine, const struct change *c)
{
	uint64_t seq = engine->changes + 1;
	int err = 0;

	if (index_uncommitted(engine->index) >= WATCH_COMMIT_BYTES)
		err = watch_engine_commit(engine, loop_now(engine->loop)->boot_ns);
	if (err == 0 && !engine->plan.passing)
		err = index_append(engine->index,
				   bytes_of(engine->record, change_put(engine->record, c)), &seq);
	if (err != 0)
		return err;
	engine->changes++;
	if (engine->plan.changed != NULL)
		engine->plan.changed(engine->plan.owner, c, seq);
	return 0;
}

static int tree_emit(void *owner, struct change *c, uint64_t directory, struct bytes name)
{
	struct watch_tree *tree = owner;
	struct watch_engine *engine = tree->engine;
	bool first = !tree->settled;
	int err;

	tree->settled = tree->settled || c->type == CHANGE_SETTLED;
	if (first && engine->plan.passing) {
		tree->announced = tree->settled;
		if (tree->settled)
			watch_engine_watching(engine, tree);
		return 0;
	}
	if (c->pid != 0)
		source_who(c->pid, &c->program, &c->user);
	if (engine->plan.hash)
		tree_hash(tree, c, directory, name);
	err = tree_spool(engine, c);
	if (err == 0 && c->type == CHANGE_GAP && c->reset)
		tree->reset_told = true;
	return err;
}

void watch_tree_doubt(struct watch_tree *tree, const char *why, bool reset)
{
	tree->resets = tree->resets || reset;
	tree->reset_told = false;
	tree->loss_told = false;
	if (tree->source != NULL)
		settle_doubt(tree->settle, why, tree->resets);
}

void watch_tree_committed(struct watch_tree *tree)
{
	if (tree->settled && !tree->announced && tree->source != NULL) {
		tree->announced = true;
		watch_engine_watching(tree->engine, tree);
	}
	if (tree->reset_told)
		tree->resets = tree->reset_told = false;
	if (tree->loss_told)
		tree->lost = tree->loss_told = false;
}

/* What we write ourselves would never come to rest. */
static bool tree_is_ours(const struct watch_tree *tree, struct bytes path)
{
	const char *state = tree->engine->plan.state;
	struct bytes ours;

	if (state == NULL)
		return false;
	ours = bytes_of(state, (size_t)(strrchr(state, '/') - state));
	return ours.len == tree->root.len + 1 + path.len &&
	       bytes_equal(bytes_first(ours, tree->root.len), tree->root) &&
	       bytes_equal(bytes_after(ours, tree->root.len + 1), path);
}

/* As a .gitignore would leave it out: by its own name, or with a directory above it. */
static bool is_included(const struct watch_engine_plan *plan, struct bytes path)
{
	for (size_t len = 0; len <= path.len; len++)
		if ((len == path.len || path.data[len] == '/') &&
		    ignore_path(plan->include, plan->includes, bytes_first(path, len),
				len < path.len))
			return true;
	return false;
}

static bool tree_ignored(void *owner, struct bytes path, bool is_directory)
{
	const struct watch_tree *tree = owner;
	const struct watch_engine_plan *plan = &tree->engine->plan;

	if (is_directory && tree_is_ours(tree, path))
		return true;
	if (plan->includes > 0 && !is_directory) {
		if (is_included(plan, path))
			return false;
		if (plan->excludes == 0)
			return true;
	}
	return ignore_path(plan->exclude, plan->excludes, path, is_directory);
}

/* One tree. */

static void tree_ready(void *owner, unsigned events)
{
	((struct watch_tree *)owner)->readable = true;
}

static int tree_watch(struct watch_tree *tree)
{
	struct watch_engine *engine = tree->engine;
	int fd = source_descriptor(tree->source);

	tree->registration = fd < 0 ? 0 : loop_add(engine->loop, fd, LOOP_READ, tree_ready, tree);
	return tree->registration < 0 ? (int)tree->registration : 0;
}

void watch_tree_close(struct watch_tree *tree)
{
	if (tree->registration > 0)
		loop_remove(tree->engine->loop, tree->registration);
	tree->registration = 0;
	if (tree->source != NULL)
		source_close(tree->source);
	tree->source = NULL;
}

/* Opens the source anew, with a settler that knows nothing but the index. */
int watch_tree_open(struct watch_tree *tree, const char *why, bool reset)
{
	struct watch_engine *engine = tree->engine;
	struct source_plan plan = {.path = tree->root.len > 0 ? (const char *)tree->root.data : "/",
				   .way = engine->plan.way,
				   .poll_ms = engine->plan.poll_ms,
				   .ignored = tree_ignored,
				   .owner = tree};
	struct settle_holder holder = {.index = &index_of_tree,
				       .index_owner = &tree->index,
				       .eyes = &source_eyes,
				       .emit = tree_emit,
				       .owner = tree,
				       .root = tree->root,
				       .settle_ns = engine->plan.settle_ms * MOMENT_MS};
	int err = source_open(&tree->source, &plan);

	if (err != 0) {
		tree->source = NULL;
		return err;
	}
	holder.eyes_owner = tree->source;
	tree->settle = settle_init(tree->memory, WATCH_HINTS, &holder);
	source_join(tree->source, tree->settle);
	tree->ahead = true;
	watch_tree_doubt(tree, why, reset);
	err = tree_watch(tree);
	if (err != 0)
		watch_tree_close(tree);
	return err;
}

/* The root is gone, and with it, as far as anybody can see, all that was in it. */
static void tree_lose(struct watch_tree *tree, const struct moment *now)
{
	watch_tree_close(tree);
	tree->lost = true;
	tree->loss_told = false;
	tree->settled = true;
	tree->retry_ns = now->boot_ns + WATCH_RETRY_MS * MOMENT_MS;
}

static int tree_tell_loss(struct watch_tree *tree, const struct moment *now)
{
	struct change gone = {.type = CHANGE_GAP,
			      .reset = true,
			      .time_us = now->wall_us,
			      .path = tree->root.len > 0 ? tree->root : BYTES_LITERAL("/"),
			      .why = BYTES_LITERAL("gone")};
	int err = tree_spool(tree->engine, &gone);

	if (err == 0)
		err = index_clear(tree->index.index, tree->index.tree);
	if (err == 0 && tree->source != NULL)
		watch_tree_doubt(tree, "returned", true);
	tree->loss_told = err == 0;
	return err;
}

static void tree_find_again(struct watch_tree *tree, const struct moment *now)
{
	if (now->boot_ns < tree->retry_ns)
		return;
	tree->retry_ns = now->boot_ns + WATCH_RETRY_MS * MOMENT_MS;
	watch_tree_open(tree, "returned", true);
}

/* Whether the settler has hints enough to work off, so that one more queue, the kernel's, may fill
 * up too. Not when all that it has waits for a time: then nothing would get it going. */
static bool tree_has_enough(const struct watch_tree *tree)
{
	return settle_counts(tree->settle).queued > WATCH_HINTS - WATCH_HINTS_SPARE &&
	       settle_due(tree->settle) == 0;
}

/* What the kernel has to tell: 1 when there is more. */
int watch_tree_read(struct watch_tree *tree, bool patient, const struct moment *now)
{
	int more = 0, err;

	if (source_due(tree->source) <= now->boot_ns)
		more = source_tick(tree->source, now);
	if (more >= 0 && tree->readable && !(patient && tree_has_enough(tree))) {
		err = source_read(tree->source, WATCH_EVENTS_A_TURN, now);
		tree->readable = err > 0;
		more = err != 0 ? err : more;
	}
	if (more != ERR_NO_FILE)
		return more;
	tree_lose(tree, now);
	return 0;
}

/* All directories get their watches before the first is looked at: 1 while there are more. What
 * changes from then on is told, and what stands there too, unless the first look passes over it. */
static int tree_watch_ahead(struct watch_tree *tree)
{
	int more = source_watch_ahead(tree->source, WATCH_NAMES_AHEAD_A_TURN);

	tree->ahead = more > 0;
	if (more == 0 && !tree->announced && !tree->engine->plan.passing) {
		tree->announced = true;
		watch_engine_watching(tree->engine, tree);
	}
	return more > 0;
}

/* 1: there is more to do now; 0: nothing; below 0: the transaction is to be undone. */
int watch_tree_turn(struct watch_tree *tree, const struct moment *now)
{
	struct watch_engine *engine = tree->engine;
	int more = 0, step;

	if (tree->lost && !tree->loss_told)
		more = tree_tell_loss(tree, now);
	if (more == 0 && tree->source == NULL)
		tree_find_again(tree, now);
	if (more < 0 || tree->source == NULL)
		return more;
	more = watch_tree_read(tree, !engine->full, now);
	if (more >= 0 && tree->source != NULL && tree->ahead)
		return tree_watch_ahead(tree) ? 1 : more;
	if (more < 0 || tree->source == NULL || engine->full)
		return more;
	step = settle_step(tree->settle, WATCH_HINTS_A_TURN, now);
	return step != 0 ? step : more;
}

uint64_t watch_tree_due(const struct watch_tree *tree)
{
	uint64_t due_ns, settle_ns;

	if (tree->source == NULL)
		return tree->retry_ns;
	due_ns = source_due(tree->source);
	if (tree->engine->full)
		return due_ns;
	settle_ns = settle_due(tree->settle);
	return settle_ns < due_ns ? settle_ns : due_ns;
}
