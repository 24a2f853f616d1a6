#include "pump_probe.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct probe probe;

static void count_closed(void *owner, uint64_t id, const struct address *remote, int why)
{
	probe.closed++;
	probe.closed_why = why;
}

static void hub_told(void *owner, uint64_t from, uint64_t to, const struct message *message)
{
	struct message answer = {.kind = message->kind + 1, .number = {7}, .body = message->body};

	probe.hub_from = from;
	probe.hub_kind = message->kind;
	pump_tell(probe.common, from, &answer);
}

static void count_event(void *owner, struct event *event)
{
	probe.events++;
}

static const struct pump_owner calls = {
	.closed = count_closed, .told = hub_told, .event = count_event};

void probe_begin(const struct machine *machine, const struct pump_limits *limits)
{
	struct pump_plan plan = {
		.machine = machine, .service = "probe", .level = EVENT_INFO, .owner_calls = &calls};
	struct address nobody = {.family = ADDRESS_UNIX};
	int fd[2];

	if (limits)
		plan.limits = *limits;
	probe = (struct probe){0};
	assert_int_equal(loop_create(&probe.loop), 0);
	assert_int_equal(pump_common_create(&probe.common, probe.loop, 3), 0);
	assert_int_equal(pump_create(&probe.pump, probe.common, &plan), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	probe.peer = fd[1];
	probe.near = fd[0];
	assert_true(pump_attach(probe.pump, fd[0], &nobody, &nobody) > 1);
}

void probe_end(void)
{
	close(probe.peer);
	pump_destroy(probe.pump);
	pump_common_destroy(probe.common);
	loop_destroy(probe.loop);
}

/* Turns the loop until `*what` reaches `wanted`. */
void probe_turn_until(const unsigned *what, unsigned wanted)
{
	for (unsigned i = 0; i < PROBE_TURNS && *what < wanted; i++)
		loop_turn(probe.loop, 10);
	assert_true(*what >= wanted);
}

void probe_turn_all(void)
{
	for (unsigned i = 0; i < 20; i++)
		loop_turn(probe.loop, 0);
}

void probe_say(const char *text)
{
	assert_int_equal(write(probe.peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* Reads exactly `len` bytes, turning the loop meanwhile. */
void probe_hear(uint8_t *into, size_t len)
{
	size_t have = 0;

	for (unsigned i = 0; i < PROBE_TURNS && have < len; i++) {
		ssize_t n;

		loop_turn(probe.loop, 0);
		n = read(probe.peer, into + have, len - have);
		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		have += n > 0 ? (size_t)n : 0;
	}
	assert_int_equal(have, len);
}

void probe_hear_end(void)
{
	char byte;
	ssize_t n = -1;

	for (unsigned i = 0; i < PROBE_TURNS && n < 0; i++) {
		loop_turn(probe.loop, 10);
		n = read(probe.peer, &byte, 1);
	}
	assert_int_equal(n, 0);
}

void probe_open(void *m, const struct peer *p, struct out *out, const struct moment *now)
{
	probe.id = p->id;
	assert_int_equal(pump_id_loop(p->id), 3);
}

void probe_close(void *m, int why)
{
	probe.closes++;
	probe.why = why;
}

size_t probe_echo_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	probe.feeds++;
	out_borrow(out, in);
	return in.len;
}

const struct machine probe_echo = {
	.name = "probe", .feed = probe_echo_feed, .open = probe_open, .close = probe_close};
