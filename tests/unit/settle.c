/* The settler, case by case, on the model filesystem (tests/model_tree.h): what exactly it tells.
 * That it tells the truth whatever happens is tests/sim/settle.c's. */
#include "model_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HINTS = 64 };

#define SETTLE_NS MOMENT_S

struct world {
	struct model m;
	struct model_index x;
	void *memory;
	char heard[8192]; /* `create a, move b c, ...` since it was last asked */
	size_t heard_len;
};

static struct world *w;

/* A path as told, without the root. */
static const char *below(struct bytes path)
{
	if (path.len > 200)
		return "LONG";
	return path.len > sizeof(MODEL_ROOT) - 1 ? (const char *)path.data + sizeof(MODEL_ROOT)
						 : ".";
}

static int hear(void *owner, struct change *c, uint64_t directory, struct bytes name)
{
	static const char *const words[] = {"?",    "create", "modify", "delete",
					    "move", "attrib", "gap",    "settled"};
	int err = model_emit(owner, c, directory, name);
	struct change *kept = &w->x.change[w->x.changes - 1].change;

	if (err < 0)
		return err;
	w->heard_len += (size_t)snprintf(w->heard + w->heard_len, sizeof(w->heard) - w->heard_len,
					 "%s%s %s%s%s%s%.*s", w->heard_len > 0 ? ", " : "",
					 words[c->type], c->from.len > 0 ? below(kept->from) : "",
					 c->from.len > 0 ? " " : "", below(kept->path),
					 c->why.len > 0 ? " " : "", (int)c->why.len,
					 c->why.len > 0 ? (const char *)c->why.data : "");
	return 0;
}

static void look_with(const struct settle_eyes *eyes)
{
	struct settle_holder holder = {
		.index = &model_index_calls,
		.index_owner = &w->x,
		.eyes = eyes,
		.eyes_owner = &w->m,
		.emit = hear,
		.owner = &w->x,
		.root = BYTES_LITERAL(MODEL_ROOT),
		.settle_ns = SETTLE_NS,
	};

	w->m.settle = settle_init(w->memory, HINTS, &holder);
}

static void begin(const char *why, bool reset)
{
	look_with(&model_eyes);
	settle_doubt(w->m.settle, why, reset);
}

static void settle(void)
{
	do {
		while (settle_step(w->m.settle, 8, &w->m.now) == 1)
			;
	} while (model_tell(&w->m, 1000));
	model_commit(&w->x);
}

/* What was told until all is settled, and that it is the tree. */
static const char *heard(void)
{
	settle();
	model_check_index(&w->x, true);
	model_check_tree(&w->x, true);
	assert_string_equal(w->x.why, "");
	w->heard_len = 0;
	return w->heard;
}

/* As `heard`, but first whatever fails is gone over. */
static void forget(void)
{
	(void)heard();
	model_pass_time(&w->m, MOMENT_S);
}

static int world_begin(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -1;
	model_init(&w->m, 1);
	model_index_init(&w->x, &w->m);
	w->m.merges = 100;
	w->m.root = true;
	w->memory = malloc(settle_bytes(HINTS));
	begin("start", true);
	forget();
	return 0;
}

static int world_begin_inotify(void **state)
{
	int r = world_begin(state);

	w->m.way = MODEL_INOTIFY;
	w->m.root = false;
	w->m.paths = 100;
	w->m.halves = 100;
	begin("start", false);
	forget();
	return r;
}

static int world_end(void **state)
{
	(void)state;
	model_index_free(&w->x);
	model_free(&w->m);
	free(w->memory);
	free(w);
	return 0;
}

static void test_start(void **state)
{
	(void)state;
	w->m.down = true;
	model_mkdir(&w->m, "tree/a");
	model_write(&w->m, "tree/a/f", 3);
	model_index_clear(&w->x);
	begin("start", true);
	assert_string_equal(heard(), "gap . start, create ., create a, create a/f, settled .");
	assert_int_equal(settle_root(w->m.settle), MODEL_TREE);
	assert_int_equal(settle_counts(w->m.settle).doubts, 1);
	assert_int_equal(settle_due(w->m.settle), MOMENT_NEVER);
}

