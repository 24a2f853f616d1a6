/* The journal: what is taken and refused, what readers find, what is pruned. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "store/journal.h"
#include "storing.h"

enum { RECORDS_BYTES = 4 << 20, LISTED = 200000 };

static const struct journal_settings for_ever;
static struct journal *journal;
static struct journal_reader *reader;
static char why[256];
static uint8_t records[RECORDS_BYTES];
static uint64_t taken, taken_last;

static void open_it(const char *name, const struct journal_settings *settings)
{
	assert_int_equal(journal_open(&journal, storing_path(name), settings, why), 0);
}

static void open_reader(const char *name)
{
	assert_int_equal(journal_reader_open(&reader, storing_path(name), why), 0);
}

static uint32_t client_of(const char *id, const char *host, uint64_t *newest)
{
	uint32_t client = 0;

	assert_int_equal(journal_client(journal, bytes_of_string(id), bytes_of_string(host),
					&client, newest),
			 0);
	return client;
}

static void took(void *owner, const struct change *c, uint64_t seq)
{
	assert_ptr_equal(owner, &taken);
	taken++;
	taken_last = seq;
}

static struct bytes records_of(uint64_t first, uint32_t count)
{
	size_t len = 0;

	for (uint64_t n = first; n < first + count; n++)
		len += storing_record(records + len, n);
	return bytes_of(records, len);
}

static int append(uint32_t client, uint64_t first, uint32_t count, const char **fault)
{
	const char *unheard;

	taken = 0;
	return journal_append(journal, client, first, count, records_of(first, count), took, &taken,
			      fault != NULL ? fault : &unheard);
}

static struct journal_state state_of(void)
{
	struct journal_state state;

	assert_int_equal(journal_state(journal, &state), 0);
	return state;
}

/* What a read found: the seqs in order, and the last row itself. */
static struct {
	uint64_t seq[LISTED], row[LISTED];
	unsigned count, most;
	char client[JOURNAL_CLIENT_BYTES], host[64], path[64];
} list;

static bool listed(void *owner, const struct journal_row *row)
{
	list.seq[list.count] = row->seq;
	list.row[list.count] = row->row;
	list.count++;
	strcpy(list.client, row->client);
	snprintf(list.host, sizeof(list.host), "%.*s", (int)row->host.len, row->host.data);
	snprintf(list.path, sizeof(list.path), "%.*s", (int)row->change.path.len,
		 row->change.path.data);
	return list.most == 0 || list.count < list.most;
}

static int64_t read_all(const struct journal_filter *filter, bool backward)
{
	uint64_t at;
	int64_t got;
	bool end;

	list.count = list.most = 0;
	got = journal_read(reader, filter, 0, backward, 0, 0, listed, NULL, &at, &end);
	assert_true(end);
	assert_int_equal(got, list.count);
	return got;
}

static void test_each_once(void **state)
{
	uint64_t newest = 9;
	uint32_t client;

	open_it("once", &for_ever);
	client = client_of("SHA256:abc/1", "host", &newest);
	assert_int_equal(newest, 0);
	assert_int_equal(append(client, 1, 100, NULL), 0);
	assert_int_equal(taken, 100);
	assert_int_equal(append(client, 1, 100, NULL), 0);
	assert_int_equal(taken, 0);
	assert_int_equal(append(client, 51, 100, NULL), 0);
	assert_int_equal(taken, 50);
	assert_int_equal(taken_last, 150);
	assert_int_equal(journal_commit(journal), 0);
	assert_int_equal(state_of().rows, 150);
	assert_int_equal(client_of("SHA256:abc/1", "host", &newest), client);
	assert_int_equal(newest, 150);
	/* What is rolled back may come again. */
	assert_int_equal(append(client, 151, 10, NULL), 0);
	assert_int_equal(journal_rollback(journal), 0);
	assert_int_equal(append(client, 151, 10, NULL), 0);
	assert_int_equal(taken, 10);
	assert_int_equal(journal_commit(journal), 0);
	journal_close(journal);
	open_it("once", &for_ever);
	assert_int_equal(append(client, 100, 70, NULL), 0);
	assert_int_equal(taken, 9);
	assert_int_equal(journal_commit(journal), 0);
	open_reader("once");
	assert_int_equal(read_all(&(struct journal_filter){0}, false), 169);
	for (unsigned i = 0; i < 169; i++)
		assert_true(list.seq[i] == i + 1 && list.row[i] == i + 1);
	journal_reader_close(reader);
	journal_close(journal);
}

