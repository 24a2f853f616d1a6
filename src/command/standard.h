/* Standard input and output in the loop, for commands that hold many peers: bytes as they come, and
 * output that never keeps the loop waiting. What stdin and stdout are and their flags does not
 * matter (net/stream.h). */
#ifndef COMMAND_STANDARD_H
#define COMMAND_STANDARD_H

#include "base/bytes.h"
#include "net/loop.h"
#include "net/stream.h"

enum { INLET_BYTES = 65507, OUTLET_BYTES = 1 << 18 };

/* Standard input. */
struct inlet {
	/* The caller's, before inlet_begin. Each may close the inlet. */
	void (*data)(void *owner, struct bytes b);
	void (*end)(void *owner, int err); /* 0, or the ERR_; nothing comes after it */
	void *owner;

	struct loop *loop;
	struct stream stream;
	int64_t registration;
	bool wanted, ended, always_ready;
	uint64_t bytes;           /* so far */
	struct wheel_timer timer; /* of what is always ready */
	uint8_t buffer[INLET_BYTES];
};

void inlet_begin(struct inlet *in, struct loop *loop);

/* From now on, or until it is not wanted any more, `data` is called with what is read: in the loop,
 * never from within this call. */
void inlet_want(struct inlet *in, bool wanted);
void inlet_close(struct inlet *in);

/* Standard output. */
struct outlet {
	/* The caller's, before outlet_begin. */
	void (*drained)(void *owner); /* it was busy and is no more */
	void (*failed)(void *owner,
		       int err); /* ERR_LEFT: nobody reads it; else ERR_DISK, ...; once */
	void *owner;

	struct loop *loop;
	struct stream stream;
	int64_t registration;
	bool broken;
	size_t at, len; /* of `pending` */
	uint8_t pending[OUTLET_BYTES];
};

void outlet_begin(struct outlet *out, struct loop *loop);

/* Writes, and keeps what cannot be written now. False when that would not fit: nothing of it was
 * taken. OUTLET_BYTES always fit while it is not busy. */
bool outlet_put(struct outlet *out, struct bytes b);
bool outlet_is_busy(const struct outlet *out);
void outlet_close(struct outlet *out);

#endif
