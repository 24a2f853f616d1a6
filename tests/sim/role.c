/* Role over the simulated wire (SPEC 7): a server with its hub and its record on disk, clients that
 * are structured or plain, and random misfortune: partitions of one direction or both, stopped and
 * suspended hosts, power cuts, kill -9, resets, a disk that fails, leases that change over a
 * restart, clocks that drift (by up to 0.1 %, at times by 0.49 %). Checked at every step, each from
 * its own seed:
 *
 *  - leases: at no instant do two reigns stand, as those who hold them see it on their own clocks,
 *    even when they go on after their connection broke;
 *  - epochs: each structured promotion that is announced has a greater one than all before,
 *    restarts included;
 *  - record: when it is announced the disk holds that epoch and that lease;
 *  - words: a plain client hears `principal`, `secondaire`, or `secondaireprincipal`, nothing else;
 *  - life: once all is healed there is one principal, and it knows.
 *
 * The last tests break a rule on purpose, and the checks must see it. SEED=N in the environment
 * runs that scenario alone, with its story on stderr. */
#include "proto/role_hub.h"
#include "wire.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SCENARIOS = 1500, CLIENTS_MOST = 6, CAPACITY = 64, REIGNS_MOST = 4096 };

#define STORM_NS (60 * MOMENT_S)
#define CALM_NS  (60 * MOMENT_S)

/* The rules that a test may break. */
struct broken {
	bool fast_server;    /* its clock runs 30 % fast: it counts leases shorter */
	bool early_announce; /* it believes that the disk has what it has not */
	bool stale_clock;    /* beats count from a clock that was read before they were sent */
	bool no_wait;        /* after a restart it appoints at once */
};

struct reign {
	unsigned client;
	uint64_t epoch, until_true_ns;
};

struct world;

struct server {
	struct wire_host *host;
	struct role_hub *hub;
	struct role_settings settings;
	bool up, disk_ok;
	char disk[ROLE_RECORD_BYTES];
	size_t disk_len;
	uint64_t deadline; /* number of the one that counts */
	struct role_record writing;
	uint64_t request;
	uint64_t seen_ns; /* the clock as of the last call that was no beat */
	uint64_t heal_ns;
};

struct client {
	struct world *world;
	struct wire_host *host;
	struct wire_end *end, *accepted;
	struct role_client_settings settings;
	unsigned index;
	bool plain;
	bool leaving; /* bye is on its way: nothing it is told starts work any more */
	uint64_t heal_ns;
	char name[8];
};

struct world {
	struct wire *w;
	struct broken broken;
	struct server server;
	struct client client[CLIENTS_MOST];
	unsigned clients;
	uint64_t announced; /* greatest epoch that was */
	struct reign reign[REIGNS_MOST];
	unsigned reigns;
	unsigned wrong_leases, wrong_epochs, wrong_records, wrong_words, wrong_life;
	bool story, clocks_are_bad;
	char first_wrong[160];
};

static struct out hub_out; /* of whichever world is running */

