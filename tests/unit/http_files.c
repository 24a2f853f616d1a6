/* The files of http in real directories: what is found, what is kept, and what never gets out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/http_files.h"

enum { PATIENCE_S = 20, SWAPS = 3000 };

static char base[64];
static struct loop *loop;
static struct pump_common *pumps;
static struct work *work;
static struct http_types *types;
static struct http_cache *cache;
static const struct http_files *files;
static struct moment now = {.boot_ns = 1, .wall_us = 1767225600000000};

static const char *at(const char *name)
{
	static char path[4][512];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof path[0], "%s/%s", base, name);
	return p;
}

static void put(const char *name, const char *content)
{
	FILE *f = fopen(at(name), "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
}

static void open_cache(bool listing, unsigned encodings)
{
	struct http_files_plan plan = {.root = at("root"),
				       .listing = listing,
				       .encodings = encodings,
				       .types = types,
				       .loop = loop,
				       .pumps = pumps,
				       .work = work};

	http_cache_destroy(cache);
	assert_int_equal(http_cache_create(&cache, &plan), 0);
	files = http_cache_files(cache);
}

static const struct http_found *find_more(const char *path, unsigned encodings, bool first)
{
	struct http_search search = {
		.path = bytes_of_string(path), .encodings = encodings, .first = first};

	return files->find(files->context, &search, &now);
}

/* As a request in a new turn of the loop would. */
static const struct http_found *find_as(const char *path, unsigned encodings)
{
	now.boot_ns++;
	return find_more(path, encodings, true);
}

static const struct http_found *find(const char *path)
{
	return find_as(path, 0);
}

static void assert_content(const struct http_found *f, const char *content)
{
	assert_int_equal(f->status, 200);
	assert_non_null(f->data);
	assert_int_equal(f->bytes, strlen(content));
	assert_memory_equal(f->data, content, f->bytes);
}

/* Until the file is old enough to be kept: what is not is made anew for each find, beside the one
 * before, which the second find here leaves alone. */
static void wait_kept(const char *path)
{
	time_t deadline = time(NULL) + PATIENCE_S;
	const uint8_t *data = NULL, *again = NULL;

	while (!data || data != again) {
		assert_true(time(NULL) < deadline);
		data = find(path)->data;
		now.boot_ns++;
		again = find_more(path, 0, false)->data;
	}
}

