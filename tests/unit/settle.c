/* The settler, case by case: what exactly it tells. That it tells the truth whatever happens is
 * tests/sim/settle.c's. */
#include "settling.h"

static void test_start(void **state)
{
	(void)state;
	w->m.down = true;
	model_mkdir(&w->m, "tree/a");
	model_write(&w->m, "tree/a/f", 3);
	model_index_clear(&w->x);
	settling_begin("start", true);
	assert_string_equal(settling_heard(),
			    "gap . start, create ., create a, create a/f, settled .");
	assert_int_equal(settle_root(w->m.settle), MODEL_TREE);
	assert_int_equal(settle_counts(w->m.settle).doubts, 1);
	assert_int_equal(settle_due(w->m.settle), MOMENT_NEVER);
}

static void test_file(void **state)
{
	(void)state;
	model_write(&w->m, "tree/f", 3);
	assert_string_equal(settling_heard(), "create f");
	model_pass_time(&w->m, MOMENT_S);
	model_write(&w->m, "tree/f", 5);
	assert_string_equal(settling_heard(), "modify f");
	model_pass_time(&w->m, MOMENT_S);
	model_chmod(&w->m, "tree/f", 0600);
	assert_string_equal(settling_heard(), "attrib f");
	model_rename(&w->m, "tree/f", "tree/g");
	assert_string_equal(settling_heard(), "move f g");
	model_remove(&w->m, "tree/g");
	assert_string_equal(settling_heard(), "delete g");
}

/* Written again within the tick that the first look fell into, to the same size. */
static void test_same_tick(void **state)
{
	(void)state;
	model_write(&w->m, "tree/f", 3);
	assert_string_equal(settling_heard(), "create f");
	model_write(&w->m, "tree/f", 3);
	assert_string_equal(settling_heard(), "modify f");
	model_pass_time(&w->m, MOMENT_S);
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = MODEL_TREE,
					  .name = BYTES_LITERAL("f"),
					  .flags = SETTLE_ATTRIB},
		    &w->m.now);
	assert_string_equal(settling_heard(), "attrib f");
}

static void test_open(void **state)
{
	struct settle_hint hint = {.directory = MODEL_TREE,
				   .name = BYTES_LITERAL("f"),
				   .flags = SETTLE_WRITTEN | SETTLE_OPEN};
	uint64_t due_ns;

	(void)state;
	model_write(&w->m, "tree/f", 3);
	settling_forget();
	w->m.down = true;
	model_write(&w->m, "tree/f", 4);
	settle_hint(w->m.settle, &hint, &w->m.now);
	due_ns = w->m.now.boot_ns + SETTLING_NS;
	assert_int_equal(settle_step(w->m.settle, 100, &w->m.now), 0);
	assert_int_equal(settle_due(w->m.settle), due_ns);
	model_pass_time(&w->m, SETTLING_NS / 2);
	settle_hint(w->m.settle, &hint, &w->m.now);
	assert_int_equal(settle_due(w->m.settle), due_ns);
	assert_int_equal(w->heard_len, 0);
	model_pass_time(&w->m, SETTLING_NS / 2);
	assert_string_equal(settling_heard(), "modify f");
	model_write(&w->m, "tree/f", 5);
	settle_hint(w->m.settle, &hint, &w->m.now);
	hint.flags = SETTLE_WRITTEN; /* closed */
	settle_hint(w->m.settle, &hint, &w->m.now);
	assert_string_equal(settling_heard(), "modify f");
}

static void test_editor_saves(void **state)
{
	(void)state;
	model_write(&w->m, "tree/f", 3);
	settling_forget();
	model_write(&w->m, "tree/f.tmp", 4);
	model_rename(&w->m, "tree/f.tmp", "tree/f");
	assert_string_equal(settling_heard(), "delete f, create f");
	model_write(&w->m, "tree/f.tmp", 4);
	(void)settling_heard();
	model_rename(&w->m, "tree/f.tmp", "tree/f");
	assert_string_equal(settling_heard(), "move f.tmp f");
	settling_forget();
	model_rename(&w->m, "tree/f", "tree/f~");
	model_write(&w->m, "tree/f", 5);
	assert_string_equal(settling_heard(), "move f f~, modify f~, create f");
}

static void test_swap(void **state)
{
	(void)state;
	model_write(&w->m, "tree/a", 1);
	model_write(&w->m, "tree/b", 2);
	settling_forget();
	model_exchange(&w->m, "tree/a", "tree/b");
	(void)settling_heard();
	settling_forget();
	model_mkdir(&w->m, "tree/c");
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/c/f", 2);
	settling_forget();
	model_exchange(&w->m, "tree/c", "tree/d");
	(void)settling_heard();
}

