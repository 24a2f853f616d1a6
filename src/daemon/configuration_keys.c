/* Whom a service lets in: the authorized_keys of its block, or, for one that takes or shows data,
 * that of the configuration directory when there is one. Read and checked with the configuration,
 * so that a mistake in it keeps the daemon from starting, or the old list in force. */
#include "daemon/configuration_file.h"

#include "base/err.h"
#include "net/keyring.h"

#include <libintl.h>
#include <stdlib.h>

#define _(s) gettext(s)

static bool configuration_is_service(struct bytes name)
{
	char word[32];

	if (!name.len || name.len >= sizeof word)
		return false;
	memcpy(word, name.data, name.len);
	word[name.len] = '\0';
	return service_find(word) != NULL;
}

/* Whether the file of the configuration directory is meant where none is named: not for browsers,
 * which have no key to show (the dashboard asks for a token). */
static bool configuration_keys_by_default(const struct configuration_service *s)
{
	return s->row->reach == SERVICE_PRIVATE && strcmp(s->row->name, "http") != 0;
}

/* The file's path, the caller's to free, or NULL when there is none to read. */
static int configuration_keys_path(const struct configuration_service *s, char **path)
{
	char found[PLACE_BYTES];
	struct text t = TEXT_OVER(found);

	*path = NULL;
	if (!s->common.authorized_keys &&
	    (!configuration_keys_by_default(s) || keyring_path(&t, "authorized_keys") != 0))
		return 0;
	*path = strdup(s->common.authorized_keys ? s->common.authorized_keys : found);
	return *path ? 0 : ERR_MEMORY;
}

static int configuration_check_keys(struct configuration *c, const struct configuration_service *s)
{
	unsigned line;
	int err = keys_check_authorised(bytes_of(s->keys, s->keys_len), configuration_is_service,
					&line);

	if (err)
		configuration_say(c, _("%s:%u: expected FINGERPRINT SERVICE[,SERVICE]"),
				  s->keys_path, line);
	return err;
}

int configuration_read_keys(struct configuration *c, struct configuration_service *s)
{
	char who[CONFIGURATION_MESSAGE_BYTES];
	struct text w = TEXT_OVER(who);
	int err;

	configuration_put_who(&w, c, s, s->keys_line);
	if (!s->common.tls && s->common.authorized_keys) {
		configuration_say(c, _("%s: authorized_keys is for tls = yes"), who);
		return ERR_SYNTAX;
	}
	if (s->common.tls && (s->common.udp || !(s->row->transports & SERVICE_TCP))) {
		configuration_say(c, _("%s: TLS goes over TCP only"), who);
		return ERR_SYNTAX;
	}
	err = s->common.tls ? configuration_keys_path(s, &s->keys_path) : 0;
	if (err || !s->keys_path)
		return err;
	err = keyring_read(s->keys_path, false, &s->keys, &s->keys_len);
	if (err == ERR_NO_FILE && !s->common.authorized_keys)
		return 0;
	if (!err)
		return configuration_check_keys(c, s);
	configuration_say(c, "%s: %s: %s", who, s->keys_path, _(err_text(err)));
	snprintf(c->advice, sizeof c->advice,
		 _("a path that is there, with the rights to use it, in the block `%s`"),
		 s->row->name);
	return err_exit(err) == 9 ? err : ERR_SYNTAX;
}

void configuration_free_keys(struct configuration_service *s)
{
	free((void *)(uintptr_t)s->common.authorized_keys);
	free(s->keys_path);
	free(s->keys);
	configuration_leave_keys(s);
}

void configuration_leave_keys(struct configuration_service *s)
{
	s->common.authorized_keys = NULL;
	s->keys_path = s->keys = NULL;
	s->keys_len = 0;
}