static void test_file(void **state)
{
	(void)state;
	model_write(&w->m, "tree/f", 3);
	assert_string_equal(heard(), "create f");
	model_pass_time(&w->m, MOMENT_S);
	model_write(&w->m, "tree/f", 5);
	assert_string_equal(heard(), "modify f");
	model_pass_time(&w->m, MOMENT_S);
	model_chmod(&w->m, "tree/f", 0600);
	assert_string_equal(heard(), "attrib f");
	model_rename(&w->m, "tree/f", "tree/g");
	assert_string_equal(heard(), "move f g");
	model_remove(&w->m, "tree/g");
	assert_string_equal(heard(), "delete g");
}

/* Written again within the tick that the first look fell into, to the same size. */
static void test_same_tick(void **state)
{
	(void)state;
	model_write(&w->m, "tree/f", 3);
	assert_string_equal(heard(), "create f");
	model_write(&w->m, "tree/f", 3);
	assert_string_equal(heard(), "modify f");
	model_pass_time(&w->m, MOMENT_S);
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = MODEL_TREE,
					  .name = BYTES_LITERAL("f"),
					  .flags = SETTLE_ATTRIB},
		    &w->m.now);
	assert_string_equal(heard(), "attrib f");
}

static void test_open(void **state)
{
	struct settle_hint hint = {.directory = MODEL_TREE,
				   .name = BYTES_LITERAL("f"),
				   .flags = SETTLE_WRITTEN | SETTLE_OPEN};
	uint64_t due_ns;

	(void)state;
	model_write(&w->m, "tree/f", 3);
	forget();
	w->m.down = true;
	model_write(&w->m, "tree/f", 4);
	settle_hint(w->m.settle, &hint, &w->m.now);
	due_ns = w->m.now.boot_ns + SETTLE_NS;
	assert_int_equal(settle_step(w->m.settle, 100, &w->m.now), 0);
	assert_int_equal(settle_due(w->m.settle), due_ns);
	model_pass_time(&w->m, SETTLE_NS / 2);
	settle_hint(w->m.settle, &hint, &w->m.now);
	assert_int_equal(settle_due(w->m.settle), due_ns);
	assert_int_equal(w->heard_len, 0);
	model_pass_time(&w->m, SETTLE_NS / 2);
	assert_string_equal(heard(), "modify f");
	model_write(&w->m, "tree/f", 5);
	settle_hint(w->m.settle, &hint, &w->m.now);
	hint.flags = SETTLE_WRITTEN; /* closed */
	settle_hint(w->m.settle, &hint, &w->m.now);
	assert_string_equal(heard(), "modify f");
}

static void test_editor_saves(void **state)
{
	(void)state;
	model_write(&w->m, "tree/f", 3);
	forget();
	model_write(&w->m, "tree/f.tmp", 4);
	model_rename(&w->m, "tree/f.tmp", "tree/f");
	assert_string_equal(heard(), "delete f, create f");
	model_write(&w->m, "tree/f.tmp", 4);
	(void)heard();
	model_rename(&w->m, "tree/f.tmp", "tree/f");
	assert_string_equal(heard(), "move f.tmp f");
	forget();
	model_rename(&w->m, "tree/f", "tree/f~");
	model_write(&w->m, "tree/f", 5);
	assert_string_equal(heard(), "move f f~, modify f~, create f");
}

static void test_swap(void **state)
{
	(void)state;
	model_write(&w->m, "tree/a", 1);
	model_write(&w->m, "tree/b", 2);
	forget();
	model_exchange(&w->m, "tree/a", "tree/b");
	(void)heard();
	forget();
	model_mkdir(&w->m, "tree/c");
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/c/f", 2);
	forget();
	model_exchange(&w->m, "tree/c", "tree/d");
	(void)heard();
}

