/* /api/stream on one loop: the hub, woken by the events, and the status each second.
 *
 *   events ──wake──► hub ── piece ──► http machine ──► browser
 *   snapshots ─note─►    ◄── ready ──
 *
 * Events are told up to the last wake, so that a reader which is quick gets one piece for all that
 * came in 40 ms, and everybody at the same place the same piece. */
#include "daemon/api_parts.h"

#include "base/err.h"
#include "base/number.h"

#include <stdlib.h>

enum { API_LOOK_BYTES = 96 }; /* of an event, up to its type */

static void stream_hand(struct api *api, uint64_t to, struct bytes piece)
{
	api->calls.more(api->calls.owner, to, piece);
}

static void stream_count_missed(struct api *api)
{
	uint64_t missed = stream_hub_missed(api->hub);

	atomic_fetch_add(&api->home->missed, missed - api->missed_told);
	api->missed_told = missed;
}

static void stream_serve(struct api *api)
{
	const struct moment *now = loop_now(api->loop);
	struct bytes piece;
	uint64_t to;

	for (;;) {
		const struct stream_ring *ring = events_lock(api->home->events);
		bool more = stream_hub_next(api->hub, ring, api->up_to, now, &to, &piece);

		events_unlock(api->home->events);
		if (!more)
			break;
		stream_hand(api, to, piece);
	}
	stream_count_missed(api);
	pump_deliver(api->pumps);
}

void api_stream_ready(struct api *api, uint64_t from)
{
	const struct moment *now = loop_now(api->loop);
	const struct stream_ring *ring;
	struct bytes piece;
	bool more;

	stream_hub_ready(api->hub, from);
	ring = events_lock(api->home->events);
	more = stream_hub_next_of(api->hub, ring, api->up_to, now, from, &piece);
	events_unlock(api->home->events);
	if (more)
		stream_hand(api, from, piece);
	stream_count_missed(api);
}

/* Status and role. */

static uint64_t stream_hash(struct bytes b)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (size_t i = 0; i < b.len; i++)
		hash = (hash ^ b.data[i]) * 0x100000001b3u;
	return hash;
}

static void stream_told_status(void *owner, uint64_t tag, const struct snapshot_answer *answer)
{
	struct api *api = owner;

	if (!api_snapshot_came(api))
		return;
	api->status_going = false;
	if (answer->err)
		return;
	stream_hub_note(api->hub, API_NOTE_STATUS, "status", answer->text);
	stream_serve(api);
}

static void stream_ask_role(struct api *api);

static void stream_told_role(void *owner, uint64_t tag, const struct snapshot_answer *answer)
{
	struct api *api = owner;
	uint64_t hash = stream_hash(answer->text);

	if (!api_snapshot_came(api))
		return;
	api->role_going = false;
	if (!answer->err && hash != api->role_hash) {
		api->role_hash = hash;
		stream_hub_note(api->hub, API_NOTE_ROLE, "role", answer->text);
		stream_serve(api);
	}
	if (api->role_again)
		stream_ask_role(api);
}

/* A change while the answer is under way is asked for once more. */
static void stream_ask_role(struct api *api)
{
	struct snapshot_question question = {.kind = SNAPSHOT_ROLE};

	api->role_again = api->role_going;
	if (!api->role_going)
		api->role_going = api_ask_snapshot(api, &question, stream_told_role, 0) == 0;
}

static void stream_ask_status(struct api *api)
{
	struct snapshot_question question = {.kind = SNAPSHOT_STATUS};

	if (!api->status_going)
		api->status_going = api_ask_snapshot(api, &question, stream_told_status, 0) == 0;
}

static void stream_forget(struct api *api, struct api_reader *reader);

/* A logout, or another token, ends what it had let in. */
static void stream_guard(struct api *api)
{
	const struct moment *now = loop_now(api->loop);

	for (unsigned i = 0; i < API_STREAMS; i++) {
		uint64_t id = api->reader[i].id;

		if (!id || guard_holds(api->home->guard, &api->reader[i].pass, now))
			continue;
		stream_forget(api, &api->reader[i]);
		api->calls.cease(api->calls.owner, id);
	}
	pump_deliver(api->pumps);
}

static void stream_second(struct wheel_timer *timer, void *context)
{
	struct api *api = (struct api *)((char *)timer - offsetof(struct api, second));

	stream_guard(api);
	if (!api->follow) /* nobody is left */
		return;
	stream_ask_status(api);
	stream_ask_role(api); /* who comes and goes makes no event of its own */
	loop_arm(api->loop, timer, loop_now(api->loop)->boot_ns + MOMENT_S);
}

/* Whether a role changed since the last look. */
static bool stream_look(struct api *api)
{
	const struct stream_ring *ring = events_lock(api->home->events);
	uint64_t number = stream_ring_oldest(ring);
	bool changed = false;

	if (number <= api->up_to)
		number = api->up_to + 1;
	for (; number <= ring->newest && !changed; number++) {
		struct bytes head = bytes_first(stream_ring_line(ring, number), API_LOOK_BYTES);

		changed = bytes_find(head, BYTES_LITERAL("\"type\":\"role.")) < head.len;
	}
	api->up_to = ring->newest;
	events_unlock(api->home->events);
	return changed;
}

