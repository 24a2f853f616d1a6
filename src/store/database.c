/* SQLite (https://www.sqlite.org/c3ref/intro.html) as the rest of store/ uses it: a write-ahead
 * log, each commit on the disk before it returns, a schema in steps.
 *
 * The log is copied into the file every LOG_PAGES pages, at a commit. What keeps it from being
 * begun anew is a reader that stays where it is; so no reader of ours keeps its snapshot between
 * calls, and once the last is gone the log is cut to LOG_BYTES. */
#include "store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

enum { LOG_PAGES = 4000, LOG_BYTES = 32 << 20, SQL_BYTES = 512, LOCK_LOOK_MS = 20 };

#define N_(s) s

/* What SQLite could not open, the system said why. */
static int err_of_open(struct database *database)
{
	int errnum = database->sqlite != NULL ? sqlite3_system_errno(database->sqlite) : 0;

	return errnum != 0 ? err_from_errno(errnum) : ERR_NO_FILE;
}

static int err_of_status(struct database *database, int status)
{
	if (status == SQLITE_IOERR_NOMEM)
		return ERR_MEMORY;
	switch (status & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
		return ERR_DISK;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_IN_USE;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_READONLY:
		return ERR_PERMISSION;
	case SQLITE_CANTOPEN:
		return err_of_open(database);
	case SQLITE_ERROR: /* our SQL is right: then the schema is not */
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
		return ERR_PROTOCOL;
	case SQLITE_NOMEM:
		return ERR_MEMORY;
	case SQLITE_TOOBIG:
		return ERR_TOO_LONG;
	default:
		return ERR_SYSTEM;
	}
}

int database_err(struct database *database, int status)
{
	struct text why = TEXT_OVER(database->why);

	if (status == SQLITE_OK || status == SQLITE_ROW || status == SQLITE_DONE)
		return 0;
	text_put_string(&why, database->sqlite != NULL ? sqlite3_errmsg(database->sqlite)
						       : sqlite3_errstr(status));
	if (database->sqlite != NULL)
		status = sqlite3_extended_errcode(database->sqlite);
	database->err = err_of_status(database, status);
	return database->err;
}

int database_say(struct database *database, int err, const char *why)
{
	struct text t = TEXT_OVER(database->why);

	text_put_string(&t, why);
	database->err = err;
	return err;
}

int database_do(struct database *database, const char *sql)
{
	return database_err(database, sqlite3_exec(database->sqlite, sql, NULL, NULL, NULL));
}

int database_prepare(struct database *database, struct sqlite3_stmt **statement, const char *sql)
{
	return database_err(database,
			    sqlite3_prepare_v3(database->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT,
					       statement, NULL));
}

int database_number(struct database *database, const char *sql, int64_t *number)
{
	struct sqlite3_stmt *statement = NULL;
	int err = database_prepare(database, &statement, sql);
	int status;

	*number = 0;
	if (err != 0)
		return err;
	status = sqlite3_step(statement);
	if (status == SQLITE_ROW)
		*number = sqlite3_column_int64(statement, 0);
	else if (status != SQLITE_DONE)
		err = database_err(database, status);
	sqlite3_finalize(statement);
	return err;
}

/* Makes the file, for nobody else's eyes; SQLite gives the same mode to what it keeps beside it. */
static int make_file(struct database *database, const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return database_say(database, err_from_errno(errno), strerror(errno));
	close(fd); /* before SQLite has it: closing it later would drop SQLite's locks */
	return 0;
}

/* The file is there: whatever SQLite found missing is something else. */
static int found(struct database *database, int err)
{
	if (err == ERR_NO_FILE)
		err = database->err = ERR_SYSTEM;
	return err;
}

/* SQLite says of more than a file that is missing that it is; and one that was may just have been
 * made. */
static int look_for_file(struct database *database, const char *path, int flags)
{
	int err = access(path, F_OK) < 0 ? err_from_errno(errno) : 0;

	if (err != 0)
		return database_say(database, err, err_text(err));
	database_close(database);
	return found(database,
		     database_err(database, sqlite3_open_v2(path, &database->sqlite, flags, NULL)));
}

static int open_handle(struct database *database, const struct database_plan *plan)
{
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	const char *path = plan->path != NULL ? plan->path : ""; /* temporary, to SQLite too */
	int err = plan->read_only || plan->path == NULL ? 0 : make_file(database, path);

	if (err != 0)
		return err;
	flags |= plan->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	flags |= plan->path == NULL ? SQLITE_OPEN_CREATE : 0;
	err = database_err(database, sqlite3_open_v2(path, &database->sqlite, flags, NULL));
	if (err == ERR_NO_FILE && plan->read_only)
		err = look_for_file(database, path, flags);
	if (err != 0)
		return err;
	return database_err(database, sqlite3_busy_timeout(database->sqlite, (int)plan->busy_ms));
}

