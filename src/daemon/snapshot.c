/* Snapshots under way. Each goes to the first thread as mail, which looks up what there is to see.
 * Connections are seen in all workers at once; the last of them to be done sends the whole on. The
 * pumps outlive that: a service that is freed has every worker called first, and that call stands
 * behind these mails, since both are posted by the first thread. That thread's own part has no such
 * call to wait for it (worker_call runs it directly), and is therefore seen at once.
 *
 * What a loop did not come to before it ended stays on the list, which frees it. */
#include "daemon/snapshot.h"

#include "base/err.h"
#include "daemon/snapshot_parts.h"

#include <stdlib.h>

enum { SNAPSHOT_PUMPS_MOST = 2 * CONFIGURATION_SERVICES_MOST, SNAPSHOT_CLOCK_US = 10000 };

/* One worker's connections. */
struct snapshot_part {
	struct loop_mail mail;
	struct snapshot *snapshot;
	int err;
	unsigned pumps;
	struct {
		const struct pump *pump;
		const char *service;
	} pump[SNAPSHOT_PUMPS_MOST];
	uint64_t total;
	unsigned rows;
	struct snapshot_row *row;
};

struct snapshot {
	struct loop_mail mail;
	struct snapshot *next, **link;
	struct snapshot_list *list;
	struct snapshot_question question;
	struct loop *asker;
	void (*done)(void *owner, uint64_t tag, const struct snapshot_answer *answer);
	void *owner;
	uint64_t tag;
	int err;
	struct text text;
	atomic_uint going; /* parts that are not done */
	unsigned parts;
	struct snapshot_part *part;
};

struct snapshot_list {
	struct daemon *daemon;
	pthread_mutex_t lock;
	struct snapshot *first;
	_Atomic int64_t boot_wall_us;
};

int snapshot_create(struct snapshot_list **created, struct daemon *daemon)
{
	struct snapshot_list *list = calloc(1, sizeof *list);

	if (!list)
		return ERR_MEMORY;
	list->daemon = daemon;
	pthread_mutex_init(&list->lock, NULL);
	*created = list;
	return 0;
}

static void snapshot_free(struct snapshot *s)
{
	pthread_mutex_lock(&s->list->lock);
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	pthread_mutex_unlock(&s->list->lock);
	for (unsigned i = 0; i < s->parts; i++)
		free(s->part[i].row);
	free(s->part);
	free(s->text.data);
	free(s);
}

void snapshot_destroy(struct snapshot_list *list)
{
	if (!list)
		return;
	while (list->first) {
		struct snapshot *s = list->first;
		struct snapshot_answer none = {.err = ERR_DRAINED};

		s->done(s->owner, s->tag, &none);
		snapshot_free(s);
	}
	pthread_mutex_destroy(&list->lock);
	free(list);
}

static int snapshot_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct snapshot_row *)a)->view.opened_ns;
	uint64_t y = ((const struct snapshot_row *)b)->view.opened_ns;

	return x < y ? 1 : x > y ? -1 : 0;
}

static unsigned snapshot_most(const struct snapshot *s)
{
	return (unsigned)(s->question.offset + s->question.limit);
}

/* Adds rows, and keeps the newest of all. */
static void snapshot_add(struct snapshot_part *part, const struct snapshot_row *rows,
			 unsigned count)
{
	unsigned most = snapshot_most(part->snapshot);
	struct snapshot_row *grown = realloc(part->row, (part->rows + count + 1) * sizeof *grown);

	if (!grown) {
		part->err = ERR_MEMORY;
		return;
	}
	part->row = grown;
	memcpy(grown + part->rows, rows, count * sizeof *rows);
	part->rows += count;
	qsort(grown, part->rows, sizeof *grown, snapshot_compare);
	if (part->rows > most)
		part->rows = most;
}

static void snapshot_list_pump(struct snapshot_part *part, const struct pump *pump,
			       const char *service)
{
	unsigned most = snapshot_most(part->snapshot), open = pump_open(pump), count;
	struct pump_view *views = malloc((most < open ? most : open) * sizeof *views + 1);
	struct snapshot_row *rows = malloc((most < open ? most : open) * sizeof *rows + 1);

	if (views && rows) {
		count = pump_list(pump, views, most < open ? most : open);
		for (unsigned i = 0; i < count; i++)
			rows[i] = (struct snapshot_row){.service = service, .view = views[i]};
		snapshot_add(part, rows, count);
		part->total += open;
	} else {
		part->err = ERR_MEMORY;
	}
	free(views);
	free(rows);
}

/* When the boot clock was 0, by the wall clock: the same each time while nobody sets that, though
 * the two are never read at quite the same moment. */
static int64_t snapshot_boot_wall(struct snapshot_list *list, const struct moment *now)
{
	int64_t kept = atomic_load(&list->boot_wall_us);
	int64_t found = now->wall_us - (int64_t)(now->boot_ns / 1000);

	if (found - kept < SNAPSHOT_CLOCK_US && kept - found < SNAPSHOT_CLOCK_US)
		return kept;
	atomic_store(&list->boot_wall_us, found);
	return found;
}

/* All parts as one list. */
static void snapshot_join(struct snapshot *s, const struct moment *now)
{
	struct snapshot_part *whole = &s->part[0];

	for (unsigned i = 1; i < s->parts; i++) {
		snapshot_add(whole, s->part[i].row, s->part[i].rows);
		whole->total += s->part[i].total;
	}
	for (unsigned i = 0; i < s->parts; i++)
		s->err = s->part[i].err ? s->part[i].err : s->err;
	if (!s->err)
		snapshot_put_connections(&s->text, whole->row, whole->rows, s->question.offset,
					 whole->total, snapshot_boot_wall(s->list, now));
}

