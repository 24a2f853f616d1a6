/* A libFuzzer target for frames: the input is a link type and frames, each `length:2 bytes`, the
 * length little-endian, of which the top bit says that the frame was cut. Each is decoded, told in
 * words, put together from fragments, and TCP goes on to conversations. */
#include "fuzz_capture.h"

enum { CUT = 0x8000, CUT_BYTES = 100, LINE_BYTES = 512 };

static void take_frame(struct fuzz_capture *f, struct fragments *fragments, unsigned link,
		       struct bytes b, bool cut, uint64_t number)
{
	char line[LINE_BYTES];
	struct text t = TEXT_OVER(line);
	struct frame frame;

	frame_decode(&frame, link, b, b.len + (cut ? CUT_BYTES : 0));
	fuzz_expect(frame.payload.len <= frame.payload_bytes);
	frame_put_line(&t, &frame, 0, 0, "bytes");
	for (size_t i = 0; i < t.len; i++)
		fuzz_expect((uint8_t)line[i] >= ' ' && line[i] != 0x7f);
	if (frame.kind == FRAME_FRAGMENT)
		fragment_take(fragments, &frame);
	if (frame.kind == FRAME_TCP)
		conversation_take(&f->all, &frame, number, (int64_t)number * 1000000, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned links[] = {1, 0, 101, 108, 113, 276, 228, 99};
	static struct fragments fragments;
	static struct fuzz_capture f;
	struct bytes rest = bytes_of(data, size);
	unsigned link = size > 0 ? links[data[0] % 8] : 0;

	memset(&fragments, 0, sizeof(fragments));
	fuzz_begin(&f);
	rest = bytes_after(rest, size > 0 ? 1 : 0);
	for (uint64_t number = 1; rest.len >= 2; number++) {
		unsigned len = bytes_get_le16(rest.data);
		struct bytes b = bytes_first(bytes_after(rest, 2), len & ~(unsigned)CUT);
		uint8_t *copy = fuzz_copy(b);

		take_frame(&f, &fragments, link, bytes_of(copy + 1, b.len), (len & CUT) != 0,
			   number);
		free(copy);
		rest = bytes_after(rest, 2 + b.len);
	}
	fuzz_end(&f);
	return 0;
}