/* As SQLite takes it: a URI, which alone can say that nobody writes to the file. */
static bool put_immutable(struct text *uri, const char *path)
{
	text_put_string(uri, path[0] == '/' ? "file://" : "file:");
	for (; *path != '\0'; path++)
		if (strchr("%?#", *path) != NULL)
			text_printf(uri, "%%%02x", (unsigned)*path);
		else
			text_put(uri, bytes_of(path, 1));
	text_put_string(uri, "?immutable=1");
	return !uri->cut;
}

/* A log that has something in it is its writer's, which lives, or was killed. */
static bool has_log(const char *path)
{
	char log[PATH_MAX];
	struct stat st;

	return snprintf(log, sizeof(log), "%s-wal", path) >= (int)sizeof(log) ||
	       (stat(log, &st) == 0 ? st.st_size > 0 : errno != ENOENT);
}

/* Its log can be read, but SQLite has no place for the memory that goes with it. */
static bool can_only_be_read(const char *path)
{
	char place[PATH_MAX];
	char *slash;

	if (snprintf(place, sizeof(place), "%s-shm", path) >= (int)sizeof(place) ||
	    (access(place, R_OK) < 0 && errno != ENOENT))
		return false;
	snprintf(place, sizeof(place), "%s-wal", path);
	if (access(place, R_OK) < 0)
		return false;
	slash = strrchr(place, '/');
	strcpy(slash != NULL ? slash + 1 : place, ".");
	return access(place, W_OK) < 0;
}

/* Where nothing can be written, a read-only filesystem or another's directory, SQLite cannot share
 * memory with a writer. Without a log there is none. */
static int open_immutable(struct database *database, const struct database_plan *plan)
{
	char memory[PATH_MAX + 64];
	struct text uri = TEXT_OVER(memory);
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_READONLY |
		    SQLITE_OPEN_URI;

	if (has_log(plan->path))
		return can_only_be_read(plan->path)
			       ? database_say(
					 database, ERR_DISK,
					 N_("it has a log, and nothing can be written beside it"))
			       : database->err;
	if (!put_immutable(&uri, plan->path))
		return database->err;
	database_close(database);
	return database_err(database, sqlite3_open_v2(memory, &database->sqlite, flags, NULL));
}

static int set_up(struct database *database, const struct database_plan *plan)
{
	char sql[SQL_BYTES];
	int err;

	snprintf(sql, sizeof(sql),
		 "PRAGMA cache_size = -%u; PRAGMA trusted_schema = 0; PRAGMA secure_delete = 0;"
		 "PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;",
		 plan->cache_kib);
	err = database_do(database, sql);
	if (err != 0 || plan->read_only)
		return err;
	snprintf(sql, sizeof(sql),
		 "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = %d;"
		 "PRAGMA journal_size_limit = %d;",
		 LOG_PAGES, LOG_BYTES);
	return database_do(database, sql);
}

/* All three of one moment: somebody may be making the file just now. */
static int read_marks(struct database *database, int64_t *version, int64_t *application,
		      int64_t *tables)
{
	int err = database_do(database, "BEGIN");

	if (err == 0)
		err = database_number(database, "PRAGMA user_version", version);
	if (err == 0)
		err = database_number(database, "PRAGMA application_id", application);
	if (err == 0)
		err = database_number(database, "SELECT count(*) FROM sqlite_schema", tables);
	return err != 0 ? err : database_do(database, "COMMIT");
}

/* Whose file it is: 0 when it is ours or, for a writer, has nothing in it yet. */
static int recognise(struct database *database, const struct database_plan *plan, int64_t *version)
{
	int64_t application, tables;
	int err = read_marks(database, version, &application, &tables);

	if (err != 0)
		return err;
	if ((uint32_t)application == plan->application)
		return 0;
	if (application != 0 || tables != 0)
		return database_say(database, ERR_PROTOCOL, N_("it is another program's database"));
	/* Its writer is just making it. */
	return plan->read_only ? database_say(database, ERR_NO_FILE, N_("nothing is in it yet"))
			       : 0;
}

/* A log needs memory that processes share: not every filesystem has it. */
static int turn_log_on(struct database *database)
{
	struct sqlite3_stmt *statement = NULL;
	int err = database_prepare(database, &statement, "PRAGMA journal_mode = WAL");
	const char *mode;
	int status;

	if (err != 0)
		return err;
	status = sqlite3_step(statement);
	mode = status == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (mode == NULL)
		err = database_err(database, status);
	else if (strcmp(mode, "wal") != 0)
		err = database_say(database, ERR_SYSTEM,
				   N_("its filesystem cannot have a write-ahead log"));
	sqlite3_finalize(statement);
	return err;
}

