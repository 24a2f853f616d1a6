/* Load for an echo server: a closed loop of 64-byte requests over N connections (or UDP sockets),
 * each sending its next when its last has come back whole.
 *
 *   load_echo tcp|udp PORT CONNECTIONS SECONDS [REQUESTS]
 *
 * Connects one after the other, each answered once before the next (a backlog may be short), prints
 * `ready`, and for each line of input runs for SECONDS (or until REQUESTS were sent), waits for
 * what is under way, and prints a line of JSON; holds its connections until standard input ends:
 * what the server did between the lines is what was counted.
 * When no datagram came for 200 ms, what is under way is sent again and counted lost. */
#include "bare.h"

#include <stdbool.h>
#include <sys/epoll.h>

enum { EVENTS = 256, SIZE = 64, CONNECTIONS_MOST = 20000, RESEND_MS = 200 };
enum { STEP_BITS = 10, STEPS = 40 << STEP_BITS }; /* a histogram, 1024 steps a power of two */

struct connection {
	int fd;
	unsigned got; /* bytes of the answer under way */
	uint64_t sent_ns;
};

static struct connection connection[CONNECTIONS_MOST];
static uint64_t step[STEPS], answered, sent, lost, most, stop_ns;
static unsigned waiting;
static bool udp;

static unsigned step_of(uint64_t ns)
{
	unsigned power = 0;

	while (ns >> power >> (STEP_BITS + 1))
		power++;
	return (power << STEP_BITS) + (unsigned)(ns >> power);
}

static unsigned long long quantile_ns(double q)
{
	unsigned index = 0, power;

	for (uint64_t seen = step[0]; (double)seen < q * (double)answered && index < STEPS - 1;)
		seen += step[++index];
	power = index >> (STEP_BITS + 1) ? (index >> STEP_BITS) - 1 : 0;
	return (unsigned long long)(index - (power << STEP_BITS)) << power;
}

static void ask(struct connection *c, uint64_t now_ns)
{
	static const char request[SIZE] = "sixty-four bytes that go out and come back as sent";

	c->got = 0;
	c->sent_ns = now_ns;
	if (send(c->fd, request, SIZE, MSG_NOSIGNAL) != SIZE)
		bare_die("send");
}

static void start(struct connection *c, uint64_t now_ns)
{
	if (now_ns >= stop_ns || sent >= most)
		return;
	ask(c, now_ns);
	sent++;
	waiting++;
}

static void hear(struct connection *c)
{
	char answer[SIZE];
	bool late = c->got == SIZE; /* the second answer to what was sent twice */
	ssize_t n = recv(c->fd, answer, late ? SIZE : SIZE - c->got, MSG_DONTWAIT);
	uint64_t now_ns = bare_now_ns();

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0)
		bare_die("the server left");
	if (late || (c->got += (unsigned)n) < SIZE)
		return;
	step[step_of(now_ns - c->sent_ns)]++;
	answered++;
	waiting--;
	start(c, now_ns);
}

static void run(int epoll_fd, unsigned count)
{
	struct epoll_event event[EVENTS];

	for (unsigned i = 0; i < count; i++)
		start(&connection[i], bare_now_ns());
	while (waiting) {
		int ready = epoll_wait(epoll_fd, event, EVENTS, RESEND_MS);

		for (int i = 0; i < ready; i++)
			hear(event[i].data.ptr);
		for (unsigned i = 0; udp && ready == 0 && i < count; i++)
			if (connection[i].got < SIZE && ++lost)
				ask(&connection[i], bare_now_ns());
	}
}

static int connect_all(const char *port, unsigned count)
{
	int epoll_fd = bare_check(epoll_create1(0), "epoll_create1");

	for (struct connection *c = connection; c < connection + count; c++) {
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};

		c->fd = bare_connect(port, udp ? SOCK_DGRAM : SOCK_STREAM);
		bare_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event), "epoll_ctl");
		most = sent + 1;
		start(c, 0);
		run(epoll_fd, (unsigned)(c - connection) + 1);
	}
	return epoll_fd;
}

/* One line of input, one run, one line of output. */
static void run_timed(int epoll_fd, unsigned count, double seconds)
{
	uint64_t began_ns = bare_now_ns();

	memset(step, 0, sizeof step);
	answered = sent = lost = 0;
	stop_ns = most < UINT64_MAX ? UINT64_MAX : began_ns + (uint64_t)(seconds * 1e9);
	run(epoll_fd, count);
	printf("{\"requests\":%llu,\"seconds\":%f,\"lost\":%llu,\"p50_ns\":%llu,\"p99_ns\":%llu}\n",
	       (unsigned long long)answered, (double)(bare_now_ns() - began_ns) / 1e9,
	       (unsigned long long)lost, quantile_ns(0.5), quantile_ns(0.99));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	unsigned count = argc > 4 ? (unsigned)atoi(argv[3]) : 0;
	int epoll_fd;

	if (count < 1 || count > CONNECTIONS_MOST) {
		fprintf(stderr, "usage: load_echo tcp|udp PORT CONNECTIONS SECONDS [REQUESTS]\n");
		return 2;
	}
	udp = strcmp(argv[1], "udp") == 0;
	bare_raise_descriptors();
	stop_ns = UINT64_MAX;
	epoll_fd = connect_all(argv[2], count);
	printf("ready\n");
	fflush(stdout);
	most = argc > 5 ? strtoull(argv[5], NULL, 10) : UINT64_MAX;
	while (getchar() != EOF)
		run_timed(epoll_fd, count, atof(argv[4]));
	return 0;
}