static void tell_story(struct world *x, const char *format, ...)
{
	va_list arguments;

	if (!x->story)
		return;
	fprintf(stderr, "%10.6f ", (double)wire_now(x->w) / 1e9);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static void wrong(struct world *x, unsigned *count, const char *format, ...)
{
	va_list arguments;
	char text[sizeof x->first_wrong];

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	tell_story(x, "WRONG: %s", text);
	if (!x->first_wrong[0])
		memcpy(x->first_wrong, text, sizeof text);
	++*count;
}

/* The reigns. */

static void reign_until(struct world *x, const struct client *c, uint64_t epoch, uint64_t boot_ns)
{
	uint64_t now_ns = wire_now(x->w), until_ns = wire_host_true_ns(c->host, boot_ns);
	struct reign *own = NULL;

	for (unsigned i = 0; i < x->reigns; i++) {
		struct reign *r = &x->reign[i];

		if (r->client == c->index && r->epoch == epoch)
			own = r;
		else if (r->until_true_ns > now_ns && until_ns > now_ns)
			wrong(x, &x->wrong_leases,
			      "%s is principal under epoch %lu, and client %u under %lu", c->name,
			      (unsigned long)epoch, r->client, (unsigned long)r->epoch);
	}
	if (!own) {
		assert_true(x->reigns < REIGNS_MOST);
		own = &x->reign[x->reigns++];
	}
	*own = (struct reign){c->index, epoch, until_ns};
}

static void reign_ends(struct world *x, const struct client *c)
{
	for (unsigned i = 0; i < x->reigns; i++) {
		if (x->reign[i].client == c->index && x->reign[i].until_true_ns > wire_now(x->w))
			x->reign[i].until_true_ns = wire_now(x->w);
	}
}

/* The server. */

static struct role_record disk_record(const struct server *s)
{
	struct role_record record = {0};

	if (s->disk_len > 0)
		assert_int_equal(role_record_parse(bytes_of(s->disk, s->disk_len), &record), 0);
	return record;
}

static void disk_write(struct server *s, const struct role_record *record)
{
	struct text t = TEXT_OVER(s->disk);

	role_record_put(&t, record);
	assert_false(t.cut);
	s->disk_len = t.len;
}

static void hub_told(struct world *x, uint64_t from, const struct message *message);

static void answer_disk(struct world *x, uint64_t request, int err)
{
	hub_told(x, OUT_OWNER,
		 &(struct message){.kind = ROLE_PERSISTED, .number = {request, (uint64_t)-err}});
}

static void disk_done(void *context, uint64_t err)
{
	struct world *x = context;

	if (!x->broken.early_announce)
		answer_disk(x, x->server.request, -(int)err);
}

/* The record is replaced at some moment between request and answer; one that fails may be, too. */
static void disk_replaced(void *context, uint64_t number)
{
	struct world *x = context;
	struct server *s = &x->server;
	bool ok = s->disk_ok || x->broken.early_announce;

	if (ok || wire_chance(x->w, 50))
		disk_write(s, &s->writing);
	wire_after(s->host, wire_between(x->w, 0, 20 * MOMENT_MS), disk_done, x,
		   ok ? 0 : -ERR_DISK);
}

static void disk_asked(struct world *x, const uint64_t *number)
{
	struct server *s = &x->server;
	uint64_t slow_ns = wire_chance(x->w, 5) ? 4 * MOMENT_S : 20 * MOMENT_MS;

	s->writing = (struct role_record){number[0], number[1]};
	s->request = number[2];
	wire_after(s->host, wire_between(x->w, 0, slow_ns), disk_replaced, x, 0);
}

static void check_announcement(struct world *x, uint64_t to, const uint64_t *number)
{
	struct role_record record = disk_record(&x->server);

	tell_story(x, "server: %lu is principal, epoch %lu lease %lu", (unsigned long)to,
		   (unsigned long)number[0], (unsigned long)number[3]);
	if (number[0] <= x->announced)
		wrong(x, &x->wrong_epochs, "epoch %lu after %lu", (unsigned long)number[0],
		      (unsigned long)x->announced);
	x->announced = number[0];
	if (record.epoch != number[0] || record.lease_ms != number[3])
		wrong(x, &x->wrong_records, "epoch %lu announced with %lu on disk",
		      (unsigned long)number[0], (unsigned long)record.epoch);
}

static void hub_due(void *context, uint64_t number);

static void hub_apply(struct world *x)
{
	struct server *s = &x->server;
	uint64_t due_ns, request[4] = {0};
	bool asked = false;

	for (unsigned i = 0; i < hub_out.tells; i++) {
		const struct out_tell *tell = &hub_out.tell[i];

		if (tell->to == OUT_OWNER) {
			asked = true;
			memcpy(request, tell->message.number, sizeof request);
			continue;
		}
		if (tell->message.kind == ROLE_LINE_PRINCIPAL)
			check_announcement(x, tell->to, tell->message.number);
		wire_tell_id(x->w, tell->to, &tell->message);
	}
	assert_false(hub_out.tight);
	if (hub_out.deadline_set) {
		s->deadline++;
		due_ns = wire_host_true_ns(s->host, hub_out.deadline_ns);
		if (due_ns != MOMENT_NEVER)
			wire_after(s->host, due_ns > wire_now(x->w) ? due_ns - wire_now(x->w) : 0,
				   hub_due, x, s->deadline);
	}
	if (!asked)
		return;
	disk_asked(x, request);
	if (x->broken.early_announce)
		answer_disk(x, request[2], 0);
}

static void hub_told(struct world *x, uint64_t from, const struct message *message)
{
	struct server *s = &x->server;
	struct moment now = wire_host_moment(s->host);

	if (x->broken.stale_clock && message->kind == ROLE_BEAT)
		now.boot_ns = s->seen_ns;
	s->seen_ns = now.boot_ns;
	out_reset(&hub_out, 0);
	role_hub_tell(s->hub, from, message, &hub_out, &now);
	hub_apply(x);
}

static void hub_due(void *context, uint64_t number)
{
	struct world *x = context;
	struct moment now = wire_host_moment(x->server.host);

	if (number != x->server.deadline)
		return;
	x->server.seen_ns = now.boot_ns;
	out_reset(&hub_out, 0);
	role_hub_tick(x->server.hub, &hub_out, &now);
	hub_apply(x);
}

static void server_told(struct wire_end *e, uint64_t to, const struct message *message)
{
	struct client *c = wire_end_context(e);

	assert_int_equal(to, OUT_HUB);
	hub_told(c->world, wire_end_id(e), message);
}

static void server_closed(struct wire_end *e, int why)
{
	struct client *c = wire_end_context(e);

	hub_told(c->world, wire_end_id(e), &(struct message){.kind = ROLE_LEAVE});
}

static const struct wire_holder server_holder = {.told = server_told, .closed = server_closed};

static void server_start(void *context, uint64_t number)
{
	struct world *x = context;
	struct server *s = &x->server;
	struct role_record record = disk_record(s);
	struct moment now = wire_host_moment(s->host);
	uint64_t leases_ms[] = {1000, 3000, 3000, 6000};

	if (s->up)
		return;
	if (x->broken.no_wait)
		record.lease_ms = 0;
	s->up = true;
	s->settings.lease_ms = leases_ms[wire_between(x->w, 0, 3)];
	tell_story(x, "server starts: %.*s", (int)s->disk_len, s->disk);
	s->seen_ns = now.boot_ns;
	s->hub = role_hub_init(s->hub, CAPACITY, s->settings.lease_ms, &record, &now);
	out_reset(&hub_out, 0);
	role_hub_tick(s->hub, &hub_out, &now);
	hub_apply(x);
}

static void server_kill(struct world *x)
{
	bool loudly = wire_chance(x->w, 70);

	tell_story(x, "server is killed%s", loudly ? "" : " by a power cut");
	wire_host_set(x->server.host, WIRE_RUNNING);
	wire_host_kill(x->server.host, loudly);
	x->server.up = false;
	wire_after(x->server.host, wire_between(x->w, 0, 8 * MOMENT_S), server_start, x, 0);
}

/* The clients. */

static void client_connect(void *context, uint64_t number);

static void client_retry(struct client *c)
{
	struct wire *w = c->world->w;

	wire_after(c->host, wire_between(w, 50 * MOMENT_MS, 1500 * MOMENT_MS), client_connect, c,
		   0);
}

static void client_told(struct wire_end *e, uint64_t to, const struct message *message)
{
	struct client *c = wire_end_context(e);
	struct world *x = c->world;
	const uint64_t *n = message->number;

	assert_int_equal(to, OUT_OWNER);
	if (message->kind == ROLE_UNSURE || c->leaving)
		return;
	if (message->kind != ROLE_RENEWED)
		tell_story(x, "%s: told %u principal=%lu epoch=%lu structured=%lu", c->name,
			   message->kind, (unsigned long)n[0], (unsigned long)n[1],
			   (unsigned long)n[3]);
	if (n[3])
		c->settings.mode = ROLE_CLIENT_STRUCTURED;
	if (n[3] && n[0])
		reign_until(x, c, n[1], n[2]);
	else
		reign_ends(x, c);
}

/* What a reign was told stands after the connection: nothing ends it here. */
static void client_closed(struct wire_end *e, int why)
{
	struct client *c = wire_end_context(e);

	if (c->end != e)
		return;
	tell_story(c->world, "%s: closed, %s", c->name, err_name(why));
	c->end = NULL;
	client_retry(c);
}

static const struct wire_holder client_holder = {.told = client_told, .closed = client_closed};

/* The course's client: it only listens. */
static size_t listener_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	return in.len;
}

