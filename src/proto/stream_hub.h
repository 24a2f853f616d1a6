/* Who reads the events as they happen, and what each is told next: server-sent events for the
 * dashboard (docs/protocols/api.md), lines for the control socket (docs/protocols/control.md).
 *
 *   ring of events ──►┌─────┐
 *   notes (status) ──►│ hub │── the next piece, for one reader at a time ──► machines by id
 *   JOIN READY LEAVE ►└─────┘
 *
 * A reader is a number: how far it has read. There is no queue of its own: it is told a piece when
 * it is ready for one, out of the ring, so a reader that sleeps costs its slot and nothing else,
 * and finds a gap when the ring has moved on without it. Readers that stand at the same number
 * share one piece, made once.
 *
 * Pure; one thread. The ring belongs to the caller, who guards it during stream_hub_next. */
#ifndef PROTO_STREAM_HUB_H
#define PROTO_STREAM_HUB_H

#include "base/event.h"
#include "proto/stream_ring.h"

enum {
	STREAM_PIECE_BYTES = 64 * 1024, /* of events; a note may come on top */
	STREAM_NOTES = 2,
	STREAM_NOTE_BYTES = 32 * 1024, /* a longer note is left out */
};

enum stream_form {
	STREAM_EVENTS, /* `id: NUMBER-MARK`, `data: LINE`, an empty line */
	STREAM_LINES,  /* LINE and LF */
};

struct stream_plan {
	enum stream_form form;
	unsigned most;    /* readers */
	const char *mark; /* STREAM_EVENTS: sets the numbers of this run apart from another's */
	const char *host; /* STREAM_LINES: of a gap; or NULL */
};

struct stream_hub;

/* Memory for a hub, which is touched as it is used. */
size_t stream_hub_bytes(const struct stream_plan *plan);

/* Makes a hub in zeroed `mem`, aligned to 16. The plan's texts must outlive it. */
struct stream_hub *stream_hub_init(void *mem, const struct stream_plan *plan);

/* A reader that has read up to `read`, not ready yet. With `lost`, what it had read is not known:
 * its first piece says so by a gap from 0. False when the hub is full or knows it. */
bool stream_hub_join(struct stream_hub *hub, uint64_t id, uint64_t read, bool lost);

/* False when there is no such reader. */
bool stream_hub_leave(struct stream_hub *hub, uint64_t id);

/* The reader can take its next piece. */
void stream_hub_ready(struct stream_hub *hub, uint64_t id);

/* Every reader is told `text` under the name `event`, once; one that is not ready by the time of
 * the next gets only that. `which` < STREAM_NOTES. STREAM_EVENTS. The text is copied. */
void stream_hub_note(struct stream_hub *hub, unsigned which, const char *event, struct bytes text);

/* Notes are old by now: whoever joins gets none of them. */
void stream_hub_forget_notes(struct stream_hub *hub);

/* The next piece and for whom; false when nobody who is ready lacks anything up to event number
 * `up_to`. Call until then. The piece is valid until the next call. */
bool stream_hub_next(struct stream_hub *hub, const struct stream_ring *ring, uint64_t up_to,
		     const struct moment *now, uint64_t *to, struct bytes *piece);

/* The same for one reader, as soon as it is ready. */
bool stream_hub_next_of(struct stream_hub *hub, const struct stream_ring *ring, uint64_t up_to,
			const struct moment *now, uint64_t id, struct bytes *piece);

unsigned stream_hub_readers(const struct stream_hub *hub);

/* Events that readers were too slow for, all in all. */
uint64_t stream_hub_missed(const struct stream_hub *hub);

#endif
