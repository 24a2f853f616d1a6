/* How places and nodes are written in the index.
 *
 *   place  tree 2, directory 8, name               network order: SQLite sorts by bytes, and what
 *   link   tree 2, inode 8, directory 8, name      is in one directory lies together
 *   node   kind | foreign << 7, then as varints mode, links, inode, size, born, mtime and ctime -
 *          mtime, the last three zigzag; then the CRC-32 of place and node, 4
 *
 * The sum finds flipped bits that are none of SQLite's structure. */
#include "store/index_parts.h"

#include <zlib.h>

enum { FOREIGN = 0x80, SUM_BYTES = 4 };

uint32_t index_sum(struct bytes a, struct bytes b)
{
	uLong sum = crc32_z(0, a.data, a.len);

	return (uint32_t)(b.len > 0 ? crc32_z(sum, b.data, b.len) : sum); /* of NULL it is 0 */
}

uint32_t index_tree_sum(uint32_t tree, struct bytes path)
{
	uint8_t number[4];

	bytes_put_be32(number, tree);
	return index_sum(bytes_of(number, sizeof(number)), path);
}

size_t index_put_place(uint8_t *place, uint32_t tree, uint64_t directory, struct bytes name)
{
	bytes_put_be16(place, (uint16_t)tree);
	bytes_put_be64(place + 2, directory);
	if (name.len > 0)
		memcpy(place + INDEX_PREFIX_BYTES, name.data, name.len);
	return INDEX_PREFIX_BYTES + name.len;
}

size_t index_put_link(uint8_t *link, struct bytes place, uint64_t inode)
{
	memcpy(link, place.data, 2);
	bytes_put_be64(link + 2, inode);
	memcpy(link + INDEX_PREFIX_BYTES, place.data + 2, place.len - 2);
	return 8 + place.len;
}

size_t index_take_link(struct bytes link, uint8_t *place)
{
	if (link.len < INDEX_PREFIX_BYTES + 8 || link.len > INDEX_LINK_BYTES)
		return 0;
	memcpy(place, link.data, 2);
	memcpy(place + 2, link.data + INDEX_PREFIX_BYTES, link.len - INDEX_PREFIX_BYTES);
	return link.len - 8;
}

static uint8_t *put_number(uint8_t *to, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*to++ = (uint8_t)(v | 0x80);
	*to++ = (uint8_t)v;
	return to;
}

static uint64_t zigzag(uint64_t v)
{
	return v << 1 ^ (v >> 63 ? UINT64_MAX : 0);
}

static uint64_t zigzag_back(uint64_t v)
{
	return v >> 1 ^ (v & 1 ? UINT64_MAX : 0);
}

size_t index_put_node(uint8_t *to, struct bytes place, const struct settle_node *node)
{
	uint8_t *at = to;
	size_t len;

	*at++ = (uint8_t)(node->kind | (node->foreign ? FOREIGN : 0));
	at = put_number(at, node->mode);
	at = put_number(at, node->links);
	at = put_number(at, node->inode);
	at = put_number(at, node->size);
	at = put_number(at, zigzag((uint64_t)node->born_ns));
	at = put_number(at, zigzag((uint64_t)node->mtime_ns));
	at = put_number(at, zigzag((uint64_t)node->ctime_ns - (uint64_t)node->mtime_ns));
	len = (size_t)(at - to);
	bytes_put_le32(at, index_sum(place, bytes_of(to, len)));
	return len + SUM_BYTES;
}

/* Takes the number at the front of `in`; an empty `in` with NULL says that there was none. */
static uint64_t take_number(struct bytes *in)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < in->len && i < 10; i++) {
		v |= (uint64_t)(in->data[i] & 0x7f) << 7 * i;
		if (!(in->data[i] & 0x80)) {
			*in = bytes_after(*in, i + 1);
			return v;
		}
	}
	*in = (struct bytes){0};
	return 0;
}

int index_take_node(struct bytes in, struct bytes place, struct settle_node *node)
{
	struct bytes rest;

	if (in.len <= SUM_BYTES || place.len < INDEX_PREFIX_BYTES)
		return ERR_PROTOCOL;
	rest = bytes_first(in, in.len - SUM_BYTES);
	if (bytes_get_le32(rest.data + rest.len) != index_sum(place, rest))
		return ERR_PROTOCOL;
	*node = (struct settle_node){.kind = rest.data[0] & (FOREIGN - 1),
				     .foreign = rest.data[0] & FOREIGN};
	rest = bytes_after(rest, 1);
	node->mode = (uint16_t)take_number(&rest);
	node->links = (uint32_t)take_number(&rest);
	node->inode = take_number(&rest);
	node->size = take_number(&rest);
	node->born_ns = (int64_t)zigzag_back(take_number(&rest));
	node->mtime_ns = (int64_t)zigzag_back(take_number(&rest));
	node->ctime_ns = (int64_t)(zigzag_back(take_number(&rest)) + (uint64_t)node->mtime_ns);
	return rest.data != NULL && rest.len == 0 ? 0 : ERR_PROTOCOL;
}
