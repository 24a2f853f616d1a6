/* HTTP over the two directions of a conversation.
 *
 *            looks like a first line        its head is whole
 *   SEEKING ────────────────────────► HEAD ──────────────────► BODY
 *      ▲ └── anything else is left out  │ breaks a rule,         │ done, or breaks a rule,
 *      │                                │ torn by a gap          │ or out of step behind a gap
 *      └────────────────────────────────┴────────────────────────┘
 *
 *   RAW: after 101 or CONNECT, something else is spoken (RFC 9110 7.8, 9.3.6)   OVER: ended
 *
 * Requests wait in a list for their responses; a response goes to the first that has none, or
 * behind a gap to the one that was sent when all before the response was there. */
#include "proto/exchange.h"

#include "base/err.h"

#define N_(s) s

enum state { STATE_SEEKING, STATE_HEAD, STATE_BODY, STATE_RAW, STATE_OVER };

/* What stands in for bytes that were not captured, so that a body's framing goes on counting. */
static const uint8_t nothing[16384];

/* What each step needs. */
struct step {
	struct exchange_talk *talk;
	struct exchange_memory *memory;
	const struct exchange_sink *sink;
	struct exchange_reader *reader;
	uint64_t frame;
	int64_t time_ns;
	uint32_t seq, ack; /* of the byte that comes next, and its segment's */
	uint64_t missing;  /* how much is missing here */
};

/* As exchange_look, for this reader: each way has one side, and not that of the other. */
static enum exchange_look look_here(const struct step *s, struct bytes b)
{
	const struct exchange_reader
		*other = &s->talk->reader[s->reader == &s->talk->reader[0] ? 1 : 0];
	enum exchange_look look = exchange_look(b);
	enum http1_side side = look == EXCHANGE_REQUEST ? HTTP1_REQUEST : HTTP1_RESPONSE;

	if (look != EXCHANGE_REQUEST && look != EXCHANGE_RESPONSE)
		return look;
	if ((s->reader->sided && s->reader->side != side) || (other->sided && other->side == side))
		return EXCHANGE_NONE;
	return look;
}

static void drop_held(const struct step *s)
{
	struct exchange_reader *r = s->reader;

	blocks_give(r->large ? &s->memory->large : &s->memory->small, r->held);
	r->held = NULL;
	r->held_bytes = r->seen = 0;
	r->large = false;
}

/* Adds as much of `b` to what is held as finds room. False when there is no memory. */
static bool hold(const struct step *s, struct bytes b)
{
	struct exchange_reader *r = s->reader;
	size_t room = r->large ? EXCHANGE_LARGE_BYTES : EXCHANGE_SMALL_BYTES;

	if (r->held == NULL || (!r->large && b.len > room - r->held_bytes)) {
		bool large = r->held_bytes + b.len > EXCHANGE_SMALL_BYTES;
		uint8_t *block = blocks_take(large ? &s->memory->large : &s->memory->small);

		if (block == NULL) {
			s->memory->lost++;
			drop_held(s);
			return false;
		}
		if (r->held != NULL) {
			memcpy(block, r->held, r->held_bytes);
			blocks_give(&s->memory->small, r->held);
		}
		r->held = block;
		r->large = large;
		room = large ? EXCHANGE_LARGE_BYTES : EXCHANGE_SMALL_BYTES;
	}
	b = bytes_first(b, room - r->held_bytes);
	memcpy(r->held + r->held_bytes, b.data, b.len);
	r->held_bytes += b.len;
	return true;
}

static void give_back(struct exchange_memory *memory, struct exchange *e)
{
	for (unsigned side = 0; side < 2; side++) {
		struct exchange_message *m = &e->message[side];

		blocks_give(m->large ? &memory->large : &memory->small, m->block);
	}
	blocks_give(&memory->exchanges, e);
}

