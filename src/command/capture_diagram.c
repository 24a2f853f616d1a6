/* --diagram: an arrow a frame between the lifelines of those who talk.
 *
 *   A 10.0.2.15   B 10.0.2.2
 *    frame    seconds  A                         B
 *        1   0.000000  ●────────────────────────▶│  ARP who has 10.0.2.2? tell 10.0.2.15
 *        2   0.000184  │◀────────────────────────│  ARP 10.0.2.2 is at 52:54:00:12:35:02
 *
 * So that it fits 100 columns there are HOSTS lifelines at most; one more takes the place of the
 * one that was silent for longest, and the heading is printed anew. Of a file the first ARROWS
 * frames are looked at before anything is drawn, so that a short one has one heading. On this
 * machine's own addresses the ends are told apart by port. */
#include "command/capture_parts.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
	HOSTS = 4,
	ARROWS = 256,
	PICTURE_COLUMNS = 28,
	TEXT_COLUMNS = 50,
	LABEL_BYTES = 512,
	LINE_COLUMNS = 100,
	FAMILY_MAC = 255,
};

struct arrow {
	uint64_t number;
	int64_t time_ns;
	struct address from, to;
	bool everyone;
	char label[LABEL_BYTES];
};

struct host {
	struct address address;
	uint64_t used;
};

struct capture_diagram {
	bool waiting; /* the first arrows gather */
	bool headed;
	unsigned hosts, arrows;
	uint64_t uses;
	struct host host[HOSTS];
	struct arrow arrow[ARROWS];
};

int capture_diagram_begin(struct capture *c)
{
	struct capture_diagram *d;

	if (!c->given->diagram)
		return 0;
	d = c->diagram = calloc(1, sizeof(*d));
	if (d == NULL)
		return say_error(SAY_RUN, "capture", ERR_MEMORY);
	d->waiting = !c->eager;
	return 0;
}

/* The address alone, or that of the card. */
static void set_host(struct address *a, const struct address *ip, const uint8_t *mac)
{
	*a = *ip;
	a->port = 0;
	if (a->family != ADDRESS_NONE || mac == NULL)
		return;
	a->family = FAMILY_MAC;
	memcpy(a->ip, mac, FRAME_MAC_BYTES);
}

static void put_host(struct text *t, const struct address *a)
{
	if (a->family == FAMILY_MAC)
		frame_put_mac(t, a->ip);
	else if (a->family == ADDRESS_NONE)
		text_put_byte(t, '?');
	else if (a->port != 0)
		address_put(t, a);
	else
		address_put_ip(t, a);
}

static bool is_host(const struct address *a, const struct address *b)
{
	return a->family == b->family && a->port == b->port && memcmp(a->ip, b->ip, 16) == 0;
}

static void set_ends(struct arrow *a, const struct frame *f)
{
	set_host(&a->from, &f->source, f->source_mac);
	set_host(&a->to, &f->target, f->target_mac);
	a->everyone = f->everyone;
	if (!is_host(&a->from, &a->to))
		return;
	a->from.port = f->source.port;
	a->to.port = f->target.port;
}

/* In front of the rest, which may be cut. */
static const char *mark_of(const struct conversation_view *view)
{
	if (view != NULL && view->order == REASSEMBLY_AGAIN)
		return N_("(sent again) ");
	if (view != NULL && view->order == REASSEMBLY_AHEAD)
		return N_("(ahead of its turn) ");
	return NULL;
}

/* Programs read it in English in every language. */
static void put_label(struct text *t, const struct frame *f, const struct conversation_view *view,
		      bool translated)
{
	enum exchange_look look = f->kind == FRAME_TCP ? exchange_look(f->payload) : EXCHANGE_NONE;
	const char *mark = mark_of(view), *bytes = translated ? _("bytes") : "bytes";

	if (mark != NULL)
		text_put_string(t, translated ? _(mark) : mark);
	if (look == EXCHANGE_REQUEST || look == EXCHANGE_RESPONSE) {
		struct bytes line = bytes_strip(f->payload);

		line = bytes_strip(bytes_first(line, bytes_find_byte(line, '\n')));
		if (line.len > LABEL_BYTES / 8) {
			line.len = LABEL_BYTES / 8;
			line.len -= text_utf8_incomplete_tail(line);
		}
		text_put_visible(t, line, false);
		text_printf(t, ", %zu %s", f->payload_bytes, bytes);
	} else
		frame_put_line(t, f, view != NULL && view->begun[0] ? view->base[0] : 0,
			       view != NULL && view->begun[1] ? view->base[1] : 0, bytes);
}

/* Which lifeline, made where there is none. A new one means a new heading. */
static unsigned find_host(struct capture_diagram *d, const struct address *a)
{
	unsigned oldest = 0;

	for (unsigned i = 0; i < d->hosts; i++) {
		if (is_host(&d->host[i].address, a)) {
			d->host[i].used = ++d->uses;
			return i;
		}
		if (d->host[i].used < d->host[oldest].used)
			oldest = i;
	}
	if (d->hosts < HOSTS)
		oldest = d->hosts++;
	d->host[oldest] = (struct host){*a, ++d->uses};
	d->headed = false;
	return oldest;
}

static unsigned column_of(const struct capture_diagram *d, unsigned host)
{
	return d->hosts < 2 ? 0 : host * ((PICTURE_COLUMNS - 1) / (d->hosts - 1));
}

