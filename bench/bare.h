/* What every bare program of the benchmarks needs: a port from the command line, a socket on
 * 127.0.0.1, a way out. */
#ifndef BENCH_BARE_H
#define BENCH_BARE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BARE_BACKLOG 4096

enum { BARE_EVENTS = 256 };

static inline _Noreturn void bare_die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

/* `value` unless it is the -1 of a system call. */
static inline int bare_check(int value, const char *what)
{
	if (value < 0)
		bare_die(what);
	return value;
}

static inline struct sockaddr_in bare_address(const char *port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons((uint16_t)atoi(port)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A TCP listener, or a bound UDP socket; `flags` such as SOCK_NONBLOCK. */
static inline int bare_listen(const char *port, int type, int flags)
{
	struct sockaddr_in address = bare_address(port);
	int one = 1, fd = bare_check(socket(AF_INET, type | flags, 0), "socket");

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	bare_check(bind(fd, (struct sockaddr *)&address, sizeof address), "bind");
	if (type == SOCK_STREAM)
		bare_check(listen(fd, BARE_BACKLOG), "listen");
	return fd;
}

static inline int bare_connect(const char *port, int type)
{
	struct sockaddr_in address = bare_address(port);
	int one = 1, fd = bare_check(socket(AF_INET, type, 0), "socket");

	bare_check(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return fd;
}

/* As many descriptors as the hard limit, or root, allows. */
static inline void bare_raise_descriptors(void)
{
	struct rlimit most = {1 << 20, 1 << 20};

	if (setrlimit(RLIMIT_NOFILE, &most) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &most);
	most.rlim_cur = most.rlim_max;
	setrlimit(RLIMIT_NOFILE, &most);
}

static inline uint64_t bare_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Everybody who waits, watched for input. */
static inline void bare_accept_all(int epoll_fd, int listener)
{
	int one = 1, fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		bare_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	}
}

/* What the peer's window cut short: waits for it. 0 or -1. */
static inline int bare_send_rest(int fd, const char *data, size_t sent, size_t len)
{
	struct pollfd writable = {fd, POLLOUT, 0};

	while (sent < len) {
		ssize_t n = send(fd, data + sent, len - sent, MSG_NOSIGNAL);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			poll(&writable, 1, -1);
		else
			return -1;
	}
	return 0;
}

/* Listens on the port that is the only argument, and calls `accept_all` when somebody waits and
 * `ready` when a connection can be read. */
static inline int bare_serve(int argc, char **argv, void (*accept_all)(int epoll_fd, int listener),
			     void (*ready)(int fd))
{
	struct epoll_event event[BARE_EVENTS] = {{.events = EPOLLIN}};
	int listener, epoll_fd;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		return 2;
	}
	bare_raise_descriptors();
	listener = bare_listen(argv[1], SOCK_STREAM, SOCK_NONBLOCK);
	epoll_fd = bare_check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
	event[0].data.fd = listener;
	bare_check(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event[0]), "epoll_ctl");
	for (;;) {
		int count = epoll_wait(epoll_fd, event, BARE_EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (event[i].data.fd == listener)
				accept_all(epoll_fd, listener);
			else
				ready(event[i].data.fd);
		}
	}
}

#endif
