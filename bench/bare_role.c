/* The limit for the role service: an ordered list of clients; the first is told `principal`, the
 * others `secondaire`; when the first goes, the next is told. Level-triggered epoll, no names, no
 * leases. */
#include "bare.h"

#include <sys/epoll.h>

enum { EVENTS = 256, CLIENTS_MOST = 1 << 16 };

/* By descriptor. */
static struct client {
	int before, after; /* 0: none (descriptor 0 is never a client) */
} client[CLIENTS_MOST];
static int first, last;

static void say(int fd, const char *word)
{
	if (send(fd, word, strlen(word), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		perror("send");
}

static void join(int fd)
{
	client[fd] = (struct client){.before = last};
	if (last)
		client[last].after = fd;
	else
		first = fd;
	last = fd;
	say(fd, first == fd ? "principal" : "secondaire");
}

static void leave(int fd)
{
	struct client c = client[fd];
	int was_first = first == fd;

	*(c.before ? &client[c.before].after : &first) = c.after;
	*(c.after ? &client[c.after].before : &last) = c.before;
	if (was_first && first)
		say(first, "principal");
	close(fd);
}

static void hear(int fd)
{
	char what[1024];
	ssize_t n = recv(fd, what, sizeof what, 0);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		leave(fd);
}

static void accept_all(int epoll_fd, int listener)
{
	int one = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		if (fd >= CLIENTS_MOST) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		bare_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
		join(fd);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event event[EVENTS] = {{.events = EPOLLIN}};
	int listener, epoll_fd;

	if (argc != 2) {
		fprintf(stderr, "usage: bare_role PORT\n");
		return 2;
	}
	bare_raise_descriptors();
	listener = bare_listen(argv[1], SOCK_STREAM, SOCK_NONBLOCK);
	epoll_fd = bare_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	event[0].data.fd = listener;
	bare_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event[0]), "epoll_ctl");
	for (;;) {
		int count = epoll_wait(epoll_fd, event, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (event[i].data.fd == listener)
				accept_all(epoll_fd, listener);
			else
				hear(event[i].data.fd);
		}
	}
}
