/* A libFuzzer target for the machine that -DMACHINE names: the input is a list of verbs.
 *
 *     op  arguments                            what is done
 *     0   len:2 bytes                          feed
 *     1                                        eof
 *     2   ms:4                                 time moves on, deadlines tick
 *     3                                        room, if the machine asked for it
 *     4   kind:1 number:8 x 4 len:2 bytes      tell
 *     5   len:2 bytes                          a datagram
 *     6   len:1 name len:1 value               a setting            only before the first of 0 to 5
 *     7   bytes:4                              what out_room says   only before the first of 0 to 5
 *     8   wall:8                               µs since 1970        only before the first of 0 to 5
 *     9   seed:8 x 2                           peer.seed            only before the first of 0 to 5
 *
 * Numbers are little-endian; an op is taken modulo ten, and what the input lacks is zero. A list
 * whose first verb is a datagram is a socket's, any other a connection's. seeds.py writes and shows
 * such lists.
 *
 * The driver watches the rules of machine.h. Unless the machine is `chunk`, a second one is fed the
 * same in small pieces, and must say the same and end the same. */
#include "driver.h"

#include <stdio.h>
#include <stdlib.h>

#define MACHINE_NAME_OF(name) name##_machine
#define MACHINE_NAME(name)    MACHINE_NAME_OF(name)

extern const struct machine MACHINE_NAME(MACHINE);

enum op {
	OP_FEED,
	OP_EOF,
	OP_TICK,
	OP_ROOM,
	OP_TELL,
	OP_DATAGRAM,
	OP_SETTING,
	OP_ROOM_BYTES,
	OP_WALL,
	OP_SEED,
	OPS,
};

enum { TICK_MOST_MS = 60000, COMPARED_MOST_BYTES = 4096 };

struct input {
	struct bytes rest;
	uint64_t cuts; /* state of the generator of cuts */
	bool begun, datagrams, twice;
	struct driver whole, cut;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes take(struct input *in, size_t len)
{
	struct bytes taken = bytes_first(in->rest, len);
	in->rest = bytes_after(in->rest, taken.len);
	return taken;
}

static uint64_t take_number(struct input *in, size_t len)
{
	struct bytes b = take(in, len);
	uint64_t value = 0;
	for (size_t i = b.len; i-- > 0;)
		value = value << 8 | b.data[i];
	return value;
}

/* A string of its own, of at most 255 bytes. */
static void take_string(struct input *in, char into[256])
{
	struct bytes b = take(in, take_number(in, 1));
	memcpy(into, b.data ? (const char *)b.data : "", b.len);
	into[b.len] = 0;
}

static void check(const struct driver *d)
{
	if (!d->fault)
		return;
	fprintf(stderr, "fault: %s\n", d->fault);
	abort();
}

/* Both drivers' machines said the same since the last op, and stand the same. */
static void compare(struct input *in)
{
	check(&in->whole);
	check(&in->cut);
	if (in->twice && (!bytes_equal(in->whole.output, in->cut.output) ||
			  in->whole.ended != in->cut.ended || in->whole.why != in->cut.why)) {
		fprintf(stderr,
			"output depends on how input was cut: %zu bytes, end %d, why %d;"
			" cut: %zu bytes, end %d, why %d\n",
			in->whole.output.len, in->whole.ended, in->whole.why, in->cut.output.len,
			in->cut.ended, in->cut.why);
		abort();
	}
	driver_forget(&in->whole);
	driver_forget(&in->cut);
}

static void feed_pieces(struct input *in, struct bytes b)
{
	while (b.len > 0) {
		in->cuts = in->cuts * 6364136223846793005 + 1442695040888963407;
		size_t len = 1 + (in->cuts >> 33) % 7;
		driver_feed(&in->cut, bytes_first(b, len));
		b = bytes_after(b, len < b.len ? len : b.len);
	}
}

static void do_feed(struct input *in)
{
	struct bytes b = take(in, take_number(in, 2));
	driver_feed(&in->whole, b);
	if (in->twice)
		feed_pieces(in, b);
}

static void do_tick(struct input *in)
{
	uint64_t ns = take_number(in, 4) % TICK_MOST_MS * MOMENT_MS;
	driver_advance(&in->whole, ns);
	if (in->twice)
		driver_advance(&in->cut, ns);
}

static void do_tell(struct input *in)
{
	struct message message = {.kind = (uint32_t)take_number(in, 1)};
	for (unsigned i = 0; i < 4; i++)
		message.number[i] = take_number(in, 8);
	message.body = take(in, take_number(in, 2));
	driver_tell(&in->whole, &message);
	if (in->twice)
		driver_tell(&in->cut, &message);
}

/* A socket knows datagrams and time, a connection all else. */
static void do_verb(struct input *in, enum op op)
{
	if (op == OP_DATAGRAM) {
		struct bytes b = take(in, take_number(in, 2));
		if (in->datagrams)
			driver_datagram(&in->whole, b);
	} else if (op == OP_TICK) {
		do_tick(in);
	} else if (in->datagrams) {
		return;
	} else if (op == OP_FEED) {
		do_feed(in);
	} else if (op == OP_TELL) {
		do_tell(in);
	} else if (op == OP_EOF) {
		driver_eof(&in->whole);
		driver_eof(&in->cut);
	} else if (op == OP_ROOM) {
		driver_room(&in->whole);
		driver_room(&in->cut);
	}
}

static void do_setting(struct input *in)
{
	char name[256], value[256];
	take_string(in, name);
	take_string(in, value);
	if (in->begun)
		return;
	driver_set(&in->whole, name, value);
	driver_set(&in->cut, name, value);
}

/* What stands before the first verb; later it is read over. */
static void do_head(struct input *in, enum op op)
{
	if (op == OP_SETTING) {
		do_setting(in);
		return;
	}
	uint64_t a = take_number(in, op == OP_ROOM_BYTES ? 4 : 8);
	uint64_t b = op == OP_SEED ? take_number(in, 8) : 0;
	struct driver *both[] = {&in->whole, &in->cut};
	for (unsigned i = 0; i < 2 && !in->begun; i++) {
		if (op == OP_ROOM_BYTES)
			both[i]->room_bytes = a % (4 * DRIVER_ROOM_BYTES);
		else if (op == OP_WALL)
			both[i]->now.wall_us = (int64_t)a / 4; /* clocks end somewhere */
		else
			memcpy(both[i]->peer.seed, (uint64_t[2]){a, b}, sizeof both[i]->peer.seed);
	}
}

static void begin(struct input *in, enum op first)
{
	in->begun = true;
	in->datagrams = first == OP_DATAGRAM;
	if (in->datagrams) {
		in->twice = false;
		return;
	}
	driver_open(&in->whole);
	driver_open(&in->cut);
	compare(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct input in;
	const struct machine *machine = &MACHINE_NAME(MACHINE);

	in = (struct input){.rest = bytes_of(data, size), .cuts = size};
	in.twice = !machine->chunk && size <= COMPARED_MOST_BYTES;
	driver_init(&in.whole, machine);
	driver_init(&in.cut, machine);
	while (in.rest.len > 0) {
		enum op op = take_number(&in, 1) % OPS;
		if (op >= OP_SETTING) {
			do_head(&in, op);
			continue;
		}
		if (!in.begun)
			begin(&in, op);
		do_verb(&in, op);
		compare(&in);
	}
	driver_end(&in.whole);
	driver_end(&in.cut);
	return 0;
}
