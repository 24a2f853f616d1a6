/* The relay between descriptors of every kind: pipes, files, sockets; what it splices and what it
 * copies; both halves' ends; ends that stall and ends that vanish. The test plays both outer ends,
 * without waiting, between turns of the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "net/relay.h"

enum { MUCH = 1 << 20, PATIENCE_S = 20 };

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

static uint8_t said[2][MUCH], heard[2][MUCH + 1];

static void fill_random(void)
{
	uint64_t state = 0x9e3779b97f4a7c15;

	for (size_t i = 0; i < sizeof said; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)said)[i] = (uint8_t)(state >> 56);
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

static struct play begin(void)
{
	struct play p = {.inside = {-1, -1, -1}, .outside = {-1, -1, -1}};

	assert_int_equal(loop_create(&p.loop), 0);
	return p;
}

static void put_far(struct play *p)
{
	int pair[2];

	tcp_pair(pair);
	p->inside[2] = pair[0];
	p->outside[2] = pair[1];
	p->plan.far = stream_own(pair[0]);
}

/* Near is two pipes, as under a shell. */
static void put_near_pipes(struct play *p)
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

static void put_near_socket(struct play *p)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	p->inside[0] = pair[0];
	p->outside[0] = p->outside[1] = pair[1];
	p->plan.near_in = p->plan.near_out = stream_own(pair[0]);
}