static void print_legend(const struct capture_diagram *d)
{
	size_t columns = 0;

	for (unsigned i = 0; i < d->hosts; i++) {
		char name[ADDRESS_TEXT_BYTES];
		struct text t = TEXT_OVER(name);

		put_host(&t, &d->host[i].address);
		if (columns > 0 && columns + t.len + 6 > LINE_COLUMNS) {
			fputc('\n', stdout);
			columns = 0;
		}
		columns += (size_t)printf("  %c %s", 'A' + (int)i, name);
	}
	fputc('\n', stdout);
}

static void print_heading(struct capture_diagram *d)
{
	unsigned column = 0;

	print_legend(d);
	printf("%7s %11s  ", _("frame"), _("seconds"));
	for (unsigned i = 0; i < d->hosts; i++) {
		for (; column < column_of(d, i); column++)
			fputc(' ', stdout);
		fputc('A' + (int)i, stdout);
		column++;
	}
	fputc('\n', stdout);
	d->headed = true;
}

/* What stands in one column of an arrow's line. */
static const char *cell_of(const struct capture_diagram *d, unsigned column, unsigned from,
			   unsigned to, bool everyone)
{
	unsigned last = column_of(d, d->hosts - 1);
	unsigned low = everyone ? 0 : from < to ? from : to;
	unsigned high = everyone ? last : from < to ? to : from;
	bool is_life = false;

	for (unsigned i = 0; i < d->hosts; i++)
		is_life = is_life || column_of(d, i) == column;
	if (column == from && (everyone || from == to))
		return "●";
	if (column < low || column > high || (!everyone && (column == from || column == to)))
		return is_life ? "│" : " ";
	if (everyone && (column == 0 || column == last))
		return column == 0 ? "◀" : "▶";
	if (!everyone && column + 1 == to)
		return "▶";
	if (!everyone && column == to + 1)
		return "◀";
	return is_life ? "┼" : "─";
}

static void print_label(const char *label)
{
	struct bytes b = bytes_of_string(label);

	if (text_columns(b) <= TEXT_COLUMNS) {
		fputs(label, stdout);
		return;
	}
	for (unsigned room = TEXT_COLUMNS - 1; room > 0 && b.len > 0; room--) {
		size_t len = text_utf8_sequence(b);

		fwrite(b.data, 1, len > 0 ? len : 1, stdout);
		b = bytes_after(b, len > 0 ? len : 1);
	}
	fputs("…", stdout);
}

static void draw(struct capture *c, const struct arrow *a)
{
	struct capture_diagram *d = c->diagram;
	unsigned from = find_host(d, &a->from), to = a->everyone ? from : find_host(d, &a->to);

	if (!d->headed)
		print_heading(d);
	printf("%7" PRIu64 " %11.6f  ", a->number, capture_seconds(c, a->time_ns));
	for (unsigned column = 0; column <= column_of(d, d->hosts - 1); column++)
		fputs(cell_of(d, column, column_of(d, from), column_of(d, to), a->everyone),
		      stdout);
	fputc(' ', stdout);
	print_label(a->label);
	fputc('\n', stdout);
}

static bool is_drawn(const struct capture_diagram *d, const struct address *a)
{
	for (unsigned i = 0; i < d->hosts; i++)
		if (is_host(&d->host[i].address, a))
			return true;
	return false;
}

/* Whether both of its ends have a lifeline, or still get one without taking another's. */
static bool has_room(const struct capture_diagram *d, const struct arrow *a)
{
	unsigned more = is_drawn(d, &a->from) ? 0 : 1;

	if (!a->everyone && !is_host(&a->from, &a->to) && !is_drawn(d, &a->to))
		more++;
	return d->hosts + more <= HOSTS;
}

static void draw_waiting(struct capture *c)
{
	struct capture_diagram *d = c->diagram;

	d->waiting = false;
	for (unsigned i = 0; i < d->arrows && has_room(d, &d->arrow[i]); i++) {
		find_host(d, &d->arrow[i].from);
		if (!d->arrow[i].everyone)
			find_host(d, &d->arrow[i].to);
	}
	for (unsigned i = 0; i < d->arrows; i++)
		draw(c, &d->arrow[i]);
}

static void say_frame(const struct frames_frame *frame, const struct arrow *a,
		      const struct conversation_view *view)
{
	char from[ADDRESS_TEXT_BYTES], to[ADDRESS_TEXT_BYTES];
	struct text f = TEXT_OVER(from), t = TEXT_OVER(to);
	struct event event;

	put_host(&f, &a->from);
	put_host(&t, &a->to);
	event_init(&event, EVENT_INFO, "capture.frame", NULL, frame->time_ns / 1000);
	event_uint(&event, "frame", frame->number);
	event_uint(&event, "bytes", frame->wire_bytes);
	if (view != NULL)
		event_uint(&event, "conversation", view->number);
	event_string(&event, "source", from);
	event_string(&event, "target", to);
	event_bool(&event, "everyone", a->everyone);
	event_string(&event, "text", a->label);
	say_event(&event);
}

void capture_diagram_frame(struct capture *c, const struct frames_frame *frame,
			   const struct frame *f, const struct conversation_view *view)
{
	struct capture_diagram *d = c->diagram;
	struct arrow *a = &d->arrow[d->waiting ? d->arrows : 0];
	struct text t = TEXT_OVER(a->label);

	a->number = frame->number;
	a->time_ns = frame->time_ns;
	set_ends(a, f);
	put_label(&t, f, view, !c->call->common.json);
	if (c->call->common.json)
		say_frame(frame, a, view);
	else if (!d->waiting)
		draw(c, a);
	else if (++d->arrows == ARROWS)
		draw_waiting(c);
}

void capture_diagram_end(struct capture *c)
{
	if (c->diagram != NULL && c->diagram->waiting)
		draw_waiting(c);
	free(c->diagram);
	c->diagram = NULL;
}
