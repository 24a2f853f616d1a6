/* Prise's side of the helper: numbers its programs, sends it requests, calls back with its answers.
 *
 * A request is sent at once; one that the socket has no place for waits in a queue here, its
 * descriptors duplicated, until the loop says that there is. Limits: 4,096 programs at a time, 4
 * MiB of waiting requests. Sources: unix(7), cmsg(3). */
#include "net/process.h"

#include "base/err.h"
#include "net/helper.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PROCESS_ID_BITS = 12, /* of an id: the slot; above them a generation */
	PROCESS_ANSWERS_A_TURN = 64,
	PROCESS_UNSENT_BYTES = 4 << 20,
	PROCESS_BECOME_MS = 10000,
	PROCESS_PIECES = 1 + 2 * PROCESS_ARGUMENTS,
};
static_assert(HELPER_PROGRAMS_MOST == 1 << PROCESS_ID_BITS, "a slot is the low bits of an id");

typedef void process_ended(void *owner, int64_t id, const struct process_end *end);

struct process_slot {
	int64_t id;           /* 0: free */
	process_ended *ended; /* or NULL */
	void *owner;
	pid_t pid; /* and group; 0 until it started */
	bool stop_with_parent;
	uint16_t next_free; /* index + 1, or 0 */
};

struct process_unsent {
	struct process_unsent *next;
	size_t len;
	unsigned descriptors;
	int fd[HELPER_DESCRIPTORS];
	char data[];
};

struct process_helper {
	int fd; /* -1 once the helper is gone */
	pid_t pid;
	struct loop *loop;
	int64_t registration;
	int64_t generation;
	unsigned slots;     /* ever used */
	uint16_t free_slot; /* index + 1, or 0 */
	size_t unsent_bytes;
	struct process_unsent *unsent, **unsent_end;
	struct process_slot slot[HELPER_PROGRAMS_MOST];
};

/* A request in pieces as they lie in memory, and the descriptors that go with it. */
struct process_request {
	struct helper_request head;
	unsigned pieces, descriptors;
	size_t len;
	struct iovec piece[PROCESS_PIECES];
	int fd[HELPER_DESCRIPTORS];
};

int process_helper_start(struct process_helper **started)
{
	struct process_helper *h = calloc(1, sizeof *h);
	int pair[2];

	if (!h)
		return ERR_MEMORY;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		free(h);
		return err_from_errno(errno);
	}
	h->pid = fork();
	if (h->pid == 0)
		helper_run(pair[1]);
	close(pair[1]);
	if (h->pid < 0) {
		close(pair[0]);
		free(h);
		return ERR_SYSTEM;
	}
	h->fd = pair[0];
	h->unsent_end = &h->unsent;
	*started = h;
	return 0;
}

/* Slots and ids. */

static struct process_slot *process_take(struct process_helper *h)
{
	unsigned index;

	if (h->free_slot) {
		index = h->free_slot - 1u;
		h->free_slot = h->slot[index].next_free;
	} else if (h->slots < HELPER_PROGRAMS_MOST) {
		index = h->slots++;
	} else {
		return NULL;
	}
	h->generation++;
	h->slot[index] = (struct process_slot){.id = h->generation << PROCESS_ID_BITS | index};
	return &h->slot[index];
}

static void process_give(struct process_helper *h, struct process_slot *slot)
{
	slot->id = 0;
	slot->next_free = h->free_slot;
	h->free_slot = (uint16_t)(slot - h->slot + 1);
}

static struct process_slot *process_find(struct process_helper *h, int64_t id)
{
	struct process_slot *slot = &h->slot[id & (HELPER_PROGRAMS_MOST - 1)];

	return id > 0 && slot->id == id ? slot : NULL;
}

static void process_end(struct process_helper *h, struct process_slot *slot,
			const struct process_end *end)
{
	struct process_slot ended = *slot;

	process_give(h, slot);
	if (ended.ended)
		ended.ended(ended.owner, ended.id, end);
}

/* Sending. */

static ssize_t process_transmit(int fd, struct iovec *piece, unsigned pieces, const int *descriptor,
				unsigned descriptors)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(HELPER_DESCRIPTORS * sizeof(int))] = {0};
	struct msghdr message = {.msg_iov = piece, .msg_iovlen = pieces};

	if (descriptors) {
		struct cmsghdr *c;

		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(descriptors * sizeof(int));
		c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(descriptors * sizeof(int));
		memcpy(CMSG_DATA(c), descriptor, descriptors * sizeof(int));
	}
	return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void process_unsent_free(struct process_unsent *u)
{
	for (unsigned i = 0; i < u->descriptors; i++)
		close(u->fd[i]);
	free(u);
}

