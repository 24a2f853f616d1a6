/* `prise services`: the system's table of port numbers and names (services(5)), whatever
 * nsswitch.conf says it is made of; a built-in one (net/services.def) where that table is missing.
 */
#include "command/command.h"

#include "base/number.h"
#include "base/text.h"
#include "command/say.h"

#include <arpa/inet.h>
#include <netdb.h>

enum { ENTRIES_MOST = 16384, WORD_BYTES = 32, ALIASES_BYTES = 96 };

struct entry {
	char name[WORD_BYTES];
	char protocol[8];
	char aliases[ALIASES_BYTES]; /* with a space between */
	uint16_t port;
};

#define PORT(name, port, protocol, aliases) {name, protocol, aliases, port},
static const struct entry built_in[] = {
#include "net/services.def"
};
#undef PORT

struct listing {
	const struct entry *entry;
	unsigned count;
	bool json;
};

/* The system's entries into `entries`; how many. A table longer than ENTRIES_MOST is cut. */
static unsigned read_system(struct entry *entries)
{
	unsigned count = 0;
	struct servent *row;

	setservent(1);
	while (count < ENTRIES_MOST && (row = getservent()) != NULL) {
		struct entry *e = &entries[count++];
		struct text aliases = TEXT_OVER(e->aliases);

		snprintf(e->name, sizeof(e->name), "%s", row->s_name);
		snprintf(e->protocol, sizeof(e->protocol), "%s", row->s_proto);
		e->port = ntohs((uint16_t)row->s_port);
		for (char **alias = row->s_aliases; *alias != NULL; alias++)
			text_printf(&aliases, "%s%s", aliases.len == 0 ? "" : " ", *alias);
	}
	endservent();
	return count;
}

static bool has_alias(const struct entry *e, struct bytes name)
{
	struct bytes rest = bytes_of_string(e->aliases);

	while (rest.len > 0) {
		size_t len = bytes_find_byte(rest, ' ');

		if (bytes_equal_fold(bytes_first(rest, len), name))
			return true;
		rest = bytes_after(rest, len < rest.len ? len + 1 : len);
	}
	return false;
}

/* NAME, PORT, either with `/tcp` or `/udp` behind it as services(5) writes it. */
static bool matches(const struct entry *e, struct bytes wanted)
{
	size_t slash = bytes_find_byte(wanted, '/');
	struct bytes word = bytes_first(wanted, slash);
	uint64_t port;

	if (slash < wanted.len &&
	    !bytes_equal_fold(bytes_after(wanted, slash + 1), bytes_of_string(e->protocol)))
		return false;
	if (number_parse_u64(word, &port) == 0)
		return port == e->port;
	return bytes_equal_fold(word, bytes_of_string(e->name)) || has_alias(e, word);
}

static void print(const struct listing *listing, const struct entry *e)
{
	struct event event;

	if (!listing->json) {
		printf("%-20s %5u/%s%s%s\n", e->name, e->port, e->protocol,
		       e->aliases[0] == '\0' ? "" : "   ", e->aliases);
		return;
	}
	event_init(&event, EVENT_INFO, "services.entry", NULL, say_now_us());
	event_string(&event, "name", e->name);
	event_uint(&event, "port", e->port);
	event_string(&event, "protocol", e->protocol);
	event_string(&event, "aliases", e->aliases);
	say_event(&event);
}

/* Prints what matches `wanted` (NULL: all). Whether anything did. */
static bool print_matching(const struct listing *listing, const char *wanted)
{
	bool found = false;

	for (unsigned i = 0; i < listing->count; i++) {
		if (wanted != NULL && !matches(&listing->entry[i], bytes_of_string(wanted)))
			continue;
		print(listing, &listing->entry[i]);
		found = true;
	}
	return found;
}

static const char *nearest_name(const struct listing *listing, const char *wanted)
{
	const char *nearest = NULL;
	unsigned least = 2 + (unsigned)strlen(wanted) / 4; /* too far to be meant */

	for (unsigned i = 0; i < listing->count; i++) {
		unsigned distance = text_distance(listing->entry[i].name, wanted);

		if (distance < least && distance < strlen(wanted)) {
			least = distance;
			nearest = listing->entry[i].name;
		}
	}
	return nearest;
}

static void print_missing(const struct listing *listing, const char *wanted)
{
	const char *nearest = nearest_name(listing, wanted);
	struct event event;

	if (nearest != NULL)
		say_note(_("the table has no %s; did you mean %s?"), wanted, nearest);
	else
		say_note(_("the table has no %s"), wanted);
	if (!listing->json)
		return;
	event_init(&event, EVENT_INFO, "services.missing", NULL, say_now_us());
	event_string(&event, "name", wanted);
	say_event(&event);
}

static int run(struct command_call *call)
{
	static struct entry entries[ENTRIES_MOST];
	struct listing listing = {entries, read_system(entries), call->common.json};
	int code = 0;

	if (listing.count == 0) {
		say_note(_("this system has no table (/etc/services): showing the built-in one"));
		listing.entry = built_in;
		listing.count = sizeof(built_in) / sizeof(built_in[0]);
	}
	if (call->argc == 0)
		print_matching(&listing, NULL);
	for (int i = 0; i < call->argc; i++) {
		if (print_matching(&listing, call->argv[i]))
			continue;
		print_missing(&listing, call->argv[i]);
		code = 1;
	}
	return code;
}

const struct command command_services = {
	.name = "services",
	.synopsis = N_("[NAME[/PROTOCOL] | PORT[/PROTOCOL]]..."),
	.about = N_(
		"The system's table of well-known ports (services(5)): name, port, protocol, other "
		"names. With arguments, only the rows that carry that name or number; exit 1 when "
		"one has no row.\n\nThe table is a list of habits. That a port has a name says "
		"nothing about who listens there."),
	.examples = "prise services daytime\nprise services 53/udp\n",
	.run = run,
};
