/* One URL fetched: its tries, what was there before (-C), decoding, and where the content goes.
 *
 *            ┌──────── again, from where it stopped or from the beginning ────────┐
 *            ▼                                                                    │
 *   try ──► head: judged against what we have ──► content ──► over: whole? ──► settle
 *
 * What was written is taken up again only with a validator that names it (If-Range), or, of a file
 * that somebody else began, when the server says that it did not change since it was written. */
#include "command/get_parts.h"

#include "command/say.h"

#include <unistd.h>

static int64_t job_now_s(const struct get_job *job)
{
	return loop_now(job->links->loop)->wall_us / 1000000;
}

static bool job_is_last_try(const struct get_job *job)
{
	return job->tries > job->given->retries || job->given->bare;
}

/* The head. */

static bool is_json(const char *type)
{
	struct bytes b = bytes_of_string(type), suffix = BYTES_LITERAL("+json");

	b = bytes_strip(bytes_first(b, bytes_find_byte(b, ';')));
	if (bytes_equal_fold(b, BYTES_LITERAL("application/json")))
		return true;
	return b.len > suffix.len && bytes_equal_fold(bytes_after(b, b.len - suffix.len), suffix);
}

/* A file that is a gzip file itself is wanted as it is, whatever its server calls it. */
static bool is_archive(const struct get_job *job)
{
	struct bytes target = bytes_of_string(job->fetch->exchange.url.target);
	struct bytes type = bytes_of_string(job->fetch->exchange.type);
	struct bytes path = bytes_first(target, bytes_find_byte(target, '?'));

	type = bytes_strip(bytes_first(type, bytes_find_byte(type, ';')));
	return bytes_equal_fold(type, BYTES_LITERAL("application/gzip")) ||
	       bytes_equal_fold(type, BYTES_LITERAL("application/x-gzip")) ||
	       (path.len > 3 &&
		bytes_equal(bytes_after(path, path.len - 3), BYTES_LITERAL(".gz"))) ||
	       (path.len > 4 &&
		bytes_equal(bytes_after(path, path.len - 4), BYTES_LITERAL(".tgz")));
}

static int job_begin_decoding(struct get_job *job, const struct http1_head *head)
{
	const struct http1_field *coding = http1_find(head, "Content-Encoding");
	enum decode_coding known = coding ? decode_coding(coding->value) : DECODE_NONE;
	char name[64];
	struct text t = TEXT_OVER(name);

	if (known == DECODE_NONE || job->given->raw || head->status == 206 || is_archive(job))
		return 0;
	if (known == DECODE_UNKNOWN) {
		text_put_visible(&t, coding->value, false);
		say_warning(_("the content is coded as %s, which is left as it is"), name);
		return 0;
	}
	job->has_validator = false; /* an offset into decoded content is none into coded */
	return decode_create(&job->decode, known, job->given->decoded_bytes);
}

/* What the answer says of the thing itself, to know it again. */
static int job_note_thing(struct get_job *job, const struct http1_head *head)
{
	struct text t = TEXT_OVER(job->validator);

	follow_put_validator(&t, head, job_now_s(job));
	job->has_validator = t.len > 0;
	job->known = head->framing == HTTP1_LENGTH ? head->length : UINT64_MAX;
	return 0;
}

/* What we have cannot be gone on with. What was written to a pipe cannot be taken back either. */
static int job_give_up_part(struct get_job *job)
{
	job->spoilt = job->sink.kind != GET_FILE && job->sink.bytes > 0;
	job->anew = !job->spoilt;
	return ERR_LIMIT;
}

/* Goes on behind what is there. */
static int job_continue(struct get_job *job, const struct http1_head *head)
{
	const struct http1_field *modified = http1_find(head, "Last-Modified");
	int64_t modified_s;

	if (follow_is_another(head, job->request.validator))
		return job_give_up_part(job);
	if (job->whole_path &&
	    (!modified || http1_date_parse(modified->value, job_now_s(job), &modified_s) != 0 ||
	     modified_s > job->modified_s))
		return job_give_up_part(job);
	return get_sink_open(&job->sink, job->request.from, job->whole_path);
}

