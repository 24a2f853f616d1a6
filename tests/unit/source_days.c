/* A source on bad days, each test on each way: queues that overflow, watches that run out, roots
 * that go. What must not happen to others (mounts, limits) is tried in a process and namespaces of
 * its own. */
#include "sourcing.h"

#include "kernel/source_parts.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char furnished[] = "mkdir -p d/e q && echo a > f && echo b > d/g && echo c > h";

static unsigned events_queued(enum source_way way)
{
	FILE *file = fopen(way == SOURCE_INOTIFY ? "/proc/sys/fs/inotify/max_queued_events"
						 : "/proc/sys/fs/fanotify/max_queued_events",
			   "re");
	unsigned queued = 0;

	if (file == NULL || fscanf(file, "%u", &queued) != 1)
		queued = 16384; /* fanotify's, before there was a limit to set */
	if (file != NULL)
		fclose(file);
	return queued;
}

/* More events than are queued, each of another name, so that none is merged. */
static int make_many(const struct sourcing *s)
{
	unsigned count = events_queued(source_way(s->source)) + 100;
	char name[32], next[32] = "n";

	if (chdir(s->root) != 0 || mknod(next, S_IFREG | 0600, 0) != 0)
		return 1;
	for (unsigned i = 0; i < count; i++) {
		strcpy(name, next);
		snprintf(next, sizeof(next), "n%u", i);
		if (rename(name, next) != 0)
			return 1;
	}
	return 0;
}

static void test_overflow(void **state)
{
	struct sourcing s;

	if (sourcing_way(state) == SOURCE_POLL || events_queued(sourcing_way(state)) > 100000 ||
	    !sourcing_begin_entered(&s, state, NULL))
		skip();
	sourcing_in_child(&s, make_many);
	while (source_counts(s.source).overflows == 0) {
		sourcing_forget(&s);
		assert_int_equal(sourcing_turn(&s, 1000), 0);
	}
	assert_non_null(sourcing_last(&s, SOURCING_DOUBT));
	assert_string_equal(sourcing_last(&s, SOURCING_DOUBT)->name, "overflow");
	sourcing_forget(&s);
	sourcing_run(&s, "touch after");
	sourcing_expect(&s, "", "after");
	sourcing_end(&s);
}

/* The root is another, or none: said at once or by the next look, never later than that. */
static void test_root_gone(void **state)
{
	static const char *const commands[] = {"rm -r ../%s", "mv ../%s ../%s.moved",
					       "mv ../%s ../%s.moved && mkdir ../%s"};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char command[256];
		struct sourcing s;
		const char *name;

		if (!sourcing_begin_entered(&s, state, furnished))
			skip();
		name = strrchr(s.root, '/') + 1;
		snprintf(command, sizeof(command), commands[i], name, name, name);
		sourcing_run(&s, command);
		moment_read(&s.now);
		s.now.boot_ns += 2 * MOMENT_S;
		assert_int_equal(source_tick(s.source, &s.now), ERR_NO_FILE);
		assert_int_equal(source_read(s.source, 10, &s.now), ERR_NO_FILE);
		sourcing_end(&s);
		snprintf(command, sizeof(command), "rm -rf %s.moved", s.root);
		assert_int_equal(system(command), 0);
	}
}

/* Nothing stays open that would keep the filesystem from being unmounted. */
static void test_nothing_kept_open(void **state)
{
	struct sourcing s;

	if (!sourcing_begin_entered(&s, state, furnished))
		skip();
	sourcing_run(&s, "touch d/e/x");
	sourcing_expect(&s, "d/e", "x");
	for (unsigned i = 0; i < 3; i++) {
		moment_read(&s.now);
		s.now.boot_ns += (i + 1) * 2 * MOMENT_S;
		assert_int_equal(source_tick(s.source, &s.now), 0);
		if (sourcing_way(state) == SOURCE_POLL)
			break;
	}
	for (unsigned i = 0; sourcing_way(state) != SOURCE_POLL && i < SOURCE_OPENED; i++)
		assert_int_equal(s.source->opened[i].inode, 0);
	sourcing_end(&s);
}

static void test_bad_roots(void **state)
{
	struct source_plan plan = {.way = sourcing_way(state), .path = "/nonexistent/x"};
	struct source *source = NULL;

	assert_int_equal(source_open(&source, &plan), ERR_NO_FILE);
	plan.path = "/etc/passwd";
	assert_int_equal(source_open(&source, &plan), ERR_REFUSES);
	assert_null(source);
}

/* Another user's directory, that may not be read: not watched, said why, and tried again. */
static int watch_as_nobody(const struct sourcing *s)
{
	struct source_counts counts;
	struct sourcing mine;
	struct source_plan plan = {.way = SOURCE_INOTIFY, .path = s->root};

	if (setgid(65534) != 0 || setuid(65534) != 0)
		return 2;
	if (sourcing_open(&mine, &plan) != 0)
		return 3;
	sourcing_enter(&mine, sourcing_inode(&mine, ""));
	counts = source_counts(mine.source);
	if (counts.watches != 1 || counts.unwatched != 1 || counts.unwatched_err != ERR_PERMISSION)
		return 4;
	source_close(mine.source);
	return 0;
}

