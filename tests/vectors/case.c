/* Reads vector files: the format stands in case.h. Plain recursive descent over lines; whatever is
 * not understood ends the run, since a vector that is skipped in silence proves nothing. */
#include "case.h"

#include "base/number.h"
#include "driver.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { EXIT_BROKEN = 99, DATA_MOST_BYTES = 64 << 20 };

struct reader {
	const char *path;
	unsigned line;
	char *default_machine;
	struct vector_file file;
};

static _Noreturn void __attribute__((format(printf, 2, 3)))
broken(const struct reader *r, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fprintf(stderr, "%s:%u: ", r->path, r->line);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	exit(EXIT_BROKEN);
}

static void *grow(void *p, size_t count, size_t size)
{
	p = realloc(p, count * size + 1);
	if (!p)
		abort();
	return p;
}

static char *copy_string(const char *s, size_t len)
{
	char *copy = grow(NULL, len + 1, 1);
	memcpy(copy, s, len);
	copy[len] = 0;
	return copy;
}

struct buffer {
	uint8_t *data;
	size_t len;
};

static void buffer_add(const struct reader *r, struct buffer *b, const void *data, size_t len)
{
	if (b->len + len > DATA_MOST_BYTES)
		broken(r, "more than 64 MiB of text");
	b->data = grow(b->data, b->len + len, 1);
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
}

static const char *unescape(const struct reader *r, const char *s, const char *end,
			    struct buffer *into);

/* `N:text}` of a repetition, after its brace; returns what follows the closing brace. */
static const char *unescape_repeat(const struct reader *r, const char *s, const char *end,
				   struct buffer *into)
{
	char *colon;
	unsigned long times = strtoul(s, &colon, 10);
	const char *close = memchr(s, '}', (size_t)(end - s));
	if (!close || *colon != ':')
		broken(r, "\\{N:text} expected");
	struct buffer once = {0};
	unescape(r, colon + 1, close, &once);
	for (unsigned long i = 0; i < times; i++)
		buffer_add(r, into, once.data, once.len);
	free(once.data);
	return close + 1;
}

static const char *unescape_hex(const struct reader *r, const char *s, const char *end,
				struct buffer *into)
{
	if (end - s < 2 || !isxdigit((unsigned char)s[0]) || !isxdigit((unsigned char)s[1]))
		broken(r, "\\x takes two hexadecimal digits");
	const char digits[3] = {s[0], s[1], 0};
	uint8_t byte = (uint8_t)strtoul(digits, NULL, 16);
	buffer_add(r, into, &byte, 1);
	return s + 2;
}

static const char *unescape_one(const struct reader *r, const char *s, const char *end,
				struct buffer *into)
{
	static const char letters[] = "nrt\\\"", meant[] = "\n\r\t\\\"";
	if (s == end)
		broken(r, "a lone \\ at the end");
	if (*s == 'x')
		return unescape_hex(r, s + 1, end, into);
	if (*s == '{')
		return unescape_repeat(r, s + 1, end, into);
	const char *letter = strchr(letters, *s);
	if (!letter)
		broken(r, "no such escape: \\%c", *s);
	buffer_add(r, into, &meant[letter - letters], 1);
	return s + 1;
}

/* All of `s` up to `end` into the buffer. */
static const char *unescape(const struct reader *r, const char *s, const char *end,
			    struct buffer *into)
{
	while (s < end) {
		if (*s == '\\') {
			s = unescape_one(r, s + 1, end, into);
		} else {
			buffer_add(r, into, s, 1);
			s++;
		}
	}
	return s;
}

static struct bytes unescaped(const struct reader *r, const char *s, size_t len)
{
	struct buffer b = {0};
	unescape(r, s, s + len, &b);
	return bytes_of(b.data ? b.data : grow(NULL, 0, 1), b.len);
}

/* The next word of `*s`; empty at the line's end. */
static struct bytes next_word(const char **s)
{
	*s += strspn(*s, " ");
	struct bytes word = bytes_of(*s, strcspn(*s, " "));
	*s += word.len;
	return word;
}

