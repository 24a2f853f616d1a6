/* What `prise serve` is told: by its command line, by its file (-c), by default. All or nothing: a
 * bad key, value or block is an error with file and line, and the nearest valid name. */
#ifndef DAEMON_CONFIGURATION_H
#define DAEMON_CONFIGURATION_H

#include "net/endpoint.h"
#include "net/name.h"
#include "service/service.h"

enum { CONFIGURATION_MESSAGE_BYTES = 512, CONFIGURATION_SERVICES_MOST = 32 };

/* Keys outside of blocks, over struct configuration_daemon. */
extern const struct option configuration_options[];

struct configuration_daemon {
	uint64_t loops;   /* 0: one a processor, 8 at most */
	const char *user; /* NULL: stay who we are */
	bool sandbox;
	uint64_t drain_ms;
};

struct configuration_service {
	const struct service_row *row;
	struct service_settings common;
	void *settings; /* of the machine, or NULL */
	char *keys;     /* what its authorized_keys says; NULL: none, so no key is asked for */
	size_t keys_len;
	char *keys_path;    /* where that is, or would be; or NULL */
	unsigned line;      /* of the file, where its addresses are; 0: they are not from there */
	unsigned keys_line; /* where `authorized_keys` is, else `tls`; or 0 */
	enum name_families families; /* to listen on, where an endpoint leaves it open */
	unsigned endpoints;
	struct endpoint endpoint[ENDPOINT_MOST];
	struct name_answer *names; /* of each endpoint that is a name: configuration_resolve */
};

struct configuration {
	struct configuration_daemon daemon;
	unsigned services;
	struct configuration_service service[CONFIGURATION_SERVICES_MOST];
	enum name_families families;
	/* Of each row's addresses, and of its keys, in the file; or 0. */
	unsigned line[CONFIGURATION_SERVICES_MOST], keys_line[CONFIGURATION_SERVICES_MOST];
	void *file;                                /* keeps the strings alive */
	char message[CONFIGURATION_MESSAGE_BYTES]; /* why configuration_read failed, translated */
	char advice[CONFIGURATION_MESSAGE_BYTES];  /* what to try then, or empty */
};

struct configuration_request {
	const char *path; /* the file, or NULL */
	const char *const
		*names; /* NAME or NAME=ADDR; none: what the file has, else the defaults */
	unsigned name_count;
	bool standard_ports;
	bool insecure;
	bool tls;                    /* every service that can */
	enum name_families families; /* of loopback, everywhere and names */
};

/* Fills `c`. 0; or ERR_SYNTAX (wrong usage or file), ERR_NO_FILE, ERR_PERMISSION, ERR_MEMORY with
 * c->message set, when nothing is to be freed. */
int configuration_read(const struct configuration_request *request, struct configuration **c);

/* Asks for every name to be listened on; what the resolver says of each is found again by whoever
 * opens it. Blocks: before loops run, or in a work thread. 0, ERR_MEMORY, or ERR_SYNTAX with
 * c->message set when two services turn out to want one port. */
int configuration_resolve(struct configuration *c);

/* Whether it may be listened for on this machine's loopback only: it takes or shows data, and lets
 * in anybody. */
bool configuration_stays_home(const struct configuration_service *s, bool insecure);

/* Whether who listens on the one and who listens on the other, both on one port, would share it. */
bool configuration_overlap(const struct address *a, const struct address *b);

/* After a failure `*c` still holds the message; free it too. */
void configuration_free(struct configuration *c);

/* The service's authorized_keys are the caller's from now on: forgets them, or frees them. */
void configuration_leave_keys(struct configuration_service *s);
void configuration_free_keys(struct configuration_service *s);

/* Frees a machine's settings that were taken over from a configuration. */
void configuration_free_settings(const struct service_row *row, void *settings);

/* The first key in which the two differ, or NULL. */
const char *configuration_daemon_differs(const struct configuration_daemon *a,
					 const struct configuration_daemon *b);

/* Whether two configurations of one service say the same. */
bool configuration_same(const struct configuration_service *a,
			const struct configuration_service *b);

#endif
