/* The loop over epoll(7), level-triggered: a handler that does less than all there is will be
 * called again, so no handler has to drain, and one read a wake is enough for a short request.
 *
 * Limits: 2^20 registrations, 65,536 mails waiting. Sources: epoll(7), eventfd(2), signalfd(2). */
#include "net/loop.h"

#include "base/err.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	LOOP_BATCH = 256,
	LOOP_MAIL_MOST = 65536,
	LOOP_RANDOM_BATCH = 32,
	LOOP_LINE_BYTES = 64, /* of the cache */
	LOOP_LONG_SLICE_NS = 100 * 1000 * 1000,
};

struct loop_slot {
	loop_ready *ready; /* NULL: free */
	void *owner;
	union {
		int fd;
		uint32_t next_free; /* of a free slot: index + 1, or 0 */
	};
	uint32_t generation;
};

struct loop {
	int epoll_fd;
	int wake_fd;
	int signal_fd;
	struct loop_slot *slot;
	uint32_t slots, slots_room;
	uint32_t free_slot; /* index + 1, or 0 */
	struct moment now;
	struct wheel wheel;
	unsigned randoms;
	uint64_t random[LOOP_RANDOM_BATCH];
	void (*caught)(void *owner, int signal_number);
	void *caught_owner;
	atomic_bool stopping;
	_Atomic(struct loop_mail *) mailbox; /* newest first */
	atomic_uint mails;
	atomic_ullong dropped;
};

static uint64_t loop_floor_ms(uint64_t boot_ns)
{
	return boot_ns / MOMENT_MS;
}

static void loop_wake(struct loop *loop)
{
	uint64_t one = 1;

	while (write(loop->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
		;
}

/* The mailbox is a stack that senders push and the loop takes whole; taken mail is turned round, so
 * that it runs in the order of posting. */
static void loop_read_mail(void *owner, unsigned events)
{
	struct loop *loop = owner;
	struct loop_mail *mail, *next, *in_order = NULL;
	uint64_t count;

	if (read(loop->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN && errno != EINTR)
		return;
	for (mail = atomic_exchange(&loop->mailbox, NULL); mail; mail = next) {
		next = mail->next;
		mail->next = in_order;
		in_order = mail;
	}
	for (mail = in_order; mail; mail = next) {
		next = mail->next;
		atomic_fetch_sub_explicit(&loop->mails, 1, memory_order_relaxed);
		mail->run(mail, loop);
	}
}

static void loop_push(struct loop *loop, struct loop_mail *mail)
{
	struct loop_mail *head = atomic_load_explicit(&loop->mailbox, memory_order_relaxed);

	do {
		mail->next = head;
	} while (!atomic_compare_exchange_weak(&loop->mailbox, &head, mail));
	if (!head)
		loop_wake(loop);
}

bool loop_post(struct loop *loop, struct loop_mail *mail)
{
	if (atomic_fetch_add_explicit(&loop->mails, 1, memory_order_relaxed) >= LOOP_MAIL_MOST) {
		atomic_fetch_sub_explicit(&loop->mails, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&loop->dropped, 1, memory_order_relaxed);
		return false;
	}
	loop_push(loop, mail);
	return true;
}

void loop_post_anyway(struct loop *loop, struct loop_mail *mail)
{
	atomic_fetch_add_explicit(&loop->mails, 1, memory_order_relaxed);
	loop_push(loop, mail);
}

void loop_take_mail(struct loop *loop)
{
	loop_read_mail(loop, 0);
}

uint64_t loop_dropped(const struct loop *loop)
{
	return atomic_load_explicit(&loop->dropped, memory_order_relaxed);
}

void loop_raise_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int loop_create(struct loop **created)
{
	struct loop *loop = calloc(1, sizeof *loop);
	int64_t err;

	if (!loop)
		return ERR_MEMORY;
	loop->wake_fd = loop->signal_fd = -1;
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0) {
		err = err_from_errno(errno);
		goto out;
	}
	loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (loop->wake_fd < 0) {
		err = err_from_errno(errno);
		goto out;
	}
	moment_read(&loop->now);
	wheel_init(&loop->wheel, loop_floor_ms(loop->now.boot_ns));
	err = loop_add(loop, loop->wake_fd, LOOP_READ, loop_read_mail, loop);
	if (err > 0) {
		*created = loop;
		return 0;
	}
out:
	loop_destroy(loop);
	return (int)err;
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	if (loop->signal_fd >= 0)
		close(loop->signal_fd);
	if (loop->wake_fd >= 0)
		close(loop->wake_fd);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	free(loop->slot);
	free(loop);
}

static uint32_t loop_epoll_events(unsigned events)
{
	/* EPOLLEXCLUSIVE is refused beside EPOLLRDHUP, which a listener does not need. */
	uint32_t how = events & LOOP_SHARED ? EPOLLEXCLUSIVE : EPOLLRDHUP;

	return (events & LOOP_READ ? EPOLLIN | how : 0) | (events & LOOP_WRITE ? EPOLLOUT : 0);
}

static unsigned loop_events(uint32_t epoll_events)
{
	return (epoll_events & (EPOLLIN | EPOLLRDHUP | EPOLLPRI) ? LOOP_READ : 0) |
	       (epoll_events & EPOLLOUT ? LOOP_WRITE : 0) |
	       (epoll_events & (EPOLLHUP | EPOLLERR) ? LOOP_HANGUP : 0);
}

static int loop_grow(struct loop *loop)
{
	uint32_t room = loop->slots_room ? loop->slots_room * 2 : 64;
	struct loop_slot *grown;

	if (loop->slots_room >= LOOP_SLOTS_MOST)
		return ERR_FULL;
	grown = realloc(loop->slot, room * sizeof *grown);
	if (!grown)
		return ERR_MEMORY;
	loop->slot = grown;
	loop->slots_room = room;
	return 0;
}

/* A free slot's index, or a negative error. */
static int64_t loop_take_slot(struct loop *loop)
{
	uint32_t index;

	if (loop->free_slot) {
		index = loop->free_slot - 1;
		loop->free_slot = loop->slot[index].next_free;
		return index;
	}
	if (loop->slots == loop->slots_room) {
		int err = loop_grow(loop);

		if (err)
			return err;
	}
	index = loop->slots++;
	loop->slot[index] = (struct loop_slot){.generation = 1};
	return index;
}

static void loop_give_slot(struct loop *loop, uint32_t index)
{
	struct loop_slot *slot = &loop->slot[index];

	slot->ready = NULL;
	slot->generation = (slot->generation + 1) & INT32_MAX;
	if (!slot->generation)
		slot->generation = 1;
	slot->next_free = loop->free_slot;
	loop->free_slot = index + 1;
}

static int64_t loop_registration(const struct loop *loop, uint32_t index)
{
	return (int64_t)loop->slot[index].generation << 32 | index;
}

/* The slot of a registration that still stands, or NULL. */
static struct loop_slot *loop_find(struct loop *loop, int64_t registration)
{
	uint32_t index = (uint32_t)registration;
	struct loop_slot *slot;

	if (index >= loop->slots)
		return NULL;
	slot = &loop->slot[index];
	return slot->ready && slot->generation == (uint32_t)(registration >> 32) ? slot : NULL;
}

int64_t loop_add(struct loop *loop, int fd, unsigned events, loop_ready *ready, void *owner)
{
	int64_t index = loop_take_slot(loop);
	struct loop_slot *slot;
	struct epoll_event event = {.events = loop_epoll_events(events)};

	if (index < 0)
		return index;
	slot = &loop->slot[index];
	slot->ready = ready;
	slot->owner = owner;
	slot->fd = fd;
	event.data.u64 = (uint64_t)loop_registration(loop, (uint32_t)index);
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
		int err = err_from_errno(errno);

		loop_give_slot(loop, (uint32_t)index);
		return err;
	}
	return (int64_t)event.data.u64;
}

int loop_change(struct loop *loop, int64_t registration, unsigned events)
{
	struct loop_slot *slot = loop_find(loop, registration);
	struct epoll_event event = {.events = loop_epoll_events(events),
				    .data.u64 = (uint64_t)registration};

	if (!slot)
		return ERR_SYSTEM;
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, slot->fd, &event) < 0)
		return err_from_errno(errno);
	return 0;
}

