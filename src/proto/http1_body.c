/* HTTP/1.x bodies as they come in.
 *
 *   5;x=y CRLF  hello CRLF  0 CRLF  Name: value CRLF  CRLF
 *   SIZE  EXT   DATA  CR LF SIZE    NAME  VALUE       END
 *
 *   SIZE ─► SPACE ─► EXTENSION ─► SIZE_LF ─► DATA ─► DATA_CR ─► DATA_LF ─► SIZE
 *                                    └ 0 ─► TRAILER ─► NAME ─► VALUE ─► VALUE_LF ─► TRAILER
 *                                              └─► END_LF ─► done
 *
 * Lines here end in CRLF and nothing less: no person types chunks, and a bare LF in them is what
 * smugglers build on. Extensions and trailers are read over; their bytes are bounded, and trailers
 * must be fields.
 *
 * Source: RFC 9112 6 and 7.1. */
#include "proto/http1_parts.h"
#include "base/number.h"

enum http1_body_state {
	BODY_SIZE,  /* its first digit */
	BODY_SIZES, /* its other digits */
	BODY_SPACE,
	BODY_EXTENSION,
	BODY_SIZE_LF,
	BODY_DATA,
	BODY_DATA_CR,
	BODY_DATA_LF,
	BODY_TRAILER, /* the first byte of a line */
	BODY_NAME,
	BODY_VALUE,
	BODY_VALUE_LF,
	BODY_END_LF,
};

void http1_body_begin(struct http1_body *body, const struct http1_head *head)
{
	*body = (struct http1_body){.framing = head->framing};
	if (head->framing == HTTP1_LENGTH)
		body->left = head->length;
	body->done = head->framing == HTTP1_NO_BODY ||
		     (head->framing == HTTP1_LENGTH && body->left == 0);
}

static void http1_body_refuse(struct http1_body *body, unsigned status, const char *why)
{
	http1_refuse(&body->refusal, status, why);
	body->bad = true;
}

/* The line before a chunk, up to its CR. */
static void http1_size_byte(struct http1_body *body, uint8_t c)
{
	bool digit = http1_class[c] & HTTP1_HEX;

	if (digit && body->state <= BODY_SIZES) {
		if (body->left >> 59 != 0)
			http1_body_refuse(body, 413, N_("a chunk of 2^63 bytes or more"));
		body->left = body->left << 4 | (uint64_t)number_hex(c);
		body->state = BODY_SIZES;
	} else if (body->state == BODY_SIZE) {
		http1_body_refuse(body, 400, N_("a chunk without its size"));
	} else if (c == '\r') {
		body->state = BODY_SIZE_LF;
	} else if (body->state == BODY_EXTENSION) {
		if (!http1_is_clean(bytes_of(&c, 1)))
			http1_body_refuse(body, 400, N_("a control character before a chunk"));
	} else if (c == ';') {
		body->state = BODY_EXTENSION;
	} else if (c == ' ' || c == '\t') {
		body->state = BODY_SPACE;
	} else {
		http1_body_refuse(body, 400, N_("a chunk size that is not just digits"));
	}
	if (++body->line_bytes > HTTP1_CHUNK_BYTES)
		http1_body_refuse(body, 400, N_("a line before a chunk longer than its limit"));
}

/* After the last chunk: fields, an empty line. */
static void http1_trailer_byte(struct http1_body *body, uint8_t c)
{
	bool token = http1_class[c] & HTTP1_TOKEN;

	if (body->state == BODY_TRAILER && c == '\r')
		body->state = BODY_END_LF;
	else if (body->state != BODY_VALUE && token)
		body->state = BODY_NAME;
	else if (body->state == BODY_NAME && c == ':')
		body->state = BODY_VALUE;
	else if (body->state == BODY_VALUE && c == '\r')
		body->state = BODY_VALUE_LF;
	else if (body->state != BODY_VALUE || !http1_is_clean(bytes_of(&c, 1)))
		http1_body_refuse(body, 400, N_("a trailer that is no field"));
	if (++body->trailer_bytes > HTTP1_TRAILER_BYTES)
		http1_body_refuse(body, 431, N_("trailers longer than their limit"));
}

static void http1_expect(struct http1_body *body, uint8_t c, uint8_t wanted, uint8_t next)
{
	if (c == wanted)
		body->state = next;
	else if (body->state == BODY_DATA_CR || body->state == BODY_DATA_LF)
		http1_body_refuse(body, 400, N_("a chunk longer than its size"));
	else
		http1_body_refuse(body, 400, N_("a CR without its LF"));
}

/* A byte that is not content. */
static void http1_chunk_byte(struct http1_body *body, uint8_t c)
{
	switch (body->state) {
	case BODY_SIZE_LF:
		http1_expect(body, c, '\n', body->left > 0 ? BODY_DATA : BODY_TRAILER);
		body->line_bytes = 0;
		break;
	case BODY_DATA_CR:
		http1_expect(body, c, '\r', BODY_DATA_LF);
		break;
	case BODY_DATA_LF:
		http1_expect(body, c, '\n', BODY_SIZE);
		break;
	case BODY_VALUE_LF:
		http1_expect(body, c, '\n', BODY_TRAILER);
		break;
	case BODY_END_LF:
		http1_expect(body, c, '\n', BODY_END_LF);
		body->done = !body->bad;
		break;
	case BODY_TRAILER:
	case BODY_NAME:
	case BODY_VALUE:
		http1_trailer_byte(body, c);
		break;
	default:
		http1_size_byte(body, c);
		break;
	}
}

static struct bytes http1_content(struct http1_body *body, struct bytes in)
{
	struct bytes content = in;

	if (body->framing != HTTP1_UNTIL_END) {
		content.len = body->left < in.len ? (size_t)body->left : in.len;
		body->left -= content.len;
	}
	body->content_bytes += content.len;
	return content;
}

static size_t http1_chunks_take(struct http1_body *body, struct bytes in, struct bytes *content)
{
	size_t taken = 0;

	while (taken < in.len && body->state != BODY_DATA && !body->done) {
		http1_chunk_byte(body, in.data[taken]);
		if (body->bad)
			return taken;
		taken++;
	}
	if (body->state == BODY_DATA) {
		*content = http1_content(body, bytes_after(in, taken));
		taken += content->len;
		if (body->left == 0)
			body->state = BODY_DATA_CR;
	}
	return taken;
}

size_t http1_body_take(struct http1_body *body, struct bytes in, struct bytes *content)
{
	*content = bytes_of(NULL, 0);
	if (body->done || body->bad || in.len == 0)
		return 0;
	if (body->framing == HTTP1_CHUNKED)
		return http1_chunks_take(body, in, content);
	*content = http1_content(body, in);
	body->done = body->framing == HTTP1_LENGTH && body->left == 0;
	return content->len;
}

bool http1_body_end(struct http1_body *body)
{
	body->done |= body->framing == HTTP1_UNTIL_END;
	return body->done;
}
