/* The daemon's answers over HTTP (docs/protocols/api.md): struct service_api of service/api.h,
 * filled in. */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include "daemon/events.h"
#include "daemon/guard.h"
#include "daemon/snapshot.h"

#include "service/api.h"

enum { API_STREAMS = 512, API_STREAMS_PER_SOURCE = 128 };

/* What all of its parts, one on each loop, have in common. */
struct api_home;

/* `config_dir` has the token, `state_dir` the store of changes. 0 or ERR_MEMORY. The first two
 * outlive it. */
int api_create(struct api_home **home, struct events *events, struct snapshot_list *snapshots,
	       const char *config_dir, const char *state_dir);
void api_destroy(struct api_home *home);

/* For the services: valid until api_destroy. */
const struct service_api *api_service(struct api_home *home);

/* Streams now, and events that they were too slow for. Any thread. */
uint64_t api_streams(const struct api_home *home);
uint64_t api_missed(const struct api_home *home);

#endif