/* A ranged request's answer. 0, or an ERR_ that ends the fetch. */
static int job_judge_range(struct get_job *job, const struct http1_head *head)
{
	uint64_t from = job->request.from;

	switch (follow_resume(head, from, job->known)) {
	case FOLLOW_CONTINUES:
		return job_continue(job, head);
	case FOLLOW_COMPLETE:
		job->skips = job->done = true;
		return job->whole_path ? 0 : get_sink_open(&job->sink, from, false);
	case FOLLOW_ASTRAY:
		return job_give_up_part(job);
	case FOLLOW_OTHER:
		if (head->status == 416)
			return job_give_up_part(job);
		break;
	case FOLLOW_ANEW:
		break;
	}
	if (job->sink.kind != GET_FILE && job->sink.bytes)
		return job_give_up_part(job);
	job->whole_path = false;
	return get_sink_open(&job->sink, 0, false);
}

/* An answer that is not the thing itself: with --fail it is not wanted, and with -C it must not
 * take the place of what is there, nor be gone on with later. */
static bool job_is_refused(const struct get_job *job, const struct http1_head *head)
{
	bool thing = head->status / 100 == 2 || (job->request.ranged && head->status == 416);

	return (job->given->fail && head->status >= 400) || (job->given->resume && !thing);
}

static int job_head(void *owner, const struct http1_head *head, struct bytes raw)
{
	struct get_job *job = owner;
	struct fetch *f = job->fetch;
	int err;

	if (follow_is_passing(head->status) && !job_is_last_try(job)) {
		job->delay_ms = follow_delay_ms(job->tries, head, job_now_s(job)) + 1;
		job->skips = true;
		return 0;
	}
	job->refused = job_is_refused(job, head);
	if (job->refused || (head->status >= 400 && !(job->request.ranged && head->status == 416)))
		get_show_status(job);
	if (job->refused) {
		job->skips = true;
		return 0;
	}
	err = job->request.ranged ? job_judge_range(job, head)
				  : get_sink_open(&job->sink, 0, false);
	if (err || job->skips)
		return err;
	if (head->status != 206)
		err = job_note_thing(job, head);
	if (!err)
		err = job_begin_decoding(job, head);
	if (!err && job->has_validator)
		err = get_sink_note_validator(&job->sink, job->validator);
	job->sink.indents = job->sink.kind == GET_TERMINAL && is_json(f->exchange.type) &&
			    !job->given->raw;
	job->progress.total_bytes = head->framing == HTTP1_LENGTH && !job->decode
					    ? job->sink.bytes + head->length
					    : 0;
	if (!job->decode && get_sink_is_regular(&job->sink))
		f->direct_fd = job->sink.fd;
	return err;
}

static void job_met(void *owner, const struct http1_head *head, struct bytes raw)
{
	get_show_head(owner, head, raw);
}

/* Content. */

static int job_sink(void *owner, struct bytes b)
{
	struct get_job *job = owner;
	size_t len = b.len < GET_SMALL_BYTES - job->small_len ? b.len
							      : GET_SMALL_BYTES - job->small_len;

	if (job->sink.kind == GET_NOWHERE) {
		memcpy(job->small + job->small_len, b.data, len);
		job->small_len += len;
	}
	return get_sink_put(&job->sink, b);
}

static int job_content(void *owner, struct bytes b)
{
	struct get_job *job = owner;
	int err;

	if (job->skips)
		return 0;
	err = job->decode ? decode_put(job->decode, b, job_sink, job) : job_sink(job, b);
	if (job->sink.kind != GET_FILE) { /* whoever reads may have taken his time */
		loop_refresh(job->links->loop);
		job->fetch->heard_ns = loop_now(job->links->loop)->boot_ns;
	}
	return err;
}

