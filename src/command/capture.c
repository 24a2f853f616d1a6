/* prise capture: the HTTP exchanges in a capture file, or on an interface as they come.
 *
 *   frames ──► frame_decode ──► fragment_take ──► conversation_take ──► exchanges: rows, events,
 *                   └──► arrows                           └──► runs: --follow       bodies, HAR
 *
 * A file is read in one go, with a look at signals and the progress line now and then; an interface
 * is watched by the loop; a pipe is read as it comes. */
#include "command/capture_parts.h"

#include "command/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURN_FRAMES = 8192, END_SIGNALS = 3, CHECK_MS = 1000 };

static const struct option options[] = {
	{.name = "include",
	 .letter = 'i',
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct capture_options, headers),
	 .help = N_("show the headers of each exchange")},
	{.name = "filter",
	 .letter = 'f',
	 .type = OPTION_TEXT,
	 .argument = "BPF",
	 .offset = offsetof(struct capture_options, filter),
	 .help = N_("only frames that match, as pcap-filter(7) says")},
	{.name = "count",
	 .letter = 'c',
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct capture_options, count),
	 .help = N_("end after N frames")},
	{.name = "duration",
	 .type = OPTION_DURATION,
	 .argument = "DUR",
	 .offset = offsetof(struct capture_options, duration_ms),
	 .help = N_("end after DUR (an interface)")},
	{.name = "no-promiscuous-mode",
	 .letter = 'p',
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct capture_options, plain),
	 .help = N_("not what passes the interface by on its way to others")},
	{.name = "body",
	 .type = OPTION_TEXT,
	 .argument = "DIR",
	 .offset = offsetof(struct capture_options, body),
	 .help = N_("write bodies to files in DIR, unpacked")},
	{.name = "har",
	 .type = OPTION_TEXT,
	 .argument = "FILE",
	 .offset = offsetof(struct capture_options, har),
	 .help = N_("write an HTTP archive; -: to stdout")},
	{.name = "follow",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct capture_options, follow),
	 .help = N_("show what both ends of a TCP conversation said")},
	{.name = "conversation",
	 .type = OPTION_COUNT,
	 .argument = "N",
	 .offset = offsetof(struct capture_options, conversation),
	 .least = 1,
	 .most = UINT32_MAX,
	 .help = N_("only the Nth TCP conversation (to follow: 1 unless told)")},
	{.name = "diagram",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct capture_options, diagram),
	 .help = N_("draw an arrow for each frame")},
	OPTION_END,
};

/* What of a machine's memory a capture may take; touched only as far as it is needed. */
static const struct conversation_limits limits = {
	.conversations = 65536,
	.exchanges = 65536,
	.small_blocks = 131072,
	.large_blocks = 2048,
};

/* A pipe is read without a loop: the signal that interrupts it is kept here, and the pipe is
 * exchanged for one that has ended, since it may come just before the read that would wait. */
static volatile sig_atomic_t pipe_signal, pipe_end_fd;
static int pipe_fd;

double capture_seconds(const struct capture *c, int64_t time_ns)
{
	return (double)(time_ns - c->first_ns) / 1e9;
}

static bool is_wanted(const struct capture *c, uint64_t conversation)
{
	return c->given->conversation == 0 || c->given->conversation == conversation;
}

static bool shows_rows(const struct capture *c)
{
	return !c->given->follow && !c->given->diagram &&
	       (c->given->har == NULL || strcmp(c->given->har, "-") != 0);
}

static void take_exchange(void *owner, struct exchange *e)
{
	struct capture *c = owner;

	if (is_wanted(c, e->conversation)) {
		c->exchanges++;
		capture_body_end(c, e);
		if (shows_rows(c))
			capture_show_exchange(c, e);
		capture_har_exchange(c, e);
	}
	capture_body_forget(c, e);
}

static void take_content(void *owner, struct exchange *e, enum http1_side side,
			 struct bytes content)
{
	struct capture *c = owner;

	if (is_wanted(c, e->conversation))
		capture_body_content(c, e, side, content);
}

static void take_missing(void *owner, struct exchange *e, enum http1_side side, uint64_t bytes)
{
	struct capture *c = owner;

	if (is_wanted(c, e->conversation))
		capture_body_missing(c, e, side, bytes);
}

static void take_run(void *owner, const struct conversation *conversation, unsigned way,
		     const struct reassembly_run *run)
{
	capture_follow_run(owner, conversation, way, run);
}

