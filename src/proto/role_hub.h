/* The hub of role: who is here, in which order, who is principal, under which epoch and lease.
 * Pure: it takes messages of its machines (by their ids), of its owner and of the clock, and
 * answers with tells to machines by id and to OUT_OWNER, events and a deadline; never with bytes.
 *
 *   machines ── JOIN NAME BEAT BYE LEAVE ──►┌─────┐── WORD_ LINE_ BEATEN FULL ──► machines
 *                        clock ── tick ──►  │ hub │
 *   owner ── PERSISTED ────────────────────►└─────┘── PERSIST ──► owner (disk)
 *
 * Joining, leaving and a promotion take a constant time. So does finding a place in the line of
 * succession near either of its ends; in the middle it takes as long as the nearer end is far.
 *
 * A holder keeps these rules; two principals at a time are possible where they are broken:
 *  - `now` is read after the bytes that a message stems from were received: a beat that was on its
 *    way while the clock was read would count from before it was sent. Refresh it for ROLE_BEAT.
 *  - A machine's messages and the tells to it keep their order, and ROLE_LEAVE comes last: a
 *    ROLE_JOIN that arrives after its machine is gone would stay for ever.
 *  - PERSISTED says 0 only once the record would survive a power cut. Until then, and after an
 *    error, the disk may hold either record.
 *  - One hub a record. */
#ifndef PROTO_ROLE_HUB_H
#define PROTO_ROLE_HUB_H

#include "proto/role.h"

enum {
	ROLE_HUB_CAPACITY_MOST = 1 << 24,
	ROLE_REST_MS = 50, /* between records that nobody waits for */
};

struct role_hub;

/* Memory for a hub of `capacity` members, 1 to ROLE_HUB_CAPACITY_MOST. */
size_t role_hub_bytes(uint32_t capacity);

/* Makes a hub in `mem`, which is aligned to 16, has role_hub_bytes(capacity) and need not be
 * zeroed; it touches only what it uses. `lease_ms` is within ROLE_LEASE_LEAST_MS and
 * ROLE_LEASE_MOST_MS. `record` is what the disk remembers. With a lease on it nobody is appointed
 * until that long from `now`. Call role_hub_tick next: it sets the deadline. */
struct role_hub *role_hub_init(void *mem, uint32_t capacity, uint64_t lease_ms,
			       const struct role_record *record, const struct moment *now);

/* A message `from` a machine by its id, or from OUT_OWNER. `out` was just reset. Of strangers only
 * ROLE_JOIN counts; what makes no sense is ignored. */
void role_hub_tell(struct role_hub *hub, uint64_t from, const struct message *message,
		   struct out *out, const struct moment *now);

/* The deadline set by out_deadline has passed; calling it at any other time is harmless. */
void role_hub_tick(struct role_hub *hub, struct out *out, const struct moment *now);

/* The newest epoch that is on disk for certain: the newest that anybody may be told. */
uint64_t role_hub_epoch(const struct role_hub *hub);

uint32_t role_hub_members(const struct role_hub *hub);

/* One member as a dashboard shows it. */
struct role_view {
	uint64_t id;
	uint64_t age; /* smaller is older */
	uint32_t priority;
	bool structured;
	bool principal;    /* it was told so */
	bool stale;        /* it lost its lease and has not beaten since: not to be appointed */
	struct bytes name; /* empty when plain; the hub's, until the next message */
};

/* Goes through the members: the principal first, then in order of succession. Start with a `cursor`
 * of 0; false at the end. No message may come in between. */
bool role_hub_each(const struct role_hub *hub, uint32_t *cursor, struct role_view *view);

#endif
