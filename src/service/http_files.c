/* The cache of files of one loop (http_files.h).
 *
 *   find ──► table ──► looked at in this turn? ──────────────────────────────► found
 *              │              └──► stat says it is what it was? ─────────────► found
 *              ▼                            ▼ no
 *           open, read ◄──────────────── buried
 *
 * Answers borrow what is here until the verb that found it is over, so nothing is freed at once:
 * what leaves the table is buried, and the dead are gone when the next verb's first find comes.
 *
 * A file changed within a tick of the filesystem's clock of being read could be changed again
 * without a trace in its times: such a reading is used once and not kept.
 *
 * Limits: HTTP_MEMORY_BYTES and HTTP_HANDLES_MOST; a file that appears beside another as its .gz is
 * seen once the other changes or falls out. Source: "racy git", git's Documentation/technical. */
#include "service/http_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HTTP_BUCKETS = 4096, HTTP_RACY_MS = 25, HTTP_DATE_BYTES = 29, HTTP_TYPE_BYTES = 128 };

/* One file, as it is sent for one path with one set of encodings. */
struct http_item {
	struct http_item *next;          /* in its bucket, or among the dead */
	struct http_item *newer, *older; /* in the order of arrival */
	struct http_found found;
	uint64_t hash, checked_ns;
	int64_t date_s;             /* of the date in `ready` */
	size_t bytes;               /* of memory */
	struct stat as_read, plain; /* what is sent; the file that it stands in for */
	uint8_t *memory;
	uint8_t *date; /* in memory, or NULL */
	int fd;        /* -1: none is kept */
	unsigned encodings;
	bool used; /* since it was last looked at for eviction */
	bool stands_in;
	size_t key_len;
	char type[HTTP_TYPE_BYTES];
	char file[HTTP_PATH_BYTES + 32]; /* what is sent, relative to the root */
	char key[];                      /* the path as clients write it */
};

struct http_cache {
	struct http_files files;
	struct http_files_plan plan;
	struct http_put put;
	int root_fd;
	struct http_found nothing; /* what was found, when it is no item */
	struct http_item *bucket[HTTP_BUCKETS];
	struct http_item *newest, *oldest;
	struct http_item *dead;
	size_t items, handles, bytes;
	int64_t date_s;
	char date[HTTP_DATE_BYTES + 1];
};

static const struct {
	unsigned encoding;
	const char *name, *suffix;
} http_siblings[] = {
	{HTTP_BROTLI, "br", ".br"}, {HTTP_ZSTD, "zstd", ".zst"}, {HTTP_GZIP, "gzip", ".gz"}};

enum { HTTP_SIBLINGS = sizeof http_siblings / sizeof http_siblings[0] };

/* Eight bytes at a time; good enough for a table whose worst case is a list of its bound. */
static uint64_t http_hash(struct bytes b, unsigned encodings)
{
	uint64_t h = 0x9e3779b97f4a7c15 + b.len + encodings, word;

	for (; b.len >= 8; b = bytes_after(b, 8)) {
		memcpy(&word, b.data, 8);
		h = (h ^ word) * 0xd6e8feb86659fd93;
		h ^= h >> 32;
	}
	word = 0;
	memcpy(&word, b.data, b.len);
	h = (h ^ word) * 0xd6e8feb86659fd93;
	return h ^ h >> 32;
}

static void http_item_free(struct http_item *item)
{
	if (item->fd >= 0)
		close(item->fd);
	free(item->memory);
	free(item);
}

static void http_bury_the_dead(struct http_cache *cache)
{
	while (cache->dead) {
		struct http_item *item = cache->dead;

		cache->dead = item->next;
		http_item_free(item);
	}
}

static void http_kill(struct http_cache *cache, struct http_item *item)
{
	item->next = cache->dead;
	cache->dead = item;
}

/* Takes an item out of the table. */
static void http_remove(struct http_cache *cache, struct http_item *item)
{
	struct http_item **link = &cache->bucket[item->hash % HTTP_BUCKETS];

	while (*link != item)
		link = &(*link)->next;
	*link = item->next;
	if (item->newer)
		item->newer->older = item->older;
	else
		cache->newest = item->older;
	if (item->older)
		item->older->newer = item->newer;
	else
		cache->oldest = item->newer;
	cache->items--;
	cache->handles -= item->fd >= 0;
	cache->bytes -= item->bytes;
	http_kill(cache, item);
}

static void http_link_newest(struct http_cache *cache, struct http_item *item)
{
	item->newer = NULL;
	item->older = cache->newest;
	if (cache->newest)
		cache->newest->newer = item;
	else
		cache->oldest = item;
	cache->newest = item;
}