/* Takes it out of the list and reports it. */
static void report(struct exchange_talk *talk, struct exchange_memory *memory,
		   const struct exchange_sink *sink, struct exchange *e)
{
	struct exchange **link = &talk->first, *before = NULL;

	for (; *link != e; link = &(*link)->next)
		before = *link;
	*link = e->next;
	if (talk->last == e)
		talk->last = before;
	talk->pending--;
	for (unsigned way = 0; way < 2; way++)
		if (talk->reader[way].current == e)
			talk->reader[way].current = NULL;
	sink->exchange(sink->owner, e);
	give_back(memory, e);
}

static void report_unanswered(const struct step *s, struct exchange *e, const char *why)
{
	e->message[HTTP1_RESPONSE].fault = why;
	report(s->talk, s->memory, s->sink, e);
}

/* Of one conversation no more than EXCHANGE_PENDING wait. */
static void make_room(const struct step *s)
{
	struct exchange *e = s->talk->first;

	if (e->message[HTTP1_RESPONSE].present) {
		report(s->talk, s->memory, s->sink, e);
		return;
	}
	s->talk->owed++;
	report_unanswered(s, e, N_("too many requests waited for theirs at a time"));
}

/* A new one at the end of the list, or NULL. */
static struct exchange *add(const struct step *s)
{
	struct exchange_talk *talk = s->talk;
	bool client = (s->reader == &talk->reader[0]) == (s->reader->side == HTTP1_REQUEST);
	struct exchange *e;

	if (talk->pending >= EXCHANGE_PENDING && s->reader->side == HTTP1_REQUEST)
		make_room(s);
	e = blocks_take(&s->memory->exchanges);
	if (e == NULL) {
		s->memory->lost++;
		return NULL;
	}
	*e = (struct exchange){.conversation = talk->number,
			       .client = talk->end[client ? 0 : 1],
			       .server = talk->end[client ? 1 : 0],
			       .answer_seq = s->reader->held_ack};
	if (talk->last != NULL)
		talk->last->next = e;
	else
		talk->first = e;
	talk->last = e;
	talk->pending++;
	return e;
}

/* The request that the response which begins here answers, or NULL: none, or nobody knows. */
static struct exchange *find_waiting(const struct step *s)
{
	const struct exchange_talk *talk = s->talk;
	struct exchange *e = talk->owed > 0 && !talk->unsure ? NULL : talk->first;

	while (e != NULL && (e->message[HTTP1_RESPONSE].present ||
			     (talk->unsure && e->answer_seq != s->reader->held_seq)))
		e = e->next;
	return e;
}

/* `e` is answered: those before it were. From here on order says it again. */
static void settle(const struct step *s, const struct exchange *e)
{
	struct exchange *before = s->talk->first;

	if (!s->talk->unsure)
		return;
	while (before != e) {
		struct exchange *next = before->next;

		if (!before->message[HTTP1_RESPONSE].present)
			report_unanswered(s, before, N_("its beginning was not captured"));
		before = next;
	}
	s->talk->unsure = false;
	s->talk->owed = 0;
}

/* Why the response that begins here has no request; NULL: it was not captured. */
static const char *why_unasked(const struct step *s)
{
	struct exchange_talk *talk = s->talk;
	struct exchange_reader *other = &talk->reader[s->reader == &talk->reader[0] ? 1 : 0];
	bool skipped = other->skipped;

	other->skipped = false;
	if (talk->unsure && talk->first != NULL)
		return N_("which one this answers is not known: bytes before it were not "
			  "captured");
	if (talk->unsure || talk->owed == 0)
		return skipped ? N_("what there is of it does not look like HTTP") : NULL;
	talk->owed--;
	return N_("too many waited at a time");
}

/* Which exchange the message that begins now belongs to, or NULL. */
static struct exchange *find_place(const struct step *s)
{
	const char *why;
	struct exchange *e;

	s->reader->skipped = false;
	if (s->reader->side == HTTP1_REQUEST)
		return add(s);
	e = find_waiting(s);
	if (e != NULL) {
		settle(s, e);
		return e;
	}
	why = why_unasked(s);
	e = add(s);
	if (e != NULL)
		e->message[HTTP1_REQUEST].fault = why;
	return e;
}

static struct bytes method_of(const struct exchange *e)
{
	struct bytes line = {0};

