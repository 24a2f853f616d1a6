/* Programs that prise runs: hooks, `listen --exec`, `role --exec`.
 *
 * A small helper is forked before there are threads, a sandbox or open connections; it forks the
 * programs, each in a process group of its own, and watches them. It is the supervisor too: a
 * program may have a deadline (boot time) that must be moved on; when it passes, or when prise
 * itself is gone (its socket closes), the program's whole group gets SIGTERM and, after `grace_ms`,
 * SIGKILL. The helper owns that clock, so a prise that is stopped or killed cannot keep a program
 * alive. Should the helper be killed, its stop_with_parent programs die with it.
 *
 *   prise ──SOCK_SEQPACKET (requests, descriptors)──► helper ──fork, setpgid──► program's group
 *         ◄──────────── started, ended ───────────── */
#ifndef NET_PROCESS_H
#define NET_PROCESS_H

#include "net/loop.h"

struct process_helper;

enum { PROCESS_ARGUMENTS = 256, PROCESS_REQUEST_BYTES = 60000 };

struct process_plan {
	const char *const *argv;        /* NULL-terminated; argv[0] is searched in PATH */
	const char *const *environment; /* extra NAME=VALUE strings, NULL-terminated; may be NULL */
	int stdin_fd, stdout_fd,
		stderr_fd;     /* -1: /dev/null for stdin, the helper's own for the others;
				* made blocking, on prise's side too if it keeps one */
	bool stop_with_parent; /* end its group when prise goes; else it is left alone */
	uint64_t grace_ms;     /* between SIGTERM and SIGKILL; up to 100 years */
	uint64_t deadline_ns;  /* boot time; MOMENT_NEVER: none. SIGTERM at this time */
};

struct process_end {
	int err; /* 0; could not be started: ERR_NO_FILE, ERR_PERMISSION, ERR_MEMORY, ..., and
		  * ERR_TIMEOUT when its deadline had passed before; ERR_LEFT: the helper died,
		  * nothing more is known */
	bool signalled; /* ended by signal `status`, else exited with `status` */
	int status;
	bool deadline; /* its deadline had passed */
};

/* Forks the helper. Call before threads, sandbox and listeners exist. 0, ERR_MEMORY,
 * ERR_DESCRIPTORS, ERR_SYSTEM. */
int process_helper_start(struct process_helper **helper);

/* The helper, and all that it starts, runs as `user` from now on, for a daemon that drops root.
 * Before process_helper_attach; waits for the helper. 0, ERR_NO_NAME, ERR_PERMISSION, ERR_SYSTEM.
 */
int process_helper_become(struct process_helper *helper, const char *user);

/* Connects the helper's answers to a loop; once, before process_start. */
int process_helper_attach(struct process_helper *helper, struct loop *loop);

/* Starts a program in prise's working directory and environment, with default signals. `ended`, if
 * any, is called once from the loop, with the id, when it has ended or cannot be started; a program
 * with stop_with_parent, or one that was stopped, has ended when nobody of its group is left
 * (members that outlive the leader get SIGTERM and SIGKILL in their turn). Descriptors are copied:
 * the caller closes its own. Returns the id (> 0), ERR_TOO_LONG, ERR_FULL (4,096 run already),
 * ERR_SYSTEM. */
int64_t process_start(struct process_helper *helper, const struct process_plan *plan,
		      void (*ended)(void *owner, int64_t id, const struct process_end *end),
		      void *owner);

/* Moves the deadline of a running program; too late once it has passed. */
void process_set_deadline(struct process_helper *helper, int64_t id, uint64_t deadline_ns);

/* SIGTERM to its group now, SIGKILL after its grace. */
void process_stop(struct process_helper *helper, int64_t id);

/* SIGKILL to its group from here, past the helper: when its time is over and the helper may itself
 * be stopped. Nothing when it is not known to have started. */
void process_kill(struct process_helper *helper, int64_t id);

/* Ends the helper: programs with stop_with_parent are stopped, and waited for; nobody is called
 * back. Not from within a callback; before loop_destroy. NULL is fine. */
void process_helper_stop(struct process_helper *helper);

#endif
