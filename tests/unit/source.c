/* A source on real trees, each test on each way: what happens in the tree is told, and the eyes
 * then see what is there. */
#include "sourcing.h"

#include "kernel/source_parts.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Longer than the eyes remember. */
#define LONG_NAME "0123456789012345678901234567890123456789012345678901234567890123456789"

static void expect_kind(struct sourcing *s, const char *directory, const char *name, int kind)
{
	struct settle_node node = {0};
	int found = sourcing_look(s, sourcing_inode(s, directory), name, &node);

	assert_int_equal(found, kind != CHANGE_NOTHING);
	assert_int_equal(node.kind, kind);
}

/* A change, and what is there after it. */
struct change_case {
	const char *command, *directory, *name;
	int kind;
};

static const char furnished[] = "mkdir -p d/e q && echo a > f && echo b > d/g && echo c > h";

static void test_each_change(void **state)
{
	static const struct change_case cases[] = {
		{"echo x > n", "", "n", CHANGE_FILE},
		{"mkdir m", "", "m", CHANGE_DIRECTORY},
		{"ln -s nowhere l", "", "l", CHANGE_LINK},
		{"mkfifo p", "", "p", CHANGE_OTHER},
		{"ln f d/hard", "d", "hard", CHANGE_FILE},
		{"echo more >> d/g", "d", "g", CHANGE_FILE},
		{"truncate -s 0 f", "", "f", CHANGE_FILE},
		{"chmod 600 f", "", "f", CHANGE_FILE},
		{"touch -d 1982-02-22 d/g", "d", "g", CHANGE_FILE},
		{"chmod 700 d/e", "d", "e", CHANGE_DIRECTORY},
		{"rm d/g", "d", "g", CHANGE_NOTHING},
		{"rmdir d/e", "d", "e", CHANGE_NOTHING},
		{"mv f d/f2", "d", "f2", CHANGE_FILE},
		{"mv d/f2 d/f3", "d", "f2", CHANGE_NOTHING},
		{"mv h d/f3", "d", "f3", CHANGE_FILE},
		{"mv d q/d", "q", "d", CHANGE_DIRECTORY},
		{"echo moved > q/d/in", "q/d", "in", CHANGE_FILE},
		{"rm -r q", "", "q", CHANGE_NOTHING},
		{"printf x > \"$(printf 'a\\nb')\"", "", "a\nb", CHANGE_FILE},
		{"printf x > \"$(printf '\\377\\376')\"", "", "\xff\xfe", CHANGE_FILE},
		{"printf x > '\"'", "", "\"", CHANGE_FILE},
	};
	struct sourcing s;

	if (!sourcing_begin_entered(&s, state, furnished))
		skip();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sourcing_forget(&s);
		sourcing_run(&s, cases[i].command);
		sourcing_expect(&s, cases[i].directory, cases[i].name);
		expect_kind(&s, cases[i].directory, cases[i].name, cases[i].kind);
	}
	sourcing_end(&s);
}

static void test_what_look_says(void **state)
{
	struct settle_node node;
	struct sourcing s;
	uint64_t root;

	if (!sourcing_begin_entered(
		    &s, state, "printf 12345 > f && chmod 4751 f && ln f g && touch -d @77.5 f"))
		skip();
	root = sourcing_inode(&s, "");
	assert_int_equal(sourcing_look(&s, root, "f", &node), 1);
	assert_int_equal(node.kind, CHANGE_FILE);
	assert_int_equal(node.mode, 04751);
	assert_int_equal(node.size, 5);
	assert_int_equal(node.links, 2);
	assert_int_equal(node.inode, sourcing_inode(&s, "g"));
	assert_int_equal(node.mtime_ns, 77500000000);
	assert_true(node.ctime_ns > node.mtime_ns);
	assert_false(node.foreign);
	assert_int_equal(sourcing_look(&s, 0, "", &node), 1);
	assert_int_equal(node.inode, root);
	assert_int_equal(node.kind, CHANGE_DIRECTORY);
	assert_int_equal(sourcing_look(&s, root + 1000000, "f", &node), ERR_NO_FILE);
	sourcing_end(&s);
}