static const struct machine listener_machine = {.name = "listener", .feed = listener_feed};

static void check_words(struct client *c, struct bytes heard)
{
	static const char *const whole[] = {"principal", "secondaireprincipal"};

	for (unsigned i = 0; i < 2; i++) {
		if (bytes_equal(bytes_first(bytes_of_string(whole[i]), heard.len), heard))
			return;
	}
	wrong(c->world, &c->world->wrong_words, "%s heard %.*s", c->name, (int)heard.len,
	      (const char *)heard.data);
}

static void listener_closed(struct wire_end *e, int why)
{
	check_words(wire_end_context(e), wire_end_received(e));
	client_closed(e, why);
}

static const struct wire_holder listener_holder = {.closed = listener_closed};

static void client_connect(void *context, uint64_t number)
{
	struct client *c = context;
	struct world *x = c->world;
	uint64_t patience_ns = wire_between(x->w, 4, 12) * MOMENT_S;
	struct wire_plan connecting = {
		.host = c->host,
		.machine = c->plain ? &listener_machine : &role_client_machine,
		.settings = c->plain ? NULL : &c->settings,
		.holder = c->plain ? &listener_holder : &client_holder,
		.context = c,
		.patience_ns = patience_ns,
	};
	struct wire_plan accepting = {
		.host = x->server.host,
		.machine = &role_machine,
		.settings = &x->server.settings,
		.holder = &server_holder,
		.context = c,
		.patience_ns = patience_ns,
	};

	if (c->end)
		return;
	c->leaving = false;
	if (x->server.up)
		c->end = wire_connect(x->w, &connecting, &accepting, &c->accepted);
	if (!c->end)
		client_retry(c);
}

