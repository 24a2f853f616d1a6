/* daytime, both sides (RFC 867).
 *
 *   client                                                      server
 *     │ ── connect ─────────────────────────────────────────────► │
 *     │ ◄─ Monday, February 22, 1982 17:37:43-UTC CR LF, FIN ──── │
 *
 *     │ ── any datagram, the empty one too ─────────────────────► │
 *     │ ◄─ the same line ──────────────────────────────────────── │
 *
 * The RFC fixes no syntax; the line is the first that it shows, always in UTC and in English, the
 * day of the month not padded. `format = nist` answers as NIST's servers do
 * (https://www.nist.gov/pml/time-and-frequency-division/time-services, "daytime protocol"):
 *
 *     LF JJJJJ YR-MO-DA HH:MM:SS TT L H msADV UTC(prise) SP * SP LF
 *
 * JJJJJ is the modified Julian date. TT tells American summer time, which a server that knows only
 * UTC leaves at 00; L, a coming leap second, and H, the clock's health, stay at 0; msADV, by how
 * much the answer runs ahead to make up for the network, is 000.0, for it does not. */
#include "proto/daytime.h"

#define N_(s) s

enum { DAYTIME_MJD_1970 = 40587, DAYTIME_DAY_S = 86400 };

enum daytime_format { DAYTIME_RFC867, DAYTIME_NIST };

struct daytime_settings {
	int format; /* enum daytime_format */
};

/* Whole `unit`s in `value`, rounded down, below zero too. */
static int64_t whole(int64_t value, int64_t unit)
{
	return value / unit - (value % unit < 0);
}

static void put_rfc867(struct out *out, int64_t wall_s)
{
	static const char *const weekdays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
					       "Thursday", "Friday", "Saturday"};
	static const char *const months[] = {"January",   "February", "March",    "April",
					     "May",       "June",     "July",     "August",
					     "September", "October",  "November", "December"};
	struct moment_date d = moment_date_of(wall_s);

	out_printf(out, "%s, %s %d, %lld %02d:%02d:%02d-UTC\r\n", weekdays[d.weekday],
		   months[d.month - 1], d.day, (long long)d.year, d.hour, d.minute, d.second);
}

static void put_nist(struct out *out, int64_t wall_s)
{
	struct moment_date d = moment_date_of(wall_s);
	int year = (int)((d.year % 100 + 100) % 100);

	out_printf(out, "\n%05lld %02d-%02d-%02d %02d:%02d:%02d 00 0 0 000.0 UTC(prise) * \n",
		   (long long)(whole(wall_s, DAYTIME_DAY_S) + DAYTIME_MJD_1970), year, d.month,
		   d.day, d.hour, d.minute, d.second);
}

static void put_answer(const struct peer *peer, struct out *out, const struct moment *now)
{
	const struct daytime_settings *settings = peer->settings;
	int64_t wall_s = whole(now->wall_us, 1000000);

	if (settings->format == DAYTIME_NIST)
		put_nist(out, wall_s);
	else
		put_rfc867(out, wall_s);
}

static void daytime_open(void *m, const struct peer *peer, struct out *out,
			 const struct moment *now)
{
	put_answer(peer, out, now);
	out_end(out);
}

static void daytime_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			     const struct moment *now)
{
	put_answer(from, out, now);
}

static const struct option daytime_options[] = {
	{.name = "format",
	 .type = OPTION_CHOICE,
	 .argument = "FORMAT",
	 .offset = offsetof(struct daytime_settings, format),
	 .fallback = "rfc867",
	 .choices = "rfc867 nist",
	 .help = N_("how the time is written")},
	OPTION_END,
};

const struct machine daytime_machine = {
	.name = "daytime",
	.settings = daytime_options,
	.settings_bytes = sizeof(struct daytime_settings),
	.open = daytime_open,
	.datagram = daytime_datagram,
};

/* The client collects until the peer's end. */
struct daytime_client {
	size_t len;
	uint8_t answer[DAYTIME_ANSWER_BYTES];
};

static void client_report(struct bytes answer, struct out *out, const struct moment *now)
{
	struct bytes text = bytes_strip(answer);

	if (text.len == 0) {
		out_abort(out, ERR_LEFT);
		return;
	}
	event_text(out_event(out, now, EVENT_INFO, "daytime.answer"), "text", text);
	out_end(out);
}

static size_t client_feed(void *m, struct bytes in, struct out *out, const struct moment *now)
{
	struct daytime_client *c = m;

	if (in.len > sizeof c->answer - c->len) {
		out_abort(out, ERR_TOO_LONG);
		return in.len;
	}
	memcpy(c->answer + c->len, in.data, in.len);
	c->len += in.len;
	return in.len;
}

static void client_eof(void *m, struct out *out, const struct moment *now)
{
	struct daytime_client *c = m;

	client_report(bytes_of(c->answer, c->len), out, now);
}

static void client_datagram(void *m, const struct peer *from, struct bytes in, struct out *out,
			    const struct moment *now)
{
	if (in.len > DAYTIME_ANSWER_BYTES)
		out_abort(out, ERR_TOO_LONG);
	else
		client_report(in, out, now);
}

const struct machine daytime_client_machine = {
	.name = "daytime_client",
	.state_bytes = sizeof(struct daytime_client),
	.feed = client_feed,
	.eof = client_eof,
	.datagram = client_datagram,
};
