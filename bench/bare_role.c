/* The limit for the role service: an ordered list of clients; the first is told `principal`, the
 * others `secondaire`; when the first goes, the next is told. Level-triggered epoll, no names, no
 * leases. */
#include "bare.h"

enum { CLIENTS_MOST = 1 << 16 };

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
	return bare_serve(argc, argv, accept_all, hear);
}
