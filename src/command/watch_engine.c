/* The engine of `prise watch`: sources and settlers of all trees in one thread, one transaction for
 * all, committed every few milliseconds.
 *
 * Whatever goes wrong on the way to the disk undoes the transaction and puts every tree in doubt: a
 * rescan then finds again what was undone. A full spool only stops the settling: the kernel's
 * events still become hints, and hints that are too many become a rescan. */
#include "command/watch_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	WATCH_COMMIT_MS = 10,
	WATCH_BUSY_COMMIT_MS = 100, /* while there is more to do: less is written twice */
	WATCH_PASSING_COMMIT_MS = 1000,
	WATCH_VIEW_MS = 200,
};

enum watch_note_kind { WATCH_RESUMED, WATCH_WATCHING, WATCH_FAILED };

struct watch_note {
	struct loop_mail mail;
	struct watch_engine *engine;
	enum watch_note_kind kind;
	uint64_t number, sent, talk;
	enum source_way way;
	int err;
};

/* What it tells. */

static void engine_told(struct loop_mail *mail, struct loop *loop)
{
	struct watch_note *note = (struct watch_note *)mail;
	struct watch_engine *engine = note->engine;
	const struct watch_engine_plan *plan = &engine->plan;

	if (!atomic_load(&engine->stopped)) {
		if (note->kind == WATCH_RESUMED)
			plan->resumed(plan->owner, note->number, note->talk);
		else if (note->kind == WATCH_WATCHING)
			plan->watching(plan->owner, (unsigned)note->number, note->way);
		else
			plan->failed(plan->owner, note->err);
	}
	free(note);
	atomic_fetch_sub(&engine->notes, 1);
}

static void engine_post(struct watch_engine *engine, const struct watch_note *told)
{
	struct watch_note *note = calloc(1, sizeof *note);

	if (note == NULL && told->kind == WATCH_FAILED) {
		note = engine->last_note;
		engine->last_note = NULL;
	}
	if (note == NULL)
		return;
	*note = *told;
	note->mail.run = engine_told;
	note->engine = engine;
	atomic_fetch_add(&engine->notes, 1);
	if (!loop_post(engine->plan.loop, &note->mail)) {
		atomic_fetch_sub(&engine->notes, 1);
		free(note);
	}
}

void watch_engine_watching(struct watch_engine *engine, const struct watch_tree *tree)
{
	engine_post(engine, &(struct watch_note){.kind = WATCH_WATCHING,
						 .number = (uint64_t)(tree - engine->tree),
						 .way = source_way(tree->source)});
}

static void engine_told_committed(struct loop_mail *mail, struct loop *loop)
{
	struct watch_engine *engine = (struct watch_engine *)((char *)mail -
							      offsetof(struct watch_engine,
								       committed_mail));

	atomic_store(&engine->committing, false);
	if (!atomic_load(&engine->stopped))
		engine->plan.committed(engine->plan.owner, atomic_load(&engine->newest));
	atomic_fetch_sub(&engine->notes, 1);
}

static void engine_tell_committed(struct watch_engine *engine, uint64_t newest)
{
	atomic_store(&engine->newest, newest);
	if (engine->plan.committed == NULL || atomic_exchange(&engine->committing, true))
		return;
	atomic_fetch_add(&engine->notes, 1);
	if (!loop_post(engine->plan.loop, &engine->committed_mail)) {
		atomic_fetch_sub(&engine->notes, 1);
		atomic_store(&engine->committing, false);
	}
}

/* The transaction. */

static void engine_doubt(struct watch_engine *engine, const char *why, bool reset)
{
	for (unsigned i = 0; i < engine->trees; i++)
		watch_tree_doubt(&engine->tree[i], why, reset);
}

/* A database that is damaged under our hands cannot be gone on with. */
static void engine_fail(struct watch_engine *engine, int err)
{
	if (engine->stop_now) /* said, or nobody asks any more */
		return;
	engine->stop_now = true;
	engine_post(engine, &(struct watch_note){.kind = WATCH_FAILED, .err = err});
}

