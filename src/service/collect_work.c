/* The work thread's part of collect: items are checked, unpacked and put into the journal, all in
 * one transaction.
 *
 * Nobody else touches a client's `number` and `bad` meanwhile. What one client got wrong is that
 * client's alone: its items are left out, the others' are committed. What the disk got wrong is
 * everybody's: nothing is. */
#include "service/collect_parts.h"

#include "base/err.h"

#include <stdlib.h>

enum {
	COLLECT_FORGET_CLIENTS = 1000,
	COLLECT_LINE_BYTES = EVENT_JSON_BYTES,
	COLLECT_RENAME_BYTES = 8
};

static size_t collect_item_bytes(size_t body_bytes)
{
	return (sizeof(struct collect_item) + body_bytes + 15) & ~(size_t)15;
}

struct collect_item *collect_put(struct collect_queue *queue, size_t body_bytes)
{
	size_t bytes = collect_item_bytes(body_bytes);
	struct collect_chunk *chunk = queue->last;
	struct collect_item *item;

	if (!chunk || chunk->cap - chunk->used < bytes ||
	    chunk->raw_bytes >= COLLECT_CHUNK_RAW_BYTES) {
		size_t cap = bytes > COLLECT_CHUNK_BYTES ? bytes : COLLECT_CHUNK_BYTES;

		chunk = malloc(sizeof *chunk + cap);
		if (!chunk)
			return NULL;
		chunk->next = NULL;
		chunk->used = chunk->raw_bytes = 0;
		chunk->cap = cap;
		if (queue->last)
			queue->last->next = chunk;
		else
			queue->first = chunk;
		queue->last = chunk;
	}
	item = (struct collect_item *)(chunk->data + chunk->used);
	*item = (struct collect_item){.body_bytes = (uint32_t)body_bytes};
	chunk->used += bytes;
	queue->bytes += bytes;
	return item;
}

struct collect_item *collect_next(const struct collect_chunk *chunk, size_t *at)
{
	struct collect_item *item;

	if (*at == chunk->used)
		return NULL;
	item = (struct collect_item *)(uintptr_t)(chunk->data + *at);
	*at += collect_item_bytes(item->body_bytes);
	return item;
}

struct collect_queue collect_cut(struct collect_queue *queue, unsigned chunks)
{
	struct collect_queue cut = {0};

	while (queue->first && chunks--) {
		struct collect_chunk *chunk = queue->first;

		queue->first = chunk->next;
		queue->bytes -= chunk->used;
		chunk->next = NULL;
		if (cut.last)
			cut.last->next = chunk;
		else
			cut.first = chunk;
		cut.last = chunk;
		cut.bytes += chunk->used;
	}
	if (!queue->first)
		queue->last = NULL;
	return cut;
}

void collect_prepend(struct collect_queue *queue, struct collect_queue before)
{
	if (!before.first)
		return;
	before.last->next = queue->first;
	if (!queue->last)
		queue->last = before.last;
	queue->first = before.first;
	queue->bytes += before.bytes;
}

void collect_clear(struct collect_queue *queue)
{
	while (queue->first) {
		struct collect_chunk *next = queue->first->next;

		free(queue->first);
		queue->first = next;
	}
	*queue = (struct collect_queue){0};
}

/* Where events are numbered `seq` is their number; the client's is called otherwise there. No
 * string has these bytes in it: its quotes are escaped. */
static void collect_rename_seq(struct text *t)
{
	static const char name[] = "client_";
	size_t at = bytes_find(text_bytes(t), BYTES_LITERAL("\"seq\":")) + 1;

	if (at >= t->len || t->cap - t->len < sizeof name)
		return;
	memmove(t->data + at + sizeof name - 1, t->data + at, t->len - at + 1);
	memcpy(t->data + at, name, sizeof name - 1);
	t->len += sizeof name - 1;
}

/* The change as a line for whoever follows events, while there is a place. */
static void collect_took(void *owner, const struct change *c, uint64_t seq)
{
	struct collect_job *job = owner;
	size_t room = sizeof job->lines - job->lines_bytes;
	struct text t;

	job->records++;
	if (!job->lines_most || room < COLLECT_LINE_BYTES) {
		job->omitted++;
		return;
	}
	t = text_over(job->lines + job->lines_bytes, COLLECT_LINE_BYTES - COLLECT_RENAME_BYTES);
	change_put_json(&t, c, job->from->host[0] ? job->from->host : NULL, job->from->name, seq);
	if (t.cut) {
		job->omitted++;
		return;
	}
	t.cap = COLLECT_LINE_BYTES;
	collect_rename_seq(&t);
	job->lines_bytes += t.len;
	job->lines_most--;
}

