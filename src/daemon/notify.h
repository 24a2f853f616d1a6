/* What systemd and the daemon tell each other: sd_notify(3) and sockets by sd_listen_fds(3), spoken
 * by hand, since the two protocols are a datagram and three variables. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include "daemon/running.h"

/* Sends `state` ("READY=1", "STOPPING=1", ...) to NOTIFY_SOCKET, if there is one. */
void notify_send(const char *state);

/* The same for a reload, with its moment, as Type=notify-reload wants it. READY=1 follows. */
void notify_reloading(void);

/* The sockets that were passed for this process, their names (LISTEN_FDNAMES) into `names`, each a
 * pointer into the environment's copy in `buffer`. Returns their count; unsets the variables. */
unsigned notify_sockets(struct running_socket *sockets, const char **names, unsigned most,
			char *buffer, size_t cap);

#endif
