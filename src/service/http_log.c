/* The access log.
 *
 *   loops ── line ──► filling ──┐ when it has been quiet for a moment, or half full
 *                               └── swap ──► draining ── write ──► file
 *
 * The lock is held for a copy or a swap of pointers, never for a write.
 *
 * Source: the Common Log Format of NCSA's httpd:
 *   127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 */
#include "service/http_log.h"

#include "base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	HTTP_LOG_BYTES = 1 << 20,
	HTTP_LOG_TARGET_BYTES = 1024,
	/* a request line all escaped */
	HTTP_LOG_LINE_BYTES = 4 * 8192 + 512,
	HTTP_LOG_WAIT_MS = 200
};

struct http_logger {
	struct http_log log;
	const struct service_context *context;
	const char *path;
	int format, fd;
	char host[65];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	char *filling, *draining;
	size_t filled;
	uint64_t dropped;
	bool stop, reopen, failed;
};

/* In a pair of quotes: what could end it or obey a terminal is shown as \xNN. */
static void http_log_put_quoted(struct text *t, struct bytes b)
{
	for (size_t i = 0; i < b.len; i++) {
		if (b.data[i] < 0x20 || b.data[i] >= 0x7f || b.data[i] == '"' || b.data[i] == '\\')
			text_printf(t, "\\x%02X", b.data[i]);
		else
			text_put_byte(t, (char)b.data[i]);
	}
}

static void http_log_put_date(struct text *t, const struct moment *now)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	struct moment_date d = moment_date_of(now->wall_us / 1000000 + now->utc_offset_s);
	int32_t offset_min = now->utc_offset_s / 60;
	char sign = offset_min < 0 ? '-' : '+';

	offset_min = offset_min < 0 ? -offset_min : offset_min;
	text_printf(t, "[%02d/%.3s/%lld:%02d:%02d:%02d %c%02d%02d]", d.day,
		    months + (d.month - 1) * 3, (long long)d.year, d.hour, d.minute, d.second, sign,
		    (int)(offset_min / 60), (int)(offset_min % 60));
}

void http_log_put_common(struct text *t, const struct http_entry *entry, const struct moment *now)
{
	address_put_ip(t, entry->remote);
	text_put_string(t, " - - ");
	http_log_put_date(t, now);
	if (entry->method.len) {
		text_put_string(t, " \"");
		http_log_put_quoted(t, entry->method);
		text_put_byte(t, ' ');
		http_log_put_quoted(t, entry->target);
		text_printf(t, " HTTP/1.%u\" %u ", entry->minor, entry->status);
	} else {
		text_printf(t, " \"-\" %u ", entry->status);
	}
	if (entry->bytes)
		text_printf(t, "%llu\n", (unsigned long long)entry->bytes);
	else
		text_put_string(t, "-\n");
}

void http_log_put_json(struct text *t, const struct http_entry *entry, const struct moment *now,
		       const char *host)
{
	struct event e;

	event_init(&e, EVENT_INFO, "http.request", "http", now->wall_us);
	event_address(&e, "peer", entry->remote);
	if (entry->method.len) {
		event_text(&e, "method", entry->method);
		event_text(&e, "target", bytes_first(entry->target, HTTP_LOG_TARGET_BYTES));
		event_uint(&e, "minor", entry->minor);
	}
	event_uint(&e, "status", entry->status);
	event_uint(&e, "bytes", entry->bytes);
	if (entry->referer.len)
		event_text(&e, "referer", entry->referer);
	if (entry->agent.len)
		event_text(&e, "agent", entry->agent);
	event_put_json(t, &e, host);
}

static void http_log_put(void *context, const struct http_entry *entry, const struct moment *now)
{
	struct http_logger *logger = context;
	char line[HTTP_LOG_LINE_BYTES];
	struct text t = TEXT_OVER(line);

	if (logger->format == HTTP_LOG_JSON)
		http_log_put_json(&t, entry, now, logger->host);
	else
		http_log_put_common(&t, entry, now);
	if (t.cut)
		line[t.len - 1] = '\n';
	pthread_mutex_lock(&logger->lock);
	if (t.len > HTTP_LOG_BYTES - logger->filled) {
		logger->dropped++;
	} else {
		memcpy(logger->filling + logger->filled, line, t.len);
		logger->filled += t.len;
	}
	if (logger->filled == t.len || logger->filled > HTTP_LOG_BYTES / 2)
		pthread_cond_signal(&logger->wake);
	pthread_mutex_unlock(&logger->lock);
}

static int http_log_open(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
}

static void http_log_say(struct http_logger *logger, struct event *e)
{
	logger->context->event(logger->context->owner, e);
}

