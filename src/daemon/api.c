/* The API: paths to answers. What is known here is answered at once; what the daemon's other
 * threads know is asked for as a snapshot, and answered when that comes. */
#include "daemon/api_parts.h"

#include "base/err.h"
#include "base/number.h"
#include "daemon/web.h"

#include <stdlib.h>

#define API_JSON  "application/json"
#define API_PLAIN "text/plain; charset=utf-8"
#define API_TEXT  "text/plain; version=0.0.4; charset=utf-8"

enum {
	API_FIELDS_BYTES = 1024,
	API_LOG_DEFAULT = 200,
	API_LOG_MOST = 1000,
	API_LOG_BYTES = 4 << 20,
	API_CONNECTIONS_DEFAULT = 100,
};

/* Answers. */

static void api_put_fields(struct text *t, const char *type)
{
	if (type)
		text_printf(t, "Content-Type: %s\r\n", type);
	/* Nothing of it is for a cache, a frame, a script's guess or another page. */
	text_put_string(t, "Cache-Control: no-store\r\n"
			   "X-Content-Type-Options: nosniff\r\n"
			   "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
			   "Cross-Origin-Resource-Policy: same-origin\r\n"
			   "Referrer-Policy: no-referrer\r\n");
}

static void api_answer_with(struct api *api, uint64_t to, unsigned status, const char *type,
			    const char *more, struct bytes body)
{
	char fields[API_FIELDS_BYTES];
	struct text t = TEXT_OVER(fields);
	struct api_answer answer = {.status = status, .body = body};

	api_put_fields(&t, type);
	text_put_string(&t, more);
	answer.fields = text_bytes(&t);
	api->calls.answer(api->calls.owner, to, &answer);
}

void api_answer(struct api *api, uint64_t to, unsigned status, const char *type, struct bytes body)
{
	api_answer_with(api, to, status, type, "", body);
}

void api_refuse(struct api *api, uint64_t to, unsigned status, const char *error, const char *text,
		const char *more)
{
	char body[512];
	struct text t = TEXT_OVER(body);

	text_put_string(&t, "{\"error\":");
	event_put_json_string(&t, bytes_of_string(error));
	text_put_string(&t, ",\"text\":");
	event_put_json_string(&t, bytes_of_string(text));
	text_put_string(&t, "}\n");
	api_answer_with(api, to, status, API_JSON, more, text_bytes(&t));
}

/* Queries. */

struct bytes api_query(struct bytes query, const char *name)
{
	struct bytes wanted = bytes_of_string(name);

	while (query.len) {
		size_t end = bytes_find_byte(query, '&');
		struct bytes one = bytes_first(query, end);

		if (one.len > wanted.len && one.data[wanted.len] == '=' &&
		    bytes_equal(bytes_first(one, wanted.len), wanted))
			return bytes_after(one, wanted.len + 1);
		query = bytes_after(query, end < query.len ? end + 1 : end);
	}
	return query;
}

bool api_query_number(struct bytes query, const char *name, uint64_t *value)
{
	return number_parse_u64(api_query(query, name), value) == 0;
}

static uint64_t api_query_up_to(struct bytes query, const char *name, uint64_t fallback,
				uint64_t most)
{
	uint64_t value;

	if (!api_query_number(query, name, &value))
		return fallback;
	return value < most ? value : most;
}

/* Snapshots. */

int api_ask_snapshot(struct api *api, const struct snapshot_question *question,
		     void (*done)(void *owner, uint64_t tag, const struct snapshot_answer *answer),
		     uint64_t tag)
{
	int err = snapshot_ask(api->home->snapshots, api->loop, question, done, api, tag);

	api->going += !err;
	return err;
}

bool api_snapshot_came(struct api *api)
{
	bool closed = api->closed;

	api->going--;
	if (closed && !api->going)
		free(api);
	return !closed;
}

void api_unknown(struct api *api, uint64_t to)
{
	api_refuse(api, to, 404, "not_found", "there is nothing of that name here", "");
}

