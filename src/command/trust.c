/* What a client believes, by way of net/tls and net/keyring. */
#include "command/trust.h"

int trust_check_pin(const char *pin)
{
	struct key_digest digest;

	if (!pin || keys_parse_fingerprint(bytes_of_string(pin), &digest))
		return 0;
	return say_usage(_("SHA256:... as `prise key` shows it on the server's machine"),
			 _("'%s' is no fingerprint of a key"), pin);
}

/* In the handshake: a server of ours, or one whose key is pinned. */
static int trust_judge(void *owner, const struct key_digest *key)
{
	struct trust *t = owner;

	t->several |= t->seen && !keys_equal(key, &t->shown);
	t->seen = true;
	t->shown = *key;
	if (t->tls.pin)
		return keys_equal(key, &t->pin) ? 0 : ERR_KEY_PIN;
	if (t->tls.insecure || t->tls.foreign)
		return 0; /* a foreign one is judged by the trust store */
	t->file_err = keyring_known(t->where, key, &t->found);
	if (t->file_err)
		return t->file_err;
	return t->found.known == KEYS_CHANGED ? ERR_KEY_CHANGED : 0;
}

/* Our own key, for servers that ask for one. Where none can be kept there is none to show; whether
 * that matters the server says. */
static int trust_own_key(struct tls_key **key)
{
	int err = keyring_key(key, true);

	*key = err ? NULL : *key;
	return err == ERR_KEY_MODE || err == ERR_KEY_FILE || err == ERR_MEMORY ? err : 0;
}

int trust_open(struct trust *t, const struct client_tls *tls, const char *where)
{
	struct tls_key *key = NULL;
	struct tls_settings settings = {
		.old_peers = tls->foreign,
		.system_trust = tls->foreign && !tls->pin && !tls->insecure,
		.alpn = tls->alpn,
		.judge = trust_judge,
		.owner = t,
	};
	int err = 0;

	*t = (struct trust){.tls = *tls};
	snprintf(t->where, sizeof t->where, "%s", where);
	if (tls->pin && !keys_parse_fingerprint(bytes_of_string(tls->pin), &t->pin))
		return ERR_SYNTAX;
	if (!tls->foreign)
		err = trust_own_key(&key);
	settings.key = key;
	if (!err)
		err = tls_context_create(&t->context, &settings);
	tls_key_free(key);
	return err;
}

void trust_close(struct trust *t)
{
	tls_context_free(t->context);
	t->context = NULL;
}

void trust_keep(struct trust *t)
{
	char text[KEYS_FINGERPRINT_BYTES];
	struct text fingerprint = TEXT_OVER(text);
	int err;

	if (!t->seen || t->tls.foreign || t->tls.pin || t->tls.insecure ||
	    t->found.known != KEYS_NEW)
		return;
	t->found.known = KEYS_SAME;
	keys_put_fingerprint(&fingerprint, &t->shown);
	err = keyring_remember(t->where, &t->shown);
	if (err)
		say_warning(_("the key of %s, %s, cannot be remembered: %s"), t->where, text,
			    _(err_text(err)));
	else
		say_note(_("the key of %s, seen for the first time, is %s; from now on it must "
			   "stay the same"),
			 t->where, text);
}

static int trust_say_file(const char *name, int err)
{
	char path[PLACE_BYTES];
	struct text t = TEXT_OVER(path);

	if (keyring_path(&t, name) != 0)
		snprintf(path, sizeof path, "%s", name);
	return say_error(SAY_FILE, path, err);
}

static int trust_say_changed(const struct trust *t, enum say_attempt attempt, const char *where)
{
	char path[PLACE_BYTES], shown[KEYS_FINGERPRINT_BYTES], old[KEYS_FINGERPRINT_BYTES];
	char advice[PLACE_BYTES + 512];
	struct text p = TEXT_OVER(path), s = TEXT_OVER(shown), o = TEXT_OVER(old);

	keys_put_fingerprint(&s, &t->shown);
	keys_put_fingerprint(&o, &t->found.old);
	if (keyring_path(&p, "known_hosts") != 0)
		return say_error(attempt, where, ERR_KEY_CHANGED);
	snprintf(advice, sizeof advice,
		 _("`prise key` on that machine: it shows %s now, was %s; if the new one is "
		   "right, take line %u out of %s"),
		 shown, old, t->found.line, path);
	return say_error_try(attempt, where, ERR_KEY_CHANGED, advice);
}

static int trust_say_pin(const struct trust *t, enum say_attempt attempt, const char *where)
{
	char shown[KEYS_FINGERPRINT_BYTES], advice[256];
	struct text s = TEXT_OVER(shown);

	keys_put_fingerprint(&s, &t->shown);
	snprintf(advice, sizeof advice,
		 _("`prise key` on that machine; the key it showed now is %s"), shown);
	return say_error_try(attempt, where, ERR_KEY_PIN, advice);
}

/* Of a certificate that the trust store does not take: which key it has, to be pinned. */
static int trust_say_certificate(const struct trust *t, enum say_attempt attempt, const char *where,
				 int err)
{
	char shown[KEYS_FINGERPRINT_BYTES], advice[512];
	struct text s = TEXT_OVER(shown);
	const char *text;

	switch (err) {
	case ERR_CERT_UNKNOWN:
		text = _("--pin %s if that is its key; SSL_CERT_FILE=FILE for an authority of your "
			 "own");
		break;
	case ERR_CERT_NAME:
		text = _("the host's name as the certificate has it; --pin %s if that is its key");
		break;
	case ERR_CERT_BAD:
		text = _("--pin %s if that is its key; else the server needs another certificate");
		break;
	default:
		return say_error(attempt, where, err);
	}
	keys_put_fingerprint(&s, &t->shown);
	snprintf(advice, sizeof advice, text, shown);
	return say_error_try(attempt, where, err, advice);
}

/* No key of ours is shown to servers of others. */
static int trust_say_wanted(const char *where, int err)
{
	char line[TRUST_WHERE_BYTES + 128];

	snprintf(line, sizeof line, _("%s wants a certificate of its clients, and gets none"),
		 where);
	return say_told(where, err, line, _("`curl --cert FILE --key FILE`, which shows one"));
}

int trust_say(const struct trust *t, enum say_attempt attempt, const char *where, int err)
{
	if (t->file_err && err == t->file_err)
		return trust_say_file("known_hosts", err);
	if (err == ERR_KEY_MODE || err == ERR_KEY_FILE)
		return trust_say_file("key.pem", err);
	if (err == ERR_KEY_CHANGED)
		return trust_say_changed(t, attempt, where);
	if (err == ERR_KEY_PIN)
		return trust_say_pin(t, attempt, where);
	if (t->tls.foreign && err == ERR_KEY_REFUSED)
		return trust_say_wanted(where, err);
	if (t->tls.foreign && t->seen && !t->several)
		return trust_say_certificate(t, attempt, where, err);
	return say_error(attempt, where, err);
}
