/* Load for a role server: 5,000 plain clients join one after the other; then, 1,000 times, the
 * principal closes and the next one's word is awaited. Prints how long from close(2) to the word,
 * as one line of JSON.
 *
 *   load_role PORT [CLIENTS [CLOSES]] */
#include "bare.h"

#include <poll.h>

enum { CLIENTS_MOST = 20000, PATIENCE_MS = 10000 };

static int client[CLIENTS_MOST];
static uint64_t took_ns[CLIENTS_MOST];

/* Reads one word, with no line end or one. */
static void await_word(int fd, const char *word)
{
	struct pollfd readable = {fd, POLLIN, 0};
	char said[64];
	size_t len = 0;

	while (len < strlen(word)) {
		ssize_t n = recv(fd, said + len, sizeof said - len, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN) {
			if (poll(&readable, 1, PATIENCE_MS) <= 0)
				bare_die("no word came");
			continue;
		}
		if (n <= 0)
			bare_die("the server left");
		len += (size_t)n;
	}
	if (memcmp(said, word, strlen(word)) != 0)
		bare_die("another word came");
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned clients = argc > 2 ? (unsigned)atoi(argv[2]) : 5000;
	unsigned closes = argc > 3 ? (unsigned)atoi(argv[3]) : 1000;

	if (argc < 2 || clients > CLIENTS_MOST || closes < 1 || closes >= clients) {
		fprintf(stderr, "usage: load_role PORT [CLIENTS [CLOSES]]\n");
		return 2;
	}
	bare_raise_descriptors();
	for (unsigned i = 0; i < clients; i++) {
		client[i] = bare_connect(argv[1], SOCK_STREAM);
		await_word(client[i], i ? "secondaire" : "principal");
	}
	for (unsigned i = 0; i < closes; i++) {
		uint64_t began_ns = bare_now_ns();

		close(client[i]);
		await_word(client[i + 1], "principal");
		took_ns[i] = bare_now_ns() - began_ns;
	}
	qsort(took_ns, closes, sizeof *took_ns, by_size);
	printf("{\"closes\":%u,\"p50_ns\":%llu,\"p99_ns\":%llu,\"max_ns\":%llu}\n", closes,
	       (unsigned long long)took_ns[closes / 2],
	       (unsigned long long)took_ns[(uint64_t)closes * 99 / 100],
	       (unsigned long long)took_ns[closes - 1]);
	return 0;
}
