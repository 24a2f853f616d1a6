/* `listen -k` and `--chat`: many clients at once, each apart from the others.
 *
 *   client 1 ──►┐                       stdin ──►┬──► queue 1 ──► client 1
 *   client 2 ──►┴──► stdout                      └──► queue 2 ──► client 2
 *
 *   chat:   client 1 ──line──► <user1> line ──► stdout and every queue but its own
 *
 * Backpressure: clients are not read while stdout does not take what they said; stdin is not read
 * while a queue is above its mark. A client above it that takes nothing for 2 s is dropped when
 * others wait for that. A chat waits for nobody: a client above the mark is dropped at once, and
 * what a slow stdout has no room for is left out there.
 *
 * Limits: 1 MiB queued for a client, lines of a chat of 4096 bytes (a longer one is cut in pieces).
 */
#include "command/listen.h"

#include "command/say.h"
#include "command/standard.h"
#include "command/wire.h"
#include "net/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	MANY_QUEUE_BYTES = 1 << 20,
	MANY_RECEIVE_BYTES = 65536,
	MANY_STALL_MS = 2000,
	MANY_LOOK_MS = 250,
	MANY_LEAVING_MS = 5000,
	MANY_LINE_BYTES = 4096,
	MANY_NAMED_MOST = 20, /* to a newcomer; of more the rest is counted */
};

/* What has no line end yet. */
struct many_line {
	size_t len;
	uint8_t data[MANY_LINE_BYTES];
};

struct guest {
	struct many *many;
	struct guest *next, **link;
	struct guest *next_gone;
	struct report report;
	int fd;
	int64_t registration;
	unsigned interest;
	struct queue queue;
	uint64_t in_bytes, out_bytes;
	uint64_t moved_ns; /* when it last took something, or was owed nothing */
	bool leaving;      /* it said its last; it goes when its queue is empty */
	bool gone;
	int why;
	struct many_line *line; /* of a chat */
};

struct many {
	struct listening *listening;
	bool chat;
	struct guest *first, *gone;
	unsigned count;
	struct queue_pool queues;
	struct wheel_timer look;
	struct many_line line; /* of standard input, in a chat */
	struct inlet in;
	struct outlet out;
	uint8_t received[MANY_RECEIVE_BYTES];
};

static bool many_is_json(const struct many *m)
{
	return m->listening->call->common.json;
}

static void guest_ready(void *owner, unsigned events);

/* One of many. */

/* Gone, but not freed before what is being done for all is done. */
static void guest_leave(struct guest *g, int why)
{
	struct many *m = g->many;

	if (g->gone)
		return;
	g->gone = true;
	g->why = why;
	g->next_gone = m->gone;
	m->gone = g;
}

static void guest_watch(struct guest *g)
{
	struct many *m = g->many;
	bool deaf = g->leaving || (!m->chat && outlet_is_busy(&m->out));
	unsigned interest = (deaf ? 0 : LOOP_READ) | (queue_is_empty(&g->queue) ? 0 : LOOP_WRITE);

	if (g->gone || interest == g->interest)
		return;
	loop_remove(m->listening->loop, g->registration);
	g->registration = 0;
	g->interest = interest;
	if (interest) /* a broken connection would be reported again and again otherwise */
		g->registration = loop_add(m->listening->loop, g->fd, interest, guest_ready, g);
	if (g->registration < 0)
		guest_leave(g, (int)g->registration);
}

static void guest_send(struct guest *g)
{
	struct many *m = g->many;
	int64_t sent = queue_send(&g->queue, &m->queues, g->fd);

	if (sent < 0) {
		guest_leave(g, (int)sent);
		return;
	}
	g->out_bytes += (uint64_t)sent;
	if (sent > 0 || queue_is_empty(&g->queue))
		g->moved_ns = loop_now(m->listening->loop)->boot_ns;
	if (g->leaving && queue_is_empty(&g->queue))
		guest_leave(g, 0);
}

