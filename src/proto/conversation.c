/* The table of conversations: hashed chains, and two lists by age, those that live and those that
 * are over. One that is over stays for a while, since late acknowledgements still belong to it. */
#include "proto/conversation.h"

enum { OVER_MOST = 256, ALIGNMENT = 64 };

/* Whose runs they are. */
struct way {
	struct conversations *all;
	struct conversation *c;
	unsigned way;
};

static size_t aligned(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static size_t bucket_count(const struct conversation_limits *limits)
{
	size_t count = 16;

	while (count < limits->conversations)
		count *= 2;
	return count;
}

size_t conversation_bytes(const struct conversation_limits *limits)
{
	return aligned(bucket_count(limits) * sizeof(struct conversation *)) +
	       limits->conversations * aligned(sizeof(struct conversation)) +
	       limits->exchanges * aligned(sizeof(struct exchange)) +
	       limits->small_blocks * EXCHANGE_SMALL_BYTES +
	       limits->large_blocks * EXCHANGE_LARGE_BYTES;
}

void conversation_begin(struct conversations *all, void *memory,
			const struct conversation_limits *limits, uint64_t seed,
			const struct conversation_sink *sink)
{
	uint8_t *at = memory;

	*all = (struct conversations){.sink = *sink, .seed = seed, .bucket = memory};
	all->bucket_mask = bucket_count(limits) - 1;
	at += aligned(bucket_count(limits) * sizeof(struct conversation *));
	blocks_init(&all->blocks, at, aligned(sizeof(struct conversation)), limits->conversations);
	at += limits->conversations * aligned(sizeof(struct conversation));
	blocks_init(&all->memory.exchanges, at, aligned(sizeof(struct exchange)),
		    limits->exchanges);
	at += limits->exchanges * aligned(sizeof(struct exchange));
	blocks_init(&all->memory.small, at, EXCHANGE_SMALL_BYTES, limits->small_blocks);
	at += limits->small_blocks * EXCHANGE_SMALL_BYTES;
	blocks_init(&all->memory.large, at, EXCHANGE_LARGE_BYTES, limits->large_blocks);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	return x ^ x >> 32;
}

static uint64_t hash_end(uint64_t seed, const struct address *a)
{
	return mix(mix(seed ^ bytes_get_le64(a->ip)) ^ bytes_get_le64(a->ip + 8) ^
		   (uint64_t)a->port << 48);
}

/* The same for both directions. */
static uint64_t hash_of(uint64_t seed, const struct frame *f)
{
	return hash_end(seed, &f->source) + hash_end(seed, &f->target);
}

static bool is_end(const struct address *a, const struct address *b)
{
	return a->port == b->port && a->family == b->family && memcmp(a->ip, b->ip, 16) == 0;
}

/* Which way of `c` the frame goes; 2 when it is none of its. */
static unsigned way_of(const struct conversation *c, const struct frame *f)
{
	if (is_end(&f->source, &c->talk.end[0]) && is_end(&f->target, &c->talk.end[1]))
		return 0;
	return is_end(&f->source, &c->talk.end[1]) && is_end(&f->target, &c->talk.end[0]) ? 1 : 2;
}

static void unlink_age(struct conversations *all, struct conversation *c)
{
	struct conversation **newest = c->over ? &all->over_newest : &all->newest;
	struct conversation **oldest = c->over ? &all->over_oldest : &all->oldest;

	*(c->newer != NULL ? &c->newer->older : newest) = c->older;
	*(c->older != NULL ? &c->older->newer : oldest) = c->newer;
}

static void link_newest(struct conversations *all, struct conversation *c)
{
	struct conversation **newest = c->over ? &all->over_newest : &all->newest;
	struct conversation **oldest = c->over ? &all->over_oldest : &all->oldest;

	c->newer = NULL;
	c->older = *newest;
	*(c->older != NULL ? &c->older->newer : oldest) = c;
	*newest = c;
}

static void take_run(void *owner, const struct reassembly_run *run)
{
	struct way *w = owner;
	struct conversations *all = w->all;

	if (all->sink.run != NULL)
		all->sink.run(all->sink.owner, w->c, w->way, run);
	exchange_take(&w->c->talk, &all->memory, &all->sink.exchange, w->way, run);
}

/* All that is known of it was said. */
static void finish(struct conversations *all, struct conversation *c)
{
	for (unsigned i = 0; i < 2; i++) {
		struct way w = {all, c, i};
		struct reassembly_sink sink = {take_run, &w};

		reassembly_flush(&c->way[i], &all->memory.small, all->frame, all->time_ns, &sink);
		if (c->way[i].ended)
			exchange_end(&c->talk, &all->memory, &all->sink.exchange, i, true);
	}
	exchange_finish(&c->talk, &all->memory, &all->sink.exchange);
}

static void set_over(struct conversations *all, struct conversation *c)
{
	if (c->over)
		return;
	finish(all, c);
	unlink_age(all, c);
	c->over = true;
	link_newest(all, c);
	all->over++;
}

static void forget(struct conversations *all, struct conversation *c)
{
	struct conversation **link = &all->bucket[c->hash & all->bucket_mask];

	if (!c->over)
		finish(all, c);
	else
		all->over--;
	while (*link != c)
		link = &(*link)->chain;
	*link = c->chain;
	unlink_age(all, c);
	blocks_give(&all->blocks, c);
}

static void *make_place(struct conversations *all)
{
	void *place = NULL;

	if (all->over < OVER_MOST)
		place = blocks_take(&all->blocks);
	if (place != NULL)
		return place;
	if (all->over_oldest != NULL)
		forget(all, all->over_oldest);
	else if (all->oldest != NULL) {
		all->forced++;
		forget(all, all->oldest);
	}
	return blocks_take(&all->blocks);
}

static struct conversation *add(struct conversations *all, const struct frame *f, uint64_t hash)
{
	struct conversation *c = make_place(all);
	struct conversation **link = &all->bucket[hash & all->bucket_mask];

	if (c == NULL)
		return NULL;
	*c = (struct conversation){.hash = hash, .chain = *link};
	*link = c;
	c->talk.number = ++all->count;
	c->talk.end[0] = f->source;
	c->talk.end[1] = f->target;
	link_newest(all, c);
	return c;
}

/* A SYN that begins another conversation between the same ends. */
static bool is_another(const struct conversation *c, unsigned way, const struct frame *f)
{
	const struct reassembly *r = &c->way[way];

	if ((f->flags & (FRAME_SYN | FRAME_ACK)) != FRAME_SYN)
		return false;
	return r->begun ? r->base != f->seq + 1 : c->over;
}

static struct conversation *find(struct conversations *all, const struct frame *f, unsigned *way)
{
	uint64_t hash = hash_of(all->seed, f);
	struct conversation *c = all->bucket[hash & all->bucket_mask];

	*way = 0;
	for (; c != NULL; c = c->chain) {
		if (c->hash != hash)
			continue;
		*way = way_of(c, f);
		if (*way < 2)
			break;
	}
	if (c != NULL && is_another(c, *way, f)) {
		forget(all, c);
		c = NULL;
	}
	if (c == NULL) {
		*way = 0;
		return add(all, f, hash);
	}
	if (!c->over && c != all->newest) {
		unlink_age(all, c);
		link_newest(all, c);
	}
	return c;
}

static enum reassembly_order take_data(struct conversations *all, struct conversation *c,
				       unsigned way, uint32_t first, const struct frame *f)
{
	struct way w = {all, c, way};
	struct reassembly_sink sink = {take_run, &w};
	struct reassembly_segment segment = {
		.seq = first,
		.data = f->payload,
		.bytes = f->payload_bytes,
		.ack = f->ack,
		.frame = all->frame,
		.time_ns = all->time_ns,
	};

	return reassembly_put(&c->way[way], &all->memory.small, &segment, &sink);
}

static void take_ack(struct conversations *all, struct conversation *c, unsigned way, uint32_t ack)
{
	struct way w = {all, c, way};
	struct reassembly_sink sink = {take_run, &w};

	if (c->way[way].next != ack)
		reassembly_acknowledge(&c->way[way], &all->memory.small, ack, all->time_ns, &sink);
}

static void tell_ends(struct conversations *all, struct conversation *c)
{
	for (unsigned i = 0; i < 2; i++) {
		if (!c->way[i].ended || c->told[i])
			continue;
		c->told[i] = true;
		exchange_end(&c->talk, &all->memory, &all->sink.exchange, i, true);
	}
	if (c->told[0] && c->told[1])
		set_over(all, c);
}

static enum reassembly_order take_segment(struct conversations *all, struct conversation *c,
					  unsigned way, const struct frame *f)
{
	uint32_t first = f->seq + (f->flags & FRAME_SYN ? 1 : 0);
	enum reassembly_order order = REASSEMBLY_IN_ORDER;

	if (f->flags & FRAME_SYN && !c->way[way].begun)
		reassembly_begin(&c->way[way], first, true);
	if (f->flags & FRAME_ACK)
		take_ack(all, c, !way, f->ack);
	if (f->payload_bytes > 0 && !(f->flags & FRAME_RST)) /* that of a RST is talk */
		order = take_data(all, c, way, first, f);
	if (f->flags & FRAME_FIN)
		reassembly_finish(&c->way[way], first + (uint32_t)f->payload_bytes);
	if (c->way[0].ended || c->way[1].ended)
		tell_ends(all, c);
	if (f->flags & FRAME_RST)
		set_over(all, c);
	return order;
}

static void fill_view(struct conversation_view *view, const struct conversation *c, unsigned way,
		      enum reassembly_order order)
{
	*view = (struct conversation_view){.number = c->talk.number, .order = order};
	for (unsigned i = 0; i < 2; i++) {
		const struct reassembly *r = &c->way[i == 0 ? way : !way];

		view->begun[i] = r->begun;
		view->base[i] = r->base - 1;
	}
}

void conversation_take(struct conversations *all, const struct frame *f, uint64_t frame,
		       int64_t time_ns, struct conversation_view *view)
{
	unsigned way;
	struct conversation *c;
	enum reassembly_order order = REASSEMBLY_IN_ORDER;

	all->frame = frame;
	all->time_ns = time_ns;
	c = find(all, f, &way);
	if (c == NULL)
		return;
	if (!c->over)
		order = take_segment(all, c, way, f);
	if (view != NULL)
		fill_view(view, c, way, order);
}

void conversation_end(struct conversations *all)
{
	while (all->oldest != NULL)
		forget(all, all->oldest);
	while (all->over_oldest != NULL)
		forget(all, all->over_oldest);
}
