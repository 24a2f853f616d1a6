/* The feed: what both sides know of its frames (feed_parts.h, docs/protocols/feed.md). */
#include "proto/feed_parts.h"

static const struct {
	const char *name;
	bool passes;
} refusals[] = {
	[FEED_BAD_FRAME] = {"bad_frame", false},
	[FEED_BAD_VERSION] = {"bad_version", false},
	[FEED_HELD] = {"held", true},
	[FEED_BAD_NUMBER] = {"bad_number", false},
	[FEED_BAD_RECORD] = {"bad_record", false},
	[FEED_TOO_MUCH] = {"too_much", false},
	[FEED_NO_STORE] = {"no_store", true},
	[FEED_STOPPING] = {"stopping", true},
};

static bool is_known(unsigned refusal)
{
	return refusal < sizeof(refusals) / sizeof(refusals[0]) && refusals[refusal].name;
}

const char *feed_refusal_name(unsigned refusal)
{
	return is_known(refusal) ? refusals[refusal].name : "unknown";
}

bool feed_refusal_passes(unsigned refusal)
{
	return !is_known(refusal) || refusals[refusal].passes;
}

/* Who sends a frame of each type, and what may stand in it. */
enum { BY_CLIENT = 1, BY_SERVER = 2 };

static const struct {
	uint8_t by, flags;
	uint32_t least, most;
} types[FEED_TYPES] = {
	[FEED_TYPE_HELLO] = {BY_CLIENT, 0, FEED_INSTANCE_BYTES + 1,
			     FEED_INSTANCE_BYTES + FEED_HOST_BYTES},
	[FEED_TYPE_WELCOME] = {BY_SERVER, 0, FEED_WELCOME_BYTES, FEED_WELCOME_BYTES},
	[FEED_TYPE_RECORDS] = {BY_CLIENT, FEED_FLAG_PACKED, FEED_RECORDS_BYTES + 1,
			       FEED_FRAME_BYTES},
	[FEED_TYPE_ACK] = {BY_SERVER, 0, FEED_ACK_BYTES, FEED_ACK_BYTES},
	[FEED_TYPE_PING] = {BY_CLIENT | BY_SERVER, 0, 0, 0},
	[FEED_TYPE_PONG] = {BY_CLIENT | BY_SERVER, 0, 0, 0},
	[FEED_TYPE_BYE] = {BY_CLIENT, 0, 0, 0},
	[FEED_TYPE_REFUSE] = {BY_SERVER, 0, FEED_CODE_BYTES, FEED_CODE_BYTES + FEED_REASON_BYTES},
};

const char *feed_head_take(struct bytes in, bool from_client, struct feed_head *head)
{
	unsigned side = from_client ? BY_CLIENT : BY_SERVER;

	head->type = in.data[0];
	head->flags = in.data[1];
	head->len = bytes_get_be32(in.data + 4);
	if (head->type >= FEED_TYPES || !(types[head->type].by & side))
		return "a frame of a type that is unknown here";
	if (head->flags & ~types[head->type].flags || bytes_get_be16(in.data + 2))
		return "a frame with an unknown flag";
	if (head->len > FEED_FRAME_BYTES)
		return "a frame that is too long";
	if (head->len < types[head->type].least || head->len > types[head->type].most)
		return "a frame of a length that its type cannot have";
	return NULL;
}

void feed_head_put(uint8_t *at, enum feed_type type, unsigned flags, size_t len)
{
	at[0] = (uint8_t)type;
	at[1] = (uint8_t)flags;
	bytes_put_be16(at + 2, 0);
	bytes_put_be32(at + 4, (uint32_t)len);
}

void feed_say(struct out *out, enum feed_type type)
{
	uint8_t head[FEED_HEAD_BYTES];

	feed_head_put(head, type, 0, 0);
	out_copy(out, bytes_of(head, sizeof(head)));
}

bool feed_host_valid(struct bytes host)
{
	if (host.len == 0 || host.len > FEED_HOST_BYTES)
		return false;
	while (host.len > 0) {
		size_t len = text_utf8_sequence(host);

		if (len == 0 || text_is_control(text_utf8_code(bytes_first(host, len))))
			return false;
		host = bytes_after(host, len);
	}
	return true;
}
