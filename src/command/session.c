/* A conversation, by way of a relay. What passes is only looked at when an option asks for that.
 *
 *   stdin ──► escape (telnet on a terminal) ──► telnet, crlf ──► socket
 *   stdout ◄── events (--json) ◄─────────────── telnet ◄──────── socket
 *
 * On a terminal Ctrl+] is made one more end of a line (VEOL), so that it is read at once while the
 * terminal still edits lines and echoes. */
#include "command/session.h"

#include "base/number.h"
#include "command/progress.h"
#include "command/say.h"
#include "command/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SESSION_ESCAPE = 0x1d };

/* The prompt of telnet. */

static void session_set_terminal(const struct session *s)
{
	struct termios modes = s->modes;

	modes.c_cc[VEOL] = SESSION_ESCAPE;
	tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
}

void session_caught(struct session *s, int signal_number)
{
	if (signal_number == SIGCONT) { /* the shell had the terminal in between */
		if (s->terminal)
			session_set_terminal(s);
		return;
	}
	if (!s->signal_number)
		s->signal_number = signal_number;
	s->done = true;
}

static void session_prompt(struct session *s)
{
	s->prompting = true;
	s->command_len = 0;
	fputs("\nprise telnet> ", stderr);
}

static void session_status(const struct session *s)
{
	struct relay_counts counts = relay_counts(s->relay);
	uint64_t took_ns = loop_now(s->loop)->boot_ns - s->report.opened_ns;
	char remote[ADDRESS_TEXT_BYTES], local[ADDRESS_TEXT_BYTES], took[32];
	struct text r = TEXT_OVER(remote), l = TEXT_OVER(local);

	address_put(&r, &s->report.remote);
	address_put(&l, &s->report.local);
	fprintf(stderr, _("connected to %s (%s) from %s for %s\n"), s->plan.where, remote, local,
		number_format_duration(took_ns, took, sizeof took));
	fprintf(stderr, _("%" PRIu64 " bytes sent, %" PRIu64 " bytes received\n"),
		counts.bytes[RELAY_OUT], counts.bytes[RELAY_IN]);
}

/* A line that was typed at the prompt; the conversation goes on after it. */
static void session_obey(struct session *s)
{
	struct bytes word = bytes_strip(bytes_of(s->command, s->command_len));

	s->prompting = false;
	if (bytes_equal_fold(word, BYTES_LITERAL("quit")) ||
	    bytes_equal_fold(word, BYTES_LITERAL("q")))
		s->done = true;
	else if (bytes_equal_fold(word, BYTES_LITERAL("status")))
		session_status(s);
	else if (word.len)
		fputs(_("quit    ends the connection\n"
			"status  says whom you are connected to\n"
			"        (an empty line goes back to the connection)\n"),
		      stderr);
}

/* Takes what belongs to the prompt out of `in`. Returns how many bytes that is. */
static size_t session_take_command(struct session *s, struct bytes in)
{
	size_t line = bytes_find_byte(in, '\n');
	struct bytes part = bytes_first(in, line);

	part = bytes_first(part, sizeof s->command - s->command_len);
	memcpy(s->command + s->command_len, part.data, part.len);
	s->command_len += part.len;
	if (line == in.len)
		return in.len;
	session_obey(s);
	return line + 1;
}

/* Filters. */

static size_t session_put_crlf(struct session *s, struct bytes in, uint8_t *data)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		if (in.data[i] == '\n' && !s->sent_cr)
			data[n++] = '\r';
		data[n++] = in.data[i];
		s->sent_cr = in.data[i] == '\r';
	}
	return n;
}

/* What a person types at a telnet: text, and commands behind the escape. */
static size_t session_typed(struct session *s, struct bytes in, uint8_t *data)
{
	size_t n = 0;

	while (in.len && !s->done) {
		size_t escape = bytes_find_byte(in, SESSION_ESCAPE);

		if (s->prompting) {
			in = bytes_after(in, session_take_command(s, in));
			continue;
		}
		n += telnet_send(&s->telnet, bytes_first(in, escape), data + n);
		if (escape < in.len)
			session_prompt(s);
		in = bytes_after(in, escape < in.len ? escape + 1 : escape);
	}
	return n;
}

static struct relay_passed session_out(void *owner, struct bytes in, uint8_t *data, uint8_t *back)
{
	struct session *s = owner;
	size_t len;

