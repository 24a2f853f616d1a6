/* The courses' unframed clients: `VERB:name`, with LF behind it, or the next record, or nothing. No
 * framing says where such a record ends, so time does:
 *
 *   bytes ──► burst ──► LF in it?   records end at LF
 *                       none:       records end where the next VERB: begins
 *             over, when nothing came for FEED_PAUSE_MS: what waits is a record, too
 *
 * A burst is what comes without such a pause. Whether there is LF in it is known at the first one,
 * or when as much came as a line may have, or when it is over; nothing is decided before. So what a
 * stream says does not depend on how the network cut it, and a client that writes a record at a
 * time is heard a fifth of a second later. In the middle of a line or of a UTF-8 character the
 * pause is FEED_STALL_MS: there something is known to be missing.
 *
 * Limits: a name has FEED_NAME_BYTES. Without LF a name that holds `VERB:` is taken for two records
 * or more; nothing tells the two apart. Of refused lines the first REFUSED_MOST are events. */
#include "proto/feed_parts.h"
#include "proto/change.h"

enum { REFUSED_MOST = 16, REFUSED_TEXT_BYTES = 256, VERB_MOST = 12 /* with its colon */ };

static const struct {
	char verb[VERB_MOST + 1];
	uint8_t type; /* enum change_type */
} verbs[] = {
	{"CREATE:", CHANGE_CREATE}, {"MODIFY:", CHANGE_MODIFY},      {"DELETE:", CHANGE_DELETE},
	{"MOVE:", CHANGE_MOVE},     {"MOVED_FROM:", CHANGE_DELETE},  {"MOVED_TO:", CHANGE_CREATE},
	{"ATTRIB:", CHANGE_ATTRIB}, {"CLOSE_WRITE:", CHANGE_MODIFY},
};

enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

/* Which verb `b` begins with, or VERBS; and its length with the colon. */
static unsigned verb_of(struct bytes b, size_t *len)
{
	unsigned i = 0;

	for (; i < VERBS; i++) {
		*len = strlen(verbs[i].verb);
		if (b.len >= *len && memcmp(b.data, verbs[i].verb, *len) == 0)
			break;
	}
	return i;
}

/* Where in `b`, from `from` on, a verb first begins, or b.len. */
static size_t find_verb(struct bytes b, size_t from)
{
	for (size_t at = from; at < b.len; at++) {
		size_t len;

		if (b.data[at] >= 'A' && b.data[at] <= 'M' &&
		    verb_of(bytes_after(b, at), &len) < VERBS)
			return at;
	}
	return b.len;
}

static struct bytes waiting(const struct feed_plain *p)
{
	return bytes_of(p->buffer + p->at, (size_t)(p->len - p->at));
}

static void refuse(struct feed_plain *p, struct bytes line, const char *why,
		   const struct address *remote, struct out *out, const struct moment *now)
{
	struct bytes shown = bytes_first(line, REFUSED_TEXT_BYTES);
	struct event *e;

	if (p->refused == REFUSED_MOST)
		return;
	p->refused++;
	e = out_event(out, now, EVENT_WARNING, "feed.line");
	event_address(e, "peer", remote);
	event_string(e, "why", why);
	event_text(e, "text", bytes_first(shown, shown.len - text_utf8_incomplete_tail(shown)));
}

/* With the address: when the hub hears of it, the connection may be gone. */
static void tell_record(enum change_type type, struct bytes name, const struct address *remote,
			struct out *out)
{
	struct message message = {
		.kind = FEED_PLAIN, .number = {type, remote->family}, .body = name};

	memcpy(&message.number[2], remote->ip, sizeof(remote->ip));
	out_tell(out, OUT_HUB, &message);
}

/* One record, without what ended it. */
static void take_record(struct feed_plain *p, struct bytes b, const struct address *remote,
			struct out *out, const struct moment *now)
{
	size_t len = 0;
	unsigned verb = verb_of(b, &len);
	struct bytes name;

	if (b.len == 0)
		return;
	if (verb == VERBS) {
		refuse(p, b, "no verb that is known", remote, out, now);
		return;
	}
	name = bytes_after(b, len);
	if (name.len == 0)
		refuse(p, b, "no name", remote, out, now);
	else if (name.len > FEED_NAME_BYTES)
		refuse(p, b, "too long a name", remote, out, now);
	else if (bytes_find_byte(name, '\0') < name.len)
		refuse(p, b, "a NUL in the name", remote, out, now);
	else
		tell_record(verbs[verb].type, name, remote, out);
}