static void engine_undo(struct watch_engine *engine, int err, uint64_t now_ns)
{
	int undone = index_rollback(engine->index);

	engine->resume_due = engine->resume_due || engine->resuming;
	engine->resuming = false;
	engine->first_ns = 0;
	engine->disk_err = err;
	engine->hold_ns = now_ns + WATCH_RETRY_MS * MOMENT_MS;
	engine_doubt(engine, "disk", false);
	if (err == ERR_PROTOCOL || undone != 0)
		engine_fail(engine, undone != 0 ? undone : err);
}

int watch_engine_commit(struct watch_engine *engine, uint64_t now_ns)
{
	uint64_t newest;
	int err = index_commit(engine->index, &newest);

	engine->uncommitted = err != 0;
	engine->disk_err = err;
	if (err != 0) {
		engine->hold_ns = now_ns + WATCH_RETRY_MS * MOMENT_MS;
		if (err == ERR_PROTOCOL)
			engine_fail(engine, err);
		return err;
	}
	engine->first_ns = 0;
	for (unsigned i = 0; i < engine->trees; i++)
		watch_tree_committed(&engine->tree[i]);
	engine_tell_committed(engine, newest);
	if (engine->resuming)
		engine_post(engine, &(struct watch_note){.kind = WATCH_RESUMED,
							 .number = engine->server_seq,
							 .talk = engine->server_talk});
	engine->resuming = false;
	return 0;
}

/* When what was changed is to be committed at the latest. */
static uint64_t engine_commit_due(struct watch_engine *engine, uint64_t now_ns, bool busy)
{
	uint64_t wait_ms = engine->plan.passing ? WATCH_PASSING_COMMIT_MS
			   : busy               ? WATCH_BUSY_COMMIT_MS
						: WATCH_COMMIT_MS;
	size_t bytes = index_uncommitted(engine->index);

	if (bytes == 0)
		return MOMENT_NEVER;
	if (engine->first_ns == 0)
		engine->first_ns = now_ns;
	if (bytes >= WATCH_COMMIT_BYTES)
		return now_ns;
	return engine->first_ns + wait_ms * MOMENT_MS;
}

static void engine_measure_spool(struct watch_engine *engine)
{
	uint64_t bytes, limit = engine->plan.spool_bytes;

	if (engine->plan.passing)
		return;
	bytes = index_state(engine->index).spool_bytes;
	if (bytes >= limit)
		engine->full = true;
	else if (bytes <= limit / 2)
		engine->full = false;
}

/* The server knows another story than ours: all is told anew. */
static int engine_begin_anew(struct watch_engine *engine)
{
	int err = 0;

	for (unsigned i = 0; i < engine->trees && err == 0; i++)
		err = index_clear(engine->index, engine->tree[i].index.tree);
	if (err == 0)
		engine_doubt(engine, "server", true);
	return err;
}

/* The conversation goes on from where the server is, once that is committed, however often the disk
 * refuses. */
static int engine_resume(struct watch_engine *engine, uint64_t now_ns)
{
	struct index_found found = {0};
	int err = index_resume(engine->index, engine->server_seq, engine->server_sent, &found);

	if (err == 0 && found.behind)
		err = engine_begin_anew(engine);
	if (err != 0)
		return err;
	engine->resume_due = false;
	engine->resuming = true;
	watch_engine_commit(engine, now_ns);
	return 0;
}

/* What others may look at. */

static void engine_show(struct watch_engine *engine, uint64_t now_ns)
{
	struct index_state state;
	struct watch_view *view = &engine->view;

	if (now_ns < engine->view_ns)
		return;
	engine->view_ns = now_ns + WATCH_VIEW_MS * MOMENT_MS;
	state = index_state(engine->index);
	pthread_mutex_lock(&engine->view_lock);
	*view = (struct watch_view){.changes = engine->changes,
				    .entries = state.entries,
				    .spool_bytes = state.spool_bytes,
				    .waiting = state.spool_records,
				    .full = engine->full,
				    .disk_err = engine->disk_err};
	for (unsigned i = 0; i < engine->trees; i++) {
		const struct watch_tree *tree = &engine->tree[i];
		struct source_counts counts;

		view->tree[i].gone = tree->source == NULL;
		if (tree->source == NULL)
			continue;
		counts = source_counts(tree->source);
		view->overflows += counts.overflows;
		view->tree[i].way = source_way(tree->source);
		view->tree[i].in_doubt = settle_counts(tree->settle).in_doubt;
		view->tree[i].unwatched = counts.unwatched;
		view->tree[i].unwatched_err = counts.unwatched_err;
	}
	pthread_mutex_unlock(&engine->view_lock);
}

