/* The keeper of collect (docs/protocols/feed.md): who feeds, what waits, and the job that
 * commits it.
 *
 *   machines ──told──► queue ──► work thread: unpack, check, journal ──► committed
 *            ◄──────────── JOINED, COMMITTED, REFUSED ────────────────────────┘
 *
 * One job at a time; what comes meanwhile is the next one's. A commit that the disk refuses takes
 * back all of it: framed clients are sent away to come again later, and have all of it still; what
 * plain clients said, which nobody has any more, waits here and is tried again.
 *
 * Limits: COLLECT_WAITING_BYTES wait at most; beyond that nothing more is read from anybody until
 * half of it is gone. Of what is committed COLLECT_LINES_S changes a second go to the daemon's
 * events too; how many were left out is an event of its own. The store has them all. */
#include "service/collect_parts.h"

#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>

#define N_(s) s

/* Events. */

void collect_event(struct collect_keep *keep, struct event *e, enum event_level level,
		   const char *type)
{
	event_init(e, level, type, "collect", collect_now(keep)->wall_us);
}

void collect_publish(struct collect_keep *keep, struct event *e)
{
	keep->context->event(keep->context->owner, e);
}

void collect_tell_client(struct collect_keep *keep, const struct collect_client *client,
			 const char *type)
{
	struct address remote;
	struct event e;

	collect_event(keep, &e, EVENT_INFO, type);
	if (pump_remote(keep->context->pumps, client->id, &remote))
		event_address(&e, "peer", &remote);
	event_string(&e, "client", client->name);
	if (client->host[0])
		event_string(&e, "name", client->host);
	event_uint(&e, "newest", client->newest);
	collect_publish(keep, &e);
}

/* Clients. */

/* Ids are clients' own choice, and the salt is not known to them. */
static unsigned collect_hash(const struct collect_keep *keep, struct bytes b)
{
	uint64_t h = keep->salt;

	for (size_t i = 0; i < b.len; i++)
		h = (h ^ b.data[i]) * 0x100000001b3u;
	return (unsigned)((h ^ h >> 32) % COLLECT_BUCKETS);
}

static struct collect_client **collect_place(struct collect_keep *keep, uint64_t id)
{
	struct collect_client **link = &keep->by_id[collect_hash(keep, bytes_of(&id, sizeof id))];

	while (*link && (*link)->id != id)
		link = &(*link)->next;
	return link;
}

static struct collect_client **collect_name_place(struct collect_keep *keep, const char *name)
{
	struct collect_client **link = &keep->by_name[collect_hash(keep, bytes_of_string(name))];

	while (*link && strcmp((*link)->name, name) != 0)
		link = &(*link)->alike;
	return link;
}

/* The client of that machine, made when it is new; NULL: no memory. */
static struct collect_client *collect_client(struct collect_keep *keep, uint64_t id)
{
	struct collect_client **link = collect_place(keep, id);

	if (*link)
		return *link;
	*link = slab_take(&keep->slab);
	if (!*link)
		return NULL;
	(*link)->id = id;
	keep->clients++;
	pump_hold(keep->context->pumps, id, keep->full);
	return *link;
}

void collect_release(struct collect_keep *keep, struct collect_client *client)
{
	if (client->gone && !client->items)
		slab_give(&keep->slab, client);
}

static void collect_drop_body(struct collect_keep *keep, struct collect_client *client)
{
	if (!client->body)
		return;
	keep->under_way -= client->body_bytes;
	free(client->body);
	client->body = NULL;
}

/* Its id may be another's from now on. What it sent is committed nevertheless. */
static void collect_gone(struct collect_keep *keep, uint64_t id)
{
	struct collect_client **link = collect_place(keep, id), *client = *link;

	if (!client)
		return;
	*link = client->next;
	if (client->framed) {
		link = collect_name_place(keep, client->name);
		if (*link == client)
			*link = client->alike;
	}
	if (client->joined)
		collect_tell_client(keep, client, "collect.leave");
	collect_drop_body(keep, client);
	keep->clients--;
	client->gone = true;
	collect_release(keep, client);
}

void collect_tell(struct collect_keep *keep, const struct collect_client *client, uint32_t kind,
		  uint64_t number)
{
	struct message message = {.kind = kind, .number = {number}};

	if (!client->gone)
		pump_tell(keep->context->pumps, client->id, &message);
}

void collect_refuse(struct collect_keep *keep, struct collect_client *client,
		    enum feed_refusal code, const char *reason)
{
	struct message message = {
		.kind = FEED_REFUSED, .number = {code}, .body = bytes_of_string(reason)};

	if (client->refused || client->gone)
		return;
	client->refused = true;
	keep->refused++;
	pump_tell(keep->context->pumps, client->id, &message);
}

