/* A change of a watched tree: as a value, as the record of the feed (docs/protocols/
 * feed.md), and as an event (docs/events.md, `watch.*`).
 *
 * Replayed in order, the changes of one client give its trees:
 *
 *   create   `path` is there now; nothing was
 *   modify   it has this size, time and mode now
 *   attrib   the same, and its content is what it was
 *   move     what stood at `from`, with all below it, stands at `path`, in the place of what may
 *            have stood there (a file, or a directory with nothing in it)
 *   delete   it is gone; of a directory each thing in it was deleted before
 *   gap      what happened at `path` and below is in doubt since the last event: `why`. With
 *            `reset` whoever replays forgets what stands below `path`, itself included. What
 *            follows settles it
 *   settled  the doubt about `path` is over */
#ifndef PROTO_CHANGE_H
#define PROTO_CHANGE_H

#include "base/text.h"

enum change_type {
	CHANGE_CREATE = 1,
	CHANGE_MODIFY,
	CHANGE_DELETE,
	CHANGE_MOVE,
	CHANGE_ATTRIB,
	CHANGE_GAP,
	CHANGE_SETTLED,
	CHANGE_TYPES /* one past the last */
};

/* What stands there; CHANGE_NOTHING in gap and settled, and in records of the plain dialect. */
enum change_kind {
	CHANGE_NOTHING,
	CHANGE_FILE,
	CHANGE_DIRECTORY,
	CHANGE_LINK,  /* symbolic */
	CHANGE_OTHER, /* device, pipe, socket */
	CHANGE_KINDS  /* one past the last */
};

enum {
	CHANGE_PATH_BYTES = 16384, /* a longer path is told as a gap of the directory that fits */
	CHANGE_NAME_BYTES = 255,   /* NAME_MAX */
	CHANGE_DIGEST_BYTES = 32,
	CHANGE_WORD_BYTES = 255, /* program, user, why */
	/* Room for any record: its fixed part, two paths, three words. */
	CHANGE_RECORD_BYTES = 128 + 2 * CHANGE_PATH_BYTES + 3 * CHANGE_WORD_BYTES,
	/* Room for any change as JSON: paths all escaped and once more in base64. */
	CHANGE_JSON_BYTES = 2048 + 2 * (8 * CHANGE_PATH_BYTES) + 3 * 8 * CHANGE_WORD_BYTES,
};

struct change {
	uint8_t type, kind; /* enum change_type, enum change_kind */
	bool reset;         /* gap */
	bool hashed;
	int64_t time_us;   /* when it was seen, wall */
	struct bytes path; /* any bytes but NUL; absolute, or as a plain client said it */
	struct bytes from; /* move; else empty */
	uint64_t size;     /* what stat(2) says: of create, modify, move, attrib */
	int64_t mtime_us;
	uint32_t mode; /* permissions only: 07777 */
	uint64_t inode;
	uint8_t sha256[CHANGE_DIGEST_BYTES]; /* with `hashed` */
	uint32_t pid;                        /* who did it, as far as is known; 0: unknown */
	struct bytes program, user;          /* of that process; may be empty */
	struct bytes why;                    /* gap: overflow, restart, permission, ... one word */
};

/* "create", ...; NULL for no type. */
const char *change_type_name(unsigned type);
/* CHANGE_, or 0 when there is none of that name. */
unsigned change_type_of(struct bytes name);
/* "file", "directory", "link", "other", "". */
const char *change_kind_name(unsigned kind);

/* The record of `c` in `record`, CHANGE_RECORD_BYTES; returns its length. */
size_t change_put(uint8_t *record, const struct change *c);

/* The record at the front of `in`, which must hold all of it: its length, and `c` points into `in`.
 * ERR_PROTOCOL: it is none, or is cut. `why` (may be NULL) is set to what is wrong, static. */
int change_take(struct bytes in, struct change *c, const char **why);

/* The change as an event, one line of JSON with its LF: docs/events.md's time, type, host, service,
 * then client, seq and the fields above, only those that say something. `host` and `client` may be
 * NULL: the service is `collect`, or `watch` without a client. `seq` 0 is left out. */
void change_put_json(struct text *t, const struct change *c, const char *host, const char *client,
		     uint64_t seq);

/* The change as a line for people, with LF, values made visible, local time. */
void change_put_line(struct text *t, const struct change *c, const char *client,
		     int32_t utc_offset_s);

#endif
