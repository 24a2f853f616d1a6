/* proto/pickle.h against tables that Python made (pickle_table.h) and against what it must refuse.
 */
#include "proto/pickle.h"

#include "base/err.h"
#include "pickle_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define RAW(text)    text, sizeof(text) - 1

/* Feeds memory of the exact size, so that ASan sees a read beyond it. */
static int feed(struct pickle_reader *r, const void *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1);
	int read;

	assert_non_null(exact);
	memcpy(exact, data, len);
	read = pickle_read(r, bytes_of(exact, len));
	free(exact);
	return read;
}

static int read_whole(struct pickle_reader *r, const void *data, size_t len)
{
	pickle_reader_init(r, len);
	return feed(r, data, len);
}

static int read_bytewise(struct pickle_reader *r, const void *data, size_t len)
{
	int read = 0;

	pickle_reader_init(r, len);
	for (size_t i = 0; i < len; i++)
		read = feed(r, (const char *)data + i, 1);
	return read;
}

static int read_cut(struct pickle_reader *r, const void *data, size_t len, size_t cut)
{
	pickle_reader_init(r, len);
	feed(r, data, cut);
	return feed(r, (const char *)data + cut, len - cut);
}

static void assert_reads(const struct pickle_reader *r, int read, pickle_wide sum, uint64_t items)
{
	if (read != PICKLE_DONE)
		fail_msg("not read: %s", r->reason ? r->reason : "more is needed");
	assert_true(r->sum == sum);
	assert_int_equal(r->items, items);
}

static void assert_reads_however_cut(const void *data, size_t len, pickle_wide sum, uint64_t items)
{
	struct pickle_reader r;

	assert_reads(&r, read_whole(&r, data, len), sum, items);
	assert_reads(&r, read_bytewise(&r, data, len), sum, items);
	for (size_t cut = 0; cut <= len; cut++)
		assert_reads(&r, read_cut(&r, data, len, cut), sum, items);
}

static pickle_wide sum_of(const int64_t *items, size_t count)
{
	pickle_wide sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += items[i];
	return sum;
}

static void reads_what_python_writes(void **state)
{
	for (size_t i = 0; i < COUNT(written); i++)
		assert_reads_however_cut(written[i].pickle, written[i].len,
					 sum_of(written[i].items, written[i].count),
					 written[i].count);
	for (size_t i = 0; i < COUNT(booleans); i++)
		assert_reads_however_cut(booleans[i].pickle, booleans[i].len, 2, 3);
}