static void take_fragment(struct capture *c, struct frame *f)
{
	if (c->fragments == NULL)
		c->fragments = calloc(1, sizeof(*c->fragments));
	if (c->fragments != NULL)
		fragment_take(c->fragments, f);
}

static void take_frame(struct capture *c, const struct frames_frame *frame)
{
	struct conversation_view view, *viewed = NULL;
	struct frame f;

	if (!c->timed)
		c->first_ns = frame->time_ns;
	c->timed = true;
	c->seen++;
	c->last = frame->number;
	frame_decode(&f, c->link, frame->captured, frame->wire_bytes);
	if (f.kind == FRAME_FRAGMENT)
		take_fragment(c, &f);
	if (f.kind == FRAME_TCP) {
		viewed = c->diagram != NULL ? &view : NULL;
		conversation_take(&c->conversations, &f, frame->number, frame->time_ns, viewed);
	}
	if (c->diagram != NULL)
		capture_diagram_frame(c, frame, &f, viewed);
	if (c->given->count != 0 && c->seen >= c->given->count)
		c->interrupted = true;
}

/* Up to TURN_FRAMES. What frames_next said last, 1 when there may be more. */
static int take_some(struct capture *c)
{
	struct frames_frame frame;
	int status = 1;

	for (unsigned i = 0; i < TURN_FRAMES && status == 1 && !c->interrupted; i++) {
		status = frames_next(c->frames, &frame);
		if (status == 1)
			take_frame(c, &frame);
		if (c->eager && status == 1)
			say_flush();
	}
	if (ferror(stdout)) /* nobody reads it, or the disk is full: main says so */
		c->interrupted = true;
	return status;
}

static void caught(void *owner, int signal_number)
{
	struct capture *c = owner;

	c->signal_number = signal_number;
	c->interrupted = true;
	loop_stop(c->loop);
}

static uint64_t read_bytes(void *owner)
{
	struct capture *c = owner;

	return frames_read_bytes(c->frames);
}

/* 0, or the ERR_ of where it breaks. */
static int read_file(struct capture *c)
{
	struct progress progress = {
		.done_bytes = read_bytes, .owner = c, .total_bytes = frames_size_bytes(c->frames)};
	int status = 1;

	progress_begin(&progress, c->loop);
	while (status == 1 && !c->interrupted) {
		status = take_some(c);
		loop_turn(c->loop, 0);
	}
	progress_end(&progress);
	return status < 0 ? status : 0;
}

/* The signals that end it, so that what is shown and written is brought to its end first. nohup(1)
 * has SIGHUP ignored, and so it stays; a shell has SIGINT ignored for what it runs beside it, but
 * who sends it means it. */
static unsigned end_signals(int *signals)
{
	struct sigaction before;
	unsigned count = 0;

	signals[count++] = SIGINT;
	signals[count++] = SIGTERM;
	if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
		signals[count++] = SIGHUP;
	return count;
}

static void note_signal(int signal_number)
{
	int saved = errno;

	pipe_signal = signal_number;
	if (pipe_end_fd >= 0)
		dup2(pipe_end_fd, pipe_fd);
	errno = saved;
}

static int read_pipe(struct capture *c)
{
	struct sigaction action = {.sa_handler = note_signal}; /* no SA_RESTART: read(2) returns */
	int ends[END_SIGNALS], status = 1, end_fd;

	pipe_fd = frames_descriptor(c->frames);
	pipe_end_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (unsigned i = 0; i < end_signals(ends); i++)
		sigaction(ends[i], &action, NULL);
	while (status == 1 && !c->interrupted) {
		status = take_some(c);
		c->signal_number = pipe_signal;
		c->interrupted = c->interrupted || pipe_signal != 0;
	}
	end_fd = pipe_end_fd;
	pipe_end_fd = -1; /* a signal from here on finds that it is over */
	close(end_fd);
	return status < 0 && !c->interrupted ? status : 0;
}

struct live {
	struct capture *c;
	struct wheel_timer timer, check;
	int err;
};

static void live_ready(void *owner, unsigned events)
{
	struct live *live = owner;
	int status = take_some(live->c);

	if (status < 0)
		live->err = status;
	if (status < 0 || live->c->interrupted)
		loop_stop(live->c->loop);
}

static void live_due(struct wheel_timer *timer, void *context)
{
	struct live *live = (struct live *)((char *)timer - offsetof(struct live, timer));

	live->c->interrupted = true;
	loop_stop(context);
}

