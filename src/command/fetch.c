/* One URL fetched.
 *
 *            link_take             head                     DONE
 *   begin ──────────────► asked ──────────► content, or not ──────► over
 *     ▲                     │                a redirect: ──┐
 *     │  a stale connection │                              │
 *     └─────────────────────┴──────────────────────────────┘
 *
 * Content of a redirect is read and dropped up to a limit, so that the connection can be used
 * again; beyond it the connection is dropped. */
#include "command/fetch.h"

#include "command/say.h"
#include "proto/proxy.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	FETCH_HEAD_BYTES = 65536,
	FETCH_DROPPED_BYTES = 1 << 18,
	FETCH_DIRECT_BYTES = 1 << 20, /* from here on it pays */
};

static uint64_t fetch_now_ns(const struct fetch *f)
{
	return loop_now(f->links->loop)->boot_ns;
}

static int64_t fetch_now_s(const struct fetch *f)
{
	return loop_now(f->links->loop)->wall_us / 1000000;
}

/* The end. */

static void fetch_end_exchange(struct fetch *f)
{
	if (!f->exchange.open)
		return;
	f->exchange.open = false;
	f->exchange.over_ns = fetch_now_ns(f);
	if (f->calls->exchanged)
		f->calls->exchanged(f->owner, f);
}

static void fetch_end_pull(struct fetch *f)
{
	if (!f->pulling)
		return;
	f->pulling = false;
	pull_end(&f->pull);
	if (f->pull.from >= 0)
		close(f->pull.from);
}

static void fetch_finish(struct fetch *f)
{
	if (f->over)
		return;
	fetch_end_pull(f);
	if (f->link)
		link_drop(f->link);
	f->link = NULL;
	f->over = true;
	loop_disarm(f->links->loop, &f->timer);
	fetch_end_exchange(f);
	if (f->calls->over)
		f->calls->over(f->owner);
}

void fetch_stop(struct fetch *f, enum fetch_fault fault, int err)
{
	if (f->over)
		return;
	f->fault = fault;
	f->err = err;
	fetch_finish(f);
}

static void fetch_fail(struct fetch *f, enum fetch_fault fault, int err, const char *why)
{
	struct text t = TEXT_OVER(f->why);

	if (why)
		text_put_string(&t, why);
	fetch_stop(f, fault, err);
}

/* Time. */

static void fetch_arm(struct fetch *f)
{
	uint64_t due_ns = f->total_due_ns;

	if (f->request->silence_ms && f->heard_ns + f->request->silence_ms * MOMENT_MS < due_ns)
		due_ns = f->heard_ns + f->request->silence_ms * MOMENT_MS;
	if (due_ns != MOMENT_NEVER)
		loop_arm(f->links->loop, &f->timer, due_ns);
}

static void fetch_note_link(struct fetch *f, enum link_fault fault)
{
	f->exchange.remote = f->link->remote;
	f->exchange.by_proxy = f->link->proxied;
	if (fault == LINK_OF_PROXY)
		f->exchange.status = f->link->status;
	if (fault == LINK_OF_PROXY || fault == LINK_OF_PEER) {
		struct text where = TEXT_OVER(f->where);

		text_put_string(&where, f->link->where);
	}
}

/* Whoever was waited for is to blame. */
static void fetch_late(struct fetch *f)
{
	enum link_state state = f->link ? (enum link_state)f->link->state : LINK_OPEN;

	if (state == LINK_DIALLING) {
		fetch_stop(f, FETCH_OF_PEER, ERR_TIMEOUT);
	} else if (state == LINK_TUNNELLING) {
		fetch_note_link(f, LINK_OF_PROXY);
		fetch_stop(f, FETCH_OF_PROXY, ERR_TIMEOUT);
	} else if (state == LINK_SECURING) {
		fetch_stop(f, FETCH_OF_TLS, ERR_TIMEOUT);
	} else {
		fetch_stop(f, FETCH_OF_TALK, ERR_TIMEOUT);
	}
}

