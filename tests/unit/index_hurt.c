/* The index on bad days: killed, cut, with flipped bits, on a full disk; read while it is written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "store/index.h"
#include "store/pack.h"
#include "storing.h"

enum { KILLS = 40, LIFE_US = 40000, NAMES = 300, CUTS = 20, FLIPS = 40, OTHERS = 2000 };

/* A later version is refused, not found damaged. */
enum { VERSION_WORD = 60 / 4 };

static const struct settle_index *const on = &index_of_tree;
static char why[256];

static void name_of(uint64_t n, char *name)
{
	snprintf(name, 16, "n%llu", (unsigned long long)(n * 7 % NAMES));
}

static struct settle_node node_of(uint64_t n)
{
	return (struct settle_node){.inode = 1 + n % 50, .kind = CHANGE_FILE, .size = n};
}

/* The change of number `n`: the name that n stands for has size n, or is gone. */
static int change(struct index_of *of, uint64_t n)
{
	struct settle_node node = node_of(n);
	uint8_t record[CHANGE_RECORD_BYTES];
	uint64_t seq = 0;
	char name[16];
	int err = index_append(of->index, bytes_of(record, storing_record(record, n)), &seq);

	name_of(n, name);
	if (err == 0 && n % 5 == 0)
		err = on->remove(of, 1, bytes_of_string(name));
	else if (err == 0)
		err = on->put(of, 1, bytes_of_string(name), &node);
	return err != 0 || seq == n ? err : ERR_SYSTEM;
}

/* Whether the index is the fold of the first `newest` changes, beside so many others. */
static void check_fold(struct index_of *of, uint64_t newest, uint64_t others)
{
	uint64_t last[NAMES] = {0}, expected = others;
	struct settle_place place;
	struct settle_node node;
	char name[16];

	for (uint64_t n = 1; n <= newest; n++)
		last[n * 7 % NAMES] = n;
	for (unsigned i = 0; i < NAMES; i++) {
		bool there = last[i] != 0 && last[i] % 5 != 0;

		snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(on->find(of, 1, bytes_of_string(name), &node), there);
		if (!there)
			continue;
		assert_int_equal(node.size, last[i]);
		assert_int_equal(node.inode, 1 + last[i] % 50);
		assert_int_equal(on->find_inode(of, node.inode, 0, &place, &node), 1);
		expected++;
	}
	assert_int_equal(index_state(of->index).entries, expected);
	for (uint64_t inode = 1; inode <= 50; inode++)
		for (unsigned nth = 0; on->find_inode(of, inode, nth, &place, &node) == 1; nth++)
			expected--;
	assert_int_equal(expected, 0);
}

/* Whether the spool has every record from `after` to `newest`. */
static void check_spool(const char *path, uint64_t after, uint64_t newest)
{
	static uint8_t raw[INDEX_BLOCK_BYTES];
	uint8_t record[CHANGE_RECORD_BYTES];
	struct unpacker *unpacker;
	struct spool_block block;
	struct spool *spool;

	assert_int_equal(unpacker_create(&unpacker), 0);
	assert_int_equal(spool_open(&spool, path), 0);
	while (spool_read(spool, after, &block) == 1) {
		struct bytes rest = block.body;

		assert_in_range(after + 1, block.first, block.last);
		if (block.packed) {
			assert_int_equal(unpack(unpacker, block.body, raw, block.raw_bytes), 0);
			rest = bytes_of(raw, block.raw_bytes);
		}
		for (uint64_t n = block.first; n <= block.last; n++) {
			size_t len = storing_record(record, n);

			assert_true(len <= rest.len);
			assert_memory_equal(rest.data, record, len);
			rest = bytes_after(rest, len);
		}
		after = block.last;
	}
	assert_int_equal(after, newest);
	spool_close(spool);
	unpacker_destroy(unpacker);
}

