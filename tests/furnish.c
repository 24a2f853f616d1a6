/* Files, assets and a log in memory for http (furnish.h). Everything found lies in memory of its
 * own that is freed at the next first find, so that under ASan a machine that uses it too long is
 * caught. */
#include "furnish.h"

#include "proto/http_server.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BIG_BYTES = 100000, MODIFIED_S = 1767225600, FOUND_MOST = 256 };

#define BYTES_LITERAL_STATIC(s)                     \
	{                                           \
		(const uint8_t *)(s), sizeof(s) - 1 \
	}

struct written {
	unsigned status;
	bool full;
};

static void *found[FOUND_MOST];
static unsigned founds;
static volatile uint8_t logged;

static void *keep(const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy || founds == FOUND_MOST)
		abort();
	if (data)
		memcpy(copy, data, len);
	return found[founds++] = copy;
}

static int big_file(void)
{
	static int fd;
	static uint8_t bytes[BIG_BYTES];

	if (fd)
		return fd;
	for (size_t i = 0; i < BIG_BYTES; i++)
		bytes[i] = (uint8_t)('a' + i % 26);
	fd = memfd_create("big", MFD_CLOEXEC);
	if (fd < 0 || write(fd, bytes, BIG_BYTES) != BIG_BYTES)
		abort();
	return fd;
}

static void give(struct http_found *f, const char *content, const char *type, const char *etag)
{
	size_t len = strlen(content);

	f->status = 200;
	f->modified_s = MODIFIED_S;
	f->type = type;
	f->bytes = len;
	f->data = keep(content, len);
	strcpy(f->etag, etag);
	f->handle = -1;
}

/* Head and content in one piece. */
static void make_ready(struct http_found *f, const struct moment *now)
{
	char head[HTTP_FILE_HEAD_BYTES];
	struct text t = TEXT_OVER(head);
	uint8_t *all;

	http_put_file_head(&t, f, now->wall_us / 1000000);
	all = keep(NULL, t.len + f->bytes);
	memcpy(all, head, t.len);
	memcpy(all + t.len, f->data, f->bytes);
	f->ready = bytes_of(all, t.len + f->bytes);
	f->ready_head_bytes = t.len;
}

static void look(struct http_found *f, const char *path, unsigned encodings,
		 const struct moment *now)
{
	static const struct {
		const char *path;
		unsigned status;
	} without[] = {{"dir", 301}, {"secret", 403}, {"busy", 503}, {"x/", 403}};

	f->status = 404;
	for (size_t i = 0; i < sizeof without / sizeof without[0]; i++)
		if (strcmp(path, without[i].path) == 0)
			f->status = without[i].status;
	if (!*path || strcmp(path, "index.html") == 0 || strcmp(path, "dir/") == 0) {
		give(f, "<h1>hello</h1>\n", "text/html", "\"i\"");
	} else if (strcmp(path, "a.txt") == 0) {
		give(f, "0123456789", "text/plain", "\"a\"");
		make_ready(f, now);
	} else if (strcmp(path, "z.txt") == 0) {
		bool gzip = encodings & HTTP_GZIP;

		give(f, gzip ? "GZ" : "0123456789", "text/plain", gzip ? "\"zz\"" : "\"z\"");
		f->encoding = gzip ? "gzip" : NULL;
		f->varies = true;
	} else if (strcmp(path, "list/") == 0) {
		give(f, "<ul>\n", "text/html", "");
		f->made = true;
	} else if (strcmp(path, "big.bin") == 0) {
		give(f, "", "application/octet-stream", "\"b\"");
		f->bytes = BIG_BYTES;
		f->data = NULL;
		f->handle = big_file();
	}
}

static const struct http_found *find(void *context, const struct http_search *search,
				     const struct moment *now)
{
	char path[HTTP_PATH_BYTES];
	struct http_found *f;
	size_t len;

	if (search->first)
		while (founds)
			free(found[--founds]);
	f = keep(NULL, sizeof *f);
	memset(f, 0, sizeof *f);
	if (http_path_decode(search->path, path, &len) < 0)
		f->status = 400;
	else
		look(f, path, search->encodings, now);
	return f;
}

static void *begin(void *context, struct bytes path, bool conditional, unsigned *status)
{
	char decoded[HTTP_PATH_BYTES];
	struct written *w;
	size_t len;

	*status = http_path_decode(path, decoded, &len) < 0 ? 400
		  : !len || decoded[len - 1] == '/'         ? 409
		  : strcmp(decoded, "denied") == 0          ? 403
							    : 0;
	if (*status)
		return NULL;
	w = malloc(sizeof *w);
	if (!w)
		abort();
	w->full = strcmp(decoded, "full") == 0;
	w->status = strcmp(decoded, "later") == 0   ? HTTP_LATER
		    : strcmp(decoded, "a.txt") == 0 ? 204
						    : 201;
	return w;
}

static unsigned append(void *writer, struct bytes content)
{
	return ((struct written *)writer)->full ? 507 : 0;
}

static unsigned finish(void *writer, uint64_t id)
{
	unsigned status = ((struct written *)writer)->status;

	free(writer);
	return status;
}

static void touch(struct bytes b)
{
	for (size_t i = 0; i < b.len; i++)
		logged ^= b.data[i];
}

static void put_entry(void *context, const struct http_entry *entry, const struct moment *now)
{
	touch(entry->method);
	touch(entry->target);
	touch(entry->referer);
	touch(entry->agent);
	touch(bytes_of(entry->remote, sizeof *entry->remote));
}

void furnish(const struct machine *machine, void *settings)
{
	static const struct http_files files = {
		.find = find, .begin = begin, .append = append, .finish = finish, .abort = free};
	static const struct http_log log = {.put = put_entry};
	static const struct http_asset assets[] = {
		{"/",
		 "text/html",
		 "\"page\"",
		 "Content-Security-Policy: default-src 'self'\r\n",
		 BYTES_LITERAL_STATIC("<p>page</p>\n"),
		 {NULL, 0}},
		{"/app.js", "text/javascript", "\"app\"", NULL, BYTES_LITERAL_STATIC("run()\n"),
		 BYTES_LITERAL_STATIC("ZIPPED")},
	};
	struct http_settings *s = settings;

	if (machine != &http_machine)
		return;
	s->files = s->root ? &files : NULL;
	s->access = s->log ? &log : NULL;
	s->asset = assets;
	s->assets = sizeof assets / sizeof assets[0];
	s->asks = true;
	s->host = "box";
}
