/* What daemon.c and daemon_reload.c share. Private to the two. */
#ifndef DAEMON_DAEMON_PARTS_H
#define DAEMON_DAEMON_PARTS_H

#include "daemon/daemon.h"
#include "daemon/worker.h"

#include "base/place.h"

enum { DAEMON_NAMES_BYTES = 4096 };

struct daemon {
	const struct daemon_plan *plan;
	struct configuration *configuration; /* of the start: keeps the settings' strings */
	struct configuration_daemon settings;
	struct log *log;
	unsigned workers;
	struct worker *worker;
	unsigned services;
	struct running *service[CONFIGURATION_SERVICES_MOST];
	unsigned retired, retired_room; /* replaced by a reload, perhaps with connections left */
	struct running **old;
	struct running_ports ports;
	char state_dir[PLACE_BYTES];
	bool unconfined;              /* the kernel has no Landlock */
	int signal_number;            /* that ends it, or 0 */
	struct work *work;            /* of a reload under way */
	struct daemon_reload *reload; /* under way, or NULL */
	bool reload_again;            /* SIGHUP came meanwhile */
	unsigned given;               /* sockets of systemd's */
	struct running_socket given_socket[RUNNING_SOCKETS_MOST];
	const char *given_name[RUNNING_SOCKETS_MOST];
	char given_names[DAEMON_NAMES_BYTES];
};

/* Opens the sockets of a service; those of `old`, which it replaces, are taken over. */
int daemon_open_service(struct daemon *d, struct configuration_service *configuration,
			const struct running *old, struct running **opened,
			struct daemon_trouble *trouble);

/* Tells every service the UDP ports of all. */
void daemon_share_ports(struct daemon *d);

/* configuration_read, with its message in `trouble`. */
int daemon_read(const struct configuration_request *request, struct configuration **c,
		struct daemon_trouble *trouble);

/* An event of the daemon's own, with at most one field. */
void daemon_say(struct daemon *d, enum event_level level, const char *type, const char *name,
		const char *value);

/* SIGHUP: reads the file and asks for names in a work thread, then changes what is to be changed.
 * One that comes meanwhile is heard afterwards. */
void daemon_reload(struct daemon *d);

/* Takes back one that is under way. False when it waits for a disk or a resolver: its memory must
 * stand until the process ends. */
bool daemon_withdraw_reload(struct daemon *d);

#endif
