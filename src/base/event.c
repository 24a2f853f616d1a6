/* Events and how they are written: JSON (RFC 8259), base64 (RFC 4648) for bytes that are no text,
 * and lines for people. Numbers in JSON are exact: integers whole, reals with as many digits as
 * bring the same double back. */
#include "base/event.h"
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void event_init(struct event *e, enum event_level level, const char *type, const char *service,
		int64_t wall_us)
{
	e->wall_us = wall_us;
	e->type = type;
	e->service = service;
	e->level = (uint8_t)level;
	e->fields = 0;
	e->cut = false;
	e->text_len = 0;
}

/* The next field, or NULL when there is no place: then the event is cut. */
static struct event_field *add(struct event *e, const char *name, enum event_kind kind)
{
	struct event_field *f = &e->field[e->fields];

	if (e->fields == EVENT_FIELDS) {
		e->cut = true;
		return NULL;
	}
	e->fields++;
	f->name = name;
	f->kind = (uint8_t)kind;
	return f;
}

void event_text(struct event *e, const char *name, struct bytes value)
{
	struct event_field *f = add(e, name, EVENT_TEXT);
	struct bytes fits = bytes_first(value, (size_t)EVENT_TEXT_BYTES - e->text_len);

	if (!f)
		return;
	if (fits.len < value.len) {
		fits.len -= text_utf8_incomplete_tail(fits);
		e->cut = true;
	}
	f->at = e->text_len;
	f->len = (uint16_t)fits.len;
	if (fits.len > 0)
		memcpy(e->text + f->at, fits.data, fits.len);
	e->text_len = (uint16_t)(e->text_len + fits.len);
}

void event_string(struct event *e, const char *name, const char *value)
{
	event_text(e, name, bytes_of_string(value));
}

void event_uint(struct event *e, const char *name, uint64_t value)
{
	struct event_field *f = add(e, name, EVENT_UINT);

	if (f)
		f->u = value;
}

void event_int(struct event *e, const char *name, int64_t value)
{
	struct event_field *f = add(e, name, EVENT_INT);

	if (f)
		f->i = value;
}

void event_bool(struct event *e, const char *name, bool value)
{
	struct event_field *f = add(e, name, EVENT_BOOL);

	if (f)
		f->u = value;
}

void event_real(struct event *e, const char *name, double value)
{
	struct event_field *f = add(e, name, EVENT_REAL);

	if (f)
		f->real = value;
}

