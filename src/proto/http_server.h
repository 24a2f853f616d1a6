/* What the server of HTTP (proto/http_server.c) asks of whoever holds it. The machine opens nothing
 * and remembers no page: files, assets, log and answers come through what its settings point at.
 *
 *                    ┌──────────────┐ ── find, read, put ──► struct http_files
 *                    │              │                         (service/http_files.c)
 *   requests ──────► │ http_machine │ ── path ─────────────► struct http_asset
 *   answers  ◄────── │              │                         (bytes in the program)
 *                    │              │ ── HTTP_ASK ─────────► OUT_HUB
 *                    └──────────────┘ ◄── HTTP_ANSWER ...      (service/http.c ► service/api.h)
 *
 * Where a path leads: beneath the mount (`/_prise` always, and `/` too when there are no files)
 * stand the assets by their paths, and `/api/...`, `/metrics`, `/healthz`, which are asked for; all
 * else is a file. What is asked is answered one at a time: the machine takes no other request of
 * its connection until the answer is whole, so an asker has one question open at most.
 *
 *   machine                                      hub
 *     │ ── HTTP_ASK ───────────────────────────►  │
 *     │ ◄─────────────────────────── HTTP_ANSWER  │   the whole answer, or
 *     │ ◄─────── HTTP_ANSWER (HTTP_ANSWER_STREAM) │   the beginning of a stream
 *     │ ── HTTP_READY ─────────────────────────►  │   its bytes went to the kernel: the next
 *     │ ◄───────────────────────────── HTTP_MORE  │
 *     │ ── HTTP_READY ─────────────────────────►  │
 *     │ ── HTTP_FAREWELL ──────────────────────►  │   the service stops: what there is still, and
 *     │ ◄────────────────── HTTP_MORE, HTTP_CEASE │   the stream's end
 *     │ ── HTTP_GONE ──────────────────────────►  │   the connection ended; harmless at any time
 *
 * A hub that sends more before HTTP_READY is not refused: that waits in the connection's queue. */
#ifndef PROTO_HTTP_SERVER_H
#define PROTO_HTTP_SERVER_H

#include "proto/http1.h"
#include "proto/machine.h"

enum {
	HTTP_PATH_BYTES = 1024,     /* of a decoded path */
	HTTP_ETAG_BYTES = 64,       /* with quotes and terminator */
	HTTP_ASK_HEAD_BYTES = 8192, /* the head of what is asked of the hub */
	HTTP_ASK_BODY_BYTES = 4096, /* and its body */
	HTTP_FILE_HEAD_BYTES = 512, /* http_put_file_head puts no more */
};

enum http_message {
	/* To the hub. The body is a struct http_ask, then the request's head as it came, then its
	 * body; number[0] is the head's bytes, number[1] where in them the target begins that
	 * remains after the mount, number[2] its bytes (the query included). */
	HTTP_ASK = 1,
	HTTP_READY,
	HTTP_GONE,
	/* From the hub. number[0] is the status, number[1] flags (HTTP_ANSWER_), number[2] the
	 * bytes of the header fields (each with its CRLF, without length and date), which the body
	 * begins with; content follows them. */
	HTTP_ANSWER,
	HTTP_MORE,  /* content of a stream */
	HTTP_CEASE, /* a stream ends */
	/* A PUT was made durable (http_files.finish said HTTP_LATER): number[0] is its status. */
	HTTP_STORED,
	/* To the hub: the stream's last HTTP_MORE is due, ready or not, and then HTTP_CEASE. */
	HTTP_FAREWELL,
};

enum { HTTP_ANSWER_STREAM = 1 };

struct http_ask {
	struct address remote, local;
};

enum http_encoding { HTTP_IDENTITY = 0, HTTP_GZIP = 1, HTTP_BROTLI = 2, HTTP_ZSTD = 4 };

/* Something in the program's own bytes: a page, a script. */
struct http_asset {
	const char *path;         /* below the mount, with its slash: "/", "/app.js" */
	const char *type;         /* "text/html; charset=utf-8" */
	const char *etag;         /* with its quotes */
	const char *fields;       /* more header fields, each with its CRLF; or NULL */
	struct bytes bytes, gzip; /* gzip.len 0: none */
};