void watch_engine_view(struct watch_engine *engine, struct watch_view *view)
{
	pthread_mutex_lock(&engine->view_lock);
	*view = engine->view;
	pthread_mutex_unlock(&engine->view_lock);
}

/* The thread. */

/* 1 when there is more to do now. */
static int engine_turn(struct watch_engine *engine, const struct moment *now)
{
	int more = 0, done;

	if (now->boot_ns < engine->hold_ns) {
		for (unsigned i = 0; i < engine->trees; i++)
			if (engine->tree[i].source != NULL &&
			    watch_tree_read(&engine->tree[i], false, now) < 0)
				engine_undo(engine, ERR_DISK, now->boot_ns);
		return 0;
	}
	if (engine->uncommitted && watch_engine_commit(engine, now->boot_ns) != 0)
		return 0;
	if (engine->resume_due) {
		done = engine_resume(engine, now->boot_ns);
		if (done < 0)
			engine_undo(engine, done, now->boot_ns);
		if (done < 0 || engine->uncommitted)
			return 0;
	}
	for (unsigned i = 0; i < engine->trees; i++) {
		done = watch_tree_turn(&engine->tree[i], now);
		if (engine->uncommitted)
			return 0;
		if (done < 0) {
			engine_undo(engine, done, now->boot_ns);
			return 0;
		}
		more |= done;
	}
	if (engine_commit_due(engine, now->boot_ns, more > 0) <= now->boot_ns)
		watch_engine_commit(engine, now->boot_ns);
	engine_measure_spool(engine);
	return more;
}

static int engine_wait_ms(struct watch_engine *engine, uint64_t now_ns)
{
	uint64_t due_ns = engine_commit_due(engine, now_ns, false), wait_ns;

	for (unsigned i = 0; i < engine->trees; i++) {
		uint64_t tree_ns = watch_tree_due(&engine->tree[i]);

		due_ns = tree_ns < due_ns ? tree_ns : due_ns;
	}
	if (due_ns < engine->hold_ns)
		due_ns = engine->hold_ns;
	if (due_ns > now_ns + WATCH_RETRY_MS * MOMENT_MS)
		due_ns = now_ns + WATCH_RETRY_MS * MOMENT_MS; /* the view goes on */
	wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;
	return (int)((wait_ns + MOMENT_MS - 1) / MOMENT_MS);
}

static void *engine_run(void *argument)
{
	struct watch_engine *engine = argument;
	const struct moment *now = loop_now(engine->loop);
	int more;

	loop_refresh(engine->loop);
	while (!engine->stop_now) {
		more = engine_turn(engine, now);
		engine_show(engine, now->boot_ns);
		if (!more && engine->plan.rested != NULL)
			engine->plan.rested(engine->plan.owner);
		loop_turn(engine->loop, more ? 0 : engine_wait_ms(engine, now->boot_ns));
	}
	if (atomic_load(&engine->stopped)) {
		watch_engine_commit(engine, now->boot_ns);
		return NULL;
	}
	/* It failed: only mail is heard from here on. */
	for (unsigned i = 0; i < engine->trees; i++)
		watch_tree_close(&engine->tree[i]);
	loop_run(engine->loop);
	return NULL;
}

/* Mail from the other loop. */

static void engine_heard_acknowledge(struct loop_mail *mail, struct loop *loop)
{
	struct watch_engine *engine = (struct watch_engine *)((char *)mail -
							      offsetof(struct watch_engine,
								       acknowledge_mail));

	atomic_store(&engine->acknowledging, false);
	if (!engine->stop_now)
		index_acknowledge(engine->index, atomic_load(&engine->acknowledged));
}

void watch_engine_acknowledge(struct watch_engine *engine, uint64_t seq)
{
	atomic_store(&engine->acknowledged, seq);
	if (!atomic_exchange(&engine->acknowledging, true) &&
	    !loop_post(engine->loop, &engine->acknowledge_mail))
		atomic_store(&engine->acknowledging, false);
}

static void engine_heard_resume(struct loop_mail *mail, struct loop *loop)
{
	struct watch_note *note = (struct watch_note *)mail;
	struct watch_engine *engine = note->engine;

	engine->server_seq = note->number;
	engine->server_sent = note->sent;
	engine->server_talk = note->talk;
	engine->resume_due = true;
	engine->resuming = false;
	free(note);
}

