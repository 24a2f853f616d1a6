/* Datagrams in batches: recvmmsg(2), the manners of all, the machine on each, sendmmsg(2). Answers
 * that borrow the request leave from the receive buffer itself; others are gathered in an arena
 * that lives for the batch.
 *
 * A socket bound to every address asks for the destination of each datagram (net/pktinfo.h) and
 * answers from there; one bound to one address need not. */
#include "net/datagram.h"

#include "base/count.h"
#include "base/err.h"
#include "net/endpoint.h"
#include "net/pktinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DATAGRAM_BATCH = 32,
	DATAGRAM_BYTES = 65536,
	DATAGRAM_STRIDE = DATAGRAM_BYTES + 192, /* so that short ones do not share cache sets */
	DATAGRAM_ANSWERS = 64,
	DATAGRAM_SEGMENTS = 128,
	DATAGRAM_ARENA_BYTES = 65536,
	DATAGRAM_TURNS = 8, /* batches before the loop's other descriptors have their turn */
};

struct datagram_place {
	struct sockaddr_storage from;
	_Alignas(struct cmsghdr) uint8_t control[PKTINFO_BYTES];
};

struct datagram_common {
	struct loop *loop;
	unsigned used; /* headers that the kernel wrote into since they were made ready */
	bool pktinfo;  /* they are made ready with room for it */
	struct mmsghdr in[DATAGRAM_BATCH];
	struct iovec in_iov[DATAGRAM_BATCH];
	struct datagram_place place[DATAGRAM_BATCH];
	struct address remote[DATAGRAM_BATCH];
	enum manners_verdict verdict[DATAGRAM_BATCH];
	unsigned answers, segments;
	size_t arena_used;
	struct mmsghdr answer[DATAGRAM_ANSWERS];
	struct iovec answer_iov[DATAGRAM_SEGMENTS];
	struct out out;
	uint8_t arena[DATAGRAM_ARENA_BYTES];
	uint8_t receive[DATAGRAM_BATCH][DATAGRAM_STRIDE];
};

struct datagram {
	struct datagram_common *common;
	struct datagram_plan plan;
	int64_t registration;
	bool pktinfo;
	uint64_t seed; /* of the next datagram's machine; secrets need a connection */
	struct {
		struct count received, answered, bytes_in, bytes_out;
		struct count refused_port, refused_rate, refused_length, dropped;
	} counts;
	_Alignas(16) uint8_t machine[];
};

int datagram_common_create(struct datagram_common **created, struct loop *loop)
{
	struct datagram_common *common = malloc(sizeof *common);

	if (!common)
		return ERR_MEMORY;
	common->loop = loop;
	common->answers = common->segments = 0;
	common->arena_used = 0;
	common->pktinfo = false;
	common->used = DATAGRAM_BATCH;
	*created = common;
	return 0;
}

void datagram_common_destroy(struct datagram_common *common)
{
	free(common);
}

/* Sends what is gathered. A datagram that the kernel refuses is dropped and counted: UDP promises
 * no more, and the next one must not wait for it. */
static void datagram_send(struct datagram *d)
{
	struct datagram_common *common = d->common;
	unsigned done = 0;

	while (done < common->answers) {
		int n = sendmmsg(d->plan.fd, common->answer + done, common->answers - done,
				 MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			count_add(&d->counts.dropped, 1);
			done++;
			continue;
		}
		count_add(&d->counts.answered, (unsigned)n);
		for (int i = 0; i < n; i++)
			count_add(&d->counts.bytes_out, common->answer[done + (unsigned)i].msg_len);
		done += (unsigned)n;
	}
	common->answers = common->segments = 0;
	common->arena_used = 0;
}

static bool datagram_is_borrowed(const struct datagram_common *common, unsigned index,
				 const struct out_segment *segment)
{
	const uint8_t *request = common->receive[index];

	return segment->data >= request && segment->data + segment->len <= request + DATAGRAM_BYTES;
}

/* The place where a segment's bytes stay until the batch is sent. */
static const uint8_t *datagram_keep(struct datagram_common *common, unsigned index,
				    const struct out_segment *segment)
{
	uint8_t *kept = common->arena + common->arena_used;

	if (datagram_is_borrowed(common, index, segment))
		return segment->data;
	memcpy(kept, segment->data, segment->len);
	common->arena_used += segment->len;
	return kept;
}

