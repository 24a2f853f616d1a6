/* The smallest echo server (RFC 862): one client at a time, its bytes sent back until it ends.
 *
 *     echo_server PORT        prints the port it listens on (0 asks for any free one)
 *
 * While one client is served the next waits in the kernel's queue (the backlog): connected,
 * unheard. `prise serve echo` serves them all at once; that is the difference a loop makes. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(int fd)
{
	char data[4096];
	ssize_t len;

	/* 0 is the client's end of stream, below 0 an error: either way we are done with it. */
	while ((len = read(fd, data, sizeof(data))) > 0)
		for (ssize_t sent = 0, n; sent < len; sent += n)
			if ((n = write(fd, data + sent, (size_t)(len - sent))) < 0)
				return;
}

int main(int argc, char **argv)
{
	/* Loopback alone: nobody outside this machine can reach it. Ports travel big-endian. */
	struct sockaddr_in here = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(here);
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	if (argc == 2)
		here.sin_port = htons((uint16_t)atoi(argv[1]));
	/* A client that leaves while we write must cost an error, not our life. */
	signal(SIGPIPE, SIG_IGN);
	/* Else a restart fails with "Address already in use" while old connections fade away. */
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) != 0 ||
	    listen(listener, 16) != 0) {
		perror("echo_server");
		return 1;
	}
	getsockname(listener, (struct sockaddr *)&here, &len);
	printf("127.0.0.1:%u\n", ntohs(here.sin_port));
	fflush(stdout);
	for (;;) {
		int client = accept(listener, NULL, NULL);

		if (client < 0)
			continue;
		serve(client);
		close(client);
	}
}
