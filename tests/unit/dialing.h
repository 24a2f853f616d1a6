/* What the tests of dialing share: a loop, work threads, one dial after the other, and sockets on
 * loopback to call. */
#ifndef TESTS_UNIT_DIALING_H
#define TESTS_UNIT_DIALING_H

#include "net/dial.h"

enum { DIALING_PATIENCE_S = 20, DIALING_TURN_MS = 100, DIALING_SHORT_MS = 400 };

extern struct loop *dialing_loop;
extern unsigned dialing_descriptors; /* open before the test */

struct dialing_call {
	bool done;
	struct dial_result result;
	char canonical[NAME_BYTES];
};

/* cmocka's set-up and tear-down: whatever a test did, as many descriptors are open as before it. */
int dialing_set_up(void **state);
int dialing_tear_down(void **state);
#define DIALING_TEST(f) cmocka_unit_test_setup_teardown(f, dialing_set_up, dialing_tear_down)

/* A plan to what endpoint_parse_peer understands, with enough patience. */
struct dial_plan dialing_plan(const char *text);
struct dial_plan dialing_plan_at(const char *host, uint16_t port);

struct dial *dialing_start(const struct dial_plan *plan, struct dialing_call *call);
void dialing_turn_until(const bool *done);

/* Both: from start to end. */
struct dialing_call dialing_run(const struct dial_plan *plan);

/* The same, which takes at most `most_ms`: once in five times, for the machine may have been held
 * up. */
struct dialing_call dialing_run_within(const struct dial_plan *plan, unsigned most_ms);

/* A blocking socket bound to ::1 or 127.0.0.1 at `port` (0: any), or -1; where it came to be. */
int dialing_bind(int family, int type, uint16_t port, uint16_t *bound);
int dialing_listen(int family, uint16_t port, uint16_t *bound);

#endif
