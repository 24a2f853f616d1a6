/* A request's head. What the user gave with -H stands in place of ours of that name. */
#include "command/fetch.h"

enum { FETCH_EXPECT_BYTES = 1 << 20, FETCH_BASIC_BYTES = 16384 };

bool fetch_field(const char *field, struct bytes *name, struct bytes *value)
{
	struct bytes b = bytes_of_string(field);
	size_t colon = bytes_find_byte(b, ':');

	if (colon == b.len)
		return false;
	*name = bytes_first(b, colon);
	*value = bytes_strip(bytes_after(b, colon + 1));
	return http1_is_token(*name);
}

bool fetch_expects(const struct fetch *f)
{
	return f->with_content && f->request->minor > 0 && !f->insists &&
	       f->request->content_bytes > FETCH_EXPECT_BYTES;
}

/* What must not go to another host than the one that it was given for. */
static bool is_for_one_host(struct bytes name)
{
	return bytes_equal_fold(name, BYTES_LITERAL("Authorization")) ||
	       bytes_equal_fold(name, BYTES_LITERAL("Host")) ||
	       bytes_equal_fold(name, BYTES_LITERAL("Cookie"));
}

/* What describes content that is no longer sent. */
static bool is_of_content(struct bytes name)
{
	struct bytes content = BYTES_LITERAL("Content-");

	return bytes_equal_fold(bytes_first(name, content.len), content);
}

static bool is_given(const struct fetch *f, const char *ours)
{
	const struct option_list *fields = f->request->fields;
	struct bytes name, value;

	for (unsigned i = 0; fields && i < fields->count; i++)
		if (fetch_field(fields->item[i], &name, &value) &&
		    bytes_equal_fold(name, bytes_of_string(ours)) &&
		    (f->credentials || !is_for_one_host(name)))
			return true;
	return false;
}

/* One of ours. */
static bool put_field(struct text *t, const struct fetch *f, const char *name, struct bytes value)
{
	return is_given(f, name) || http1_put_field(t, name, value);
}

static bool put_given(struct text *t, const struct fetch *f)
{
	const struct option_list *fields = f->request->fields;
	struct bytes name, value;
	char plain[256];

	for (unsigned i = 0; fields && i < fields->count; i++) {
		struct text n = TEXT_OVER(plain);

		if (!fetch_field(fields->item[i], &name, &value))
			return false;
		if (!value.len || (is_for_one_host(name) && !f->credentials) ||
		    (is_of_content(name) && f->request->has_content && !f->with_content))
			continue;
		text_put(&n, name);
		if (n.cut || !http1_put_field(t, plain, value))
			return false;
	}
	return true;
}

static bool put_basic(struct text *t, const struct fetch *f, const char *name, const char *user)
{
	char whole[FETCH_BASIC_BYTES / 2], buffer[FETCH_BASIC_BYTES];
	struct text words = TEXT_OVER(whole), basic = TEXT_OVER(buffer);

	text_put_string(&words, user);
	if (!strchr(user, ':'))
		text_put_byte(&words, ':');
	text_put_string(&basic, "Basic ");
	text_put_base64(&basic, text_bytes(&words));
	if (words.cut || basic.cut)
		return false;
	return put_field(t, f, name, text_bytes(&basic));
}

static bool put_credentials(struct text *t, const struct fetch *f, bool by_proxy,
			    const struct url *proxy, int64_t now_s)
{
	const char *user = f->request->user && f->credentials ? f->request->user : f->url.user;
	char buffer[COOKIE_BYTES * 2];
	struct text cookies = TEXT_OVER(buffer);

	if (by_proxy && proxy->user[0] && !put_basic(t, f, "Proxy-Authorization", proxy->user))
		return false;
	if (user[0] && !put_basic(t, f, "Authorization", user))
		return false;
	cookie_put(&cookies, &f->jar, &f->url, now_s);
	return !cookies.len || put_field(t, f, "Cookie", text_bytes(&cookies));
}

/* Methods that mean content: of these RFC 9110 8.6 wants to hear that there is none. */
static bool means_content(struct bytes method)
{
	return bytes_equal(method, BYTES_LITERAL("PUT")) ||
	       bytes_equal(method, BYTES_LITERAL("POST")) ||
	       bytes_equal(method, BYTES_LITERAL("PATCH"));
}

static bool put_content_fields(struct text *t, const struct fetch *f)
{
	const struct fetch_request *r = f->request;

	if (!f->with_content)
		return !means_content(f->method) ||
		       put_field(t, f, "Content-Length", BYTES_LITERAL("0"));
	if (r->content_type && !put_field(t, f, "Content-Type", bytes_of_string(r->content_type)))
		return false;
	if (!is_given(f, "Content-Length") &&
	    !http1_put_field_uint(t, "Content-Length", r->content_bytes))
		return false;
	return !fetch_expects(f) || put_field(t, f, "Expect", BYTES_LITERAL("100-continue"));
}

static bool put_range(struct text *t, const struct fetch *f)
{
	char range[48];
	struct text r = TEXT_OVER(range);

	if (!f->request->ranged)
		return true;
	text_printf(&r, "bytes=%llu-", (unsigned long long)f->request->from);
	if (!put_field(t, f, "Range", text_bytes(&r)))
		return false;
	return !f->request->validator[0] ||
	       put_field(t, f, "If-Range", bytes_of_string(f->request->validator));
}

bool fetch_put_head(struct text *t, const struct fetch *f, bool by_proxy, const struct url *proxy,
		    int64_t now_s)
{
	const struct fetch_request *r = f->request;
	char target[URL_BYTES], authority[URL_HOST_BYTES + 16];
	struct text to = TEXT_OVER(target), host = TEXT_OVER(authority);

	if (by_proxy)
		url_put(&to, &f->url);
	else
		text_put_string(&to, f->url.target);
	if (r->bare) { /* the course's own, to the letter */
		text_printf(t, "GET %s HTTP/1.0\n\n", target);
		return !t->cut && !to.cut;
	}
	url_put_authority(&host, &f->url);
	if (to.cut || !http1_put_request(t, f->method, text_bytes(&to), r->minor) ||
	    !put_field(t, f, "Host", text_bytes(&host)) ||
	    !put_field(t, f, "User-Agent", bytes_of_string(f->links->agent)) ||
	    !put_field(t, f, "Accept", BYTES_LITERAL("*/*")))
		return false;
	if (r->takes_coded && !r->ranged &&
	    !put_field(t, f, "Accept-Encoding", BYTES_LITERAL("gzip, deflate")))
		return false;
	if (!put_credentials(t, f, by_proxy, proxy, now_s) || !put_range(t, f) ||
	    !put_content_fields(t, f) || !put_given(t, f) ||
	    !put_field(t, f, "Connection",
		       r->minor ? BYTES_LITERAL("keep-alive") : BYTES_LITERAL("close")))
		return false;
	http1_put_end(t);
	return !t->cut;
}
