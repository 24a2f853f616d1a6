/* What every answer of the server has: the head's beginning, the short pages of errors, the line in
 * the access log (RFC 9110 15, 6.6.1, 10.2.4). */
#include "proto/http_server_parts.h"

#include "base/event.h"

#define HTTP_BEGIN_OK "HTTP/1.1 200 OK\r\nServer: prise\r\nDate: "

void http_head_begin(struct text *t, unsigned status, bool keep_alive, unsigned minor,
		     const struct moment *now)
{
	http1_put_status(t, status, 1);
	text_put_string(t, "Server: prise\r\nDate: ");
	http1_put_date(t, now->wall_us / 1000000);
	if (keep_alive && minor == 0)
		text_put_string(t, "\r\nConnection: keep-alive\r\n");
	else if (!keep_alive)
		text_put_string(t, "\r\nConnection: close\r\n");
	else
		text_put_string(t, "\r\n");
}

void http_head_end(struct text *t, struct out *out)
{
	http1_put_end(t);
	out_copy(out, text_bytes(t));
}

size_t http_put_file_head(struct text *t, const struct http_found *found, int64_t now_s)
{
	text_put(t, BYTES_LITERAL(HTTP_BEGIN_OK));
	http1_put_date(t, now_s);
	text_put_string(t, "\r\n");
	http_put_file_fields(t, found, now_s);
	http1_put_field_uint(t, "Content-Length", found->bytes);
	http1_put_end(t);
	return t->cut ? 0 : sizeof HTTP_BEGIN_OK - 1;
}

/* A file from the future was changed now: Last-Modified is never later than Date (RFC
 * 9110 8.8.2.1).
 */
void http_put_file_fields(struct text *t, const struct http_found *found, int64_t now_s)
{
	if (found->type)
		http1_put_field(t, "Content-Type", bytes_of_string(found->type));
	if (!found->made) {
		text_put_string(t, "Last-Modified: ");
		http1_put_date(t, found->modified_s < now_s ? found->modified_s : now_s);
		text_put_string(t, "\r\n");
		http1_put_field(t, "ETag", bytes_of_string(found->etag));
		text_put_string(t, "Accept-Ranges: bytes\r\n");
	}
	if (found->encoding)
		http1_put_field(t, "Content-Encoding", bytes_of_string(found->encoding));
	if (found->varies)
		text_put_string(t, "Vary: Accept-Encoding\r\n");
}

/* What programs go by, beneath /api: the words of daemon/api.c, which refuses the rest. */
static const char *http_word(unsigned status)
{
	switch (status) {
	case 403:
		return "origin";
	case 404:
		return "not_found";
	case 405:
		return "method";
	case 411:
		return "length";
	case 413:
	case 431:
		return "too_long";
	case 421:
		return "host";
	case 503:
		return "busy";
	default:
		return "request";
	}
}

/* {"error":"host","text":"..."} or a line of text. */
static void http_put_page(struct text *t, const struct http_request *r, unsigned status,
			  const char *why)
{
	const char *reason = http1_reason(status);

	if (!r->in_api) {
		text_printf(t, "%u %s%s%s\n", status, reason, why ? ": " : "", why ? why : "");
		return;
	}
	text_printf(t, "{\"error\":\"%s\",\"text\":", http_word(status));
	event_put_json_string(t, bytes_of_string(why ? why : reason));
	text_put_string(t, "}\n");
}

static bool http_has_content(unsigned status)
{
	return status >= 200 && status != 204 && status != 304;
}

