/* The job of collect and what it comes to: committed and acknowledged, or refused by the disk and
 * taken back. In the home loop. */
#include "service/collect_parts.h"

#include "base/err.h"

#include <stdlib.h>

/* How many changes may be told as events now. */
static unsigned collect_allowance(struct collect_keep *keep)
{
	uint64_t now_ns = collect_now(keep)->boot_ns, each_ns = MOMENT_S / COLLECT_LINES_S;
	uint64_t owed_ns = keep->lines_ns > now_ns ? keep->lines_ns - now_ns : 0;

	return (unsigned)((COLLECT_LINES_BURST * each_ns - owed_ns) / each_ns);
}

/* `pruning`: it takes changes, but lets none go. */
static void collect_tell_disk(struct collect_keep *keep, int err, bool pruning)
{
	struct event e;

	collect_event(keep, &e, err ? EVENT_ERROR : EVENT_NOTICE, "collect.disk");
	event_bool(&e, "ok", !err);
	if (err)
		event_string(&e, "error", err_name(err));
	if (pruning)
		event_bool(&e, "pruning", true);
	event_string(&e, "path", keep->context->state_dir);
	collect_publish(keep, &e);
}

void collect_tell_full(struct collect_keep *keep)
{
	uint64_t now_ns = collect_now(keep)->boot_ns;
	struct event e;

	if (keep->full == keep->full_told ||
	    (keep->full && now_ns - keep->full_ns < COLLECT_FULL_MS * MOMENT_MS))
		return;
	collect_event(keep, &e, keep->full ? EVENT_WARNING : EVENT_NOTICE, "collect.full");
	event_bool(&e, "full", keep->full);
	event_uint(&e, "waiting_bytes", collect_waiting(keep));
	event_uint(&e, "unfinished_bytes", keep->under_way);
	keep->full_told = keep->full;
	collect_publish(keep, &e);
}

static void collect_tell_lines(struct collect_keep *keep)
{
	const struct collect_settings *settings = keep->context->settings;
	uint64_t now_ns = collect_now(keep)->boot_ns;
	struct bytes rest = bytes_of(keep->job->lines, keep->job->lines_bytes);

	if (keep->lines_ns < now_ns)
		keep->lines_ns = now_ns;
	while (rest.len) {
		size_t len = bytes_find_byte(rest, '\n');

		keep->context->event_line(keep->context->owner, bytes_first(rest, len),
					  settings->log);
		keep->lines_ns += MOMENT_S / COLLECT_LINES_S;
		rest = bytes_after(rest, len < rest.len ? len + 1 : len);
	}
}

void collect_tell_omitted(struct collect_keep *keep)
{
	uint64_t now_ns = collect_now(keep)->boot_ns;
	struct event e;

	if (keep->omitted == keep->omitted_told)
		return;
	if (collect_allowance(keep) < COLLECT_LINES_S &&
	    now_ns - keep->omitted_ns < COLLECT_OMITTED_MS * MOMENT_MS)
		return;
	collect_event(keep, &e, EVENT_INFO, "collect.omitted");
	event_uint(&e, "count", keep->omitted - keep->omitted_told);
	keep->omitted_told = keep->omitted;
	keep->omitted_ns = now_ns;
	collect_publish(keep, &e);
}

static void collect_answer(struct collect_keep *keep, const struct collect_item *item,
			   struct collect_client **due)
{
	struct collect_client *client = item->client;

	if (item->failed) {
		collect_refuse(keep, client,
			       item->kind != COLLECT_RECORDS      ? FEED_NO_STORE
			       : item->first > client->newest + 1 ? FEED_BAD_NUMBER
								  : FEED_BAD_RECORD,
			       client->bad);
	} else if (item->kind == COLLECT_JOIN) {
		client->joined = true;
		client->newest = item->newest;
		collect_tell(keep, client, FEED_JOINED, item->newest);
		if (!client->gone)
			collect_tell_client(keep, client, "collect.join");
	} else if (item->kind == COLLECT_RECORDS) {
		uint64_t last = item->first + item->count - 1;

		if (item->count && last > client->newest)
			client->newest = last;
		if (client->due)
			return;
		client->due = true;
		client->later = *due;
		*due = client;
	}
}

