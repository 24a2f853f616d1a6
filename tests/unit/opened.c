#include "opened.h"

const struct settle_index *const on = &index_of_tree;
struct index *ix;
struct index_of of;
struct index_found found;
char why[256];

void opened_again(const char *name)
{
	assert_int_equal(index_open(&ix, storing_path(name), &found, why), 0);
	of.index = ix;
}

void opened_new(const char *name)
{
	bool known;

	opened_again(name);
	assert_true(found.anew);
	assert_false(found.damaged);
	assert_int_equal(index_tree(ix, BYTES_LITERAL("/srv/tree"), &of.tree, &known), 0);
	assert_false(known);
	assert_int_equal(of.tree, 1);
}

uint64_t opened_commit(void)
{
	uint64_t newest = 0;

	assert_int_equal(index_commit(ix, &newest), 0);
	assert_int_equal(index_uncommitted(ix), 0);
	return newest;
}

struct settle_node opened_node(uint64_t inode)
{
	return (struct settle_node){.inode = inode,
				    .born_ns = (int64_t)inode * 1000003,
				    .kind = CHANGE_FILE,
				    .mode = 0644,
				    .links = 1,
				    .size = inode * 7,
				    .mtime_ns = 1767225600000000123,
				    .ctime_ns = 1767225600000000000 + (int64_t)inode};
}

void opened_put(uint64_t directory, const char *name, uint64_t inode)
{
	struct settle_node node = opened_node(inode);

	assert_int_equal(on->put(&of, directory, bytes_of_string(name), &node), 0);
}

uint64_t opened_append(uint64_t n)
{
	uint8_t record[CHANGE_RECORD_BYTES];
	uint64_t seq = 0;

	assert_int_equal(index_append(ix, bytes_of(record, storing_record(record, n)), &seq), 0);
	return seq;
}