/* It stops its work, then says so. */
static void client_bye(struct client *c)
{
	if (!c->end || c->plain || wire_host_get(c->host) != WIRE_RUNNING)
		return;
	tell_story(c->world, "%s: bye", c->name);
	reign_ends(c->world, c);
	c->leaving = true;
	wire_tell(c->end, &(struct message){.kind = ROLE_STOPPED});
}

/* What its work was allowed stands: it may take its time to die. */
static void client_kill(struct client *c)
{
	bool loudly = wire_chance(c->world->w, 50);

	tell_story(c->world, "%s: killed%s", c->name, loudly ? "" : " by a power cut");
	wire_host_set(c->host, WIRE_RUNNING);
	wire_host_kill(c->host, loudly);
	c->end = NULL;
	client_retry(c);
}

/* Misfortune. */

static void partition(struct world *x, struct client *c)
{
	bool to = wire_chance(x->w, 60), from = wire_chance(x->w, 60);

	tell_story(x, "%s: to server %s, from server %s", c->name, to ? "blocked" : "open",
		   from ? "blocked" : "open");
	wire_block(x->w, c->host, x->server.host, to);
	wire_block(x->w, x->server.host, c->host, from);
}

static void suspend(struct world *x, struct wire_host *h, const char *who)
{
	bool stopped = wire_chance(x->w, 50);

	tell_story(x, "%s is %s", who, stopped ? "stopped" : "suspended");
	wire_host_set(h, stopped ? WIRE_STOPPED : WIRE_SUSPENDED);
}

static void heal_client(struct world *x, struct client *c)
{
	tell_story(x, "%s is well", c->name);
	c->heal_ns = MOMENT_NEVER;
	wire_host_set(c->host, WIRE_RUNNING);
	wire_block(x->w, c->host, x->server.host, false);
	wire_block(x->w, x->server.host, c->host, false);
}

static void heal_server(struct world *x)
{
	tell_story(x, "server is well");
	x->server.heal_ns = MOMENT_NEVER;
	x->server.disk_ok = true;
	wire_host_set(x->server.host, WIRE_RUNNING);
}

