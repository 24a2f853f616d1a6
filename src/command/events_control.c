/* The daemon's own events, from its control socket (docs/protocols/control.md): those it holds, and
 * those to come.
 *
 *   {"ask":"events","since":0} ──►
 *                              ◄── {"answer":"events","newest":412}
 *                              ◄── {"seq":1,...} ... {"seq":412,...} ...
 *
 * Limits: without --follow, it has the daemon's word for which is the last; a daemon that says
 * nothing for 5 s is given up. */
#include "command/events_parts.h"

#include "base/event_read.h"
#include "base/json.h"
#include "base/number.h"
#include "command/publish.h"
#include "command/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONTROL_READ_BYTES = 65536, CONTROL_PATIENCE_MS = 5000, CONTROL_KEPT = 4096 };

struct asking {
	const struct events_ask *ask;
	int fd;
	bool answered, done;
	uint64_t newest;
	char since[64], until[64]; /* as events write times; empty: no bound */
	char *kept[CONTROL_KEPT];  /* the newest that match, while they are not printed */
	uint64_t count;
	size_t len;
	char data[CONTROL_READ_BYTES];
};

static void print_event(const struct asking *a, struct bytes json)
{
	char names[EVENT_NAMES_BYTES], text[EVENT_JSON_BYTES];
	struct text t = TEXT_OVER(text);
	struct event e;

	if (a->ask->call->common.json) {
		fwrite(json.data, 1, json.len, stdout);
		putchar('\n');
	} else if (event_read_json(&e, json, names)) {
		event_put_line(&t, &e, events_offset_s(e.wall_us));
		fwrite(t.data, 1, t.len, stdout);
	}
}

/* What is asked for by -n is known once all that is held has come. */
static void keep_event(struct asking *a, struct bytes json)
{
	uint64_t most = a->ask->limit < CONTROL_KEPT ? a->ask->limit : CONTROL_KEPT;
	char **place = &a->kept[a->count++ % most];

	free(*place);
	*place = strndup((const char *)json.data, json.len);
}

static void print_kept(struct asking *a)
{
	uint64_t most = a->ask->limit < CONTROL_KEPT ? a->ask->limit : CONTROL_KEPT;

	for (uint64_t i = a->count > most ? a->count - most : 0; i < a->count; i++) {
		char **place = &a->kept[i % most];

		if (*place)
			print_event(a, bytes_of_string(*place));
		free(*place);
		*place = NULL;
	}
	a->count = 0;
}

static bool is_within(const struct asking *a, struct bytes time)
{
	struct bytes since = bytes_of_string(a->since), until = bytes_of_string(a->until);

	/* RFC 3339 in UTC with microseconds sorts as text. */
	if (since.len && (time.len != since.len || memcmp(time.data, since.data, since.len) < 0))
		return false;
	return !until.len ||
	       (time.len == until.len && memcmp(time.data, until.data, until.len) <= 0);
}

/* `{"answer":"events","newest":N}`, an event, or `{"refused":...}`. */
static void take_line(struct asking *a, struct bytes json)
{
	struct json_member m;
	struct bytes time = {0};
	char type[64] = "";
	uint64_t seq = 0;
	size_t cursor = 0;

	while (json_next(json, &cursor, &m) > 0) {
		if (json_is(m.name, "type"))
			snprintf(type, sizeof type, "%.*s", (int)m.value.len,
				 (const char *)m.value.data);
		else if (json_is(m.name, "time"))
			time = m.value;
		else if (json_is(m.name, "seq"))
			number_parse_u64(m.value, &seq);
		else if (json_is(m.name, "newest") && !a->answered)
			a->answered = number_parse_u64(m.value, &a->newest) == 0;
	}
	if (seq && events_wants(a->ask, type) && is_within(a, time)) {
		if (a->ask->newest_only && seq <= a->newest)
			keep_event(a, json);
		else
			print_event(a, json);
	}
	if (a->answered && (!a->newest || seq >= a->newest) && !a->done) {
		a->done = true;
		if (a->ask->newest_only)
			print_kept(a);
	}
}

static void take_lines(struct asking *a)
{
	struct bytes rest = bytes_of(a->data, a->len);

	for (;;) {
		size_t end = bytes_find_byte(rest, '\n');

		if (end == rest.len)
			break;
		take_line(a, bytes_first(rest, end));
		rest = bytes_after(rest, end + 1);
	}
	memmove(a->data, rest.data, rest.len);
	a->len = rest.len;
	if (a->len == sizeof a->data) /* no line is as long */
		a->len = 0;
}

/* 0, or the ERR_ that ended it. */
static int converse(struct asking *a)
{
	bool follow = a->ask->given->follow;
	struct pollfd ends[] = {{.fd = a->fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};

	while (!a->done || follow) {
		int ready = poll(ends, 2, a->done ? -1 : CONTROL_PATIENCE_MS);
		ssize_t n;

		if (ready == 0)
			return ERR_TIMEOUT;
		if (ready > 0 && ends[1].revents & (POLLERR | POLLHUP))
			return 0;
		if (ready < 0 || !(ends[0].revents & (POLLIN | POLLHUP)))
			continue;
		n = read(a->fd, a->data + a->len, sizeof a->data - a->len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return a->done ? 0 : ERR_LEFT; /* a daemon that stops is an end too */
		a->len += (size_t)n;
		take_lines(a);
		if (!say_flush())
			return 0;
	}
	return 0;
}

static void put_time(char text[64], int64_t us)
{
	struct text t = text_over(text, 64);

	if (us)
		moment_put_rfc3339(&t, us);
}

int events_ask_daemon(const struct events_ask *ask)
{
	static const char question[] = "{\"ask\":\"events\",\"since\":0}\n";
	struct asking *a = calloc(1, sizeof *a);
	int err = ERR_MEMORY;

	if (!a)
		return say_told("events", err, _(err_text(err)), _("prise doctor"));
	a->ask = ask;
	a->fd = publish_dial();
	put_time(a->since, ask->since_us);
	put_time(a->until, ask->until_us);
	if (a->fd < 0) {
		free(a);
		return say_told("events", ERR_REFUSED,
				_("no prise serve runs here, whose events these would be"),
				_("prise serve, as the same user"));
	}
	err = write(a->fd, question, sizeof question - 1) == sizeof question - 1 ? converse(a)
										 : ERR_LEFT;
	for (unsigned i = 0; i < CONTROL_KEPT; i++)
		free(a->kept[i]);
	close(a->fd);
	free(a);
	if (err)
		return say_error(SAY_TALK, "prise serve", err);
	return say_end(0);
}
