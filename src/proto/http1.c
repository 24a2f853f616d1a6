/* HTTP/1.x heads, both directions.
 *
 *   GET /hello.txt HTTP/1.1 CRLF            HTTP/1.1 200 OK CRLF
 *   Host: www.example.com CRLF              Content-Length: 14 CRLF
 *   CRLF                                    CRLF
 *
 *   (empty lines of a request) ──► start line ──► field lines ──► empty line: whole
 *
 * A line is judged when its LF is there, each once while it comes; when the empty line comes after
 * several calls, all lines are taken again, since nothing is kept between calls but how far was
 * looked: a head costs twice its length at most, however it is cut. What is refused never depends
 * on the cuts: lines are judged in order, and the whole (too many fields, what they say together)
 * last.
 *
 * Source: RFC 9112; limits in http1.h. */
#include "proto/http1_parts.h"

#include "base/err.h"

struct http1_reading {
	struct http1_head *head;
	struct http1_refusal *refusal;
	struct bytes in;               /* no more than a head may have */
	size_t at;                     /* where the next line begins */
	size_t looked;                 /* no LF between `at` and here */
	bool begun;                    /* the start line is behind */
	size_t line_bytes, head_bytes; /* at most */
	unsigned fields, fields_most;  /* all that there are; head->fields holds at most so many */
};

int http1_refuse(struct http1_refusal *refusal, unsigned status, const char *why)
{
	*refusal = (struct http1_refusal){status, why};
	return ERR_PROTOCOL;
}

/* `line` has a byte that no line may have: says which. */
static int http1_refuse_byte(struct http1_reading *r, struct bytes line)
{
	if (bytes_find_byte(line, '\0') < line.len)
		return http1_refuse(r->refusal, 400, N_("a NUL byte in a head"));
	if (bytes_find_byte(line, '\r') < line.len)
		return http1_refuse(r->refusal, 400, N_("a CR without its LF"));
	return http1_refuse(r->refusal, 400, N_("a control character in a head"));
}

/* `HTTP/1.1`: 0 and the minor number. */
static int http1_version(struct http1_reading *r, struct bytes b)
{
	static const char prefix[] = "HTTP/";
	size_t n = sizeof(prefix) - 1;

	if (b.len != n + 3 || memcmp(b.data, prefix, n) != 0 || b.data[n + 1] != '.' ||
	    !(http1_class[b.data[n]] & HTTP1_DIGIT) || !(http1_class[b.data[n + 2]] & HTTP1_DIGIT))
		return http1_refuse(r->refusal, 400, N_("no version such as HTTP/1.1"));
	if (b.data[n] != '1')
		return http1_refuse(r->refusal, 505, N_("another version than HTTP/1"));
	r->head->minor = b.data[n + 2] - (unsigned)'0';
	return 0;
}

/* scheme ":" of absolute-form. */
static bool http1_has_scheme(struct bytes target)
{
	size_t len = bytes_find_byte(target, ':');

	if (len == 0 || len == target.len || !(http1_class[target.data[0]] & HTTP1_ALPHA))
		return false;
	for (size_t i = 1; i < len; i++) {
		uint8_t c = target.data[i];

		if (!(http1_class[c] & (HTTP1_ALPHA | HTTP1_DIGIT)) && c != '+' && c != '-' &&
		    c != '.')
			return false;
	}
	return true;
}

/* The four forms of RFC 9112 3.2. Bytes beyond ASCII pass, since people type them. */
static int http1_target(struct http1_reading *r, struct bytes target)
{
	bool connects = bytes_equal(r->head->method, BYTES_LITERAL("CONNECT"));

	if (target.len == 0)
		return http1_refuse(r->refusal, 400, N_("no target"));
	if (!http1_is_visible(target))
		return http1_refuse(r->refusal, 400,
				    bytes_find_byte(target, ' ') < target.len
					    ? N_("a space in the target")
					    : N_("a control character in the target"));
	if (bytes_find_byte(target, '#') < target.len)
		return http1_refuse(r->refusal, 400, N_("a fragment in the target"));
	if (connects ? http1_is_authority(target) : target.data[0] == '/')
		return 0;
	if (!connects && http1_has_scheme(target))
		return 0;
	if (bytes_equal(target, BYTES_LITERAL("*")) &&
	    bytes_equal(r->head->method, BYTES_LITERAL("OPTIONS")))
		return 0;
	return http1_refuse(r->refusal, 400, N_("a target of no form that the method has"));
}

