/* What the files of the server share among themselves. */
#ifndef PROTO_HTTP_SERVER_PARTS_H
#define PROTO_HTTP_SERVER_PARTS_H

#include "base/err.h"
#include "proto/http_server.h"

#define N_(s) s

#define HTTP_MOUNT "/_prise"

enum {
	HTTP_DISCARD_BYTES = 65536, /* of a body that nobody wants, to keep the connection */
	HTTP_ANSWER_BYTES = 1536,   /* of any head that we write, fields of a hub's aside */
	HTTP_RANGES_MOST = 8,       /* in one answer; more are answered with the whole */
	HTTP_SEGMENTS_MOST = 2 * HTTP_RANGES_MOST + 4, /* that one answer puts */
	HTTP_COPY_MOST = 4096,                         /* copies of one answer, a hub's aside */
	HTTP_RATE_BYTES = 1024, /* a second: what a body has to come at, at least */
	HTTP_MEMO_BYTES = 126,
	HTTP_FAREWELL_MS = 250, /* for a stream's last events when the service stops */
};

enum http_state {
	HTTP_HEAD,      /* between requests, or within a head */
	HTTP_DISCARD,   /* a body that nobody wants is on its way */
	HTTP_STORE,     /* the body of a PUT is */
	HTTP_STORING,   /* it is being made durable */
	HTTP_ASKED,     /* the hub has the word */
	HTTP_STREAMING, /* and goes on having it */
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD_METHOD,
	HTTP_PUT,
	HTTP_POST,
	HTTP_OPTIONS,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_TRACE,
	HTTP_CONNECT,
	HTTP_UNKNOWN,
};

/* Fields that change an answer, as bits: which of them a request has. */
enum {
	HTTP_HAS_RANGE = 1,
	HTTP_HAS_CONDITION = 2, /* If-anything but If-Range */
	HTTP_HAS_ENCODING = 4,
	HTTP_HAS_EXPECT = 8,
};

/* The request line of an answer that is still to come, for the log. */
struct http_memo {
	uint8_t method_len, len;
	char text[HTTP_MEMO_BYTES];
};

struct http {
	const struct http_settings *settings;
	uint64_t id, seed;
	uint64_t begun_ns; /* when the request under way began; 0: none is */
	uint64_t idle_ns;  /* when the last one was answered */
	uint64_t armed_ns; /* the deadline that is set */
	uint32_t seen,
		needs; /* of the head: looked at; bytes without which it need not be looked at */
	uint8_t state; /* enum http_state */
	uint8_t minor;
	bool keep_alive, is_head, eof, first;
	bool continued; /* 100 was sent */
	bool ending;    /* idle for too long: it ends when all is sent */
	bool draining;  /* the service stops: the answer under way is the last */
	struct http1_body body;
	void *writer;
	struct address remote, local;
	struct http_memo memo;
};

/* One request, while it is looked at. */
struct http_request {
	enum http_method method;
	unsigned has;
	bool keep_alive, in_api;
	struct bytes path, query; /* of the target; the query with its `?` */
	struct bytes authority;   /* of an absolute target; data NULL: none */
	struct http1_head head;
};

/* http_server.c */
void http_done(struct http *h, struct out *out, const struct moment *now);
void http_watch_time(struct http *h, struct out *out);

/* http_answer.c: what every answer has. */
enum http_length { HTTP_LENGTH_NONE = -1 };

/* Begins a head in `t`: status line, Server, Date, Connection. */
void http_head_begin(struct text *t, unsigned status, bool keep_alive, unsigned minor,
		     const struct moment *now);
/* The head in `t` is whole: it goes out. */
void http_head_end(struct text *t, struct out *out);
/* A short answer: text, or JSON beneath /api/; `fields` (or NULL) go into its head. */
void http_answer(struct http *h, const struct http_request *r, unsigned status, const char *why,
		 const char *fields, struct out *out, const struct moment *now);
/* The same, and the connection ends: what comes behind cannot be understood or is not wanted. */
void http_refuse(struct http *h, struct http_request *r, unsigned status, const char *why,
		 struct out *out, const struct moment *now);
/* Into the access log. `r` may be NULL: the memo tells. */
void http_log(const struct http *h, const struct http_request *r, unsigned status, uint64_t bytes,
	      const struct moment *now);
void http_remember(struct http *h, const struct http_request *r);
/* Of a head that is not whole, or is none, the request line if that is. */
void http_remember_line(struct http *h, struct bytes in);
/* A request whose head is gone, as far as the memo has it. */
void http_recall(const struct http *h, struct http_request *r);

void http_put_file_fields(struct text *t, const struct http_found *found, int64_t now_s);

/* http_target.c */
bool http_split_target(struct http_request *r);

/* http_file.c: files and everything RFC 9110 says about fetching them. */
void http_get_file(struct http *h, struct http_request *r, struct out *out,
		   const struct moment *now);
/* 0, 304 or 412: how the conditions of the request stand to what is there (`etag` NULL: nothing).
 */
unsigned http_conditions(const struct http_request *r, const char *etag, int64_t modified_s,
			 bool reads, int64_t now_s);
unsigned http_encodings(const struct http_request *r);

/* http_range.c */
struct http_slice {
	uint64_t from, bytes;
};
/* The ranges asked for: how many (1 to HTTP_RANGES_MOST), 0 for the whole, -1 when none can be
 * satisfied. */
int http_ranges(struct bytes value, uint64_t bytes, struct http_slice slice[HTTP_RANGES_MOST]);

/* http_ask.c: the mount. */
bool http_is_mounted(const struct http *h, struct bytes path, size_t *prefix);
/* Answers or asks; bytes taken, or 0 while the body is not whole. */
size_t http_visit_mount(struct http *h, struct http_request *r, struct bytes in, size_t prefix,
			struct out *out, const struct moment *now);
bool http_comes_from_us(struct http *h, struct http_request *r, struct out *out,
			const struct moment *now);
/* What was asked is not waited for any longer: it is answered 503. */
void http_let_go(struct http *h, struct out *out, const struct moment *now);
/* A stream is to end, and the hub to say what there is still: its HTTP_CEASE ends it. */
void http_bid_farewell(struct http *h, struct out *out, const struct moment *now);
void http_hear(struct http *h, const struct message *message, struct out *out,
	       const struct moment *now);

/* http_store.c: PUT. */
void http_put_begin(struct http *h, struct http_request *r, struct out *out,
		    const struct moment *now);
size_t http_put_take(struct http *h, struct bytes in, struct out *out, const struct moment *now);
void http_put_drop(struct http *h);
void http_put_stored(struct http *h, unsigned status, struct out *out, const struct moment *now);

#endif
