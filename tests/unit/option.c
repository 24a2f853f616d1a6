/* Settings from text, by table. */
#include "base/option.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct settings {
	bool terse, loud;
	const char *greeting, *nothing;
	uint64_t max_connections, limit_bytes, idle_ms;
	int mode;
	struct option_list roots;
};

#define AT(field) offsetof(struct settings, field)

static const struct option table[] = {
	{.name = "terse", .letter = 't', .type = OPTION_FLAG, .offset = AT(terse)},
	{.name = "loud", .type = OPTION_FLAG, .offset = AT(loud), .fallback = "yes"},
	{.name = "greeting", .type = OPTION_TEXT, .offset = AT(greeting), .fallback = "hello"},
	{.name = "nothing", .type = OPTION_TEXT, .offset = AT(nothing)},
	{.name = "max_connections",
	 .letter = 'm',
	 .type = OPTION_COUNT,
	 .offset = AT(max_connections),
	 .fallback = "100",
	 .least = 1,
	 .most = 65535},
	{.name = "limit", .type = OPTION_SIZE, .offset = AT(limit_bytes), .fallback = "64K"},
	{.name = "idle",
	 .type = OPTION_DURATION,
	 .offset = AT(idle_ms),
	 .fallback = "5m",
	 .most = 3600000},
	{.name = "mode",
	 .type = OPTION_CHOICE,
	 .offset = AT(mode),
	 .fallback = "historique",
	 .choices = "auto historique standard"},
	{.name = "root", .type = OPTION_LIST, .offset = AT(roots)},
	OPTION_END,
};

static struct settings defaults(void)
{
	struct settings s;

	memset(&s, 0xa5, sizeof(s));
	option_defaults(table, &s);
	return s;
}

static int set(struct settings *s, const char *name, const char *value)
{
	return option_set(option_find(table, name, strlen(name)), s, value);
}

static void fallbacks(void **state)
{
	struct settings s = defaults();

	assert_false(s.terse);
	assert_true(s.loud);
	assert_string_equal(s.greeting, "hello");
	assert_null(s.nothing);
	assert_int_equal(s.max_connections, 100);
	assert_int_equal(s.limit_bytes, 65536);
	assert_int_equal(s.idle_ms, 300000);
	assert_int_equal(s.mode, 1);
	assert_int_equal(s.roots.count, 0);
}

static void flags(void **state)
{
	struct settings s = defaults();

	assert_int_equal(set(&s, "terse", NULL), 0);
	assert_true(s.terse);
	assert_int_equal(set(&s, "terse", "no"), 0);
	assert_false(s.terse);
	assert_int_equal(set(&s, "terse", "yes"), 0);
	assert_true(s.terse);
	assert_int_equal(set(&s, "terse", "off"), 0);
	assert_false(s.terse);
	assert_int_equal(set(&s, "terse", "maybe"), ERR_SYNTAX);
	assert_int_equal(set(&s, "terse", ""), ERR_SYNTAX);
	assert_false(s.terse);
}

static void values(void **state)
{
	struct settings s = defaults();
	const char *mine = "my own";

	assert_int_equal(set(&s, "greeting", mine), 0);
	assert_ptr_equal(s.greeting, mine);
	assert_int_equal(set(&s, "limit", "2M"), 0);
	assert_int_equal(s.limit_bytes, 2 << 20);
	assert_int_equal(set(&s, "limit", "2ms"), ERR_SYNTAX);
	assert_int_equal(set(&s, "limit", NULL), ERR_SYNTAX);
	assert_int_equal(set(&s, "idle", "1.5s"), 0);
	assert_int_equal(s.idle_ms, 1500);
	assert_int_equal(set(&s, "idle", "0"), 0);
	assert_int_equal(set(&s, "idle", "1h"), 0);
	assert_int_equal(set(&s, "idle", "3601s"), ERR_RANGE);
	assert_int_equal(s.idle_ms, 3600000);
}