void event_address(struct event *e, const char *name, const struct address *value)
{
	char buffer[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(buffer);

	address_put(&t, value);
	event_text(e, name, text_bytes(&t));
}

const struct event_field *event_find(const struct event *e, const char *name)
{
	for (unsigned i = 0; i < e->fields; i++) {
		if (strcmp(e->field[i].name, name) == 0)
			return &e->field[i];
	}
	return NULL;
}

struct bytes event_field_text(const struct event *e, const struct event_field *f)
{
	return bytes_of(e->text + f->at, f->len);
}

static void put_json_escape(struct text *t, uint32_t code)
{
	switch (code) {
	case '\b':
		text_put_string(t, "\\b");
		break;
	case '\f':
		text_put_string(t, "\\f");
		break;
	case '\n':
		text_put_string(t, "\\n");
		break;
	case '\r':
		text_put_string(t, "\\r");
		break;
	case '\t':
		text_put_string(t, "\\t");
		break;
	case '"':
		text_put_string(t, "\\\"");
		break;
	case '\\':
		text_put_string(t, "\\\\");
		break;
	default: /* every control character is below U+10000 */
		text_printf(t, "\\u%04x", code);
	}
}

void event_put_json_string(struct text *t, struct bytes b)
{
	text_put_byte(t, '"');
	while (b.len > 0 && !t->cut) {
		struct bytes one = bytes_first(b, text_utf8_sequence(b));
		uint32_t code;

		if (one.len == 0) {
			text_put_string(t, "\xef\xbf\xbd"); /* U+FFFD */
			b = bytes_after(b, text_utf8_invalid(b));
			continue;
		}
		code = text_utf8_code(one);
		if (text_is_control(code) || code == '"' || code == '\\')
			put_json_escape(t, code);
		else
			text_put(t, one);
		b = bytes_after(b, one.len);
	}
	text_put_byte(t, '"');
}

/* printf(3) asks the locale for the decimal point; JSON has one of its own. */
static void put_with_point(struct text *t, const char *digits)
{
	for (const char *c = digits; *c; c++) {
		bool number = strchr("0123456789+-e", *c) != NULL;

		if (number)
			text_put_byte(t, *c);
		else if (c == digits || strchr("0123456789", c[-1]))
			text_put_byte(t, '.');
	}
}

static void put_real(struct text *t, double value)
{
	char digits[32];

	if (!isfinite(value)) { /* which JSON cannot say */
		text_put_string(t, "null");
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(digits, sizeof(digits), "%.*g", precision, value);
		if (strtod(digits, NULL) == value)
			break;
	}
	put_with_point(t, digits);
}

static void put_unsigned(struct text *t, uint64_t value)
{
	char digits[21];

	text_put(t, bytes_of(digits, number_format_u64(value, digits)));
}

static void put_number(struct text *t, const struct event_field *f)
{
	if (f->kind == EVENT_REAL) {
		put_real(t, f->real);
	} else if (f->kind == EVENT_INT && f->i < 0) {
		text_put_byte(t, '-');
		put_unsigned(t, 0 - f->u);
	} else {
		put_unsigned(t, f->u);
	}
}

/* `,"NAME_SUFFIX":`; names are ours and need no escapes. */
static void put_json_name(struct text *t, const char *name, const char *suffix)
{
	text_put_string(t, ",\"");
	text_put_string(t, name);
	text_put_string(t, suffix);
	text_put_string(t, "\":");
}

static void put_json_field(struct text *t, const struct event *e, const struct event_field *f)
{
	struct bytes b;

	put_json_name(t, f->name, "");
	switch (f->kind) {
	case EVENT_TEXT:
		b = event_field_text(e, f);
		event_put_json_string(t, b);
		if (text_utf8_valid(b))
			break;
		put_json_name(t, f->name, "_b64");
		text_put_byte(t, '"');
		text_put_base64(t, b);
		text_put_byte(t, '"');
		break;
	case EVENT_BOOL:
		text_put_string(t, f->u ? "true" : "false");
		break;
	default:
		put_number(t, f);
	}
}

void event_put_json(struct text *t, const struct event *e, const char *host)
{
	text_put_string(t, "{\"time\":\"");
	moment_put_rfc3339(t, e->wall_us);
	text_put_byte(t, '"');
	put_json_name(t, "type", "");
	event_put_json_string(t, bytes_of_string(e->type));
	if (host) {
		put_json_name(t, "host", "");
		event_put_json_string(t, bytes_of_string(host));
	}
	if (e->service) {
		put_json_name(t, "service", "");
		event_put_json_string(t, bytes_of_string(e->service));
	}
	for (unsigned i = 0; i < e->fields; i++)
		put_json_field(t, e, &e->field[i]);
	if (e->cut)
		text_put_string(t, ",\"cut\":true");
	text_put_string(t, "}\n");
}

void event_put_line(struct text *t, const struct event *e, int32_t utc_offset_s)
{
	struct moment_date d = moment_date_of(e->wall_us / 1000000 + utc_offset_s);

	text_printf(t, "%02d:%02d:%02d ", d.hour, d.minute, d.second);
	if (e->service) {
		text_put_string(t, e->service);
		text_put_byte(t, ' ');
	}
	text_put_string(t, e->type);
	for (unsigned i = 0; i < e->fields; i++) {
		const struct event_field *f = &e->field[i];

		text_put_byte(t, ' ');
		text_put_string(t, f->name);
		text_put_byte(t, '=');
		if (f->kind == EVENT_TEXT)
			text_put_value(t, event_field_text(e, f));
		else if (f->kind == EVENT_BOOL)
			text_put_string(t, f->u ? "yes" : "no");
		else
			put_number(t, f);
	}
	text_put_string(t, e->cut ? " cut=yes\n" : "\n");
}
