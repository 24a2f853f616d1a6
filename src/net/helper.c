/* The helper: forks the programs that prise runs, watches them, stops them in time.
 *
 *   RUNNING ──leader gone, group empty or left alone──────────────────────────────► ENDED
 *      │                                                                              ▲
 *      ├─ deadline, stop, prise gone, or (stop_with_parent) leader gone, members left │
 *      ▼                                                                              │
 *   TERMED ── grace over ──► KILLED ── 1 s over ──► GIVEN_UP ──leader gone────────────┤
 *      └──────────────────────┴──leader and group gone────────────────────────────────┘
 *
 * TERMED has sent SIGTERM (and SIGCONT, for who is stopped) to the group, KILLED SIGKILL. GIVEN_UP
 * is for members that cannot be reaped here, zombies of a foreign parent and sleepers in the
 * kernel: none of them will run another instruction.
 *
 * All signals are blocked, not ignored: nothing aimed at prise's terminal or service ends the
 * helper, and a program that is signalled between fork and exec gets its signal when it unblocks
 * them.
 *
 * Limits: what leaves its group (setsid) is out of reach; a set-user-ID program loses the
 * parent-death signal and may be beyond our right to signal. Sources: setpgid(2), kill(2),
 * PR_SET_PDEATHSIG(2const), PR_SET_CHILD_SUBREAPER(2const), unix(7). */
#include "net/helper.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	HELPER_SOCKET_FD = 3,
	HELPER_REQUESTS_A_TURN = 64,
	HELPER_GIVE_UP_S = 1,
	HELPER_GROUP_CHECK_MS = 10, /* members whose parent is not us die without a word to us */
};

enum program_state {
	PROGRAM_RUNNING,
	PROGRAM_TERMED,
	PROGRAM_KILLED,
	PROGRAM_GIVEN_UP,
	PROGRAM_ENDED,
};

struct program {
	int64_t id;
	pid_t pid;   /* its group too */
	int exec_fd; /* says whether exec worked; -1 once it has */
	int err;
	int wait_status;
	uint8_t state; /* enum program_state */
	bool stop_with_parent, leader_gone, deadline_passed;
	uint64_t grace_ms;
	uint64_t due_ns; /* RUNNING: its deadline; later: of the next, harsher step */
};

enum { POLL_SOCKET, POLL_CHILD, POLL_TIMER, POLL_PROGRAMS };

struct helper {
	int child_fd, timer_fd;
	bool gone; /* prise is */
	uint64_t now_ns;
	unsigned count;
	struct program program[HELPER_PROGRAMS_MOST];
	struct pollfd poll[POLL_PROGRAMS + HELPER_PROGRAMS_MOST];
	union {
		struct helper_request head;
		char byte[HELPER_MESSAGE_BYTES];
	} request;
};

/* What a HELPER_START says, taken apart. */
struct launch {
	char *argv[PROCESS_ARGUMENTS + 1];
	char *variable[PROCESS_ARGUMENTS + 1];
	int fd[HELPER_DESCRIPTORS]; /* -1: not given */
};

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * MOMENT_S + (uint64_t)t.tv_nsec;
}

