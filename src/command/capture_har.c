/* Exchanges as an HTTP archive, HAR 1.2 (the specification of the Web Performance Working Group,
 * 2012): one JSON object, an entry an exchange, in the order in which they ended.
 *
 * The file has a temporary name until it is whole (whole.h). Limits: cookies stay in the headers;
 * bodies over CAPTURE_TEXT_MOST, or torn, are left out with a comment; of a message that breaks a
 * rule there is its first line, and a comment with the rule. Exchanges without their request have
 * no place in a HAR: how many is said at the end. */
#include "command/capture_parts.h"

#include "command/whole.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct capture_har {
	FILE *file;
	bool renames;                /* to `path` when it is whole */
	char path[WHOLE_PATH_BYTES]; /* links followed */
	char part[WHOLE_PATH_BYTES]; /* the temporary one */
	bool begun;                  /* there is an entry */
	uint64_t left_out;
	struct http1_head head;
	char *line;
	size_t line_bytes;
};

static int refuse(struct capture *c, int err)
{
	return say_error(SAY_FILE, c->given->har, err);
}

/* 0 or an ERR_. */
static int open_file(struct capture_har *har, const char *path)
{
	struct text part = TEXT_OVER(har->part);
	bool in_place;
	int fd, err = whole_find(har->path, path, &in_place);

	text_printf(&part, "%s.prise-%d", har->path, (int)getpid());
	if (err != 0 || part.cut)
		return ERR_TOO_LONG;
	if (in_place)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	else
		fd = whole_open(har->path, har->part, O_EXCL);
	if (fd < 0)
		return in_place ? err_from_errno(errno) : fd;
	har->renames = !in_place;
	har->file = fdopen(fd, "w");
	return har->file != NULL ? 0 : ERR_MEMORY;
}

int capture_har_begin(struct capture *c)
{
	struct capture_har *har;
	int err = 0;

	if (c->given->har == NULL)
		return 0;
	har = c->har = calloc(1, sizeof(*har));
	if (har == NULL)
		return refuse(c, ERR_MEMORY);
	if (strcmp(c->given->har, "-") == 0)
		har->file = stdout;
	else
		err = open_file(har, c->given->har);
	if (err != 0)
		return refuse(c, err);
	fputs("{\"log\":{\"version\":\"1.2\",\"creator\":{\"name\":\"prise\",\"version\":"
	      "\"" PRISE_VERSION "\"},\"entries\":[",
	      har->file);
	return 0;
}

/* A buffer in which `b` finds room as a JSON string. */
static struct text room_for(struct capture_har *har, size_t bytes)
{
	size_t wanted = 12 * bytes + 16;

	if (wanted > har->line_bytes) {
		char *grown = realloc(har->line, wanted);

		if (grown != NULL) {
			har->line = grown;
			har->line_bytes = wanted;
		}
	}
	return text_over(har->line, har->line_bytes);
}

static void put_string(struct capture_har *har, struct bytes b)
{
	struct text t = room_for(har, b.len);

	event_put_json_string(&t, b);
	fwrite(t.data, 1, t.len, har->file);
}

/* `"name":"value"` after `before`. */
static void put_member(struct capture_har *har, const char *before, const char *name,
		       struct bytes value)
{
	fprintf(har->file, "%s\"%s\":", before, name);
	put_string(har, value);
}

static void put_pair(struct capture_har *har, bool first, struct bytes name, struct bytes value)
{
	put_member(har, first ? "{" : ",{", "name", name);
	put_member(har, ",", "value", value);
	fputc('}', har->file);
}

static void put_headers(struct capture_har *har)
{
	fputs(",\"headers\":[", har->file);
	for (unsigned i = 0; i < har->head.fields; i++)
		put_pair(har, i == 0, har->head.field[i].name, har->head.field[i].value);
	fputc(']', har->file);
}

/* The parts of `?a=b&c`, as they stand. */
static void put_query(struct capture_har *har, struct bytes target)
{
	struct bytes query = bytes_after(target, bytes_find_byte(target, '?'));
	bool first = true;

	fputs(",\"queryString\":[", har->file);
	while (query.len > 1) {
		struct bytes part = bytes_after(query, 1);
		size_t equals;

		part = bytes_first(part, bytes_find_byte(part, '&'));
		query = bytes_after(query, 1 + part.len);
		if (part.len == 0)
			continue;
		equals = bytes_find_byte(part, '=');
		put_pair(har, first, bytes_first(part, equals),
			 bytes_after(part, equals < part.len ? equals + 1 : equals));
		first = false;
	}
	fputc(']', har->file);
}