static void start(struct play *p)
{
	p->plan.over = over;
	p->plan.owner = p;
	assert_int_equal(relay_create(&p->relay, p->loop, &p->plan), 0);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void finish(struct play *p)
{
	relay_destroy(p->relay);
	stream_close(&p->plan.near_in);
	stream_close(&p->plan.near_out);
	if (p->outside[0] == p->outside[1])
		p->outside[1] = -1;
	for (unsigned i = 0; i < 3; i++) {
		shut(&p->inside[i]);
		shut(&p->outside[i]);
	}
	loop_destroy(p->loop);
}

static void speak(struct talk *t, size_t most)
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

static void hear(struct talk *t, size_t most)
{
	ssize_t n = t->eof ? -1
			   : read(t->fd, t->heard + t->heard_len,
				  t->heard_most - t->heard_len < most ? t->heard_most - t->heard_len
								      : most);

	if (n > 0)
		t->heard_len += (size_t)n;
	t->eof = t->eof || n == 0;
}

static uint64_t deadline_ns(const struct loop *loop)
{
	return loop_now(loop)->boot_ns + PATIENCE_S * MOMENT_S;
}

/* Turns the loop until the relay is over. `talks` may be NULL. */
static void turn_until_over(struct play *p, struct talk *talks, unsigned count, size_t most)
{
	uint64_t until_ns = deadline_ns(p->loop);

	while (!p->over) {
		for (unsigned i = 0; i < count; i++) {
			speak(&talks[i], most);
			if (talks[i].heard)
				hear(&talks[i], most);
		}
		loop_turn(p->loop, 1);
		assert_true(loop_now(p->loop)->boot_ns < until_ns);
	}
}

static void hear_rest(struct talk *t)
{
	while (!t->eof) {
		size_t before = t->heard_len;

		hear(t, MUCH);
		if (t->heard_len == before && !t->eof)
			return; /* as for a file's reader, there is nothing more */
	}
}

static void assert_said(const struct talk *t, const uint8_t *what, size_t len)
{
	assert_int_equal(t->heard_len, len);
	assert_memory_equal(t->heard, what, len);
}

/* 1 MiB both ways at once; each end closes its half after that; odd sizes of reads and writes. */
static void exchange(struct play *p, size_t most)
{
	struct talk talks[3] = {
		{.fd = p->outside[0], .say = said[0], .left = MUCH, .close_half = true},
		{.fd = p->outside[2],
		 .say = said[1],
		 .left = MUCH,
		 .close_half = true,
		 .heard = heard[0],
		 .heard_most = sizeof heard[0]},
		{.fd = p->outside[1], .heard = heard[1], .heard_most = sizeof heard[1]},
	};

	start(p);
	turn_until_over(p, talks, 3, most);
	assert_int_equal(p->result.err, 0);
	hear_rest(&talks[1]);
	hear_rest(&talks[2]);
	assert_said(&talks[1], said[0], MUCH);
	assert_said(&talks[2], said[1], MUCH);
	assert_int_equal(relay_counts(p->relay).bytes[RELAY_OUT], MUCH);
	assert_int_equal(relay_counts(p->relay).bytes[RELAY_IN], MUCH);
	assert_true(relay_counts(p->relay).near_ended);
	if (p->outside[0] != p->outside[1])
		p->outside[0] = -1; /* closed when all was said */
}

static void test_pipes_are_spliced(void **state)
{
	struct play p = begin();

	put_near_pipes(&p);
	put_far(&p);
	exchange(&p, 65536);
	assert_true(relay_counts(p.relay).spliced);
	finish(&p);
}

static void test_pipes_copied(void **state)
{
	struct play p = begin();

	put_near_pipes(&p);
	put_far(&p);
	p.plan.copies = true;
	exchange(&p, 7777);
	assert_false(relay_counts(p.relay).spliced);
	finish(&p);
}

static void test_sockets_are_spliced(void **state)
{
	struct play p = begin();

	put_near_socket(&p);
	put_far(&p);
	exchange(&p, 30011);
	assert_true(relay_counts(p.relay).spliced);
	finish(&p);
}

static void test_sockets_copied(void **state)
{
	struct play p = begin();

	put_near_socket(&p);
	put_far(&p);
	p.plan.copies = true;
	exchange(&p, 65536);
	assert_false(relay_counts(p.relay).spliced);
	finish(&p);
}

/* Descriptors that block and could not be opened again are asked before each call. */
static void test_descriptors_that_block(void **state)
{
	struct play p = begin();

	put_near_pipes(&p);
	put_far(&p);
	stream_close(&p.plan.near_in);
	stream_close(&p.plan.near_out);
	p.plan.near_in = stream_own(p.inside[0]);
	p.plan.near_out = stream_own(p.inside[1]);
	p.plan.near_in.lent = p.plan.near_out.lent = true;
	p.plan.near_in.may_wait = p.plan.near_out.may_wait = true;
	p.plan.copies = true;
	exchange(&p, 65536);
	finish(&p);
}

static void test_lent_descriptors_keep_their_flags(void **state)
{
	struct play p = begin();

	put_near_pipes(&p);
	put_far(&p);
	assert_true(p.plan.near_in.reopened && p.plan.near_out.reopened);
	exchange(&p, 65536);
	assert_int_equal(fcntl(p.inside[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(p.inside[1], F_GETFL) & O_NONBLOCK, 0);
	finish(&p);
}

static int make_file(const uint8_t *data, size_t len)
{
	char path[] = "/tmp/relay_test_XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* A file to the peer, what the peer says to a file, which may be open for appending only. */
static void files(int append_flag)
{
	struct play p = begin();
	struct talk talk = {.heard = heard[0],
			    .heard_most = sizeof heard[0],
			    .say = said[1],
			    .left = MUCH,
			    .close_half = true};
	struct talk file = {.heard = heard[1], .heard_most = sizeof heard[1]};

	put_far(&p);
	p.inside[0] = make_file(said[0], MUCH);
	p.inside[1] = make_file(said[0], 0);
	if (append_flag)
		assert_int_equal(fcntl(p.inside[1], F_SETFL, append_flag), 0);
	p.plan.near_in = stream_lent(p.inside[0], false);
	p.plan.near_out = stream_lent(p.inside[1], true);
	talk.fd = p.outside[2];
	start(&p);
	turn_until_over(&p, &talk, 1, 50000);
	assert_int_equal(p.result.err, 0);
	assert_true(relay_counts(p.relay).spliced);
	hear_rest(&talk);
	assert_said(&talk, said[0], MUCH);
	file.fd = p.inside[1];
	assert_int_equal(lseek(file.fd, 0, SEEK_SET), 0);
	hear_rest(&file);
	assert_said(&file, said[1], MUCH);
	finish(&p);
}

static void test_files(void **state)
{
	files(0);
}

static void test_an_append_only_file_is_copied_to(void **state)
{
	files(O_APPEND);
}

static void test_near_ends_and_far_goes_on(void **state)
{
	struct play p = begin();
	struct talk far = {.heard = heard[0], .heard_most = sizeof heard[0]};
	struct talk out = {.heard = heard[1], .heard_most = sizeof heard[1]};
	uint64_t until_ns = deadline_ns(p.loop);

	put_near_pipes(&p);
	put_far(&p);
	p.plan.ends_with_far = true;
	far.fd = p.outside[2];
	out.fd = p.outside[1];
	start(&p);
	shut(&p.outside[0]);
	while (!far.eof && loop_now(p.loop)->boot_ns < until_ns) {
		hear(&far, MUCH);
		loop_turn(p.loop, 1);
	}
	assert_true(far.eof);
	assert_false(p.over);
	far.say = said[0];
	far.left = 1000;
	far.close_half = true;
	turn_until_over(&p, &far, 1, MUCH);
	hear_rest(&out);
	assert_said(&out, said[0], 1000);
	finish(&p);
}

static void test_a_silent_near_leaves_the_half_open(void **state)
{
	struct play p = begin();
	struct talk far = {.heard = heard[0], .heard_most = sizeof heard[0]};

	put_near_pipes(&p);
	put_far(&p);
	p.plan.silent_near = true;
	far.fd = p.outside[2];
	start(&p);
	shut(&p.outside[0]);
	for (unsigned i = 0; i < 20; i++) {
		loop_turn(p.loop, 1);
		hear(&far, MUCH);
	}
	assert_true(relay_counts(p.relay).near_ended);
	assert_false(far.eof);
	finish(&p);
}

static void test_far_ends_first(void **state)
{
	struct play p = begin();
	struct talk far = {.say = said[0], .left = 10, .close_half = true};

	put_near_pipes(&p);
	put_far(&p);
	p.plan.ends_with_far = true;
	far.fd = p.outside[2];
	start(&p);
	turn_until_over(&p, &far, 1, MUCH);
	assert_int_equal(p.result.err, 0);
	assert_false(relay_counts(p.relay).near_ended);
	finish(&p);
}

/* Far ends its half while a file still goes out to it: all of the file does. */
static void test_far_ends_first_and_reads_on(void **state)
{
	struct play p = begin();
	struct talk far = {.heard = heard[0], .heard_most = sizeof heard[0]};

	put_far(&p);
	p.inside[0] = make_file(said[0], MUCH);
	p.inside[1] = make_file(said[0], 0);
	p.plan.near_in = stream_lent(p.inside[0], false);
	p.plan.near_out = stream_lent(p.inside[1], true);
	p.plan.ends_with_far = true;
	assert_int_equal(shutdown(p.outside[2], SHUT_WR), 0);
	far.fd = p.outside[2];
	start(&p);
	turn_until_over(&p, &far, 1, 5000);
	assert_int_equal(p.result.err, 0);
	hear_rest(&far);
	assert_said(&far, said[0], MUCH);
	finish(&p);
}

static void reset(int *fd)
{
	struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	shut(fd);
}

static void test_far_resets(void **state)
{
	struct play p = begin();

	put_near_pipes(&p);
	put_far(&p);
	p.plan.ends_with_far = true;
	start(&p);
	loop_turn(p.loop, 1);
	reset(&p.outside[2]);
	turn_until_over(&p, NULL, 0, 0);
	assert_int_equal(p.result.err, ERR_RESET);
	assert_int_equal(p.result.place, RELAY_FAR);
	finish(&p);
}

static void test_nobody_reads_near(void **state)
{
	struct play p = begin();
	struct talk far = {.say = said[0], .left = MUCH};

	put_near_pipes(&p);
	put_far(&p);
	far.fd = p.outside[2];
	start(&p);
	shut(&p.outside[1]);
	turn_until_over(&p, &far, 1, 1000);
	assert_int_equal(p.result.err, ERR_LEFT);
	assert_int_equal(p.result.place, RELAY_NEAR_OUT);
	finish(&p);
}

static void test_the_disk_is_full(void **state)
{
	struct play p = begin();
	struct talk far = {.say = said[0], .left = 1000};

	put_far(&p);
	p.inside[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	p.inside[1] = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (p.inside[1] < 0)
		skip();
	p.plan.near_in = stream_lent(p.inside[0], false);
	p.plan.near_out = stream_lent(p.inside[1], true);
	far.fd = p.outside[2];
	start(&p);
	turn_until_over(&p, &far, 1, MUCH);
	assert_int_equal(p.result.err, ERR_DISK);
	assert_int_equal(p.result.place, RELAY_NEAR_OUT);
	finish(&p);
}

/* Whoever does not read stops what is read: near can say no more than the buffers in between hold.
 */
static void stall(bool copies)
{
	struct play p = begin();
	struct talk near = {.say = said[0]};
	int small = 65536;
	uint64_t before;
	size_t total = 0;

	put_near_pipes(&p);
	put_far(&p);
	setsockopt(p.outside[2], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	setsockopt(p.inside[2], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	p.plan.copies = copies;
	near.fd = p.outside[0];
	start(&p);
	do {
		before = total;
		for (unsigned i = 0; i < 20; i++) {
			near.say = said[0];
			near.left = 65536;
			speak(&near, 65536);
			total += 65536 - near.left;
			loop_turn(p.loop, 1);
		}
	} while (total > before && total < 64u * MUCH);
	assert_true(total < 8u * MUCH);
	assert_false(p.over);
	finish(&p);
}

static void test_a_far_that_never_reads(void **state)
{
	stall(false);
	stall(true);
}

static struct relay_passed double_and_answer(void *owner, struct bytes in, uint8_t *data,
					     uint8_t *back)
{
	for (size_t i = 0; i < in.len; i++)
		data[2 * i] = data[2 * i + 1] = in.data[i];
	memcpy(back, "back", 4);
	return (struct relay_passed){2 * in.len, 4};
}

static void count_tapped(void *owner, enum relay_direction direction, struct bytes b)
{
	((struct play *)owner)->tapped[direction] += b.len;
}

static void test_a_filter_and_a_tap(void **state)
{
	struct play p = begin();
	struct talk talks[2] = {
		{.say = (const uint8_t *)"abc", .left = 3, .heard = heard[0], .heard_most = 100},
		{.heard = heard[1], .heard_most = 100},
	};
	uint64_t until_ns = deadline_ns(p.loop);

	put_near_pipes(&p);
	put_far(&p);
	p.plan.filter[RELAY_IN] = double_and_answer;
	p.plan.tap = count_tapped;
	talks[0].fd = p.outside[2];
	talks[1].fd = p.outside[1];
	start(&p);
	while ((talks[0].heard_len < 4 || talks[1].heard_len < 6) &&
	       loop_now(p.loop)->boot_ns < until_ns) {
		speak(&talks[0], 10);
		hear(&talks[0], 10);
		hear(&talks[1], 10);
		loop_turn(p.loop, 1);
	}
	assert_said(&talks[0], (const uint8_t *)"back", 4);
	assert_said(&talks[1], (const uint8_t *)"aabbcc", 6);
	assert_int_equal(p.tapped[RELAY_IN], 3);
	assert_int_equal(p.tapped[RELAY_OUT], 4);
	assert_int_equal(relay_counts(p.relay).bytes[RELAY_OUT], 4);
	assert_int_equal(relay_counts(p.relay).bytes[RELAY_IN], 3);
	finish(&p);
}

static void put_far_datagrams(struct play *p)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
			 0);
	p->inside[2] = pair[0];
	p->outside[2] = pair[1];
	p->plan.far = stream_own(pair[0]);
	p->plan.datagrams = true;
}

static void test_datagrams(void **state)
{
	struct play p = begin();
	struct talk out = {.heard = heard[1], .heard_most = 100};
	char got[100];
	uint64_t until_ns = deadline_ns(p.loop);

	put_near_pipes(&p);
	put_far_datagrams(&p);
	p.plan.ends_with_far = true;
	p.plan.wait_ms = 50;
	out.fd = p.outside[1];
	start(&p);
	assert_int_equal(send(p.outside[2], "", 0, 0), 0);
	assert_int_equal(write(p.outside[0], "one", 3), 3);
	while (recv(p.outside[2], got, sizeof got, 0) != 3) {
		loop_turn(p.loop, 1);
		assert_true(loop_now(p.loop)->boot_ns < until_ns);
	}
	assert_memory_equal(got, "one", 3);
	assert_int_equal(send(p.outside[2], "two", 3, 0), 3);
	shut(&p.outside[0]);
	turn_until_over(&p, &out, 1, 100);
	hear(&out, 100);
	assert_int_equal(p.result.err, 0);
	assert_said(&out, (const uint8_t *)"two", 3);
	finish(&p);
}

static void test_silence(void **state)
{
	struct play p = begin();

	put_near_pipes(&p);
	put_far(&p);
	p.plan.idle_ms = 30;
	start(&p);
	turn_until_over(&p, NULL, 0, 0);
	assert_int_equal(p.result.err, ERR_TIMEOUT);
	finish(&p);
}

static int set_up(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	fill_random();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipes_are_spliced),
		cmocka_unit_test(test_pipes_copied),
		cmocka_unit_test(test_sockets_are_spliced),
		cmocka_unit_test(test_sockets_copied),
		cmocka_unit_test(test_descriptors_that_block),
		cmocka_unit_test(test_lent_descriptors_keep_their_flags),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_an_append_only_file_is_copied_to),
		cmocka_unit_test(test_near_ends_and_far_goes_on),
		cmocka_unit_test(test_a_silent_near_leaves_the_half_open),
		cmocka_unit_test(test_far_ends_first),
		cmocka_unit_test(test_far_ends_first_and_reads_on),
		cmocka_unit_test(test_far_resets),
		cmocka_unit_test(test_nobody_reads_near),
		cmocka_unit_test(test_the_disk_is_full),
		cmocka_unit_test(test_a_far_that_never_reads),
		cmocka_unit_test(test_a_filter_and_a_tap),
		cmocka_unit_test(test_datagrams),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests_name("relay", tests, set_up, NULL);
}