static void fetch_judge_time(struct fetch *f, uint64_t now_ns)
{
	bool silent = f->request->silence_ms &&
		      now_ns >= f->heard_ns + f->request->silence_ms * MOMENT_MS;

	if (silent || now_ns >= f->total_due_ns)
		fetch_late(f);
	else
		fetch_arm(f);
}

uint64_t fetch_sent_bytes(const struct fetch *f)
{
	return f->link ? link_sent_bytes(f->link) : 0;
}

/* Whoever takes what we send is not silent. */
static void fetch_hear_sent(struct fetch *f)
{
	uint64_t sent_bytes = fetch_sent_bytes(f);

	if (sent_bytes == f->sent_bytes)
		return;
	f->sent_bytes = sent_bytes;
	f->heard_ns = fetch_now_ns(f);
}

/* What is heard only ever moves the end of silence later, so the timer is left alone by it. */
static void fetch_due(struct wheel_timer *timer, void *context)
{
	struct fetch *f = (struct fetch *)((char *)timer - offsetof(struct fetch, timer));
	uint64_t now_ns = fetch_now_ns(f);

	fetch_hear_sent(f);
	fetch_judge_time(f, now_ns);
}

/* Asking. */

static void fetch_exchange_begin(struct fetch *f, bool fresh);

static void fetch_send_content(struct fetch *f)
{
	const struct fetch_request *r = f->request;

	for (unsigned i = 0; i < r->parts && f->link; i++) {
		const struct fetch_part *part = &r->part[i];
		struct message message = {.kind = HTTP_CLIENT_TEXT, .body = part->text};

		if (part->fd >= 0)
			message = (struct message){
				.kind = HTTP_CLIENT_FILE,
				.number = {(uint64_t)part->fd, part->from, part->bytes}};
		link_tell(f->link, &message);
	}
}

static void fetch_send(struct fetch *f)
{
	static char buffer[FETCH_HEAD_BYTES];
	struct text t = TEXT_OVER(buffer);
	struct link *link = f->link;
	bool plain_proxy = link->proxied && !link->secure;
	bool expects = fetch_expects(f) && !f->request->bare;
	struct message message = {.kind = HTTP_CLIENT_REQUEST};

	if (!fetch_put_head(&t, f, plain_proxy, &link->proxy, fetch_now_s(f))) {
		fetch_fail(f, FETCH_OF_CALLER, ERR_TOO_LONG, _("the request is too long"));
		return;
	}
	if (bytes_equal(f->method, BYTES_LITERAL("HEAD")))
		message.number[0] |= HTTP_CLIENT_NO_CONTENT;
	if (expects)
		message.number[0] |= HTTP_CLIENT_EXPECTS;
	message.body = text_bytes(&t);
	f->exchange.reused = link->used;
	f->exchange.by_proxy = link->proxied;
	f->exchange.remote = link->remote;
	if (!link->used) {
		f->exchange.name_ns = link->name_ns;
		f->exchange.connect_ns = link->connect_ns;
		f->exchange.tls_ns = link->tls_ns;
	}
	f->exchange.sent_ns = f->heard_ns = fetch_now_ns(f);
	link_tell(link, &message);
	if (f->with_content && !expects)
		fetch_send_content(f);
}

static void fetch_ready(void *owner)
{
	fetch_send(owner);
}

/* A connection that was kept may have been closed just as it was used (RFC 9112 9.3.1). */
static bool fetch_was_stale(const struct fetch *f, enum link_fault fault, int err)
{
	return fault == LINK_OF_TALK && f->exchange.reused && !f->exchange.answered &&
	       !f->retried && follow_is_idempotent(f->method);
}

