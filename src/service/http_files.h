/* The files of the service http on one loop (struct http_files of proto/http_server.h): found
 * beneath a root that nothing leads out of, the small ones kept in memory whole with their heads,
 * the others as open descriptors; both bounded. What is kept is compared with what is on disk
 * (stat) at most once a turn of the loop, so that an edit is visible with the next request. */
#ifndef SERVICE_HTTP_FILES_H
#define SERVICE_HTTP_FILES_H

#include "net/pump.h"
#include "net/work.h"
#include "proto/http_server.h"

#include <sys/stat.h>

enum {
	HTTP_SMALL_BYTES = 65536,     /* up to here a file is kept in memory */
	HTTP_MEMORY_BYTES = 32 << 20, /* that all of them take, at most */
	HTTP_ITEMS_MOST = 16384,
	HTTP_HANDLES_MOST = 512, /* descriptors kept open */
	HTTP_LISTING_NAMES = 5000,
};

/* Names that a PUT has while it is under way begin so: they are not served. */
#define HTTP_PUT_PREFIX ".prise-put."

struct http_cache;
struct http_types;

struct http_files_plan {
	const char *root;
	bool listing;
	unsigned encodings; /* of siblings that may stand in: HTTP_GZIP | ... */
	const struct http_types *types;
	/* For PUT: who is told when it is durable, and where that is waited for. */
	struct loop *loop;
	struct pump_common *pumps;
	struct work *work;
};

/* 0, ERR_NO_FILE, ERR_PERMISSION, ERR_MEMORY, ... The plan is copied; what it points at must
 * outlive the cache. */
int http_cache_create(struct http_cache **cache, const struct http_files_plan *plan);
void http_cache_destroy(struct http_cache *cache);
const struct http_files *http_cache_files(struct http_cache *cache);

/* http_open.c: one file beneath the root. */

/* Opens `path` (relative, decoded) beneath `root_fd` for reading, whatever kind it is. The
 * descriptor; or -1 and the status that says why not (403, 404, 503). */
int http_open_beneath(int root_fd, const char *path, int flags, unsigned *status);

/* Whether both tell of one file with one content, as far as its times do. */
static inline bool http_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* http_types.c: what type a file is, by its extension. */
int http_types_load(struct http_types **types, const char *path); /* 0 or ERR_MEMORY */
void http_types_free(struct http_types *types);
const char *http_types_find(const struct http_types *types, const char *path);

struct http_directory {
	int root_fd, fd;
	const char *path; /* beneath the root, decoded: empty, or with a slash at its end */
};

/* http_listing.c: a page with the names in a directory, in memory of malloc; its length, or 0. */
size_t http_listing_make(const struct http_directory *directory, uint8_t **page);

/* http_put.c: the writing half of struct http_files; `http_put` is a part of each cache. */
struct http_put_job;
struct http_put {
	int root_fd;
	struct loop *loop;
	struct pump_common *pumps;
	struct work *work;
	struct http_put_job *first; /* under way in the work thread */
};
void *http_put_open(struct http_put *put, struct bytes path, bool conditional, unsigned *status);
unsigned http_put_append(void *writer, struct bytes content);
unsigned http_put_commit(void *writer, uint64_t id);
void http_put_abandon(void *writer);
void http_put_end(struct http_put *put);

#endif
