/* What daemon.c and daemon_reload.c share. Private to the two. */
#ifndef DAEMON_DAEMON_PARTS_H
#define DAEMON_DAEMON_PARTS_H

#include "daemon/api.h"
#include "daemon/control.h"
#include "daemon/daemon.h"
#include "daemon/events.h"
#include "daemon/worker.h"

#include "base/place.h"

enum { DAEMON_NAMES_BYTES = 4096 };

struct daemon {
	const struct daemon_plan *plan;
	struct configuration *configuration; /* of the start: keeps the settings' strings */
	struct configuration_daemon settings;
	struct tls_key *key; /* this machine's, once a service speaks TLS */
	struct log *log;
	struct events *events;
	struct control_socket *control; /* NULL: none could be had, and `control_err` says why */
	int control_err, control_pid;
	char config_dir[PLACE_BYTES]; /* empty: nothing says where */
	struct snapshot_list *snapshots;
	struct api_home *api;
	int64_t started_us; /* wall time */
	unsigned workers;
	struct worker *worker;
	unsigned services;
	struct running *service[CONFIGURATION_SERVICES_MOST];
	unsigned retired, retired_room; /* replaced by a reload, perhaps with connections left */
	struct running **old;
	struct running_ports ports;
	_Atomic uint64_t paused_ns; /* when it was last told that nobody is taken in */
	char state_dir[PLACE_BYTES];
	int state_err;                /* why there is no state directory, or 0 */
	int unconfined;               /* why the sandbox could not be entered, or 0 */
	const char *unconfined_by;    /* the path that kept us from it, or NULL */
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

/* daemon/daemon_tls.c. Reads this machine's key if a service needs it; makes it when there is none.
 * 0, or an error with the message in `trouble`. */
int daemon_load_key(struct daemon *d, const struct configuration *c,
		    struct daemon_trouble *trouble);

/* The files that a reload reads again: fills in up to `most`, and returns how many. */
unsigned daemon_key_paths(const struct daemon *d, struct service_path *paths, unsigned most);

/* A reload: services that go on let in whom `c` says. */
void daemon_rekey(struct daemon *d, struct configuration *c);

/* Tells every service the UDP ports of all. */
void daemon_share_ports(struct daemon *d);

/* configuration_read, with its message in `trouble`. */
int daemon_read(const struct configuration_request *request, struct configuration **c,
		struct daemon_trouble *trouble);

/* configuration_resolve, the same way. */
int daemon_resolve(struct configuration *c, struct daemon_trouble *trouble);

/* daemon/daemon_given.c. Duplicates for one service, into `given` of RUNNING_SOCKETS_MOST: of the
 * sockets of `old`, which it replaces, else of systemd's of its name. Returns their count. */
unsigned daemon_given(struct daemon *d, const struct service_row *row, const struct running *old,
		      struct running_socket *given);

/* Whether the service may have those of systemd's: 0, or ERR_USAGE with the message in `trouble`.
 */
int daemon_check_given(const struct daemon *d, const struct configuration_service *s,
		       const struct running_socket *given, unsigned count,
		       struct daemon_trouble *trouble);

/* daemon/daemon_state.c. Finds and makes the state directory, or notes why not. */
void daemon_find_state(struct daemon *d);

/* Whether the service has what it needs of it: 0, or an error with the message in `trouble`. */
int daemon_check_state(const struct daemon *d, const struct service_row *row,
		       struct daemon_trouble *trouble);

/* Its keeper failed to start with `err`: says so in `trouble`. Returns the error to end with. */
int daemon_say_record(const struct daemon *d, const struct service_row *row, int err,
		      struct daemon_trouble *trouble);

/* An event of the daemon's own, with at most one field. */
void daemon_say(struct daemon *d, enum event_level level, const char *type, const char *name,
		const char *value);

/* daemon/daemon_face.c. What the daemon tells of itself: the events, the control socket, the API.
 * Made before the services are opened; 0, ERR_MEMORY, ERR_DESCRIPTORS, ERR_SYSTEM. Opening the
 * control socket may fail without harm. */
int daemon_open_face(struct daemon *d);
/* Starts the threads of log and events: once the process is confined. */
int daemon_start_face(struct daemon *d);
/* Says why there is no control socket. */
void daemon_tell_control(struct daemon *d);
/* Once no worker runs. As daemon_free. */
bool daemon_close_face(struct daemon *d);

/* SIGHUP: reads the file and asks for names in a work thread, then changes what is to be changed.
 * One that comes meanwhile is heard afterwards. */
void daemon_reload(struct daemon *d);

/* Takes back one that is under way. False when it waits for a disk or a resolver: its memory must
 * stand until the process ends. */
bool daemon_withdraw_reload(struct daemon *d);

#endif