/* What a path was found to be. Everything it points to is valid until the next find that is
 * `first`, but for a handle, which stays open for as long as the holder of the machine sends from
 * it. */
struct http_found {
	unsigned status;    /* 200; or 301 (a directory asked for without its slash), 403, 404,
			     * 400 (a path that is none), 500, 503: the rest is empty */
	uint64_t bytes;     /* of the content */
	int64_t modified_s; /* seconds since 1970 */
	const char *type;
	const char *encoding; /* "gzip", ...; NULL: as it is */
	bool varies;          /* by Accept-Encoding */
	bool made;            /* a listing: no length is known to be kept, no validators */
	char etag[HTTP_ETAG_BYTES];
	const uint8_t *data; /* the content; NULL: it is in the file `handle` */
	int handle;
	/* The answer to a plain GET in HTTP/1.1 on a connection that goes on, head and content,
	 * with the date of `now`; len 0: none is kept. */
	struct bytes ready;
	size_t ready_head_bytes;
};

struct http_search {
	struct bytes path;  /* as in the request, without its query */
	unsigned encodings; /* HTTP_GZIP | ...: what may be sent besides HTTP_IDENTITY */
	bool first;         /* nothing found before is in use any more */
};

enum { HTTP_LATER = 0 };

/* Files, as a machine sees them. None of the calls waits for anything but an open. */
struct http_files {
	void *context;
	const struct http_found *(*find)(void *context, const struct http_search *search,
					 const struct moment *now);
	/* A PUT, from its first byte to its end. `begin` gives what the other three take, or NULL
	 * with the status of the refusal in `*status` (403, 404, 405, 409, 500, 503, 507).
	 * `conditional`: what stands there has been judged, and the outcome is 412 if it is
	 * something else by then. `append`
	 * gives 0 or the status of a failure, upon which `abort` is due. `finish` gives the status
	 * of the outcome (201, 204, ...), or HTTP_LATER: then HTTP_STORED comes to the machine
	 * `id`. After `finish` and `abort` the writer is gone. */
	void *(*begin)(void *context, struct bytes path, bool conditional, unsigned *status);
	unsigned (*append)(void *writer, struct bytes content);
	unsigned (*finish)(void *writer, uint64_t id);
	void (*abort)(void *writer);
};

/* One line of the access log. */
struct http_entry {
	const struct address *remote;
	struct bytes method, target; /* empty: no request could be read */
	struct bytes referer, agent;
	unsigned minor, status;
	uint64_t bytes; /* of content, as promised */
};

struct http_log {
	void *context;
	void (*put)(void *context, const struct http_entry *entry, const struct moment *now);
};

/* What is configured, then what whoever holds the machine fills in. */
struct http_settings {
	const char *root, *log;
	int log_format; /* enum http_log_format */
	bool listing, put;
	const char *precompressed, *types;
	uint64_t line_bytes, head_bytes, fields, body_bytes;
	uint64_t request_ms, keep_alive_ms;
	const char *hosts; /* words */
	int login;         /* enum http_login */

	const char *host;               /* this machine's name, or NULL */
	const struct http_files *files; /* NULL: none, and the mount is `/` */
	const struct http_asset *asset;
	unsigned assets;
	const struct http_log *access; /* NULL: none is kept */
	bool asks;                     /* somebody answers HTTP_ASK */
};

enum http_login { HTTP_LOGIN_BEYOND, HTTP_LOGIN_ALWAYS };
enum http_log_format { HTTP_LOG_COMMON, HTTP_LOG_JSON };

extern const struct machine http_machine;

/* The head of the answer 200 with all of `found`, as a plain GET on a connection that goes on gets
 * it; returns where in it the 29 bytes of the date stand, 0 when it does not fit. For `ready`. */
size_t http_put_file_head(struct text *t, const struct http_found *found, int64_t now_s);

/* The part of a target that names a file: decoded into `path` (relative, no terminator counted; the
 * root itself is empty), a `/` at its end kept. 0, or ERR_SYNTAX (a bad escape, NUL, `.` or `..`,
 * however written, an escaped `/`), ERR_TOO_LONG. */
int http_path_decode(struct bytes path, char into[HTTP_PATH_BYTES], size_t *len);

#endif