static void live_check(struct wheel_timer *timer, void *context)
{
	struct live *live = (struct live *)((char *)timer - offsetof(struct live, check));

	live->err = frames_check(live->c->frames);
	if (live->err != 0)
		loop_stop(context);
	else
		loop_arm(context, timer, loop_now(context)->boot_ns + CHECK_MS * MOMENT_MS);
}

static int watch_interface(struct capture *c)
{
	struct live live = {.c = c, .timer = {.due = live_due}, .check = {.due = live_check}};
	int64_t registration = loop_add(c->loop, frames_descriptor(c->frames), LOOP_READ,
					live_ready, &live);

	if (registration < 0)
		return (int)registration;
	if (c->given->duration_ms > 0)
		loop_arm(c->loop, &live.timer,
			 loop_now(c->loop)->boot_ns + c->given->duration_ms * MOMENT_MS);
	live_check(&live.check, c->loop);
	say_note(_("capturing on %s; Ctrl-C ends it"), c->call->argv[0]);
	loop_run(c->loop);
	loop_disarm(c->loop, &live.timer);
	loop_disarm(c->loop, &live.check);
	loop_remove(c->loop, registration);
	return live.err;
}

static bool is_file(const char *where)
{
	struct stat status;

	return strcmp(where, "-") == 0 || stat(where, &status) == 0;
}

static bool is_interface(const char *where)
{
	return strcmp(where, "any") == 0 || if_nametoindex(where) != 0;
}

static bool is_gzip(const char *path)
{
	uint8_t first[2] = {0};
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is = fd >= 0 && pread(fd, first, 2, 0) == 2 && first[0] == 0x1f && first[1] == 0x8b;

	if (fd >= 0)
		close(fd);
	return is;
}

static int say_not_open(const char *where, bool file, int err, const char *why)
{
	if (why[0] != '\0')
		say_note("%s", why);
	if (file && err != ERR_LEFT && err != ERR_PROTOCOL && err != ERR_LIMIT && err != ERR_SYSTEM)
		return say_error(SAY_FILE, where, err);
	return say_error_try(
		SAY_CAPTURE, where, err,
		file && is_gzip(where) ? _("`zcat FILE | prise capture -`: it is packed") : NULL);
}

static int open_frames(struct capture *c, bool file)
{
	const char *where = c->call->argv[0];
	char why[FRAMES_WHY_BYTES];
	int err;

	if (!file && !is_interface(where))
		return say_error(strchr(where, '/') != NULL ? SAY_FILE : SAY_CAPTURE, where,
				 ERR_NO_FILE);
	err = file ? frames_open_file(&c->frames, where, why)
		   : frames_open_live(&c->frames, where, !c->given->plain, why);
	if (err != 0)
		return say_not_open(where, file, err, why);
	if (c->given->filter != NULL && frames_filter(c->frames, c->given->filter, why) != 0)
		return say_usage(_("a filter such as 'tcp port 80', see pcap-filter(7)"),
				 _("the filter is not understood: %s"), why);
	c->link = frames_link(c->frames);
	if (c->call->common.verbose)
		say_note(_("its frames are of the kind %s"), frames_link_name(c->frames));
	if (frame_knows_link(c->link))
		return 0;
	if (!c->call->common.verbose)
		say_note(_("its frames are of the kind %s"), frames_link_name(c->frames));
	return say_error(SAY_CAPTURE, where, ERR_REFUSES);
}

static int begin_conversations(struct capture *c)
{
	struct conversation_sink sink = {.exchange = {.exchange = take_exchange, .owner = c},
					 .run = c->given->follow ? take_run : NULL,
					 .owner = c};
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)say_now_us();
	if (capture_body_wanted(c)) {
		sink.exchange.content = take_content;
		sink.exchange.missing = take_missing;
	}
	c->memory_bytes = conversation_bytes(&limits);
	c->memory = mmap(NULL, c->memory_bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->memory == MAP_FAILED) {
		c->memory = NULL;
		return say_error(SAY_RUN, "capture", ERR_MEMORY);
	}
	conversation_begin(&c->conversations, c->memory, &limits, seed, &sink);
	return 0;
}