static void refuse(uint32_t client, uint64_t first, uint32_t count, struct bytes in,
		   const char *reason)
{
	const char *fault = NULL;

	taken = 0;
	assert_int_equal(journal_append(journal, client, first, count, in, took, &taken, &fault),
			 ERR_PROTOCOL);
	assert_string_equal(fault, reason);
	assert_int_equal(taken, 0);
}

static void test_refused(void **state)
{
	struct change gap = {
		.type = CHANGE_GAP, .path = BYTES_LITERAL("/srv"), .why = BYTES_LITERAL("restart")};
	uint64_t newest;
	uint32_t client;
	struct bytes in;

	open_it("refused", &for_ever);
	client = client_of("liar", "host", &newest);
	assert_int_equal(append(client, 1, 10, NULL), 0);
	refuse(client, 12, 5, records_of(12, 5), "numbers are missing");
	refuse(client, 0, 5, records_of(0, 5), "numbers that cannot be");
	refuse(client, UINT64_MAX - 1, 5, records_of(1, 5), "numbers that cannot be");
	refuse(client, 11, 0, records_of(11, 0), "numbers that cannot be");
	refuse(client, 11, 6, records_of(11, 5), "a record that is cut");
	refuse(client, 11, UINT32_MAX, records_of(11, 5), "a record that is cut");
	refuse(client, 11, 4, records_of(11, 5), "more records than were said");
	in = records_of(11, 5);
	records[in.len / 2] = '\0';
	records[in.len - 10] = '\0';
	refuse(client, 11, 5, in, "a record with a NUL in its text");
	/* A gap alone does not excuse missing numbers; one that resets does. */
	refuse(client, 20, 1, bytes_of(records, change_put(records, &gap)), "numbers are missing");
	gap.reset = true;
	in = bytes_of(records, change_put(records, &gap));
	taken = 0;
	assert_int_equal(
		journal_append(journal, client, 20, 1, in, took, &taken, &(const char *){NULL}), 0);
	assert_int_equal(taken, 1);
	assert_int_equal(journal_commit(journal), 0);
	assert_int_equal(state_of().rows, 11);
	client_of("liar", "", &newest);
	assert_int_equal(newest, 20);
	journal_close(journal);
}

static void test_plain(void **state)
{
	struct change c = {.type = CHANGE_CREATE, .time_us = 5, .path = BYTES_LITERAL("a\xff\nb")};
	uint64_t newest, seq;
	uint32_t client;

	open_it("plain", &for_ever);
	client = client_of("192.0.2.1", "", &newest);
	for (uint64_t i = 1; i <= 3; i++) {
		assert_int_equal(journal_append_plain(journal, client, &c, &seq), 0);
		assert_int_equal(seq, i);
	}
	assert_int_equal(journal_commit(journal), 0);
	journal_close(journal);
}

/* Every field comes back as it went in. */
static bool compare_fields(void *owner, const struct journal_row *row)
{
	static uint8_t first[CHANGE_RECORD_BYTES], second[CHANGE_RECORD_BYTES];
	size_t len = change_put(first, owner);

	assert_int_equal(change_put(second, &row->change), len);
	assert_memory_equal(first, second, len);
	return true;
}

static void test_fields(void **state)
{
	static char longest[CHANGE_PATH_BYTES], word[CHANGE_WORD_BYTES];
	struct change changes[] = {
		{.type = CHANGE_SETTLED, .path = BYTES_LITERAL("/")},
		{.type = CHANGE_GAP,
		 .path = BYTES_LITERAL("/x"),
		 .why = BYTES_LITERAL("overflow"),
		 .reset = true,
		 .time_us = INT64_MIN},
		{.type = CHANGE_MOVE,
		 .kind = CHANGE_OTHER,
		 .hashed = true,
		 .time_us = INT64_MAX,
		 .path = bytes_of(longest, sizeof(longest)),
		 .from = bytes_of(longest, sizeof(longest)),
		 .size = UINT64_MAX,
		 .mtime_us = INT64_MIN,
		 .mode = 07777,
		 .inode = UINT64_MAX,
		 .pid = UINT32_MAX,
		 .program = bytes_of(word, sizeof(word)),
		 .user = bytes_of(word, sizeof(word))},
	};
	uint64_t newest, at = 0;
	uint32_t client;
	bool end;

	memset(longest, 0xfe, sizeof(longest));
	memset(word, '\n', sizeof(word));
	memset(changes[2].sha256, 0x80, CHANGE_DIGEST_BYTES);
	open_it("fields", &for_ever);
	client = client_of("c", "h", &newest);
	for (unsigned i = 0; i < 3; i++) {
		struct bytes in = bytes_of(records, change_put(records, &changes[i]));

		assert_int_equal(journal_append(journal, client, i + 1, 1, in, NULL, NULL,
						&(const char *){NULL}),
				 0);
	}
	assert_int_equal(journal_commit(journal), 0);
	open_reader("fields");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(journal_read(reader, &(struct journal_filter){0}, at, false, 1, 0,
					      compare_fields, &changes[i], &at, &end),
				 1);
	journal_reader_close(reader);
	journal_close(journal);
}

