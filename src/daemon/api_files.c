/* /api/files and /api/clients: the store of collected changes, read in work threads, each with a
 * handle of its own, a page at a time. Answers come back by mail.
 *
 *         ┌── a page ────► work thread: journal_reader ──┐
 *   api ──┤                                              ├──► api: answer
 *         └── a search ──► work thread: journal_reader ──┘
 *
 * A question looks at FILES_SCAN_MOST rows at most, and no longer than FILES_SCAN_MS, so that one
 * which matches next to nothing among ten million is many short questions; the answer says where
 * the next begins. Whoever only turns pages does not wait for those who search. */
#include "daemon/api_parts.h"

#include "base/err.h"
#include "base/number.h"
#include "base/place.h"
#include "base/when.h"
#include "net/work.h"
#include "store/journal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
	FILES_LIMIT = 200,
	FILES_LIMIT_MOST = 1000,
	FILES_SCAN_MOST = 100000,
	FILES_SCAN_STEP = 2000, /* before the next look at the clock */
	FILES_SCAN_MS = 20,
	FILES_GOING_MOST = 64,
	FILES_WORD_BYTES = 1024,
	FILES_HOST_BYTES = 256,
	FILES_TEXT_BYTES = 4 << 20,
};

struct files_question;

struct files_thread {
	struct work *work;
	struct journal_reader *reader; /* the work thread's; NULL: not opened yet */
};

struct api_files {
	struct files_thread pages, searches;
	pthread_mutex_t lock;
	struct files_question *first; /* under way */
	unsigned going;
	char path[PLACE_BYTES + 16];
};

struct files_question {
	struct work_job job;
	struct files_question *next, **link;
	struct api_files *files;
	struct files_thread *thread;
	struct api *api;
	uint64_t to;
	bool clients;
	struct journal_filter filter;
	uint64_t row, limit; /* from that row on, */
	bool forward;        /* to later ones */
	int err;
	struct text text;
	uint64_t put;
	bool full; /* `text` has no room for another row */
	char client[FILES_WORD_BYTES], path[FILES_WORD_BYTES], words[FILES_WORD_BYTES];
};

/* The work thread's part. */

static bool files_put_row(void *owner, const struct journal_row *row)
{
	struct files_question *q = owner;
	char name[FILES_HOST_BYTES];
	struct text *t = &q->text, host = TEXT_OVER(name);
	size_t at;

	text_put(&host, row->host);
	text_printf(t, "%s{\"row\":%llu,", q->put++ ? "," : "", (unsigned long long)row->row);
	at = t->len;
	change_put_json(t, &row->change, host.len ? name : NULL, row->client, row->seq);
	q->full = t->cut || t->cap - t->len <= CHANGE_JSON_BYTES + 256;
	if (t->cut)
		return false;
	/* Of the object that follows, the brace that opens it and the LF behind it go. */
	memmove(t->data + at, t->data + at + 1, t->len - at - 2);
	t->len -= 2;
	t->data[t->len] = '\0';
	return !q->full;
}

static bool files_note_row(void *owner, const struct journal_row *row)
{
	*(uint64_t *)owner = row->row;
	return false;
}

/* The newest row there is now, whatever the filter: whoever asks for what came later begins there.
 */
static int64_t files_newest(struct files_question *q, uint64_t *newest)
{
	static const struct journal_filter all;
	uint64_t at;
	bool end;

	*newest = 0;
	return journal_read(q->thread->reader, &all, 0, true, 1, 1, files_note_row, newest, &at,
			    &end);
}

static int64_t files_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In steps, for as long as it may take. 0 or ERR_. */
static int64_t files_scan(struct files_question *q, uint64_t *at, bool *end)
{
	int64_t until_ms = files_now_ms() + FILES_SCAN_MS, found = 0;
	uint64_t looked = 0;

	*at = q->row;
	*end = false;
	while (found >= 0 && !*end && !q->full && q->put < q->limit && looked < FILES_SCAN_MOST &&
	       (looked == 0 || files_now_ms() < until_ms)) {
		found = journal_read(q->thread->reader, &q->filter, *at, !q->forward,
				     q->limit - q->put, FILES_SCAN_STEP, files_put_row, q, at, end);
		looked += FILES_SCAN_STEP;
	}
	return found < 0 ? found : 0;
}

