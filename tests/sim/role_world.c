/* See role_world.h. */
#include "role_world.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct out hub_out; /* of whichever world is running */

void world_story(struct world *x, const char *format, ...)
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

void world_wrong(struct world *x, unsigned *count, const char *format, ...)
{
	va_list arguments;
	char text[sizeof x->first_wrong];

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	world_story(x, "WRONG: %s", text);
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
			world_wrong(x, &x->wrong_leases,
				    "%s is principal under epoch %lu, and client %u under %lu",
				    c->name, (unsigned long)epoch, r->client,
				    (unsigned long)r->epoch);
	}
	if (!own) {
		assert(x->reigns < REIGNS_MOST);
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

const struct reign *world_reign(struct world *x, unsigned client)
{
	for (unsigned i = 0; i < x->reigns; i++) {
		if (x->reign[i].client == client && x->reign[i].until_true_ns > wire_now(x->w))
			return &x->reign[i];
	}
	return NULL;
}

/* The server. */

static struct role_record disk_record(const struct server *s)
{
	struct role_record record = {0};

	if (s->disk_len > 0)
		assert(role_record_parse(bytes_of(s->disk, s->disk_len), &record) == 0);
	return record;
}

static void disk_write(struct server *s, const struct role_record *record)
{
	struct text t = TEXT_OVER(s->disk);

	role_record_put(&t, record);
	assert(!t.cut);
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
	bool slow = x->broken.early_announce || wire_chance(x->w, 5);
	uint64_t slow_ns = slow ? 4 * MOMENT_S : 20 * MOMENT_MS;

	s->writing = (struct role_record){number[0], number[1]};
	s->request = number[2];
	wire_after(s->host, wire_between(x->w, 0, slow_ns), disk_replaced, x, 0);
}

static void check_announcement(struct world *x, uint64_t to, const uint64_t *number)
{
	struct role_record record = disk_record(&x->server);

	world_story(x, "server: %lu is principal, epoch %lu lease %lu", (unsigned long)to,
		    (unsigned long)number[0], (unsigned long)number[3]);
	if (number[0] <= x->announced)
		world_wrong(x, &x->wrong_epochs, "epoch %lu after %lu", (unsigned long)number[0],
			    (unsigned long)x->announced);
	x->announced = number[0];
	if (record.epoch != number[0] || record.lease_ms != number[3])
		world_wrong(x, &x->wrong_records, "epoch %lu announced with %lu on disk",
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
	assert(!hub_out.tight);
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

	assert(to == OUT_HUB);
	hub_told(c->world, wire_end_id(e), message);
}

static void server_closed(struct wire_end *e, int why)
{
	struct client *c = wire_end_context(e);

	hub_told(c->world, wire_end_id(e), &(struct message){.kind = ROLE_LEAVE});
}

static const struct wire_holder server_holder = {.told = server_told, .closed = server_closed};

void server_start(void *context, uint64_t number)
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
	world_story(x, "server starts: %.*s", (int)s->disk_len, s->disk);
	s->seen_ns = now.boot_ns;
	s->hub = role_hub_init(s->hub, CAPACITY, s->settings.lease_ms, &record, &now);
	out_reset(&hub_out, 0);
	role_hub_tick(s->hub, &hub_out, &now);
	hub_apply(x);
}

void server_kill(struct world *x)
{
	bool loudly = wire_chance(x->w, 70);

	world_story(x, "server is killed%s", loudly ? "" : " by a power cut");
	wire_host_set(x->server.host, WIRE_RUNNING);
	wire_host_kill(x->server.host, loudly);
	x->server.up = false;
	wire_after(x->server.host, wire_between(x->w, 0, 8 * MOMENT_S), server_start, x, 0);
}

/* The clients. */

static void client_connect(void *context, uint64_t number);

void client_retry(struct client *c)
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

	assert(to == OUT_OWNER);
	if (message->kind == ROLE_UNSURE || c->leaving)
		return;
	if (message->kind != ROLE_RENEWED)
		world_story(x, "%s: told %u principal=%lu epoch=%lu structured=%lu", c->name,
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
	world_story(c->world, "%s: closed, %s", c->name, err_name(why));
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

void client_check_words(struct client *c, struct bytes heard)
{
	static const char *const whole[] = {"principal", "secondaireprincipal"};

	for (unsigned i = 0; i < 2; i++) {
		if (bytes_equal(bytes_first(bytes_of_string(whole[i]), heard.len), heard))
			return;
	}
	world_wrong(c->world, &c->world->wrong_words, "%s heard %.*s", c->name, (int)heard.len,
		    (const char *)heard.data);
}

static void listener_closed(struct wire_end *e, int why)
{
	client_check_words(wire_end_context(e), wire_end_received(e));
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

void client_bye(struct client *c)
{
	if (!c->end || c->plain || wire_host_get(c->host) != WIRE_RUNNING)
		return;
	world_story(c->world, "%s: bye", c->name);
	reign_ends(c->world, c);
	c->leaving = true;
	wire_tell(c->end, &(struct message){.kind = ROLE_STOPPED});
}

void client_kill(struct client *c)
{
	bool loudly = wire_chance(c->world->w, 50);

	world_story(c->world, "%s: killed%s", c->name, loudly ? "" : " by a power cut");
	wire_host_set(c->host, WIRE_RUNNING);
	wire_host_kill(c->host, loudly);
	c->end = NULL;
	client_retry(c);
}
