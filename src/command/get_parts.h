/* What the files of prise get share. Private to them. */
#ifndef COMMAND_GET_PARTS_H
#define COMMAND_GET_PARTS_H

#include "command/decode.h"
#include "command/fetch.h"
#include "command/indent.h"
#include "command/progress.h"
#include "command/show.h"
#include "command/whole.h"

enum { GET_PATH_BYTES = WHOLE_PATH_BYTES, GET_PARTS = 256, GET_SMALL_BYTES = 512 };

struct get_options {
	struct option_list output, fields, data, form;
	const char *method, *user, *proxy, *pin;
	uint64_t retries, redirects, decoded_bytes, total_ms;
	bool http10, bare, remote_name, resume, include, head, timing, fail, raw, insecure,
		location;
};

/* A request's content, from -d or -F (get_content.c). */
struct get_content {
	bool any;
	unsigned parts;
	struct fetch_part part[GET_PARTS];
	uint64_t bytes;
	char type[128]; /* Content-Type; empty: none */
	void *memory[GET_PARTS];
	unsigned memories;
};

/* 0, or an exit code, having said why. */
int get_content_make(struct get_content *content, const struct get_options *given);
void get_content_free(struct get_content *content);

/* Where an answer's content goes (get_sink.c). */
enum get_sink_kind { GET_NOWHERE, GET_STDOUT, GET_TERMINAL, GET_FILE, GET_DEVICE };

struct get_sink {
	enum get_sink_kind kind;
	const char *name;          /* as given: the file's, or "standard output" */
	char path[GET_PATH_BYTES]; /* of the file, links followed */
	char part[GET_PATH_BYTES]; /* what is written until it is whole */
	bool keeps;                /* -C: the part stays when it is not whole */
	int fd;
	uint64_t bytes; /* in the part */
	struct show show;
	bool indents, counted;
	struct indent indent;
};

/* Makes ready; no file is made yet. `file` NULL: standard output. 0 or ERR_TOO_LONG. */
int get_sink_begin(struct get_sink *sink, const struct command_call *call, const char *file,
		   bool keeps);

/* -C: how much there is, with what to ask for the rest in `validator` (FOLLOW_VALIDATOR_BYTES).
 * `*whole_path`: it is the file itself and no part of ours; `*modified_s` when it was written. */
uint64_t get_sink_resumable(struct get_sink *sink, struct text *validator, bool *whole_path,
			    int64_t *modified_s);

/* Opens it at `from`, what is behind it dropped; with `adopt` the file itself becomes the part. 0
 * or an ERR_. */
int get_sink_open(struct get_sink *sink, uint64_t from, bool adopt);
int get_sink_note_validator(struct get_sink *sink, const char *validator);

/* Whether its descriptor is that of a regular file. */
bool get_sink_is_regular(const struct get_sink *sink);

/* 0; ERR_LEFT: nobody reads standard output; else what the system says. */
int get_sink_put(struct get_sink *sink, struct bytes b);

/* The content was whole: gives the file its name. 0 or an ERR_. */
int get_sink_finish(struct get_sink *sink);

/* It was not: takes the file away, unless it is kept. */
void get_sink_abandon(struct get_sink *sink);

/* One URL, with its tries (get_job.c). */
struct get_job {
	const struct command_call *call;
	const struct get_options *given;
	struct links *links;
	struct get_content *content;
	struct url url;
	struct fetch_request request;
	struct fetch *fetch;
	struct get_sink sink;
	struct decode *decode;
	struct progress progress;
	unsigned tries;
	bool skips;         /* this answer is not the one: its content is dropped */
	bool anew;          /* what we have is of no use: once more, from the beginning */
	bool done;          /* -C: all of it is there already */
	bool refused;       /* this answer is not wanted (--fail, -C) */
	bool spoilt;        /* the beginning of something else was written, for good */
	bool whole_path;    /* -C goes on with the file itself */
	int64_t modified_s; /* it was written then */
	uint64_t known;     /* the whole length, UINT64_MAX: not known */
	uint64_t delay_ms;  /* before the next try; 0: the usual */
	char validator[FOLLOW_VALIDATOR_BYTES];
	bool has_validator;
	size_t small_len; /* of the content, kept for the event of --json */
	uint8_t small[GET_SMALL_BYTES];
	struct wheel_timer timer;
	bool waited;
	int code;
};

/* Fetches. `file` NULL: to standard output. Returns the exit code. */
int get_job_run(struct get_job *job, const char *file);

/* What is shown of it (get_show.c). */
void get_show_exchange(struct get_job *job, const struct fetch *fetch);
void get_show_head(struct get_job *job, const struct http1_head *head, struct bytes raw);
void get_show_status(const struct get_job *job);
void get_show_timing(const struct get_job *job, const struct fetch *fetch);

/* The part that a signal which ends the process takes along (get_signal.c); NULL: none. */
void get_signal_begin(void);
void get_signal_part(const char *path);
/* Makes the part (whole_open, O_EXCL) and names it, with no such signal between. */
int get_signal_open(const char *path, const char *part);

#endif
