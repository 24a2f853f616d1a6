/* The count of open connections is one atomic that all loops share; sources and rate, which few
 * services limit, stand behind a mutex. */
#include "net/gate.h"

#include "base/err.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { GATE_BUCKETS = 4096 };

struct gate_source {
	struct gate_source *next;
	uint64_t open;
	uint8_t ip[16];
	uint8_t family;
};

struct gate {
	struct gate_limits limits;
	atomic_ullong open;
	atomic_ullong refused;
	atomic_bool awaited; /* somebody found it full */
	pthread_mutex_t lock;
	uint64_t full_ns; /* the rate's bucket: when it will be full again */
	struct gate_source *bucket[GATE_BUCKETS];
};

int gate_create(struct gate **created, const struct gate_limits *limits)
{
	struct gate *gate = calloc(1, sizeof *gate);

	if (!gate)
		return ERR_MEMORY;
	gate->limits = *limits;
	pthread_mutex_init(&gate->lock, NULL);
	*created = gate;
	return 0;
}

void gate_destroy(struct gate *gate)
{
	struct gate_source *next;

	if (!gate)
		return;
	for (unsigned i = 0; i < GATE_BUCKETS; i++)
		for (struct gate_source *s = gate->bucket[i]; s; s = next) {
			next = s->next;
			free(s);
		}
	pthread_mutex_destroy(&gate->lock);
	free(gate);
}

static bool gate_take_token(struct gate *gate, const struct moment *now)
{
	uint64_t token_ns = MOMENT_S / gate->limits.per_second;
	uint64_t burst_ns = 2 * gate->limits.per_second * token_ns;
	bool taken;

	pthread_mutex_lock(&gate->lock);
	if (gate->full_ns < now->boot_ns)
		gate->full_ns = now->boot_ns;
	taken = gate->full_ns + token_ns <= now->boot_ns + burst_ns;
	if (taken)
		gate->full_ns += token_ns;
	pthread_mutex_unlock(&gate->lock);
	return taken;
}

enum gate_verdict gate_enter(struct gate *gate, const struct moment *now)
{
	if (gate->limits.per_second && !gate_take_token(gate, now))
		return GATE_TOO_FAST;
	if (!gate->limits.open) {
		atomic_fetch_add(&gate->open, 1);
		return GATE_IN;
	}
	if (atomic_fetch_add(&gate->open, 1) < gate->limits.open)
		return GATE_IN;
	/* Say that somebody waits before giving the place back: whoever leaves after that sees it.
	 */
	atomic_store(&gate->awaited, true);
	if (atomic_fetch_sub(&gate->open, 1) > gate->limits.open)
		return GATE_FULL;
	if (atomic_fetch_add(&gate->open, 1) < gate->limits.open)
		return GATE_IN;
	atomic_fetch_sub(&gate->open, 1);
	return GATE_FULL;
}

bool gate_is_rated(const struct gate *gate)
{
	return gate->limits.per_second != 0;
}

/* What counts as one source: a v4 address, or a v6 /64. */
static struct gate_source **gate_find(struct gate *gate, const struct address *remote)
{
	size_t len = remote->family == ADDRESS_V6 ? 8 : 4;
	uint64_t h = remote->family;
	struct gate_source **link;

	for (size_t i = 0; i < len; i++)
		h = (h ^ remote->ip[i]) * 0x100000001b3u;
	link = &gate->bucket[(h ^ h >> 32) % GATE_BUCKETS];
	while (*link &&
	       ((*link)->family != remote->family || memcmp((*link)->ip, remote->ip, len) != 0))
		link = &(*link)->next;
	return link;
}

bool gate_admit(struct gate *gate, const struct address *remote)
{
	struct gate_source **link;
	bool admitted = false;

	if (!gate->limits.per_source || remote->family == ADDRESS_UNIX)
		return true;
	pthread_mutex_lock(&gate->lock);
	link = gate_find(gate, remote);
	if (!*link) {
		*link = calloc(1, sizeof **link);
		if (*link) {
			(*link)->family = remote->family;
			memcpy((*link)->ip, remote->ip, sizeof remote->ip);
		}
	}
	if (*link && (*link)->open < gate->limits.per_source) {
		(*link)->open++;
		admitted = true;
	}
	pthread_mutex_unlock(&gate->lock);
	if (!admitted)
		atomic_fetch_add(&gate->refused, 1);
	return admitted;
}

static void gate_forget(struct gate *gate, const struct address *remote)
{
	struct gate_source **link, *source;

	pthread_mutex_lock(&gate->lock);
	link = gate_find(gate, remote);
	source = *link;
	if (source && --source->open == 0) {
		*link = source->next;
		free(source);
	}
	pthread_mutex_unlock(&gate->lock);
}

bool gate_leave(struct gate *gate, const struct address *remote)
{
	if (remote && gate->limits.per_source && remote->family != ADDRESS_UNIX)
		gate_forget(gate, remote);
	atomic_fetch_sub(&gate->open, 1);
	return atomic_load(&gate->awaited) && atomic_exchange(&gate->awaited, false);
}

uint64_t gate_open(const struct gate *gate)
{
	return atomic_load(&gate->open);
}

uint64_t gate_refused(const struct gate *gate)
{
	return atomic_load(&gate->refused);
}