/* What befalls a client, or the server when `c` is NULL. */
static void misfortune(struct world *x, struct client *c)
{
	uint64_t what = wire_between(x->w, 0, 99);

	if (c && what < 40)
		partition(x, c);
	else if (c && what < 65)
		suspend(x, c->host, c->name);
	else if (c && what < 75)
		client_kill(c);
	else if (c && what < 90)
		client_bye(c);
	else if (c && c->end)
		wire_reset(c->end);
	else if (!c && what < 40)
		suspend(x, x->server.host, "server");
	else if (!c && what < 70)
		server_kill(x);
	else if (!c)
		x->server.disk_ok = false;
}

/* The principal draws misfortune. */
static struct client *victim(struct world *x)
{
	if (x->reigns > 0 && wire_chance(x->w, 50))
		return &x->client[x->reign[x->reigns - 1].client];
	return &x->client[wire_between(x->w, 0, x->clients - 1)];
}

static void heal_some(struct world *x)
{
	for (unsigned i = 0; i < x->clients; i++) {
		if (x->client[i].heal_ns <= wire_now(x->w))
			heal_client(x, &x->client[i]);
	}
	if (x->server.heal_ns <= wire_now(x->w))
		heal_server(x);
}

static void storm(struct world *x)
{
	uint64_t at_ns = 0;

	while (at_ns < STORM_NS) {
		struct client *c;
		uint64_t *heal_ns;

		at_ns += wire_between(x->w, 50 * MOMENT_MS, 2 * MOMENT_S);
		wire_run(x->w, at_ns);
		heal_some(x);
		c = wire_chance(x->w, 12) ? NULL : victim(x);
		heal_ns = c ? &c->heal_ns : &x->server.heal_ns;
		if (*heal_ns != MOMENT_NEVER || (!c && !x->server.up))
			continue;
		misfortune(x, c);
		*heal_ns = at_ns + wire_between(x->w, 100 * MOMENT_MS, 9 * MOMENT_S);
	}
}

static void heal(struct world *x)
{
	heal_server(x);
	for (unsigned i = 0; i < x->clients; i++)
		heal_client(x, &x->client[i]);
}

/* A scenario. */

static const struct reign *standing_reign(struct world *x, unsigned client)
{
	for (unsigned i = 0; i < x->reigns; i++) {
		if (x->reign[i].client == client && x->reign[i].until_true_ns > wire_now(x->w))
			return &x->reign[i];
	}
	return NULL;
}

static void check_life_of(struct world *x, struct client *c, bool principal)
{
	const struct reign *reign = standing_reign(x, c->index);
	struct bytes heard = c->end ? wire_end_received(c->end) : (struct bytes){0};

	if (!c->end)
		wrong(x, &x->wrong_life, "%s is not connected", c->name);
	else if (!c->plain && principal != (reign != NULL))
		wrong(x, &x->wrong_life, "%s: principal is %d, its reign %d", c->name, principal,
		      reign != NULL);
	else if (reign && reign->epoch != role_hub_epoch(x->server.hub))
		wrong(x, &x->wrong_life, "%s reigns under an old epoch", c->name);
	else if (c->plain && principal != (heard.len > 0 && heard.data[heard.len - 1] == 'l'))
		wrong(x, &x->wrong_life, "%s: principal is %d, heard %.*s", c->name, principal,
		      (int)heard.len, (const char *)heard.data);
	if (c->end && c->plain)
		check_words(c, heard);
}

static void check_life(struct world *x)
{
	struct role_view view;
	uint32_t cursor = 0;
	unsigned seen = 0, principals = 0;

	while (role_hub_each(x->server.hub, &cursor, &view)) {
		for (unsigned i = 0; i < x->clients; i++) {
			struct client *c = &x->client[i];

			if (!c->end || wire_end_id(c->accepted) != view.id)
				continue;
			seen++;
			principals += view.principal;
			check_life_of(x, c, view.principal);
		}
	}
	if (seen != x->clients || principals != 1)
		wrong(x, &x->wrong_life, "%u of %u clients in line, %u principals", seen,
		      x->clients, principals);
}

