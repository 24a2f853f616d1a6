/* The table of services (service.def), their common settings, and the keepers of those that hold
 * more than a machine does. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "net/pump.h"
#include "net/work.h"
#include "proto/machine.h"

enum service_transports { SERVICE_TCP = 1, SERVICE_UDP = 2, SERVICE_UDP_ASKED = 4 };
enum service_first { SERVICE_FIRST_CLIENT, SERVICE_FIRST_SERVER };
enum service_place { SERVICE_SPREAD, SERVICE_HOMED };
enum service_reach { SERVICE_PUBLIC, SERVICE_PRIVATE };

struct service_row {
	const char *name;
	uint16_t port, standard_port; /* standard_port 0: none */
	unsigned transports;
	bool on; /* when no service is named */
	enum service_first first;
	enum service_place place;
	enum service_reach reach;
	const struct machine *machine;
	const struct service_keeper *keeper; /* or NULL */
	const char *summary;                 /* N_() */
};

extern const struct service_row service_rows[];
extern const unsigned service_row_count;

const struct service_row *service_find(const char *name);

/* What every service can be told, over struct service_settings. */
extern const struct option service_options[];

struct service_settings {
	struct option_list listen;
	uint64_t max_connections, max_per_source, max_per_second;
	uint64_t queue_bytes, idle_ms, first_byte_ms, backlog;
	bool udp;
	uint64_t udp_rate, udp_burst;
	bool udp_long_answers;
	bool tls;                    /* its TCP listeners speak TLS, and there is no UDP */
	const char *authorized_keys; /* a file, or NULL */
};

struct service_api;

/* A keeper holds what outlives connections: a hub, a disk. It lives on the service's home loop. */
struct service_context {
	struct loop *loop;
	struct pump_common *pumps;
	struct work *work;     /* one thread, so jobs run in order */
	const char *state_dir; /* exists, writable */
	const struct service_settings *common;
	const void *settings; /* of the machine */
	void (*event)(void *owner, struct event *event);
	/* An event that is JSON already, on one line without LF: to whoever follows, and to the log
	 * if so wished. */
	void (*event_line)(void *owner, struct bytes json, bool log);
	void *owner;
	const struct service_api *api; /* who answers for the daemon (service/api.h), or NULL */
};

struct service_path {
	const char *path;
	bool beside, writes; /* the directory that it stands in; files there are made and removed */
};

struct service_keeper {
	/* 0 or an error, having made an event that says more. The context stays valid until stop.
	 */
	int (*start)(void **state, const struct service_context *context);
	/* A machine told OUT_HUB. */
	void (*told)(void *state, uint64_t from, const struct message *message);
	/* The kind of message that says in a machine's name, after all else of it, that it is gone.
	 */
	uint32_t gone_kind;
	/* The service stops: every connection is closed. A job may still run; when its answer
	 * comes, the context is gone. */
	void (*stop)(void *state);

	/* Of a spread service, its part on one loop: made after `start` and ended before `stop`, in
	 * that loop's thread. The context is that loop's, valid until share_stop. `*settings` may
	 * be set to what machines there are given in place of the context's. `told` gets the share
	 * in place of the state. Both NULL: none. */
	int (*share_start)(void **share, void *state, const struct service_context *context,
			   const void **settings);
	void (*share_stop)(void *share);

	/* What the daemon has to open to it when it confines itself: fills in up to `most` paths,
	 * the settings', and returns how many. NULL: none. */
	unsigned (*paths)(const void *settings, struct service_path *paths, unsigned most);
	/* Whether what the settings name is there: 0, or an error and the path that it is of.
	 * Nothing is made or kept. NULL: nothing to look for. */
	int (*check)(const void *settings, const char **path);
	/* SIGHUP came, and the configuration of this service is what it was. First thread. */
	void (*reload)(void *state);
	/* Its state as a JSON value, in a few words or whole (/api/NAME); NULL: it shows none. In
	 * its home loop's thread. */
	void (*show)(void *state, bool whole, struct text *json);
	/* The file that it keeps in the state directory; NULL: it needs none. `start` fails with
	 * ERR_SYNTAX when it is damaged, ERR_RANGE when it is a later prise's, ERR_IN_USE. */
	const char *record;
	const char *mend; /* what to do about a damaged one, N_() */
	/* It may stand beside the one that replaces it while its last connections go on. */
	bool plural;
};

#define SERVICE(name, ...) extern const struct machine name##_machine;
#include "service/service.def"
#undef SERVICE

#define SERVICE_PLAIN(name)
#define SERVICE_KEPT(name) extern const struct service_keeper name##_keeper;
#define SERVICE(name, port, standard, transports, on, first, place, reach, keeper, summary) \
	SERVICE_##keeper(name)
#include "service/service.def"
#undef SERVICE
#undef SERVICE_PLAIN
#undef SERVICE_KEPT

#endif
