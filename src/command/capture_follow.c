/* --follow: what two ends of one TCP conversation said to each other, in order. */
#include "command/capture_parts.h"

#include <inttypes.h>

enum { EVENT_PIECE_BYTES = 1024 };

static void end_line(struct capture *c)
{
	if (c->follow_line)
		fputc('\n', stdout);
	c->follow_line = false;
}

static void print_heading(struct capture *c, const struct conversation *conversation, unsigned way,
			  const struct reassembly_run *run)
{
	char from[ADDRESS_TEXT_BYTES], to[ADDRESS_TEXT_BYTES];
	struct text f = TEXT_OVER(from), t = TEXT_OVER(to);

	address_put(&f, &conversation->talk.end[way]);
	address_put(&t, &conversation->talk.end[!way]);
	end_line(c);
	printf(_("--- frame %" PRIu64 ", %.6f s, %s > %s\n"), run->frame,
	       capture_seconds(c, run->time_ns), from, to);
}

static void say_piece(const struct conversation *conversation, unsigned way,
		      const struct reassembly_run *run, struct bytes piece)
{
	struct event event;

	event_init(&event, EVENT_INFO, "capture.data", NULL, run->time_ns / 1000);
	event_uint(&event, "frame", run->frame);
	event_uint(&event, "conversation", conversation->talk.number);
	event_address(&event, "source", &conversation->talk.end[way]);
	event_address(&event, "target", &conversation->talk.end[!way]);
	event_uint(&event, "missing_bytes", run->missing);
	event_text(&event, "text", piece);
	say_event(&event);
}

static void say_run(const struct conversation *conversation, unsigned way,
		    const struct reassembly_run *run)
{
	struct bytes rest = run->data;

	do {
		struct bytes piece = bytes_first(rest, EVENT_PIECE_BYTES);

		if (piece.len < rest.len)
			piece.len -= text_utf8_incomplete_tail(piece);
		say_piece(conversation, way, run, piece);
		rest = bytes_after(rest, piece.len);
	} while (rest.len > 0);
}

/* CR before LF is how lines end on the wire; alone it is shown. */
static void print_text(struct capture *c, struct bytes data)
{
	while (data.len > 0) {
		size_t end = bytes_find_byte(data, '\n');
		struct bytes line = bytes_first(data, end);

		if (end < data.len && line.len > 0 && line.data[line.len - 1] == '\r')
			line.len--;
		capture_print_visible(line, false);
		c->follow_line = end == data.len;
		if (end < data.len)
			fputc('\n', stdout);
		data = bytes_after(data, end < data.len ? end + 1 : end);
	}
}

/* How much at the end of `b` means nothing before the next segment is there. */
static size_t open_end(struct bytes b)
{
	if (b.len > 0 && b.data[b.len - 1] == '\r')
		return 1;
	return text_utf8_incomplete_tail(b);
}

static void print_tail(struct capture *c)
{
	print_text(c, bytes_of(c->follow_tail, c->follow_tail_len));
	c->follow_tail_len = 0;
}

static void print_run(struct capture *c, struct bytes data)
{
	size_t end;

	while (c->follow_tail_len > 0 && data.len > 0) {
		c->follow_tail[c->follow_tail_len++] = data.data[0];
		data = bytes_after(data, 1);
		if (open_end(bytes_of(c->follow_tail, c->follow_tail_len)) == 0 ||
		    c->follow_tail_len == sizeof(c->follow_tail))
			print_tail(c);
	}
	end = open_end(data);
	print_text(c, bytes_first(data, data.len - end));
	if (end > 0)
		memcpy(c->follow_tail, data.data + data.len - end, end);
	c->follow_tail_len += end;
}

void capture_follow_run(struct capture *c, const struct conversation *conversation, unsigned way,
			const struct reassembly_run *run)
{
	uint64_t wanted = c->given->conversation > 0 ? c->given->conversation : 1;

	if (conversation->talk.number != wanted)
		return;
	if (c->call->common.json) {
		say_run(conversation, way, run);
		c->followed = true;
		return;
	}
	if (run->missing > 0 || c->followed_way != way)
		print_tail(c);
	if (!c->followed || c->followed_way != way)
		print_heading(c, conversation, way, run);
	c->followed = true;
	c->followed_way = way;
	if (run->missing > 0) {
		end_line(c);
		printf(_("  ! %" PRIu64 " bytes were not captured\n"), run->missing);
	}
	print_run(c, run->data);
}

int capture_follow_end(struct capture *c)
{
	uint64_t count = c->conversations.count;

	if (!c->call->common.json) {
		print_tail(c);
		end_line(c);
	}
	if (c->given->conversation > count) {
		say_note(_("there is no conversation %" PRIu64 ": there are %" PRIu64),
			 c->given->conversation, count);
		return 1;
	}
	if (count == 0)
		say_note(_("there is no TCP conversation"));
	else if (count > 1 && c->given->conversation == 0)
		say_note(_("this was conversation 1 of %" PRIu64
			   "; --conversation N follows another"),
			 count);
	return 0;
}
