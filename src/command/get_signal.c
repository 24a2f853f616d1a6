/* An interrupt ends prise get at once, also while it waits for whoever reads standard output; the
 * file that is not whole goes first. unlink(2) is safe in a handler (signal-safety(7)). */
#include "command/get_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static char get_part[GET_PATH_BYTES];
static volatile sig_atomic_t get_has_part;

static void get_interrupted(int signal_number)
{
	if (get_has_part)
		unlink(get_part);
	raise(signal_number); /* SA_RESETHAND: the process's end, once this returns */
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

int get_signal_open(const char *path, const char *part)
{
	sigset_t held, before;
	int fd;

	sigemptyset(&held);
	for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaddset(&held, signals[i]);
	pthread_sigmask(SIG_BLOCK, &held, &before);
	fd = whole_open(path, part, O_EXCL);
	if (fd >= 0)
		get_signal_part(part);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return fd;
}

void get_signal_begin(void)
{
	struct sigaction action = {.sa_handler = get_interrupted, .sa_flags = (int)SA_RESETHAND};

	for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		struct sigaction before;

		/* nohup(1) has it ignored, and so it stays. */
		if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
	}
}

void get_signal_part(const char *path)
{
	struct text t = TEXT_OVER(get_part);

	get_has_part = 0;
	if (!path)
		return;
	text_put_string(&t, path);
	get_has_part = !t.cut;
}
