/* Role, the client's side. docs/protocols/role.md has the proof of what is done here with time.
 *
 *   client                                   server
 *     │ ── ROLE/1 name=NAME ...\nbeat 1\n ───► │
 *     │ ◄──────────── `secondaire` ─────────── │  a word: any server says this
 *     │ ◄────── \nrole secondaire ...\n ────── │  a line: this one is structured
 *     │ ◄────── \nbeat 1 epoch= lease=\n ───── │
 *     │ ── beat 2\n ─────────────────────────► │  every third of a lease
 *     │ ◄────── \nrole principal ...\n ─────── │  principal until: sending of the newest answered
 *     │                                        │  beat + lease - what clocks may drift
 *
 *             a line                    a line
 *   ASKING ─────────────► STRUCTURED ◄───────── PLAIN
 *      └── a word, and for ROLE_PATIENCE_NS no line ──► ┘
 *
 * A plain server sends words only, with or without line ends, in any case, run together or not. One
 * that is structured answers `beat 1` at once, also while it waits for its disk; so silence means a
 * plain server, or a network that just broke. An owner that has once seen structure at an address
 * asks for ROLE_CLIENT_STRUCTURED from then on, and then words count for nothing. A plain server
 * may also hang up on what it does not know: ROLE_UNSURE tells the owner so, and after two of these
 * in a row it asks for ROLE_CLIENT_PLAIN.
 *
 * What the owner was told last stands after the connection's end too, until its time runs out.
 *
 * Limits: lines of ROLE_LINE_BYTES; after UNANSWERED_MOST beats without answer, ERR_TIMEOUT. */
#include "proto/role.h"

#include <inttypes.h>

#define N_(s) s

enum { UNANSWERED_MOST = 3 * ROLE_BEATS_PER_LEASE, SENT_KEPT = 16 };

enum role_client_state { ASKING, STRUCTURED, PLAIN };

/* What an owner believes. */
enum role_told { TOLD_NOTHING, TOLD_SECONDAIRE, TOLD_PRINCIPAL, TOLD_LOST };

struct role_client {
	const struct role_client_settings *settings;
	uint8_t state;  /* enum role_client_state */
	uint8_t word;   /* newest: a ROLE_WORD_, or 0 */
	uint8_t passed; /* ASKING: the word before the newest, when it was the other one; or 0 */
	uint8_t line;   /* newest: a ROLE_LINE_, or 0 */
	uint8_t told;   /* enum role_told */
	bool told_structured;
	uint64_t told_epoch, told_until_ns;

	uint64_t epoch;      /* the newest seen; it never falls */
	uint64_t line_epoch; /* of the newest role line */
	uint64_t lease_ns;
	uint64_t sent;     /* the newest beat sent; they count from 1 */
	uint64_t answered; /* the newest beat answered, 0: none */
	uint64_t sent_ns[SENT_KEPT];
	uint64_t beat_due_ns;
	uint64_t patience_ns; /* ASKING, after the first word */
};

static const struct option role_client_options[] = {
	{.name = "name",
	 .type = OPTION_TEXT,
	 .argument = "NAME",
	 .offset = offsetof(struct role_client_settings, name),
	 .fallback = "prise",
	 .help = N_("what this client calls itself")},
	{.name = "priority",
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct role_client_settings, priority),
	 .most = ROLE_PRIORITY_MOST,
	 .help = N_("the highest becomes principal first")},
	{.name = "mode",
	 .type = OPTION_CHOICE,
	 .argument = "auto|structured|plain",
	 .offset = offsetof(struct role_client_settings, mode),
	 .fallback = "auto",
	 .choices = "auto structured plain",
	 .help = N_("what the server is known to understand")},
	OPTION_END,
};

/* Time. */

static void beat(struct role_client *c, struct out *out, const struct moment *now)
{
	if (c->sent - c->answered >= UNANSWERED_MOST) {
		out_abort(out, ERR_TIMEOUT);
		return;
	}
	c->sent++;
	c->sent_ns[c->sent % SENT_KEPT] = now->boot_ns;
	c->beat_due_ns = now->boot_ns + c->lease_ns / ROLE_BEATS_PER_LEASE;
	out_printf(out, "beat %" PRIu64 "\n", c->sent);
}