static void test_flags(void **state)
{
	struct sourcing s;
	uint64_t root;

	if (sourcing_way(state) == SOURCE_POLL ||
	    !sourcing_begin_entered(&s, state, "echo > a; echo > b; echo > c"))
		skip();
	root = sourcing_inode(&s, "");
	sourcing_run(&s, "echo more >> a; rm b; chmod 700 c");
	sourcing_expect(&s, "", "c");
	assert_true(sourcing_flags(&s, root, "a") & SETTLE_WRITTEN);
	assert_int_equal(sourcing_flags(&s, root, "b") & SETTLE_DELETED, SETTLE_DELETED);
	assert_int_equal(sourcing_flags(&s, root, "c"), SETTLE_ATTRIB);
	sourcing_end(&s);
}

/* A file that is being written, and when its writer has closed it. */
static void test_open_and_closed(void **state)
{
	struct sourcing s;
	char command[128];
	uint64_t root;
	FILE *writer;

	if (sourcing_way(state) == SOURCE_POLL || !sourcing_begin_entered(&s, state, "echo > a"))
		skip();
	root = sourcing_inode(&s, "");
	snprintf(command, sizeof(command), "exec cat >>%s/a", s.root);
	writer = popen(command, "w");
	assert_non_null(writer);
	fputs("more\n", writer);
	fflush(writer);
	sourcing_expect(&s, "", "a");
	assert_int_equal(sourcing_flags(&s, root, "a"), SETTLE_WRITTEN | SETTLE_OPEN);
	if (sourcing_way(state) == SOURCE_FANOTIFY)
		assert_true(sourcing_last(&s, SOURCING_HINT)->pid > 1);
	sourcing_forget(&s);
	pclose(writer);
	sourcing_expect(&s, "", "a");
	assert_int_equal(sourcing_flags(&s, root, "a"), SETTLE_WRITTEN);
	sourcing_end(&s);
}

/* What this process did itself is not told. */
static void test_own_doings(void **state)
{
	char path[128];
	struct sourcing s;

	if (sourcing_way(state) != SOURCE_FANOTIFY || !sourcing_begin_entered(&s, state, NULL))
		skip();
	snprintf(path, sizeof(path), "%s/mine", s.root);
	assert_int_equal(mkdir(path, 0700), 0);
	sourcing_run(&s, "touch theirs");
	sourcing_expect(&s, "", "theirs");
	assert_false(sourcing_is_told(&s, sourcing_inode(&s, ""), "mine"));
	sourcing_end(&s);
}

static void test_root_itself(void **state)
{
	struct settle_node node;
	struct sourcing s;

	if (!sourcing_begin_entered(&s, state, NULL))
		skip();
	sourcing_run(&s, "chmod 711 .");
	if (sourcing_way(state) != SOURCE_POLL)
		assert_true(sourcing_await(&s, 0, ""));
	assert_int_equal(sourcing_look(&s, 0, "", &node), 1);
	assert_int_equal(node.mode, 0711);
	sourcing_end(&s);
}

static void expect_renamed(const struct sourcing *s, const char *from, const char *to)
{
	for (unsigned i = 0; i < s->told_count; i++)
		if (s->told[i].what == SOURCING_RENAMED && strcmp(s->told[i].name, from) == 0 &&
		    strcmp(s->told[i].to_name, to) == 0)
			return;
	fail_msg("no rename %s -> %s", from, to);
}

