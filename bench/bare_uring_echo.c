/* The limit for echo over TCP through io_uring: multishot accept, multishot recv into a ring of
 * provided buffers, one send a request, completions run only when asked for (deferred task run,
 * single issuer). Submissions and the wait are one system call a turn.
 *
 * Sends of one connection may overtake each other when a client sends without waiting for its
 * answers: no client of the benchmarks does. Source: io_uring_setup(2), io_uring_enter(2). */
#include "bare.h"

#include <liburing.h>

enum { ENTRIES = 4096, BUFFERS = 4096, BUFFER_BYTES = 2048, GROUP = 0 };
enum { OP_ACCEPT, OP_RECV, OP_SEND };

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static unsigned given;

static char *buffer_at(unsigned id)
{
	return memory + (size_t)id * BUFFER_BYTES;
}

static void give_buffer(unsigned id)
{
	io_uring_buf_ring_add(buffers, buffer_at(id), BUFFER_BYTES, (unsigned short)id,
			      io_uring_buf_ring_mask(BUFFERS), (int)given++);
}

static struct io_uring_sqe *next_sqe(void)
{
	if (io_uring_sq_space_left(&ring) == 0)
		io_uring_submit(&ring);
	return io_uring_get_sqe(&ring);
}

static uint64_t tag(unsigned op, int fd, unsigned id)
{
	return (uint64_t)op << 56 | (uint64_t)id << 32 | (uint32_t)fd;
}

static void want_accept(int listener)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
	sqe->user_data = tag(OP_ACCEPT, listener, 0);
}

static void want_recv(int fd)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = GROUP;
	sqe->user_data = tag(OP_RECV, fd, 0);
}

static void want_send(int fd, unsigned id, size_t len)
{
	struct io_uring_sqe *sqe = next_sqe();

	io_uring_prep_send(sqe, fd, buffer_at(id), len, MSG_NOSIGNAL | MSG_WAITALL);
	sqe->user_data = tag(OP_SEND, fd, id);
}

static void received(int fd, const struct io_uring_cqe *cqe)
{
	if (cqe->res > 0)
		want_send(fd, cqe->flags >> IORING_CQE_BUFFER_SHIFT, (size_t)cqe->res);
	else if (cqe->res != -ENOBUFS)
		close(fd);
	if (!(cqe->flags & IORING_CQE_F_MORE) && (cqe->res > 0 || cqe->res == -ENOBUFS))
		want_recv(fd);
}

static void accepted(int listener, const struct io_uring_cqe *cqe)
{
	int one = 1;

	if (cqe->res >= 0) {
		setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		want_recv(cqe->res);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		want_accept(listener);
}

static void completed(const struct io_uring_cqe *cqe)
{
	int fd = (int)(uint32_t)cqe->user_data;
	unsigned op = (unsigned)(cqe->user_data >> 56);

	if (op == OP_RECV)
		received(fd, cqe);
	else if (op == OP_ACCEPT)
		accepted(fd, cqe);
	else
		give_buffer(cqe->user_data >> 32 & 0xffff);
}

static void set_up(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE,
		.cq_entries = 4 * ENTRIES,
	};
	struct io_uring_buf_reg reg = {.ring_entries = BUFFERS, .bgid = GROUP};

	errno = -io_uring_queue_init_params(ENTRIES, &ring, &params);
	if (errno)
		bare_die("io_uring_queue_init_params");
	io_uring_register_ring_fd(&ring);
	buffers = aligned_alloc(4096, BUFFERS * sizeof(struct io_uring_buf));
	memory = malloc((size_t)BUFFERS * BUFFER_BYTES);
	reg.ring_addr = (uintptr_t)buffers;
	errno = -io_uring_register_buf_ring(&ring, &reg, 0);
	if (errno || !buffers || !memory)
		bare_die("io_uring_register_buf_ring");
	io_uring_buf_ring_init(buffers);
	for (unsigned id = 0; id < BUFFERS; id++)
		give_buffer(id);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: bare_uring_echo PORT\n");
		return 2;
	}
	bare_raise_descriptors();
	set_up();
	want_accept(bare_listen(argv[1], SOCK_STREAM, 0));
	for (;;) {
		struct io_uring_cqe *cqe;
		unsigned head, count = 0;

		io_uring_buf_ring_advance(buffers, (int)given);
		given = 0;
		io_uring_submit_and_wait(&ring, 1);
		io_uring_for_each_cqe(&ring, head, cqe)
		{
			completed(cqe);
			count++;
		}
		io_uring_cq_advance(&ring, count);
	}
}