void api_failed(struct api *api, uint64_t to)
{
	api_refuse(api, to, 503, "busy", "that cannot be told just now", "Retry-After: 1\r\n");
}

static void api_told(void *owner, uint64_t to, const struct snapshot_answer *answer)
{
	struct api *api = owner;

	if (!api_snapshot_came(api))
		return;
	if (!answer->err)
		api_answer(api, to, 200, API_JSON, answer->text);
	else if (answer->err == ERR_NO_NAME)
		api_unknown(api, to);
	else
		api_failed(api, to);
	pump_deliver(api->pumps);
}

static void api_told_metrics(void *owner, uint64_t to, const struct snapshot_answer *answer)
{
	struct api *api = owner;

	if (!api_snapshot_came(api))
		return;
	if (answer->err)
		api_failed(api, to);
	else
		api_answer(api, to, 200, API_TEXT, answer->text);
	pump_deliver(api->pumps);
}

static void api_show(struct api *api, uint64_t to, enum snapshot_kind kind)
{
	struct snapshot_question question = {.kind = kind};

	if (api_ask_snapshot(api, &question, kind == SNAPSHOT_METRICS ? api_told_metrics : api_told,
			     to) < 0)
		api_failed(api, to);
}

static void api_show_connections(struct api *api, uint64_t to, struct bytes query)
{
	struct snapshot_question question = {
		.kind = SNAPSHOT_CONNECTIONS,
		.offset = api_query_up_to(query, "offset", 0, SNAPSHOT_OFFSET_MOST),
		.limit = api_query_up_to(query, "limit", API_CONNECTIONS_DEFAULT,
					 SNAPSHOT_LIMIT_MOST),
	};
	struct text service = TEXT_OVER(question.service);

	text_put(&service, api_query(query, "service"));
	if (service.cut || (service.len && !service_find(question.service)))
		api_refuse(api, to, 404, "not_found", "there is no such service", "");
	else if (api_ask_snapshot(api, &question, api_told, to) < 0)
		api_failed(api, to);
}

/* The newest events below `before`, as many as are wanted and fit. */
static void api_put_log(struct text *t, const struct stream_ring *ring, uint64_t before,
			uint64_t limit)
{
	uint64_t oldest = stream_ring_oldest(ring), number = ring->newest;

	if (before && before <= number)
		number = before - 1;
	text_printf(t, "{\"seq\":%llu,\"events\":[", (unsigned long long)ring->newest);
	for (bool first = true; limit && number >= oldest && number; limit--, number--) {
		struct bytes line = stream_ring_line(ring, number);

		if (t->cap - t->len < line.len + 8)
			break;
		if (!first)
			text_put_byte(t, ',');
		text_put(t, line);
		first = false;
	}
	text_put_string(t, "]}");
}

static void api_show_log(struct api *api, uint64_t to, struct bytes query)
{
	uint64_t before = api_query_up_to(query, "before", 0, UINT64_MAX);
	uint64_t limit = api_query_up_to(query, "limit", API_LOG_DEFAULT, API_LOG_MOST);
	char *memory = malloc(API_LOG_BYTES);
	struct text t;

	if (!memory) {
		api_failed(api, to);
		return;
	}
	t = text_over(memory, API_LOG_BYTES);
	api_put_log(&t, events_lock(api->home->events), before, limit);
	events_unlock(api->home->events);
	api_answer(api, to, 200, API_JSON, text_bytes(&t));
	free(memory);
}

/* Logins. */

static void api_too_many(struct api *api, uint64_t to)
{
	api_refuse(api, to, 429, "too_many", "too many tries: wait a little", "Retry-After: 5\r\n");
}

/* Whoever shows the right token and is refused finds out why in the log. */
static void api_tell_trouble(struct api *api)
{
	const char *path;
	int err = guard_trouble(api->home->guard, &path);
	struct event e;

	if (!err)
		return;
	event_init(&e, EVENT_WARNING, "token.unreadable", "http", loop_now(api->loop)->wall_us);
	event_string(&e, "why", err_name(err));
	event_string(&e, "path", path);
	events_publish(api->home->events, &e);
}

