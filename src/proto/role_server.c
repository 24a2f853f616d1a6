/* Role, the server's side: docs/protocols/role.md. Who is principal is the hub's to say; this
 * machine turns its messages into words and lines.
 *
 *   client                                  server (hub)
 *     │ ───────────── connects ───────────────► │  JOIN
 *     │ ◄──────────── `secondaire` ──────────── │  WORD_SECONDAIRE
 *     │ ◄──────────── `principal` ───────────── │  WORD_PRINCIPAL, when its turn comes
 *     │                                         │
 *     │ ── ROLE/1 name=NAME priority=N\n ─────► │  NAME
 *     │ ◄── \nrole secondaire epoch=... \n ──── │  LINE_SECONDAIRE
 *     │ ── beat 1\n ──────────────────────────► │  BEAT
 *     │ ◄── \nbeat 1 epoch=... lease=...\n ──── │  BEATEN
 *     │ ── bye\n ─────────────────────────────► │  BYE
 *
 * States: plain until ROLE/1, structured from then on. An empty line is nothing in either (somebody
 * pressed Enter); any other line that is not understood is refused with a reason, and that is the
 * end.
 *
 * Limits: a line has ROLE_LINE_BYTES with its LF. A CR before it is let pass. */
#include "proto/role.h"

#include <inttypes.h>

#define N_(s) s

struct role_server {
	const struct role_settings *settings;
	struct address remote;
	bool structured;
	uint8_t name_len;
	uint8_t name[ROLE_NAME_BYTES];
};

static const struct option role_options[] = {
	{.name = "eol",
	 .type = OPTION_CHOICE,
	 .argument = "none|lf",
	 .offset = offsetof(struct role_settings, eol),
	 .fallback = "none",
	 .choices = "none lf",
	 .help = N_("what ends the word that a client gets on connect")},
	{.name = "lease",
	 .type = OPTION_DURATION,
	 .argument = "DUR",
	 .offset = offsetof(struct role_settings, lease_ms),
	 .fallback = "3s",
	 .least = ROLE_LEASE_LEAST_MS,
	 .most = ROLE_LEASE_MOST_MS,
	 .help = N_("how long a structured principal stays so without a beat")},
	OPTION_END,
};

static struct event *role_event(struct role_server *r, enum event_level level, const char *type,
				struct out *out, const struct moment *now)
{
	struct event *e = out_event(out, now, level, type);

	event_address(e, "peer", &r->remote);
	if (r->structured)
		event_text(e, "name", bytes_of(r->name, r->name_len));
	return e;
}

static void tell_hub(struct out *out, enum role_kind kind, uint64_t number, struct bytes body)
{
	out_tell(out, OUT_HUB, &(struct message){.kind = kind, .number = {number}, .body = body});
}

static void role_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct role_server *r = m;

	r->settings = peer->settings;
	r->remote = peer->remote;
	tell_hub(out, ROLE_JOIN, 0, (struct bytes){0});
}

/* The end with a reason. The hub knows at once: a structured principal that talks nonsense keeps
 * its lease, everybody else gives the place back. */
static void refuse(struct role_server *r, const char *why, struct out *out,
		   const struct moment *now)
{
	event_string(role_event(r, EVENT_NOTICE, "role.refused", out, now), "why", why);
	out_printf(out, "\nrefused: %s\n", why);
	tell_hub(out, ROLE_LEAVE, 0, (struct bytes){0});
	out_end(out);
}

/* `name=NAME [priority=N]`, behind `ROLE/1 `. */
static void introduce(struct role_server *r, struct bytes rest, struct out *out,
		      const struct moment *now)
{
	struct bytes name;
	uint64_t priority = 0;

	if (!role_take_field(&rest, "name", &name) || !role_name_valid(name)) {
		refuse(r, "name=NAME must follow, 1 to 64 bytes of UTF-8 without spaces", out, now);
		return;
	}
	if (rest.len > 0 &&
	    (!role_take_number(&rest, "priority", ROLE_PRIORITY_MOST, &priority) || rest.len > 0)) {
		refuse(r, "only priority=N may follow the name, 0 to 1000000", out, now);
		return;
	}
	tell_hub(out, ROLE_NAME, priority, name);
	r->structured = true;
	r->name_len = (uint8_t)name.len;
	memcpy(r->name, name.data, name.len);
}

static void plain_line(struct role_server *r, struct bytes line, struct out *out,
		       const struct moment *now)
{
	if (role_take(&line, BYTES_LITERAL("ROLE/1 ")))
		introduce(r, line, out, now);
	else if (role_take(&line, BYTES_LITERAL("ROLE/")))
		refuse(r, "this server speaks ROLE/1 name=NAME [priority=N]", out, now);
	else
		refuse(r, "a plain client says nothing, or ROLE/1 name=NAME [priority=N]", out,
		       now);
}

