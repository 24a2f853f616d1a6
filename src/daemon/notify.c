/* Sources: sd_notify(3), sd_listen_fds(3). */
#include "daemon/notify.h"

#include "base/number.h"
#include "net/endpoint.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { NOTIFY_FIRST_FD = 3 };

void notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof sun.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sun.sun_path, path, len);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&sun,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

void notify_reloading(void)
{
	char state[64];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
		 (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	notify_send(state);
}

/* False for what is no socket, or a stream that does not listen, of which nothing would ever come.
 */
static bool notify_describe(int fd, struct running_socket *socket)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss, int_len = sizeof(int);
	int type, listens;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &int_len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&ss, &len) < 0 || (type == SOCK_STREAM && !listens))
		return false;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	*socket = (struct running_socket){.fd = fd, .shared = true, .datagram = type == SOCK_DGRAM};
	endpoint_from_sockaddr((struct sockaddr *)&ss, len, &socket->address);
	if (ss.ss_family == AF_UNIX)
		snprintf(socket->unix_path, sizeof socket->unix_path, "%s",
			 ((struct sockaddr_un *)&ss)->sun_path);
	return true;
}

unsigned notify_sockets(struct running_socket *sockets, const char **names, unsigned most,
			char *buffer, size_t cap)
{
	const char *fds = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
	const char *given = getenv("LISTEN_FDNAMES");
	uint64_t count = 0, for_pid = 0;
	unsigned used = 0;
	char *rest = buffer;

	snprintf(buffer, cap, "%s", given ? given : "");
	if (!fds || !pid || number_parse_u64(bytes_of_string(pid), &for_pid) < 0 ||
	    for_pid != (uint64_t)getpid() || number_parse_u64(bytes_of_string(fds), &count) < 0)
		return 0;
	for (uint64_t i = 0; i < count && i < most; i++) {
		const char *name = strsep(&rest, ":");

		names[used] = name ? name : "";
		used += notify_describe(NOTIFY_FIRST_FD + (int)i, &sockets[used]);
	}
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	return used;
}
