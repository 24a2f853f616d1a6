/* The conversation of `prise watch` with its server: again and again, with growing pauses.
 *
 *   machine: READY n ──► engine: resume n ──► from ──► spool_read in a work thread ──► BLOCK
 *            WANT ────────────────────────────────────────┘
 *            ACKED n ──► engine: acknowledge n */
#include "command/watch.h"

#include <stdlib.h>

enum {
	WATCH_RETRY_LEAST_MS = 500,
	WATCH_RETRY_MOST_MS = 30000,
	WATCH_STEADY_MS = 10000, /* a conversation that lasted: what ends it is news */
	WATCH_LEAVE_MS = 2000,
};

struct watch_read {
	struct work_job job;
	struct watch *watch; /* NULL: nobody waits any more */
	struct spool *spool;
	uint64_t after;
	uint64_t newest; /* committed when it began, and so in sight */
	uint64_t talk;   /* of which conversation: a later one begins elsewhere */
	int found;
	struct spool_block block;
};

static void send_next(struct watch *w);

static void send_read(struct work_job *job)
{
	struct watch_read *read = (struct watch_read *)job;

	read->found = spool_read(read->spool, read->after, &read->block);
}

static void send_block(struct watch *w, const struct spool_block *block)
{
	struct message message = {.kind = FEED_BLOCK,
				  .number = {block->first, block->last - block->first + 1,
					     block->raw_bytes, block->packed},
				  .body = block->body};

	w->wanted--;
	w->sent = block->last;
	if (w->sent > w->sent_most)
		w->sent_most = w->sent;
	pump_tell(w->client.pumps, w->client.id, &message);
	pump_deliver(w->client.pumps);
}

static void send_has_read(struct work_job *job)
{
	struct watch_read *read = (struct watch_read *)job;
	struct watch *w = read->watch;
	bool wanted = w->server == WATCH_SENDING && read->talk == w->client.id &&
		      read->after == w->sent && w->wanted > 0;

	w->reading = NULL;
	if (read->found < 0)
		watch_end(w, watch_say_state(w, read->found));
	else if (wanted && read->found > 0)
		send_block(w, &read->block);
	else if (wanted && w->newest == read->newest)
		w->newest = w->sent; /* nothing is there: until the next commit */
	free(read);
	if (!w->over)
		send_next(w);
}

static void send_next(struct watch *w)
{
	struct watch_read *read;

	if (w->server != WATCH_SENDING || w->reading != NULL || w->wanted == 0 ||
	    w->newest <= w->sent)
		return;
	read = calloc(1, sizeof *read);
	if (read == NULL)
		return;
	*read = (struct watch_read){.job = {.run = send_read, .done = send_has_read},
				    .watch = w,
				    .spool = w->spool,
				    .after = w->sent,
				    .newest = w->newest,
				    .talk = w->client.id};
	if (work_submit(w->client.work, w->loop, &read->job) == 0)
		w->reading = read;
	else
		free(read);
}

void watch_send_committed(void *owner, uint64_t newest)
{
	struct watch *w = owner;

	w->newest = newest;
	send_next(w);
}

void watch_send_resumed(void *owner, uint64_t from, uint64_t talk)
{
	struct watch *w = owner;

	if (w->server != WATCH_JOINING || talk != w->client.id)
		return; /* a conversation that is over had asked */
	w->server = WATCH_SENDING;
	w->sent = from;
	w->newest = UINT64_MAX; /* whatever the spool has */
	say_note(_("connected to %s"), w->client.where);
	send_next(w);
}

static void send_refused(struct watch *w, const struct message *message)
{
	char reason[4 * FEED_REASON_BYTES + 1];
	struct text t = TEXT_OVER(reason);

	text_put_visible(&t, message->body, false);
	w->turned_away = 1 + (int)message->number[0];
	if (w->said != w->turned_away)
		say_warning(_("%s refuses: %s (%s)"), w->client.where,
			    feed_refusal_name((unsigned)message->number[0]), reason);
	if (!feed_refusal_passes((unsigned)message->number[0]))
		watch_end(w, say_error(SAY_TALK, w->client.where, ERR_REFUSES));
}

