/* A directory, a full disk, damage and death, for tests of the store. */
#include "storing.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

static char directory[64], disk[80];

static void remove_directory(void)
{
	char command[128];

	if (disk[0] != '\0')
		umount2(disk, MNT_DETACH);
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	if (system(command) != 0)
		fprintf(stderr, "%s stays\n", directory);
}

const char *storing_directory(void)
{
	if (directory[0] != '\0')
		return directory;
	strcpy(directory, "/tmp/storing-XXXXXX");
	if (mkdtemp(directory) == NULL)
		abort();
	atexit(remove_directory);
	return directory;
}

const char *storing_path(const char *name)
{
	static char path[8][256];
	static unsigned next;
	char *p = path[next++ % 8];

	snprintf(p, sizeof(path[0]), "%s/%s", storing_directory(), name);
	return p;
}

const char *storing_disk(unsigned kib)
{
	char size[32];

	snprintf(disk, sizeof(disk), "%s/disk", storing_directory());
	snprintf(size, sizeof(size), "size=%uk", kib);
	mkdir(disk, 0700);
	if (private_unshare(CLONE_NEWNS) &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	    mount("none", disk, "tmpfs", 0, size) == 0)
		return disk;
	disk[0] = '\0';
	return NULL;
}

bool storing_fill(void)
{
	static const char nothing[4096];
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%s/filler", disk);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	while (write(fd, nothing, sizeof(nothing)) == (ssize_t)sizeof(nothing))
		;
	close(fd);
	return true;
}

void storing_free(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/filler", disk);
	unlink(path);
}

uint64_t storing_seed(void)
{
	const char *given = getenv("PRISE_SEED");
	struct timespec now;

	if (given != NULL)
		return strtoull(given, NULL, 0);
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t storing_random(uint64_t *seed, uint64_t below)
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return z % below;
}

struct change storing_change(uint64_t n, char path[64])
{
	int len = snprintf(path, 64, "/srv/tree/directory-%llu/file-%llu",
			   (unsigned long long)n % 10, (unsigned long long)n);

	return (struct change){.type = CHANGE_CREATE + n % 2,
			       .kind = CHANGE_FILE,
			       .time_us = 1767225600000000 + (int64_t)n * 1000,
			       .path = bytes_of(path, (size_t)len),
			       .size = n * 3,
			       .mtime_us = 1767225600000000 + (int64_t)n,
			       .mode = 0644,
			       .inode = 1000 + n,
			       .pid = (uint32_t)n,
			       .program = BYTES_LITERAL("cp")};
}

size_t storing_record(uint8_t *record, uint64_t n)
{
	char path[64];
	struct change c = storing_change(n, path);

	return change_put(record, &c);
}

long storing_size(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

bool storing_cut(const char *path, long size)
{
	return truncate(path, size) == 0;
}

bool storing_flip(const char *path, uint64_t bit)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;
	bool done;

	if (fd < 0)
		return false;
	done = pread(fd, &byte, 1, (off_t)(bit / 8)) == 1;
	byte ^= (uint8_t)(1u << bit % 8);
	done = done && pwrite(fd, &byte, 1, (off_t)(bit / 8)) == 1;
	close(fd);
	return done;
}

bool storing_copy(const char *from, const char *to)
{
	char command[600];

	snprintf(command, sizeof(command), "cp -p %s %s", from, to);
	return system(command) == 0;
}

void storing_say(int fd, uint64_t number)
{
	if (write(fd, &number, sizeof(number)) != (ssize_t)sizeof(number))
		_exit(1);
}

uint64_t storing_kill(void (*child)(int fd, void *context), void *context, unsigned us)
{
	struct itimerval end = {.it_value = {.tv_sec = us / 1000000, .tv_usec = us % 1000000 + 1}};
	uint64_t number = 0, heard;
	int fd[2], status = 0;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC) != 0 || (pid = fork()) < 0)
		abort();
	if (pid == 0) {
		close(fd[0]);
		setitimer(ITIMER_REAL, &end, NULL); /* nothing handles its signal */
		child(fd[1], context);
		_exit(1);
	}
	close(fd[1]);
	while (read(fd[0], &heard, sizeof(heard)) == (ssize_t)sizeof(heard))
		number = heard;
	close(fd[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGALRM)
		return UINT64_MAX;
	return number;
}

void storing_do(const char *name, const char *sql)
{
	struct sqlite3 *database = NULL;
	int status = sqlite3_open(storing_path(name), &database);

	if (status == SQLITE_OK)
		status = sqlite3_exec(database, sql, NULL, NULL, NULL);
	if (status != SQLITE_OK)
		fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(database));
	sqlite3_close(database);
	if (status != SQLITE_OK)
		abort();
}
