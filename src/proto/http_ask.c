/* What stands beneath the mount: assets, and what the hub is asked.
 *
 * A page of somebody else's can make a browser send requests here: by a name that it has turned
 * over to this address (DNS rebinding), or across origins. So what shows or changes the daemon is
 * answered only to a Host that is a literal address (no name can be turned over to that), a
 * loopback name or a name of ours, and to an Origin, where there is one, that is that Host. */
#include "proto/http_server_parts.h"

bool http_is_mounted(const struct http *h, struct bytes path, size_t *prefix)
{
	const struct bytes mount = BYTES_LITERAL(HTTP_MOUNT);

	*prefix = 0;
	if (path.len >= mount.len && memcmp(path.data, mount.data, mount.len) == 0 &&
	    (path.len == mount.len || path.data[mount.len] == '/')) {
		*prefix = mount.len;
		return true;
	}
	return !h->settings->files;
}

static bool http_begins(struct bytes b, struct bytes with)
{
	return b.len >= with.len && memcmp(b.data, with.data, with.len) == 0;
}

static bool http_is_asked(struct bytes path)
{
	return http_begins(path, BYTES_LITERAL("/api/")) ||
	       bytes_equal(path, BYTES_LITERAL("/api")) ||
	       bytes_equal(path, BYTES_LITERAL("/metrics")) ||
	       bytes_equal(path, BYTES_LITERAL("/healthz"));
}

/* `authority` without its port and brackets. */
static struct bytes http_host_of(struct bytes authority)
{
	const uint8_t *colon;

	if (authority.len && authority.data[0] == '[') {
		authority = bytes_after(authority, 1);
		return bytes_first(authority, bytes_find_byte(authority, ']'));
	}
	colon = memrchr(authority.data, ':', authority.len);
	return colon ? bytes_first(authority, (size_t)(colon - authority.data)) : authority;
}

static bool http_ends_fold(struct bytes b, struct bytes end)
{
	return b.len >= end.len && bytes_equal_fold(bytes_after(b, b.len - end.len), end);
}

static bool http_is_word(struct bytes word, const char *words)
{
	while (*words) {
		size_t len = strcspn(words, ", ");

		if (len && bytes_equal_fold(word, bytes_of(words, len)))
			return true;
		words += len + (words[len] != '\0');
	}
	return false;
}

static bool http_host_is_ours(const struct http *h, struct bytes authority)
{
	const struct http_settings *s = h->settings;
	struct bytes host = http_host_of(authority);
	struct address literal;

	if (host.len == 0)
		return false;
	if (address_parse_ip(host, &literal) == 0)
		return true;
	if (bytes_equal_fold(host, BYTES_LITERAL("localhost")) ||
	    http_ends_fold(host, BYTES_LITERAL(".localhost")))
		return true;
	return (s->host && bytes_equal_fold(host, bytes_of_string(s->host))) ||
	       (s->hosts && http_is_word(host, s->hosts));
}

/* An absent Origin is not a browser's page on another site asking for more than it may. */
static bool http_origin_is(struct bytes origin, struct bytes authority)
{
	size_t scheme = bytes_find(origin, BYTES_LITERAL("://"));

	return scheme < origin.len && bytes_equal_fold(bytes_after(origin, scheme + 3), authority);
}

/* What comes behind a head that was turned away is not waited for. */
static void http_turn_away(struct http *h, struct http_request *r, unsigned status, const char *why,
			   struct out *out, const struct moment *now)
{
	if (r->head.framing == HTTP1_NO_BODY)
		http_answer(h, r, status, why, NULL, out, now);
	else
		http_refuse(h, r, status, why, out, now);
}

bool http_comes_from_us(struct http *h, struct http_request *r, struct out *out,
			const struct moment *now)
{
	const struct http1_field *host = http1_find(&r->head, "Host");
	const struct http1_field *origin = http1_find(&r->head, "Origin");
	struct bytes authority = r->authority;

	if (!authority.data && host)
		authority = host->value;
	/* Who types HTTP/1.0 by hand sends no Host, and a browser always does. */
	if (!authority.data && r->head.minor == 0 && !origin)
		return true;
	if (!authority.data || !http_host_is_ours(h, authority)) {
		http_turn_away(h, r, 421, N_("this host name is not ours (hosts = names it)"), out,
			       now);
		return false;
	}
	if (origin && !http_origin_is(origin->value, authority)) {
		http_turn_away(h, r, 403, N_("asked from a page of another origin"), out, now);
		return false;
	}
	return true;
}

