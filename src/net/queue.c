/* The queue is a list of nodes, each either a 16 KiB block of bytes or a slice of a file. A block
 * is filled before the next is taken, whatever the size of the writes that were not sent: behind a
 * full socket they would be joined by the kernel too, and a block for each would cost thousands of
 * times their bytes.
 *
 * Sources: send(2), sendfile(2). */
#include "net/queue.h"

#include "base/err.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

enum { QUEUE_BLOCK_BYTES = 16384, QUEUE_TURN_BYTES = 1 << 20 };

struct queue_node {
	struct queue_node *next;
	uint64_t offset;    /* of the file */
	uint64_t len;       /* still to send */
	uint32_t from, end; /* of the block's bytes: sent up to, filled up to */
	int handle;         /* of a file, or -1: the bytes are here */
	uint8_t data[];
};

enum { QUEUE_DATA_BYTES = QUEUE_BLOCK_BYTES - sizeof(struct queue_node) };

void queue_pool_init(struct queue_pool *pool)
{
	slab_init(&pool->blocks, QUEUE_BLOCK_BYTES);
}

void queue_pool_end(struct queue_pool *pool)
{
	slab_end(&pool->blocks);
}

static struct queue_node *queue_append(struct queue *q, struct queue_pool *pool, int handle)
{
	struct queue_node *node = handle < 0 ? slab_take(&pool->blocks) : calloc(1, sizeof *node);

	if (!node)
		return NULL;
	node->handle = handle;
	if (q->tail)
		q->tail->next = node;
	else
		q->head = node;
	q->tail = node;
	return node;
}

static void queue_drop_head(struct queue *q, struct queue_pool *pool)
{
	struct queue_node *node = q->head;

	q->head = node->next;
	if (!q->head)
		q->tail = NULL;
	if (node->handle < 0)
		slab_give(&pool->blocks, node);
	else
		free(node);
}

int queue_put(struct queue *q, struct queue_pool *pool, struct bytes b)
{
	while (b.len) {
		struct queue_node *node = q->tail;
		struct bytes part;

		if (!node || node->handle >= 0 || node->end == QUEUE_DATA_BYTES)
			node = queue_append(q, pool, -1);
		if (!node)
			return ERR_MEMORY;
		part = bytes_first(b, QUEUE_DATA_BYTES - node->end);
		memcpy(node->data + node->end, part.data, part.len);
		node->end += (uint32_t)part.len;
		node->len += part.len;
		q->bytes += part.len;
		b = bytes_after(b, part.len);
	}
	return 0;
}

int queue_put_file(struct queue *q, struct queue_pool *pool, int handle, uint64_t offset,
		   uint64_t len)
{
	struct queue_node *node;

	if (!len)
		return 0;
	node = queue_append(q, pool, handle);
	if (!node)
		return ERR_MEMORY;
	node->offset = offset;
	node->len = len;
	q->bytes += len;
	return 0;
}

static ssize_t queue_send_node(struct queue_node *node, int fd)
{
	off_t offset = (off_t)node->offset;
	ssize_t sent;

	if (node->handle < 0)
		return send(fd, node->data + node->from, node->len, MSG_NOSIGNAL | MSG_DONTWAIT);
	sent = sendfile(fd, node->handle, &offset,
			node->len < QUEUE_TURN_BYTES ? node->len : QUEUE_TURN_BYTES);
	if (sent == 0)
		errno = EIO; /* the file is shorter than it was: the length promised cannot be kept
			      */
	return sent == 0 ? -1 : sent;
}

int64_t queue_send(struct queue *q, struct queue_pool *pool, int fd)
{
	int64_t total = 0;

	while (q->head && total < QUEUE_TURN_BYTES) {
		struct queue_node *node = q->head;
		ssize_t sent = queue_send_node(node, fd);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? total : err_from_errno(errno);
		total += sent;
		node->len -= (uint64_t)sent;
		node->offset += (uint64_t)sent;
		node->from += node->handle < 0 ? (uint32_t)sent : 0;
		q->bytes -= (uint64_t)sent;
		if (node->len)
			return total;
		queue_drop_head(q, pool);
	}
	return total;
}

void queue_clear(struct queue *q, struct queue_pool *pool)
{
	while (q->head)
		queue_drop_head(q, pool);
	q->bytes = 0;
}
