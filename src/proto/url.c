/* URLs. Source: RFC 3986 (appendix B for the cut into parts, 5.2 for references), RFC 9110 4.2.
 *
 * Limits: the sizes in url.h; host names are ASCII (an internationalised name is written in its
 * xn-- form); `..` is taken out of paths where it stands as such, not as %2e%2e. */
#include "proto/url.h"

#include "base/address.h"
#include "base/err.h"
#include "base/number.h"

struct url_parts {
	struct bytes scheme, authority, path, query;
	bool has_scheme, has_authority, has_query;
};

static bool is_alpha(uint8_t c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Whether an escape (%XX) begins at `i`. */
static bool is_escape(struct bytes b, size_t i)
{
	return b.data[i] == '%' && b.len - i > 2 && number_hex(b.data[i + 1]) >= 0 &&
	       number_hex(b.data[i + 2]) >= 0;
}

uint16_t url_default_port(enum url_scheme scheme)
{
	return scheme == URL_HTTPS ? 443 : 80;
}

/* The length of a scheme at the front of `b`, its colon not counted; 0: there is none. */
static size_t scheme_length(struct bytes b)
{
	size_t n = 0;

	if (!b.len || !is_alpha(b.data[0]))
		return 0;
	while (n < b.len && (is_alpha(b.data[n]) || is_digit(b.data[n]) || b.data[n] == '+' ||
			     b.data[n] == '-' || b.data[n] == '.'))
		n++;
	return n < b.len && b.data[n] == ':' ? n : 0;
}

/* The length of what stands before the first of `stops`. */
static size_t length_until(struct bytes b, const char *stops)
{
	size_t n = 0;

	while (n < b.len && (b.data[n] == '\0' || !strchr(stops, b.data[n])))
		n++;
	return n;
}

static struct url_parts parts_of(struct bytes b)
{
	struct url_parts p = {0};
	size_t n = scheme_length(b);

	b = bytes_first(b, bytes_find_byte(b, '#'));
	if (n && n < b.len) {
		p.has_scheme = true;
		p.scheme = bytes_first(b, n);
		b = bytes_after(b, n + 1);
	}
	if (b.len >= 2 && b.data[0] == '/' && b.data[1] == '/') {
		p.has_authority = true;
		b = bytes_after(b, 2);
		n = length_until(b, "/?");
		p.authority = bytes_first(b, n);
		b = bytes_after(b, n);
	}
	n = bytes_find_byte(b, '?');
	p.path = bytes_first(b, n);
	p.has_query = n < b.len;
	if (p.has_query)
		p.query = bytes_after(b, n + 1);
	return p;
}

bool url_decode(struct text *t, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];

		if (is_escape(b, i)) {
			c = (uint8_t)(number_hex(b.data[i + 1]) << 4 | number_hex(b.data[i + 2]));
			i += 2;
		}
		if (!c)
			return false;
		text_put_byte(t, (char)c);
	}
	return !t->cut;
}

static void put_encoded(struct text *t, struct bytes b)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < b.len; i++) {
		uint8_t c = b.data[i];
		bool bad = c <= ' ' || c > '~' || strchr("\"<>\\^`{|}", c) ||
			   (c == '%' && !is_escape(b, i));

		if (!bad) {
			text_put_byte(t, (char)c);
			continue;
		}
		text_put_byte(t, '%');
		text_put_byte(t, digits[c >> 4]);
		text_put_byte(t, digits[c & 15]);
	}
}

/* Takes `.` and `..` out of the path at the front of `target`, in place (RFC 3986 5.2.4). It begins
 * with a slash. */
static void remove_dot_segments(char *path)
{
	size_t from = 0, to = 0, len = strlen(path);

	while (from < len) {
		size_t end = from + 1;

		while (end < len && path[end] != '/')
			end++;
		if (end - from == 2 && path[from + 1] == '.') {
			if (end == len)
				path[to++] = '/';
		} else if (end - from == 3 && path[from + 1] == '.' && path[from + 2] == '.') {
			while (to > 0 && path[--to] != '/')
				;
			if (end == len)
				path[to++] = '/';
		} else {
			memmove(path + to, path + from, end - from);
			to += end - from;
		}
		from = end;
	}
	path[to] = '\0';
}

