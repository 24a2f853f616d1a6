/* The holder of one machine in a test: see driver.h. The rules it keeps are those of
 * proto/machine.h; where it finds one broken it says so in `fault` and stops. */
#include "driver.h"

#include "furnish.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
	TICKS_MOST = 100000,        /* deadlines within one driver_advance */
	ROUNDS_MOST = 100000,       /* calls of `room` until one step has settled */
	OUTPUT_SLACK_BYTES = 65536, /* what one call may say beyond out_room and twice its input */
};

static void *grow(void *p, size_t count, size_t size)
{
	p = realloc(p, count * size > 0 ? count * size : 1);
	if (!p)
		abort();
	return p;
}

/* The same of what grows to many: it has a place for twice as many each time it is full, or each
 * one more would cost a copy of all. What a machine reads ends where it ends, for a sanitizer. */
static void *grow_by(void *p, size_t count, size_t more, size_t size)
{
	size_t room = 64, needed = 64;
	while (room < count)
		room *= 2;
	while (needed < count + more)
		needed *= 2;
	return p && room == needed ? p : grow(p, needed, size);
}

static uint8_t *copy_of(const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	if (!copy)
		abort();
	if (len)
		memcpy(copy, data, len);
	return copy;
}

void driver_init(struct driver *d, const struct machine *machine)
{
	static const uint8_t loopback[4] = {127, 0, 0, 1};
	*d = (struct driver){
		.machine = machine,
		.peer = {.remote = {.family = ADDRESS_V4, .port = 40000},
			 .local = {.family = ADDRESS_V4, .port = 7777},
			 .id = 1000,
			 .seed = {1, 2}},
		.now = {.boot_ns = 1000 * MOMENT_S, .wall_us = 1767225600000000},
		.room_bytes = DRIVER_ROOM_BYTES,
		.deadline_ns = MOMENT_NEVER,
	};
	memcpy(d->peer.remote.ip, loopback, sizeof loopback);
	memcpy(d->peer.local.ip, loopback, sizeof loopback);
	d->state = calloc(1, machine->state_bytes ? machine->state_bytes : 1);
	if (!d->state)
		abort();
	if (machine->settings) {
		d->settings = calloc(1, machine->settings_bytes);
		if (!d->settings)
			abort();
		option_defaults(machine->settings, d->settings);
		d->peer.settings = d->settings;
	}
}

int driver_set(struct driver *d, const char *key, const char *value)
{
	const struct option *row = NULL;
	if (d->machine->settings)
		row = option_find(d->machine->settings, key, strlen(key));
	if (!row)
		return ERR_USAGE;
	char *kept = (char *)copy_of(value, strlen(value) + 1);
	d->kept = grow(d->kept, d->kept_count + 1, sizeof *d->kept);
	d->kept[d->kept_count++] = kept;
	return option_set(row, d->settings, kept);
}

static bool over(const struct driver *d)
{
	return d->ended || d->fault;
}

static void output_add(struct driver *d, const uint8_t *data, size_t len)
{
	uint8_t *all = grow_by((void *)d->output.data, d->output.len, len, 1);
	if (len)
		memcpy(all + d->output.len, data, len);
	d->output = bytes_of(all, d->output.len + len);
}

static void output_add_file(struct driver *d, const struct out_segment *s)
{
	uint8_t block[4096];
	for (size_t done = 0; done < s->len;) {
		size_t want = s->len - done < sizeof block ? s->len - done : sizeof block;
		ssize_t n = pread(s->handle, block, want, (off_t)(s->offset + done));
		if (n <= 0) {
			d->fault = "a file segment cannot be read";
			return;
		}
		output_add(d, block, (size_t)n);
		done += (size_t)n;
	}
}

static void write_begins(struct driver *d)
{
	if (d->writes && d->write[d->writes - 1] == d->output.len)
		return;
	d->write = grow_by(d->write, d->writes, 1, sizeof *d->write);
	d->write[d->writes++] = d->output.len;
}

/* The bytes of a call on a connection, and how many there were. */
static size_t gather_stream(struct driver *d)
{
	size_t before = d->output.len;
	write_begins(d);
	for (unsigned i = 0; i < d->out.segments; i++) {
		const struct out_segment *s = &d->out.segment[i];
		if (s->kind == OUT_FLUSH)
			write_begins(d);
		else if (s->kind == OUT_FILE)
			output_add_file(d, s);
		else
			output_add(d, s->data, s->len);
	}
	return d->output.len - before;
}

static void datagram_add(struct driver *d, struct bytes all)
{
	if (all.len > DRIVER_DATAGRAM_BYTES)
		d->fault = "a datagram is longer than UDP carries";
	d->datagram = grow(d->datagram, d->datagrams + 1, sizeof *d->datagram);
	d->datagram[d->datagrams++] = all;
}