/* Second chance: the oldest goes, unless it was used since it was last its turn. */
static void http_evict(struct http_cache *cache)
{
	while (cache->items > HTTP_ITEMS_MOST || cache->handles > HTTP_HANDLES_MOST ||
	       cache->bytes > HTTP_MEMORY_BYTES) {
		struct http_item *item = cache->oldest;

		if (!item->used) {
			http_remove(cache, item);
			continue;
		}
		item->used = false;
		cache->oldest = item->newer ? item->newer : item;
		if (item->newer) {
			item->newer->older = NULL;
			http_link_newest(cache, item);
		}
	}
}

static void http_insert(struct http_cache *cache, struct http_item *item)
{
	struct http_item **bucket = &cache->bucket[item->hash % HTTP_BUCKETS];

	item->next = *bucket;
	*bucket = item;
	http_link_newest(cache, item);
	cache->items++;
	cache->handles += item->fd >= 0;
	cache->bytes += item->bytes;
	http_evict(cache);
}

/* Whether the disk still has what the item was read from. */
static bool http_is_fresh(struct http_cache *cache, struct http_item *item,
			  const struct moment *now)
{
	char plain[sizeof item->file];
	struct stat st;
	size_t len;

	if (item->checked_ns == now->boot_ns)
		return true;
	if (fstatat(cache->root_fd, item->file, &st, 0) < 0 || !http_same_file(&st, &item->as_read))
		return false;
	if (item->stands_in) {
		snprintf(plain, sizeof plain, "%s", item->file);
		len = strlen(plain);
		plain[len - strlen(strrchr(plain, '.'))] = '\0';
		if (fstatat(cache->root_fd, plain, &st, 0) < 0 ||
		    !http_same_file(&st, &item->plain))
			return false;
	}
	item->checked_ns = now->boot_ns;
	return true;
}

static void http_refresh_date(struct http_cache *cache, struct http_item *item,
			      const struct moment *now)
{
	int64_t now_s = now->wall_us / 1000000;
	struct text t;

	if (item->date_s == now_s || !item->date)
		return;
	if (cache->date_s != now_s) {
		t = TEXT_OVER(cache->date);
		http1_put_date(&t, now_s);
		cache->date_s = now_s;
	}
	memcpy(item->date, cache->date, HTTP_DATE_BYTES);
	item->date_s = now_s;
}

static bool http_read_all(int fd, uint8_t *into, size_t bytes)
{
	size_t got = 0;

	while (got < bytes) {
		ssize_t n = pread(fd, into + got, bytes - got, (off_t)got);

		if (n <= 0 && !(n < 0 && errno == EINTR))
			return false;
		got += n > 0 ? (size_t)n : 0;
	}
	return true;
}

/* Whether what the open file begins with reads as UTF-8. */
static bool http_is_utf8(int fd)
{
	uint8_t begin[HTTP_SMALL_BYTES];
	ssize_t len = pread(fd, begin, sizeof begin, 0);
	struct bytes b = bytes_of(begin, len > 0 ? (size_t)len : 0);

	if (b.len == sizeof begin)
		b.len -= text_utf8_incomplete_tail(b);
	return len >= 0 && text_utf8_valid(b);
}

/* By the plain file, which is open, whatever stands in for it. A text is UTF-8 if it reads as such.
 */
static void http_note_type(struct http_cache *cache, struct http_item *item, int fd)
{
	const char *type = http_types_find(cache->plan.types, item->file);
	bool utf8 = strncmp(type, "text/", 5) == 0 && http_is_utf8(fd);

	snprintf(item->type, sizeof item->type, "%s%s", type, utf8 ? "; charset=utf-8" : "");
	item->found.type = item->type;
}

/* memory: head, content. The head's length is known only once it is written, so it is written
 * apart. */
static bool http_keep_small(struct http_cache *cache, struct http_item *item, int fd,
			    const struct moment *now)
{
	char head[HTTP_FILE_HEAD_BYTES];
	struct text t = TEXT_OVER(head);
	size_t bytes = item->found.bytes, date_at;
	uint8_t *content;

	item->memory = malloc(HTTP_FILE_HEAD_BYTES + bytes);
	if (!item->memory)
		return false;
	content = item->memory + HTTP_FILE_HEAD_BYTES;
	if (!http_read_all(fd, content, bytes))
		return false;
	item->bytes = sizeof *item + HTTP_FILE_HEAD_BYTES + bytes;
	item->found.data = content;
	date_at = http_put_file_head(&t, &item->found, now->wall_us / 1000000);
	if (!date_at)
		return true;
	memcpy(content - t.len, head, t.len);
	item->date = content - t.len + date_at;
	item->date_s = now->wall_us / 1000000;
	item->found.ready = bytes_of(content - t.len, t.len + bytes);
	item->found.ready_head_bytes = t.len;
	return true;
}

