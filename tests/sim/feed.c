/* The feed over the simulated wire: watching clients, each with a spool, against a server with a
 * toy hub that takes its time to commit. Streams are cut anywhere and delayed, connections reset,
 * hosts killed and suspended, ways blocked; the hub refuses at random, and forgets what it has not
 * committed when its host is killed. Checked, each seed a world of its own:
 *
 *   - every record is committed once, in order, with the bytes that its owner gave;
 *   - a client hears of an acknowledgement only after the commit, and never of more;
 *   - pieces of a body come in order and complete; no more waits than the window allows;
 *   - two connections that live never hold one id;
 *   - once nothing goes wrong any more, everything arrives, and every client knows.
 *
 * SEED=N in the environment runs that world alone; SEEDS=N so many. */
#include "proto/feed.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WORLDS = 500, CLIENTS_MOST = 3, LINKS_MOST = 256, ID_BYTES = 96, COUNT_MOST = 50 };

#define TROUBLE_NS     (120 * MOMENT_S)
#define LONG_ENOUGH_NS (1500 * MOMENT_S)

struct world;

/* A connection, as the hub knows it. */
struct link {
	struct wire_end *end;
	struct world *world;
	struct client *client; /* once it has joined */
	bool gone, refused;
	uint8_t *pieces;
	size_t got, whole;
	uint64_t waiting_bytes; /* of frames not yet acknowledged */
};

/* A watching client: what it has to tell, and what it knows. */
struct client {
	struct world *world;
	struct wire_host *host;
	struct feed_client_settings settings;
	uint64_t newest;       /* in its spool */
	uint64_t acknowledged; /* as far as it knows */
	uint64_t sent;         /* in this connection; the next block begins behind it */
	bool first, wanted, connected;
	bool big;
	struct wire_end *end;
	char id[ID_BYTES];   /* as the hub has it */
	uint64_t committed;  /* by the hub */
	struct link *holder; /* the connection that has the id */
};

enum job_kind { JOB_JOIN, JOB_RECORDS };

/* What the hub has still to do, in order. */
struct job {
	struct job *next;
	enum job_kind kind;
	struct link *link;
	uint64_t first, count, raw, packed;
	size_t len;
	uint8_t body[];
};

struct world {
	uint64_t seed;
	struct wire *wire;
	struct wire_host *server;
	struct client client[CLIENTS_MOST];
	unsigned clients;
	struct link link[LINKS_MOST];
	unsigned links;
	struct job *first, **last;
	bool at_work, trouble;
	unsigned refusals, joins;
};

static void fail_world(const struct world *w, const char *what)
{
	fail_msg("%s (SEED=%llu)", what, (unsigned long long)w->seed);
}

static void require(const struct world *w, bool holds, const char *what)
{
	if (!holds)
		fail_world(w, what);
}

/* The bytes of a block, which say what they are of. */
static void fill(uint8_t *body, size_t len, uint64_t first, uint64_t count)
{
	uint64_t x = first * 0x9e3779b97f4a7c15u ^ count ^ len << 20;

	for (size_t i = 0; i < len; i++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		body[i] = (uint8_t)(x >> 56);
	}
}

/* The hub. */

static void hub_work(struct world *w);

static void hub_tell(struct link *link, uint32_t kind, uint64_t number)
{
	struct message message = {.kind = kind, .number = {number}};

	if (!link->gone)
		wire_tell(link->end, &message);
}

static void hub_refuse(struct link *link, enum feed_refusal code)
{
	struct message message = {
		.kind = FEED_REFUSED, .number = {code}, .body = BYTES_LITERAL("for a reason")};

	link->refused = true;
	link->world->refusals++;
	if (!link->gone)
		wire_tell(link->end, &message);
}

static void hub_gone(struct link *link)
{
	if (link->client && link->client->holder == link)
		link->client->holder = NULL;
	link->gone = true;
	free(link->pieces);
	link->pieces = NULL;
}

static struct client *hub_client(struct world *w, struct bytes id)
{
	for (unsigned i = 0; i < w->clients; i++) {
		if (bytes_equal(id, bytes_of_string(w->client[i].id)))
			return &w->client[i];
	}
	fail_world(w, "nobody has this id");
	return NULL;
}

static void hub_put(struct link *link, enum job_kind kind, const uint64_t *number,
		    struct bytes body)
{
	struct world *w = link->world;
	struct job *job = malloc(sizeof(*job) + body.len);

	assert_non_null(job);
	*job = (struct job){.kind = kind, .link = link, .len = body.len};
	if (number) {
		job->first = number[0];
		job->count = number[1];
		job->raw = number[2];
		job->packed = number[3];
	}
	if (body.len)
		memcpy(job->body, body.data, body.len);
	*w->last = job;
	w->last = &job->next;
	hub_work(w);
}