static int set_up(void **state)
{
	strcpy(base, "/tmp/prise-http-XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(mkdir(at("root"), 0755), 0);
	assert_int_equal(mkdir(at("root/dir"), 0755), 0);
	put("secret.txt", "secret");
	put("root/a.txt", "hello");
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(pump_common_create(&pumps, loop, 0), 0);
	assert_int_equal(work_create(&work, 1), 0);
	assert_int_equal(http_types_load(&types, NULL), 0);
	open_cache(false, HTTP_GZIP);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	http_cache_destroy(cache);
	cache = NULL;
	work_destroy(work);
	loop_turn(loop, 0);
	http_types_free(types);
	pump_common_destroy(pumps);
	loop_destroy(loop);
	snprintf(command, sizeof command, "rm -rf %s", base);
	return system(command);
}

static void test_a_file(void **state)
{
	const struct http_found *f = find("/a.txt");

	assert_content(f, "hello");
	assert_string_equal(f->type, "text/plain; charset=utf-8");
	assert_int_equal(f->etag[0], '"');
	assert_true(f->ready.len > f->ready_head_bytes);
	assert_memory_equal(f->ready.data + f->ready_head_bytes, "hello", 5);
	assert_false(f->varies);
}

static void test_a_type_of_what_is_no_utf8(void **state)
{
	put("root/latin.txt", "caf\xe9");
	assert_string_equal(find("/latin.txt")->type, "text/plain");
}

static void test_names(void **state)
{
	put("root/un \xc3\xa9t\xc3\xa9.txt", "x");
	put("root/back\\slash", "y");
	put("root/.hidden", "z");
	assert_content(find("/un%20%c3%a9t%C3%A9.txt"), "x");
	assert_content(find("/back\\slash"), "y");
	assert_content(find("/.hidden"), "z");
	assert_int_equal(find("/a.txt/")->status, 404);
	assert_int_equal(find("/a.txt/b")->status, 404);
	assert_int_equal(find("/dir%2fa.txt")->status, 400);
	assert_int_equal(find("/a.txt%00.html")->status, 400);
	assert_int_equal(find("/../secret.txt")->status, 400);
	assert_int_equal(find("/%2e%2e/secret.txt")->status, 400);
	assert_int_equal(find("/dir/..%2f..%2fsecret.txt")->status, 400);
	assert_int_equal(find("/nothing")->status, 404);
}

static void test_directories(void **state)
{
	assert_int_equal(find("/dir")->status, 301);
	assert_int_equal(find("/dir/")->status, 403);
	put("root/dir/index.html", "<p>");
	assert_content(find("/dir/"), "<p>");
}

static void test_a_listing(void **state)
{
	const struct http_found *f;
	char page[4096];

	open_cache(true, 0);
	put("root/dir/<b>&\"' \x01.txt", "");
	put("root/dir/.hidden", "");
	assert_int_equal(mkdir(at("root/dir/sub"), 0755), 0);
	f = find("/dir/");
	assert_int_equal(f->status, 200);
	assert_true(f->made && f->bytes < sizeof page);
	memcpy(page, f->data, f->bytes);
	page[f->bytes] = '\0';
	assert_non_null(strstr(page, ">&lt;b&gt;&amp;&quot;' \\x01.txt</a>"));
	assert_non_null(strstr(page, "href=\"./%3Cb%3E%26%22%27%20%01.txt\""));
	assert_non_null(strstr(page, "href=\"./sub/\""));
	assert_null(strstr(page, "<b>"));
	assert_null(strstr(page, "hidden"));
}

static void test_links_do_not_lead_out(void **state)
{
	assert_int_equal(symlink("../secret.txt", at("root/out.txt")), 0);
	assert_int_equal(symlink(at("secret.txt"), at("root/absolute.txt")), 0);
	assert_int_equal(symlink("..", at("root/up")), 0);
	assert_int_equal(symlink("../..", at("root/dir/upper")), 0);
	assert_int_equal(symlink("loop", at("root/loop")), 0);
	assert_int_equal(symlink("../a.txt", at("root/dir/in.txt")), 0);
	assert_int_equal(find("/out.txt")->status, 404);
	assert_int_equal(find("/absolute.txt")->status, 404);
	assert_int_equal(find("/up/secret.txt")->status, 404);
	assert_int_equal(find("/dir/upper/secret.txt")->status, 404);
	assert_int_equal(find("/loop")->status, 404);
	assert_content(find("/dir/in.txt"), "hello");
	/* What was inside when it was kept may lead out later. */
	wait_kept("/dir/in.txt");
	assert_int_equal(unlink(at("root/dir/in.txt")), 0);
	assert_int_equal(symlink("../../secret.txt", at("root/dir/in.txt")), 0);
	assert_int_equal(find("/dir/in.txt")->status, 404);
}

static atomic_bool stop;

/* The same name is a directory inside and a link to one outside, in turns. */
static void *swap(void *argument)
{
	while (!atomic_load(&stop))
		renameat2(AT_FDCWD, at("root/swapped"), AT_FDCWD, at("root/other"),
			  RENAME_EXCHANGE);
	return NULL;
}

static void test_no_race_leads_out(void **state)
{
	pthread_t thread;
	unsigned found = 0;

	assert_int_equal(mkdir(at("outside"), 0755), 0);
	assert_int_equal(mkdir(at("root/swapped"), 0755), 0);
	put("outside/x.txt", "secret");
	put("root/swapped/x.txt", "inside");
	assert_int_equal(symlink("../outside", at("root/other")), 0);
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
	for (unsigned i = 0; i < SWAPS || (!found && i < 100 * SWAPS); i++) {
		const struct http_found *f = find("/swapped/x.txt");

		if (f->status != 200)
			continue;
		found++;
		assert_content(f, "inside");
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_true(found > 0);
}

static void test_other_kinds(void **state)
{
	assert_int_equal(mkfifo(at("root/fifo"), 0644), 0);
	assert_int_equal(find("/fifo")->status, 403);
	if (geteuid() != 0) {
		assert_int_equal(chmod(at("root/a.txt"), 0), 0);
		assert_int_equal(find("/a.txt")->status, 403);
	}
}

static void test_an_edit_is_seen_at_once(void **state)
{
	struct timespec times[2];
	struct stat st;

	wait_kept("/a.txt");
	put("root/a.txt", "HELLO");
	assert_content(find("/a.txt"), "HELLO");
	/* Of the same length and with the old time: only the change time tells. */
	wait_kept("/a.txt");
	assert_int_equal(stat(at("root/a.txt"), &st), 0);
	put("root/a.txt", "jello");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, at("root/a.txt"), times, 0), 0);
	assert_content(find("/a.txt"), "jello");
	put("new", "renamed");
	wait_kept("/a.txt");
	assert_int_equal(rename(at("new"), at("root/a.txt")), 0);
	assert_content(find("/a.txt"), "renamed");
	wait_kept("/a.txt");
	assert_int_equal(unlink(at("root/a.txt")), 0);
	assert_int_equal(find("/a.txt")->status, 404);
}

