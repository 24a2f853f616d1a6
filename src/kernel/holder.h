/* Who holds a port on this machine, as far as /proc tells. */
#ifndef KERNEL_HOLDER_H
#define KERNEL_HOLDER_H

#include "base/address.h"

#include <sys/types.h>

enum { HOLDER_PROGRAM_BYTES = 64 };

struct holder {
	struct address local;
	uint64_t inode;
	uid_t user;
	pid_t pid;                          /* 0: another user's process, which only root may see */
	char program[HOLDER_PROGRAM_BYTES]; /* its name; empty when pid is 0 */
};

/* The socket bound to `port` on `address` (family ADDRESS_NONE: on any) that keeps others from
 * it: listening for TCP, bound for UDP. `proc` is "/proc" but in tests. Blocks (reads /proc); does
 * not touch the port. 0, or ERR_NO_FILE when there is none or nothing can be read. */
int holder_find(const char *proc, const struct address *address, uint16_t port, bool udp,
		struct holder *holder);

#endif
