/* Who a process is: /proc/PID/stat has its name and when it began, /proc/PID/status its user
 * (proc(5)). What was read is believed for a while, and as long as the process is gone: most of
 * those that are asked about are, and nobody else has had their number since. Limit: one that began
 * with a number that was believed to be another's less than REFRESH_NS ago. */
#include "kernel/source.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
	KNOWN = 64, /* processes, and users */
	PROGRAM_BYTES = 64,
	USER_BYTES = 64,
	READ_BYTES = 2048,
	ENTRY_BYTES = 4096, /* of the user database */
	REFRESH_NS = 100 * 1000 * 1000,
};

struct user {
	uid_t id;
	bool known;
	char name[USER_BYTES];
};

struct process {
	uint32_t pid;
	bool known;
	uid_t uid;
	uint64_t read_ns;
	char program[PROGRAM_BYTES];
};

static _Thread_local struct process processes[KNOWN];
static _Thread_local struct user users[KNOWN];

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* False: there is no such process, or it may not be read. */
static bool read_text(uint32_t pid, const char *name, char *text)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, text, READ_BYTES - 1);
	text[len < 0 ? 0 : len] = '\0';
	close(fd);
	return len > 0;
}

/* "412 (name) S ...": the name itself may have anything in it. */
static bool read_process(struct process *p, uint32_t pid)
{
	char stat[READ_BYTES], status[READ_BYTES];
	char *begin, *end, *uid;
	size_t len;

	if (!read_text(pid, "stat", stat) || !read_text(pid, "status", status))
		return false;
	begin = strchr(stat, '(');
	end = strrchr(stat, ')');
	uid = strstr(status, "\nUid:\t");
	if (begin == NULL || end == NULL || end < begin || uid == NULL)
		return false;
	len = (size_t)(end - begin - 1);
	len = len < PROGRAM_BYTES - 1 ? len : PROGRAM_BYTES - 1;
	memcpy(p->program, begin + 1, len);
	p->program[len] = '\0';
	p->pid = pid;
	p->uid = (uid_t)strtoul(uid + 6, NULL, 10);
	p->known = true;
	return true;
}

static const char *user_name(uid_t id)
{
	struct user *u = &users[id % KNOWN];
	struct passwd entry, *found = NULL;
	char buffer[ENTRY_BYTES];

	if (u->known && u->id == id)
		return u->name;
	if (getpwuid_r(id, &entry, buffer, sizeof(buffer), &found) != 0 || found == NULL)
		snprintf(u->name, sizeof(u->name), "%u", (unsigned)id);
	else
		snprintf(u->name, sizeof(u->name), "%s", found->pw_name);
	u->id = id;
	u->known = true;
	return u->name;
}

void source_who(uint32_t pid, struct bytes *program, struct bytes *user)
{
	struct process *p = &processes[pid % KNOWN];
	uint64_t now = now_ns();

	*program = *user = (struct bytes){NULL, 0};
	if (pid == 0)
		return;
	if (p->pid != pid || now - p->read_ns > REFRESH_NS) {
		if (!read_process(p, pid) && p->pid != pid) {
			p->pid = pid; /* that it was gone already is worth knowing, too */
			p->known = false;
		}
		p->read_ns = now;
	}
	if (!p->known)
		return;
	*program = bytes_of_string(p->program);
	*user = bytes_of_string(user_name(p->uid));
}
