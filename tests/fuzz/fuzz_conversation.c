/* A libFuzzer target for TCP put together with HTTP on top: the input is a list of segments.
 *
 *     kind:1     bit 0 the way, bits 1 to 3 FIN SYN RST, bit 4 no ACK, bit 5 another port,
 *                bit 6 it is not taken (lost), bit 7 the number is told
 *     offset:2   with bit 7: of its number from the next one, signed, little-endian
 *     cut:1      with bit 7: bytes that were cut when it was captured
 *     length:2   little-endian, and the bytes */
#include "fuzz_capture.h"

enum { WAY = 1, FIN = 2, SYN = 4, RST = 8, NO_ACK = 16, PORT = 32, LOST = 64, TOLD = 128 };

struct input {
	struct bytes rest;
	struct fuzz_capture f;
	uint32_t seq[2][2]; /* by port and way */
	uint64_t number;
};

static struct bytes take(struct input *in, size_t len)
{
	struct bytes taken = bytes_first(in->rest, len);

	in->rest = bytes_after(in->rest, taken.len);
	return taken;
}

static unsigned take_number(struct input *in, size_t len)
{
	struct bytes b = take(in, len);

	return b.len == 2 ? bytes_get_le16(b.data) : b.len == 1 ? b.data[0] : 0;
}

static void take_segment(struct input *in)
{
	unsigned kind = take_number(in, 1), way = kind & WAY, port = kind & PORT
	? 1 : 0;
	int offset = kind & TOLD ? (int16_t)take_number(in, 2) : 0;
	unsigned cut = kind & TOLD ? take_number(in, 1) : 0;
	struct bytes b = take(in, take_number(in, 2));
	uint8_t *copy = fuzz_copy(b);
	struct address ends[2] = {{.family = ADDRESS_V4, .port = (uint16_t)(1 + port)},
				  {.family = ADDRESS_V4, .port = 80}};
	struct frame frame = {
		.kind = FRAME_TCP,
		.source = ends[way],
		.target = ends[!way],
		.payload = bytes_of(copy + 1, b.len),
		.payload_bytes = b.len + cut,
		.seq = in->seq[port][way] + (uint32_t)offset,
		.ack = in->seq[port][!way],
		.flags = (uint8_t)((kind & FIN ? FRAME_FIN : 0) | (kind & SYN ? FRAME_SYN : 0) |
				   (kind & RST ? FRAME_RST : 0) | (kind & NO_ACK ? 0 : FRAME_ACK)),
	};

	if (!(kind & TOLD))
		in->seq[port][way] += (uint32_t)b.len + (kind & (FIN | SYN) ? 1 : 0);
	in->number++;
	if (!(kind & LOST))
		conversation_take(&in->f.all, &frame, in->number, (int64_t)in->number * 1000000,
				  NULL);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct input in;

	in = (struct input){.rest = bytes_of(data, size),
			    .seq = {{1, UINT32_MAX - 50}, {UINT32_MAX, 7}}};
	fuzz_begin(&in.f);
	while (in.rest.len > 0)
		take_segment(&in);
	fuzz_end(&in.f);
	return 0;
}