static void bounds(void **state)
{
	struct settings s = defaults();

	assert_int_equal(set(&s, "max_connections", "0"), ERR_RANGE);
	assert_int_equal(set(&s, "max_connections", "65536"), ERR_RANGE);
	assert_int_equal(set(&s, "max_connections", "99999999999999999999"), ERR_RANGE);
	assert_int_equal(set(&s, "max_connections", "ten"), ERR_SYNTAX);
	assert_int_equal(s.max_connections, 100);
	assert_int_equal(set(&s, "max_connections", "1"), 0);
	assert_int_equal(set(&s, "max_connections", "65535"), 0);
	assert_int_equal(s.max_connections, 65535);
	assert_int_equal(set(&s, "limit", "16777215T"), 0); /* no bound */
}

static void choices(void **state)
{
	struct settings s = defaults();

	assert_int_equal(set(&s, "mode", "auto"), 0);
	assert_int_equal(s.mode, 0);
	assert_int_equal(set(&s, "mode", "standard"), 0);
	assert_int_equal(s.mode, 2);
	assert_int_equal(set(&s, "mode", "stand"), ERR_SYNTAX);
	assert_int_equal(set(&s, "mode", "standards"), ERR_SYNTAX);
	assert_int_equal(set(&s, "mode", "auto historique"), ERR_SYNTAX);
	assert_int_equal(set(&s, "mode", ""), ERR_SYNTAX);
	assert_int_equal(s.mode, 2);
}

static void lists(void **state)
{
	struct settings s = defaults();

	for (unsigned i = 0; i < OPTION_LIST_MOST; i++)
		assert_int_equal(set(&s, "root", i == 0 ? "first" : "more"), 0);
	assert_int_equal(set(&s, "root", "beyond"), ERR_FULL);
	assert_int_equal(s.roots.count, OPTION_LIST_MOST);
	assert_string_equal(s.roots.item[0], "first");
	assert_string_equal(s.roots.item[OPTION_LIST_MOST - 1], "more");
	option_defaults(table, &s);
	assert_int_equal(s.roots.count, 0);
}

static void find(void **state)
{
	assert_ptr_equal(option_find(table, "terse=yes", 5), &table[0]);
	assert_null(option_find(table, "ters", 4));
	assert_null(option_find(table, "", 0));
	assert_null(option_find(NULL, "terse", 5));
	assert_ptr_equal(option_find_letter(table, 'm'), &table[4]);
	assert_null(option_find_letter(table, 'x'));
	assert_null(option_find_letter(table, '\0'));
	assert_null(option_find_letter(NULL, 'm'));
}

static void nearest(void **state)
{
	static const struct option short_names[] = {{.name = "q"}, OPTION_END};

	assert_string_equal(option_nearest(table, "tesre"), "terse");
	assert_string_equal(option_nearest(table, "rot"), "root");
	assert_string_equal(option_nearest(table, "max-connections"), "max_connections");
	assert_string_equal(option_nearest(table, "max"), "max_connections");
	assert_string_equal(option_nearest(table, "limits"), "limit");
	assert_null(option_nearest(table, "x"));
	assert_null(option_nearest(table, ""));
	assert_null(option_nearest(table, "certificate"));
	assert_null(option_nearest(short_names, "x"));
	assert_null(option_nearest(NULL, "terse"));
}

static void expects(void **state)
{
	assert_string_equal(option_expects(&table[6]), "a duration such as 500ms, 2s or 1m");
	assert_string_equal(option_expects(&table[7]), "auto historique standard");
	for (const struct option *row = table; row->name; row++)
		assert_true(strlen(option_expects(row)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fallbacks), cmocka_unit_test(flags),   cmocka_unit_test(values),
		cmocka_unit_test(bounds),    cmocka_unit_test(choices), cmocka_unit_test(lists),
		cmocka_unit_test(find),      cmocka_unit_test(nearest), cmocka_unit_test(expects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
