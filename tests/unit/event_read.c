/* base/event_read.c: what was written comes back. */
#include "base/event_read.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static struct bytes written(struct text *t, const struct event *e)
{
	event_put_json(t, e, "host");
	return text_bytes(t);
}

static void all_kinds_come_back(void **state)
{
	char first[EVENT_JSON_BYTES], second[EVENT_JSON_BYTES], names[EVENT_NAMES_BYTES];
	struct text a = TEXT_OVER(first), b = TEXT_OVER(second);
	struct event e, again;

	event_init(&e, EVENT_INFO, "echo.round", "echo", 1764105007000123);
	event_uint(&e, "most", UINT64_MAX);
	event_int(&e, "least", INT64_MIN);
	event_bool(&e, "yes", true);
	event_bool(&e, "no", false);
	event_real(&e, "real", -0.1);
	event_string(&e, "text", "\xc3\xa9\xf0\x9f\x98\x80 \"\\/\b\f\n\r\t\x01\x7f");
	assert_true(event_read_json(&again, written(&a, &e), names));
	assert_string_equal(written(&b, &again).data, first);
	assert_int_equal(again.level, EVENT_INFO);
}

static void escapes_are_read(void **state)
{
	char names[EVENT_NAMES_BYTES];
	struct event e;
	struct bytes text;

	assert_true(event_read_json(&e,
				    BYTES_LITERAL("{\"type\":\"a\",\"t\":\"\\u00e9\\ud83d\\ude00"
						  "\\ud83dx\\ude00\\/\"}"),
				    names));
	text = event_field_text(&e, event_find(&e, "t"));
	assert_true(bytes_equal(text, BYTES_LITERAL("\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbdx"
						    "\xef\xbf\xbd/")));
}

static void too_much_is_cut(void **state)
{
	char names[EVENT_NAMES_BYTES], line[EVENT_JSON_BYTES];
	struct text t = TEXT_OVER(line);
	struct event e;

	text_put_string(&t, "{\"type\":\"error\",\"x\":\"");
	for (unsigned i = 0; i < 2 * EVENT_TEXT_BYTES; i++)
		text_put_byte(&t, 'x');
	text_put_string(&t, "\"}");
	assert_true(event_read_json(&e, text_bytes(&t), names));
	assert_true(e.cut);
	assert_int_equal(e.level, EVENT_ERROR);
}

static void what_is_none(void **state)
{
	char names[EVENT_NAMES_BYTES];
	struct event e;

	assert_false(event_read_json(&e, BYTES_LITERAL("{}"), names));
	assert_false(event_read_json(&e, BYTES_LITERAL("{\"type\":\"a\""), names));
	assert_false(event_read_json(&e, BYTES_LITERAL("[]"), names));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_come_back),
		cmocka_unit_test(escapes_are_read),
		cmocka_unit_test(too_much_is_cut),
		cmocka_unit_test(what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
