/* What waits for the settler. Each (directory, name) is there once; which line it stands in says
 * when its turn comes. Items and pieces are handed out from the front of their arrays, so that
 * memory is touched as it is used.
 *
 * Limits: as many items as settle_bytes was asked for. A name of more than SETTLE_ITEM_NAME bytes
 * takes pieces, of which there are little more than items: with long names fewer fit. */
#include "proto/settle_parts.h"

enum { PIECES_MORE = 64 };

static size_t rounded(size_t bytes)
{
	return (bytes + 15) & ~(size_t)15;
}

static uint32_t slots_of(uint32_t hints)
{
	uint32_t slots = 16;

	while (slots < hints)
		slots *= 2;
	return slots;
}

size_t settle_queue_bytes(uint32_t hints)
{
	return rounded(slots_of(hints) * sizeof(uint32_t)) +
	       rounded((hints + SETTLE_LINES + 1) * sizeof(struct settle_item)) +
	       rounded((hints + PIECES_MORE + 1) * sizeof(struct settle_piece));
}

void settle_queue_init(struct settle_queue *q, void *memory, uint32_t hints)
{
	uint8_t *at = memory;

	*q = (struct settle_queue){
		.slots = slots_of(hints),
		.items = hints,
		.pieces = hints + PIECES_MORE,
		/* Whoever makes names in a watched tree must not know where they fall. */
		.key = (uint64_t)(uintptr_t)memory * 0x9e3779b97f4a7c15u,
	};
	q->table = (uint32_t *)(void *)at;
	at += rounded(q->slots * sizeof(uint32_t));
	q->item = (struct settle_item *)(void *)at;
	at += rounded((hints + SETTLE_LINES + 1) * sizeof(struct settle_item));
	q->piece = (struct settle_piece *)(void *)at;
	settle_queue_clear(q);
}

/* Heads of lines are items 1 to SETTLE_LINES; item 0 is none. */
static uint32_t head_of(enum settle_line line)
{
	return 1 + (uint32_t)line;
}

void settle_queue_clear(struct settle_queue *q)
{
	memset(q->table, 0, q->slots * sizeof(uint32_t));
	for (uint32_t line = 0; line < SETTLE_LINES; line++) {
		uint32_t head = head_of(line);

		q->item[head] = (struct settle_item){.next = head, .previous = head};
	}
	q->used = q->passes = q->deeps = 0;
	q->item_free = q->piece_free = 0;
	q->item_fresh = SETTLE_LINES + 1;
	q->piece_fresh = 1;
}

uint64_t settle_hash(const struct settle_queue *q, uint64_t directory, struct bytes name)
{
	uint64_t h = (directory ^ q->key) * 0xff51afd7ed558ccdu, word;

	for (; name.len >= 8; name = bytes_after(name, 8)) {
		h = (h ^ bytes_get_le64(name.data)) * 0xc4ceb9fe1a85ec53u;
		h ^= h >> 29;
	}
	word = name.len;
	for (size_t i = 0; i < name.len; i++)
		word = word << 8 | name.data[i];
	h = (h ^ word) * 0xc4ceb9fe1a85ec53u;
	h ^= h >> 32;
	h *= 0x9e3779b97f4a7c15u;
	return h ^ h >> 29;
}

static uint32_t *slot_of(struct settle_queue *q, uint64_t directory, struct bytes name)
{
	return &q->table[settle_hash(q, directory, name) & (q->slots - 1)];
}

/* Names. */

static uint32_t piece_take(struct settle_queue *q)
{
	uint32_t p = q->piece_free;

	if (p != 0)
		q->piece_free = q->piece[p].next;
	else if (q->piece_fresh <= q->pieces)
		p = q->piece_fresh++;
	return p;
}

static void pieces_give(struct settle_queue *q, uint32_t p)
{
	while (p != 0) {
		uint32_t next = q->piece[p].next;

		q->piece[p].next = q->piece_free;
		q->piece_free = p;
		p = next;
	}
}

/* False: there are no pieces left. */
static bool name_keep(struct settle_queue *q, struct settle_item *item, struct bytes name)
{
	struct bytes part = bytes_first(name, SETTLE_ITEM_NAME);
	uint32_t *link = &item->piece;

	item->len = (uint8_t)name.len;
	item->piece = 0;
	if (part.len > 0)
		memcpy(item->name, part.data, part.len);
	for (name = bytes_after(name, part.len); name.len > 0; name = bytes_after(name, part.len)) {
		uint32_t p = piece_take(q);

		if (p == 0) {
			pieces_give(q, item->piece);
			return false;
		}
		part = bytes_first(name, SETTLE_PIECE_NAME);
		memcpy(q->piece[p].name, part.data, part.len);
		q->piece[p].next = 0;
		*link = p;
		link = &q->piece[p].next;
	}
	return true;
}

static bool name_is(const struct settle_queue *q, const struct settle_item *item, struct bytes name)
{
	struct bytes part = bytes_first(name, SETTLE_ITEM_NAME);

	if (item->len != name.len || (part.len > 0 && memcmp(item->name, part.data, part.len) != 0))
		return false;
	name = bytes_after(name, part.len);
	for (uint32_t p = item->piece; p != 0; p = q->piece[p].next) {
		part = bytes_first(name, SETTLE_PIECE_NAME);
		if (memcmp(q->piece[p].name, part.data, part.len) != 0)
			return false;
		name = bytes_after(name, part.len);
	}
	return true;
}

