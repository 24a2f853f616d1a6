/* What the services listen on, judged by what the addresses mean: no two on one port, and none
 * that takes or shows data beyond this machine by accident. */
#include "daemon/configuration_file.h"

#include "base/err.h"

#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>

#define _(s) gettext(s)

enum { CONFIGURATION_WHERE_BYTES = ENDPOINT_HOST_BYTES + 16 };

/* The addresses of an endpoint, as far as they are known. */
struct configuration_addresses {
	unsigned count;
	struct address address[NAME_MOST];
};

void configuration_put_who(struct text *t, const struct configuration *c,
			   const struct configuration_service *s, unsigned line)
{
	const cfg_t *cfg = c->file;

	if (cfg && line)
		text_printf(t, "%s:%u: ", cfg->filename, line);
	text_put_string(t, s->row->name);
}

static void configuration_put_both(struct configuration_addresses *a, enum name_families families,
				   bool loopback)
{
	struct address v4 = {.family = ADDRESS_V4}, v6 = {.family = ADDRESS_V6};

	if (loopback) {
		memcpy(v4.ip, (const uint8_t[]){127, 0, 0, 1}, 4);
		v6.ip[15] = 1;
	}
	if (families != NAME_V6_ONLY)
		a->address[a->count++] = v4;
	if (families != NAME_V4_ONLY)
		a->address[a->count++] = v6;
}

/* Before configuration_resolve a name has none but `localhost`'s. */
static void configuration_find_addresses(const struct configuration_service *s, unsigned k,
					 struct configuration_addresses *a)
{
	const struct endpoint *e = &s->endpoint[k];

	a->count = 0;
	if (e->unix_path)
		return;
	if (e->any || e->loopback || strcmp(e->host, "localhost") == 0) {
		configuration_put_both(a, s->families, !e->any);
	} else if (s->names) {
		a->count = s->names[k].count;
		memcpy(a->address, s->names[k].address, a->count * sizeof a->address[0]);
	} else {
		a->count = address_parse_ip(bytes_of_string(e->host), &a->address[0]) == 0;
	}
}

bool configuration_overlap(const struct address *a, const struct address *b)
{
	return a->family == b->family &&
	       (address_is_any(a) || address_is_any(b) || address_equal_ip(a, b));
}

static bool configuration_collide(const struct configuration_service *s, unsigned k,
				  const struct configuration_service *other, unsigned m)
{
	const struct endpoint *a = &s->endpoint[k], *b = &other->endpoint[m];
	struct configuration_addresses ours, theirs;

	if (a->unix_path || b->unix_path)
		return a->unix_path && b->unix_path && strcmp(a->host, b->host) == 0;
	if (a->port != b->port || a->port == 0)
		return false;
	if (strcmp(a->host, b->host) == 0)
		return true;
	configuration_find_addresses(s, k, &ours);
	configuration_find_addresses(other, m, &theirs);
	for (unsigned i = 0; i < ours.count; i++)
		for (unsigned n = 0; n < theirs.count; n++)
			if (configuration_overlap(&ours.address[i], &theirs.address[n]))
				return true;
	return false;
}

/* The earlier endpoint that has the address already; the kernel would let both have it. */
static bool configuration_holder(const struct configuration *c, unsigned i, unsigned k,
				 const struct configuration_service **holder, unsigned *which)
{
	for (unsigned n = 0; n <= i; n++) {
		*holder = &c->service[n];
		for (*which = 0; *which < (n < i ? (*holder)->endpoints : k); ++*which)
			if (configuration_collide(&c->service[i], k, *holder, *which))
				return true;
	}
	return false;
}

static void configuration_say_taken(struct configuration *c, const struct configuration_service *s,
				    unsigned k, const struct configuration_service *holder,
				    unsigned which)
{
	char who[CONFIGURATION_MESSAGE_BYTES], wanted[CONFIGURATION_WHERE_BYTES],
		taken[CONFIGURATION_WHERE_BYTES];
	struct text w = TEXT_OVER(who), a = TEXT_OVER(wanted), b = TEXT_OVER(taken);

	configuration_put_who(&w, c, s, s->line);
	endpoint_put(&a, &s->endpoint[k]);
	endpoint_put(&b, &holder->endpoint[which]);
	if (holder->line && s->line)
		configuration_say(c, _("%s cannot have %s: %s already listens on %s (line %u)"),
				  who, wanted, holder->row->name, taken, holder->line);
	else
		configuration_say(c, _("%s cannot have %s: %s already listens on %s"), who, wanted,
				  holder->row->name, taken);
}

int configuration_check_taken(struct configuration *c)
{
	const struct configuration_service *holder;
	unsigned which;

	for (unsigned i = 0; i < c->services; i++)
		for (unsigned k = 0; k < c->service[i].endpoints; k++)
			if (configuration_holder(c, i, k, &holder, &which)) {
				configuration_say_taken(c, &c->service[i], k, holder, which);
				return ERR_SYNTAX;
			}
	return 0;
}

bool configuration_stays_home(const struct configuration_service *s, bool insecure)
{
	return s->row->reach == SERVICE_PRIVATE && !insecure && !(s->common.tls && s->keys);
}

int configuration_check_reach(struct configuration *c, const struct configuration_service *s,
			      bool insecure)
{
	for (unsigned i = 0; i < s->endpoints && configuration_stays_home(s, insecure); i++) {
		const struct endpoint *e = &s->endpoint[i];
		char who[CONFIGURATION_MESSAGE_BYTES], where[CONFIGURATION_WHERE_BYTES];
		struct text w = TEXT_OVER(who), t = TEXT_OVER(where);
		struct address a;
		bool local = e->loopback || e->unix_path || strcmp(e->host, "localhost") == 0 ||
			     (address_parse_ip(bytes_of_string(e->host), &a) == 0 &&
			      address_is_loopback(&a));

		if (local)
			continue;
		configuration_put_who(&w, c, s, s->line);
		endpoint_put(&t, e);
		configuration_say(c,
				  _("%s on %s would take or show data beyond this "
				    "machine: it needs tls = yes and authorized_keys, or "
				    "--insecure if that is meant"),
				  who, where);
		return ERR_USAGE;
	}
	return 0;
}

/* A literal is of the family that it is of. */
static void configuration_resolve_host(const struct endpoint *e, enum name_families families,
				       struct name_answer *answer)
{
	struct name_query query = {.port = e->port};
	struct address literal;

	if (e->unix_path || e->loopback || e->any)
		return;
	if (address_parse_ip(bytes_of_string(e->host), &literal) != 0)
		query.families = families;
	snprintf(query.host, sizeof query.host, "%s", e->host);
	name_resolve(&query, answer);
}

int configuration_resolve(struct configuration *c)
{
	for (unsigned i = 0; i < c->services; i++) {
		struct configuration_service *s = &c->service[i];

		s->names = calloc(s->endpoints ? s->endpoints : 1, sizeof *s->names);
		if (!s->names)
			return ERR_MEMORY;
		for (unsigned k = 0; k < s->endpoints; k++)
			configuration_resolve_host(&s->endpoint[k], s->families, &s->names[k]);
	}
	return configuration_check_taken(c);
}
