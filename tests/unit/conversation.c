/* Conversations with HTTP on top: the same however the bytes are cut, with little memory, and with
 * more of them than there is room for. */
#include "proto/conversation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SAID_BYTES = 65536 };

static const struct conversation_limits few = {
	.conversations = 4, .exchanges = 8, .small_blocks = 16, .large_blocks = 2};

struct trial {
	struct conversations all;
	void *memory;
	unsigned exchanges;
	uint64_t frames;
	uint32_t seq[2];
	char said[SAID_BYTES]; /* a line an exchange */
	struct text text;
};

static void put_message(struct text *t, const struct exchange_message *m)
{
	text_put_byte(t, '[');
	if (m->present) {
		text_put_visible(t, m->line, false);
		text_printf(t, "|%lu+%lu %s%s", (unsigned long)m->content_bytes,
			    (unsigned long)m->missing_bytes, m->whole ? "whole" : "torn",
			    m->fault != NULL ? "!" : "");
	}
	text_put_byte(t, ']');
}

static void take_exchange(void *owner, struct exchange *e)
{
	struct trial *t = owner;

	t->exchanges++;
	put_message(&t->text, &e->message[HTTP1_REQUEST]);
	put_message(&t->text, &e->message[HTTP1_RESPONSE]);
	text_put_byte(&t->text, '\n');
}

static void begin(struct trial *t, const struct conversation_limits *limits)
{
	struct conversation_sink sink = {.exchange = {.exchange = take_exchange, .owner = t}};

	*t = (struct trial){.seq = {100, UINT32_MAX - 30}};
	t->text = TEXT_OVER(t->said);
	t->memory = aligned_alloc(64, (conversation_bytes(limits) + 63) & ~63ul);
	assert_non_null(t->memory);
	memset(t->memory, 0, conversation_bytes(limits));
	conversation_begin(&t->all, t->memory, limits, 1, &sink);
}

static void end(struct trial *t)
{
	conversation_end(&t->all);
	assert_int_equal(t->all.blocks.taken, 0);
	assert_int_equal(t->all.memory.exchanges.taken, 0);
	assert_int_equal(t->all.memory.small.taken, 0);
	assert_int_equal(t->all.memory.large.taken, 0);
	free(t->memory);
}

static void send_as(struct trial *t, uint16_t port, unsigned way, unsigned flags, struct bytes data)
{
	struct address client = {.family = ADDRESS_V4, .ip = {10, 0, 0, 1}, .port = port};
	struct address server = {.family = ADDRESS_V4, .ip = {10, 0, 0, 2}, .port = 80};
	struct frame f = {.kind = FRAME_TCP,
			  .source = way == 0 ? client : server,
			  .target = way == 0 ? server : client,
			  .payload = data,
			  .payload_bytes = data.len,
			  .seq = t->seq[way],
			  .ack = t->seq[!way],
			  .flags = (uint8_t)flags};

	t->frames++;
	t->seq[way] += (uint32_t)data.len + (flags & (FRAME_SYN | FRAME_FIN) ? 1 : 0);
	conversation_take(&t->all, &f, t->frames, (int64_t)t->frames, NULL);
}

static void send(struct trial *t, unsigned way, unsigned flags, struct bytes data)
{
	send_as(t, 40000, way, flags, data);
}

/* In pieces of `step` bytes, each in memory of just that size. */
static void say(struct trial *t, unsigned way, const char *text, size_t step)
{
	struct bytes rest = bytes_of_string(text);

	while (rest.len > 0) {
		struct bytes piece = bytes_first(rest, step);
		uint8_t *copy = malloc(piece.len);

		assert_non_null(copy);
		memcpy(copy, piece.data, piece.len);
		send(t, way, FRAME_ACK, bytes_of(copy, piece.len));
		free(copy);
		rest = bytes_after(rest, piece.len);
	}
}

struct talk {
	const char *request, *response, *said;
};

#define R "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

static const struct talk talks[] = {
	{R, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	 "[GET / HTTP/1.1|0+0 whole][HTTP/1.1 200 OK|2+0 whole]\n"},
	{R R, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil",
	 "[GET / HTTP/1.1|0+0 whole][HTTP/1.1 204 No|0+0 whole]\n"
	 "[GET / HTTP/1.1|0+0 whole][HTTP/1.0 200 OK|5+0 whole]\n"},
	{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	 "3\r\nabc\r\n0\r\n\r\n\r\n" R,
	 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\nA: b\r\n\r\n"
	 "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	 "[POST / HTTP/1.1|3+0 whole][HTTP/1.1 200 OK|1+0 whole]\n"
	 "[GET / HTTP/1.1|0+0 whole][HTTP/1.1 404 Not Found|0+0 whole]\n"},
	{"GET / HTTP/1.0\n\n", "HTTP/1.0 200 OK\nContent-Length: 9\n\nshort",
	 "[GET / HTTP/1.0|0+0 whole][HTTP/1.0 200 OK|5+0 torn]\n"},
	{"GET / HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n",
	 "[GET / HTTP/1.1|0+0 torn!][HTTP/1.1 400 No|0+0 whole]\n"},
	{"HELO x\r\n", "220 x\r\n", ""},
	{"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" R, "HTTP/1.1 200 OK\r\n\r\n" R,
	 "[CONNECT a:1 HTTP/1.1|0+0 whole][HTTP/1.1 200 OK|0+0 whole]\n"
	 "[GET / HTTP/1.1|0+0 whole][]\n"},
};