static int begin(struct capture *c, bool file)
{
	int ends[END_SIGNALS], err, code = open_frames(c, file);

	if (code != 0)
		return code;
	c->eager = !file || frames_size_bytes(c->frames) == 0;
	code = begin_conversations(c);
	if (code == 0)
		code = capture_body_begin(c);
	if (code == 0)
		code = capture_har_begin(c);
	if (code == 0)
		code = capture_diagram_begin(c);
	if (code != 0)
		return code;
	err = loop_create(&c->loop);
	if (err == 0 && (!file || frames_size_bytes(c->frames) > 0))
		err = loop_signals(c->loop, ends, end_signals(ends), caught, c);
	return err == 0 ? 0 : say_error(SAY_RUN, "capture", err);
}

/* Shows what is left, the summary, and what went wrong. Returns the exit code. */
static int end(struct capture *c, int err)
{
	struct frames_losses losses;
	int code = 0;

	frames_count_losses(c->frames, &losses);
	conversation_end(&c->conversations);
	capture_diagram_end(c);
	if (c->given->follow)
		code = capture_follow_end(c);
	if (c->code == 0)
		c->code = code;
	code = capture_har_end(c);
	if (c->code == 0)
		c->code = code;
	capture_show_summary(c, &losses);
	if (err != 0) {
		if (frames_why(c->frames)[0] != '\0')
			say_note(_("after frame %" PRIu64 ": %s"), c->last, frames_why(c->frames));
		code = say_error(SAY_CAPTURE, c->call->argv[0], err);
		return c->code != 0 ? c->code : code;
	}
	if (c->signal_number != 0)
		return 128 + c->signal_number;
	return c->code;
}

static void forget(struct capture *c)
{
	capture_body_close(c);
	if (c->har != NULL)
		capture_har_end(c);
	free(c->diagram);
	free(c->fragments);
	if (c->memory != NULL)
		munmap(c->memory, c->memory_bytes);
	if (c->loop != NULL)
		loop_destroy(c->loop);
	frames_close(c->frames);
	free(c);
}

static int check_usage(const struct command_call *call, const struct capture_options *given,
		       bool file)
{
	if (call->argc != 1)
		return say_usage(_("prise capture FILE, or prise capture INTERFACE as root"),
				 _("one file or interface is wanted"));
	if (file && given->duration_ms > 0)
		return say_usage(_("-c N ends after N frames"),
				 _("--duration is for an interface"));
	if (given->follow && given->diagram)
		return say_usage(_("one of them"), _("--follow and --diagram exclude each other"));
	if (given->har != NULL && strcmp(given->har, "-") == 0 &&
	    (given->follow || given->diagram || call->common.json))
		return say_usage(_("--har FILE"), _("standard output is for the archive alone"));
	return 0;
}

static int run(struct command_call *call)
{
	bool file = call->argc == 1 && is_file(call->argv[0]);
	int code = check_usage(call, call->options, file);
	struct capture *c;

	if (code != 0)
		return code;
	c = calloc(1, sizeof(*c));
	if (c == NULL)
		return say_error(SAY_RUN, "capture", ERR_MEMORY);
	signal(SIGPIPE, SIG_IGN);
	c->call = call;
	c->given = call->options;
	c->body_fd = -1;
	code = begin(c, file);
	if (code == 0)
		code = end(c, !file                              ? watch_interface(c)
			      : frames_size_bytes(c->frames) > 0 ? read_file(c)
								 : read_pipe(c));
	forget(c);
	return code;
}

const struct command command_capture = {
	.name = "capture",
	.synopsis = N_("FILE|INTERFACE"),
	.about = N_(
		"Shows every HTTP exchange in a capture file (pcap or pcapng; - is standard "
		"input), or on an interface as it comes: the frames in which request and response "
		"begin, seconds since the first frame, both ends, status, bytes of the bodies, how "
		"long it took from the first byte to the last, the request line. HTTP is found on "
		"any port."
		"\n\nTCP is put together by its sequence numbers: segments that come twice, out of "
		"order or overlapping do no harm; what was not captured is told below the row. "
		"Checksums are not looked at.\n\nWith --body each body goes to a file of its own, "
		"FRAME-NUMBER-request or -response and the last word of the target, without chunks "
		"and unpacked (gzip, deflate); a file that exists is never written over.\n\nA file "
		"that is cut short or damaged is shown as far as it can be read; then exit 8. An "
		"interface needs root or cap_net_raw."),
	.examples = "prise capture http.pcap\n"
		    "prise capture -i http.pcap\n"
		    "prise capture --diagram http.pcap\n"
		    "prise capture lo --filter 'tcp port 8080'\n"
		    "tcpdump -i lo -w - tcp | prise capture -\n",
	.options = options,
	.options_bytes = sizeof(struct capture_options),
	.run = run,
};
