/* What the files of the collect service share. Private to them. */
#ifndef SERVICE_COLLECT_PARTS_H
#define SERVICE_COLLECT_PARTS_H

#include "base/place.h"
#include "base/slab.h"
#include "proto/collect.h"
#include "proto/feed.h"
#include "service/service.h"
#include "store/journal.h"
#include "store/pack.h"

#include <semaphore.h>

enum {
	COLLECT_CHUNK_BYTES = 1024 * 1024,
	COLLECT_CHUNKS_A_JOB = 8,
	COLLECT_CHUNK_RAW_BYTES = 2 << 20, /* of records, unpacked; the last may go beyond */
	COLLECT_PRUNE_ROWS = 20000,
	COLLECT_HOST_BYTES = FEED_HOST_BYTES + 1,
	COLLECT_BUCKETS = 16384,
	COLLECT_LINES_BYTES = 256 * 1024,
	COLLECT_WAITING_BYTES = 64 << 20,
	COLLECT_RETRY_MS = 1000,
	/* While the room is full a body has to come at this rate, but for the first seconds. */
	COLLECT_GRACE_MS = 5000,
	COLLECT_LEAST_BYTES_S = 16384,
	COLLECT_FULL_MS = 2000, /* that long without reading is an event */
	COLLECT_PRUNE_MS = 5000,
	COLLECT_LINES_S = 50, /* the ring of events is everybody's, and has 4096 */
	COLLECT_LINES_BURST = 400,
	COLLECT_OMITTED_MS = 10000,
};

/* One connection. Stays until it is gone and nothing of it waits. `number` and `bad` belong to the
 * work thread while a job runs. */
struct collect_client {
	uint64_t id;                  /* the machine's */
	struct collect_client *next;  /* in its bucket, by id */
	struct collect_client *alike; /* in its bucket, by name */
	struct collect_client *later; /* of those to be acknowledged */
	uint32_t number;              /* in the journal; 0: not known yet */
	const char *bad;              /* why what it sent was not taken, or NULL */
	unsigned items;               /* that wait, or are at work */
	bool framed, joined, refused, gone, due;
	uint64_t newest;               /* committed */
	uint8_t *body;                 /* of a body under way, or NULL */
	uint32_t body_bytes, body_len; /* all of it, and what has come */
	uint64_t body_ns;              /* when it began */
	char name[JOURNAL_CLIENT_BYTES];
	char host[COLLECT_HOST_BYTES];
};

enum collect_kind { COLLECT_JOIN, COLLECT_RECORDS, COLLECT_PLAIN };

/* What came and waits to be committed. */
struct collect_item {
	struct collect_client *client;
	uint8_t kind; /* enum collect_kind */
	uint8_t type; /* PLAIN: CHANGE_ */
	bool packed;
	bool failed; /* it was not taken: client->bad says why */
	uint32_t body_bytes, raw_bytes, count;
	uint64_t first;
	uint64_t newest; /* JOIN: what the journal has */
	int64_t time_us; /* PLAIN */
	uint8_t body[];
};

struct collect_chunk {
	struct collect_chunk *next;
	size_t used, cap;
	size_t raw_bytes; /* of the records in it, unpacked */
	_Alignas(16) uint8_t data[];
};

struct collect_queue {
	struct collect_chunk *first, *last;
	size_t bytes;
};

/* A place for an item with a body of so many bytes at the queue's end; NULL: no memory. */
struct collect_item *collect_put(struct collect_queue *queue, size_t body_bytes);

/* The items of a chunk: starts with `*at` 0; NULL after the last. */
struct collect_item *collect_next(const struct collect_chunk *chunk, size_t *at);

/* Takes up to `chunks` from the front. */
struct collect_queue collect_cut(struct collect_queue *queue, unsigned chunks);

/* Puts `before` in front of the queue. */
void collect_prepend(struct collect_queue *queue, struct collect_queue before);
void collect_clear(struct collect_queue *queue);

/* Whose items these are has to be found in the journal anew. */
void collect_forget_numbers(const struct collect_queue *queue);

enum collect_task { COLLECT_COMMIT, COLLECT_PRUNE };

