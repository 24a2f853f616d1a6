/* The ring is the writer's from `tail` to `head` and the others' for the rest, so that bytes are
 * copied in under the lock and written without it. */
#include "command/printer.h"

#include "base/err.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PRINTER_CHUNK_BYTES = 1 << 16 };

struct printer {
	pthread_mutex_t lock;
	pthread_cond_t to_write, written;
	pthread_t thread;
	uint64_t head, tail; /* bytes put, bytes written */
	bool flushed;        /* what is there is to be written */
	bool left, ending, over;
	int error;
	uint8_t ring[PRINTER_BYTES];
};

/* The writer. */

/* All of `b`, however long it takes. 0, or the errno. */
static int write_whole(struct bytes b)
{
	while (b.len > 0) {
		ssize_t n = write(STDOUT_FILENO, b.data, b.len);

		if (n >= 0) {
			b = bytes_after(b, (size_t)n);
		} else if (errno == EAGAIN) { /* somebody who shares it made it so */
			struct pollfd writable = {.fd = STDOUT_FILENO, .events = POLLOUT};

			poll(&writable, 1, -1);
		} else if (errno != EINTR) {
			return errno;
		}
	}
	return 0;
}

/* Under the lock, which it leaves while it writes. */
static void write_some(struct printer *p)
{
	size_t at = p->tail % PRINTER_BYTES, len = p->head - p->tail;
	int error = p->error;

	if (len > PRINTER_BYTES - at)
		len = PRINTER_BYTES - at;
	if (len > PRINTER_CHUNK_BYTES)
		len = PRINTER_CHUNK_BYTES;
	pthread_mutex_unlock(&p->lock);
	if (error == 0)
		error = write_whole(bytes_of(p->ring + at, len));
	pthread_mutex_lock(&p->lock);
	p->tail += len;
	p->error = error;
	pthread_cond_broadcast(&p->written);
}

static void *printer_run(void *argument)
{
	struct printer *p = argument;

	pthread_mutex_lock(&p->lock);
	while (p->head != p->tail || !p->ending) {
		if (p->head != p->tail && (p->flushed || p->ending)) {
			write_some(p);
			continue;
		}
		p->flushed = false;
		pthread_cond_wait(&p->to_write, &p->lock);
	}
	p->over = true;
	pthread_cond_broadcast(&p->written);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Those who print. */

static void copy_in(struct printer *p, struct bytes line)
{
	size_t at = p->head % PRINTER_BYTES;
	struct bytes first = bytes_first(line, PRINTER_BYTES - at);
	struct bytes second = bytes_after(line, first.len);

	memcpy(p->ring + at, first.data, first.len);
	if (second.len > 0)
		memcpy(p->ring, second.data, second.len);
	p->head += line.len;
}

bool printer_put(struct printer *p, struct bytes line, bool waits)
{
	bool fits;

	pthread_mutex_lock(&p->lock);
	while (!(fits = PRINTER_BYTES - (p->head - p->tail) >= line.len) && waits && !p->left) {
		p->flushed = true;
		pthread_cond_signal(&p->to_write);
		pthread_cond_wait(&p->written, &p->lock);
	}
	if (fits)
		copy_in(p, line);
	if (p->head - p->tail >= PRINTER_CHUNK_BYTES && !p->flushed) {
		p->flushed = true;
		pthread_cond_signal(&p->to_write);
	}
	pthread_mutex_unlock(&p->lock);
	return fits;
}

void printer_flush(struct printer *p)
{
	pthread_mutex_lock(&p->lock);
	if (p->head != p->tail && !p->flushed) {
		p->flushed = true;
		pthread_cond_signal(&p->to_write);
	}
	pthread_mutex_unlock(&p->lock);
}

int printer_error(struct printer *p)
{
	int error;

	pthread_mutex_lock(&p->lock);
	error = p->error;
	pthread_mutex_unlock(&p->lock);
	return error;
}

void printer_leave(struct printer *p)
{
	pthread_mutex_lock(&p->lock);
	p->left = true;
	pthread_cond_broadcast(&p->written);
	pthread_mutex_unlock(&p->lock);
}

/* Start and end. */

int printer_start(struct printer **printer)
{
	struct printer *p = *printer = calloc(1, sizeof(*p));
	pthread_condattr_t monotonic;

	if (p == NULL)
		return ERR_MEMORY;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->to_write, NULL);
	pthread_cond_init(&p->written, &monotonic);
	pthread_condattr_destroy(&monotonic);
	if (pthread_create(&p->thread, NULL, printer_run, p) == 0)
		return 0;
	free(p);
	*printer = NULL;
	return ERR_SYSTEM;
}

int printer_stop(struct printer *p, uint64_t wait_ms)
{
	struct timespec until;
	int error, expired = 0;
	bool over;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)(wait_ms / 1000);
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_signal(&p->to_write);
	while (!p->over && expired == 0)
		expired = pthread_cond_timedwait(&p->written, &p->lock, &until);
	error = p->error;
	over = p->over;
	pthread_mutex_unlock(&p->lock);
	if (!over)
		return error;
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->written);
	pthread_cond_destroy(&p->to_write);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return error;
}
