/* The smallest daytime client (RFC 867): connect, read until the server closes, print.
 *
 *     daytime_client HOST PORT
 *
 * A server on the other side may speak IPv4 or IPv6 and its answer may come in several pieces, so
 * there are two loops: over the addresses of the name, and over the pieces. */
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket connected to the first address that answers, or -1. */
static int connect_to(const char *host, const char *port)
{
	/* Any family, but TCP: without SOCK_STREAM each address would come three times. */
	struct addrinfo wanted = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *all;
	int fd = -1;
	int err = getaddrinfo(host, port, &wanted, &all);

	if (err != 0) {
		fprintf(stderr, "%s: %s\n", host, gai_strerror(err));
		return -1;
	}
	for (struct addrinfo *a = all; a != NULL && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, a->ai_socktype, a->ai_protocol);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			perror(host);
			close(fd); /* this address refused: try the next with a new socket */
			fd = -1;
		}
	}
	freeaddrinfo(all);
	return fd;
}

int main(int argc, char **argv)
{
	char piece[256];
	ssize_t len;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: %s HOST PORT\n", argv[0]);
		return 2;
	}
	fd = connect_to(argv[1], argv[2]);
	if (fd < 0)
		return 1;
	/* read returns what has arrived, not what was sent: only 0, the server's end, is it. */
	while ((len = read(fd, piece, sizeof(piece))) > 0)
		fwrite(piece, 1, (size_t)len, stdout);
	if (len < 0)
		perror("read");
	close(fd);
	return len < 0;
}
