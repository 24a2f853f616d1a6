/* What the ways to listen share: listen.c (one client), listen_many.c (-k, --chat), listen_exec.c
 * (--exec), listen_udp.c (-u). */
#ifndef COMMAND_LISTEN_H
#define COMMAND_LISTEN_H

#include "command/session.h"
#include "net/listener.h"
#include "net/process.h"

enum { LISTEN_SOCKETS_MOST = 16 };

struct listen_options {
	bool keep, chat;
	const char *exec;
};

struct listening {
	const struct command_call *call;
	const struct listen_options *given;
	struct loop *loop;
	struct process_helper *helper; /* with --exec */
	struct endpoint at;
	char where[ENDPOINT_HOST_BYTES + 16]; /* `at` as people write it */
	unsigned count;
	int fd[LISTEN_SOCKETS_MOST]; /* -1: a listener's now, or closed */
	struct address bound[LISTEN_SOCKETS_MOST];
	struct gate *gate;
	struct listener *listener[LISTEN_SOCKETS_MOST];
	struct wheel_timer patience; /* -t: until somebody comes */
	uint64_t connections;        /* so far */
	bool woken; /* for loop_run_until: what was waited for is there, or the end */
	int signal_number;
	int code;
	struct session session;
};

/* Accepts connections, at most `most` at a time (0: any number); each is the callee's. */
int listen_accept(struct listening *l, unsigned most,
		  void (*accepted)(void *owner, int fd, const struct address *remote,
				   const struct address *local),
		  void *owner);

/* Nobody is accepted any more, and nobody waits in the kernel's queue. */
void listen_close(struct listening *l);

/* Somebody came: -t has no say any more. Returns what reports of it begin with. */
struct report listen_came(struct listening *l, const struct address *remote,
			  const struct address *local);

/* Ends the command with an exit code; the first call counts. */
void listen_stop(struct listening *l, int code);

/* The ways. Each returns once l->woken was set, having ended every connection. */
int listen_many(struct listening *l);
int listen_exec(struct listening *l);
int listen_udp(struct listening *l);

#endif
