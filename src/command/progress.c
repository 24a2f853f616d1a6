/* A line that is written over itself, twice a second. */
#include "command/progress.h"

#include "base/text.h"
#include "command/command.h"

#include <inttypes.h>
#include <unistd.h>

enum { PROGRESS_FIRST_MS = 1000, PROGRESS_NEXT_MS = 500 };

static void progress_put_size(struct text *t, double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	unsigned unit = 0;

	for (; bytes >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
		bytes /= 1024;
	text_printf(t, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void progress_show(struct progress *p, double seconds)
{
	double done = (double)p->done_bytes(p->owner), rate = done / seconds;
	char line[160];
	struct text t = TEXT_OVER(line);

	if (p->things) {
		text_printf(&t, "%.0f  %.0f/s", done, rate);
	} else {
		progress_put_size(&t, done);
		text_put_string(&t, "  ");
		progress_put_size(&t, rate);
		text_put_string(&t, "/s");
	}
	if (p->total_bytes && done > 0) {
		double left_s = ((double)p->total_bytes - done) / rate;
		uint64_t left = left_s > 0 ? (uint64_t)left_s : 0;

		text_printf(&t, _("  %.0f %%  %" PRIu64 ":%02u left"),
			    done * 100 / (double)p->total_bytes, left / 60, (unsigned)(left % 60));
	}
	fprintf(stderr, "\r\033[K%s", line);
	fflush(stderr);
	p->shown = true;
}

static void progress_due(struct wheel_timer *timer, void *context)
{
	struct progress *p = (struct progress *)((char *)timer - offsetof(struct progress, timer));
	uint64_t now_ns = loop_now(p->loop)->boot_ns;

	progress_show(p, (double)(now_ns - p->start_ns) / (double)MOMENT_S);
	loop_arm(p->loop, timer, now_ns + PROGRESS_NEXT_MS * MOMENT_MS);
}

void progress_begin(struct progress *p, struct loop *loop)
{
	if (!isatty(STDERR_FILENO))
		return;
	p->loop = loop;
	p->start_ns = loop_now(loop)->boot_ns;
	p->timer.due = progress_due;
	loop_arm(loop, &p->timer, p->start_ns + PROGRESS_FIRST_MS * MOMENT_MS);
}

void progress_end(struct progress *p)
{
	if (p->loop)
		loop_disarm(p->loop, &p->timer);
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}