static bool word_is(struct bytes word, const char *name)
{
	return bytes_equal(word, bytes_of_string(name));
}

static char *copy_word(struct bytes word)
{
	return copy_string((const char *)word.data, word.len);
}

/* Words end where the number does: at a space or at the end of a string. */
static uint64_t number_of(const struct reader *r, struct bytes word)
{
	const char *digits = (const char *)word.data;
	char *end;
	errno = 0;
	uint64_t value = strtoull(digits, &end, 0);
	if (word.len == 0 || end != digits + word.len || errno)
		broken(r, "not a number: %.*s", (int)word.len, digits);
	return value;
}

static struct address address_of(const struct reader *r, struct bytes word)
{
	struct address a = {0};
	const char *colon = memrchr(word.data, ':', word.len);
	if (!colon)
		broken(r, "ADDRESS:PORT expected");
	size_t len = (size_t)(colon - (const char *)word.data);
	uint16_t port = (uint16_t)number_of(r, bytes_after(word, len + 1));
	struct bytes ip = bytes_first(word, len);
	if (ip.len > 2 && ip.data[0] == '[' && ip.data[ip.len - 1] == ']')
		ip = bytes_of(ip.data + 1, ip.len - 2);
	if (address_parse_ip(ip, &a))
		broken(r, "not an address: %.*s", (int)ip.len, (const char *)ip.data);
	a.port = port;
	return a;
}