/* method SP target SP version */
static int http1_request_line(struct http1_reading *r, struct bytes line)
{
	struct http1_head *h = r->head;
	size_t space = bytes_find_byte(line, ' ');
	const uint8_t *last = memrchr(line.data, ' ', line.len);
	int err;

	h->method = bytes_first(line, space);
	if (!http1_is_token(h->method))
		return http1_is_clean(line) ? http1_refuse(r->refusal, 400, N_("no valid method"))
					    : http1_refuse_byte(r, line);
	if (!last || last == line.data + space)
		return http1_refuse(r->refusal, 400, N_("no version such as HTTP/1.1"));
	if (!http1_is_clean(line))
		return http1_refuse_byte(r, line);
	h->target = bytes_of(line.data + space + 1, (size_t)(last - line.data) - space - 1);
	err = http1_version(r, bytes_after(line, (size_t)(last - line.data) + 1));
	return err < 0 ? err : http1_target(r, h->target);
}

/* version SP status [ SP reason ] */
static int http1_status_line(struct http1_reading *r, struct bytes line)
{
	struct http1_head *h = r->head;
	struct bytes rest = bytes_after(line, bytes_find_byte(line, ' '));
	struct bytes status = bytes_first(bytes_after(rest, rest.len > 0), 3);
	int err;

	if (!http1_is_clean(line))
		return http1_refuse_byte(r, line);
	err = http1_version(r, bytes_first(line, line.len - rest.len));
	if (err < 0)
		return err;
	rest = bytes_after(rest, status.len + (rest.len > 0));
	if (status.len < 3 || !http1_all(status, HTTP1_DIGIT) || status.data[0] == '0' ||
	    (rest.len > 0 && rest.data[0] != ' '))
		return http1_refuse(r->refusal, 400, N_("no status of three digits"));
	h->status = (status.data[0] - (unsigned)'0') * 100 + (status.data[1] - (unsigned)'0') * 10 +
		    (status.data[2] - (unsigned)'0');
	h->reason = bytes_after(rest, rest.len > 0);
	return 0;
}

/* obs-fold: the value of the field before goes on. It stands in place with the lines' ends in it,
 * so that no length and no coding is ever read from such a value. */
static int http1_folded_line(struct http1_reading *r, struct bytes line)
{
	size_t first = bytes_find_byte(r->in, '\n') + 1;
	struct bytes *value;

	if (r->head->side == HTTP1_REQUEST || line.data == r->in.data + first)
		return http1_refuse(r->refusal, 400, N_("a field that begins with white space"));
	if (!http1_is_clean(line))
		return http1_refuse_byte(r, line);
	r->head->folded = true;
	if (http1_trim(line).len == 0)
		return 0;
	if (r->fields == 0 || r->fields > r->fields_most)
		return 0; /* it came in pieces: the lines will be taken again; or too many */
	value = &r->head->field[r->fields - 1].value;
	*value = http1_trim(bytes_of(value->data, (size_t)(line.data + line.len - value->data)));
	return 0;
}