static struct process_unsent *process_unsent_make(const struct process_request *r)
{
	struct process_unsent *u = malloc(sizeof *u + r->len);
	char *at;

	if (!u)
		return NULL;
	*u = (struct process_unsent){.len = r->len};
	at = u->data;
	for (unsigned i = 0; i < r->pieces; i++) {
		memcpy(at, r->piece[i].iov_base, r->piece[i].iov_len);
		at += r->piece[i].iov_len;
	}
	for (; u->descriptors < r->descriptors; u->descriptors++) {
		u->fd[u->descriptors] = fcntl(r->fd[u->descriptors], F_DUPFD_CLOEXEC, 0);
		if (u->fd[u->descriptors] < 0) {
			process_unsent_free(u);
			return NULL;
		}
	}
	return u;
}

static int process_queue(struct process_helper *h, const struct process_request *r)
{
	struct process_unsent *u;

	if (h->unsent_bytes + r->len > PROCESS_UNSENT_BYTES)
		return ERR_FULL;
	u = process_unsent_make(r);
	if (!u)
		return ERR_FULL;
	if (!h->unsent)
		loop_change(h->loop, h->registration, LOOP_READ | LOOP_WRITE);
	*h->unsent_end = u;
	h->unsent_end = &u->next;
	h->unsent_bytes += u->len;
	return 0;
}

static void process_unsent_drop_first(struct process_helper *h)
{
	struct process_unsent *u = h->unsent;

	h->unsent = u->next;
	h->unsent_bytes -= u->len;
	process_unsent_free(u);
	if (!h->unsent)
		h->unsent_end = &h->unsent;
}

static void process_flush(struct process_helper *h)
{
	while (h->unsent) {
		struct process_unsent *u = h->unsent;
		struct iovec whole = {u->data, u->len};

		if (process_transmit(h->fd, &whole, 1, u->fd, u->descriptors) < 0)
			return;
		process_unsent_drop_first(h);
	}
	loop_change(h->loop, h->registration, LOOP_READ);
}

static int process_send(struct process_helper *h, struct process_request *r)
{
	if (h->fd < 0)
		return ERR_SYSTEM;
	if (h->unsent)
		return process_queue(h, r);
	if (process_transmit(h->fd, r->piece, r->pieces, r->fd, r->descriptors) >= 0)
		return 0;
	return errno == EAGAIN ? process_queue(h, r) : ERR_SYSTEM;
}

static void process_request_add(struct process_request *r, const void *data, size_t len)
{
	r->piece[r->pieces++] = (struct iovec){(void *)(uintptr_t)data, len};
	r->len += len;
}

static void process_request_begin(struct process_request *r, uint32_t kind, int64_t id)
{
	r->head = (struct helper_request){.kind = kind, .id = id};
	r->pieces = r->descriptors = 0;
	r->len = 0;
	process_request_add(r, &r->head, sizeof r->head);
}

/* Adds terminated strings and says how many; ERR_TOO_LONG when there are too many. */
static int process_request_strings(struct process_request *r, const char *const *strings,
				   uint16_t *count)
{
	*count = 0;
	for (; strings && strings[*count]; (*count)++) {
		if (*count == PROCESS_ARGUMENTS)
			return ERR_TOO_LONG;
		process_request_add(r, strings[*count], strlen(strings[*count]) + 1);
	}
	return r->len > HELPER_MESSAGE_BYTES ? ERR_TOO_LONG : 0;
}

static int process_request_plan(struct process_request *r, const struct process_plan *plan)
{
	const int fd[HELPER_DESCRIPTORS] = {plan->stdin_fd, plan->stdout_fd, plan->stderr_fd};
	int err;

	r->head.deadline_ns = plan->deadline_ns;
	r->head.grace_ms = plan->grace_ms;
	r->head.stop_with_parent = plan->stop_with_parent;
	for (int i = 0; i < HELPER_DESCRIPTORS; i++) {
		r->head.given[i] = fd[i] >= 0;
		if (fd[i] >= 0)
			r->fd[r->descriptors++] = fd[i];
	}
	err = process_request_strings(r, plan->argv, &r->head.arguments);
	if (err)
		return err;
	return process_request_strings(r, plan->environment, &r->head.variables);
}

