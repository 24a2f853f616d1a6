/* Past stdio: after a write that failed half-way it would drop the rest of one line and put the
 * next behind the torn one. Here the rest is kept until it can follow. */
#include "command/serve_log.h"

#include "base/event_read.h"
#include "command/say.h"

#include <errno.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

/* Writes what is left of the line. Whether all of it is out now. */
static bool serve_log_push(struct serve_log *log)
{
	while (log->at < log->len) {
		ssize_t n = write(STDOUT_FILENO, log->line + log->at, log->len - log->at);
		struct pollfd room = {.fd = STDOUT_FILENO, .events = POLLOUT};

		if (n < 0 && errno == EAGAIN)
			poll(&room, 1, -1);
		else if (n < 0 && errno != EINTR)
			return false;
		else if (n > 0)
			log->at += (size_t)n;
	}
	return true;
}

/* Out, or held once it has begun, or lost. */
static void serve_log_write(struct serve_log *log, const struct text *line)
{
	if (!serve_log_push(log)) {
		log->lost++;
		return;
	}
	memcpy(log->line, line->data, line->len);
	log->at = 0;
	log->len = line->len;
	if (!serve_log_push(log) && log->at == 0) {
		log->len = 0;
		log->lost++;
	}
}

/* The console of the dialogue exercise, in its own words. */
static bool serve_log_put_dialogue(struct text *t, const struct event *e)
{
	const struct event_field *text = event_find(e, "text");

	if (strcmp(e->type, "dialogue.message") != 0 || !text)
		return false;
	text_put_string(t, "reçu du client>");
	text_put_visible(t, event_field_text(e, text), false);
	text_put_string(t, "<\n");
	return true;
}

static int32_t serve_log_utc_offset_s(const struct event *e)
{
	time_t s = (time_t)(e->wall_us / 1000000);
	struct tm tm;

	return localtime_r(&s, &tm) ? (int32_t)tm.tm_gmtoff : 0;
}

static void serve_log_put(const struct serve_log *log, struct text *t, const struct event *e)
{
	if (log->call->common.json)
		say_put_event(t, e);
	else if (!serve_log_put_dialogue(t, e))
		event_put_line(t, e, serve_log_utc_offset_s(e));
}

static void serve_log_tell_lost(struct serve_log *log)
{
	char line[SERVE_LINE_BYTES];
	struct text t = TEXT_OVER(line);
	uint64_t lost = log->lost;
	struct event e;

	if (!lost || !serve_log_push(log))
		return;
	event_init(&e, EVENT_WARNING, "gap", "log", say_now_us());
	event_uint(&e, "dropped", lost);
	serve_log_put(log, &t, &e);
	log->lost = 0;
	serve_log_write(log, &t);
	if (log->lost)
		log->lost = lost;
}

void serve_log_event(void *owner, const struct event *e)
{
	struct serve_log *log = owner;
	char line[SERVE_LINE_BYTES];
	struct text t = TEXT_OVER(line);
	enum event_level least = log->call->common.quiet ? EVENT_WARNING : EVENT_INFO;

	if (log->call->common.verbose)
		least = EVENT_DEBUG;
	if (e->level < least)
		return;
	serve_log_tell_lost(log);
	serve_log_put(log, &t, e);
	serve_log_write(log, &t);
}

void serve_log_line(void *owner, struct bytes json)
{
	struct serve_log *log = owner;
	char line[SERVE_LINE_BYTES], names[EVENT_NAMES_BYTES];
	struct text t = TEXT_OVER(line);
	struct event e;

	if (!event_read_json(&e, json, names) ||
	    (log->call->common.quiet && e.level < EVENT_WARNING))
		return;
	serve_log_tell_lost(log);
	if (log->call->common.json && json.len < sizeof line - 1) {
		text_put(&t, json);
		text_put_byte(&t, '\n');
	} else {
		serve_log_put(log, &t, &e);
	}
	serve_log_write(log, &t);
}

void serve_log_end(struct serve_log *log)
{
	serve_log_push(log);
	serve_log_tell_lost(log);
}