void http_answer(struct http *h, const struct http_request *r, unsigned status, const char *why,
		 const char *fields, struct out *out, const struct moment *now)
{
	char head[HTTP_ANSWER_BYTES], page[512];
	struct text t = TEXT_OVER(head), content = TEXT_OVER(page);

	if (http_has_content(status) && status >= 300)
		http_put_page(&content, r, status, why);
	http_head_begin(&t, status, r->keep_alive, r->head.minor, now);
	if (fields)
		text_put_string(&t, fields);
	if (content.len)
		text_put_string(&t, r->in_api ? "Content-Type: application/json\r\n"
					      : "Content-Type: text/plain; charset=utf-8\r\n");
	if (http_has_content(status))
		http1_put_field_uint(&t, "Content-Length", content.len);
	http_head_end(&t, out);
	if (r->method != HTTP_HEAD_METHOD)
		out_copy(out, text_bytes(&content));
	http_log(h, r, status, r->method == HTTP_HEAD_METHOD ? 0 : content.len, now);
}

void http_refuse(struct http *h, struct http_request *r, unsigned status, const char *why,
		 struct out *out, const struct moment *now)
{
	r->keep_alive = false;
	http_answer(h, r, status, why, NULL, out, now);
	h->keep_alive = false;
}

static struct bytes http_value(const struct http_request *r, const char *name)
{
	const struct http1_field *f = http1_find(&r->head, name);

	return f ? f->value : bytes_of(NULL, 0);
}

void http_log(const struct http *h, const struct http_request *r, unsigned status, uint64_t bytes,
	      const struct moment *now)
{
	const struct http_log *log = h->settings->access;
	const struct http_memo *memo = &h->memo;
	struct http_entry entry = {
		.remote = &h->remote, .minor = h->minor, .status = status, .bytes = bytes};

	if (!log)
		return;
	if (r) {
		entry.method = r->head.method;
		entry.target = r->head.target;
		entry.minor = r->head.minor;
		entry.referer = http_value(r, "Referer");
		entry.agent = http_value(r, "User-Agent");
	} else {
		entry.method = bytes_of(memo->text, memo->method_len);
		entry.target = bytes_of(memo->text + memo->method_len, memo->len);
	}
	log->put(log->context, &entry, now);
}

static void http_note(struct http *h, struct bytes method, struct bytes target)
{
	method = bytes_first(method, HTTP_MEMO_BYTES / 2);
	target = bytes_first(target, HTTP_MEMO_BYTES - method.len);
	if (method.len)
		memcpy(h->memo.text, method.data, method.len);
	if (target.len)
		memcpy(h->memo.text + method.len, target.data, target.len);
	h->memo.method_len = (uint8_t)method.len;
	h->memo.len = (uint8_t)target.len;
}

void http_remember_line(struct http *h, struct bytes in)
{
	struct bytes line = bytes_first(in, bytes_find_byte(in, '\n')), rest, target;
	size_t space = bytes_find_byte(line, ' ');

	rest = bytes_after(line, space < line.len ? space + 1 : space);
	target = bytes_first(rest, bytes_find_byte(rest, ' '));
	h->minor = 1;
	if (line.len == in.len || target.len == rest.len ||
	    !bytes_equal(bytes_first(bytes_after(rest, target.len + 1), 5), BYTES_LITERAL("HTTP/")))
		http_note(h, bytes_of(NULL, 0), bytes_of(NULL, 0));
	else
		http_note(h, bytes_first(line, space), target);
}

void http_remember(struct http *h, const struct http_request *r)
{
	http_note(h, r->head.method, r->head.target);
	h->minor = (uint8_t)r->head.minor;
	h->is_head = r->method == HTTP_HEAD_METHOD;
	h->keep_alive = r->keep_alive;
}

void http_recall(const struct http *h, struct http_request *r)
{
	r->method = h->is_head ? HTTP_HEAD_METHOD : HTTP_UNKNOWN;
	r->has = 0;
	r->in_api = false;
	r->keep_alive = h->keep_alive;
	r->head.minor = h->minor;
	r->head.method = bytes_of(h->memo.text, h->memo.method_len);
	r->head.target = bytes_of(h->memo.text + h->memo.method_len, h->memo.len);
	r->head.fields = 0;
}