int64_t process_start(struct process_helper *h, const struct process_plan *plan,
		      process_ended *ended, void *owner)
{
	struct process_slot *slot;
	struct process_request r;
	int err;

	assert(h->loop && plan->argv[0]);
	slot = process_take(h);
	if (!slot)
		return ERR_FULL;
	slot->ended = ended;
	slot->owner = owner;
	slot->stop_with_parent = plan->stop_with_parent;
	process_request_begin(&r, HELPER_START, slot->id);
	err = process_request_plan(&r, plan);
	if (!err)
		err = process_send(h, &r);
	if (err) {
		process_give(h, slot);
		return err;
	}
	return slot->id;
}

/* A request about a program that runs; the others are past caring. */
static void process_ask(struct process_helper *h, enum helper_request_kind kind, int64_t id,
			uint64_t deadline_ns)
{
	struct process_request r;

	if (!process_find(h, id))
		return;
	process_request_begin(&r, kind, id);
	r.head.deadline_ns = deadline_ns;
	process_send(h, &r);
}

void process_set_deadline(struct process_helper *h, int64_t id, uint64_t deadline_ns)
{
	process_ask(h, HELPER_DEADLINE, id, deadline_ns);
}

void process_stop(struct process_helper *h, int64_t id)
{
	process_ask(h, HELPER_STOP, id, 0);
}

void process_kill(struct process_helper *h, int64_t id)
{
	struct process_slot *slot = process_find(h, id);

	if (slot && slot->pid)
		kill(-slot->pid, SIGKILL);
}

/* Receiving. */

/* The helper is gone, killed most likely. The leaders of its programs died with it; what is left of
 * their groups is ours to end. */
static void process_lost(struct process_helper *h)
{
	static const struct process_end lost = {.err = ERR_LEFT};

	loop_remove(h->loop, h->registration);
	close(h->fd);
	h->fd = -1;
	while (h->unsent)
		process_unsent_drop_first(h);
	for (unsigned i = 0; i < h->slots; i++)
		if (h->slot[i].id && h->slot[i].pid && h->slot[i].stop_with_parent)
			kill(-h->slot[i].pid, SIGKILL);
	for (unsigned i = 0; i < h->slots; i++)
		if (h->slot[i].id)
			process_end(h, &h->slot[i], &lost);
}

static void process_ready(void *owner, unsigned events)
{
	struct process_helper *h = owner;

	for (int i = 0; i < PROCESS_ANSWERS_A_TURN; i++) {
		struct helper_answer answer;
		struct process_slot *slot;
		ssize_t n = recv(h->fd, &answer, sizeof answer, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n != (ssize_t)sizeof answer) {
			process_lost(h);
			return;
		}
		slot = process_find(h, answer.id);
		if (slot && answer.kind == HELPER_STARTED)
			slot->pid = answer.pid;
		else if (slot && answer.kind == HELPER_ENDED)
			process_end(h, slot, &answer.end);
	}
	if (events & LOOP_WRITE)
		process_flush(h);
}

int process_helper_attach(struct process_helper *h, struct loop *loop)
{
	int64_t registration = loop_add(loop, h->fd, LOOP_READ, process_ready, h);

	if (registration < 0)
		return (int)registration;
	h->registration = registration;
	h->loop = loop;
	return 0;
}

int process_helper_become(struct process_helper *h, const char *user)
{
	struct pollfd answered = {h->fd, POLLIN, 0};
	struct helper_answer answer;
	struct process_request r;

	assert(!h->loop);
	process_request_begin(&r, HELPER_BECOME, 0);
	process_request_add(&r, user, strlen(user) + 1);
	if (r.len > HELPER_MESSAGE_BYTES)
		return ERR_TOO_LONG;
	if (process_send(h, &r) < 0 || poll(&answered, 1, PROCESS_BECOME_MS) <= 0 ||
	    recv(h->fd, &answer, sizeof answer, MSG_DONTWAIT) != (ssize_t)sizeof answer)
		return ERR_SYSTEM;
	return answer.err;
}

void process_helper_stop(struct process_helper *h)
{
	if (!h)
		return;
	if (h->fd >= 0) {
		if (h->loop)
			loop_remove(h->loop, h->registration);
		close(h->fd);
	}
	while (h->unsent)
		process_unsent_drop_first(h);
	while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(h);
}
