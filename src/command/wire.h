/* -v: the wire as it was, on stderr: who sent, when since the start, hex and text. */
#ifndef COMMAND_WIRE_H
#define COMMAND_WIRE_H

#include "base/address.h"

/* From now on time is counted from here. */
void wire_begin(void);

/* `-> 0.000123 127.0.0.1:40312 -> 127.0.0.1:7013` for each end of a connection. */
void wire_connected(const struct address *local, const struct address *remote);
void wire_closed(const struct address *remote, const char *why);

/* Bytes that were sent or received, 16 a line. `service` and `remote` may be NULL. Any thread. */
void wire_bytes(const char *service, const struct address *remote, bool sent, struct bytes b);

/* The same of an earlier moment. */
void wire_bytes_at(const char *service, const struct address *remote, bool sent, struct bytes b,
		   uint64_t boot_ns);

#endif
