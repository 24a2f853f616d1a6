/* Is the index whole? All of it is read once, at the start: SQLite's own look at its pages (cut
 * files, broken chains), then each entry's and block's sum, and that each entry has its link and
 * each link its entry, by adding up sums of both; links are what the filter is made of. A key that
 * one bit made a text is whole to all of these, but sorted before every blob, and searched for
 * among them: hence its type. About half a second for a million entries, in front of a rescan that
 * reads the same pages and takes longer.
 *
 * What this cannot see is an older state that is whole: of a log that was cut. The server knows
 * more then, and index_resume finds it. */
#include "store/index_parts.h"

#include <sqlite3.h>

struct tally {
	uint64_t entries;
	uint64_t sum; /* of all links */
	struct index_filter *filter;
};

/* Calls `row` for each row of `sql`. */
static int each(struct index *index, const char *sql,
		int (*row)(struct sqlite3_stmt *statement, struct tally *tally),
		struct tally *tally)
{
	struct sqlite3_stmt *statement = NULL;
	int err = database_prepare(&index->database, &statement, sql);
	int status = SQLITE_ROW;

	while (err == 0 && status == SQLITE_ROW) {
		status = sqlite3_step(statement);
		if (status == SQLITE_ROW && row(statement, tally) != 0)
			err = database_say(&index->database, ERR_PROTOCOL, "it is damaged");
	}
	if (err == 0)
		err = database_err(&index->database, status);
	sqlite3_finalize(statement);
	return err;
}

static struct bytes column(struct sqlite3_stmt *statement, int number)
{
	const void *data = sqlite3_column_blob(statement, number);

	return bytes_of(data, (size_t)sqlite3_column_bytes(statement, number));
}

/* A key's bytes; of one that is no blob, none. */
static struct bytes key_column(struct sqlite3_stmt *statement)
{
	if (sqlite3_column_type(statement, 0) != SQLITE_BLOB)
		return (struct bytes){0};
	return column(statement, 0);
}

static int check_page(struct sqlite3_stmt *statement, struct tally *tally)
{
	return bytes_equal(column(statement, 0), BYTES_LITERAL("ok")) ? 0 : ERR_PROTOCOL;
}

static int check_entry(struct sqlite3_stmt *statement, struct tally *tally)
{
	struct bytes place = key_column(statement);
	uint8_t link[INDEX_LINK_BYTES];
	struct settle_node node;

	if (place.len == 0 || place.len > INDEX_PLACE_BYTES ||
	    index_take_node(column(statement, 1), place, &node) != 0)
		return ERR_PROTOCOL;
	tally->entries++;
	tally->sum += index_sum(bytes_of(link, index_put_link(link, place, node.inode)),
				(struct bytes){0});
	return 0;
}

static int check_link(struct sqlite3_stmt *statement, struct tally *tally)
{
	struct bytes link = key_column(statement);

	tally->entries--;
	tally->sum -= index_sum(link, (struct bytes){0});
	index_filter_add(tally->filter, link, false);
	return link.len == 0 ? ERR_PROTOCOL : 0;
}

static int check_block(struct sqlite3_stmt *statement, struct tally *tally)
{
	uint32_t sum = spool_sum((uint64_t)sqlite3_column_int64(statement, 0),
				 (uint64_t)sqlite3_column_int64(statement, 1),
				 (uint32_t)sqlite3_column_int64(statement, 2),
				 sqlite3_column_int(statement, 3) != 0, column(statement, 5));

	return sqlite3_column_int64(statement, 4) == sum ? 0 : ERR_PROTOCOL;
}

static int check_tree(struct sqlite3_stmt *statement, struct tally *tally)
{
	uint32_t sum = index_tree_sum((uint32_t)sqlite3_column_int64(statement, 0),
				      column(statement, 1));

	return sqlite3_column_int64(statement, 2) == sum ? 0 : ERR_PROTOCOL;
}

int index_check(struct index *index)
{
	struct tally tally = {.filter = &index->filter};
	int err = each(index, "PRAGMA quick_check(1)", check_page, &tally);

	if (err == 0) /* and the index of its paths */
		err = each(index, "PRAGMA integrity_check(tree)", check_page, &tally);
	if (err == 0)
		err = each(index, "SELECT number, path, sum FROM tree", check_tree, &tally);
	if (err == 0)
		err = each(index, "SELECT place, node FROM entry", check_entry, &tally);
	if (err == 0 && tally.entries != index->now.entries)
		err = database_say(&index->database, ERR_PROTOCOL, "entries are missing");
	if (err == 0)
		err = each(index, "SELECT link FROM link", check_link, &tally);
	if (err == 0 && (tally.entries != 0 || tally.sum != 0))
		err = database_say(&index->database, ERR_PROTOCOL, "links are missing");
	if (err == 0)
		err = each(index, "SELECT first, last, raw, packed, sum, body FROM spool",
			   check_block, &tally);
	return err;
}