static void test_directory_into_sibling(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/b");
	model_write(&w->m, "tree/a/f", 3);
	settling_forget();
	model_rename(&w->m, "tree/a", "tree/b/a");
	assert_string_equal(settling_heard(), "move a b/a");
	model_write(&w->m, "tree/b/a/g", 3);
	assert_string_equal(settling_heard(), "create b/a/g");
	model_remove(&w->m, "tree/b");
	assert_string_equal(settling_heard(), "delete b/a/f, delete b/a/g, delete b/a, delete b");
}

/* Filled before anybody could watch what was made. */
static void test_chain(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	model_mkdir(&w->m, "tree/a/b/c");
	model_write(&w->m, "tree/a/b/c/f", 3);
	assert_string_equal(settling_heard(), "create a, create a/b, create a/b/c, create a/b/c/f");
}

static void test_hard_link(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/f", 3);
	settling_forget();
	model_link(&w->m, "tree/f", "tree/d/g");
	assert_string_equal(settling_heard(), "create d/g");
	model_pass_time(&w->m, MOMENT_S);
	model_write(&w->m, "tree/f", 4);
	assert_string_equal(settling_heard(), "modify f, modify d/g");
	model_pass_time(&w->m, MOMENT_S);
	model_rename(&w->m, "tree/f", "tree/h");
	assert_string_equal(settling_heard(), "move f h");
	model_remove(&w->m, "tree/h");
	assert_string_equal(settling_heard(), "delete h");
}

static void test_directory_replaced(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_mkdir(&w->m, "tree/d/e");
	model_write(&w->m, "tree/d/e/f", 3);
	settling_forget();
	model_remove(&w->m, "tree/d");
	model_write(&w->m, "tree/d", 3);
	assert_string_equal(settling_heard(), "delete d/e/f, delete d/e, delete d, create d");
}

static void test_deep_move_then_write(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	model_mkdir(&w->m, "tree/a/b/c");
	model_mkdir(&w->m, "tree/x");
	settling_forget();
	model_rename(&w->m, "tree/a/b", "tree/x/b");
	model_write(&w->m, "tree/x/b/c/f", 3);
	assert_string_equal(settling_heard(), "move a/b x/b, create x/b/c/f");
	model_symlink(&w->m, "tree/x/b/l");
	assert_string_equal(settling_heard(), "create x/b/l");
}

/* a/b becomes b/a: until b has left a, a stands within itself. */
static void test_cycle(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	model_write(&w->m, "tree/a/f", 3);
	model_write(&w->m, "tree/a/b/g", 3);
	settling_forget();
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
	assert_string_equal(settling_heard(), "move a/b b, move a b/a");
}

/* Only one of the two is ever heard of. */
static void test_cycle_for_good(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/a");
	model_mkdir(&w->m, "tree/a/b");
	settling_forget();
	w->m.down = true;
	model_rename(&w->m, "tree/a/b", "tree/b");
	model_rename(&w->m, "tree/a", "tree/b/a");
	w->m.down = false;
	settle_hint(w->m.settle,
		    &(struct settle_hint){.directory = model_inode(&w->m, "tree/b"),
					  .name = BYTES_LITERAL("a")},
		    &w->m.now);
	settling_settle();
	assert_string_equal(w->heard, "delete a/b, delete a");
	w->heard_len = 0;
	settle_list(w->m.settle, MODEL_TREE, true, &w->m.now);
	assert_string_equal(settling_heard(), "create b, create b/a");
}

static void test_out_and_in(void **state)
{
	(void)state;
	model_mkdir(&w->m, "tree/d");
	model_write(&w->m, "tree/d/f", 3);
	settling_forget();
	model_rename(&w->m, "tree/d", "out/d");
	assert_string_equal(settling_heard(), "delete d/f, delete d");
	model_rename(&w->m, "out/d", "tree/e");
	assert_string_equal(settling_heard(), "create e, create e/f");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SETTLING_BOTH(test_start),
		SETTLING_BOTH(test_file),
		SETTLING_BOTH(test_same_tick),
		SETTLING_BOTH(test_open),
		SETTLING_BOTH(test_editor_saves),
		SETTLING_BOTH(test_swap),
		SETTLING_BOTH(test_directory_into_sibling),
		SETTLING_BOTH(test_chain),
		SETTLING_BOTH(test_hard_link),
		SETTLING_BOTH(test_directory_replaced),
		SETTLING_BOTH(test_deep_move_then_write),
		SETTLING_BOTH(test_cycle),
		SETTLING_BOTH(test_cycle_for_good),
		SETTLING_BOTH(test_out_and_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
