/* The hub of role: see role_hub.h. Its source is the proof in docs/protocols/role.md.
 *
 * The place of the principal (enum role_seat):
 *
 *                       the first in line is plain: its word at once
 *        ┌──► EMPTY ─────────────────────────────────────────────────────► PLAIN
 *        │      │ the first in line is structured                    leaves │ │ ROLE/1
 *        │      ▼                                                  ◄────────┘ │
 *        │   PENDING ◄────────────────────────────────────────────────────────┘
 *  leaves│      │ epoch and lease are on disk: its line
 *    bye │      ▼
 *        ├── HELD ──► lease ran out: told secondaire, `stale` until it beats ──► EMPTY
 *        │      │ left without bye
 *        │      ▼
 *        └── WAIT    nobody is appointed until the lease has run out (after a restart, too)
 *
 * Whoever is in line, stale or not, is in one list: the fresh before the stale, then by priority,
 * then by age. So the head is the next principal, or nobody is. An EMPTY seat means that the line
 * is empty or all stale.
 *
 * The record that the disk should hold follows from seat and epoch alone (wanted_record). One
 * request is under way at a time; when it is answered and something else is wanted by then, the
 * next one goes out, so a thousand promotions during one fsync are two requests; and where no lease
 * is on it, not before ROLE_REST_MS.
 *
 * Why two leases never overlap (docs/protocols/role.md says it in full): until_ns is never before
 * the announcement + lease, nor before the receipt of a beat of this reign + lease, and nobody else
 * is appointed earlier, but for bye. A client counts from the sending of its newest answered beat.
 * When the answer came behind its line, the beat was received in this reign (one that comes later
 * is answered behind the line that says secondaire); when it came ahead of it, the beat was
 * received before the announcement. Either way it was sent before the time from which until_ns
 * counts; drift is paid by the hundredth that the client gives up. After a restart the record, on
 * disk before the announcement, says for how long.
 *
 * Members are in a table, found by id through chained hash buckets. Index 0 anchors the line. */
#include "proto/role_hub.h"

#include <assert.h>

#define RETRY_FIRST_NS (100 * MOMENT_MS)
#define RETRY_MOST_NS  (10 * MOMENT_S)
#define REST_NS        (ROLE_REST_MS * MOMENT_MS)

enum { NOBODY = 0 };

enum role_seat { SEAT_EMPTY, SEAT_PLAIN, SEAT_PENDING, SEAT_HELD, SEAT_WAIT };

struct role_member {
	uint64_t id;
	uint64_t age;
	uint32_t priority;
	uint32_t next, previous; /* in line; of the principal unused */
	uint32_t chain;          /* next of the same bucket; next free one */
	bool structured, stale;
	uint8_t name_len;
	uint8_t name[ROLE_NAME_BYTES];
};

struct role_hub {
	uint64_t now_ns;   /* the latest moment seen: it never goes back */
	uint64_t due_ns;   /* the deadline that is set */
	uint64_t lease_ms; /* of every promotion */
	uint64_t joined;   /* ages given */

	uint64_t epoch;     /* of the newest promotion */
	uint64_t reign_ms;  /* PENDING, HELD and WAIT: that lease, or the record's at the start */
	uint64_t until_ns;  /* HELD and WAIT: when the lease has run out */
	uint32_t principal; /* PLAIN, PENDING and HELD, else NOBODY */
	uint8_t seat;       /* enum role_seat */

	bool saving;       /* a request is under way */
	bool saved_sure;   /* the disk holds `saved`, and not what a failed request left */
	bool disk_failed;  /* said so */
	uint64_t request;  /* number of the newest */
	uint64_t retry_ns; /* not before this; MOMENT_NEVER: no retry waits */
	uint64_t backoff_ns;
	uint64_t rest_ns;         /* what nobody waits for is not asked for before this */
	struct role_record saved; /* the newest that is on disk for certain */
	struct role_record tried; /* the request's */