/* One acknowledgement for all that a client has had committed. */
static void collect_acknowledge(struct collect_keep *keep, struct collect_client *due)
{
	for (; due; due = due->later) {
		due->due = false;
		collect_tell(keep, due, FEED_COMMITTED, due->newest);
	}
}

void collect_each_item(struct collect_keep *keep, const struct collect_queue *queue,
		       collect_each *each, void *argument)
{
	for (struct collect_chunk *chunk = queue->first; chunk; chunk = chunk->next) {
		struct collect_item *item;
		size_t at = 0;

		while ((item = collect_next(chunk, &at)))
			each(keep, item, argument);
	}
}

static void collect_item_done(struct collect_keep *keep, struct collect_item *item, void *due)
{
	collect_answer(keep, item, due);
}

static void collect_item_over(struct collect_keep *keep, struct collect_item *item, void *argument)
{
	item->client->items--;
	collect_release(keep, item->client);
}

static const char collect_no_store[] = "the store takes nothing just now: come again later";

/* Framed clients are sent away, with what waits of them; what plain ones said is kept. */
static void collect_item_back(struct collect_keep *keep, struct collect_item *item, void *kept)
{
	struct collect_queue *queue = kept;
	struct collect_item *copy = NULL;

	if (item->kind == COLLECT_PLAIN) {
		copy = collect_put(queue, item->body_bytes);
	} else {
		item->client->bad = collect_no_store;
		collect_refuse(keep, item->client, FEED_NO_STORE, collect_no_store);
	}
	if (copy) {
		memcpy(copy, item, sizeof *item + item->body_bytes);
		return;
	}
	collect_item_over(keep, item, NULL);
}

static void collect_committed(struct collect_keep *keep)
{
	struct collect_client *due = NULL;

	if (keep->failing)
		collect_tell_disk(keep, 0, false);
	keep->failing = false;
	keep->commits++;
	keep->records += keep->job->records;
	keep->put_rows += keep->job->records;
	keep->omitted += keep->job->omitted;
	keep->committed_us = collect_now(keep)->wall_us;
	keep->pruning = true;
	collect_each_item(keep, &keep->job->queue, collect_item_done, &due);
	collect_acknowledge(keep, due);
	collect_each_item(keep, &keep->job->queue, collect_item_over, NULL);
	collect_clear(&keep->job->queue);
	collect_tell_lines(keep);
	collect_tell_omitted(keep);
}

/* It is not at work yet, and may not be for long: what plain clients said is tried first. */
static void collect_item_behind(struct collect_keep *keep, struct collect_item *item, void *none)
{
	if (item->kind == COLLECT_PLAIN)
		return;
	item->client->bad = collect_no_store;
	collect_refuse(keep, item->client, FEED_NO_STORE, collect_no_store);
}

/* In another store all have other numbers, and who is connected tells everything anew. */
static void collect_send_away(struct collect_keep *keep)
{
	collect_forget_numbers(&keep->job->queue);
	collect_forget_numbers(&keep->queue);
	for (unsigned i = 0; i < COLLECT_BUCKETS; i++)
		for (struct collect_client *c = keep->by_id[i]; c; c = c->next) {
			c->number = 0;
			if (c->joined)
				collect_refuse(keep, c, FEED_NO_STORE,
					       "the store was removed or replaced: come again");
		}
}

static void collect_failed(struct collect_keep *keep, int err)
{
	struct collect_queue kept = {0};

	if (!keep->failing)
		collect_tell_disk(keep, err, false);
	keep->failing = true;
	keep->retry_ns = collect_now(keep)->boot_ns + COLLECT_RETRY_MS * MOMENT_MS;
	if (keep->job->gone)
		collect_send_away(keep);
	collect_each_item(keep, &keep->queue, collect_item_behind, NULL);
	collect_each_item(keep, &keep->job->queue, collect_item_back, &kept);
	collect_clear(&keep->job->queue);
	collect_prepend(&keep->queue, kept);
}

