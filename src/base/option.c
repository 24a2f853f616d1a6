/* Settings by table: text into the fields of a struct, and names found and nearly found. */
#include "base/option.h"
#include "base/err.h"
#include "base/number.h"
#include "base/text.h"

#include <assert.h>

/* Marks text for xgettext; whoever prints it has it translated. */
#define N_(s) s

static const size_t field_bytes[] = {
	[OPTION_FLAG] = sizeof(bool),
	[OPTION_TEXT] = sizeof(const char *),
	[OPTION_COUNT] = sizeof(uint64_t),
	[OPTION_SIZE] = sizeof(uint64_t),
	[OPTION_DURATION] = sizeof(uint64_t),
	[OPTION_CHOICE] = sizeof(int),
	[OPTION_LIST] = sizeof(struct option_list),
};

void option_defaults(const struct option *table, void *target)
{
	for (const struct option *row = table; row && row->name; row++) {
		memset((uint8_t *)target + row->offset, 0, field_bytes[row->type]);
		if (row->fallback) {
			int err = option_set(row, target, row->fallback);

			assert(err == 0 && row->type != OPTION_LIST);
			(void)err;
		}
	}
}

static int set_flag(bool *field, const char *value)
{
	static const struct {
		const char *word;
		bool means;
	} words[] = {{"yes", true}, {"true", true},   {"on", true},
		     {"no", false}, {"false", false}, {"off", false}};

	if (!value)
		value = "yes";
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(value, words[i].word) == 0) {
			*field = words[i].means;
			return 0;
		}
	}
	return ERR_SYNTAX;
}

static int set_number(const struct option *row, uint64_t *field, struct bytes value)
{
	uint64_t v;
	int err;

	if (row->type == OPTION_SIZE)
		err = number_parse_size(value, &v);
	else if (row->type == OPTION_DURATION)
		err = number_parse_duration(value, &v);
	else
		err = number_parse_u64(value, &v);
	if (err < 0)
		return err;
	if (v < row->least || (row->most > 0 && v > row->most))
		return ERR_RANGE;
	*field = v;
	return 0;
}

/* `choices` are words with one space between. */
static int set_choice(const char *choices, int *field, struct bytes value)
{
	struct bytes rest = bytes_of_string(choices);

	for (int i = 0;; i++) {
		size_t n = bytes_find_byte(rest, ' ');

		if (bytes_equal(bytes_first(rest, n), value)) {
			*field = i;
			return 0;
		}
		if (n == rest.len)
			return ERR_SYNTAX;
		rest = bytes_after(rest, n + 1);
	}
}

static int add_item(struct option_list *list, const char *value)
{
	if (list->count == OPTION_LIST_MOST)
		return ERR_FULL;
	list->item[list->count++] = value;
	return 0;
}

int option_set(const struct option *row, void *target, const char *value)
{
	void *field = (uint8_t *)target + row->offset;

	if (row->type == OPTION_FLAG)
		return set_flag(field, value);
	if (!value)
		return ERR_SYNTAX;
	switch (row->type) {
	case OPTION_TEXT:
		*(const char **)field = value;
		return 0;
	case OPTION_CHOICE:
		return set_choice(row->choices, field, bytes_of_string(value));
	case OPTION_LIST:
		return add_item(field, value);
	default:
		return set_number(row, field, bytes_of_string(value));
	}
}

const struct option *option_find(const struct option *table, const char *name, size_t len)
{
	for (const struct option *row = table; row && row->name; row++) {
		if (bytes_equal(bytes_of_string(row->name), bytes_of(name, len)))
			return row;
	}
	return NULL;
}

const struct option *option_find_letter(const struct option *table, char letter)
{
	for (const struct option *row = table; letter && row && row->name; row++) {
		if (row->letter == letter)
			return row;
	}
	return NULL;
}

/* One slip of the finger, and one more for every four letters; or the beginning of the name. */
const char *option_nearest(const struct option *table, const char *name)
{
	size_t len = strlen(name);
	unsigned nearest = 2 + (unsigned)(len < 64 ? len : 64) / 4; /* too far already */
	const char *found = NULL;

	for (const struct option *row = table; row && row->name; row++) {
		bool begins = len >= 3 && strncmp(row->name, name, len) == 0;
		unsigned distance = begins ? 1 : text_distance(row->name, name);

		if (distance < nearest && distance < len) {
			nearest = distance;
			found = row->name;
		}
	}
	return found;
}

const char *option_expects(const struct option *row)
{
	switch (row->type) {
	case OPTION_FLAG:
		return N_("yes or no");
	case OPTION_COUNT:
		return N_("a whole number such as 10");
	case OPTION_SIZE:
		return N_("a size such as 64, 4K or 1M");
	case OPTION_DURATION:
		return N_("a duration such as 500ms, 2s or 1m");
	case OPTION_CHOICE:
		return row->choices;
	default:
		return N_("a text");
	}
}
