/* The simulated wire: connections. See wire.h.
 *
 * A connection is two ends, and each end has a list of packets on their way to the other.
 *
 *   verb ─► apply: packets, tells, deadline ─► arrive: bytes held ─► work: feed, eof, close */
#include "wire_parts.h"

#include <assert.h>

enum { ROOM_BYTES = 65536, ROUNDS_MOST = 1000 };

#define PATIENCE_NS (10 * MOMENT_S)
#define WATCH_NS    MOMENT_S
#define LINGER_NS   (2 * MOMENT_S)

enum packet_kind { PACKET_DATA, PACKET_END, PACKET_RESET };

struct packet {
	struct packet *next;
	enum packet_kind kind;
	uint64_t due_ns;
	size_t len;
	uint8_t data[];
};

struct buffer {
	uint8_t *data;
	size_t len, room;
};

struct wire_end {
	struct wire *w;
	struct wire_end *next, *peer;
	struct wire_host *host;
	const struct machine *machine;
	const struct wire_holder *holder;
	void *context, *state, *settings; /* settings: our own copy of the fallbacks, or NULL */
	struct peer about;
	struct buffer in, received;
	struct packet *first, **last; /* on their way to the peer */
	uint64_t last_due_ns, delay_most_ns, patience_ns;
	uint64_t silent_since_ns; /* nothing passes; MOMENT_NEVER: it does */
	uint64_t ended_ns;
	uint64_t timer; /* number of the deadline that counts */
	bool opened, ended, closed;
	bool end_arrived, eof_told;
	int broken; /* the ERR_ that the kernel will report, or 0 */
};

static void work(void *context, uint64_t number);

