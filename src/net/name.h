/* Names to addresses and back, in a work thread: no loop ever waits for a resolver. */
#ifndef NET_NAME_H
#define NET_NAME_H

#include "base/address.h"
#include "net/work.h"

enum { NAME_MOST = 32, NAME_BYTES = 256, NAME_ALIASES = 8 };
enum name_families { NAME_BOTH, NAME_V4_ONLY, NAME_V6_ONLY };

struct name_query {
	char host[NAME_BYTES];
	uint16_t port;
	enum name_families families;
	bool canonical; /* ask for the canonical name */
};

struct name_answer {
	int err; /* 0, ERR_NO_NAME, ERR_NO_ADDRESS, ERR_NAME_SERVER, ERR_MEMORY, ERR_DESCRIPTORS,
		  * ERR_SYSTEM */
	unsigned count;
	struct address address[NAME_MOST]; /* in the resolver's order (RFC 6724), port filled in;
					    * of more than fit, both families are kept */
	char canonical[NAME_BYTES];        /* when asked for and known, else empty */
};

/* The names an address points back to, the first its main one. */
struct name_list {
	unsigned count;
	char name[NAME_ALIASES][NAME_BYTES];
};

/* Asks; literals and localhost (RFC 6761: always ::1 and 127.0.0.1) answer without a resolver.
 * Blocks: for work threads and plain commands. */
void name_resolve(const struct name_query *query, struct name_answer *answer);

/* The name an address points back to. 0, ERR_NO_NAME, ERR_NAME_SERVER, ERR_MEMORY,
 * ERR_DESCRIPTORS, ERR_SYSTEM. `cap` of NAME_BYTES holds any. Blocks. */
int name_reverse(const struct address *a, char *name, size_t cap);

/* All of them, up to NAME_ALIASES. Same errors. Blocks. */
int name_reverse_all(const struct address *a, struct name_list *names);

/* name_resolve in `work`; `done` is called in the loop with the answer, valid during the call,
 * never from within name_ask. name_cancel takes it back. 0 or ERR_MEMORY, ERR_FULL, ERR_SYSTEM. */
struct name_request;
int name_ask(struct work *work, struct loop *loop, const struct name_query *query,
	     void (*done)(void *owner, const struct name_answer *answer), void *owner,
	     struct name_request **request);

/* No callback after this; the resolver may still be at it in its thread, and then work_leave does
 * not wait for it. Only before `done`. */
void name_cancel(struct name_request *request);

#endif
