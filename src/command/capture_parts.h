/* What the parts of `prise capture` share: the command (capture.c), what becomes of exchanges
 * (capture_show.c: rows and events, capture_body.c: bodies, capture_har.c: HAR), of frames
 * (capture_diagram.c) and of one conversation's bytes (capture_follow.c). Private to them. */
#ifndef COMMAND_CAPTURE_PARTS_H
#define COMMAND_CAPTURE_PARTS_H

#include "command/command.h"
#include "command/say.h"
#include "kernel/frames.h"
#include "net/loop.h"
#include "proto/conversation.h"
#include "proto/fragment.h"

enum {
	CAPTURE_NAME_BYTES = 96,
	CAPTURE_TEXT_MOST = 1 << 20,    /* of a body in a HAR */
	CAPTURE_TEXTS_MOST = 256 << 20, /* of all that are held at a time */
	CAPTURE_DECODED_MOST = 1 << 30, /* of a body: what a small one unpacks to has an end */
};

struct capture_options {
	bool headers, follow, diagram, plain;
	const char *filter, *body, *har;
	uint64_t conversation, count, duration_ms;
};

struct capture_har;
struct capture_diagram;

struct capture {
	const struct command_call *call;
	const struct capture_options *given;
	struct frames *frames;
	unsigned link;
	bool eager;       /* each line is written out at once */
	bool interrupted; /* by `signal_number`, or 0: enough was seen */
	int signal_number;
	struct loop *loop;
	int64_t first_ns; /* of the first frame; `shown` counts from there */
	bool timed;
	uint64_t seen;      /* frames */
	uint64_t last;      /* the number of the last one */
	uint64_t exchanges; /* reported */
	int code;           /* what went wrong first with what is written, or 0 */

	struct conversations conversations;
	struct fragments *fragments; /* once there is one */
	void *memory;
	size_t memory_bytes;

	/* The parts'. */
	int body_fd; /* of the directory; -1: none */
	uint64_t bodies;
	unsigned pieces, decoders; /* at the moment */
	uint64_t text_bytes;
	struct capture_har *har;
	struct capture_diagram *diagram;
	bool row_shown, followed;
	unsigned followed_way;
	bool follow_line;       /* a line has begun */
	uint8_t follow_tail[4]; /* of what was said so far: the beginning of a character, or CR */
	size_t follow_tail_len;
};

/* A body as it comes by. */
struct capture_body;

/* Seconds since the first frame. */
double capture_seconds(const struct capture *c, int64_t time_ns);

/* Prints `b` so that it is shown and never obeyed. */
void capture_print_visible(struct bytes b, bool keep_newlines);

/* What is wrong with a message, as a sentence's part, or NULL: N_(). */
const char *capture_fault(const struct exchange_message *m);

/* capture_show.c */
void capture_show_exchange(struct capture *c, const struct exchange *e);
void capture_show_summary(struct capture *c, const struct frames_losses *losses);

/* capture_body.c. 0, or an exit code, having said why. */
int capture_body_begin(struct capture *c);
bool capture_body_wanted(const struct capture *c);
void capture_body_content(struct capture *c, struct exchange *e, enum http1_side side,
			  struct bytes content);
void capture_body_missing(struct capture *c, struct exchange *e, enum http1_side side,
			  uint64_t bytes);
/* Both bodies of it came: writes what is left of them. */
void capture_body_end(struct capture *c, struct exchange *e);
/* What was kept of it for a HAR; false when that is not all. */
bool capture_body_text(const struct exchange_message *m, struct bytes *text);
/* What it unpacked to; the same as came where nothing was packed. */
uint64_t capture_body_decoded(const struct exchange_message *m);
/* What went wrong unpacking it, N_(), or NULL. */
const char *capture_body_fault(const struct exchange_message *m);
void capture_body_forget(struct capture *c, struct exchange *e);
void capture_body_close(struct capture *c);

/* capture_har.c */
int capture_har_begin(struct capture *c);
void capture_har_exchange(struct capture *c, const struct exchange *e);
int capture_har_end(struct capture *c);

/* capture_follow.c */
void capture_follow_run(struct capture *c, const struct conversation *conversation, unsigned way,
			const struct reassembly_run *run);
int capture_follow_end(struct capture *c);

/* capture_diagram.c */
int capture_diagram_begin(struct capture *c);
void capture_diagram_frame(struct capture *c, const struct frames_frame *frame,
			   const struct frame *f, const struct conversation_view *view);
void capture_diagram_end(struct capture *c);

#endif
