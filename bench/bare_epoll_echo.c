/* The limit for echo over TCP: level-triggered epoll, accept4 until there is nobody left, one recv
 * and one send a request, no state a connection. A send that the peer's window cuts short waits for
 * it: no client of the benchmarks does that to it. */
#include "bare.h"

#include <poll.h>

enum { BUFFER_BYTES = 65536 };

static char buffer[BUFFER_BYTES];

static void accept_all(int epoll_fd, int listener)
{
	int one = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		bare_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	}
}

static int send_rest(int fd, size_t sent, size_t len)
{
	struct pollfd writable = {fd, POLLOUT, 0};

	while (sent < len) {
		ssize_t n = send(fd, buffer + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			poll(&writable, 1, -1);
		else
			return -1;
	}
	return 0;
}

static void echo(int fd)
{
	ssize_t n = recv(fd, buffer, sizeof buffer, 0), sent;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		sent = send(fd, buffer, (size_t)n, MSG_NOSIGNAL);
		if (sent == n || send_rest(fd, sent < 0 ? 0 : (size_t)sent, (size_t)n) == 0)
			return;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	return bare_serve(argc, argv, accept_all, echo);
}
