/* What running.c and running_sockets.c share: the service and its shares. Private to the two. */
#ifndef DAEMON_RUNNING_PARTS_H
#define DAEMON_RUNNING_PARTS_H

#include "daemon/running.h"

#include "net/gate.h"
#include "net/listener.h"

#include <pthread.h>
#include <stdatomic.h>

struct running_share {
	struct running *running;
	struct worker *worker;
	struct pump *pump;
	unsigned listeners, datagrams;
	struct listener *listener[RUNNING_SOCKETS_MOST];
	struct datagram *datagram[RUNNING_SOCKETS_MOST];
	struct loop_mail resume; /* posted when the gate has room again */
	atomic_bool resuming;
	struct service_context context;
	void *keeper_share;   /* of a keeper that has a part on each loop */
	const void *settings; /* of the machines here */
	int err;              /* of running_start */
};

struct running {
	struct running_plan plan;
	struct configuration_service configuration;
	struct gate *gate;
	struct tls_context *tls;             /* NULL: plain */
	pthread_mutex_t keys_lock;           /* configuration.keys */
	pthread_mutex_t manners_lock;        /* manners, where there are several shares */
	char host[ENDPOINT_HOST_BYTES + 16]; /* as configured, when a name was; else empty */
	unsigned sockets;
	struct running_socket socket[RUNNING_SOCKETS_MOST];
	struct manners manners; /* a source's bucket is one for all loops */
	struct work *work;      /* of a keeper */
	void *keeper_state;
	struct service_context context;
	const struct running_ports *own;
	atomic_uint open;
	unsigned shares;
	struct running_share share[];
};

/* Opens every socket of the configuration, or takes those given. As running_open. */
int running_open_sockets(struct running *r, struct running_trouble *trouble);

/* Closes those from the `from`-th on. */
void running_close_sockets(struct running *r, unsigned from);

/* daemon/running_tls.c: makes its context, if it speaks TLS. 0, ERR_MEMORY, ERR_KEY_FILE,
 * ERR_SYSTEM. */
int running_open_tls(struct running *r);

static inline const struct service_row *running_row(const struct running *r)
{
	return r->configuration.row;
}

#endif