	uint32_t capacity;
	uint32_t members;
	uint32_t touched; /* entries of `member` that were ever used, the anchor not counted */
	uint32_t free;    /* used ones that are free again */
	unsigned bits;    /* 2^bits buckets */
	uint32_t *bucket;
	struct role_member member[];
};

static unsigned bucket_bits(uint32_t capacity)
{
	unsigned bits = 1;

	while ((1u << bits) < capacity)
		bits++;
	return bits;
}

size_t role_hub_bytes(uint32_t capacity)
{
	return sizeof(struct role_hub) + (capacity + 1ull) * sizeof(struct role_member) +
	       sizeof(uint32_t) * (1ull << bucket_bits(capacity));
}

struct role_hub *role_hub_init(void *mem, uint32_t capacity, uint64_t lease_ms,
			       const struct role_record *record, const struct moment *now)
{
	struct role_hub *hub = mem;

	assert(capacity >= 1 && capacity <= ROLE_HUB_CAPACITY_MOST);
	*hub = (struct role_hub){
		.now_ns = now->boot_ns,
		.due_ns = MOMENT_NEVER,
		.lease_ms = lease_ms,
		.epoch = record->epoch,
		.seat = record->lease_ms ? SEAT_WAIT : SEAT_EMPTY,
		.reign_ms = record->lease_ms,
		.until_ns = now->boot_ns + record->lease_ms * MOMENT_MS,
		.saved_sure = true,
		.saved = *record,
		.retry_ns = MOMENT_NEVER,
		.capacity = capacity,
		.bits = bucket_bits(capacity),
		.bucket = (uint32_t *)&hub->member[capacity + 1],
	};
	hub->member[NOBODY] = (struct role_member){0};
	memset(hub->bucket, 0, sizeof(uint32_t) << hub->bits);
	return hub;
}

/* The table. */

static uint32_t *bucket_of(struct role_hub *hub, uint64_t id)
{
	return &hub->bucket[id * 0x9e3779b97f4a7c15ull >> (64 - hub->bits)];
}

static uint32_t member_find(struct role_hub *hub, uint64_t id)
{
	uint32_t m = *bucket_of(hub, id);

	while (m != NOBODY && hub->member[m].id != id)
		m = hub->member[m].chain;
	return m;
}

/* A fresh member, or NOBODY when the hub is full. */
static uint32_t member_add(struct role_hub *hub, uint64_t id)
{
	uint32_t *bucket = bucket_of(hub, id);
	uint32_t m = hub->free;

	if (m != NOBODY)
		hub->free = hub->member[m].chain;
	else if (hub->touched < hub->capacity)
		m = ++hub->touched;
	else
		return NOBODY;
	hub->member[m] = (struct role_member){.id = id, .age = ++hub->joined, .chain = *bucket};
	*bucket = m;
	hub->members++;
	return m;
}

static void member_remove(struct role_hub *hub, uint32_t m)
{
	uint32_t *at = bucket_of(hub, hub->member[m].id);

	while (*at != m)
		at = &hub->member[*at].chain;
	*at = hub->member[m].chain;
	hub->member[m].chain = hub->free;
	hub->free = m;
	hub->members--;
}

/* The line of succession. */

static bool comes_before(const struct role_member *a, const struct role_member *b)
{
	if (a->stale != b->stale)
		return b->stale;
	if (a->priority != b->priority)
		return a->priority > b->priority;
	return a->age < b->age;
}

/* Puts `m` where it belongs, looking for the place from both ends at once: from the tail for one
 * who just came, from the head for one of high priority. */
static void line_enter(struct role_hub *hub, uint32_t m)
{
	struct role_member *member = hub->member, *self = &member[m];
	uint32_t front = member[NOBODY].next, back = member[NOBODY].previous, next;

	for (;;) {
		if (back == NOBODY || comes_before(&member[back], self)) {
			next = member[back].next;
			break;
		}
		if (comes_before(self, &member[front])) {
			next = front;
			break;
		}
		back = member[back].previous;
		front = member[front].next;
	}
	self->next = next;
	self->previous = member[next].previous;
	member[self->previous].next = m;
	member[next].previous = m;
}