static void hub_join(struct link *link, const struct message *m)
{
	struct world *w = link->world;
	size_t end = bytes_find_byte(m->body, '\0');

	require(w, !link->client, "a connection joins twice");
	link->client = hub_client(w, bytes_first(m->body, end));
	require(w,
		bytes_equal(bytes_after(m->body, end + 1),
			    bytes_of_string(link->client->settings.host)),
		"another host's name");
	w->joins++;
	if (link->client->holder) {
		hub_refuse(link, FEED_HELD);
		return;
	}
	link->client->holder = link;
	hub_put(link, JOB_JOIN, NULL, (struct bytes){0});
}

static void hub_piece(struct link *link, const struct message *m)
{
	struct world *w = link->world;

	require(w, m->number[0] == link->got, "a piece in another place");
	require(w, m->number[1] <= FEED_BODY_BYTES, "a body that is too long");
	require(w, m->body.len > 0 && m->number[0] + m->body.len < m->number[1],
		"a piece that is none");
	if (!link->pieces) {
		link->whole = m->number[1];
		link->pieces = malloc(link->whole);
		assert_non_null(link->pieces);
	}
	require(w, m->number[1] == link->whole, "a body of two lengths");
	memcpy(link->pieces + link->got, m->body.data, m->body.len);
	link->got += m->body.len;
}

static void hub_records(struct link *link, const struct message *m)
{
	struct world *w = link->world;
	struct bytes body = m->body;

	if (link->pieces) {
		require(w, link->got + body.len == link->whole, "a body that is not whole");
		memcpy(link->pieces + link->got, body.data, body.len);
		body = bytes_of(link->pieces, link->whole);
	}
	link->waiting_bytes += FEED_HEAD_BYTES + FEED_RECORDS_BYTES + body.len;
	require(w, link->waiting_bytes <= FEED_WINDOW_BYTES, "more than the window");
	hub_put(link, JOB_RECORDS, m->number, body);
	free(link->pieces);
	link->pieces = NULL;
	link->got = 0;
}

static void hub_told(struct wire_end *e, uint64_t to, const struct message *m)
{
	struct link *link = wire_end_context(e);

	require(link->world, to == OUT_HUB, "a message to somebody else");
	if (link->gone || link->refused) {
		if (m->kind == FEED_GONE)
			hub_gone(link);
		return;
	}
	if (m->kind == FEED_JOIN)
		hub_join(link, m);
	else if (m->kind == FEED_PIECE)
		hub_piece(link, m);
	else if (m->kind == FEED_RECORDS)
		hub_records(link, m);
	else if (m->kind == FEED_GONE)
		hub_gone(link);
}

static void hub_closed(struct wire_end *e, int why)
{
	hub_gone(wire_end_context(e));
}

static void hub_commit(struct job *job)
{
	struct client *c = job->link->client;
	struct world *w = c->world;
	uint64_t last = job->first + job->count - 1;
	uint8_t *expected = malloc(job->len);

	assert_non_null(expected);
	fill(expected, job->len, job->first, job->count);
	require(w, memcmp(expected, job->body, job->len) == 0, "other bytes");
	free(expected);
	require(w, job->packed || job->raw == job->len, "another length");
	require(w, job->first <= c->committed + 1, "numbers are missing");
	require(w, last <= c->newest, "numbers that were never given");
	if (last > c->committed)
		c->committed = last;
}

/* Whether more of that connection is to be done: then one acknowledgement may do for both. */
static bool hub_has_more(const struct world *w, const struct link *link)
{
	const struct job *job = w->first;

	while (job && job->link != link)
		job = job->next;
	return job != NULL;
}

/* One job, as long as it took. */
static void hub_done(void *context, uint64_t number)
{
	struct world *w = context;
	struct job *job = w->first;
	struct link *link = job->link;

	w->first = job->next;
	if (!w->first)
		w->last = &w->first;
	w->at_work = false;
	if (job->kind == JOB_JOIN) {
		hub_tell(link, FEED_JOINED, link->client->committed);
	} else if (link->refused) {
		/* what was sent before the refusal, and not taken */
	} else if (w->trouble && wire_chance(w->wire, 2)) {
		hub_refuse(link, FEED_NO_STORE);
	} else {
		hub_commit(job);
		link->waiting_bytes -= FEED_HEAD_BYTES + FEED_RECORDS_BYTES + job->len;
		if (wire_chance(w->wire, 80) || !hub_has_more(w, link))
			hub_tell(link, FEED_COMMITTED, link->client->committed);
	}
	free(job);
	hub_work(w);
}

static void hub_work(struct world *w)
{
	uint64_t most = wire_chance(w->wire, 95) ? 5 * MOMENT_MS : 5 * MOMENT_S;

	if (w->at_work || !w->first)
		return;
	w->at_work = true;
	wire_after(w->server, wire_between(w->wire, 0, most), hub_done, w, 0);
}

