/* Standard input by lines. Watched only while a line is wanted, for the end of a pipe would wake
 * the loop again and again. Sources: read(2), epoll_ctl(2) on EPERM. */
#include "command/lines.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <unistd.h>

static void lines_go(struct lines *l);

void lines_begin(struct lines *l, struct loop *loop)
{
	l->loop = loop;
	l->registration = 0;
	l->wanted = l->ended = l->busy = l->always_ready = false;
	l->from = l->to = 0;
	if (l->line_bytes == 0 || l->line_bytes > LINES_BYTES)
		l->line_bytes = LINES_BYTES;
}

struct bytes lines_left(const struct lines *l)
{
	return bytes_of(l->data + l->from, l->to - l->from);
}

static void lines_finish(struct lines *l, int err)
{
	l->ended = true;
	l->wanted = false;
	l->end(l->owner, err);
}

/* Hands over the next `len` bytes, and drops `drop` behind them. */
static void lines_hand_over(struct lines *l, size_t len, size_t drop, bool whole)
{
	struct bytes line = bytes_first(lines_left(l), len);

	l->from += len + drop;
	l->wanted = false;
	l->line(l->owner, line, whole);
}

/* Hands over a line, or a piece of one too long, if there is one. */
static bool lines_take(struct lines *l)
{
	struct bytes left = lines_left(l);
	size_t len = bytes_find_byte(left, '\n');

	if (len < left.len && len <= l->line_bytes) {
		lines_hand_over(l, len, 1, true);
		return true;
	}
	if (left.len <= l->line_bytes)
		return false;
	left = bytes_first(left, l->line_bytes);
	lines_hand_over(l, left.len - text_utf8_incomplete_tail(left), 0, false);
	return true;
}

/* One read. The last line may lack its end. */
static void lines_read(struct lines *l)
{
	struct bytes left = lines_left(l);
	ssize_t n;

	memmove(l->data, left.data, left.len);
	l->from = 0;
	l->to = left.len;
	n = read(STDIN_FILENO, l->data + l->to, sizeof l->data - l->to);
	if (n > 0)
		l->to += (size_t)n;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		lines_finish(l, err_from_errno(errno));
	else if (n == 0 && left.len > 0)
		lines_hand_over(l, left.len, 0, true);
	else if (n == 0)
		lines_finish(l, 0);
}

static void lines_ready(void *owner, unsigned events)
{
	struct lines *l = owner;

	lines_read(l);
	lines_go(l);
}

static void lines_watch(struct lines *l)
{
	int64_t registration;

	if (l->wanted == (l->registration != 0) || l->always_ready)
		return;
	if (!l->wanted) {
		lines_end(l);
		return;
	}
	registration = loop_add(l->loop, STDIN_FILENO, LOOP_READ, lines_ready, l);
	if (registration > 0)
		l->registration = registration;
	else if (registration == ERR_PERMISSION)
		l->always_ready = true;
	else
		lines_finish(l, (int)registration);
}

/* Serves what is wanted with what there is. A callback that wants the next line at once is served
 * by this same loop, however many there are. */
static void lines_go(struct lines *l)
{
	if (l->busy)
		return;
	l->busy = true;
	while (l->wanted) {
		if (lines_take(l))
			continue;
		lines_watch(l);
		if (!l->always_ready)
			break;
		lines_read(l);
	}
	l->busy = false;
	lines_watch(l);
}

void lines_want(struct lines *l)
{
	if (l->ended)
		return;
	l->wanted = true;
	lines_go(l);
}

void lines_end(struct lines *l)
{
	if (l->registration)
		loop_remove(l->loop, l->registration);
	l->registration = 0;
}
