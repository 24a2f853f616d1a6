/* The reader and the writer of proto/pickle.h behind stdin and stdout, for pickle_cross.py. All
 * numbers are little-endian.
 *
 *   W protocol:1 count:4 items:8 each          answered by   length:4 pickle
 *   R cut:4 length:4 pickle                    answered by   status:1 sum:16 items:8
 *
 * A pickle to read is fed `cut` bytes at a time. Status is 1 done, 0 more needed, 2 refused. */
#include "proto/pickle.h"

#include <stdio.h>
#include <stdlib.h>

static void get(void *into, size_t len)
{
	if (fread(into, 1, len, stdin) != len)
		exit(2);
}

static void put(const void *from, size_t len)
{
	if (fwrite(from, 1, len, stdout) != len)
		exit(2);
}

static void *memory(size_t len)
{
	void *p = malloc(len + 1);

	if (!p)
		exit(2);
	return p;
}

static void answer_write(void)
{
	struct pickle_writer w;
	uint8_t protocol, piece[100];
	uint32_t count, length;
	int64_t *items;
	size_t n;

	get(&protocol, sizeof(protocol));
	get(&count, sizeof(count));
	items = memory(count * sizeof(*items));
	get(items, count * sizeof(*items));
	pickle_writer_init(&w, items, count, protocol);
	length = (uint32_t)pickle_size(&w);
	put(&length, sizeof(length));
	while ((n = pickle_write(&w, piece, sizeof(piece))) > 0)
		put(piece, n);
	free(items);
}

static void answer_read(void)
{
	struct pickle_reader r;
	uint32_t cut, length;
	uint8_t *pickle;
	uint8_t status;
	int read = 0;

	get(&cut, sizeof(cut));
	get(&length, sizeof(length));
	pickle = memory(length);
	get(pickle, length);
	pickle_reader_init(&r, length);
	for (struct bytes b = bytes_of(pickle, length); b.len > 0;) {
		struct bytes part = bytes_first(b, cut);
		uint8_t *exact = memory(part.len); /* so that ASan sees a read beyond */

		memcpy(exact, part.data, part.len);
		read = pickle_read(&r, bytes_of(exact, part.len));
		free(exact);
		b = bytes_after(b, part.len);
	}
	status = read < 0 ? 2 : (uint8_t)read;
	put(&status, sizeof(status));
	put(&r.sum, sizeof(r.sum));
	put(&r.items, sizeof(r.items));
	free(pickle);
}

int main(void)
{
	for (int command; (command = getchar()) != EOF;) {
		if (command == 'W')
			answer_write();
		else if (command == 'R')
			answer_read();
		else
			return 2;
		fflush(stdout);
	}
	return 0;
}