/* Two clients in turns, 30,000 rows, in several spans and commits. */
static void make_two(const char *name)
{
	uint64_t newest;
	uint32_t a, b;

	open_it(name, &for_ever);
	a = client_of("SHA256:AAAA/01", "alpha", &newest);
	b = client_of("SHA256:BBBB/02", "beta", &newest);
	for (uint64_t n = 0; n < 30; n++) {
		assert_int_equal(append(a, n * 900 + 1, 900, NULL), 0);
		assert_int_equal(append(b, n * 100 + 1, 100, NULL), 0);
		assert_int_equal(journal_commit(journal), 0);
	}
	open_reader(name);
}

/* Whose id or host it is wins alone; else whoever has it in one of them. */
static void test_filter_by_client(void **state)
{
	static const struct {
		const char *id, *host;
	} clients[] = {{"10.0.0.1", ""},
		       {"10.0.0.11", ""},
		       {"plain:10.0.0.1/00", "web1"},
		       {"SHA256:abc/01", "web1.example"}};
	static const struct {
		const char *wanted;
		int64_t found;
	} cases[] = {{"10.0.0.1", 1}, {"10.0.0", 3}, {"web1", 1},
		     {"web", 2},      {"abc", 1},    {"no", 0}};
	uint64_t newest;

	open_it("whose", &for_ever);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			append(client_of(clients[i].id, clients[i].host, &newest), 1, 1, NULL), 0);
	assert_int_equal(journal_commit(journal), 0);
	open_reader("whose");
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct journal_filter filter = {.client = bytes_of_string(cases[i].wanted)};

		assert_int_equal(read_all(&filter, false), cases[i].found);
	}
	journal_reader_close(reader);
	journal_close(journal);
}

static void test_filters(void **state)
{
	const int64_t t0 = 1767225600000000;

	make_two("filters");
	assert_int_equal(read_all(&(struct journal_filter){0}, false), 30000);
	assert_int_equal(read_all(&(struct journal_filter){.client = BYTES_LITERAL("beta")}, true),
			 3000);
	assert_string_equal(list.client, "SHA256:BBBB/02");
	assert_string_equal(list.host, "beta");
	assert_int_equal(list.seq[0], 3000);
	assert_int_equal(read_all(&(struct journal_filter){.client = BYTES_LITERAL("AAAA")}, true),
			 27000);
	assert_int_equal(read_all(&(struct journal_filter){.client = BYTES_LITERAL("bet")}, true),
			 3000);
	/* n odd is a modify. */
	assert_int_equal(read_all(&(struct journal_filter){.types = 1u << CHANGE_MODIFY}, false),
			 15000);
	assert_int_equal(read_all(&(struct journal_filter){.types = 1u << CHANGE_MOVE}, false), 0);
	assert_int_equal(
		read_all(&(struct journal_filter){.path = BYTES_LITERAL("*/file-17")}, false), 2);
	assert_string_equal(list.path, "/srv/tree/directory-7/file-17");
	assert_int_equal(
		read_all(&(struct journal_filter){.path = BYTES_LITERAL("/srv/*-[67]/file-1?")},
			 true),
		4);
	assert_int_equal(
		read_all(&(struct journal_filter){.text = BYTES_LITERAL("FILE-2999")}, false), 2);
	assert_int_equal(read_all(&(struct journal_filter){.since_us = t0 + 26995000}, false), 6);
	assert_int_equal(read_all(&(struct journal_filter){.until_us = t0 + 5000}, false), 10);
	assert_int_equal(read_all(&(struct journal_filter){.since_us = t0 + 100000,
							   .until_us = t0 + 101000,
							   .client = BYTES_LITERAL("alpha")},
				  true),
			 2);
	journal_reader_close(reader);
	journal_close(journal);
}

