/* The choice of a proxy. Sources: curl(1) "ENVIRONMENT", wget(1) "PROXIES"; no standard has it. */
#include "proto/proxy.h"

#include "base/address.h"
#include "base/err.h"
#include "base/number.h"

/* The port behind the last colon of `item`, which is taken off; 0: none. */
static uint16_t item_port(struct bytes *item)
{
	size_t colon = item->len;
	uint64_t port;
	struct address a;

	if (address_parse_ip(*item, &a) == 0)
		return 0;
	while (colon > 0 && item->data[colon - 1] != ':')
		colon--;
	if (!colon || number_parse_u64(bytes_after(*item, colon), &port) != 0 || port > 65535)
		return 0;
	item->len = colon - 1;
	return (uint16_t)port;
}

static bool network_has(const struct address *network, uint64_t bits, const struct address *a)
{
	size_t most = network->family == ADDRESS_V4 ? 32 : 128;
	uint8_t mask;

	if (network->family != a->family || bits > most)
		return false;
	if (memcmp(network->ip, a->ip, bits / 8) != 0)
		return false;
	mask = (uint8_t)(0xff00u >> bits % 8);
	return !(bits % 8) || !((network->ip[bits / 8] ^ a->ip[bits / 8]) & mask);
}

static bool item_is_network(struct bytes item, const struct address *a)
{
	size_t slash = bytes_find_byte(item, '/');
	struct address network;
	uint64_t bits;

	return slash < item.len && address_parse_ip(bytes_first(item, slash), &network) == 0 &&
	       number_parse_u64(bytes_after(item, slash + 1), &bits) == 0 &&
	       network_has(&network, bits, a);
}

static bool item_matches(struct bytes item, const struct url *url)
{
	struct bytes host = bytes_of_string(url->host);
	struct address a, literal;
	uint16_t port;

	if (bytes_equal(item, BYTES_LITERAL("*")))
		return true;
	port = item_port(&item);
	if (port && port != url->port)
		return false;
	if (item.len >= 2 && item.data[0] == '[' && item.data[item.len - 1] == ']')
		item = bytes_after(bytes_first(item, item.len - 1), 1);
	if (address_parse_ip(host, &a) == 0) {
		if (address_parse_ip(item, &literal) == 0)
			return address_equal_ip(&literal, &a);
		return item_is_network(item, &a);
	}
	if (item.len && item.data[0] == '.')
		item = bytes_after(item, 1);
	if (!item.len || host.len < item.len ||
	    !bytes_equal_fold(bytes_after(host, host.len - item.len), item))
		return false;
	return host.len == item.len || host.data[host.len - item.len - 1] == '.';
}

bool proxy_excludes(const char *list, const struct url *url)
{
	while (list && *list) {
		size_t len = strcspn(list, ", \t");

		if (len && item_matches(bytes_of(list, len), url))
			return true;
		list += len + strspn(list + len, ", \t");
	}
	return false;
}

int proxy_choose(const struct proxy_environment *environment, const struct url *url,
		 struct url *proxy)
{
	const char *chosen = url->scheme == URL_HTTPS ? environment->https : environment->http;
	int err;

	if (!chosen || !*chosen)
		chosen = environment->all;
	if (!chosen || !*chosen || proxy_excludes(environment->no, url))
		return 0;
	err = url_parse(proxy, bytes_of_string(chosen));
	if (!err && proxy->scheme != URL_HTTP)
		err = ERR_REFUSES;
	return err ? err : 1;
}
