/* The spool: records go to a block in memory, the block to a row when it is full or committed.
 *
 *   first  last  raw  packed  sum  body
 *
 * `sum`, a CRC-32 over the rest, is checked whenever a row is read. Rows that are acknowledged are
 * deleted and their pages used again: the file keeps the size that it once had, and what bounds
 * that is the holder's limit on the spool. */
#include "store/index_parts.h"

#include <sqlite3.h>
#include <stdlib.h>

enum { SPOOL_CACHE_KIB = 512, SPOOL_BUSY_MS = 5000, SPOOL_SUMMED = 21 };

uint32_t spool_sum(uint64_t first, uint64_t last, uint32_t raw_bytes, bool packed,
		   struct bytes body)
{
	uint8_t head[SPOOL_SUMMED];

	bytes_put_be64(head, first);
	bytes_put_be64(head + 8, last);
	bytes_put_be32(head + 16, raw_bytes);
	head[20] = packed;
	return index_sum(bytes_of(head, sizeof(head)), body);
}

int index_do_spool(struct index *index, const struct index_op *op)
{
	uint32_t sum = spool_sum(op->number, op->last, op->raw_bytes, op->packed, op->a);
	int err;

	index_bind_number(index, INDEX_SPOOL_PUT, 1, op->number);
	index_bind_number(index, INDEX_SPOOL_PUT, 2, op->last);
	index_bind_number(index, INDEX_SPOOL_PUT, 3, op->raw_bytes);
	index_bind_number(index, INDEX_SPOOL_PUT, 4, op->packed);
	index_bind_number(index, INDEX_SPOOL_PUT, 5, sum);
	index_bind(index, INDEX_SPOOL_PUT, 6, op->a);
	err = index_run(index, INDEX_SPOOL_PUT);
	if (err == 0)
		index->now.spool_bytes += op->a.len;
	return err;
}

int index_flush(struct index *index)
{
	struct index_op op = {.kind = INDEX_OP_SPOOL,
			      .number = index->block_first,
			      .last = index->now.newest,
			      .raw_bytes = (uint32_t)index->block_len,
			      .a = bytes_of(index->block, index->block_len)};
	size_t packed;
	int err;

	if (index->block_len == 0)
		return 0;
	packed = pack(index->packer, op.a, index->packed, sizeof(index->packed));
	if (packed > 0) {
		op.packed = true;
		op.a = bytes_of(index->packed, packed);
	}
	err = index_change(index, &op);
	if (err == 0)
		index->block_len = 0;
	return err;
}

int index_append(struct index *index, struct bytes record, uint64_t *seq)
{
	int err = 0;

	if (record.len > INDEX_BLOCK_BYTES)
		return ERR_TOO_LONG;
	if (index->lost && index->redo.len > 0)
		return index->database.err;
	if (index->redo.len > INDEX_REDO_BYTES)
		return ERR_FULL;
	if (index->block_len + record.len > INDEX_BLOCK_BYTES)
		err = index_flush(index);
	if (err != 0)
		return err;
	*seq = ++index->now.newest;
	if (index->block_len == 0)
		index->block_first = *seq;
	memcpy(index->block + index->block_len, record.data, record.len);
	index->block_len += record.len;
	return 0;
}

int index_do_acknowledge(struct index *index, uint64_t seq)
{
	struct sqlite3_stmt *sum = index->statement[INDEX_SPOOL_SUM];
	uint64_t bytes = 0;
	int err;

	index_bind_number(index, INDEX_SPOOL_SUM, 1, seq);
	err = index_step(index, INDEX_SPOOL_SUM);
	if (err > 0)
		bytes = (uint64_t)sqlite3_column_int64(sum, 0);
	index_done(index, INDEX_SPOOL_SUM);
	if (err < 0)
		return err;
	index_bind_number(index, INDEX_SPOOL_REMOVE, 1, seq);
	err = bytes > 0 ? index_run(index, INDEX_SPOOL_REMOVE) : 0;
	if (err != 0)
		return err;
	index->now.spool_bytes -= bytes;
	index->now.acknowledged = seq;
	return 0;
}

