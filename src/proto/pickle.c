/* Pickles of a flat list of integers, read and written.
 *
 *     protocol 0          1, 2, 3                4, 5
 *     ( l p0 LF           [PROTO] ] q 00         PROTO FRAME ] MEMOIZE
 *     I1 LF a             ( K 01 K 02 e          ( K 01 K 02 e    ... FRAME ( ... e
 *     I2 LF a             ( K 03 ... e           .
 *     .                   .
 *
 * A pickle is a program for a stack machine. Of its stack a flat list needs five shapes only; every
 * other shape can no longer end in one list of integers, so the reader refuses it on sight:
 *
 *     NOTHING --MARK--> BUILDING --LIST--> LISTED --STOP--> done
 *     NOTHING --EMPTY_LIST---------------> LISTED
 *     LISTED --integer--> LONE --APPEND--> LISTED
 *     LISTED --MARK--> BATCH --APPENDS---> LISTED        integers stay in BUILDING and in BATCH
 *
 * Stricter than CPython in what CPython never writes: numbers in lines are plain decimal, the list
 * stands alone on the stack at STOP, and an opcode may not reach over the end of its frame (as in
 * pickle.py). GET and its kind are no part of such a list: no object of it is shared. An integer
 * beyond +-2^63 is refused.
 *
 * Sources: PEP 307, PEP 3154; pickle.py, pickletools.py and _pickle.c of CPython 3.11. */
#include "proto/pickle.h"

#include "base/err.h"
#include "base/number.h"

enum {
#define OPCODE(name, byte, argument, bytes) OP_##name = (byte),
#include "proto/pickle.def"
#undef OPCODE
};

/* How an opcode's argument is made. A byte that is no opcode at all is zero here, so refused. */
enum kind { REFUSED, FIXED, LINE };

static const struct opcode {
	const char *name;
	uint8_t kind;
	uint8_t bytes; /* of a FIXED argument */
} opcodes[256] = {
#define OPCODE(name, byte, argument, bytes) [byte] = {#name, argument, bytes},
#include "proto/pickle.def"
#undef OPCODE
};

/* What is being read. */
enum phase { OPCODE, FIXED_ARGUMENT, LINE_ARGUMENT, INTEGER_BYTES, DONE, BROKEN };

/* What lies on the stack: nothing; a mark and integers; the list; the list and one integer; the
 * list, a mark and integers. */
enum stack { NOTHING, BUILDING, LISTED, LONE, BATCH };

static const struct move {
	uint8_t opcode, from, to;
} moves[] = {
	{OP_APPEND, LONE, LISTED},    {OP_MARK, LISTED, BATCH},    {OP_APPENDS, BATCH, LISTED},
	{OP_MARK, NOTHING, BUILDING}, {OP_LIST, BUILDING, LISTED}, {OP_EMPTY_LIST, NOTHING, LISTED},
	{OP_STOP, LISTED, LISTED},
};

const char *pickle_opcode_name(uint8_t opcode)
{
	return opcodes[opcode].name;
}

void pickle_reader_init(struct pickle_reader *r, uint64_t length)
{
	*r = (struct pickle_reader){.length = length};
}

static void refuse(struct pickle_reader *r, const char *reason)
{
	r->reason = reason;
	r->phase = BROKEN;
}

/* The next `n` bytes of `in` have been read. */
static void consume(struct pickle_reader *r, struct bytes *in, size_t n)
{
	*in = bytes_after(*in, n);
	r->at += n;
}

static const char *misplaced(uint8_t opcode, enum stack stack)
{
	bool marked = stack == BUILDING || stack == BATCH;

	if (opcode == OP_STOP)
		return stack == NOTHING ? "no list at the end" : "half a list at the end";
	if (opcode == OP_APPEND)
		return "no list with one integer after it to append";
	if (opcode == OP_APPENDS)
		return marked ? "no list before the mark" : "no mark on the stack";
	if (opcode == OP_LIST && !marked)
		return "no mark on the stack";
	return "more than one flat list";
}

