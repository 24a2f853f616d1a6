/* The daemon: its services on its loops, from start through reloads to the last connection.
 *
 *   daemon_start: configuration, sockets, user, sandbox, loops, threads, READY=1
 *   daemon_run:   SIGHUP reloads, all or nothing; SIGTERM or SIGINT drains, a second one ends now
 */
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include "daemon/configuration.h"
#include "daemon/log.h"
#include "daemon/running.h"

struct daemon;

struct daemon_plan {
	struct configuration_request request;
	enum event_level level; /* of the services' events, the least that is published */
	struct log_calls log;   /* wire NULL: not wanted */
};

/* Why a start failed. */
struct daemon_trouble {
	const char *service; /* which, or NULL */
	bool unreadable;     /* the configuration file cannot be read at all */
	bool listening;      /* `socket` says what could not be listened on */
	struct running_trouble socket;
	char message[CONFIGURATION_MESSAGE_BYTES]; /* the whole sentence, translated; or empty */
	char advice[CONFIGURATION_MESSAGE_BYTES];  /* what to try then, translated; or empty */
};

/* The plan and its strings must outlive the daemon. 0, or an ERR_ with `trouble` filled in. */
int daemon_start(struct daemon **daemon, const struct daemon_plan *plan,
		 struct daemon_trouble *trouble);

/* The index-th address that is listened on, with its service; false past the last. */
bool daemon_bound(const struct daemon *daemon, unsigned index, const struct service_row **row,
		  struct running_socket *socket);

/* The key that its services show. False: none of them speaks TLS. */
bool daemon_fingerprint(const struct daemon *daemon, struct key_digest *digest);

/* Puts the URL under which a browser on this machine finds the dashboard; false when there is none.
 */
bool daemon_put_dashboard(const struct daemon *daemon, struct text *url);

/* Returns the signal that ended it, after the drain. */
int daemon_run(struct daemon *daemon);

/* False when the log cannot be ended, because nobody reads our output, or a reload waits for a
 * resolver: what they need is left as it is, and the process must end by _exit. */
bool daemon_free(struct daemon *daemon);

/* Reads the configuration alone: 0, or the error with its message. */
int daemon_check(const struct configuration_request *request, struct daemon_trouble *trouble);

#endif
