/* A running service: its gate, and on each worker a share of it: pump, listeners, datagram sockets.
 *
 *   open (sockets, first thread) ──► start (pumps, on every worker) ──► retire (sockets closed,
 *                                                  connections go on) ──► free (all gone)
 *
 * A reload replaces a changed service by a new one that inherits duplicates of its sockets, so that
 * nobody who waits in a kernel's queue is lost. */
#ifndef DAEMON_RUNNING_H
#define DAEMON_RUNNING_H

#include "daemon/configuration.h"
#include "daemon/worker.h"

enum { RUNNING_SOCKETS_MOST = 512 };

struct running;

struct running_calls {
	void (*event)(void *owner, struct event *event);
	/* service_context.event_line */
	void (*event_line)(void *owner, struct bytes json, bool log);
	/* -v; NULL: not wanted. Any worker's thread. */
	void (*wire)(void *owner, const char *service, const struct address *remote,
		     enum pump_direction direction, struct bytes b, uint64_t boot_ns);
	enum event_level level; /* least level of conn.open and conn.close */
	void *owner;
};

/* A socket handed down by systemd for a service (LISTEN_FDS), or by the service before a reload. */
struct running_socket {
	int fd;
	bool datagram;
	bool shared;     /* one socket for all workers */
	unsigned worker; /* whose, unless shared */
	struct address address;
	char unix_path[108];
	uint64_t inode;  /* of that path, which we made; 0: we did not */
	bool inherited;  /* of the service before a reload */
	bool tls, keyed; /* running_bound: it speaks TLS; lets in only the keys it knows */
};

struct running_plan {
	struct configuration_service *configuration; /* resolved; copied, its settings taken over */
	struct worker *workers;
	unsigned worker_count;
	const char *state_dir;
	const struct service_api *api; /* for its keeper; NULL: none */
	const struct tls_key *key;     /* this machine's, for services with TLS, or NULL */
	struct running_calls calls;
	_Atomic uint64_t *paused_ns; /* of the daemon: when a pause was last told */
	/* Whether a running service of ours has that address or part of it; NULL: none runs. */
	bool (*is_ours)(void *ours, const struct address *address, bool datagram);
	void *ours;
	struct running_socket *given; /* sockets that stand already: those used get fd = -1 */
	unsigned given_count;
};

/* What could not be listened on, when running_open fails. */
struct running_trouble {
	char where[ENDPOINT_HOST_BYTES + 16];
	uint16_t port;
	bool datagram;
	struct address address;
};

/* Opens every socket. The configuration's settings are the running's from now on, and NULL there.
 * 0, or ERR_IN_USE, ERR_PERMISSION, ERR_NO_NAME, ERR_NOT_LOCAL, ... with `trouble` filled in. */
int running_open(struct running **running, const struct running_plan *plan,
		 struct running_trouble *trouble);

/* Makes pumps and listeners on every worker. 0, ERR_MEMORY, ERR_SYSTEM, or its keeper's error. */
int running_start(struct running *running);

/* The UDP ports of the whole daemon, whose datagrams get no answer (proto/manners.h). */
struct running_ports {
	unsigned count;
	uint16_t port[MANNERS_OWN_PORTS_MOST];
};
void running_own_ports(struct running *running, const struct running_ports *ports);

/* SIGHUP came, and its configuration stays. */
void running_reload(struct running *running);

/* Lets in from now on whom `wanted` does, whose list it takes over; connections of others end. For
 * one that stays as it is. */
void running_rekey(struct running *running, struct configuration_service *wanted);

/* Removes the files of its unix sockets, while it still listens: all that are not `kept` (NULL:
 * none is), or of its `own` those that it did not inherit. */
void running_remove_paths(const struct running *running, bool own,
			  bool (*kept)(const void *owner, const char *path), const void *owner);

/* Stops listening everywhere. Connections go on. */
void running_retire(struct running *running);

/* The part of a stop that is `worker`'s, in its thread, after running_retire: ends what is idle,
 * gives the rest until `boot_ns`. */
void running_drain(struct running *running, struct worker *worker, uint64_t boot_ns);

/* Duplicates of its sockets, for the one that replaces it; returns their count. */
unsigned running_sockets(const struct running *running, struct running_socket *sockets,
			 unsigned most);

/* Whether no connection of it is left, nor mail of one. */
bool running_is_empty(const struct running *running);

/* Ends what is left: connections, listeners, the keeper and its jobs, whose last mail may be under
 * way. Only when no worker's thread runs, or after running_retire and once empty. */
void running_end(struct running *running);
/* After it, or in its place. */
void running_free(struct running *running);

/* What it has done so far, all its shares together. First thread. */
struct running_stats {
	uint64_t open, opened, refused, bytes_in, bytes_out;
	uint64_t datagrams_in, datagrams_out, datagrams_refused;
	uint64_t datagram_bytes_in, datagram_bytes_out;
};
struct running_stats running_stats(const struct running *running);

/* Its pump on that worker, to be looked at in that worker's thread; or NULL. */
const struct pump *running_pump(const struct running *running, unsigned worker);

/* Its keeper's state as JSON (service_keeper.show): false when it shows none. First thread, which
 * is that of homed services. */
bool running_show(const struct running *running, bool whole, struct text *json);

const struct configuration_service *running_configuration(const struct running *running);

/* What it listens on, for the table: true and fills while there is an `index`-th. */
bool running_bound(const struct running *running, unsigned index, struct running_socket *socket);

#endif