/* Its host was killed: what was committed is there, all else is forgotten. */
static void hub_forget(struct world *w)
{
	while (w->first) {
		struct job *job = w->first;

		w->first = job->next;
		free(job);
	}
	w->last = &w->first;
	w->at_work = false;
	for (unsigned i = 0; i < w->links; i++)
		hub_gone(&w->link[i]);
}

/* A client's owner. */

static void owner_block(struct client *c)
{
	struct world *w = c->world;
	static uint8_t body[FEED_BODY_BYTES];
	uint64_t first = c->sent + 1, count;
	struct message m = {.kind = FEED_BLOCK};

	if (!c->wanted || c->sent == c->newest)
		return;
	if (c->first && wire_chance(w->wire, 30)) /* a block that the server has in part */
		first -= wire_between(w->wire, 0, c->sent < 10 ? c->sent : 10);
	if (first == 0)
		first = 1;
	count = wire_between(w->wire, c->sent + 1, c->newest) - first + 1;
	if (count > COUNT_MOST && first + COUNT_MOST - 1 > c->sent)
		count = COUNT_MOST;
	m.body = bytes_of(body, wire_between(w->wire, count, c->big ? 300000 : 40 * count));
	if (c->big && wire_chance(w->wire, 20))
		m.body.len = FEED_BODY_BYTES;
	fill(body, m.body.len, first, count);
	m.number[0] = first;
	m.number[1] = count;
	m.number[2] = m.body.len;
	m.number[3] = wire_chance(w->wire, 50);
	if (m.number[3])
		m.number[2] = wire_between(w->wire, count, FEED_RAW_BYTES);
	c->sent = first + count - 1;
	c->first = c->wanted = false;
	wire_tell(c->end, &m);
}

static void owner_told(struct wire_end *e, uint64_t to, const struct message *m)
{
	struct client *c = wire_end_context(e);
	struct world *w = c->world;

	require(w, to == OUT_OWNER, "a message to somebody else");
	if (e != c->end)
		return;
	if (m->kind == FEED_READY) {
		require(w, m->number[0] >= c->acknowledged, "the server went back");
		require(w, m->number[0] <= c->committed, "ready above what is committed");
		c->sent = c->acknowledged = m->number[0];
		c->first = true;
	} else if (m->kind == FEED_ACKED) {
		require(w, m->number[0] <= c->committed, "acknowledged before the commit");
		require(w, m->number[0] > c->acknowledged, "acknowledged twice");
		c->acknowledged = m->number[0];
	} else if (m->kind == FEED_WANT) {
		require(w, !c->wanted, "asked twice");
		c->wanted = true;
		owner_block(c);
	}
}

static void owner_connect(void *context, uint64_t number);

static void owner_closed(struct wire_end *e, int why)
{
	struct client *c = wire_end_context(e);
	struct world *w = c->world;

	require(w, why != ERR_PROTOCOL && why != ERR_USAGE, err_text(why));
	if (e != c->end)
		return;
	c->connected = c->wanted = false;
	wire_after(c->host, wire_between(w->wire, 1, 3000) * MOMENT_MS, owner_connect, c, 0);
}

static void owner_connect(void *context, uint64_t number)
{
	static const struct wire_holder client_holder = {.told = owner_told,
							 .closed = owner_closed};
	static const struct wire_holder server_holder = {.told = hub_told, .closed = hub_closed};
	struct client *c = context;
	struct world *w = c->world;
	struct link *link = &w->link[w->links];
	struct wire_plan client = {.host = c->host,
				   .machine = &feed_client_machine,
				   .settings = &c->settings,
				   .holder = &client_holder,
				   .context = c};
	struct wire_plan server = {.host = w->server,
				   .machine = &collect_machine,
				   .holder = &server_holder,
				   .context = link};

	if (c->connected)
		return;
	require(w, w->links < LINKS_MOST, "too many connections");
	*link = (struct link){.world = w};
	c->end = wire_connect(w->wire, &client, &server, &link->end);
	if (!c->end) {
		wire_after(c->host, MOMENT_S, owner_connect, c, 0);
		return;
	}
	w->links++;
	c->connected = true;
	c->wanted = false;
}

/* Something happens on the watched machine. */
static void owner_grow(void *context, uint64_t number)
{
	struct client *c = context;
	struct world *w = c->world;

	if (!w->trouble)
		return;
	c->newest += wire_between(w->wire, 1, wire_chance(w->wire, 90) ? 5 : 500);
	if (c->connected)
		owner_block(c);
	wire_after(c->host, wire_between(w->wire, 1, 4000) * MOMENT_MS, owner_grow, c, 0);
}

