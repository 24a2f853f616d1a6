/* The plain loop for echo over UDP: one recvfrom and one sendto a datagram. */
#include "bare.h"

static char buffer[65536];

int main(int argc, char **argv)
{
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: bare_udp_echo PORT\n");
		return 2;
	}
	fd = bare_listen(argv[1], SOCK_DGRAM, 0);
	for (;;) {
		struct sockaddr_in from;
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from,
				     &from_len);

		if (n >= 0)
			sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, from_len);
	}
}
