/* This machine's key, which all services with TLS show, and the files that list others'. */
#include "daemon/daemon_parts.h"

#include "base/err.h"
#include "net/keyring.h"

#include <libintl.h>
#include <stdio.h>

#define _(s) gettext(s)

int daemon_load_key(struct daemon *d, const struct configuration *c, struct daemon_trouble *trouble)
{
	char path[PLACE_BYTES];
	struct text t = TEXT_OVER(path);
	bool wanted = false, make = !d->services; /* the sandbox lets no file be made here later */
	int err;

	for (unsigned i = 0; i < c->services; i++)
		wanted = wanted || c->service[i].common.tls;
	if (!wanted || d->key)
		return 0;
	err = keyring_key(&d->key, make);
	if (err && keyring_path(&t, "key.pem") == 0)
		snprintf(trouble->message, sizeof trouble->message, "%s: %s", path,
			 _(err_text(err)));
	return err;
}

unsigned daemon_key_paths(const struct daemon *d, struct service_path *paths, unsigned most)
{
	unsigned count = 0;

	for (unsigned i = 0; i < d->services && count < most; i++) {
		const char *path = running_configuration(d->service[i])->keys_path;

		if (path)
			paths[count++] = (struct service_path){.path = path, .beside = true};
	}
	return count;
}

void daemon_rekey(struct daemon *d, struct configuration *c)
{
	for (unsigned i = 0; i < d->services; i++)
		for (unsigned k = 0; k < c->services; k++)
			if (running_configuration(d->service[i])->row == c->service[k].row)
				running_rekey(d->service[i], &c->service[k]);
}

bool daemon_fingerprint(const struct daemon *d, struct key_digest *digest)
{
	bool shown = false;

	for (unsigned i = 0; i < d->services && d->key; i++)
		shown = shown || running_configuration(d->service[i])->common.tls;
	if (shown)
		*digest = tls_key_digest(d->key);
	return shown;
}