/* One answer: segments [from, to) of `out`, to whom datagram `index` came from. */
static void datagram_answer(struct datagram *d, unsigned index, const struct address *remote,
			    unsigned from, unsigned to)
{
	struct datagram_common *common = d->common;
	const struct msghdr *request = &common->in[index].msg_hdr;
	struct mmsghdr *answer;
	struct iovec *iov;
	size_t len = 0, copied = 0;

	for (unsigned i = from; i < to; i++) {
		len += common->out.segment[i].len;
		if (!datagram_is_borrowed(common, index, &common->out.segment[i]))
			copied += common->out.segment[i].len;
	}
	if (!manners_length(d->plan.manners, common->in[index].msg_len, len)) {
		count_add(&d->counts.refused_length, 1);
		return;
	}
	if (common->answers == DATAGRAM_ANSWERS ||
	    common->segments + to - from > DATAGRAM_SEGMENTS ||
	    common->arena_used + copied > DATAGRAM_ARENA_BYTES)
		datagram_send(d);
	if (copied > DATAGRAM_ARENA_BYTES) {
		count_add(&d->counts.dropped, 1);
		return;
	}
	answer = &common->answer[common->answers++];
	iov = &common->answer_iov[common->segments];
	for (unsigned i = from; i < to; i++) {
		const uint8_t *kept = datagram_keep(common, index, &common->out.segment[i]);

		common->answer_iov[common->segments++] = (struct iovec){(void *)(uintptr_t)kept,
									common->out.segment[i].len};
		if (d->plan.wire)
			d->plan.wire(d->plan.owner, remote, PUMP_SENT,
				     bytes_of(kept, common->out.segment[i].len));
	}
	answer->msg_hdr = (struct msghdr){.msg_name = request->msg_name,
					  .msg_namelen = request->msg_namelen,
					  .msg_iov = iov,
					  .msg_iovlen = to - from};
	if (d->pktinfo) {
		answer->msg_hdr.msg_control = request->msg_control;
		answer->msg_hdr.msg_controllen = request->msg_controllen;
	}
}

/* Whether each of the batch is to be answered: in one go, since other loops may wait to ask. */
static void datagram_judge(struct datagram *d, unsigned count)
{
	struct datagram_common *common = d->common;
	const struct moment *now = loop_now(common->loop);

	for (unsigned i = 0; i < count; i++) {
		const struct msghdr *request = &common->in[i].msg_hdr;

		endpoint_from_sockaddr(request->msg_name, request->msg_namelen, &common->remote[i]);
	}
	if (d->plan.manners_lock)
		pthread_mutex_lock(d->plan.manners_lock);
	for (unsigned i = 0; i < count; i++)
		common->verdict[i] = manners_ask(d->plan.manners, &common->remote[i], now);
	if (d->plan.manners_lock)
		pthread_mutex_unlock(d->plan.manners_lock);
}

/* The machine on one datagram; its answers are gathered. */
static void datagram_handle(struct datagram *d, unsigned index)
{
	struct datagram_common *common = d->common;
	struct msghdr *request = &common->in[index].msg_hdr;
	const struct moment *now = loop_now(common->loop);
	struct out *out = &common->out;
	struct bytes in = bytes_of(common->receive[index], common->in[index].msg_len);
	struct peer peer = {.remote = common->remote[index],
			    .local = d->plan.bound,
			    .host = d->plan.host,
			    .settings = d->plan.settings};
	unsigned from = 0;

	count_add(&d->counts.bytes_in, in.len);
	switch (common->verdict[index]) {
	case MANNERS_SMALL_SERVICE:
		count_add(&d->counts.refused_port, 1);
		return;
	case MANNERS_TOO_FAST:
		count_add(&d->counts.refused_rate, 1);
		return;
	case MANNERS_ANSWER:
		break;
	}
	if (d->pktinfo)
		pktinfo_turn_round(request, &peer.local);
	peer.seed[0] = d->seed += 0x9e3779b97f4a7c15u;
	peer.seed[1] = ~d->seed;
	if (d->plan.wire)
		d->plan.wire(d->plan.owner, &peer.remote, PUMP_RECEIVED, in);
	out_reset(out, DATAGRAM_BYTES);
	d->plan.machine->datagram(d->machine, &peer, in, out, now);
	for (unsigned i = 0; i < out->events; i++) {
		out->event[i].service = d->plan.service;
		if (d->plan.event)
			d->plan.event(d->plan.owner, &out->event[i]);
	}
	for (unsigned i = 0; i <= out->segments; i++) {
		if (i < out->segments && out->segment[i].kind == OUT_BYTES)
			continue;
		if (i > from)
			datagram_answer(d, index, &peer.remote, from, i);
		from = i + 1;
	}
}

