/* Standard output, written by a thread of its own: whoever has lines for it never waits in write(2)
 * for a reader that sleeps (`| less`), and a command that is told to end does.
 *
 *   lines ──printer_put──► a ring of 1 MiB ──► write(2), in order, whole lines
 */
#ifndef COMMAND_PRINTER_H
#define COMMAND_PRINTER_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum { PRINTER_BYTES = 1 << 20 };

struct printer;

/* 0, ERR_MEMORY, ERR_SYSTEM. */
int printer_start(struct printer **printer);

/* Takes `line`, of PRINTER_BYTES at most, which is written at the latest after printer_flush. Any
 * thread. False when there is no room for it; with `waits` only when there is none and
 * printer_leave was called. What comes behind an error of the descriptor is taken and dropped. */
bool printer_put(struct printer *printer, struct bytes line, bool waits);

/* What was put is to be seen now. Any thread; waits for nothing. */
void printer_flush(struct printer *printer);

/* The error of the descriptor, an errno, or 0. Any thread. */
int printer_error(struct printer *printer);

/* Nobody waits any more in printer_put. Any thread. */
void printer_leave(struct printer *printer);

/* Writes what waits, for `wait_ms` at most, and frees. A reader that sleeps longer has the thread
 * to itself until the process ends. The error, as above. */
int printer_stop(struct printer *printer, uint64_t wait_ms);

#endif