	if (e != NULL)
		line = e->message[HTTP1_REQUEST].line;
	return bytes_first(line, bytes_find_byte(line, ' '));
}

/* The message of `e` that this reader reads. */
static struct exchange_message *message_of(const struct step *s, struct exchange *e)
{
	return &e->message[s->reader->side];
}

/* What comes in order now may have been captured earlier. */
static void touch(const struct step *s, struct exchange_message *m)
{
	if (m->last_frame < s->frame)
		m->last_frame = s->frame;
	if (m->last_ns < s->time_ns)
		m->last_ns = s->time_ns;
}

/* The reader's message ends here. */
static void end_message(const struct step *s, bool whole, const char *fault)
{
	struct exchange *e = s->reader->current;
	struct exchange_message *m;

	s->reader->state = STATE_SEEKING;
	s->reader->current = NULL;
	if (e == NULL)
		return;
	m = message_of(s, e);
	m->done = true;
	m->whole = whole && m->missing_bytes == 0 && fault == NULL;
	if (fault != NULL)
		m->fault = fault;
	if (e->message[HTTP1_RESPONSE].done &&
	    (e->message[HTTP1_REQUEST].done || !e->message[HTTP1_REQUEST].present))
		report(s->talk, s->memory, s->sink, e);
}

/* `head`, which is what is held or lies in a run, becomes the message's own. */
static void keep_head(const struct step *s, struct exchange_message *m, struct bytes head)
{
	struct exchange_reader *r = s->reader;

	m->frame = r->held != NULL ? r->held_frame : s->frame;
	m->time_ns = r->held != NULL ? r->held_ns : s->time_ns;
	m->last_frame = m->frame;
	m->last_ns = m->time_ns;
	touch(s, m);
	if (r->held != NULL) {
		m->block = r->held;
		m->large = r->large;
		r->held = NULL;
		r->held_bytes = r->seen = 0;
		r->large = false;
	} else {
		m->large = head.len > EXCHANGE_SMALL_BYTES;
		head = bytes_first(head, EXCHANGE_LARGE_BYTES);
		m->block = blocks_take(m->large ? &s->memory->large : &s->memory->small);
		if (m->block == NULL) {
			s->memory->lost++;
			return;
		}
		memcpy(m->block, head.data, head.len);
	}
	m->head = bytes_of(m->block, head.len);
}

/* The first line of what is no empty line. */
static struct bytes first_line(struct bytes head)
{
	while (head.len > 0 && (head.data[0] == '\r' || head.data[0] == '\n'))
		head = bytes_after(head, 1);
	return bytes_strip(bytes_first(head, bytes_find_byte(head, '\n')));
}

/* A part of `from`, where it lies in the message's own copy. */
static struct bytes moved(const struct exchange_message *m, struct bytes from,
			  const struct http1_field *field)
{
	if (field == NULL || m->head.len == 0 || field->value.len == 0)
		return (struct bytes){0};
	return bytes_of(m->head.data + (field->value.data - from.data), field->value.len);
}

/* Fills in a message from its head, parsed from `from`. */
static void fill(const struct step *s, struct exchange_message *m, struct bytes from)
{
	const struct http1_head *head = &s->memory->head;

	m->present = true;
	m->status = head->side == HTTP1_RESPONSE ? head->status : 0;
	m->framing = head->framing;
	m->announced_bytes = head->framing == HTTP1_LENGTH ? head->length : 0;
	keep_head(s, m, from);
	m->line = first_line(m->head);
	m->authority = moved(m, from, http1_find(head, "Host"));
	m->type = moved(m, from, http1_find(head, "Content-Type"));
	m->coding = moved(m, from, http1_find(head, "Content-Encoding"));
}

/* From here on both ways speak something else. */
static bool changes_protocol(const struct http1_head *head, struct bytes method)
{
	return head->status == 101 ||
	       (head->status / 100 == 2 && bytes_equal(method, BYTES_LITERAL("CONNECT")));
}

