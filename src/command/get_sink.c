/* Where content goes: a terminal, where it is shown and never obeyed; standard output, byte for
 * byte; a file, under another name beside it until it is whole.
 *
 *   FILE.prise-PID   while it comes; gone when it does not come whole
 *   FILE.part        with -C instead: it stays, and FILE.part.tag beside it holds what its server
 *                    said it was (a validator, RFC 9110 8.8), to ask for the rest of just that
 *
 * What exists and is no regular file (/dev/null, a pipe) is written to as it is. */
#include "command/get_parts.h"

#include "command/say.h"
#include "command/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

static void sink_tag_path(const struct get_sink *s, char *path)
{
	struct text t = text_over(path, GET_PATH_BYTES);

	text_put_string(&t, s->part);
	text_put_string(&t, ".tag");
}

/* The file that `file` stands for, links followed, and what it is. */
static int sink_find(struct get_sink *s, const char *file)
{
	struct text part = TEXT_OVER(s->part);
	bool in_place;
	int err = whole_find(s->path, file, &in_place);

	s->kind = in_place ? GET_DEVICE : GET_FILE;
	text_put_string(&part, s->path);
	if (s->keeps)
		text_put_string(&part, ".part");
	else
		text_printf(&part, ".prise-%d", (int)getpid());
	return part.cut || part.len + sizeof ".tag" > sizeof s->part ? ERR_TOO_LONG : err;
}

int get_sink_begin(struct get_sink *s, const struct command_call *call, const char *file,
		   bool keeps)
{
	*s = (struct get_sink){.fd = -1, .keeps = keeps, .name = file};
	if (file)
		return sink_find(s, file);
	s->name = _("standard output");
	if (call->common.json) {
		s->kind = GET_NOWHERE;
		return 0;
	}
	s->kind = isatty(STDOUT_FILENO) ? GET_TERMINAL : GET_STDOUT;
	s->fd = STDOUT_FILENO;
	show_begin(&s->show, call, NULL);
	return 0;
}

static void sink_read_tag(const struct get_sink *s, struct text *validator)
{
	char path[GET_PATH_BYTES], line[FOLLOW_VALIDATOR_BYTES];
	FILE *tag;

	sink_tag_path(s, path);
	tag = fopen(path, "re");
	if (!tag)
		return;
	if (fgets(line, sizeof line, tag))
		text_put(validator, bytes_strip(bytes_of_string(line)));
	fclose(tag);
}

