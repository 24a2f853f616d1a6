/* The telnet filter, its input cut everywhere, in buffers of exactly the size its contract asks
 * for. */
#include "proto/telnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ALL_BYTES = 65536 };

/* What a filter made of several pieces. */
struct made {
	struct telnet telnet;
	uint8_t data[ALL_BYTES], reply[ALL_BYTES];
	size_t data_len, reply_len;
};

static void receive(struct made *m, struct bytes piece)
{
	uint8_t *data = malloc(piece.len + 1), *reply = malloc(piece.len + 2);
	struct telnet_made made;

	assert_true(data && reply);
	made = telnet_receive(&m->telnet, piece, data, reply);
	assert_true(made.data_len <= piece.len);
	assert_true(made.reply_len <= piece.len + 2);
	memcpy(m->data + m->data_len, data, made.data_len);
	memcpy(m->reply + m->reply_len, reply, made.reply_len);
	m->data_len += made.data_len;
	m->reply_len += made.reply_len;
	free(data);
	free(reply);
}

static void send_piece(struct made *m, struct bytes piece)
{
	uint8_t *data = malloc(2 * piece.len + 1);
	size_t len;

	assert_non_null(data);
	len = telnet_send(&m->telnet, piece, data);
	assert_true(len <= 2 * piece.len + 1);
	memcpy(m->data + m->data_len, data, len);
	m->data_len += len;
	free(data);
}

typedef void filter(struct made *m, struct bytes piece);

static void expect(filter *run, struct bytes in, size_t cut, struct bytes data, struct bytes reply)
{
	static struct made m;

	m = (struct made){0};
	if (cut == 0) {
		for (size_t i = 0; i < in.len; i++)
			run(&m, bytes_of(in.data + i, 1));
	} else {
		run(&m, bytes_first(in, cut));
		run(&m, bytes_after(in, bytes_first(in, cut).len));
	}
	assert_int_equal(m.data_len, data.len);
	assert_memory_equal(m.data, data.data, data.len);
	assert_int_equal(m.reply_len, reply.len);
	assert_memory_equal(m.reply, reply.data, reply.len);
}

/* Cut at every place, whole, and a byte at a time. */
static void expect_received(struct bytes in, struct bytes data, struct bytes reply)
{
	for (size_t cut = 0; cut <= in.len; cut++)
		expect(receive, in, cut, data, reply);
}

static void expect_sent(struct bytes in, struct bytes data)
{
	for (size_t cut = 0; cut <= in.len; cut++)
		expect(send_piece, in, cut, data, BYTES_LITERAL(""));
}

#define RECEIVED(in, data, reply) \
	expect_received(BYTES_LITERAL(in), BYTES_LITERAL(data), BYTES_LITERAL(reply))
#define SENT(in, data) expect_sent(BYTES_LITERAL(in), BYTES_LITERAL(data))

static void test_text_passes(void **state)
{
	RECEIVED("bonjour\r\n", "bonjour\r\n", "");
	RECEIVED("été \x01\x7f\x80\xfe", "été \x01\x7f\x80\xfe", "");
	RECEIVED("a\xff\xff"
		 "b\xff\xff\xff\xff",
		 "a\xff"
		 "b\xff\xff",
		 "");
}

static void test_nul_after_cr_is_dropped(void **state)
{
	RECEIVED("a\r\0b\0c\r\r\0\0", "a\rb\0c\r\r\0", "");
	RECEIVED("\r\xff\xf1\0x", "\rx", "");
}

static void test_options_are_refused(void **state)
{
	RECEIVED("\xff\xfb\x01", "", "\xff\xfe\x01");
	RECEIVED("\xff\xfd\x18", "", "\xff\xfc\x18");
	RECEIVED("\xff\xfb\xff\xff\xfd\xff", "", "\xff\xfe\xff\xff\xfc\xff");
	RECEIVED("login\xff\xfd\x18\xff\xfd\x20: \xff\xfb\x03x", "login: x",
		 "\xff\xfc\x18\xff\xfc\x20\xff\xfe\x03");
}

static void test_refusals_are_not_answered(void **state)
{
	RECEIVED("\xff\xfc\x01\xff\xfe\x18x", "x", "");
}

static void test_commands_are_dropped(void **state)
{
	RECEIVED("a\xff\xf1"
		 "b\xff\xf9"
		 "c\xff\xf0"
		 "d\xff\xf6"
		 "e\xff\x01"
		 "f",
		 "abcdef", "");
}

