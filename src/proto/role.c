/* What both sides of role and its hub share: the record on disk, names, the fields of a line.
 * Source: docs/protocols/role.md. */
#include "proto/role.h"

#include <inttypes.h>

void role_record_put(struct text *t, const struct role_record *record)
{
	text_printf(t, "epoch=%" PRIu64, record->epoch);
	if (record->lease_ms)
		text_printf(t, " lease=%" PRIu64 "\n", record->lease_ms);
	else
		text_put_string(t, " lease=none\n");
}

static bool record_read(struct bytes line, struct role_record *record)
{
	*record = (struct role_record){0};
	if (!role_take_number(&line, "epoch", ROLE_EPOCH_MOST, &record->epoch))
		return false;
	if (bytes_equal(line, BYTES_LITERAL("lease=none")))
		return true;
	return role_take_number(&line, "lease", ROLE_LEASE_MOST_MS, &record->lease_ms) &&
	       line.len == 0;
}

int role_record_parse(struct bytes b, struct role_record *record)
{
	char again[ROLE_RECORD_BYTES + 1];
	struct text t = TEXT_OVER(again);

	if (!record_read(bytes_first(b, bytes_find_byte(b, '\n')), record))
		return ERR_SYNTAX;
	role_record_put(&t, record);
	return bytes_equal(text_bytes(&t), b) ? 0 : ERR_SYNTAX;
}

/* C0 controls, the space and DEL are single bytes; C1 controls are 0xC2 0x80 to 0xC2 0x9F. */
static bool name_character_valid(const uint8_t *sequence)
{
	if (sequence[0] == 0xc2)
		return sequence[1] > 0xa0; /* U+00A0 is a space */
	return sequence[0] > ' ' && sequence[0] != 0x7f;
}

bool role_name_valid(struct bytes name)
{
	if (name.len == 0 || name.len > ROLE_NAME_BYTES)
		return false;
	while (name.len > 0) {
		size_t n = text_utf8_sequence(name);

		if (n == 0 || !name_character_valid(name.data))
			return false;
		name = bytes_after(name, n);
	}
	return true;
}

bool role_take(struct bytes *rest, struct bytes word)
{
	if (!bytes_equal(bytes_first(*rest, word.len), word))
		return false;
	*rest = bytes_after(*rest, word.len);
	return true;
}

bool role_take_field(struct bytes *rest, const char *key, struct bytes *value)
{
	struct bytes b = *rest;
	size_t space;

	if (!role_take(&b, bytes_of_string(key)) || !role_take(&b, BYTES_LITERAL("=")))
		return false;
	space = bytes_find_byte(b, ' ');
	if (space == 0 || space + 1 == b.len)
		return false;
	*value = bytes_first(b, space);
	*rest = bytes_after(b, space < b.len ? space + 1 : b.len);
	return true;
}

bool role_take_number(struct bytes *rest, const char *key, uint64_t most, uint64_t *value)
{
	struct bytes before = *rest, digits;

	if (role_take_field(rest, key, &digits) && number_parse_u64(digits, value) == 0 &&
	    *value <= most)
		return true;
	*rest = before;
	return false;
}