static void line_leave(struct role_hub *hub, uint32_t m)
{
	struct role_member *member = hub->member;

	member[member[m].previous].next = member[m].next;
	member[member[m].next].previous = member[m].previous;
}

/* 1 is the principal's place, or the next one's while there is no principal. Counted from both ends
 * at once, too. */
static uint32_t line_position(const struct role_hub *hub, uint32_t m)
{
	const struct role_member *member = hub->member;
	uint32_t before = member[m].previous, after = member[m].next, steps = 0;

	if (m == hub->principal)
		return 1;
	while (before != NOBODY && after != NOBODY) {
		before = member[before].previous;
		after = member[after].next;
		steps++;
	}
	if (after == NOBODY)
		return hub->members - steps;
	return 1 + steps + (hub->principal != NOBODY);
}

/* What is said. */

static void say_to(struct role_hub *hub, uint32_t m, struct out *out, const struct message *message)
{
	out_tell(out, hub->member[m].id, message);
}

static void say(struct role_hub *hub, uint32_t m, enum role_kind kind, struct out *out)
{
	say_to(hub, m, out, &(struct message){.kind = kind});
}

static void say_line(struct role_hub *hub, uint32_t m, enum role_kind kind, struct out *out)
{
	say_to(hub, m, out,
	       &(struct message){.kind = kind,
				 .number = {hub->saved.epoch, line_position(hub, m), hub->members,
					    hub->lease_ms}});
}

/* The disk. */

/* What the disk should hold. A lease is on it from before it is announced until it has run out or
 * was given back. */
static struct role_record wanted_record(const struct role_hub *hub)
{
	bool leased = hub->seat == SEAT_PENDING || hub->seat == SEAT_HELD || hub->seat == SEAT_WAIT;

	return (struct role_record){hub->epoch, leased ? hub->reign_ms : 0};
}

static bool record_is_saved(const struct role_hub *hub)
{
	struct role_record wanted = wanted_record(hub);

	return hub->saved_sure && hub->saved.epoch == wanted.epoch &&
	       hub->saved.lease_ms == wanted.lease_ms;
}

/* When the disk is to be asked next; MOMENT_NEVER: nothing is to be asked for now. Nobody waits for
 * an epoch without a lease: many that follow each other are one request. */
static uint64_t save_due_ns(const struct role_hub *hub)
{
	if (hub->saving || record_is_saved(hub))
		return MOMENT_NEVER;
	if (hub->retry_ns != MOMENT_NEVER)
		return hub->retry_ns;
	return wanted_record(hub).lease_ms != 0 || hub->saved.lease_ms != 0 ? 0 : hub->rest_ns;
}

static void save(struct role_hub *hub, struct out *out)
{
	if (hub->now_ns < save_due_ns(hub))
		return;
	hub->saving = true;
	hub->retry_ns = MOMENT_NEVER;
	hub->tried = wanted_record(hub);
	out_tell(out, OUT_OWNER,
		 &(struct message){
			 .kind = ROLE_PERSIST,
			 .number = {hub->tried.epoch, hub->tried.lease_ms, ++hub->request}});
}

/* Says once that the disk refuses, and once that it takes again. */
static void disk_event(struct role_hub *hub, int err, struct out *out, const struct moment *now)
{
	struct event *e;

	if (hub->disk_failed == (err < 0))
		return;
	hub->disk_failed = err < 0;
	e = out_event(out, now, err < 0 ? EVENT_ERROR : EVENT_NOTICE, "role.disk");
	event_bool(e, "ok", err == 0);
	if (err < 0)
		event_string(e, "error", err_name(err));
}

static void retry_later(struct role_hub *hub)
{
	hub->saved_sure = false;
	hub->backoff_ns = hub->backoff_ns ? 2 * hub->backoff_ns : RETRY_FIRST_NS;
	if (hub->backoff_ns > RETRY_MOST_NS)
		hub->backoff_ns = RETRY_MOST_NS;
	hub->retry_ns = hub->now_ns + hub->backoff_ns;
}

