/* gzip (RFC 1952) and deflate (RFC 1950; also RFC 1951 bare, as some servers send it) by zlib.
 *
 * Several gzip members in a row are one content; what follows the last one and is none is left
 * aside. Whether deflate has its wrapper shows in its first two bytes. */
#include "command/decode.h"

#include "base/err.h"

#include <stdlib.h>
#include <zlib.h>

enum { DECODE_PIECE_BYTES = 65536, DECODE_GZIP_BITS = 15 + 16, DECODE_RAW_BITS = -15 };

struct decode {
	enum decode_coding coding;
	uint64_t most_bytes, in_bytes, out_bytes;
	bool begun, ended;
	size_t held; /* of `first` */
	uint8_t first[2];
	z_stream z;
	uint8_t piece[DECODE_PIECE_BYTES];
};

enum decode_coding decode_coding(struct bytes value)
{
	value = bytes_strip(value);
	if (!value.len || bytes_equal_fold(value, BYTES_LITERAL("identity")))
		return DECODE_NONE;
	if (bytes_equal_fold(value, BYTES_LITERAL("gzip")) ||
	    bytes_equal_fold(value, BYTES_LITERAL("x-gzip")))
		return DECODE_GZIP;
	return bytes_equal_fold(value, BYTES_LITERAL("deflate")) ? DECODE_DEFLATE : DECODE_UNKNOWN;
}

int decode_create(struct decode **created, enum decode_coding coding, uint64_t most_bytes)
{
	struct decode *d = calloc(1, sizeof *d);

	if (!d)
		return ERR_MEMORY;
	d->coding = coding;
	d->most_bytes = most_bytes;
	*created = d;
	return 0;
}

void decode_destroy(struct decode *d)
{
	if (!d)
		return;
	if (d->begun)
		inflateEnd(&d->z);
	free(d);
}

static bool has_wrapper(const uint8_t *first)
{
	return (first[0] & 0x0f) == 8 && (first[0] << 8 | first[1]) % 31 == 0;
}

static int decode_begin(struct decode *d)
{
	int bits = d->coding == DECODE_GZIP ? DECODE_GZIP_BITS
		   : has_wrapper(d->first)  ? MAX_WBITS
					    : DECODE_RAW_BITS;

	d->begun = inflateInit2(&d->z, bits) == Z_OK;
	return d->begun ? 0 : ERR_MEMORY;
}

static int decode_error(int status)
{
	switch (status) {
	case Z_OK:
	case Z_STREAM_END:
	case Z_BUF_ERROR: /* wants more */
		return 0;
	case Z_MEM_ERROR:
		return ERR_MEMORY;
	default:
		return ERR_PROTOCOL;
	}
}

static int decode_count(struct decode *d, size_t len)
{
	d->out_bytes += len;
	return d->out_bytes > d->most_bytes && d->out_bytes / DECODE_RATIO > d->in_bytes
		       ? ERR_TOO_LONG
		       : 0;
}

/* One piece of output. Sets `*more` when there may be more of what is there already. */
static int decode_step(struct decode *d, int (*sink)(void *owner, struct bytes b), void *owner,
		       bool *more)
{
	int status, err;
	size_t len;

	d->z.next_out = d->piece;
	d->z.avail_out = sizeof d->piece;
	status = inflate(&d->z, Z_NO_FLUSH);
	len = sizeof d->piece - d->z.avail_out;
	err = decode_error(status);
	if (!err)
		err = decode_count(d, len);
	if (!err && len)
		err = sink(owner, bytes_of(d->piece, len));
	d->ended = status == Z_STREAM_END;
	*more = !d->ended && (d->z.avail_in || !d->z.avail_out) && status != Z_BUF_ERROR;
	return err;
}

static int decode_run(struct decode *d, struct bytes b, int (*sink)(void *owner, struct bytes b),
		      void *owner)
{
	bool more = b.len > 0;
	int err = 0;

	d->z.next_in = (uint8_t *)(uintptr_t)b.data;
	d->z.avail_in = (unsigned)b.len;
	while (more && !err) {
		if (d->ended) { /* another member, or what is none */
			if (d->coding != DECODE_GZIP || *d->z.next_in != 0x1f)
				return 0;
			inflateReset(&d->z);
			d->ended = false;
		}
		err = decode_step(d, sink, owner, &more);
		more = more || (d->ended && d->z.avail_in);
	}
	return err;
}

int decode_put(struct decode *d, struct bytes b, int (*sink)(void *owner, struct bytes b),
	       void *owner)
{
	int err = 0;

	d->in_bytes += b.len;
	while (!d->begun && b.len && !err) {
		d->first[d->held++] = b.data[0];
		b = bytes_after(b, 1);
		if (d->held == sizeof d->first) {
			err = decode_begin(d);
			if (!err)
				err = decode_run(d, bytes_of(d->first, d->held), sink, owner);
		}
	}
	return err ? err : decode_run(d, b, sink, owner);
}

bool decode_is_whole(const struct decode *d)
{
	return d->ended || !d->in_bytes; /* content of nothing is nothing */
}
