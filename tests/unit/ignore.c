/* Patterns of .gitignore: cases by hand, and random ones against git itself. */
#include "proto/ignore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATTERNS = 4, NAMES = 8, PATHS = NAMES + NAMES * NAMES + NAMES * NAMES * NAMES };

static void test_parse(void **state)
{
	static const struct {
		const char *line, *text;
		bool negated, directory, anchored;
	} cases[] = {
		{"*.o", "*.o", false, false, false},
		{"*.o \n", "*.o", false, false, false},
		{"*.o\r\n", "*.o", false, false, false},
		{"a\\  ", "a\\ ", false, false, false},
		{"a\\\\ ", "a\\\\", false, false, false},
		{"!/build/", "build", true, true, true},
		{"doc/*.txt", "doc/*.txt", false, false, true},
		{"tmp/", "tmp", false, true, false},
		{"\\#x", "\\#x", false, false, false},
		{"\\!x", "\\!x", false, false, false},
		{"**/x", "**/x", false, false, true},
	};
	static const char *const nothing[] = {"", "\n", "   ", "# *.o", "/", "!", "!/", "\r\n"};
	struct ignore_pattern p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(ignore_parse(bytes_of_string(cases[i].line), &p));
		assert_true(bytes_equal(p.text, bytes_of_string(cases[i].text)));
		assert_int_equal(p.negated, cases[i].negated);
		assert_int_equal(p.directory, cases[i].directory);
		assert_int_equal(p.anchored, cases[i].anchored);
	}
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
		assert_false(ignore_parse(bytes_of_string(nothing[i]), &p));
}

static bool matches(const char *line, const char *path, bool is_directory)
{
	struct ignore_pattern p;

	return ignore_parse(bytes_of_string(line), &p) &&
	       ignore_matches(&p, bytes_of_string(path), is_directory);
}

static void test_matches(void **state)
{
	static const struct {
		const char *line, *path;
		bool matches;
	} cases[] = {
		{"*.o", "a/b/c.o", true},
		{"*.o", "o", false},
		{"/a", "a", true},
		{"/a", "b/a", false},
		{"a/b", "a/b", true},
		{"a/b", "x/a/b", false},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{"a/**", "a/b/c", true},
		{"a/**", "a", false},
		{"**/a", "a", true},
		{"**/a", "b/c/a", true},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "a/x/y/c", false},
		{"a/**/b/**/c", "a/b/b/x/c", true},
		{"a?c", "abc", true},
		{"/a?c", "a/c", false},
		{"[a-c]x", "bx", true},
		{"[!a-c]x", "bx", false},
		{"[]]x", "]x", true},
		{"[[:digit:]]", "7", true},
		{"[[:nonsense:]]", "n", false},
		{"[a", "[a", false},
		{"a\\*", "a*", true},
		{"a\\*", "ab", false},
		{"a\\", "a\\", false},
		{"a\\/b", "a/b", true},
		{"a\nb", "a\nb", true},
		{"\xff*", "\xff\xfe", true},
		{"**", "x/y", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (matches(cases[i].line, cases[i].path, false) != cases[i].matches)
			fail_msg("%s on %s is not %d", cases[i].line, cases[i].path,
				 cases[i].matches);
	assert_false(matches("a/", "a", false));
	assert_true(matches("a/", "a", true));
	assert_false(matches("*", "", true));
}

static void test_last_decides(void **state)
{
	struct ignore_pattern p[3];

	(void)state;
	ignore_parse(BYTES_LITERAL("*.log"), &p[0]);
	ignore_parse(BYTES_LITERAL("!keep.log"), &p[1]);
	ignore_parse(BYTES_LITERAL("/x/keep.log"), &p[2]);
	assert_true(ignore_path(p, 3, BYTES_LITERAL("a.log"), false));
	assert_false(ignore_path(p, 3, BYTES_LITERAL("keep.log"), false));
	assert_true(ignore_path(p, 3, BYTES_LITERAL("x/keep.log"), false));
	assert_false(ignore_path(p, 3, BYTES_LITERAL("a.txt"), false));
	assert_false(ignore_path(p, 0, BYTES_LITERAL("a.log"), false));
}

/* What takes a matcher that goes back everywhere longer than the world stands. */
static void test_bounded(void **state)
{
	static char line[4001], deep[4001], path[4001];
	clock_t begin = clock();

	(void)state;
	for (size_t i = 0; i < 4000; i++) {
		line[i] = "*a"[i % 2];
		deep[i] = "**/a/"[i % 5];
		path[i] = i % 2 == 1 && i < 3999 ? '/' : 'a';
	}
	line[3999] = deep[3999] = 'b';
	assert_false(matches(deep, path, false));
	memset(path, 'a', 4000);
	assert_false(matches(line, path, false));
	assert_true(clock() - begin < 5 * CLOCKS_PER_SEC);
}

static uint64_t seed;

static unsigned draw(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % below);
}

static const char *const names[NAMES] = {"a", "b", "ab", "abc", "a-b", "[", " a ", "*\\"};
static char repository[] = "/tmp/ignore-XXXXXX";