void watch_engine_resume(struct watch_engine *engine, uint64_t server_seq, uint64_t sent,
			 uint64_t talk)
{
	struct watch_note *note = calloc(1, sizeof *note);

	if (note == NULL)
		return;
	*note = (struct watch_note){.mail.run = engine_heard_resume,
				    .engine = engine,
				    .number = server_seq,
				    .sent = sent,
				    .talk = talk};
	if (!loop_post(engine->loop, &note->mail))
		free(note);
}

static void engine_heard_stop(struct loop_mail *mail, struct loop *loop)
{
	struct watch_engine *engine = (struct watch_engine *)((char *)mail -
							      offsetof(struct watch_engine,
								       stop_mail));

	engine->stop_now = true;
	loop_stop(loop);
}

const uint8_t *watch_engine_instance(const struct watch_engine *engine)
{
	return engine->instance;
}

/* Start and end. */

static void engine_free(struct watch_engine *engine)
{
	for (unsigned i = 0; i < engine->trees; i++) {
		watch_tree_close(&engine->tree[i]);
		free(engine->tree[i].memory);
	}
	if (engine->index != NULL)
		index_close(engine->index);
	if (engine->loop != NULL)
		loop_destroy(engine->loop);
	pthread_mutex_destroy(&engine->view_lock);
	free(engine->last_note);
	free(engine);
}

static int engine_open_tree(struct watch_engine *engine, unsigned number, bool damaged)
{
	struct watch_tree *tree = &engine->tree[number];
	struct bytes root = bytes_of_string(engine->plan.root[number]);
	bool known = false;
	int err;

	*tree = (struct watch_tree){.engine = engine, .root = root};
	if (root.len == 1)
		tree->root.len = 0; /* of `/`, the slash is the separator */
	tree->memory = malloc(settle_bytes(WATCH_HINTS));
	engine->trees++;
	if (tree->memory == NULL)
		return ERR_MEMORY;
	tree->index.index = engine->index;
	err = index_tree(engine->index, root, &tree->index.tree, &known);
	if (err == 0)
		err = watch_tree_open(tree,
				      known     ? "restart"
				      : damaged ? "damaged"
						: "start",
				      !known);
	return err;
}

static int engine_open(struct watch_engine *engine, unsigned *bad, char *why)
{
	struct index_found found = {0};
	int err = index_open(&engine->index, engine->plan.state, &found, why);

	if (err != 0)
		return err;
	why[0] = '\0';
	memcpy(engine->instance, index_instance(engine->index), sizeof engine->instance);
	err = loop_create(&engine->loop);
	for (unsigned i = 0; i < engine->plan.roots && err == 0; i++) {
		*bad = i;
		err = engine_open_tree(engine, i, found.damaged);
	}
	return err;
}

int watch_engine_start(struct watch_engine **result, const struct watch_engine_plan *plan,
		       unsigned *bad, char why[static WATCH_WHY_BYTES])
{
	struct watch_engine *engine = *result = calloc(1, sizeof *engine);
	int err;

	why[0] = '\0';
	if (engine == NULL)
		return ERR_MEMORY;
	engine->plan = *plan;
	engine->acknowledge_mail.run = engine_heard_acknowledge;
	engine->stop_mail.run = engine_heard_stop;
	engine->committed_mail.run = engine_told_committed;
	pthread_mutex_init(&engine->view_lock, NULL);
	engine->last_note = calloc(1, sizeof *engine->last_note);
	err = engine->last_note != NULL ? engine_open(engine, bad, why) : ERR_MEMORY;
	if (err == 0 && pthread_create(&engine->thread, NULL, engine_run, engine) != 0)
		err = ERR_SYSTEM;
	if (err != 0) {
		engine_free(engine);
		*result = NULL;
	}
	return err;
}

void watch_engine_stop(struct watch_engine *engine)
{
	atomic_store(&engine->stopped, true);
	while (!loop_post(engine->loop, &engine->stop_mail))
		usleep(1000);
	pthread_join(engine->thread, NULL);
	while (atomic_load(&engine->notes) > 0)
		loop_turn(engine->plan.loop, 0);
	engine_free(engine);
}
