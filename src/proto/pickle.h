/* Python pickles of one flat list of integers, protocols 0 to 5: a reader that adds the items as
 * they stream by, and a writer that puts the very bytes of CPython's pickle.dumps(list, protocol).
 *
 * Neither allocates nor holds the list. The reader knows the opcodes that such a list uses and
 * refuses every other one by name; nothing it reads is ever executed. */
#ifndef PROTO_PICKLE_H
#define PROTO_PICKLE_H

#include "base/bytes.h"

/* 128 bits: 2^32 items of up to 2^63 each cannot overflow them. Aligned as a machine's state is. */
__extension__ typedef __int128 pickle_wide __attribute__((aligned(8)));

enum {
	PICKLE_PROTOCOL_MOST = 5,
	PICKLE_ARGUMENT_BYTES = 24, /* longest line taken, without its LF */
	PICKLE_DONE = 1,
};

/* Callers read `sum`, `items`, and after a refusal `reason`, `opcode` and `opcode_at`. */
struct pickle_reader {
	pickle_wide sum; /* of the items so far */
	uint64_t items;
	uint64_t at;        /* bytes read */
	uint64_t length;    /* bytes announced */
	uint64_t opcode_at; /* where the last opcode stood */
	uint64_t frame_end;
	const char *reason;    /* static; NULL unless refused */
	uint32_t integer_left; /* bytes of a LONG1 or LONG4 still to come */
	uint8_t opcode;        /* the last one read */
	uint8_t phase;
	uint8_t stack;
	uint8_t have;     /* bytes in `argument` */
	bool framed;      /* within a frame, which ends at frame_end */
	bool marked_item; /* an item lies above the mark */
	uint8_t argument[PICKLE_ARGUMENT_BYTES];
};

/* A reader for a pickle of at most `length` bytes; a frame that claims more is refused. */
void pickle_reader_init(struct pickle_reader *r, uint64_t length);

/* Reads on, through opcodes cut anywhere; all of `b` is consumed. 0: more is needed; PICKLE_DONE:
 * STOP was read, what follows it is ignored; ERR_PROTOCOL: refused, see `reason`. Once done or
 * refused it stays so. `length` is the caller's to keep: it feeds no more than that. */
int pickle_read(struct pickle_reader *r, struct bytes b);

/* "GLOBAL", "REDUCE", ... or NULL for a byte that is no opcode of protocols 0 to 5. */
const char *pickle_opcode_name(uint8_t opcode);

/* Borrows `items` until it is done with. */
struct pickle_writer {
	const int64_t *items;
	size_t count;
	int protocol;      /* 0 to PICKLE_PROTOCOL_MOST */
	size_t next;       /* the piece to be written next */
	size_t frame_left; /* bytes of the open frame still to come */
};

/* The longest piece that pickle_write puts at a time: what its buffer has at least. */
enum { PICKLE_PIECE_BYTES = 32 };

void pickle_writer_init(struct pickle_writer *w, const int64_t *items, size_t count, int protocol);

/* Bytes of the whole pickle of a writer that has written nothing. Time grows with the list. */
uint64_t pickle_size(const struct pickle_writer *w);

/* The next bytes of the pickle, as many whole pieces as fit in `cap` >= PICKLE_PIECE_BYTES; returns
 * their count, 0 when all has been written. */
size_t pickle_write(struct pickle_writer *w, uint8_t *buffer, size_t cap);

bool pickle_writer_done(const struct pickle_writer *w);

#endif
