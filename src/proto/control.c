/* The control socket, the daemon's side.
 *
 *   command                                    daemon
 *     │ ── {"time":...,"type":"echo.round"} ───► │  published; no answer
 *     │                                          │
 *   reader                                       │
 *     │ ── {"ask":"events","since":412} ───────► │
 *     │ ◄───────── {"answer":"events","newest":} │
 *     │ ◄─── {"seq":413,"time":...,"type":...}   │  and so on, as they happen
 *     │ ── what is neither ────────────────────► │
 *     │ ◄──────────── {"refused":"why","line":1} │  and the end
 *
 * States: lines are read; `follows` once events were asked for; it ends with the first line that is
 * refused. A line has CONTROL_LINE_BYTES at most. A reader that does not read is told nothing until
 * it does: what it is told comes piece by piece, the next when the last has left. */
#include "proto/control.h"

#include "base/json.h"
#include "base/number.h"

enum { CONTROL_ANSWER_BYTES = 256, CONTROL_TYPE_BYTES = 64 };

struct control {
	uint64_t lines;
	bool follows;
	bool behind; /* CONTROL_READY is due when there is room */
};

struct control_ask {
	bool events, since_given;
	uint64_t since;
};

static void control_tell(struct out *out, enum control_kind kind, uint64_t n0, uint64_t n1,
			 struct bytes body)
{
	out_tell(out, OUT_HUB,
		 &(struct message){.kind = (uint32_t)kind, .number = {n0, n1}, .body = body});
}

static void control_refuse(const struct control *c, const char *why, struct out *out)
{
	out_printf(out, "{\"refused\":\"%s\",\"line\":%llu}\n", why, (unsigned long long)c->lines);
	out_end(out);
}

/* `conn.open`: words of lower-case letters and underscores with dots between. */
static bool control_is_type(struct bytes b)
{
	bool letter = false;

	for (size_t i = 0; i < b.len; i++) {
		bool was = letter;

		letter = (b.data[i] >= 'a' && b.data[i] <= 'z') || b.data[i] == '_';
		if (!letter && (b.data[i] != '.' || !was))
			return false;
	}
	return letter && b.len <= CONTROL_TYPE_BYTES;
}

/* `2026-11-21T20:00:00.000000Z`, as RFC 3339 has it in UTC. */
static bool control_is_time(struct bytes b)
{
	static const char least[] = "0000-00-00T00:00:00", most[] = "9999-19-39T29:59:69";
	enum { DATE = sizeof least - 1 };

	if (b.len <= DATE || b.data[b.len - 1] != 'Z')
		return false;
	for (size_t i = 0; i < DATE; i++)
		if (b.data[i] < least[i] || b.data[i] > most[i])
			return false;
	if (b.len == DATE + 1)
		return true;
	for (size_t i = DATE + 1; i < b.len - 1; i++)
		if (b.data[i] < '0' || b.data[i] > '9')
			return false;
	return b.data[DATE] == '.' && b.len > DATE + 2;
}

/* What every event has or may have, once each: a string that means something. */
static const char *control_member_fault(const struct json_member *member, unsigned *seen)
{
	static const struct {
		const char *name, *fault;
		bool (*is_sound)(struct bytes value);
	} known[] = {{"type", "not a type of event", control_is_type},
		     {"time", "not a time of RFC 3339 in UTC", control_is_time},
		     {"host", "not the name of a host", NULL},
		     {"service", "not the name of a service", NULL}};

	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
		if (!json_is(member->name, known[i].name))
			continue;
		if (*seen & 1u << i || member->kind != JSON_STRING ||
		    (known[i].is_sound && !known[i].is_sound(member->value)))
			return known[i].fault;
		*seen |= 1u << i;
	}
	return NULL;
}

