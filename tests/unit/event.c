/* Events as JSON and as lines, and what happens when they are full. */
#include "base/event.h"

#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { WALL_US = 0 };

static struct event fresh(void)
{
	struct event e;

	event_init(&e, EVENT_NOTICE, "test.event", NULL, WALL_US);
	return e;
}

static void check_json(const struct event *e, const char *host, const char *expected)
{
	char buffer[EVENT_JSON_BYTES];
	struct text t = TEXT_OVER(buffer);

	event_put_json(&t, e, host);
	assert_false(t.cut);
	assert_string_equal(buffer, expected);
}

static void check_line(const struct event *e, int32_t utc_offset_s, const char *expected)
{
	char buffer[4 * EVENT_TEXT_BYTES];
	struct text t = TEXT_OVER(buffer);

	event_put_line(&t, e, utc_offset_s);
	assert_false(t.cut);
	assert_string_equal(buffer, expected);
}

#define TIME "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"type\":\"test.event\""

static void json_of_every_kind(void **state)
{
	struct address a = {.ip = {127, 0, 0, 1}, .port = 40312, .family = ADDRESS_V4};
	struct event e;

	event_init(&e, EVENT_INFO, "conn.open", "guess", 1769850307000123);
	event_address(&e, "peer", &a);
	event_uint(&e, "bytes", UINT64_MAX);
	event_int(&e, "least", INT64_MIN);
	event_int(&e, "most", INT64_MAX);
	event_bool(&e, "tls", false);
	event_bool(&e, "first", true);
	event_real(&e, "rtt_ms", 0.1);
	event_string(&e, "empty", "");
	check_json(&e, "host.example",
		   "{\"time\":\"2026-01-31T09:05:07.000123Z\",\"type\":\"conn.open\","
		   "\"host\":\"host.example\",\"service\":\"guess\",\"peer\":\"127.0.0.1:40312\","
		   "\"bytes\":18446744073709551615,\"least\":-9223372036854775808,"
		   "\"most\":9223372036854775807,\"tls\":false,\"first\":true,\"rtt_ms\":0.1,"
		   "\"empty\":\"\"}\n");
}

static void json_strings(void **state)
{
	struct event e = fresh();

	event_text(&e, "a", BYTES_LITERAL("\"\\/\b\f\n\r\t\0\x1f\x7f"));
	event_text(&e, "b", BYTES_LITERAL("é € 😀"));
	event_text(&e, "c", BYTES_LITERAL("\xc2\x9b\xe2\x80\xa8\xe2\x80\xae"));
	check_json(&e, NULL,
		   TIME ",\"a\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\",\"b\":\"é € 😀\","
			"\"c\":\"\\u009b\\u2028\\u202e\"}\n");
}

static void json_of_no_text(void **state)
{
	struct event e = fresh();

	event_text(&e, "a", BYTES_LITERAL("x\xff"));
	event_text(&e, "b", BYTES_LITERAL("\xe2\x82z"));
	event_text(&e, "c", BYTES_LITERAL("\xc3"));
	event_text(&e, "d", BYTES_LITERAL("\xfb\xff\xfe"));
	check_json(&e, NULL,
		   TIME ",\"a\":\"x\xef\xbf\xbd\",\"a_b64\":\"eP8=\""
			",\"b\":\"\xef\xbf\xbdz\",\"b_b64\":\"4oJ6\""
			",\"c\":\"\xef\xbf\xbd\",\"c_b64\":\"ww==\""
			",\"d\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\"d_b64\":\"+//+\"}\n");
}

static void json_reals(void **state)
{
	struct event e = fresh();

	event_real(&e, "a", 1.0 / 3);
	event_real(&e, "b", -2.5);
	event_real(&e, "c", 5e-324);
	event_real(&e, "d", 1.7976931348623157e308);
	event_real(&e, "e", 42);
	event_real(&e, "f", NAN);
	event_real(&e, "g", -INFINITY);
	check_json(&e, NULL,
		   TIME ",\"a\":0.3333333333333333,\"b\":-2.5,\"c\":4.94065645841247e-324,"
			"\"d\":1.7976931348623157e+308,\"e\":42,\"f\":null,\"g\":null}\n");
}

/* Makes fr_FR.UTF-8 in `place`: few machines have it. */
static bool in_french(const char *place)
{
	char command[128];

	snprintf(command, sizeof command,
		 "localedef -i fr_FR -f UTF-8 %s/fr_FR.UTF-8 >/dev/null 2>&1", place);
	return system(command) == 0 && setenv("LOCPATH", place, 1) == 0 &&
	       setlocale(LC_NUMERIC, "fr_FR.UTF-8");
}

