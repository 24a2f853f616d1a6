/* A change as a record of the feed. Every number is in network order.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+---------------+---------------+---------------+
 *   |     type      |     kind      |     flags     |  program len  |
 *   +---------------+---------------+---------------+---------------+
 *   |   user len    |    why len    |           path len            |
 *   +---------------+---------------+---------------+---------------+
 *   |           from len            |             mode              |
 *   +---------------+---------------+---------------+---------------+
 *   |                              pid                              |
 *   +---------------------------------------------------------------+
 *   |                       time, us since 1970                     |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   |                       mtime, us since 1970                    |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   |                              size                             |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   |                              inode                            |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   |  SHA-256, 32 bytes, with that flag; path; from; program; user; why
 *   +----
 *
 * One record follows the other with nothing between. A record says a thing in one way only: what
 * has no meaning for its type is refused. */
#include "proto/change.h"
#include "base/err.h"

enum { RECORD_FIXED = 48, RECORD_RESET = 1, RECORD_HASHED = 2, MODE_MOST = 07777 };

static const char *const type_names[CHANGE_TYPES] = {
	[CHANGE_CREATE] = "create",   [CHANGE_MODIFY] = "modify", [CHANGE_DELETE] = "delete",
	[CHANGE_MOVE] = "move",       [CHANGE_ATTRIB] = "attrib", [CHANGE_GAP] = "gap",
	[CHANGE_SETTLED] = "settled",
};

static const char *const kind_names[CHANGE_KINDS] = {
	[CHANGE_NOTHING] = "",  [CHANGE_FILE] = "file",   [CHANGE_DIRECTORY] = "directory",
	[CHANGE_LINK] = "link", [CHANGE_OTHER] = "other",
};

const char *change_type_name(unsigned type)
{
	return type < CHANGE_TYPES ? type_names[type] : NULL;
}

unsigned change_type_of(struct bytes name)
{
	for (unsigned i = CHANGE_CREATE; i < CHANGE_TYPES; i++) {
		if (bytes_equal(name, bytes_of_string(type_names[i])))
			return i;
	}
	return 0;
}

const char *change_kind_name(unsigned kind)
{
	return kind < CHANGE_KINDS ? kind_names[kind] : "";
}

static uint8_t *put_bytes(uint8_t *at, struct bytes b)
{
	if (b.len)
		memcpy(at, b.data, b.len);
	return at + b.len;
}

size_t change_put(uint8_t *record, const struct change *c)
{
	uint8_t *at = record + RECORD_FIXED;

	record[0] = c->type;
	record[1] = c->kind;
	record[2] = (uint8_t)((c->reset ? RECORD_RESET : 0) | (c->hashed ? RECORD_HASHED : 0));
	record[3] = (uint8_t)c->program.len;
	record[4] = (uint8_t)c->user.len;
	record[5] = (uint8_t)c->why.len;
	bytes_put_be16(record + 6, (uint16_t)c->path.len);
	bytes_put_be16(record + 8, (uint16_t)c->from.len);
	bytes_put_be16(record + 10, (uint16_t)c->mode);
	bytes_put_be32(record + 12, c->pid);
	bytes_put_be64(record + 16, (uint64_t)c->time_us);
	bytes_put_be64(record + 24, (uint64_t)c->mtime_us);
	bytes_put_be64(record + 32, c->size);
	bytes_put_be64(record + 40, c->inode);
	if (c->hashed)
		at = put_bytes(at, bytes_of(c->sha256, CHANGE_DIGEST_BYTES));
	at = put_bytes(at, c->path);
	at = put_bytes(at, c->from);
	at = put_bytes(at, c->program);
	at = put_bytes(at, c->user);
	at = put_bytes(at, c->why);
	return (size_t)(at - record);
}

/* What its type, kind and flags say that cannot be; or NULL. */
static const char *fault_of_head(const uint8_t *head)
{
	uint8_t type = head[0], kind = head[1], flags = head[2];

	if (type < CHANGE_CREATE || type >= CHANGE_TYPES)
		return "a record of an unknown type";
	if (kind >= CHANGE_KINDS)
		return "a record of an unknown kind";
	if (flags & ~(RECORD_RESET | RECORD_HASHED))
		return "a record with an unknown flag";
	if (flags & RECORD_RESET && type != CHANGE_GAP)
		return "a record that resets and is no gap";
	if (head[5] && type != CHANGE_GAP)
		return "a record that says why and is no gap";
	return NULL;
}

/* The same of its lengths and numbers. */
static const char *fault_of_fields(const uint8_t *head)
{
	unsigned path = bytes_get_be16(head + 6), from = bytes_get_be16(head + 8);

	if (!path)
		return "a record without a path";
	if (path > CHANGE_PATH_BYTES || from > CHANGE_PATH_BYTES)
		return "a record with too long a path";
	if (from && head[0] != CHANGE_MOVE)
		return "a record that says from where and is no move";
	if (bytes_get_be16(head + 10) > MODE_MOST)
		return "a record with an unknown mode";
	return NULL;
}

static struct bytes take_bytes(struct bytes *rest, size_t len)
{
	struct bytes taken = bytes_first(*rest, len);

	*rest = bytes_after(*rest, len);
	return taken;
}

static void take_numbers(const uint8_t *head, struct change *c)
{
	memset(c, 0, sizeof(*c));
	c->type = head[0];
	c->kind = head[1];
	c->reset = head[2] & RECORD_RESET;
	c->hashed = head[2] & RECORD_HASHED;
	c->mode = bytes_get_be16(head + 10);
	c->pid = bytes_get_be32(head + 12);
	c->time_us = (int64_t)bytes_get_be64(head + 16);
	c->mtime_us = (int64_t)bytes_get_be64(head + 24);
	c->size = bytes_get_be64(head + 32);
	c->inode = bytes_get_be64(head + 40);
}

/* The rest, whose length was checked. */
static void take_texts(const uint8_t *head, struct bytes rest, struct change *c)
{
	if (c->hashed)
		memcpy(c->sha256, take_bytes(&rest, CHANGE_DIGEST_BYTES).data, CHANGE_DIGEST_BYTES);
	c->path = take_bytes(&rest, bytes_get_be16(head + 6));
	c->from = take_bytes(&rest, bytes_get_be16(head + 8));
	c->program = take_bytes(&rest, head[3]);
	c->user = take_bytes(&rest, head[4]);
	c->why = take_bytes(&rest, head[5]);
}

int change_take(struct bytes in, struct change *c, const char **why)
{
	const char *unheard;
	const uint8_t *head = in.data;
	size_t digest, texts;

	if (!why)
		why = &unheard;
	*why = "a record that is cut";
	if (in.len < RECORD_FIXED)
		return ERR_PROTOCOL;
	if (fault_of_head(head) || fault_of_fields(head)) {
		*why = fault_of_head(head) ? fault_of_head(head) : fault_of_fields(head);
		return ERR_PROTOCOL;
	}
	digest = head[2] & RECORD_HASHED ? CHANGE_DIGEST_BYTES : 0;
	texts = (size_t)bytes_get_be16(head + 6) + bytes_get_be16(head + 8) + head[3] + head[4] +
		head[5];
	if (in.len < RECORD_FIXED + digest + texts)
		return ERR_PROTOCOL;
	if (memchr(head + RECORD_FIXED + digest, '\0', texts)) {
		*why = "a record with a NUL in its text";
		return ERR_PROTOCOL;
	}
	take_numbers(head, c);
	take_texts(head, bytes_after(in, RECORD_FIXED), c);
	*why = NULL;
	return (int)(RECORD_FIXED + digest + texts);
}
