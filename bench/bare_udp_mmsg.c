/* The limit for echo over UDP: up to 32 datagrams a recvmmsg, all answered by one sendmmsg. */
#include "bare.h"

/* A few cache lines over 64 KiB, so that the buffers' beginnings do not share one set. */
enum { BATCH = 32, BUFFER_BYTES = 65536 + 5 * 64 };

static char buffer[BATCH][BUFFER_BYTES];

int main(int argc, char **argv)
{
	static struct mmsghdr message[BATCH];
	static struct sockaddr_in from[BATCH];
	static struct iovec piece[BATCH];
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: bare_udp_mmsg PORT\n");
		return 2;
	}
	fd = bare_listen(argv[1], SOCK_DGRAM, 0);
	for (int i = 0; i < BATCH; i++) {
		piece[i] = (struct iovec){buffer[i], BUFFER_BYTES};
		message[i].msg_hdr = (struct msghdr){.msg_name = &from[i],
						     .msg_iov = &piece[i],
						     .msg_iovlen = 1,
						     .msg_namelen = sizeof from[i]};
	}
	for (;;) {
		int count = recvmmsg(fd, message, BATCH, MSG_WAITFORONE, NULL), sent = 0;

		for (int i = 0; i < count; i++)
			piece[i].iov_len = message[i].msg_len;
		while (sent < count) {
			int n = sendmmsg(fd, message + sent, (unsigned)(count - sent), 0);

			sent += n > 0 ? n : 1; /* one that cannot be sent is dropped */
		}
		for (int i = 0; i < count; i++) {
			piece[i].iov_len = BUFFER_BYTES;
			message[i].msg_hdr.msg_namelen = sizeof from[i];
		}
	}
}
