/* Opens N connections, makes each of them live once, and then holds them idle until standard input
 * ends. `echo` sends 64 bytes and awaits them back; `http` sends a request and awaits its answer
 * whole (the server is to keep the connection alive).
 *
 *   load_idle echo|http PORT CONNECTIONS
 *
 * Prints `held` when all are. */
#include "bare.h"

#include <stdbool.h>

enum { CONNECTIONS_MOST = 60000 };

static char answer[65536];

static size_t read_some(int fd, size_t have)
{
	ssize_t n = recv(fd, answer + have, sizeof answer - 1 - have, 0);

	if (n <= 0)
		bare_die("the server left");
	answer[have + (size_t)n] = 0;
	return have + (size_t)n;
}

static void live_echo(int fd)
{
	static const char request[64] = "a request as any other";
	size_t have = 0;

	bare_check((int)send(fd, request, sizeof request, MSG_NOSIGNAL), "send");
	while (have < sizeof request)
		have = read_some(fd, have);
}

static void live_http(int fd)
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
	const char *body = NULL, *length = NULL;
	size_t have = 0;

	bare_check((int)send(fd, request, sizeof request - 1, MSG_NOSIGNAL), "send");
	while (!body) {
		have = read_some(fd, have);
		body = strstr(answer, "\r\n\r\n");
		length = strcasestr(answer, "\r\nContent-Length:");
	}
	if (!length || length > body)
		bare_die("no Content-Length");
	while (have < (size_t)(body + 4 - answer) + strtoul(length + 17, NULL, 10))
		have = read_some(fd, have);
}

int main(int argc, char **argv)
{
	unsigned count = argc == 4 ? (unsigned)atoi(argv[3]) : 0;
	bool http = argc > 1 && strcmp(argv[1], "http") == 0;

	if (count < 1 || count > CONNECTIONS_MOST) {
		fprintf(stderr, "usage: load_idle echo|http PORT CONNECTIONS\n");
		return 2;
	}
	bare_raise_descriptors();
	for (unsigned i = 0; i < count; i++) {
		int fd = bare_connect(argv[2], SOCK_STREAM);

		(http ? live_http : live_echo)(fd);
	}
	printf("held\n");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