/* Page by page and bounded in what is looked at, nothing comes twice and nothing is missing. */
static void page_through(const struct journal_filter *filter, bool backward, uint64_t most,
			 uint64_t scan_most, unsigned expected)
{
	uint64_t at = 0, before;
	bool end = false;
	unsigned calls = 0;

	list.count = list.most = 0;
	while (!end && calls++ < 100000) {
		unsigned count = list.count;
		int64_t got;

		before = at;
		got = journal_read(reader, filter, at, backward, most, scan_most, listed, NULL, &at,
				   &end);
		assert_int_equal(got, list.count - count);
		assert_true(most == 0 || got <= (int64_t)most);
		assert_true(end || at != before);
	}
	assert_true(end);
	assert_int_equal(list.count, expected);
	for (unsigned i = 1; i < list.count; i++)
		assert_true(backward ? list.row[i] < list.row[i - 1]
				     : list.row[i] > list.row[i - 1]);
}

static void test_pages(void **state)
{
	struct journal_filter all = {0}, beta = {.client = BYTES_LITERAL("beta")};
	struct journal_filter late = {.since_us = 1767225600000000 + 26000000};
	uint64_t at = 0;
	bool end;

	make_two("pages");
	for (int backward = 0; backward < 2; backward++) {
		page_through(&all, backward, 1000, 0, 30000);
		page_through(&all, backward, 37, 0, 30000);
		page_through(&all, backward, 0, 1001, 30000);
		page_through(&beta, backward, 10, 0, 3000);
		page_through(&beta, backward, 10, 77, 3000);
		page_through(&late, backward, 500, 300, 1001);
	}
	/* What lies far off in time is not looked at, in either direction. */
	at = list.count = 0;
	assert_true(journal_read(reader, &late, 0, false, 0, 6000, listed, NULL, &at, &end) > 0);
	late.until_us = 1767225600000000 + 500000;
	late.since_us = 0;
	assert_true(journal_read(reader, &late, 0, true, 0, 6000, listed, NULL, &at, &end) > 0);
	assert_true(journal_read(reader, &late, 0, false, 0, 0, listed, NULL, &at, &end) > 0);
	assert_true(end && at == 30000);
	late.until_us = 0;
	late.since_us = 1767225600000000 + 26000000;
	/* Whoever says stop goes on from there. */
	list.count = 0;
	list.most = 5;
	assert_int_equal(journal_read(reader, &all, 0, true, 0, 0, listed, NULL, &at, &end), 5);
	assert_int_equal(at, 29996);
	assert_false(end);
	list.most = 0;
	/* Following: from the end on, what is committed later. */
	assert_int_equal(journal_read(reader, &beta, 29999, false, 0, 0, listed, NULL, &at, &end),
			 1);
	assert_true(end && at == 30000);
	assert_int_equal(journal_read(reader, &late, at, false, 0, 0, listed, NULL, &at, &end), 0);
	assert_true(end && at == 30000);
	assert_int_equal(append(2, 3001, 3, NULL), 0);
	assert_int_equal(journal_read(reader, &beta, at, false, 0, 0, listed, NULL, &at, &end), 0);
	assert_int_equal(journal_commit(journal), 0);
	list.count = 0;
	assert_int_equal(journal_read(reader, &beta, at, false, 0, 0, listed, NULL, &at, &end), 3);
	assert_int_equal(at, 30003);
	journal_reader_close(reader);
	journal_close(journal);
}

static bool each_client(void *owner, const struct journal_client_row *row)
{
	unsigned *count = owner;

	if (++*count == 2) {
		assert_string_equal(row->id, "SHA256:BBBB/02");
		assert_int_equal(row->newest, 3000);
		assert_true(bytes_equal(row->host, BYTES_LITERAL("renamed")));
		assert_true(row->seen_us > 1600000000000000);
	}
	return true;
}