/* Some of a path's names are directories, the others have nothing there: files to git. */
static bool is_directory_at(const char *path)
{
	char full[256];
	struct stat st;

	snprintf(full, sizeof(full), "%s/%.32s", repository, path);
	return stat(full, &st) == 0;
}

static unsigned make_paths(char (*paths)[32])
{
	unsigned count = 0;

	for (unsigned i = 0; i < PATHS; i++) {
		char full[256], *p = paths[count++];

		if (i < NAMES)
			snprintf(p, 32, "%s", names[i]);
		else if (i < NAMES + NAMES * NAMES)
			snprintf(p, 32, "%s/%s", names[(i - NAMES) / NAMES], names[i % NAMES]);
		else
			snprintf(p, 32, "%s/%s/%s", names[i / NAMES / NAMES % NAMES],
				 names[i / NAMES % NAMES], names[i % NAMES]);
		snprintf(full, sizeof(full), "%s/%s", repository, p);
		if (i % 3 != 0 || i < NAMES)
			mkdir(full, 0700);
	}
	return count;
}

static void make_line(char *line)
{
	static const char *const parts[] = {
		"a", "b",           "c",    "ab",  "/",     "/",     "/",   "*",    "**",
		"?", "[a-b]",       "[!a]", "[*]", "\\*",   "\\\\",  " ",   "[",    "]",
		"-", "[[:alpha:]]", "**/",  "/**", "[^a/]", "[]-a]", "abc", "[b-a]"};
	unsigned count = 1 + draw(5);

	strcpy(line, draw(5) == 0 ? "!" : "");
	while (count-- > 0)
		strcat(line, parts[draw(sizeof(parts) / sizeof(parts[0]))]);
}

/* As git asks: a path is out when a directory that it lies in is. */
static bool is_out(const struct ignore_pattern *patterns, unsigned count, const char *path)
{
	struct bytes whole = bytes_of_string(path);

	for (size_t i = 1; i < whole.len; i++)
		if (path[i] == '/' && ignore_path(patterns, count, bytes_first(whole, i), true))
			return true;
	return ignore_path(patterns, count, whole, is_directory_at(path));
}

static void ask_git(char (*paths)[32], unsigned count, bool *out)
{
	char command[512], name[64];
	FILE *file;
	int c;

	snprintf(name, sizeof(name), "%s/.git/paths", repository);
	file = fopen(name, "w");
	assert_non_null(file);
	for (unsigned i = 0; i < count; i++)
		fwrite(paths[i], 1, strlen(paths[i]) + 1, file);
	fclose(file);
	snprintf(command, sizeof(command),
		 "cd %s && HOME=/nonexistent git check-ignore -z --stdin <.git/paths", repository);
	file = popen(command, "r");
	assert_non_null(file);
	memset(out, 0, count);
	for (unsigned i = 0, len = 0; (c = getc(file)) != EOF;) {
		name[len++] = (char)c;
		if (c != '\0')
			continue;
		while (i < count && strcmp(paths[i], name) != 0)
			i++;
		assert_true(i < count);
		out[i] = true;
		len = 0;
	}
	pclose(file);
}

static void try_once(char (*paths)[32], unsigned count)
{
	char lines[PATTERNS][64], where[64];
	struct ignore_pattern patterns[PATTERNS];
	unsigned used = 0;
	bool out[PATHS];
	uint64_t begun = seed;
	FILE *file;

	snprintf(where, sizeof(where), "%s/.gitignore", repository);
	file = fopen(where, "w");
	assert_non_null(file);
	for (unsigned i = 0; i < PATTERNS; i++) {
		make_line(lines[i]);
		fprintf(file, "%s\n", lines[i]);
		used += ignore_parse(bytes_of_string(lines[i]), &patterns[used]);
	}
	fclose(file);
	ask_git(paths, count, out);
	for (unsigned i = 0; i < count; i++)
		if (is_out(patterns, used, paths[i]) != out[i])
			fail_msg("seed %#llx: git says %d of \"%s\" by \"%s\" \"%s\" \"%s\" \"%s\"",
				 (unsigned long long)begun, out[i], paths[i], lines[0], lines[1],
				 lines[2], lines[3]);
}

static void test_as_git(void **state)
{
	static char paths[PATHS][32];
	char command[128];
	unsigned count;

	(void)state;
	assert_non_null(mkdtemp(repository));
	snprintf(command, sizeof(command), "git init -q %s >/dev/null 2>&1", repository);
	if (system(command) != 0) {
		rmdir(repository);
		print_message("no git here: skipped\n");
		skip();
	}
	count = make_paths(paths);
	for (unsigned i = 0; i < 150; i++)
		try_once(paths, count);
	snprintf(command, sizeof(command), "rm -rf %s", repository);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),        cmocka_unit_test(test_matches),
		cmocka_unit_test(test_last_decides), cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_as_git),
	};
	const char *given = getenv("SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = given != NULL ? strtoull(given, NULL, 0)
			     : (uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec;
	print_message("seed %#llx (SEED= to repeat)\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
