/* Targets of requests and the paths in them (RFC 9112 3.2, RFC 3986 2.1 and 3.3).
 *
 *   /a%20b?q        path /a%20b, query ?q
 *   http://h:1/a    authority h:1, path /a
 *   http://h        authority h, path /
 *
 * A path that says `.` or `..`, in whatever way, is refused rather than resolved: clients resolve
 * them before they ask, so that one here is an attempt. An escaped slash would be a name that no
 * file has. A backslash is a byte like any other. */
#include "proto/http_server_parts.h"
#include "base/number.h"

bool http_split_target(struct http_request *r)
{
	struct bytes t = r->head.target;
	size_t scheme, end;

	r->authority = bytes_of(NULL, 0);
	if (t.data[0] != '/') {
		scheme = bytes_find(t, BYTES_LITERAL("://"));
		if (!bytes_equal_fold(bytes_first(t, scheme), BYTES_LITERAL("http")) &&
		    !bytes_equal_fold(bytes_first(t, scheme), BYTES_LITERAL("https")))
			return false;
		t = bytes_after(t, scheme == t.len ? t.len : scheme + 3);
		for (end = 0; end < t.len && t.data[end] != '/' && t.data[end] != '?';)
			end++;
		if (end == 0)
			return false;
		r->authority = bytes_first(t, end);
		t = bytes_after(t, end);
	}
	end = bytes_find_byte(t, '?');
	r->path = bytes_first(t, end);
	r->query = bytes_after(t, end);
	if (r->path.len == 0)
		r->path = BYTES_LITERAL("/");
	return true;
}

/* The byte at the front of `path`, its escape resolved; how many bytes it took, 0 for a bad one. */
static size_t http_path_byte(struct bytes path, uint8_t *byte)
{
	int high, low;

	*byte = path.data[0];
	if (*byte != '%')
		return *byte ? 1 : 0;
	high = path.len > 2 ? number_hex(path.data[1]) : -1;
	low = path.len > 2 ? number_hex(path.data[2]) : -1;
	if (high < 0 || low < 0)
		return 0;
	*byte = (uint8_t)(high << 4 | low);
	return *byte && *byte != '/' ? 3 : 0;
}

static bool http_is_dots(struct bytes segment)
{
	return bytes_equal(segment, BYTES_LITERAL(".")) ||
	       bytes_equal(segment, BYTES_LITERAL(".."));
}

int http_path_decode(struct bytes path, char into[HTTP_PATH_BYTES], size_t *len)
{
	size_t n = 0, segment = 0;

	for (size_t at = 1; at < path.len;) {
		uint8_t byte;
		size_t taken = http_path_byte(bytes_after(path, at), &byte);

		if (!taken)
			return ERR_SYNTAX;
		at += taken;
		if (byte == '/' && n == segment)
			continue; /* an empty segment says nothing */
		if (n == HTTP_PATH_BYTES - 1)
			return ERR_TOO_LONG;
		if (byte == '/' && http_is_dots(bytes_of(into + segment, n - segment)))
			return ERR_SYNTAX;
		into[n++] = (char)byte;
		if (byte == '/')
			segment = n;
	}
	if (http_is_dots(bytes_of(into + segment, n - segment)))
		return ERR_SYNTAX;
	into[n] = '\0';
	*len = n;
	return path.len && path.data[0] == '/' ? 0 : ERR_SYNTAX;
}