static void put_url(struct capture_har *har, const struct exchange *e, struct bytes target)
{
	const struct exchange_message *request = &e->message[HTTP1_REQUEST];
	struct text t = room_for(har, target.len + request->authority.len + ADDRESS_TEXT_BYTES);
	char *url;

	if (target.len > 0 && target.data[0] == '/') {
		text_put_string(&t, "http://");
		if (request->authority.len > 0)
			text_put(&t, request->authority);
		else
			address_put(&t, &e->server);
	}
	text_put(&t, target);
	url = strndup(t.data, t.len);
	if (url == NULL)
		return;
	put_member(har, ",", "url", bytes_of_string(url));
	free(url);
}

/* The body as text, or in base64 where it is none; or why it is left out. */
static void put_text(struct capture_har *har, const struct exchange_message *m)
{
	struct bytes text;
	struct text t;

	if (!capture_body_text(m, &text)) {
		fputs(",\"comment\":\"the body is left out: it is too long, or not whole\"",
		      har->file);
		return;
	}
	if (text.len == 0)
		return;
	if (text_utf8_valid(text)) {
		put_member(har, ",", "text", text);
		return;
	}
	t = room_for(har, text.len);
	text_put_base64(&t, text);
	fprintf(har->file, ",\"text\":\"%s\",\"encoding\":\"base64\"", t.data);
}

/* As the first line has it, where it has one. */
static void put_version(struct capture_har *har, const struct exchange_message *m,
			enum http1_side side)
{
	struct bytes version = m->line;

	if (side == HTTP1_REQUEST)
		while (bytes_find_byte(version, ' ') < version.len)
			version = bytes_after(version, bytes_find_byte(version, ' ') + 1);
	else
		version = bytes_first(version, bytes_find_byte(version, ' '));
	if (version.len < 5 || memcmp(version.data, "HTTP/", 5) != 0)
		version.len = 0;
	put_member(har, ",", "httpVersion", version);
	fputs(",\"cookies\":[]", har->file);
}

/* What is wrong with it, in English as all that programs read. */
static void put_fault(struct capture_har *har, const struct exchange_message *m)
{
	const char *fault = capture_fault(m);

	if (fault != NULL)
		put_member(har, ",", "comment", bytes_of_string(fault));
}

static void put_sizes(struct capture_har *har, const struct exchange_message *m)
{
	fprintf(har->file, ",\"headersSize\":%zu,\"bodySize\":%" PRIu64, m->head.len,
		m->body_bytes);
}

/* Fills in har->head; of what breaks a rule only what its first line has. */
static void parse(struct capture_har *har, const struct exchange_message *m, enum http1_side side,
		  struct bytes method)
{
	struct http1_refusal refusal;
	size_t seen = 0;

	har->head = (struct http1_head){.side = side};
	if (m->head.len > 0 &&
	    http1_parse(&har->head, side, m->head, &seen, method, NULL, &refusal) > 0)
		return;
	har->head = (struct http1_head){.side = side};
	if (side == HTTP1_RESPONSE)
		return;
	har->head.method = bytes_first(m->line, bytes_find_byte(m->line, ' '));
	har->head.target = bytes_strip(bytes_after(m->line, har->head.method.len));
	har->head.target = bytes_first(har->head.target, bytes_find_byte(har->head.target, ' '));
}

static void put_request(struct capture_har *har, const struct exchange *e)
{
	const struct exchange_message *m = &e->message[HTTP1_REQUEST];

	put_member(har, ",\"request\":{", "method", har->head.method);
	put_url(har, e, har->head.target);
	put_version(har, m, HTTP1_REQUEST);
	put_headers(har);
	put_query(har, har->head.target);
	if (m->content_bytes > 0) {
		put_member(har, ",\"postData\":{", "mimeType", m->type);
		fputs(",\"params\":[]", har->file);
		put_text(har, m);
		fputc('}', har->file);
	}
	put_sizes(har, m);
	put_fault(har, m);
	fputc('}', har->file);
}

