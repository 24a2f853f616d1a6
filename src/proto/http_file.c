/* Fetching a file (RFC 9110 8.8, 12.5.3, 13, 14).
 *
 *   find ──► not there: 301 403 404 ──► conditions: 304 412 ──► ranges: 206 416 ──► 200
 *
 * A plain GET of what is kept whole with its head is answered with those bytes as they lie there:
 * that is the way nearly all requests go. */
#include "proto/http_server_parts.h"

#include "base/number.h"

unsigned http_encodings(const struct http_request *r)
{
	static const struct {
		const char *name;
		unsigned encoding;
	} known[] = {{"gzip", HTTP_GZIP}, {"br", HTTP_BROTLI}, {"zstd", HTTP_ZSTD}};
	const struct http1_field *f = NULL;
	unsigned found = 0;

	while (r->has & HTTP_HAS_ENCODING &&
	       (f = http1_next(&r->head, f, "Accept-Encoding")) != NULL) {
		struct bytes list = f->value;

		while (list.len) {
			size_t comma = bytes_find_byte(list, ',');
			struct bytes member = bytes_first(list, comma);
			size_t end = bytes_find_byte(member, ';');
			struct bytes name = bytes_strip(bytes_first(member, end));
			struct bytes q = bytes_strip(bytes_after(member, end));

			/* `;q=0`, `;q=0.000`: not that one. */
			while (q.len && strchr("; \tqQ=0.", q.data[0]))
				q = bytes_after(q, 1);
			for (unsigned i = 0; i < 3; i++)
				if (bytes_equal_fold(name, bytes_of_string(known[i].name)) &&
				    (end == member.len || q.len))
					found |= known[i].encoding;
			list = bytes_after(list, comma < list.len ? comma + 1 : list.len);
		}
	}
	return found;
}

static bool http_tag_is(struct bytes tag, const char *etag, bool weakly)
{
	if (weakly && bytes_equal(bytes_first(tag, 2), BYTES_LITERAL("W/")))
		tag = bytes_after(tag, 2);
	return bytes_equal(tag, bytes_of_string(etag));
}

/* Whether one of the tags in the fields called `name` is `etag` (NULL: there is nothing). */
static bool http_names_tag(const struct http_request *r, const char *name, const char *etag,
			   bool weakly)
{
	const struct http1_field *f = NULL;

	while ((f = http1_next(&r->head, f, name)) != NULL) {
		struct bytes list = f->value;

		if (bytes_equal(list, BYTES_LITERAL("*")) && etag)
			return true;
		while (list.len && etag) {
			size_t comma = bytes_find_byte(list, ',');

			if (http_tag_is(bytes_strip(bytes_first(list, comma)), etag, weakly))
				return true;
			list = bytes_after(list, comma < list.len ? comma + 1 : list.len);
		}
	}
	return false;
}

/* Whether the field is there and its date is valid. */
static bool http_date_of(const struct http_request *r, const char *name, int64_t now_s,
			 int64_t *seconds)
{
	const struct http1_field *f = http1_find(&r->head, name);

	return f && http1_date_parse(f->value, now_s, seconds) == 0;
}

unsigned http_conditions(const struct http_request *r, const char *etag, int64_t modified_s,
			 bool reads, int64_t now_s)
{
	int64_t date;

	if (http1_find(&r->head, "If-Match")) {
		if (!http_names_tag(r, "If-Match", etag, false))
			return 412;
	} else if (http_date_of(r, "If-Unmodified-Since", now_s, &date) &&
		   (!etag || modified_s > date)) {
		return 412;
	}
	if (http1_find(&r->head, "If-None-Match")) {
		if (http_names_tag(r, "If-None-Match", etag, true))
			return reads ? 304 : 412;
	} else if (reads && etag && http_date_of(r, "If-Modified-Since", now_s, &date) &&
		   modified_s <= date) {
		return 304;
	}
	return 0;
}

/* If-Range: the ranges are of what the client has a part of already. */
static bool http_range_holds(const struct http_request *r, const struct http_found *found,
			     int64_t now_s)
{
	const struct http1_field *f = http1_find(&r->head, "If-Range");
	int64_t date;

	if (!f)
		return true;
	if (f->value.len && (f->value.data[0] == '"' || f->value.data[0] == 'W'))
		return http_tag_is(f->value, found->etag, false);
	return http1_date_parse(f->value, now_s, &date) == 0 && date == found->modified_s;
}

