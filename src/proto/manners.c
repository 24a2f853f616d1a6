/* UDP manners. A service that answers every datagram can be set against another by a forged source
 * (CERT CA-1996-01), and one whose answers are longer than the requests amplifies (RFC 3833's and
 * TA14-017A's lesson), hence ports, rates and lengths.
 *
 * Sources live in a table of fixed size, two places each; a newcomer takes the place that is
 * fullest, so that an attacker with many addresses can at most make others' buckets forgotten,
 * never emptier. */
#include "proto/manners.h"

static const uint16_t manners_ports[] = {0,   7,   13,  17,   19,   37,   53,
					 123, 161, 389, 1900, 5353, 11211};

bool manners_is_small_service(uint16_t port)
{
	for (size_t i = 0; i < sizeof manners_ports / sizeof manners_ports[0]; i++)
		if (manners_ports[i] == port)
			return true;
	return false;
}

bool manners_own(struct manners *m, uint16_t port)
{
	if (m->own_ports == MANNERS_OWN_PORTS_MOST)
		return false;
	m->own_port[m->own_ports++] = port;
	return true;
}

static bool manners_is_own(const struct manners *m, uint16_t port)
{
	for (unsigned i = 0; i < m->own_ports; i++)
		if (m->own_port[i] == port)
			return true;
	return false;
}

/* A 64-bit mix of the address and the salt (the finaliser of MurmurHash3, by Austin Appleby, who
 * put it into the public domain). A v6 source is its /64: who has one address there has them all.
 */
static uint64_t manners_hash(const struct manners *m, const struct address *from)
{
	uint64_t h = m->salt ^ from->family;

	for (unsigned i = 0; i < (from->family == ADDRESS_V4 ? 4u : 8u); i++)
		h = (h ^ from->ip[i]) * 0x100000001b3u;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return h ^ h >> 33;
}

static bool manners_is(const struct manners_source *s, const struct address *from)
{
	return s->family == from->family &&
	       memcmp(s->ip, from->ip, from->family == ADDRESS_V4 ? 4 : 8) == 0;
}

static struct manners_source *manners_find(struct manners *m, const struct address *from)
{
	uint64_t h = manners_hash(m, from);
	struct manners_source *a = &m->source[h % MANNERS_SOURCES];
	struct manners_source *b = &m->source[(h >> 32) % MANNERS_SOURCES];
	struct manners_source *fullest = a->full_ns <= b->full_ns ? a : b;

	if (manners_is(a, from))
		return a;
	if (manners_is(b, from))
		return b;
	*fullest = (struct manners_source){.family = from->family};
	memcpy(fullest->ip, from->ip, sizeof fullest->ip);
	return fullest;
}

enum manners_verdict manners_ask(struct manners *m, const struct address *from,
				 const struct moment *now)
{
	struct manners_source *source;
	uint64_t token_ns, full_ns;

	if (manners_is_small_service(from->port) || manners_is_own(m, from->port))
		return MANNERS_SMALL_SERVICE;
	if (!m->rate || address_is_loopback(from))
		return MANNERS_ANSWER;
	source = manners_find(m, from);
	token_ns = MOMENT_S / m->rate;
	full_ns = source->full_ns > now->boot_ns ? source->full_ns : now->boot_ns;
	if (full_ns + token_ns > now->boot_ns + m->burst * token_ns)
		return MANNERS_TOO_FAST;
	source->full_ns = full_ns + token_ns;
	return MANNERS_ANSWER;
}

bool manners_length(const struct manners *m, size_t request_bytes, size_t answer_bytes)
{
	return m->any_length || answer_bytes <= request_bytes + MANNERS_SLACK_BYTES;
}
