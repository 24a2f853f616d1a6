/* Cookies. Source: RFC 6265 5.1 to 5.4, whose order of attributes, defaults and matches this
 * follows. Of Expires the three forms of HTTP's dates are read, and the first with dashes. */
#include "proto/cookie.h"

#include "base/address.h"
#include "base/err.h"
#include "base/number.h"
#include "proto/http1.h"

static struct bytes cookie_name(const struct cookie *c)
{
	return bytes_of(c->text, c->name_len);
}

static struct bytes cookie_value(const struct cookie *c)
{
	return bytes_of(c->text + c->name_len, c->value_len);
}

static struct bytes cookie_domain(const struct cookie *c)
{
	return bytes_of(c->text + c->name_len + c->value_len, c->domain_len);
}

static struct bytes cookie_path(const struct cookie *c)
{
	return bytes_of(c->text + c->name_len + c->value_len + c->domain_len, c->path_len);
}

/* RFC 6265 5.1.3: the same, or a suffix behind a dot of a name that is no address. */
static bool domain_matches(struct bytes host, struct bytes domain)
{
	struct address a;

	if (bytes_equal_fold(host, domain))
		return true;
	return host.len > domain.len && domain.len && host.data[host.len - domain.len - 1] == '.' &&
	       bytes_equal_fold(bytes_after(host, host.len - domain.len), domain) &&
	       address_parse_ip(host, &a) != 0;
}

/* RFC 6265 5.1.4. */
static bool path_matches(struct bytes path, struct bytes of)
{
	if (path.len < of.len || !bytes_equal(bytes_first(path, of.len), of))
		return false;
	return path.len == of.len || (of.len && of.data[of.len - 1] == '/') ||
	       path.data[of.len] == '/';
}

static struct bytes url_path(const struct url *url)
{
	struct bytes target = bytes_of_string(url->target);

	return bytes_first(target, bytes_find_byte(target, '?'));
}

static struct bytes default_path(const struct url *url)
{
	struct bytes path = url_path(url);

	while (path.len > 1 && path.data[path.len - 1] != '/')
		path.len--;
	return path.len > 1 ? bytes_first(path, path.len - 1) : BYTES_LITERAL("/");
}

/* What a Set-Cookie field says. */
struct cookie_said {
	struct bytes name, value, domain, path;
	bool secure;
	int64_t expires_s;
	bool has_max_age;
};

/* `Wed, 09-Jun-2021 10:18:14 GMT` too. */
static void said_expires(struct cookie_said *said, struct bytes value, int64_t now_s)
{
	char plain[64];
	int64_t seconds;

	if (said->has_max_age || value.len >= sizeof plain)
		return;
	for (size_t i = 0; i < value.len; i++)
		plain[i] = value.data[i] == '-' ? ' ' : (char)value.data[i];
	if (http1_date_parse(value, now_s, &seconds) == 0 ||
	    http1_date_parse(bytes_of(plain, value.len), now_s, &seconds) == 0)
		said->expires_s = seconds;
}

static void said_max_age(struct cookie_said *said, struct bytes value, int64_t now_s)
{
	int64_t seconds;
	int err = number_parse_i64(value, &seconds);

	if (err && err != ERR_RANGE)
		return;
	said->has_max_age = true;
	if (err || seconds > INT64_MAX - now_s)
		said->expires_s = INT64_MAX;
	else
		said->expires_s = seconds <= 0 ? INT64_MIN : now_s + seconds;
}

static void said_attribute(struct cookie_said *said, struct bytes b, int64_t now_s)
{
	size_t equals = bytes_find_byte(b, '=');
	struct bytes name = bytes_strip(bytes_first(b, equals));
	struct bytes value = bytes_strip(bytes_after(b, equals < b.len ? equals + 1 : b.len));

	if (bytes_equal_fold(name, BYTES_LITERAL("expires"))) {
		said_expires(said, value, now_s);
	} else if (bytes_equal_fold(name, BYTES_LITERAL("max-age"))) {
		said_max_age(said, value, now_s);
	} else if (bytes_equal_fold(name, BYTES_LITERAL("secure"))) {
		said->secure = true;
	} else if (bytes_equal_fold(name, BYTES_LITERAL("path"))) {
		said->path = value.len && value.data[0] == '/' ? value : BYTES_LITERAL("");
	} else if (bytes_equal_fold(name, BYTES_LITERAL("domain"))) {
		said->domain = value.len && value.data[0] == '.' ? bytes_after(value, 1) : value;
	}
}