/* False when the socket has no place for it now. */
static bool helper_answer(const struct helper_answer *answer)
{
	return send(HELPER_SOCKET_FD, answer, sizeof *answer, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
	       errno != EAGAIN;
}

/* The program's side, between fork and exec. */

static void launch_descriptors(const struct launch *l)
{
	int null_fd = l->fd[0] < 0 ? open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;

	if (null_fd >= 0)
		dup2(null_fd, 0);
	for (int i = 0; i < HELPER_DESCRIPTORS; i++) {
		if (l->fd[i] < 0)
			continue;
		dup2(l->fd[i], i);
		/* a loop's sockets do not block, and programs expect that they do */
		fcntl(i, F_SETFL, fcntl(i, F_GETFL) & ~O_NONBLOCK);
	}
}

/* Says who it is before it is a program that can fork: were the helper to die at any later moment,
 * prise knows which group to end. */
static _Noreturn void launch_exec(const struct program *p, const struct launch *l, pid_t parent,
				  int exec_fd)
{
	struct helper_answer started = {.id = p->id, .kind = HELPER_STARTED, .pid = getpid()};
	sigset_t none;
	int why;

	setpgid(0, 0);
	helper_answer(&started);
	if (p->stop_with_parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(127);
	}
	launch_descriptors(l);
	for (char *const *v = l->variable; *v; v++)
		putenv(*v);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(l->argv[0], l->argv);
	why = errno;
	while (write(exec_fd, &why, sizeof why) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* 0, or ERR_ when there was not even a fork. */
static int program_fork(struct program *p, const struct launch *l)
{
	pid_t self = getpid();
	int exec_pipe[2];

	if (pipe2(exec_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_from_errno(errno);
	p->pid = fork();
	if (p->pid == 0)
		launch_exec(p, l, self, exec_pipe[1]);
	close(exec_pipe[1]);
	if (p->pid < 0) {
		int err = errno == EAGAIN ? ERR_FULL : err_from_errno(errno);

		close(exec_pipe[0]);
		return err;
	}
	/* here too, so that its group can be signalled from now on */
	setpgid(p->pid, p->pid);
	p->exec_fd = exec_pipe[0];
	return 0;
}

/* The pipe closed at exec, or says why there was none. */
static void program_read_exec(struct program *p)
{
	int why;
	ssize_t n = read(p->exec_fd, &why, sizeof why);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == (ssize_t)sizeof why)
		p->err = err_from_errno(why);
	close(p->exec_fd);
	p->exec_fd = -1;
}

/* The helper's side of a program: its states. */

static bool program_group_is_empty(const struct program *p)
{
	return kill(-p->pid, 0) < 0 && errno == ESRCH;
}

static void program_terminate(struct program *p, uint64_t now_ns)
{
	if (p->state != PROGRAM_RUNNING)
		return;
	kill(-p->pid, SIGTERM);
	kill(-p->pid, SIGCONT);
	p->state = PROGRAM_TERMED;
	p->due_ns = now_ns + p->grace_ms * MOMENT_MS;
}

static void program_leader_gone(struct program *p, uint64_t now_ns)
{
	bool left_alone = p->state == PROGRAM_RUNNING && !p->stop_with_parent;

	if (p->err || left_alone || p->state == PROGRAM_GIVEN_UP || program_group_is_empty(p))
		p->state = PROGRAM_ENDED;
	else
		program_terminate(p, now_ns);
}

static void program_step(struct program *p, uint64_t now_ns)
{
	if (p->leader_gone && p->state != PROGRAM_ENDED)
		program_leader_gone(p, now_ns);
	if (now_ns < p->due_ns)
		return;
	if (p->state == PROGRAM_RUNNING) {
		p->deadline_passed = true;
		program_terminate(p, now_ns);
	} else if (p->state == PROGRAM_TERMED) {
		kill(-p->pid, SIGKILL);
		p->state = PROGRAM_KILLED;
		p->due_ns = now_ns + HELPER_GIVE_UP_S * MOMENT_S;
	} else if (p->state == PROGRAM_KILLED) {
		p->state = PROGRAM_GIVEN_UP;
		p->due_ns = MOMENT_NEVER;
	}
}

static uint64_t program_due_ns(const struct program *p, uint64_t now_ns)
{
	uint64_t check_ns = now_ns + HELPER_GROUP_CHECK_MS * MOMENT_MS;

	if (p->state == PROGRAM_ENDED)
		return MOMENT_NEVER;
	return p->leader_gone && check_ns < p->due_ns ? check_ns : p->due_ns;
}

/* Tells prise the end of `p`. False when the socket has no place: it stays owed, for a prise that
 * is stopped must not stop its helper. */
static bool program_report(const struct program *p)
{
	bool signalled = WIFSIGNALED(p->wait_status);
	struct helper_answer answer = {.id = p->id, .kind = HELPER_ENDED};

	answer.end = (struct process_end){
		.err = p->err,
		.signalled = signalled,
		.status = signalled ? WTERMSIG(p->wait_status) : WEXITSTATUS(p->wait_status),
		.deadline = p->deadline_passed,
	};
	return helper_answer(&answer);
}

/* Requests. */

static struct program *helper_find(struct helper *h, int64_t id)
{
	for (unsigned i = 0; i < h->count; i++)
		if (h->program[i].id == id)
			return &h->program[i];
	return NULL;
}

static char *launch_split(char *at, const char *end, unsigned count, char **into)
{
	for (unsigned i = 0; i < count && at < end; i++) {
		*into++ = at;
		at += strlen(at) + 1;
	}
	*into = NULL;
	return at;
}

/* Whether the descriptors that the request announces all came. */
static bool launch_descriptors_take(struct launch *l, const struct helper_request *r,
				    const int *came, unsigned count)
{
	unsigned taken = 0, given = 0;

	for (int i = 0; i < HELPER_DESCRIPTORS; i++) {
		given += r->given[i];
		l->fd[i] = r->given[i] && taken < count ? came[taken++] : -1;
	}
	return taken == given;
}

static void helper_start(struct helper *h, size_t len, const int *came, unsigned count)
{
	const struct helper_request *r = &h->request.head;
	struct program *p = &h->program[h->count];
	struct launch l;
	char *at = h->request.byte + sizeof *r;
	const char *end = h->request.byte + len;

	if (h->count == HELPER_PROGRAMS_MOST)
		return;
	h->count++;
	*p = (struct program){.id = r->id,
			      .exec_fd = -1,
			      .due_ns = r->deadline_ns,
			      .stop_with_parent = r->stop_with_parent,
			      .grace_ms = r->grace_ms};
	at = launch_split(at, end, r->arguments, l.argv);
	launch_split(at, end, r->variables, l.variable);
	p->deadline_passed = r->deadline_ns <= h->now_ns;
	if (p->deadline_passed)
		p->err = ERR_TIMEOUT;
	else if (!launch_descriptors_take(&l, r, came, count))
		p->err = ERR_DESCRIPTORS;
	else
		p->err = program_fork(p, &l);
	if (p->err)
		p->state = PROGRAM_ENDED;
}

static int helper_become(const char *user)
{
	const struct passwd *entry;

	errno = 0;
	entry = getpwnam(user);
	if (!entry)
		return errno ? err_from_errno(errno) : ERR_NO_NAME;
	if (initgroups(entry->pw_name, entry->pw_gid) < 0 || setgid(entry->pw_gid) < 0 ||
	    setuid(entry->pw_uid) < 0)
		return err_from_errno(errno);
	return 0;
}

static void helper_obey(struct helper *h, size_t len, const int *came, unsigned count)
{
	const struct helper_request *r = &h->request.head;
	struct program *p;

	if (r->kind == HELPER_START) {
		helper_start(h, len, came, count);
		return;
	}
	if (r->kind == HELPER_BECOME) {
		struct helper_answer answer = {.kind = HELPER_BECAME,
					       .err = helper_become(h->request.byte + sizeof *r)};

		helper_answer(&answer);
		return;
	}
	p = helper_find(h, r->id);
	if (!p || p->state == PROGRAM_ENDED)
		return;
	if (r->kind == HELPER_STOP)
		program_terminate(p, h->now_ns);
	else if (r->kind == HELPER_DEADLINE && p->state == PROGRAM_RUNNING)
		p->due_ns = r->deadline_ns;
}

static unsigned helper_descriptors(struct msghdr *message, int came[HELPER_DESCRIPTORS])
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	size_t bytes;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	bytes = c->cmsg_len - CMSG_LEN(0);
	memcpy(came, CMSG_DATA(c), bytes);
	return (unsigned)(bytes / sizeof(int));
}

/* False when there is nothing more to read now. */
static bool helper_receive(struct helper *h)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(HELPER_DESCRIPTORS * sizeof(int))];
	struct iovec whole = {&h->request, sizeof h->request};
	struct msghdr message = {.msg_iov = &whole,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	int came[HELPER_DESCRIPTORS];
	unsigned count;
	ssize_t n = recvmsg(HELPER_SOCKET_FD, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n <= 0) {
		h->gone = n == 0 || errno != EAGAIN;
		return false;
	}
	count = helper_descriptors(&message, came);
	if ((size_t)n >= sizeof h->request.head)
		helper_obey(h, (size_t)n, came, count);
	for (unsigned i = 0; i < count; i++)
		close(came[i]);
	return true;
}

/* Prise is gone: whoever should not outlive it is stopped, the others are forgotten. */
static void helper_part(struct helper *h)
{
	for (unsigned i = h->count; i-- > 0;) {
		struct program *p = &h->program[i];

		if (p->stop_with_parent)
			program_terminate(p, h->now_ns);
		else if (p->state == PROGRAM_RUNNING)
			*p = h->program[--h->count];
	}
}

/* Orphans from the programs' groups come to us too, as their subreaper. */
static void helper_reap(struct helper *h)
{
	struct signalfd_siginfo info;
	pid_t pid;
	int status;

	while (read(h->child_fd, &info, sizeof info) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (unsigned i = 0; i < h->count; i++) {
			struct program *p = &h->program[i];

			if (p->pid != pid || p->leader_gone)
				continue;
			if (p->exec_fd >= 0)
				program_read_exec(p);
			p->leader_gone = true;
			p->wait_status = status;
		}
	}
}

static void helper_arm(struct helper *h)
{
	struct itimerspec at = {0};
	uint64_t due_ns = MOMENT_NEVER;

	for (unsigned i = 0; i < h->count; i++) {
		uint64_t program_ns = program_due_ns(&h->program[i], h->now_ns);

		if (program_ns < due_ns)
			due_ns = program_ns;
	}
	if (due_ns != MOMENT_NEVER) {
		at.it_value.tv_sec = (time_t)(due_ns / MOMENT_S);
		at.it_value.tv_nsec = (long)(due_ns % MOMENT_S);
	}
	timerfd_settime(h->timer_fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void helper_wait(struct helper *h)
{
	short socket_events = POLLIN;

	for (unsigned i = 0; i < h->count; i++) {
		h->poll[POLL_PROGRAMS + i] = (struct pollfd){h->program[i].exec_fd, POLLIN, 0};
		if (h->program[i].state == PROGRAM_ENDED)
			socket_events = POLLIN | POLLOUT;
	}
	h->poll[POLL_SOCKET] = (struct pollfd){h->gone ? -1 : HELPER_SOCKET_FD, socket_events, 0};
	h->poll[POLL_CHILD] = (struct pollfd){h->child_fd, POLLIN, 0};
	h->poll[POLL_TIMER] = (struct pollfd){h->timer_fd, POLLIN, 0};
	poll(h->poll, POLL_PROGRAMS + h->count, -1);
	h->now_ns = boot_ns();
}

static void helper_turn(struct helper *h)
{
	helper_arm(h);
	helper_wait(h);
	for (unsigned i = 0; i < h->count; i++)
		if (h->poll[POLL_PROGRAMS + i].revents)
			program_read_exec(&h->program[i]);
	if (h->poll[POLL_CHILD].revents)
		helper_reap(h);
	if (h->poll[POLL_SOCKET].revents) {
		for (int i = 0; i < HELPER_REQUESTS_A_TURN && helper_receive(h); i++)
			;
		if (h->gone)
			helper_part(h);
	}
	for (unsigned i = h->count; i-- > 0;) {
		struct program *p = &h->program[i];

		program_step(p, h->now_ns);
		if (p->state == PROGRAM_ENDED && program_report(p))
			*p = h->program[--h->count];
	}
}

/* Blocks every signal with its default action, which is what the programs inherit; unblocked in
 * them at last. */
static void helper_block_signals(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
}

static int helper_open(struct helper *h, int socket_fd)
{
	sigset_t child;

	if (socket_fd != HELPER_SOCKET_FD && dup3(socket_fd, HELPER_SOCKET_FD, O_CLOEXEC) < 0)
		return ERR_SYSTEM;
	closefrom(HELPER_SOCKET_FD + 1);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	h->child_fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	h->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	return h->child_fd < 0 || h->timer_fd < 0 ? ERR_SYSTEM : 0;
}

_Noreturn void helper_run(int socket_fd)
{
	struct helper *h = calloc(1, sizeof *h);

	helper_block_signals();
	/* a session of its own: a terminal's Ctrl-C, Ctrl-Z and hangup are for prise, whose end is
	 * the helper's signal to act */
	setsid();
	prctl(PR_SET_NAME, "supervisor");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!h || helper_open(h, socket_fd) < 0)
		_exit(1);
	h->now_ns = boot_ns();
	while (!h->gone || h->count)
		helper_turn(h);
	_exit(0);
}