/* More is pruned at once while there is more; then not before some seconds have gone by. */
static void collect_pruned(struct collect_keep *keep)
{
	bool failing = keep->job->pruned < 0;

	if (keep->failing && keep->job->anew)
		collect_tell_disk(keep, 0, false);
	keep->failing = keep->failing && !keep->job->anew;
	if (failing != keep->prune_failing)
		collect_tell_disk(keep, failing ? (int)keep->job->pruned : 0, true);
	keep->prune_failing = failing;
	keep->put_rows = 0;
	keep->pruning = keep->job->pruned > 0;
	keep->prune_ns = keep->pruning ? 0
				       : collect_now(keep)->boot_ns + COLLECT_PRUNE_MS * MOMENT_MS;
}

/* Who is connected is not forgotten, however long nothing changes there. Without memory for the
 * list nobody is. */
static void collect_list_live(struct collect_keep *keep)
{
	struct collect_job *job = keep->job;

	job->lives = 0;
	if (!job->live || job->live_places < keep->clients) {
		free(job->live);
		job->live_places = keep->clients * 2 + 16;
		job->live = malloc(job->live_places * sizeof *job->live);
	}
	for (unsigned i = 0; job->live && i < COLLECT_BUCKETS; i++)
		for (const struct collect_client *c = keep->by_id[i]; c; c = c->next)
			if (c->number)
				job->live[job->lives++] = c->number;
}

static void collect_submit(struct collect_keep *keep, enum collect_task task)
{
	struct collect_job *job = keep->job;
	int err;

	job->task = task;
	job->now_us = collect_now(keep)->wall_us;
	job->lines_most = collect_allowance(keep);
	if (task == COLLECT_PRUNE) {
		job->prune_rows = COLLECT_PRUNE_ROWS + keep->put_rows;
		collect_list_live(keep);
	}
	if (task == COLLECT_COMMIT)
		job->queue = collect_cut(&keep->queue, COLLECT_CHUNKS_A_JOB);
	/* From here on the job is the work thread's. */
	err = work_submit(keep->context->work, collect_loop(keep), &job->job);
	keep->at_work = !err;
	if (err && task == COLLECT_COMMIT)
		collect_failed(keep, err);
}

/* Pruning takes turns with commits, however much of it there is. Beyond keep_size it waits for no
 * moment, and beyond a quarter more commits wait. */
static bool collect_prunes_now(const struct collect_keep *keep)
{
	uint64_t bytes = keep->state.bytes, most = keep->job->kept.keep_bytes;

	if (!keep->pruning)
		return false;
	if (most && bytes > most + most / 4)
		return true;
	if ((!most || bytes <= most) && collect_now(keep)->boot_ns < keep->prune_ns)
		return false;
	return !keep->queue.first || keep->job->task != COLLECT_PRUNE;
}

void collect_go_on(struct collect_keep *keep)
{
	uint64_t now_ns = collect_now(keep)->boot_ns;

	if (keep->at_work || keep->stopped)
		return;
	if (keep->failing && now_ns < keep->retry_ns)
		return;
	if (collect_prunes_now(keep))
		collect_submit(keep, COLLECT_PRUNE);
	else if (keep->queue.first)
		collect_submit(keep, COLLECT_COMMIT);
}

void collect_done(struct work_job *work)
{
	struct collect_job *job = (struct collect_job *)work;
	struct collect_keep *keep = job->keep;

	if (keep->stopped) {
		collect_free(keep);
		return;
	}
	sem_wait(&job->ended); /* it has */
	keep->at_work = false;
	keep->state = job->state;
	if (job->err)
		collect_failed(keep, job->err);
	else if (job->task == COLLECT_PRUNE)
		collect_pruned(keep);
	else
		collect_committed(keep);
	if (collect_waiting(keep) <= COLLECT_WAITING_BYTES / 2)
		collect_hold(keep, false);
	collect_go_on(keep);
	pump_deliver(keep->context->pumps);
}
