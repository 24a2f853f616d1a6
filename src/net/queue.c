/* The queue is a list of nodes, each either a 16 KiB block of bytes or a slice of a file. A block
 * is filled before the next is taken, whatever the size of the writes that were not sent: behind a
 * full socket they would be joined by the kernel too, and a block for each would cost thousands of
 * times their bytes.
 *
 * Sources: send(2), sendfile(2). */
#include "net/queue.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

enum { QUEUE_BLOCK_BYTES = 16384, QUEUE_TURN_BYTES = 2 << 20 };

/* In the place of a file's descriptor. */
enum { QUEUE_BYTES = -1, QUEUE_SEALED = -2 };

struct queue_node {
	struct queue_node *next;
	uint64_t offset;    /* of the file */
	uint64_t len;       /* still to send */
	uint32_t from, end; /* of the block's bytes: sent up to, filled up to */
	int handle;         /* of a file, or QUEUE_BYTES, QUEUE_SEALED: the bytes are here */
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

/* Behind `before`; NULL: in front of all. */
static struct queue_node *queue_insert(struct queue *q, struct queue_pool *pool, int handle,
				       struct queue_node *before)
{
	struct queue_node *node = handle < 0 ? slab_take(&pool->blocks) : calloc(1, sizeof *node);
	struct queue_node **link = before ? &before->next : &q->head;

	if (!node)
		return NULL;
	node->handle = handle;
	node->next = *link;
	*link = node;
	if (!node->next)
		q->tail = node;
	return node;
}

static struct queue_node *queue_append(struct queue *q, struct queue_pool *pool, int handle)
{
	return queue_insert(q, pool, handle, q->tail);
}

static void queue_drop_head(struct queue *q, struct queue_pool *pool)
{
	struct queue_node *node = q->head;

	q->head = node->next;
	if (!q->head)
		q->tail = NULL;
	if (node->handle < 0) {
		slab_give(&pool->blocks, node);
	} else {
		close(node->handle);
		free(node);
	}
}

/* Fills the block with what it has room for; returns the rest of `b`. */
static struct bytes queue_fill(struct queue *q, struct queue_node *node, struct bytes b)
{
	struct bytes part = bytes_first(b, QUEUE_DATA_BYTES - node->end);

	memcpy(node->data + node->end, part.data, part.len);
	node->end += (uint32_t)part.len;
	node->len += part.len;
	q->bytes += part.len;
	return bytes_after(b, part.len);
}

int queue_put(struct queue *q, struct queue_pool *pool, struct bytes b)
{
	while (b.len) {
		struct queue_node *node = q->tail;

		if (!node || node->handle != QUEUE_BYTES || node->end == QUEUE_DATA_BYTES)
			node = queue_append(q, pool, QUEUE_BYTES);
		if (!node)
			return ERR_MEMORY;
		b = queue_fill(q, node, b);
	}
	return 0;
}

bool queue_is_sealed(const struct queue *q)
{
	return q->head && q->head->handle == QUEUE_SEALED;
}

int queue_put_sealed(struct queue *q, struct queue_pool *pool, struct bytes b)
{
	struct queue_node *last = queue_is_sealed(q) ? q->head : NULL;

	while (last && last->next && last->next->handle == QUEUE_SEALED)
		last = last->next;
	while (b.len) {
		if (!last || last->end == QUEUE_DATA_BYTES)
			last = queue_insert(q, pool, QUEUE_SEALED, last);
		if (!last)
			return ERR_MEMORY;
		b = queue_fill(q, last, b);
	}
	return 0;
}

int queue_put_file(struct queue *q, struct queue_pool *pool, int handle, uint64_t offset,
		   uint64_t len)
{
	struct queue_node *node;

	if (!len)
		return 0;
	handle = fcntl(handle, F_DUPFD_CLOEXEC, 0);
	if (handle < 0)
		return err_from_errno(errno);
	node = queue_append(q, pool, handle);
	if (!node) {
		close(handle);
		return ERR_MEMORY;
	}
	node->offset = offset;
	node->len = len;
	q->bytes += len;
	return 0;
}

/* As sendfile(2), but that the end of the file is an error. */
static ssize_t queue_sendfile(int fd, int handle, uint64_t from, uint64_t len)
{
	off_t offset = (off_t)from;
	ssize_t sent = sendfile(fd, handle, &offset,
				len < QUEUE_TURN_BYTES ? len : QUEUE_TURN_BYTES);

	if (sent == 0)
		errno = EIO; /* it is shorter than it was: the length promised cannot be kept */
	return sent == 0 ? -1 : sent;
}

int64_t queue_send_file(int fd, int handle, uint64_t offset, uint64_t len)
{
	ssize_t sent;

	do {
		sent = queue_sendfile(fd, handle, offset, len);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : err_from_errno(errno);
	return sent;
}

static ssize_t queue_send_node(struct queue_node *node, int fd)
{
	if (node->handle >= 0)
		return queue_sendfile(fd, node->handle, node->offset, node->len);
	return send(fd, node->data + node->from, node->len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* So much of the head is done with. */
static void queue_advance(struct queue *q, struct queue_pool *pool, size_t n)
{
	struct queue_node *node = q->head;

	node->len -= n;
	node->offset += n;
	node->from += node->handle < 0 ? (uint32_t)n : 0;
	q->bytes -= n;
	if (!node->len)
		queue_drop_head(q, pool);
}

/* Sends the head. Returns what it took, 0 when the kernel is full, or an ERR_. */
static int64_t queue_send_head(struct queue *q, struct queue_pool *pool, int fd)
{
	ssize_t sent;

	do {
		sent = queue_send_node(q->head, fd);
	} while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return errno == EAGAIN ? 0 : err_from_errno(errno);
	queue_advance(q, pool, (size_t)sent);
	return sent;
}

int64_t queue_send(struct queue *q, struct queue_pool *pool, int fd)
{
	int64_t total = 0;

	while (q->head && total < QUEUE_TURN_BYTES) {
		const struct queue_node *node = q->head;
		int64_t sent = queue_send_head(q, pool, fd);

		if (sent < 0)
			return sent;
		total += sent;
		if (q->head == node) /* the kernel took a part */
			return total;
	}
	return total;
}

int64_t queue_send_sealed(struct queue *q, struct queue_pool *pool, int fd)
{
	int64_t total = 0;

	while (queue_is_sealed(q)) {
		int64_t sent = queue_send_head(q, pool, fd);

		if (sent < 0)
			return sent;
		if (!sent)
			return total;
		total += sent;
	}
	return total;
}

static ssize_t queue_read_node(const struct queue_node *node, uint8_t *data, size_t len)
{
	ssize_t n;

	if (node->len < len)
		len = (size_t)node->len;
	if (node->handle < 0) {
		memcpy(data, node->data + node->from, len);
		return (ssize_t)len;
	}
	do {
		n = pread(node->handle, data, len, (off_t)node->offset);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		errno = EIO; /* as in queue_send_node */
	return n == 0 ? -1 : n;
}

int64_t queue_take(struct queue *q, struct queue_pool *pool, uint8_t *data, size_t len)
{
	size_t taken = 0;

	while (q->head && taken < len) {
		ssize_t n = queue_read_node(q->head, data + taken, len - taken);

		if (n < 0)
			return err_from_errno(errno);
		taken += (size_t)n;
		queue_advance(q, pool, (size_t)n);
	}
	return (int64_t)taken;
}

void queue_clear(struct queue *q, struct queue_pool *pool)
{
	while (q->head)
		queue_drop_head(q, pool);
	q->bytes = 0;
}
