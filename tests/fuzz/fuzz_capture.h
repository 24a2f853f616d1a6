/* What the two fuzz targets of captures share: a table of conversations with little memory, whose
 * reports are held to their contracts. */
#ifndef FUZZ_CAPTURE_H
#define FUZZ_CAPTURE_H

#include "proto/conversation.h"
#include "proto/fragment.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct conversation_limits fuzz_limits = {
	.conversations = 3, .exchanges = 8, .small_blocks = 24, .large_blocks = 2};

struct fuzz_capture {
	struct conversations all;
	void *memory;
	uint64_t content[2]; /* of those under way and before */
	uint64_t reported[2];
};

static inline void fuzz_expect(bool holds)
{
	if (!holds)
		abort();
}

static inline bool fuzz_lies_in(struct bytes part, struct bytes whole)
{
	return part.len == 0 ||
	       (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static inline void fuzz_exchange(void *owner, struct exchange *e)
{
	struct fuzz_capture *f = owner;

	fuzz_expect(e->message[0].present || e->message[1].present);
	for (unsigned side = 0; side < 2; side++) {
		const struct exchange_message *m = &e->message[side];

		fuzz_expect(fuzz_lies_in(m->line, m->head) && fuzz_lies_in(m->type, m->head) &&
			    fuzz_lies_in(m->authority, m->head) &&
			    fuzz_lies_in(m->coding, m->head));
		fuzz_expect(!m->whole || (m->done && m->fault == NULL && m->missing_bytes == 0));
		fuzz_expect(m->content_bytes <= m->body_bytes);
		fuzz_expect(m->content_bytes + m->missing_bytes <= m->body_bytes ||
			    m->fault != NULL);
		fuzz_expect(m->frame <= m->last_frame);
		f->reported[side] += m->content_bytes;
	}
}

static inline void fuzz_content(void *owner, struct exchange *e, enum http1_side side,
				struct bytes content)
{
	struct fuzz_capture *f = owner;

	fuzz_expect(e->message[side].present && content.len > 0);
	f->content[side] += content.len;
}

static inline void fuzz_run(void *owner, const struct conversation *c, unsigned way,
			    const struct reassembly_run *run)
{
	fuzz_expect((run->data.len > 0) != (run->missing > 0) && way < 2);
	fuzz_expect(run->data.len == 0 || memchr(run->data.data, 256 + 'x', 1) != run);
}

static inline void fuzz_begin(struct fuzz_capture *f)
{
	struct conversation_sink sink = {
		.exchange = {.exchange = fuzz_exchange, .content = fuzz_content, .owner = f},
		.run = fuzz_run,
		.owner = f};

	*f = (struct fuzz_capture){.memory = calloc(1, conversation_bytes(&fuzz_limits))};
	fuzz_expect(f->memory != NULL);
	conversation_begin(&f->all, f->memory, &fuzz_limits, 1, &sink);
}

static inline void fuzz_end(struct fuzz_capture *f)
{
	conversation_end(&f->all);
	fuzz_expect(f->all.blocks.taken == 0 && f->all.memory.exchanges.taken == 0 &&
		    f->all.memory.small.taken == 0 && f->all.memory.large.taken == 0);
	fuzz_expect(f->content[0] == f->reported[0] && f->content[1] == f->reported[1]);
	free(f->memory);
}

/* A copy of just that size, so that the sanitizer sees every step too far. */
static inline uint8_t *fuzz_copy(struct bytes b)
{
	uint8_t *copy = malloc(b.len + 1);

	fuzz_expect(copy != NULL);
	memcpy(copy + 1, b.len > 0 ? b.data : (const uint8_t *)"", b.len);
	return copy;
}

#endif