static void test_renames(void **state)
{
	char outside[] = "/tmp/source-out-XXXXXX", command[256];
	struct sourcing s;

	if (sourcing_way(state) == SOURCE_POLL || !sourcing_begin_entered(&s, state, furnished))
		skip();
	assert_non_null(mkdtemp(outside));
	sourcing_run(&s, "mv f d/x && mv d q/y && mv q/y/x z && touch end");
	sourcing_expect(&s, "", "end");
	expect_renamed(&s, "f", "x");
	expect_renamed(&s, "d", "y");
	expect_renamed(&s, "x", "z");
	sourcing_forget(&s);
	snprintf(command, sizeof(command), "mv z %s/z && mkdir %s/b && mv %s/b b", outside, outside,
		 outside);
	sourcing_run(&s, command);
	sourcing_expect(&s, "", "z"); /* half of a rename: the other is outside */
	sourcing_expect(&s, "", "b");
	assert_null(sourcing_last(&s, SOURCING_RENAMED));
	assert_true(sourcing_is_entered(&s, sourcing_inode(&s, "b")));
	snprintf(command, sizeof(command), "rm -r %s", outside);
	sourcing_run(&s, command);
	sourcing_end(&s);
}

static int exchange(const struct sourcing *s)
{
	return chdir(s->root) != 0 || renameat2(AT_FDCWD, "h", AT_FDCWD, "d", RENAME_EXCHANGE) != 0;
}

static void test_exchange(void **state)
{
	struct sourcing s;

	if (!sourcing_begin_entered(&s, state, furnished))
		skip();
	sourcing_in_child(&s, exchange);
	sourcing_expect(&s, "", "h");
	sourcing_expect(&s, "", "d");
	expect_kind(&s, "", "h", CHANGE_DIRECTORY);
	expect_kind(&s, "", "d", CHANGE_FILE);
	expect_kind(&s, "h", "e", CHANGE_DIRECTORY);
	sourcing_end(&s);
}

static void test_chain_filled_at_once(void **state)
{
	struct sourcing s;

	if (!sourcing_begin_entered(&s, state, NULL))
		skip();
	sourcing_run(&s, "for i in 1 2 3 4 5 6 7 8 9; do mkdir -p c$i/d/e/f/g/h && "
			 "echo x > c$i/d/e/f/g/h/file; done && touch end");
	sourcing_expect(&s, "", "end");
	for (unsigned i = 1; i <= 9; i++) {
		char path[32];

		snprintf(path, sizeof(path), "c%u/d/e/f/g/h", i);
		assert_true(sourcing_is_entered(&s, sourcing_inode(&s, path)));
		sourcing_forget(&s);
		strcat(path, "/file");
		sourcing_run(&s, i == 1 ? "echo y >> c1/d/e/f/g/h/file" : "touch again");
		if (i == 1)
			sourcing_expect(&s, "c1/d/e/f/g/h", "file");
	}
	sourcing_end(&s);
}

enum { DEEP = 60, DEEP_NAME = 120 };