static void http_put_content(struct out *out, const struct http_found *found,
			     const struct http_slice *slice)
{
	if (found->data)
		out_borrow(out, bytes_of(found->data + slice->from, slice->bytes));
	else
		out_file(out, found->handle, slice->from, slice->bytes);
}

static void http_part_head(struct text *t, const struct http_found *found, uint64_t seed,
			   const struct http_slice *slice)
{
	text_printf(t,
		    "\r\n--prise-%016llx\r\nContent-Type: %s\r\nContent-Range: bytes %llu-%llu/%llu"
		    "\r\n\r\n",
		    (unsigned long long)seed, found->type, (unsigned long long)slice->from,
		    (unsigned long long)(slice->from + slice->bytes - 1),
		    (unsigned long long)found->bytes);
}

/* multipart/byteranges (RFC 9110 14.6): the length of all is known before. */
static uint64_t http_parts(const struct http *h, const struct http_found *found, struct text *t,
			   const struct http_slice *slice, unsigned count, struct out *out)
{
	char part[256];
	uint64_t bytes = sizeof "\r\n--prise-0123456789abcdef--\r\n" - 1;

	for (unsigned i = 0; i < count; i++) {
		struct text p = TEXT_OVER(part);

		http_part_head(&p, found, h->seed, &slice[i]);
		bytes += p.len + slice[i].bytes;
	}
	http1_put_field_uint(t, "Content-Length", bytes);
	text_printf(t, "Content-Type: multipart/byteranges; boundary=prise-%016llx\r\n",
		    (unsigned long long)h->seed);
	http_head_end(t, out);
	for (unsigned i = 0; i < count; i++) {
		struct text p = TEXT_OVER(part);

		http_part_head(&p, found, h->seed, &slice[i]);
		out_copy(out, text_bytes(&p));
		http_put_content(out, found, &slice[i]);
	}
	out_printf(out, "\r\n--prise-%016llx--\r\n", (unsigned long long)h->seed);
	return bytes;
}

static void http_not_satisfied(struct http *h, struct http_request *r,
			       const struct http_found *found, struct out *out,
			       const struct moment *now)
{
	char field[64];
	struct text t = TEXT_OVER(field);

	text_printf(&t, "Content-Range: bytes */%llu\r\n", (unsigned long long)found->bytes);
	http_answer(h, r, 416, N_("no such part"), field, out, now);
}

/* 206 with one part or several. */
static void http_send_ranges(struct http *h, struct http_request *r, const struct http_found *found,
			     const struct http_slice *slice, int count, struct out *out,
			     const struct moment *now)
{
	char head[HTTP_ANSWER_BYTES];
	struct text t = TEXT_OVER(head);
	struct http_found shown = *found;
	uint64_t bytes = slice[0].bytes;

	http_head_begin(&t, 206, r->keep_alive, r->head.minor, now);
	if (count > 1) {
		shown.type = NULL; /* each part has its own */
		http_put_file_fields(&t, &shown, now->wall_us / 1000000);
		bytes = http_parts(h, found, &t, slice, (unsigned)count, out);
	} else {
		http_put_file_fields(&t, &shown, now->wall_us / 1000000);
		text_printf(&t, "Content-Range: bytes %llu-%llu/%llu\r\n",
			    (unsigned long long)slice[0].from,
			    (unsigned long long)(slice[0].from + slice[0].bytes - 1),
			    (unsigned long long)found->bytes);
		http1_put_field_uint(&t, "Content-Length", bytes);
		http_head_end(&t, out);
		http_put_content(out, found, slice);
	}
	http_log(h, r, 206, bytes, now);
}

static void http_send_whole(struct http *h, struct http_request *r, const struct http_found *found,
			    struct out *out, const struct moment *now)
{
	char head[HTTP_ANSWER_BYTES];
	struct text t = TEXT_OVER(head);
	struct http_slice all = {0, found->bytes};