/* 1982-02-22T17:37:43.000000Z into µs since 1970. */
static int64_t wall_of(const struct reader *r, struct bytes word)
{
	const char *s = (const char *)word.data;
	struct tm tm = {0};
	const char *rest = word.len ? strptime(s, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	int micro = 0;
	if (!rest || (*rest == '.' && sscanf(rest, ".%6d", &micro) != 1))
		broken(r, "YYYY-MM-DDTHH:MM:SS.ffffffZ expected");
	return (int64_t)timegm(&tm) * 1000000 + micro;
}

static int error_of(const struct reader *r, struct bytes word)
{
	static const struct {
		const char *name;
		int value;
	} errors[] = {
#define ERR(name, exit_code, text) {"ERR_" #name, ERR_##name},
#include "base/err.def"
#undef ERR
	};
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
		if (word_is(word, errors[i].name))
			return errors[i].value;
	broken(r, "no such error: %.*s", (int)word.len, (const char *)word.data);
}

static struct vector_case *this_case(const struct reader *r)
{
	if (r->file.cases == 0)
		broken(r, "a case begins with == NAME");
	return &r->file.item[r->file.cases - 1];
}

static struct vector_step *add_step(const struct reader *r, enum vector_kind kind)
{
	struct vector_case *c = this_case(r);
	c->step = grow(c->step, c->steps + 1, sizeof *c->step);
	c->step[c->steps] = (struct vector_step){.kind = kind, .line = r->line};
	return &c->step[c->steps++];
}

static void read_case(struct reader *r, const char *name)
{
	static const struct machine none = {0};
	struct driver fallback;
	driver_init(&fallback, &none);
	struct vector_case c = {.line = r->line,
				.name = copy_string(name, strlen(name)),
				.machine = r->default_machine,
				.peer = fallback.peer,
				.now = fallback.now,
				.room_bytes = fallback.room_bytes};
	driver_end(&fallback);
	r->file.item = grow(r->file.item, r->file.cases + 1, sizeof c);
	r->file.item[r->file.cases++] = c;
}

static void read_setting(struct reader *r, const char *s)
{
	struct vector_case *c = this_case(r);
	const char *equals = strchr(s, '=');
	if (!equals)
		broken(r, "KEY=VALUE expected");
	struct bytes value = unescaped(r, equals + 1, strlen(equals + 1));
	c->setting = grow(c->setting, c->settings + 1, sizeof *c->setting);
	c->setting[c->settings++] = (struct vector_setting){copy_string(s, (size_t)(equals - s)),
							    copy_word(value)};
	free((void *)value.data);
}

/* One `KEY WORD` of a case's head; false when `key` is none. */
static bool read_head(struct reader *r, struct bytes key, const char **s)
{
	struct vector_case *c = this_case(r);
	if (word_is(key, "machine")) {
		c->machine = copy_word(next_word(s));
	} else if (word_is(key, "seed")) {
		c->peer.seed[0] = number_of(r, next_word(s));
		c->peer.seed[1] = number_of(r, next_word(s));
	} else if (word_is(key, "wall")) {
		c->now.wall_us = wall_of(r, next_word(s));
	} else if (word_is(key, "offset")) {
		c->now.utc_offset_s = (int32_t)number_of(r, next_word(s));
	} else if (word_is(key, "peer")) {
		c->peer.remote = address_of(r, next_word(s));
	} else if (word_is(key, "local")) {
		c->peer.local = address_of(r, next_word(s));
	} else if (word_is(key, "host")) {
		c->peer.host = copy_word(next_word(s));
	} else if (word_is(key, "room")) {
		c->room_bytes = number_of(r, next_word(s));
	} else if (word_is(key, "loose")) {
		c->loose = true;
	} else {
		return false;
	}
	return true;
}

/* `KIND N0 N1 N2 N3 body`: numbers may be left out from the right, all four stand before a body. */
static void read_message(struct reader *r, struct vector_step *step, const char *s)
{
	step->message.kind = (uint32_t)number_of(r, next_word(&s));
	for (unsigned i = 0; i < 4 && s[strspn(s, " ")]; i++)
		step->message.number[i] = number_of(r, next_word(&s));
	if (*s == ' ')
		s++;
	step->data = unescaped(r, s, strlen(s));
}

static void read_action(struct reader *r, const char *s)
{
	struct bytes word = next_word(&s);
	if (word_is(word, "eof")) {
		add_step(r, VECTOR_EOF);
	} else if (word_is(word, "room")) {
		add_step(r, VECTOR_ROOM);
	} else if (word_is(word, "drain")) {
		add_step(r, VECTOR_DRAIN);
	} else if (word_is(word, "tell")) {
		read_message(r, add_step(r, VECTOR_TELL), s);
	} else if (word_is(word, "tick")) {
		uint64_t ms;
		word = next_word(&s);
		if (word.len < 2 || *word.data != '+' ||
		    number_parse_duration(bytes_after(word, 1), &ms))
			broken(r, "+DURATION expected");
		add_step(r, VECTOR_TICK)->ns = ms * MOMENT_MS;
	} else {
		broken(r, "no such action: %.*s", (int)word.len, (const char *)word.data);
	}
}

/* `name=value` or `name="a value"`; returns what follows it. */
static const char *read_field(struct reader *r, struct vector_step *step, const char *s)
{
	const char *equals = strchr(s, '=');
	if (!equals)
		broken(r, "FIELD=VALUE expected");
	const char *value = equals + 1, *end = value, *next;
	if (*value == '"') {
		end = ++value;
		while (*end && *end != '"')
			end += *end == '\\' && end[1] ? 2 : 1;
		if (!*end)
			broken(r, "a quote is not closed");
		next = end + 1;
	} else {
		next = end = value + strcspn(value, " ");
	}
	step->field = grow(step->field, step->fields + 1, sizeof *step->field);
	step->field[step->fields++] = (struct vector_field){
		copy_string(s, (size_t)(equals - s)), unescaped(r, value, (size_t)(end - value))};
	return next;
}

static void read_event(struct reader *r, const char *s)
{
	struct vector_step *step = add_step(r, VECTOR_EVENT);
	step->type = copy_word(next_word(&s));
	while (s += strspn(s, " "), *s)
		s = read_field(r, step, s);
}

static void read_told(struct reader *r, const char *s)
{
	struct vector_step *step = add_step(r, VECTOR_TOLD);
	struct bytes to = next_word(&s);
	if (word_is(to, "hub"))
		step->to = OUT_HUB;
	else if (word_is(to, "owner"))
		step->to = OUT_OWNER;
	else
		step->to = number_of(r, to);
	read_message(r, step, s);
}

static void read_state(struct reader *r, const char *s)
{
	struct vector_step *step = add_step(r, VECTOR_STATE);
	struct bytes word = next_word(&s);
	if (word_is(word, "open")) {
		step->state = VECTOR_OPEN;
	} else if (word_is(word, "end")) {
		step->state = VECTOR_END;
	} else if (word_is(word, "abort")) {
		step->state = VECTOR_ABORT;
		step->why = error_of(r, next_word(&s));
	} else {
		broken(r, "open, end or abort expected");
	}
}

/* The text behind a mark: all but the one space between them. */
static struct bytes text_behind(const struct reader *r, const char *s)
{
	if (*s == ' ')
		s++;
	return unescaped(r, s, strlen(s));
}

static void read_output(struct reader *r, const char *s)
{
	if (!strcmp(s, "*")) {
		add_step(r, VECTOR_OUTPUT_ANY);
		return;
	}
	bool begins_write = *s == '|';
	struct bytes text = text_behind(r, s + begins_write);
	struct vector_step *step = add_step(r, VECTOR_OUTPUT);
	step->data = text;
	step->begins_write = begins_write;
}

static void read_datagram(struct reader *r, const char *s)
{
	static const char marks[] = "><-";
	static const enum vector_kind kinds[] = {VECTOR_DATAGRAM, VECTOR_ANSWER, VECTOR_SILENCE};
	const char *mark = *s ? strchr(marks, *s) : NULL;
	if (!mark)
		broken(r, "d> d< or d- expected");
	struct bytes text = text_behind(r, s + 1);
	add_step(r, kinds[mark - marks])->data = text;
	this_case(r)->datagrams = true;
}

static void read_words(struct reader *r, const char *s)
{
	if (!strncmp(s, "set ", 4)) {
		read_setting(r, s + 4);
		return;
	}
	while (s[strspn(s, " ")]) {
		struct bytes word = next_word(&s);
		if (!read_head(r, word, &s))
			broken(r, "not understood: %.*s", (int)word.len, (const char *)word.data);
	}
}

static void read_line(struct reader *r, const char *s)
{
	if (!*s || *s == '#')
		return;
	if (!strncmp(s, "== ", 3))
		read_case(r, s + 3);
	else if (*s == '>')
		add_step(r, VECTOR_FEED)->data = text_behind(r, s + 1);
	else if (*s == '<')
		read_output(r, s + 1);
	else if (*s == '.')
		read_action(r, s + 1);
	else if (*s == '!')
		read_event(r, s + 1);
	else if (*s == '~')
		read_told(r, s + 1);
	else if (*s == '=')
		read_state(r, s + 1);
	else if (*s == 'd' && s[1] && strchr("><-", s[1]))
		read_datagram(r, s + 1);
	else
		read_words(r, s);
}

/* The file's name without folder and `.txt`. */
static char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	return copy_string(name, strcspn(name, "."));
}

struct vector_file vector_file_read(const char *path)
{
	struct reader r = {.path = path, .default_machine = base_name(path)};
	FILE *f = fopen(path, "r");
	if (!f)
		broken(&r, "%s", strerror(errno));
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	while ((len = getline(&line, &cap, f)) >= 0) {
		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = 0;
		r.line++;
		read_line(&r, line);
	}
	free(line);
	fclose(f);
	if (r.file.cases == 0)
		broken(&r, "no case");
	return r.file;
}

const char *vector_show(struct bytes b)
{
	enum { SHOWN_BYTES = 400 };
	static char buffer[4][SHOWN_BYTES * 4 + 64];
	static unsigned turn;
	struct text t = TEXT_OVER(buffer[turn++ % 4]);
	text_put_visible(&t, bytes_first(b, SHOWN_BYTES), false);
	if (b.len > SHOWN_BYTES)
		text_printf(&t, " ... (%zu bytes)", b.len);
	return t.data;
}