static void http_send_asset(struct http *h, struct http_request *r, const struct http_asset *a,
			    struct out *out, const struct moment *now)
{
	char head[HTTP_ANSWER_BYTES];
	struct text t = TEXT_OVER(head);
	bool gzip = a->gzip.len && http_encodings(r) & HTTP_GZIP;
	struct bytes content = gzip ? a->gzip : a->bytes;
	bool reads = r->method == HTTP_GET;
	unsigned status = 0;

	if (r->has & HTTP_HAS_CONDITION)
		status = http_conditions(r, a->etag, 0, true, now->wall_us / 1000000);
	if (status == 412) {
		http_answer(h, r, 412, N_("it is not what the condition says"), NULL, out, now);
		return;
	}
	http_head_begin(&t, status ? status : 200, r->keep_alive, r->head.minor, now);
	http1_put_field(&t, "ETag", bytes_of_string(a->etag));
	if (a->gzip.len)
		text_put_string(&t, "Vary: Accept-Encoding\r\n");
	if (a->fields)
		text_put_string(&t, a->fields);
	if (!status) {
		http1_put_field(&t, "Content-Type", bytes_of_string(a->type));
		if (gzip)
			text_put_string(&t, "Content-Encoding: gzip\r\n");
		http1_put_field_uint(&t, "Content-Length", content.len);
	}
	http_head_end(&t, out);
	if (!status && reads)
		out_static(out, content);
	http_log(h, r, status ? status : 200, !status && reads ? content.len : 0, now);
}

static void http_visit_asset(struct http *h, struct http_request *r, struct bytes path,
			     struct out *out, const struct moment *now)
{
	const struct http_settings *s = h->settings;

	if (path.len == 0) {
		http_answer(h, r, 301, NULL, "Location: " HTTP_MOUNT "/\r\n", out, now);
		return;
	}
	for (unsigned i = 0; i < s->assets; i++) {
		if (!bytes_equal(path, bytes_of_string(s->asset[i].path)))
			continue;
		if (r->method == HTTP_GET || r->method == HTTP_HEAD_METHOD)
			http_send_asset(h, r, &s->asset[i], out, now);
		else
			http_answer(h, r, 405, NULL, "Allow: GET, HEAD, OPTIONS\r\n", out, now);
		return;
	}
	http_answer(h, r, 404, N_("no such page"), NULL, out, now);
}

/* Puts the question, when its body is whole. */
static size_t http_ask(struct http *h, struct http_request *r, struct bytes in, size_t prefix,
		       struct out *out, const struct moment *now)
{
	size_t bytes = r->head.bytes + (r->head.framing == HTTP1_LENGTH ? r->head.length : 0);
	struct http_ask ask = {.remote = h->remote, .local = h->local};
	size_t end = (size_t)(r->path.data + r->path.len - in.data) + r->query.len;
	size_t begin = (size_t)(r->path.data - in.data) + prefix;
	uint8_t body[sizeof ask + HTTP_ASK_HEAD_BYTES + HTTP_ASK_BODY_BYTES];
	struct message message = {.kind = HTTP_ASK};

	if (r->head.expects_continue && !h->continued)
		out_static(out, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
	h->continued = true;
	h->needs = (uint32_t)bytes;
	if (in.len < bytes)
		return 0;
	if (!out_fits(out, 0, sizeof ask + bytes) || !out_fits_messages(out, 1, 0))
		return 0;
	memcpy(body, &ask, sizeof ask);
	memcpy(body + sizeof ask, in.data, bytes);
	message.number[0] = r->head.bytes;
	message.number[1] = begin;
	message.number[2] = end - begin;
	message.body = bytes_of(body, sizeof ask + bytes);
	out_tell(out, OUT_HUB, &message);
	r->keep_alive = r->head.keep_alive && !h->draining;
	http_remember(h, r);
	h->state = HTTP_ASKED;
	return bytes;
}

size_t http_visit_mount(struct http *h, struct http_request *r, struct bytes in, size_t prefix,
			struct out *out, const struct moment *now)
{
	struct bytes path = bytes_after(r->path, prefix);