const char *control_event_fault(struct bytes line)
{
	struct json_member member;
	size_t cursor = 0;
	const char *fault = NULL;
	unsigned seen = 0;
	int more;

	if (!line.len || line.data[0] != '{')
		return "not an object";
	if (bytes_find_byte(line, '\r') < line.len)
		return "not on one line";
	while ((more = json_next(line, &cursor, &member)) > 0) {
		if (bytes_find_byte(member.name, '\\') < member.name.len)
			return "names have no escapes";
		if (json_is(member.name, "seq"))
			return "an event gets its seq from the daemon";
		fault = control_member_fault(&member, &seen);
		if (fault)
			return fault;
	}
	if (more < 0)
		return "not sound JSON";
	return (seen & 3) == 3 ? NULL : "an event has a type and a time";
}

/* What is asked, or what is wrong with that. */
static const char *control_read_ask(struct bytes line, struct control_ask *ask)
{
	struct json_member member;
	size_t cursor = 0;
	int more;

	*ask = (struct control_ask){0};
	while ((more = json_next(line, &cursor, &member)) > 0) {
		if (json_is(member.name, "ask")) {
			ask->events = json_is(member.value, "events");
		} else if (json_is(member.name, "since")) {
			ask->since_given = true;
			if (number_parse_u64(member.value, &ask->since) < 0)
				return "since is the number of an event";
		} else {
			return "there is more in it than is known";
		}
	}
	if (more < 0)
		return "not sound JSON";
	return ask->events ? NULL : "there are only events to ask for";
}

static bool control_asks(struct bytes line)
{
	struct json_member member;
	size_t cursor = 0;

	return json_next(line, &cursor, &member) > 0 && json_is(member.name, "ask");
}

/* False when the line was refused. */
static bool control_line(struct control *c, struct bytes line, struct out *out)
{
	struct control_ask ask;
	const char *fault;

	line = bytes_strip(line);
	c->lines++;
	if (!control_asks(line)) {
		fault = control_event_fault(line);
		if (!fault)
			control_tell(out, CONTROL_PUBLISH, 0, 0, line);
	} else {
		fault = c->follows ? "it was asked for already" : control_read_ask(line, &ask);
		if (!fault) {
			c->follows = true;
			control_tell(out, CONTROL_FOLLOW, ask.since, ask.since_given,
				     (struct bytes){0});
		}
	}
	if (fault)
		control_refuse(c, fault, out);
	return !fault;
}

static size_t control_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct control *c = m;
	size_t taken = 0;

	for (;;) {
		struct bytes rest = bytes_after(in, taken);
		size_t len = bytes_find_byte(bytes_first(rest, CONTROL_LINE_BYTES), '\n');

		if (len == CONTROL_LINE_BYTES) {
			c->lines++;
			control_refuse(c, "the line is too long", out);
			return in.len;
		}
		if (len == rest.len || !out_fits(out, 1, len + CONTROL_ANSWER_BYTES) ||
		    !out_fits_messages(out, 1, 0))
			return taken;
		if (!control_line(c, bytes_first(rest, len), out))
			return in.len;
		taken += len + 1;
	}
}

static void control_ready(struct control *c, struct out *out)
{
	c->behind = !out_room(out);
	if (c->behind)
		out_more(out);
	else
		control_tell(out, CONTROL_READY, 0, 0, (struct bytes){0});
}

static void control_told(void *m, const struct message *message, struct out *out,
			 const struct moment *now)
{
	struct control *c = m;

	switch ((enum control_kind)message->kind) {
	case CONTROL_FOLLOWS:
		out_printf(out, "{\"answer\":\"events\",\"newest\":%llu}\n",
			   (unsigned long long)message->number[0]);
		control_ready(c, out);
		break;
	case CONTROL_PIECE:
		out_borrow(out, message->body);
		control_ready(c, out);
		break;
	case CONTROL_FULL:
		control_refuse(c, "there are too many readers", out);
		break;
	default:
		break;
	}
}

static void control_room(void *m, struct out *out, const struct moment *now)
{
	struct control *c = m;

	if (c->behind)
		control_ready(c, out);
}

const struct machine control_machine = {
	.name = "control",
	.state_bytes = sizeof(struct control),
	.hold_bytes = CONTROL_LINE_BYTES - 1,
	.silent_peers = true,
	.feed = control_feed,
	.tell = control_told,
	.room = control_room,
};