/* A whole head stands at the front of `from` and was parsed into memory->head. */
static void begin_message(const struct step *s, struct bytes from, struct bytes method)
{
	const struct http1_head *head = &s->memory->head;
	struct exchange_reader *r = s->reader;
	bool changes = r->side == HTTP1_RESPONSE && changes_protocol(head, method);
	struct exchange *e;

	if (r->side == HTTP1_RESPONSE && head->status / 100 == 1 && head->status != 101) {
		e = find_waiting(s);
		if (e != NULL)
			settle(s, e);
		drop_held(s);
		r->state = STATE_SEEKING;
		return;
	}
	e = find_place(s);
	r->current = e;
	if (e != NULL)
		fill(s, message_of(s, e), bytes_first(from, head->bytes));
	else
		drop_held(s);
	http1_body_begin(&r->body, head);
	r->state = STATE_BODY;
	if (r->body.done)
		end_message(s, true, NULL);
	if (!changes)
		return;
	for (unsigned way = 0; way < 2; way++)
		s->talk->reader[way].state = STATE_RAW;
}

/* The status in a line that stands although its message breaks a rule, or 0. */
static unsigned status_of(struct bytes line)
{
	struct bytes code = bytes_after(line, sizeof("HTTP/1.1 ") - 1);
	unsigned status = 0;

	if (code.len < 3 || (code.len > 3 && code.data[3] != ' '))
		return 0;
	for (size_t i = 0; i < 3; i++) {
		if (code.data[i] < '0' || code.data[i] > '9')
			return 0;
		status = status * 10 + (code.data[i] - '0');
	}
	return status;
}

/* What stands at the front of `from` looked like a message and is none, or not all of one. */
static void begin_fault(const struct step *s, struct bytes from, const char *why)
{
	struct exchange *e = find_place(s);
	struct exchange_message *m;

	s->reader->current = e;
	if (e == NULL) {
		drop_held(s);
		end_message(s, false, why);
		return;
	}
	m = message_of(s, e);
	m->present = true;
	m->missing_bytes = s->missing;
	keep_head(s, m, bytes_first(from, EXCHANGE_SMALL_BYTES));
	m->line = first_line(m->head);
	m->status = s->reader->side == HTTP1_RESPONSE ? status_of(m->line) : 0;
	end_message(s, false, why);
}

static size_t take_seeking(const struct step *s, struct bytes data)
{
	struct exchange_reader *r = s->reader;
	enum exchange_look look;
	size_t before = r->held_bytes;

	if (before > 0 && !hold(s, data))
		return data.len;
	look = look_here(s, before > 0 ? bytes_of(r->held, r->held_bytes) : data);
	if (look == EXCHANGE_NONE) {
		r->skipped = true;
		drop_held(s);
		return before > 0 ? 0 : data.len;
	}
	if (before == 0) {
		r->held_frame = s->frame;
		r->held_ns = s->time_ns;
		r->held_seq = s->seq;
		r->held_ack = s->ack;
	}
	if (look == EXCHANGE_PERHAPS) {
		if (before == 0)
			hold(s, data);
		return data.len;
	}
	r->held_bytes = before; /* STATE_HEAD adds the rest again */
	r->state = STATE_HEAD;
	r->side = look == EXCHANGE_REQUEST ? HTTP1_REQUEST : HTTP1_RESPONSE;
	r->sided = true;
	return 0;
}

static size_t take_head(const struct step *s, struct bytes data)
{
	struct exchange_reader *r = s->reader;
	struct bytes from = data, method = r->side == HTTP1_RESPONSE ? method_of(find_waiting(s))
								     : (struct bytes){0};
	struct http1_refusal refusal;
	int64_t bytes;

	if (r->held_bytes > 0) {
		if (!hold(s, data)) {
			r->state = STATE_SEEKING;
			return data.len;
		}
		from = bytes_of(r->held, r->held_bytes);
	}
	bytes = http1_parse(&s->memory->head, r->side, from, &r->seen, method, NULL, &refusal);
	if (bytes != 0)
		r->seen = 0;
	if (bytes > 0) {
		size_t rest = from.len - (size_t)bytes;

		begin_message(s, from, method);
		return rest < data.len ? data.len - rest : 0;
	}
	if (bytes < 0)
		begin_fault(s, from, refusal.why);
	else if (from.len >= EXCHANGE_LARGE_BYTES)
		begin_fault(s, from, N_("a head over its limit"));
	else if (from.data == data.data && !hold(s, data))
		r->state = STATE_SEEKING;
	return data.len;
}

