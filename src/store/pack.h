/* Packing blocks of records with zstd (RFC 8878), when it pays. */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include "base/bytes.h"

/* Packs `in` into `room` bytes at `to`: the length, or 0 when it does not become smaller by an
 * eighth (then it is to be kept as it is). `context` is made at the first call and kept. */
struct packer;
int packer_create(struct packer **packer);
void packer_destroy(struct packer *packer);
size_t pack(struct packer *packer, struct bytes in, uint8_t *to, size_t room);

/* Unpacks a block that claims to have `len` bytes into as many at `to`. 0, or ERR_PROTOCOL: it is
 * damaged or has another length. Never writes more, whatever the input. */
struct unpacker;
int unpacker_create(struct unpacker **unpacker);
void unpacker_destroy(struct unpacker *unpacker);
int unpack(struct unpacker *unpacker, struct bytes in, uint8_t *to, size_t len);

#endif