/* Up to 0.1 %; in some scenarios as much as a client's ROLE_DRIFT_SHARE just covers. */
static int64_t drift(struct world *x)
{
	if (x->clocks_are_bad)
		return wire_chance(x->w, 50) ? 4900 : -4900;
	return (int64_t)wire_between(x->w, 0, 2000) - 1000;
}

static void clients_start(struct world *x)
{
	x->clients = (unsigned)wire_between(x->w, 2, CLIENTS_MOST);
	for (unsigned i = 0; i < x->clients; i++) {
		struct client *c = &x->client[i];

		c->world = x;
		c->index = i;
		c->plain = wire_chance(x->w, 20);
		c->heal_ns = MOMENT_NEVER;
		snprintf(c->name, sizeof c->name, "%s%u", c->plain ? "plain" : "c", i);
		c->settings = (struct role_client_settings){.name = c->name,
							    .priority = wire_between(x->w, 0, 2)};
		c->host = wire_host_add(x->w, drift(x));
		client_retry(c);
	}
}

static struct world *scenario(uint64_t seed, struct broken broken, bool story)
{
	struct world *x = calloc(1, sizeof *x);

	assert_non_null(x);
	x->w = wire_new(seed);
	x->broken = broken;
	x->story = story;
	x->clocks_are_bad = wire_chance(x->w, 25);
	x->server.disk_ok = true;
	x->server.heal_ns = MOMENT_NEVER;
	x->server.host = wire_host_add(x->w, broken.fast_server ? 300000 : drift(x));
	x->server.hub = malloc(role_hub_bytes(CAPACITY));
	assert_non_null(x->server.hub);
	server_start(x, 0);
	clients_start(x);
	storm(x);
	heal(x);
	wire_run(x->w, wire_now(x->w) + CALM_NS);
	check_life(x);
	return x;
}

static void end_scenario(struct world *x)
{
	wire_free(x->w);
	free(x->server.hub);
	free(x);
}

static unsigned all_wrong(const struct world *x)
{
	return x->wrong_leases + x->wrong_epochs + x->wrong_records + x->wrong_words +
	       x->wrong_life;
}

static void test_misfortunes(void **state)
{
	const char *only = getenv("SEED");
	uint64_t first = only ? strtoull(only, NULL, 0) : 1, last = only ? first : SCENARIOS;
	unsigned long reigns = 0, epochs = 0;

	for (uint64_t seed = first; seed <= last; seed++) {
		struct world *x = scenario(seed, (struct broken){0}, only != NULL);

		reigns += x->reigns;
		epochs += x->announced;
		if (all_wrong(x) > 0)
			print_error("SEED=%lu: %s\n", (unsigned long)seed, x->first_wrong);
		assert_int_equal(all_wrong(x), 0);
		end_scenario(x);
	}
	print_message("seeds %lu to %lu: %lu reigns, %lu epochs\n", (unsigned long)first,
		      (unsigned long)last, reigns, epochs);
	assert_true(reigns > last - first);
}

/* How many of 200 scenarios break the leases or the epochs when a rule is broken. */
static unsigned seen_wrong(struct broken broken)
{
	unsigned seen = 0;

	for (uint64_t seed = 1; seed <= 200; seed++) {
		struct world *x = scenario(seed, broken, false);

		seen += x->wrong_leases + x->wrong_epochs > 0;
		end_scenario(x);
	}
	print_message("seen in %u of 200\n", seen);
	return seen;
}

static void test_sees_short_leases(void **state)
{
	assert_true(seen_wrong((struct broken){.fast_server = true}) > 0);
}

static void test_sees_announcing_before_the_disk(void **state)
{
	assert_true(seen_wrong((struct broken){.early_announce = true}) > 0);
}

static void test_sees_a_stale_clock(void **state)
{
	assert_true(seen_wrong((struct broken){.stale_clock = true}) > 0);
}

static void test_sees_no_wait_after_restart(void **state)
{
	assert_true(seen_wrong((struct broken){.no_wait = true}) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_misfortunes),
		cmocka_unit_test(test_sees_short_leases),
		cmocka_unit_test(test_sees_announcing_before_the_disk),
		cmocka_unit_test(test_sees_a_stale_clock),
		cmocka_unit_test(test_sees_no_wait_after_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