/* The seat. */

/* Appoints the first in line when the place is free and somebody may have it. */
static void fill(struct role_hub *hub, struct out *out)
{
	uint32_t m = hub->member[NOBODY].next;

	if (hub->seat != SEAT_EMPTY || m == NOBODY || hub->member[m].stale)
		return;
	line_leave(hub, m);
	hub->principal = m;
	hub->epoch++;
	if (hub->member[m].structured) {
		hub->seat = SEAT_PENDING;
		hub->reign_ms = hub->lease_ms;
	} else {
		hub->seat = SEAT_PLAIN;
		say(hub, m, ROLE_WORD_PRINCIPAL, out);
	}
}

/* Its epoch and lease are on disk: the line, and the lease begins. */
static void announce(struct role_hub *hub, struct out *out)
{
	if (hub->seat != SEAT_PENDING || !record_is_saved(hub))
		return;
	hub->seat = SEAT_HELD;
	hub->until_ns = hub->now_ns + hub->reign_ms * MOMENT_MS;
	say_line(hub, hub->principal, ROLE_LINE_PRINCIPAL, out);
}

/* A lease that ran out frees the place. Whoever held it goes behind everybody until it beats. */
static void expire(struct role_hub *hub, struct out *out)
{
	uint32_t m = hub->principal;

	if ((hub->seat != SEAT_HELD && hub->seat != SEAT_WAIT) || hub->now_ns < hub->until_ns)
		return;
	hub->seat = SEAT_EMPTY;
	hub->principal = NOBODY;
	if (m != NOBODY) {
		hub->member[m].stale = true;
		line_enter(hub, m);
		say_line(hub, m, ROLE_LINE_SECONDAIRE, out);
	}
	fill(hub, out);
}

/* The messages. */

static void join(struct role_hub *hub, uint64_t id, struct out *out)
{
	uint32_t m = member_find(hub, id);

	if (m != NOBODY)
		return;
	m = member_add(hub, id);
	if (m == NOBODY) {
		out_tell(out, id, &(struct message){.kind = ROLE_FULL});
		return;
	}
	line_enter(hub, m);
	fill(hub, out);
	if (m != hub->principal)
		say(hub, m, ROLE_WORD_SECONDAIRE, out);
}

/* A plain principal keeps place and epoch, and becomes structured once its lease is on disk. */
static void name(struct role_hub *hub, uint32_t m, const struct message *message, struct out *out)
{
	struct role_member *self = &hub->member[m];
	struct bytes b = bytes_first(message->body, ROLE_NAME_BYTES);

	if (self->structured)
		return;
	self->structured = true;
	self->priority = (uint32_t)message->number[0];
	self->name_len = (uint8_t)b.len;
	if (b.len > 0)
		memcpy(self->name, b.data, b.len);
	if (m == hub->principal) {
		hub->seat = SEAT_PENDING;
		hub->reign_ms = hub->lease_ms;
		return;
	}
	line_leave(hub, m);
	line_enter(hub, m);
	say_line(hub, m, ROLE_LINE_SECONDAIRE, out);
}

/* The answer goes out before what it brings about: a client counts it for what it was before. */
static void beat(struct role_hub *hub, uint32_t m, uint64_t n, struct out *out)
{
	struct role_member *self = &hub->member[m];

	if (!self->structured)
		return;
	if (m == hub->principal && hub->seat == SEAT_HELD)
		hub->until_ns = hub->now_ns + hub->reign_ms * MOMENT_MS;
	say_to(hub, m, out,
	       &(struct message){.kind = ROLE_BEATEN,
				 .number = {n, hub->saved.epoch, hub->lease_ms}});
	if (self->stale) {
		line_leave(hub, m);
		self->stale = false;
		line_enter(hub, m);
		fill(hub, out);
	}
}

