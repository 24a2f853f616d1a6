/* The limit for echo over TCP: level-triggered epoll, accept4 until there is nobody left, one recv
 * and one send a request, no state a connection. A send that the peer's window cuts short waits for
 * it: no client of the benchmarks does that to it. */
#include "bare.h"

enum { BUFFER_BYTES = 65536 };

static char buffer[BUFFER_BYTES];

static void echo(int fd)
{
	ssize_t n = recv(fd, buffer, sizeof buffer, 0), sent;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		sent = send(fd, buffer, (size_t)n, MSG_NOSIGNAL);
		if (sent == n ||
		    bare_send_rest(fd, buffer, sent < 0 ? 0 : (size_t)sent, (size_t)n) == 0)
			return;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	return bare_serve(argc, argv, bare_accept_all, echo);
}