/* Python 2, other picklers, and hands. */
static void reads_other_ways_to_write(void **state)
{
	static const struct {
		const char *pickle;
		size_t len;
		int64_t sum;
		unsigned items;
	} rows[] = {
		{RAW("(lp1\nI1\naI2\na."), 3, 2},
		{RAW("(I1\nI2\nlp0\n."), 3, 2},
		{RAW("(K\001K\002l."), 3, 2},
		{RAW("]q\001K\007a."), 7, 1},
		{RAW("]."), 0, 0},
		{RAW("](e."), 0, 0},
		{RAW("(l."), 0, 0},
		{RAW("](K\001e(K\002eK\003a."), 6, 3},
		{RAW("]L5\na."), 5, 1},
		{RAW("]I4294967296\na."), 4294967296, 1},
		{RAW("]I-0\na."), 0, 1},
		{RAW("]K\001q\005a."), 1, 1},
		{RAW("](K\001\224e\224p9\nr\1\2\3\4."), 1, 1},
		{RAW("]\212\000a."), 0, 1},
		{RAW("]\213\000\000\000\000a."), 0, 1},
		{RAW("]\212\001\377a."), -1, 1},
		{RAW("]\213\001\000\000\000\200a."), -128, 1},
		{RAW("]\212\014\005\0\0\0\0\0\0\0\0\0\0\0a."), 5, 1},
		{RAW("]\213\012\0\0\0\373\377\377\377\377\377\377\377\377\377a."), -5, 1},
		{RAW("\200\004\225\0\0\0\0\0\0\0\0]\225\2\0\0\0\0\0\0\0K\1\225\2\0\0\0\0\0\0\0a."),
		 1, 1},
		{RAW("].R and anything after STOP"), 0, 0},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		assert_reads_however_cut(rows[i].pickle, rows[i].len, rows[i].sum, rows[i].items);
}

static void reads_integers_up_to_their_limits(void **state)
{
	const pickle_wide most = (pickle_wide)1 << 63;

	assert_reads_however_cut(RAW("]L9223372036854775808L\na."), most, 1);
	assert_reads_however_cut(RAW("]L-9223372036854775808L\na."), -most, 1);
	assert_reads_however_cut(RAW("]\212\011\0\0\0\0\0\0\0\200\0a."), most, 1);
	assert_reads_however_cut(RAW("]\212\011\0\0\0\0\0\0\0\200\377a."), -most, 1);
	assert_reads_however_cut(RAW("](\212\011\0\0\0\0\0\0\0\200\0\212\011\0\0\0\0\0\0\0\200\0"
				     "\212\010\0\0\0\0\0\0\0\200e."),
				 most, 3);
}

static uint32_t crc32_more(uint32_t crc, const uint8_t *data, size_t len)
{
	crc = ~crc;
	for (size_t i = 0; i < len; i++) {
		crc ^= data[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc;
}

static void writes_what_python_writes(void **state)
{
	uint8_t piece[PICKLE_PIECE_BYTES], all[512];

	for (size_t i = 0; i < COUNT(written); i++) {
		struct pickle_writer w;
		size_t len = 0, n;

		pickle_writer_init(&w, written[i].items, written[i].count, written[i].protocol);
		assert_int_equal(pickle_size(&w), written[i].len);
		while ((n = pickle_write(&w, piece, sizeof(piece))) > 0) {
			assert_true(len + n <= sizeof(all));
			memcpy(all + len, piece, n);
			len += n;
		}
		assert_true(pickle_writer_done(&w));
		assert_int_equal(len, written[i].len);
		assert_memory_equal(all, written[i].pickle, len);
	}
}

static void writes_and_reads_seventy_thousand(void **state)
{
	static int64_t items[70000];
	uint8_t piece[1000];

	for (size_t i = 0; i < COUNT(items); i++)
		items[i] = (int64_t)i;
	for (int protocol = 0; protocol <= PICKLE_PROTOCOL_MOST; protocol++) {
		struct pickle_writer w;
		struct pickle_reader r;
		uint32_t crc = 0;
		int read = 0;
		size_t n;

		pickle_writer_init(&w, items, COUNT(items), protocol);
		assert_int_equal(pickle_size(&w), seventy_thousand[protocol].len);
		pickle_reader_init(&r, seventy_thousand[protocol].len);
		while ((n = pickle_write(&w, piece, sizeof(piece))) > 0) {
			crc = crc32_more(crc, piece, n);
			read = feed(&r, piece, n);
		}
		assert_int_equal(crc, seventy_thousand[protocol].crc);
		assert_reads(&r, read, 70000ll * 69999 / 2, 70000);
	}
}

static void assert_refuses(const void *data, size_t len, const char *reason, const char *opcode)
{
	struct pickle_reader r, s;

	if (read_whole(&r, data, len) != ERR_PROTOCOL)
		fail_msg("not refused: %s", reason);
	assert_string_equal(r.reason, reason);
	assert_string_equal(pickle_opcode_name(r.opcode), opcode);
	assert_int_equal(read_bytewise(&s, data, len), ERR_PROTOCOL);
	assert_string_equal(s.reason, reason);
	assert_int_equal(s.opcode_at, r.opcode_at);
	pickle_reader_init(&s, len);
	assert_int_equal(feed(&s, data, r.opcode_at), 0);
}

#define FOREIGN   "an opcode that no list of integers uses"
#define NESTED    "more than one flat list"
#define BEYOND    "an integer beyond 2^63"
#define NO_NUMBER "not a decimal number within 2^63"

static const struct {
	const char *pickle;
	size_t len;
	const char *reason, *opcode;
} refused[] = {
	{RAW("\200\006]."), "a protocol above 5", "PROTO"},
	{RAW("."), "no list at the end", "STOP"},
	{RAW("\200\004."), "no list at the end", "STOP"},
	{RAW("]K\001."), "half a list at the end", "STOP"},
	{RAW("](K\001."), "half a list at the end", "STOP"},
	{RAW("(K\001."), "half a list at the end", "STOP"},
	{RAW("K\001."), "an integer outside the list", "BININT1"},
	{RAW("I1\n."), "an integer outside the list", "INT"},
	{RAW("\210."), "an integer outside the list", "NEWTRUE"},
	{RAW("]K\001K\002aa."), "an integer outside the list", "BININT1"},
	{RAW("]a."), "no list with one integer after it to append", "APPEND"},
	{RAW("a."), "no list with one integer after it to append", "APPEND"},
	{RAW("](K\001a."), "no list with one integer after it to append", "APPEND"},
	{RAW("]e."), "no mark on the stack", "APPENDS"},
	{RAW("e."), "no mark on the stack", "APPENDS"},
	{RAW("(K\001e."), "no list before the mark", "APPENDS"},
	{RAW("l."), "no mark on the stack", "LIST"},
	{RAW("]l."), "no mark on the stack", "LIST"},
	{RAW("]]a."), NESTED, "EMPTY_LIST"},
	{RAW("](]e."), NESTED, "EMPTY_LIST"},
	{RAW("]((le."), NESTED, "MARK"},
	{RAW("((l."), NESTED, "MARK"},
	{RAW("](K\001l."), NESTED, "LIST"},
	{RAW("]K\001(."), NESTED, "MARK"},
	{RAW("q\000]."), "nothing on the stack to remember", "BINPUT"},
	{RAW("p0\n]."), "nothing on the stack to remember", "PUT"},
	{RAW("](\224e."), "nothing on the stack to remember", "MEMOIZE"},
	{RAW("(r\0\0\0\0l."), "nothing on the stack to remember", "LONG_BINPUT"},
	{RAW("](K\001e(q\000e."), "nothing on the stack to remember", "BINPUT"},
	{RAW("]p\n."), "a memo index that is no number", "PUT"},
	{RAW("]p-1\n."), "a memo index that is no number", "PUT"},
	{RAW("]h\000a."), FOREIGN, "BINGET"},
	{RAW("]g0\na."), FOREIGN, "GET"},
	{RAW("]Na."), FOREIGN, "NONE"},
	{RAW("]F1.5\na."), FOREIGN, "FLOAT"},
	{RAW("]G?\360\0\0\0\0\0\0a."), FOREIGN, "BINFLOAT"},
	{RAW("]U\001xa."), FOREIGN, "SHORT_BINSTRING"},
	{RAW("]\214\001xa."), FOREIGN, "SHORT_BINUNICODE"},
	{RAW("})."), FOREIGN, "EMPTY_DICT"},
	{RAW(")."), FOREIGN, "EMPTY_TUPLE"},
	{RAW("]0."), FOREIGN, "POP"},
	{RAW("cos\nsystem\n(S'true'\ntR."), FOREIGN, "GLOBAL"},
	{RAW("]L9223372036854775809L\na."), BEYOND, "LONG"},
	{RAW("]L-9223372036854775809L\na."), BEYOND, "LONG"},
	{RAW("]L18446744073709551616L\na."), NO_NUMBER, "LONG"},
	{RAW("]\212\011\1\0\0\0\0\0\0\200\0a."), BEYOND, "LONG1"},
	{RAW("]\212\011\377\377\377\377\377\377\377\177\377a."), BEYOND, "LONG1"},
	{RAW("]\212\011\0\0\0\0\0\0\0\0\1a."), BEYOND, "LONG1"},
	{RAW("]\212\011\377\377\377\377\377\377\377\377\1a."), BEYOND, "LONG1"},
	{RAW("]\212\012\0\0\0\0\0\0\0\0\0\377a."), BEYOND, "LONG1"},
	{RAW("]\213\011\0\0\0\0\0\0\0\0\0\0\0\1a."), BEYOND, "LONG4"},
	{RAW("]\213\377\377\377\377a."), "a negative length", "LONG4"},
	{RAW("]I\na."), NO_NUMBER, "INT"},
	{RAW("]I-\na."), NO_NUMBER, "INT"},
	{RAW("]I1L\na."), NO_NUMBER, "INT"},
	{RAW("]I02\na."), NO_NUMBER, "INT"},
	{RAW("]I010\na."), NO_NUMBER, "INT"},
	{RAW("]I0x10\na."), NO_NUMBER, "INT"},
	{RAW("]I 1\na."), NO_NUMBER, "INT"},
	{RAW("]I+1\na."), NO_NUMBER, "INT"},
	{RAW("]I1\r\na."), NO_NUMBER, "INT"},
	{RAW("]L\na."), NO_NUMBER, "LONG"},
	{RAW("]LL\na."), NO_NUMBER, "LONG"},
	{RAW("]L1LL\na."), NO_NUMBER, "LONG"},
	{RAW("]I1234567890123456789012345\na."), "a number of more than 24 characters", "INT"},
	{RAW("\200\004\225\3\0\0\0\0\0\0\0]."), "a frame longer than the pickle", "FRAME"},
	{RAW("\225\377\377\377\377\377\377\377\377]."), "a frame longer than the pickle", "FRAME"},
	{RAW("\225\2\0\0\0\0\0\0\0]K\1a."), "an opcode reaches over the end of its frame",
	 "BININT1"},
	{RAW("\225\4\0\0\0\0\0\0\0]I12\na."), "an opcode reaches over the end of its frame", "INT"},
	{RAW("\225\4\0\0\0\0\0\0\0]\212\2\0\0a."), "an opcode reaches over the end of its frame",
	 "LONG1"},
	{RAW("\225\13\0\0\0\0\0\0\0]\225\1\0\0\0\0\0\0\0.."), "a frame within a frame", "FRAME"},
};

static void refuses_with_a_reason(void **state)
{
	for (size_t i = 0; i < COUNT(refused); i++)
		assert_refuses(refused[i].pickle, refused[i].len, refused[i].reason,
			       refused[i].opcode);
}

static void refuses_a_program(void **state)
{
	for (size_t i = 0; i < COUNT(programs); i++) {
		const char *opcode = i < 4 ? "GLOBAL" : "SHORT_BINUNICODE";

		assert_refuses(programs[i].pickle, programs[i].len, FOREIGN, opcode);
	}
	assert_refuses(RAW("]R."), FOREIGN, "REDUCE");
	assert_refuses(RAW("]\223."), FOREIGN, "STACK_GLOBAL");
	assert_refuses(RAW("]b."), FOREIGN, "BUILD");
}

static void refuses_every_other_byte(void **state)
{
	static const char allowed[] = "\200\225]l(aepqr\224IJKMLL\212\213\210\211.";
	unsigned named = 0;

	for (unsigned byte = 0; byte < 256; byte++) {
		const uint8_t pickle[] = {']', (uint8_t)byte};
		struct pickle_reader r;
		int read = read_whole(&r, pickle, sizeof(pickle));

		named += pickle_opcode_name((uint8_t)byte) != NULL;
		if (memchr(allowed, (int)byte, sizeof(allowed) - 1))
			continue;
		assert_int_equal(read, ERR_PROTOCOL);
		assert_string_equal(r.reason, FOREIGN);
		assert_int_equal(r.opcode_at, 1);
	}
	assert_int_equal(named, 68);
}

static void waits_wherever_it_is_truncated(void **state)
{
	for (size_t i = 0; i < COUNT(written); i++) {
		for (size_t len = 0; len < written[i].len; len++) {
			struct pickle_reader r;
			int read;

			pickle_reader_init(&r, written[i].len);
			read = feed(&r, written[i].pickle, len);
			assert_int_equal(read, 0);
			assert_null(r.reason);
			assert_int_equal(r.at, len);
		}
	}
}

static void stays_done_and_stays_refused(void **state)
{
	struct pickle_reader r;

	pickle_reader_init(&r, 100);
	assert_int_equal(feed(&r, "].", 2), PICKLE_DONE);
	assert_int_equal(feed(&r, "R", 1), PICKLE_DONE);
	pickle_reader_init(&r, 100);
	assert_int_equal(feed(&r, "R", 1), ERR_PROTOCOL);
	assert_int_equal(feed(&r, "].", 2), ERR_PROTOCOL);
	assert_int_equal(r.opcode_at, 0);
}

static uint64_t next_random(uint64_t *seed)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Changes up to four bytes, to any value or to one that some row has. */
static void mutate(uint8_t *data, size_t len, uint64_t *seed)
{
	for (uint64_t n = next_random(seed) % 4; n < 4; n++) {
		size_t at = next_random(seed) % len;
		uint64_t any = next_random(seed);

		data[at] = any & 256 ? (uint8_t)any : data[any % len];
	}
}

/* Whatever comes, whole and in bytes read alike. Sanitizers see the rest. */
static void survives_mutation(void **state)
{
	for (uint64_t first = 1; first <= 40000; first++) {
		uint64_t seed = first;
		size_t row = next_random(&seed) % COUNT(written);
		size_t len = written[row].len;
		struct pickle_reader whole, bytewise;
		uint8_t data[512];
		int read;

		memcpy(data, written[row].pickle, len);
		mutate(data, len, &seed);
		read = read_whole(&whole, data, len);
		if (read_bytewise(&bytewise, data, len) != read || whole.sum != bytewise.sum ||
		    whole.opcode_at != bytewise.opcode_at || whole.reason != bytewise.reason)
			fail_msg("seed %llu: cuts matter", (unsigned long long)first);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_what_python_writes),
		cmocka_unit_test(reads_other_ways_to_write),
		cmocka_unit_test(reads_integers_up_to_their_limits),
		cmocka_unit_test(writes_what_python_writes),
		cmocka_unit_test(writes_and_reads_seventy_thousand),
		cmocka_unit_test(refuses_with_a_reason),
		cmocka_unit_test(refuses_a_program),
		cmocka_unit_test(refuses_every_other_byte),
		cmocka_unit_test(waits_wherever_it_is_truncated),
		cmocka_unit_test(stays_done_and_stays_refused),
		cmocka_unit_test(survives_mutation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
