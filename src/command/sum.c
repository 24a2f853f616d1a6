/* prise sum: has a server add integers.
 *
 * Limits: a number is one of 64 bits, signed; the list is held in memory until it is sent. */
#include "base/number.h"
#include "command/client.h"
#include "command/say.h"
#include "proto/pickle.h"
#include "proto/sum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { SUM_PORT = 6000, SUM_SILENCE_MS = 10000, SUM_WORD_BYTES = 64, SUM_READ_BYTES = 65536 };

struct options {
	uint64_t protocol;
};

static const struct option options[] = {
	{.name = "pickle",
	 .type = OPTION_COUNT,
	 .argument = "0..5",
	 .offset = offsetof(struct options, protocol),
	 .fallback = "3",
	 .most = PICKLE_PROTOCOL_MOST,
	 .help = N_("protocol of the pickle (3 unless told)")},
	OPTION_END,
};

struct numbers {
	int64_t *item;
	size_t count, room;
};

/* A word of standard input, which may be cut anywhere by the reads. */
struct word {
	char text[SUM_WORD_BYTES];
	size_t len; /* also of what found no room in `text` */
};

static int sum_refuse(const char *word, size_t number, int err)
{
	const char *advice = err == ERR_RANGE
				     ? _("numbers from -9223372036854775808 to 9223372036854775807")
				     : _("whole numbers such as 12, the negative ones behind --: "
					 "prise sum HOST -- 5 -3");

	if (number == 0 && err == ERR_RANGE)
		return say_usage(advice, _("'%s' is out of range"), word);
	if (number == 0)
		return say_usage(advice, _("'%s' is no whole number"), word);
	if (err == ERR_RANGE)
		return say_usage(advice, _("standard input, number %zu: '%s' is out of range"),
				 number, word);
	return say_usage(advice, _("standard input, number %zu: '%s' is no whole number"), number,
			 word);
}

/* 0, or ERR_SYNTAX, ERR_RANGE, ERR_MEMORY. */
static int numbers_add(struct numbers *n, struct bytes word)
{
	int64_t value;
	int err = number_parse_i64(word, &value);

	if (err)
		return err;
	if (n->count == n->room) {
		size_t room = n->room ? n->room * 2 : 1024;
		int64_t *grown = realloc(n->item, room * sizeof *grown);

		if (!grown)
			return ERR_MEMORY;
		n->item = grown;
		n->room = room;
	}
	n->item[n->count++] = value;
	return 0;
}

/* Why the beginning of a word that is too long is no number. */
static int numbers_judge(struct bytes word)
{
	int64_t value;
	int err = number_parse_i64(word, &value);

	return err ? err : ERR_RANGE;
}

/* From the words behind the host. 0, or an exit code. */
static int numbers_from_words(struct numbers *n, int count, char **words)
{
	for (int i = 0; i < count; i++) {
		int err = numbers_add(n, bytes_of_string(words[i]));

		if (err == ERR_MEMORY)
			return say_error(SAY_RUN, "sum", err);
		if (err)
			return sum_refuse(words[i], 0, err);
	}
	return 0;
}

/* The word is whole. 0, or an exit code. */
static int numbers_take_word(struct numbers *n, struct word *w)
{
	struct bytes kept = bytes_first(bytes_of(w->text, sizeof w->text), w->len);
	char shown[SUM_WORD_BYTES * 4 + 1];
	struct text t = TEXT_OVER(shown);
	int err;

	if (w->len == 0)
		return 0;
	err = kept.len < w->len ? numbers_judge(kept) : numbers_add(n, kept);
	w->len = 0;
	if (err == ERR_MEMORY)
		return say_error(SAY_RUN, "sum", err);
	if (!err)
		return 0;
	text_put_visible(&t, kept, false);
	return sum_refuse(shown, n->count + 1, err);
}