static void move_stack(struct pickle_reader *r)
{
	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		if (moves[i].opcode != r->opcode || moves[i].from != r->stack)
			continue;
		r->stack = moves[i].to;
		r->marked_item = false;
		if (r->opcode == OP_STOP)
			r->phase = DONE;
		return;
	}
	refuse(r, misplaced(r->opcode, r->stack));
}

static void push_integer(struct pickle_reader *r, pickle_wide value)
{
	const pickle_wide most = (pickle_wide)1 << 63;

	if (value > most || value < -most) {
		refuse(r, "an integer beyond 2^63");
	} else if (r->stack == NOTHING || r->stack == LONE) {
		refuse(r, "an integer outside the list");
	} else {
		if (r->stack == LISTED)
			r->stack = LONE;
		else
			r->marked_item = true;
		r->sum += value;
		r->items++;
	}
}

/* `n` <= 8 bytes, little-endian, two's complement; none is 0. */
static int64_t signed_of(const uint8_t *p, size_t n)
{
	uint64_t value = n > 0 && p[n - 1] & 0x80 ? UINT64_MAX : 0;

	while (n > 0)
		value = value << 8 | p[--n];
	return (int64_t)value;
}

/* Ends a LONG1 or LONG4. `argument` has its low bytes and, ninth, what all higher ones are. */
static void push_long(struct pickle_reader *r)
{
	pickle_wide value;

	if (r->have <= 8) {
		value = signed_of(r->argument, r->have);
	} else {
		value = bytes_get_le64(r->argument);
		if (r->argument[8] != 0)
			value -= (pickle_wide)1 << 64;
	}
	push_integer(r, value);
}

static void begin_long(struct pickle_reader *r, uint32_t bytes)
{
	r->have = 0;
	r->integer_left = bytes;
	if (bytes > INT32_MAX)
		refuse(r, "a negative length");
	else if (bytes == 0)
		push_integer(r, 0);
	else
		r->phase = INTEGER_BYTES;
}

/* A plain decimal number, as Python writes it: `-` or nothing, digits without a leading zero. */
static bool parse_decimal(struct bytes b, pickle_wide *value)
{
	bool negative = b.len > 0 && b.data[0] == '-';
	uint64_t magnitude;

	if (negative)
		b = bytes_after(b, 1);
	if (b.len > 1 && b.data[0] == '0')
		return false;
	if (number_parse_u64(b, &magnitude) != 0)
		return false;
	*value = negative ? -(pickle_wide)magnitude : (pickle_wide)magnitude;
	return true;
}

static void push_decimal(struct pickle_reader *r, struct bytes line)
{
	pickle_wide value;

	if (r->opcode == OP_LONG && line.len > 0 && line.data[line.len - 1] == 'L')
		line.len--;
	if (parse_decimal(line, &value))
		push_integer(r, value);
	else
		refuse(r, "not a decimal number within 2^63");
}

/* Protocols 0 and 1 write True as `I01` and False as `I00`. */
static void push_int_line(struct pickle_reader *r, struct bytes line)
{
	if (line.len == 2 && line.data[0] == '0' && (line.data[1] == '0' || line.data[1] == '1'))
		push_integer(r, line.data[1] - '0');
	else
		push_decimal(r, line);
}

/* What is put is never got, so no memo is kept; but there must be something to put. */
static void put_memo(struct pickle_reader *r)
{
	bool marked = r->stack == BUILDING || r->stack == BATCH;

	if (r->stack == NOTHING || (marked && !r->marked_item))
		refuse(r, "nothing on the stack to remember");
}

static void put_memo_line(struct pickle_reader *r, struct bytes line)
{
	uint64_t index;

	if (number_parse_u64(line, &index) != 0)
		refuse(r, "a memo index that is no number");
	else
		put_memo(r);
}

