/* What `prise watch` shows: changes on stdout, and on stderr how it is going: on a terminal a line
 * that is written over itself, elsewhere only what is news. */
#include "command/watch.h"

#include <inttypes.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WATCH_TICK_MS = 500, WATCH_PRINT_END_MS = 1000, PATH_COLUMNS_LEAST = 12 };

static void print_event(void *owner, struct bytes line)
{
	struct watch *w = owner;

	printer_put(w->printer, line, false);
	printer_flush(w->printer);
}

/* How many lines are missing here, once there is room again. */
static bool print_gap(struct watch *w)
{
	char line[8 * EVENT_TEXT_BYTES];
	struct text t = TEXT_OVER(line);
	struct event e;

	event_init(&e, EVENT_WARNING, "gap", "watch", say_now_us());
	event_uint(&e, "dropped", w->missed);
	event_uint(&e, "from", w->missed_from);
	event_uint(&e, "to", w->missed_to);
	say_put_event(&t, &e);
	if (!printer_put(w->printer, text_bytes(&t), false))
		return false;
	w->missed = 0;
	return true;
}

void watch_show_change(void *owner, const struct change *change, uint64_t seq)
{
	struct watch *w = owner;
	struct text t = TEXT_OVER(w->line);

	if (w->call->common.json)
		change_put_json(&t, change, w->host, NULL, w->given->local ? 0 : seq);
	else
		change_put_line(&t, change, NULL, w->utc_offset_s);
	if ((w->missed == 0 || print_gap(w)) &&
	    printer_put(w->printer, text_bytes(&t), w->given->local))
		return;
	if (w->missed++ == 0)
		w->missed_from = seq;
	w->missed_to = seq;
}

void watch_show_rested(void *owner)
{
	struct watch *w = owner;

	printer_flush(w->printer);
}

/* The tree, or how many there are, within so many columns: of a long path the end. */
static void put_trees(struct text *t, const struct watch *w, size_t columns)
{
	char shown[4 * PATH_MAX];
	struct text path = TEXT_OVER(shown);
	struct bytes b;

	if (w->roots > 1) {
		text_printf(t, _("%u trees"), w->roots);
		return;
	}
	text_put_visible(&path, bytes_of_string(w->root[0]), false);
	b = text_bytes(&path);
	if (text_columns(b) > columns) {
		text_put_string(t, "…");
		b = text_last_columns(b, columns - 1);
	}
	text_put(t, b);
}

static void put_ways(struct text *t, const struct watch *w, const struct watch_view *view)
{
	bool in_doubt = false;

	text_printf(t, " (%s", source_way_name(view->tree[0].way));
	for (unsigned i = 0; i < w->roots; i++) {
		in_doubt = in_doubt || view->tree[i].in_doubt;
		if (i > 0 && view->tree[i].way != view->tree[i - 1].way)
			text_printf(t, ", %s", source_way_name(view->tree[i].way));
	}
	text_put_string(t, in_doubt ? _(", looking at everything)") : ")");
}

static void put_server(struct text *t, const struct watch *w, const struct watch_view *view)
{
	if (w->given->local)
		return;
	text_printf(t, _(" · spool %" PRIu64), view->waiting);
	if (view->full)
		text_put_string(t, _(" (full)"));
	text_printf(t, " · %s ", w->client.where);
	if (w->server != WATCH_SENDING)
		text_put_string(t, _("away"));
	else if (view->waiting == 0)
		text_put_string(t, _("has all"));
	else
		text_put_string(t, _("connected"));
}