static void fetch_failed(void *owner, enum link_fault fault, int err)
{
	static const enum fetch_fault faults[] = {
		[LINK_OF_PEER] = FETCH_OF_PEER,
		[LINK_OF_PROXY] = FETCH_OF_PROXY,
		[LINK_OF_TLS] = FETCH_OF_TLS,
		[LINK_OF_TALK] = FETCH_OF_TALK,
	};
	struct fetch *f = owner;
	bool stale = fetch_was_stale(f, fault, err);

	if (f->link)
		fetch_note_link(f, fault);
	f->link = NULL;
	if (stale) {
		f->retried = true;
		f->why[0] = '\0';
		fetch_exchange_begin(f, true);
	} else {
		fetch_stop(f, faults[fault], err);
	}
}

/* The answer. */

static void fetch_note_head(struct fetch *f, const struct http1_head *head)
{
	const struct http1_field *location = http1_find(head, "Location");
	const struct http1_field *type = http1_find(head, "Content-Type");
	const struct http1_field *cookie = NULL;
	struct text l = TEXT_OVER(f->exchange.location), t = TEXT_OVER(f->exchange.type);

	f->exchange.status = head->status;
	f->exchange.length = head->framing == HTTP1_LENGTH ? head->length : UINT64_MAX;
	f->reusable = head->keep_alive;
	f->exchange.answered = true;
	f->exchange.head_ns = fetch_now_ns(f);
	if (location)
		text_put(&l, location->value);
	if (type)
		text_put(&t, type->value);
	while ((cookie = http1_next(head, cookie, "Set-Cookie")))
		cookie_set(&f->jar, &f->url, cookie->value, fetch_now_s(f));
}

static void fetch_judge(struct fetch *f, const struct http1_head *head)
{
	char why[FETCH_WHY_BYTES];
	enum fetch_fault fault = FETCH_OF_REDIRECT;

	switch (f->request->stays ? FOLLOW_NOT
				  : follow_judge(&f->follow, head, &f->url, &f->next)) {
	case FOLLOW_NOT:
	case FOLLOW_LOOP:
		return;
	case FOLLOW_ON:
		f->following = true;
		return;
	case FOLLOW_TOO_MANY:
		snprintf(why, sizeof why, _("more than %u redirects"), f->request->redirects_most);
		fetch_fail(f, fault, ERR_LIMIT, why);
		return;
	case FOLLOW_BAD:
		fetch_fail(f, fault, ERR_PROTOCOL, _("it redirects to what is no URL"));
		return;
	case FOLLOW_FOREIGN:
		fetch_fail(f, fault, ERR_PROTOCOL,
			   _("it redirects to a URL that is neither http nor https"));
		return;
	}
}

/* Credentials go where they were meant for, and not from https to http. */
static void fetch_redirect(struct fetch *f, const struct url *next, unsigned status)
{
	struct bytes method = follow_method(status, f->method);
	bool stays_home = url_same_origin(&f->url, next);

	if (f->url.scheme == URL_HTTPS && next->scheme == URL_HTTP)
		say_warning(_("%s redirects from https to http: what follows can be read and "
			      "changed on the way"),
			    f->url.host);
	if (!bytes_equal(method, f->method))
		f->with_content = false;
	f->method = method;
	f->credentials = f->credentials && stays_home;
	f->url = *next;
	if (!stays_home &&
	    bytes_equal(bytes_of_string(next->user), bytes_of_string(f->exchange.url.user)))
		f->url.user[0] = '\0';
	f->retried = false;
	fetch_exchange_begin(f, false);
}

/* The machine has parsed it before. `copy` (HTTP1_HEAD_BYTES) holds it where lines are folded. */
static bool fetch_parse(const struct fetch *f, struct http1_head *head, struct bytes *raw,
			uint8_t *copy)
{
	struct http1_refusal refusal;
	size_t seen = 0;

	if (http1_parse(head, HTTP1_RESPONSE, *raw, &seen, f->method, NULL, &refusal) <= 0)
		return false;
	if (!head->folded)
		return true;
	memcpy(copy, raw->data, raw->len);
	http1_unfold(copy, raw->len);
	*raw = bytes_of(copy, raw->len);
	seen = 0;
	return http1_parse(head, HTTP1_RESPONSE, *raw, &seen, f->method, NULL, &refusal) > 0;
}

