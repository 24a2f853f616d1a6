/* A source by looking: where the kernel does not tell what changes, because others change it
 * (network filesystems) or because no watch is to be had, the tree is listed from time to time. */
#include "kernel/source_parts.h"

static int open_nothing(struct source *s, int root)
{
	(void)s;
	(void)root;
	return 0;
}

static void close_nothing(struct source *s)
{
	(void)s;
}

static int read_nothing(struct source *s, unsigned budget, const struct moment *now)
{
	(void)s;
	(void)budget;
	(void)now;
	return 0;
}

const struct source_kind source_poll = {
	.way = SOURCE_POLL, .open = open_nothing, .close = close_nothing, .read = read_nothing};
