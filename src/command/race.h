/* A datagram's way to a peer that has several addresses. Connecting a datagram socket says nothing
 * of whoever is there: only an answer does. So they are tried as TCP's are (proto/happy.h), by
 * sending: what has not answered after 250 ms, or was refused, gets a rival, which is sent the
 * same, and the first that answers is kept.
 *
 *   race_start ──begun──► sent ──readable──► race_keep
 *                 ▲         ├─ silent for 250 ms: the next one begins beside it
 *                 └─────────┴─ race_failed: the next one begins at once */
#ifndef COMMAND_RACE_H
#define COMMAND_RACE_H

#include "command/client.h"
#include "proto/happy.h"

struct race;

struct racer {
	struct race *race;
	int fd; /* -1: not begun, or out of the race */
	int64_t registration;
	uint64_t began_ns;
	struct address remote, local;
};

struct race {
	struct client *client;
	struct happy happy;
	struct wheel_timer timer;
	bool kept; /* one is, the others are closed */
	struct racer racer[NAME_MOST];
	/* A socket more to send on. race_failed is allowed within. */
	void (*begun)(void *owner, struct racer *racer);
	/* There is something to receive on it, or an error. */
	void (*readable)(void *owner, struct racer *racer);
	void *owner;
};

/* Dials the client's peer, and begins with the first address; `race` is zeroed but for `begun`,
 * `readable` and `owner`. 0, or the ERR_ (client_dial), and then there is nothing to end. */
int race_start(struct race *race, struct client *client, uint64_t dial_ms);

/* Calls `each` with every socket that is in the race. */
void race_each(struct race *race, void (*each)(void *owner, struct racer *racer));

/* Whether addresses are left that were not begun with, and none is kept. */
bool race_is_young(const struct race *race);

/* It answered: the client's from now on, as client->remote. Once is enough. */
void race_keep(struct race *race, struct racer *racer);

/* It was refused before any was kept. The next one begins; when there is none left the client stops
 * with the most telling ERR_ of all. */
void race_failed(struct race *race, struct racer *racer, int err);

/* No one has answered, and no one is waited for any longer: the most telling ERR_ of all. */
int race_give_up(struct race *race);

/* Closes all. */
void race_end(struct race *race);

#endif