static bool http_is_racy(const struct stat *st)
{
	struct timespec now;
	int64_t age_ms;

	clock_gettime(CLOCK_REALTIME, &now);
	age_ms = (now.tv_sec - st->st_ctim.tv_sec) * 1000 +
		 (now.tv_nsec - st->st_ctim.tv_nsec) / 1000000;
	return age_ms < HTTP_RACY_MS;
}

static void http_put_etag(struct http_item *item)
{
	const struct stat *st = &item->as_read;

	snprintf(item->found.etag, sizeof item->found.etag, "\"%llx-%llx-%llx%08lx%s\"",
		 (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
		 (unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec,
		 item->stands_in ? "-z" : "");
}

/* Fills in the item from the open file, which is its own from now on. */
static unsigned http_fill(struct http_cache *cache, struct http_item *item, int fd,
			  const struct moment *now)
{
	struct stat after;

	item->fd = fd;
	item->found.status = 200;
	item->found.bytes = (uint64_t)item->as_read.st_size;
	item->found.modified_s = item->as_read.st_mtim.tv_sec;
	item->found.handle = fd;
	item->bytes = sizeof *item;
	http_put_etag(item);
	if (item->as_read.st_size > HTTP_SMALL_BYTES)
		return 200;
	if (!http_keep_small(cache, item, fd, now))
		return 0;
	close(fd);
	item->fd = -1;
	/* What was written while it was read shows in its times, or in their being new. */
	return fstatat(cache->root_fd, item->file, &after, 0) == 0 &&
			       http_same_file(&after, &item->as_read)
		       ? 200
		       : 0;
}

static bool http_is_older(const struct stat *a, const struct stat *b)
{
	return a->st_mtim.tv_sec != b->st_mtim.tv_sec ? a->st_mtim.tv_sec < b->st_mtim.tv_sec
						      : a->st_mtim.tv_nsec < b->st_mtim.tv_nsec;
}

/* Puts in place of the open `*fd` a sibling that the client takes and that is not older; notes
 * whether there are any. */
static void http_choose(struct http_cache *cache, struct http_item *item, int *fd)
{
	size_t len = strlen(item->file);
	unsigned status;

	for (unsigned i = 0; i < HTTP_SIBLINGS; i++) {
		struct stat st;
		int sibling;

		if (!(cache->plan.encodings & http_siblings[i].encoding))
			continue;
		strcpy(item->file + len, http_siblings[i].suffix);
		sibling = http_open_beneath(cache->root_fd, item->file, O_RDONLY, &status);
		if (sibling >= 0 && fstat(sibling, &st) == 0 && S_ISREG(st.st_mode) &&
		    !http_is_older(&st, &item->plain)) {
			item->found.varies = true;
			if (item->encodings & http_siblings[i].encoding) {
				close(*fd);
				*fd = sibling;
				item->as_read = st;
				item->stands_in = true;
				item->found.encoding = http_siblings[i].name;
				return;
			}
		}
		if (sibling >= 0)
			close(sibling);
	}
	item->file[len] = '\0';
}

static const struct http_found *http_nothing(struct http_cache *cache, unsigned status)
{
	cache->nothing = (struct http_found){.status = status};
	return &cache->nothing;
}

/* A directory's page, kept among the dead: it is sent once. */
static const struct http_found *http_list(struct http_cache *cache, const char *path)
{
	struct http_directory directory = {.root_fd = cache->root_fd, .path = path};
	struct http_item *item;
	unsigned status;
	int fd = http_open_beneath(cache->root_fd, path, O_RDONLY | O_DIRECTORY, &status);

	if (fd < 0)
		return http_nothing(cache, status);
	if (!cache->plan.listing) {
		close(fd);
		return http_nothing(cache, 403);
	}
	item = calloc(1, sizeof *item);
	if (!item) {
		close(fd);
		return http_nothing(cache, 503);
	}
	item->fd = -1;
	item->found = (struct http_found){
		.status = 200, .made = true, .type = "text/html; charset=utf-8", .handle = -1};
	directory.fd = fd;
	item->found.bytes = http_listing_make(&directory, &item->memory);
	close(fd);
	item->found.data = item->memory;
	http_kill(cache, item);
	return item->found.bytes ? &item->found : http_nothing(cache, 500);
}

/* What was opened as `file` becomes an item. NULL when it changed under our hands. */
static const struct http_found *http_take_in(struct http_cache *cache, int fd, const char *file,
					     const struct http_search *search,
					     const struct moment *now)
{
	struct http_item *item = calloc(1, sizeof *item + search->path.len);
	unsigned filled;

	if (!item || fstat(fd, &item->as_read) < 0) {
		close(fd);
		free(item);
		return http_nothing(cache, 503);
	}
	if (!S_ISREG(item->as_read.st_mode)) {
		bool directory = S_ISDIR(item->as_read.st_mode);

		close(fd);
		free(item);
		return http_nothing(cache, directory ? 301 : 403);
	}
	item->plain = item->as_read;
	item->encodings = search->encodings;
	item->hash = http_hash(search->path, search->encodings);
	item->key_len = search->path.len;
	memcpy(item->key, search->path.data, search->path.len);
	snprintf(item->file, sizeof item->file - 8, "%s", file);
	http_note_type(cache, item, fd);
	http_choose(cache, item, &fd);
	filled = http_fill(cache, item, fd, now);
	item->checked_ns = now->boot_ns;
	if (filled && !http_is_racy(&item->as_read))
		http_insert(cache, item);
	else
		http_kill(cache, item);
	return filled ? &item->found : NULL;
}

static bool http_is_private(const char *path)
{
	const char *name = strrchr(path, '/');

	name = name ? name + 1 : path;
	return strncmp(name, HTTP_PUT_PREFIX, sizeof HTTP_PUT_PREFIX - 1) == 0;
}

/* Not in the table, or no longer true. */
static const struct http_found *http_look(struct http_cache *cache,
					  const struct http_search *search,
					  const struct moment *now)
{
	enum { TRIES = 4 };
	static const char index[] = "index.html";
	char path[HTTP_PATH_BYTES + sizeof index];
	size_t len;
	int err = http_path_decode(search->path, path, &len), fd;
	bool directory = !err && (len == 0 || path[len - 1] == '/');
	unsigned status;

	if (err)
		return http_nothing(cache, err == ERR_TOO_LONG ? 404 : 400);
	if (directory)
		strcpy(path + len, index);
	if (http_is_private(path))
		return http_nothing(cache, 404);
	for (unsigned i = 0; i < TRIES; i++) {
		const struct http_found *found;

		fd = http_open_beneath(cache->root_fd, path, O_RDONLY, &status);
		found = fd < 0 ? http_nothing(cache, status)
			       : http_take_in(cache, fd, path, search, now);
		/* It has no index.html, or that is a directory itself. */
		if (directory && found && (found->status == 404 || found->status == 301)) {
			path[len] = '\0';
			return http_list(cache, path);
		}
		if (found)
			return found;
	}
	return http_nothing(cache, 503);
}

static const struct http_found *http_find(void *context, const struct http_search *search,
					  const struct moment *now)
{
	struct http_cache *cache = context;
	unsigned encodings = search->encodings & cache->plan.encodings;
	uint64_t hash = http_hash(search->path, encodings);
	struct http_item *item = cache->bucket[hash % HTTP_BUCKETS];
	struct http_search wanted = {search->path, encodings, search->first};

	if (search->first && cache->dead)
		http_bury_the_dead(cache);
	while (item && (item->hash != hash || item->encodings != encodings ||
			item->key_len != search->path.len ||
			memcmp(item->key, search->path.data, search->path.len) != 0))
		item = item->next;
	if (item && http_is_fresh(cache, item, now)) {
		item->used = true;
		http_refresh_date(cache, item, now);
		return &item->found;
	}
	if (item)
		http_remove(cache, item);
	return http_look(cache, &wanted, now);
}

static void *http_begin(void *context, struct bytes path, bool conditional, unsigned *status)
{
	return http_put_open(&((struct http_cache *)context)->put, path, conditional, status);
}

int http_cache_create(struct http_cache **created, const struct http_files_plan *plan)
{
	struct http_cache *cache = calloc(1, sizeof *cache);

	if (!cache)
		return ERR_MEMORY;
	cache->plan = *plan;
	cache->date_s = -1;
	/* For reading, so that a sandbox that was made for another root is noticed now. */
	cache->root_fd = open(plan->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cache->root_fd < 0) {
		int err = err_from_errno(errno);

		free(cache);
		return err;
	}
	cache->put = (struct http_put){cache->root_fd, plan->loop, plan->pumps, plan->work, NULL};
	cache->files = (struct http_files){.context = cache,
					   .find = http_find,
					   .begin = http_begin,
					   .append = http_put_append,
					   .finish = http_put_commit,
					   .abort = http_put_abandon};
	*created = cache;
	return 0;
}

void http_cache_destroy(struct http_cache *cache)
{
	if (!cache)
		return;
	http_put_end(&cache->put);
	while (cache->newest)
		http_remove(cache, cache->newest);
	http_bury_the_dead(cache);
	close(cache->root_fd);
	free(cache);
}

const struct http_files *http_cache_files(struct http_cache *cache)
{
	return &cache->files;
}
