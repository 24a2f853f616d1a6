/* What the files of the snapshots share: how JSON is put, and what each writes. Private to them. */
#ifndef DAEMON_SNAPSHOT_PARTS_H
#define DAEMON_SNAPSHOT_PARTS_H

#include "daemon/daemon_parts.h"

enum { SNAPSHOT_TEXT_BYTES = 1 << 20 };

/* One connection of the list that is asked for. */
struct snapshot_row {
	const char *service;
	struct pump_view view;
};

/* `"NAME":` with a comma before it unless it is the first of its object. */
void snapshot_put_name(struct text *t, const char *name);
void snapshot_put_string(struct text *t, const char *name, const char *value);
void snapshot_put_number(struct text *t, const char *name, uint64_t value);
void snapshot_put_bool(struct text *t, const char *name, bool value);
void snapshot_put_time(struct text *t, const char *name, int64_t wall_us);
void snapshot_put_address(struct text *t, const char *name, const struct address *address);

/* First thread. */
void snapshot_put_status(struct text *t, const struct daemon *d);
void snapshot_put_metrics(struct text *t, const struct daemon *d);

/* The rows, newest first, from `offset` on; `total` of how many. The boot clock's zero was at
 * `boot_wall_us`. */
void snapshot_put_connections(struct text *t, const struct snapshot_row *rows, unsigned count,
			      uint64_t offset, uint64_t total, int64_t boot_wall_us);

#endif
