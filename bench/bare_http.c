/* The limit for HTTP over TCP: level-triggered epoll, accept4 until there is nobody left, one recv
 * a request, which is not looked at, and one send of an answer that was made at the start: the head
 * that prise gives, and 1 KiB. A send that the peer's window cuts short waits for it: no client of
 * the benchmarks does that to it. */
#include "bare.h"

enum { BUFFER_BYTES = 65536, CONTENT_BYTES = 1024 };

static char buffer[BUFFER_BYTES], answer[512 + CONTENT_BYTES];
static size_t answer_len;

static void make_answer(void)
{
	answer_len = (size_t)sprintf(answer,
				     "HTTP/1.1 200 OK\r\nServer: prise\r\n"
				     "Date: Tue, 22 Feb 1982 17:37:43 GMT\r\n"
				     "Content-Type: application/octet-stream\r\n"
				     "Last-Modified: Tue, 22 Feb 1982 17:37:43 GMT\r\n"
				     "ETag: \"123456-400-6b02352316e4c666\"\r\n"
				     "Accept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n",
				     CONTENT_BYTES);
	memset(answer + answer_len, 'x', CONTENT_BYTES);
	answer_len += CONTENT_BYTES;
}

static void serve(int fd)
{
	ssize_t n = recv(fd, buffer, sizeof buffer, 0), sent;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		sent = send(fd, answer, answer_len, MSG_NOSIGNAL);
		if (sent == (ssize_t)answer_len ||
		    bare_send_rest(fd, answer, sent < 0 ? 0 : (size_t)sent, answer_len) == 0)
			return;
	}
	close(fd);
}

int main(int argc, char **argv)
{
	make_answer();
	return bare_serve(argc, argv, bare_accept_all, serve);
}
