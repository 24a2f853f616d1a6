/* The keys of the service collect, whose server machine is proto/feed.h's. */
#ifndef PROTO_COLLECT_H
#define PROTO_COLLECT_H

#include "base/option.h"

struct collect_settings {
	uint64_t keep_ms;    /* older changes go; 0: none for their age */
	uint64_t keep_bytes; /* the oldest go when the store is larger; 0: no limit */
	bool log;            /* changes go to the daemon's log too */
};

extern const struct option collect_options[];

#endif
