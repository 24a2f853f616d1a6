/* A scanner of JSON: each function takes what it knows off the front of the rest and says whether
 * it was there. Source: RFC 8259. */
#include "base/json.h"
#include "base/number.h"

#include "base/err.h"
#include "base/text.h"

static void skip_space(struct bytes *rest)
{
	while (rest->len && strchr(" \t\r\n", rest->data[0]) && rest->data[0])
		*rest = bytes_after(*rest, 1);
}

static bool take_byte(struct bytes *rest, char c)
{
	if (!rest->len || rest->data[0] != (uint8_t)c)
		return false;
	*rest = bytes_after(*rest, 1);
	return true;
}

static bool take_word(struct bytes *rest, const char *word)
{
	struct bytes b = bytes_of_string(word);

	if (!bytes_equal(bytes_first(*rest, b.len), b))
		return false;
	*rest = bytes_after(*rest, b.len);
	return true;
}

static bool take_digits(struct bytes *rest)
{
	size_t before = rest->len;

	while (rest->len && rest->data[0] >= '0' && rest->data[0] <= '9')
		*rest = bytes_after(*rest, 1);
	return rest->len < before;
}

static bool take_number(struct bytes *rest)
{
	take_byte(rest, '-');
	if (!take_byte(rest, '0') && !take_digits(rest))
		return false;
	if (take_byte(rest, '.') && !take_digits(rest))
		return false;
	if (!take_byte(rest, 'e') && !take_byte(rest, 'E'))
		return true;
	if (!take_byte(rest, '+'))
		take_byte(rest, '-');
	return take_digits(rest);
}

/* What follows a backslash. */
static bool take_escape(struct bytes *rest)
{
	if (!rest->len || !rest->data[0] || !strchr("\"\\/bfnrtu", rest->data[0]))
		return false;
	if (!take_byte(rest, 'u')) {
		*rest = bytes_after(*rest, 1);
		return true;
	}
	for (unsigned i = 0; i < 4; i++)
		if (i >= rest->len || number_hex(rest->data[i]) < 0)
			return false;
	*rest = bytes_after(*rest, 4);
	return true;
}

/* A string; `*inside` is what stands between the quotes. */
static bool take_string(struct bytes *rest, struct bytes *inside)
{
	const uint8_t *begin;

	if (!take_byte(rest, '"'))
		return false;
	begin = rest->data;
	while (!take_byte(rest, '"')) {
		size_t len = text_utf8_sequence(*rest);

		if (take_byte(rest, '\\')) {
			if (!take_escape(rest))
				return false;
			continue;
		}
		if (!len || text_is_control(text_utf8_code(bytes_first(*rest, len))))
			return false;
		*rest = bytes_after(*rest, len);
	}
	*inside = bytes_of(begin, (size_t)(rest->data - begin) - 1);
	return true;
}

/* A value that holds no other. */
static bool take_plain(struct bytes *rest, struct json_member *member)
{
	const uint8_t *begin = rest->data;

	if (rest->len && rest->data[0] == '"') {
		member->kind = JSON_STRING;
		return take_string(rest, &member->value);
	}
	if (take_word(rest, "true") || take_word(rest, "false"))
		member->kind = JSON_BOOL;
	else if (take_word(rest, "null"))
		member->kind = JSON_NULL;
	else if (take_number(rest))
		member->kind = JSON_NUMBER;
	else
		return false;
	member->value = bytes_of(begin, (size_t)(rest->data - begin));
	return true;
}

static bool take_name(struct bytes *rest, struct bytes *name)
{
	skip_space(rest);
	if (!take_string(rest, name))
		return false;
	skip_space(rest);
	return take_byte(rest, ':');
}

/* The rest of a value whose bracket was taken, of any depth up to JSON_DEPTH: `open` remembers
 * which brackets are. */
static bool take_nested(struct bytes *rest, char bracket)
{
	char open[JSON_DEPTH] = {bracket};
	unsigned depth = 1;
	bool first = true;
	struct json_member inner;

	while (depth) {
		char inmost = open[depth - 1];

		skip_space(rest);
		if (take_byte(rest, inmost == '{' ? '}' : ']')) {
			depth--;
			first = false;
			continue;
		}
		if ((!first && !take_byte(rest, ',')) ||
		    (inmost == '{' && !take_name(rest, &inner.name)))
			return false;
		skip_space(rest);
		first = rest->len && (rest->data[0] == '{' || rest->data[0] == '[');
		if (!first && !take_plain(rest, &inner))
			return false;
		if (!first)
			continue;
		if (depth == JSON_DEPTH)
			return false;
		open[depth++] = (char)rest->data[0];
		*rest = bytes_after(*rest, 1);
	}
	return true;
}

static bool take_value(struct bytes *rest, struct json_member *member)
{
	const uint8_t *begin = rest->data;

	if (!take_byte(rest, '{') && !take_byte(rest, '['))
		return take_plain(rest, member);
	member->kind = *begin == '{' ? JSON_OBJECT : JSON_ARRAY;
	if (!take_nested(rest, (char)*begin))
		return false;
	member->value = bytes_of(begin, (size_t)(rest->data - begin));
	return true;
}

/* The end of the object, with nothing behind it: 0, or ERR_SYNTAX. */
static int end_of(struct bytes rest)
{
	skip_space(&rest);
	return rest.len ? ERR_SYNTAX : 0;
}

int json_next(struct bytes object, size_t *cursor, struct json_member *member)
{
	struct bytes rest = bytes_after(object, *cursor);
	bool first = *cursor == 0;

	skip_space(&rest);
	if (first && !take_byte(&rest, '{'))
		return ERR_SYNTAX;
	skip_space(&rest);
	if (take_byte(&rest, '}'))
		return end_of(rest);
	if (!first && !take_byte(&rest, ','))
		return ERR_SYNTAX;
	if (!take_name(&rest, &member->name))
		return ERR_SYNTAX;
	skip_space(&rest);
	if (!take_value(&rest, member))
		return ERR_SYNTAX;
	*cursor = object.len - rest.len;
	return 1;
}

bool json_is(struct bytes raw, const char *text)
{
	return bytes_equal(raw, bytes_of_string(text));
}