static void test_subnegotiations_are_skipped(void **state)
{
	RECEIVED("a\xff\xfa\x18\x01\xff\xf0"
		 "b",
		 "ab", "");
	RECEIVED("a\xff\xfa\x18"
		 "x\xff\xff\xf0y\xff\xf0"
		 "b",
		 "ab", "");
	RECEIVED("a\xff\xfa\x18x\xff\xfb\x01"
		 "b",
		 "ab", "\xff\xfe\x01");
	RECEIVED("a\xff\xfa\x18x\xff\xfay\xff\xf0"
		 "b",
		 "ab", "");
}

/* One without end: given up after TELNET_SUBNEGOTIATION_BYTES, the rest is text. */
static void test_subnegotiations_are_bounded(void **state)
{
	static uint8_t in[3 + TELNET_SUBNEGOTIATION_BYTES + 4] = {'a', 0xff, 0xfa};

	memset(in + 3, 'x', sizeof in - 3);
	memcpy(in + sizeof in - 4, "fini", 4);
	expect_received(bytes_of(in, sizeof in), BYTES_LITERAL("afini"), BYTES_LITERAL(""));
	memset(in + 3, 0xff, sizeof in - 3);
	memcpy(in + sizeof in - 4, "fini", 4);
	expect_received(bytes_of(in, sizeof in), BYTES_LITERAL("afini"), BYTES_LITERAL(""));
}

static void test_what_is_sent_is_escaped(void **state)
{
	SENT("bonjour\n", "bonjour\r\n");
	SENT("bonjour\r\n\n", "bonjour\r\n\r\n");
	SENT("a\rb\r\r\nc", "a\r\0b\r\0\r\nc");
	SENT("\xff", "\xff\xff");
	SENT("a\xff\r\xff\n", "a\xff\xff\r\0\xff\xff\r\n");
	SENT("été\0", "été\0");
}

/* Every byte that is no line end arrives as it was sent, through two filters, at every cut. */
static void test_every_byte_crosses(void **state)
{
	static struct made sent;
	uint8_t in[255];

	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)(i < '\n' ? i : i + 1);
	sent = (struct made){0};
	send_piece(&sent, bytes_of(in, sizeof in));
	expect_received(bytes_of(sent.data, sent.data_len), bytes_of(in, sizeof in),
			BYTES_LITERAL(""));
}

/* Whatever a peer sends, a filter like this one at its side has nothing to answer to our replies.
 */
static void test_two_filters_never_loop(void **state)
{
	static struct made near, far;
	uint8_t in[4096];

	srand(1);
	near = far = (struct made){0};
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (uint8_t)(rand() % 3 ? 240 + rand() % 16 : rand());
	receive(&near, bytes_of(in, sizeof in));
	assert_true(near.reply_len > 0);
	receive(&far, bytes_of(near.reply, near.reply_len));
	assert_int_equal(far.reply_len, 0);
	assert_int_equal(far.data_len, 0);
}

/* Noise makes the same of itself however it is cut. */
static void test_noise_is_cut_anywhere(void **state)
{
	uint8_t in[96];

	srand(2);
	for (unsigned round = 0; round < 2000; round++) {
		static struct made whole;

		for (size_t i = 0; i < sizeof in; i++)
			in[i] = (uint8_t)(rand() % 3 ? 239 + rand() % 17 : rand() % 16);
		whole = (struct made){0};
		receive(&whole, bytes_of(in, sizeof in));
		for (size_t cut = 0; cut <= sizeof in; cut += 5)
			expect(receive, bytes_of(in, sizeof in), cut,
			       bytes_of(whole.data, whole.data_len),
			       bytes_of(whole.reply, whole.reply_len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_passes),
		cmocka_unit_test(test_nul_after_cr_is_dropped),
		cmocka_unit_test(test_options_are_refused),
		cmocka_unit_test(test_refusals_are_not_answered),
		cmocka_unit_test(test_commands_are_dropped),
		cmocka_unit_test(test_subnegotiations_are_skipped),
		cmocka_unit_test(test_subnegotiations_are_bounded),
		cmocka_unit_test(test_what_is_sent_is_escaped),
		cmocka_unit_test(test_every_byte_crosses),
		cmocka_unit_test(test_two_filters_never_loop),
		cmocka_unit_test(test_noise_is_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
