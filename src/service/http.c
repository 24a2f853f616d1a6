/* The keeper of http: on each loop the files (http_files.h) and whoever answers for the daemon
 * (service/api.h), and for all of them the types and the access log.
 *
 *   http_machine ── HTTP_ASK ──► share ── ask ──► api
 *                ◄─ HTTP_ANSWER ──┘ ◄── answer ───┘ */
#include "service/api.h"
#include "service/http_files.h"
#include "service/http_log.h"
#include "service/service.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { HTTP_HOST_BYTES = 65 };

struct http_keep {
	const struct service_context *context;
	struct http_types *types;
	struct http_logger *logger; /* NULL: none */
	struct work *work;          /* for PUT */
	char host[HTTP_HOST_BYTES];
};

struct http_share {
	struct http_keep *keep;
	const struct service_context *context;
	struct http_cache *cache; /* NULL: no files */
	struct api *api;          /* NULL: nobody answers */
	struct api_calls calls;
	struct http_settings settings;
};

static void http_failed(struct http_keep *keep, const char *path, int err)
{
	struct event e;

	event_init(&e, EVENT_ERROR, "http.failed", "http", loop_now(keep->context->loop)->wall_us);
	event_string(&e, "error", err_name(err));
	event_string(&e, "path", path);
	keep->context->event(keep->context->owner, &e);
}

static void http_free(struct http_keep *keep)
{
	work_destroy(keep->work);
	http_logger_stop(keep->logger);
	http_types_free(keep->types);
	free(keep);
}

static int http_start(void **state, const struct service_context *context)
{
	const struct http_settings *settings = context->settings;
	struct http_keep *keep = calloc(1, sizeof *keep);
	int err;

	if (!keep)
		return ERR_MEMORY;
	keep->context = context;
	gethostname(keep->host, sizeof keep->host - 1);
	err = http_types_load(&keep->types, settings->types);
	if (!err && settings->put)
		err = work_create(&keep->work, 1);
	if (!err && settings->log) {
		err = http_logger_start(&keep->logger, settings->log, settings->log_format,
					context);
		if (err)
			http_failed(keep, settings->log, err);
	}
	if (err)
		http_free(keep);
	else
		*state = keep;
	return err;
}

static void http_stop(void *state)
{
	http_free(state);
}

static void http_reload(void *state)
{
	struct http_keep *keep = state;

	if (keep->logger)
		http_logger_reopen(keep->logger);
}

static unsigned http_paths(const void *settings, struct service_path *paths, unsigned most)
{
	const struct http_settings *s = settings;
	unsigned count = 0;

	if (s->root && count < most)
		paths[count++] = (struct service_path){.path = s->root, .writes = s->put};
	if (s->log && count < most)
		paths[count++] = (struct service_path){
			.path = s->log, .beside = true, .writes = true};
	if (s->types && count < most)
		paths[count++] = (struct service_path){.path = s->types};
	return count;
}

/* A file that is to be written, or the directory that it is to be made in. */
static int http_check_log(const char *path)
{
	char directory[PATH_MAX];

	if (access(path, F_OK) == 0)
		return access(path, W_OK) == 0 ? 0 : err_from_errno(errno);
	snprintf(directory, sizeof directory, "%s", path);
	return access(dirname(directory), W_OK | X_OK) == 0 ? 0 : err_from_errno(errno);
}

