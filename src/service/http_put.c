/* Files that come by PUT: written under a name that is not served, then made durable and given
 * their name in a work thread, so that after a power cut there is the old file or the new one.
 *
 *   open beside ──► write ... ──► (work thread) fsync, rename, fsync of the directory ──►
 * HTTP_STORED
 *
 * Limits: write(2) goes to the page cache; a loop waits for it only when the system throttles
 * writers. The name is given relative to the directory as it was when the PUT began. */
#include "service/http_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HTTP_NAME_BYTES = 256, HTTP_TEMPORARY_BYTES = 40 };

/* A file under way; once committed it is a job of the work thread's. */
struct http_put_job {
	struct work_job job;
	struct http_put *put; /* NULL: its service is gone */
	struct http_put_job *next;
	int fd, dir_fd;
	bool conditional; /* only if `was` still stands there */
	struct stat was;  /* st_nlink 0: nothing */
	uint64_t id;      /* of the machine that waits */
	unsigned status;  /* of the outcome */
	char temporary[HTTP_TEMPORARY_BYTES];
	char name[HTTP_NAME_BYTES];
};

static unsigned http_put_status(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return 507;
	case EACCES:
	case EPERM:
	case EROFS:
		return 403;
	case EISDIR:
	case ENOTEMPTY:
	case EEXIST:
		return 409;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return 503;
	default:
		return 500;
	}
}

static void http_put_free(struct http_put_job *w)
{
	if (w->fd >= 0)
		close(w->fd);
	if (w->dir_fd >= 0)
		close(w->dir_fd);
	free(w);
}

void http_put_abandon(void *writer)
{
	struct http_put_job *w = writer;

	unlinkat(w->dir_fd, w->temporary, 0);
	http_put_free(w);
}

/* Splits the decoded path into its directory, opened, and its name. 0 or a status. */
static unsigned http_put_place(struct http_put_job *w, char *path, size_t len)
{
	char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	unsigned status;

	if (len == 0 || !*name)
		return 409;
	if (strncmp(name, HTTP_PUT_PREFIX, sizeof HTTP_PUT_PREFIX - 1) == 0 ||
	    strlen(name) >= HTTP_NAME_BYTES)
		return 403;
	strcpy(w->name, name);
	if (slash)
		*slash = '\0';
	w->dir_fd = http_open_beneath(w->put->root_fd, slash ? path : "", O_RDONLY | O_DIRECTORY,
				      &status);
	return w->dir_fd < 0 ? status : 0;
}

/* What has the name now. */
static void http_put_look(const struct http_put_job *w, struct stat *st)
{
	if (fstatat(w->dir_fd, w->name, st, AT_SYMLINK_NOFOLLOW) < 0)
		*st = (struct stat){0};
}

/* Makes the file beside its place, with the mode of the one that it replaces. */
static unsigned http_put_make(struct http_put_job *w)
{
	mode_t mode = 0644;

	http_put_look(w, &w->was);
	if (S_ISDIR(w->was.st_mode))
		return 409;
	if (S_ISREG(w->was.st_mode))
		mode = w->was.st_mode & 0777;
	snprintf(w->temporary, sizeof w->temporary, HTTP_PUT_PREFIX "%016llx",
		 (unsigned long long)loop_random(w->put->loop));
	w->fd = openat(w->dir_fd, w->temporary,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	return w->fd < 0 ? http_put_status(errno) : 0;
}

void *http_put_open(struct http_put *put, struct bytes path, bool conditional, unsigned *status)
{
	struct http_put_job *w = calloc(1, sizeof *w);
	char decoded[HTTP_PATH_BYTES];
	size_t len;

	*status = 503;
	if (!w)
		return NULL;
	w->put = put;
	w->conditional = conditional;
	w->fd = w->dir_fd = -1;
	if (http_path_decode(path, decoded, &len) < 0)
		*status = 400;
	else
		*status = http_put_place(w, decoded, len);
	if (!*status)
		*status = http_put_make(w);
	if (!*status)
		return w;
	http_put_free(w);
	return NULL;
}

unsigned http_put_append(void *writer, struct bytes content)
{
	struct http_put_job *w = writer;

	while (content.len) {
		ssize_t n = write(w->fd, content.data, content.len);

		if (n < 0 && errno != EINTR)
			return http_put_status(errno);
		content = bytes_after(content, n > 0 ? (size_t)n : 0);
	}
	return 0;
}

/* In the work thread. */
static void http_put_run(struct work_job *job)
{
	struct http_put_job *w = (struct http_put_job *)job;
	struct stat now;
	unsigned flags = 0;

	w->status = fsync(w->fd) < 0 ? http_put_status(errno) : 0;
	http_put_look(w, &now);
	if (w->conditional && !http_same_file(&now, &w->was))
		w->status = 412;
	if (w->conditional && !now.st_nlink)
		flags = RENAME_NOREPLACE;
	if (!w->status && renameat2(w->dir_fd, w->temporary, w->dir_fd, w->name, flags) < 0)
		w->status = flags && errno == EEXIST ? 412 : http_put_status(errno);
	if (w->status)
		unlinkat(w->dir_fd, w->temporary, 0);
	else
		w->status = fsync(w->dir_fd) < 0 ? http_put_status(errno)
			    : now.st_nlink       ? 204
						 : 201;
}

static void http_put_forget(struct http_put *put, struct http_put_job *w)
{
	struct http_put_job **link = &put->first;

	while (*link != w)
		link = &(*link)->next;
	*link = w->next;
}

static void http_put_done(struct work_job *job)
{
	struct http_put_job *w = (struct http_put_job *)job;
	struct message message = {.kind = HTTP_STORED, .number = {w->status}};

	if (w->put) {
		http_put_forget(w->put, w);
		pump_tell(w->put->pumps, w->id, &message);
		pump_deliver(w->put->pumps);
	}
	http_put_free(w);
}

unsigned http_put_commit(void *writer, uint64_t id)
{
	struct http_put_job *w = writer;

	w->id = id;
	w->job.run = http_put_run;
	w->job.done = http_put_done;
	if (work_submit(w->put->work, w->put->loop, &w->job) < 0) {
		http_put_abandon(w);
		return 503;
	}
	w->next = w->put->first;
	w->put->first = w;
	return HTTP_LATER;
}

void http_put_end(struct http_put *put)
{
	while (put->first) {
		struct http_put_job *w = put->first;

		put->first = w->next;
		w->put = NULL;
		if (work_withdraw(put->work, &w->job))
			http_put_abandon(w);
	}
}
