/* The index: what a settler asks of it, against a model; transactions. */
#include "opened.h"

#include <stdio.h>

enum {
	MODEL = 400,
	DIRECTORIES = 5,
	NAMES = 12,
	INODES = 40,
	STEPS = 6000,
	MANY = 50000,
	KEPT = 16
};

static int find(uint64_t directory, const char *name, struct settle_node *node)
{
	return on->find(&of, directory, bytes_of_string(name), node);
}

static void assert_same(const struct settle_node *a, const struct settle_node *b)
{
	assert_int_equal(a->inode, b->inode);
	assert_int_equal(a->born_ns, b->born_ns);
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->foreign, b->foreign);
	assert_int_equal(a->mode, b->mode);
	assert_int_equal(a->links, b->links);
	assert_int_equal(a->size, b->size);
	assert_int_equal(a->mtime_ns, b->mtime_ns);
	assert_int_equal(a->ctime_ns, b->ctime_ns);
}

static void test_nodes(void **state)
{
	static const struct settle_node nodes[] = {
		{0},
		{.inode = 1, .kind = CHANGE_DIRECTORY, .foreign = true, .mode = 07777},
		{.inode = UINT64_MAX,
		 .born_ns = INT64_MIN,
		 .kind = CHANGE_OTHER,
		 .mode = 0177,
		 .links = UINT32_MAX,
		 .size = UINT64_MAX,
		 .mtime_ns = INT64_MAX,
		 .ctime_ns = INT64_MIN},
		{.inode = 128, .kind = CHANGE_LINK, .mtime_ns = -1, .ctime_ns = 1, .size = 127},
	};
	char longest[CHANGE_NAME_BYTES + 1];
	struct settle_node node;
	struct settle_place place;

	memset(longest, 0xff, sizeof(longest) - 1);
	longest[CHANGE_NAME_BYTES] = '\0';
	opened_new("nodes");
	for (unsigned i = 0; i < 4; i++) {
		uint64_t directory = i == 2 ? UINT64_MAX : i;
		const char *name = i == 0 ? "" : i == 2 ? longest : "\n'\xc3";

		assert_int_equal(on->put(&of, directory, bytes_of_string(name), &nodes[i]), 0);
		assert_int_equal(find(directory, name, &node), 1);
		assert_same(&node, &nodes[i]);
		assert_int_equal(on->find_inode(&of, nodes[i].inode, 0, &place, &node), 1);
		assert_same(&node, &nodes[i]);
		assert_int_equal(place.directory, directory);
		assert_int_equal(place.len, strlen(name));
		assert_string_equal(place.name, name);
	}
	assert_int_equal(on->next(&of, UINT64_MAX, (struct bytes){0}, &place, &node), 1);
	assert_string_equal(place.name, longest);
	assert_int_equal(on->next(&of, UINT64_MAX, bytes_of_string(longest), &place, &node), 0);
	assert_int_equal(on->count(&of, UINT64_MAX), 1);
	index_close(ix);
}

/* The model: entries in no order. */
static struct model_entry {
	uint64_t directory;
	char name[8];
	struct settle_node node;
} model[MODEL], saved[MODEL];
static unsigned entries, saved_entries;

static struct model_entry *model_find(uint64_t directory, const char *name)
{
	for (unsigned i = 0; i < entries; i++)
		if (model[i].directory == directory && strcmp(model[i].name, name) == 0)
			return &model[i];
	return NULL;
}

static void model_put(uint64_t directory, const char *name, uint64_t inode)
{
	struct model_entry *entry = model_find(directory, name);

	if (entry == NULL)
		entry = &model[entries++];
	entry->directory = directory;
	strcpy(entry->name, name);
	entry->node = opened_node(inode);
}

static void model_remove(uint64_t directory, const char *name)
{
	struct model_entry *entry = model_find(directory, name);

	if (entry != NULL)
		*entry = model[--entries];
}

static void compare_directory(uint64_t directory)
{
	struct settle_place place = {0};
	struct settle_node node;
	unsigned count = 0;
	char before[8] = "";

	while (on->next(&of, directory, bytes_of(place.name, place.len), &place, &node) == 1) {
		const struct model_entry *entry = model_find(directory, place.name);

		assert_non_null(entry);
		assert_same(&node, &entry->node);
		assert_true(strcmp(before, place.name) < 0);
		strcpy(before, place.name);
		count++;
	}
	assert_int_equal(on->count(&of, directory), count);
	for (unsigned i = 0; i < entries; i++)
		count -= model[i].directory == directory;
	assert_int_equal(count, 0);
}

