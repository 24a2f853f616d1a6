/* Watches for all directories before any is looked at (source_watch_ahead). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sourcing.h"

/* Steps of one name: more than there are is not needed. */
static int watch_all(struct sourcing *s)
{
	int more = 1;

	for (unsigned i = 0; more == 1 && i < SOURCING_DIRECTORIES; i++)
		more = source_watch_ahead(s->source, 1);
	return more;
}

static bool leave_out(void *owner, struct bytes path, bool is_directory)
{
	return is_directory && bytes_equal(path, BYTES_LITERAL("a/out"));
}

static void begin(struct sourcing *s, enum source_way way)
{
	struct source_plan plan = {.way = way, .ignored = leave_out};
	int err = sourcing_open(s, &plan);

	if (err == ERR_SYSTEM || err == ERR_PERMISSION) {
		sourcing_end(s);
		skip();
	}
	assert_int_equal(err, 0);
	sourcing_run(s, "mkdir -p a/b/c a/b/d a/out/in e && touch a/f e/g && ln -s /usr link");
}

static void test_each_directory_is_watched(void **state)
{
	char before[PATH_MAX], after[PATH_MAX];
	struct sourcing s;

	begin(&s, SOURCE_INOTIFY);
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(watch_all(&s), 0);
	assert_int_equal(source_counts(s.source).watches, 6); /* the root, a, b, c, d, e */
	assert_int_equal(source_counts(s.source).unwatched, 0);
	assert_non_null(getcwd(after, sizeof(after)));
	assert_string_equal(before, after);
	sourcing_end(&s);
}

/* Nothing was listed yet, and what is changed is told, at the inode that it will have. */
static void test_what_changes_then_is_told(void **state)
{
	struct sourcing s;

	begin(&s, SOURCE_INOTIFY);
	assert_int_equal(watch_all(&s), 0);
	sourcing_run(&s, "touch a/b/d/new && touch e/g && mkdir a/b/c/deep");
	sourcing_expect(&s, "a/b/d", "new");
	sourcing_expect(&s, "e", "g");
	sourcing_expect(&s, "a/b/c", "deep");
	sourcing_end(&s);
}

/* A list of several reads, given up and gone on with: each time from where the thread was. */
static void test_many_in_one_directory(void **state)
{
	char before[PATH_MAX], after[PATH_MAX];
	struct sourcing s;
	int more = 1;

	begin(&s, SOURCE_INOTIFY);
	sourcing_run(&s, "cd e && seq -f 'a-name-that-fills-the-list-%g' 1500 | xargs mkdir && "
			 "mkdir a-name-that-fills-the-list-700/in");
	assert_non_null(getcwd(before, sizeof(before)));
	for (unsigned i = 0; more == 1 && i < SOURCING_DIRECTORIES; i++) {
		more = source_watch_ahead(s.source, 7);
		assert_non_null(getcwd(after, sizeof(after)));
		assert_string_equal(before, after);
	}
	assert_int_equal(more, 0);
	assert_int_equal(source_counts(s.source).watches, 6 + 1500 + 1);
	sourcing_run(&s, "touch e/a-name-that-fills-the-list-1499/new");
	sourcing_expect(&s, "e/a-name-that-fills-the-list-1499", "new");
	sourcing_end(&s);
}

/* The settler's own pass comes after it, and changes nothing about it. */
static void test_entering_again(void **state)
{
	struct sourcing s;

	begin(&s, SOURCE_INOTIFY);
	assert_int_equal(watch_all(&s), 0);
	sourcing_run(&s, "rmdir a/b/d && mkdir a/b/h");
	sourcing_enter(&s, sourcing_inode(&s, ""));
	assert_int_equal(sourcing_turn(&s, 100), 0);
	assert_int_equal(source_counts(s.source).watches, 6);
	assert_int_equal(source_counts(s.source).unwatched, 0);
	sourcing_run(&s, "touch a/b/h/new");
	sourcing_expect(&s, "a/b/h", "new");
	sourcing_end(&s);
}