uint64_t get_sink_resumable(struct get_sink *s, struct text *validator, bool *whole_path,
			    int64_t *modified_s)
{
	struct stat st;

	*whole_path = false;
	if (s->kind != GET_FILE)
		return 0;
	if (stat(s->part, &st) == 0 && S_ISREG(st.st_mode)) {
		sink_read_tag(s, validator);
		return validator->len ? (uint64_t)st.st_size : 0;
	}
	if (stat(s->path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	*whole_path = true;
	*modified_s = st.st_mtime;
	return (uint64_t)st.st_size;
}

int get_sink_note_validator(struct get_sink *s, const char *validator)
{
	char path[GET_PATH_BYTES];
	FILE *tag;
	bool well;

	if (s->kind != GET_FILE || !s->keeps)
		return 0;
	sink_tag_path(s, path);
	tag = fopen(path, "we");
	if (!tag)
		return err_from_errno(errno);
	well = fprintf(tag, "%s\n", validator) > 0;
	return fclose(tag) == 0 && well ? 0 : ERR_DISK;
}

int get_sink_open(struct get_sink *s, uint64_t from, bool adopt)
{
	s->bytes = from;
	if (s->kind == GET_DEVICE && s->fd < 0) {
		s->fd = open(s->path, O_WRONLY | O_CLOEXEC);
		return s->fd < 0 ? err_from_errno(errno) : 0;
	}
	if (s->kind != GET_FILE)
		return 0;
	if (adopt && rename(s->path, s->part) < 0)
		return err_from_errno(errno);
	if (s->fd < 0) {
		s->fd = s->keeps ? whole_open(s->path, s->part, 0)
				 : get_signal_open(s->path, s->part);
		if (s->fd < 0)
			return s->fd;
		if (!from && !s->keeps)
			return 0;
	}
	if (ftruncate(s->fd, (off_t)from) < 0 || lseek(s->fd, (off_t)from, SEEK_SET) < 0)
		return err_from_errno(errno);
	return 0;
}

bool get_sink_is_regular(const struct get_sink *s)
{
	struct stat st;

	return s->kind == GET_FILE ||
	       (s->kind == GET_STDOUT && fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode));
}

/* All of it; waits for a slow reader. */
static int sink_write(struct get_sink *s, struct bytes b)
{
	while (b.len) {
		ssize_t n = write(s->fd, b.data, b.len);
		struct pollfd p = {.fd = s->fd, .events = POLLOUT};

		if (n >= 0)
			b = bytes_after(b, (size_t)n);
		else if (errno == EAGAIN)
			poll(&p, 1, -1);
		else if (errno == EPIPE)
			return ERR_LEFT;
		else if (errno != EINTR)
			return err_from_errno(errno);
	}
	return 0;
}

/* A tab does no harm to a terminal, and text is full of them. */
static int sink_show(struct get_sink *s, struct bytes b)
{
	while (b.len) {
		size_t tab = bytes_find_byte(b, '\t');

		show_text(&s->show, bytes_first(b, tab));
		if (tab < b.len) {
			show_flush(&s->show);
			putchar('\t');
			tab++;
		}
		b = bytes_after(b, tab);
	}
	return say_flush() ? 0 : ERR_LEFT;
}

static int sink_indent(struct get_sink *s, struct bytes b)
{
	char buffer[8192];
	struct text t = TEXT_OVER(buffer);
	int err = 0;

	for (size_t i = 0; i < b.len && !err; i++) {
		indent_put(&s->indent, &t, (char)b.data[i]);
		if (sizeof buffer - t.len <= INDENT_BYTES + 1) {
			err = sink_show(s, text_bytes(&t));
			t = TEXT_OVER(buffer);
		}
	}
	return err ? err : sink_show(s, text_bytes(&t));
}

int get_sink_put(struct get_sink *s, struct bytes b)
{
	s->bytes += b.len;
	switch (s->kind) {
	case GET_NOWHERE:
		return 0;
	case GET_TERMINAL:
		return s->indents ? sink_indent(s, b) : sink_show(s, b);
	default:
		return sink_write(s, b);
	}
}

static int sink_rename(struct get_sink *s)
{
	char tag[GET_PATH_BYTES];
	int err = close(s->fd) < 0 ? err_from_errno(errno) : 0;

	s->fd = -1;
	if (!err && rename(s->part, s->path) < 0)
		err = err_from_errno(errno);
	if (err)
		return err;
	get_signal_part(NULL);
	if (s->keeps) {
		sink_tag_path(s, tag);
		unlink(tag);
	}
	return 0;
}

int get_sink_finish(struct get_sink *s)
{
	int err = 0;

	switch (s->kind) {
	case GET_NOWHERE:
	case GET_STDOUT:
		break;
	case GET_TERMINAL:
		if (s->indents)
			show_text(&s->show, BYTES_LITERAL("\n"));
		show_flush(&s->show);
		err = say_flush() ? 0 : ERR_LEFT;
		break;
	case GET_FILE:
		if (s->fd >= 0)
			err = sink_rename(s);
		break;
	case GET_DEVICE:
		if (s->fd >= 0 && close(s->fd) < 0)
			err = err_from_errno(errno);
		s->fd = -1;
		break;
	}
	return err;
}

void get_sink_abandon(struct get_sink *s)
{
	if (s->kind == GET_TERMINAL) {
		show_fresh_line(&s->show);
		say_flush();
	}
	if ((s->kind != GET_FILE && s->kind != GET_DEVICE) || s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	if (s->kind == GET_FILE && (!s->keeps || !s->bytes))
		unlink(s->part);
	get_signal_part(NULL);
}