/* One client too many is that client's trouble alone. */
static int collect_know(struct collect_job *job, struct collect_item *item, uint64_t *newest)
{
	struct collect_client *client = item->client;
	int err = journal_client(job->journal, bytes_of_string(client->name),
				 bytes_of_string(client->host), &client->number, newest);

	if (err != ERR_FULL)
		return err;
	client->bad = "as many clients as may be are known here, and this is a new one";
	item->failed = true;
	return 0;
}

static int collect_take_records(struct collect_job *job, struct collect_item *item)
{
	struct bytes records = bytes_of(item->body, item->body_bytes);
	const char *why = NULL;
	int err = 0;

	if (item->packed) {
		err = unpack(job->unpacker, records, job->raw, item->raw_bytes);
		records = bytes_of(job->raw, item->raw_bytes);
		why = "it cannot be unpacked";
	}
	if (!err) {
		why = NULL;
		err = journal_append(job->journal, item->client->number, item->first, item->count,
				     records, collect_took, job, &why);
	}
	if (err != ERR_PROTOCOL || !why) /* of a damaged store there is no `why` */
		return err;
	item->client->bad = why;
	item->failed = true;
	return 0;
}

static int collect_take_plain(struct collect_job *job, struct collect_item *item)
{
	struct change c = {.type = item->type,
			   .time_us = item->time_us,
			   .path = bytes_of(item->body, item->body_bytes)};
	uint64_t seq = 0;
	int err = 0;

	if (item->client->number)
		err = journal_append_plain(job->journal, item->client->number, &c, &seq);
	if (!item->client->number || err == ERR_NO_NAME) {
		err = collect_know(job, item, &seq);
		if (!err && !item->failed)
			err = journal_append_plain(job->journal, item->client->number, &c, &seq);
	}
	if (!err && !item->failed)
		collect_took(job, &c, seq);
	return err;
}

/* 0, or an error of the disk's. */
static int collect_take(struct collect_job *job, struct collect_item *item)
{
	job->from = item->client;
	if (item->client->bad) {
		item->failed = true;
		return 0;
	}
	switch ((enum collect_kind)item->kind) {
	case COLLECT_JOIN:
		return collect_know(job, item, &item->newest);
	case COLLECT_RECORDS:
		return collect_take_records(job, item);
	case COLLECT_PLAIN:
		return collect_take_plain(job, item);
	}
	return 0;
}

void collect_forget_numbers(const struct collect_queue *queue)
{
	for (struct collect_chunk *chunk = queue->first; chunk; chunk = chunk->next) {
		struct collect_item *item;
		size_t at = 0;

		while ((item = collect_next(chunk, &at)))
			item->client->number = 0;
	}
}

static void collect_commit(struct collect_job *job)
{
	for (struct collect_chunk *chunk = job->queue.first; chunk; chunk = chunk->next) {
		struct collect_item *item;
		size_t at = 0;

		while (!job->err && (item = collect_next(chunk, &at)))
			job->err = collect_take(job, item);
	}
	if (!job->err)
		job->err = journal_commit(job->journal);
	if (!job->err)
		return;
	journal_rollback(job->journal);
	collect_forget_numbers(&job->queue); /* of those that were new */
	job->records = job->omitted = 0;
	job->lines_bytes = 0;
}

/* Clients are forgotten once no row is too old any more. */
static void collect_prune(struct collect_job *job)
{
	job->pruned = journal_prune(job->journal, job->now_us, (unsigned)job->prune_rows);
	if (job->pruned == ERR_NO_FILE)
		job->err = ERR_NO_FILE;
	if (job->pruned == 0 && job->live)
		journal_forget(job->journal, job->now_us, job->live, job->lives,
			       COLLECT_FORGET_CLIENTS);
}

/* The store that was removed or replaced is let go; what is in its place now is the store. */
static int collect_open_anew(struct collect_job *job)
{
	char why[256];

	journal_close(job->journal);
	return journal_open(&job->journal, job->path, &job->kept, why);
}

void collect_run(struct work_job *work)
{
	struct collect_job *job = (struct collect_job *)work;
	struct journal_state state;

	job->pruned = 0;
	job->records = job->omitted = 0;
	job->lines_bytes = 0;
	job->anew = job->gone;
	job->err = job->gone ? collect_open_anew(job) : 0;
	if (!job->err && job->task == COLLECT_COMMIT)
		collect_commit(job);
	else if (!job->err && job->task == COLLECT_PRUNE)
		collect_prune(job);
	job->gone = !job->journal || job->err == ERR_NO_FILE;
	if (!job->err && journal_state(job->journal, &state) == 0)
		job->state = state;
	sem_post(&job->ended);
}