static void test_directory_into_sibling(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/b");
	model_write(&w->m, "tree/a/f", 3);
	forget();
	model_rename(&w->m, "tree/a", "tree/b/a");
	assert_string_equal(heard(), "move a b/a");
	model_write(&w->m, "tree/b/a/g", 3);
	assert_string_equal(heard(), "create b/a/g");
	model_remove(&w->m, "tree/b");
	assert_string_equal(heard(), "delete b/a/f, delete b/a/g, delete b/a, delete b");
}

/* Filled before anybody could watch what was made. */
static void test_chain(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	model_mkdir(&w->m, "tree/a/b/c");
	model_write(&w->m, "tree/a/b/c/f", 3);
	assert_string_equal(heard(), "create a, create a/b, create a/b/c, create a/b/c/f");
}

static void test_hard_link(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/f", 3);
	forget();
	model_link(&w->m, "tree/f", "tree/d/g");
	assert_string_equal(heard(), "create d/g");
	model_pass_time(&w->m, MOMENT_S);
	model_write(&w->m, "tree/f", 4);
	assert_string_equal(heard(), "modify f, modify d/g");
	model_pass_time(&w->m, MOMENT_S);
	model_rename(&w->m, "tree/f", "tree/h");
	assert_string_equal(heard(), "move f h");
	model_remove(&w->m, "tree/h");
	assert_string_equal(heard(), "delete h");
}

static void test_directory_replaced(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_mkdir(&w->m, "tree/d/e");
	model_write(&w->m, "tree/d/e/f", 3);
	forget();
	model_remove(&w->m, "tree/d");
	model_write(&w->m, "tree/d", 3);
	assert_string_equal(heard(), "delete d/e/f, delete d/e, delete d, create d");
}

static void test_deep_move_then_write(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	model_mkdir(&w->m, "tree/a/b/c");
	model_mkdir(&w->m, "tree/x");
	forget();
	model_rename(&w->m, "tree/a/b", "tree/x/b");
	model_write(&w->m, "tree/x/b/c/f", 3);
	assert_string_equal(heard(), "move a/b x/b, create x/b/c/f");
	model_symlink(&w->m, "tree/x/b/l");
	assert_string_equal(heard(), "create x/b/l");
}

/* a/b becomes b/a: until b has left a, a stands within itself. */
static void test_cycle(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	model_write(&w->m, "tree/a/f", 3);
	model_write(&w->m, "tree/a/b/g", 3);
	forget();
	w->m.down = true;
	model_rename(&w->m, "tree/a/b", "tree/b");
	model_rename(&w->m, "tree/a", "tree/b/a");
	w->m.down = false;
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = model_inode(&w->m, "tree/b"),
					  .name = BYTES_LITERAL("a")},
		    &w->m.now);
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = MODEL_TREE, .name = BYTES_LITERAL("b")},
		    &w->m.now);
	assert_string_equal(heard(), "move a/b b, move a b/a");
}

/* Only one of the two is ever heard of. */
static void test_cycle_for_good(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	forget();
	w->m.down = true;
	model_rename(&w->m, "tree/a/b", "tree/b");
	model_rename(&w->m, "tree/a", "tree/b/a");
	w->m.down = false;
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = model_inode(&w->m, "tree/b"),
					  .name = BYTES_LITERAL("a")},
		    &w->m.now);
	settle();
	assert_string_equal(w->heard, "delete a/b, delete a");
	w->heard_len = 0;
	settle_list(w->m.settle, MODEL_TREE, true, &w->m.now);
	assert_string_equal(heard(), "create b, create b/a");
}

static void test_out_and_in(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/d/f", 3);
	forget();
	model_rename(&w->m, "tree/d", "out/d");
	assert_string_equal(heard(), "delete d/f, delete d");
	model_rename(&w->m, "out/d", "tree/e");
	assert_string_equal(heard(), "create e, create e/f");
}

