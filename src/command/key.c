/* prise key: this machine's key, and the dashboard's token. */
#include "command/command.h"
#include "command/say.h"
#include "net/keyring.h"

#include <stdlib.h>
#include <unistd.h>

struct options {
	bool token;
};

static const struct option options[] = {
	{.name = "token",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct options, token),
	 .help = N_("make a token for the dashboard, in place of the one before")},
	OPTION_END,
};

static int key_say_error(const char *name, int err)
{
	char path[PLACE_BYTES];
	struct text t = TEXT_OVER(path);

	if (keyring_path(&t, name) == 0)
		return say_error(SAY_FILE, path, err);
	return say_error_try(SAY_FILE, name, err,
			     _("HOME or XDG_CONFIG_HOME, which say where it is kept"));
}

static int key_print(const struct command_call *call, const struct event *e, const char *value)
{
	if (call->common.json)
		say_event(e);
	else
		puts(value);
	return 0;
}

static int key_show(const struct command_call *call)
{
	char path[PLACE_BYTES], text[KEYS_FINGERPRINT_BYTES];
	struct text p = TEXT_OVER(path), t = TEXT_OVER(text);
	struct tls_key *key;
	struct key_digest digest;
	struct event e;
	bool made = keyring_path(&p, "key.pem") == 0 && access(path, F_OK) < 0;
	int err = keyring_key(&key, true);

	if (err)
		return key_say_error("key.pem", err);
	digest = tls_key_digest(key);
	tls_key_free(key);
	keys_put_fingerprint(&t, &digest);
	if (made)
		say_note(_("a new key is in %s"), path);
	event_init(&e, EVENT_INFO, "key", NULL, say_now_us());
	event_string(&e, "fingerprint", text);
	return key_print(call, &e, text);
}

static int key_make_token(const struct command_call *call)
{
	char token[KEYRING_TOKEN_BYTES];
	struct event e;
	int err = keyring_token_make(token);

	if (err)
		return key_say_error("token", err);
	say_note(_("the dashboard takes this one from now on, and none before it"));
	event_init(&e, EVENT_INFO, "key.token", NULL, say_now_us());
	event_string(&e, "token", token);
	return key_print(call, &e, token);
}

static int key_run(struct command_call *call)
{
	const struct options *given = call->options;

	if (call->argc)
		return say_usage(_("prise key, or prise key --token"),
				 _("'%s' is one argument too many"), call->argv[0]);
	return given->token ? key_make_token(call) : key_show(call);
}

const struct command command_key = {
	.name = "key",
	.synopsis = N_("\n--token"),
	.about = N_(
		"Prints the fingerprint of this machine's key, having made one when there was "
		"none: ECDSA P-256 in a certificate that it signs itself, in key.pem in the "
		"configuration directory, for nobody's eyes but its owner's. Services with TLS "
		"show it, and so do clients that are asked for a key.\n\n"
		"A client remembers a server's key when it first sees it, in known_hosts "
		"(`HOST:PORT FINGERPRINT` a line), or takes --pin; from then on another key is an "
		"error. A server lets in the keys of its authorized_keys (`FINGERPRINT "
		"SERVICE[,SERVICE] comment` a line).\n\n"
		"--token makes the token that the dashboard asks for when it is reached from "
		"beyond this machine."),
	.examples = "prise key\n"
		    "prise key >> authorized_keys\n"
		    "prise key --token\n",
	.options = options,
	.options_bytes = sizeof(struct options),
	.run = key_run,
};