static void stream_woken(void *owner)
{
	struct api *api = owner;

	if (stream_look(api))
		stream_ask_role(api);
	stream_serve(api);
}

/* Readers. */

/* What a browser that comes back has read: the newest `id` that it got, `NUMBER-MARK`; or what the
 * page says by ?since=. False: nothing is known, so it gets what comes. */
static bool stream_has_read(struct api *api, const struct api_request *request, struct bytes query,
			    uint64_t *read, bool *lost)
{
	const struct http1_field *field = http1_find(request->head, "Last-Event-ID");
	struct bytes id = field ? field->value : api_query(query, "since");
	size_t dash = bytes_find_byte(id, '-');
	struct bytes mark = bytes_after(id, dash < id.len ? dash + 1 : dash);

	*lost = false;
	if (number_parse_u64(bytes_first(id, dash), read) < 0)
		return false;
	if ((mark.len && !bytes_equal(mark, bytes_of_string(events_mark(api->home->events)))) ||
	    *read > events_newest(api->home->events)) {
		*read = 0;
		*lost = true;
	}
	return true;
}

static struct api_reader *stream_place(struct api *api, uint64_t id)
{
	for (unsigned i = 0; i < API_STREAMS; i++)
		if (api->reader[i].id == id)
			return &api->reader[i];
	return NULL;
}

/* The first reader has the events followed and the status told. */
static int stream_first(struct api *api)
{
	int err;

	if (api->follow)
		return 0;
	err = events_follow(api->home->events, api->loop, stream_woken, api, &api->follow);
	if (err)
		return err;
	api->up_to = events_newest(api->home->events);
	api->second.due = stream_second;
	stream_second(&api->second, NULL);
	return 0;
}

static void stream_last(struct api *api)
{
	if (!api->follow || stream_hub_readers(api->hub))
		return;
	events_unfollow(api->follow);
	api->follow = NULL;
	api->role_hash = 0;
	stream_hub_forget_notes(api->hub);
	loop_disarm(api->loop, &api->second);
}

static bool stream_admit(struct api *api, const struct address *remote)
{
	if (gate_enter(api->home->streams, loop_now(api->loop)) != GATE_IN)
		return false;
	if (gate_admit(api->home->streams, remote))
		return true;
	gate_leave(api->home->streams, NULL);
	return false;
}

static void stream_refuse(struct api *api, uint64_t to)
{
	api_answer(
		api, to, 503, "application/json",
		BYTES_LITERAL("{\"error\":\"streams\",\"text\":\"there are too many streams\"}\n"));
}

void api_stream_open(struct api *api, const struct api_request *request, struct bytes query,
		     const struct guard_pass *pass)
{
	struct api_reader *reader = stream_place(api, 0);
	struct api_answer answer = {
		.status = 200,
		.fields = BYTES_LITERAL("Content-Type: text/event-stream\r\n"
					"Cache-Control: no-store\r\n"
					"X-Content-Type-Options: nosniff\r\n"
					"X-Accel-Buffering: no\r\n"),
		.body = BYTES_LITERAL("retry: 1000\n\n"),
		.stream = true,
	};
	uint64_t read;
	bool lost;

	if (!reader || !stream_admit(api, &request->remote)) {
		stream_refuse(api, request->from);
		return;
	}
	if (stream_first(api) < 0) {
		gate_leave(api->home->streams, &request->remote);
		stream_refuse(api, request->from);
		return;
	}
	if (!stream_has_read(api, request, query, &read, &lost))
		read = api->up_to;
	*reader = (struct api_reader){
		.id = request->from, .remote = request->remote, .pass = *pass};
	stream_hub_join(api->hub, request->from, read, lost);
	api->calls.answer(api->calls.owner, request->from, &answer);
}

static void stream_forget(struct api *api, struct api_reader *reader)
{
	stream_hub_leave(api->hub, reader->id);
	gate_leave(api->home->streams, &reader->remote);
	reader->id = 0;
	stream_last(api);
}

void api_stream_gone(struct api *api, uint64_t from)
{
	struct api_reader *reader = from ? stream_place(api, from) : NULL;

	if (reader)
		stream_forget(api, reader);
}

/* Looks into the ring itself: the wake for what came last may still be on its way. One piece is all
 * that a reader gets who is farther behind than that. */
void api_stream_farewell(struct api *api, uint64_t from)
{
	struct api_reader *reader = from ? stream_place(api, from) : NULL;

	if (reader) {
		if (stream_look(api))
			stream_ask_role(api);
		api_stream_ready(api, from);
		stream_forget(api, reader);
	}
	api->calls.cease(api->calls.owner, from);
}

int api_stream_begin(struct api *api)
{
	struct stream_plan plan = {
		.form = STREAM_EVENTS, .most = API_STREAMS, .mark = events_mark(api->home->events)};
	void *memory = calloc(1, stream_hub_bytes(&plan));

	if (!memory)
		return ERR_MEMORY;
	api->hub = stream_hub_init(memory, &plan);
	return 0;
}

void api_stream_end(struct api *api)
{
	for (unsigned i = 0; i < API_STREAMS; i++)
		api_stream_gone(api, api->reader[i].id);
	free(api->hub);
	api->hub = NULL;
}
