/* Guess servers of many dialects: see dialect.h. */
#include "dialect.h"

#include "base/number.h"

const struct dialect dialects[] = {
	{.name = "prise",
	 .ask_max = "Nombre maximum ?\n",
	 .ask = "Votre nombre ?\n",
	 .more = "plus\n",
	 .less = "moins\n",
	 .win = "trouvé\n"},
	{.name = "terse", .ask_max = "", .ask = "", .more = "plus", .less = "moins", .win = "fini"},
	{.name = "terse, no maximum, from 0",
	 .ask = "",
	 .more = "plus",
	 .less = "moins",
	 .win = "fini",
	 .from_zero = true},
	{.name = "lines without questions",
	 .ask_max = "",
	 .ask = "",
	 .more = "plus\n",
	 .less = "moins\n",
	 .win = "gagne\n"},
	{.name = "questions without line end",
	 .ask_max = "Nombre maximum ? ",
	 .ask = "Votre nombre ? ",
	 .more = "plus\n",
	 .less = "moins\n",
	 .win = "trouve !\n"},
	{.name = "answers without line end",
	 .ask_max = "Nombre maximum ?\n",
	 .ask = "Votre nombre ?\n",
	 .more = "plus",
	 .less = "moins",
	 .win = "fini"},
	{.name = "answers without line end after lines",
	 .ask_max = "Nombre maximum ?\n",
	 .ask = "",
	 .more = "plus",
	 .less = "moins",
	 .win = "fini",
	 .from_zero = true},
	{.name = "neither line end nor space",
	 .ask_max = "Nombre maximum ?",
	 .ask = "Votre nombre ?",
	 .more = "plus",
	 .less = "moins",
	 .win = "fini"},
	{.name = "plus grand, plus petit",
	 .ask = "Devinez :\n",
	 .more = "C'est plus grand.\n",
	 .less = "C'est plus petit.\n",
	 .win = "Bravo, c'est gagné !\n"},
	{.name = "plus grand, plus petit, terse",
	 .ask_max = "",
	 .ask = "",
	 .more = "plus grand",
	 .less = "plus petit",
	 .win = "win",
	 .brittle = true},
	{.name = "plus, plus petit, terse",
	 .ask = "",
	 .more = "plus",
	 .less = "plus petit",
	 .win = "win",
	 .brittle = true},
	{.name = "English",
	 .greeting = "Welcome!\r\n",
	 .ask_max = "Max?\r\n",
	 .ask = "Your number?\r\n",
	 .more = "plus\r\n",
	 .less = "moins\r\n",
	 .win = "YOU WIN\r\n",
	 .from_zero = true},
	{.name = "capitals",
	 .ask_max = "NOMBRE MAXIMUM :\n",
	 .ask = "VOTRE NOMBRE :\n",
	 .more = "PLUS\n",
	 .less = "PLUS PETIT\n",
	 .win = "TROUVÉ\n"},
	{.name = "asks once",
	 .ask_max = "Nombre maximum ?\n",
	 .ask = "Votre nombre ?\n",
	 .asks_once = true,
	 .more = "plus\n",
	 .less = "moins\n",
	 .win = "trouvé\n"},
	{.name = "asks for the maximum only",
	 .ask_max = "Borne supérieure ?\n",
	 .ask = "",
	 .more = "plus\n",
	 .less = "moins\n",
	 .win = "trouvé\n",
	 .from_zero = true},
	{.name = "questions with the words of answers",
	 .ask_max = "Limite, au plus ?\n",
	 .ask = "Nombre plus grand ou plus petit ?\n",
	 .more = "plus\n",
	 .less = "moins\n",
	 .win = "gagné\n"},
	{.name = "a question that states the maximum",
	 .ask = "Nombre (max. 31, pas plus) ? ",
	 .more = "Plus ! ",
	 .less = "Moins ! ",
	 .win = "Bravo !"},
	{.name = "talkative",
	 .greeting = "*** Plus ou moins ***\nIl faut trouver !\n",
	 .ask_max = "Jusqu'à combien, au maximum ?\n",
	 .ask = "Réfléchissez bien.\nVotre nombre ?\n",
	 .more = "Non.\nC'est plus, hélas.\n",
	 .less = "Non.\nC'est moins.\n",
	 .win = "Oui.\nVous avez trouvé.\nAdieu.\n"},
};
const unsigned dialect_count = sizeof dialects / sizeof *dialects;

struct server {
	const struct dialect_settings *settings;
	bool has_max;
};

static void say(struct out *out, const char *words)
{
	if (words)
		out_static(out, bytes_of_string(words));
}

static void server_open(void *m, const struct peer *peer, struct out *out, const struct moment *now)
{
	struct server *s = m;
	const struct dialect *d;

	s->settings = peer->settings;
	d = s->settings->dialect;
	s->has_max = !d->ask_max;
	say(out, d->greeting);
	say(out, d->ask_max ? d->ask_max : d->ask);
}

static void server_answer(struct server *s, uint64_t number, struct out *out)
{
	const struct dialect *d = s->settings->dialect;

	if (number == s->settings->secret) {
		say(out, d->win);
		out_end(out);
		return;
	}
	say(out, number < s->settings->secret ? d->more : d->less);
	if (!d->asks_once)
		say(out, d->ask);
}

static size_t server_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct server *s = m;
	size_t len = bytes_find_byte(in, '\n');
	uint64_t number = 0;

	if (len == in.len)
		return 0;
	if (number_parse_u64(bytes_first(in, len), &number) < 0 || len + 1 < in.len ||
	    (!s->has_max && number != s->settings->max)) {
		out_abort(out, ERR_PROTOCOL);
	} else if (!s->has_max) {
		s->has_max = true;
		say(out, s->settings->dialect->ask);
	} else {
		server_answer(s, number, out);
	}
	return len + 1;
}

const struct machine dialect_machine = {
	.name = "dialect",
	.state_bytes = sizeof(struct server),
	.hold_bytes = 32,
	.open = server_open,
	.feed = server_feed,
};
