/* Role: what its hub (role_hub.h), its server machine (role_server.c) and its client
 * machine (role_client.c) share. docs/protocols/role.md has the bytes and the proof of the lease
 * rule. */
#ifndef PROTO_ROLE_H
#define PROTO_ROLE_H

#include "base/number.h"
#include "base/text.h"
#include "proto/machine.h"

enum {
	ROLE_LINE_BYTES = 256, /* longest line either way, LF included */
	ROLE_NAME_BYTES = 64,
	ROLE_PRIORITY_MOST = 1000000,
	ROLE_LEASE_MS = 3000, /* unless configured */
	ROLE_LEASE_LEAST_MS = 100,
	ROLE_LEASE_MOST_MS = 3600000,
	ROLE_BEATS_PER_LEASE = 3,
	ROLE_DRIFT_SHARE = 100, /* a client gives up a 100th of its lease: both clocks' drift */
};

#define ROLE_EPOCH_MOST ((uint64_t)INT64_MAX)

/* The messages. Numbers not named are 0; there is a body only where it says so. The values are
 * fixed: the vectors tell them. */
enum role_kind {
	/* A server's machine to the hub. */
	ROLE_JOIN = 1,  /* it stands, and wants its word */
	ROLE_NAME = 2,  /* it is structured from now on: priority; body: its name */
	ROLE_BEAT = 3,  /* N */
	ROLE_BYE = 4,   /* it stopped its work and leaves */
	ROLE_LEAVE = 5, /* it left any other way; the holder says so too when a machine is closed */

	/* The hub to a machine. */
	ROLE_WORD_PRINCIPAL = 10, /* say the plain word */
	ROLE_WORD_SECONDAIRE = 11,
	ROLE_LINE_PRINCIPAL = 12, /* say the line: epoch, position, members, lease in ms */
	ROLE_LINE_SECONDAIRE = 13,
	ROLE_BEATEN = 14, /* answer a beat: N, epoch, lease in ms */
	ROLE_FULL = 15,   /* no place: refuse and end */

	/* The hub to its owner, and back. */
	ROLE_PERSIST = 20,   /* put a record on disk, durably: epoch, lease in ms, request number */
	ROLE_PERSISTED = 21, /* it is there: request number, 0; or it may not be: number, -ERR_ */

	/* A client's machine to its owner: 1 when principal else 0, epoch (0: unknown), until when
	 * in boot_ns (MOMENT_NEVER without a lease), 1 when structured else 0. */
	ROLE_BECAME = 30,
	ROLE_RENEWED = 31, /* still principal, for longer */
	ROLE_LOST = 32,    /* the time ran out; an answer on its way may still bring BECAME */
	ROLE_UNSURE = 33,  /* the server left before it was known whether it is a plain one */

	/* The owner to its client machine. */
	ROLE_STOPPED = 40, /* say bye: the work is stopped, whatever is told from now on */
};

/* What the disk remembers. It is replaced as a whole (temporary name, fsync, rename, fsync of the
 * directory) and belongs to one server at a time. */
struct role_record {
	uint64_t epoch;    /* the newest that was promised to nobody else; 0: none ever was */
	uint64_t lease_ms; /* a lease of this length may be outstanding; 0: none is */
};

/* The longest record with its LF. */
#define ROLE_RECORD_BYTES 48

/* `epoch=7 lease=3000` or `epoch=7 lease=none`, with LF. */
void role_record_put(struct text *t, const struct role_record *record);

/* Parses exactly what role_record_put writes. 0, or ERR_SYNTAX (a torn record, too). Whoever gets
 * an error must not go on as if there were no record: an epoch could be given twice. */
int role_record_parse(struct bytes b, struct role_record *record);

/* 1 to ROLE_NAME_BYTES bytes of UTF-8 without spaces or control characters. */
bool role_name_valid(struct bytes name);

/* Takes `word` from the front of `rest`. False, with `rest` as it was, when something else is. */
bool role_take(struct bytes *rest, struct bytes word);

/* Takes `KEY=VALUE` from the front of `rest`, and the one space behind it when more follows. A
 * value is not empty. False, with `rest` as it was, when something else stands there. */
bool role_take_field(struct bytes *rest, const char *key, struct bytes *value);

/* The same for a decimal number up to `most`. False when it is no such number. */
bool role_take_number(struct bytes *rest, const char *key, uint64_t most, uint64_t *value);

/* Settings of the server: `eol` is the machine's, `lease_ms` is for whoever makes the hub. */
struct role_settings {
	int eol; /* enum role_eol */
	uint64_t lease_ms;
};

enum role_eol { ROLE_EOL_NONE, ROLE_EOL_LF };

/* Settings of the client. */
struct role_client_settings {
	const char *name;
	uint64_t priority;
	int mode; /* enum role_client_mode */
};

enum role_client_mode {
	ROLE_CLIENT_AUTO,       /* asks for structure; a server that only says words is plain */
	ROLE_CLIENT_STRUCTURED, /* the server is known to be structured: words count for nothing */
	ROLE_CLIENT_PLAIN,      /* sends nothing, ever */
};

/* How long a client in ROLE_CLIENT_AUTO waits for a structured line after the first word. */
#define ROLE_PATIENCE_NS (2 * MOMENT_S)

/* Events.
 * role.change  server: peer role structured [name epoch position members]
 *              client: role structured [epoch]
 * role.lost    client: epoch; the lease ran out unanswered
 * role.refused server: peer why; client: why
 * role.disk    server: ok error; the disk refuses the epoch, so nobody structured is appointed; and
 *              once more with ok=true when it takes it */
extern const struct machine role_machine;
extern const struct machine role_client_machine;

#endif