/* Until when this client is principal, if it is: counted from the sending of the newest beat that
 * was answered, whatever it was when it sent it; 0 when none was. */
static uint64_t valid_until_ns(const struct role_client *c)
{
	if (c->line != ROLE_LINE_PRINCIPAL || c->answered == 0)
		return 0;
	return c->sent_ns[c->answered % SENT_KEPT] + c->lease_ns - c->lease_ns / ROLE_DRIFT_SHARE;
}

static void set_deadline(const struct role_client *c, struct out *out)
{
	uint64_t due_ns = MOMENT_NEVER;

	if (c->state == STRUCTURED)
		due_ns = c->beat_due_ns;
	else if (c->state == ASKING && c->word)
		due_ns = c->patience_ns;
	if (c->told == TOLD_PRINCIPAL && c->told_until_ns < due_ns)
		due_ns = c->told_until_ns;
	out_deadline(out, due_ns);
}

/* The owner. */

static void tell_owner(struct role_client *c, enum role_kind kind, struct out *out)
{
	out_tell(out, OUT_OWNER,
		 &(struct message){.kind = kind,
				   .number = {c->told == TOLD_PRINCIPAL, c->told_epoch,
					      c->told_until_ns, c->told_structured}});
}

static struct event *changed(bool principal, bool structured, struct out *out,
			     const struct moment *now)
{
	struct event *e = out_event(out, now, EVENT_INFO, "role.change");

	event_string(e, "role", principal ? "principal" : "secondaire");
	event_bool(e, "structured", structured);
	return e;
}

static void became(struct role_client *c, enum role_told told, uint64_t epoch, uint64_t until_ns,
		   struct out *out, const struct moment *now)
{
	bool structured = c->state == STRUCTURED;
	bool same = c->told == told && c->told_structured == structured &&
		    (told == TOLD_SECONDAIRE || c->told_epoch == epoch);
	bool longer = told == TOLD_PRINCIPAL && c->told_until_ns != until_ns;
	struct event *e;

	c->told = told;
	c->told_structured = structured;
	c->told_epoch = epoch;
	c->told_until_ns = until_ns;
	if (same) {
		if (longer)
			tell_owner(c, ROLE_RENEWED, out);
		return;
	}
	tell_owner(c, ROLE_BECAME, out);
	e = changed(told == TOLD_PRINCIPAL, structured, out, now);
	if (structured)
		event_uint(e, "epoch", epoch);
}

static void lost(struct role_client *c, struct out *out, const struct moment *now)
{
	c->told = TOLD_LOST;
	tell_owner(c, ROLE_LOST, out);
	event_uint(out_event(out, now, EVENT_WARNING, "role.lost"), "epoch", c->told_epoch);
}

/* Tells the owner what has changed, if anything. A principal line without time says nothing yet:
 * the answer to the beat that it brings about does. */
static void report(struct role_client *c, struct out *out, const struct moment *now)
{
	uint64_t until_ns = valid_until_ns(c);

	if (c->state == PLAIN && c->word == ROLE_WORD_PRINCIPAL)
		became(c, TOLD_PRINCIPAL, 0, MOMENT_NEVER, out, now);
	else if (c->state == PLAIN && c->word)
		became(c, TOLD_SECONDAIRE, 0, MOMENT_NEVER, out, now);
	else if (c->state == STRUCTURED && c->line == ROLE_LINE_SECONDAIRE)
		became(c, TOLD_SECONDAIRE, c->line_epoch, MOMENT_NEVER, out, now);
	else if (until_ns > now->boot_ns)
		became(c, TOLD_PRINCIPAL, c->line_epoch, until_ns, out, now);
	else if (c->told == TOLD_PRINCIPAL)
		lost(c, out, now);
}

/* What the server says. */

/* The first line says that the server is structured: beats begin, and words count no more. */
static void is_structured(struct role_client *c, struct out *out, const struct moment *now)
{
	if (c->state == STRUCTURED)
		return;
	c->state = STRUCTURED;
	c->beat_due_ns = now->boot_ns + c->lease_ns / ROLE_BEATS_PER_LEASE;
	if (c->told == TOLD_PRINCIPAL)
		became(c, TOLD_SECONDAIRE, 0, MOMENT_NEVER, out, now);
}

