/* The outer ends of a relay under test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relaying.h"

enum { PLAY_PATIENCE_S = 20 };

uint8_t play_said[2][PLAY_MUCH], play_heard[2][PLAY_MUCH + 1];

void play_fill(void)
{
	uint64_t state = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < sizeof play_said; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)play_said)[i] = (uint8_t)(state >> 56);
	}
}

static void over(void *owner, const struct relay_result *result)
{
	struct play *p = owner;

	assert_false(p->over);
	p->over = true;
	p->result = *result;
}

static void unblock(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* A connected TCP pair over loopback. */
static void tcp_pair(int pair[2])
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof in;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(listener, (struct sockaddr *)&in, sizeof in), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&in, &len), 0);
	pair[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(pair[0], (struct sockaddr *)&in, sizeof in), 0);
	pair[1] = accept(listener, NULL, NULL);
	assert_true(pair[1] >= 0);
	close(listener);
	unblock(pair[0]);
	unblock(pair[1]);
}

struct play play_begin(void)
{
	struct play p = {.inside = {-1, -1, -1}, .outside = {-1, -1, -1}};

	assert_int_equal(loop_create(&p.loop), 0);
	return p;
}

void play_put_far(struct play *p)
{
	int pair[2];

	tcp_pair(pair);
	p->inside[2] = pair[0];
	p->outside[2] = pair[1];
	p->plan.far = stream_own(pair[0]);
}

void play_put_pipes(struct play *p)
{
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	p->inside[0] = in[0];
	p->outside[0] = in[1];
	p->inside[1] = out[1];
	p->outside[1] = out[0];
	unblock(in[1]);
	unblock(out[0]);
	p->plan.near_in = stream_lent(in[0], false);
	p->plan.near_out = stream_lent(out[1], true);
}

void play_put_socket(struct play *p)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	p->inside[0] = pair[0];
	p->outside[0] = p->outside[1] = pair[1];
	p->plan.near_in = p->plan.near_out = stream_own(pair[0]);
}

void play_start(struct play *p)
{
	p->plan.over = over;
	p->plan.owner = p;
	assert_int_equal(relay_create(&p->relay, p->loop, &p->plan), 0);
}

void play_shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void play_finish(struct play *p)
{
	relay_destroy(p->relay);
	stream_close(&p->plan.near_in);
	stream_close(&p->plan.near_out);
	if (p->outside[0] == p->outside[1])
		p->outside[1] = -1;
	for (unsigned i = 0; i < 3; i++) {
		play_shut(&p->inside[i]);
		play_shut(&p->outside[i]);
	}
	loop_destroy(p->loop);
}

void talk_speak(struct talk *t, size_t most)
{
	ssize_t n;

	if (!t->left)
		return;
	n = write(t->fd, t->say, t->left < most ? t->left : most);
	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return;
	}
	t->say += n;
	t->left -= (size_t)n;
	if (!t->left && t->close_half && shutdown(t->fd, SHUT_WR) < 0)
		close(t->fd); /* a pipe */
}

void talk_hear(struct talk *t, size_t most)
{
	ssize_t n = t->eof ? -1
			   : read(t->fd, t->heard + t->heard_len,
				  t->heard_most - t->heard_len < most ? t->heard_most - t->heard_len
								      : most);

	if (n > 0)
		t->heard_len += (size_t)n;
	t->eof = t->eof || n == 0;
}

uint64_t play_deadline_ns(const struct loop *loop)
{
	return loop_now(loop)->boot_ns + PLAY_PATIENCE_S * MOMENT_S;
}

void play_until_over(struct play *p, struct talk *talks, unsigned count, size_t most)
{
	uint64_t until_ns = play_deadline_ns(p->loop);

	while (!p->over) {
		for (unsigned i = 0; i < count; i++) {
			talk_speak(&talks[i], most);
			if (talks[i].heard)
				talk_hear(&talks[i], most);
		}
		loop_turn(p->loop, 1);
		assert_true(loop_now(p->loop)->boot_ns < until_ns);
	}
}

void talk_hear_rest(struct talk *t)
{
	while (!t->eof) {
		size_t before = t->heard_len;

		talk_hear(t, PLAY_MUCH);
		if (t->heard_len == before && !t->eof)
			return; /* as for a file's reader, there is nothing more */
	}
}

void talk_assert_heard(const struct talk *t, const uint8_t *what, size_t len)
{
	assert_int_equal(t->heard_len, len);
	assert_memory_equal(t->heard, what, len);
}
