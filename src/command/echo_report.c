/* What `prise echo` prints: a line for each round, and the summary. */
#include "command/echo_parts.h"
#include "command/publish.h"
#include "command/say.h"

bool echo_is_udp(const struct echo *e)
{
	return e->client.call->common.udp;
}

static unsigned long long echo_field(const struct event *event, const char *name)
{
	return event_find(event, name)->u;
}

void echo_end_line(struct echo *e)
{
	if (e->show.begun)
		show_text(&e->show, BYTES_LITERAL("\n"));
}

static void echo_print_round(const struct echo *e, const struct event *event)
{
	const struct event_field *late = event_find(event, "reordered");

	if (e->client.call->common.quiet)
		return;
	printf(_("%llu bytes from %s: round=%llu time=%.3f ms%s\n"), echo_field(event, "bytes"),
	       e->from, echo_field(event, "round"), (double)echo_field(event, "rtt_us") / 1000,
	       late && late->u ? _(" (after a later one)") : "");
}

/* A datagram may be no round of ours at all. */
static void echo_print_different(const struct echo *e, const struct event *event)
{
	const struct event_field *at = event_find(event, "at");
	unsigned long long round = echo_field(event, "round");

	if (at)
		printf(_("from %s: round=%llu is different from offset %llu on\n"), e->from, round,
		       (unsigned long long)at->u);
	else if (round)
		printf(_("from %s: round=%llu came back different\n"), e->from, round);
	else
		printf(_("from %s: something came that is no round\n"), e->from);
}

/* Of a text what comes is printed as it comes, and what is wrong with it at the end. */
void echo_print(struct echo *e, const struct event *event)
{
	if (e->settings.text)
		return;
	if (strcmp(event->type, "echo.round") == 0)
		echo_print_round(e, event);
	else if (strcmp(event->type, "echo.different") == 0)
		echo_print_different(e, event);
	else if (strcmp(event->type, "echo.duplicate") == 0)
		printf(_("from %s: round=%llu came back once more\n"), e->from,
		       echo_field(event, "round"));
	else
		printf(_("from %s: round=%llu failed: %.*s\n"), e->from, echo_field(event, "round"),
		       (int)event_field_text(event, event_find(event, "text")).len,
		       (const char *)event_field_text(event, event_find(event, "text")).data);
}

void echo_note_peer(struct echo *e)
{
	struct text from = TEXT_OVER(e->from);

	address_put(&from, &e->client.remote);
}

/* How many rounds went out. Over TCP one is under way unless it is not yet time for it. */
static uint64_t echo_sent(const struct echo *e)
{
	uint64_t back = e->rtt_us.count;

	if (echo_is_udp(e))
		return e->rounds.sent;
	return back +
	       (back != e->settings.count && loop_now(e->client.loop)->boot_ns >= e->next_ns);
}

/* Over TCP the first that is different is the last. */
static uint64_t echo_different(const struct echo *e)
{
	return echo_is_udp(e) ? e->rounds.different : e->different;
}

/* Neither back nor, over TCP, different; over UDP what is different may be no round of ours. */
static uint64_t echo_lost(const struct echo *e, uint64_t sent, uint64_t back)
{
	return sent - back - (!echo_is_udp(e) && e->different && sent > back);
}

static void echo_summary_event(const struct echo *e, uint64_t sent, uint64_t back)
{
	struct event event;

	event_init(&event, EVENT_INFO, "echo.summary", "echo", say_now_us());
	event_uint(&event, "sent", sent);
	event_uint(&event, "back", back);
	event_uint(&event, "lost", echo_lost(e, sent, back));
	if (back > 0) {
		event_uint(&event, "min_us", e->rtt_us.least);
		event_uint(&event, "median_us", histogram_quantile(&e->rtt_us, 500));
		event_uint(&event, "p99_us", histogram_quantile(&e->rtt_us, 990));
		event_uint(&event, "max_us", e->rtt_us.most);
	}
	if (echo_is_udp(e)) {
		event_uint(&event, "reordered", e->rounds.reordered);
		event_uint(&event, "duplicates", e->rounds.duplicates);
	}
	event_uint(&event, "different", echo_different(e));
	publish_and_say(e->client.call, &event);
}

static double echo_quantile_ms(const struct echo *e, unsigned per_mille)
{
	return (double)histogram_quantile(&e->rtt_us, per_mille) / 1000;
}

void echo_summary(const struct echo *e)
{
	uint64_t sent = echo_sent(e), back = e->rtt_us.count, lost = echo_lost(e, sent, back);

	echo_summary_event(e, sent, back);
	if (e->client.call->common.json)
		return;
	printf(_("%s%s: %llu sent, %llu back, %llu lost (%.1f %%)"),
	       e->client.call->common.quiet ? "" : "\n", e->client.where, (unsigned long long)sent,
	       (unsigned long long)back, (unsigned long long)lost,
	       sent ? 100.0 * (double)lost / (double)sent : 0.0);
	if (echo_is_udp(e))
		printf(_(", %llu reordered, %llu duplicates, %llu different"),
		       (unsigned long long)e->rounds.reordered,
		       (unsigned long long)e->rounds.duplicates,
		       (unsigned long long)e->rounds.different);
	else if (e->different)
		printf(_(", %llu different"), 1ull);
	putchar('\n');
	if (back > 0)
		printf(_("round trip: min %.3f ms, median %.3f ms, p99 %.3f ms, max %.3f ms\n"),
		       (double)e->rtt_us.least / 1000, echo_quantile_ms(e, 500),
		       echo_quantile_ms(e, 990), (double)e->rtt_us.most / 1000);
}