/* `path` begins with a slash or is empty. */
static int set_target(struct url *url, struct bytes merged, struct bytes path,
		      const struct url_parts *parts)
{
	struct text t = TEXT_OVER(url->target);

	put_encoded(&t, merged);
	put_encoded(&t, path);
	if (!t.len)
		text_put_byte(&t, '/');
	if (t.cut)
		return ERR_TOO_LONG;
	remove_dot_segments(url->target);
	t.len = strlen(url->target);
	if (parts->has_query) {
		text_put_byte(&t, '?');
		put_encoded(&t, parts->query);
	}
	return t.cut ? ERR_TOO_LONG : 0;
}

static int set_scheme(struct url *url, struct bytes scheme)
{
	if (bytes_equal_fold(scheme, BYTES_LITERAL("http")))
		url->scheme = URL_HTTP;
	else if (bytes_equal_fold(scheme, BYTES_LITERAL("https")))
		url->scheme = URL_HTTPS;
	else
		return ERR_REFUSES;
	return 0;
}

static int set_port(struct url *url, struct bytes port)
{
	uint64_t value;
	int err;

	url->port = url_default_port(url->scheme);
	if (!port.len)
		return 0;
	err = number_parse_u64(port, &value);
	if (err)
		return err;
	if (value < 1 || value > 65535)
		return ERR_RANGE;
	url->port = (uint16_t)value;
	return 0;
}

static int set_literal(struct url *url, struct bytes literal)
{
	struct address a;
	struct text t = TEXT_OVER(url->host);

	if (address_parse_ip(literal, &a) != 0 || a.family != ADDRESS_V6)
		return ERR_SYNTAX;
	address_put_ip(&t, &a); /* one way to write each */
	return t.cut ? ERR_TOO_LONG : 0;
}

static int set_name(struct url *url, struct bytes name)
{
	struct text t = TEXT_OVER(url->host);

	for (size_t i = 0; i < name.len; i++) {
		uint8_t c = name.data[i];

		if (!is_alpha(c) && !is_digit(c) && !(c && strchr("-._~", c)))
			return ERR_SYNTAX;
		text_put_byte(&t, (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c));
	}
	return t.cut ? ERR_TOO_LONG : t.len ? 0 : ERR_SYNTAX;
}

static int set_user(struct url *url, struct bytes user)
{
	struct text t = TEXT_OVER(url->user);

	if (!url_decode(&t, user))
		return t.cut ? ERR_TOO_LONG : ERR_SYNTAX;
	return 0;
}

/* [user[:password]@]host[:port] */
static int set_authority(struct url *url, struct bytes b)
{
	size_t at = b.len, end;
	int err = 0;

	while (at > 0 && b.data[at - 1] != '@')
		at--;
	url->user[0] = '\0';
	if (at > 0)
		err = set_user(url, bytes_first(b, at - 1));
	b = bytes_after(b, at);
	if (err)
		return err;
	if (b.len && b.data[0] == '[') {
		end = bytes_find_byte(b, ']');
		if (end == b.len)
			return ERR_SYNTAX;
		err = set_literal(url, bytes_after(bytes_first(b, end), 1));
		end++;
	} else {
		end = bytes_find_byte(b, ':');
		err = set_name(url, bytes_first(b, end));
	}
	b = bytes_after(b, end);
	if (!err && b.len && b.data[0] != ':')
		return ERR_SYNTAX;
	return err ? err : set_port(url, bytes_after(b, b.len ? 1 : 0));
}

/* White space and controls around and within a URL are an accident or an attack. */
static bool has_controls(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] < ' ' || b.data[i] == 0x7f)
			return true;
	return false;
}