/* In the asker's thread. */
static void snapshot_deliver(struct loop_mail *mail, struct loop *loop)
{
	struct snapshot *s = (struct snapshot *)mail;
	struct snapshot_answer answer;

	if (s->parts)
		snapshot_join(s, loop_now(loop));
	if (!s->err && s->text.cut)
		s->err = ERR_FULL;
	answer = (struct snapshot_answer){.err = s->err, .text = text_bytes(&s->text)};
	s->done(s->owner, s->tag, &answer);
	snapshot_free(s);
}

/* A mailbox of 65,536 that is full belongs to a loop that has stopped answering: so be it. */
static void snapshot_return(struct snapshot *s)
{
	s->mail.run = snapshot_deliver;
	loop_post(s->asker, &s->mail);
}

static void snapshot_part_done(struct snapshot_part *part)
{
	if (atomic_fetch_sub(&part->snapshot->going, 1) == 1)
		snapshot_return(part->snapshot);
}

/* In the worker's thread. */
static void snapshot_visit(struct loop_mail *mail, struct loop *loop)
{
	struct snapshot_part *part = (struct snapshot_part *)mail;

	for (unsigned i = 0; i < part->pumps && !part->err; i++)
		snapshot_list_pump(part, part->pump[i].pump, part->pump[i].service);
	snapshot_part_done(part);
}

static void snapshot_find_pumps(struct snapshot *s, struct running *r)
{
	const char *service = running_configuration(r)->row->name;

	if (s->question.service[0] && strcmp(service, s->question.service) != 0)
		return;
	for (unsigned w = 0; w < s->parts; w++) {
		const struct pump *pump = running_pump(r, w);
		struct snapshot_part *part = &s->part[w];

		if (!pump || part->pumps == SNAPSHOT_PUMPS_MOST)
			continue;
		part->pump[part->pumps].pump = pump;
		part->pump[part->pumps++].service = service;
	}
}

static void snapshot_scatter(struct snapshot *s)
{
	const struct daemon *d = s->list->daemon;

	s->part = calloc(d->workers, sizeof *s->part);
	if (!s->part) {
		s->err = ERR_MEMORY;
		snapshot_return(s);
		return;
	}
	s->parts = d->workers;
	atomic_store(&s->going, s->parts);
	for (unsigned i = 0; i < d->services; i++)
		snapshot_find_pumps(s, d->service[i]);
	for (unsigned i = 0; i < d->retired; i++)
		snapshot_find_pumps(s, d->old[i]);
	for (unsigned w = 0, parts = s->parts; w < parts; w++) {
		struct snapshot_part *part = &s->part[w];

		part->snapshot = s;
		part->mail.run = snapshot_visit;
		if (w == 0) {
			snapshot_visit(&part->mail, d->worker[w].loop);
		} else if (!loop_post(d->worker[w].loop, &part->mail)) {
			part->err = ERR_FULL;
			snapshot_part_done(part);
		}
	}
}

static int snapshot_show(struct snapshot *s, const char *service)
{
	const struct daemon *d = s->list->daemon;

	for (unsigned i = 0; i < d->services; i++)
		if (strcmp(running_configuration(d->service[i])->row->name, service) == 0 &&
		    running_show(d->service[i], true, &s->text))
			return 0;
	return ERR_NO_NAME;
}

/* In the first thread. */
static void snapshot_begin(struct loop_mail *mail, struct loop *loop)
{
	struct snapshot *s = (struct snapshot *)mail;
	const struct daemon *d = s->list->daemon;

	switch (s->question.kind) {
	case SNAPSHOT_STATUS:
		snapshot_put_status(&s->text, d);
		break;
	case SNAPSHOT_METRICS:
		snapshot_put_metrics(&s->text, d);
		break;
	case SNAPSHOT_ROLE:
		s->err = snapshot_show(s, "role");
		break;
	case SNAPSHOT_CONNECTIONS:
		snapshot_scatter(s);
		return;
	}
	snapshot_return(s);
}

static void snapshot_enlist(struct snapshot_list *list, struct snapshot *s)
{
	pthread_mutex_lock(&list->lock);
	s->next = list->first;
	s->link = &list->first;
	if (s->next)
		s->next->link = &s->next;
	list->first = s;
	pthread_mutex_unlock(&list->lock);
}

int snapshot_ask(struct snapshot_list *list, struct loop *loop,
		 const struct snapshot_question *question,
		 void (*done)(void *owner, uint64_t tag, const struct snapshot_answer *answer),
		 void *owner, uint64_t tag)
{
	struct snapshot *s = calloc(1, sizeof *s);
	char *memory = malloc(SNAPSHOT_TEXT_BYTES);

	if (!s || !memory) {
		free(s);
		free(memory);
		return ERR_MEMORY;
	}
	s->mail.run = snapshot_begin;
	s->list = list;
	s->question = *question;
	s->asker = loop;
	s->done = done;
	s->owner = owner;
	s->tag = tag;
	s->text = text_over(memory, SNAPSHOT_TEXT_BYTES);
	snapshot_enlist(list, s);
	if (loop_post(list->daemon->worker[0].loop, &s->mail))
		return 0;
	snapshot_free(s);
	return ERR_FULL;
}