	http_head_begin(&t, 200, r->keep_alive, r->head.minor, now);
	http_put_file_fields(&t, found, now->wall_us / 1000000);
	http1_put_field_uint(&t, "Content-Length", found->bytes);
	http_head_end(&t, out);
	if (r->method == HTTP_GET)
		http_put_content(out, found, &all);
	http_log(h, r, 200, r->method == HTTP_GET ? found->bytes : 0, now);
}

static void http_not_modified(struct http *h, struct http_request *r,
			      const struct http_found *found, struct out *out,
			      const struct moment *now)
{
	char fields[256];
	struct text t = TEXT_OVER(fields);

	http1_put_field(&t, "ETag", bytes_of_string(found->etag));
	if (found->varies)
		text_put_string(&t, "Vary: Accept-Encoding\r\n");
	http_answer(h, r, 304, NULL, fields, out, now);
}

/* A directory is asked for by its name with a slash behind. */
static void http_redirect(struct http *h, struct http_request *r, struct out *out,
			  const struct moment *now)
{
	char fields[HTTP_ANSWER_BYTES - 512];
	struct text t = TEXT_OVER(fields);
	struct bytes path = r->path;

	/* Two slashes at the front would lead to another host. */
	while (path.len > 1 && path.data[1] == '/')
		path = bytes_after(path, 1);
	text_put_string(&t, "Location: ");
	text_put(&t, path);
	text_put_string(&t, "/");
	text_put(&t, r->query);
	text_put_string(&t, "\r\n");
	if (t.cut)
		http_answer(h, r, 414, N_("too long to lead on"), NULL, out, now);
	else
		http_answer(h, r, 301, NULL, fields, out, now);
}

static const char *http_why_not(unsigned status)
{
	switch (status) {
	case 400:
		return N_("no valid path");
	case 403:
		return N_("not to be read");
	case 404:
		return N_("no such file");
	case 503:
		return N_("too busy to open it");
	default:
		return NULL;
	}
}

/* Found, and it is to be looked at what the request says about it. */
static void http_consider(struct http *h, struct http_request *r, const struct http_found *found,
			  struct out *out, const struct moment *now)
{
	struct http_slice slice[HTTP_RANGES_MOST];
	int64_t now_s = now->wall_us / 1000000;
	unsigned status = 0;
	int count = 0;

	if (r->has & HTTP_HAS_CONDITION)
		status = http_conditions(r, found->made ? NULL : found->etag, found->modified_s,
					 true, now_s);
	if (status == 304) {
		http_not_modified(h, r, found, out, now);
		return;
	}
	if (status == 412) {
		http_answer(h, r, 412, N_("it is not what the condition says"), NULL, out, now);
		return;
	}
	if (r->has & HTTP_HAS_RANGE && r->method == HTTP_GET && !found->made &&
	    http_range_holds(r, found, now_s))
		count = http_ranges(http1_find(&r->head, "Range")->value, found->bytes, slice);
	if (count < 0)
		http_not_satisfied(h, r, found, out, now);
	else if (count > 0)
		http_send_ranges(h, r, found, slice, count, out, now);
	else
		http_send_whole(h, r, found, out, now);
}

void http_get_file(struct http *h, struct http_request *r, struct out *out,
		   const struct moment *now)
{
	const struct http_files *files = h->settings->files;
	struct http_search search = {
		.path = r->path,
		.encodings = r->has & HTTP_HAS_ENCODING ? http_encodings(r) : 0,
		.first = h->first,
	};
	const struct http_found *found = files->find(files->context, &search, now);

	h->first = false;
	if (found->ready.len && r->keep_alive && r->head.minor &&
	    !(r->has & (HTTP_HAS_RANGE | HTTP_HAS_CONDITION))) {
		struct bytes ready = found->ready;

		if (r->method == HTTP_HEAD_METHOD)
			ready = bytes_first(ready, found->ready_head_bytes);
		out_borrow(out, ready);
		if (h->settings->access)
			http_log(h, r, 200, ready.len - found->ready_head_bytes, now);
	} else if (found->status == 200) {
		http_consider(h, r, found, out, now);
	} else if (found->status == 301) {
		http_redirect(h, r, out, now);
	} else {
		http_answer(h, r, found->status, http_why_not(found->status), NULL, out, now);
	}
}