/* name ":" OWS value OWS */
static int http1_field_line(struct http1_reading *r, struct bytes line)
{
	size_t colon = bytes_find_byte(line, ':');
	struct bytes name = bytes_first(line, colon);

	if (line.data[0] == ' ' || line.data[0] == '\t')
		return http1_folded_line(r, line);
	if (!http1_is_clean(line))
		return http1_refuse_byte(r, line);
	if (colon == line.len)
		return http1_refuse(r->refusal, 400, N_("a field without a colon"));
	if (colon > 0 && (line.data[colon - 1] == ' ' || line.data[colon - 1] == '\t'))
		return http1_refuse(r->refusal, 400, N_("white space before a colon"));
	if (!http1_is_token(name))
		return http1_refuse(r->refusal, 400, N_("no valid field name"));
	if (r->fields < r->fields_most) {
		struct bytes value = http1_trim(bytes_after(line, colon + 1));

		r->head->field[r->fields] = (struct http1_field){name, value};
	}
	r->fields++;
	return 0;
}

/* What cannot become a message is refused at its first byte, long before a line is whole: a TLS
 * handshake, another protocol's greeting. */
static int http1_first_bytes(struct http1_reading *r)
{
	static const char version[] = "HTTP/";
	struct bytes line = bytes_after(r->in, r->at);

	if (line.len == 0 || r->begun)
		return 0;
	if (r->head->side == HTTP1_RESPONSE) {
		size_t n = bytes_first(line, sizeof(version) - 1).len;

		if (memcmp(line.data, version, n) != 0)
			return http1_refuse(r->refusal, 400, N_("no version such as HTTP/1.1"));
	} else if (!(http1_class[line.data[0]] & HTTP1_TOKEN) && line.data[0] != '\r' &&
		   line.data[0] != '\n') {
		return http1_refuse(r->refusal, 400, N_("no valid method"));
	}
	return 0;
}

/* `len` bytes of the start line are there, its end left aside; perhaps it goes on. */
static int http1_line_length(struct http1_reading *r, size_t len)
{
	if (r->begun || len <= r->line_bytes)
		return 0;
	if (r->head->side == HTTP1_REQUEST)
		return http1_refuse(r->refusal, 414, N_("a request line longer than its limit"));
	return http1_refuse(r->refusal, 400, N_("a status line longer than its limit"));
}

/* Takes the line that begins at r->at: its bytes with its end, 0 when that did not come yet, or
 * ERR_PROTOCOL. */
static int64_t http1_line(struct http1_reading *r, struct bytes *line)
{
	size_t from = r->looked > r->at ? r->looked : r->at;
	size_t end = from + bytes_find_byte(bytes_after(r->in, from), '\n');
	int err = http1_first_bytes(r);

	if (err < 0)
		return err;
	*line = bytes_first(bytes_after(r->in, r->at), end - r->at);
	if (line->len > 0 && line->data[line->len - 1] == '\r')
		line->len--;
	err = http1_line_length(r, line->len);
	if (err < 0)
		return err;
	return end < r->in.len ? (int64_t)(end - r->at) + 1 : 0;
}

/* Goes on from r->at, line by line, up to the empty one: 1 when it came, 0, or ERR_PROTOCOL. */
static int http1_lines(struct http1_reading *r)
{
	for (;;) {
		struct bytes line;
		int64_t taken = http1_line(r, &line);
		int err = 0;

		if (taken <= 0)
			return (int)taken;
		r->at += (size_t)taken;
		if (line.len == 0 && r->begun)
			return 1;
		if (r->begun)
			err = http1_field_line(r, line);
		else if (r->head->side == HTTP1_RESPONSE)
			err = http1_status_line(r, line);
		else if (line.len > 0)
			err = http1_request_line(r, line);
		if (err < 0)
			return err;
		r->begun |= line.len > 0;
	}
}

static size_t http1_least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What a caller keeps between calls: where the last line begins, and behind it how far its LF was
 * looked for. A start line stands before that line unless all before it is empty lines, and then
 * the one just before it is one. */
enum { HTTP1_SEEN_BITS = 16, HTTP1_SEEN_MASK = 0xffff };

_Static_assert((int)HTTP1_HEAD_BYTES <= (int)HTTP1_SEEN_MASK, "what was seen has its place");

