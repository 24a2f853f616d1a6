/* Replays vector files (case.h) against the machines of machines.def.
 *
 *     vectors FILE [SEED]            every case: whole, one byte at a time, and at 50 random cuts;
 *                                    a `chunk` machine's as the lines are marked
 *
 * Cuts are new in every run; a failure prints the seed that brings them back. */
#include "case.h"
#include "driver.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { RANDOM_REPLAYS = 50 };

#define MACHINE(name) extern const struct machine name##_machine;
#include "machines.def"
#undef MACHINE

static const struct {
	const char *name;
	const struct machine *machine;
} machines[] = {
#define MACHINE(name) {#name, &name##_machine},
#include "machines.def"
#undef MACHINE
};

enum { MACHINES = sizeof machines / sizeof *machines };

enum cuts { CUTS_NONE, CUTS_EVERYWHERE, CUTS_RANDOM };

/* One case being replayed, and how far into what the machine did the checks have come. */
struct replay {
	const char *path;
	const struct vector_case *c;
	const struct machine *machine;
	enum cuts cuts;
	uint64_t seed, random;
	struct driver d;
	size_t output_at, event_at, tell_at, datagram_at;
	bool failed;
};

static struct vector_file file; /* static, so that nothing read counts as leaked */

static const struct machine *machine_find(const char *name)
{
	for (unsigned i = 0; i < MACHINES; i++)
		if (!strcmp(machines[i].name, name))
			return machines[i].machine;
	return NULL;
}

/* Says once what went wrong; `expected` and `got` may be NULL. */
static void fail(struct replay *r, unsigned line, const char *what, const char *expected,
		 const char *got)
{
	if (r->failed)
		return;
	r->failed = true;
	fprintf(stderr, "%s:%u: %s\n    case: %s\n", r->path, line, what, r->c->name);
	if (expected)
		fprintf(stderr, "    expected: %s\n", expected);
	if (got)
		fprintf(stderr, "    got:      %s\n", got);
	if (r->cuts == CUTS_NONE)
		fprintf(stderr, "    replayed whole\n");
	else if (r->cuts == CUTS_EVERYWHERE)
		fprintf(stderr, "    replayed one byte at a time\n");
	else
		fprintf(stderr, "    replayed at random cuts, seed %" PRIu64 "\n", r->seed);
}

/* splitmix64 (Steele, Lea and Flood, 2014). */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* The length of the next piece of `len` bytes: short and long ones alike. */
static size_t piece(struct replay *r, size_t len)
{
	if (r->cuts == CUTS_NONE)
		return len;
	if (r->cuts == CUTS_EVERYWHERE)
		return 1;
	uint64_t most = 2ull << (next_random(&r->random) % 16);
	return 1 + next_random(&r->random) % (most < len ? most : len);
}

static void feed(struct replay *r, struct bytes in)
{
	while (in.len > 0) {
		size_t n = piece(r, in.len);
		driver_feed(&r->d, bytes_first(in, n));
		in = bytes_after(in, n);
	}
}

/* Feeds the run of input lines that begins at step `at`; returns the step behind it. */
static size_t feed_run(struct replay *r, size_t at)
{
	const struct vector_case *c = r->c;
	uint8_t *all = NULL;
	size_t len = 0;
	for (; at < c->steps && c->step[at].kind == VECTOR_FEED; at++) {
		struct bytes in = c->step[at].data;
		if (r->machine->chunk) {
			driver_feed(&r->d, in);
			continue;
		}
		all = realloc(all, len + in.len + 1);
		if (!all)
			abort();
		memcpy(all + len, in.data, in.len);
		len += in.len;
	}
	feed(r, bytes_of(all, len));
	free(all);
	return at;
}

/* Whether events and messages are compared in this replay. */
static bool compares_messages(const struct replay *r)
{
	return r->cuts == CUTS_NONE || !r->c->loose;
}

/* Nothing may be left that no line named. */
static void check_all_named(struct replay *r, unsigned line)
{
	const struct driver *d = &r->d;
	if (d->fault)
		fail(r, line, "the machine broke a rule of machine.h", NULL, d->fault);
	if (r->output_at < d->output.len)
		fail(r, line, "output that was not expected before this", NULL,
		     vector_show(bytes_after(d->output, r->output_at)));
	if (r->datagram_at < d->datagrams)
		fail(r, line, "a datagram that was not expected before this", NULL,
		     vector_show(d->datagram[r->datagram_at]));
	if (r->event_at < d->events && compares_messages(r))
		fail(r, line, "an event that was not expected before this", NULL,
		     d->event[r->event_at].type);
	if (r->tell_at < d->tells && compares_messages(r))
		fail(r, line, "a message that was not expected before this", NULL, NULL);
}

