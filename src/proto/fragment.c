/* Fragments, in units of eight bytes: a bit for each that is here. All but the last fragment are
 * whole units long, so a datagram is whole when its end is known and every unit is here. */
#include "proto/fragment.h"

static bool is_of(const struct fragment_datagram *d, const struct frame *f)
{
	return d->taken && d->id == f->fragment_id && d->protocol == f->protocol &&
	       address_equal_ip(&d->source, &f->source) && address_equal_ip(&d->target, &f->target);
}

/* Its place, or a free one, or that of the one that was left alone for longest. */
static struct fragment_datagram *find(struct fragments *all, const struct frame *f)
{
	struct fragment_datagram *oldest = &all->datagram[0];

	for (unsigned i = 0; i < FRAGMENT_DATAGRAMS; i++) {
		struct fragment_datagram *d = &all->datagram[i];

		if (is_of(d, f))
			return d;
		if (!d->taken || (oldest->taken && d->last_used < oldest->last_used))
			oldest = d;
	}
	all->lost += oldest->taken;
	memset(oldest->here, 0, sizeof(oldest->here));
	oldest->source = f->source;
	oldest->target = f->target;
	oldest->id = f->fragment_id;
	oldest->protocol = f->protocol;
	oldest->bytes = 0;
	oldest->units = 0;
	oldest->taken = true;
	return oldest;
}

/* Copies those units that are not here yet. */
static void copy(struct fragment_datagram *d, size_t at, struct bytes b)
{
	while (b.len > 0) {
		struct bytes unit = bytes_first(b, FRAGMENT_UNIT_BYTES);
		uint64_t *word = &d->here[at / FRAGMENT_UNIT_BYTES / 64];
		uint64_t bit = 1ull << at / FRAGMENT_UNIT_BYTES % 64;

		if (!(*word & bit)) {
			*word |= bit;
			d->units++;
			memcpy(d->data + at, unit.data, unit.len);
		}
		at += FRAGMENT_UNIT_BYTES;
		b = bytes_after(b, unit.len);
	}
}

/* Whether every unit of the whole is here: one beyond its end, from a fragment that lies, is no
 * part of it. */
static bool is_whole(const struct fragment_datagram *d)
{
	size_t units = (d->bytes + FRAGMENT_UNIT_BYTES - 1) / FRAGMENT_UNIT_BYTES;

	if (d->bytes == 0 || d->units < units)
		return false;
	for (size_t i = 0; i < units; i++)
		if (!(d->here[i / 64] & 1ull << i % 64))
			return false;
	return true;
}

bool fragment_take(struct fragments *all, struct frame *f)
{
	struct fragment_datagram *d;

	if (f->payload.len < f->payload_bytes || f->payload.len == 0 ||
	    f->fragment_at + f->payload.len > FRAGMENT_BYTES ||
	    (f->fragment_more && f->payload.len % FRAGMENT_UNIT_BYTES != 0)) {
		f->malformed = true;
		return false;
	}
	d = find(all, f);
	d->last_used = ++all->uses;
	copy(d, f->fragment_at, f->payload);
	if (!f->fragment_more)
		d->bytes = f->fragment_at + f->payload.len;
	if (!is_whole(d))
		return false;
	d->taken = false;
	frame_decode_whole(f, bytes_of(d->data, d->bytes));
	return true;
}