static void fetch_head(struct fetch *f, struct bytes raw, bool interim)
{
	static uint8_t copy[HTTP1_HEAD_BYTES];
	struct http1_head head;
	int err;

	if (!fetch_parse(f, &head, &raw, copy)) {
		fetch_stop(f, FETCH_OF_TALK, ERR_PROTOCOL);
		return;
	}
	if (!interim)
		fetch_note_head(f, &head);
	if (f->calls->met)
		f->calls->met(f->owner, &head, raw);
	if (interim)
		return;
	if (head.status == 417 && fetch_expects(f)) { /* RFC 9110 10.1.1 */
		f->insists = f->repeats = f->following = true;
		return;
	}
	fetch_judge(f, &head);
	if (f->over || f->following)
		return;
	err = f->calls->head(f->owner, &head, raw);
	if (err)
		fetch_stop(f, FETCH_OF_CALLER, err);
}

/* Much content past the machine, straight into the file. */

static void fetch_done(struct fetch *f, bool reusable);

static void fetch_moved(void *owner, uint64_t bytes)
{
	struct fetch *f = owner;

	f->exchange.content_bytes += bytes;
	f->heard_ns = fetch_now_ns(f);
	if (f->calls->moved)
		f->calls->moved(f->owner, bytes);
}

static void fetch_pulled(void *owner, int err, bool of_file)
{
	struct fetch *f = owner;
	int fd = f->pull.from;

	if (err) {
		fetch_stop(f, of_file ? FETCH_OF_CALLER : FETCH_OF_TALK, err);
		return;
	}
	pull_end(&f->pull); /* which gives the socket its low-water mark back */
	f->pulling = false;
	if (link_rejoin(f->link, fd))
		fetch_done(f, f->reusable);
}

static bool fetch_may_pull(const struct fetch *f)
{
	const struct fetch_exchange *x = &f->exchange;

	return f->direct_fd >= 0 && !f->link->secure && x->length != UINT64_MAX &&
	       x->length - x->content_bytes >= FETCH_DIRECT_BYTES &&
	       !f->links->call->common.verbose;
}

/* All that the machine was fed it has passed on by now, so the rest is in the socket. */
static void fetch_begin_pull(struct fetch *f)
{
	int err, fd = link_part(f->link);

	if (fd < 0)
		return; /* it goes on as it is */
	f->pull = (struct pull){
		.from = fd,
		.to = f->direct_fd,
		.left = f->exchange.length - f->exchange.content_bytes,
		.moved = fetch_moved,
		.over = fetch_pulled,
		.owner = f,
	};
	f->pulling = true;
	err = pull_begin(&f->pull, f->links->loop);
	if (err)
		fetch_stop(f, FETCH_OF_CALLER, err);
}

static void fetch_content(struct fetch *f, struct bytes b)
{
	int err = 0;

	f->exchange.content_bytes += b.len;
	if (!f->following)
		err = f->calls->content(f->owner, b);
	if (err)
		fetch_stop(f, FETCH_OF_CALLER, err);
	else if (!f->following && fetch_may_pull(f))
		fetch_begin_pull(f);
}

static void fetch_next(struct fetch *f)
{
	if (!f->following) {
		fetch_finish(f);
		return;
	}
	f->following = false;
	if (f->repeats) {
		f->repeats = false;
		fetch_exchange_begin(f, true);
		return;
	}
	fetch_redirect(f, &f->next, f->exchange.status);
}

static void fetch_done(struct fetch *f, bool reusable)
{
	struct link *link = f->link;

	f->link = NULL;
	if (reusable)
		link_give(link);
	else
		link_drop(link);
	fetch_end_exchange(f);
	fetch_next(f);
}

