/* base/json.c: what is sound, what is not, and what stands in it. */
#include "base/err.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Members of `text`, or ERR_SYNTAX. In heap memory of its exact size, so that ASan sees more. */
static int count(const char *text)
{
	size_t len = strlen(text), cursor = 0;
	uint8_t *copy = malloc(len ? len : 1);
	struct json_member member;
	int more, members = 0;

	memcpy(copy, text, len);
	while ((more = json_next(bytes_of(copy, len), &cursor, &member)) > 0)
		members++;
	free(copy);
	return more < 0 ? more : members;
}

static void sound_objects(void **state)
{
	assert_int_equal(count("{}"), 0);
	assert_int_equal(count(" \t{ } \r\n"), 0);
	assert_int_equal(count("{\"a\":1}"), 1);
	assert_int_equal(count("{\"a\" : -0.5e+10 , \"b\":null,\"c\":[], \"d\":{}}"), 4);
	assert_int_equal(count("{\"a\":[1,[2,{\"b\":[true,false]}],\"x\"]}"), 1);
	assert_int_equal(count("{\"\xc3\xa9\":\"\\u00e9\\n\\\"\\\\\\/\"}"), 1);
	assert_int_equal(count("{\"a\":[[[[[[[[]]]]]]]]}"), 1); /* JSON_DEPTH */
}

static void faults(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"[]",
		"1",
		"{",
		"}",
		"{}x",
		"{} {}",
		"{,}",
		"{\"a\":1,}",
		"{\"a\"}",
		"{\"a\":}",
		"{\"a\" 1}",
		"{\"a\":1 \"b\":2}",
		"{a:1}",
		"{'a':1}",
		"{1:1}",
		"{\"a\":01}",
		"{\"a\":-}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":1e}",
		"{\"a\":+1}",
		"{\"a\":tru}",
		"{\"a\":nulll}",
		"{\"a\":NaN}",
		"{\"a\":\"}",
		"{\"a\":\"\\x\"}",
		"{\"a\":\"\\u12g4\"}",
		"{\"a\":\"\\u12\"}",
		"{\"a\":\"\n\"}",
		"{\"a\":\"\x1b[31m\"}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\xc2\x9b\"}",
		"{\"a\":\"\xe2\x80\xae\"}",
		"{\"a\":[1,]}",
		"{\"a\":[,1]}",
		"{\"a\":[1 2]}",
		"{\"a\":[}",
		"{\"a\":{]}",
		"{\"a\":{\"b\"}}",
		"{\"a\":[[[[[[[[[]]]]]]]]]}",
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (count(bad[i]) != ERR_SYNTAX)
			fail_msg("'%s' was taken", bad[i]);
}

/* No beginning of an object is an object. */
static void cut_anywhere(void **state)
{
	static const char whole[] = "{\"a\":[1,{\"b\":\"x\\u00e9\"}],\"c\":-1.5e3,\"d\":true}";
	char part[sizeof whole];

	for (size_t len = 0; len + 1 < sizeof whole; len++) {
		memcpy(part, whole, len);
		part[len] = '\0';
		assert_int_equal(count(part), ERR_SYNTAX);
	}
	assert_int_equal(count(whole), 3);
}

static void what_members_are(void **state)
{
	struct bytes b = BYTES_LITERAL("{\"s\":\"a\\nb\",\"n\":-12,\"o\":{\"x\":[1]},\"t\":false}");
	struct json_member m;
	size_t cursor = 0;

	assert_int_equal(json_next(b, &cursor, &m), 1);
	assert_true(json_is(m.name, "s") && json_is(m.value, "a\\nb") && m.kind == JSON_STRING);
	assert_int_equal(json_next(b, &cursor, &m), 1);
	assert_true(json_is(m.name, "n") && json_is(m.value, "-12") && m.kind == JSON_NUMBER);
	assert_int_equal(json_next(b, &cursor, &m), 1);
	assert_true(json_is(m.value, "{\"x\":[1]}") && m.kind == JSON_OBJECT);
	assert_int_equal(json_next(b, &cursor, &m), 1);
	assert_true(json_is(m.value, "false") && m.kind == JSON_BOOL);
	assert_int_equal(json_next(b, &cursor, &m), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_objects),
		cmocka_unit_test(faults),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(what_members_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
