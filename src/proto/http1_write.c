/* HTTP/1.x: writing heads. A line is put whole or not at all, so that nothing that a person or a
 * program hands over can end one line and begin another. Source: RFC 9112 3 to 5, RFC 9110 15. */
#include "proto/http1_parts.h"

#include "base/number.h"

#define CRLF BYTES_LITERAL("\r\n")

/* Puts all of the pieces or none. */
static bool http1_put_all(struct text *t, const struct bytes *piece, size_t pieces)
{
	size_t len = 0;

	for (size_t i = 0; i < pieces; i++)
		len += piece[i].len;
	if (t->cut || len > t->cap - 1 - t->len) {
		t->cut = true;
		return false;
	}
	for (size_t i = 0; i < pieces; i++)
		text_put(t, piece[i]);
	return true;
}

#define PUT_ALL(t, ...)                                         \
	http1_put_all((t), (const struct bytes[]){__VA_ARGS__}, \
		      sizeof((const struct bytes[]){__VA_ARGS__}) / sizeof(struct bytes))

static struct bytes http1_version_text(unsigned minor)
{
	return minor == 0 ? BYTES_LITERAL("HTTP/1.0") : BYTES_LITERAL("HTTP/1.1");
}

bool http1_put_request(struct text *t, struct bytes method, struct bytes target, unsigned minor)
{
	struct bytes space = BYTES_LITERAL(" ");

	if (!http1_is_token(method) || target.len == 0 || !http1_is_visible(target))
		return false;
	return PUT_ALL(t, method, space, target, space, http1_version_text(minor), CRLF);
}

bool http1_put_status(struct text *t, unsigned status, unsigned minor)
{
	char digits[5] = {' ', (char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
			  (char)('0' + status % 10), ' '};

	if (status < 100 || status > 999)
		return false;
	return PUT_ALL(t, http1_version_text(minor), bytes_of(digits, sizeof(digits)),
		       bytes_of_string(http1_reason(status)), CRLF);
}

bool http1_put_field(struct text *t, const char *name, struct bytes value)
{
	struct bytes called = bytes_of_string(name);

	if (!http1_is_token(called) || !http1_is_clean(value))
		return false;
	return PUT_ALL(t, called, BYTES_LITERAL(": "), value, CRLF);
}

bool http1_put_field_uint(struct text *t, const char *name, uint64_t value)
{
	char digits[21];
	size_t len = number_format_u64(value, digits);

	return http1_put_field(t, name, bytes_of(digits, len));
}

void http1_put_end(struct text *t)
{
	PUT_ALL(t, CRLF);
}

void http1_put_chunk(struct text *t, uint64_t bytes)
{
	static const char hex[] = "0123456789abcdef";
	char digits[16];
	size_t at = sizeof(digits);

	do {
		digits[--at] = hex[bytes & 15];
		bytes >>= 4;
	} while (bytes > 0);
	if (at == sizeof(digits) - 1 && digits[at] == '0')
		PUT_ALL(t, BYTES_LITERAL("0\r\n\r\n"));
	else
		PUT_ALL(t, bytes_of(digits + at, sizeof(digits) - at), CRLF);
}

const char *http1_reason(unsigned status)
{
	static const struct {
		unsigned status;
		const char *text;
	} reasons[] = {
		{100, "Continue"},
		{101, "Switching Protocols"},
		{103, "Early Hints"},
		{200, "OK"},
		{201, "Created"},
		{202, "Accepted"},
		{203, "Non-Authoritative Information"},
		{204, "No Content"},
		{205, "Reset Content"},
		{206, "Partial Content"},
		{300, "Multiple Choices"},
		{301, "Moved Permanently"},
		{302, "Found"},
		{303, "See Other"},
		{304, "Not Modified"},
		{305, "Use Proxy"},
		{307, "Temporary Redirect"},
		{308, "Permanent Redirect"},
		{400, "Bad Request"},
		{401, "Unauthorized"},
		{402, "Payment Required"},
		{403, "Forbidden"},
		{404, "Not Found"},
		{405, "Method Not Allowed"},
		{406, "Not Acceptable"},
		{407, "Proxy Authentication Required"},
		{408, "Request Timeout"},
		{409, "Conflict"},
		{410, "Gone"},
		{411, "Length Required"},
		{412, "Precondition Failed"},
		{413, "Content Too Large"},
		{414, "URI Too Long"},
		{415, "Unsupported Media Type"},
		{416, "Range Not Satisfiable"},
		{417, "Expectation Failed"},
		{421, "Misdirected Request"},
		{422, "Unprocessable Content"},
		{426, "Upgrade Required"},
		{428, "Precondition Required"},
		{429, "Too Many Requests"},
		{431, "Request Header Fields Too Large"},
		{451, "Unavailable For Legal Reasons"},
		{500, "Internal Server Error"},
		{501, "Not Implemented"},
		{502, "Bad Gateway"},
		{503, "Service Unavailable"},
		{504, "Gateway Timeout"},
		{505, "HTTP Version Not Supported"},
		{507, "Insufficient Storage"},
		{511, "Network Authentication Required"},
	};

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (reasons[i].status == status)
			return reasons[i].text;
	}
	return "";
}
