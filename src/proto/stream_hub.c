/* The hub of streams: see stream_hub.h.
 *
 *          join             ready                   piece
 *   reader ──────► read = N ───────► ready, read = N ───────► not ready, read = M ──► ...
 *
 * The piece that was made last is kept with what it was made for: the next reader that stands at
 * the same number, with the same notes due, gets the same bytes. Source of the form: the HTML
 * standard, 9.2 Server-sent events. */
#include "proto/stream_hub.h"

enum {
	HUB_NUMBER_BYTES = 64, /* beside a line: `id: N-MARK`, `data: ` and ends */
	HUB_BYTES = STREAM_PIECE_BYTES + STREAM_NOTES * STREAM_NOTE_BYTES,
};

struct stream_reader {
	uint64_t id; /* 0: free */
	uint64_t read;
	bool ready, lost;
	uint8_t due; /* notes that it lacks, a bit each */
};

struct stream_note {
	uint32_t len;
	char text[STREAM_NOTE_BYTES];
};

struct stream_hub {
	struct stream_plan plan;
	unsigned readers;
	unsigned used;   /* slots that were ever in use, and how far `next` has to look */
	unsigned cursor; /* where it looks next */
	uint64_t missed;
	struct stream_note note[STREAM_NOTES];

	bool made; /* the piece holds what the reader `made_for` was told */
	struct stream_reader made_for;
	uint64_t made_to;    /* and has read with it */
	uint64_t made_up_to; /* when events up to this one were told */
	struct text piece;
	char text[HUB_BYTES];
	struct stream_reader reader[];
};

size_t stream_hub_bytes(const struct stream_plan *plan)
{
	return sizeof(struct stream_hub) + plan->most * sizeof(struct stream_reader);
}

struct stream_hub *stream_hub_init(void *mem, const struct stream_plan *plan)
{
	struct stream_hub *hub = mem;

	hub->plan = *plan;
	hub->piece = TEXT_OVER(hub->text);
	return hub;
}

static struct stream_reader *hub_find(struct stream_hub *hub, uint64_t id)
{
	for (unsigned i = 0; i < hub->used; i++)
		if (hub->reader[i].id == id)
			return &hub->reader[i];
	return NULL;
}

bool stream_hub_join(struct stream_hub *hub, uint64_t id, uint64_t read, bool lost)
{
	struct stream_reader *reader;

	if (!id || hub_find(hub, id))
		return false;
	reader = hub_find(hub, 0);
	if (!reader && hub->used == hub->plan.most)
		return false;
	if (!reader)
		reader = &hub->reader[hub->used++];
	*reader = (struct stream_reader){.id = id, .read = read, .lost = lost};
	for (unsigned i = 0; i < STREAM_NOTES; i++)
		reader->due |= hub->note[i].len ? 1u << i : 0;
	hub->readers++;
	return true;
}

bool stream_hub_leave(struct stream_hub *hub, uint64_t id)
{
	struct stream_reader *reader = id ? hub_find(hub, id) : NULL;

	if (!reader)
		return false;
	reader->id = 0;
	hub->readers--;
	while (hub->used && !hub->reader[hub->used - 1].id)
		hub->used--;
	return true;
}

void stream_hub_ready(struct stream_hub *hub, uint64_t id)
{
	struct stream_reader *reader = id ? hub_find(hub, id) : NULL;

	if (reader)
		reader->ready = true;
}

void stream_hub_note(struct stream_hub *hub, unsigned which, const char *event, struct bytes text)
{
	struct stream_note *note = &hub->note[which];
	struct text t = TEXT_OVER(note->text);

	text_printf(&t, "event: %s\ndata: ", event);
	text_put(&t, text);
	text_put_string(&t, "\n\n");
	note->len = t.cut ? 0 : (uint32_t)t.len;
	hub->made = false;
	for (unsigned i = 0; i < hub->used && note->len; i++)
		hub->reader[i].due |= (uint8_t)(1u << which);
}

void stream_hub_forget_notes(struct stream_hub *hub)
{
	for (unsigned i = 0; i < STREAM_NOTES; i++)
		hub->note[i].len = 0;
	for (unsigned i = 0; i < hub->used; i++)
		hub->reader[i].due = 0;
	hub->made = false;
}

