/* TCP's numbers count modulo 2^32, so places are compared by the sign of their difference; one of
 * more than FAR_BYTES, the widest window there is (RFC 7323), belongs to something else.
 *
 *        base        next          first                last
 *   ──────┼───────────┼ ─ ─ ─ ─ ─ ─ [piece]   [piece][piece]
 *          handed on    missing so far      these wait
 *
 * Limits: a piece holds what one block does, longer segments make several. */
#include "proto/reassembly.h"

#include "base/moment.h"

enum { FAR_BYTES = 1 << 30, PATIENCE_NS = REASSEMBLY_PATIENCE_MS * 1000000 };

struct reassembly_piece {
	struct reassembly_piece *next;
	uint64_t frame;
	int64_t time_ns;
	uint32_t seq, len, ack;
	uint32_t missing; /* behind `data`: cut when it was captured */
	uint8_t data[];
};

static int32_t distance(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from);
}

/* `from` says where it was captured. */
static void hand_on(struct reassembly *r, struct bytes data, uint64_t missing,
		    const struct reassembly_segment *from, const struct reassembly_sink *sink)
{
	struct reassembly_run run = {.data = data,
				     .seq = r->next,
				     .ack = from->ack,
				     .frame = from->frame,
				     .time_ns = from->time_ns};

	if (data.len > 0) {
		r->next += (uint32_t)data.len;
		r->bytes += data.len;
		sink->run(sink->owner, &run);
	}
	if (missing == 0)
		return;
	run.data = (struct bytes){0};
	run.missing = missing;
	run.seq = r->next;
	r->next += (uint32_t)missing;
	r->missing_bytes += missing;
	sink->run(sink->owner, &run);
}

static struct reassembly_segment origin_of(const struct reassembly_piece *piece)
{
	return (struct reassembly_segment){
		.ack = piece->ack, .frame = piece->frame, .time_ns = piece->time_ns};
}

static void note_end(struct reassembly *r)
{
	if (r->acked_beyond && distance(r->next, r->acked) <= 0)
		r->acked_beyond = false;
	if (r->end_known && distance(r->next, r->end) <= 0)
		r->ended = true;
}

/* Hands on and gives back the first piece, whose beginning may have been handed on before. */
static void hand_on_first(struct reassembly *r, struct blocks *blocks,
			  const struct reassembly_sink *sink)
{
	struct reassembly_piece *piece = r->first;
	struct reassembly_segment from = origin_of(piece);
	size_t old = (uint32_t)distance(piece->seq, r->next);
	struct bytes data = bytes_of(piece->data, piece->len);
	uint64_t missing = piece->missing;

	r->first = piece->next;
	if (r->first == NULL)
		r->last = NULL;
	r->pieces--;
	r->waiting_bytes -= piece->len;
	if (old < data.len)
		data = bytes_after(data, old);
	else {
		missing -= old - data.len < missing ? old - data.len : missing;
		data.len = 0;
	}
	hand_on(r, data, missing, &from, sink);
	blocks_give(blocks, piece);
}

/* What waits and is in order now. */
static void drain(struct reassembly *r, struct blocks *blocks, const struct reassembly_sink *sink)
{
	while (r->first != NULL && distance(r->next, r->first->seq) <= 0)
		hand_on_first(r, blocks, sink);
	note_end(r);
}

/* Gives up on what is missing before the first piece. */
static void give_up(struct reassembly *r, struct blocks *blocks, const struct reassembly_sink *sink)
{
	uint32_t missing = r->first->seq - r->next;
	struct reassembly_segment from = origin_of(r->first);

	hand_on(r, (struct bytes){0}, missing, &from, sink);
	drain(r, blocks, sink);
}

void reassembly_begin(struct reassembly *r, uint32_t seq, bool whole_start)
{
	r->begun = true;
	r->whole_start = whole_start;
	r->base = r->next = seq;
}

static bool is_here(const struct reassembly *r, uint32_t seq, size_t bytes)
{
	for (const struct reassembly_piece *p = r->first; p != NULL; p = p->next)
		if (p->seq == seq && p->len + p->missing >= bytes)
			return true;
	return false;
}

/* Where a piece that begins at `seq` is linked in: behind all that begin no later. */
static struct reassembly_piece **place_of(struct reassembly *r, uint32_t seq)
{
	struct reassembly_piece **link = &r->first;

	if (r->last != NULL && distance(r->last->seq, seq) >= 0)
		return &r->last->next;
	while (*link != NULL && distance((*link)->seq, seq) >= 0)
		link = &(*link)->next;
	return link;
}