static void api_login(struct api *api, const struct api_request *request)
{
	uint64_t random[2] = {loop_random(api->loop), loop_random(api->loop)};
	char session[GUARD_SESSION_BYTES + 1], cookie[256];
	struct text t = TEXT_OVER(cookie);

	switch (guard_login(api->home->guard, request, loop_now(api->loop), random, session)) {
	case GUARD_IN:
		text_printf(&t,
			    "Set-Cookie: prise_session=%s; Path=/; HttpOnly; SameSite=Strict%s\r\n",
			    session, request->tls ? "; Secure" : "");
		api_answer_with(api, request->from, 204, NULL, cookie, (struct bytes){0});
		break;
	case GUARD_TOO_MANY:
		api_too_many(api, request->from);
		break;
	default:
		api_tell_trouble(api);
		api_refuse(api, request->from, 403, "token", "that is not the token", "");
	}
}

static void api_logout(struct api *api, const struct api_request *request)
{
	guard_logout(api->home->guard, request);
	api_answer_with(api, request->from, 204, NULL,
			"Set-Cookie: prise_session=; Path=/; HttpOnly; SameSite=Strict; "
			"Max-Age=0\r\n",
			(struct bytes){0});
}

/* Paths. */

enum api_path {
	API_STATUS,
	API_CONNECTIONS,
	API_ROLE,
	API_FILES,
	API_CLIENTS,
	API_LOG,
	API_STREAM,
	API_METRICS,
	API_HEALTH,
	API_LOGIN,
	API_LOGOUT,
	API_UNKNOWN
};

static const struct {
	const char *path;
	bool posted; /* by POST, not GET and HEAD */
	bool open;   /* without a login */
} api_paths[] = {
	[API_STATUS] = {"/api/status", false, false},
	[API_CONNECTIONS] = {"/api/connections", false, false},
	[API_ROLE] = {"/api/role", false, false},
	[API_FILES] = {"/api/files", false, false},
	[API_CLIENTS] = {"/api/clients", false, false},
	[API_LOG] = {"/api/log", false, false},
	[API_STREAM] = {"/api/stream", false, false},
	[API_METRICS] = {"/metrics", false, false},
	[API_HEALTH] = {"/healthz", false, true},
	[API_LOGIN] = {"/api/login", true, true},
	[API_LOGOUT] = {"/api/logout", true, true},
};

static enum api_path api_find(struct bytes path)
{
	enum api_path which = API_STATUS;

	while (which < API_UNKNOWN && !bytes_equal(path, bytes_of_string(api_paths[which].path)))
		which++;
	return which;
}

static void api_serve(struct api *api, const struct api_request *request, enum api_path path,
		      struct bytes query, const struct guard_pass *pass)
{
	switch (path) {
	case API_STATUS:
		api_show(api, request->from, SNAPSHOT_STATUS);
		break;
	case API_CONNECTIONS:
		api_show_connections(api, request->from, query);
		break;
	case API_ROLE:
		api_show(api, request->from, SNAPSHOT_ROLE);
		break;
	case API_FILES:
	case API_CLIENTS:
		api_show_files(api, request->from, query, path == API_CLIENTS);
		break;
	case API_LOG:
		api_show_log(api, request->from, query);
		break;
	case API_STREAM:
		api_stream_open(api, request, query, pass);
		break;
	case API_METRICS:
		api_show(api, request->from, SNAPSHOT_METRICS);
		break;
	case API_HEALTH:
		api_answer(api, request->from, 200, API_PLAIN, BYTES_LITERAL("ok\n"));
		break;
	case API_LOGIN:
		api_login(api, request);
		break;
	case API_LOGOUT:
		api_logout(api, request);
		break;
	case API_UNKNOWN:
		api_unknown(api, request->from);
		break;
	}
}

/* Whether this method goes with this path; else it is answered. A stream has no HEAD: it would be
 * one without end. */