/* What waits. */

size_t collect_waiting(const struct collect_keep *keep)
{
	return keep->queue.bytes + keep->job->queue.bytes + keep->under_way;
}

/* Whoever is in the middle of a body goes on to its end: its room is counted already, and nothing
 * but its end makes it free. */
static void collect_hold_one(const struct collect_keep *keep, const struct collect_client *client)
{
	pump_hold(keep->context->pumps, client->id, keep->full && !client->body);
}

void collect_hold(struct collect_keep *keep, bool full)
{
	if (keep->full == full)
		return;
	keep->full = full;
	keep->full_ns = collect_now(keep)->boot_ns;
	collect_tell_full(keep);
	for (unsigned i = 0; i < COLLECT_BUCKETS; i++)
		for (struct collect_client *c = keep->by_id[i]; c; c = c->next)
			collect_hold_one(keep, c);
}

static bool collect_is_slow(const struct collect_client *client, uint64_t now_ns)
{
	uint64_t ms = (now_ns - client->body_ns) / MOMENT_MS;

	return client->body && ms > COLLECT_GRACE_MS &&
	       client->body_len < (ms - COLLECT_GRACE_MS) * COLLECT_LEAST_BYTES_S / 1000;
}

/* What else waits is gone once it is committed: only bodies may take up the room for ever. */
void collect_give_up(struct collect_keep *keep)
{
	uint64_t now_ns = collect_now(keep)->boot_ns;
	bool much = keep->under_way > COLLECT_WAITING_BYTES / 2;

	if (!keep->full)
		return;
	for (unsigned i = 0; much && i < COLLECT_BUCKETS; i++)
		for (struct collect_client *c = keep->by_id[i]; c; c = c->next) {
			if (!collect_is_slow(c, now_ns))
				continue;
			collect_drop_body(keep, c);
			collect_refuse(keep, c, FEED_NO_STORE, "others wait for the room");
		}
	if (collect_waiting(keep) <= COLLECT_WAITING_BYTES / 2)
		collect_hold(keep, false);
}

/* A place for what `client` said; NULL, and it is refused, when there is none. */
static struct collect_item *collect_add(struct collect_keep *keep, struct collect_client *client,
					enum collect_kind kind, size_t body_bytes)
{
	struct collect_item *item = collect_put(&keep->queue, body_bytes);

	if (!item) {
		collect_refuse(keep, client, FEED_NO_STORE, "no memory for more just now");
		return NULL;
	}
	item->kind = (uint8_t)kind;
	item->client = client;
	client->items++;
	return item;
}

static void collect_added(struct collect_keep *keep)
{
	if (collect_waiting(keep) >= COLLECT_WAITING_BYTES)
		collect_hold(keep, true);
	collect_go_on(keep);
}

/* Its id and its host's name, which end up in a client of its own, unless one lives that has the
 * id. */
static void collect_join(struct collect_keep *keep, struct collect_client *client,
			 const struct message *message)
{
	size_t end = bytes_find_byte(message->body, '\0');
	struct bytes host = bytes_after(message->body, end < message->body.len ? end + 1 : end);
	struct collect_client **link;
	struct text name, where;

	if (client->name[0])
		return;
	name = TEXT_OVER(client->name);
	where = TEXT_OVER(client->host);
	text_put(&name, bytes_first(message->body, end));
	text_put(&where, host);
	if (name.cut || where.cut || !name.len) {
		collect_refuse(keep, client, FEED_BAD_FRAME, "this is no id");
		return;
	}
	link = collect_name_place(keep, client->name);
	if (*link) {
		collect_refuse(keep, client, FEED_HELD,
			       "another connection that lives has this id");
		return;
	}
	*link = client;
	client->framed = true;
	if (collect_add(keep, client, COLLECT_JOIN, 0))
		collect_added(keep);
}

/* Part of a body: all of its room is counted from its first on. */
static void collect_piece(struct collect_keep *keep, struct collect_client *client,
			  const struct message *message)
{
	uint64_t at = message->number[0], whole = message->number[1];

	if (!client->body && at == 0 && whole <= FEED_BODY_BYTES) {
		client->body = malloc(whole);
		client->body_bytes = (uint32_t)whole;
		client->body_len = 0;
		client->body_ns = collect_now(keep)->boot_ns;
		keep->under_way += client->body ? whole : 0;
	}
	if (!client->body || at != client->body_len ||
	    message->body.len > client->body_bytes - client->body_len) {
		collect_refuse(keep, client, FEED_NO_STORE, "no memory for more just now");
		return;
	}
	memcpy(client->body + at, message->body.data, message->body.len);
	client->body_len += (uint32_t)message->body.len;
	collect_added(keep);
}

