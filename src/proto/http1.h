/* HTTP/1.0 and HTTP/1.1 messages, both directions (RFC 9112, RFC 9110): what the client, the server
 * and the capture share. A head is parsed once it is whole, in place; a body is taken as it comes.
 *
 *   bytes ──► http1_parse ──► head ──► http1_body_begin ──► http1_body_take ... ──► done
 *
 * Strict where one message could be taken for two (smuggling): two lengths, length beside chunked,
 * a coding after chunked, obs-fold, white space before a colon, anything but digits in a length, a
 * bare CR, NUL. Lenient where the courses are: a bare LF ends a line, empty lines before a request
 * are skipped, a header-less request is whole at its empty line; and of a response, where the RFC
 * asks it of a client: obs-fold, equal lengths, a length beside chunked (which counts, and the
 * connection ends with it). Nothing is allocated. */
#ifndef PROTO_HTTP1_H
#define PROTO_HTTP1_H

#include "base/text.h"

enum {
	HTTP1_FIELDS = 128,
	HTTP1_LINE_BYTES = 8192,   /* a request or status line */
	HTTP1_HEAD_BYTES = 32768,  /* all of a head */
	HTTP1_CHUNK_BYTES = 1024,  /* the line before a chunk, its extensions included */
	HTTP1_TRAILER_BYTES = 8192 /* all fields after the last chunk */
};

struct http1_field {
	struct bytes name, value; /* value: white space stripped at both ends; see `folded` */
};

/* How the end of a body is known. */
enum http1_framing { HTTP1_NO_BODY, HTTP1_LENGTH, HTTP1_CHUNKED, HTTP1_UNTIL_END };

enum http1_side { HTTP1_REQUEST, HTTP1_RESPONSE };

/* A head. Everything points into the bytes that it was parsed from. */
struct http1_head {
	enum http1_side side;
	unsigned minor;              /* HTTP/1.minor */
	struct bytes method, target; /* of a request */
	unsigned status;             /* of a response */
	struct bytes reason;
	unsigned fields;
	struct http1_field field[HTTP1_FIELDS];
	size_t bytes; /* of the head, with what was skipped before it and its empty line */

	/* What its fields say. */
	enum http1_framing framing;
	uint64_t length;       /* HTTP1_LENGTH: of the body */
	bool keep_alive;       /* another message may follow on this connection */
	bool expects_continue; /* Expect: 100-continue, in HTTP/1.1 */

	/* A response's field goes over several lines, their ends in its value: http1_unfold. */
	bool folded;
};

/* Why a message is refused: the status a server answers with (400, 413, 414, 431, 501, 505) and the
 * rule that was broken, static, N_(). */
struct http1_refusal {
	unsigned status;
	const char *why;
};

/* Tighter than the limits above, where they are not 0. */
struct http1_limits {
	size_t line_bytes, head_bytes;
	unsigned fields;
};

/* Looks for a whole head at the front of `in`. Returns its bytes (> 0, also in head->bytes), 0 when
 * it is not whole yet (offer the same bytes again with more behind), or ERR_PROTOCOL with `refusal`
 * filled in, as soon as a line shows it. `*seen` is the caller's, 0 before a message and then kept
 * for the next call: what was looked at already, so that a head that comes byte by byte costs no
 * more than its length. `limits` may be NULL. `method` is that of the request that a response
 * answers (its body depends on HEAD and CONNECT); empty for none, and not looked at for a request.
 */
int64_t http1_parse(struct http1_head *head, enum http1_side side, struct bytes in, size_t *seen,
		    struct bytes method, const struct http1_limits *limits,
		    struct http1_refusal *refusal);

/* Replaces what folds lines in a copy of a head by spaces (RFC 9112 5.2), to be parsed again. */
void http1_unfold(uint8_t *head, size_t bytes);

/* The first field called `name` (any case), or NULL. */
const struct http1_field *http1_find(const struct http1_head *head, const char *name);

/* The next after `field` (NULL: the first) with that name. */
const struct http1_field *http1_next(const struct http1_head *head, const struct http1_field *field,
				     const char *name);

/* Takes the next comma-separated member off the front of `*list` (a field's value), without white
 * space at its ends; commas in quoted strings do not count. False when there is none left. */
bool http1_next_member(struct bytes *list, struct bytes *member);

/* A body on its way in. */
struct http1_body {
	enum http1_framing framing;
	uint8_t state;
	bool done;              /* all of it was taken */
	bool bad;               /* `refusal` says why; nothing more is taken */
	uint64_t left;          /* HTTP1_LENGTH: of the body; HTTP1_CHUNKED: of the chunk */
	uint64_t content_bytes; /* so far */
	size_t line_bytes, trailer_bytes;
	struct http1_refusal refusal;
};

void http1_body_begin(struct http1_body *body, const struct http1_head *head);

/* Takes bytes off the front of `in`: returns how many, and in `*content` those of them that are
 * content, in one piece and perhaps none; call again with the rest until it is done or bad or takes
 * nothing. Never takes a byte beyond the body's end. */
size_t http1_body_take(struct http1_body *body, struct bytes in, struct bytes *content);

/* The connection ended. Whether the body is whole: it was done, or is read until the end. */
bool http1_body_end(struct http1_body *body);

/* Writing. Values come from people and programs: a name that is no token (RFC 9110) or a value with
 * CR, LF, NUL or another control character but HT puts nothing and returns false, and so does what
 * does not fit (text.cut is set then). */
bool http1_put_request(struct text *t, struct bytes method, struct bytes target, unsigned minor);
bool http1_put_status(struct text *t, unsigned status, unsigned minor);
bool http1_put_field(struct text *t, const char *name, struct bytes value);
bool http1_put_field_uint(struct text *t, const char *name, uint64_t value);
void http1_put_end(struct text *t); /* the empty line */

/* The line before a chunk, behind which its bytes and a CRLF go; 0: the last line and the empty one
 * after it. */
void http1_put_chunk(struct text *t, uint64_t bytes);

/* "Not Found" for 404; "" for one that has no name. */
const char *http1_reason(unsigned status);

/* Dates: seconds since 1970. All three forms of RFC 9110 5.6.7 are read, IMF-fixdate written.
 * `now_s` settles the century of the two-digit form. 0 or ERR_SYNTAX. */
int http1_date_parse(struct bytes b, int64_t now_s, int64_t *seconds);
void http1_put_date(struct text *t, int64_t seconds);

bool http1_is_token(struct bytes b);

#endif