static size_t terminal_columns(void)
{
	struct winsize size = {0};

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* What fits the terminal: a line that wraps could not be written over. */
static void show_line(struct watch *w, const struct watch_view *view, uint64_t now_ns)
{
	char rest[512], line[1024];
	struct text r = TEXT_OVER(rest), t = TEXT_OVER(line);
	double seconds = (double)(now_ns - w->tick_ns) / (double)MOMENT_S;
	size_t width = terminal_columns() - 1, columns;
	struct bytes b;

	put_ways(&r, w, view);
	text_printf(&r, _(" · entries: %" PRIu64 " · %.0f changes/s"), view->entries,
		    seconds > 0 ? (double)(view->changes - w->tick_changes) / seconds : 0.0);
	put_server(&r, w, view);
	columns = text_columns(text_bytes(&r));
	put_trees(&t, w,
		  columns + PATH_COLUMNS_LEAST < width ? width - columns : PATH_COLUMNS_LEAST);
	text_put(&t, text_bytes(&r));
	b = text_first_columns(text_bytes(&t), width);
	fprintf(stderr, "\r\033[K%.*s", (int)b.len, (const char *)b.data);
	fflush(stderr);
	w->shown = true;
}

static void clear_line(void *owner)
{
	struct watch *w = owner;

	if (w->shown)
		fputs("\r\033[K", stderr);
	w->shown = false;
}

static void say_unwatched(const struct watch *w, unsigned i, const struct watch_tree_view *tree)
{
	if (tree->unwatched_err == ERR_FULL)
		say_warning(
			_("%s: the limit of watches is reached; what is beyond it is looked "
			  "at from time to time. Try: sysctl fs.inotify.max_user_watches=1048576"),
			w->root[i]);
	else
		say_warning(_("%s: some directories cannot be watched (%s)"), w->root[i],
			    _(err_text(tree->unwatched_err)));
}

static void say_tree(struct watch *w, unsigned i, const struct watch_tree_view *tree)
{
	if (tree->gone && !w->said_gone[i])
		say_warning(_("%s is gone: waiting for it to return"), w->root[i]);
	else if (!tree->gone && w->said_gone[i])
		say_note(_("%s has returned"), w->root[i]);
	w->said_gone[i] = tree->gone;
	if (tree->unwatched > 0 && w->said_unwatched[i] != tree->unwatched_err)
		say_unwatched(w, i, tree);
	w->said_unwatched[i] = tree->unwatched > 0 ? tree->unwatched_err : 0;
}

static void say_disk(struct watch *w, const struct watch_view *view)
{
	if (view->disk_err != 0 && view->disk_err != w->said_disk_err)
		say_warning(_("%s: %s; changes are not lost: it is tried again, then everything is "
			      "looked at"),
			    w->state, _(err_text(view->disk_err)));
	w->said_disk_err = view->disk_err;
	if (view->full && !w->said_full)
		say_warning(_("the spool is full: what changes from now on is found by a rescan"));
	w->said_full = view->full;
}

/* What a person should know, once each time. */
static void say_news(struct watch *w, const struct watch_view *view)
{
	bool news = view->disk_err != w->said_disk_err || view->full != w->said_full;

	for (unsigned i = 0; i < w->roots; i++)
		news = news || view->tree[i].gone != w->said_gone[i] ||
		       (view->tree[i].unwatched > 0 &&
			view->tree[i].unwatched_err != w->said_unwatched[i]);
	if (!news)
		return;
	say_disk(w, view);
	for (unsigned i = 0; i < w->roots; i++)
		say_tree(w, i, &view->tree[i]);
}

static void tick(struct wheel_timer *timer, void *context)
{
	struct watch *w = (struct watch *)((char *)timer - offsetof(struct watch, tick));
	uint64_t now_ns = loop_now(w->loop)->boot_ns;
	struct watch_view view;

	if (w->printer != NULL && printer_error(w->printer) != 0) {
		watch_end(w, 0);
		return;
	}
	watch_engine_view(w->engine, &view);
	w->utc_offset_s = loop_now(w->loop)->utc_offset_s;
	say_news(w, &view);
	if (w->terminal)
		show_line(w, &view, now_ns);
	w->tick_changes = view.changes;
	w->tick_ns = now_ns;
	loop_arm(w->loop, timer, now_ns + WATCH_TICK_MS * MOMENT_MS);
}

int watch_print_begin(struct watch *w)
{
	int err = printer_start(&w->printer);

	if (err == 0)
		say_through(print_event, w);
	return err;
}

void watch_print_end(struct watch *w)
{
	if (w->printer == NULL)
		return;
	say_through(NULL, NULL);
	say_stdout_failed(printer_stop(w->printer, WATCH_PRINT_END_MS));
}

void watch_show_begin(struct watch *w)
{
	const struct moment *now = loop_now(w->loop);

	w->terminal = isatty(STDERR_FILENO) == 1 && !w->call->common.quiet &&
		      !w->call->common.verbose &&
		      !((w->given->local || w->call->common.json) && isatty(STDOUT_FILENO));
	w->tick_ns = now->boot_ns;
	w->utc_offset_s = now->utc_offset_s;
	w->tick.due = tick;
	say_over(clear_line, w);
	loop_arm(w->loop, &w->tick, now->boot_ns + WATCH_TICK_MS * MOMENT_MS);
}

void watch_show_end(struct watch *w)
{
	if (w->tick.due != NULL)
		loop_disarm(w->loop, &w->tick);
	clear_line(w);
	say_over(NULL, NULL);
}