/* No line came: what the words said holds. Of a role that has passed only the record is left. */
static void is_plain(struct role_client *c, struct out *out, const struct moment *now)
{
	c->state = PLAIN;
	if (c->passed)
		changed(c->passed == ROLE_WORD_PRINCIPAL, false, out, now);
}

static bool take_epoch(struct role_client *c, struct bytes *rest, uint64_t *epoch)
{
	if (!role_take_number(rest, "epoch", ROLE_EPOCH_MOST, epoch) || *epoch < c->epoch)
		return false;
	c->epoch = *epoch;
	return true;
}

static bool take_lease(struct bytes *rest, uint64_t *lease_ns)
{
	uint64_t ms;

	if (!role_take_number(rest, "lease", ROLE_LEASE_MOST_MS, &ms) || ms < ROLE_LEASE_LEAST_MS)
		return false;
	*lease_ns = ms * MOMENT_MS;
	return true;
}

/* `principal epoch=E position=P members=M lease=MS`, behind `role `; more fields may follow. */
static bool role_line(struct role_client *c, struct bytes rest, struct out *out,
		      const struct moment *now)
{
	uint64_t epoch, lease_ns, ignored;
	bool principal = role_take(&rest, BYTES_LITERAL("principal "));

	if (!principal && !role_take(&rest, BYTES_LITERAL("secondaire ")))
		return false;
	if (!take_epoch(c, &rest, &epoch) ||
	    !role_take_number(&rest, "position", UINT64_MAX, &ignored) ||
	    !role_take_number(&rest, "members", UINT64_MAX, &ignored) ||
	    !take_lease(&rest, &lease_ns))
		return false;
	c->lease_ns = lease_ns;
	is_structured(c, out, now);
	c->line = principal ? ROLE_LINE_PRINCIPAL : ROLE_LINE_SECONDAIRE;
	c->line_epoch = epoch;
	report(c, out, now);
	if (principal)
		beat(c, out, now);
	return true;
}

/* `N epoch=E lease=MS`, behind `beat `. An answer under another epoch than this principal's renews
 * nothing: it belongs to another reign. */
static bool beat_line(struct role_client *c, struct bytes rest, struct out *out,
		      const struct moment *now)
{
	size_t space = bytes_find_byte(rest, ' ');
	uint64_t n, epoch, lease_ns;

	if (space == rest.len || number_parse_u64(bytes_first(rest, space), &n) < 0 || n == 0 ||
	    n > c->sent)
		return false;
	rest = bytes_after(rest, space + 1);
	if (!take_epoch(c, &rest, &epoch) || !take_lease(&rest, &lease_ns))
		return false;
	is_structured(c, out, now);
	if (n <= c->answered || (c->line == ROLE_LINE_PRINCIPAL && epoch != c->line_epoch))
		return true;
	c->answered = n;
	c->lease_ns = lease_ns;
	report(c, out, now);
	return true;
}

static bool refused_line(struct bytes rest, struct out *out, const struct moment *now)
{
	event_text(out_event(out, now, EVENT_ERROR, "role.refused"), "why", rest);
	out_abort(out, ERR_REFUSES);
	return true;
}

static bool line(struct role_client *c, struct bytes b, struct out *out, const struct moment *now)
{
	if (role_take(&b, BYTES_LITERAL("role ")))
		return role_line(c, b, out, now);
	if (role_take(&b, BYTES_LITERAL("beat ")))
		return beat_line(c, b, out, now);
	if (role_take(&b, BYTES_LITERAL("refused: ")))
		return refused_line(b, out, now);
	return false;
}

static void word(struct role_client *c, uint8_t kind, struct out *out, const struct moment *now)
{
	if (!c->word)
		c->patience_ns = now->boot_ns + ROLE_PATIENCE_NS;
	else if (c->state == ASKING && c->word != kind)
		c->passed = c->word;
	c->word = kind;
	if (c->state == PLAIN)
		report(c, out, now);
}

/* How `b` stands to the front of a token, in any case. */
enum role_match { ELSE, PART, WHOLE };

static enum role_match match(struct bytes b, struct bytes token)
{
	struct bytes front = bytes_first(b, token.len);

	if (!bytes_equal_fold(front, bytes_first(token, front.len)))
		return ELSE;
	return front.len == token.len ? WHOLE : PART;
}