static int numbers_take(struct numbers *n, struct word *w, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		bool space = data[i] == ' ' || (data[i] >= '\t' && data[i] <= '\r');
		int code = space ? numbers_take_word(n, w) : 0;

		if (code)
			return code;
		if (space)
			continue;
		if (w->len < sizeof w->text)
			w->text[w->len] = data[i];
		w->len++;
	}
	return 0;
}

static int numbers_from_stdin(struct numbers *n)
{
	static char data[SUM_READ_BYTES];
	struct word w = {.len = 0};
	ssize_t got;

	if (isatty(STDIN_FILENO))
		say_note(_("numbers, with white space between, and Ctrl-D when that is all"));
	while ((got = read(STDIN_FILENO, data, sizeof data)) != 0) {
		int code;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return say_input(err_from_errno(errno));
		code = numbers_take(n, &w, data, (size_t)got);
		if (code)
			return code;
	}
	return numbers_take_word(n, &w);
}

static void sum_event(void *owner, const struct event *e)
{
	printf("%" PRIu64 "\n", event_find(e, "sum")->u);
}

/* Four bytes cannot hold every sum, and a server that cannot answer just closes. */
static int sum_say_left(const struct client *client, const struct numbers *n, int err)
{
	pickle_wide sum = 0;

	for (size_t i = 0; i < n->count; i++)
		sum += n->item[i];
	if (sum < 0)
		return say_error_try(
			SAY_TALK, client->where, err,
			_("numbers whose sum is from 0 to 4294967295, which is what fits "
			  "an answer; the sum of these is below 0"));
	if (sum > UINT32_MAX)
		return say_error_try(
			SAY_TALK, client->where, err,
			_("numbers whose sum is from 0 to 4294967295, which is what fits "
			  "an answer; the sum of these is above"));
	return say_error(SAY_TALK, client->where, err);
}

static int sum_talk(struct client *client, const struct numbers *n)
{
	const struct options *given = client->call->options;
	struct sum_client_settings settings = {
		.protocol = given->protocol, .numbers = n->item, .count = n->count};
	struct client_talk talk = {
		.machine = &sum_client_machine,
		.settings = &settings,
		.idle_ms = client_timeout_ms(client, SUM_SILENCE_MS),
		.total_ms = client_timeout_ms(client, 0),
		.event = sum_event,
		.for_stdout = true,
	};
	int err = client_talk(client, &talk);

	if (err == ERR_TOO_LONG)
		return say_usage(_("fewer numbers: the length of their pickle goes into 4 bytes"),
				 _("%zu numbers are too many"), n->count);
	if (err == ERR_LEFT && client->connected)
		return sum_say_left(client, n, err);
	return client_say(client, err);
}

static int sum_run(struct command_call *call)
{
	struct numbers n = {.item = NULL};
	struct client client;
	int taken, code = client_open(&client, call, SUM_PORT, false, &taken);

	if (code)
		return code;
	if (call->argc > taken)
		code = numbers_from_words(&n, call->argc - taken, call->argv + taken);
	else
		code = numbers_from_stdin(&n);
	if (!code)
		code = sum_talk(&client, &n);
	client_close(&client);
	free(n.item);
	return code;
}

const struct command command_sum = {
	.name = "sum",
	.synopsis = N_("HOST[:PORT] [N]..."),
	.about = N_(
		"Sends a list of integers to a sum server, as Python pickles it, and prints the "
		"sum that comes back. Without numbers they are read from standard input, with "
		"white space between; on the command line negative ones stand behind --.\n\n"
		"An answer is four bytes, so a sum below 0 or above 4294967295 cannot come "
		"back: the server closes instead, and that is exit 8. Without a port, 6000. "
		"-t limits the whole; without it the server may be silent for 10 seconds."),
	.examples = "prise sum 127.0.0.1 1 2 3\n"
		    "prise sum 127.0.0.1:6000 --pickle 5 -- 10 -3\n"
		    "seq 100 | prise sum localhost\n",
	.takes = COMMAND_TAKES_FAMILY | COMMAND_TAKES_TIMEOUT | COMMAND_TAKES_TLS,
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = sum_run,
};