void *loop_owner(struct loop *loop, int64_t registration, loop_ready *ready)
{
	struct loop_slot *slot = loop_find(loop, registration);

	return slot && slot->ready == ready ? slot->owner : NULL;
}

void loop_remove(struct loop *loop, int64_t registration)
{
	struct loop_slot *slot = loop_find(loop, registration);

	if (!slot)
		return;
	epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
	loop_give_slot(loop, (uint32_t)registration);
}

void loop_arm(struct loop *loop, struct wheel_timer *timer, uint64_t boot_ns)
{
	if (boot_ns == MOMENT_NEVER)
		wheel_cancel(&loop->wheel, timer);
	else
		wheel_arm(&loop->wheel, timer, (boot_ns + MOMENT_MS - 1) / MOMENT_MS);
}

void loop_disarm(struct loop *loop, struct wheel_timer *timer)
{
	wheel_cancel(&loop->wheel, timer);
}

const struct moment *loop_now(const struct loop *loop)
{
	return &loop->now;
}

void loop_refresh(struct loop *loop)
{
	moment_read(&loop->now);
}

uint64_t loop_random(struct loop *loop)
{
	if (!loop->randoms) {
		size_t have = 0;

		while (have < sizeof loop->random) {
			ssize_t n = getrandom((char *)loop->random + have,
					      sizeof loop->random - have, 0);

			if (n > 0)
				have += (size_t)n;
		}
		loop->randoms = LOOP_RANDOM_BATCH;
	}
	return loop->random[--loop->randoms];
}

static int loop_wait_ms(const struct loop *loop, int wait_ms)
{
	uint64_t idle_ms = wheel_idle_ms(&loop->wheel);

	if (idle_ms > INT32_MAX - 1)
		return wait_ms;
	return wait_ms >= 0 && (uint64_t)wait_ms < idle_ms ? wait_ms : (int)idle_ms;
}

