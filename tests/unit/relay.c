/* The relay between descriptors of every kind: pipes, files, sockets; what it splices and what it
 * copies; both halves' ends; ends that stall and ends that vanish. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/err.h"
#include "relaying.h"

/* 1 MiB both ways at once; each end closes its half after that; odd sizes of reads and writes. */
static void exchange(struct play *p, size_t most)
{
	struct talk talks[3] = {
		{.fd = p->outside[0], .say = play_said[0], .left = PLAY_MUCH, .close_half = true},
		{.fd = p->outside[2],
		 .say = play_said[1],
		 .left = PLAY_MUCH,
		 .close_half = true,
		 .heard = play_heard[0],
		 .heard_most = sizeof play_heard[0]},
		{.fd = p->outside[1], .heard = play_heard[1], .heard_most = sizeof play_heard[1]},
	};

	play_start(p);
	play_until_over(p, talks, 3, most);
	assert_int_equal(p->result.err, 0);
	talk_hear_rest(&talks[1]);
	talk_hear_rest(&talks[2]);
	talk_assert_heard(&talks[1], play_said[0], PLAY_MUCH);
	talk_assert_heard(&talks[2], play_said[1], PLAY_MUCH);
	assert_int_equal(relay_counts(p->relay).bytes[RELAY_OUT], PLAY_MUCH);
	assert_int_equal(relay_counts(p->relay).bytes[RELAY_IN], PLAY_MUCH);
	assert_true(relay_counts(p->relay).near_ended);
	if (p->outside[0] != p->outside[1])
		p->outside[0] = -1; /* closed when all was said */
}

static void test_pipes_are_spliced(void **state)
{
	struct play p = play_begin();

	play_put_pipes(&p);
	play_put_far(&p);
	exchange(&p, 65536);
	assert_true(relay_counts(p.relay).spliced);
	play_finish(&p);
}

static void test_pipes_copied(void **state)
{
	struct play p = play_begin();

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.copies = true;
	exchange(&p, 7777);
	assert_false(relay_counts(p.relay).spliced);
	play_finish(&p);
}

static void test_sockets_are_spliced(void **state)
{
	struct play p = play_begin();

	play_put_socket(&p);
	play_put_far(&p);
	exchange(&p, 30011);
	assert_true(relay_counts(p.relay).spliced);
	play_finish(&p);
}

static void test_sockets_copied(void **state)
{
	struct play p = play_begin();

	play_put_socket(&p);
	play_put_far(&p);
	p.plan.copies = true;
	exchange(&p, 65536);
	assert_false(relay_counts(p.relay).spliced);
	play_finish(&p);
}

/* Descriptors that block and could not be opened again are asked before each call. */
static void test_descriptors_that_block(void **state)
{
	struct play p = play_begin();

	play_put_pipes(&p);
	play_put_far(&p);
	stream_close(&p.plan.near_in);
	stream_close(&p.plan.near_out);
	p.plan.near_in = stream_own(p.inside[0]);
	p.plan.near_out = stream_own(p.inside[1]);
	p.plan.near_in.lent = p.plan.near_out.lent = true;
	p.plan.near_in.may_wait = p.plan.near_out.may_wait = true;
	p.plan.copies = true;
	exchange(&p, 65536);
	play_finish(&p);
}