	if (r->method == HTTP_OPTIONS) {
		http_answer(h, r, 204, NULL, "Allow: GET, HEAD, POST, OPTIONS\r\n", out, now);
		return r->head.bytes;
	}
	if (!http_is_asked(path)) {
		http_visit_asset(h, r, path, out, now);
		return r->head.bytes;
	}
	r->in_api = http_begins(path, BYTES_LITERAL("/api"));
	if (!http_comes_from_us(h, r, out, now))
		return r->head.bytes;
	if (!h->settings->asks) {
		http_answer(h, r, 404, N_("nobody answers that here"), NULL, out, now);
	} else if (r->method > HTTP_DELETE) {
		http_answer(h, r, 405, NULL, "Allow: GET, HEAD, POST\r\n", out, now);
	} else if (r->head.bytes > HTTP_ASK_HEAD_BYTES) {
		http_refuse(h, r, 431, N_("too long a head for this"), out, now);
	} else if (r->head.framing == HTTP1_CHUNKED) {
		http_refuse(h, r, 411, N_("a length is wanted here"), out, now);
	} else if (r->head.framing == HTTP1_LENGTH && r->head.length > HTTP_ASK_BODY_BYTES) {
		http_refuse(h, r, 413, N_("too long a body for this"), out, now);
	} else {
		return http_ask(h, r, in, prefix, out, now);
	}
	return r->head.bytes;
}

static void http_put_chunk(const struct http *h, struct bytes piece, struct out *out)
{
	char line[32];
	struct text t = TEXT_OVER(line);

	if (piece.len == 0 || h->is_head)
		return;
	if (!h->minor) {
		out_borrow(out, piece);
		return;
	}
	http1_put_chunk(&t, piece.len);
	out_copy(out, text_bytes(&t));
	out_borrow(out, piece);
	out_static(out, BYTES_LITERAL("\r\n"));
}

/* The hub's answer: `fields` and content in one body. */
static void http_relay(struct http *h, const struct message *message, struct out *out,
		       const struct moment *now)
{
	char head[HTTP_ANSWER_BYTES];
	struct text t = TEXT_OVER(head);
	unsigned status = (unsigned)message->number[0];
	bool streams = message->number[1] & HTTP_ANSWER_STREAM;
	struct bytes fields = bytes_first(message->body, message->number[2]);
	struct bytes content = bytes_after(message->body, fields.len);
	bool empty = status == 204 || status == 304;
	struct message gone = {.kind = HTTP_GONE};

	h->keep_alive = h->keep_alive && !h->draining && (!streams || h->minor || h->is_head);
	http_head_begin(&t, status, h->keep_alive, h->minor, now);
	if (streams && h->minor)
		text_put_string(&t, "Transfer-Encoding: chunked\r\n");
	else if (!streams && !empty)
		http1_put_field_uint(&t, "Content-Length", content.len);
	out_copy(out, text_bytes(&t));
	out_borrow(out, fields);
	out_static(out, BYTES_LITERAL("\r\n"));
	http_log(h, NULL, status, h->is_head || streams ? 0 : content.len, now);
	if (streams && !h->is_head) {
		h->state = HTTP_STREAMING;
		h->idle_ns = now->boot_ns;
		http_watch_time(h, out);
		http_put_chunk(h, content, out);
		out_more(out);
		return;
	}
	if (streams)
		out_tell(out, OUT_HUB, &gone); /* HEAD has had all that it will get */
	else if (!h->is_head && !empty)
		out_borrow(out, content);
	http_done(h, out, now);
}

/* A stream's end. */
static void http_cease(struct http *h, struct out *out, const struct moment *now)
{
	h->keep_alive = h->keep_alive && !h->draining;
	if (h->minor)
		out_static(out, BYTES_LITERAL("0\r\n\r\n"));
	http_done(h, out, now);
}

void http_let_go(struct http *h, struct out *out, const struct moment *now)
{
	struct message gone = {.kind = HTTP_GONE};
	struct http_request r;

	out_tell(out, OUT_HUB, &gone);
	h->keep_alive = false;
	http_recall(h, &r);
	r.in_api = true;
	http_answer(h, &r, 503, N_("that cannot be told just now"), NULL, out, now);
	http_done(h, out, now);
}

/* This may be heard late, and what the stream should still be told may be as late: only the hub
 * knows of it. Asked again if no answer comes, for want of memory say. */
void http_bid_farewell(struct http *h, struct out *out, const struct moment *now)
{
	struct message farewell = {.kind = HTTP_FAREWELL};

	out_tell(out, OUT_HUB, &farewell);
	h->idle_ns = now->boot_ns;
	http_watch_time(h, out);
}

void http_hear(struct http *h, const struct message *message, struct out *out,
	       const struct moment *now)
{
	if (message->kind == HTTP_STORED && h->state == HTTP_STORING) {
		http_put_stored(h, (unsigned)message->number[0], out, now);
	} else if (message->kind == HTTP_ANSWER && h->state == HTTP_ASKED) {
		http_relay(h, message, out, now);
	} else if (message->kind == HTTP_MORE && h->state == HTTP_STREAMING) {
		http_put_chunk(h, message->body, out);
		out_more(out);
	} else if (message->kind == HTTP_CEASE && h->state == HTTP_STREAMING) {
		http_cease(h, out, now);
	}
}