static void collect_records(struct collect_keep *keep, struct collect_client *client,
			    const struct message *message)
{
	size_t before = client->body ? client->body_len : 0;
	struct collect_item *item;

	if (!client->joined) {
		collect_refuse(keep, client, FEED_BAD_FRAME, "records before the welcome");
		return;
	}
	item = collect_add(keep, client, COLLECT_RECORDS, before + message->body.len);
	if (!item)
		return;
	item->first = message->number[0];
	item->count = (uint32_t)message->number[1];
	item->raw_bytes = (uint32_t)message->number[2];
	keep->queue.last->raw_bytes += item->raw_bytes;
	item->packed = message->number[3] != 0;
	if (before)
		memcpy(item->body, client->body, before);
	memcpy(item->body + before, message->body.data, message->body.len);
	collect_drop_body(keep, client);
	if (keep->full)
		collect_hold_one(keep, client);
	collect_added(keep);
}

/* A name once given stays: the work thread reads it. */
static void collect_name_plain(struct collect_client *client, const struct message *message)
{
	struct address remote = {.family = (uint8_t)message->number[1]};
	struct text name = TEXT_OVER(client->name);

	memcpy(remote.ip, &message->number[2], sizeof remote.ip);
	address_put_ip(&name, &remote);
}

static void collect_plain(struct collect_keep *keep, struct collect_client *client,
			  const struct message *message)
{
	struct collect_item *item;

	if (!message->body.len || message->body.len > CHANGE_PATH_BYTES ||
	    bytes_find_byte(message->body, '\0') < message->body.len) {
		keep->refused++;
		return;
	}
	if (!client->name[0])
		collect_name_plain(client, message);
	item = collect_add(keep, client, COLLECT_PLAIN, message->body.len);
	if (!item)
		return;
	item->type = (uint8_t)message->number[0];
	item->time_us = collect_now(keep)->wall_us;
	memcpy(item->body, message->body.data, message->body.len);
	collect_added(keep);
}

static void collect_told(void *state, uint64_t from, const struct message *message)
{
	struct collect_keep *keep = state;
	struct collect_client *client;

	if (message->kind == FEED_GONE) {
		collect_gone(keep, from);
		return;
	}
	client = collect_client(keep, from);
	if (!client) {
		pump_tell(keep->context->pumps, from,
			  &(struct message){.kind = FEED_REFUSED,
					    .number = {FEED_NO_STORE},
					    .body = BYTES_LITERAL("no memory for more")});
		return;
	}
	if (client->refused)
		return;
	if (message->kind == FEED_JOIN)
		collect_join(keep, client, message);
	else if (message->kind == FEED_PIECE)
		collect_piece(keep, client, message);
	else if (message->kind == FEED_RECORDS)
		collect_records(keep, client, message);
	else if (message->kind == FEED_PLAIN)
		collect_plain(keep, client, message);
}

/* What is due without anybody's word: another try, the next look at what is too old. */
static void collect_due(struct wheel_timer *timer, void *loop)
{
	struct collect_keep *keep = (struct collect_keep *)((char *)timer -
							    offsetof(struct collect_keep, timer));

	keep->pruning = true; /* time alone makes changes too old */
	collect_go_on(keep);
	collect_give_up(keep);
	collect_tell_full(keep);
	collect_tell_omitted(keep);
	loop_arm(loop, timer, collect_now(keep)->boot_ns + COLLECT_RETRY_MS * MOMENT_MS);
}

/* Start and end. */

void collect_free(struct collect_keep *keep)
{
	struct collect_job *job = keep->job;

	if (job) {
		journal_close(job->journal);
		unpacker_destroy(job->unpacker);
		sem_destroy(&job->ended);
		collect_clear(&job->queue);
		free(job->live);
		free(job->raw);
		free(job);
	}
	collect_clear(&keep->queue);
	for (unsigned i = 0; i < COLLECT_BUCKETS; i++)
		for (struct collect_client *c = keep->by_id[i]; c; c = c->next)
			free(c->body);
	slab_end(&keep->slab);
	free(keep);
}

static int collect_open(struct collect_keep *keep, char *why)
{
	const struct collect_settings *settings = keep->context->settings;
	struct collect_job *job = calloc(1, sizeof *job);
	int err = ERR_MEMORY;

	keep->job = job;
	if (!job)
		return ERR_MEMORY;
	sem_init(&job->ended, 0, 0);
	job->job.run = collect_run;
	job->job.done = collect_done;
	job->keep = keep;
	job->raw = malloc(FEED_RAW_BYTES);
	job->kept = (struct journal_settings){settings->keep_ms, settings->keep_bytes};
	snprintf(job->path, sizeof job->path, "%s/%s", keep->context->state_dir,
		 collect_keeper.record);
	if (job->raw)
		err = unpacker_create(&job->unpacker);
	if (!err)
		err = journal_open(&job->journal, job->path, &job->kept, why);
	if (!err)
		err = journal_state(job->journal, &job->state);
	keep->state = job->state;
	return err;
}