static void test_no_permission(void **state)
{
	struct sourcing s;

	if (sourcing_way(state) != SOURCE_INOTIFY || geteuid() != 0 ||
	    !sourcing_begin_entered(&s, state, "chmod 755 . && mkdir -m 700 d"))
		skip();
	sourcing_in_child(&s, watch_as_nobody);
	sourcing_end(&s);
}

static bool write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	bool written = file != NULL && fputs(text, file) >= 0;

	return file != NULL && fclose(file) == 0 && written;
}

static const char max_watches[] = "/proc/sys/user/max_inotify_watches";

/* 20 directories and room for 8 watches: the others are polled, and watched once there is room. */
static int watch_too_many(const struct sourcing *s)
{
	struct source_plan plan = {.way = SOURCE_INOTIFY, .path = s->root};
	struct source_counts counts;
	struct sourcing mine;
	uint64_t last;

	if (unshare(CLONE_NEWUSER) != 0 || !write_text(max_watches, "8"))
		return 77;
	if (sourcing_open(&mine, &plan) != 0)
		return 2;
	sourcing_enter(&mine, sourcing_inode(&mine, ""));
	counts = source_counts(mine.source);
	if (counts.watches != 8 || counts.unwatched != 13 || counts.unwatched_err != ERR_FULL)
		return 3;
	last = mine.directory[mine.directories - 1].inode;
	if (!sourcing_await(&mine, last, "polled"))
		return 4;
	if (!write_text(max_watches, "100"))
		return 5;
	while (source_counts(mine.source).unwatched > 0)
		if (sourcing_turn(&mine, 100) != 0)
			return 6;
	if (source_counts(mine.source).watches != 21)
		return 7;
	source_close(mine.source);
	return 0;
}

static void test_watches_run_out(void **state)
{
	struct sourcing s;
	pid_t child;
	int status;

	if (sourcing_way(state) != SOURCE_INOTIFY ||
	    !sourcing_begin_entered(&s, state, "for i in $(seq 20); do mkdir d$i; done"))
		skip();
	child = fork();
	if (child == 0)
		_exit(watch_too_many(&s));
	waitpid(child, &status, 0);
	sourcing_end(&s);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("no user namespace to be had: skipped\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* A filesystem mounted, watched and unmounted; and one mounted within. */
static int mount_and_unmount(const struct sourcing *s)
{
	struct source_plan plan = {.way = source_way(s->source)};
	struct settle_node node;
	struct sourcing mine;
	char path[128];
	int err;

	snprintf(path, sizeof(path), "%s/m", s->root);
	plan.path = path;
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", path, "tmpfs", 0, NULL) != 0)
		return 77;
	err = sourcing_open(&mine, &plan);
	if (err == ERR_SYSTEM)
		return 77; /* its handles do not open again here */
	if (err != 0 || strcmp(source_filesystem(mine.source), "tmpfs") != 0)
		return 2;
	sourcing_run(&mine, "mkdir -p d/e in && mount -t tmpfs none in && touch in/x");
	sourcing_enter(&mine, sourcing_inode(&mine, ""));
	if (sourcing_look(&mine, sourcing_inode(&mine, ""), "in", &node) != 1 || !node.foreign)
		return 3;
	if (sourcing_is_entered(&mine, node.inode) && node.inode != sourcing_inode(&mine, ""))
		return 4;
	sourcing_run(&mine, "umount in && touch d/e/x");
	if (!sourcing_await(&mine, sourcing_inode(&mine, "d/e"), "x"))
		return 5;
	for (unsigned i = 1; i <= 3 && plan.way != SOURCE_POLL; i++) {
		mine.now.boot_ns += 2 * MOMENT_S;
		if (source_tick(mine.source, &mine.now) != 0)
			return 6;
	}
	if (plan.way == SOURCE_POLL)
		source_eyes_rest(mine.source, true);
	if (umount(path) != 0)
		return 7;
	mine.now.boot_ns += 2 * MOMENT_S;
	if (source_tick(mine.source, &mine.now) != ERR_NO_FILE)
		return 8;
	source_close(mine.source);
	return 0;
}

static void test_unmounted(void **state)
{
	struct sourcing s;
	pid_t child;
	int status;

	if (geteuid() != 0 || !sourcing_begin_entered(&s, state, "mkdir m"))
		skip();
	child = fork();
	if (child == 0)
		_exit(mount_and_unmount(&s));
	waitpid(child, &status, 0);
	sourcing_end(&s);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define EACH(test, ways) cmocka_unit_test_prestate(test, (void *)&(ways))

int main(void)
{
	static const enum source_way ways[] = {SOURCE_FANOTIFY, SOURCE_INOTIFY, SOURCE_POLL};
	int failed = 0;

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct CMUnitTest tests[] = {
			EACH(test_overflow, ways[i]),          EACH(test_root_gone, ways[i]),
			EACH(test_nothing_kept_open, ways[i]), EACH(test_bad_roots, ways[i]),
			EACH(test_no_permission, ways[i]),     EACH(test_watches_run_out, ways[i]),
			EACH(test_unmounted, ways[i]),
		};

		print_message("--- %s\n", source_way_name(ways[i]));
		failed += cmocka_run_group_tests_name(source_way_name(ways[i]), tests, NULL, NULL);
	}
	return failed;
}