/* The world. */

static void client_killed(struct client *c, bool loudly)
{
	wire_host_kill(c->host, loudly);
	c->connected = c->wanted = false;
	c->end = NULL;
	wire_after(c->host, MOMENT_S, owner_connect, c, 0);
	wire_after(c->host, MOMENT_S, owner_grow, c, 0);
}

static void unblock(void *context, uint64_t number)
{
	struct world *w = context;

	for (unsigned i = 0; i < w->clients; i++) {
		wire_block(w->wire, w->server, w->client[i].host, false);
		wire_block(w->wire, w->client[i].host, w->server, false);
		if (wire_host_get(w->client[i].host) != WIRE_RUNNING)
			wire_host_set(w->client[i].host, WIRE_RUNNING);
	}
	if (wire_host_get(w->server) != WIRE_RUNNING)
		wire_host_set(w->server, WIRE_RUNNING);
}

static void misfortune(struct world *w)
{
	struct client *c = &w->client[wire_between(w->wire, 0, w->clients - 1)];
	bool loudly = wire_chance(w->wire, 50);

	switch (wire_between(w->wire, 0, 6)) {
	case 0:
		if (c->connected)
			wire_reset(c->end);
		break;
	case 1:
		client_killed(c, loudly);
		break;
	case 2:
		wire_host_kill(w->server, loudly);
		hub_forget(w);
		break;
	case 3:
		wire_block(w->wire, w->server, c->host, true);
		break;
	case 4:
		wire_block(w->wire, c->host, w->server, true);
		break;
	case 5:
		wire_host_set(c->host, loudly ? WIRE_STOPPED : WIRE_SUSPENDED);
		break;
	case 6:
		wire_host_set(w->server, WIRE_STOPPED);
		break;
	}
}

static void world_begin(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .wire = wire_new(seed), .trouble = true};
	w->last = &w->first;
	w->server = wire_host_add(w->wire, 30);
	w->clients = (unsigned)wire_between(w->wire, 1, CLIENTS_MOST);
	for (unsigned i = 0; i < w->clients; i++) {
		struct client *c = &w->client[i];
		struct text id = TEXT_OVER(c->id);

		c->world = w;
		c->host = wire_host_add(w->wire, -50);
		c->settings.host = i ? "vega" : "deneb";
		c->big = seed % 40 == 0;
		text_printf(&id, "plain:10.0.0.%u/", i + 2); /* the wire numbers its hosts so */
		for (unsigned k = 0; k < FEED_INSTANCE_BYTES; k++) {
			c->settings.instance[k] = (uint8_t)(seed * 31 + i * 7 + k);
			text_printf(&id, "%02x", c->settings.instance[k]);
		}
		wire_after(c->host, 0, owner_connect, c, 0);
		wire_after(c->host, 0, owner_grow, c, 0);
	}
}

static void world_end(struct world *w)
{
	for (unsigned i = 0; i < w->clients; i++) {
		struct client *c = &w->client[i];

		require(w, c->committed == c->newest, "not everything is committed");
		require(w, c->acknowledged == c->newest, "not everything is acknowledged");
	}
	hub_forget(w);
	wire_free(w->wire);
}

static void run_world(uint64_t seed)
{
	static struct world w;

	world_begin(&w, seed);
	while (wire_now(w.wire) < TROUBLE_NS) {
		wire_run(w.wire, wire_now(w.wire) + wire_between(w.wire, 1, 20 * MOMENT_S));
		misfortune(&w);
		if (wire_chance(w.wire, 60)) {
			wire_run(w.wire, wire_now(w.wire) + wire_between(w.wire, 1, 20 * MOMENT_S));
			unblock(&w, 0);
		}
	}
	unblock(&w, 0);
	w.trouble = false;
	wire_run(w.wire, wire_now(w.wire) + LONG_ENOUGH_NS);
	world_end(&w);
}

static void test_worlds(void **state)
{
	const char *only = getenv("SEED"), *many = getenv("SEEDS");
	uint64_t seeds = many ? strtoull(many, NULL, 10) : WORLDS;

	for (uint64_t seed = 1; !only && seed <= seeds; seed++)
		run_world(seed);
	if (only)
		run_world(strtoull(only, NULL, 10));
}

/* A client whose server says nothing wrong for days says nothing either but PING and PONG. */
static void test_quiet(void **state)
{
	static struct world w;
	struct client *c = &w.client[0];
	unsigned links;

	world_begin(&w, 7);
	w.trouble = false;
	w.clients = 1;
	wire_run(w.wire, 10 * MOMENT_S);
	links = w.links;
	wire_run(w.wire, 48 * 3600 * MOMENT_S);
	assert_int_equal(w.links, links);
	assert_true(c->connected);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worlds),
		cmocka_unit_test(test_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