static void json_reals_in_a_comma_locale(void **state)
{
	struct event e = fresh();
	char place[] = "/tmp/event-XXXXXX", command[64];
	bool french;

	assert_non_null(mkdtemp(place));
	french = in_french(place);
	snprintf(command, sizeof command, "rm -r %s", place);
	assert_int_equal(system(command), 0);
	if (!french)
		skip();
	assert_string_equal(localeconv()->decimal_point, ",");
	event_real(&e, "a", -0.25);
	check_json(&e, NULL, TIME ",\"a\":-0.25}\n");
	setlocale(LC_NUMERIC, "C");
	unsetenv("LOCPATH");
}

static void cut_text(void **state)
{
	char filler[EVENT_TEXT_BYTES];
	struct event e = fresh();

	memset(filler, 'a', sizeof(filler));
	event_text(&e, "filler", bytes_of(filler, sizeof(filler) - 3));
	assert_false(e.cut);
	event_string(&e, "cut", "é€");
	assert_true(e.cut);
	assert_true(bytes_equal(event_field_text(&e, event_find(&e, "cut")), BYTES_LITERAL("é")));
	event_string(&e, "last", "b");
	assert_int_equal(event_field_text(&e, event_find(&e, "last")).len, 1);
	event_string(&e, "nothing", "c");
	assert_int_equal(event_field_text(&e, event_find(&e, "nothing")).len, 0);
	assert_int_equal(e.text_len, EVENT_TEXT_BYTES);
}

static void cut_fields(void **state)
{
	struct event e = fresh();

	for (unsigned i = 0; i < EVENT_FIELDS; i++)
		event_uint(&e, i == 0 ? "first" : "more", i);
	assert_false(e.cut);
	event_uint(&e, "beyond", 1);
	event_int(&e, "beyond", 1);
	event_bool(&e, "beyond", true);
	event_real(&e, "beyond", 1);
	event_string(&e, "beyond", "text");
	assert_true(e.cut);
	assert_int_equal(e.fields, EVENT_FIELDS);
	assert_int_equal(e.text_len, 0);
	assert_null(event_find(&e, "beyond"));
	assert_int_equal(event_find(&e, "first")->u, 0);
	assert_int_equal(event_find(&e, "more")->u, 1);
}

static void cut_is_said(void **state)
{
	struct event e = fresh();

	event_uint(&e, "n", 7);
	e.cut = true;
	check_json(&e, NULL, TIME ",\"n\":7,\"cut\":true}\n");
	check_line(&e, 0, "00:00:00 test.event n=7 cut=yes\n");
}

/* The text that grows most: control characters, and one byte that has base64 written as well. */
static void worst_case_fits(void **state)
{
	char worst[EVENT_TEXT_BYTES], buffer[EVENT_JSON_BYTES];
	struct text t = TEXT_OVER(buffer);
	struct event e = fresh();

	memset(worst, 1, sizeof(worst));
	worst[0] = '\xff';
	for (unsigned i = 0; i < EVENT_FIELDS; i++)
		event_text(&e, "quite_a_long_name", bytes_of(worst, sizeof(worst) / EVENT_FIELDS));
	event_put_json(&t, &e, "a.rather.long.host.name.example");
	assert_false(t.cut);
	assert_int_equal(buffer[t.len - 1], '\n');
}

static void lines(void **state)
{
	struct address a = {.ip = {127, 0, 0, 1}, .port = 40312, .family = ADDRESS_V4};
	struct event e;

	event_init(&e, EVENT_INFO, "conn.open", "guess", 1769850307000123);
	event_address(&e, "peer", &a);
	event_int(&e, "n", -5);
	event_uint(&e, "u", 5);
	event_bool(&e, "tls", true);
	event_real(&e, "rtt_ms", 1.5);
	check_line(&e, 3600,
		   "10:05:07 guess conn.open peer=127.0.0.1:40312 n=-5 u=5 tls=yes "
		   "rtt_ms=1.5\n");
	check_line(&e, -10 * 3600,
		   "23:05:07 guess conn.open peer=127.0.0.1:40312 n=-5 u=5 tls=yes rtt_ms=1.5\n");
}

static void line_values(void **state)
{
	struct event e = fresh();

	event_string(&e, "word", "é");
	event_string(&e, "words", "two words");
	event_string(&e, "none", "");
	event_string(&e, "quote", "say \"x\" peer=1");
	event_text(&e, "bytes", BYTES_LITERAL("\033[2J\n\xff"));
	check_line(&e, 0,
		   "00:00:00 test.event word=é words=\"two words\" none=\"\" "
		   "quote=\"say \\\"x\\\" peer=1\" bytes=\\x1b[2J\\n\\xff\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_of_every_kind),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(json_of_no_text),
		cmocka_unit_test(json_reals),
		cmocka_unit_test(json_reals_in_a_comma_locale),
		cmocka_unit_test(cut_text),
		cmocka_unit_test(cut_fields),
		cmocka_unit_test(cut_is_said),
		cmocka_unit_test(worst_case_fits),
		cmocka_unit_test(lines),
		cmocka_unit_test(line_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
