/* Datagrams: one bound UDP socket whose machine answers datagram by datagram, in batches, with the
 * manners of proto/manners.h. Answers leave from the address that was asked. */
#ifndef NET_DATAGRAM_H
#define NET_DATAGRAM_H

#include "net/loop.h"
#include "net/pump.h"
#include "proto/machine.h"
#include "proto/manners.h"

#include <pthread.h>

struct datagram;
struct datagram_common;

/* The batch buffers that all datagram sockets of a loop share (about 2 MiB of address space,
 * touched as used). 0 or ERR_MEMORY. */
int datagram_common_create(struct datagram_common **common, struct loop *loop);
void datagram_common_destroy(struct datagram_common *common);

struct datagram_counts {
	uint64_t received, answered, bytes_in, bytes_out;
	uint64_t refused_port, refused_rate, refused_length, dropped;
};

struct datagram_plan {
	int fd; /* bound, non-blocking; owned from now on */
	struct address bound;
	const struct machine *machine;
	const void *settings;
	const char *service;
	const char *host;              /* as in struct pump_plan */
	struct manners *manners;       /* shared by the sockets of a service; outlives this */
	pthread_mutex_t *manners_lock; /* held to ask them; NULL: no other loop does */
	void (*event)(void *owner, struct event *event);
	void (*wire)(void *owner, const struct address *remote, enum pump_direction direction,
		     struct bytes b);
	void *owner;
};

/* 0, ERR_MEMORY, ERR_SYSTEM; the descriptor is closed when this fails. */
int datagram_create(struct datagram **datagram, struct datagram_common *common,
		    const struct datagram_plan *plan);
void datagram_destroy(struct datagram *datagram);

/* Any thread may ask. */
struct datagram_counts datagram_counts(const struct datagram *datagram);

#endif
