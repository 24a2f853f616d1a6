/* Decisions about answers. Source: RFC 9110 9.2.2, 10.2.3, 13.1.5, 14.4, 15.4. */
#include "proto/follow.h"

#include "base/err.h"
#include "base/number.h"

enum {
	FOLLOW_DELAY_MS = 1000,
	FOLLOW_DELAY_MOST_MS = 60000,
	FOLLOW_AFTER_MOST_S = 600,
	FOLLOW_STRONG_S = 60, /* RFC 9110 8.8.2.2 */
};

/* FNV-1a, 64 bits. */
static uint64_t hash_of(uint64_t hash, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		hash = (hash ^ b.data[i]) * 0x100000001b3u;
	return hash;
}

bool follow_note(struct follow *f, struct bytes method, const struct url *url, uint32_t cookies)
{
	char buffer[URL_BYTES];
	struct text t = TEXT_OVER(buffer);
	uint64_t hash;

	url_put(&t, url);
	hash = hash_of(hash_of(0xcbf29ce484222325u, method), text_bytes(&t));
	hash = hash_of(hash, bytes_of(&cookies, sizeof cookies));
	for (unsigned i = 0; i < f->seen; i++)
		if (f->hash[i] == hash)
			return false;
	if (f->seen < FOLLOW_SEEN)
		f->hash[f->seen++] = hash;
	return true;
}

enum follow_verdict follow_judge(struct follow *f, const struct http1_head *head,
				 const struct url *url, struct url *next)
{
	const struct http1_field *location = http1_find(head, "Location");
	unsigned status = head->status;
	int err;

	if (!location ||
	    (status != 301 && status != 302 && status != 303 && status != 307 && status != 308))
		return FOLLOW_NOT;
	if (f->count >= f->most)
		return FOLLOW_TOO_MANY;
	err = url_resolve(next, url, location->value);
	if (err)
		return err == ERR_REFUSES ? FOLLOW_FOREIGN : FOLLOW_BAD;
	f->count++;
	return FOLLOW_ON;
}

struct bytes follow_method(unsigned status, struct bytes method)
{
	bool head = bytes_equal(method, BYTES_LITERAL("HEAD"));
	bool post = bytes_equal(method, BYTES_LITERAL("POST"));

	if ((status == 303 && !head) || ((status == 301 || status == 302) && post))
		return BYTES_LITERAL("GET");
	return method;
}

bool follow_is_idempotent(struct bytes method)
{
	static const char *const names[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (bytes_equal(method, bytes_of_string(names[i])))
			return true;
	return false;
}

bool follow_is_passing(unsigned status)
{
	return status == 408 || status == 425 || status == 429 || status == 500 || status == 502 ||
	       status == 503 || status == 504;
}

uint64_t follow_delay_ms(unsigned tries, const struct http1_head *head, int64_t now_s)
{
	const struct http1_field *after = head ? http1_find(head, "Retry-After") : NULL;
	uint64_t delay_ms = FOLLOW_DELAY_MS, seconds;
	int64_t date_s;

	for (; tries > 1 && delay_ms < FOLLOW_DELAY_MOST_MS; tries--)
		delay_ms *= 2;
	if (delay_ms > FOLLOW_DELAY_MOST_MS)
		delay_ms = FOLLOW_DELAY_MOST_MS;
	if (!after)
		return delay_ms;
	if (number_parse_u64(after->value, &seconds) != 0) {
		if (http1_date_parse(after->value, now_s, &date_s) != 0)
			return delay_ms;
		seconds = date_s > now_s ? (uint64_t)(date_s - now_s) : 0;
	}
	return (seconds < FOLLOW_AFTER_MOST_S ? seconds : FOLLOW_AFTER_MOST_S) * 1000;
}

int follow_range_parse(struct bytes b, struct follow_range *range)
{
	struct bytes unit = BYTES_LITERAL("bytes ");
	size_t slash, dash;

	*range = (struct follow_range){.complete = UINT64_MAX};
	if (b.len < unit.len || !bytes_equal_fold(bytes_first(b, unit.len), unit))
		return ERR_SYNTAX;
	b = bytes_strip(bytes_after(b, unit.len));
	slash = bytes_find_byte(b, '/');
	if (slash == b.len)
		return ERR_SYNTAX;
	if (!bytes_equal(bytes_after(b, slash), BYTES_LITERAL("/*")) &&
	    number_parse_u64(bytes_after(b, slash + 1), &range->complete) != 0)
		return ERR_SYNTAX;
	b = bytes_first(b, slash);
	range->unsatisfied = bytes_equal(b, BYTES_LITERAL("*"));
	if (range->unsatisfied)
		return range->complete == UINT64_MAX ? ERR_SYNTAX : 0;
	dash = bytes_find_byte(b, '-');
	if (dash == b.len || number_parse_u64(bytes_first(b, dash), &range->first) != 0 ||
	    number_parse_u64(bytes_after(b, dash + 1), &range->last) != 0 ||
	    range->last < range->first || range->last >= range->complete)
		return ERR_SYNTAX;
	return 0;
}

void follow_put_validator(struct text *t, const struct http1_head *head, int64_t now_s)
{
	const struct http1_field *tag = http1_find(head, "ETag");
	const struct http1_field *modified = http1_find(head, "Last-Modified");
	const struct http1_field *date = http1_find(head, "Date");
	int64_t modified_s, date_s;

	if (tag && tag->value.len >= 2 && tag->value.data[0] == '"') {
		if (tag->value.len < FOLLOW_VALIDATOR_BYTES)
			text_put(t, tag->value);
		return;
	}
	if (!modified || modified->value.len >= FOLLOW_VALIDATOR_BYTES || !date ||
	    http1_date_parse(modified->value, now_s, &modified_s) != 0 ||
	    http1_date_parse(date->value, now_s, &date_s) != 0 ||
	    date_s - modified_s < FOLLOW_STRONG_S)
		return;
	text_put(t, modified->value);
}

bool follow_is_another(const struct http1_head *head, const char *validator)
{
	bool is_tag = validator[0] == '"';
	const struct http1_field *field = http1_find(head, is_tag ? "ETag" : "Last-Modified");

	return validator[0] && field && !bytes_equal(field->value, bytes_of_string(validator));
}

enum follow_resumption follow_resume(const struct http1_head *head, uint64_t offset, uint64_t known)
{
	const struct http1_field *field = http1_find(head, "Content-Range");
	struct follow_range range;

	if (head->status == 200)
		return FOLLOW_ANEW;
	if (head->status != 206 && head->status != 416)
		return FOLLOW_OTHER;
	if (!field || follow_range_parse(field->value, &range) != 0)
		return head->status == 206 ? FOLLOW_ASTRAY : FOLLOW_OTHER;
	if (range.unsatisfied)
		return range.complete == offset ? FOLLOW_COMPLETE : FOLLOW_OTHER;
	if (head->status != 206 || range.first != offset ||
	    (known != UINT64_MAX && range.complete != UINT64_MAX && range.complete != known))
		return FOLLOW_ASTRAY;
	return FOLLOW_CONTINUES;
}
