/* What http knows without a disk: types by extension, the lines of its log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/http_files.h"
#include "service/http_log.h"

static void test_types(void **state)
{
	char path[] = "/tmp/prise-types-XXXXXX";
	int fd = mkstemp(path);
	struct http_types *loaded;

	assert_true(fd >= 0);
	dprintf(fd, "%s",
		"# a comment\napplication/x-zzz\tzzz  yyy # and another\ntext/none\n\n"
		"text/odd html\n");
	assert_int_equal(http_types_load(&loaded, path), 0);
	assert_string_equal(http_types_find(loaded, "a.ZZZ"), "application/x-zzz");
	assert_string_equal(http_types_find(loaded, "dir.x/a.yyy"), "application/x-zzz");
	assert_string_equal(http_types_find(loaded, "a.html"), "text/html");
	assert_string_equal(http_types_find(loaded, "dir.html/a"), "application/octet-stream");
	assert_string_equal(http_types_find(loaded, ""), "application/octet-stream");
	http_types_free(loaded);
	close(fd);
	unlink(path);
}

static void test_log_lines(void **state)
{
	struct address remote = {.ip = {192, 0, 2, 7}, .port = 4000, .family = ADDRESS_V4};
	struct moment when = {.wall_us = 971186136000000, .utc_offset_s = -7 * 3600};
	struct http_entry entry = {.remote = &remote,
				   .method = BYTES_LITERAL("GET"),
				   .target = BYTES_LITERAL("/a\"b\xc3\xa9"),
				   .status = 200,
				   .bytes = 2326};
	char line[512];
	struct text t = TEXT_OVER(line);

	http_log_put_common(&t, &entry, &when);
	assert_string_equal(line, "192.0.2.7 - - [10/Oct/2000:06:55:36 -0700] "
				  "\"GET /a\\x22b\\xC3\\xA9 HTTP/1.0\" 200 2326\n");
	entry = (struct http_entry){.remote = &remote, .status = 400};
	t = TEXT_OVER(line);
	http_log_put_common(&t, &entry, &when);
	assert_string_equal(line, "192.0.2.7 - - [10/Oct/2000:06:55:36 -0700] \"-\" 400 -\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_log_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