/* A watcher: changes, commits now and then, has some acknowledged; until it is killed. */
static void live(int fd, void *context)
{
	uint64_t seed = *(const uint64_t *)context, n;
	struct index_of of = {0};
	struct index_found found;
	bool known;

	if (index_open(&of.index, storing_path("killed"), &found, why) != 0 || found.damaged ||
	    index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known) != 0)
		_Exit(1);
	for (n = index_state(of.index).newest + 1; change(&of, n) == 0; n++) {
		if (storing_random(&seed, 50) != 0)
			continue;
		if (storing_random(&seed, 2) == 0)
			index_acknowledge(of.index, index_state(of.index).acknowledged +
							    storing_random(&seed, 30));
		if (index_commit(of.index, &n) != 0)
			_Exit(1);
		storing_say(fd, n);
	}
	_Exit(1);
}

static void test_killed(void **state)
{
	uint64_t seed = storing_seed(), said = 0, heard, newest;
	struct index_of of = {0};
	struct index_found found;
	bool known;

	print_message("seed %llu\n", (unsigned long long)seed);
	storing_directory();
	for (unsigned i = 0; i < KILLS; i++) {
		storing_random(&seed, 2);
		heard = storing_kill(live, &seed, (unsigned)storing_random(&seed, LIFE_US));
		assert_true(heard != UINT64_MAX);
		if (heard > said)
			said = heard;
		assert_int_equal(index_open(&of.index, storing_path("killed"), &found, why), 0);
		assert_false(found.damaged);
		assert_int_equal(index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known), 0);
		newest = index_state(of.index).newest;
		assert_true(newest >= said);
		check_fold(&of, newest, 0);
		check_spool(storing_path("killed"), index_state(of.index).acknowledged, newest);
		index_close(of.index);
	}
	assert_true(said > 100); /* it did live */
}

/* A database of some thousand entries and a spool, closed. */
static void make(const char *path, uint64_t changes)
{
	struct index_of of = {0};
	struct index_found found;
	uint64_t newest;
	char name[64];
	bool known;

	assert_int_equal(index_open(&of.index, path, &found, why), 0);
	assert_int_equal(index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known), 0);
	for (uint64_t n = 1; n <= changes; n++)
		assert_int_equal(change(&of, n), 0);
	for (uint64_t n = 1; n <= OTHERS; n++) {
		struct settle_node node = node_of(n);

		snprintf(name, sizeof(name), "another-file-of-some-length-%llu",
			 (unsigned long long)n);
		assert_int_equal(on->put(&of, 2, bytes_of_string(name), &node), 0);
	}
	assert_int_equal(index_commit(of.index, &newest), 0);
	index_close(of.index);
}

/* What was hurt is opened: either it is found out, and begun anew, or nothing has changed. */
static void open_hurt(const char *path, const uint8_t *instance, bool *damaged)
{
	struct index_of of = {0};
	struct index_found found;
	bool known;

	assert_int_equal(index_open(&of.index, path, &found, why), 0);
	*damaged = found.damaged;
	assert_int_equal(found.anew, found.damaged);
	assert_int_equal(memcmp(instance, index_instance(of.index), INDEX_INSTANCE_BYTES) != 0,
			 found.damaged);
	assert_int_equal(index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known), 0);
	assert_int_equal(known, !found.damaged);
	if (!found.damaged) {
		assert_int_equal(index_state(of.index).newest, 3000);
		check_fold(&of, 3000, OTHERS);
		assert_int_equal(on->count(&of, 2), OTHERS);
		check_spool(path, 0, 3000);
	}
	index_close(of.index);
}

static void read_instance(const char *path, uint8_t *instance)
{
	struct index_found found;
	struct index *index;

	assert_int_equal(index_open(&index, path, &found, why), 0);
	memcpy(instance, index_instance(index), INDEX_INSTANCE_BYTES);
	index_close(index);
}