static void test_lent_descriptors_keep_their_flags(void **state)
{
	struct play p = play_begin();

	play_put_pipes(&p);
	play_put_far(&p);
	assert_true(p.plan.near_in.reopened && p.plan.near_out.reopened);
	exchange(&p, 65536);
	assert_int_equal(fcntl(p.inside[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(p.inside[1], F_GETFL) & O_NONBLOCK, 0);
	play_finish(&p);
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
	struct play p = play_begin();
	struct talk talk = {.heard = play_heard[0],
			    .heard_most = sizeof play_heard[0],
			    .say = play_said[1],
			    .left = PLAY_MUCH,
			    .close_half = true};
	struct talk file = {.heard = play_heard[1], .heard_most = sizeof play_heard[1]};

	play_put_far(&p);
	p.inside[0] = make_file(play_said[0], PLAY_MUCH);
	p.inside[1] = make_file(play_said[0], 0);
	if (append_flag)
		assert_int_equal(fcntl(p.inside[1], F_SETFL, append_flag), 0);
	p.plan.near_in = stream_lent(p.inside[0], false);
	p.plan.near_out = stream_lent(p.inside[1], true);
	talk.fd = p.outside[2];
	play_start(&p);
	play_until_over(&p, &talk, 1, 50000);
	assert_int_equal(p.result.err, 0);
	assert_true(relay_counts(p.relay).spliced);
	talk_hear_rest(&talk);
	talk_assert_heard(&talk, play_said[0], PLAY_MUCH);
	file.fd = p.inside[1];
	assert_int_equal(lseek(file.fd, 0, SEEK_SET), 0);
	talk_hear_rest(&file);
	talk_assert_heard(&file, play_said[1], PLAY_MUCH);
	play_finish(&p);
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
	struct play p = play_begin();
	struct talk far = {.heard = play_heard[0], .heard_most = sizeof play_heard[0]};
	struct talk out = {.heard = play_heard[1], .heard_most = sizeof play_heard[1]};
	uint64_t until_ns = play_deadline_ns(p.loop);

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.ends_with_far = true;
	far.fd = p.outside[2];
	out.fd = p.outside[1];
	play_start(&p);
	play_shut(&p.outside[0]);
	while (!far.eof && loop_now(p.loop)->boot_ns < until_ns) {
		talk_hear(&far, PLAY_MUCH);
		loop_turn(p.loop, 1);
	}
	assert_true(far.eof);
	assert_false(p.over);
	far.say = play_said[0];
	far.left = 1000;
	far.close_half = true;
	play_until_over(&p, &far, 1, PLAY_MUCH);
	talk_hear_rest(&out);
	talk_assert_heard(&out, play_said[0], 1000);
	play_finish(&p);
}

static void test_a_silent_near_leaves_the_half_open(void **state)
{
	struct play p = play_begin();
	struct talk far = {.heard = play_heard[0], .heard_most = sizeof play_heard[0]};

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.silent_near = true;
	far.fd = p.outside[2];
	play_start(&p);
	play_shut(&p.outside[0]);
	for (unsigned i = 0; i < 20; i++) {
		loop_turn(p.loop, 1);
		talk_hear(&far, PLAY_MUCH);
	}
	assert_true(relay_counts(p.relay).near_ended);
	assert_false(far.eof);
	play_finish(&p);
}

static void test_far_ends_first(void **state)
{
	struct play p = play_begin();
	struct talk far = {.say = play_said[0], .left = 10, .close_half = true};

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.ends_with_far = true;
	far.fd = p.outside[2];
	play_start(&p);
	play_until_over(&p, &far, 1, PLAY_MUCH);
	assert_int_equal(p.result.err, 0);
	assert_false(relay_counts(p.relay).near_ended);
	play_finish(&p);
}

/* Far ends its half while a file still goes out to it: all of the file does. */
static void test_far_ends_first_and_reads_on(void **state)
{
	struct play p = play_begin();
	int small = 16384;
	struct talk far = {.heard = play_heard[0], .heard_most = sizeof play_heard[0]};

	play_put_far(&p);
	setsockopt(p.inside[2], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	setsockopt(p.outside[2], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	p.inside[0] = make_file(play_said[0], PLAY_MUCH);
	p.inside[1] = make_file(play_said[0], 0);
	p.plan.near_in = stream_lent(p.inside[0], false);
	p.plan.near_out = stream_lent(p.inside[1], true);
	p.plan.ends_with_far = true;
	assert_int_equal(shutdown(p.outside[2], SHUT_WR), 0);
	far.fd = p.outside[2];
	play_start(&p);
	play_until_over(&p, &far, 1, 5000);
	assert_int_equal(p.result.err, 0);
	talk_hear_rest(&far);
	talk_assert_heard(&far, play_said[0], PLAY_MUCH);
	play_finish(&p);
}

static void reset(int *fd)
{
	struct linger now = {.l_onoff = 1};

	assert_int_equal(setsockopt(*fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
	play_shut(fd);
}

static void test_far_resets(void **state)
{
	struct play p = play_begin();

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.ends_with_far = true;
	play_start(&p);
	loop_turn(p.loop, 1);
	reset(&p.outside[2]);
	play_until_over(&p, NULL, 0, 0);
	assert_int_equal(p.result.err, ERR_RESET);
	assert_int_equal(p.result.place, RELAY_FAR);
	play_finish(&p);
}

static void test_nobody_reads_near(void **state)
{
	struct play p = play_begin();
	struct talk far = {.say = play_said[0], .left = PLAY_MUCH};

	play_put_pipes(&p);
	play_put_far(&p);
	far.fd = p.outside[2];
	play_start(&p);
	play_shut(&p.outside[1]);
	play_until_over(&p, &far, 1, 1000);
	assert_int_equal(p.result.err, ERR_LEFT);
	assert_int_equal(p.result.place, RELAY_NEAR_OUT);
	play_finish(&p);
}

static void test_the_disk_is_full(void **state)
{
	struct play p = play_begin();
	struct talk far = {.say = play_said[0], .left = 1000};

	play_put_far(&p);
	p.inside[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	p.inside[1] = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (p.inside[1] < 0)
		skip();
	p.plan.near_in = stream_lent(p.inside[0], false);
	p.plan.near_out = stream_lent(p.inside[1], true);
	far.fd = p.outside[2];
	play_start(&p);
	play_until_over(&p, &far, 1, PLAY_MUCH);
	assert_int_equal(p.result.err, ERR_DISK);
	assert_int_equal(p.result.place, RELAY_NEAR_OUT);
	play_finish(&p);
}

/* Whoever does not read stops what is read: near can say no more than the buffers in between hold.
 */
static void stall(bool copies)
{
	struct play p = play_begin();
	struct talk near = {.say = play_said[0]};
	int small = 65536;
	uint64_t before;
	size_t total = 0;

	play_put_pipes(&p);
	play_put_far(&p);
	setsockopt(p.outside[2], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
	setsockopt(p.inside[2], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
	p.plan.copies = copies;
	near.fd = p.outside[0];
	play_start(&p);
	do {
		before = total;
		for (unsigned i = 0; i < 20; i++) {
			near.say = play_said[0];
			near.left = 65536;
			talk_speak(&near, 65536);
			total += 65536 - near.left;
			loop_turn(p.loop, 1);
		}
	} while (total > before && total < 64u * PLAY_MUCH);
	assert_true(total < 8u * PLAY_MUCH);
	assert_false(p.over);
	play_finish(&p);
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
	struct play p = play_begin();
	struct talk talks[2] = {
		{.say = (const uint8_t *)"abc",
		 .left = 3,
		 .heard = play_heard[0],
		 .heard_most = 100},
		{.heard = play_heard[1], .heard_most = 100},
	};
	uint64_t until_ns = play_deadline_ns(p.loop);

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.filter[RELAY_IN] = double_and_answer;
	p.plan.tap = count_tapped;
	talks[0].fd = p.outside[2];
	talks[1].fd = p.outside[1];
	play_start(&p);
	while ((talks[0].heard_len < 4 || talks[1].heard_len < 6) &&
	       loop_now(p.loop)->boot_ns < until_ns) {
		talk_speak(&talks[0], 10);
		talk_hear(&talks[0], 10);
		talk_hear(&talks[1], 10);
		loop_turn(p.loop, 1);
	}
	talk_assert_heard(&talks[0], (const uint8_t *)"back", 4);
	talk_assert_heard(&talks[1], (const uint8_t *)"aabbcc", 6);
	assert_int_equal(p.tapped[RELAY_IN], 3);
	assert_int_equal(p.tapped[RELAY_OUT], 4);
	assert_int_equal(relay_counts(p.relay).bytes[RELAY_OUT], 4);
	assert_int_equal(relay_counts(p.relay).bytes[RELAY_IN], 3);
	play_finish(&p);
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
	struct play p = play_begin();
	struct talk out = {.heard = play_heard[1], .heard_most = 100};
	char got[100];
	uint64_t until_ns = play_deadline_ns(p.loop);

	play_put_pipes(&p);
	put_far_datagrams(&p);
	p.plan.ends_with_far = true;
	p.plan.wait_ms = 50;
	out.fd = p.outside[1];
	play_start(&p);
	assert_int_equal(send(p.outside[2], "", 0, 0), 0);
	assert_int_equal(write(p.outside[0], "one", 3), 3);
	while (recv(p.outside[2], got, sizeof got, 0) != 3) {
		loop_turn(p.loop, 1);
		assert_true(loop_now(p.loop)->boot_ns < until_ns);
	}
	assert_memory_equal(got, "one", 3);
	assert_int_equal(send(p.outside[2], "two", 3, 0), 3);
	play_shut(&p.outside[0]);
	play_until_over(&p, &out, 1, 100);
	talk_hear(&out, 100);
	assert_int_equal(p.result.err, 0);
	talk_assert_heard(&out, (const uint8_t *)"two", 3);
	play_finish(&p);
}

/* Where far goes when it refuses: to `second`, which is sent what the first was. */
struct removal {
	struct play play;
	int far, second;
	unsigned times;
};

static bool remove_far(void *owner, int err)
{
	struct removal *removal = owner;

	if (removal->times++)
		return false;
	assert_true(dup3(removal->second, removal->far, O_CLOEXEC) >= 0);
	assert_int_equal(send(removal->far, "one", 3, 0), 3);
	return true;
}

static int datagram_socket(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof *at;

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	assert_int_equal(bind(fd, (struct sockaddr *)at, sizeof *at), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void wait_for_datagram(struct play *p, int fd, const char *expected)
{
	uint64_t until_ns = play_deadline_ns(p->loop);
	char got[100];

	while (recv(fd, got, sizeof got, 0) != (ssize_t)strlen(expected)) {
		loop_turn(p->loop, 1);
		assert_true(loop_now(p->loop)->boot_ns < until_ns);
	}
	assert_memory_equal(got, expected, strlen(expected));
}

static void test_datagrams_go_elsewhere(void **state)
{
	struct removal removal = {.play = play_begin()};
	struct play *p = &removal.play;
	struct sockaddr_in dead, alive;
	int closed = datagram_socket(&dead), server = datagram_socket(&alive);

	close(closed);
	play_put_pipes(p);
	removal.far = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	removal.second = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(connect(removal.far, (struct sockaddr *)&dead, sizeof dead), 0);
	assert_int_equal(connect(removal.second, (struct sockaddr *)&alive, sizeof alive), 0);
	p->inside[2] = removal.far;
	p->plan.far = stream_own(removal.far);
	p->plan.datagrams = true;
	p->plan.elsewhere = remove_far;
	p->plan.owner = &removal.play;
	play_start(p);
	assert_int_equal(write(p->outside[0], "one", 3), 3);
	wait_for_datagram(p, server, "one");
	assert_int_equal(write(p->outside[0], "three", 5), 5);
	wait_for_datagram(p, server, "three");
	close(server);
	assert_int_equal(write(p->outside[0], "four", 4), 4);
	play_until_over(p, NULL, 0, 100);
	assert_int_equal(p->result.err, ERR_REFUSED);
	assert_int_equal(removal.times, 2);
	close(removal.second);
	play_finish(p);
}

static void test_silence(void **state)
{
	struct play p = play_begin();

	play_put_pipes(&p);
	play_put_far(&p);
	p.plan.idle_ms = 30;
	play_start(&p);
	play_until_over(&p, NULL, 0, 0);
	assert_int_equal(p.result.err, ERR_TIMEOUT);
	play_finish(&p);
}

static int set_up(void **state)
{
	signal(SIGPIPE, SIG_IGN);
	play_fill();
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
		cmocka_unit_test(test_datagrams_go_elsewhere),
		cmocka_unit_test(test_silence),
	};

	return cmocka_run_group_tests_name("relay", tests, set_up, NULL);
}
