/* What stamp shows of a chunk, against what Python 3 itself writes. The vectors hold the rest. */
#include "driver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define PYTHON "/usr/bin/python3"

enum { RANDOM_CHUNKS = 300 };

extern const struct machine stamp_machine;

/* Reads lines `HEX LITERAL` and exits with 1 at the first literal that is not Python's own. */
static const char check[] = "exec " PYTHON " -c 'import sys\n"
			    "for line in sys.stdin.buffer:\n"
			    "    data, literal = line.rstrip(b\"\\n\").split(b\" \", 1)\n"
			    "    own = repr(bytes.fromhex(data.decode())).encode()\n"
			    "    if own != literal:\n"
			    "        sys.exit(\"expected %r, got %r\" % (own, literal))\n"
			    "'";

/* The chunk as the machine shows it goes to Python. */
static void compare(FILE *python, struct bytes chunk)
{
	static const char before_literal[] = "Données reçu à 2026-01-01 00:00:00.000000 : ";
	struct driver d;
	struct bytes shown;

	driver_init(&d, &stamp_machine);
	driver_open(&d);
	driver_feed(&d, chunk);
	assert_null(d.fault);
	shown = bytes_first(d.output, sizeof before_literal - 1);
	assert_true(bytes_equal(shown, bytes_of_string(before_literal)));
	shown = bytes_after(d.output, shown.len);
	for (size_t i = 0; i < chunk.len; i++)
		fprintf(python, "%02x", chunk.data[i]);
	fprintf(python, " %.*s\n", (int)shown.len, (const char *)shown.data);
	driver_end(&d);
}

static void compare_each_byte_with_quotes(FILE *python)
{
	static const char *const around[] = {"", "'", "\"", "'\"", "\"'", "\\", "''", "\"\""};

	for (unsigned byte = 0; byte < 256; byte++) {
		for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
			uint8_t chunk[8] = {(uint8_t)byte};
			size_t len = strlen(around[i]);

			memcpy(chunk + 1, around[i], len);
			compare(python, bytes_of(chunk, 1 + len));
		}
	}
}

static void compare_random_chunks(FILE *python)
{
	uint8_t chunk[MACHINE_CHUNK_BYTES];

	srand(1);
	for (unsigned n = 0; n < RANDOM_CHUNKS; n++) {
		size_t len = 1 + (size_t)rand() % sizeof chunk;

		for (size_t i = 0; i < len; i++)
			chunk[i] = (uint8_t)(rand() >> 4);
		compare(python, bytes_of(chunk, len));
	}
}

static void test_a_chunk_is_shown_as_python_does(void **state)
{
	FILE *python;

	if (access(PYTHON, X_OK) != 0)
		skip();
	python = popen(check, "w");
	assert_non_null(python);
	compare_each_byte_with_quotes(python);
	compare_random_chunks(python);
	assert_int_equal(pclose(python), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_chunk_is_shown_as_python_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
