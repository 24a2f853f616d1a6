/* The smallest HTTP client (RFC 9112): a request by hand, the whole answer on stdout, headers too.
 *
 *     http_get HOST PORT PATH
 *
 * "Connection: close" makes the end of the stream the end of the answer; a client that wants to
 * keep the connection has to read lengths and chunks instead. */
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* write may take less than all; this does not return before all is taken, or fails. */
static int write_all(int fd, const char *data, size_t len)
{
	for (ssize_t taken; len > 0; data += taken, len -= (size_t)taken)
		if ((taken = write(fd, data, len)) < 0)
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	struct addrinfo wanted = {.ai_socktype = SOCK_STREAM}, *all, *a;
	char text[2048];
	ssize_t len;
	int fd = -1;

	if (argc != 4) {
		fprintf(stderr, "usage: %s HOST PORT PATH\n", argv[0]);
		return 2;
	}
	/* Lines end in CR LF, and an empty one ends the request: without it the server waits on. */
	len = snprintf(text, sizeof(text),
		       "GET %s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", argv[3],
		       argv[1], argv[2]);
	if (len >= (ssize_t)sizeof(text) || getaddrinfo(argv[1], argv[2], &wanted, &all) != 0) {
		fprintf(stderr, "%s: no such name, or too long a path\n", argv[1]);
		return 1;
	}
	for (a = all; a != NULL; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0)
			break;
		close(fd);
	}
	freeaddrinfo(all);
	if (a == NULL || write_all(fd, text, (size_t)len) != 0) {
		perror(argv[1]);
		return 1;
	}
	while ((len = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)len, stdout);
	close(fd);
	return len < 0;
}
