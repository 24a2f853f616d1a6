/* A service's TLS: its context, which all workers share, and whom it lets in. */
#include "daemon/running_parts.h"

#include "base/err.h"

#include <stdlib.h>

/* In the thread of whichever worker has the connection. */
static int running_judge(void *owner, const struct key_digest *key)
{
	struct running *r = owner;
	struct configuration_service *s = &r->configuration;
	int err;

	pthread_mutex_lock(&r->keys_lock);
	err = keys_authorise(bytes_of(s->keys, s->keys_len), key,
			     bytes_of_string(running_row(r)->name));
	pthread_mutex_unlock(&r->keys_lock);
	return err;
}

/* What only prise's own clients speak to with TLS: these all know 1.3. */
static bool running_is_ours_alone(const struct running *r)
{
	static const char *const names[] = {"role", "collect", "cast"};

	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(running_row(r)->name, names[i]) == 0)
			return true;
	return false;
}

int running_open_tls(struct running *r)
{
	bool keyed = r->configuration.keys != NULL;
	struct tls_settings settings = {
		.server = true,
		.old_peers = !running_is_ours_alone(r) &&
			     (running_row(r)->reach == SERVICE_PUBLIC || !keyed),
		.wants_key = keyed,
		.alpn = strcmp(running_row(r)->name, "http") == 0 ? "http/1.1" : NULL,
		.key = r->plan.key,
		.judge = keyed ? running_judge : NULL,
		.owner = r,
	};

	if (!r->configuration.common.tls)
		return 0;
	return r->plan.key ? tls_context_create(&r->tls, &settings) : ERR_KEY_FILE;
}

static void running_judge_share(void *argument)
{
	struct running_share *share = argument;

	if (share->pump)
		pump_judge_again(share->pump, running_judge, share->running);
}

void running_rekey(struct running *r, struct configuration_service *wanted)
{
	struct configuration_service *s = &r->configuration;
	char *old = s->keys;

	if (!s->keys || !wanted->keys)
		return;
	pthread_mutex_lock(&r->keys_lock);
	s->keys = wanted->keys;
	s->keys_len = wanted->keys_len;
	pthread_mutex_unlock(&r->keys_lock);
	wanted->keys = old;
	for (unsigned i = 0; i < r->shares; i++)
		worker_call(r->share[i].worker, running_judge_share, &r->share[i]);
}