/* The job in the work thread, one at a time. */
struct collect_job {
	struct work_job job;
	struct collect_keep *keep;
	enum collect_task task;
	struct journal *journal; /* NULL: its file is gone, and no other could be opened */
	struct journal_settings kept;
	char path[PLACE_BYTES + 16];
	struct unpacker *unpacker;
	uint8_t *raw;                /* FEED_RAW_BYTES */
	struct collect_queue queue;  /* COLLECT_COMMIT */
	struct collect_client *from; /* whose records are being taken */
	int64_t now_us;
	unsigned lines_most; /* changes to be told as events */
	uint64_t prune_rows; /* COLLECT_PRUNE: as many at most */
	uint32_t *live;      /* COLLECT_PRUNE: numbers of clients that are connected */
	unsigned lives, live_places;
	sem_t ended;

	/* What came of it. */
	int err;   /* nothing was committed */
	bool gone; /* the store was removed or replaced: the next task begins with another */
	bool anew; /* this one did */
	int64_t pruned;
	uint64_t records, omitted;
	struct journal_state state;
	size_t lines_bytes;
	char lines[COLLECT_LINES_BYTES];
};

/* The work thread's part. */
void collect_run(struct work_job *job);

/* The keeper's state, in its home loop. */
struct collect_keep {
	const struct service_context *context;
	struct collect_queue queue;
	size_t under_way; /* bytes of bodies that are not whole yet */
	bool at_work, stopped;
	bool full; /* nothing is read, */
	bool full_told;
	uint64_t full_ns; /* since then */
	bool failing;     /* the last commit was refused */
	bool pruning;     /* there may be more to prune */
	bool prune_failing;
	uint64_t retry_ns, prune_ns;
	uint64_t put_rows; /* since rows were pruned last */
	struct wheel_timer timer;
	uint64_t salt;
	struct slab slab;
	unsigned clients;
	uint64_t commits, records, refused, omitted, omitted_told;
	int64_t committed_us;
	uint64_t omitted_ns; /* when that was told */
	uint64_t lines_ns;   /* the bucket's: when it will be full again */
	struct journal_state state;
	struct collect_job *job;
	struct collect_client *by_id[COLLECT_BUCKETS], *by_name[COLLECT_BUCKETS];
};

static inline struct loop *collect_loop(const struct collect_keep *keep)
{
	return keep->context->loop;
}

static inline const struct moment *collect_now(const struct collect_keep *keep)
{
	return loop_now(collect_loop(keep));
}

/* An event of the service's own, to be filled in, then told. */
void collect_event(struct collect_keep *keep, struct event *e, enum event_level level,
		   const char *type);
void collect_publish(struct collect_keep *keep, struct event *e);

/* collect.join, collect.leave. */
void collect_tell_client(struct collect_keep *keep, const struct collect_client *client,
			 const char *type);

/* A message to the client's machine. */
void collect_tell(struct collect_keep *keep, const struct collect_client *client, uint32_t kind,
		  uint64_t number);
void collect_refuse(struct collect_keep *keep, struct collect_client *client,
		    enum feed_refusal code, const char *reason);

/* Frees it once it is gone and nothing of it waits. */
void collect_release(struct collect_keep *keep, struct collect_client *client);

size_t collect_waiting(const struct collect_keep *keep);

/* Reading stops for everybody, or goes on. */
void collect_hold(struct collect_keep *keep, bool full);

/* While others wait for the room that bodies take: one that comes too slowly is given up, and its
 * client sent away. */
void collect_give_up(struct collect_keep *keep);

/* Says that nothing is read, once that has lasted. */
void collect_tell_full(struct collect_keep *keep);

/* Begins the next job, if there is one and it may. */
void collect_go_on(struct collect_keep *keep);

/* Calls `each` for every item of the queue. */
typedef void collect_each(struct collect_keep *keep, struct collect_item *item, void *argument);
void collect_each_item(struct collect_keep *keep, const struct collect_queue *queue,
		       collect_each *each, void *argument);

/* How many changes the stream does not have: told when it has places again, or after a while. */
void collect_tell_omitted(struct collect_keep *keep);

/* work_job.done of the job. */
void collect_done(struct work_job *work);
/* The last of a keeper that was stopped. */
void collect_free(struct collect_keep *keep);

#endif
