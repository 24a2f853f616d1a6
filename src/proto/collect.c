/* The keys of the service collect. */
#include "proto/collect.h"

#define N_(s) s

const struct option collect_options[] = {
	{.name = "keep",
	 .type = OPTION_DURATION,
	 .argument = "DUR",
	 .offset = offsetof(struct collect_settings, keep_ms),
	 .fallback = "30d",
	 .help = N_("how long a change is kept; 0: for ever")},
	{.name = "keep_size",
	 .type = OPTION_SIZE,
	 .argument = "SIZE",
	 .offset = offsetof(struct collect_settings, keep_bytes),
	 .fallback = "0",
	 .help = N_("the oldest changes go when the store is larger; 0: no limit")},
	{.name = "log",
	 .type = OPTION_FLAG,
	 .offset = offsetof(struct collect_settings, log),
	 .help = N_("changes go to the log too, as many as go to the stream")},
	OPTION_END,
};