/* All in one: no reader ever sees a schema that is on its way. */
static int take_steps(struct database *database, const struct database_plan *plan, int64_t version,
		      int64_t newest)
{
	char sql[SQL_BYTES];
	int err = database_do(database, "BEGIN IMMEDIATE");

	if (err != 0)
		return err;
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %lld; COMMIT",
		 (int)plan->application, (long long)newest);
	for (; err == 0 && version < newest; version++)
		err = database_do(database, plan->steps[version]);
	if (err == 0)
		err = database_do(database, sql);
	if (err != 0) /* whose words are kept */
		sqlite3_exec(database->sqlite, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

static int bring_up_to_date(struct database *database, const struct database_plan *plan)
{
	int64_t version, newest = 0;
	int err = recognise(database, plan, &version);

	while (plan->steps[newest] != NULL)
		newest++;
	if (err != 0)
		return err;
	if (version > newest || version < 0)
		return database_say(database, ERR_SYNTAX, N_("it is of a later version"));
	if (plan->read_only)
		return version == newest ? 0
					 : database_say(database, ERR_SYNTAX,
							N_("it is of an earlier version"));
	if (plan->shrinks && version == 0) /* no table yet: else it would say nothing */
		err = database_do(database, "PRAGMA auto_vacuum = INCREMENTAL");
	if (err == 0 && plan->path != NULL)
		err = turn_log_on(database);
	if (err == 0 && version < newest)
		err = take_steps(database, plan, version, newest);
	return err;
}

static int begin(struct database *database, const struct database_plan *plan)
{
	int err = set_up(database, plan);

	return err != 0 ? err : bring_up_to_date(database, plan);
}

/* What a filesystem that is only read says to whoever would write to it. */
static bool cannot_be_written(const struct database *database)
{
	int status = database->sqlite != NULL ? sqlite3_errcode(database->sqlite) & 0xff : 0;

	return status == SQLITE_CANTOPEN || status == SQLITE_READONLY;
}

static int begin_or_look(struct database *database, const struct database_plan *plan)
{
	int err = begin(database, plan);

	if (err == 0 || !plan->read_only || !cannot_be_written(database))
		return err;
	err = open_immutable(database, plan);
	if (err == 0)
		err = begin(database, plan);
	return cannot_be_written(database) ? found(database, err) : err;
}

/* Nobody asks how much memory SQLite has; to count it takes a lock at each allocation. */
static void configure(void)
{
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

int database_open(struct database *database, const struct database_plan *plan)
{
	static pthread_once_t configured = PTHREAD_ONCE_INIT;
	int err;

	*database = (struct database){0};
	pthread_once(&configured, configure);
	err = open_handle(database, plan);
	if (err == 0)
		err = begin_or_look(database, plan);
	if (err != 0)
		database_close(database);
	return err;
}

void database_close(struct database *database)
{
	sqlite3_close_v2(database->sqlite);
	database->sqlite = NULL;
}

bool database_is_gone(struct database *database)
{
	int moved = 0;

	return sqlite3_file_control(database->sqlite, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		       SQLITE_OK &&
	       moved != 0;
}

int database_lock(const char *path, unsigned wait_ms, int *fd)
{
	char lock[PATH_MAX];
	unsigned waited_ms = 0;
	int err;

	*fd = -1;
	if (snprintf(lock, sizeof(lock), "%s.lock", path) >= (int)sizeof(lock))
		return ERR_TOO_LONG;
	*fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return err_from_errno(errno);
	for (; flock(*fd, LOCK_EX | LOCK_NB) < 0; waited_ms += LOCK_LOOK_MS) {
		err = errno == EWOULDBLOCK ? ERR_IN_USE : err_from_errno(errno);
		if (err != ERR_IN_USE || waited_ms >= wait_ms) {
			close(*fd);
			*fd = -1;
			return err;
		}
		usleep(LOCK_LOOK_MS * 1000);
	}
	return 0;
}

int database_set_aside(const char *path)
{
	/* The file first: a log without its file is thrown away, not the other way round. */
	static const char *const parts[] = {"", "-wal", "-shm"};
	char from[PATH_MAX], to[PATH_MAX];

	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (snprintf(from, sizeof(from), "%s%s", path, parts[i]) >= (int)sizeof(from) ||
		    snprintf(to, sizeof(to), "%s.damaged%s", path, parts[i]) >= (int)sizeof(to))
			return ERR_TOO_LONG;
		if (rename(from, to) == 0)
			continue;
		if (errno != ENOENT)
			return err_from_errno(errno);
		if (unlink(to) < 0 && errno != ENOENT) /* an earlier one's */
			return err_from_errno(errno);
	}
	return 0;
}