static void compare_inode(uint64_t inode)
{
	struct settle_place place;
	struct settle_node node;
	unsigned nth = 0, places = 0;

	while (on->find_inode(&of, inode, nth, &place, &node) == 1) {
		const struct model_entry *entry = model_find(place.directory, place.name);

		assert_non_null(entry);
		assert_int_equal(entry->node.inode, inode);
		assert_int_equal(node.inode, inode);
		nth++;
	}
	for (unsigned i = 0; i < entries; i++)
		places += model[i].node.inode == inode;
	assert_int_equal(nth, places);
}

static void compare(void)
{
	for (uint64_t directory = 1; directory <= DIRECTORIES; directory++)
		compare_directory(directory);
	for (uint64_t inode = 1; inode <= INODES; inode++)
		compare_inode(inode);
	assert_int_equal(index_state(ix).entries, entries);
}

static void step(uint64_t *seed)
{
	uint64_t directory = 1 + storing_random(seed, DIRECTORIES);
	char name[8];

	snprintf(name, sizeof(name), "n%u", (unsigned)storing_random(seed, NAMES));
	switch (storing_random(seed, 40)) {
	case 0:
		opened_commit();
		memcpy(saved, model, sizeof(model));
		saved_entries = entries;
		break;
	case 1:
		assert_int_equal(index_rollback(ix), 0);
		memcpy(model, saved, sizeof(model));
		entries = saved_entries;
		break;
	case 2:
		compare();
		break;
	default:
		if (storing_random(seed, 3) == 0) {
			assert_int_equal(on->remove(&of, directory, bytes_of_string(name)), 0);
			model_remove(directory, name);
		} else {
			uint64_t inode = 1 + storing_random(seed, INODES);

			opened_put(directory, name, inode);
			model_put(directory, name, inode);
		}
	}
}

static void test_model(void **state)
{
	uint64_t seed = storing_seed();

	print_message("seed %llu\n", (unsigned long long)seed);
	opened_new("model");
	opened_commit();
	for (unsigned i = 0; i < STEPS; i++)
		step(&seed);
	opened_commit();
	index_close(ix);
	opened_again("model");
	compare();
	index_close(ix);
}

/* What was there once, and is many times what is there, is not taken for there; nor what is there
 * for not. */
static void test_many_come_and_go(void **state)
{
	char name[16];
	struct settle_node node;
	struct settle_place at;

	opened_new("churn.db");
	for (uint64_t i = 1; i <= MANY; i++) {
		snprintf(name, sizeof(name), "%u", (unsigned)i);
		opened_put(1, name, i);
		if (i % KEPT != 0)
			assert_int_equal(on->remove(&of, 1, bytes_of_string(name)), 0);
		if (i % 1000 == 0)
			opened_commit();
	}
	for (unsigned again = 0; again < 2; again++) {
		for (uint64_t i = 1; i <= MANY; i++) {
			int there = i % KEPT == 0;

			snprintf(name, sizeof(name), "%u", (unsigned)i);
			assert_int_equal(on->find(&of, 1, bytes_of_string(name), &node), there);
			assert_int_equal(on->find_inode(&of, i, 0, &at, &node), there);
		}
		index_close(ix);
		opened_again("churn.db");
	}
	index_close(ix);
}

static void test_trees_apart(void **state)
{
	struct index_of other = {0};
	struct settle_node node = opened_node(5), got;
	struct settle_place place;
	bool known;

	opened_new("trees");
	opened_put(1, "a", 5);
	other.index = ix;
	assert_int_equal(index_tree(ix, BYTES_LITERAL(""), &other.tree, &known), 0);
	assert_int_equal(other.tree, 2);
	assert_int_equal(on->find(&other, 1, BYTES_LITERAL("a"), &got), 0);
	assert_int_equal(on->find_inode(&other, 5, 0, &place, &got), 0);
	assert_int_equal(on->put(&other, 1, BYTES_LITERAL("b"), &node), 0);
	assert_int_equal(on->count(&other, 1), 1);
	assert_int_equal(index_clear(ix, 1), 0);
	assert_int_equal(index_state(ix).entries, 1);
	assert_int_equal(find(1, "a", &got), 0);
	assert_int_equal(on->find_inode(&other, 5, 0, &place, &got), 1);
	opened_commit();
	index_close(ix);
	opened_again("trees");
	assert_int_equal(index_tree(ix, BYTES_LITERAL(""), &other.tree, &known), 0);
	assert_true(known);
	assert_int_equal(other.tree, 2);
	assert_int_equal(index_state(ix).entries, 1);
	index_close(ix);
}