/* With many connections the next one's memory is seldom in the cache: fetched while this one's
 * system calls run. The number may be stale; a fetch cannot fault. */
static void loop_fetch(const struct loop *loop, uint64_t registration)
{
	uint32_t index = (uint32_t)registration;
	const char *owner;

	if (index >= loop->slots)
		return;
	owner = loop->slot[index].owner;
	__builtin_prefetch(owner, 1);
	__builtin_prefetch(owner + LOOP_LINE_BYTES, 1);
}

void loop_turn(struct loop *loop, int wait_ms)
{
	struct epoll_event event[LOOP_BATCH];
	int count = epoll_wait(loop->epoll_fd, event, LOOP_BATCH, loop_wait_ms(loop, wait_ms));

	loop_refresh(loop);
	for (int i = 0; i < count; i++) {
		struct loop_slot *slot = loop_find(loop, (int64_t)event[i].data.u64);

		if (i + 1 < count)
			loop_fetch(loop, event[i + 1].data.u64);
		if (slot)
			slot->ready(slot->owner, loop_events(event[i].events));
	}
	wheel_advance(&loop->wheel, loop_floor_ms(loop->now.boot_ns), loop);
}

int loop_wake_descriptor(const struct loop *loop)
{
	return loop->wake_fd;
}

/* The lowest of the descriptors that stay and are above `fd`; INT32_MAX when there is none. */
static int loop_next_kept(const struct loop *loop, const int *kept, unsigned count, int fd)
{
	int next = INT32_MAX;

	for (unsigned i = 0; i < count; i++)
		if (kept[i] > fd && kept[i] < next)
			next = kept[i];
	if (loop->epoll_fd > fd && loop->epoll_fd < next)
		next = loop->epoll_fd;
	return loop->wake_fd > fd && loop->wake_fd < next ? loop->wake_fd : next;
}

/* ThreadSanitizer takes descriptors of one number for one, whatever the table. */
#ifdef __SANITIZE_THREAD__
enum { LOOP_PARTS = false };
#else
enum { LOOP_PARTS = true };
#endif

bool loop_part_descriptors(struct loop *loop, const int *kept, unsigned count)
{
	int fd = STDERR_FILENO, next;

	if (!LOOP_PARTS)
		return false;
	if (unshare(CLONE_FILES) < 0)
		return false;
	do {
		next = loop_next_kept(loop, kept, count, fd);
		if (next > fd + 1)
			close_range((unsigned)fd + 1, (unsigned)next - 1, 0);
		fd = next;
	} while (next != INT32_MAX);
	return true;
}

/* Whoever is woken and asks for a shorter slice is let in at once (Linux 6.12). */
void loop_stand_back(void)
{
	const struct sched_param none = {0};
	/* sched_setattr(2); no header of it goes together with <sched.h>. */
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime_ns, deadline_ns, period_ns;
	} attributes = {.size = sizeof attributes,
			.policy = SCHED_BATCH,
			.nice = getpriority(PRIO_PROCESS, 0),
			.runtime_ns = LOOP_LONG_SLICE_NS};

	if (sched_getscheduler(0) != SCHED_OTHER) /* somebody chose another way */
		return;
	if (syscall(SYS_sched_setattr, 0, &attributes, 0) < 0)
		sched_setscheduler(0, SCHED_BATCH, &none); /* refused: it runs as any */
}

void loop_run(struct loop *loop)
{
	while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed))
		loop_turn(loop, -1);
}

void loop_run_gathering(struct loop *loop, unsigned rest_ms)
{
	const struct timespec rest = {.tv_nsec = rest_ms * (long)MOMENT_MS};

	while (!atomic_load_explicit(&loop->stopping, memory_order_relaxed)) {
		loop_turn(loop, -1);
		nanosleep(&rest, NULL);
	}
}

void loop_run_until(struct loop *loop, const bool *done)
{
	while (!*done && !atomic_load_explicit(&loop->stopping, memory_order_relaxed))
		loop_turn(loop, -1);
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stopping, true);
	loop_wake(loop);
}

static void loop_read_signals(void *owner, unsigned events)
{
	struct loop *loop = owner;
	struct signalfd_siginfo info;

	while (read(loop->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		loop->caught(loop->caught_owner, (int)info.ssi_signo);
}

int loop_signals(struct loop *loop, const int *signals, unsigned count,
		 void (*caught)(void *owner, int signal_number), void *owner)
{
	sigset_t set;
	int64_t err;

	sigemptyset(&set);
	for (unsigned i = 0; i < count; i++)
		sigaddset(&set, signals[i]);
	if (pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return ERR_SYSTEM;
	loop->signal_fd = signalfd(loop->signal_fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (loop->signal_fd < 0)
		return err_from_errno(errno);
	loop->caught = caught;
	loop->caught_owner = owner;
	err = loop_add(loop, loop->signal_fd, LOOP_READ, loop_read_signals, loop);
	return err < 0 ? (int)err : 0;
}
