/* `connect -z`: whether somebody listens, on one port or on several. */
#ifndef COMMAND_PORTS_H
#define COMMAND_PORTS_H

#include "base/address.h"
#include "command/command.h"

/* Tests the ports of `call` (HOST PORT..., HOST:PORT, unix:PATH) in their order, from `source`
 * (family ADDRESS_NONE: any); over UDP silence for `wait_ms` is taken for open. Prints a line for
 * each, or an event `connect.test`. Returns the exit code: of one port its own; of several 0, or 1
 * when one is not open. */
int ports_test(struct command_call *call, const struct address *source, uint64_t wait_ms);

#endif
