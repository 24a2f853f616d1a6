/* PUT (RFC 9110 9.3.4): the body goes into a writer of http_files as it comes, and the answer waits
 * until it is durable.
 *
 *   client                       machine                files
 *     │ ── PUT /a, Expect ────────► │ ── begin ─────────► │  a file with another name
 *     │ ◄──────── 100 Continue ──── │                     │
 *     │ ── content ───────────────► │ ── append ────────► │
 *     │                             │ ── finish ────────► │  fsync, rename, fsync
 *     │ ◄──────── 201 or 204 ────── │ ◄── HTTP_STORED ─── │ */
#include "proto/http_server_parts.h"

static const char *http_why_no_put(unsigned status)
{
	switch (status) {
	case 403:
		return N_("not to be written");
	case 404:
		return N_("no such directory");
	case 409:
		return N_("a directory has that name");
	case 412:
		return N_("it is not what the condition says");
	case 507:
		return N_("the disk is full");
	default:
		return NULL;
	}
}

/* Why a PUT is refused before anything of it is taken: a status, or 0. */
static unsigned http_put_check(const struct http *h, const struct http_request *r, const char **why,
			       const struct moment *now)
{
	const struct http_files *files = h->settings->files;
	struct http_search search = {.path = r->path, .first = h->first};
	const struct http_found *found;

	if (r->head.framing == HTTP1_NO_BODY && !http1_find(&r->head, "Content-Length")) {
		*why = N_("a length is wanted");
		return 411;
	}
	if (r->head.framing == HTTP1_LENGTH && r->head.length > h->settings->body_bytes) {
		*why = N_("too long a body");
		return 413;
	}
	if (http1_find(&r->head, "Content-Range")) {
		*why = N_("a file is put whole");
		return 400;
	}
	if (!(r->has & HTTP_HAS_CONDITION))
		return 0;
	found = files->find(files->context, &search, now);
	*why = N_("it is not what the condition says");
	return http_conditions(r, found->status == 200 && !found->made ? found->etag : NULL,
			       found->modified_s, false, now->wall_us / 1000000);
}

void http_put_drop(struct http *h)
{
	if (h->writer)
		h->settings->files->abort(h->writer);
	h->writer = NULL;
}

/* The answer to a PUT whose head is gone. */
static void http_put_answer(struct http *h, unsigned status, const char *why, struct out *out,
			    const struct moment *now)
{
	struct http_request r;

	h->keep_alive = h->keep_alive && !h->draining;
	http_recall(h, &r);
	http_answer(h, &r, status, why, NULL, out, now);
	http_done(h, out, now);
}

static void http_put_fail(struct http *h, unsigned status, const char *why, struct out *out,
			  const struct moment *now)
{
	http_put_drop(h);
	h->keep_alive = false;
	http_put_answer(h, status, why, out, now);
}

void http_put_stored(struct http *h, unsigned status, struct out *out, const struct moment *now)
{
	http_put_answer(h, status, http_why_no_put(status), out, now);
}

static void http_put_finish(struct http *h, struct out *out, const struct moment *now)
{
	unsigned status = h->settings->files->finish(h->writer, h->id);

	h->writer = NULL;
	h->begun_ns = 0;
	h->state = HTTP_STORING;
	if (status != HTTP_LATER)
		http_put_stored(h, status, out, now);
}

void http_put_begin(struct http *h, struct http_request *r, struct out *out,
		    const struct moment *now)
{
	const struct http_files *files = h->settings->files;
	const char *why = NULL;
	unsigned status;

	if (!http_comes_from_us(h, r, out, now))
		return;
	status = http_put_check(h, r, &why, now);
	h->first = false;
	if (!status) {
		h->writer = files->begin(files->context, r->path,
					 (r->has & HTTP_HAS_CONDITION) != 0, &status);
		why = h->writer ? NULL : http_why_no_put(status);
	}
	if (!h->writer) {
		http_refuse(h, r, status, why, out, now);
		return;
	}
	http_remember(h, r);
	if (r->head.expects_continue)
		out_static(out, BYTES_LITERAL("HTTP/1.1 100 Continue\r\n\r\n"));
	http1_body_begin(&h->body, &r->head);
	h->state = HTTP_STORE;
	if (h->body.done)
		http_put_finish(h, out, now);
}

size_t http_put_take(struct http *h, struct bytes in, struct out *out, const struct moment *now)
{
	struct bytes content = {NULL, 0};
	size_t taken = http1_body_take(&h->body, in, &content);
	unsigned status = 0;

	if (content.len && h->body.content_bytes > h->settings->body_bytes)
		http_put_fail(h, 413, N_("too long a body"), out, now);
	else if (content.len && (status = h->settings->files->append(h->writer, content)) != 0)
		http_put_fail(h, status, http_why_no_put(status), out, now);
	else if (h->body.bad)
		http_put_fail(h, h->body.refusal.status, h->body.refusal.why, out, now);
	else if (h->body.done)
		http_put_finish(h, out, now);
	return taken;
}