static void files_read(struct files_question *q)
{
	uint64_t newest, at = 0;
	bool end = true;
	int64_t found = files_newest(q, &newest);

	text_printf(&q->text, "{\"newest\":%llu,\"files\":[", (unsigned long long)newest);
	if (!q->forward && !q->row)
		q->row = newest + 1;
	if (found >= 0)
		found = files_scan(q, &at, &end);
	if (found < 0) {
		q->err = (int)found;
		return;
	}
	text_printf(&q->text, "],\"at\":%llu,\"end\":%s}", (unsigned long long)at,
		    end ? "true" : "false");
}

static bool files_put_client(void *owner, const struct journal_client_row *row)
{
	struct files_question *q = owner;
	struct text *t = &q->text;

	text_put_string(t, q->put++ ? ",{\"id\":" : "{\"id\":");
	event_put_json_string(t, bytes_of_string(row->id));
	text_put_string(t, ",\"name\":");
	event_put_json_string(t, row->host);
	text_printf(t, ",\"newest\":%llu,\"seen\":\"", (unsigned long long)row->newest);
	moment_put_rfc3339(t, row->seen_us);
	text_put_string(t, "\"}");
	return t->cap - t->len > 4096 && q->put < q->limit;
}

static void files_read_clients(struct files_question *q)
{
	text_put_string(&q->text, "{\"clients\":[");
	q->err = journal_read_clients(q->thread->reader, files_put_client, q);
	text_put_string(&q->text, "]}");
}

static void files_run(struct work_job *job)
{
	struct files_question *q = (struct files_question *)job;
	struct files_thread *thread = q->thread;
	char why[256];

	if (thread->reader && journal_reader_is_gone(thread->reader)) {
		journal_reader_close(thread->reader);
		thread->reader = NULL;
	}
	if (!thread->reader)
		q->err = journal_reader_open(&thread->reader, q->files->path, why);
	if (q->err) {
		thread->reader = NULL;
		return;
	}
	if (q->clients)
		files_read_clients(q);
	else
		files_read(q);
	if (!q->err)
		return;
	/* Whatever it is, a file that was replaced say: the next question begins anew. */
	journal_reader_close(thread->reader);
	thread->reader = NULL;
}

/* The loop's part. */

static void files_free(struct files_question *q)
{
	pthread_mutex_lock(&q->files->lock);
	*q->link = q->next;
	if (q->next)
		q->next->link = q->link;
	q->files->going--;
	pthread_mutex_unlock(&q->files->lock);
	free(q->text.data);
	free(q);
}

static void files_done(struct work_job *job)
{
	struct files_question *q = (struct files_question *)job;
	struct api *api = q->api;

	if (api_snapshot_came(api)) {
		if (!q->err && !q->text.cut)
			api_answer(api, q->to, 200, "application/json", text_bytes(&q->text));
		else if (q->err == ERR_NO_FILE)
			api_unknown(api, q->to);
		else
			api_failed(api, q->to);
		pump_deliver(api->pumps);
	}
	files_free(q);
}

/* %41 is A, + is a space. False: it does not fit, or is no such text. */
static bool files_decode(struct bytes in, char into[FILES_WORD_BYTES], struct bytes *word)
{
	size_t len = 0;

	for (size_t i = 0; i < in.len; i++) {
		int c = in.data[i] == '+' ? ' ' : in.data[i];

		if (in.data[i] == '%') {
			int high = i + 2 < in.len ? number_hex(in.data[i + 1]) : -1;
			int low = high >= 0 ? number_hex(in.data[i + 2]) : -1;

			if (low < 0)
				return false;
			c = high << 4 | low;
			i += 2;
		}
		if (!c || len == FILES_WORD_BYTES - 1)
			return false;
		into[len++] = (char)c;
	}
	into[len] = '\0';
	*word = bytes_of(into, len);
	return true;
}

/* `create,delete` as bits. */
static bool files_types(struct bytes words, unsigned *types)
{
	while (words.len) {
		size_t end = bytes_find_byte(words, ',');
		unsigned type = change_type_of(bytes_first(words, end));

		if (!type)
			return false;
		*types |= 1u << type;
		words = bytes_after(words, end < words.len ? end + 1 : end);
	}
	return true;
}