static void http1_resume(struct http1_reading *r, size_t seen)
{
	size_t at = seen & HTTP1_SEEN_MASK, end = at;

	if (at > r->in.len)
		return; /* not the bytes of the call before: all anew */
	if (at > 0)
		end -= at > 1 && r->in.data[at - 2] == '\r' ? 2 : 1;
	r->at = at;
	r->looked = http1_least(r->in.len, seen >> HTTP1_SEEN_BITS);
	r->begun = end > 0 && r->in.data[end - 1] != '\n';
}

static int64_t http1_whole(struct http1_reading *r, struct bytes method)
{
	int err;

	if (r->fields > r->fields_most)
		return http1_refuse(r->refusal, 431, N_("more fields than their limit"));
	r->head->fields = r->fields;
	r->head->bytes = r->at;
	err = http1_understand(r->head, method, r->refusal);
	return err < 0 ? err : (int64_t)r->at;
}

static size_t http1_limit(size_t limit, size_t tighter)
{
	return tighter > 0 ? http1_least(limit, tighter) : limit;
}

int64_t http1_parse(struct http1_head *head, enum http1_side side, struct bytes in, size_t *seen,
		    struct bytes method, const struct http1_limits *limits,
		    struct http1_refusal *refusal)
{
	static const struct http1_limits none;
	const struct http1_limits *l = limits ? limits : &none;
	struct http1_reading r = {
		.head = head,
		.refusal = refusal,
		.in = bytes_first(in, http1_limit(HTTP1_HEAD_BYTES, l->head_bytes)),
		.line_bytes = http1_limit(HTTP1_LINE_BYTES, l->line_bytes),
		.fields_most = (unsigned)http1_limit(HTTP1_FIELDS, l->fields),
		.head_bytes = http1_limit(HTTP1_HEAD_BYTES, l->head_bytes),
	};
	int found;

	head->side = side;
	head->status = 0;
	head->folded = false;
	head->method = head->target = head->reason = bytes_of(NULL, 0);
	http1_resume(&r, *seen);
	found = http1_lines(&r);
	if (found == 1 && *seen > 0) {
		r.at = r.looked = r.fields = 0;
		r.begun = false;
		found = http1_lines(&r);
	}
	*seen = r.at | r.in.len << HTTP1_SEEN_BITS;
	if (found < 0)
		return found;
	if (found == 1)
		return http1_whole(&r, method);
	if (in.len >= r.head_bytes)
		return http1_refuse(refusal, 431, N_("a head longer than its limit"));
	return 0;
}

static bool http1_is_blank(uint8_t c)
{
	return c == ' ' || c == '\t';
}

void http1_unfold(uint8_t *head, size_t bytes)
{
	for (size_t i = 1; i + 1 < bytes; i++) {
		size_t from = i, to = i + 1;

		if (head[i] != '\n' || !http1_is_blank(head[to]))
			continue;
		from -= head[i - 1] == '\r';
		while (from > 0 && http1_is_blank(head[from - 1]))
			from--;
		while (to < bytes && http1_is_blank(head[to]))
			to++;
		memset(head + from, ' ', to - from);
	}
}

const struct http1_field *http1_next(const struct http1_head *head, const struct http1_field *field,
				     const char *name)
{
	struct bytes wanted = bytes_of_string(name);

	for (unsigned i = field ? (unsigned)(field - head->field) + 1 : 0; i < head->fields; i++) {
		if (bytes_equal_fold(head->field[i].name, wanted))
			return &head->field[i];
	}
	return NULL;
}

const struct http1_field *http1_find(const struct http1_head *head, const char *name)
{
	return http1_next(head, NULL, name);
}

bool http1_next_member(struct bytes *list, struct bytes *member)
{
	bool quoted = false;
	size_t i = 0;

	if (!list->data)
		return false;
	for (; i < list->len && (quoted || list->data[i] != ','); i++) {
		if (list->data[i] == '"')
			quoted = !quoted;
		else if (quoted && list->data[i] == '\\' && i + 1 < list->len)
			i++;
	}
	*member = http1_trim(bytes_first(*list, i));
	*list = i < list->len ? bytes_after(*list, i + 1) : bytes_of(NULL, 0);
	return true;
}