int url_parse(struct url *url, struct bytes text)
{
	char full[URL_BYTES];
	struct text t = TEXT_OVER(full);
	struct url_parts p;
	size_t n;
	int err;

	text = bytes_strip(text);
	n = scheme_length(text);
	if (!n || bytes_find(bytes_after(text, n), BYTES_LITERAL("://")) != 0)
		text_put_string(&t, "http://");
	if (text.len && text.data[0] == ':')
		text_put_string(&t, "localhost");
	text_put(&t, text);
	if (t.cut)
		return ERR_TOO_LONG;
	if (!text.len || has_controls(text))
		return ERR_SYNTAX;
	p = parts_of(text_bytes(&t));
	err = set_scheme(url, p.scheme);
	if (!err)
		err = set_authority(url, p.authority);
	return err ? err : set_target(url, BYTES_LITERAL(""), p.path, &p);
}

/* The base's path up to and with its last slash. */
static struct bytes path_folder(const struct url *base)
{
	struct bytes path = bytes_of_string(base->target);

	path = bytes_first(path, bytes_find_byte(path, '?'));
	while (path.len && path.data[path.len - 1] != '/')
		path.len--;
	return path;
}

int url_resolve(struct url *url, const struct url *base, struct bytes reference)
{
	struct bytes merged = BYTES_LITERAL("");
	struct bytes base_target = bytes_of_string(base->target);
	struct url_parts p;
	int err = 0;

	reference = bytes_strip(reference);
	if (has_controls(reference))
		return ERR_SYNTAX;
	p = parts_of(reference);
	*url = *base;
	if (p.has_scheme) {
		err = set_scheme(url, p.scheme);
		if (!err && !p.has_authority)
			err = ERR_SYNTAX;
	}
	if (!err && p.has_authority)
		err = set_authority(url, p.authority);
	if (err)
		return err;
	if (!p.has_authority && !p.path.len) {
		p.path = bytes_first(base_target, bytes_find_byte(base_target, '?'));
		if (!p.has_query && p.path.len < base_target.len) {
			p.has_query = true;
			p.query = bytes_after(base_target, p.path.len + 1);
		}
	} else if (!p.has_authority && p.path.data[0] != '/') {
		merged = path_folder(base);
	}
	return set_target(url, merged, p.path, &p);
}

static void put_host(struct text *t, const struct url *url)
{
	bool literal = strchr(url->host, ':') != NULL;

	if (literal)
		text_put_byte(t, '[');
	text_put_string(t, url->host);
	if (literal)
		text_put_byte(t, ']');
}

void url_put_authority(struct text *t, const struct url *url)
{
	put_host(t, url);
	if (url->port != url_default_port(url->scheme))
		text_printf(t, ":%u", url->port);
}

void url_put_host_port(struct text *t, const struct url *url)
{
	put_host(t, url);
	text_printf(t, ":%u", url->port);
}

void url_put(struct text *t, const struct url *url)
{
	text_put_string(t, url->scheme == URL_HTTPS ? "https://" : "http://");
	url_put_authority(t, url);
	text_put_string(t, url->target);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
	return a->scheme == b->scheme && a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* One character of a file's name; returns its bytes. */
static size_t put_name_character(struct text *t, struct bytes b, bool first)
{
	size_t n = text_utf8_sequence(b);
	bool bad = n == 0 || (n == 1 && strchr("/\\:*?\"<>|", b.data[0])) ||
		   (first && (b.data[0] == '.' || b.data[0] == '-')) ||
		   text_is_control(text_utf8_code(bytes_first(b, n)));

	if (bad)
		text_put_byte(t, '_');
	else
		text_put(t, bytes_first(b, n));
	return n ? n : 1;
}

void url_put_file_name(struct text *t, const struct url *url)
{
	char decoded[URL_TARGET_BYTES];
	struct text d = TEXT_OVER(decoded);
	struct bytes path = bytes_of_string(url->target), name;
	size_t start, most = 200;

	path = bytes_first(path, bytes_find_byte(path, '?'));
	for (start = path.len; start > 0 && path.data[start - 1] != '/'; start--)
		;
	if (!url_decode(&d, bytes_after(path, start)) || !d.len) {
		text_put_string(t, "index.html");
		return;
	}
	name = text_bytes(&d);
	for (size_t i = 0; i < name.len && t->len < most;)
		i += put_name_character(t, bytes_after(name, i), i == 0);
}