static void collect_tell_start(struct collect_keep *keep, int err, const char *why)
{
	struct event e;

	collect_event(keep, &e, EVENT_ERROR, "collect.failed");
	event_string(&e, "error", err_name(err));
	if (why[0])
		event_string(&e, "text", why);
	event_string(&e, "path", keep->context->state_dir);
	collect_publish(keep, &e);
}

static int collect_start(void **state, const struct service_context *context)
{
	struct collect_keep *keep = calloc(1, sizeof *keep);
	char why[256] = "";
	int err;

	if (!keep)
		return ERR_MEMORY;
	keep->context = context;
	slab_init(&keep->slab, sizeof(struct collect_client));
	keep->salt = loop_random(context->loop);
	keep->timer.due = collect_due;
	err = collect_open(keep, why);
	if (err) {
		collect_tell_start(keep, err, why);
		collect_free(keep);
		return err == ERR_PROTOCOL ? ERR_SYNTAX : err == ERR_SYNTAX ? ERR_RANGE : err;
	}
	collect_due(&keep->timer, context->loop);
	*state = keep;
	return 0;
}

static void collect_count_plain(struct collect_keep *keep, struct collect_item *item, void *count)
{
	*(uint64_t *)count += item->kind == COLLECT_PLAIN;
}

/* The last commits, without a thread: all clients are gone, and of what plain ones said there is no
 * other copy. */
static void collect_finish(struct collect_keep *keep)
{
	struct collect_job *job = keep->job;
	uint64_t lost = 0;
	struct event e;

	collect_prepend(&keep->queue, job->queue);
	job->queue = keep->queue;
	keep->queue = (struct collect_queue){0};
	job->task = COLLECT_COMMIT;
	job->lines_most = 0;
	if (!job->queue.first)
		return;
	for (unsigned tries = 0; tries < 2; tries++) {
		if (job->gone)
			collect_forget_numbers(&job->queue);
		collect_run(&job->job);
		if (!job->err)
			return;
		if (!job->gone)
			break;
	}
	collect_each_item(keep, &job->queue, collect_count_plain, &lost);
	if (!lost)
		return;
	collect_event(keep, &e, EVENT_ERROR, "collect.lost");
	event_string(&e, "error", err_name(job->err));
	event_uint(&e, "count", lost);
	collect_publish(keep, &e);
}

static void collect_stop(void *state)
{
	struct collect_keep *keep = state;
	struct collect_job *job = keep->job;
	bool running = keep->at_work && !work_withdraw(keep->context->work, &job->job);

	loop_disarm(collect_loop(keep), &keep->timer);
	keep->stopped = true;
	if (running) {
		sem_wait(&job->ended);
		if (job->task == COLLECT_COMMIT && !job->err)
			collect_clear(&job->queue);
	}
	collect_finish(keep);
	journal_close(job->journal); /* whoever comes next may open it now */
	job->journal = NULL;
	if (!running)
		collect_free(keep);
}

static void collect_show(void *state, bool whole, struct text *json)
{
	const struct collect_keep *keep = state;
	const struct journal_state *s = &keep->state;

	text_printf(json, "{\"clients\":%u,\"waiting_bytes\":%zu,\"failing\":%d", keep->clients,
		    collect_waiting(keep), keep->failing);
	text_printf(json, ",\"rows\":%llu,\"newest\":%llu,\"store_bytes\":%llu",
		    (unsigned long long)s->rows, (unsigned long long)s->newest,
		    (unsigned long long)s->bytes);
	text_printf(json, ",\"commits_total\":%llu,\"records_total\":%llu,\"refused_total\":%llu",
		    (unsigned long long)keep->commits, (unsigned long long)keep->records,
		    (unsigned long long)keep->refused);
	text_printf(json, ",\"omitted_total\":%llu,\"last_commit_seconds\":%lld}",
		    (unsigned long long)keep->omitted, (long long)(keep->committed_us / 1000000));
}

const struct service_keeper collect_keeper = {
	.start = collect_start,
	.told = collect_told,
	.gone_kind = FEED_GONE,
	.stop = collect_stop,
	.show = collect_show,
	.record = "collect.db",
	.mend = N_("moving it and its -wal and -shm away: what it holds is gone then, and clients "
		   "tell their trees anew"),
};