static void begin_frame(struct pickle_reader *r, uint64_t bytes)
{
	if (r->framed) {
		refuse(r, "a frame within a frame");
	} else if (bytes > r->length - r->at) {
		refuse(r, "a frame longer than the pickle");
	} else {
		r->framed = true;
		r->frame_end = r->at + bytes;
	}
}

/* Does what the opcode says; `argument` is whole. */
static void execute(struct pickle_reader *r, const uint8_t *argument)
{
	switch (r->opcode) {
	case OP_PROTO:
		if (argument[0] > PICKLE_PROTOCOL_MOST)
			refuse(r, "a protocol above 5");
		break;
	case OP_FRAME:
		begin_frame(r, bytes_get_le64(argument));
		break;
	case OP_NEWTRUE:
	case OP_NEWFALSE:
		push_integer(r, r->opcode == OP_NEWTRUE);
		break;
	case OP_BININT1:
		push_integer(r, argument[0]);
		break;
	case OP_BININT2:
		push_integer(r, bytes_get_le16(argument));
		break;
	case OP_BININT:
		push_integer(r, signed_of(argument, 4));
		break;
	case OP_LONG1:
		begin_long(r, argument[0]);
		break;
	case OP_LONG4:
		begin_long(r, bytes_get_le32(argument));
		break;
	case OP_BINPUT:
	case OP_LONG_BINPUT:
	case OP_MEMOIZE:
		put_memo(r);
		break;
	default:
		move_stack(r);
	}
}

static void execute_line(struct pickle_reader *r, struct bytes line)
{
	if (r->opcode == OP_PUT)
		put_memo_line(r, line);
	else if (r->opcode == OP_INT)
		push_int_line(r, line);
	else
		push_decimal(r, line);
}

/* An opcode is whole: it ends within its frame, or with it. */
static void end_opcode(struct pickle_reader *r)
{
	if (r->phase >= DONE || !r->framed)
		return;
	if (r->at > r->frame_end)
		refuse(r, "an opcode reaches over the end of its frame");
	r->framed = r->at < r->frame_end;
}

static void read_opcode(struct pickle_reader *r, struct bytes *in)
{
	const struct opcode *o = &opcodes[in->data[0]];

	r->opcode_at = r->at;
	r->opcode = in->data[0];
	r->have = 0;
	consume(r, in, 1);
	if (o->kind == REFUSED) {
		refuse(r, "an opcode that no list of integers uses");
	} else if (o->kind == LINE) {
		r->phase = LINE_ARGUMENT;
	} else if (o->bytes > 0) {
		r->phase = FIXED_ARGUMENT;
	} else {
		execute(r, NULL);
		end_opcode(r);
	}
}

static void read_fixed(struct pickle_reader *r, struct bytes *in)
{
	size_t want = opcodes[r->opcode].bytes - (size_t)r->have;
	struct bytes part = bytes_first(*in, want);
	const uint8_t *argument = part.data;

	consume(r, in, part.len);
	if (r->have > 0 || part.len < want) {
		memcpy(r->argument + r->have, part.data, part.len);
		r->have += (uint8_t)part.len;
		argument = r->argument;
	}
	if (part.len < want)
		return;
	r->phase = OPCODE;
	execute(r, argument);
	if (r->phase == OPCODE)
		end_opcode(r);
}

static void read_line(struct pickle_reader *r, struct bytes *in)
{
	struct bytes part = bytes_first(*in, bytes_find_byte(*in, '\n'));
	bool whole = part.len < in->len;

	if (part.len > (size_t)(PICKLE_ARGUMENT_BYTES - r->have)) {
		refuse(r, "a number of more than 24 characters");
		return;
	}
	memcpy(r->argument + r->have, part.data, part.len);
	r->have += (uint8_t)part.len;
	consume(r, in, part.len + whole);
	if (!whole)
		return;
	r->phase = OPCODE;
	execute_line(r, bytes_of(r->argument, r->have));
	end_opcode(r);
}

