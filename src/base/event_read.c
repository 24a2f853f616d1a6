/* Events read. Numbers that are whole become integers again, all others reals. Sources: RFC 8259,
 * RFC 3339. */
#include "base/event_read.h"

#include "base/json.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct names {
	char *at;
	size_t left;
};

/* A copy of `b`, terminated; NULL when there is no place. */
static const char *keep(struct names *names, struct bytes b)
{
	char *kept = names->at;

	if (b.len + 1 > names->left)
		return NULL;
	memcpy(kept, b.data, b.len);
	kept[b.len] = '\0';
	names->at += b.len + 1;
	names->left -= b.len + 1;
	return kept;
}

static void put_code(struct text *t, uint32_t code)
{
	char utf8[4];
	size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
	static const uint8_t first[] = {0, 0x00, 0xc0, 0xe0, 0xf0};

	for (size_t i = len - 1; i > 0; i--) {
		utf8[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	utf8[0] = (char)(first[len] | code);
	text_put(t, bytes_of(utf8, len));
}

static uint32_t read_hex(struct bytes four)
{
	uint32_t value = 0;

	for (size_t i = 0; i < 4; i++)
		value = value << 4 | (uint32_t)number_hex(four.data[i]);
	return value;
}

/* `\uXXXX`, perhaps with its other half; returns how much of `b` it is. Half a pair is U+FFFD. */
static size_t put_unicode(struct text *t, struct bytes b)
{
	uint32_t code = read_hex(bytes_after(b, 2)), low;

	if (code >= 0xd800 && code < 0xdc00 && b.len >= 12 && b.data[6] == '\\' &&
	    b.data[7] == 'u') {
		low = read_hex(bytes_after(b, 8));
		if (low >= 0xdc00 && low < 0xe000) {
			put_code(t, 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00));
			return 12;
		}
	}
	put_code(t, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
	return 6;
}

/* A sound string, as it stands between its quotes. */
static void put_unescaped(struct text *t, struct bytes b)
{
	static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";

	while (b.len) {
		size_t plain = bytes_find_byte(b, '\\');
		const char *letter;

		text_put(t, bytes_first(b, plain));
		b = bytes_after(b, plain);
		if (!b.len)
			return;
		if (b.data[1] == 'u') {
			b = bytes_after(b, put_unicode(t, b));
			continue;
		}
		letter = strchr(letters, b.data[1]);
		text_put_byte(t, letter ? meant[letter - letters] : (char)b.data[1]);
		b = bytes_after(b, 2);
	}
}

static int64_t read_time(struct bytes b)
{
	char text[32];
	struct tm tm = {0};
	int us = 0;

	if (b.len != sizeof "2026-01-31T09:05:07.000123Z" - 1)
		return 0;
	memcpy(text, b.data, b.len);
	text[b.len] = '\0';
	if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%6dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &us) != 7)
		return 0;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	return (int64_t)timegm(&tm) * 1000000 + us;
}

static void add_number(struct event *e, const char *name, struct bytes value)
{
	char text[64];
	uint64_t u;
	int64_t i;

	if (number_parse_u64(value, &u) == 0) {
		event_uint(e, name, u);
	} else if (number_parse_i64(value, &i) == 0) {
		event_int(e, name, i);
	} else if (value.len < sizeof text) {
		memcpy(text, value.data, value.len);
		text[value.len] = '\0';
		event_real(e, name, strtod(text, NULL));
	}
}

static void add_field(struct event *e, const char *name, const struct json_member *member)
{
	char unescaped[EVENT_TEXT_BYTES + 1];
	struct text t = TEXT_OVER(unescaped);

	switch (member->kind) {
	case JSON_NUMBER:
		add_number(e, name, member->value);
		break;
	case JSON_BOOL:
		event_bool(e, name, member->value.data[0] == 't');
		break;
	case JSON_STRING:
		put_unescaped(&t, member->value);
		event_text(e, name, text_bytes(&t));
		e->cut = e->cut || t.cut;
		break;
	default:
		event_text(e, name, member->value);
	}
}

static bool is_twin(struct bytes name)
{
	struct bytes end = BYTES_LITERAL("_b64");

	return name.len > end.len && bytes_equal(bytes_after(name, name.len - end.len), end);
}

static void read_member(struct event *e, const struct json_member *member, struct names *names)
{
	const char *name;

	if (json_is(member->name, "time")) {
		e->wall_us = read_time(member->value);
	} else if (json_is(member->name, "type")) {
		e->type = keep(names, member->value);
	} else if (json_is(member->name, "service")) {
		e->service = keep(names, member->value);
	} else if (json_is(member->name, "cut")) {
		e->cut = true;
	} else if (!json_is(member->name, "host") && !is_twin(member->name)) {
		name = keep(names, member->name);
		if (name)
			add_field(e, name, member);
		else
			e->cut = true;
	}
}

bool event_read_json(struct event *e, struct bytes json, char into[EVENT_NAMES_BYTES])
{
	struct names names = {into, EVENT_NAMES_BYTES};
	struct json_member member;
	size_t cursor = 0;
	int more;

	event_init(e, EVENT_INFO, NULL, NULL, 0);
	while ((more = json_next(json, &cursor, &member)) > 0)
		read_member(e, &member, &names);
	if (e->type && strcmp(e->type, "error") == 0)
		e->level = EVENT_ERROR;
	return more == 0 && e->type;
}