/* The bytes of a call on a socket: one datagram a run of them, up to a flush. */
static size_t gather_datagrams(struct driver *d)
{
	uint8_t *run = NULL;
	size_t len = 0, total = 0;
	for (unsigned i = 0; i < d->out.segments; i++) {
		const struct out_segment *s = &d->out.segment[i];
		if (s->kind == OUT_FILE) {
			d->fault = "a file segment in a datagram";
		} else if (s->kind == OUT_BYTES) {
			run = grow(run, len + s->len, 1);
			if (s->len)
				memcpy(run + len, s->data, s->len);
			len += s->len;
			total += s->len;
		} else if (run) {
			datagram_add(d, bytes_of(run, len));
			run = NULL;
			len = 0;
		}
	}
	if (run)
		datagram_add(d, bytes_of(run, len));
	return total;
}

static void gather_messages(struct driver *d)
{
	for (unsigned i = 0; i < d->out.tells; i++) {
		const struct out_tell *t = &d->out.tell[i];
		struct driver_tell kept = {.to = t->to, .message = t->message};
		kept.message.body = bytes_of(copy_of(t->message.body.data, t->message.body.len),
					     t->message.body.len);
		d->tell = grow_by(d->tell, d->tells, 1, sizeof *d->tell);
		d->tell[d->tells++] = kept;
	}
	for (unsigned i = 0; i < d->out.events; i++) {
		d->event = grow_by(d->event, d->events, 1, sizeof *d->event);
		d->event[d->events++] = d->out.event[i];
	}
}

/* Carries out what a call of a verb put into the out; `in_len` is what it was given. */
static void gather(struct driver *d, size_t in_len)
{
	size_t said = d->opened ? gather_stream(d) : gather_datagrams(d);
	if (said > d->room_bytes + 2 * in_len + OUTPUT_SLACK_BYTES)
		d->fault = "one call said more than room, input and slack allow";
	gather_messages(d);
	d->wants_room |= d->out.tight || d->out.more;
	if (d->out.deadline_set)
		d->deadline_ns = d->out.deadline_ns;
	if (d->out.abort_why > 0)
		d->fault = "abort without an ERR_";
	if (d->out.end || d->out.abort_why) {
		d->ended = true;
		d->why = d->out.abort_why;
	}
}

/* One call of `feed` with all that is untaken. */
static void offer(struct driver *d)
{
	if (d->untaken_len == 0 || over(d))
		return;
	uint8_t *in = d->untaken;
	size_t len = d->untaken_len, taken = len;
	out_reset(&d->out, d->room_bytes);
	if (d->machine->feed)
		taken = d->machine->feed(d->state, bytes_of(in, len), &d->out, &d->now);
	gather(d, len);
	d->paused = d->out.pause;
	if (taken > len) {
		d->fault = "took more than it was fed";
		return;
	}
	d->untaken = copy_of(in + taken, len - taken);
	d->untaken_len = len - taken;
	free(in);
}

static size_t progress(const struct driver *d)
{
	return d->output.len + d->tells + d->events;
}

static void call_room(struct driver *d)
{
	d->wants_room = false;
	out_reset(&d->out, d->room_bytes);
	if (d->machine->room)
		d->machine->room(d->state, &d->out, &d->now);
	gather(d, 0);
}

/* The last call's out, or that of `room` before it, was `tight`: what the machine could not say, it
 * says now that the out is empty; or something is wrong. */
static bool drain(struct driver *d)
{
	size_t before = progress(d), untaken = d->untaken_len;
	call_room(d);
	bool tight = d->out.tight;
	offer(d);
	tight |= d->out.tight;
	if (tight && progress(d) == before && d->untaken_len == untaken)
		d->fault = "an empty out is tight, and nothing moves";
	return tight;
}

/* A paused machine's input waits, and so does what comes behind it. */
static bool holds_back(const struct driver *d)
{
	return d->paused && d->untaken_len > 0;
}

/* Drains until the machine stops for lack of input only, then holds it to its hold_bytes. */
static void settle(struct driver *d)
{
	bool tight = d->out.tight;
	unsigned rounds = 0;
	while ((tight || (d->wants_room && d->untaken_len > 0)) && !over(d)) {
		tight = drain(d);
		if (++rounds == ROUNDS_MOST)
			d->fault = "never has enough room";
	}
	if (d->untaken_len > d->machine->hold_bytes && !d->paused && !over(d)) {
		d->ended = true;
		d->why = ERR_TOO_LONG;
	}
	if (d->eof_waits && !holds_back(d)) {
		d->eof_waits = false;
		driver_eof(d);
	}
}

void driver_open(struct driver *d)
{
	struct peer *peer = (struct peer *)copy_of(&d->peer, sizeof d->peer);
	d->opened = true;
	furnish(d->machine, d->settings);
	out_reset(&d->out, d->room_bytes);
	if (d->machine->open)
		d->machine->open(d->state, peer, &d->out, &d->now);
	gather(d, 0);
	free(peer);
}

/* How much of `len` bytes one read brings. */
static size_t read_bytes(const struct driver *d, size_t len)
{
	return d->machine->chunk && len > MACHINE_CHUNK_BYTES ? MACHINE_CHUNK_BYTES : len;
}