static void put_response(struct capture_har *har, const struct exchange *e)
{
	const struct exchange_message *m = &e->message[HTTP1_RESPONSE];
	const struct http1_field *location;

	fprintf(har->file, ",\"response\":{\"status\":%u", m->status);
	put_member(har, ",", "statusText", har->head.reason);
	put_version(har, m, HTTP1_RESPONSE);
	put_headers(har);
	fprintf(har->file, ",\"content\":{\"size\":%" PRIu64, capture_body_decoded(m));
	put_member(har, ",", "mimeType", m->type);
	put_text(har, m);
	fputc('}', har->file);
	location = http1_find(&har->head, "Location");
	put_member(har, ",", "redirectURL", location != NULL ? location->value : (struct bytes){0});
	put_sizes(har, m);
	put_fault(har, m);
	fputc('}', har->file);
}

static double ms_between(int64_t from_ns, int64_t to_ns)
{
	return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e6 : 0;
}

static void put_ends(struct capture_har *har, const struct exchange *e)
{
	const struct exchange_message *request = &e->message[HTTP1_REQUEST],
				      *response = &e->message[HTTP1_RESPONSE];
	char server[ADDRESS_TEXT_BYTES];
	struct text t = TEXT_OVER(server);

	address_put_ip(&t, &e->server);
	fprintf(har->file,
		",\"cache\":{},\"timings\":{\"send\":%.6f,\"wait\":%.6f,\"receive\":%.6f}"
		",\"serverIPAddress\":\"%s\",\"connection\":\"%" PRIu64 "\"}",
		ms_between(request->time_ns, request->last_ns),
		response->present ? ms_between(request->last_ns, response->time_ns) : 0,
		response->present ? ms_between(response->time_ns, response->last_ns) : 0, server,
		e->conversation);
}

void capture_har_exchange(struct capture *c, const struct exchange *e)
{
	const struct exchange_message *request = &e->message[HTTP1_REQUEST],
				      *response = &e->message[HTTP1_RESPONSE];
	struct capture_har *har = c->har;
	char time[40], method_text[32];
	struct text t = TEXT_OVER(time), method = TEXT_OVER(method_text);

	if (har == NULL)
		return;
	if (!request->present) {
		har->left_out++;
		return;
	}
	parse(har, request, HTTP1_REQUEST, (struct bytes){0});
	moment_put_rfc3339(&t, request->time_ns / 1000);
	text_put(&method, har->head.method);
	fprintf(har->file, "%s\n{\"startedDateTime\":\"%s\",\"time\":%.6f", har->begun ? "," : "",
		time,
		ms_between(request->time_ns,
			   response->present ? response->last_ns : request->last_ns));
	har->begun = true;
	put_request(har, e);
	parse(har, response, HTTP1_RESPONSE, text_bytes(&method));
	put_response(har, e);
	put_ends(har, e);
}

/* 0 or an ERR_. */
static int finish(struct capture_har *har)
{
	bool failed;
	int err = 0;

	if (har->file == NULL)
		return 0;
	errno = 0;
	fputs("\n]}}\n", har->file);
	failed = fflush(har->file) != 0 || ferror(har->file) != 0;
	if (failed) /* what the first of many writes said is gone by now */
		err = errno != 0 ? err_from_errno(errno) : ERR_DISK;
	if (har->file != stdout && fclose(har->file) != 0 && err == 0)
		err = err_from_errno(errno);
	if (err == 0 && har->renames && rename(har->part, har->path) < 0)
		err = err_from_errno(errno);
	if (err != 0 && har->renames)
		unlink(har->part);
	return har->file == stdout ? 0 : err;
}

int capture_har_end(struct capture *c)
{
	struct capture_har *har = c->har;
	int err;

	if (har == NULL)
		return 0;
	c->har = NULL;
	if (har->left_out > 0)
		say_warning(_("%" PRIu64 " exchanges are not in the archive, which has no place "
			      "for one without its request"),
			    har->left_out);
	err = finish(har);
	free(har->line);
	free(har);
	return err == 0 ? 0 : refuse(c, err);
}
