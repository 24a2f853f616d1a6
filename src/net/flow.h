/* What net/relay.c and net/flow.c share: the relay and its two flows. Private to the two. */
#ifndef NET_FLOW_H
#define NET_FLOW_H

#include "net/relay.h"

enum { RELAY_BUFFER_BYTES = 2 * RELAY_READ_BYTES + 2, RELAY_PORTS = 3 };

enum flow_store { FLOW_BUFFER, FLOW_PIPE, FLOW_NONE };

/* A descriptor in the loop. */
struct relay_port {
	struct relay *relay;
	const struct stream *stream;
	int64_t registration; /* 0: not watched */
	unsigned interest;
	bool always_ready;
};

struct relay_flow {
	struct relay *relay;
	enum relay_direction direction;
	struct relay_port *from, *to;
	unsigned waits; /* LOOP_READ: for `from`; LOOP_WRITE: for `to` */
	bool eof;       /* the source ended */
	bool ended;     /* and so did the flow */
	uint64_t bytes;
	uint8_t store;   /* enum flow_store */
	int pipe[2];     /* -1: none */
	size_t piped;    /* bytes in the pipe */
	size_t at, held; /* of the buffer: what is still to be sent */
	size_t back_len; /* what the other direction's filter wants sent here */
	uint8_t *buffer; /* RELAY_BUFFER_BYTES, and RELAY_BACK_BYTES of `back` */
};

struct relay {
	struct loop *loop;
	struct relay_plan plan;
	struct relay_port port[RELAY_PORTS];
	struct relay_flow flow[2];
	uint8_t *raw;       /* what a filter is given */
	uint64_t active_ns; /* when a byte last moved */
	struct wheel_timer timer;
	struct relay_result result;
	int broken; /* what far's refusal to take more will have meant, once it has ended */
	bool over, spliced;
	bool half_due; /* far is still to be told of near's end (late_half) */
};

/* Chooses the store, and makes it. Before: relay, direction, from, to are set. 0 or ERR_MEMORY. */
int flow_begin(struct relay_flow *f);

/* Moves what can be moved now; in the end it has ended, the relay is over, or `waits` says for what
 * it waits. */
void flow_run(struct relay_flow *f);

/* Whether something was read and not yet passed on. */
static inline bool flow_holds(const struct relay_flow *f)
{
	return f->at < f->held || f->piped || f->back_len;
}

/* Frees the store. */
void flow_close(struct relay_flow *f);

/* The relay is over; the first call counts. */
void relay_end(struct relay *r, int err, enum relay_place place);

/* Far cannot be reached: whether it stands for somebody else now, who has been sent all. */
bool relay_goes_elsewhere(struct relay *r, int errnum);

/* A byte moved, or a half ended: it is not idle. */
void relay_moved(struct relay *r);

#endif