static void structured_line(struct role_server *r, struct bytes line, struct out *out,
			    const struct moment *now)
{
	uint64_t n;

	if (bytes_equal(line, BYTES_LITERAL("bye"))) {
		tell_hub(out, ROLE_BYE, 0, (struct bytes){0});
		out_end(out);
	} else if (role_take(&line, BYTES_LITERAL("ROLE/"))) {
		refuse(r, "ROLE/1 was said before", out, now);
	} else if (!role_take(&line, BYTES_LITERAL("beat "))) {
		refuse(r, "only beat N and bye are understood here", out, now);
	} else if (number_parse_u64(line, &n) < 0) {
		refuse(r, "a beat has a number", out, now);
	} else {
		tell_hub(out, ROLE_BEAT, n, (struct bytes){0});
	}
}

/* One line, without its LF. */
static void take_line(struct role_server *r, struct bytes line, struct out *out,
		      const struct moment *now)
{
	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	if (line.len == 0)
		return;
	if (r->structured)
		structured_line(r, line, out, now);
	else
		plain_line(r, line, out, now);
}

/* A line asks for one tell and one event at most; what it says fits when these do. */
static size_t role_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct role_server *r = m;
	size_t taken = 0;

	while (taken < in.len && !out->end && out_fits_messages(out, 1, 1)) {
		struct bytes rest = bytes_first(bytes_after(in, taken), ROLE_LINE_BYTES);
		size_t len = bytes_find_byte(rest, '\n');

		if (len == ROLE_LINE_BYTES)
			refuse(r, "a line has at most 256 bytes", out, now);
		if (len == rest.len)
			break;
		take_line(r, bytes_first(rest, len), out, now);
		taken += len + 1;
	}
	return out->end ? in.len : taken;
}

/* A half-closed client is a gone one, as it is for every server that finds out by reading. */
static void role_eof(void *m, struct out *out, const struct moment *now)
{
	tell_hub(out, ROLE_LEAVE, 0, (struct bytes){0});
	out_end(out);
}

static void say_word(struct role_server *r, bool principal, struct out *out,
		     const struct moment *now)
{
	struct event *e = role_event(r, principal ? EVENT_INFO : EVENT_DEBUG, "role.change", out,
				     now);

	out_static(out, principal ? BYTES_LITERAL("principal") : BYTES_LITERAL("secondaire"));
	if (r->settings->eol == ROLE_EOL_LF)
		out_static(out, BYTES_LITERAL("\n"));
	event_string(e, "role", principal ? "principal" : "secondaire");
	event_bool(e, "structured", false);
}

static void say_line(struct role_server *r, const struct message *message, struct out *out,
		     const struct moment *now)
{
	bool principal = message->kind == ROLE_LINE_PRINCIPAL;
	const char *role = principal ? "principal" : "secondaire";
	const uint64_t *n = message->number;
	struct event *e = role_event(r, EVENT_INFO, "role.change", out, now);

	out_printf(out,
		   "\nrole %s epoch=%" PRIu64 " position=%" PRIu64 " members=%" PRIu64
		   " lease=%" PRIu64 "\n",
		   role, n[0], n[1], n[2], n[3]);
	event_string(e, "role", role);
	event_bool(e, "structured", true);
	event_uint(e, "epoch", n[0]);
	event_uint(e, "position", n[1]);
	event_uint(e, "members", n[2]);
}

static void role_tell(void *m, const struct message *message, struct out *out,
		      const struct moment *now)
{
	struct role_server *r = m;
	const uint64_t *n = message->number;

	switch (message->kind) {
	case ROLE_WORD_PRINCIPAL:
	case ROLE_WORD_SECONDAIRE:
		say_word(r, message->kind == ROLE_WORD_PRINCIPAL, out, now);
		break;
	case ROLE_LINE_PRINCIPAL:
	case ROLE_LINE_SECONDAIRE:
		say_line(r, message, out, now);
		break;
	case ROLE_BEATEN:
		out_printf(out, "\nbeat %" PRIu64 " epoch=%" PRIu64 " lease=%" PRIu64 "\n", n[0],
			   n[1], n[2]);
		break;
	case ROLE_FULL:
		refuse(r, "no more places", out, now);
		break;
	}
}

const struct machine role_machine = {
	.name = "role",
	.state_bytes = sizeof(struct role_server),
	.hold_bytes = ROLE_LINE_BYTES - 1,
	.silent_peers = true,
	.settings = role_options,
	.settings_bytes = sizeof(struct role_settings),
	.open = role_open,
	.feed = role_feed,
	.eof = role_eof,
	.tell = role_tell,
};
