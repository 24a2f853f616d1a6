/* Addresses as people write them. Nothing here asks a resolver: a host stays a name.
 *
 * Limits: a host of ENDPOINT_HOST_BYTES - 1 bytes, a path of what sun_path holds (107). Sources:
 * ip(7), ipv6(7), unix(7), RFC 6335 section 5.1 (a service name has a letter). */
#include "net/endpoint.h"

#include "base/number.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

enum { ENDPOINT_SERVICE_BYTES = 4096 };

static bool is_digits(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] < '0' || b.data[i] > '9')
			return false;
	return b.len > 0;
}

static bool has_letter(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if ((b.data[i] | 0x20) >= 'a' && (b.data[i] | 0x20) <= 'z')
			return true;
	return false;
}

/* Neither white space nor control characters nor a slash. */
static bool is_word(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] <= ' ' || b.data[i] == 0x7f || b.data[i] == '/')
			return false;
	return b.len > 0;
}

#define PORT(name, port, protocol, aliases) {name, protocol, aliases, port},
static const struct {
	const char *name, *protocol, *aliases; /* those with a space between */
	uint16_t port;
} built_in[] = {
#include "net/services.def"
};
#undef PORT

static bool is_among(struct bytes name, struct bytes words)
{
	while (words.len > 0) {
		size_t len = bytes_find_byte(words, ' ');

		if (bytes_equal_fold(bytes_first(words, len), name))
			return true;
		words = bytes_after(words, len < words.len ? len + 1 : len);
	}
	return false;
}

/* For systems without the table: 0 or ERR_NO_NAME. */
static int find_built_in(struct bytes name, const char *protocol, uint16_t *port)
{
	for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
		if (strcmp(built_in[i].protocol, protocol) != 0)
			continue;
		if (!bytes_equal_fold(name, bytes_of_string(built_in[i].name)) &&
		    !is_among(name, bytes_of_string(built_in[i].aliases)))
			continue;
		*port = built_in[i].port;
		return 0;
	}
	return ERR_NO_NAME;
}

/* The table's port for a service name: 0, ERR_SYNTAX when it can be none, ERR_NO_NAME. */
static int find_service(struct bytes name, bool udp, uint16_t *port)
{
	char text[64], buffer[ENDPOINT_SERVICE_BYTES];
	const char *protocol = udp ? "udp" : "tcp";
	struct text t = TEXT_OVER(text);
	struct servent entry, *found = NULL;

	if (!is_word(name) || !has_letter(name))
		return ERR_SYNTAX;
	text_put(&t, name);
	if (!t.cut)
		getservbyname_r(text, protocol, &entry, buffer, sizeof(buffer), &found);
	if (found == NULL)
		return find_built_in(name, protocol, port);
	*port = ntohs((uint16_t)found->s_port);
	return 0;
}

/* A number from `least` up or a service name. */
static int parse_port(struct bytes b, bool udp, uint64_t least, uint16_t *port)
{
	uint64_t value;
	int err;

	if (!is_digits(b))
		return find_service(b, udp, port);
	err = number_parse_u64(b, &value);
	if (err != 0 || value < least || value > UINT16_MAX)
		return ERR_RANGE;
	*port = (uint16_t)value;
	return 0;
}

int endpoint_parse_port(const char *text, bool udp, uint16_t *port)
{
	return parse_port(bytes_of_string(text), udp, 1, port);
}

static int set_host(struct endpoint *e, struct bytes host)
{
	struct text t = TEXT_OVER(e->host);

	text_put(&t, host);
	return is_word(host) && !t.cut ? 0 : ERR_SYNTAX;
}

