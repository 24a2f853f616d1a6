/* What a request carries: -d (RFC 9110 8.3; a form's own type unless -H says another) and -F
 * (multipart/form-data, RFC 7578). Files are sent from where they are, not read into memory; what
 * has no length of its own (standard input, a pipe) is read first. */
#include "command/get_parts.h"

#include "command/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GET_READ_BYTES = 65536, GET_BOUNDARY_BYTES = 48 };

static int content_full(void)
{
	return say_usage(_("fewer of -d or -F"), _("the request has more parts than fit"));
}

static int content_add(struct get_content *c, const struct fetch_part *part)
{
	if (c->parts == GET_PARTS)
		return content_full();
	c->part[c->parts++] = *part;
	c->bytes += part->fd >= 0 ? part->bytes : part->text.len;
	return 0;
}

/* `memory` is the content's from now on. */
static int content_add_memory(struct get_content *c, void *memory, size_t len)
{
	if (c->memories == GET_PARTS) {
		free(memory);
		return content_full();
	}
	c->memory[c->memories++] = memory;
	if (!len)
		return 0;
	return content_add(c, &(struct fetch_part){.text = bytes_of(memory, len), .fd = -1});
}

static int content_add_text(struct get_content *c, struct bytes b)
{
	void *memory = malloc(b.len + 1);

	if (!memory)
		return say_error(SAY_FILE, _("the request"), ERR_MEMORY);
	memcpy(memory, b.data, b.len);
	return content_add_memory(c, memory, b.len);
}

/* All that comes out of `fd`. */
static int content_add_stream(struct get_content *c, int fd, const char *name)
{
	size_t len = 0, cap = 0;
	char *data = NULL;
	ssize_t n;

	do {
		if (cap - len < GET_READ_BYTES) {
			char *more = realloc(data, cap = 2 * cap + GET_READ_BYTES);

			if (!more) {
				free(data);
				return say_error(SAY_FILE, name, ERR_MEMORY);
			}
			data = more;
		}
		n = read(fd, data + len, cap - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		free(data);
		return say_error_try(SAY_FILE, name, err_from_errno(errno),
				     _("a file that can be read, or - for standard input"));
	}
	return content_add_memory(c, data, len);
}

static int content_add_file(struct get_content *c, const char *name)
{
	bool standard = strcmp(name, "-") == 0;
	int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC), code;
	struct stat st;

	if (standard)
		name = _("standard input");
	if (fd < 0 || fstat(fd, &st) < 0)
		return say_error(SAY_FILE, name, err_from_errno(errno));
	if (!S_ISREG(st.st_mode) || standard) {
		code = content_add_stream(c, fd, name);
		if (!standard)
			close(fd);
		return code;
	}
	if (!st.st_size) {
		close(fd);
		return 0;
	}
	/* Open until the process ends: a second try sends it again. */
	return content_add(c, &(struct fetch_part){.fd = fd, .bytes = (uint64_t)st.st_size});
}

static int content_make_data(struct get_content *c, const struct option_list *data)
{
	int code = 0;

	snprintf(c->type, sizeof c->type, "application/x-www-form-urlencoded");
	for (unsigned i = 0; i < data->count && !code; i++) {
		const char *item = data->item[i];

		if (i > 0)
			code = content_add_text(c, BYTES_LITERAL("&"));
		if (code)
			break;
		if (item[0] == '@')
			code = content_add_file(c, item + 1);
		else
			code = content_add_text(c, bytes_of_string(item));
	}
	return code;
}

static int content_make_boundary(char *boundary)
{
	uint8_t random[16];
	struct text t = text_over(boundary, GET_BOUNDARY_BYTES);

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		return say_error(SAY_FILE, _("the request"), ERR_SYSTEM);
	text_put_string(&t, "prise-");
	for (size_t i = 0; i < sizeof random; i++)
		text_printf(&t, "%02x", random[i]);
	return 0;
}

/* One field as -F gives it: NAME=VALUE, NAME=@FILE or NAME=<FILE, files with ;type= and ;filename=
 * behind. */
struct get_field {
	struct bytes name, value, type, filename;
	char kind; /* '@', '<' or 0 */
	char path[GET_PATH_BYTES];
};