static int http_check(const void *settings, const char **path)
{
	const struct http_settings *s = settings;
	int err = 0, fd;

	if (s->root) {
		*path = s->root;
		fd = open(s->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		err = fd < 0 ? err_from_errno(errno) : 0;
		if (fd >= 0)
			close(fd);
	}
	if (!err && s->log)
		err = http_check_log(*path = s->log);
	return err;
}

static void http_api_answer(void *owner, uint64_t to, const struct api_answer *answer)
{
	struct http_share *share = owner;
	struct message message = {.kind = HTTP_ANSWER,
				  .number = {answer->status,
					     answer->stream ? HTTP_ANSWER_STREAM : 0,
					     answer->fields.len}};
	size_t len = answer->fields.len + answer->body.len;
	uint8_t *body = malloc(len + 1);

	if (!body) {
		message.number[0] = 503;
		message.number[1] = message.number[2] = 0;
		pump_tell(share->context->pumps, to, &message);
		return;
	}
	if (answer->fields.len)
		memcpy(body, answer->fields.data, answer->fields.len);
	if (answer->body.len)
		memcpy(body + answer->fields.len, answer->body.data, answer->body.len);
	message.body = bytes_of(body, len);
	pump_tell(share->context->pumps, to, &message);
	free(body);
}

static void http_api_more(void *owner, uint64_t to, struct bytes piece)
{
	struct http_share *share = owner;
	struct message message = {.kind = HTTP_MORE, .body = piece};

	pump_tell(share->context->pumps, to, &message);
}

static void http_api_cease(void *owner, uint64_t to)
{
	struct http_share *share = owner;
	struct message message = {.kind = HTTP_CEASE};

	pump_tell(share->context->pumps, to, &message);
}

/* Splits the question into its parts; they were put together by the machine. */
static void http_asked(struct http_share *share, uint64_t from, const struct message *message)
{
	const struct service_api *api = share->context->api;
	struct bytes all = bytes_after(message->body, sizeof(struct http_ask));
	struct bytes text = bytes_first(all, message->number[0]);
	struct http1_head head;
	struct http1_refusal refusal;
	struct http_ask ask;
	size_t seen = 0;
	struct api_request request = {.from = from, .head = &head};

	memcpy(&ask, message->body.data, sizeof ask);
	if (http1_parse(&head, HTTP1_REQUEST, text, &seen, bytes_of(NULL, 0), NULL, &refusal) <= 0)
		return;
	request.tls = share->context->common->tls;
	request.login_always = share->settings.login == HTTP_LOGIN_ALWAYS;
	request.remote = ask.remote;
	request.local = ask.local;
	request.target = bytes_first(bytes_after(text, message->number[1]), message->number[2]);
	request.body = bytes_after(all, text.len);
	api->ask(share->api, &request);
}

static void http_told(void *state, uint64_t from, const struct message *message)
{
	struct http_share *share = state;

	if (!share->api)
		return;
	if (message->kind == HTTP_ASK)
		http_asked(share, from, message);
	else if (message->kind == HTTP_READY)
		share->context->api->ready(share->api, from);
	else if (message->kind == HTTP_FAREWELL)
		share->context->api->farewell(share->api, from);
	else if (message->kind == HTTP_GONE)
		share->context->api->gone(share->api, from);
}

static unsigned http_siblings_of(const char *words)
{
	static const struct {
		const char *word;
		unsigned encoding;
	} known[] = {{"gz", HTTP_GZIP}, {"br", HTTP_BROTLI}, {"zst", HTTP_ZSTD}};
	unsigned encodings = 0;

	for (unsigned i = 0; words && i < 3; i++)
		if (strstr(words, known[i].word))
			encodings |= known[i].encoding;
	return encodings;
}

static int http_share_files(struct http_share *share)
{
	const struct http_settings *s = &share->settings;
	struct http_files_plan plan = {
		.root = s->root,
		.listing = s->listing,
		.encodings = http_siblings_of(s->precompressed),
		.types = share->keep->types,
		.loop = share->context->loop,
		.pumps = share->context->pumps,
		.work = share->keep->work,
	};
	int err;

	if (!s->root)
		return 0;
	err = http_cache_create(&share->cache, &plan);
	if (err)
		http_failed(share->keep, s->root, err);
	else
		share->settings.files = http_cache_files(share->cache);
	return err;
}

static int http_share_api(struct http_share *share)
{
	const struct service_api *api = share->context->api;

	if (!api)
		return 0;
	share->calls = (struct api_calls){http_api_answer, http_api_more, http_api_cease, share};
	share->settings.asset = api->asset;
	share->settings.assets = api->assets;
	share->settings.asks = true;
	return api->open(&share->api, api->daemon, share->context, &share->calls);
}

static void http_share_stop(void *state)
{
	struct http_share *share = state;

	if (share->api)
		share->context->api->close(share->api);
	http_cache_destroy(share->cache);
	free(share);
}

static int http_share_start(void **state, void *keep, const struct service_context *context,
			    const void **settings)
{
	struct http_share *share = calloc(1, sizeof *share);
	int err;

	if (!share)
		return ERR_MEMORY;
	share->keep = keep;
	share->context = context;
	memcpy(&share->settings, context->settings, sizeof share->settings);
	if (share->keep->logger)
		share->settings.access = http_logger_log(share->keep->logger);
	share->settings.host = share->keep->host;
	err = http_share_files(share);
	if (!err)
		err = http_share_api(share);
	if (err) {
		http_share_stop(share);
		return err;
	}
	*state = share;
	*settings = &share->settings;
	return 0;
}

const struct service_keeper http_keeper = {
	.start = http_start,
	.told = http_told,
	.gone_kind = HTTP_GONE,
	.stop = http_stop,
	.share_start = http_share_start,
	.share_stop = http_share_stop,
	.paths = http_paths,
	.check = http_check,
	.reload = http_reload,
	.plural = true,
};
