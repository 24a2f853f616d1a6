/* What becomes of connections, as connect and listen report it: events with --json (conn.open,
 * conn.data, conn.close), lines on stderr with -v, else nothing. */
#ifndef COMMAND_REPORT_H
#define COMMAND_REPORT_H

#include "base/address.h"
#include "command/command.h"

struct report {
	const struct command_call *call;
	uint64_t number; /* of the connection in this process, from 1: `conn` in its events */
	struct address remote, local;
	uint64_t opened_ns; /* boot time */
	bool shown;         /* -v has shown its addresses already */
};

void report_open(const struct report *r);

/* With --json only: what the peer sent, in pieces of 1024 bytes at most, no character cut in two;
 * an empty datagram is an event too. */
void report_data(const struct report *r, struct bytes b);

#define REPORT_UNKNOWN UINT64_MAX

/* `err` 0: it ended as it should. Counts may be REPORT_UNKNOWN. */
void report_close(const struct report *r, int err, uint64_t in_bytes, uint64_t out_bytes,
		  uint64_t now_ns);

#endif
