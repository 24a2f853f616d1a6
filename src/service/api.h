/* Who answers `/api/...`, `/metrics`, `/healthz` and the dashboard (docs/protocols/api.md): the
 * daemon, asked by the service that speaks HTTP. The service has one `struct api` a loop; every
 * call, either way, is made in that loop's thread and hands over what is valid during the call.
 *
 *   http machine ──told──► keeper ── ask ──► api ── answer ──► keeper ──tell──► machine
 *                                    gone           more ...
 *                                    ready (what `more` brought has left)
 */
#ifndef SERVICE_API_H
#define SERVICE_API_H

#include "base/address.h"
#include "proto/http_server.h"

struct api;
struct service_context;

struct api_request {
	uint64_t from; /* the machine that asks; one request at a time */
	struct address remote, local;
	bool tls;
	bool login_always; /* from this machine too */
	const struct http1_head *head;
	struct bytes
		target; /* as in the head, but without the prefix of the dashboard: `/_prise` */
	struct bytes body;
};

struct api_answer {
	unsigned status;
	struct bytes fields; /* header fields beside the length, each with its CRLF */
	struct bytes body;
	bool stream; /* without end: more comes by `more`, until the client leaves */
};

struct api_calls {
	/* Once for each request, within `ask` or soon after. To HEAD with the body of GET. */
	void (*answer)(void *owner, uint64_t to, const struct api_answer *answer);
	/* After an answer that is a stream: the next piece, once. The next comes after `ready`. */
	void (*more)(void *owner, uint64_t to, struct bytes piece);
	/* A stream is over; nothing more comes to it. */
	void (*cease)(void *owner, uint64_t to);
	void *owner;
};

struct service_api {
	/* 0 or ERR_MEMORY. */
	int (*open)(struct api **api, void *daemon, const struct service_context *context,
		    const struct api_calls *calls);
	void (*ask)(struct api *api, const struct api_request *request);
	/* The beginning of a stream, or a piece of it, has been handed to the kernel. */
	void (*ready)(struct api *api, uint64_t from);
	/* The stream is to end: what there is still by `more`, ready or not, and `cease`. */
	void (*farewell)(struct api *api, uint64_t from);
	/* The machine is gone: no answer is due, nor any more. Harmless at any time. */
	void (*gone)(struct api *api, uint64_t from);
	void (*close)(struct api *api);
	void *daemon;
	/* The dashboard: what is sent as it lies in the program, without a question. */
	const struct http_asset *asset;
	unsigned assets;
};

#endif
