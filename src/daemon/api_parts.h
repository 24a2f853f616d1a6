/* What api.c and api_stream.c share. Private to the two. */
#ifndef DAEMON_API_PARTS_H
#define DAEMON_API_PARTS_H

#include "daemon/api.h"

#include "net/gate.h"
#include "proto/stream_hub.h"
#include "service/service.h"

#include <stdatomic.h>

enum { API_NOTE_STATUS, API_NOTE_ROLE };

struct api_files;

struct api_home {
	struct service_api service;
	struct events *events;
	struct snapshot_list *snapshots;
	struct guard *guard;
	struct api_files *files;
	struct gate *streams; /* in all, and per source */
	_Atomic uint64_t missed;
};

/* Who reads a stream here, for the gate and the guard. */
struct api_reader {
	uint64_t id; /* 0: free */
	struct address remote;
	struct guard_pass pass;
};

/* The part on one loop. */
struct api {
	struct api_home *home;
	struct loop *loop;
	struct pump_common *pumps;
	struct api_calls calls;
	unsigned going; /* snapshots and jobs under way: its end waits for those */
	bool closed;

	/* Streams. */
	struct stream_hub *hub;
	struct events_reader *follow; /* while anybody reads */
	struct wheel_timer second;
	uint64_t up_to; /* events up to this one are told, and were looked at */
	bool status_going, role_going, role_again;
	uint64_t role_hash; /* of what was told last */
	uint64_t missed_told;
	struct api_reader reader[API_STREAMS];
};

/* One answer, whole. `type` is its Content-Type, or NULL with no content. */
void api_answer(struct api *api, uint64_t to, unsigned status, const char *type, struct bytes body);

/* {"error":"not_found","text":"..."}: what programs go by, and what people read. `more` are header
 * fields. */
void api_refuse(struct api *api, uint64_t to, unsigned status, const char *error, const char *text,
		const char *more);
/* 404, and 503. */
void api_unknown(struct api *api, uint64_t to);
void api_failed(struct api *api, uint64_t to);

/* GET /api/files, /api/clients (daemon/api_files.c), allowed already. */
void api_show_files(struct api *api, uint64_t to, struct bytes query, bool clients);
/* What all loops have of it. 0 or ERR_MEMORY; destroyed once no loop runs, in either case. */
int api_files_create(struct api_files **files, const char *state_dir);
void api_files_destroy(struct api_files *files);

/* GET /api/stream, allowed already. */
void api_stream_open(struct api *api, const struct api_request *request, struct bytes query,
		     const struct guard_pass *pass);
void api_stream_ready(struct api *api, uint64_t from);
void api_stream_farewell(struct api *api, uint64_t from);
void api_stream_gone(struct api *api, uint64_t from);

/* 0 or ERR_MEMORY. */
int api_stream_begin(struct api *api);
void api_stream_end(struct api *api);

/* The number behind NAME= in a query; false when there is none, or it is none. */
bool api_query_number(struct bytes query, const char *name, uint64_t *value);
struct bytes api_query(struct bytes query, const char *name);

/* Asks for a snapshot on this part's account. */
int api_ask_snapshot(struct api *api, const struct snapshot_question *question,
		     void (*done)(void *owner, uint64_t tag, const struct snapshot_answer *answer),
		     uint64_t tag);

/* First thing of every `done`: false when the part was closed meanwhile, and may be gone now. */
bool api_snapshot_came(struct api *api);

#endif