static bool files_time(struct files_question *q, struct bytes query, const char *name, int64_t *us)
{
	char text[FILES_WORD_BYTES];
	struct bytes word;

	if (!files_decode(api_query(query, name), text, &word))
		return false;
	return !word.len || when_parse(word, loop_now(q->api->loop), moment_offset_s, us) == 0;
}

/* False: it is there, and no number. */
static bool files_number(struct bytes query, const char *name, uint64_t *value)
{
	return !api_query(query, name).len || api_query_number(query, name, value);
}

static bool files_parse(struct files_question *q, struct bytes query)
{
	struct journal_filter *filter = &q->filter;
	char types[FILES_WORD_BYTES];
	struct bytes word;

	if (!files_decode(api_query(query, "client"), q->client, &filter->client) ||
	    !files_decode(api_query(query, "path"), q->path, &filter->path) ||
	    !files_decode(api_query(query, "text"), q->words, &filter->text) ||
	    !files_decode(api_query(query, "type"), types, &word) ||
	    !files_types(word, &filter->types) ||
	    !files_time(q, query, "since", &filter->since_us) ||
	    !files_time(q, query, "until", &filter->until_us))
		return false;
	if (api_query(query, "until").len && !filter->until_us)
		filter->until_us = 1; /* 0 is no bound */
	q->limit = FILES_LIMIT;
	q->forward = api_query(query, "after").len > 0;
	if (!files_number(query, "before", &q->row) || !files_number(query, "after", &q->row) ||
	    !files_number(query, "limit", &q->limit))
		return false;
	if (q->limit > FILES_LIMIT_MOST || !q->limit)
		q->limit = FILES_LIMIT_MOST;
	return true;
}

/* On the list, unless there are too many already. */
static bool files_enlist(struct api_files *files, struct files_question *q)
{
	bool room;

	pthread_mutex_lock(&files->lock);
	room = files->going < FILES_GOING_MOST;
	if (room) {
		q->next = files->first;
		q->link = &files->first;
		if (q->next)
			q->next->link = &q->next;
		files->first = q;
		files->going++;
	}
	pthread_mutex_unlock(&files->lock);
	return room;
}

static struct files_question *files_make(struct api *api, uint64_t to, bool clients)
{
	struct files_question *q = calloc(1, sizeof *q);
	char *memory = malloc(FILES_TEXT_BYTES);

	if (!q || !memory || !files_enlist(api->home->files, q)) {
		free(q);
		free(memory);
		return NULL;
	}
	q->job.run = files_run;
	q->job.done = files_done;
	q->files = api->home->files;
	q->api = api;
	q->to = to;
	q->clients = clients;
	q->limit = FILES_LIMIT_MOST;
	q->text = text_over(memory, FILES_TEXT_BYTES);
	return q;
}

/* Whether rows that do not match may have to be passed over. */
static bool files_searches(const struct journal_filter *filter)
{
	return filter->client.len || filter->path.len || filter->text.len || filter->types ||
	       filter->since_us || filter->until_us;
}

void api_show_files(struct api *api, uint64_t to, struct bytes query, bool clients)
{
	struct files_question *q = files_make(api, to, clients);

	if (!q) {
		api_failed(api, to);
		return;
	}
	if (!clients && !files_parse(q, query)) {
		files_free(q);
		api_refuse(api, to, 400, "query", "a value of the query is not understood", "");
		return;
	}
	q->thread = files_searches(&q->filter) ? &q->files->searches : &q->files->pages;
	if (work_submit(q->thread->work, api->loop, &q->job) < 0) {
		files_free(q);
		api_failed(api, to);
		return;
	}
	api->going++;
}

int api_files_create(struct api_files **created, const char *state_dir)
{
	struct api_files *files = calloc(1, sizeof *files);
	int err;

	if (!files)
		return ERR_MEMORY;
	pthread_mutex_init(&files->lock, NULL);
	snprintf(files->path, sizeof files->path, "%s/collect.db", state_dir);
	*created = files;
	err = work_create(&files->pages.work, 1);
	return err ? err : work_create(&files->searches.work, 1);
}

void api_files_destroy(struct api_files *files)
{
	if (!files)
		return;
	work_destroy(files->pages.work);
	work_destroy(files->searches.work);
	journal_reader_close(files->pages.reader);
	journal_reader_close(files->searches.reader);
	while (files->first) {
		api_snapshot_came(files->first->api);
		files_free(files->first);
	}
	pthread_mutex_destroy(&files->lock);
	free(files);
}