static bool api_allows(struct api *api, const struct api_request *request, enum api_path path)
{
	struct bytes method = request->head->method;
	bool get = bytes_equal(method, BYTES_LITERAL("GET"));
	bool head = bytes_equal(method, BYTES_LITERAL("HEAD"));
	bool post = bytes_equal(method, BYTES_LITERAL("POST"));

	if (path == API_UNKNOWN ||
	    (api_paths[path].posted ? post : get || (head && path != API_STREAM)))
		return true;
	api_refuse(api, request->from, 405, "method", "another method is wanted",
		   api_paths[path].posted ? "Allow: POST\r\n"
		   : path == API_STREAM   ? "Allow: GET\r\n"
					  : "Allow: GET, HEAD\r\n");
	return false;
}

/* Whether whoever asks may; else it is answered. */
static bool api_admits(struct api *api, const struct api_request *request, enum api_path path,
		       struct guard_pass *pass)
{
	enum guard_verdict verdict = GUARD_IN;

	if (path == API_UNKNOWN || !api_paths[path].open)
		verdict = guard_check(api->home->guard, request, loop_now(api->loop), pass);
	switch (verdict) {
	case GUARD_IN:
		return true;
	case GUARD_LOGIN:
		api_tell_trouble(api);
		api_refuse(api, request->from, 401, "login",
			   "from beyond this machine a token is needed: prise key --token",
			   "WWW-Authenticate: Bearer realm=\"prise\"\r\n");
		break;
	case GUARD_TOO_MANY:
		api_too_many(api, request->from);
		break;
	}
	return false;
}

static void api_ask(struct api *api, const struct api_request *request)
{
	size_t mark = bytes_find_byte(request->target, '?');
	struct bytes query = bytes_after(request->target, mark);
	enum api_path path = api_find(bytes_first(request->target, mark));
	struct guard_pass pass = {.near = true};

	if (query.len)
		query = bytes_after(query, 1);
	if (api_admits(api, request, path, &pass) && api_allows(api, request, path))
		api_serve(api, request, path, query, &pass);
}

static int api_open(struct api **opened, void *daemon, const struct service_context *context,
		    const struct api_calls *calls)
{
	struct api *api = calloc(1, sizeof *api);
	int err;

	if (!api)
		return ERR_MEMORY;
	api->home = daemon;
	api->loop = context->loop;
	api->calls = *calls;
	api->pumps = context->pumps;
	err = api_stream_begin(api);
	if (err)
		free(api);
	else
		*opened = api;
	return err;
}

static void api_close(struct api *api)
{
	api_stream_end(api);
	api->closed = true;
	if (!api->going)
		free(api);
}

int api_create(struct api_home **created, struct events *events, struct snapshot_list *snapshots,
	       const char *config_dir, const char *state_dir)
{
	struct gate_limits limits = {.open = API_STREAMS, .per_source = API_STREAMS_PER_SOURCE};
	struct api_home *home = calloc(1, sizeof *home);
	int err;

	if (!home)
		return ERR_MEMORY;
	home->events = events;
	home->snapshots = snapshots;
	home->service = (struct service_api){.open = api_open,
					     .ask = api_ask,
					     .ready = api_stream_ready,
					     .farewell = api_stream_farewell,
					     .gone = api_stream_gone,
					     .close = api_close,
					     .daemon = home,
					     .asset = web_asset,
					     .assets = web_assets};
	err = gate_create(&home->streams, &limits);
	if (!err)
		err = guard_create(&home->guard, config_dir);
	if (!err)
		err = api_files_create(&home->files, state_dir);
	if (err)
		api_destroy(home);
	else
		*created = home;
	return err;
}

void api_destroy(struct api_home *home)
{
	if (!home)
		return;
	api_files_destroy(home->files);
	guard_destroy(home->guard);
	if (home->streams)
		gate_destroy(home->streams);
	free(home);
}

const struct service_api *api_service(struct api_home *home)
{
	return &home->service;
}

uint64_t api_streams(const struct api_home *home)
{
	return gate_open(home->streams);
}

uint64_t api_missed(const struct api_home *home)
{
	return atomic_load(&home->missed);
}
