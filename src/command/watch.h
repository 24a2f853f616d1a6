/* What the parts of `prise watch` share: the command (watch.c), what it shows (watch_show.c), the
 * conversation with the server (watch_send.c). The engine is watch_engine.h. */
#ifndef COMMAND_WATCH_H
#define COMMAND_WATCH_H

#include "command/client.h"
#include "command/printer.h"
#include "command/say.h"
#include "command/watch_engine.h"
#include "proto/feed.h"

#include <limits.h>

enum { WATCH_HOST_BYTES = 256 };

struct watch_options {
	const char *to;
	bool local, hash;
	struct option_list include, exclude;
	uint64_t settle_ms, poll_ms, spool_bytes;
	int source; /* enum source_way */
};

/* Where the conversation with the server stands. */
enum watch_server { WATCH_AWAY, WATCH_JOINING, WATCH_SENDING };

struct watch_read; /* a block on its way from the disk */

struct watch {
	const struct command_call *call;
	const struct watch_options *given;
	struct loop *loop;
	struct watch_engine *engine;
	const char *root[WATCH_TREES_MOST];
	unsigned roots;
	struct ignore_pattern exclude[OPTION_LIST_MOST], include[OPTION_LIST_MOST];
	unsigned excludes, includes;
	char state[PATH_MAX];
	char host[WATCH_HOST_BYTES];

	/* The end. */
	bool over;
	int code, signal_number;

	/* The server (--to). */
	struct command_call to_call; /* with the address as its only word */
	char *to_word[1];
	struct client client;
	struct feed_client_settings settings;
	struct spool *spool;
	enum watch_server server;
	uint64_t newest, sent; /* numbers: committed here, handed to the machine */
	uint64_t sent_most;    /* in any conversation */
	unsigned wanted;       /* blocks that the machine has room for */
	struct watch_read *reading;
	bool retry_due;
	struct wheel_timer retry;
	bool heeded;     /* this conversation's server acknowledged something */
	int turned_away; /* this conversation's refusal (its number and one), or 0 */
	int said;        /* the newest trouble that was told: an ERR_, or as above; 0: none since */

	/* What is printed; NULL: nothing. */
	struct printer *printer;
	uint64_t missed, missed_from, missed_to; /* lines that a reader was too slow for; numbers */
	char line[CHANGE_JSON_BYTES];

	/* What is shown. */
	struct wheel_timer tick;
	bool terminal, shown;
	uint64_t tick_changes; /* at the last tick */
	uint64_t tick_ns;
	int said_disk_err;
	bool said_full;
	bool said_gone[WATCH_TREES_MOST];
	int said_unwatched[WATCH_TREES_MOST];
	int32_t utc_offset_s;
};

/* Ends the command's loop with this code; the first one counts. */
void watch_end(struct watch *w, int code);

/* The state cannot be gone on with. Returns the exit code. */
int watch_say_state(const struct watch *w, int err);

/* watch_show.c. A change, on stdout, in the engine's thread. Whoever reads too slowly makes it wait
 * where there is no server, and misses lines, which a `gap` counts, where there is one. */
void watch_show_change(void *owner, const struct change *change, uint64_t seq);
/* Before the engine and after it. 0, or as printer_start. */
int watch_print_begin(struct watch *w);
void watch_print_end(struct watch *w);
/* In the same thread: what was shown is to be seen now. */
void watch_show_rested(void *owner);
/* How it is going, on stderr: twice a second on a terminal, else what is news. */
void watch_show_begin(struct watch *w);
void watch_show_end(struct watch *w);

/* watch_send.c. Talks to the server until watch_end. Returns the exit code. */
int watch_send(struct watch *w);
/* As watch_engine_plan has them. */
void watch_send_committed(void *owner, uint64_t newest);
void watch_send_resumed(void *owner, uint64_t from, uint64_t talk);
/* Says good-bye to the server, if it listens. */
void watch_send_leave(struct watch *w);
void watch_send_close(struct watch *w);

#endif