void driver_feed(struct driver *d, struct bytes in)
{
	while (in.len > 0 && !over(d)) {
		size_t n = read_bytes(d, in.len);
		d->untaken = grow(d->untaken, d->untaken_len + n, 1);
		memcpy(d->untaken + d->untaken_len, in.data, n);
		d->untaken_len += n;
		in = bytes_after(in, n);
		if (holds_back(d) && d->untaken_len > n)
			continue;
		offer(d);
		settle(d);
	}
}

void driver_eof(struct driver *d)
{
	if (over(d))
		return;
	if (holds_back(d)) {
		d->eof_waits = true;
		return;
	}
	out_reset(&d->out, d->room_bytes);
	if (d->machine->eof)
		d->machine->eof(d->state, &d->out, &d->now);
	else
		out_end(&d->out);
	gather(d, 0);
	settle(d);
}

void driver_room(struct driver *d)
{
	if (!over(d) && d->wants_room)
		call_room(d);
}

void driver_drain(struct driver *d)
{
	if (over(d))
		return;
	out_reset(&d->out, d->room_bytes);
	if (d->machine->drain)
		d->machine->drain(d->state, &d->out, &d->now);
	gather(d, 0);
	settle(d);
}

void driver_tell(struct driver *d, const struct message *message)
{
	if (over(d))
		return;
	uint8_t *body = copy_of(message->body.data, message->body.len);
	struct message *copy = (struct message *)copy_of(message, sizeof *message);
	copy->body.data = body;
	out_reset(&d->out, d->room_bytes);
	if (d->machine->tell)
		d->machine->tell(d->state, copy, &d->out, &d->now);
	gather(d, message->body.len);
	free(body);
	free(copy);
	settle(d);
}

void driver_datagram(struct driver *d, struct bytes in)
{
	if (over(d))
		return;
	uint8_t *copy = copy_of(in.data, in.len);
	struct peer *peer = (struct peer *)copy_of(&d->peer, sizeof d->peer);
	out_reset(&d->out, d->room_bytes);
	if (d->machine->datagram)
		d->machine->datagram(d->state, peer, bytes_of(copy, in.len), &d->out, &d->now);
	gather(d, in.len);
	free(copy);
	free(peer);
}

static void move_to(struct driver *d, uint64_t boot_ns)
{
	d->now.wall_us += (int64_t)(boot_ns / 1000 - d->now.boot_ns / 1000);
	d->now.boot_ns = boot_ns;
}

void driver_advance(struct driver *d, uint64_t ns)
{
	uint64_t until = d->now.boot_ns + ns;
	for (unsigned ticks = 0; d->deadline_ns <= until && !over(d); ticks++) {
		if (d->deadline_ns > d->now.boot_ns)
			move_to(d, d->deadline_ns);
		d->deadline_ns = MOMENT_NEVER;
		out_reset(&d->out, d->room_bytes);
		if (d->machine->tick)
			d->machine->tick(d->state, &d->out, &d->now);
		gather(d, 0);
		if (d->opened)
			settle(d);
		if (ticks == TICKS_MOST)
			d->fault = "deadlines without end";
	}
	move_to(d, until);
}

void driver_forget(struct driver *d)
{
	for (size_t i = 0; i < d->tells; i++)
		free((void *)d->tell[i].message.body.data);
	for (size_t i = 0; i < d->datagrams; i++)
		free((void *)d->datagram[i].data);
	free((void *)d->output.data);
	free(d->write);
	free(d->event);
	free(d->tell);
	free(d->datagram);
	d->output = bytes_of(NULL, 0);
	d->write = NULL;
	d->event = NULL;
	d->tell = NULL;
	d->datagram = NULL;
	d->writes = d->events = d->tells = d->datagrams = 0;
}

bool driver_write_began(const struct driver *d, size_t at)
{
	for (size_t i = 0; i < d->writes; i++)
		if (d->write[i] == at)
			return true;
	return false;
}

const struct event *driver_event(const struct driver *d, const char *type)
{
	for (size_t i = 0; i < d->events; i++)
		if (!strcmp(d->event[i].type, type))
			return &d->event[i];
	return NULL;
}

bool driver_event_value(const struct event *e, const char *name, struct text *value)
{
	const struct event_field *f = event_find(e, name);
	if (!f)
		return false;
	switch ((enum event_kind)f->kind) {
	case EVENT_TEXT:
		text_put(value, event_field_text(e, f));
		break;
	case EVENT_UINT:
		text_printf(value, "%llu", (unsigned long long)f->u);
		break;
	case EVENT_INT:
		text_printf(value, "%lld", (long long)f->i);
		break;
	case EVENT_BOOL:
		text_put_string(value, f->u ? "true" : "false");
		break;
	case EVENT_REAL:
		text_printf(value, "%g", f->real);
		break;
	}
	return true;
}

void driver_end(struct driver *d)
{
	if (d->opened && d->machine->close)
		d->machine->close(d->state, d->why);
	driver_forget(d);
	for (size_t i = 0; i < d->kept_count; i++)
		free(d->kept[i]);
	free(d->kept);
	free(d->untaken);
	free(d->settings);
	free(d->state);
}
