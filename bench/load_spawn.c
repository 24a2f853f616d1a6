/* How long a whole program takes: starts it N times, one after the other, with its output thrown
 * away, and prints the medians of wall time and of processor time, start to end, as one line of
 * JSON.
 *
 *   load_spawn N PROGRAM [ARGUMENT]... */
#include "bare.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

enum { RUNS_MOST = 10000 };

extern char **environ;

static uint64_t wall_ns[RUNS_MOST], cpu_ns[RUNS_MOST];

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_usec * 1000;
}

static void run(unsigned i, char **argv, const posix_spawn_file_actions_t *quiet)
{
	uint64_t began_ns = bare_now_ns();
	struct rusage used;
	int status;
	pid_t pid;

	errno = posix_spawnp(&pid, argv[0], quiet, NULL, argv, environ);
	if (errno)
		bare_die(argv[0]);
	bare_check(wait4(pid, &status, 0, &used), "wait4");
	wall_ns[i] = bare_now_ns() - began_ns;
	cpu_ns[i] = timeval_ns(used.ru_utime) + timeval_ns(used.ru_stime);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		fprintf(stderr, "%s failed\n", argv[0]);
		exit(1);
	}
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned runs = argc > 2 ? (unsigned)atoi(argv[1]) : 0;
	posix_spawn_file_actions_t quiet;

	if (runs < 1 || runs > RUNS_MOST) {
		fprintf(stderr, "usage: load_spawn N PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&quiet, 1, "/dev/null", O_WRONLY, 0);
	for (unsigned i = 0; i < runs; i++)
		run(i, argv + 2, &quiet);
	qsort(wall_ns, runs, sizeof *wall_ns, by_size);
	qsort(cpu_ns, runs, sizeof *cpu_ns, by_size);
	printf("{\"runs\":%u,\"wall_ns\":%llu,\"cpu_ns\":%llu}\n", runs,
	       (unsigned long long)wall_ns[runs / 2], (unsigned long long)cpu_ns[runs / 2]);
	return 0;
}
