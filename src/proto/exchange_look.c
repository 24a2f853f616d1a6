/* How the first line of a message looks (RFC 9112 3, 4). Bytes that are not there yet count for the
 * message: EXCHANGE_PERHAPS. */
#include "proto/exchange.h"

enum { METHOD_MOST = 24, EMPTY_MOST = 8 };

static bool is_known_method(struct bytes method)
{
	static const char *const known[] = {"GET",    "HEAD",    "POST",    "PUT",
					    "DELETE", "OPTIONS", "CONNECT", "PATCH"};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (bytes_equal(method, bytes_of_string(known[i])))
			return true;
	return false;
}

static enum exchange_look look_response(struct bytes b)
{
	const struct bytes prefix = BYTES_LITERAL("HTTP/1.");

	if (!bytes_equal(bytes_first(b, prefix.len), bytes_first(prefix, b.len)))
		return EXCHANGE_NONE;
	return b.len > prefix.len ? EXCHANGE_RESPONSE : EXCHANGE_PERHAPS;
}

/* METHOD SP target SP HTTP/1.x; of methods that everybody knows also without the end, so that what
 * somebody typed wrong is shown. */
static enum exchange_look look_request(struct bytes b)
{
	const struct bytes version = BYTES_LITERAL("HTTP/1.");
	size_t method = 0, end;
	struct bytes line;

	while (method < b.len && method <= METHOD_MOST &&
	       ((b.data[method] >= 'A' && b.data[method] <= 'Z') || b.data[method] == '-'))
		method++;
	if (method == 0 || method > METHOD_MOST)
		return EXCHANGE_NONE;
	if (method == b.len)
		return EXCHANGE_PERHAPS;
	if (b.data[method] != ' ')
		return EXCHANGE_NONE;
	line = bytes_first(b, HTTP1_LINE_BYTES);
	end = bytes_find_byte(line, '\n');
	if (end == line.len)
		return line.len < HTTP1_LINE_BYTES ? EXCHANGE_PERHAPS : EXCHANGE_NONE;
	line = bytes_strip(bytes_first(line, end));
	if (line.len > version.len + 1 &&
	    bytes_equal(bytes_first(bytes_after(line, line.len - version.len - 1), version.len),
			version))
		return EXCHANGE_REQUEST;
	if (is_known_method(bytes_first(b, method)) && line.len > method + 1 &&
	    line.data[method + 1] == '/')
		return EXCHANGE_REQUEST;
	return EXCHANGE_NONE;
}

enum exchange_look exchange_look(struct bytes b)
{
	struct bytes rest = b;

	while (rest.len > 0 && b.len - rest.len < EMPTY_MOST &&
	       (rest.data[0] == '\r' || rest.data[0] == '\n'))
		rest = bytes_after(rest, 1);
	if (rest.len == 0)
		return b.len > 0 ? EXCHANGE_PERHAPS : EXCHANGE_NONE;
	if (rest.len == b.len && look_response(b) != EXCHANGE_NONE)
		return look_response(b);
	return look_request(rest);
}