/* Eight bytes hold any value that is taken; higher ones may only repeat the sign. */
static bool keep_integer_byte(struct pickle_reader *r, uint8_t byte)
{
	if (r->have == 9)
		return byte == r->argument[8];
	r->argument[r->have++] = byte;
	return r->have < 9 || byte == 0x00 || byte == 0xff;
}

static void read_integer(struct pickle_reader *r, struct bytes *in)
{
	struct bytes part = bytes_first(*in, r->integer_left);

	for (size_t i = 0; i < part.len; i++) {
		if (!keep_integer_byte(r, part.data[i])) {
			refuse(r, "an integer beyond 2^63");
			return;
		}
	}
	consume(r, in, part.len);
	r->integer_left -= (uint32_t)part.len;
	if (r->integer_left > 0)
		return;
	r->phase = OPCODE;
	push_long(r);
	end_opcode(r);
}

int pickle_read(struct pickle_reader *r, struct bytes b)
{
	while (b.len > 0 && r->phase < DONE) {
		if (r->phase == OPCODE)
			read_opcode(r, &b);
		else if (r->phase == FIXED_ARGUMENT)
			read_fixed(r, &b);
		else if (r->phase == LINE_ARGUMENT)
			read_line(r, &b);
		else
			read_integer(r, &b);
	}
	if (r->phase < DONE)
		return 0;
	return r->phase == DONE ? PICKLE_DONE : ERR_PROTOCOL;
}

/* The writer counts in pieces: PROTO, the list, every item with what surrounds it, STOP. A piece
 * follows from its number alone, so a frame's length can be had before the frame is written. */
enum { PIECE_PROTO, PIECE_LIST, PIECE_ITEMS };

enum {
	BATCH_ITEMS = 1000,
	FRAME_BYTES = 64 * 1024, /* a frame that has reached this ends before the next item */
	FRAME_LEAST_BYTES = 4,   /* shorter ones go without a header */
};

static size_t put_byte(uint8_t *p, uint8_t byte)
{
	*p = byte;
	return 1;
}

static size_t put_string(uint8_t *p, const char *s)
{
	size_t len = strlen(s);

	memcpy(p, s, len);
	return len;
}

/* `opcode` and the low `bytes` of `value`, little-endian. */
static size_t put_binary(uint8_t *p, uint8_t opcode, uint64_t value, size_t bytes)
{
	p[0] = opcode;
	for (size_t i = 0; i < bytes; i++)
		p[1 + i] = (uint8_t)(value >> 8 * i);
	return 1 + bytes;
}

static bool within_32_bits(int64_t value)
{
	return value >= INT32_MIN && value <= INT32_MAX;
}

static size_t put_decimal(uint8_t *p, int64_t value)
{
	char digits[24];
	size_t n = 0;

	n += put_byte(p + n, within_32_bits(value) ? OP_INT : OP_LONG);
	if (value < 0)
		n += put_byte(p + n, '-');
	number_format_u64(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, digits);
	n += put_string(p + n, digits);
	n += put_string(p + n, within_32_bits(value) ? "\n" : "L\n");
	return n;
}

static size_t put_long1(uint8_t *p, int64_t value)
{
	uint8_t bytes = 5; /* what fits four never comes here */

	while (bytes < 8 && value >> (8 * bytes - 1) != 0 && value >> (8 * bytes - 1) != -1)
		bytes++;
	p[0] = OP_LONG1;
	put_binary(p + 1, bytes, (uint64_t)value, bytes);
	return 2 + (size_t)bytes;
}

static size_t put_integer(uint8_t *p, int64_t value, int protocol)
{
	if (protocol >= 1 && value >= 0 && value <= UINT8_MAX)
		return put_binary(p, OP_BININT1, (uint64_t)value, 1);
	if (protocol >= 1 && value >= 0 && value <= UINT16_MAX)
		return put_binary(p, OP_BININT2, (uint64_t)value, 2);
	if (protocol >= 1 && within_32_bits(value))
		return put_binary(p, OP_BININT, (uint64_t)value, 4);
	if (protocol >= 2)
		return put_long1(p, value);
	return put_decimal(p, value);
}

