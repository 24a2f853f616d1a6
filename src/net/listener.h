/* A listener: one listening stream socket on one loop. It asks the gate before it accepts, and
 * stops watching its socket while the gate is full or the process is out of descriptors; whoever
 * waits then waits in the kernel's queue. */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include "net/endpoint.h"
#include "net/gate.h"
#include "net/loop.h"

struct listener;

struct listener_plan {
	int fd;            /* listening, non-blocking; the listener owns and closes it */
	bool shared;       /* other loops or processes watch the same socket (systemd's) */
	struct gate *gate; /* outlives the listener */
	/* A new connection, yours; address families are v4, v6 or unix. */
	void (*accepted)(void *owner, int fd, const struct address *remote,
			 const struct address *local);
	/* Somebody was refused (ERR_LIMIT, with who) or accepting had to pause (ERR_DESCRIPTORS,
	 * ERR_MEMORY; NULL): once a second at most. */
	void (*trouble)(void *owner, int err, const struct address *remote);
	/* The gate has room and somebody waits for it: resume every listener of the service. */
	void (*freed)(void *owner);
	void *owner;
	struct address bound; /* `local` of its connections, unless it is every address */
};

/* 0 or ERR_MEMORY, ERR_SYSTEM. */
int listener_create(struct listener **listener, struct loop *loop,
		    const struct listener_plan *plan);

/* Closes the socket. */
void listener_destroy(struct listener *listener);

/* The gate has room again: watch the socket again. Never accepts from within this call. */
void listener_resume(struct listener *listener);

/* Opens sockets to listen on. */
struct listener_bind {
	struct address address; /* port 0: the kernel chooses */
	const char *unix_path;  /* instead; an old socket there that nobody answers is removed */
	bool datagram;
	bool spread; /* SO_REUSEPORT, for the other loops of this process */
	bool first;  /* the first of those: fails if anybody else has the address */
	int backlog; /* 0: the system's most */
};

/* A bound (and, for streams, listening) socket, non-blocking, close-on-exec; v6 only hears v6.
 * Streams always have SO_REUSEADDR, so a restart binds at once. Returns the descriptor, or
 * ERR_IN_USE, ERR_PERMISSION, ERR_NOT_LOCAL, ERR_FAMILY_OFF, ERR_DESCRIPTORS, ERR_SYSTEM. `*bound`
 * gets the address in use, its port filled in. */
int listener_open(const struct listener_bind *bind, struct address *bound);

#endif