static void send_told(void *owner, const struct message *message)
{
	struct watch *w = owner;

	switch ((enum feed_kind)message->kind) {
	case FEED_READY:
		w->server = WATCH_JOINING;
		watch_engine_resume(w->engine, message->number[0], w->sent_most, w->client.id);
		break;
	case FEED_ACKED:
		w->heeded = true;
		watch_engine_acknowledge(w->engine, message->number[0]);
		break;
	case FEED_WANT:
		w->wanted++;
		send_next(w);
		break;
	case FEED_TURNED_AWAY:
		send_refused(w, message);
		break;
	default:
		break;
	}
}

static void send_retry_due(struct wheel_timer *timer, void *context)
{
	((struct watch *)((char *)timer - offsetof(struct watch, retry)))->retry_due = true;
}

static void send_wait(struct watch *w, uint64_t wait_ms)
{
	uint64_t jitter_ms = loop_random(w->loop) % (wait_ms / 2 + 1);

	w->retry_due = w->over;
	w->retry.due = send_retry_due;
	loop_arm(w->loop, &w->retry,
		 loop_now(w->loop)->boot_ns + (wait_ms / 2 + jitter_ms) * MOMENT_MS);
	loop_run_until(w->loop, &w->retry_due);
	loop_disarm(w->loop, &w->retry);
}

/* What trying again would not change. */
static bool is_final(int err, bool ever)
{
	return err_exit(err) == 2 || (!ever && (err == ERR_NO_NAME || err_exit(err) == 7));
}

int watch_send(struct watch *w)
{
	struct client_talk talk = {.machine = &feed_client_machine,
				   .settings = &w->settings,
				   .told = send_told,
				   .owner = w};
	uint64_t wait_ms = WATCH_RETRY_LEAST_MS, began_ns;
	bool ever = false;
	int err, trouble;

	while (!w->over) {
		w->turned_away = 0;
		w->heeded = false;
		began_ns = loop_now(w->loop)->boot_ns;
		err = client_talk(&w->client, &talk);
		trouble = w->turned_away != 0 ? w->turned_away : err != 0 ? err : ERR_LEFT;
		ever = ever || w->server != WATCH_AWAY;
		if (w->heeded ||
		    loop_now(w->loop)->boot_ns - began_ns > WATCH_STEADY_MS * MOMENT_MS) {
			wait_ms = WATCH_RETRY_LEAST_MS;
			w->said = 0;
		}
		w->server = WATCH_AWAY;
		w->wanted = 0;
		if (w->over)
			break;
		if (trouble != w->said && w->turned_away == 0)
			client_say(&w->client, trouble);
		if (is_final(err, ever))
			return err_exit(err);
		if (trouble != w->said)
			say_note(_("changes wait in the spool; trying again, with growing pauses"));
		w->said = trouble;
		send_wait(w, wait_ms);
		wait_ms = wait_ms * 2 < WATCH_RETRY_MOST_MS ? wait_ms * 2 : WATCH_RETRY_MOST_MS;
	}
	return w->code;
}

void watch_send_leave(struct watch *w)
{
	w->retry_due = true;
	if (w->server != WATCH_AWAY) {
		client_tell(&w->client, FEED_LEAVE, bytes_of(NULL, 0));
		client_await(&w->client, WATCH_LEAVE_MS);
	} else {
		client_stop(&w->client, ERR_DRAINED);
	}
}

void watch_send_close(struct watch *w)
{
	if (w->spool == NULL)
		return;
	/* A block may be under way. */
	while (w->reading != NULL && !work_withdraw(w->client.work, &w->reading->job))
		loop_turn(w->loop, 10);
	free(w->reading);
	spool_close(w->spool);
}