/* Edits within a tick of the clock, each read in between. */
static void test_quick_edits(void **state)
{
	char content[8];

	for (unsigned i = 0; i < 500; i++) {
		snprintf(content, sizeof content, "%05u", i);
		put("root/quick.txt", content);
		assert_content(find("/quick.txt"), content);
	}
}

static void test_what_was_found_stays_for_the_turn(void **state)
{
	const struct http_found *first, *second;

	wait_kept("/a.txt");
	first = find("/a.txt");
	put("root/a.txt", "other");
	now.boot_ns++;
	second = find_more("/a.txt", 0, false);
	assert_content(first, "hello");
	assert_content(second, "other");
}

static void test_the_date_moves_on(void **state)
{
	const struct http_found *f;
	char head[HTTP_FILE_HEAD_BYTES] = "";

	wait_kept("/a.txt");
	now.wall_us += 61000000;
	f = find("/a.txt");
	memcpy(head, f->ready.data, f->ready_head_bytes);
	assert_non_null(strstr(head, "Date: Thu, 01 Jan 2026 00:01:01 GMT\r\n"));
	now.wall_us -= 61000000;
}

static void test_siblings(void **state)
{
	struct timespec old[2] = {{1000, 0}, {1000, 0}};
	const struct http_found *f;

	put("root/a.txt.gz", "GZ");
	put("root/a.txt.br", "BR");
	f = find_as("/a.txt", HTTP_GZIP | HTTP_BROTLI);
	assert_content(f, "GZ");
	assert_string_equal(f->encoding, "gzip");
	assert_string_equal(f->type, "text/plain; charset=utf-8");
	assert_true(f->varies);
	f = find("/a.txt");
	assert_content(f, "hello");
	assert_true(f->varies);
	/* One that is older than what it stands in for is not of it. */
	assert_int_equal(utimensat(AT_FDCWD, at("root/a.txt.gz"), old, 0), 0);
	assert_content(find_as("/a.txt", HTTP_GZIP), "hello");
	open_cache(false, HTTP_GZIP | HTTP_BROTLI);
	assert_content(find_as("/a.txt", HTTP_BROTLI), "BR");
}

static void test_an_edit_beneath_a_sibling(void **state)
{
	struct timespec later[2] = {{0, UTIME_OMIT}, {time(NULL) + 100, 0}};

	put("root/a.txt.gz", "GZ");
	assert_content(find_as("/a.txt", HTTP_GZIP), "GZ");
	put("root/a.txt", "edited");
	assert_int_equal(utimensat(AT_FDCWD, at("root/a.txt"), later, 0), 0);
	assert_content(find_as("/a.txt", HTTP_GZIP), "edited");
}

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static void make_big(unsigned i)
{
	char name[32];
	int fd;

	snprintf(name, sizeof name, "root/big%u", i);
	fd = open(at(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(ftruncate(fd, HTTP_SMALL_BYTES + 1), 0);
	close(fd);
}

static void test_bounds(void **state)
{
	unsigned before = descriptors();
	char path[32];

	for (unsigned i = 0; i < HTTP_HANDLES_MOST + 100; i++)
		make_big(i);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < HTTP_HANDLES_MOST + 100; i++) {
			const struct http_found *f;

			snprintf(path, sizeof path, "/big%u", i);
			f = find(path);
			assert_int_equal(f->status, 200);
			assert_null(f->data);
			assert_int_equal(f->bytes, HTTP_SMALL_BYTES + 1);
			assert_true(fcntl(f->handle, F_GETFD) >= 0);
		}
	}
	assert_in_range(descriptors(), before, before + HTTP_HANDLES_MOST + 2);
}

/* Turns the loop until `name` is there. */
static void wait_file(const char *name)
{
	time_t deadline = time(NULL) + PATIENCE_S;

	while (access(at(name), F_OK) != 0) {
		assert_true(time(NULL) < deadline);
		loop_turn(loop, 10);
	}
}

