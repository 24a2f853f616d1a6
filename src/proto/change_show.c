/* A change for those who read: as an event, one line of JSON (docs/events.md), and as a
 * line for people. Numbers and digests are put by hand: a store is shown by the million. */
#include "proto/change.h"
#include "base/event.h"
#include "base/number.h"

/* Whether a change of its type says how the thing stands that it is about. */
static bool says_state(const struct change *c)
{
	return c->kind != CHANGE_NOTHING && c->type != CHANGE_DELETE && c->type != CHANGE_GAP &&
	       c->type != CHANGE_SETTLED;
}

static void put_unsigned(struct text *t, uint64_t value)
{
	char digits[21];

	text_put(t, bytes_of(digits, number_format_u64(value, digits)));
}

/* `,"NAME_SUFFIX":`; names are ours and need no escapes. */
static void put_name(struct text *t, const char *name, const char *suffix)
{
	text_put_string(t, ",\"");
	text_put_string(t, name);
	text_put_string(t, suffix);
	text_put_string(t, "\":");
}

static void put_string(struct text *t, const char *name, struct bytes value)
{
	if (!value.len)
		return;
	put_name(t, name, "");
	event_put_json_string(t, value);
	if (text_utf8_valid(value))
		return;
	put_name(t, name, "_b64");
	text_put_byte(t, '"');
	text_put_base64(t, value);
	text_put_byte(t, '"');
}

static void put_number(struct text *t, const char *name, uint64_t value)
{
	put_name(t, name, "");
	put_unsigned(t, value);
}

static void put_time(struct text *t, const char *name, int64_t wall_us)
{
	put_name(t, name, "");
	text_put_byte(t, '"');
	moment_put_rfc3339(t, wall_us);
	text_put_byte(t, '"');
}

static void put_flag(struct text *t, const char *name, bool value)
{
	put_name(t, name, "");
	text_put_string(t, value ? "true" : "false");
}

static void put_digest(struct text *t, const char *name, const uint8_t *digest)
{
	static const char hex[] = "0123456789abcdef";
	char digits[2 * CHANGE_DIGEST_BYTES];

	for (size_t i = 0; i < CHANGE_DIGEST_BYTES; i++) {
		digits[2 * i] = hex[digest[i] >> 4];
		digits[2 * i + 1] = hex[digest[i] & 15];
	}
	put_name(t, name, "");
	text_put_byte(t, '"');
	text_put(t, bytes_of(digits, sizeof(digits)));
	text_put_byte(t, '"');
}

static void put_head(struct text *t, const struct change *c, const char *host, const char *client,
		     uint64_t seq)
{
	text_put_string(t, "{\"time\":\"");
	moment_put_rfc3339(t, c->time_us);
	text_put_string(t, "\",\"type\":\"watch.");
	text_put_string(t, change_type_name(c->type));
	text_put_byte(t, '"');
	if (host)
		put_string(t, "host", bytes_of_string(host));
	text_put_string(t, client ? ",\"service\":\"collect\"" : ",\"service\":\"watch\"");
	if (client)
		put_string(t, "client", bytes_of_string(client));
	if (seq)
		put_number(t, "seq", seq);
}

static void put_state(struct text *t, const struct change *c)
{
	put_number(t, "size", c->size);
	put_time(t, "mtime", c->mtime_us);
	put_number(t, "mode", c->mode);
	put_number(t, "inode", c->inode);
	if (c->hashed)
		put_digest(t, "sha256", c->sha256);
}

void change_put_json(struct text *t, const struct change *c, const char *host, const char *client,
		     uint64_t seq)
{
	put_head(t, c, host, client, seq);
	put_string(t, "path", c->path);
	put_string(t, "from", c->from);
	put_string(t, "kind", bytes_of_string(change_kind_name(c->kind)));
	if (says_state(c))
		put_state(t, c);
	if (c->pid)
		put_number(t, "pid", c->pid);
	put_string(t, "program", c->program);
	put_string(t, "user", c->user);
	put_string(t, "why", c->why);
	if (c->reset)
		put_flag(t, "reset", true);
	text_put_string(t, "}\n");
}

static void put_who(struct text *t, const struct change *c)
{
	if (!c->pid && !c->program.len && !c->user.len)
		return;
	text_put_string(t, " by ");
	text_put_value(t, c->program.len ? c->program : BYTES_LITERAL("pid"));
	if (c->pid) {
		text_put_byte(t, ' ');
		put_unsigned(t, c->pid);
	}
	if (c->user.len) {
		text_put_string(t, " of ");
		text_put_value(t, c->user);
	}
}

static void put_what(struct text *t, const struct change *c)
{
	if (c->from.len) {
		text_put_value(t, c->from);
		text_put_string(t, " -> ");
	}
	text_put_value(t, c->path);
	if (c->kind == CHANGE_DIRECTORY && c->path.data[c->path.len - 1] != '/')
		text_put_byte(t, '/');
	if (c->kind == CHANGE_FILE && says_state(c) && c->type != CHANGE_MOVE) {
		text_put_byte(t, ' ');
		put_unsigned(t, c->size);
	}
	if (c->type == CHANGE_ATTRIB)
		text_printf(t, " %04o", c->mode);
	if (c->why.len) {
		text_put_byte(t, ' ');
		text_put_value(t, c->why);
	}
	if (c->reset)
		text_put_string(t, " reset");
}

void change_put_line(struct text *t, const struct change *c, const char *client,
		     int32_t utc_offset_s)
{
	int64_t wall_s = c->time_us / 1000000 - (c->time_us % 1000000 < 0);
	struct moment_date d = moment_date_of(wall_s + utc_offset_s);

	text_printf(t, "%02d:%02d:%02d ", d.hour, d.minute, d.second);
	if (client) {
		text_put_value(t, bytes_of_string(client));
		text_put_byte(t, ' ');
	}
	text_put_padded(t, change_type_name(c->type), 7);
	text_put_byte(t, ' ');
	put_what(t, c);
	put_who(t, c);
	text_put_byte(t, '\n');
}