/* Where the record in front ends, and with `*behind` how many bytes stand between it and the next.
 * False: not yet known. */
static bool find_end(struct feed_plain *p, size_t *len, size_t *behind)
{
	struct bytes b = waiting(p);
	size_t lf = bytes_find_byte(b, '\n'), verb = b.len;

	p->lines |= lf < b.len && !p->prefixes;
	p->prefixes |= !p->lines && (p->over || b.len == FEED_PLAIN_BYTES);
	if (p->prefixes)
		verb = find_verb(b, p->skips ? 0 : 1);
	*len = verb < lf ? verb : lf;
	*behind = *len == lf && lf < b.len;
	return *len < b.len || p->over;
}

/* What waits fills the buffer and has no end: its rest is let go, but for what may begin a verb. */
static void let_go(struct feed_plain *p, const struct address *remote, struct out *out,
		   const struct moment *now)
{
	if (!p->skips)
		refuse(p, waiting(p), "too long a line", remote, out, now);
	p->skips = true;
	p->at = (uint16_t)(p->len - (VERB_MOST - 1));
}

static void burst_over(struct feed_plain *p)
{
	p->at = p->len = 0;
	p->lines = p->prefixes = p->skips = p->over = false;
}

/* Tells the records that wait and have an end. False when `out` has no place left for one. */
static bool work(struct feed_plain *p, const struct address *remote, struct out *out,
		 const struct moment *now)
{
	size_t len, behind;

	while (p->at < p->len) {
		if (!out_fits(out, 0, FEED_NAME_BYTES) || !out_fits_messages(out, 1, 1))
			return false;
		if (find_end(p, &len, &behind)) {
			struct bytes b = bytes_first(waiting(p), len);

			if (behind && b.len > 0 && b.data[b.len - 1] == '\r')
				b.len--;
			if (!p->skips)
				take_record(p, b, remote, out, now);
			p->skips = false;
			p->at = (uint16_t)(p->at + len + behind);
		} else if (p->len - p->at == FEED_PLAIN_BYTES) {
			let_go(p, remote, out, now);
		} else {
			break;
		}
	}
	if (p->over)
		burst_over(p);
	return true;
}

/* Sets when the burst is over, unless more comes. */
static void set_due(struct feed_plain *p, struct out *out, const struct moment *now)
{
	struct bytes b = waiting(p);
	bool stalls = b.len > 0 && (p->lines || text_utf8_incomplete_tail(b) > 0);
	uint64_t wait_ms = stalls ? FEED_STALL_MS : FEED_PAUSE_MS;

	p->due_ns = now->boot_ns + wait_ms * MOMENT_MS;
	if (b.len == 0 && !p->lines && !p->prefixes)
		p->due_ns = MOMENT_NEVER;
	out_deadline(out, p->due_ns);
}

static size_t append(struct feed_plain *p, struct bytes in)
{
	struct bytes b = waiting(p), fits;

	memmove(p->buffer, b.data, b.len);
	p->at = 0;
	p->len = (uint16_t)b.len;
	fits = bytes_first(in, FEED_PLAIN_BYTES - b.len);
	memcpy(p->buffer + p->len, fits.data, fits.len);
	p->len = (uint16_t)(p->len + fits.len);
	return fits.len;
}

size_t feed_plain_take(struct feed_plain *p, struct bytes in, const struct address *remote,
		       struct out *out, const struct moment *now)
{
	size_t taken = 0;

	while (work(p, remote, out, now) && taken < in.len)
		taken += append(p, bytes_after(in, taken));
	set_due(p, out, now);
	return taken;
}

void feed_plain_room(struct feed_plain *p, const struct address *remote, struct out *out,
		     const struct moment *now)
{
	if (work(p, remote, out, now) && p->ended)
		out_end(out);
}

void feed_plain_end(struct feed_plain *p, const struct address *remote, struct out *out,
		    const struct moment *now)
{
	p->over = p->ended = true;
	feed_plain_room(p, remote, out, now);
}

void feed_plain_tick(struct feed_plain *p, const struct address *remote, struct out *out,
		     const struct moment *now)
{
	if (p->due_ns > now->boot_ns) {
		out_deadline(out, p->due_ns);
		return;
	}
	p->over = true;
	p->due_ns = MOMENT_NEVER;
	feed_plain_room(p, remote, out, now);
}