/* What was put just before, and is nowhere but in memory yet, is counted neither as there nor as
 * cleared. */
static void test_cleared_at_once(void **state)
{
	opened_new("cleared");
	for (uint64_t i = 0; i < 20; i++)
		opened_put(1, (char[]){(char)('a' + i), '\0'}, 5 + i);
	assert_int_equal(index_clear(ix, 1), 0);
	assert_int_equal(index_state(ix).entries, 0);
	opened_put(1, "z", 4);
	assert_int_equal(index_state(ix).entries, 1);
	opened_commit();
	index_close(ix);
	opened_again("cleared");
	assert_false(found.damaged);
	assert_int_equal(index_state(ix).entries, 1);
	index_close(ix);
}

static void test_one_holder(void **state)
{
	struct index *second;

	opened_new("holder");
	assert_int_equal(index_open(&second, storing_path("holder"), &found, why), ERR_IN_USE);
	assert_null(second);
	index_close(ix);
	opened_again("holder");
	index_close(ix);
}

static void test_instance(void **state)
{
	uint8_t first[INDEX_INSTANCE_BYTES];

	opened_new("instance");
	memcpy(first, index_instance(ix), sizeof(first));
	index_close(ix);
	opened_again("instance");
	assert_false(found.anew);
	assert_memory_equal(first, index_instance(ix), sizeof(first));
	index_close(ix);
	opened_new("another");
	assert_memory_not_equal(first, index_instance(ix), sizeof(first));
	index_close(ix);
}

static void test_too_much(void **state)
{
	struct settle_node node = opened_node(1);
	uint8_t record[CHANGE_RECORD_BYTES];
	uint64_t seq;
	char name[16];
	int err = 0;

	opened_new("much");
	for (unsigned i = 0; err == 0 && i < 1000000; i++) {
		snprintf(name, sizeof(name), "%u", i);
		err = on->put(&of, 1, bytes_of_string(name), &node);
	}
	assert_int_equal(err, ERR_FULL);
	assert_int_equal(index_append(ix, bytes_of(record, storing_record(record, 1)), &seq),
			 ERR_FULL);
	assert_true(index_uncommitted(ix) > 16 << 20);
	opened_commit();
	assert_int_equal(on->put(&of, 1, bytes_of_string(name), &node), 0);
	assert_int_equal(opened_append(1), 1);
	index_close(ix);
}

/* More than its cache holds, kept in what nobody else can find; two at a time. */
static void test_temporary(void **state)
{
	enum { ENTRIES = 60000 };
	struct index *second;
	struct settle_node node;
	char name[16];
	bool known;

	assert_int_equal(index_open(&ix, NULL, &found, why), 0);
	assert_true(found.anew && !found.damaged);
	of.index = ix;
	assert_int_equal(index_open(&second, NULL, &found, why), 0);
	assert_int_equal(index_tree(ix, BYTES_LITERAL("/t"), &of.tree, &known), 0);
	for (unsigned i = 1; i <= ENTRIES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		opened_put(1, name, i);
		if (i % 10000 == 0)
			opened_commit();
	}
	assert_int_equal(on->remove(&of, 1, BYTES_LITERAL("7")), 0);
	opened_put(1, "another", 7);
	assert_int_equal(index_rollback(ix), 0);
	for (unsigned i = 1; i <= ENTRIES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(find(1, name, &node), 1);
		assert_int_equal(node.inode, i);
	}
	assert_int_equal(on->count(&of, 1), ENTRIES);
	assert_int_equal(index_state(second).entries, 0);
	index_close(second);
	index_close(ix);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_many_come_and_go),
		cmocka_unit_test(test_trees_apart),
		cmocka_unit_test(test_cleared_at_once),
		cmocka_unit_test(test_one_holder),
		cmocka_unit_test(test_instance),
		cmocka_unit_test(test_too_much),
		cmocka_unit_test(test_temporary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
