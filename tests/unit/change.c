/* A change as record, JSON and line: one by hand to the byte, then by the thousand at random. The
 * seed is printed on failure, and SEED=N runs that one alone. */
#include "proto/change.h"
#include "base/err.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SEEDS = 3000, FIXED = 48, MUTATIONS = 60 };

static uint64_t drawn, seed_now;

static uint64_t draw(uint64_t most)
{
	uint64_t z = drawn += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return (z ^ z >> 31) % (most + 1);
}

static const struct change example = {
	.type = CHANGE_MOVE,
	.kind = CHANGE_FILE,
	.hashed = true,
	.time_us = 1767225600000001,
	.path = {(const uint8_t *)"/a/b", 4},
	.from = {(const uint8_t *)"/c", 2},
	.size = 0x0102030405060708,
	.mtime_us = -1,
	.mode = 04755,
	.inode = 7,
	.sha256 = {0xaa, [31] = 0xbb},
	.pid = 0x0a0b0c0d,
	.program = {(const uint8_t *)"mv", 2},
	.user = {(const uint8_t *)"ann", 3},
};

static void test_bytes(void **state)
{
	static const uint8_t expected[] =
		"\x04\x01\x02\x02\x03\x00\x00\x04\x00\x02\x09\xed\x0a\x0b\x0c\x0d"
		"\x00\x06\x47\x48\x46\x20\x40\x01\xff\xff\xff\xff\xff\xff\xff\xff"
		"\x01\x02\x03\x04\x05\x06\x07\x08\x00\x00\x00\x00\x00\x00\x00\x07"
		"\xaa\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xbb"
		"/a/b/cmvann";
	uint8_t record[CHANGE_RECORD_BYTES];

	assert_int_equal(change_put(record, &example), sizeof(expected) - 1);
	assert_memory_equal(record, expected, sizeof(expected) - 1);
}

static void assert_bytes(struct bytes a, struct bytes b)
{
	assert_int_equal(a.len, b.len);
	if (a.len)
		assert_memory_equal(a.data, b.data, a.len);
}

static void assert_same(const struct change *a, const struct change *b)
{
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->reset, b->reset);
	assert_int_equal(a->hashed, b->hashed);
	assert_true(a->time_us == b->time_us && a->mtime_us == b->mtime_us);
	assert_true(a->size == b->size && a->inode == b->inode);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->pid, b->pid);
	assert_memory_equal(a->sha256, b->sha256, CHANGE_DIGEST_BYTES);
	assert_bytes(a->path, b->path);
	assert_bytes(a->from, b->from);
	assert_bytes(a->program, b->program);
	assert_bytes(a->user, b->user);
	assert_bytes(a->why, b->why);
}

/* Any bytes but NUL, any length up to `most`, the ends more often than not. */
static struct bytes any_bytes(uint8_t *room, size_t least, size_t most)
{
	static const uint8_t odd[] = "\n\"\\\x1b\xff\xc3\xa9\xe2\x80\xae/ '\x7f";
	size_t len = least;
	unsigned style = (unsigned)draw(2);

	if (draw(9) == 0)
		len = most;
	else if (draw(3))
		len = least + draw(most < 60 ? most - least : 60);
	for (size_t i = 0; i < len; i++)
		room[i] = style == 0   ? (uint8_t)(1 + draw(254))
			  : style == 1 ? odd[draw(sizeof(odd) - 2)]
				       : (uint8_t)('a' + draw(25));
	return bytes_of(room, len);
}

/* Any change that the contract allows; its texts lie in `room`. */
static struct change any_change(uint8_t *room)
{
	struct change c = {.type = (uint8_t)(1 + draw(CHANGE_TYPES - 2)),
			   .kind = (uint8_t)draw(CHANGE_KINDS - 1),
			   .hashed = draw(1),
			   .time_us = (int64_t)draw(UINT64_MAX - 1),
			   .mtime_us = (int64_t)draw(UINT64_MAX - 1),
			   .size = draw(UINT64_MAX - 1),
			   .mode = (uint32_t)draw(07777),
			   .inode = draw(UINT64_MAX - 1),
			   .pid = (uint32_t)draw(UINT32_MAX)};

