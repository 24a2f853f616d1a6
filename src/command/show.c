/* A peer's text on its way to stdout. Held back is only what cannot be shown yet: the beginning of
 * a UTF-8 character, a CR that may belong to a line end; with --json, a line that has no end yet.
 */
#include "command/show.h"

#include "command/say.h"

#include <unistd.h>

void show_begin(struct show *s, const struct command_call *call, const char *type)
{
	*s = (struct show){
		.command = call->command->name,
		.type = type,
		.json = call->common.json,
		.terminal = isatty(STDOUT_FILENO) == 1,
	};
}

static void show_event(const struct show *s, struct bytes line)
{
	struct event e;

	if (line.len > 0 && line.data[line.len - 1] == '\r')
		line.len--;
	event_init(&e, EVENT_INFO, s->type, s->command, say_now_us());
	event_text(&e, "text", line);
	say_event(&e);
}

/* The events of the whole lines in `b`; returns how much of it they were. */
static size_t show_json(const struct show *s, struct bytes b)
{
	size_t done = 0, len;

	while ((len = bytes_find_byte(bytes_after(b, done), '\n')) < b.len - done) {
		show_event(s, bytes_first(bytes_after(b, done), len));
		done += len + 1;
	}
	return done;
}

static void show_visible(struct bytes b)
{
	char visible[SHOW_BYTES * 4 + 1];
	struct text t = TEXT_OVER(visible);

	text_put_visible(&t, b, true);
	fwrite(t.data, 1, t.len, stdout);
}

/* Shows `b` on the terminal but for what needs its rest; returns how much that was. */
static size_t show_on_terminal(struct bytes b)
{
	size_t tail = b.len > 0 && b.data[b.len - 1] == '\r' ? 1 : text_utf8_incomplete_tail(b);
	struct bytes left = bytes_first(b, b.len - tail);

	while (left.len > 0) {
		size_t len = bytes_find(left, BYTES_LITERAL("\r\n"));

		show_visible(bytes_first(left, len));
		left = bytes_after(left, len < left.len ? len + 1 : len);
	}
	return b.len - tail;
}

static void show_hold(struct show *s)
{
	struct bytes b = bytes_of(s->hold, s->held);
	size_t done = s->json ? show_json(s, b) : show_on_terminal(b);

	if (done == 0 && s->held == sizeof s->hold) {
		show_flush(s);
		return;
	}
	memmove(s->hold, s->hold + done, s->held - done);
	s->held -= done;
}

/* `text` without the line end that was supplied already. */
static struct bytes show_skip_line_end(struct show *s, struct bytes text)
{
	while (s->supplied && text.len > 0) {
		s->supplied = text.data[0] == '\r';
		if (text.data[0] == '\r' || text.data[0] == '\n')
			text = bytes_after(text, 1);
	}
	return text;
}

void show_text(struct show *s, struct bytes text)
{
	text = show_skip_line_end(s, text);
	if (text.len == 0)
		return;
	s->begun = text.data[text.len - 1] != '\n';
	if (!s->json && !s->terminal) {
		fwrite(text.data, 1, text.len, stdout);
		return;
	}
	while (text.len > 0) {
		struct bytes part = bytes_first(text, sizeof s->hold - s->held);

		memcpy(s->hold + s->held, part.data, part.len);
		s->held += part.len;
		text = bytes_after(text, part.len);
		show_hold(s);
	}
}

void show_flush(struct show *s)
{
	struct bytes b = bytes_of(s->hold, s->held);

	s->held = 0;
	if (b.len > 0 && s->json)
		show_event(s, b);
	else
		show_visible(b);
}

void show_fresh_line(struct show *s)
{
	show_flush(s);
	if (!s->begun || (!s->terminal && !s->json))
		return;
	if (!s->json)
		putchar('\n');
	s->begun = false;
	s->supplied = true;
}