static void *begin_put(const char *path)
{
	unsigned status = 0;
	void *writer = files->begin(files->context, bytes_of_string(path), false, &status);

	assert_non_null(writer);
	return writer;
}

static unsigned refused_put(const char *path)
{
	unsigned status = 0;

	assert_null(files->begin(files->context, bytes_of_string(path), false, &status));
	return status;
}

static unsigned names_in(const char *name)
{
	DIR *dir = opendir(at(name));
	unsigned count = 0;

	while (readdir(dir))
		count++;
	closedir(dir);
	return count - 2;
}

static void test_put(void **state)
{
	void *writer = begin_put("/dir/new.txt");
	struct dirent *entry;
	char path[512];
	DIR *dir;

	assert_int_equal(files->append(writer, BYTES_LITERAL("one ")), 0);
	assert_int_equal(files->append(writer, BYTES_LITERAL("two")), 0);
	assert_int_equal(find("/dir/new.txt")->status, 404);
	dir = opendir(at("root/dir"));
	while ((entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.' || entry->d_name[1] == 'p')
			break;
	assert_non_null(entry);
	snprintf(path, sizeof path, "/dir/%s", entry->d_name);
	closedir(dir);
	assert_int_equal(find(path)->status, 404);
	assert_int_equal(refused_put(path), 403);
	assert_int_equal(files->finish(writer, 1000), HTTP_LATER);
	wait_file("root/dir/new.txt");
	assert_content(find("/dir/new.txt"), "one two");
	assert_int_equal(names_in("root/dir"), 1);
}

static void test_put_refused(void **state)
{
	assert_int_equal(symlink("..", at("root/up")), 0);
	assert_int_equal(refused_put("/"), 409);
	assert_int_equal(refused_put("/dir"), 409);
	assert_int_equal(refused_put("/dir/"), 409);
	assert_int_equal(refused_put("/nothing/a.txt"), 404);
	assert_int_equal(refused_put("/up/secret.txt"), 404);
	assert_int_equal(refused_put("/../secret.txt"), 400);
	assert_int_equal(refused_put("/a.txt/b"), 404);
}

static void test_put_aborted(void **state)
{
	void *writer = begin_put("/dir/new.txt");

	assert_int_equal(files->append(writer, BYTES_LITERAL("half")), 0);
	files->abort(writer);
	assert_int_equal(names_in("root/dir"), 0);
}

static void test_put_over_a_link(void **state)
{
	struct stat st;
	time_t deadline = time(NULL) + PATIENCE_S;
	void *writer;

	assert_int_equal(symlink("../secret.txt", at("root/link.txt")), 0);
	writer = begin_put("/link.txt");
	files->append(writer, BYTES_LITERAL("mine"));
	files->finish(writer, 1000);
	while (lstat(at("root/link.txt"), &st) == 0 && S_ISLNK(st.st_mode)) {
		assert_true(time(NULL) < deadline);
		loop_turn(loop, 10);
	}
	assert_content(find("/link.txt"), "mine");
	assert_int_equal(stat(at("secret.txt"), &st), 0);
	assert_int_equal(st.st_size, 6);
}

/* The service stops while the disk is at work: nothing is lost, nothing is used after its end. */
static void test_put_at_the_end(void **state)
{
	for (unsigned i = 0; i < 20; i++) {
		char path[32];
		void *writer;

		snprintf(path, sizeof path, "/dir/n%u", i);
		writer = begin_put(path);
		files->append(writer, BYTES_LITERAL("x"));
		files->finish(writer, 1000 + i);
	}
	http_cache_destroy(cache);
	cache = NULL;
	work_destroy(work);
	loop_turn(loop, 0);
	assert_int_equal(work_create(&work, 1), 0);
	for (struct dirent **names = NULL; !names;) {
		int count = scandir(at("root/dir"), &names, NULL, NULL);

		for (int i = 0; i < count; i++) {
			assert_null(strstr(names[i]->d_name, HTTP_PUT_PREFIX));
			free(names[i]);
		}
		free(names);
		break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_type_of_what_is_no_utf8, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_directories, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_listing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_links_do_not_lead_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_race_leads_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_kinds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_edit_is_seen_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_quick_edits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_was_found_stays_for_the_turn, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_the_date_moves_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_siblings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_edit_beneath_a_sibling, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_put, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_put_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_put_aborted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_put_over_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_put_at_the_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
