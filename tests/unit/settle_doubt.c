/* The settler when it cannot know, or may not look: overflow, errors, clocks, what is left out. */
#include "settling.h"

#include <stdio.h>

static void test_overflow(void **state)
{
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 2 * SETTLING_HINTS; i++) {
		snprintf(path, sizeof(path), "tree/%u", i);
		model_symlink(&w->m, path);
	}
	while (model_tell(&w->m, 1000))
		;
	assert_true(settle_counts(w->m.settle).in_doubt);
	settling_settle();
	assert_memory_equal(w->heard, "gap . overflow, create ", 23);
	assert_string_equal(w->heard + w->heard_len - 11, ", settled .");
	(void)settling_heard();
	assert_false(settle_counts(w->m.settle).in_doubt);
}

/* What was seen before is then of the future, and what is written now of the past. */
static void test_clock_set_back(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/d/f", 3);
	model_write(&w->m, "tree/g", 3);
	model_link(&w->m, "tree/g", "tree/d/h");
	settling_forget();
	w->m.now.wall_us -= (int64_t)86400 * 1000000;
	model_write(&w->m, "tree/d/f", 4);
	model_write(&w->m, "tree/g", 5);
	model_write(&w->m, "tree/d/new", 1);
	assert_string_equal(settling_heard(), "modify d/f, modify g, create d/new, modify d/h");
	model_pass_time(&w->m, MOMENT_S);
	w->m.now.wall_us -= (int64_t)86400 * 1000000;
	model_rename(&w->m, "tree/d/f", "tree/f");
	model_write(&w->m, "tree/d/new", 1);
	model_lose(&w->m);
	settling_begin("restart", false);
	assert_non_null(strstr(settling_heard(), "move d/f f"));
	assert_non_null(strstr(w->heard, "modify d/new"));
	assert_int_equal(settle_due(w->m.settle), MOMENT_NEVER); /* it does not look for ever */
}

static void test_errors_come_again(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/d/f", 3);
	model_tell(&w->m, 1000);
	w->x.emit_fails = 1;
	assert_int_equal(settle_step(w->m.settle, 100, &w->m.now), ERR_FULL);
	w->x.fail_after = 2;
	assert_int_equal(settle_step(w->m.settle, 100, &w->m.now), ERR_DISK);
	assert_string_equal(settling_heard(), "create d, create d/f");
}

static void test_permission(void **state)
{
	(void)state;
	w->m.root = false;
	w->m.paths = 100;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/d/f", 3);
	for (unsigned i = 0; i < 4; i++) /* till nothing about f is unsure */
		settling_forget();
	model_chmod(&w->m, "tree/d", 0);
	model_write(&w->m, "tree/d/g", 3);
	settling_settle();
	settle_list(w->m.settle, model_inode(&w->m, "tree/d"), false, &w->m.now);
	settling_settle();
	assert_string_equal(w->heard, "attrib d, gap d permission");
	w->heard_len = 0;
	model_chmod(&w->m, "tree/d", 0755);
	assert_string_equal(settling_heard(), "attrib d, create d/g, settled d");
}

static void test_too_long(void **state)
{
	char path[CHANGE_PATH_BYTES + 600] = "tree";
	size_t len = 4;
	unsigned depth = 0;

	(void)state;
	for (; len < CHANGE_PATH_BYTES + 300; len += 256, depth++) {
		memset(path + len, 'x', 256);
		path[len] = '/';
		path[len + 256] = '\0';
		model_mkdir(&w->m, path);
	}
	settling_settle();
	assert_string_equal(w->x.why, "");
	assert_non_null(strstr(w->heard, "gap LONG too_long"));
	assert_int_equal(w->x.of_type[CHANGE_CREATE], 1 + (CHANGE_PATH_BYTES - 7) / 256);
}

static bool leaves_out(void *owner, uint64_t directory, struct bytes name, bool is_directory)
{
	(void)owner, (void)directory;
	return is_directory && bytes_equal(name, BYTES_LITERAL("x"));
}

