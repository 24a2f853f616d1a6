/* Frames decoded and told in words; each also cut at every byte, in memory of just that size. */
#include "proto/fragment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LINE_BYTES = 512 };

static struct frame decode(unsigned link, struct bytes b, char *line)
{
	struct text t = text_over(line, LINE_BYTES);
	struct frame f;

	frame_decode(&f, link, b, b.len);
	frame_put_line(&t, &f, 0, 0, "bytes");
	return f;
}

/* Whatever stands in memory: the payload lies in the frame, and the line shows no control. */
static void cut_everywhere(unsigned link, struct bytes whole)
{
	for (size_t len = 0; len <= whole.len; len++) {
		uint8_t *copy = malloc(len + 1);
		char line[LINE_BYTES];
		struct frame f;

		assert_non_null(copy);
		memcpy(copy + 1, whole.data, len);
		f = decode(link, bytes_of(copy + 1, len), line);
		assert_true(f.payload.len <= len && f.payload.len <= f.payload_bytes);
		for (const char *c = line; *c != '\0'; c++)
			assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
		free(copy);
	}
}

static void expect(unsigned link, struct bytes b, enum frame_kind kind, const char *expected)
{
	char line[LINE_BYTES];
	struct frame f = decode(link, b, line);

	assert_string_equal(line, expected);
	assert_int_equal(f.kind, kind);
	cut_everywhere(link, b);
}

#define MACS "\x02\0\0\0\0\2\x02\0\0\0\0\1"
#define ALL  "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\1"
#define ENDS "\x0a\0\0\1\x0a\0\0\2"
#define V6                                       \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" \
	"\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
#define UDP4 "\x45\0\0\x21\0\0\0\0\x40\x11\0\0" ENDS "\x10\0\0\x09\0\x0d\0\0hello"
#define TCP4                                                   \
	"\x45\0\0\x2b\0\0\0\0\x40\6\0\0" ENDS                  \
	"\x9c\x40\0\x50\0\0\0\5\0\0\0\7\x50\x19\0\xff\0\0\0\0" \
	"abc"

static void test_lines(void **state)
{
	expect(1,
	       BYTES_LITERAL(ALL "\x08\6\0\1\x08\0\6\4\0\1\x02\0\0\0\0\1\x0a\0\0\1\0\0\0\0\0\0"
				 "\x0a\0\0\2"),
	       FRAME_ARP, "ARP who has 10.0.0.2? tell 10.0.0.1");
	expect(1,
	       BYTES_LITERAL(MACS "\x08\6\0\1\x08\0\6\4\0\2\x02\0\0\0\0\1\x0a\0\0\1\x02\0\0\0\0"
				  "\2\x0a\0\0\2"
				  "padding"),
	       FRAME_ARP, "ARP 10.0.0.1 is at 02:00:00:00:00:01");
	expect(1, BYTES_LITERAL(MACS "\x08\0" UDP4 "padding"), FRAME_UDP, "UDP 4096 > 9, 5 bytes");
	expect(1, BYTES_LITERAL(MACS "\x08\0" TCP4 "padding"), FRAME_TCP,
	       "TCP 40000 > 80 FIN PSH ACK seq 5 ack 7, 3 bytes");
	expect(1, BYTES_LITERAL(MACS "\x81\0\0\5\x81\0\0\6\x08\0" UDP4), FRAME_UDP,
	       "UDP 4096 > 9, 5 bytes");
	expect(101, BYTES_LITERAL(TCP4), FRAME_TCP,
	       "TCP 40000 > 80 FIN PSH ACK seq 5 ack 7, 3 bytes");
	expect(0, BYTES_LITERAL("\2\0\0\0" UDP4), FRAME_UDP, "UDP 4096 > 9, 5 bytes");
	expect(108, BYTES_LITERAL("\0\0\0\2" UDP4), FRAME_UDP, "UDP 4096 > 9, 5 bytes");
	expect(113, BYTES_LITERAL("\0\0\0\1\0\6\0\0\0\0\0\0\0\0\x08\0" UDP4), FRAME_UDP,
	       "UDP 4096 > 9, 5 bytes");
	expect(276, BYTES_LITERAL("\x08\0\0\0\0\0\0\1\0\1\0\6\0\0\0\0\0\0\0\0" UDP4), FRAME_UDP,
	       "UDP 4096 > 9, 5 bytes");
	expect(101, BYTES_LITERAL("\x45\0\0\x1c\0\0\0\0\x40\1\0\0" ENDS "\x08\0\0\0\0\0\0\0"),
	       FRAME_ICMP, "ICMP echo request");
	expect(101,
	       BYTES_LITERAL("\x60\0\0\0\0\x18\x3a\xff" V6 "\x87\0\0\0\0\0\0\0"
			     "\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1"),
	       FRAME_ICMP6, "ICMPv6 neighbour solicitation fe80::1");
	expect(101,
	       BYTES_LITERAL("\x60\0\0\0\0\x15\0\x40" V6 "\x11\0\1\4\0\0\0\0"
			     "\x10\0\0\x09\0\x0d\0\0hello"),
	       FRAME_UDP, "UDP 4096 > 9, 5 bytes");
	expect(101, BYTES_LITERAL("\x45\0\0\x1c\x12\x34\x20\0\x40\1\0\0" ENDS "12345678"),
	       FRAME_FRAGMENT, "IP fragment 0x1234, 8 bytes from 0 on");
	expect(1,
	       BYTES_LITERAL(MACS "\x88\xcc"
				  "abc"),
	       FRAME_OTHER, "type 0x88cc, 3 bytes");
	expect(101, BYTES_LITERAL("\x45\0\0\x18\0\0\0\0\x40\x2f\0\0" ENDS "1234"), FRAME_IP,
	       "IP protocol 47, 4 bytes");
	expect(101, BYTES_LITERAL("\x45\0\0\xff\0\0\0\0\x40\x2f\0\0" ENDS "1234"), FRAME_IP,
	       "IP protocol 47, 4 bytes (malformed)");
	expect(105, BYTES_LITERAL("1234"), FRAME_OTHER, "4 bytes (malformed)");
}

