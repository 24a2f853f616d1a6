/* The reader of proto/http1.h behind stdin and stdout, for http1_cross.py. Numbers are 4 bytes,
 * little-endian; a string is its length and its bytes.
 *
 *   in:   side (0 requests, 1 responses), method, cut, input
 *                                 read `cut` bytes at a time; 0: whole
 *   out:  'H' minor status keep, method or reason, target, fields, name and value of each
 *         'B' content             once a message is whole
 *         'E' end, 'L' within a message, 'R' refused, why
 *                                 ends the answer
 *
 * A message that is not to be followed by another one ends the input. */
#include "proto/http1.h"

#include <stdio.h>
#include <stdlib.h>

static void get(void *into, size_t len)
{
	if (fread(into, 1, len, stdin) != len)
		exit(2);
}

static uint32_t get_number(void)
{
	uint8_t le[4];

	get(le, sizeof(le));
	return bytes_get_le32(le);
}

static uint8_t *memory(size_t len)
{
	uint8_t *p = malloc(len + 1);

	if (!p)
		exit(2);
	return p;
}

static struct bytes get_string(void)
{
	uint32_t len = get_number();
	uint8_t *p = memory(len);

	get(p, len);
	return bytes_of(p, len);
}

static void put_number(uint32_t value)
{
	uint8_t le[4];

	bytes_put_le32(le, value);
	fwrite(le, 1, sizeof(le), stdout);
}

static void put_string(struct bytes b)
{
	put_number((uint32_t)b.len);
	if (b.len > 0)
		fwrite(b.data, 1, b.len, stdout);
}

static void put_head(const struct http1_head *head)
{
	putchar('H');
	put_number(head->minor);
	put_number(head->side == HTTP1_RESPONSE ? head->status : 0);
	put_number(head->keep_alive);
	put_string(head->side == HTTP1_RESPONSE ? head->reason : head->method);
	put_string(head->side == HTTP1_RESPONSE ? bytes_of(NULL, 0) : head->target);
	put_number(head->fields);
	for (unsigned i = 0; i < head->fields; i++) {
		put_string(head->field[i].name);
		put_string(head->field[i].value);
	}
}

static void put_refusal(const struct http1_refusal *refusal)
{
	putchar('R');
	put_string(bytes_of_string(refusal->why));
}

/* The input, and how much of it came. */
struct wire {
	struct bytes all;
	size_t came, taken, cut;
};

static struct bytes wire_offers(const struct wire *w)
{
	return bytes_after(bytes_first(w->all, w->came), w->taken);
}

static bool wire_more(struct wire *w)
{
	size_t left = w->all.len - w->came;

	w->came += w->cut > 0 && w->cut < left ? w->cut : left;
	return left > 0;
}

/* In memory of its exact size, so that ASan sees a read beyond. */
static int64_t parse(struct wire *w, enum http1_side side, struct bytes method,
		     struct http1_head *head, size_t *seen)
{
	static uint8_t *exact;
	struct http1_refusal refusal;
	struct bytes in = wire_offers(w);
	int64_t parsed;

	free(exact);
	exact = malloc(in.len + !in.len);
	if (!exact)
		exit(2);
	if (in.len > 0)
		memcpy(exact, in.data, in.len);
	parsed = http1_parse(head, side, bytes_of(exact, in.len), seen, method, NULL, &refusal);
	if (parsed < 0)
		put_refusal(&refusal);
	return parsed;
}

/* Whether it came whole; else said why. */
static bool read_body(struct wire *w, const struct http1_head *head)
{
	uint8_t *content = memory(w->all.len);
	struct http1_body body;
	struct bytes piece;
	size_t len = 0;

	http1_body_begin(&body, head);
	do {
		size_t took;

		while ((took = http1_body_take(&body, wire_offers(w), &piece)) > 0) {
			w->taken += took;
			if (piece.len > 0)
				memcpy(content + len, piece.data, piece.len);
			len += piece.len;
		}
	} while (!body.done && !body.bad && wire_more(w));
	if (body.bad) {
		put_refusal(&body.refusal);
	} else if (http1_body_end(&body)) {
		putchar('B');
		put_string(bytes_of(content, len));
	} else {
		putchar('L');
	}
	free(content);
	return body.done;
}

/* Nothing but empty lines. */
static bool is_blank(struct bytes b)
{
	return b.len == 0 || (bytes_strip(b).len == 0 && b.data[b.len - 1] == '\n');
}

/* Reads one message; whether another may follow. */
static bool read_message(struct wire *w, enum http1_side side, struct bytes method)
{
	static struct http1_head head;
	size_t seen = 0;
	int64_t parsed;

	do
		parsed = parse(w, side, method, &head, &seen);
	while (parsed == 0 && wire_more(w));
	if (parsed < 0)
		return false;
	if (parsed == 0) {
		putchar(is_blank(wire_offers(w)) ? 'E' : 'L');
		return false;
	}
	w->taken += (size_t)parsed;
	put_head(&head);
	if (!read_body(w, &head))
		return false;
	if (!head.keep_alive)
		putchar('E');
	return head.keep_alive;
}

int main(void)
{
	for (;;) {
		int first = getchar();
		enum http1_side side;
		struct bytes method;
		struct wire w = {0};

		if (first == EOF)
			return 0;
		ungetc(first, stdin);
		side = get_number() ? HTTP1_RESPONSE : HTTP1_REQUEST;
		method = get_string();
		w.cut = get_number();
		w.all = get_string();
		while (read_message(&w, side, method))
			continue;
		fflush(stdout);
		free((void *)(uintptr_t)method.data);
		free((void *)(uintptr_t)w.all.data);
	}
}
