/* Namespaces for unit tests: unshare(2), as root or in a user namespace. */
#include "private.h"

#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 3 };

static const char *const targets[FILES] = {"/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf"};
static char sources[FILES][32];
static bool here;

static bool bring_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	if (fd >= 0)
		close(fd);
	return up;
}

static bool cover(unsigned i)
{
	int fd;

	strcpy(sources[i], "/tmp/private-XXXXXX");
	fd = mkstemp(sources[i]);
	if (fd < 0)
		return false;
	fchmod(fd, 0644);
	close(fd);
	if (mount(sources[i], targets[i], NULL, MS_BIND, NULL) == 0)
		return true;
	unlink(sources[i]);
	return false;
}

static void uncover(void)
{
	for (unsigned i = 0; i < FILES; i++)
		unlink(sources[i]);
}

static bool write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");
	bool written = file != NULL && fputs(text, file) >= 0;

	return file != NULL && fclose(file) == 0 && written;
}

static bool map_root(const char *path, unsigned id)
{
	char map[32];

	snprintf(map, sizeof(map), "0 %u 1\n", id);
	return write_file(path, map);
}

bool private_unshare(int namespaces)
{
	unsigned user = geteuid(), group = getegid();

	if (unshare(namespaces) == 0)
		return true;
	return unshare(CLONE_NEWUSER | namespaces) == 0 && map_root("/proc/self/uid_map", user) &&
	       write_file("/proc/self/setgroups", "deny") && map_root("/proc/self/gid_map", group);
}

bool private_enter(void)
{
	if (!private_unshare(CLONE_NEWNET | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || !bring_loopback_up())
		return false;
	for (unsigned i = 0; i < FILES; i++)
		if (!cover(i))
			return false;
	atexit(uncover);
	private_resolver("", "", "files");
	here = true;
	return true;
}

bool private_here(void)
{
	return here;
}

void private_resolver(const char *hosts, const char *resolv_conf, const char *order)
{
	char nsswitch[128];

	snprintf(nsswitch, sizeof(nsswitch), "hosts: %s\nservices: files\n", order);
	if (!write_file(sources[0], hosts) || !write_file(sources[1], resolv_conf) ||
	    !write_file(sources[2], nsswitch))
		abort();
}

bool private_run(const char *command)
{
	char line[512];

	snprintf(line, sizeof(line), "PATH=$PATH:/usr/sbin:/sbin; { %s; } >/dev/null 2>&1",
		 command);
	return system(line) == 0;
}

unsigned private_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}