static void buffer_add(struct buffer *b, const uint8_t *data, size_t len)
{
	if (b->len + len > b->room) {
		b->room = 2 * (b->len + len);
		b->data = wire_must(realloc(b->data, b->room));
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void arrive(void *context, uint64_t number);

static uint64_t delay(struct wire_end *e)
{
	return wire_between(e->w, 10000, e->delay_most_ns);
}

static void send_packet(struct wire_end *e, enum packet_kind kind, const uint8_t *data, size_t len)
{
	struct packet *p = wire_must(malloc(sizeof *p + len));
	uint64_t due_ns = e->w->now_ns + delay(e);

	if (due_ns < e->last_due_ns)
		due_ns = e->last_due_ns;
	e->last_due_ns = due_ns;
	*p = (struct packet){.kind = kind, .due_ns = due_ns, .len = len};
	if (len)
		memcpy(p->data, data, len);
	*e->last = p;
	e->last = &p->next;
	wire_at(e->w, NULL, due_ns, arrive, e, 0);
}

static void send_bytes(struct wire_end *e, const uint8_t *data, size_t len)
{
	while (len > 0) {
		size_t n = wire_chance(e->w, 60) ? len : wire_between(e->w, 1, len);

		send_packet(e, PACKET_DATA, data, n);
		data += n;
		len -= n;
	}
}

static void drop_packets(struct wire_end *e)
{
	while (e->first) {
		struct packet *p = e->first;

		e->first = p->next;
		free(p);
	}
	e->last = &e->first;
}

static void take_packet(struct wire_end *to, const struct packet *p)
{
	if (to->closed) {
		if (p->kind != PACKET_RESET && wire_passes(to->host, to->peer->host))
			send_packet(to, PACKET_RESET, NULL, 0);
	} else if (p->kind == PACKET_RESET) {
		to->broken = to->broken ? to->broken : ERR_RESET;
	} else if (p->kind == PACKET_END) {
		to->end_arrived = true;
	} else {
		buffer_add(&to->in, p->data, p->len);
		buffer_add(&to->received, p->data, p->len);
	}
}

/* What is due on its way from `e`, as far as it passes. */
static void arrive(void *context, uint64_t number)
{
	struct wire_end *e = context, *to = e->peer;

	while (e->first && e->first->due_ns <= e->w->now_ns && wire_passes(e->host, to->host)) {
		struct packet *p = e->first;

		e->first = p->next;
		if (!e->first)
			e->last = &e->first;
		take_packet(to, p);
		free(p);
		if (wire_chance(e->w, 50))
			break;
	}
	if (e->first && e->first->due_ns <= e->w->now_ns && wire_passes(e->host, to->host))
		wire_at(e->w, NULL, e->w->now_ns, arrive, e, 0);
	if (!to->closed)
		wire_at(e->w, to->host, e->w->now_ns, work, to, 0);
}

/* Everything that waited for a way looks again. */
void wire_ends_look_again(struct wire *w)
{
	for (struct wire_end *e = w->ends; e; e = e->next) {
		if (e->first)
			wire_at(w, NULL, w->now_ns + delay(e), arrive, e, 0);
	}
}

/* Ends. */

static void forget(struct wire_end *e)
{
	e->closed = true;
	e->timer++;
	e->ended = true;
}

static void close_end(struct wire_end *e, int why)
{
	if (e->closed)
		return;
	forget(e);
	if (why < 0 && wire_chance(e->w, 50))
		drop_packets(e);
	if (why < 0)
		send_packet(e, PACKET_RESET, NULL, 0);
	if (e->opened && e->machine->close)
		e->machine->close(e->state, why);
	if (e->holder && e->holder->closed)
		e->holder->closed(e, why);
}

static void tick(void *context, uint64_t number);

static void apply_deadline(struct wire_end *e, uint64_t deadline_ns)
{
	uint64_t true_ns = wire_host_true_ns(e->host, deadline_ns);

	e->timer++;
	if (true_ns == MOMENT_NEVER)
		return;
	if (true_ns < e->w->now_ns)
		true_ns = e->w->now_ns;
	if (wire_chance(e->w, 30))
		true_ns += wire_between(e->w, 0, 5 * MOMENT_MS); /* timers are late, never early */
	wire_at(e->w, e->host, true_ns, tick, e, e->timer);
}

static void apply_messages(struct wire_end *e, struct out *out)
{
	for (unsigned i = 0; e->holder && e->holder->event && i < out->events; i++)
		e->holder->event(e, &out->event[i]);
	for (unsigned i = 0; i < out->tells; i++) {
		if (out->tell[i].to > OUT_OWNER)
			wire_tell_id(e->w, out->tell[i].to, &out->tell[i].message);
		else if (e->holder && e->holder->told)
			e->holder->told(e, out->tell[i].to, &out->tell[i].message);
	}
}

/* Carries out what the machine wants. Whether it wants to be called again once output has drained,
 * which on this wire is at once. */
static bool apply(struct wire_end *e)
{
	struct out *out = &e->w->out;
	struct buffer all = {0};
	bool again = out->tight || out->more;

	for (unsigned i = 0; i < out->segments; i++) {
		assert(out->segment[i].kind != OUT_FILE);
		if (out->segment[i].kind == OUT_BYTES)
			buffer_add(&all, out->segment[i].data, out->segment[i].len);
	}
	if (!out->abort_why)
		send_bytes(e, all.data, all.len);
	free(all.data);
	apply_messages(e, out);
	if (out->abort_why) {
		close_end(e, out->abort_why);
	} else if (out->end) {
		e->ended = true;
		e->ended_ns = e->w->now_ns;
		e->timer++;
		send_packet(e, PACKET_END, NULL, 0);
		if (e->end_arrived)
			close_end(e, 0);
	} else if (out->deadline_set) {
		apply_deadline(e, out->deadline_ns);
	}
	return again && !e->ended;
}

static struct out *fresh(struct wire_end *e)
{
	out_reset(&e->w->out, ROOM_BYTES);
	return &e->w->out;
}

/* One feed. Whether there may be more to do. */
static bool feed(struct wire_end *e)
{
	size_t len = e->in.len, taken = len;
	struct moment now = wire_host_moment(e->host);
	uint8_t *exact;
	bool again;

	if (e->machine->chunk && len > MACHINE_CHUNK_BYTES)
		len = MACHINE_CHUNK_BYTES;
	exact = wire_must(malloc(len)); /* so that ASan sees who reads beyond */
	memcpy(exact, e->in.data, len);
	if (e->machine->feed)
		taken = e->machine->feed(e->state, bytes_of(exact, len), fresh(e), &now);
	again = e->machine->feed && apply(e);
	free(exact);
	assert(taken <= len);
	memmove(e->in.data, e->in.data + taken, e->in.len - taken);
	e->in.len -= taken;
	if (again && e->machine->room) {
		e->machine->room(e->state, fresh(e), &now);
		again |= apply(e);
	}
	if (!again && !e->w->out.pause && !e->ended && taken == 0 && len > e->machine->hold_bytes)
		close_end(e, ERR_TOO_LONG);
	return e->in.len > 0 && (again || taken > 0);
}

static void open_end(struct wire_end *e)
{
	struct moment now = wire_host_moment(e->host);

	e->opened = true;
	if (e->machine->open) {
		e->machine->open(e->state, &e->about, fresh(e), &now);
		apply(e);
	}
}

static void end_of_stream(struct wire_end *e)
{
	struct moment now = wire_host_moment(e->host);

	e->eof_told = true;
	out_reset(&e->w->out, ROOM_BYTES);
	if (e->machine->eof)
		e->machine->eof(e->state, &e->w->out, &now);
	else
		out_end(&e->w->out);
	apply(e);
}

/* A process looks at its connection: opens it, reads, hears of its end. */
static void work(void *context, uint64_t number)
{
	struct wire_end *e = context;
	unsigned rounds = 0;

	if (!e->closed && !e->opened)
		open_end(e);
	while (!e->ended && e->in.len > 0 && feed(e))
		assert(++rounds < ROUNDS_MOST);
	if (!e->ended && e->end_arrived && !e->eof_told)
		end_of_stream(e);
	if (!e->closed && e->broken)
		close_end(e, e->broken);
	else if (!e->closed && e->ended && e->end_arrived)
		close_end(e, 0);
}

/* Output has drained, a moment after the machine asked to hear of that. */
static void drained(void *context, uint64_t number)
{
	struct wire_end *e = context;
	struct moment now = wire_host_moment(e->host);

	if (e->ended)
		return;
	if (e->machine->room) {
		e->machine->room(e->state, fresh(e), &now);
		if (apply(e))
			wire_at(e->w, e->host, e->w->now_ns + delay(e), drained, e, 0);
	}
	work(e, 0);
}

static void tick(void *context, uint64_t number)
{
	struct wire_end *e = context;
	struct moment now = wire_host_moment(e->host);

	if (e->ended || number != e->timer)
		return;
	e->timer++;
	if (!e->machine->tick)
		return;
	e->machine->tick(e->state, fresh(e), &now);
	if (apply(e))
		wire_at(e->w, e->host, e->w->now_ns, drained, e, 0);
}

/* Keepalive, once a second: what is dead, gone or lingering is found. */
static void watch_end(struct wire_end *e)
{
	bool through = wire_passes(e->host, e->peer->host) && wire_passes(e->peer->host, e->host);

	if (e->closed || e->host->state == WIRE_SUSPENDED || through) {
		e->silent_since_ns = MOMENT_NEVER;
	} else if (e->silent_since_ns == MOMENT_NEVER) {
		e->silent_since_ns = e->w->now_ns;
	} else if (e->w->now_ns - e->silent_since_ns > e->patience_ns) {
		e->broken = ERR_TIMEOUT;
	}
	if (through && e->peer->closed && !e->peer->first)
		e->broken = e->broken ? e->broken : ERR_RESET;
	if (e->ended && e->w->now_ns - e->ended_ns > LINGER_NS)
		e->end_arrived = true;
	if (!e->closed)
		wire_at(e->w, e->host, e->w->now_ns, work, e, 0);
}

static void watch(void *context, uint64_t number)
{
	struct wire_end *e = context;

	watch_end(e);
	watch_end(e->peer);
	if (!e->closed || !e->peer->closed)
		wire_at(e->w, NULL, e->w->now_ns + WATCH_NS, watch, e, 0);
}

struct wire_mail {
	struct wire_mail *next;
	struct wire_end *to;
	struct message message;
	uint8_t body[];
};

static void deliver(void *context, uint64_t number)
{
	struct wire_mail *mail = context;
	struct wire_end *e = mail->to;
	struct moment now = wire_host_moment(e->host);

	if (!e->closed && !e->opened)
		open_end(e);
	if (e->ended || !e->machine->tell)
		return;
	e->machine->tell(e->state, &mail->message, fresh(e), &now);
	if (apply(e))
		wire_at(e->w, e->host, e->w->now_ns, drained, e, 0);
}

void wire_tell(struct wire_end *e, const struct message *message)
{
	struct wire_mail *mail = wire_must(malloc(sizeof *mail + message->body.len));

	mail->next = e->w->mails;
	e->w->mails = mail;
	mail->to = e;
	mail->message = *message;
	if (message->body.len)
		memcpy(mail->body, message->body.data, message->body.len);
	mail->message.body = bytes_of(mail->body, message->body.len);
	wire_at(e->w, e->host, e->w->now_ns, deliver, mail, 0);
}

void wire_tell_id(struct wire *w, uint64_t id, const struct message *message)
{
	for (struct wire_end *e = w->ends; e; e = e->next) {
		if (e->about.id == id && !e->closed)
			wire_tell(e, message);
	}
}

/* Making and unmaking. */

static struct address address_of(const struct wire_host *h, uint64_t port)
{
	return (struct address){.family = ADDRESS_V4,
				.ip = {10, 0, 0, (uint8_t)(h->index + 1)},
				.port = (uint16_t)port};
}

static struct wire_end *make_end(struct wire *w, const struct wire_plan *plan)
{
	struct wire_end *e = wire_must(calloc(1, sizeof *e));
	size_t state_bytes = plan->machine->state_bytes;

	e->w = w;
	e->host = plan->host;
	e->machine = plan->machine;
	e->holder = plan->holder;
	e->context = plan->context;
	e->state = wire_must(calloc(1, state_bytes ? state_bytes : 1));
	e->about.id = ++w->ids;
	e->about.seed[0] = wire_between(w, 0, UINT64_MAX - 1);
	e->about.seed[1] = wire_between(w, 0, UINT64_MAX - 1);
	e->about.settings = plan->settings;
	if (!plan->settings && plan->machine->settings) {
		e->settings = wire_must(calloc(1, plan->machine->settings_bytes));
		option_defaults(plan->machine->settings, e->settings);
		e->about.settings = e->settings;
	}
	e->last = &e->first;
	e->patience_ns = plan->patience_ns ? plan->patience_ns : PATIENCE_NS;
	e->silent_since_ns = MOMENT_NEVER;
	e->delay_most_ns = wire_chance(w, 70) ? 2 * MOMENT_MS : wire_between(w, 1, 400) * MOMENT_MS;
	e->next = w->ends;
	w->ends = e;
	return e;
}

struct wire_end *wire_connect(struct wire *w, const struct wire_plan *connecting,
			      const struct wire_plan *accepting, struct wire_end **accepted)
{
	struct wire_end *c, *s;

	if (!wire_passes(connecting->host, accepting->host) ||
	    !wire_passes(accepting->host, connecting->host))
		return NULL;
	c = make_end(w, connecting);
	s = make_end(w, accepting);
	c->peer = s;
	s->peer = c;
	c->about.local = s->about.remote = address_of(c->host, 40000 + c->about.id % 20000);
	c->about.remote = s->about.local = address_of(s->host, 9000);
	wire_at(w, s->host, w->now_ns + delay(c), work, s, 0);
	wire_at(w, c->host, w->now_ns + delay(c) + delay(s), work, c, 0);
	wire_at(w, NULL, w->now_ns + WATCH_NS, watch, c, 0);
	if (accepted)
		*accepted = s;
	return c;
}

void wire_reset(struct wire_end *e)
{
	send_packet(e, PACKET_RESET, NULL, 0);
	send_packet(e->peer, PACKET_RESET, NULL, 0);
}

void wire_ends_wake(struct wire_host *h)
{
	for (struct wire_end *e = h->w->ends; e; e = e->next) {
		if (e->host == h && !e->closed)
			wire_at(h->w, h, h->w->now_ns, work, e, 0);
	}
}

void wire_ends_kill(struct wire_host *h, bool loudly)
{
	for (struct wire_end *e = h->w->ends; e; e = e->next) {
		if (e->host != h || e->closed)
			continue;
		forget(e);
		if (loudly)
			send_packet(e, PACKET_RESET, NULL, 0);
		else
			drop_packets(e);
	}
}

void wire_ends_free(struct wire *w)
{
	while (w->ends) {
		struct wire_end *e = w->ends;

		w->ends = e->next;
		drop_packets(e);
		free(e->state);
		free(e->settings);
		free(e->in.data);
		free(e->received.data);
		free(e);
	}
	while (w->mails) {
		struct wire_mail *mail = w->mails;

		w->mails = mail->next;
		free(mail);
	}
}

uint64_t wire_end_id(const struct wire_end *e)
{
	return e->about.id;
}

void *wire_end_context(const struct wire_end *e)
{
	return e->context;
}

struct wire_host *wire_end_host(const struct wire_end *e)
{
	return e->host;
}

bool wire_end_closed(const struct wire_end *e)
{
	return e->closed;
}

void *wire_end_state(const struct wire_end *e)
{
	return e->state;
}

struct bytes wire_end_received(const struct wire_end *e)
{
	return bytes_of(e->received.data, e->received.len);
}