/* Once for each time that it begins. */
static void http_log_failed(struct http_logger *logger, int err)
{
	struct event e;
	struct moment now = {0};

	if (logger->failed)
		return;
	logger->failed = true;
	moment_read(&now);
	event_init(&e, EVENT_ERROR, "http.log_failed", "http", now.wall_us);
	event_string(&e, "error", err_name(err));
	event_string(&e, "path", logger->path);
	http_log_say(logger, &e);
}

static void http_log_write(struct http_logger *logger, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(logger->fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			http_log_failed(logger, err_from_errno(errno));
			return;
		}
		logger->failed = false;
		data += n;
		len -= (size_t)n;
	}
}

static void http_log_lost(struct http_logger *logger, uint64_t dropped)
{
	struct event e;
	struct moment now = {0};

	moment_read(&now);
	event_init(&e, EVENT_WARNING, "gap", "http", now.wall_us);
	event_uint(&e, "dropped", dropped);
	http_log_say(logger, &e);
}

static void http_log_reopen(struct http_logger *logger)
{
	int fd = http_log_open(logger->path);

	if (fd < 0) {
		http_log_failed(logger, err_from_errno(errno));
		return;
	}
	dup3(fd, logger->fd, O_CLOEXEC);
	close(fd);
}

/* A moment in which lines gather, so that a write has many. The lock is held. */
static void http_log_gather(struct http_logger *logger)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += HTTP_LOG_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (!logger->stop && !logger->reopen && logger->filled <= HTTP_LOG_BYTES / 2 &&
	       pthread_cond_timedwait(&logger->wake, &logger->lock, &until) == 0)
		;
}

static void *http_log_run(void *argument)
{
	struct http_logger *logger = argument;
	bool stop = false;

	while (!stop) {
		uint64_t dropped;
		size_t len;
		bool reopen;

		pthread_mutex_lock(&logger->lock);
		while (!logger->stop && !logger->reopen && !logger->filled)
			pthread_cond_wait(&logger->wake, &logger->lock);
		http_log_gather(logger);
		char *full = logger->filling;

		logger->filling = logger->draining;
		logger->draining = full;
		len = logger->filled;
		dropped = logger->dropped;
		reopen = logger->reopen;
		stop = logger->stop;
		logger->filled = 0;
		logger->dropped = 0;
		logger->reopen = false;
		pthread_mutex_unlock(&logger->lock);
		http_log_write(logger, full, len);
		if (reopen)
			http_log_reopen(logger);
		if (dropped)
			http_log_lost(logger, dropped);
	}
	return NULL;
}

static void http_logger_free(struct http_logger *logger)
{
	if (logger->fd >= 0)
		close(logger->fd);
	free(logger->filling);
	free(logger->draining);
	free(logger);
}

int http_logger_start(struct http_logger **started, const char *path, int format,
		      const struct service_context *context)
{
	struct http_logger *logger = calloc(1, sizeof *logger);
	pthread_condattr_t attr;

	if (!logger)
		return ERR_MEMORY;
	logger->fd = -1;
	logger->path = path;
	logger->format = format;
	logger->context = context;
	logger->log = (struct http_log){logger, http_log_put};
	logger->filling = malloc(HTTP_LOG_BYTES);
	logger->draining = malloc(HTTP_LOG_BYTES);
	gethostname(logger->host, sizeof logger->host - 1);
	if (!logger->filling || !logger->draining) {
		http_logger_free(logger);
		return ERR_MEMORY;
	}
	logger->fd = http_log_open(path);
	if (logger->fd < 0) {
		int err = err_from_errno(errno);

		http_logger_free(logger);
		return err;
	}
	pthread_mutex_init(&logger->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&logger->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&logger->thread, NULL, http_log_run, logger) != 0) {
		http_logger_free(logger);
		return ERR_SYSTEM;
	}
	*started = logger;
	return 0;
}

void http_logger_stop(struct http_logger *logger)
{
	if (!logger)
		return;
	pthread_mutex_lock(&logger->lock);
	logger->stop = true;
	pthread_cond_signal(&logger->wake);
	pthread_mutex_unlock(&logger->lock);
	pthread_join(logger->thread, NULL);
	http_logger_free(logger);
}

void http_logger_reopen(struct http_logger *logger)
{
	pthread_mutex_lock(&logger->lock);
	logger->reopen = true;
	pthread_cond_signal(&logger->wake);
	pthread_mutex_unlock(&logger->lock);
}

const struct http_log *http_logger_log(struct http_logger *logger)
{
	return &logger->log;
}