static size_t put_list(const struct pickle_writer *w, uint8_t *p)
{
	size_t n;

	if (w->protocol == 0)
		return put_string(p, "(lp0\n");
	n = put_byte(p, OP_EMPTY_LIST);
	if (w->protocol >= 4)
		n += put_byte(p + n, OP_MEMOIZE);
	else
		n += put_binary(p + n, OP_BINPUT, 0, 1);
	if (w->count > 1)
		n += put_byte(p + n, OP_MARK);
	return n;
}

/* One item, and what stands between it and the next. */
static size_t put_item(const struct pickle_writer *w, size_t i, uint8_t *p)
{
	size_t n = put_integer(p, w->items[i], w->protocol);
	bool last = i + 1 == w->count;

	if (w->protocol == 0 || w->count == 1)
		return n + put_byte(p + n, OP_APPEND);
	if (last || (i + 1) % BATCH_ITEMS == 0)
		n += put_byte(p + n, OP_APPENDS);
	if (!last && (i + 1) % BATCH_ITEMS == 0)
		n += put_byte(p + n, OP_MARK);
	return n;
}

static size_t put_piece(const struct pickle_writer *w, size_t piece, uint8_t *p)
{
	if (piece == PIECE_PROTO)
		return w->protocol >= 2 ? put_binary(p, OP_PROTO, (uint64_t)w->protocol, 1) : 0;
	if (piece == PIECE_LIST)
		return put_list(w, p);
	if (piece < PIECE_ITEMS + w->count)
		return put_item(w, piece - PIECE_ITEMS, p);
	return put_byte(p, OP_STOP);
}

/* Bytes from the next piece to the end of its frame: up to the next item that finds the frame full,
 * or to the end of the pickle. */
static size_t frame_size(const struct pickle_writer *w)
{
	uint8_t scratch[PICKLE_PIECE_BYTES];
	size_t stop = PIECE_ITEMS + w->count;
	size_t size = 0;

	for (size_t piece = w->next; piece <= stop; piece++) {
		if (size >= FRAME_BYTES && piece < stop)
			break;
		size += put_piece(w, piece, scratch);
	}
	return size;
}

static size_t put_frame(struct pickle_writer *w, uint8_t *p)
{
	w->frame_left = frame_size(w);
	return w->frame_left >= FRAME_LEAST_BYTES ? put_binary(p, OP_FRAME, w->frame_left, 8) : 0;
}

void pickle_writer_init(struct pickle_writer *w, const int64_t *items, size_t count, int protocol)
{
	*w = (struct pickle_writer){.items = items, .count = count, .protocol = protocol};
}

bool pickle_writer_done(const struct pickle_writer *w)
{
	return w->next > PIECE_ITEMS + w->count;
}

size_t pickle_write(struct pickle_writer *w, uint8_t *buffer, size_t cap)
{
	size_t len = 0;

	while (!pickle_writer_done(w) && cap - len >= PICKLE_PIECE_BYTES) {
		bool framed = w->protocol >= 4 && w->next > PIECE_PROTO;
		size_t n;

		if (framed && w->frame_left == 0)
			len += put_frame(w, buffer + len);
		n = put_piece(w, w->next++, buffer + len);
		if (framed)
			w->frame_left -= n;
		len += n;
	}
	return len;
}

uint64_t pickle_size(const struct pickle_writer *w)
{
	struct pickle_writer copy = *w;
	uint8_t scratch[1024];
	uint64_t size = 0;
	size_t n;

	while ((n = pickle_write(&copy, scratch, sizeof(scratch))) > 0)
		size += n;
	return size;
}
