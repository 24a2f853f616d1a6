/* This machine's own addresses. Source: getifaddrs(3). */
#include "net/own.h"

#include "net/endpoint.h"

#include <ifaddrs.h>

/* Whether one `fits` with `a`; `unknown` when nothing can be told. */
static bool own_any(bool (*fits)(const struct address *own, const struct address *a),
		    const struct address *a, bool unknown)
{
	struct ifaddrs *list, *i;
	struct address own;
	bool found = false;

	if (getifaddrs(&list) != 0)
		return unknown;
	for (i = list; i != NULL && !found; i = i->ifa_next) {
		if (i->ifa_addr == NULL)
			continue;
		endpoint_from_sockaddr(i->ifa_addr, sizeof(struct sockaddr_storage), &own);
		found = own.family == a->family && fits(&own, a);
	}
	freeifaddrs(list);
	return found;
}

bool own_has(const struct address *a)
{
	return own_any(address_equal_ip, a, false);
}

static bool is_there(const struct address *own, const struct address *a)
{
	return true;
}

bool own_has_family(uint8_t family)
{
	return own_any(is_there, &(struct address){.family = family}, true);
}

static bool could_speak(const struct address *own, const struct address *to)
{
	if (address_is_loopback(to))
		return true;
	return !address_is_loopback(own) && (own->scope == 0 || to->scope != 0);
}

bool own_could_speak_to(const struct address *to)
{
	return own_any(could_speak, to, true);
}