static void forget(struct replay *r)
{
	driver_forget(&r->d);
	r->output_at = r->event_at = r->tell_at = r->datagram_at = 0;
}

/* Does the step's input, or the whole run of inputs it begins; returns the step behind it. */
static size_t act(struct replay *r, size_t at)
{
	const struct vector_step *step = &r->c->step[at];
	struct message message = step->message;
	check_all_named(r, step->line);
	forget(r);
	switch (step->kind) {
	case VECTOR_FEED:
		return feed_run(r, at);
	case VECTOR_EOF:
		driver_eof(&r->d);
		break;
	case VECTOR_TICK:
		driver_advance(&r->d, step->ns);
		break;
	case VECTOR_ROOM:
		if (!r->d.wants_room)
			fail(r, step->line, "the machine did not ask for room", NULL, NULL);
		driver_room(&r->d);
		break;
	case VECTOR_DRAIN:
		driver_drain(&r->d);
		break;
	case VECTOR_TELL:
		message.body = step->data;
		driver_tell(&r->d, &message);
		break;
	default:
		driver_datagram(&r->d, step->data);
		break;
	}
	return at + 1;
}

/* Both from a little before where they begin to differ. */
static void fail_bytes(struct replay *r, unsigned line, const char *what, struct bytes expected,
		       struct bytes got)
{
	size_t same = 0;
	while (same < expected.len && same < got.len && expected.data[same] == got.data[same])
		same++;
	size_t skip = same > 40 ? same - 40 : 0;
	char text[80];
	snprintf(text, sizeof text, skip ? "%s, shown from byte %zu" : "%s", what, skip);
	fail(r, line, text, vector_show(bytes_after(expected, skip)),
	     vector_show(bytes_after(got, skip)));
}

static void check_output(struct replay *r, const struct vector_step *step)
{
	struct bytes rest = bytes_after(r->d.output, r->output_at);
	struct bytes got = bytes_first(rest, step->data.len);
	if (!bytes_equal(got, step->data))
		fail_bytes(r, step->line, "other output", step->data, rest);
	else if (step->begins_write && !driver_write_began(&r->d, r->output_at))
		fail(r, step->line, "no write of its own begins here", NULL, NULL);
	r->output_at += got.len;
}

static void check_field(struct replay *r, unsigned line, const struct event *e,
			const struct vector_field *field)
{
	char buffer[EVENT_TEXT_BYTES + 1];
	struct text value = TEXT_OVER(buffer);
	if (!driver_event_value(e, field->name, &value))
		fail(r, line, "the event lacks a field", field->name, NULL);
	else if (!bytes_equal(text_bytes(&value), field->value))
		fail_bytes(r, line, field->name, field->value, text_bytes(&value));
}

static void check_event(struct replay *r, const struct vector_step *step)
{
	if (!compares_messages(r))
		return;
	if (r->event_at == r->d.events) {
		fail(r, step->line, "no event came", step->type, NULL);
		return;
	}
	const struct event *e = &r->d.event[r->event_at++];
	if (strcmp(e->type, step->type) != 0)
		fail(r, step->line, "another event", step->type, e->type);
	for (size_t i = 0; i < step->fields && !r->failed; i++)
		check_field(r, step->line, e, &step->field[i]);
}

static void check_told(struct replay *r, const struct vector_step *step)
{
	if (!compares_messages(r))
		return;
	if (r->tell_at == r->d.tells) {
		fail(r, step->line, "no message came", NULL, NULL);
		return;
	}
	const struct driver_tell *t = &r->d.tell[r->tell_at++];
	const struct message *m = &t->message;
	char buffer[256];
	snprintf(buffer, sizeof buffer,
		 "to %" PRIu64 ": %u %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, t->to, m->kind,
		 m->number[0], m->number[1], m->number[2], m->number[3]);
	if (t->to != step->to || m->kind != step->message.kind ||
	    memcmp(m->number, step->message.number, sizeof m->number) != 0)
		fail(r, step->line, "another message", NULL, buffer);
	else if (!bytes_equal(m->body, step->data))
		fail_bytes(r, step->line, "another body", step->data, m->body);
}

