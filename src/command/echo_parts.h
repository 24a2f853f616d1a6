/* What the three parts of `prise echo` share: the command and TCP (echo.c), UDP (echo_udp.c), and
 * what is printed (echo_report.c). Private to them. */
#ifndef COMMAND_ECHO_PARTS_H
#define COMMAND_ECHO_PARTS_H

#include "base/histogram.h"
#include "command/race.h"
#include "command/show.h"
#include "proto/echo.h"

struct echo_options {
	uint64_t count, interval_ms, size_bytes;
};

struct echo {
	struct client client;
	const struct echo_options *given;
	struct echo_client_settings settings;
	struct show show;
	char from[ADDRESS_TEXT_BYTES];
	bool different;
	uint64_t different_at;
	int signal_number;       /* that ended it, or 0 */
	struct histogram rtt_us; /* of the rounds that came back */

	/* TCP */
	uint64_t silence_ms;
	uint64_t next_ns; /* when the round after the last one that came back begins */
	uint64_t heard_bytes;
	bool over; /* the answer to a text is whole, or wrong */

	/* UDP */
	struct race race;
	struct wheel_timer timer;
	uint64_t tries_ns;     /* for all of a text's tries; 0: no text, or one that is counted */
	uint64_t deadline_ns;  /* for them; MOMENT_NEVER: none */
	struct bytes datagram; /* of the last round, in */
	uint8_t room[ECHO_DATAGRAM_BYTES];
	struct echo_rounds rounds;
};

bool echo_is_udp(const struct echo *e);

/* Sends and receives until all is over. 0, or the ERR_. */
int echo_over_udp(struct echo *e);

/* The peer is known. */
void echo_note_peer(struct echo *e);

/* Prints an event for people. */
void echo_print(struct echo *e, const struct event *event);

/* Ends the line of an answer that was shown. */
void echo_end_line(struct echo *e);

void echo_summary(const struct echo *e);

#endif
