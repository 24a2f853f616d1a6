/* One URL fetched, with everything that lies between asking and the answer: connections, proxies,
 * redirects, cookies, credentials, a stale connection tried again. What becomes of the answer is
 * the caller's: several fetches may go on side by side on one loop.
 *
 *   fetch_begin ──► head ──► content ... ──► over
 *
 * `head` and `content` are those of the last answer; `met` sees every head on the way, and
 * `exchanged` every exchange once it is over. */
#ifndef COMMAND_FETCH_H
#define COMMAND_FETCH_H

#include "base/option.h"
#include "command/link.h"
#include "command/pull.h"
#include "proto/cookie.h"
#include "proto/follow.h"

enum { FETCH_WHY_BYTES = 256, FETCH_VALUE_BYTES = 1024 };

/* A piece of a request's content. */
struct fetch_part {
	struct bytes text;
	int fd; /* of a regular file, when there is no text */
	uint64_t from, bytes;
};

struct fetch_request {
	struct bytes method;
	const struct fetch_part *part;
	unsigned parts;
	bool has_content;
	uint64_t content_bytes;
	const char *content_type;         /* unless `fields` has one; NULL: none */
	const struct option_list *fields; /* `Name: value`; `Name:` leaves one of ours out */
	const char *user;                 /* NAME:PASSWORD for the first host; NULL: the URL's */
	unsigned minor;                   /* HTTP/1.minor */
	bool bare;                        /* `GET /path HTTP/1.0` LF LF, and nothing else */
	bool takes_coded;                 /* gzip and deflate are welcome */
	bool ranged; /* from `from` on, and if `validator` is not empty, only of that */
	uint64_t from;
	const char *validator;
	const char *proxy; /* this one, "" for none; NULL: as the environment says */
	unsigned redirects_most;
	bool stays;            /* a redirect is an answer like any other */
	uint64_t silence_ms;   /* 0: no limit */
	uint64_t total_due_ns; /* boot_ns when it must be over; 0: no limit */
};

struct fetch;

struct fetch_calls {
	/* The answer begins. `raw`: its head as it came. 0, or the ERR_ to end with. */
	int (*head)(void *owner, const struct http1_head *head, struct bytes raw);
	int (*content)(void *owner, struct bytes b);
	/* Each of these may be NULL. */
	void (*moved)(void *owner, uint64_t bytes); /* into `direct_fd` */
	void (*met)(void *owner, const struct http1_head *head, struct bytes raw);
	void (*exchanged)(void *owner, const struct fetch *fetch);
	void (*over)(void *owner);
};

enum fetch_fault {
	FETCH_OF_PEER,  /* reaching it: fetch->where */
	FETCH_OF_PROXY, /* a tunnel: fetch->exchange.status */
	FETCH_OF_TLS,
	FETCH_OF_TALK,
	FETCH_OF_REDIRECT,
	FETCH_OF_URL,    /* a proxy's */
	FETCH_OF_CALLER, /* head or content said so */
};

/* One request and its answer. */
struct fetch_exchange {
	struct url url;
	struct bytes method;
	bool open;     /* begun, not over */
	bool reused;   /* the connection was there */
	bool answered; /* a head came */
	unsigned status;
	uint64_t content_bytes;
	struct address remote;
	bool by_proxy;
	uint64_t length; /* of the content, as the head says; UINT64_MAX: it does not */
	char location[FETCH_VALUE_BYTES], type[FETCH_VALUE_BYTES];
	uint64_t begun_ns, sent_ns, head_ns, over_ns; /* boot time; 0: not reached */
	uint64_t name_ns, connect_ns, tls_ns;         /* durations */
};

struct fetch {
	struct links *links;
	const struct fetch_request *request;
	const struct fetch_calls *calls;
	void *owner;

	/* The caller's, in `head`: a regular file at its offset, or -1. Much content of a known
	 * length may go into it without a call of `content`. */
	int direct_fd;

	struct fetch_exchange exchange; /* the last */
	bool over;
	enum fetch_fault fault;
	int err;
	char where[URL_HOST_BYTES + 16]; /* host:port */
	char why[FETCH_WHY_BYTES];       /* more words on it, translated; empty: none */

	/* Its own. */
	struct url url; /* to be asked for */
	struct bytes method;
	bool with_content, credentials, following, retried;
	bool insists;    /* the server does not know Expect: the content goes without */
	bool repeats;    /* following the same request again, so */
	struct url next; /* while following */
	struct follow follow;
	struct link *link;
	bool pulling, reusable;
	struct pull pull;
	struct wheel_timer timer;
	uint64_t heard_ns, total_due_ns, sent_bytes;
	struct cookie_jar jar; /* last: what it does not hold is not zeroed */
};

/* Begins; `fetch`, `request`, `calls` stay until it is over. `fetch` is used again by another
 * fetch_begin only. */
void fetch_begin(struct fetch *fetch, struct links *links, const struct fetch_request *request,
		 const struct url *url, const struct fetch_calls *calls, void *owner);

/* Ends it with `err` (0: as if all had come); also from within a callback. */
void fetch_stop(struct fetch *fetch, enum fetch_fault fault, int err);

/* What the peer has received on its present connection. */
uint64_t fetch_sent_bytes(const struct fetch *fetch);

/* Says what went wrong, with the advice that fits. Returns the exit code; 0 when nothing did. */
int fetch_say(const struct fetch *fetch);

/* The request's head (fetch_request.c). False when it is longer than `t` or a field is not valid.
 */
bool fetch_put_head(struct text *t, const struct fetch *fetch, bool by_proxy,
		    const struct url *proxy, int64_t now_s);

/* Whether `field` ("Name: value") is one; its parts. */
bool fetch_field(const char *field, struct bytes *name, struct bytes *value);

/* Whether the content is held back until the server wants it. */
bool fetch_expects(const struct fetch *fetch);

#endif