static void job_moved(void *owner, uint64_t bytes)
{
	((struct get_job *)owner)->sink.bytes += bytes;
}

static void job_exchanged(void *owner, const struct fetch *fetch)
{
	get_show_exchange(owner, fetch);
}

static const struct fetch_calls job_calls = {
	.head = job_head,
	.content = job_content,
	.moved = job_moved,
	.met = job_met,
	.exchanged = job_exchanged,
};

/* The end of a try. */

static int job_say_sink(struct get_job *job, int err)
{
	if (err == ERR_LEFT)
		return 0; /* whoever read it has seen enough */
	if (err == ERR_SYSTEM && job->sink.kind == GET_STDOUT)
		return say_error_try(SAY_FILE, job->sink.name, err,
				     _("without >&-, for it is closed, or not open for writing"));
	return say_error(SAY_FILE, job->sink.name, err);
}

static int job_say_decoding(struct get_job *job, int err)
{
	char line[512];

	if (err == ERR_TOO_LONG) {
		snprintf(line, sizeof line,
			 _("the answer of %s unpacks to far more than came (a bomb?)"),
			 job->fetch->where);
		return say_told(job->fetch->where, err, line,
				_("--max-decoded SIZE, if it is to be that long; --raw leaves it "
				  "packed"));
	}
	snprintf(line, sizeof line, _("the answer of %s does not unpack"), job->fetch->where);
	return say_told(job->fetch->where, err, line, _("--raw, which leaves it as it came"));
}

static int job_say_spoilt(const struct get_job *job)
{
	char line[GET_PATH_BYTES + 256];

	snprintf(
		line, sizeof line,
		_("what %s sends has changed since it was begun, and what was written to %s cannot "
		  "be taken back"),
		job->fetch->where, job->sink.name);
	return say_told(job->fetch->where, ERR_LEFT, line, _("-o FILE, which is written anew"));
}

static bool job_is_overdue(const struct get_job *job)
{
	uint64_t due_ns = job->request.total_due_ns;

	return due_ns && loop_now(job->links->loop)->boot_ns >= due_ns;
}

static int job_say(struct get_job *job)
{
	const struct fetch *f = job->fetch;

	if (job->spoilt)
		return job_say_spoilt(job);
	if (f->err == ERR_TIMEOUT && job_is_overdue(job))
		return say_error_try(f->fault == FETCH_OF_PEER ? SAY_CONNECT : SAY_TALK, f->where,
				     f->err, _("--max-time DUR, to give it longer"));
	if (f->err && f->fault == FETCH_OF_CALLER && !f->why[0]) {
		if (job->decode && (f->err == ERR_TOO_LONG || f->err == ERR_PROTOCOL))
			return job_say_decoding(job, f->err);
		return job_say_sink(job, f->err);
	}
	return fetch_say(f);
}

/* Whether another try may do better. */
static bool job_is_worth_another(const struct get_job *job)
{
	const struct fetch *f = job->fetch;
	bool written = job->sink.kind != GET_FILE && job->sink.bytes;

	if (job_is_last_try(job) || job->spoilt || job_is_overdue(job))
		return false;
	if (f->err && written && !job->has_validator)
		return false;
	if (f->err && f->fault == FETCH_OF_PEER)
		return f->err != ERR_NO_NAME && f->err != ERR_NO_ADDRESS && err_exit(f->err) != 9;
	if (!follow_is_idempotent(f->method))
		return false;
	if (f->err)
		return f->fault == FETCH_OF_TALK && f->err != ERR_PROTOCOL;
	return follow_is_passing(f->exchange.status);
}

static int job_finish(struct get_job *job)
{
	const struct fetch *f = job->fetch;
	int code;

	if (f->err) {
		get_sink_abandon(&job->sink);
		return job_say(job);
	}
	if (job->skips && !job->done) {
		get_sink_abandon(&job->sink);
	} else if (job->decode && !decode_is_whole(job->decode)) {
		get_sink_abandon(&job->sink);
		return job_say_decoding(job, ERR_LEFT);
	} else {
		int err = get_sink_finish(&job->sink);

		if (err) {
			get_sink_abandon(&job->sink);
			code = job_say_sink(job, err);
			return code;
		}
	}
	return job->refused;
}

