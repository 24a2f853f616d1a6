/* The world of tests/sim/role.c: the server with its hub and its disk, the clients, and who holds
 * which lease until when. What it finds wrong by itself it counts. */
#ifndef TESTS_SIM_ROLE_WORLD_H
#define TESTS_SIM_ROLE_WORLD_H

#include "proto/role_hub.h"
#include "wire.h"

enum { CLIENTS_MOST = 6, CAPACITY = 64, REIGNS_MOST = 4096 };

/* The rules that a test may break. */
struct broken {
	bool fast_server;    /* its clock runs 30 % fast: it counts leases shorter */
	bool early_announce; /* it believes that the disk has what it has not */
	bool stale_clock;    /* beats count from a clock that was read before they were sent */
	bool no_wait;        /* after a restart it appoints at once */
};

struct reign {
	unsigned client;
	uint64_t epoch, until_true_ns;
};

struct world;

struct server {
	struct wire_host *host;
	struct role_hub *hub;
	struct role_settings settings;
	bool up, disk_ok;
	char disk[ROLE_RECORD_BYTES];
	size_t disk_len;
	uint64_t deadline; /* number of the one that counts */
	struct role_record writing;
	uint64_t request;
	uint64_t seen_ns; /* the clock as of the last call that was no beat */
	uint64_t heal_ns;
};

struct client {
	struct world *world;
	struct wire_host *host;
	struct wire_end *end, *accepted;
	struct role_client_settings settings;
	unsigned index;
	bool plain;
	bool leaving; /* bye is on its way: nothing it is told starts work any more */
	uint64_t heal_ns;
	char name[8];
};

struct world {
	struct wire *w;
	struct broken broken;
	struct server server;
	struct client client[CLIENTS_MOST];
	unsigned clients;
	uint64_t announced; /* greatest epoch that was */
	struct reign reign[REIGNS_MOST];
	unsigned reigns;
	unsigned wrong_leases, wrong_epochs, wrong_records, wrong_words, wrong_life;
	bool story, clocks_are_bad;
	char first_wrong[160];
};

/* A line of the story on stderr, when it is told. */
void world_story(struct world *x, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Counts what is wrong, and keeps the first of it. */
void world_wrong(struct world *x, unsigned *count, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The reign of a client that stands now, or NULL. */
const struct reign *world_reign(struct world *x, unsigned client);

/* Starts with what is on its disk. `context` is the world. */
void server_start(void *context, uint64_t number);

/* It ends in one way or another, and starts again soon. */
void server_kill(struct world *x);

/* It connects soon, and again whenever its connection ends. */
void client_retry(struct client *c);

/* It stops its work, then says so. */
void client_bye(struct client *c);

/* It ends in one way or another; what its work was allowed stands, for that may take its time. */
void client_kill(struct client *c);

/* Counts what a plain client must not hear. */
void client_check_words(struct client *c, struct bytes heard);

#endif
