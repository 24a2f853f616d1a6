/* A directory as a page. Names are whatever a filesystem holds: they are escaped for HTML, and for
 * the link byte by byte.
 *
 * Source: RFC 3986 2.1; HTML, 13.3 "Serializing". */
#include "service/http_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HTTP_NAME_ROOM = 3 * 255 + 6 * 4 * 255 + 256 };

static void http_put_html(struct text *t, struct bytes b)
{
	char visible[4 * 1024];
	struct text v = TEXT_OVER(visible);

	text_put_visible(&v, b, false);
	for (size_t i = 0; i < v.len; i++) {
		switch (visible[i]) {
		case '<':
			text_put_string(t, "&lt;");
			break;
		case '>':
			text_put_string(t, "&gt;");
			break;
		case '&':
			text_put_string(t, "&amp;");
			break;
		case '"':
			text_put_string(t, "&quot;");
			break;
		default:
			text_put(t, bytes_of(&visible[i], 1));
		}
	}
}

static void http_put_link(struct text *t, const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789-._~";

	for (; *name; name++) {
		if (strchr(plain, *name))
			text_put_byte(t, *name);
		else
			text_printf(t, "%%%02X", (unsigned char)*name);
	}
}

/* What is sent for that name. A link that leads out of the root or nowhere is not shown: it is not
 * served either. */
static bool http_row_stat(const struct http_directory *d, const char *name, struct stat *st)
{
	char path[HTTP_PATH_BYTES + NAME_MAX + 1];
	unsigned status;
	bool found;
	int fd;

	if (fstatat(d->fd, name, st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (!S_ISLNK(st->st_mode))
		return true;
	snprintf(path, sizeof path, "%s%s", d->path, name);
	fd = http_open_beneath(d->root_fd, path, O_PATH, &status);
	if (fd < 0)
		return false;
	found = fstat(fd, st) == 0;
	close(fd);
	return found;
}

static void http_put_row(struct text *t, const struct http_directory *d, const char *name)
{
	struct stat st;
	bool directory;

	if (!http_row_stat(d, name, &st))
		return;
	directory = S_ISDIR(st.st_mode);
	text_put_string(t, "<tr><td><a href=\"./");
	http_put_link(t, name);
	text_put_string(t, directory ? "/\">" : "\">");
	http_put_html(t, bytes_of_string(name));
	text_put_string(t, directory ? "/</a><td>" : "</a><td>");
	if (!directory)
		text_printf(t, "%lld", (long long)st.st_size);
	text_put_string(t, "<td>");
	moment_put_rfc3339(t, st.st_mtim.tv_sec * 1000000);
	text_put_string(t, "\n");
}

/* Dot files are not shown; they are served to who knows them. */
static int http_is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

size_t http_listing_make(const struct http_directory *d, uint8_t **page)
{
	struct dirent **names = NULL;
	char decoded[HTTP_PATH_BYTES + 1];
	struct bytes shown = bytes_of(decoded,
				      (size_t)snprintf(decoded, sizeof decoded, "/%s", d->path));
	int count = scandirat(d->fd, ".", &names, http_is_shown, alphasort);
	int listed = count < HTTP_LISTING_NAMES ? count : HTTP_LISTING_NAMES;
	size_t room = 2 * HTTP_NAME_ROOM + HTTP_PATH_BYTES * 12 +
		      (size_t)(listed > 0 ? listed : 0) * HTTP_NAME_ROOM;
	char *text = count < 0 ? NULL : malloc(room);
	struct text t = text_over(text ? text : (char[1]){0}, text ? room : 1);

	text_put_string(&t, "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>");
	http_put_html(&t, shown);
	text_put_string(&t, "</title>\n<h1>");
	http_put_html(&t, shown);
	text_put_string(&t, "</h1>\n<table>\n");
	if (shown.len > 1)
		text_put_string(&t, "<tr><td><a href=\"../\">../</a><td><td>\n");
	for (int i = 0; i < count; i++) {
		if (i < listed)
			http_put_row(&t, d, names[i]->d_name);
		free(names[i]);
	}
	text_put_string(&t, "</table>\n");
	if (listed < count)
		text_printf(&t, "<p>... %d\n", count - listed);
	free(names);
	*page = (uint8_t *)text;
	return text ? t.len : 0;
}