int index_acknowledge(struct index *index, uint64_t seq)
{
	struct index_op op = {.kind = INDEX_OP_ACKNOWLEDGE, .number = seq};

	if (seq > index->kept.newest)
		return ERR_PROTOCOL;
	return seq > index->now.acknowledged ? index_change(index, &op) : 0;
}

int index_resume(struct index *index, uint64_t server_seq, uint64_t sent, struct index_found *found)
{
	struct index_op all = {.kind = INDEX_OP_ACKNOWLEDGE};

	if (server_seq > INDEX_SEQ_MOST)
		return ERR_PROTOCOL;
	if (sent > index->now.server)
		index->now.server = sent;
	found->behind = server_seq > index->now.server || server_seq < index->now.acknowledged;
	if (server_seq > index->now.server)
		index->now.server = server_seq;
	if (!found->behind)
		return index_acknowledge(index, server_seq);
	/* Nothing that was spooled means anything now: numbers go on above both. */
	index->block_len = 0;
	if (server_seq > index->now.newest)
		index->now.newest = server_seq;
	all.number = index->now.newest;
	return index_change(index, &all);
}

/* Reading. */

struct spool {
	struct database database;
	struct sqlite3_stmt *read;
	uint8_t body[INDEX_BLOCK_BYTES];
};

int spool_open(struct spool **spool, const char *path)
{
	struct database_plan plan = {.path = path,
				     .steps = index_steps,
				     .application = INDEX_APPLICATION,
				     .read_only = true,
				     .busy_ms = SPOOL_BUSY_MS,
				     .cache_kib = SPOOL_CACHE_KIB};
	struct spool *s = calloc(1, sizeof(*s));
	int err = ERR_MEMORY;

	*spool = s;
	if (s == NULL)
		return err;
	err = database_open(&s->database, &plan);
	if (err == 0)
		err = database_prepare(
			&s->database, &s->read,
			"SELECT first, last, raw, packed, sum, body FROM spool WHERE last > ?1 AND "
			"first >= coalesce((SELECT max(first) FROM spool WHERE first <= ?1 + 1), 0)"
			" ORDER BY first LIMIT 1");
	if (err != 0) {
		spool_close(s);
		*spool = NULL;
	}
	return err;
}

/* Copies what the row says, and only then believes it. */
static int take_row(struct spool *spool, struct spool_block *block)
{
	struct sqlite3_stmt *row = spool->read;
	const void *body = sqlite3_column_blob(row, 5);
	size_t len = (size_t)sqlite3_column_bytes(row, 5);
	int64_t raw = sqlite3_column_int64(row, 2);

	if (body == NULL)
		return sqlite3_errcode(spool->database.sqlite) == SQLITE_NOMEM ? ERR_MEMORY
									       : ERR_PROTOCOL;
	if (len > sizeof(spool->body) || raw < 0 || raw > INDEX_BLOCK_BYTES)
		return ERR_PROTOCOL;
	memcpy(spool->body, body, len);
	*block = (struct spool_block){.first = (uint64_t)sqlite3_column_int64(row, 0),
				      .last = (uint64_t)sqlite3_column_int64(row, 1),
				      .raw_bytes = (uint32_t)raw,
				      .packed = sqlite3_column_int(row, 3) != 0,
				      .body = bytes_of(spool->body, len)};
	return sqlite3_column_int64(row, 4) == spool_sum(block->first, block->last,
							 block->raw_bytes, block->packed,
							 block->body)
		       ? 0
		       : ERR_PROTOCOL;
}

int spool_read(struct spool *spool, uint64_t seq, struct spool_block *block)
{
	int status, err = 0;

	if (seq >= INT64_MAX)
		return 0;
	sqlite3_bind_int64(spool->read, 1, (int64_t)seq);
	status = sqlite3_step(spool->read);
	if (status == SQLITE_ROW)
		err = take_row(spool, block);
	else if (status != SQLITE_DONE)
		err = database_err(&spool->database, status);
	sqlite3_reset(spool->read); /* lets the snapshot go */
	return err != 0 ? err : status == SQLITE_ROW;
}

void spool_close(struct spool *spool)
{
	if (spool == NULL)
		return;
	sqlite3_finalize(spool->read);
	database_close(&spool->database);
	free(spool);
}
