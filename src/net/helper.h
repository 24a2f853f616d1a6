/* The helper's own side of net/process.h, and what passes between the two: a datagram of a
 * SOCK_SEQPACKET pair is one request or one answer. Both ends are one binary, so structs pass as
 * they lie in memory. */
#ifndef NET_HELPER_H
#define NET_HELPER_H

#include "net/process.h"

enum { HELPER_PROGRAMS_MOST = 4096, HELPER_DESCRIPTORS = 3 };

enum helper_request_kind {
	HELPER_START,
	HELPER_DEADLINE, /* deadline_ns */
	HELPER_STOP,
	HELPER_BECOME, /* the text is a user's name; answered at once */
};

/* HELPER_START is followed by `arguments` and then `variables` terminated strings, and carries the
 * descriptors marked in `given`, in their order, as SCM_RIGHTS. */
struct helper_request {
	int64_t id;
	uint64_t deadline_ns, grace_ms;
	uint32_t kind;
	uint16_t arguments, variables;
	bool given[HELPER_DESCRIPTORS];
	bool stop_with_parent;
};

enum { HELPER_MESSAGE_BYTES = sizeof(struct helper_request) + PROCESS_REQUEST_BYTES };

enum helper_answer_kind { HELPER_STARTED, HELPER_ENDED, HELPER_BECAME };

struct helper_answer {
	int64_t id;
	uint32_t kind;
	int32_t pid;            /* HELPER_STARTED: forked, about to exec; its group too */
	int32_t err;            /* HELPER_BECAME: 0 or ERR_ */
	struct process_end end; /* HELPER_ENDED */
};

/* Is the helper: in a process just forked, with prise's socket as `socket_fd`; closes every other
 * descriptor above 2. Ends the process when the socket has closed and its charges are gone. */
_Noreturn void helper_run(int socket_fd);

#endif