	if (s->terminal)
		len = session_typed(s, in, data);
	else if (s->plan.telnet)
		len = telnet_send(&s->telnet, in, data);
	else
		len = session_put_crlf(s, in, data);
	return (struct relay_passed){.len = len};
}

static struct relay_passed session_in(void *owner, struct bytes in, uint8_t *data, uint8_t *back)
{
	struct session *s = owner;
	struct telnet_made made = {.data_len = in.len};
	struct bytes seen = in;

	if (s->plan.telnet) {
		made = telnet_receive(&s->telnet, in, data, back);
		seen = bytes_of(data, made.data_len);
	}
	if (!s->report.call->common.json)
		return (struct relay_passed){made.data_len, made.reply_len};
	if (seen.len || s->plan.datagrams)
		report_data(&s->report, seen);
	if (!say_flush())
		s->done = true;
	return (struct relay_passed){0, made.reply_len};
}

/* Peers of several addresses, over UDP. */

static void session_forget(struct session *s)
{
	free(s->unanswered);
	s->unanswered = NULL;
	s->plan.next = NULL;
}

/* There is nowhere else to go once somebody has answered, or more was sent than can be kept. */
static void session_remember(struct session *s, enum relay_direction direction, struct bytes b)
{
	size_t len = s->unanswered_len;

	if (!s->plan.next)
		return;
	if (!s->unanswered)
		s->unanswered = malloc(SESSION_UNANSWERED_BYTES);
	if (direction == RELAY_IN || !s->unanswered ||
	    SESSION_UNANSWERED_BYTES - len < sizeof b.len + b.len) {
		session_forget(s);
		return;
	}
	memcpy(s->unanswered + len, &b.len, sizeof b.len);
	memcpy(s->unanswered + len + sizeof b.len, b.data, b.len);
	s->unanswered_len += sizeof b.len + b.len;
}

/* Puts `fd` in the place of the socket that there was, and sends all again. 0 or ERR_. */
static int session_resend(struct session *s, int fd)
{
	bool shown = s->report.call->common.verbose;
	int err = dup3(fd, s->plan.fd, O_CLOEXEC) < 0 ? err_from_errno(errno) : 0;
	size_t at = 0, len;

	close(fd);
	while (!err && at < s->unanswered_len) {
		struct bytes b;

		memcpy(&len, s->unanswered + at, sizeof len);
		b = bytes_of(s->unanswered + at + sizeof len, len);
		at += sizeof len + len;
		if (send(s->plan.fd, b.data, b.len, MSG_DONTWAIT) < 0)
			err = errno == EAGAIN ? 0 : err_from_peer(errno); /* as lost on the way */
		else if (shown)
			wire_bytes(NULL, &s->report.remote, true, b);
	}
	return err;
}

static bool session_elsewhere(void *owner, int why)
{
	struct session *s = owner;
	struct report *r = &s->report;
	struct address remote, local;
	int fd, err = s->plan.next ? 0 : ERR_NO_ADDRESS;

	while (err != ERR_NO_ADDRESS) {
		err = s->plan.next(s->plan.owner, &fd, &remote, &local);
		if (err)
			continue;
		loop_refresh(s->loop);
		report_close(r, why, 0, relay_counts(s->relay).bytes[RELAY_OUT],
			     loop_now(s->loop)->boot_ns);
		r->number++;
		r->remote = remote;
		r->local = local;
		r->opened_ns = loop_now(s->loop)->boot_ns;
		report_open(r);
		if (session_resend(s, fd) == 0)
			return true;
	}
	return false;
}

static void session_tap(void *owner, enum relay_direction direction, struct bytes b)
{
	struct session *s = owner;

	if (s->report.call->common.verbose)
		wire_bytes(NULL, s->plan.datagrams ? &s->report.remote : NULL,
			   direction == RELAY_OUT, b);
	session_remember(s, direction, b);
}

/* The end. */

static void session_over(void *owner, const struct relay_result *result)
{
	struct session *s = owner;

	s->result = *result;
	if (result->err && result->place == RELAY_FAR && s->tls_err)
		s->result.err = s->tls_err;
	s->done = true;
}

/* Exit 0 and yet not everything went out: somebody should know. */
static void session_warn_unsent(const struct session *s)
{
	struct relay_counts counts = relay_counts(s->relay);
	int unread = 0;

	if (counts.near_ended || isatty(STDIN_FILENO) || s->plan.datagrams)
		return;
	if (ioctl(STDIN_FILENO, FIONREAD, &unread) < 0)
		unread = 0;
	if (counts.unsent || unread > 0)
		say_note(_("%s ended before it was sent all of standard input"), s->plan.where);
}