void settle_queue_place(const struct settle_queue *q, uint32_t i, struct settle_place *at)
{
	const struct settle_item *item = &q->item[i];
	size_t done = item->len < SETTLE_ITEM_NAME ? item->len : SETTLE_ITEM_NAME;

	at->directory = item->directory;
	at->len = item->len;
	memcpy(at->name, item->name, done);
	for (uint32_t p = item->piece; p != 0; p = q->piece[p].next) {
		size_t part = item->len - done;

		part = part < SETTLE_PIECE_NAME ? part : SETTLE_PIECE_NAME;
		memcpy(at->name + done, q->piece[p].name, part);
		done += part;
	}
	at->name[item->len] = '\0';
}

/* Lines. */

static void line_enter(struct settle_queue *q, uint32_t i, enum settle_line line)
{
	struct settle_item *item = q->item;
	uint32_t head = head_of(line), last = item[head].previous;

	item[i].line = (uint8_t)line;
	item[i].next = head;
	item[i].previous = last;
	item[last].next = i;
	item[head].previous = i;
}

static void line_leave(struct settle_queue *q, uint32_t i)
{
	struct settle_item *item = q->item;

	item[item[i].previous].next = item[i].next;
	item[item[i].next].previous = item[i].previous;
}

uint32_t settle_queue_first(const struct settle_queue *q, enum settle_line line)
{
	uint32_t head = head_of(line), first = q->item[head].next;

	return first == head ? 0 : first;
}

/* Items. */

uint32_t settle_queue_find(struct settle_queue *q, uint64_t directory, struct bytes name)
{
	uint32_t i = *slot_of(q, directory, name);

	while (i != 0 && (q->item[i].directory != directory || !name_is(q, &q->item[i], name)))
		i = q->item[i].chain;
	return i;
}

static uint32_t item_take(struct settle_queue *q)
{
	uint32_t i = q->item_free;

	if (q->used == q->items)
		return 0;
	if (i != 0)
		q->item_free = q->item[i].next;
	else
		i = q->item_fresh++;
	return i;
}

static void item_give(struct settle_queue *q, uint32_t i)
{
	q->item[i].next = q->item_free;
	q->item_free = i;
}

uint32_t settle_queue_add(struct settle_queue *q, enum settle_line line, uint64_t directory,
			  struct bytes name)
{
	uint32_t *slot = slot_of(q, directory, name), i = item_take(q);

	if (i == 0)
		return 0;
	q->item[i] = (struct settle_item){.directory = directory};
	if (!name_keep(q, &q->item[i], name)) {
		item_give(q, i);
		return 0;
	}
	q->item[i].chain = *slot;
	*slot = i;
	q->used++;
	line_enter(q, i, line);
	return i;
}

void settle_queue_mark(struct settle_queue *q, uint32_t i, unsigned marks)
{
	unsigned anew = marks & ~(unsigned)q->item[i].marks;

	q->item[i].marks |= (uint8_t)marks;
	q->passes += (anew & SETTLE_PASS) != 0;
	q->deeps += (anew & SETTLE_DEEP) != 0;
}

void settle_queue_move(struct settle_queue *q, uint32_t i, enum settle_line line)
{
	line_leave(q, i);
	line_enter(q, i, line);
}

void settle_queue_free(struct settle_queue *q, uint32_t i)
{
	struct settle_item *item = &q->item[i];
	struct settle_place at;
	uint32_t *link;

	settle_queue_place(q, i, &at);
	link = slot_of(q, at.directory, settle_name(&at));
	while (*link != i)
		link = &q->item[*link].chain;
	*link = item->chain;
	line_leave(q, i);
	pieces_give(q, item->piece);
	q->passes -= (item->marks & SETTLE_PASS) != 0;
	q->deeps -= (item->marks & SETTLE_DEEP) != 0;
	q->used--;
	item_give(q, i);
}

/* What the settler asks of itself. */

static unsigned with_pass(const struct settle *s, unsigned marks)
{
	return s->passing ? marks | SETTLE_PASS : marks;
}

void settle_push(struct settle *s, const struct settle_place *at, unsigned flags, unsigned marks)
{
	struct settle_queue *q = &s->queue;
	uint32_t i = settle_queue_find(q, at->directory, settle_name(at));

	if (i == 0)
		i = settle_queue_add(q, SETTLE_NOW, at->directory, settle_name(at));
	else
		marks &= ~(unsigned)SETTLE_LINKED;
	if (i == 0) {
		s->overflowed = true;
		return;
	}
	if (q->item[i].line == SETTLE_WAITING)
		settle_queue_move(q, i, SETTLE_NOW);
	q->item[i].flags |= (uint8_t)flags;
	if (marks & SETTLE_LINKED)
		q->item[i].due_ns = (uint64_t)s->now.wall_us;
	settle_queue_mark(q, i, with_pass(s, marks));
}

void settle_push_list(struct settle *s, uint64_t directory, unsigned marks)
{
	struct settle_queue *q = &s->queue;
	uint32_t i = settle_queue_find(q, directory, (struct bytes){0});

	if (i == 0)
		i = settle_queue_add(q, SETTLE_LISTS, directory, (struct bytes){0});
	if (i == 0)
		s->overflowed = true;
	else
		settle_queue_mark(q, i, with_pass(s, marks));
}