static bool cookie_read(struct cookie_said *said, struct bytes field, int64_t now_s)
{
	size_t end = bytes_find_byte(field, ';'), equals;
	struct bytes pair = bytes_first(field, end);

	*said = (struct cookie_said){.expires_s = INT64_MAX};
	equals = bytes_find_byte(pair, '=');
	if (equals == pair.len)
		return false;
	said->name = bytes_strip(bytes_first(pair, equals));
	said->value = bytes_strip(bytes_after(pair, equals + 1));
	while (end < field.len) {
		field = bytes_after(field, end + 1);
		end = bytes_find_byte(field, ';');
		said_attribute(said, bytes_first(field, end), now_s);
	}
	return said->name.len > 0;
}

static void jar_drop(struct cookie_jar *jar, unsigned i)
{
	memmove(&jar->cookie[i], &jar->cookie[i + 1], (jar->count - i - 1) * sizeof jar->cookie[0]);
	jar->count--;
}

/* Takes out the cookie of that name, domain and path; its order, or that of a new one. */
static uint32_t jar_take_out(struct cookie_jar *jar, const struct cookie_said *said)
{
	for (unsigned i = 0; i < jar->count; i++) {
		const struct cookie *c = &jar->cookie[i];
		uint32_t order = c->order;

		if (bytes_equal(cookie_name(c), said->name) &&
		    bytes_equal_fold(cookie_domain(c), said->domain) &&
		    bytes_equal(cookie_path(c), said->path)) {
			jar_drop(jar, i);
			return order;
		}
	}
	return jar->made++;
}

static void jar_add(struct cookie_jar *jar, const struct cookie_said *said, bool host_only,
		    uint32_t order)
{
	struct cookie *c;
	struct text t;

	if (jar->count == COOKIE_MOST)
		jar_drop(jar, 0);
	c = &jar->cookie[jar->count++];
	t = TEXT_OVER(c->text);
	text_put(&t, said->name);
	text_put(&t, said->value);
	text_put(&t, said->domain);
	text_put(&t, said->path);
	c->name_len = said->name.len;
	c->value_len = said->value.len;
	c->domain_len = said->domain.len;
	c->path_len = said->path.len;
	c->host_only = host_only;
	c->secure = said->secure;
	c->expires_s = said->expires_s;
	c->order = order;
}

/* Whether it holds anything that a field of a request must not. */
static bool has_controls(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] < ' ' || b.data[i] == 0x7f)
			return true;
	return false;
}

bool cookie_set(struct cookie_jar *jar, const struct url *url, struct bytes field, int64_t now_s)
{
	struct bytes host = bytes_of_string(url->host);
	struct cookie_said said;
	bool host_only;
	uint32_t order;

	if (has_controls(field) || !cookie_read(&said, field, now_s))
		return false;
	host_only = !said.domain.len;
	if (host_only)
		said.domain = host;
	if (!domain_matches(host, said.domain) || (said.secure && url->scheme != URL_HTTPS))
		return false;
	if (!bytes_equal_fold(host, said.domain) &&
	    bytes_find_byte(said.domain, '.') == said.domain.len)
		return false;
	if (!said.path.len)
		said.path = default_path(url);
	if (said.name.len + said.value.len + said.domain.len + said.path.len >= COOKIE_BYTES)
		return false;
	order = jar_take_out(jar, &said);
	if (said.expires_s > now_s)
		jar_add(jar, &said, host_only, order);
	jar->changes++;
	return true;
}

static bool cookie_is_for(const struct cookie *c, const struct url *url, int64_t now_s)
{
	struct bytes host = bytes_of_string(url->host);

	if (c->expires_s <= now_s || (c->secure && url->scheme != URL_HTTPS))
		return false;
	if (c->host_only ? !bytes_equal_fold(host, cookie_domain(c))
			 : !domain_matches(host, cookie_domain(c)))
		return false;
	return path_matches(url_path(url), cookie_path(c));
}

/* Longer paths first, then the older. */
static bool cookie_comes_before(const struct cookie *a, const struct cookie *b)
{
	return a->path_len != b->path_len ? a->path_len > b->path_len : a->order < b->order;
}

void cookie_put(struct text *t, const struct cookie_jar *jar, const struct url *url, int64_t now_s)
{
	const struct cookie *last = NULL;

	for (;;) {
		const struct cookie *next = NULL;

		for (unsigned i = 0; i < jar->count; i++) {
			const struct cookie *c = &jar->cookie[i];

			if (cookie_is_for(c, url, now_s) &&
			    (!last || cookie_comes_before(last, c)) &&
			    (!next || cookie_comes_before(c, next)))
				next = c;
		}
		if (!next)
			return;
		if (last)
			text_put_string(t, "; ");
		text_put(t, cookie_name(next));
		text_put_byte(t, '=');
		text_put(t, cookie_value(next));
		last = next;
	}
}
