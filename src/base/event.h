/* One event is one JSON object: time, type, host, service, then its own fields. The same
 * object goes to the log, the stream and `--json`. docs/events.md is the schema; a test holds code
 * and page together.
 *
 * An event is a value with fixed room: what does not fit is cut at a character boundary and the
 * event says "cut":true. Field names and `type` are static strings; field text is copied in. */
#ifndef BASE_EVENT_H
#define BASE_EVENT_H

#include "base/address.h"
#include "base/moment.h"

enum event_level { EVENT_DEBUG, EVENT_INFO, EVENT_NOTICE, EVENT_WARNING, EVENT_ERROR };

enum { EVENT_FIELDS = 16, EVENT_TEXT_BYTES = 1536 };

/* Room for the JSON of any event: text all escaped, and once more in base64. */
enum { EVENT_JSON_BYTES = 16384 };

enum event_kind { EVENT_TEXT, EVENT_UINT, EVENT_INT, EVENT_BOOL, EVENT_REAL };

struct event_field {
	const char *name;
	uint8_t kind;     /* enum event_kind */
	uint16_t at, len; /* EVENT_TEXT: where in `text` */
	union {
		uint64_t u;
		int64_t i;
		double real;
	};
};

struct event {
	int64_t wall_us;
	const char *type;    /* "conn.open", "role.change", ... static */
	const char *service; /* static or outliving the event; NULL when none */
	uint8_t level;       /* enum event_level */
	uint8_t fields;
	bool cut;
	uint16_t text_len;
	struct event_field field[EVENT_FIELDS];
	uint8_t text[EVENT_TEXT_BYTES];
};

void event_init(struct event *e, enum event_level level, const char *type, const char *service,
		int64_t wall_us);
void event_text(struct event *e, const char *name, struct bytes value);
void event_string(struct event *e, const char *name, const char *value);
void event_uint(struct event *e, const char *name, uint64_t value);
void event_int(struct event *e, const char *name, int64_t value);
void event_bool(struct event *e, const char *name, bool value);
void event_real(struct event *e, const char *name, double value);
void event_address(struct event *e, const char *name, const struct address *value);

/* The field called `name`, or NULL. */
const struct event_field *event_find(const struct event *e, const char *name);
struct bytes event_field_text(const struct event *e, const struct event_field *f);

/* The event as one line of JSON (RFC 8259) with its LF. Text that is not UTF-8 has U+FFFD where it
 * is not, and then `NAME_b64` beside it with the bytes. `host` may be NULL. */
void event_put_json(struct text *t, const struct event *e, const char *host);

/* The event as a line for people: `09:05:07 guess conn.open peer=127.0.0.1:40312`, with LF; values
 * made visible (text_put_visible), in double quotes when they have a space or a quote or are empty.
 * Local time by utc_offset_s. */
void event_put_line(struct text *t, const struct event *e, int32_t utc_offset_s);

/* A JSON string with its quotes, as in event_put_json: control characters, those of text_is_control
 * included, are escaped, so that a terminal may show it. */
void event_put_json_string(struct text *t, struct bytes b);

#endif