static bool field_take_parameter(struct get_field *f)
{
	static const struct {
		const char *name;
		size_t at;
	} known[] = {{";type=", offsetof(struct get_field, type)},
		     {";filename=", offsetof(struct get_field, filename)}};
	size_t last = f->value.len;

	while (last > 0 && f->value.data[last - 1] != ';')
		last--;
	if (!last)
		return false;
	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
		struct bytes rest = bytes_after(f->value, last - 1);
		struct bytes name = bytes_of_string(known[i].name);

		if (!bytes_equal_fold(bytes_first(rest, name.len), name))
			continue;
		*(struct bytes *)((char *)f + known[i].at) = bytes_after(rest, name.len);
		f->value.len = last - 1;
		return true;
	}
	return false;
}

static int field_read(struct get_field *f, const char *item)
{
	struct bytes b = bytes_of_string(item);
	size_t equals = bytes_find_byte(b, '=');
	struct text path = TEXT_OVER(f->path);

	*f = (struct get_field){.name = bytes_first(b, equals)};
	if (equals == b.len || !equals)
		return say_usage(_("-F NAME=VALUE, NAME=@FILE or NAME=<FILE"),
				 _("'%s' is no field of a form"), item);
	f->value = bytes_after(b, equals + 1);
	if (f->value.len && strchr("@<", f->value.data[0])) {
		f->kind = (char)f->value.data[0];
		f->value = bytes_after(f->value, 1);
		while (field_take_parameter(f))
			;
		text_put(&path, f->value);
	}
	return 0;
}

/* A name between quotes, as browsers write it (RFC 7578 2, HTML). */
static void put_quoted(struct text *t, const char *name, struct bytes value)
{
	text_printf(t, "; %s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		switch (value.data[i]) {
		case '"':
			text_put_string(t, "%22");
			break;
		case '\r':
			text_put_string(t, "%0D");
			break;
		case '\n':
			text_put_string(t, "%0A");
			break;
		default:
			text_put_byte(t, (char)value.data[i]);
		}
	}
	text_put_byte(t, '"');
}

static struct bytes base_name(struct bytes path)
{
	size_t start = path.len;

	while (start > 0 && path.data[start - 1] != '/')
		start--;
	return bytes_after(path, start);
}

static int content_add_field(struct get_content *c, const char *item, const char *boundary)
{
	char head[GET_PATH_BYTES * 2];
	struct text t = TEXT_OVER(head);
	struct get_field f;
	int code = field_read(&f, item);

	if (code)
		return code;
	text_printf(&t, "--%s\r\nContent-Disposition: form-data", boundary);
	put_quoted(&t, "name", f.name);
	if (f.kind == '@' || f.filename.len)
		put_quoted(&t, "filename", f.filename.len ? f.filename : base_name(f.value));
	if (f.kind == '@' && !f.type.len)
		f.type = BYTES_LITERAL("application/octet-stream");
	if (f.type.len) {
		text_put_string(&t, "\r\nContent-Type: ");
		text_put(&t, f.type);
	}
	text_put_string(&t, "\r\n\r\n");
	if (t.cut)
		return say_usage(_("a shorter name"), _("'%s' is too long"), item);
	code = content_add_text(c, text_bytes(&t));
	if (!code)
		code = f.kind ? content_add_file(c, f.path) : content_add_text(c, f.value);
	return code ? code : content_add_text(c, BYTES_LITERAL("\r\n"));
}

static int content_make_form(struct get_content *c, const struct option_list *form)
{
	char boundary[GET_BOUNDARY_BYTES], end[GET_BOUNDARY_BYTES + 8];
	int code = content_make_boundary(boundary);

	snprintf(c->type, sizeof c->type, "multipart/form-data; boundary=%s", boundary);
	for (unsigned i = 0; i < form->count && !code; i++)
		code = content_add_field(c, form->item[i], boundary);
	snprintf(end, sizeof end, "--%s--\r\n", boundary);
	return code ? code : content_add_text(c, bytes_of_string(end));
}

int get_content_make(struct get_content *c, const struct get_options *given)
{
	*c = (struct get_content){.any = given->data.count || given->form.count};
	if (given->data.count)
		return content_make_data(c, &given->data);
	return given->form.count ? content_make_form(c, &given->form) : 0;
}

void get_content_free(struct get_content *c)
{
	for (unsigned i = 0; i < c->memories; i++)
		free(c->memory[i]);
	for (unsigned i = 0; i < c->parts; i++)
		if (c->part[i].fd >= 0)
			close(c->part[i].fd);
}
