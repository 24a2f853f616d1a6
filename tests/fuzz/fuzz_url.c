/* What a server can make a client read beside the message itself: a Location, a Set-Cookie, a
 * Content-Range; and what an environment holds (no_proxy). The first byte chooses.
 *
 * Whatever is taken for a URL is written so that it is the same when it is read again; a cookie
 * that is sent back can stand in a field. */
#include "proto/cookie.h"
#include "proto/follow.h"
#include "proto/http1.h"
#include "proto/proxy.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_require(bool holds)
{
	if (!holds)
		abort();
}

static void fuzz_url_again(const struct url *url)
{
	char once[URL_BYTES], twice[URL_BYTES], name[256];
	struct text a = TEXT_OVER(once), b = TEXT_OVER(twice), n = TEXT_OVER(name);
	static struct url again;

	url_put(&a, url);
	if (a.cut)
		return;
	fuzz_require(url_parse(&again, text_bytes(&a)) == 0);
	url_put(&b, &again);
	fuzz_require(strcmp(once, twice) == 0);
	url_put_file_name(&n, url);
	fuzz_require(n.len && !n.cut && !strchr(name, '/') && name[0] != '.');
}

static void fuzz_location(const struct url *base, struct bytes b)
{
	static struct url url;

	if (url_parse(&url, b) == 0)
		fuzz_url_again(&url);
	if (url_resolve(&url, base, b) == 0)
		fuzz_url_again(&url);
}

static void fuzz_cookie(const struct url *base, struct bytes b)
{
	static struct cookie_jar jar;
	char sent[COOKIE_BYTES * 2], field[COOKIE_BYTES * 3];
	struct text s = TEXT_OVER(sent), f = TEXT_OVER(field);

	memset(&jar, 0, sizeof jar);
	while (b.len) { /* a line a field */
		size_t end = bytes_find_byte(b, '\n');

		cookie_set(&jar, base, bytes_first(b, end), 1700000000);
		b = bytes_after(b, end < b.len ? end + 1 : end);
	}
	cookie_put(&s, &jar, base, 1700000000);
	fuzz_require(!s.len || s.cut || http1_put_field(&f, "Cookie", text_bytes(&s)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct url base;
	struct bytes b = bytes_of(data, size);
	struct follow_range range;
	char *list;

	if (!size || url_parse(&base, BYTES_LITERAL("http://a.example/b/c?d")) != 0)
		return 0;
	b = bytes_after(b, 1);
	switch (data[0] % 4) {
	case 0:
		fuzz_location(&base, b);
		break;
	case 1:
		fuzz_cookie(&base, b);
		break;
	case 2:
		if (follow_range_parse(b, &range) == 0 && !range.unsatisfied)
			fuzz_require(range.first <= range.last && range.last < range.complete);
		break;
	default:
		list = malloc(b.len + 1);
		fuzz_require(list != NULL);
		memcpy(list, b.data, b.len);
		list[b.len] = '\0';
		proxy_excludes(list, &base);
		free(list);
		break;
	}
	return 0;
}
