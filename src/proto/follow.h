/* What a client does about an answer: whether a redirect is followed and how (RFC 9110 15.4),
 * whether a failure is worth another try, how a transfer that stopped is taken up again (RFC 9110
 * 13.1.5, 14). Decisions only. */
#ifndef PROTO_FOLLOW_H
#define PROTO_FOLLOW_H

#include "proto/http1.h"
#include "proto/url.h"

enum { FOLLOW_SEEN = 64, FOLLOW_VALIDATOR_BYTES = 256 };

enum follow_verdict {
	FOLLOW_NOT,      /* no redirect: this is the answer */
	FOLLOW_ON,       /* to `next` */
	FOLLOW_LOOP,     /* `next` was asked before, with the same cookies */
	FOLLOW_TOO_MANY, /* more than `most` */
	FOLLOW_BAD,      /* its Location is no URL */
	FOLLOW_FOREIGN,  /* its Location has a scheme that is not ours */
};

/* One chain of redirects. Zeroed but for `most`. */
struct follow {
	unsigned most, count;
	unsigned seen;
	uint64_t hash[FOLLOW_SEEN]; /* of what was asked; of more than fit the oldest are kept */
};

/* Notes that `method url` is about to be asked while the cookies stand at `cookies` (the jar's
 * changes). False when it was asked before just so: a loop. */
bool follow_note(struct follow *f, struct bytes method, const struct url *url, uint32_t cookies);

/* What `head`, the answer to a request for `url`, calls for. `next` is filled in for FOLLOW_ON. A
 * loop is found by follow_note, once the cookies are known. */
enum follow_verdict follow_judge(struct follow *f, const struct http1_head *head,
				 const struct url *url, struct url *next);

/* The method after a redirect: 303 makes a GET of all but HEAD, 301 and 302 of POST; static or
 * `method` itself. The body goes along when it is the same. */
struct bytes follow_method(unsigned status, struct bytes method);

/* Whether asking again cannot do anything twice. */
bool follow_is_idempotent(struct bytes method);

/* 408 425 429 500 502 503 504: it may be better later. */
bool follow_is_passing(unsigned status);

/* How long to wait before try number `tries` (1: the first again): 1 s, 2 s, 4 s, ... 60 s, or what
 * Retry-After says, 10 minutes at most. `head` may be NULL. */
uint64_t follow_delay_ms(unsigned tries, const struct http1_head *head, int64_t now_s);

/* A Content-Range: `bytes 0-4/10`, and with a star for what is not told. */
struct follow_range {
	bool unsatisfied; /* a star and the whole length: there is no such part */
	uint64_t first, last;
	uint64_t complete; /* UINT64_MAX: not told */
};

/* 0 or ERR_SYNTAX. */
int follow_range_parse(struct bytes b, struct follow_range *range);

/* What can stand in If-Range for `head`: a strong ETag, else a Last-Modified at least a minute
 * older than Date. Puts nothing when there is neither. */
void follow_put_validator(struct text *t, const struct http1_head *head, int64_t now_s);

enum follow_resumption {
	FOLLOW_CONTINUES, /* what comes begins where we stopped */
	FOLLOW_ANEW,      /* it is sent from the beginning */
	FOLLOW_COMPLETE,  /* we have all of it already */
	FOLLOW_ASTRAY,    /* another part than was asked for */
	FOLLOW_OTHER,     /* an error, say: not the thing itself */
};

/* What `head` means for who asked for all from `offset` on, of `known` bytes (UINT64_MAX: not
 * known). */
enum follow_resumption follow_resume(const struct http1_head *head, uint64_t offset,
				     uint64_t known);

/* Whether the part that `head` brings is of another thing than `validator` (follow_put_validator,
 * or empty) names, whatever If-Range was for: parts of two are not to be put together (RFC 9110
 * 15.3.7.3). */
bool follow_is_another(const struct http1_head *head, const char *validator);

#endif