/* The kernel changes the lengths of a header that it fills; the others stand as they are. */
static void datagram_make_ready(struct datagram_common *common, bool pktinfo)
{
	if (common->pktinfo != pktinfo)
		common->used = DATAGRAM_BATCH;
	common->pktinfo = pktinfo;
	for (unsigned i = 0; i < common->used; i++) {
		common->in_iov[i] = (struct iovec){common->receive[i], DATAGRAM_BYTES};
		common->in[i].msg_hdr = (struct msghdr){
			.msg_name = &common->place[i].from,
			.msg_namelen = sizeof common->place[i].from,
			.msg_iov = &common->in_iov[i],
			.msg_iovlen = 1,
			.msg_control = pktinfo ? common->place[i].control : NULL,
			.msg_controllen = pktinfo ? PKTINFO_BYTES : 0,
		};
	}
}

static int datagram_receive(struct datagram *d)
{
	struct datagram_common *common = d->common;
	int count;

	datagram_make_ready(common, d->pktinfo);
	count = recvmmsg(d->plan.fd, common->in, DATAGRAM_BATCH, MSG_DONTWAIT, NULL);
	common->used = count > 0 ? (unsigned)count : 0;
	return count;
}

static void datagram_ready(void *owner, unsigned events)
{
	struct datagram *d = owner;
	int count = DATAGRAM_BATCH;

	for (unsigned turn = 0; turn < DATAGRAM_TURNS && count == DATAGRAM_BATCH; turn++) {
		count = datagram_receive(d);
		/* An error here is an ICMP answer to an earlier send: reading it clears it. */
		if (count <= 0)
			return;
		count_add(&d->counts.received, (unsigned)count);
		datagram_judge(d, (unsigned)count);
		for (int i = 0; i < count; i++)
			datagram_handle(d, (unsigned)i);
		datagram_send(d);
	}
}

int datagram_create(struct datagram **created, struct datagram_common *common,
		    const struct datagram_plan *plan)
{
	struct datagram *d = calloc(1, sizeof *d + plan->machine->state_bytes);

	if (!d) {
		close(plan->fd);
		return ERR_MEMORY;
	}
	d->common = common;
	d->plan = *plan;
	d->seed = loop_random(common->loop);
	d->pktinfo = address_is_any(&plan->bound);
	if (d->pktinfo)
		pktinfo_ask(plan->fd, plan->bound.family);
	d->registration = loop_add(common->loop, plan->fd, LOOP_READ, datagram_ready, d);
	if (d->registration < 0) {
		int err = (int)d->registration;

		close(plan->fd);
		free(d);
		return err;
	}
	*created = d;
	return 0;
}

void datagram_destroy(struct datagram *d)
{
	if (!d)
		return;
	loop_remove(d->common->loop, d->registration);
	close(d->plan.fd);
	free(d);
}

struct datagram_counts datagram_counts(const struct datagram *d)
{
	return (struct datagram_counts){
		.received = count_of(&d->counts.received),
		.answered = count_of(&d->counts.answered),
		.bytes_in = count_of(&d->counts.bytes_in),
		.bytes_out = count_of(&d->counts.bytes_out),
		.refused_port = count_of(&d->counts.refused_port),
		.refused_rate = count_of(&d->counts.refused_rate),
		.refused_length = count_of(&d->counts.refused_length),
		.dropped = count_of(&d->counts.dropped),
	};
}
