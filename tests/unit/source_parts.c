/* The source's set of directories, against a plain table; who a process is. */
#include "kernel/source_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { INODES = 300, KEYS = 200, STEPS = 200000 };

static uint64_t seed;

static unsigned draw(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 11) % below);
}

/* What the set should hold: each inode's key, -1 for none, -2 for not in it. */
static int key_of[INODES];

static void put(struct source_set *set, uint64_t inode, int key)
{
	uint8_t bytes[12] = {0};

	bytes_put_le32(bytes, (uint32_t)key);
	bytes_put_le32(bytes + 8, 0xabcdef);
	assert_int_equal(source_set_put(set, inode, key < 0 ? NULL : bytes), 0);
	for (unsigned i = 0; key >= 0 && i < INODES; i++)
		if (key_of[i] == key)
			key_of[i] = -1; /* keys are of one only */
	key_of[inode] = key;
}

static void check(const struct source_set *set)
{
	unsigned count = 0, polled = 0, walked = 0;

	for (unsigned inode = 1; inode < INODES; inode++) {
		const struct source_entry *e = source_set_find(set, inode);
		uint8_t bytes[12] = {0};

		assert_int_equal(e != NULL, key_of[inode] != -2);
		count += e != NULL;
		polled += key_of[inode] == -1;
		bytes_put_le32(bytes, (uint32_t)key_of[inode]);
		bytes_put_le32(bytes + 8, 0xabcdef);
		if (key_of[inode] >= 0)
			assert_ptr_equal(source_set_find_key(set, bytes), e);
	}
	assert_int_equal(set->count, count);
	assert_int_equal(set->polled, polled);
	for (uint32_t at = 0; source_set_next_polled(set, &at) != NULL;)
		walked++;
	assert_int_equal(walked, polled);
}

static void test_set(void **state)
{
	struct source_set set;

	(void)state;
	for (unsigned i = 0; i < INODES; i++)
		key_of[i] = -2;
	assert_int_equal(source_set_init(&set, 12), 0);
	for (unsigned i = 0; i < STEPS; i++) {
		uint64_t inode = 1 + draw(INODES - 1);

		if (draw(3) == 0 && source_set_find(&set, inode) != NULL) {
			source_set_remove(&set, source_set_find(&set, inode));
			key_of[inode] = -2;
		} else {
			put(&set, inode, (int)draw(KEYS + 20) - 20 < 0 ? -1 : (int)draw(KEYS));
		}
		if (i % 1000 == 0)
			check(&set);
	}
	check(&set);
	source_set_free(&set);
}

/* What a directory costs, as the header says. */
static void test_set_is_small(void **state)
{
	const uint32_t count = 100000;
	struct source_set set;

	(void)state;
	assert_int_equal(source_set_init(&set, sizeof(int)), 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(source_set_put(&set, (uint64_t)i << 7 | 1, &i), 0);
	assert_int_equal(set.stride, 16);
	assert_true((set.mask + 1) * 8ull <= 24ull * count);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(source_set_find_key(&set, &i)->inode, (uint64_t)i << 7 | 1);
	source_set_free(&set);
}

static void test_who(void **state)
{
	struct bytes program, user;
	int talk[2], hold[2], status;
	pid_t child;
	char c;

	(void)state;
	source_who((uint32_t)getpid(), &program, &user);
	assert_true(program.len > 0 && user.len > 0);
	if (geteuid() == 0)
		assert_true(bytes_equal(user, BYTES_LITERAL("root")));
	source_who(0, &program, &user);
	assert_int_equal(program.len + user.len, 0);
	source_who(UINT32_MAX, &program, &user);
	assert_int_equal(program.len + user.len, 0);
	assert_true(pipe(talk) == 0 && pipe(hold) == 0);
	child = fork();
	if (child == 0) {
		FILE *comm = fopen("/proc/self/comm", "w");

		close(hold[1]);
		if (comm == NULL || fputs("a) (b", comm) < 0 || fclose(comm) != 0 ||
		    write(talk[1], "x", 1) != 1)
			_exit(1);
		_exit(read(hold[0], &c, 1) != 0);
	}
	assert_int_equal(read(talk[0], &c, 1), 1);
	source_who((uint32_t)child, &program, &user);
	assert_true(bytes_equal(program, BYTES_LITERAL("a) (b")));
	close(hold[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	for (clock_t begin = clock(); clock() - begin < CLOCKS_PER_SEC / 5;)
		source_who((uint32_t)child, &program,
			   &user); /* gone, looked up anew, still known */
	assert_true(bytes_equal(program, BYTES_LITERAL("a) (b")));
	assert_true(user.len > 0);
	close(talk[0]);
	close(talk[1]);
	close(hold[0]);
}

static void test_names_of_ways(void **state)
{
	(void)state;
	assert_string_equal(source_way_name(SOURCE_FANOTIFY), "fanotify");
	assert_string_equal(source_way_name(SOURCE_INOTIFY), "inotify");
	assert_string_equal(source_way_name(SOURCE_POLL), "poll");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_set_is_small),
		cmocka_unit_test(test_who),
		cmocka_unit_test(test_names_of_ways),
	};

	seed = (uint64_t)getpid() * 0x9e3779b97f4a7c15ull;
	print_message("seed %#llx\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