static void test_cut(void **state)
{
	uint8_t instance[INDEX_INSTANCE_BYTES];
	const char *whole = storing_path("whole"), *hurt = storing_path("hurt");
	bool damaged;
	long size;

	make(whole, 3000);
	read_instance(whole, instance);
	size = storing_size(whole);
	for (long i = 0; i < CUTS; i++) {
		assert_true(storing_copy(whole, hurt));
		assert_true(storing_cut(hurt, size * i / CUTS));
		open_hurt(hurt, instance, &damaged);
		assert_true(damaged);
	}
}

static void test_flipped(void **state)
{
	uint64_t seed = storing_seed(), size;
	uint8_t instance[INDEX_INSTANCE_BYTES];
	const char *whole = storing_path("whole2"), *hurt = storing_path("hurt2");
	unsigned found = 0;
	bool damaged;

	print_message("seed %llu\n", (unsigned long long)seed);
	make(whole, 3000);
	read_instance(whole, instance);
	size = (uint64_t)storing_size(whole);
	for (unsigned i = 0; i < FLIPS; i++) {
		uint64_t bit = storing_random(&seed, size * 8);

		if (bit / 32 == VERSION_WORD)
			continue;
		assert_true(storing_copy(whole, hurt));
		assert_true(storing_flip(hurt, bit));
		open_hurt(hurt, instance, &damaged);
		found += damaged;
	}
	print_message("%u of %u flipped bits were found; the others changed nothing\n", found,
		      FLIPS);
	assert_true(found > FLIPS / 4);
}

/* One bit of a row's header makes a blob a text of the same bytes: no sum changes, the order does.
 */
static void test_key_of_another_type(void **state)
{
	static const char *const rows[] = {
		"UPDATE link SET link = CAST(link AS TEXT)"
		" WHERE link = (SELECT max(link) FROM link)",
		"UPDATE entry SET place = CAST(place AS TEXT)"
		" WHERE place = (SELECT max(place) FROM entry)",
	};
	uint8_t instance[INDEX_INSTANCE_BYTES];
	const char *path = storing_path("type");
	bool damaged;

	for (size_t i = 0; i < 2; i++) {
		sqlite3 *sqlite;

		make(path, 3000);
		read_instance(path, instance);
		assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
		assert_int_equal(sqlite3_exec(sqlite, rows[i], NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_changes(sqlite), 1);
		sqlite3_close(sqlite);
		open_hurt(path, instance, &damaged);
		assert_true(damaged);
	}
}

/* A bit that flips under our hands: an error, not another record. */
static void test_flipped_spool(void **state)
{
	const char *path = storing_path("flipped-spool");
	uint8_t record[CHANGE_RECORD_BYTES], byte[4096];
	struct spool_block block;
	struct spool *spool;
	FILE *file;
	long at = -1;

	make(path, 1);
	storing_record(record, 1);
	file = fopen(path, "r");
	for (long page = 0; at < 0 && fread(byte, sizeof(byte), 1, file) == 1; page++) {
		size_t found = bytes_find(bytes_of(byte, sizeof(byte)), bytes_of(record, 40));

		if (found < sizeof(byte))
			at = page * (long)sizeof(byte) + (long)found;
	}
	fclose(file);
	assert_true(at > 0);
	assert_int_equal(spool_open(&spool, path), 0);
	assert_int_equal(spool_read(spool, 0, &block), 1);
	spool_close(spool);
	assert_true(storing_flip(path, (uint64_t)at * 8 + 77));
	assert_int_equal(spool_open(&spool, path), 0);
	assert_int_equal(spool_read(spool, 0, &block), ERR_PROTOCOL);
	spool_close(spool);
}

/* The log is cut: an older state, whole in itself, which the server's number gives away. */
static void test_cut_log(void **state)
{
	char log[256], hurt_log[256];
	const char *path = storing_path("log"), *hurt = storing_path("log2");
	struct index_of of = {0};
	struct index_found found;
	uint64_t newest;
	bool known;

	snprintf(log, sizeof(log), "%s-wal", path);
	snprintf(hurt_log, sizeof(hurt_log), "%s-wal", hurt);
	assert_int_equal(index_open(&of.index, path, &found, why), 0);
	assert_int_equal(index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known), 0);
	for (uint64_t n = 1; n <= 500; n++) {
		assert_int_equal(change(&of, n), 0);
		if (n % 10 == 0)
			assert_int_equal(index_commit(of.index, &newest), 0);
	}
	assert_true(storing_copy(path, hurt) && storing_copy(log, hurt_log));
	assert_true(storing_cut(hurt_log, storing_size(log) / 2));
	index_close(of.index);
	assert_int_equal(index_open(&of.index, hurt, &found, why), 0);
	newest = index_state(of.index).newest;
	assert_in_range(newest, 10, 490);
	assert_int_equal(index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known), 0);
	check_fold(&of, newest, 0);
	check_spool(hurt, 0, newest);
	assert_int_equal(index_resume(of.index, 500, 0, &found), 0);
	assert_true(found.behind);
	index_close(of.index);
}