static int make_deep(const struct sourcing *s)
{
	char name[DEEP_NAME + 1];
	int fd = open(s->root, O_RDONLY | O_DIRECTORY);

	memset(name, 'n', DEEP_NAME);
	name[DEEP_NAME] = '\0';
	for (unsigned i = 0; i < DEEP; i++) {
		int next;

		if (mkdirat(fd, name, 0700) != 0)
			return 1;
		next = openat(fd, name, O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = next;
	}
	return openat(fd, "bottom", O_CREAT | O_WRONLY, 0600) < 0;
}

static uint64_t bottom_inode(const struct sourcing *s)
{
	return s->directory[s->directories - 1].inode;
}

/* Deeper than a path can say, and with nothing open: each is opened from the root again. */
static void try_deep(void **state, bool no_openat2)
{
	struct settle_node node;
	struct sourcing s;

	if (!sourcing_begin_entered(&s, state, NULL))
		skip();
	s.source->no_openat2 |= no_openat2;
	sourcing_in_child(&s, make_deep);
	while (s.directories < DEEP + 1)
		assert_int_equal(sourcing_turn(&s, 100), 0);
	assert_int_equal(sourcing_look(&s, bottom_inode(&s), "bottom", &node), 1);
	source_eyes_rest(s.source, true);
	memset(s.source->seen, 0, sizeof(s.source->seen));
	assert_int_equal(sourcing_look(&s, bottom_inode(&s), "bottom", &node), 1);
	assert_int_equal(node.kind, CHANGE_FILE);
	sourcing_end(&s);
}

static void test_deep(void **state)
{
	try_deep(state, false);
}

static void test_deep_without_openat2(void **state)
{
	try_deep(state, true);
}

/* A descriptor follows its directory, and a path that leads elsewhere is not taken for it. */
static void test_moved_away(void **state)
{
	struct settle_node node;
	struct sourcing s;
	uint64_t d;

	if (!sourcing_begin_entered(&s, state, "mkdir d && touch d/f"))
		skip();
	d = sourcing_inode(&s, "d");
	assert_int_equal(sourcing_look(&s, d, "f", &node), 1);
	sourcing_run(&s, "mv d e && mkdir d && touch d/other");
	assert_int_equal(sourcing_look(&s, d, "f", &node), 1);
	source_eyes_rest(s.source, true);
	if (sourcing_way(state) == SOURCE_FANOTIFY) /* its handle finds it anywhere */
		assert_int_equal(sourcing_look(&s, d, "f", &node), 1);
	else
		assert_int_equal(sourcing_look(&s, d, "other", &node), ERR_NO_FILE);
	sourcing_run(&s, "rm -r e && ln -s /tmp d2");
	source_eyes_rest(s.source, true);
	assert_int_equal(sourcing_look(&s, d, "f", &node), ERR_NO_FILE);
	sourcing_end(&s);
}

/* Where a name can be looked at, the directory that stands there can be opened, be what is further
 * up elsewhere by now. */
static void test_moved_above(void **state)
{
	struct settle_node node;
	struct sourcing s;
	uint64_t b, d;

	if (!sourcing_begin_entered(&s, state, "mkdir -p a/b && touch a/b/f"))
		skip();
	b = sourcing_inode(&s, "a/b");
	sourcing_run(&s, "mkdir a/b/" LONG_NAME " && touch a/b/" LONG_NAME "/f");
	d = sourcing_inode(&s, "a/b/" LONG_NAME);
	sourcing_expect(&s, "a/b", LONG_NAME);
	source_eyes_rest(s.source, true);
	assert_int_equal(sourcing_look(&s, b, "f", &node), 1);
	sourcing_run(&s, "mv a c");
	assert_int_equal(sourcing_look(&s, b, LONG_NAME, &node), 1);
	assert_int_equal(source_eyes.enter(s.source, d), 0);
	assert_int_equal(sourcing_look(&s, d, "f", &node), 1);
	sourcing_end(&s);
}

static bool leave_out(void *owner, struct bytes path, bool is_directory)
{
	(void)owner;
	return (is_directory && bytes_equal(path, BYTES_LITERAL("d/build"))) ||
	       (path.len > 2 && memcmp(path.data + path.len - 2, ".o", 2) == 0);
}

static int count_entries(void *context, struct bytes name, const struct settle_node *node)
{
	(void)name;
	(void)node;
	++*(unsigned *)context;
	return 0;
}

static void test_ignored(void **state)
{
	struct source_plan plan = {.way = sourcing_way(state), .ignored = leave_out};
	struct settle_node node;
	unsigned count = 0;
	struct sourcing s;
	int err = sourcing_open(&s, &plan);
	uint64_t d;

	if (err == ERR_PERMISSION || err == ERR_SYSTEM) {
		sourcing_end(&s);
		skip();
	}
	assert_int_equal(err, 0);
	sourcing_run(&s, "mkdir -p d/build build && touch d/build/x d/a.o d/a.c build/y");
	sourcing_enter(&s, sourcing_inode(&s, ""));
	d = sourcing_inode(&s, "d");
	assert_int_equal(sourcing_look(&s, d, "build", &node), 0);
	assert_int_equal(sourcing_look(&s, d, "a.o", &node), 0);
	assert_int_equal(sourcing_look(&s, d, "a.c", &node), 1);
	assert_int_equal(sourcing_look(&s, sourcing_inode(&s, ""), "build", &node), 1);
	assert_int_equal(source_eyes.list(s.source, d, count_entries, &count), 0);
	assert_int_equal(count, 1);
	assert_false(sourcing_is_entered(&s, sourcing_inode(&s, "d/build")));
	assert_true(source_eyes.ignored(s.source, d, BYTES_LITERAL("build"), true));
	assert_false(source_eyes.ignored(s.source, d, BYTES_LITERAL("build"), false));
	sourcing_end(&s);
}

static void test_open_file(void **state)
{
	struct sourcing s;
	char text[8] = "";
	uint64_t root;
	int fd;

	if (!sourcing_begin_entered(&s, state,
				    "printf hello > f && mkfifo p && ln -s f l && mkdir d"))
		skip();
	root = sourcing_inode(&s, "");
	fd = source_open_file(s.source, root, BYTES_LITERAL("f"));
	assert_true(fd >= 0);
	assert_int_equal(read(fd, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	close(fd);
	assert_int_equal(source_open_file(s.source, root, BYTES_LITERAL("p")), ERR_REFUSES);
	assert_int_equal(source_open_file(s.source, root, BYTES_LITERAL("l")), ERR_REFUSES);
	assert_int_equal(source_open_file(s.source, root, BYTES_LITERAL("d")), ERR_DIRECTORY);
	assert_int_equal(source_open_file(s.source, root, BYTES_LITERAL("no")), ERR_NO_FILE);
	sourcing_end(&s);
}

static void test_left_is_not_told(void **state)
{
	struct sourcing s;
	uint64_t d;

	if (sourcing_way(state) == SOURCE_POLL || !sourcing_begin_entered(&s, state, "mkdir d e"))
		skip();
	d = sourcing_inode(&s, "d");
	source_eyes.leave(s.source, d);
	source_eyes.leave(s.source, d);
	sourcing_run(&s, "touch d/x e/x");
	sourcing_expect(&s, "e", "x");
	assert_false(sourcing_is_told(&s, d, "x"));
	assert_int_equal(source_eyes.enter(s.source, d), 0);
	sourcing_run(&s, "touch d/y");
	sourcing_expect(&s, "d", "y");
	sourcing_end(&s);
}

#define EACH(test, ways) cmocka_unit_test_prestate(test, (void *)&(ways))

int main(void)
{
	static const enum source_way ways[] = {SOURCE_FANOTIFY, SOURCE_INOTIFY, SOURCE_POLL};
	int failed = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct CMUnitTest tests[] = {
			EACH(test_each_change, ways[i]),
			EACH(test_what_look_says, ways[i]),
			EACH(test_flags, ways[i]),
			EACH(test_open_and_closed, ways[i]),
			EACH(test_own_doings, ways[i]),
			EACH(test_root_itself, ways[i]),
			EACH(test_renames, ways[i]),
			EACH(test_exchange, ways[i]),
			EACH(test_chain_filled_at_once, ways[i]),
			EACH(test_deep, ways[i]),
			EACH(test_deep_without_openat2, ways[i]),
			EACH(test_moved_away, ways[i]),
			EACH(test_moved_above, ways[i]),
			EACH(test_ignored, ways[i]),
			EACH(test_open_file, ways[i]),
			EACH(test_left_is_not_told, ways[i]),
		};

		print_message("--- %s\n", source_way_name(ways[i]));
		failed += cmocka_run_group_tests_name(source_way_name(ways[i]), tests, NULL, NULL);
	}
	return failed;
}