static void fetch_told(void *owner, const struct message *message)
{
	struct fetch *f = owner;

	f->heard_ns = fetch_now_ns(f);
	switch (message->kind) {
	case HTTP_CLIENT_GO_ON:
		fetch_send_content(f);
		break;
	case HTTP_CLIENT_INTERIM:
	case HTTP_CLIENT_HEAD:
		fetch_head(f, message->body, message->kind == HTTP_CLIENT_INTERIM);
		break;
	case HTTP_CLIENT_CONTENT:
		fetch_content(f, message->body);
		if (f->following && f->exchange.content_bytes > FETCH_DROPPED_BYTES)
			fetch_done(f, false);
		break;
	case HTTP_CLIENT_DONE:
		fetch_done(f, message->number[0]);
		break;
	case HTTP_CLIENT_REFUSED: {
		struct text t = TEXT_OVER(f->why);
		char rule[FETCH_WHY_BYTES];
		struct text r = TEXT_OVER(rule);

		text_put(&r, message->body);
		text_put_string(&t, _(rule));
		break;
	}
	default:
		break;
	}
}

static const struct link_calls fetch_link_calls = {
	.ready = fetch_ready, .failed = fetch_failed, .told = fetch_told};

/* Beginning. */

static const char *fetch_variable(const char *small, const char *capital)
{
	const char *value = getenv(small);

	return value && *value ? value : capital ? getenv(capital) : NULL;
}

/* 1, 0 or an ERR_, as proxy_choose. */
static int fetch_choose_proxy(const struct fetch *f, struct url *proxy)
{
	const char *given = f->request->proxy;
	struct proxy_environment environment = {
		.http = fetch_variable("http_proxy", NULL),
		.https = fetch_variable("https_proxy", "HTTPS_PROXY"),
		.all = fetch_variable("all_proxy", "ALL_PROXY"),
		.no = fetch_variable("no_proxy", "NO_PROXY"),
	};

	if (given)
		environment = (struct proxy_environment){.all = given};
	return proxy_choose(&environment, &f->url, proxy);
}

static void fetch_exchange_begin(struct fetch *f, bool fresh)
{
	struct text where = TEXT_OVER(f->where);
	struct url proxy;
	int proxied = fetch_choose_proxy(f, &proxy), err;

	url_put_host_port(&where, &f->url);
	f->exchange = (struct fetch_exchange){
		.url = f->url, .method = f->method, .open = true, .begun_ns = fetch_now_ns(f)};
	f->heard_ns = f->exchange.begun_ns;
	if (!fresh && !follow_note(&f->follow, f->method, &f->url, f->jar.changes)) {
		fetch_fail(f, FETCH_OF_REDIRECT, ERR_LIMIT, _("it redirects in a circle"));
		return;
	}
	if (proxied < 0) {
		fetch_fail(f, FETCH_OF_URL, proxied, NULL);
		return;
	}
	/* What may not be sent twice goes over no connection that may just be ending. */
	err = link_take(f->links, &f->url, proxied ? &proxy : NULL,
			fresh || !follow_is_idempotent(f->method), &fetch_link_calls, f, &f->link);
	if (err)
		fetch_fail(f, FETCH_OF_PEER, err, NULL);
	else if (f->link->state == LINK_OPEN)
		fetch_send(f);
}

void fetch_begin(struct fetch *f, struct links *links, const struct fetch_request *request,
		 const struct url *url, const struct fetch_calls *calls, void *owner)
{
	memset(f, 0, offsetof(struct fetch, jar.cookie));
	f->links = links;
	f->request = request;
	f->direct_fd = -1;
	f->calls = calls;
	f->owner = owner;
	f->url = *url;
	f->method = request->method;
	f->with_content = request->has_content;
	f->credentials = true;
	f->follow.most = request->redirects_most;
	f->timer.due = fetch_due;
	loop_refresh(links->loop);
	f->total_due_ns = request->total_due_ns ? request->total_due_ns : MOMENT_NEVER;
	fetch_exchange_begin(f, false);
	if (!f->over)
		fetch_arm(f);
}