static void fill_until_refused(struct index_of *of, uint64_t *n, bool commits)
{
	uint64_t newest;
	int err = 0;

	for (unsigned i = 0; err == 0 && i < 25000; i++) {
		err = change(of, *n + 1);
		*n += err == 0;
		if (err == 0 && commits && *n % 100 == 0)
			err = index_commit(of->index, &newest);
	}
	if (err == 0) /* all of it fits the memory: the commit does not fit the disk */
		err = index_commit(of->index, &newest);
	assert_int_equal(err, ERR_DISK);
}

/* Nothing is lost: what could not be committed is committed once there is room. */
static void test_full_disk(void **state)
{
	const char *disk = storing_disk(16 * 1024);
	struct index_of of = {0};
	struct index_found found;
	struct settle_node node;
	uint64_t newest, n = 0;
	char path[256];
	bool known;

	if (disk == NULL)
		skip();
	snprintf(path, sizeof(path), "%s/index", disk);
	assert_int_equal(index_open(&of.index, path, &found, why), 0);
	assert_int_equal(index_tree(of.index, BYTES_LITERAL("/t"), &of.tree, &known), 0);
	while (n < 400)
		assert_int_equal(change(&of, ++n), 0);
	assert_int_equal(index_commit(of.index, &newest), 0);
	for (unsigned round = 0; round < 6; round++) {
		assert_true(storing_fill());
		fill_until_refused(&of, &n, round % 2 == 0);
		assert_int_equal(index_commit(of.index, &newest), ERR_DISK);
		assert_int_equal(on->find(&of, 1, BYTES_LITERAL("n1"), &node), ERR_DISK);
		assert_int_equal(index_acknowledge(of.index, 200 + round), 0); /* is kept */
		check_spool(path, 300, newest);
		storing_free();
		assert_int_equal(index_commit(of.index, &newest), 0);
		/* The one that was refused may have got its number, and not its entry. */
		if (newest == n + 1) {
			struct settle_node last = node_of(n + 1);
			char name[16];

			name_of(++n, name);
			if (n % 5 == 0)
				on->remove(&of, 1, bytes_of_string(name));
			else
				on->put(&of, 1, bytes_of_string(name), &last);
			assert_int_equal(index_commit(of.index, &newest), 0);
		}
		assert_int_equal(newest, n);
		assert_int_equal(index_state(of.index).acknowledged, 200 + round);
		check_fold(&of, n, 0);
		check_spool(path, 300, n);
	}
	index_close(of.index);
	assert_int_equal(index_open(&of.index, path, &found, why), 0);
	assert_false(found.damaged);
	check_fold(&of, n, 0);
	index_close(of.index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed),        cmocka_unit_test(test_cut),
		cmocka_unit_test(test_flipped),       cmocka_unit_test(test_key_of_another_type),
		cmocka_unit_test(test_flipped_spool), cmocka_unit_test(test_cut_log),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