#define DNS_IP "\x45\0\0\0\0\0\0\0\x40\x11\0\0" ENDS "\0\x35\x10\0\0\0\0\0"

static void test_dns(void **state)
{
	expect(101, BYTES_LITERAL(DNS_IP "\x1b\x34\1\0\0\1\0\0\0\0\0\0\3www\1x\0\0\1\0\1"),
	       FRAME_UDP, "DNS query 0x1b34 A www.x");
	expect(101,
	       BYTES_LITERAL(DNS_IP "\0\1\x81\x80\0\1\0\2\0\0\0\0\1x\0\0\1\0\1"
				    "\xc0\x0c\0\5\0\1\0\0\0\0\0\4\1y\xc0\x0c"
				    "\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x0a\0\0\1"),
	       FRAME_UDP, "DNS answer 0x0001 A x: CNAME y.x, 10.0.0.1");
	expect(101, BYTES_LITERAL(DNS_IP "\0\1\x81\x83\0\1\0\0\0\0\0\0\1x\0\0\x1c\0\1"), FRAME_UDP,
	       "DNS answer 0x0001 AAAA x: no such name");
	expect(101, BYTES_LITERAL(DNS_IP "\0\1\1\0\0\1\0\0\0\0\0\0\3\x1b[2\0\0\1\0\1"), FRAME_UDP,
	       "DNS query 0x0001 A \\x1b[2");
	/* a name that points to itself */
	expect(101, BYTES_LITERAL(DNS_IP "\0\1\1\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"), FRAME_UDP,
	       "DNS query 0x0001");
}

static bool fragment(struct fragments *all, struct frame *f, unsigned at, bool more,
		     struct bytes data)
{
	*f = (struct frame){.kind = FRAME_FRAGMENT,
			    .protocol = 17,
			    .source = {.family = ADDRESS_V4},
			    .target = {.family = ADDRESS_V4},
			    .payload = data,
			    .payload_bytes = data.len,
			    .fragment_id = 7,
			    .fragment_at = at,
			    .fragment_more = more};
	return fragment_take(all, f);
}

static void test_fragments(void **state)
{
	static struct fragments all;
	struct frame f;

	assert_false(fragment(&all, &f, 16, false, BYTES_LITERAL("end")));
	assert_false(fragment(&all, &f, 8, true, BYTES_LITERAL("middle..")));
	assert_false(fragment(&all, &f, 8, true, BYTES_LITERAL("liars!!!")));
	assert_true(fragment(&all, &f, 0, true, BYTES_LITERAL("\x10\0\0\x09\0\x13\0\0")));
	assert_int_equal(f.kind, FRAME_UDP);
	assert_int_equal(f.payload.len, 11);
	assert_memory_equal(f.payload.data, "middle..end", 11);

	assert_false(fragment(&all, &f, 0, true, BYTES_LITERAL("1234567")));
	assert_true(f.malformed);
	assert_false(fragment(&all, &f, 65528, false, BYTES_LITERAL("123456789")));
	assert_true(f.malformed);
	/* one unit beyond the end stands for none before it */
	assert_false(fragment(&all, &f, 800, true, BYTES_LITERAL("12345678")));
	assert_false(fragment(&all, &f, 8, false, BYTES_LITERAL("12345678")));
	assert_true(fragment(&all, &f, 0, true, BYTES_LITERAL("\x10\0\0\x09\0\x10\0\0")));
	assert_int_equal(f.payload.len, 8);
}

static void test_fragments_are_bounded(void **state)
{
	static struct fragments all;
	struct frame f;

	for (uint32_t id = 0; id < 3 * FRAGMENT_DATAGRAMS; id++) {
		f = (struct frame){.kind = FRAME_FRAGMENT,
				   .payload = BYTES_LITERAL("12345678"),
				   .payload_bytes = 8,
				   .fragment_id = id,
				   .fragment_more = true};
		assert_false(fragment_take(&all, &f));
	}
	assert_int_equal(all.lost, 2 * FRAGMENT_DATAGRAMS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragments_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
