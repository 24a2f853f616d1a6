/* A relay for a test, which plays both of its outer ends, without waiting, between turns of the
 * loop. Include after <cmocka.h>. */
#ifndef TESTS_UNIT_RELAYING_H
#define TESTS_UNIT_RELAYING_H

#include "net/relay.h"

enum { PLAY_MUCH = 1 << 20 };

struct play {
	struct loop *loop;
	struct relay *relay;
	struct relay_plan plan;
	struct relay_result result;
	bool over;
	uint64_t tapped[2];
	int inside[3];  /* near in, near out, far: the relay's; -1: none */
	int outside[3]; /* where the test writes to near, reads of near, and the far peer */
};

/* What one outer end still has to say, and what it has heard. */
struct talk {
	int fd;
	const uint8_t *say;
	size_t left;
	bool close_half; /* once it is said */
	uint8_t *heard;
	size_t heard_len, heard_most;
	bool eof;
};

/* Random bytes to be said, one lot for each end, and room for what is heard. */
extern uint8_t play_said[2][PLAY_MUCH], play_heard[2][PLAY_MUCH + 1];
void play_fill(void);

/* A loop and no ends yet. */
struct play play_begin(void);

/* Far is one end of a TCP connection over loopback. */
void play_put_far(struct play *p);

/* Near is two pipes, as under a shell, or a socket. */
void play_put_pipes(struct play *p);
void play_put_socket(struct play *p);

/* Makes the relay of p->plan. */
void play_start(struct play *p);

/* Turns the loop until the relay is over, `talks` (may be NULL) saying and hearing up to `most`
 * bytes a turn. */
void play_until_over(struct play *p, struct talk *talks, unsigned count, size_t most);

/* Until when a test that turns the loop itself may wait. */
uint64_t play_deadline_ns(const struct loop *loop);

void play_shut(int *fd);
void play_finish(struct play *p);

/* Says and hears what can be said and heard now. */
void talk_speak(struct talk *t, size_t most);
void talk_hear(struct talk *t, size_t most);

/* Hears until the end, or until there is no more now. */
void talk_hear_rest(struct talk *t);
void talk_assert_heard(const struct talk *t, const uint8_t *what, size_t len);

#endif
