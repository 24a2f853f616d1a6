/* What a connection has to send and the kernel has not yet taken: bytes copied into blocks and
 * slices of files, in order. Bounded by whoever fills it (net/pump.c stops reading above a mark).
 */
#ifndef NET_QUEUE_H
#define NET_QUEUE_H

#include "base/bytes.h"
#include "base/slab.h"

struct queue_node;

/* Blocks of all queues of one loop. */
struct queue_pool {
	struct slab blocks;
};

struct queue {
	struct queue_node *head, *tail;
	uint64_t bytes; /* still to send, files included */
};

void queue_pool_init(struct queue_pool *pool);
void queue_pool_end(struct queue_pool *pool);

static inline bool queue_is_empty(const struct queue *q)
{
	return q->bytes == 0;
}

/* Appends a copy of `b`. 0, or ERR_MEMORY: part of it may be in, so the connection must end. */
int queue_put(struct queue *q, struct queue_pool *pool, struct bytes b);

/* Appends `len` bytes of the file `handle` from `offset`. 0 or ERR_MEMORY. */
int queue_put_file(struct queue *q, struct queue_pool *pool, int handle, uint64_t offset,
		   uint64_t len);

/* Sends what the socket `fd` takes without waiting, at most about 1 MiB. Returns bytes sent (>= 0),
 * or the ERR_ that ended it: ERR_RESET, ERR_DISK (a file shorter than promised), ... */
int64_t queue_send(struct queue *q, struct queue_pool *pool, int fd);

void queue_clear(struct queue *q, struct queue_pool *pool);

#endif
