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

/* What every service can be told (SPEC 2), over struct service_settings. */
extern const struct option service_options[];

struct service_settings {
	struct option_list listen;
	uint64_t max_connections, max_per_source, max_per_second;
	uint64_t queue_bytes, idle_ms, first_byte_ms, backlog;
	bool udp;
	uint64_t udp_rate, udp_burst;
	bool udp_long_answers;
};

/* A keeper holds what outlives connections: a hub, a disk. It lives on the service's home loop. */
struct service_context {
	struct loop *loop;
	struct pump_common *pumps;
	struct work *work;     /* one thread, so jobs run in order */
	const char *state_dir; /* exists, writable */
	const struct service_settings *common;
	const void *settings; /* of the machine */
	void (*event)(void *owner, struct event *event);
	void *owner;
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