static const struct {
	struct bytes token;
	uint8_t kind; /* of a word; 0 begins a line */
} role_tokens[] = {
	{{(const uint8_t *)"secondaire", 10}, ROLE_WORD_SECONDAIRE},
	{{(const uint8_t *)"principal", 9}, ROLE_WORD_PRINCIPAL},
	{{(const uint8_t *)"role ", 5}, 0},
	{{(const uint8_t *)"beat ", 5}, 0},
	{{(const uint8_t *)"refused: ", 9}, 0},
};

/* A word or a whole line at the front of `b`: its bytes; 0 when its end is still to come, or when
 * it was none and the talk is over. */
static size_t token(struct role_client *c, struct bytes b, struct out *out,
		    const struct moment *now)
{
	size_t count = sizeof role_tokens / sizeof role_tokens[0], i = 0, len;
	enum role_match found = ELSE;

	while (i < count && (found = match(b, role_tokens[i].token)) == ELSE)
		i++;
	if (found == PART)
		return 0;
	if (found == WHOLE && role_tokens[i].kind) {
		word(c, role_tokens[i].kind, out, now);
		return role_tokens[i].token.len;
	}
	b = bytes_first(b, ROLE_LINE_BYTES);
	len = bytes_find_byte(b, '\n');
	if (found == WHOLE && len == b.len && len < ROLE_LINE_BYTES)
		return 0;
	if (found == WHOLE && len < b.len && line(c, bytes_first(b, len), out, now))
		return len + 1;
	out_abort(out, ERR_PROTOCOL);
	return 0;
}

/* The verbs. */

static void role_client_open(void *m, const struct peer *peer, struct out *out,
			     const struct moment *now)
{
	struct role_client *c = m;
	const struct role_client_settings *settings = c->settings = peer->settings;
	static const uint8_t first_state[] = {
		[ROLE_CLIENT_AUTO] = ASKING,
		[ROLE_CLIENT_STRUCTURED] = STRUCTURED,
		[ROLE_CLIENT_PLAIN] = PLAIN,
	};

	c->state = first_state[settings->mode];
	c->lease_ns = ROLE_LEASE_MS * MOMENT_MS;
	if (c->state == PLAIN)
		return;
	if (!role_name_valid(bytes_of_string(settings->name))) {
		out_abort(out, ERR_USAGE);
		return;
	}
	out_printf(out, "ROLE/1 name=%s priority=%" PRIu64 "\n", settings->name,
		   settings->priority);
	beat(c, out, now);
	set_deadline(c, out);
}

static size_t role_client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct role_client *c = m;
	size_t taken = 0;

	while (taken < in.len && out_fits_messages(out, 2, 2)) {
		struct bytes rest = bytes_after(in, taken);
		bool space = bytes_strip(bytes_first(rest, 1)).len == 0;
		size_t len = space ? 1 : token(c, rest, out, now);

		if (len == 0 || out->abort_why)
			break;
		taken += len;
	}
	set_deadline(c, out);
	return taken;
}

static void role_client_eof(void *m, struct out *out, const struct moment *now)
{
	struct role_client *c = m;

	if (c->state == ASKING)
		tell_owner(c, ROLE_UNSURE, out);
	out_abort(out, ERR_LEFT);
}

static void role_client_tick(void *m, struct out *out, const struct moment *now)
{
	struct role_client *c = m;

	if (c->state == ASKING && c->word && now->boot_ns >= c->patience_ns)
		is_plain(c, out, now);
	report(c, out, now);
	if (c->state == STRUCTURED && now->boot_ns >= c->beat_due_ns)
		beat(c, out, now);
	set_deadline(c, out);
}

static void role_client_tell(void *m, const struct message *message, struct out *out,
			     const struct moment *now)
{
	struct role_client *c = m;

	if (message->kind != ROLE_STOPPED)
		return;
	if (c->state != PLAIN)
		out_static(out, BYTES_LITERAL("bye\n"));
	out_end(out);
}

const struct machine role_client_machine = {
	.name = "role_client",
	.state_bytes = sizeof(struct role_client),
	.hold_bytes = ROLE_LINE_BYTES - 1,
	.silent_peers = true,
	.settings = role_client_options,
	.settings_bytes = sizeof(struct role_client_settings),
	.open = role_client_open,
	.feed = role_client_feed,
	.eof = role_client_eof,
	.tick = role_client_tick,
	.tell = role_client_tell,
};