static void check_state(struct replay *r, const struct vector_step *step)
{
	const struct driver *d = &r->d;
	enum vector_state state = VECTOR_OPEN;
	if (d->ended)
		state = d->why ? VECTOR_ABORT : VECTOR_END;
	const char *got = d->ended ? err_text(d->why) : "still open";
	if (state == VECTOR_END)
		got = "ended";
	if (state != step->state || (state == VECTOR_ABORT && d->why != step->why))
		fail(r, step->line, "another end", NULL, got);
}

static void check_answer(struct replay *r, const struct vector_step *step)
{
	if (r->datagram_at == r->d.datagrams) {
		fail(r, step->line, "no datagram came", vector_show(step->data), NULL);
		return;
	}
	struct bytes got = r->d.datagram[r->datagram_at++];
	if (!bytes_equal(got, step->data))
		fail_bytes(r, step->line, "another datagram", step->data, got);
}

static void check(struct replay *r, const struct vector_step *step)
{
	switch (step->kind) {
	case VECTOR_OUTPUT:
		check_output(r, step);
		break;
	case VECTOR_OUTPUT_ANY:
		r->output_at = r->d.output.len;
		break;
	case VECTOR_EVENT:
		check_event(r, step);
		break;
	case VECTOR_TOLD:
		check_told(r, step);
		break;
	case VECTOR_STATE:
		check_state(r, step);
		break;
	case VECTOR_ANSWER:
		check_answer(r, step);
		break;
	default:
		if (r->datagram_at < r->d.datagrams)
			fail(r, step->line, "a datagram came", "none",
			     vector_show(r->d.datagram[r->datagram_at]));
		break;
	}
}

static void prepare(struct replay *r)
{
	const struct vector_case *c = r->c;
	driver_init(&r->d, r->machine);
	const void *settings = r->d.peer.settings;
	r->d.peer = c->peer;
	r->d.peer.settings = settings;
	r->d.now = c->now;
	r->d.room_bytes = c->room_bytes;
	for (size_t i = 0; i < c->settings; i++)
		if (driver_set(&r->d, c->setting[i].key, c->setting[i].value))
			fail(r, c->line, "the machine does not take this setting",
			     c->setting[i].key, NULL);
}

/* Replays the case once; false when it failed. */
static bool replay(const char *path, const struct vector_case *c, const struct machine *machine,
		   enum cuts cuts, uint64_t seed)
{
	struct replay r = {.path = path,
			   .c = c,
			   .machine = machine,
			   .cuts = cuts,
			   .seed = seed,
			   .random = seed};
	prepare(&r);
	if (!c->datagrams)
		driver_open(&r.d);
	for (size_t at = 0; at < c->steps && !r.failed;) {
		if (c->step[at].kind < VECTOR_OUTPUT)
			at = act(&r, at);
		else
			check(&r, &c->step[at++]);
	}
	check_all_named(&r, c->steps ? c->step[c->steps - 1].line : c->line);
	driver_end(&r.d);
	return !r.failed;
}

static bool replay_all_ways(const char *path, const struct vector_case *c, uint64_t seed)
{
	const struct machine *machine = machine_find(c->machine);
	if (!machine) {
		fprintf(stderr, "%s:%u: machines.def knows no machine %s\n", path, c->line,
			c->machine);
		return false;
	}
	if (!replay(path, c, machine, CUTS_NONE, seed))
		return false;
	if (machine->chunk || c->datagrams)
		return true;
	if (!replay(path, c, machine, CUTS_EVERYWHERE, seed))
		return false;
	for (unsigned i = 0; i < RANDOM_REPLAYS; i++)
		if (!replay(path, c, machine, CUTS_RANDOM, seed + i))
			return false;
	return true;
}

static int run(const char *path, uint64_t seed)
{
	size_t failed = 0;
	file = vector_file_read(path);
	for (size_t i = 0; i < file.cases; i++)
		failed += !replay_all_ways(path, &file.item[i], seed);
	printf("%zu passed, %zu failed\n", file.cases - failed, failed);
	return failed > 0 || file.cases == 0;
}

int main(int argc, char **argv)
{
	uint64_t seed = 0;
	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: vectors FILE [SEED]\n");
		return 2;
	}
	if (argc == 3)
		seed = strtoull(argv[2], NULL, 0);
	else if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		return 99;
	return run(argv[1], seed);
}