static void test_overflow(void **state)
{
	char path[32];

	(void)state;
	for (unsigned i = 0; i < 2 * HINTS; i++) {
		snprintf(path, sizeof(path), "tree/%u", i);
		model_symlink(&w->m, path);
	}
	while (model_tell(&w->m, 1000))
		;
	assert_true(settle_counts(w->m.settle).in_doubt);
	settle();
	assert_memory_equal(w->heard, "gap . overflow, create ", 23);
	assert_string_equal(w->heard + w->heard_len - 11, ", settled .");
	(void)heard();
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
	forget();
	w->m.now.wall_us -= (int64_t)86400 * 1000000;
	model_write(&w->m, "tree/d/f", 4);
	model_write(&w->m, "tree/g", 5);
	model_write(&w->m, "tree/d/new", 1);
	assert_string_equal(heard(), "modify d/f, modify g, create d/new, modify d/h");
	model_pass_time(&w->m, MOMENT_S);
	w->m.now.wall_us -= (int64_t)86400 * 1000000;
	model_rename(&w->m, "tree/d/f", "tree/f");
	model_write(&w->m, "tree/d/new", 1);
	model_lose(&w->m);
	begin("restart", false);
	assert_non_null(strstr(heard(), "move d/f f"));
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
	assert_string_equal(heard(), "create d, create d/f");
}

static void test_permission(void **state)
{
	(void)state;
	w->m.root = false;
	w->m.paths = 100;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/d/f", 3);
	for (unsigned i = 0; i < 4; i++) /* till nothing about f is unsure */
		forget();
	model_chmod(&w->m, "tree/d", 0);
	model_write(&w->m, "tree/d/g", 3);
	settle();
	settle_list(w->m.settle, model_inode(&w->m, "tree/d"), false, &w->m.now);
	settle();
	assert_string_equal(w->heard, "attrib d, gap d permission");
	w->heard_len = 0;
	model_chmod(&w->m, "tree/d", 0755);
	assert_string_equal(heard(), "attrib d, create d/g, settled d");
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
	settle();
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
	look_with(&eyes);
	model_write(&w->m, "tree/x", 3);
	assert_string_equal(heard(), "create x");
	model_remove(&w->m, "tree/x");
	model_mkdir(&w->m, "tree/x");
	model_write(&w->m, "tree/x/f", 3);
	settle();
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
	look_with(&eyes);
	model_mkdir(&w->m, "tree/a");
	forget();
	settle_list(w->m.settle, MODEL_TREE, true, &w->m.now); /* nothing there is fresh any more */
	forget();
	model_mkdir(&w->m, "tree/a/d");
	not_found = model_inode(&w->m, "tree/a/d");
	model_write(&w->m, "tree/a/d/f", 3);
	settle();
	not_found = 0;
	model_rename(&w->m, "tree/a", "tree/c");
	assert_string_equal(heard(), "create a/d, gap a/d no_file, "
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
	forget();
	settle_list(w->m.settle, model_inode(&w->m, "tree/d"), false, &w->m.now);
	forget(); /* now it is certain that it is listed */
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
	(void)heard();
}

static void test_path(void **state)
{
	char buffer[64];
	struct text path = TEXT_OVER(buffer);
	uint64_t b;

	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	(void)heard();
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

#define BOTH(test)                                                     \
	cmocka_unit_test_setup_teardown(test, world_begin, world_end), \
		cmocka_unit_test_setup_teardown(test, world_begin_inotify, world_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(test_start),
		BOTH(test_file),
		BOTH(test_same_tick),
		BOTH(test_open),
		BOTH(test_editor_saves),
		BOTH(test_swap),
		BOTH(test_directory_into_sibling),
		BOTH(test_chain),
		BOTH(test_hard_link),
		BOTH(test_directory_replaced),
		BOTH(test_deep_move_then_write),
		BOTH(test_cycle),
		BOTH(test_cycle_for_good),
		BOTH(test_out_and_in),
		BOTH(test_overflow),
		BOTH(test_clock_set_back),
		BOTH(test_errors_come_again),
		BOTH(test_permission),
		BOTH(test_too_long),
		BOTH(test_ignored),
		cmocka_unit_test_setup_teardown(test_found_again, world_begin_inotify, world_end),
		BOTH(test_budget),
		BOTH(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