static void test_ignored(void **state)
{
	struct settle_eyes eyes = model_eyes;

	(void)state;
	eyes.ignored = leaves_out;
	settling_look_with(&eyes);
	model_write(&w->m, "tree/x", 3);
	assert_string_equal(settling_heard(), "create x");
	model_remove(&w->m, "tree/x");
	model_mkdir(&w->m, "tree/x");
	model_write(&w->m, "tree/x/f", 3);
	settling_settle();
	assert_string_equal(w->heard, "delete x");
}

static uint64_t not_found; /* a directory that is not to be found now, though its name is there */

static int enter_found(void *owner, uint64_t directory)
{
	return directory == not_found ? ERR_NO_FILE : model_eyes.enter(owner, directory);
}

/* What could not be found is looked for again once something above it has moved. */
static void test_found_again(void **state)
{
	struct settle_eyes eyes = model_eyes;

	(void)state;
	eyes.enter = enter_found;
	settling_look_with(&eyes);
	model_mkdir(&w->m, "tree/a");
	settling_forget();
	settle_list(w->m.settle, MODEL_TREE, true, &w->m.now); /* nothing there is fresh any more */
	settling_forget();
	model_mkdir(&w->m, "tree/a/d");
	not_found = model_inode(&w->m, "tree/a/d");
	model_write(&w->m, "tree/a/d/f", 3);
	settling_settle();
	not_found = 0;
	model_rename(&w->m, "tree/a", "tree/c");
	assert_string_equal(settling_heard(), "create a/d, gap a/d no_file, "
					      "move a c, create c/d/f, settled c/d");
}

static void test_budget(void **state)
{
	char path[32];
	uint64_t before, most = 0;

	(void)state;
	model_mkdir(&w->m, "tree/d");
	for (unsigned i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "tree/d/%u", i);
		model_symlink(&w->m, path);
	}
	settling_forget();
	settle_list(w->m.settle, model_inode(&w->m, "tree/d"), false, &w->m.now);
	settling_forget(); /* now it is certain that it is listed */
	w->m.down = true;
	model_rename(&w->m, "tree/d", "out/d");
	w->m.down = false;
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = MODEL_TREE, .name = BYTES_LITERAL("d")},
		    &w->m.now);
	do {
		uint64_t told;

		before = settle_counts(w->m.settle).changes;
		if (settle_step(w->m.settle, 10, &w->m.now) == 0)
			break;
		told = settle_counts(w->m.settle).changes - before;
		most = told > most ? told : most;
		/* It comes back in the middle of its deletion. */
		if (w->x.of_type[CHANGE_DELETE] == 0 && before > 400) {
			model_commit(&w->x);
			model_rename(&w->m, "out/d", "tree/d");
			model_tell(&w->m, 10);
		}
		assert_true(w->heard_len < sizeof(w->heard) - 64);
		w->heard_len = 0;
	} while (true);
	assert_in_range(most, 1, 10);
	(void)settling_heard();
}

static void test_path(void **state)
{
	char buffer[64];
	struct text path = TEXT_OVER(buffer);
	uint64_t b;

	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	(void)settling_heard();
	b = model_inode(&w->m, "tree/a/b");
	assert_int_equal(settle_path(w->m.settle, b, BYTES_LITERAL("f"), &path), 0);
	assert_string_equal(buffer, "a/b/f");
	path = TEXT_OVER(buffer);
	assert_int_equal(settle_path(w->m.settle, b, (struct bytes){0}, &path), 0);
	assert_string_equal(buffer, "a/b");
	path = TEXT_OVER(buffer);
	assert_int_equal(settle_path(w->m.settle, MODEL_TREE, (struct bytes){0}, &path), 0);
	assert_string_equal(buffer, "");
	path = text_over(buffer, 4);
	assert_int_equal(settle_path(w->m.settle, b, BYTES_LITERAL("f"), &path), ERR_TOO_LONG);
	assert_int_equal(settle_path(w->m.settle, 4711, (struct bytes){0}, &path), ERR_NO_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SETTLING_BOTH(test_overflow),
		SETTLING_BOTH(test_clock_set_back),
		SETTLING_BOTH(test_errors_come_again),
		SETTLING_BOTH(test_permission),
		SETTLING_BOTH(test_too_long),
		SETTLING_BOTH(test_ignored),
		cmocka_unit_test_setup_teardown(test_found_again, settling_setup_inotify,
						settling_teardown),
		SETTLING_BOTH(test_budget),
		SETTLING_BOTH(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