	c.reset = c.type == CHANGE_GAP && draw(1);
	for (unsigned i = 0; c.hashed && i < CHANGE_DIGEST_BYTES; i++)
		c.sha256[i] = (uint8_t)draw(255);
	c.path = any_bytes(room, 1, CHANGE_PATH_BYTES);
	room += CHANGE_PATH_BYTES;
	if (c.type == CHANGE_MOVE)
		c.from = any_bytes(room, 0, CHANGE_PATH_BYTES);
	room += CHANGE_PATH_BYTES;
	c.program = any_bytes(room, 0, CHANGE_WORD_BYTES);
	room += CHANGE_WORD_BYTES;
	c.user = any_bytes(room, 0, CHANGE_WORD_BYTES);
	room += CHANGE_WORD_BYTES;
	if (c.type == CHANGE_GAP)
		c.why = any_bytes(room, 0, CHANGE_WORD_BYTES);
	return c;
}

/* What is at the front of heap memory of exactly that length, for ASan's sake; and of a record that
 * is taken, that it says what it was made of. */
static int take(const uint8_t *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1), again[CHANGE_RECORD_BYTES];
	const char *why = "";
	struct change c;
	int n;

	assert_non_null(exact);
	memcpy(exact, data, len);
	n = change_take(bytes_of(exact, len), &c, &why);
	assert_true(n == ERR_PROTOCOL ? why != NULL : n >= FIXED && (size_t)n <= len && !why);
	assert_int_equal(change_take(bytes_of(exact, len), &c, NULL), n);
	if (n > 0) {
		assert_int_equal(change_put(again, &c), n);
		assert_memory_equal(again, exact, (size_t)n);
	}
	free(exact);
	return n;
}

static void mutate(uint8_t *record, size_t len)
{
	static uint8_t other[CHANGE_RECORD_BYTES + 64];

	for (unsigned i = 0; i < MUTATIONS; i++) {
		size_t n = draw(3) ? len : draw(len + 64);

		memset(other, (int)draw(255), sizeof(other));
		memcpy(other, record, len < n ? len : n);
		for (uint64_t flips = draw(3); flips > 0 && n > 0; flips--)
			other[draw(1) ? draw(n - 1) : draw(n < FIXED ? n - 1 : FIXED - 1)] =
				(uint8_t)draw(255);
		take(other, n);
	}
}

static void round_trip(uint64_t seed)
{
	static uint8_t room[CHANGE_RECORD_BYTES], record[CHANGE_RECORD_BYTES + 8];
	struct change c, back;
	size_t len;

	drawn = seed;
	c = any_change(room);
	len = change_put(record, &c);
	memset(record + len, 0xee, 8); /* the next record's */
	assert_true(len <= CHANGE_RECORD_BYTES);
	assert_int_equal(change_take(bytes_of(record, len + 8), &back, NULL), len);
	assert_same(&c, &back);
	assert_true(back.path.data >= record && back.path.data < record + len);
	assert_int_equal(take(record, len), len);
	assert_int_equal(take(record, len - 1), ERR_PROTOCOL);
	assert_int_equal(take(record, draw(len - 1)), ERR_PROTOCOL);
	mutate(record, len);
}

/* A JSON line is one object, whole, with every name once; and none is cut. */
static void check_json(uint64_t seed)
{
	static uint8_t room[CHANGE_RECORD_BYTES];
	static char json[CHANGE_JSON_BYTES];
	struct text t = TEXT_OVER(json);
	char host[256] = "vega";
	struct json_member member;
	unsigned members = 0;
	size_t cursor = 0;
	struct change c;
	int more;

	drawn = seed;
	c = any_change(room);
	if (draw(9) == 0)
		memset(host, '\x01', sizeof(host) - 1);
	host[255] = '\0';
	change_put_json(&t, &c, draw(1) ? host : NULL, draw(1) ? "plain:10.0.0.1/00" : NULL,
			draw(1) ? draw(UINT64_MAX - 1) : 0);
	assert_false(t.cut);
	assert_int_equal(json[t.len - 1], '\n');
	assert_int_equal(bytes_find_byte(text_bytes(&t), '\n'), t.len - 1);
	while ((more = json_next(bytes_of(json, t.len - 1), &cursor, &member)) == 1)
		members++;
	assert_int_equal(more, 0);
	assert_true(members >= 4);
	t = TEXT_OVER(json);
	change_put_line(&t, &c, draw(1) ? "c d" : NULL, 3600);
	assert_false(t.cut);
	assert_int_equal(bytes_find_byte(text_bytes(&t), '\n'), t.len - 1);
}