static void guest_drop(struct guest *g)
{
	char who[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(who);

	address_put(&t, &g->report.remote);
	say_warning(_("%s does not read what it is sent: dropped, so that the others go on"), who);
	guest_leave(g, ERR_FULL);
}

static void guest_put(struct guest *g, struct bytes b)
{
	struct many *m = g->many;
	bool owed = !queue_is_empty(&g->queue);

	if (g->gone || g->leaving)
		return;
	if (queue_put(&g->queue, &m->queues, b) < 0) {
		guest_leave(g, ERR_MEMORY);
		return;
	}
	if (m->listening->call->common.verbose)
		wire_bytes(NULL, &g->report.remote, true, b);
	if (!owed) {
		g->moved_ns = loop_now(m->listening->loop)->boot_ns;
		guest_send(g);
	}
	if (m->chat && g->queue.bytes > MANY_QUEUE_BYTES)
		guest_drop(g);
	guest_watch(g);
}

/* All of them. */

static void many_broadcast(struct many *m, struct bytes b, const struct guest *but)
{
	for (struct guest *g = m->first; g; g = g->next)
		if (g != but)
			guest_put(g, b);
}

static bool many_must_wait(const struct many *m)
{
	for (const struct guest *g = m->first; g; g = g->next)
		if (!g->gone && g->queue.bytes > MANY_QUEUE_BYTES)
			return true;
	return false;
}

/* Our half of a connection is over for everybody once stdin is, unless it never said a thing. */
static bool many_has_finished(const struct many *m)
{
	return m->in.ended && m->in.bytes > 0 && !m->chat;
}

static void guest_finish(struct guest *g)
{
	if (queue_is_empty(&g->queue) && !g->gone)
		shutdown(g->fd, SHUT_WR);
}

/* Chat. */

static void many_say(struct many *m, struct bytes line, const struct guest *but)
{
	many_broadcast(m, line, but);
	if (!many_is_json(m))
		outlet_put(&m->out, line); /* best effort: a chat waits for nobody */
}

/* A line of `number` (0: standard input), made harmless for terminals. */
static void many_say_line(struct many *m, struct bytes line, uint64_t number,
			  const struct guest *but)
{
	char said[4 * MANY_LINE_BYTES + 64];
	struct text t = TEXT_OVER(said);

	if (line.len && line.data[line.len - 1] == '\r')
		line.len--;
	text_printf(&t, "<user%" PRIu64 "> ", number);
	text_put_visible(&t, line, false);
	text_put_byte(&t, '\n');
	many_say(m, text_bytes(&t), but);
}

static void many_take_lines(struct many *m, struct many_line *line, struct bytes b, uint64_t number,
			    const struct guest *from)
{
	while (b.len) {
		size_t end = bytes_find_byte(b, '\n');
		struct bytes part = bytes_first(bytes_first(b, end), sizeof line->data - line->len);
		bool whole = part.len == end && end < b.len;

		memcpy(line->data + line->len, part.data, part.len);
		line->len += part.len;
		b = bytes_after(b, part.len + whole);
		if (whole || line->len == sizeof line->data) {
			many_say_line(m, bytes_of(line->data, line->len), number, from);
			line->len = 0;
		}
	}
}

static void many_put_name(struct text *t, const struct guest *g)
{
	address_put_ip(t, &g->report.remote);
	text_printf(t, " as <user%" PRIu64 ">", g->report.number);
}

static void many_announce_arrival(struct many *m, struct guest *newcomer)
{
	char said[MANY_LINE_BYTES];
	struct text t = TEXT_OVER(said);
	unsigned named = 0;

	text_put_string(&t, "<announce> ");
	address_put_ip(&t, &newcomer->report.remote);
	text_printf(&t, " is connected as <user%" PRIu64 ">.\n", newcomer->report.number);
	many_say(m, text_bytes(&t), NULL);
	t = TEXT_OVER(said);
	text_put_string(&t, "<announce> already connected: ");
	for (const struct guest *g = m->first; g && named < MANY_NAMED_MOST; g = g->next) {
		if (g == newcomer || g->gone)
			continue;
		text_put_string(&t, named++ ? ", " : "");
		many_put_name(&t, g);
	}
	if (m->count > named + 1)
		text_printf(&t, " and %u more", m->count - named - 1);
	text_put_string(&t, m->count > 1 ? ".\n" : "nobody.\n");
	guest_put(newcomer, text_bytes(&t));
}

static void many_announce_leave(struct many *m, const struct guest *g)
{
	char said[128];
	struct text t = TEXT_OVER(said);

	text_printf(&t, "<announce> <user%" PRIu64 "> is disconnected.\n", g->report.number);
	many_say(m, text_bytes(&t), g);
}

/* What follows from what was done; at the end of each callback. */

static void guest_free(struct guest *g)
{
	struct many *m = g->many;

	report_close(&g->report, g->why, g->in_bytes, g->out_bytes,
		     loop_now(m->listening->loop)->boot_ns);
	loop_remove(m->listening->loop, g->registration);
	queue_clear(&g->queue, &m->queues);
	close(g->fd);
	free(g->line);
	*g->link = g->next;
	if (g->next)
		g->next->link = g->link;
	m->count--;
	free(g);
}

static void many_settle(struct many *m)
{
	while (m->gone) {
		struct guest *g = m->gone;

		m->gone = g->next_gone;
		if (m->chat)
			many_announce_leave(m, g);
		guest_free(g);
	}
	inlet_want(&m->in, m->count > 0 && (m->chat || !many_must_wait(m)));
	if (many_is_json(m) && !say_flush())
		listen_stop(m->listening, 0);
}

static void many_look(struct wheel_timer *timer, void *context)
{
	struct many *m = (struct many *)((char *)timer - offsetof(struct many, look));
	const struct moment *now = loop_now(m->listening->loop);

	for (struct guest *g = m->first; g; g = g->next) {
		uint64_t still_ms = (now->boot_ns - g->moved_ns) / MOMENT_MS;

		if (g->leaving && still_ms > MANY_LEAVING_MS)
			guest_leave(g, 0);
		else if (m->count > 1 && g->queue.bytes > MANY_QUEUE_BYTES &&
			 still_ms >= MANY_STALL_MS)
			guest_drop(g);
	}
	loop_arm(m->listening->loop, timer, now->boot_ns + MANY_LOOK_MS * MOMENT_MS);
	many_settle(m);
}

/* What comes. */

static void guest_said(struct guest *g, struct bytes b)
{
	struct many *m = g->many;

	g->in_bytes += b.len;
	if (m->listening->call->common.verbose)
		wire_bytes(NULL, &g->report.remote, false, b);
	if (many_is_json(m))
		report_data(&g->report, b);
	else if (!m->chat)
		outlet_put(&m->out, b);
	if (m->chat)
		many_take_lines(m, g->line, b, g->report.number, g);
}

/* The guest's half is over, and so is the guest: connect's own rule, the other way round. */
static void guest_ended(struct guest *g)
{
	struct many *m = g->many;

	if (m->chat && g->line->len)
		many_take_lines(m, g->line, BYTES_LITERAL("\n"), g->report.number, g);
	g->leaving = true;
	if (queue_is_empty(&g->queue))
		guest_leave(g, 0);
	guest_watch(g);
}

static void many_watch_all(struct many *m)
{
	for (struct guest *g = m->first; g; g = g->next)
		guest_watch(g);
}

static void guest_receive(struct guest *g)
{
	struct many *m = g->many;
	ssize_t n = recv(g->fd, m->received, sizeof m->received, MSG_DONTWAIT);

	if (n > 0)
		guest_said(g, bytes_of(m->received, (size_t)n));
	else if (n == 0)
		guest_ended(g);
	else if (errno != EAGAIN && errno != EINTR)
		guest_leave(g, err_from_errno(errno));
}

static void guest_ready(void *owner, unsigned events)
{
	struct guest *g = owner;
	struct many *m = g->many;
	bool was_busy = outlet_is_busy(&m->out);

	if (g->interest & LOOP_WRITE && events & (LOOP_WRITE | LOOP_HANGUP)) {
		guest_send(g);
		if (many_has_finished(m))
			guest_finish(g);
	}
	if (g->interest & LOOP_READ && events & (LOOP_READ | LOOP_HANGUP))
		guest_receive(g);
	guest_watch(g);
	if (!m->chat && was_busy != outlet_is_busy(&m->out))
		many_watch_all(m);
	many_settle(m);
}

static void many_accepted(void *owner, int fd, const struct address *remote,
			  const struct address *local)
{
	struct many *m = owner;
	struct report report = listen_came(m->listening, remote, local);
	struct guest *g = calloc(1, sizeof *g);

	if (g && m->chat)
		g->line = calloc(1, sizeof *g->line);
	if (!g || (m->chat && !g->line)) {
		free(g);
		close(fd);
		return;
	}
	g->many = m;
	g->fd = fd;
	g->report = report;
	g->moved_ns = report.opened_ns;
	g->next = m->first;
	g->link = &m->first;
	if (g->next)
		g->next->link = &g->next;
	m->first = g;
	m->count++;
	report_open(&report);
	if (many_has_finished(m))
		guest_finish(g);
	if (m->chat)
		many_announce_arrival(m, g);
	guest_watch(g);
	many_settle(m);
}

static void many_input(void *owner, struct bytes b)
{
	struct many *m = owner;

	if (m->chat)
		many_take_lines(m, &m->line, b, 0, NULL);
	else
		many_broadcast(m, b, NULL);
	many_settle(m);
}

static void many_input_end(void *owner, int err)
{
	struct many *m = owner;

	if (err)
		say_input(err);
	if (m->chat && m->line.len)
		many_take_lines(m, &m->line, BYTES_LITERAL("\n"), 0, NULL);
	for (struct guest *g = m->first; g && many_has_finished(m); g = g->next)
		guest_finish(g);
	many_settle(m);
}

static void many_drained(void *owner)
{
	many_watch_all(owner);
}

static void many_output_failed(void *owner, int err)
{
	struct many *m = owner;

	listen_stop(m->listening, session_say_output(err));
}

int listen_many(struct listening *l)
{
	struct many *m = calloc(1, sizeof *m);
	int err;

	if (!m)
		return say_error(SAY_RUN, l->call->command->name, ERR_MEMORY);
	m->listening = l;
	m->chat = l->given->chat;
	m->look.due = many_look;
	queue_pool_init(&m->queues);
	m->in.data = many_input;
	m->in.end = many_input_end;
	m->out.drained = many_drained;
	m->out.failed = many_output_failed;
	m->in.owner = m->out.owner = m;
	inlet_begin(&m->in, l->loop);
	outlet_begin(&m->out, l->loop);
	err = listen_accept(l, 0, many_accepted, m);
	if (err)
		listen_stop(l, say_error(SAY_LISTEN, l->where, err));
	loop_arm(l->loop, &m->look, loop_now(l->loop)->boot_ns + MANY_LOOK_MS * MOMENT_MS);
	loop_run_until(l->loop, &l->woken);
	while (m->first)
		guest_free(m->first);
	inlet_close(&m->in);
	outlet_close(&m->out);
	loop_disarm(l->loop, &m->look);
	queue_pool_end(&m->queues);
	free(m);
	return l->code;
}