static void run(struct trial *t, const struct talk *talk, size_t step)
{
	begin(t, &few);
	send(t, 0, FRAME_SYN, (struct bytes){0});
	send(t, 1, FRAME_SYN | FRAME_ACK, (struct bytes){0});
	say(t, 0, talk->request, step);
	say(t, 1, talk->response, step);
	send(t, 1, FRAME_FIN | FRAME_ACK, (struct bytes){0});
	send(t, 0, FRAME_FIN | FRAME_ACK, (struct bytes){0});
	end(t);
}

static void test_cuts(void **state)
{
	static struct trial t;

	for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++)
		for (size_t step = 1; step < 200; step += step < 80 ? 1 : 40) {
			run(&t, &talks[i], step);
			if (strcmp(t.said, talks[i].said) != 0)
				print_error("talk %zu, pieces of %zu\n", i, step);
			assert_string_equal(t.said, talks[i].said);
		}
}

/* Each response's bytes but those of one piece, for every piece. */
static void test_gaps(void **state)
{
	static struct trial t;
	const char *response = talks[2].response;
	size_t len = strlen(response);

	for (size_t gap = 0; gap + 3 < len; gap++) {
		begin(&t, &few);
		send(&t, 1, FRAME_SYN | FRAME_ACK, (struct bytes){0});
		say(&t, 0, talks[2].request, 1000);
		if (gap > 0)
			send(&t, 1, FRAME_ACK, bytes_of(response, gap));
		t.seq[1] += 3;
		send(&t, 1, FRAME_ACK, bytes_of(response + gap + 3, len - gap - 3));
		send(&t, 0, FRAME_ACK, (struct bytes){0});
		end(&t);
		assert_in_range(t.exchanges, 2, 3);
	}
}

/* More of everything than there is room for: nothing is lost silently, nothing leaks. */
static void test_limits(void **state)
{
	static struct trial t;

	begin(&t, &few);
	for (uint16_t port = 1; port <= 40; port++) {
		t.seq[0] = t.seq[1] = port;
		send_as(&t, port, 0, FRAME_SYN, (struct bytes){0});
		send_as(&t, port, 0, FRAME_ACK, BYTES_LITERAL(R));
	}
	assert_int_equal(t.all.forced, 36);
	for (unsigned i = 0; i < 100; i++)
		send_as(&t, 40, 0, FRAME_ACK, BYTES_LITERAL(R));
	assert_true(t.all.memory.lost > 0);
	end(&t);
	assert_true(t.exchanges + t.all.memory.lost >= 140);
}

static void test_look(void **state)
{
	static const struct {
		const char *text;
		enum exchange_look look;
	} cases[] = {
		{"", EXCHANGE_NONE},
		{"G", EXCHANGE_PERHAPS},
		{"GET", EXCHANGE_PERHAPS},
		{"GET /", EXCHANGE_PERHAPS},
		{"GET / HTTP/1.1\r\n", EXCHANGE_REQUEST},
		{"\r\nGET / HTTP/1.1\r\n", EXCHANGE_REQUEST},
		{"BREW pot HTTP/1.0\n", EXCHANGE_REQUEST},
		{"GET /\n", EXCHANGE_REQUEST},
		{"BREW /\n", EXCHANGE_NONE},
		{"get / HTTP/1.1\r\n", EXCHANGE_NONE},
		{"OPTIONS sip:a SIP/2.0\r\n", EXCHANGE_NONE},
		{"PRI * HTTP/2.0\r\n", EXCHANGE_NONE},
		{"HTTP", EXCHANGE_PERHAPS},
		{"HTTP/1.", EXCHANGE_PERHAPS},
		{"HTTP/1.1 2", EXCHANGE_RESPONSE},
		{"HTTP/2", EXCHANGE_NONE},
		{"HEAD / HTTP/1.1\n", EXCHANGE_REQUEST},
		{"\r\n", EXCHANGE_PERHAPS},
		{"\x16\x03\x01", EXCHANGE_NONE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (exchange_look(bytes_of_string(cases[i].text)) != cases[i].look)
			fail_msg("'%s'", cases[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
