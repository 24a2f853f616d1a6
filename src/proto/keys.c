/* Fingerprints, known_hosts, authorized_keys. Source: RFC 4648 on base64; sshd(8) on the files'
 * habits. */
#include "proto/keys.h"

#include "base/err.h"

enum { KEYS_BASE64_CHARACTERS = 43 };

static const char keys_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool keys_equal(const struct key_digest *a, const struct key_digest *b)
{
	return memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

static int keys_base64_value(uint8_t c)
{
	const char *at = c ? strchr(keys_alphabet, c) : NULL;

	return at ? (int)(at - keys_alphabet) : -1;
}

/* 43 characters are 258 bits: the last two must be zero, or two texts would mean one key. */
static bool keys_decode(struct bytes text, struct key_digest *digest)
{
	uint32_t bits = 0;
	unsigned have = 0, made = 0;

	if (text.len != KEYS_BASE64_CHARACTERS)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int value = keys_base64_value(text.data[i]);

		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		have += 6;
		if (have >= 8) {
			have -= 8;
			digest->byte[made++] = (uint8_t)(bits >> have);
		}
	}
	return (bits & ((1u << have) - 1)) == 0;
}

bool keys_parse_fingerprint(struct bytes text, struct key_digest *digest)
{
	struct bytes ours = BYTES_LITERAL("SHA256:"), curls = BYTES_LITERAL("sha256//");

	if (text.len > ours.len && bytes_equal(bytes_first(text, ours.len), ours))
		text = bytes_after(text, ours.len);
	else if (text.len > curls.len && bytes_equal(bytes_first(text, curls.len), curls))
		text = bytes_after(text, curls.len);
	else
		return false;
	if (text.len == KEYS_BASE64_CHARACTERS + 1 && text.data[text.len - 1] == '=')
		text.len--;
	return keys_decode(text, digest);
}

void keys_put_fingerprint(struct text *t, const struct key_digest *digest)
{
	uint32_t bits = 0;
	unsigned have = 0;

	text_put_string(t, "SHA256:");
	for (unsigned i = 0; i < KEYS_DIGEST_BYTES; i++) {
		bits = bits << 8 | digest->byte[i];
		for (have += 8; have >= 6; have -= 6)
			text_put_byte(t, keys_alphabet[bits >> (have - 6) & 63]);
	}
	text_put_byte(t, keys_alphabet[bits << (6 - have) & 63]);
}

/* Where a reader stands in a file. */
struct keys_lines {
	struct bytes rest;
	unsigned line;
};

/* The next line that says something, without white space around it. */
static bool keys_next_line(struct keys_lines *lines, struct bytes *line)
{
	while (lines->rest.len) {
		size_t end = bytes_find_byte(lines->rest, '\n');

		*line = bytes_strip(bytes_first(lines->rest, end));
		lines->rest = bytes_after(lines->rest, end < lines->rest.len ? end + 1 : end);
		lines->line++;
		if (line->len && line->data[0] != '#')
			return true;
	}
	return false;
}

static bool keys_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

/* Takes a word off the front of `line`; empty when there is none. */
static struct bytes keys_word(struct bytes *line)
{
	size_t from = 0, to;

	while (from < line->len && keys_is_blank(line->data[from]))
		from++;
	*line = bytes_after(*line, from);
	for (to = 0; to < line->len && !keys_is_blank(line->data[to]);)
		to++;
	*line = bytes_after(*line, to);
	return bytes_of(line->data - to, to);
}

struct keys_found keys_find_host(struct bytes file, struct bytes where,
				 const struct key_digest *key)
{
	struct keys_found found = {.known = KEYS_NEW};
	struct keys_lines lines = {.rest = file};
	struct bytes line;

	while (keys_next_line(&lines, &line)) {
		struct bytes host = keys_word(&line);
		struct key_digest known;

		if (!bytes_equal_fold(host, where) ||
		    !keys_parse_fingerprint(keys_word(&line), &known))
			continue;
		if (keys_equal(&known, key))
			return (struct keys_found){.known = KEYS_SAME, .line = lines.line};
		found = (struct keys_found){KEYS_CHANGED, lines.line, known};
	}
	return found;
}

/* Takes a name off the front of a list with commas between. */
static struct bytes keys_name(struct bytes *list)
{
	size_t comma = bytes_find_byte(*list, ',');
	struct bytes name = bytes_first(*list, comma);

	*list = bytes_after(*list, comma < list->len ? comma + 1 : comma);
	return name;
}

int keys_authorise(struct bytes file, const struct key_digest *key, struct bytes service)
{
	struct keys_lines lines = {.rest = file};
	struct bytes line;
	int verdict = ERR_KEY_UNKNOWN;

	while (keys_next_line(&lines, &line)) {
		struct key_digest known;
		struct bytes services;

		if (!keys_parse_fingerprint(keys_word(&line), &known) || !keys_equal(&known, key))
			continue;
		verdict = ERR_KEY_SERVICE;
		services = keys_word(&line);
		while (services.len)
			if (bytes_equal(keys_name(&services), service))
				return 0;
	}
	return verdict;
}

static bool keys_is_authorisation(struct bytes line, bool (*is_service)(struct bytes name))
{
	struct key_digest key;
	struct bytes services;

	if (line.len > KEYS_LINE_BYTES || !keys_parse_fingerprint(keys_word(&line), &key))
		return false;
	services = keys_word(&line);
	if (!services.len || services.data[services.len - 1] == ',')
		return false;
	while (services.len)
		if (!is_service(keys_name(&services)))
			return false;
	return true;
}

int keys_check_authorised(struct bytes file, bool (*is_service)(struct bytes name), unsigned *at)
{
	struct keys_lines lines = {.rest = file};
	struct bytes line;

	while (keys_next_line(&lines, &line)) {
		*at = lines.line;
		if (!keys_is_authorisation(line, is_service))
			return ERR_SYNTAX;
	}
	return 0;
}