static void every_seed(void (*run)(uint64_t seed))
{
	const char *only = getenv("SEED");
	uint64_t first = only ? strtoull(only, NULL, 10) : 1;

	for (seed_now = first; seed_now < first + (only ? 1 : SEEDS); seed_now++)
		run(seed_now);
	seed_now = 0;
}

static int tell_seed(void **state)
{
	if (seed_now)
		fprintf(stderr, "SEED=%llu\n", (unsigned long long)seed_now);
	seed_now = 0;
	return 0;
}

static void test_round_trip(void **state)
{
	every_seed(round_trip);
}

static void test_json_of_any(void **state)
{
	every_seed(check_json);
}

/* One byte of the example's record set, and what is said of it. */
static void test_refused(void **state)
{
	static const struct {
		unsigned at, value;
		const char *why;
	} cases[] = {
		{0, 0, "a record of an unknown type"},
		{0, CHANGE_TYPES, "a record of an unknown type"},
		{1, CHANGE_KINDS, "a record of an unknown kind"},
		{2, 4, "a record with an unknown flag"},
		{2, 0x80, "a record with an unknown flag"},
		{2, 3, "a record that resets and is no gap"},
		{5, 1, "a record that says why and is no gap"},
		{0, CHANGE_CREATE, "a record that says from where and is no move"},
		{7, 0, "a record without a path"},
		{6, 0x40, "a record with too long a path"},
		{8, 0x40, "a record with too long a path"},
		{10, 0x10, "a record with an unknown mode"},
		{7, 5, "a record that is cut"},
		{9, 3, "a record that is cut"},
		{3, 3, "a record that is cut"},
		{4, 4, "a record that is cut"},
		{FIXED + 32, 0, "a record with a NUL in its text"},
		{FIXED + 32 + 10, 0, "a record with a NUL in its text"},
	};
	uint8_t record[CHANGE_RECORD_BYTES];
	const char *why;
	struct change c;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = change_put(record, &example);

		record[cases[i].at] = (uint8_t)cases[i].value;
		assert_int_equal(change_take(bytes_of(record, len), &c, &why), ERR_PROTOCOL);
		assert_string_equal(why, cases[i].why);
	}
	assert_int_equal(change_take((struct bytes){0}, &c, &why), ERR_PROTOCOL);
	assert_string_equal(why, "a record that is cut");
}

static void test_longest(void **state)
{
	static uint8_t path[CHANGE_PATH_BYTES], record[CHANGE_RECORD_BYTES];
	struct change c = example, back;

	memset(path, 0xff, sizeof(path));
	c.path = c.from = bytes_of(path, sizeof(path));
	c.program = c.user = bytes_of(path, CHANGE_WORD_BYTES);
	assert_int_equal(change_put(record, &c),
			 FIXED + 32 + 2 * CHANGE_PATH_BYTES + 2 * CHANGE_WORD_BYTES);
	assert_true(change_take(bytes_of(record, sizeof(record)), &back, NULL) > 0);
	assert_same(&c, &back);
}

static void test_names(void **state)
{
	for (unsigned type = 1; type < CHANGE_TYPES; type++)
		assert_int_equal(change_type_of(bytes_of_string(change_type_name(type))), type);
	assert_null(change_type_name(0));
	assert_null(change_type_name(CHANGE_TYPES));
	assert_int_equal(change_type_of(BYTES_LITERAL("Create")), 0);
	assert_int_equal(change_type_of(BYTES_LITERAL("")), 0);
	assert_string_equal(change_type_name(CHANGE_SETTLED), "settled");
	assert_string_equal(change_kind_name(CHANGE_DIRECTORY), "directory");
	assert_string_equal(change_kind_name(CHANGE_NOTHING), "");
	assert_string_equal(change_kind_name(CHANGE_KINDS), "");
}

static void assert_json(const struct change *c, const char *host, const char *client, uint64_t seq,
			const char *expected)
{
	static char json[CHANGE_JSON_BYTES];
	struct text t = TEXT_OVER(json);

	change_put_json(&t, c, host, client, seq);
	assert_string_equal(json, expected);
}