static size_t take_body(const struct step *s, struct bytes data, bool missing)
{
	struct exchange_reader *r = s->reader;
	struct exchange *e = r->current;
	struct bytes content = {0};
	size_t taken = http1_body_take(&r->body, data, &content);

	if (e != NULL) {
		struct exchange_message *m = message_of(s, e);
		uint64_t bytes;

		touch(s, m);
		/* What is missing is all its own once it tore the framing. */
		bytes = missing && r->body.bad ? s->missing : taken;
		m->body_bytes += bytes;
		if (missing)
			m->missing_bytes += bytes;
		else
			m->content_bytes += content.len;
		if (missing && content.len > 0 && s->sink->missing != NULL)
			s->sink->missing(s->sink->owner, e, r->side, content.len);
		if (!missing && content.len > 0 && s->sink->content != NULL)
			s->sink->content(s->sink->owner, e, r->side, content);
	}
	if (r->body.bad)
		end_message(s, false,
			    missing ? N_("what is missing tore its framing") : r->body.refusal.why);
	else if (r->body.done)
		end_message(s, true, NULL);
	else if (taken > 0)
		return taken;
	return r->body.bad || taken == 0 ? data.len : taken;
}

static void take_missing(struct step *s)
{
	struct exchange_reader *r = s->reader;

	if (r->state == STATE_HEAD)
		begin_fault(s, bytes_of(r->held, r->held_bytes),
			    N_("a part of its head is missing"));
	drop_held(s);
	while (r->state == STATE_BODY && s->missing > 0) {
		struct bytes some = bytes_of(nothing, sizeof(nothing));

		s->missing -= take_body(s, bytes_first(some, s->missing), true);
	}
	if (r->state == STATE_SEEKING && (s->missing > 0 || r->body.bad))
		s->talk->unsure = true;
}

void exchange_take(struct exchange_talk *talk, struct exchange_memory *memory,
		   const struct exchange_sink *sink, unsigned way, const struct reassembly_run *run)
{
	struct exchange_reader *r = &talk->reader[way];
	struct step s = {
		.talk = talk,
		.memory = memory,
		.sink = sink,
		.reader = r,
		.frame = run->frame,
		.time_ns = run->time_ns,
		.seq = run->seq,
		.ack = run->ack,
		.missing = run->missing,
	};
	struct bytes data = run->data;

	if (s.missing > 0)
		take_missing(&s);
	while (data.len > 0 && r->state < STATE_RAW) {
		size_t taken = r->state == STATE_BODY   ? take_body(&s, data, false)
			       : r->state == STATE_HEAD ? take_head(&s, data)
							: take_seeking(&s, data);

		data = bytes_after(data, taken);
		s.seq += (uint32_t)taken;
	}
}

void exchange_end(struct exchange_talk *talk, struct exchange_memory *memory,
		  const struct exchange_sink *sink, unsigned way, bool well)
{
	struct exchange_reader *r = &talk->reader[way];
	struct step s = {.talk = talk, .memory = memory, .sink = sink, .reader = r};

	if (r->state == STATE_OVER)
		return;
	if (r->state == STATE_HEAD && r->held_bytes > 0) {
		s.frame = r->held_frame;
		s.time_ns = r->held_ns;
		begin_fault(&s, bytes_of(r->held, r->held_bytes), N_("its head is cut short"));
	} else if (r->state == STATE_BODY)
		end_message(&s, http1_body_end(&r->body) && well, NULL);
	drop_held(&s);
	r->state = STATE_OVER;
}

void exchange_finish(struct exchange_talk *talk, struct exchange_memory *memory,
		     const struct exchange_sink *sink)
{
	exchange_end(talk, memory, sink, 0, false);
	exchange_end(talk, memory, sink, 1, false);
	while (talk->first != NULL)
		report(talk, memory, sink, talk->first);
}