/* Only a lease that was announced is waited for, and only when it was not given back. */
static void leave(struct role_hub *hub, uint32_t m, bool bye, struct out *out)
{
	if (m == hub->principal) {
		hub->seat = hub->seat == SEAT_HELD && !bye ? SEAT_WAIT : SEAT_EMPTY;
		hub->principal = NOBODY;
	} else {
		line_leave(hub, m);
	}
	member_remove(hub, m);
	fill(hub, out);
}

static void persisted(struct role_hub *hub, uint64_t request, int err, struct out *out,
		      const struct moment *now)
{
	if (!hub->saving || request != hub->request)
		return;
	hub->saving = false;
	disk_event(hub, err, out, now);
	if (err < 0) {
		retry_later(hub);
		return;
	}
	hub->saved = hub->tried;
	hub->saved_sure = true;
	hub->backoff_ns = 0;
	hub->rest_ns = hub->now_ns + REST_NS;
	announce(hub, out);
}

static void told_by_member(struct role_hub *hub, uint32_t m, const struct message *message,
			   struct out *out)
{
	switch (message->kind) {
	case ROLE_NAME:
		name(hub, m, message, out);
		break;
	case ROLE_BEAT:
		beat(hub, m, message->number[0], out);
		break;
	case ROLE_BYE:
		leave(hub, m, true, out);
		break;
	case ROLE_LEAVE:
		leave(hub, m, false, out);
		break;
	}
}

/* Every call begins here: time first, so that what is due is done before anything new counts. */
static void begin(struct role_hub *hub, struct out *out, const struct moment *now)
{
	if (now->boot_ns > hub->now_ns)
		hub->now_ns = now->boot_ns;
	expire(hub, out);
}

/* And ends here. What is said to machines is ahead of the request to the disk, which may be slow to
 * hand over. */
static void finish(struct role_hub *hub, struct out *out)
{
	uint64_t due_ns;

	save(hub, out);
	due_ns = save_due_ns(hub);
	if ((hub->seat == SEAT_HELD || hub->seat == SEAT_WAIT) && hub->until_ns < due_ns)
		due_ns = hub->until_ns;
	if (due_ns != hub->due_ns)
		out_deadline(out, due_ns);
	hub->due_ns = due_ns;
}

void role_hub_tell(struct role_hub *hub, uint64_t from, const struct message *message,
		   struct out *out, const struct moment *now)
{
	uint32_t m;

	begin(hub, out, now);
	m = member_find(hub, from);
	if (from == OUT_OWNER && message->kind == ROLE_PERSISTED)
		persisted(hub, message->number[0], -(int)message->number[1], out, now);
	else if (from != OUT_OWNER && message->kind == ROLE_JOIN)
		join(hub, from, out);
	else if (m != NOBODY)
		told_by_member(hub, m, message, out);
	finish(hub, out);
}

void role_hub_tick(struct role_hub *hub, struct out *out, const struct moment *now)
{
	hub->due_ns = MOMENT_NEVER;
	begin(hub, out, now);
	finish(hub, out);
}

uint64_t role_hub_epoch(const struct role_hub *hub)
{
	return hub->saved.epoch;
}

uint32_t role_hub_members(const struct role_hub *hub)
{
	return hub->members;
}

bool role_hub_each(const struct role_hub *hub, uint32_t *cursor, struct role_view *view)
{
	const struct role_member *self;
	uint32_t m = hub->member[*cursor].next;

	if (*cursor == NOBODY && hub->principal != NOBODY)
		m = hub->principal;
	else if (*cursor == hub->principal)
		m = hub->member[NOBODY].next;
	if (m == NOBODY)
		return false;
	*cursor = m;
	self = &hub->member[m];
	*view = (struct role_view){
		.id = self->id,
		.age = self->age,
		.priority = self->priority,
		.structured = self->structured,
		.principal = m == hub->principal && hub->seat != SEAT_PENDING,
		.stale = self->stale,
		.name = bytes_of(self->name, self->name_len),
	};
	return true;
}