static void test_moved_meanwhile(void **state)
{
	struct sourcing s;

	begin(&s, SOURCE_INOTIFY);
	assert_int_equal(source_watch_ahead(s.source, 1), 1);
	sourcing_run(&s, "mv a z && rm -r e");
	assert_int_equal(watch_all(&s), 0);
	sourcing_end(&s);
}

static int watch_all_as_nobody(struct sourcing *s)
{
	int more;

	assert_int_equal(seteuid(65534), 0);
	more = watch_all(s);
	assert_int_equal(seteuid(0), 0);
	return more;
}

/* One that may be read but not searched is passed over, the others are not. */
static void test_not_to_be_searched(void **state)
{
	struct sourcing s;

	if (geteuid() != 0)
		skip(); /* who is not root cannot become another */
	begin(&s, SOURCE_INOTIFY);
	sourcing_run(&s, "chmod 755 . && chmod 744 a && mkdir -p e/h/i");
	assert_int_equal(watch_all_as_nobody(&s), 0);
	assert_int_equal(source_counts(s.source).watches, 5); /* the root, a, e, h, i */
	sourcing_end(&s);
}

/* In a working directory that cannot be come back to it is not left: all goes through /proc. */
static void test_nowhere_to_come_back_to(void **state)
{
	char before[PATH_MAX];
	struct sourcing s;
	int more;

	if (geteuid() != 0)
		skip(); /* who is not root cannot become another */
	begin(&s, SOURCE_INOTIFY);
	sourcing_run(&s, "chmod 755 . && mkdir -m 700 closed");
	assert_non_null(getcwd(before, sizeof(before)));
	assert_int_equal(chdir(s.root), 0);
	assert_int_equal(chdir("closed"), 0);
	more = watch_all_as_nobody(&s);
	assert_int_equal(chdir(before), 0);
	assert_int_equal(more, 0);
	assert_int_equal(source_counts(s.source).watches, 6);
	sourcing_run(&s, "touch a/b/d/new");
	sourcing_expect(&s, "a/b/d", "new");
	sourcing_end(&s);
}

/* That there are no descriptors left does not mean that there is nothing to watch. */
static void test_no_descriptors(void **state)
{
	struct rlimit before, none;
	struct sourcing s;
	int more;

	begin(&s, SOURCE_INOTIFY);
	assert_int_equal(source_watch_ahead(s.source, 1), 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	more = watch_all(&s);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(more, ERR_DESCRIPTORS);
	sourcing_end(&s);
}

static void test_no_root(void **state)
{
	char elsewhere[128];
	struct sourcing s;

	begin(&s, SOURCE_INOTIFY);
	snprintf(elsewhere, sizeof(elsewhere), "%s-gone", s.root);
	assert_int_equal(rename(s.root, elsewhere), 0);
	assert_int_equal(watch_all(&s), ERR_NO_FILE);
	assert_int_equal(rename(elsewhere, s.root), 0);
	sourcing_end(&s);
}

static void test_other_ways(void **state)
{
	struct sourcing s;

	begin(&s, SOURCE_POLL);
	assert_int_equal(source_watch_ahead(s.source, 1), ERR_SYSTEM);
	sourcing_end(&s);
	begin(&s, SOURCE_FANOTIFY);
	assert_int_equal(source_watch_ahead(s.source, 1), 0);
	sourcing_end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_directory_is_watched),
		cmocka_unit_test(test_what_changes_then_is_told),
		cmocka_unit_test(test_many_in_one_directory),
		cmocka_unit_test(test_entering_again),
		cmocka_unit_test(test_moved_meanwhile),
		cmocka_unit_test(test_not_to_be_searched),
		cmocka_unit_test(test_nowhere_to_come_back_to),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_no_root),
		cmocka_unit_test(test_other_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