static void test_clients(void **state)
{
	unsigned count = 0;
	uint64_t newest;

	make_two("clients");
	assert_int_equal(read_all(&(struct journal_filter){.client = BYTES_LITERAL("beta")}, true),
			 3000);
	client_of("SHA256:BBBB/02", "renamed", &newest);
	assert_int_equal(journal_commit(journal), 0);
	assert_int_equal(journal_read_clients(reader, each_client, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(
		read_all(&(struct journal_filter){.client = BYTES_LITERAL("renamed")}, true), 3000);
	assert_int_equal(state_of().clients, 2);
	journal_reader_close(reader);
	journal_close(journal);
}

static int64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000;
}

static void test_prune_by_age(void **state)
{
	struct journal_settings a_day = {.keep_ms = 86400000};
	uint64_t newest;

	make_two("age");
	journal_reader_close(reader);
	journal_close(journal);
	open_it("age", &a_day);
	assert_int_equal(journal_prune(journal, now_us() + 80000ll * 1000000, 1000), 0);
	assert_int_equal(journal_prune(journal, now_us() + 90000ll * 1000000, 1000), 1000);
	assert_int_equal(state_of().rows, 29000);
	assert_int_equal(state_of().oldest, 1001);
	client_of("SHA256:AAAA/01", "", &newest);
	assert_int_equal(journal_prune(journal, now_us(), 1000), ERR_IN_USE);
	assert_int_equal(journal_rollback(journal), 0);
	while (journal_prune(journal, now_us() + 90000ll * 1000000, 5000) > 0)
		;
	assert_int_equal(state_of().rows, 0);
	assert_int_equal(state_of().oldest, 0);
	/* Numbers go on, of rows and of clients. */
	journal_close(journal);
	open_it("age", &a_day);
	assert_int_equal(append(1, 27001, 1, NULL), 0);
	assert_int_equal(journal_commit(journal), 0);
	assert_int_equal(state_of().oldest, 30001);
	journal_close(journal);
}

static void test_prune_by_size(void **state)
{
	struct journal_settings small = {.keep_bytes = 1 << 20};
	long before;
	int64_t got;

	make_two("bytes");
	journal_reader_close(reader);
	assert_true(state_of().bytes > 2 << 20);
	journal_close(journal);
	before = storing_size(storing_path("bytes"));
	open_it("bytes", &small);
	while ((got = journal_prune(journal, 0, 1000)) > 0)
		assert_in_range(got, 1, 1000);
	assert_int_equal(got, 0);
	assert_in_range(state_of().bytes, 800 << 10, 1 << 20);
	open_reader("bytes");
	assert_int_equal(read_all(&(struct journal_filter){0}, true), state_of().rows);
	assert_int_equal(list.row[list.count - 1], state_of().oldest);
	journal_reader_close(reader);
	journal_close(journal);
	/* What is free is no part of it, and is given back when it is much. */
	assert_true(storing_size(storing_path("bytes")) <= before);
}

static void test_shrinks(void **state)
{
	struct journal_settings small = {.keep_bytes = 1 << 20};
	uint64_t newest;
	uint32_t client;

	open_it("shrinks", &for_ever);
	client = client_of("c", "h", &newest);
	for (uint64_t n = 0; n < 150; n++)
		assert_int_equal(append(client, n * 1000 + 1, 1000, NULL), 0);
	assert_int_equal(journal_commit(journal), 0);
	journal_close(journal);
	assert_true(storing_size(storing_path("shrinks")) > 12 << 20);
	open_it("shrinks", &small);
	while (journal_prune(journal, 0, 10000) > 0)
		;
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(journal_prune(journal, 0, 10000), 0);
	journal_close(journal);
	assert_in_range(storing_size(storing_path("shrinks")), 1, 6 << 20);
}

static void test_one_holder(void **state)
{
	struct journal *second;

	open_it("holder", &for_ever);
	assert_int_equal(journal_open(&second, storing_path("holder"), &for_ever, why), ERR_IN_USE);
	assert_null(second);
	journal_close(journal);
	assert_int_equal(journal_reader_open(&reader, storing_path("nowhere"), why), ERR_NO_FILE);
	assert_null(reader);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_once),    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_plain),        cmocka_unit_test(test_fields),
		cmocka_unit_test(test_filters),      cmocka_unit_test(test_filter_by_client),
		cmocka_unit_test(test_pages),        cmocka_unit_test(test_clients),
		cmocka_unit_test(test_prune_by_age), cmocka_unit_test(test_prune_by_size),
		cmocka_unit_test(test_shrinks),      cmocka_unit_test(test_one_holder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
