/* Types by extension: /etc/mime.types where there is one, and before it a table of what the web is
 * made of, so that a system without that file serves pages too.
 *
 * Source: mime.types(5): `TYPE EXTENSION...`, `#` begins a comment. */
#include "service/http_files.h"

#include <stdio.h>
#include <stdlib.h>

enum { HTTP_TYPES_MOST = 4096, HTTP_TYPES_FILE_BYTES = 1 << 20 };

struct http_type {
	const char *extension, *type;
};

struct http_types {
	size_t count;
	struct http_type row[HTTP_TYPES_MOST];
	char text[];
};

static const struct http_type http_known[] = {
	{"html", "text/html"},
	{"htm", "text/html"},
	{"css", "text/css"},
	{"js", "text/javascript"},
	{"mjs", "text/javascript"},
	{"json", "application/json"},
	{"txt", "text/plain"},
	{"md", "text/markdown"},
	{"csv", "text/csv"},
	{"log", "text/plain"},
	{"xml", "application/xml"},
	{"svg", "image/svg+xml"},
	{"png", "image/png"},
	{"jpg", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"gif", "image/gif"},
	{"webp", "image/webp"},
	{"avif", "image/avif"},
	{"ico", "image/vnd.microsoft.icon"},
	{"woff2", "font/woff2"},
	{"woff", "font/woff"},
	{"ttf", "font/ttf"},
	{"otf", "font/otf"},
	{"pdf", "application/pdf"},
	{"wasm", "application/wasm"},
	{"mp3", "audio/mpeg"},
	{"ogg", "audio/ogg"},
	{"mp4", "video/mp4"},
	{"webm", "video/webm"},
	{"zip", "application/zip"},
	{"gz", "application/gzip"},
	{"tar", "application/x-tar"},
	{"pcap", "application/vnd.tcpdump.pcap"},
	{"py", "text/x-python"},
	{"c", "text/x-csrc"},
	{"h", "text/x-chdr"},
	{"sh", "application/x-sh"},
	{"ics", "text/calendar"},
	{"webmanifest", "application/manifest+json"},
};

static int http_type_order(const void *a, const void *b)
{
	const struct http_type *x = a, *y = b;

	return strcasecmp(x->extension, y->extension);
}

static void http_types_add(struct http_types *t, const char *extension, const char *type)
{
	if (t->count < HTTP_TYPES_MOST)
		t->row[t->count++] = (struct http_type){extension, type};
}

/* The file's words stay where they are, each ended. */
static void http_types_parse(struct http_types *t)
{
	char *rest_of_text = t->text, *line;

	while ((line = strsep(&rest_of_text, "\n")) != NULL) {
		char *rest = line, *word;
		const char *type = NULL;

		line[strcspn(line, "#\r")] = '\0';
		while ((word = strsep(&rest, " \t")) != NULL) {
			if (!*word)
				continue;
			if (type)
				http_types_add(t, word, type);
			else
				type = word;
		}
	}
}

int http_types_load(struct http_types **types, const char *path)
{
	FILE *f = path ? fopen(path, "re") : NULL;
	struct http_types *t = calloc(1, sizeof *t + (f ? HTTP_TYPES_FILE_BYTES + 1 : 1));

	if (t && f)
		t->text[fread(t->text, 1, HTTP_TYPES_FILE_BYTES, f)] = '\0';
	if (f)
		fclose(f);
	if (!t)
		return ERR_MEMORY;
	http_types_parse(t);
	qsort(t->row, t->count, sizeof t->row[0], http_type_order);
	*types = t;
	return 0;
}

void http_types_free(struct http_types *types)
{
	free(types);
}

const char *http_types_find(const struct http_types *types, const char *path)
{
	const char *name = strrchr(path, '/'), *dot = strrchr(name ? name : path, '.');
	struct http_type key = {dot ? dot + 1 : "", NULL};
	const struct http_type *found;

	for (size_t i = 0; i < sizeof http_known / sizeof http_known[0]; i++)
		if (strcasecmp(http_known[i].extension, key.extension) == 0)
			return http_known[i].type;
	found = bsearch(&key, types->row, types->count, sizeof key, http_type_order);
	return found ? found->type : "application/octet-stream";
}
