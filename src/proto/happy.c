/* Happy Eyeballs, the deciding half (RFC 8305 sections 4 and 5).
 *
 *    waiting ──next──► running ──win───► won        all others are closed
 *                         └──────fail──► failed     the next starts at once
 *
 *   0 ms          250 ms         500 ms
 *   ├─ v6 first ───────────────────────► still silent
 *                 ├─ v4 first ──► won
 *
 * Limits: HAPPY_MOST addresses. Resolution is one answer for both families, so the Resolution Delay
 * of section 3 has no place here; the First Address Family Count is 1. */
#include "proto/happy.h"

#include "base/err.h"
#include "base/moment.h"

#include <assert.h>

static bool is_v6(const struct address *a)
{
	return a->family == ADDRESS_V6;
}

/* The next address of family `v6` at or after `at`, or `count`. */
static unsigned find_family(const struct address *address, unsigned count, unsigned at, bool v6)
{
	while (at < count && is_v6(&address[at]) != v6)
		at++;
	return at;
}

void happy_interleave(struct address *address, unsigned count)
{
	struct address mixed[HAPPY_MOST];
	unsigned at[2] = {0, 0}; /* v4, v6: how far each was taken */
	bool v6 = count > 0 && is_v6(&address[0]);

	assert(count <= HAPPY_MOST);
	for (unsigned i = 0; i < count; i++, v6 = !v6) {
		unsigned found = find_family(address, count, at[v6], v6);

		if (found == count) {
			v6 = !v6;
			found = find_family(address, count, at[v6], v6);
		}
		mixed[i] = address[found];
		at[v6] = found + 1;
	}
	memcpy(address, mixed, count * sizeof(*address));
}

void happy_begin(struct happy *h, unsigned count, uint64_t now_ns)
{
	assert(count <= HAPPY_MOST);
	*h = (struct happy){.count = count, .winner = HAPPY_NONE, .next_ns = now_ns};
}

uint64_t happy_due(const struct happy *h)
{
	return happy_over(h) || h->started == h->count ? MOMENT_NEVER : h->next_ns;
}

int happy_next(struct happy *h, uint64_t now_ns)
{
	if (now_ns < happy_due(h))
		return HAPPY_NONE;
	h->state[h->started] = HAPPY_RUNNING;
	h->next_ns = now_ns + HAPPY_DELAY_MS * MOMENT_MS;
	return (int)h->started++;
}

void happy_fail(struct happy *h, unsigned index, int err, uint64_t now_ns)
{
	assert(index < h->started && h->state[index] == HAPPY_RUNNING);
	h->state[index] = HAPPY_FAILED;
	h->err[index] = err;
	h->next_ns = now_ns;
}

bool happy_win(struct happy *h, unsigned index)
{
	assert(index < h->started && h->state[index] == HAPPY_RUNNING);
	if (h->winner != HAPPY_NONE)
		return false;
	h->state[index] = HAPPY_WON;
	h->winner = (int)index;
	return true;
}

void happy_give_up(struct happy *h)
{
	h->given_up = true;
	for (unsigned i = 0; i < h->started; i++) {
		if (h->state[i] != HAPPY_RUNNING)
			continue;
		h->state[i] = HAPPY_FAILED;
		h->err[i] = ERR_TIMEOUT;
	}
}

bool happy_over(const struct happy *h)
{
	if (h->winner != HAPPY_NONE || h->given_up)
		return true;
	for (unsigned i = 0; i < h->count; i++)
		if (h->state[i] != HAPPY_FAILED)
			return false;
	return true;
}

/* The lower, the more telling. What is not named here is this machine's own refusal to try. */
static unsigned rank(int err)
{
	static const int by_rank[] = {ERR_REFUSED, ERR_RESET,    ERR_PROHIBITED, ERR_UNREACHABLE,
				      ERR_TIMEOUT, ERR_NO_ROUTE, ERR_NO_FAMILY};

	for (unsigned i = 0; i < sizeof(by_rank) / sizeof(by_rank[0]); i++)
		if (err == by_rank[i])
			return i + 1;
	return 0;
}

int happy_error(const struct happy *h)
{
	int telling = 0;

	if (h->winner != HAPPY_NONE)
		return 0;
	for (unsigned i = 0; i < h->started; i++) {
		if (h->state[i] != HAPPY_FAILED)
			continue;
		if (telling == 0 || rank(h->err[i]) < rank(telling))
			telling = h->err[i];
	}
	if (telling == 0)
		return h->given_up && h->count > 0 ? ERR_TIMEOUT : ERR_NO_ADDRESS;
	return telling;
}
