/* Content codings taken off: gzip and deflate (RFC 9110 8.4.1), by zlib, piece by piece. */
#ifndef COMMAND_DECODE_H
#define COMMAND_DECODE_H

#include "base/bytes.h"

enum decode_coding { DECODE_NONE, DECODE_GZIP, DECODE_DEFLATE, DECODE_UNKNOWN };

/* What the value of a Content-Encoding field names; DECODE_UNKNOWN also for more than one. */
enum decode_coding decode_coding(struct bytes value);

struct decode;

/* `most_bytes`: more than this is refused when it is also more than DECODE_RATIO times what came.
 * 0 or ERR_MEMORY. */
enum { DECODE_RATIO = 100 };
int decode_create(struct decode **decode, enum decode_coding coding, uint64_t most_bytes);
void decode_destroy(struct decode *decode);

/* Hands what `b` decodes to to `sink`, whose error it returns; ERR_PROTOCOL for what does not
 * decode, ERR_TOO_LONG above the limit, ERR_MEMORY. */
int decode_put(struct decode *decode, struct bytes b, int (*sink)(void *owner, struct bytes b),
	       void *owner);

/* Whether the coded content was whole. */
bool decode_is_whole(const struct decode *decode);

#endif