int session_say_output(int err)
{
	if (err == ERR_LEFT)
		return 0;
	if (err == ERR_SYSTEM)
		return say_error_try(SAY_FILE, _("standard output"), err,
				     _("without >&-, for it is closed, or not open for writing"));
	return say_error(SAY_FILE, _("standard output"), err);
}

static int session_say(const struct session *s)
{
	int err = s->result.err;

	if (!err)
		return 0;
	switch (s->result.place) {
	case RELAY_NEAR_OUT:
		return session_say_output(err);
	case RELAY_NEAR_IN:
		return say_input(err);
	case RELAY_FAR:
		break;
	}
	if (err == ERR_REFUSED && s->plan.say)
		return s->plan.say(s->plan.owner, err);
	return say_error(SAY_TALK, s->plan.where, err);
}

static int session_end(struct session *s)
{
	struct relay_counts counts = relay_counts(s->relay);

	loop_refresh(s->loop);
	report_close(&s->report, s->result.err, counts.bytes[RELAY_IN], counts.bytes[RELAY_OUT],
		     loop_now(s->loop)->boot_ns);
	if (s->report.call->common.verbose)
		say_note(_("%" PRIu64 " bytes sent, %" PRIu64 " bytes received"),
			 counts.bytes[RELAY_OUT], counts.bytes[RELAY_IN]);
	if (s->signal_number)
		return 128 + s->signal_number;
	if (!s->result.err)
		session_warn_unsent(s);
	return session_say(s);
}

static uint64_t session_moved(void *owner)
{
	struct relay_counts counts = relay_counts(((struct session *)owner)->relay);

	return counts.bytes[RELAY_OUT] + counts.bytes[RELAY_IN];
}

static uint64_t session_sent(void *owner)
{
	return relay_counts(((struct session *)owner)->relay).bytes[RELAY_OUT];
}

/* Bulk from one program or file to another has nothing else to be seen by. */
static void session_show_progress(struct session *s, struct progress *p)
{
	const struct command_common *common = &s->report.call->common;
	struct stat st;

	if (common->quiet || common->verbose || isatty(STDIN_FILENO) || isatty(STDOUT_FILENO))
		return;
	p->done_bytes = session_moved;
	p->owner = s;
	if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode)) {
		p->done_bytes = session_sent;
		p->total_bytes = (uint64_t)st.st_size;
	}
	progress_begin(p, s->loop);
}

int session_run(struct session *s, const struct session_plan *plan)
{
	const struct command_common *common = &s->report.call->common;
	struct relay_plan relay = {
		.near_in = stream_lent(STDIN_FILENO, false),
		.near_out = stream_lent(STDOUT_FILENO, true),
		.far = plan->tls ? stream_secured(plan->fd, plan->tls, &s->tls_err)
				 : stream_own(plan->fd),
		.datagrams = plan->datagrams,
		.ends_with_far = true,
		.silent_near = plan->silent_near,
		.late_half = plan->late_half,
		.idle_ms = plan->idle_ms,
		.wait_ms = plan->wait_ms,
		.over = session_over,
		.owner = s,
	};
	struct progress progress = {0};
	int err, code;

	s->plan = *plan;
	if (plan->telnet || plan->crlf)
		relay.filter[RELAY_OUT] = session_out;
	if (plan->telnet || common->json)
		relay.filter[RELAY_IN] = session_in;
	if (common->verbose || plan->next)
		relay.tap = session_tap;
	if (plan->next)
		relay.elsewhere = session_elsewhere;
	s->terminal = plan->telnet && tcgetattr(STDIN_FILENO, &s->modes) == 0;
	if (s->terminal)
		session_set_terminal(s);
	report_open(&s->report);
	err = relay_create(&s->relay, s->loop, &relay);
	if (!err) {
		session_show_progress(s, &progress);
		loop_run_until(s->loop, &s->done);
		progress_end(&progress);
		code = session_end(s);
	} else {
		code = say_error(SAY_RUN, s->report.call->command->name, err);
	}
	if (s->terminal)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->modes);
	relay_destroy(s->relay);
	session_forget(s);
	stream_close(&relay.near_in);
	stream_close(&relay.near_out);
	return code;
}
