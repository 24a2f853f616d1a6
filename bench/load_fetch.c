/* A load for big files: fetches a path again and again over one connection and throws the content
 * away in the kernel (MSG_TRUNC), so that the server is what is measured.
 *
 *     load_fetch PORT PATH SECONDS
 *
 * Prints a line when it is connected, begins when it gets one, and prints what it did as JSON. */
#include "bare.h"

enum { HEAD_BYTES = 4096, TAKE_BYTES = 1 << 20 };

static char head[HEAD_BYTES + 1];

/* Reads up to the head's end; the bytes of content that the answer promises and that are still to
 * come. */
static uint64_t read_head(int fd)
{
	size_t len = 0;
	char *end = NULL, *field;

	while (!end) {
		ssize_t n = recv(fd, head + len, 1, 0);

		if (n <= 0 || len == HEAD_BYTES - 1)
			bare_die("no head");
		head[len += (size_t)n] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	field = strcasestr(head, "\r\nContent-Length: ");
	if (strncmp(head, "HTTP/1.1 200", 12) != 0 || !field)
		bare_die("no content");
	return strtoull(field + 18, NULL, 10);
}

static uint64_t fetch(int fd, const char *request)
{
	uint64_t left, bytes;

	if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		bare_die("send");
	bytes = left = read_head(fd);
	while (left) {
		ssize_t n = recv(fd, NULL, left < TAKE_BYTES ? left : TAKE_BYTES, MSG_TRUNC);

		if (n <= 0)
			bare_die("recv");
		left -= (uint64_t)n;
	}
	return bytes;
}

int main(int argc, char **argv)
{
	uint64_t bytes = 0, begin_ns, seconds_ns;
	char request[512], line[16];
	int fd;

	if (argc != 4) {
		fprintf(stderr, "usage: load_fetch PORT PATH SECONDS\n");
		return 2;
	}
	snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", argv[2]);
	seconds_ns = (uint64_t)(atof(argv[3]) * 1e9);
	fd = bare_connect(argv[1], SOCK_STREAM);
	fetch(fd, request); /* into the page cache, and into the server's */
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		return 1;
	begin_ns = bare_now_ns();
	do
		bytes += fetch(fd, request);
	while (bare_now_ns() - begin_ns < seconds_ns);
	printf("{\"bytes\": %llu, \"ns\": %llu}\n", (unsigned long long)bytes,
	       (unsigned long long)(bare_now_ns() - begin_ns));
	return 0;
}
