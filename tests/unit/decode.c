/* command/decode and command/indent: cut anywhere, the same comes out. */
#include "command/decode.h"
#include "command/indent.h"

#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

enum { PLAIN_BYTES = 100000 };

static uint8_t plain[PLAIN_BYTES], packed[2 * PLAIN_BYTES], unpacked[3 * PLAIN_BYTES];
static size_t unpacked_len;

static int collect(void *owner, struct bytes b)
{
	assert_true(b.len <= sizeof unpacked - unpacked_len);
	memcpy(unpacked + unpacked_len, b.data, b.len);
	unpacked_len += b.len;
	return 0;
}

static int count(void *owner, struct bytes b)
{
	return 0;
}

static size_t pack(int bits, struct bytes b, uint8_t *to)
{
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (uint8_t *)(uintptr_t)b.data;
	z.avail_in = (unsigned)b.len;
	z.next_out = to;
	z.avail_out = 2 * PLAIN_BYTES;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static int unpack(enum decode_coding coding, struct bytes b, size_t piece, bool *whole)
{
	struct decode *d;
	int err = decode_create(&d, coding, UINT64_MAX);

	unpacked_len = 0;
	while (b.len && !err) {
		err = decode_put(d, bytes_first(b, piece), collect, NULL);
		b = bytes_after(b, piece < b.len ? piece : b.len);
	}
	*whole = decode_is_whole(d);
	decode_destroy(d);
	return err;
}

static void test_cuts(void **state)
{
	static const struct {
		enum decode_coding coding;
		int bits;
	} kinds[] = {{DECODE_GZIP, 31}, {DECODE_DEFLATE, 15}, {DECODE_DEFLATE, -15}};
	static const size_t pieces[] = {1, 2, 3, 7, 1000, SIZE_MAX};
	bool whole;

	for (size_t i = 0; i < PLAIN_BYTES; i++)
		plain[i] = (uint8_t)(i * i >> 7);
	for (unsigned k = 0; k < 3; k++) {
		size_t len = pack(kinds[k].bits, bytes_of(plain, PLAIN_BYTES), packed);

		for (unsigned p = 0; p < sizeof pieces / sizeof pieces[0]; p++) {
			assert_int_equal(
				unpack(kinds[k].coding, bytes_of(packed, len), pieces[p], &whole),
				0);
			assert_true(whole);
			assert_true(unpacked_len == PLAIN_BYTES);
			assert_memory_equal(unpacked, plain, PLAIN_BYTES);
		}
		assert_int_equal(unpack(kinds[k].coding, bytes_of(packed, len - 1), 100, &whole),
				 0);
		assert_false(whole);
	}
}

static void test_members_and_what_follows(void **state)
{
	size_t len = pack(31, BYTES_LITERAL("one "), packed);
	bool whole;

	len += pack(31, BYTES_LITERAL("two"), packed + len);
	memset(packed + len, 0, 512);
	for (size_t piece = 1; piece < 600; piece += 37) {
		assert_int_equal(unpack(DECODE_GZIP, bytes_of(packed, len + 512), piece, &whole),
				 0);
		assert_true(whole);
		assert_true(
			bytes_equal(bytes_of(unpacked, unpacked_len), BYTES_LITERAL("one two")));
	}
}

static void test_garbage(void **state)
{
	bool whole;

	assert_int_equal(unpack(DECODE_GZIP, BYTES_LITERAL("no gzip"), 2, &whole), ERR_PROTOCOL);
	assert_int_equal(unpack(DECODE_DEFLATE, BYTES_LITERAL("\xff\xff\xff\xff"), 9, &whole),
			 ERR_PROTOCOL);
	assert_int_equal(unpack(DECODE_GZIP, BYTES_LITERAL(""), 1, &whole), 0);
	assert_true(whole);
	assert_int_equal(unpack(DECODE_GZIP, BYTES_LITERAL("\x1f"), 1, &whole), 0);
	assert_false(whole);
}

static void test_a_bomb(void **state)
{
	struct decode *d;
	size_t len;
	int err;

	memset(plain, 0, sizeof plain);
	len = pack(31, bytes_of(plain, PLAIN_BYTES), packed);
	assert_true(len < PLAIN_BYTES / DECODE_RATIO * 2);
	assert_int_equal(decode_create(&d, DECODE_GZIP, PLAIN_BYTES / 2), 0);
	for (err = 0; !err && len;) {
		err = decode_put(d, bytes_of(packed, 1), count, NULL);
		memmove(packed, packed + 1, --len);
	}
	decode_destroy(d);
	assert_int_equal(err, ERR_TOO_LONG);
}

static void test_names(void **state)
{
	assert_int_equal(decode_coding(BYTES_LITERAL(" GZip ")), DECODE_GZIP);
	assert_int_equal(decode_coding(BYTES_LITERAL("identity")), DECODE_NONE);
	assert_int_equal(decode_coding(BYTES_LITERAL("br")), DECODE_UNKNOWN);
	assert_int_equal(decode_coding(BYTES_LITERAL("gzip, gzip")), DECODE_UNKNOWN);
}

static const char *laid_out(const char *json)
{
	static char buffer[4096];
	struct text t = TEXT_OVER(buffer);
	struct indent n = {0};

	for (; *json; json++)
		indent_put(&n, &t, *json);
	return buffer;
}

static void test_laid_out(void **state)
{
	assert_string_equal(laid_out("{}"), "{}");
	assert_string_equal(laid_out("[ ]"), "[]");
	assert_string_equal(laid_out("1.50e3"), "1.50e3");
	assert_string_equal(laid_out("{\"a\" :[1 ,{\"b\":null}],\"c\":\"{[\\\",\"}"),
			    "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n"
			    "  \"c\": \"{[\\\",\"\n}");
	assert_string_equal(laid_out("{\"a\":1}\n{\"b\":2}\n"),
			    "{\n  \"a\": 1\n}\n{\n  \"b\": 2\n}");
	assert_string_equal(laid_out("1 2 \"x\" true"), "1\n2\n\"x\"\ntrue");
	assert_string_equal(laid_out("]]}"), "\n]\n]\n}"); /* no JSON, and yet all of it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),    cmocka_unit_test(test_members_and_what_follows),
		cmocka_unit_test(test_garbage), cmocka_unit_test(test_a_bomb),
		cmocka_unit_test(test_names),   cmocka_unit_test(test_laid_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