static void test_json(void **state)
{
	struct change gap = {.type = CHANGE_GAP,
			     .reset = true,
			     .path = BYTES_LITERAL("/"),
			     .why = BYTES_LITERAL("overflow")};
	struct change gone = {.type = CHANGE_DELETE,
			      .kind = CHANGE_LINK,
			      .path = BYTES_LITERAL("/\xff\n"),
			      .size = 9,
			      .pid = 5};
	struct change plain = {.type = CHANGE_CREATE, .path = BYTES_LITERAL("x")};
	struct change empty = {
		.type = CHANGE_CREATE, .kind = CHANGE_FILE, .path = BYTES_LITERAL("/e")};

	assert_json(&example, "vega", "id", 12,
		    "{\"time\":\"2026-01-01T00:00:00.000001Z\",\"type\":\"watch.move\","
		    "\"host\":\"vega\",\"service\":\"collect\",\"client\":\"id\",\"seq\":12,"
		    "\"path\":\"/a/b\",\"from\":\"/c\",\"kind\":\"file\","
		    "\"size\":72623859790382856,\"mtime\":\"1969-12-31T23:59:59.999999Z\","
		    "\"mode\":2541,\"inode\":7,\"sha256\":\"aa0000000000000000000000000000000000"
		    "00000000000000000000000000bb\",\"pid\":168496141,\"program\":\"mv\","
		    "\"user\":\"ann\"}\n");
	assert_json(&gap, NULL, NULL, 0,
		    "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"watch.gap\","
		    "\"service\":\"watch\",\"path\":\"/\",\"why\":\"overflow\",\"reset\":true}\n");
	assert_json(&gone, NULL, NULL, 3,
		    "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"watch.delete\","
		    "\"service\":\"watch\",\"seq\":3,\"path\":\"/\xef\xbf\xbd\\n\","
		    "\"path_b64\":\"L/8K\",\"kind\":\"link\",\"pid\":5}\n");
	assert_json(&plain, NULL, "10.0.0.1", 1,
		    "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"watch.create\","
		    "\"service\":\"collect\",\"client\":\"10.0.0.1\",\"seq\":1,\"path\":\"x\"}\n");
	assert_json(&empty, NULL, NULL, 0,
		    "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"watch.create\","
		    "\"service\":\"watch\",\"path\":\"/e\",\"kind\":\"file\",\"size\":0,"
		    "\"mtime\":\"1970-01-01T00:00:00.000000Z\",\"mode\":0,\"inode\":0}\n");
}

static void assert_line(const struct change *c, const char *client, const char *expected)
{
	char line[512];
	struct text t = TEXT_OVER(line);

	change_put_line(&t, c, client, 3600);
	assert_string_equal(line, expected);
}

static void test_line(void **state)
{
	struct change c = example;

	assert_line(&c, NULL, "01:00:00 move    /c -> /a/b by mv 168496141 of ann\n");
	c = (struct change){.type = CHANGE_MODIFY,
			    .kind = CHANGE_FILE,
			    .path = BYTES_LITERAL("/a \x1b\"b"),
			    .size = 9};
	assert_line(&c, "id", "01:00:00 id modify  \"/a \\x1b\\\"b\" 9\n");
	c.type = CHANGE_ATTRIB;
	c.mode = 0755;
	c.kind = CHANGE_DIRECTORY;
	c.path = BYTES_LITERAL("/d");
	c.time_us = -1;
	assert_line(&c, NULL, "00:59:59 attrib  /d/ 0755\n");
	c = (struct change){.type = CHANGE_GAP,
			    .path = BYTES_LITERAL("/d"),
			    .why = BYTES_LITERAL("overflow"),
			    .reset = true};
	assert_line(&c, NULL, "01:00:00 gap     /d overflow reset\n");
	c = (struct change){.type = CHANGE_DELETE,
			    .kind = CHANGE_FILE,
			    .path = BYTES_LITERAL("/d"),
			    .size = 7,
			    .pid = 4};
	assert_line(&c, NULL, "01:00:00 delete  /d by pid 4\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),
		cmocka_unit_test_teardown(test_round_trip, tell_seed),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_json),
		cmocka_unit_test_teardown(test_json_of_any, tell_seed),
		cmocka_unit_test(test_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