/* What begins with `unix:`: 0 or ERR_SYNTAX. */
static int parse_unix(struct bytes path, struct endpoint *e)
{
	struct text t = TEXT_OVER(e->host);

	e->unix_path = true;
	text_put(&t, path);
	if (path.len == 0 || path.len >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return ERR_SYNTAX;
	return 0;
}

static bool take_unix_prefix(struct bytes *b)
{
	const struct bytes prefix = BYTES_LITERAL("unix:");

	if (!bytes_equal(bytes_first(*b, prefix.len), prefix))
		return false;
	*b = bytes_after(*b, prefix.len);
	return true;
}

/* What stands before and behind the port's colon; port.data is NULL when there is none. */
struct halves {
	struct bytes host, port;
};

/* A v6 literal without brackets has no port: its last colon is its own. The scope (`%eth0`) may be
 * a name, which only the C library can look up, so it is not judged here. */
static bool is_v6_literal(struct bytes b)
{
	struct address a;

	return address_parse_ip(bytes_first(b, bytes_find_byte(b, '%')), &a) == 0 &&
	       a.family == ADDRESS_V6;
}

/* `[V6]` or `[V6]:PORT`: 0 or ERR_SYNTAX. */
static int split_brackets(struct bytes b, struct halves *h)
{
	size_t close = bytes_find_byte(b, ']');
	struct bytes rest;

	if (close == b.len)
		return ERR_SYNTAX;
	h->host = bytes_of(b.data + 1, close - 1);
	rest = bytes_after(b, close + 1);
	if (!is_v6_literal(h->host) || (rest.len > 0 && rest.data[0] != ':'))
		return ERR_SYNTAX;
	if (rest.len > 0)
		h->port = bytes_after(rest, 1);
	return 0;
}

/* 0 or ERR_SYNTAX. */
static int split(struct bytes b, struct halves *h)
{
	size_t colon = bytes_find_byte(b, ':');

	*h = (struct halves){0};
	if (b.len > 0 && b.data[0] == '[')
		return split_brackets(b, h);
	h->host = b;
	if (colon == b.len || is_v6_literal(b))
		return 0;
	h->host = bytes_first(b, colon);
	h->port = bytes_after(b, colon + 1);
	if (h->port.len == 0 || bytes_find_byte(h->port, ':') != h->port.len)
		return ERR_SYNTAX;
	return 0;
}

int endpoint_parse_peer(const char *text, uint16_t default_port, bool udp, struct endpoint *e)
{
	struct bytes b = bytes_of_string(text);
	struct halves h;
	int err;

	*e = (struct endpoint){.port = default_port};
	if (take_unix_prefix(&b)) {
		e->port = 0;
		return parse_unix(b, e);
	}
	err = split(b, &h);
	if (h.host.len == 0 && h.port.data != NULL)
		h.host = BYTES_LITERAL("localhost");
	if (err == 0)
		err = set_host(e, h.host);
	if (err == 0 && h.port.data != NULL)
		err = parse_port(h.port, udp, 1, &e->port);
	if (err == 0 && e->port == 0)
		err = ERR_SYNTAX;
	return err;
}

int endpoint_parse_peer_words(const char *host, const char *port, bool udp, struct endpoint *e)
{
	struct bytes b = bytes_of_string(host);
	struct halves h;
	int err;

	*e = (struct endpoint){0};
	if (take_unix_prefix(&b))
		return ERR_SYNTAX;
	err = split(b, &h);
	if (err != 0 || h.port.data != NULL)
		return ERR_SYNTAX;
	err = set_host(e, h.host);
	return err == 0 ? endpoint_parse_port(port, udp, &e->port) : err;
}

static bool is_everywhere(struct bytes host)
{
	return bytes_equal(host, BYTES_LITERAL("*")) || bytes_equal(host, BYTES_LITERAL("any"));
}

/* Whether a word alone, to listen on, is a port rather than an address. */
static bool is_port(struct bytes word, bool udp)
{
	uint16_t port;

	return is_digits(word) || find_service(word, udp, &port) == 0;
}

int endpoint_parse_listen(const char *text, uint16_t default_port, bool udp, struct endpoint *e)
{
	struct bytes b = bytes_of_string(text);
	struct halves h;
	int err;

	*e = (struct endpoint){.port = default_port};
	if (take_unix_prefix(&b)) {
		e->port = 0;
		return parse_unix(b, e);
	}
	err = split(b, &h);
	if (err != 0)
		return err;
	if (h.port.data == NULL && is_port(h.host, udp))
		h = (struct halves){.port = h.host};
	if (h.port.data != NULL)
		err = parse_port(h.port, udp, 0, &e->port);
	else if (default_port == 0 || h.host.len == 0)
		err = ERR_SYNTAX;
	if (err != 0)
		return err;
	e->loopback = h.host.len == 0;
	e->any = is_everywhere(h.host);
	return set_host(e, e->loopback ? BYTES_LITERAL("localhost") : h.host);
}

void endpoint_put(struct text *t, const struct endpoint *e)
{
	const char *host = e->any ? "*" : e->host;
	bool brackets = strchr(host, ':') != NULL;

	if (e->unix_path) {
		text_printf(t, "unix:%s", e->host);
		return;
	}
	text_printf(t, "%s%s%s", brackets ? "[" : "", host, brackets ? "]" : "");
	if (e->port != 0)
		text_printf(t, ":%u", e->port);
}

static socklen_t put_v4(const struct address *a, struct sockaddr_in *in)
{
	in->sin_family = AF_INET;
	in->sin_port = htons(a->port);
	memcpy(&in->sin_addr, a->ip, sizeof(in->sin_addr));
	return sizeof(*in);
}

static socklen_t put_v6(const struct address *a, struct sockaddr_in6 *in)
{
	in->sin6_family = AF_INET6;
	in->sin6_port = htons(a->port);
	in->sin6_scope_id = a->scope;
	memcpy(&in->sin6_addr, a->ip, sizeof(in->sin6_addr));
	return sizeof(*in);
}

socklen_t endpoint_to_sockaddr(const struct address *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	switch (a->family) {
	case ADDRESS_V4:
		return put_v4(a, (struct sockaddr_in *)ss);
	case ADDRESS_V6:
		return put_v6(a, (struct sockaddr_in6 *)ss);
	case ADDRESS_UNIX:
		ss->ss_family = AF_UNIX;
		return sizeof(sa_family_t);
	default:
		return 0;
	}
}

void endpoint_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct address *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	*a = (struct address){0};
	if (len < sizeof(sa_family_t))
		return;
	if (sa->sa_family == AF_INET && len >= sizeof(in)) {
		memcpy(&in, sa, sizeof(in));
		a->family = ADDRESS_V4;
		a->port = ntohs(in.sin_port);
		memcpy(a->ip, &in.sin_addr, sizeof(in.sin_addr));
	} else if (sa->sa_family == AF_INET6 && len >= sizeof(in6)) {
		memcpy(&in6, sa, sizeof(in6));
		a->family = ADDRESS_V6;
		a->port = ntohs(in6.sin6_port);
		a->scope = in6.sin6_scope_id;
		memcpy(a->ip, &in6.sin6_addr, sizeof(in6.sin6_addr));
	} else if (sa->sa_family == AF_UNIX) {
		a->family = ADDRESS_UNIX;
	}
}
