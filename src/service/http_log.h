/* The access log of the service http: lines from every loop, written by a thread of its own. No
 * loop waits for a disk: lines that find no room are dropped, counted and told in a `gap` event. */
#ifndef SERVICE_HTTP_LOG_H
#define SERVICE_HTTP_LOG_H

#include "proto/http_server.h"
#include "service/service.h"

struct http_logger;

/* Opens `path` to append and starts the thread. 0, ERR_PERMISSION, ERR_NO_FILE, ERR_MEMORY, ... The
 * context must outlive it. */
int http_logger_start(struct http_logger **logger, const char *path, int format,
		      const struct service_context *context);

/* Writes what waits and ends the thread. */
void http_logger_stop(struct http_logger *logger);

/* Opens the path anew, soon: the file was moved away. Any thread. */
void http_logger_reopen(struct http_logger *logger);

/* What machines are given; any loop's. */
const struct http_log *http_logger_log(struct http_logger *logger);

/* One line, for tests. `host` for JSON. */
void http_log_put_common(struct text *t, const struct http_entry *entry, const struct moment *now);
void http_log_put_json(struct text *t, const struct http_entry *entry, const struct moment *now,
		       const char *host);

#endif
