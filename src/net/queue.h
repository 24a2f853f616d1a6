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

/* Under TLS what is ciphertext already stands in front of what is still to be encrypted. */
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

/* Appends `len` bytes of the file `handle` from `offset`; the queue keeps a descriptor of its own.
 * 0, ERR_MEMORY, ERR_DESCRIPTORS. */
int queue_put_file(struct queue *q, struct queue_pool *pool, int handle, uint64_t offset,
		   uint64_t len);

/* Sends of a file what the socket takes without waiting, at most about 2 MiB, past any queue. As
 * queue_send. */
int64_t queue_send_file(int fd, int handle, uint64_t offset, uint64_t len);

/* Sends what the socket `fd` takes without waiting, at most about 2 MiB. Returns bytes sent (>= 0),
 * or the ERR_ that ended it: ERR_RESET, ERR_DISK (a file shorter than promised), ... */
int64_t queue_send(struct queue *q, struct queue_pool *pool, int fd);

/* Appends ciphertext behind the ciphertext in front. As queue_put. */
int queue_put_sealed(struct queue *q, struct queue_pool *pool, struct bytes b);

/* Whether there is ciphertext to send. */
bool queue_is_sealed(const struct queue *q);

/* As queue_send, but only ciphertext. */
int64_t queue_send_sealed(struct queue *q, struct queue_pool *pool, int fd);

/* Takes up to `len` bytes that are to be encrypted from the front, where no ciphertext stands.
 * Returns how many, or ERR_DISK, ... of a file. */
int64_t queue_take(struct queue *q, struct queue_pool *pool, uint8_t *data, size_t len);

void queue_clear(struct queue *q, struct queue_pool *pool);

#endif