/* Tries. */

static void job_waited(struct wheel_timer *timer, void *context)
{
	((struct get_job *)((char *)timer - offsetof(struct get_job, timer)))->waited = true;
}

static void job_wait(struct get_job *job)
{
	uint64_t delay_ms = job->delay_ms;
	struct loop *loop = job->links->loop;

	if (!delay_ms)
		delay_ms = follow_delay_ms(job->tries, NULL, 0);
	say_note(_("try %u of %u in %u s"), job->tries + 1, (unsigned)job->given->retries + 1,
		 (unsigned)((delay_ms + 999) / 1000));
	loop_refresh(loop);
	if (job->request.total_due_ns &&
	    loop_now(loop)->boot_ns + delay_ms * MOMENT_MS > job->request.total_due_ns)
		delay_ms = (job->request.total_due_ns - loop_now(loop)->boot_ns) / MOMENT_MS + 1;
	job->waited = false;
	job->timer.due = job_waited;
	loop_arm(loop, &job->timer, loop_now(loop)->boot_ns + delay_ms * MOMENT_MS);
	loop_run_until(loop, &job->waited);
}

/* What the next try asks for. */
static void job_aim(struct get_job *job)
{
	job->request.ranged = job->sink.bytes && job->has_validator && !job->anew;
	job->request.from = job->request.ranged ? job->sink.bytes : 0;
	job->request.validator = job->validator;
	if (job->anew)
		job->whole_path = false;
	job->anew = false;
}

static void job_try(struct get_job *job)
{
	job->skips = job->done = job->refused = false;
	job->delay_ms = 0;
	job->small_len = 0;
	job->tries++;
	decode_destroy(job->decode);
	job->decode = NULL;
	fetch_begin(job->fetch, job->links, &job->request, &job->url, &job_calls, job);
	loop_run_until(job->links->loop, &job->fetch->over);
}

/* -C: what is there already. */
static void job_look(struct get_job *job)
{
	struct text t = TEXT_OVER(job->validator);

	job->known = UINT64_MAX;
	if (!job->given->resume)
		return;
	job->request.from = get_sink_resumable(&job->sink, &t, &job->whole_path, &job->modified_s);
	job->request.ranged = job->request.from > 0;
	job->request.validator = job->validator;
	job->has_validator = t.len > 0;
}

/* While content is sent, that; then what comes. */
static uint64_t job_done_bytes(void *owner)
{
	const struct get_job *job = owner;

	if (job->request.has_content && !job->fetch->exchange.answered)
		return fetch_sent_bytes(job->fetch);
	return job->sink.bytes;
}

static void job_show_progress(struct get_job *job)
{
	const struct command_common *common = &job->call->common;

	job->progress = (struct progress){.done_bytes = job_done_bytes,
					  .owner = job,
					  .total_bytes = job->request.content_bytes};
	if (!common->quiet && !common->verbose && job->sink.kind != GET_TERMINAL)
		progress_begin(&job->progress, job->links->loop);
}

int get_job_run(struct get_job *job, const char *file)
{
	int err = get_sink_begin(&job->sink, job->call, file, job->given->resume);

	if (err)
		return say_error(SAY_FILE, file, err);
	loop_refresh(job->links->loop);
	job_look(job);
	job_show_progress(job);
	job_try(job);
	while (job->anew || job_is_worth_another(job)) {
		bool waits = !job->anew;

		if (waits) {
			if (job->fetch->err)
				job_say(job);
			job_wait(job);
		} else {
			job->tries--;
		}
		job_aim(job);
		job_try(job);
	}
	progress_end(&job->progress);
	err = job_finish(job);
	decode_destroy(job->decode);
	job->decode = NULL;
	return err;
}
