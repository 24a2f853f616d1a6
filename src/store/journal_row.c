/* A change as a row of the table of events. Texts are any bytes; SQLite keeps them as they are. */
#include "store/journal_parts.h"

#include <sqlite3.h>

static void bind_text(struct sqlite3_stmt *statement, enum journal_column column, struct bytes b)
{
	int parameter = (int)column + 1;

	if (b.len > 0)
		sqlite3_bind_text64(statement, parameter, (const char *)b.data, b.len,
				    SQLITE_STATIC, SQLITE_UTF8);
	else
		sqlite3_bind_null(statement, parameter);
}

static void bind_number(struct sqlite3_stmt *statement, enum journal_column column, uint64_t n)
{
	sqlite3_bind_int64(statement, (int)column + 1, (int64_t)n);
}

void journal_bind(struct sqlite3_stmt *statement, const struct change *c)
{
	bind_number(statement, JOURNAL_TYPE, c->type);
	bind_number(statement, JOURNAL_TIME, (uint64_t)c->time_us);
	bind_number(statement, JOURNAL_KIND, c->kind);
	bind_text(statement, JOURNAL_PATH, c->path);
	bind_text(statement, JOURNAL_FROM, c->from);
	bind_number(statement, JOURNAL_SIZE, c->size);
	bind_number(statement, JOURNAL_MTIME, (uint64_t)c->mtime_us);
	bind_number(statement, JOURNAL_MODE, c->mode);
	bind_number(statement, JOURNAL_INODE, c->inode);
	if (c->hashed)
		sqlite3_bind_blob(statement, JOURNAL_SHA256 + 1, c->sha256, CHANGE_DIGEST_BYTES,
				  SQLITE_STATIC);
	else
		sqlite3_bind_null(statement, JOURNAL_SHA256 + 1);
	bind_number(statement, JOURNAL_PID, c->pid);
	bind_text(statement, JOURNAL_PROGRAM, c->program);
	bind_text(statement, JOURNAL_USER, c->user);
	bind_text(statement, JOURNAL_WHY, c->why);
	bind_number(statement, JOURNAL_RESET, c->reset);
}

struct bytes journal_text(struct sqlite3_stmt *statement, int column)
{
	const void *data = sqlite3_column_text(statement, column);

	return bytes_of(data, (size_t)sqlite3_column_bytes(statement, column));
}

static uint64_t number(struct sqlite3_stmt *statement, enum journal_column column)
{
	return (uint64_t)sqlite3_column_int64(statement, (int)column);
}

static bool is_sound(const struct change *c)
{
	return c->type >= CHANGE_CREATE && c->type < CHANGE_TYPES && c->kind < CHANGE_KINDS &&
	       c->path.len <= CHANGE_PATH_BYTES && c->from.len <= CHANGE_PATH_BYTES &&
	       c->program.len <= CHANGE_WORD_BYTES && c->user.len <= CHANGE_WORD_BYTES &&
	       c->why.len <= CHANGE_WORD_BYTES;
}

int journal_take(struct sqlite3_stmt *statement, struct change *c)
{
	const void *digest;

	*c = (struct change){
		.type = (uint8_t)number(statement, JOURNAL_TYPE),
		.time_us = (int64_t)number(statement, JOURNAL_TIME),
		.kind = (uint8_t)number(statement, JOURNAL_KIND),
		.path = journal_text(statement, JOURNAL_PATH),
		.from = journal_text(statement, JOURNAL_FROM),
		.size = number(statement, JOURNAL_SIZE),
		.mtime_us = (int64_t)number(statement, JOURNAL_MTIME),
		.mode = (uint32_t)number(statement, JOURNAL_MODE),
		.inode = number(statement, JOURNAL_INODE),
		.pid = (uint32_t)number(statement, JOURNAL_PID),
		.program = journal_text(statement, JOURNAL_PROGRAM),
		.user = journal_text(statement, JOURNAL_USER),
		.why = journal_text(statement, JOURNAL_WHY),
		.reset = number(statement, JOURNAL_RESET) != 0,
	};
	digest = sqlite3_column_blob(statement, JOURNAL_SHA256);
	if (digest != NULL &&
	    sqlite3_column_bytes(statement, JOURNAL_SHA256) == CHANGE_DIGEST_BYTES) {
		c->hashed = true;
		memcpy(c->sha256, digest, CHANGE_DIGEST_BYTES);
	}
	return is_sound(c) ? 0 : ERR_PROTOCOL;
}