/* What the ring no longer has. */
static void hub_put_gap(struct stream_hub *hub, uint64_t from, uint64_t to,
			const struct moment *now)
{
	struct event e;

	if (hub->plan.form == STREAM_EVENTS) {
		text_printf(&hub->piece, "event: gap\ndata: {\"from\":%llu,\"to\":%llu}\n\n",
			    (unsigned long long)from, (unsigned long long)to);
		return;
	}
	event_init(&e, EVENT_WARNING, "gap", "events", now->wall_us);
	event_uint(&e, "dropped", to - from + 1);
	event_uint(&e, "from", from);
	event_uint(&e, "to", to);
	event_put_json(&hub->piece, &e, hub->plan.host);
}

static void hub_put_line(struct stream_hub *hub, struct bytes line, uint64_t number)
{
	if (hub->plan.form == STREAM_EVENTS)
		text_printf(&hub->piece, "id: %llu-%s\ndata: ", (unsigned long long)number,
			    hub->plan.mark);
	text_put(&hub->piece, line);
	text_put_string(&hub->piece, hub->plan.form == STREAM_EVENTS ? "\n\n" : "\n");
}

/* Makes the piece for one who stands where `reader` does. Always at least one line, when one is
 * lacking. */
static void hub_make(struct stream_hub *hub, const struct stream_reader *reader,
		     const struct stream_ring *ring, uint64_t up_to, const struct moment *now)
{
	uint64_t next = reader->read + 1, oldest = stream_ring_oldest(ring);

	hub->piece = TEXT_OVER(hub->text);
	if (reader->lost)
		hub_put_gap(hub, 0, oldest - 1, now);
	else if (next < oldest && next <= up_to)
		hub_put_gap(hub, next, oldest - 1, now);
	/* One who only lacks a note stays: what the ring has lost beyond `up_to` is told later. */
	if (next < oldest && (reader->lost || next <= up_to))
		next = oldest;
	for (; next <= up_to; next++) {
		struct bytes line = stream_ring_line(ring, next);

		if (hub->piece.len + line.len + HUB_NUMBER_BYTES > STREAM_PIECE_BYTES)
			break;
		hub_put_line(hub, line, next);
	}
	for (unsigned i = 0; i < STREAM_NOTES; i++)
		if (reader->due & 1u << i)
			text_put(&hub->piece, bytes_of(hub->note[i].text, hub->note[i].len));
	hub->made = true;
	hub->made_for = *reader;
	hub->made_up_to = up_to;
	hub->made_to = next - 1 > reader->read ? next - 1 : reader->read;
}

static bool hub_is_made_for(const struct stream_hub *hub, const struct stream_reader *reader,
			    uint64_t up_to)
{
	return hub->made && hub->made_for.read == reader->read &&
	       hub->made_for.due == reader->due && hub->made_for.lost == reader->lost &&
	       hub->made_up_to == up_to;
}

/* The reader's next piece; false when it is not ready or lacks nothing. */
static bool hub_serve(struct stream_hub *hub, struct stream_reader *reader,
		      const struct stream_ring *ring, uint64_t up_to, const struct moment *now,
		      struct bytes *piece)
{
	uint64_t oldest = stream_ring_oldest(ring), last = reader->read;

	if (!reader->ready || (reader->read >= up_to && !reader->due && !reader->lost))
		return false;
	if (!hub_is_made_for(hub, reader, up_to))
		hub_make(hub, reader, ring, up_to, now);
	if (last + 1 < oldest && last < up_to && !reader->lost)
		hub->missed += oldest - last - 1;
	reader->read = hub->made_to;
	reader->due = 0;
	reader->ready = reader->lost = false;
	*piece = text_bytes(&hub->piece);
	return true;
}

bool stream_hub_next(struct stream_hub *hub, const struct stream_ring *ring, uint64_t up_to,
		     const struct moment *now, uint64_t *to, struct bytes *piece)
{
	while (hub->cursor < hub->used) {
		struct stream_reader *reader = &hub->reader[hub->cursor++];

		if (reader->id && hub_serve(hub, reader, ring, up_to, now, piece)) {
			*to = reader->id;
			return true;
		}
	}
	hub->cursor = 0;
	return false;
}

bool stream_hub_next_of(struct stream_hub *hub, const struct stream_ring *ring, uint64_t up_to,
			const struct moment *now, uint64_t id, struct bytes *piece)
{
	struct stream_reader *reader = id ? hub_find(hub, id) : NULL;

	return reader && hub_serve(hub, reader, ring, up_to, now, piece);
}

unsigned stream_hub_readers(const struct stream_hub *hub)
{
	return hub->readers;
}

uint64_t stream_hub_missed(const struct stream_hub *hub)
{
	return hub->missed;
}