/* Copies as much as a block holds. Returns how much, or 0 when there is no block. */
static size_t wait_piece(struct reassembly *r, struct blocks *blocks,
			 const struct reassembly_segment *s)
{
	struct reassembly_piece *piece = blocks_take(blocks), **link;
	size_t room = blocks->block_bytes - sizeof(*piece);
	struct bytes data = bytes_first(s->data, room);
	bool last = data.len == s->data.len;

	if (piece == NULL)
		return 0;
	*piece = (struct reassembly_piece){
		.frame = s->frame,
		.time_ns = s->time_ns,
		.seq = s->seq,
		.len = (uint32_t)data.len,
		.ack = s->ack,
		.missing = last ? (uint32_t)(s->bytes - s->data.len) : 0,
	};
	if (data.len > 0)
		memcpy(piece->data, data.data, data.len);
	link = place_of(r, s->seq);
	piece->next = *link;
	*link = piece;
	if (piece->next == NULL)
		r->last = piece;
	r->pieces++;
	r->waiting_bytes += data.len;
	return data.len + piece->missing;
}

/* Whether all that waits would wait in vain: what is missing before it was acknowledged, and has
 * had its time to turn up. */
static bool is_vain(const struct reassembly *r, int64_t time_ns)
{
	if (r->first == NULL || !r->acked_beyond)
		return false;
	return r->waiting_bytes >= REASSEMBLY_PATIENCE_BYTES ||
	       time_ns - r->acked_ns >= PATIENCE_NS || distance(r->acked, r->last->seq) >= 0;
}

static void wait(struct reassembly *r, struct blocks *blocks, struct reassembly_segment s,
		 const struct reassembly_sink *sink)
{
	while (s.bytes > 0) {
		size_t taken = r->pieces < REASSEMBLY_PIECES ? wait_piece(r, blocks, &s) : 0;

		if (taken == 0 && r->first != NULL) {
			give_up(r, blocks, sink);
			if (distance(r->next, s.seq) <= 0) {
				reassembly_put(r, blocks, &s, sink);
				return;
			}
			continue;
		}
		if (taken == 0) {
			hand_on(r, (struct bytes){0}, s.seq - r->next, &s, sink);
			hand_on(r, s.data, s.bytes - s.data.len, &s, sink);
			note_end(r);
			return;
		}
		s.seq += (uint32_t)taken;
		s.bytes -= taken;
		s.data = bytes_after(s.data, taken < s.data.len ? taken : s.data.len);
	}
	while (is_vain(r, s.time_ns))
		give_up(r, blocks, sink);
}

enum reassembly_order reassembly_put(struct reassembly *r, struct blocks *blocks,
				     const struct reassembly_segment *segment,
				     const struct reassembly_sink *sink)
{
	struct reassembly_segment s = *segment;
	int32_t ahead;
	size_t old;

	if (!r->begun)
		reassembly_begin(r, s.seq, false);
	ahead = distance(r->next, s.seq);
	if (ahead > FAR_BYTES || ahead < -FAR_BYTES)
		return REASSEMBLY_STRAY;
	if (ahead > 0) {
		if (is_here(r, s.seq, s.bytes))
			return REASSEMBLY_AGAIN;
		wait(r, blocks, s, sink);
		return REASSEMBLY_AHEAD;
	}
	old = (size_t) - (int64_t)ahead;
	if (old >= s.bytes)
		return REASSEMBLY_AGAIN;
	s.bytes -= old;
	s.data = bytes_after(s.data, old < s.data.len ? old : s.data.len);
	hand_on(r, s.data, s.bytes - s.data.len, &s, sink);
	if (r->first != NULL || r->end_known || r->acked_beyond)
		drain(r, blocks, sink);
	return REASSEMBLY_IN_ORDER;
}

void reassembly_acknowledge(struct reassembly *r, struct blocks *blocks, uint32_t ack,
			    int64_t time_ns, const struct reassembly_sink *sink)
{
	int32_t beyond;

	if (r->end_known && distance(r->end, ack) > 0)
		ack = r->end; /* the FIN has a number too */
	beyond = distance(r->next, ack);
	if (!r->begun || beyond <= 0 || beyond > FAR_BYTES)
		return;
	if (!r->acked_beyond)
		r->acked_ns = time_ns;
	r->acked_beyond = true;
	r->acked = ack;
	while (is_vain(r, time_ns))
		give_up(r, blocks, sink);
}

void reassembly_finish(struct reassembly *r, uint32_t seq)
{
	if (!r->begun)
		reassembly_begin(r, seq, false);
	if (distance(r->next, seq) > FAR_BYTES)
		return;
	r->end_known = true;
	r->end = seq;
	note_end(r);
}

void reassembly_flush(struct reassembly *r, struct blocks *blocks, uint64_t frame, int64_t time_ns,
		      const struct reassembly_sink *sink)
{
	struct reassembly_segment from = {.frame = frame, .time_ns = time_ns};
	int32_t tail;

	while (r->first != NULL)
		give_up(r, blocks, sink);
	tail = r->end_known      ? distance(r->next, r->end)
	       : r->acked_beyond ? distance(r->next, r->acked)
				 : 0;
	if (tail > 1 || (tail == 1 && r->end_known)) /* 1: a FIN that was not captured */
		hand_on(r, (struct bytes){0}, (uint64_t)tail, &from, sink);
	note_end(r);
}
